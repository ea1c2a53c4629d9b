"""MATLAB 5 files (.mat of MATLAB 5 to 7.2) read with bounded memory and time: no size is believed before it is judged.

scipy converts, but it allocates what a header promises, and a few bytes can ask it for gigabytes or for 2^31 empty
structs. Here the elements are walked first (MAT-File Format, MathWorks, chapter 1: tag, array flags, dimensions, name,
data; a compressed element holds one zlib stream), one variable at a time and unpacked no further than the limit. Only a
variable that adds up is handed to scipy. Objects, function handles and sparse or complex arrays are rejected, and so
are MATLAB 7.3 files, which are HDF5.

Slugs: unreadable, empty, not-a-mat, truncated, malformed, too-large, unsupported-encoding.
"""

from __future__ import annotations

import io
import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from corpora.errors import PayloadError, refused

MAX_FILE = 4 * 2**30  # bytes on disk
MAX_VARIABLE = 512 * 2**20  # bytes of one variable, or of one cell of `load_cells`, unpacked and as doubles
MAX_UNPACKED = 8 * 2**30  # bytes that one variable may unpack to while its cells are read one by one
MAX_PARTS = 10_000  # cells and fields in one variable; a subject of DREAMER has about 100
MAX_VARIABLES = 10_000
MAX_DEPTH = 8  # DREAMER nests struct > cell > struct > struct > cell > matrix
_MAX_HEADER = 1 << 16  # bytes of dimensions, name and field names
_MAX_DIMENSIONS = 32  # scipy's limit
_HEADER, _CHUNK = 128, 1 << 18

_INT32, _UINT32, _MATRIX, _COMPRESSED = 5, 6, 14, 15
_NUMBER_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # data type -> bytes of one
_TEXT_TYPES = {1, 2, 4, 16, 17, 18}
_CELL, _STRUCT, _CHAR, _COMPLEX = 1, 2, 4, 0x800
_KINDS = {
    _CELL: "cell",
    _STRUCT: "struct",
    3: "object",
    _CHAR: "char",
    5: "sparse",
    6: "double",
    7: "single",
    8: "int8",
    9: "uint8",
    10: "int16",
    11: "uint16",
    12: "int32",
    13: "uint32",
    14: "int64",
    15: "uint64",
    16: "function",
    17: "opaque",
}


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable, from its header alone. `offset`, `n_bytes`: where its matrix element or zlib stream lies."""

    name: str
    kind: str  # double, single, int8, ..., cell, struct, char, ...
    shape: tuple[int, ...]
    offset: int
    n_bytes: int
    compressed: bool


@dataclass(frozen=True, slots=True)
class MatFile:
    """The table of contents of one file. `damage`: the first thing that is wrong in it; None if nothing is."""

    path: Path
    order: str  # byte order of the file: "<" or ">"
    variables: tuple[Variable, ...]
    damage: PayloadError | None


def open_mat(path: Path) -> MatFile:
    """Reads the headers of all variables; no data. A file that breaks off keeps those before the break.

    Raises `PayloadError`: unreadable, too-large, empty, not-a-mat, unsupported-encoding (MATLAB 7.3).
    """
    variables: list[Variable] = []
    damage = None
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            if size > MAX_FILE:
                raise PayloadError("too-large", f"{size / 2**30:.1f} GiB, at most {MAX_FILE / 2**30:.0f} GiB are read")
            file.seek(0)
            order = _byte_order(file.read(_HEADER))
            try:
                damage = _variables(file, order, size, variables)
            except PayloadError as error:
                damage = error
    except OSError as error:
        raise PayloadError("unreadable", refused(error)) from error
    return MatFile(path, order, tuple(variables), damage)


def load_mat(
    path: Path, wanted: Sequence[str] | re.Pattern[str], *, max_bytes: int = MAX_VARIABLE
) -> Iterator[tuple[str, Any]]:
    """Yields (name, value) of the wanted variables (names, or what a pattern matches whole), one in memory at a time.

    Numbers in names count as numbers: x_eeg2 comes before x_eeg10. Values: numbers as an array [rows, columns, ...] of
    the type that they are stored in; text as str; a cell array as a list in MATLAB's order; a struct as a dict. A value
    that cannot be read is its `PayloadError`; ("", error) comes last if the file breaks off or a header in it is wrong.

    Raises `PayloadError` as `open_mat` does, when it is iterated.
    """
    contents = open_mat(path)
    match = wanted.fullmatch if isinstance(wanted, re.Pattern) else set(wanted).__contains__
    for variable in sorted(contents.variables, key=lambda one: natural(one.name)):
        if match(variable.name):
            try:
                yield variable.name, load_variable(contents, variable, max_bytes=max_bytes)
            except PayloadError as error:
                yield variable.name, error
    if contents.damage is not None:
        yield "", contents.damage


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key in which numbers count as numbers: "x_eeg2" before "x_eeg10"."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(1, int(part), "") if part.isascii() and part.isdigit() else (0, 0, part) for part in parts if part]


def load_variable(contents: MatFile, variable: Variable, *, max_bytes: int = MAX_VARIABLE) -> Any:
    """The value of one variable, see `load_mat`. Raises `PayloadError`."""
    with _opened(contents, variable) as file:
        stream = _Stream(file, variable, 8 + max_bytes)
        value = _value(stream, contents.order, max_bytes, 8 + max_bytes)
        stream.verify()
        return value


def load_cells(path: Path, name: str, field: str | None = None, *, max_bytes: int = MAX_VARIABLE) -> Iterator[Any]:
    """The values of a cell array, one in memory at a time: the variable `name`, or one `field` of it if it is a struct.

    A cell that cannot be read is its `PayloadError`; it is the last if nothing after it can be located. Raises
    `PayloadError` malformed if there is no such cell array, and as `open_mat` does, when it is iterated.
    """
    contents = open_mat(path)
    variable = next((one for one in contents.variables if one.name == name), None)
    if variable is None:
        raise contents.damage or PayloadError("malformed", f"no variable {name!r}")
    with _opened(contents, variable) as file:
        stream = _Stream(file, variable, MAX_UNPACKED)
        end = _tag(stream, contents.order, MAX_UNPACKED)
        mclass, shape, _ = _matrix_header(stream, contents.order, end)
        if field is not None:
            end = _seek_field(stream, contents.order, mclass, shape, end, field)
            mclass, shape, _ = _matrix_header(stream, contents.order, end)
        if mclass != _CELL:
            raise PayloadError("malformed", f"{name}{'.' + field if field else ''} is no cell array")
        for _ in range(_count(shape, MAX_PARTS)):
            try:
                yield _value(stream, contents.order, max_bytes, end - stream.position)
            except PayloadError as error:
                yield error
                if stream.next_value is None or stream.next_value > end:
                    return
                stream.skip(stream.next_value - stream.position)


class _Stream:
    """The bytes of one variable's matrix element, tag included, unpacked where compressed: at most `limit` in all.

    What is read or skipped is written to `out` as well, where there is one. Raises `PayloadError`: truncated,
    too-large, malformed (no zlib stream).
    """

    def __init__(self, file: IO[bytes], variable: Variable, limit: int) -> None:
        self._file, self._left, self._limit = file, variable.n_bytes, limit
        self._inflate = zlib.decompressobj() if variable.compressed else None
        self._packed = b""
        self.position = 0
        self.out: io.BytesIO | None = None
        self.next_value: int | None = None  # where the value after the one that is being read begins

    def read(self, n: int) -> bytes:
        return b"".join(self._chunks(n))

    def skip(self, n: int) -> None:
        for _ in self._chunks(n):
            pass

    def verify(self) -> None:
        """Lets zlib compare its checksum at the end; some files have bytes left over there, which mean nothing."""
        self._some(1)

    def _chunks(self, n: int) -> Iterator[bytes]:
        if self.position + n > self._limit:
            self.next_value = None
            raise PayloadError("too-large", f"more than {self._limit} bytes")
        while n > 0:
            chunk = self._some(min(n, _CHUNK))
            if not chunk:
                self.next_value = None
                raise PayloadError("truncated", f"{n} bytes are missing")
            if self.out is not None:
                self.out.write(chunk)
            self.position += len(chunk)
            n -= len(chunk)
            yield chunk

    def _some(self, n: int) -> bytes:
        if self._inflate is None:
            chunk = self._file.read(min(n, self._left))
            self._left -= len(chunk)
            return chunk
        while True:
            if not self._packed:
                self._packed = self._file.read(min(self._left, _CHUNK))
                self._left -= len(self._packed)
            last = not self._packed
            try:
                chunk = self._inflate.decompress(self._packed, n)
            except zlib.error as error:
                self.next_value = None
                raise PayloadError("malformed", "damaged compressed data") from error
            self._packed = self._inflate.unconsumed_tail
            if chunk or last or self._inflate.eof:
                return chunk


def _byte_order(header: bytes) -> str:
    if not header:
        raise PayloadError("empty", "0 bytes")
    if header.startswith(b"\x89HDF") or header[124:128] in (b"\0\2IM", b"\2\0MI"):
        raise PayloadError("unsupported-encoding", "a MATLAB 7.3 file (HDF5): save it again with save(..., '-v7')")
    if header[124:128] not in (b"\0\1IM", b"\1\0MI"):
        raise PayloadError("not-a-mat", f"starts with {header[:12]!r}, not with the header of a MATLAB 5 file")
    return "<" if header.endswith(b"IM") else ">"


def _variables(file: IO[bytes], order: str, size: int, variables: list[Variable]) -> PayloadError | None:
    """Appends to `variables` as it goes, so that what was read stays when it raises `PayloadError`."""
    position, damage = _HEADER, None
    while position < size:
        if len(variables) == MAX_VARIABLES:
            raise PayloadError("too-large", f"more than {MAX_VARIABLES} variables")
        file.seek(position)
        tag = file.read(8)
        if len(tag) < 8:
            raise PayloadError("truncated", f"the file ends within a tag at byte {position}")
        kind, n_bytes = struct.unpack(order + "II", tag)
        if kind not in (_MATRIX, _COMPRESSED):
            raise PayloadError("malformed", f"an element of type {kind} at byte {position}, not a variable")
        if position + 8 + n_bytes > size:
            raise PayloadError("truncated", f"a variable of {n_bytes} bytes, {size - position - 8} follow")
        packed = kind == _COMPRESSED
        start, length = (position + 8, n_bytes) if packed else (position, n_bytes + 8)
        file.seek(start)
        stream = _Stream(file, Variable("", "", (), start, length, packed), _MAX_HEADER)
        try:
            mclass, shape, name = _matrix_header(stream, order, _tag(stream, order, MAX_UNPACKED))
        except PayloadError as error:
            damage = damage or error  # where the next variable begins is known all the same
        else:
            if name:  # the nameless one is where MATLAB keeps what its function handles need
                variables.append(Variable(name, _kind(mclass), shape, start, length, packed))
        position += 8 + n_bytes
    return damage


def _opened(contents: MatFile, variable: Variable) -> IO[bytes]:
    try:
        file = contents.path.open("rb")
        file.seek(variable.offset)
    except OSError as error:
        raise PayloadError("unreadable", refused(error)) from error
    return file


def _tag(stream: _Stream, order: str, room: int) -> int:
    """Reads the tag of a matrix element that may take `room` bytes with its tag -> the position of its end."""
    if room < 8:
        raise PayloadError("malformed", "fewer cells or fields than its dimensions say")
    kind, n_bytes = struct.unpack(order + "II", stream.read(8))
    if kind != _MATRIX:
        raise PayloadError("malformed", f"an element of type {kind} where a matrix belongs")
    if n_bytes + 8 > room:
        raise PayloadError("too-large", f"a matrix of {n_bytes} bytes, there is room for {room - 8}")
    return stream.position + int(n_bytes)


def _element(stream: _Stream, order: str, end: int) -> tuple[int, int, bytes | None]:
    """Reads the tag of an element before `end` -> (its type, its bytes, its data if they lie within the tag)."""
    if stream.position + 8 > end:
        raise PayloadError("malformed", "an element reaches beyond the one that holds it")
    raw = stream.read(8)
    kind, n_bytes = struct.unpack(order + "II", raw)
    if kind >> 16:  # the small form: 4 bytes at most, in the tag
        kind, n_bytes = kind & 0xFFFF, kind >> 16
        if n_bytes > 4:
            raise PayloadError("malformed", f"a small element of {n_bytes} bytes")
        return kind, n_bytes, raw[4 : 4 + n_bytes]
    if stream.position + n_bytes > end:
        raise PayloadError("malformed", "an element reaches beyond the one that holds it")
    return kind, n_bytes, None


def _short(stream: _Stream, order: str, end: int, kinds: tuple[int, ...]) -> bytes:
    """The data of an element of a header."""
    kind, n_bytes, data = _element(stream, order, end)
    if kind not in kinds or n_bytes > _MAX_HEADER:
        raise PayloadError("malformed", f"an element of type {kind} and {n_bytes} bytes in a header")
    if data is None:
        data = stream.read(n_bytes)
        stream.skip(-n_bytes % 8)
    return data


def _matrix_header(stream: _Stream, order: str, end: int) -> tuple[int, tuple[int, ...], str]:
    """-> (class, with a bit for complex numbers; dimensions; name). Raises `PayloadError` malformed."""
    if stream.position == end:
        return 6, (0, 0), ""
    flags = _short(stream, order, end, (_UINT32,))
    shape = _short(stream, order, end, (_INT32,))
    if len(flags) != 8 or len(shape) % 4 or not 4 <= len(shape) <= 4 * _MAX_DIMENSIONS:
        raise PayloadError("malformed", f"array flags of {len(flags)}, dimensions of {len(shape)} bytes")
    dimensions = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    if min(dimensions) < 0:
        raise PayloadError("malformed", f"dimensions {dimensions}")
    name = _short(stream, order, end, (1, 16)).decode("latin1")
    flag = struct.unpack(order + "I", flags[:4])[0]
    return flag & (0xFF | _COMPLEX), dimensions, name


def _count(shape: tuple[int, ...], most: int) -> int:
    count = math.prod(shape)
    if count > most:
        raise PayloadError("too-large", f"dimensions {shape}, at most {most} values are read")
    return count


def _field_names(stream: _Stream, order: str, end: int) -> list[str]:
    width = _short(stream, order, end, (_INT32,))
    names = _short(stream, order, end, (1,))
    length = struct.unpack(order + "i", width)[0] if len(width) == 4 else 0
    if not 1 <= length <= 1024 or len(names) % length:
        raise PayloadError("malformed", f"field names of {length} in {len(names)} bytes")
    return [names[i : i + length].partition(b"\0")[0].decode("latin1") for i in range(0, len(names), length)]


def _seek_field(stream: _Stream, order: str, mclass: int, shape: tuple[int, ...], end: int, field: str) -> int:
    """Moves to the matrix header of a field of a struct [1, 1] -> the position of the field's end."""
    names = _field_names(stream, order, end) if mclass == _STRUCT else []
    if math.prod(shape) != 1 or field not in names:
        raise PayloadError("malformed", f"no field {field!r}; found: {', '.join(names)[:200] or 'no struct'}")
    for name in names:
        field_end = _tag(stream, order, end - stream.position)
        if name == field:
            return field_end
        stream.skip(field_end - stream.position)
    raise AssertionError("unreachable")


def _kind(mclass: int) -> str:
    return ("complex " if mclass & _COMPLEX else "") + _KINDS.get(mclass & 0xFF, f"of class {mclass & 0xFF}")


class _Budget:
    """What is left of the parts that one value may have, and how many numbers an array may hold."""

    def __init__(self, max_bytes: int) -> None:
        self.parts = MAX_PARTS
        self.numbers = max_bytes // 8

    def spend(self, parts: int) -> None:
        if parts > self.parts:
            raise PayloadError("too-large", f"more than {MAX_PARTS} cells and fields")
        self.parts -= parts


def _walk(stream: _Stream, order: str, end: int, depth: int, budget: _Budget) -> None:
    """Checks one matrix element whose tag was read. Raises `PayloadError`."""
    if stream.position == end:
        return
    if depth > MAX_DEPTH:
        raise PayloadError("too-large", f"cells and structs nested more than {MAX_DEPTH} deep")
    mclass, shape, name = _matrix_header(stream, order, end)
    if mclass in (_CELL, _STRUCT):
        fields = _field_names(stream, order, end) if mclass == _STRUCT else [""]
        budget.spend(len(fields))
        count = _count(shape, budget.parts) * len(fields)
        budget.spend(count)
        for _ in range(count):
            _walk(stream, order, _tag(stream, order, end - stream.position), depth + 1, budget)
    elif mclass == _CHAR or 6 <= mclass <= 15:
        count = _count(shape, budget.numbers)
        kind, n_bytes, data = _element(stream, order, end)
        width = _NUMBER_BYTES.get(kind)
        if mclass == _CHAR and kind in _TEXT_TYPES:
            if n_bytes > 4 * count:
                raise PayloadError("malformed", f"{n_bytes} bytes of text for {count} characters")
        elif width is None or mclass == _CHAR or n_bytes != width * count:
            raise PayloadError("malformed", f"{n_bytes} bytes of type {kind} for dimensions {shape}")
        if data is None:
            # only at the very end may the bytes that fill up to 8 be missing
            padding = -n_bytes % 8
            stream.skip(n_bytes + (min(padding, end - stream.position - n_bytes) if depth == 0 else padding))
    else:
        raise PayloadError("unsupported-encoding", f"{name or 'a part'} is {_kind(mclass)}")
    if stream.position != end:
        raise PayloadError("malformed", f"{end - stream.position} bytes too many in a {_kind(mclass)}")


def _value(stream: _Stream, order: str, max_bytes: int, room: int) -> Any:
    """Walks the next matrix element, of at most `room` bytes, and converts it. Raises `PayloadError`."""
    version = b"\0\1IM" if order == "<" else b"\1\0MI"
    stream.out = io.BytesIO()
    stream.out.write(b"MATLAB 5.0 MAT-file".ljust(124) + version)
    try:
        end = _tag(stream, order, room)
        stream.next_value = end
        if end - stream.position > max_bytes:
            raise PayloadError("too-large", f"{end - stream.position} bytes, at most {max_bytes} are read")
        _walk(stream, order, end, 0, _Budget(max_bytes))
        return _converted(stream.out)
    finally:
        stream.out = None


def _converted(file: io.BytesIO) -> Any:
    from scipy.io import loadmat

    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an exception says what is wrong
            contents = loadmat(file, chars_as_strings=True, struct_as_record=True)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, OSError, UnicodeError, MemoryError) as error:
        raise PayloadError("malformed", "its elements do not fit MATLAB's format") from error
    values = [value for name, value in contents.items() if name not in ("__header__", "__version__", "__globals__")]
    if len(values) != 1 or isinstance(values[0], str):
        raise PayloadError("malformed", f"{len(values)} values where one array is expected")
    return _plain(values[0])


def _plain(value: Any) -> Any:
    """What scipy gives -> arrays, str, lists (cells) and dicts (structs)."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.names is not None:
        structs = [{name: _plain(one[name]) for name in value.dtype.names} for one in value.ravel(order="F")]
        return structs[0] if len(structs) == 1 else structs
    if value.dtype == object:
        return [_plain(one) for one in value.ravel(order="F")]
    if value.dtype.kind == "U":
        return "".join(str(line) for line in value.ravel(order="F"))
    return value

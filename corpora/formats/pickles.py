"""Pickles of arrays, read without ever running what is in them.

DEAP and WESAD are published as pickles of Python 2. A pickle is a program; this reader first walks over its opcodes
without executing any (only those that build plain data pass, and no size may be larger than what follows), then lets
`pickle.Unpickler` build the data with every importable name replaced by a stand-in of ours: numpy's own functions are
not called, an array is made by `np.frombuffer` after its shape was compared with its bytes. What comes out is a tree of
arrays, numpy scalars, str, bytes, numbers, None, lists, tuples and dicts.

Opcodes: the table of the standard library's `pickletools`. Array states: numpy/_core/src/multiarray/methods.c,
array_reduce and array_setstate; dtype states: descriptor.c, arraydescr_reduce.
"""

from __future__ import annotations

import io
import math
import mmap
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import PayloadError, refused

MAX_OPCODES = 20_000  # DEAP's files need about 60, WESAD's about 300
MAX_DEPTH = 16  # of containers in containers
_MAX_TEXT = 64  # bytes of a number, a memo index or a name that is written out as text
_MAX_DIMS = 8

_DATA = (
    "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING "
    "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
)
_CONTAINERS = "EMPTY_LIST APPEND APPENDS LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS"
_PLUMBING = "PROTO FRAME STOP MARK GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE"
_CALLS = "GLOBAL STACK_GLOBAL REDUCE BUILD"  # harmless with the stand-ins only
_ALLOWED = frozenset(" ".join((_DATA, _CONTAINERS, _PLUMBING, _CALLS)).split())
_OPCODES = {ord(op.code): op for op in pickletools.opcodes}
# pickletools' marks for a length that stands in the pickle: bytes that hold it, and whether it is signed
_COUNTED = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}
_LONG_TEXT = {"STRING", "UNICODE"}  # written up to the end of the line, of any length
_TYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c(8|16)|[SU]\d{1,5})")
# what a damaged or malicious pickle makes the unpickler raise; a warning, where warnings are errors
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    ImportError,
    OverflowError,
    MemoryError,
    RecursionError,
    Warning,
)


def load_array_file(path: Path, *, max_bytes: int) -> Any:
    """`load_arrays` of a file, which is mapped and not copied. Raises `PayloadError` unreadable as well."""
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise PayloadError("empty", "0 bytes")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return load_arrays(data, max_bytes=max_bytes)
    except OSError as error:
        raise PayloadError("unreadable", refused(error)) from error


def load_arrays(data: bytes | mmap.mmap, *, max_bytes: int) -> Any:
    """A pickle of any protocol, of Python 2 as well (its str are read as latin-1) -> the tree that it holds.

    Arrays may be read-only. `max_bytes` bounds the pickle and, once more, all arrays together. Raises `PayloadError`:
    empty, too-large, truncated, not-a-pickle, forbidden-pickle (anything else than arrays and plain data).
    """
    if len(data) == 0:
        raise PayloadError("empty", "0 bytes")
    if len(data) > max_bytes:
        raise PayloadError("too-large", f"{len(data) / 2**20:.0f} MiB, at most {max_bytes / 2**20:.0f} MiB are read")
    _scan(data)
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    stream.seek(0)
    try:
        value = _Unpickler(stream, max_bytes).load()
    except _BROKEN as error:
        raise PayloadError("forbidden-pickle", "its instructions make no arrays and plain data") from error
    return _plain(value, set(), 0)


def dump_python2(value: Any) -> bytes:
    """Dicts, text and arrays as Python 2.7's cPickle wrote them (protocol 2: str are bytes), for fake corpora."""
    return b"\x80\x02" + _python2(value) + b"."


def _python2(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_python2(key) + _python2(item) for key, item in value.items()) + b"u"
    if isinstance(value, int):
        return b"J" + value.to_bytes(4, "little", signed=True)
    if isinstance(value, str):
        value = value.encode("latin-1")
    if isinstance(value, bytes):
        return b"T" + len(value).to_bytes(4, "little", signed=True) + value
    kind = value.dtype.str
    shape = b"(" + b"".join(_python2(int(n)) for n in value.shape) + b"t"
    order = _python2(kind[0]) + b"NNN" + 2 * _python2(-1) + b"K\x00"
    dtype = b"cnumpy\ndtype\n(" + _python2(kind[1:]) + b"K\x00K\x01tR(K\x03" + order + b"tb"
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + _python2("b") + b"tR"
    return start + b"(K\x01" + shape + dtype + b"\x89" + _python2(np.ascontiguousarray(value).tobytes()) + b"tb"


def _scan(data: bytes | mmap.mmap) -> None:
    """Walks over the opcodes up to STOP and runs none. Raises `PayloadError` as `load_arrays` does."""
    at, end, count = 0, len(data), 0
    while True:
        if at >= end:
            raise PayloadError("truncated" if count else "not-a-pickle", f"no end after {count} opcodes")
        op = _OPCODES.get(data[at])
        if op is None:
            reason = "not-a-pickle" if count < 2 else "forbidden-pickle"  # a text file may begin like a pickle
            raise PayloadError(reason, f"byte {data[at]:#04x} at {at} is no opcode")
        if op.name not in _ALLOWED:
            raise PayloadError("forbidden-pickle", f"opcode {op.name} at {at}; only arrays and plain data are read")
        count += 1
        if count > MAX_OPCODES:
            raise PayloadError("forbidden-pickle", f"more than {MAX_OPCODES} opcodes; arrays need few")
        if op.name == "STOP":
            return
        start = at + 1
        at = _after(data, op, start, end)
        _judge(data, op.name, start, at, count)


def _after(data: bytes | mmap.mmap, op: pickletools.OpcodeInfo, start: int, end: int) -> int:
    """Where the next opcode stands."""
    size = 0 if op.arg is None else op.arg.n
    if size == pickletools.UP_TO_NEWLINE:
        at = start
        for _ in range(2 if op.name == "GLOBAL" else 1):
            at = data.find(b"\n", at) + 1
            if at == 0:
                raise PayloadError("truncated", f"{op.name} at {start - 1} has no end of line")
        if op.name not in _LONG_TEXT and at - start > 2 * _MAX_TEXT:
            raise PayloadError("forbidden-pickle", f"{op.name} of {at - start} bytes of text at {start - 1}")
        return at
    if size in _COUNTED:
        wide, signed = _COUNTED[size]
        length = int.from_bytes(data[start : start + wide], "little", signed=signed)
        if length < 0:
            raise PayloadError("forbidden-pickle", f"{op.name} of {length} bytes at {start - 1}")
        size = wide + length
    if start + size > end:
        raise PayloadError("truncated", f"{op.name} at {start - 1} promises {size} bytes, {end - start} follow")
    return start + size


def _judge(data: bytes | mmap.mmap, name: str, start: int, stop: int, count: int) -> None:
    """Sizes that opcodes claim beyond their own bytes."""
    if name in ("LONG1", "LONG4") and stop - start > _MAX_TEXT:
        raise PayloadError("forbidden-pickle", f"an integer of {stop - start} bytes at {start - 1}")
    if name in ("BINPUT", "LONG_BINPUT", "PUT"):
        # the memo is an array as long as its highest index, and picklers count from 0 (or 1, Python 2's)
        text = bytes(data[start:stop])
        digits = text.strip()
        index = int.from_bytes(text, "little") if name != "PUT" else int(digits) if digits.isdigit() else -1
        if not 0 <= index <= count:
            raise PayloadError("forbidden-pickle", f"memo index {text[:20]!r} after {count} opcodes")
    if name == "FRAME":
        size = int.from_bytes(data[start:stop], "little")
        if size > len(data) - stop:
            raise PayloadError("truncated", f"a frame of {size} bytes, {len(data) - stop} follow")


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, max_bytes: int) -> None:
        super().__init__(stream, fix_imports=True, encoding="latin1", errors="strict")
        self._budget = _Budget(max_bytes)

    def find_class(self, module: str, name: str) -> Any:
        old = {"__builtin__": "builtins"}.get(module, module)  # Python 2
        what = _NAMES.get((old.replace("numpy._core.", "numpy.core."), name))
        if what is None:
            raise PayloadError("forbidden-pickle", f"it asks for {module[:80]}.{name[:80]}")
        return _StandIn(what, self._budget)


_NAMES = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("numpy.core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy.core.multiarray", "scalar"): "scalar",
    ("numpy.core.numeric", "_frombuffer"): "frombuffer",
    ("_codecs", "encode"): "encode",  # how Python 3 writes bytes for protocols 0 to 2
    ("builtins", "bytes"): "bytes",  # ... and empty ones
}


class _Budget:
    """Bytes that all arrays together may still take: one string may be used for many."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise PayloadError("too-large", "the arrays of the pickle hold more bytes than may be read")


class _StandIn:
    """What a pickle gets in place of a name. It has no attributes that a pickle could set."""

    __slots__ = ("_budget", "_what")

    def __init__(self, what: str, budget: _Budget) -> None:
        self._what, self._budget = what, budget

    def __setstate__(self, state: Any) -> None:
        raise _forbidden(f"a state for {self._what}")

    def __call__(self, *args: Any) -> Any:
        if self._what == "dtype" and args and isinstance(args[0], str):
            return _Type(args[0])
        if self._what == "reconstruct" and args and isinstance(args[0], _StandIn) and args[0]._what == "ndarray":
            return _Array(self._budget)
        if self._what == "scalar" and len(args) == 2:
            return _make(args[0], (), args[1], False, self._budget)[()]
        if self._what == "frombuffer" and len(args) == 4:
            buffer, dtype, shape, order = args
            return _make(dtype, shape, buffer, order == "F", self._budget)
        if self._what == "encode" and len(args) == 2 and args[1] in ("latin1", "latin-1") and isinstance(args[0], str):
            self._budget.take(len(args[0]))
            return args[0].encode("latin-1")
        if self._what == "bytes" and not args:
            return b""
        raise _forbidden(f"a call of {self._what} with {[type(a).__name__ for a in args[:6]]}")


class _Type:
    """A dtype on its way: `numpy.dtype("f8", False, True)`, then (version, byte order, None, None, None, ...)."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not _TYPE.fullmatch(text):
            raise _forbidden(f"values of type {text[:40]!r}")
        self._text = text

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
            raise _forbidden("a dtype with fields")
        self._text = state[1].replace("|", "") + self._text.lstrip("<>|=")

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self._text)


class _Array:
    """An array on its way: `_reconstruct(ndarray, (0,), b"b")`, then (version, shape, dtype, is Fortran, bytes)."""

    __slots__ = ("_budget", "value")

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self.value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5) or self.value is not None:
            raise _forbidden("an array with another state")
        shape, dtype, fortran, data = state[-4:]
        self.value = _make(dtype, shape, data, bool(fortran), self._budget)


def _make(kind: Any, shape: Any, data: Any, fortran: bool, budget: _Budget) -> np.ndarray:
    """(dtype, shape, bytes) -> the array, if they fit each other. Python 2's bytes come as latin-1 text."""
    if not isinstance(kind, _Type) or not isinstance(data, (bytes, bytearray, str)):
        raise _forbidden("an array of objects" if isinstance(data, list) else "an array without dtype or bytes")
    if not isinstance(shape, tuple) or len(shape) > _MAX_DIMS or not all(type(n) is int and n >= 0 for n in shape):
        raise _forbidden(f"an array of shape {str(shape)[:60]}")
    dtype = kind.dtype()
    if math.prod(shape) * dtype.itemsize != len(data):
        raise _forbidden(f"an array of shape {shape} and {dtype} with {len(data)} bytes")
    budget.take(len(data))
    raw = data.encode("latin-1") if isinstance(data, str) else bytes(data)
    values = np.frombuffer(raw, dtype=dtype) if raw else np.empty(0, dtype=dtype)
    return values.reshape(shape, order="F" if fortran else "C")


def _plain(value: Any, seen: set[int], depth: int) -> Any:
    """What was unpickled -> the same with arrays in their places. A container in two places, or in itself, is refused:
    who walks over the result must come to an end."""
    if isinstance(value, _Array):
        if value.value is None:
            raise _forbidden("an array without a state")
        return value.value
    if isinstance(value, (str, bytes, int, float, complex, np.ndarray, np.generic)) or value is None or value == ():
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    if not isinstance(value, (list, tuple, dict)):
        raise _forbidden(f"a {type(value).__name__.lstrip('_')} as data")
    if id(value) in seen or depth >= MAX_DEPTH:
        raise _forbidden(
            "a container in itself or in two places" if id(value) in seen else "containers nested too deep"
        )
    seen.add(id(value))
    if isinstance(value, dict):
        if not all(isinstance(key, (str, bytes, int)) for key in value):
            raise _forbidden("keys that are neither text nor integers")
        return {key: _plain(item, seen, depth + 1) for key, item in value.items()}
    return type(value)(_plain(item, seen, depth + 1) for item in value)


def _forbidden(what: str) -> PayloadError:
    return PayloadError("forbidden-pickle", f"it holds {what}; only arrays and plain data are read")

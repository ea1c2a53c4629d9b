"""Rows of csv, tsv and jsonl files with bounded lines: what readers of tables share. Nothing is guessed silently."""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from corpora.errors import CorpusError, PayloadError
from corpora.readers.files import absence, printable, walk

MAX_LINE = 1 << 20  # bytes of one record; longer ones are rejects
_MAX_JOINED = 1000  # lines that one record may spread over
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

Row = Mapping[str, str]


def read_table(
    path: Path,
    title: str,
    *,
    columns: Sequence[str],
    delimiter: str = ",",
    header: bool = True,
    quoted: bool = True,
    encoding: str = "utf-8",
    rest: str | None = None,
) -> Iterator[tuple[Row | PayloadError, str]]:
    """Yields (row as {column: text}, "file.csv#000012") of a csv or tsv; the number counts records from 0.

    A record that is too long, has another number of fields or is not text comes as a `PayloadError` in the row's place
    (too-long-line, bad-row, undecodable-row): hand it to `row_of`. `header` True: the first line must hold `columns`
    (any order, others are kept too); False: the fields are `columns` in that order. `quoted`: fields may be quoted and
    then hold line ends, as in RFC 4180; False: a quote is a character like any other. `rest`: the one column of free
    text, which takes the delimiters in it where a row has more fields than columns and no field in quotes.

    Raises `CorpusError` at once, before anything is iterated: no such file, or other columns.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE)
    except OSError as error:
        raise CorpusError(f"{title}: {path} cannot be read ({error.strerror})") from error
    names = list(columns)
    if first[:2] in _UTF16:
        raise CorpusError(f"{title}: {path} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
    if header:
        line = first.removeprefix(b"\xef\xbb\xbf").decode(encoding, "replace").encode("utf-8")
        try:
            names = [name.strip() for name in _fields(line, delimiter, quoted, "utf-8")]
        except csv.Error as error:
            raise CorpusError(f"{title}: the first line of {path} is no header: {error}") from error
        missing = [name for name in columns if name not in names]
        if missing:
            raise CorpusError(
                f"{title}: {path} has no column {', '.join(map(repr, missing))}. Found: {', '.join(names)[:500]}"
            )
    return _rows(path, names, delimiter, header, quoted, encoding, rest)


def _rows(
    path: Path, names: list[str], delimiter: str, header: bool, quoted: bool, encoding: str, rest: str | None
) -> Iterator[tuple[Row | PayloadError, str]]:
    shown = printable(path.name)
    lines = records(path, skip_first=header, quoted=quoted, delimiter=delimiter)
    for number, line in enumerate(lines):
        name = f"{shown}#{number:06d}"
        if isinstance(line, PayloadError):
            yield line, name
            continue
        try:
            fields = _fields(line, delimiter, quoted, encoding)
        except UnicodeDecodeError as error:
            yield PayloadError("undecodable-row", f"not {encoding}: {error.reason} at byte {error.start}"), name
        except csv.Error as error:
            yield PayloadError("bad-row", str(error)), name
        else:
            if rest is not None and len(fields) > len(names) and not _in_quotes(line, delimiter, quoted):
                at, more = names.index(rest), len(fields) - len(names)
                fields[at : at + more + 1] = [delimiter.join(fields[at : at + more + 1])]
            if len(fields) != len(names):
                yield PayloadError("bad-row", f"{len(fields)} fields, {len(names)} are expected"), name
            else:
                yield dict(zip(names, fields, strict=True)), name


def records(
    path: Path, *, skip_first: bool = False, quoted: bool = True, delimiter: str = ","
) -> Iterator[bytes | PayloadError]:
    """Records of a text file as bytes without their line end; a quoted field may hold line ends. Blank ones are left
    out. In place of a record of more than `MAX_LINE` bytes, or with a quote that is not closed within `_MAX_JOINED`
    lines, comes a `PayloadError` (too-long-line, bad-row); reading goes on with the next line, so that a stray quote
    costs one record and not all that follow."""
    with path.open("rb") as file:
        yield from records_of(file, skip_first=skip_first, quoted=quoted, delimiter=delimiter)


def records_of(
    file: IO[bytes], *, skip_first: bool = False, quoted: bool = True, delimiter: str = ","
) -> Iterator[bytes | PayloadError]:
    """`records` of an open file, a member of a zip for instance."""
    given_back: deque[bytes] = deque()

    def line() -> bytes | PayloadError | None:
        found = given_back.popleft() if given_back else file.readline(MAX_LINE)
        if len(found) < MAX_LINE:
            return found or None
        while not found.endswith(b"\n") and (found := file.readline(MAX_LINE)):
            pass
        return PayloadError("too-long-line", f"a record of more than {MAX_LINE} bytes")

    first = True
    while (found := line()) is not None:
        if first and isinstance(found, bytes):
            found = found.removeprefix(b"\xef\xbb\xbf")
        if quoted and isinstance(found, bytes) and b'"' in found:
            lines = [found]
            if _open_quote(lines, line, delimiter):
                given_back.extendleft(reversed(lines[1:]))
                found = PayloadError("bad-row", f"a quote is not closed within {_MAX_JOINED} lines: {found[:60]!r}")
            else:
                found = b"".join(lines)
        if not (first and skip_first) and (isinstance(found, PayloadError) or found.strip()):
            yield found.rstrip(b"\r\n") if isinstance(found, bytes) else found
        first = False


def _open_quote(lines: list[bytes], more: Callable[[], bytes | PayloadError | None], delimiter: str) -> bool:
    """Whether the record that begins with lines[0] has no end; appends to `lines` what belongs to it.

    A csv reader asks for another line exactly where a quote is open. Latin-1 has a character for every byte and keeps
    quotes, delimiters and line ends what they are in UTF-8.
    """
    still_open = False

    def feed() -> Iterator[str]:
        nonlocal still_open
        yield lines[0].decode("latin-1")
        size = len(lines[0])
        while len(lines) < _MAX_JOINED and size < MAX_LINE and isinstance(found := more(), bytes):
            lines.append(found)
            size += len(found)
            yield found.decode("latin-1")
        still_open = True

    try:
        next(csv.reader(feed(), delimiter=delimiter), None)
    except csv.Error:  # a field too large, or a lone carriage return: `_fields` says which
        return len(lines) > 1
    return still_open


def _in_quotes(line: bytes, delimiter: str, quoted: bool) -> bool:
    """Whether a field of the record may stand in quotes, so that its delimiters are told apart already."""
    return quoted and (line.startswith(b'"') or f'{delimiter}"'.encode() in line)


def _fields(line: bytes, delimiter: str, quoted: bool, encoding: str) -> list[str]:
    text = line.decode(encoding).rstrip("\r\n")
    if not quoted or '"' not in text:
        return text.split(delimiter)
    return next(csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter), [""])


def read_jsonl(path: Path, title: str) -> Iterator[tuple[dict[str, Any] | PayloadError, str]]:
    """Yields (object, "file.jsonl#000012"); what is no JSON object comes as a `PayloadError` bad-row in its place.

    Raises `CorpusError` at once if the file cannot be read.
    """
    if not path.is_file():
        raise CorpusError(f"{title}: {path} is missing or no file")
    return _objects(path)


def _objects(path: Path) -> Iterator[tuple[dict[str, Any] | PayloadError, str]]:
    shown = printable(path.name)
    for number, line in enumerate(records(path, quoted=False)):
        name = f"{shown}#{number:06d}"
        if isinstance(line, PayloadError):
            yield line, name
            continue
        try:
            found = json.loads(line, object_pairs_hook=_object_of)
        except PayloadError as error:
            yield error, name
        except (ValueError, RecursionError) as error:
            yield PayloadError("bad-row", f"not JSON: {error}"), name
        else:
            if isinstance(found, dict):
                yield found, name
            else:
                yield PayloadError("bad-row", f"a JSON {type(found).__name__}, an object is expected"), name


def read_json(path: Path, title: str, *, max_bytes: int = 512 * 2**20) -> Any:
    """A whole JSON file. Raises `CorpusError`: missing, too large, not JSON, a key that stands twice in one object (the
    later value would take the place of the first without a word)."""
    try:
        if path.stat().st_size > max_bytes:
            raise CorpusError(f"{title}: {path} has more than {max_bytes / 2**20:.0f} MiB")
        return json.loads(path.read_bytes(), object_pairs_hook=_object_of)
    except PayloadError as error:
        raise CorpusError(f"{title}: {path}: {error.detail}; keep the right one") from error
    except OSError as error:
        raise CorpusError(f"{title}: {path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{title}: {path} is not JSON: {error}") from error


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Pairs of a JSON object -> dict. Raises `PayloadError` bad-row if a key stands twice with different values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        first: dict[str, Any] = {}
        for key, value in pairs:
            if first.setdefault(key, value) != value:
                raise PayloadError("bad-row", f"the key {key[:60]!r} stands twice in one object")
    return found


def row_of(row: Row | PayloadError) -> Row:
    """The row, or its error raised: the first line of a reader's `make` for `read_items`."""
    if isinstance(row, PayloadError):
        raise row
    return row


def number_of(text: str, what: str) -> float:
    """Text -> finite number. Raises `PayloadError` not-a-number."""
    try:
        value = float(text)
    except ValueError:
        raise PayloadError("not-a-number", f"{what} is {text[:40]!r}") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise PayloadError("not-a-number", f"{what} is {text[:40]!r}")
    return value


def whole_of(text: str, what: str) -> int:
    """Text -> whole number of at most nine digits, not negative. Raises `PayloadError` not-a-number."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise PayloadError("not-a-number", f"{what} is {text[:40]!r}")
    return int(text)


def find_file(root: Path, title: str, names: Sequence[str], url: str) -> Path:
    """The one file below `root` that is called like one of `names` (case ignored); the first name that is found wins.

    Raises `CorpusError`: `root` missing, no such file, or several of one name.
    """
    there = _files_by_name(Path(root), title, " or ".join(names), url)
    found = _pick(there, Path(root), title, names)
    if found is None:
        shown = ", ".join(list(there)[:8]) or "nothing"
        raise CorpusError(f"{title}: {root} holds no {' or '.join(names)} (found {shown}). Get the corpus from {url}.")
    return found


def find_parts(root: Path, title: str, parts: Mapping[str, Sequence[str]], url: str) -> dict[str, Path]:
    """{part: names that its file may have} -> {part: its file}, all of them: a corpus that comes in several tables.

    Raises `CorpusError`: `root` missing, a part without its file, or several files of one name.
    """
    wanted = ", ".join(" or ".join(names) for names in parts.values())
    there = _files_by_name(Path(root), title, wanted, url)
    found = {part: _pick(there, Path(root), title, names) for part, names in parts.items()}
    missing = [" or ".join(parts[part]) for part, path in found.items() if path is None]
    if missing:
        shown = ", ".join(list(there)[:8]) or "nothing"
        raise CorpusError(
            f"{title}: {root} holds no {', no '.join(missing)} (found {shown}); need {wanted}. Get the corpus from "
            f"{url}."
        )
    return {part: path for part, path in found.items() if path is not None}


def _files_by_name(root: Path, title: str, wanted: str, url: str) -> dict[str, list[Path]]:
    """{name in small letters: files}, hidden ones and what archivers leave behind left out."""
    if (kind := absence(root)) is not None:
        raise CorpusError(f"{title}: {root} is {kind}; need the folder that holds {wanted} ({url}).")
    there: dict[str, list[Path]] = {}
    for path in sorted(folder / name for folder, names in walk(root) for name in names if not name.startswith(".")):
        if path.is_file():
            there.setdefault(path.name.lower(), []).append(path)
    return there


def _pick(there: Mapping[str, list[Path]], root: Path, title: str, names: Sequence[str]) -> Path | None:
    for name in names:
        found = there.get(name.lower(), [])
        if len(found) > 1:
            raise CorpusError(f"{title}: {root} holds {len(found)} files {name}: {found[0]}, {found[1]} ... Link one.")
        if found:
            return found[0]
    return None


def lines_of(file: IO[bytes]) -> Iterator[bytes | PayloadError]:
    """Every line of an open file, blank ones too and without its end: for files whose n-th lines belong together.

    In place of one of more than `MAX_LINE` bytes comes a `PayloadError` too-long-line.
    """
    while line := file.readline(MAX_LINE):
        if len(line) < MAX_LINE:
            yield line.rstrip(b"\r\n")
            continue
        while not line.endswith(b"\n") and (line := file.readline(MAX_LINE)):
            pass
        yield PayloadError("too-long-line", f"a line of more than {MAX_LINE} bytes")

"""Rows of csv, tsv and jsonl files with bounded lines: what readers of tables share. Nothing is guessed silently."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpora.errors import CorpusError, PayloadError
from corpora.readers.files import printable

MAX_LINE = 1 << 20  # bytes of one record; longer ones are rejects
_MAX_JOINED = 1000  # lines that one quoted field may spread over

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
) -> Iterator[tuple[Row | PayloadError, str]]:
    """Yields (row as {column: text}, "file.csv#000012") of a csv or tsv; the number counts records from 0.

    A record that is too long, has another number of fields or is not text comes as a `PayloadError` in the row's place
    (too-long-line, bad-row, undecodable-row): hand it to `row_of`. `header` True: the first line must hold `columns`
    (any order, others are kept too); False: the fields are `columns` in that order. `quoted`: fields may be quoted and
    then hold line ends, as in RFC 4180; False: a quote is a character like any other.

    Raises `CorpusError` at once, before anything is iterated: no such file, or other columns.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE)
    except OSError as error:
        raise CorpusError(f"{title}: {path} cannot be read ({error.strerror})") from error
    names = list(columns)
    if header:
        if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise CorpusError(f"{title}: {path} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
        names = [name.strip() for name in _fields(first.removeprefix(b"\xef\xbb\xbf"), delimiter, quoted, "latin-1")]
        missing = [name for name in columns if name not in names]
        if missing:
            raise CorpusError(
                f"{title}: {path} has no column {', '.join(map(repr, missing))}. Found: {', '.join(names)[:500]}"
            )
    return _rows(path, names, delimiter, header, quoted, encoding)


def _rows(
    path: Path, names: list[str], delimiter: str, header: bool, quoted: bool, encoding: str
) -> Iterator[tuple[Row | PayloadError, str]]:
    shown = printable(path.name)
    for number, line in enumerate(records(path, skip_first=header, quoted=quoted)):
        name = f"{shown}#{number:06d}"
        if isinstance(line, PayloadError):
            yield line, name
            continue
        if number == 0 and not header:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            fields = _fields(line, delimiter, quoted, encoding)
        except UnicodeDecodeError as error:
            yield PayloadError("undecodable-row", f"not {encoding}: {error.reason} at byte {error.start}"), name
        except csv.Error as error:
            yield PayloadError("bad-row", str(error)), name
        else:
            if len(fields) != len(names):
                yield PayloadError("bad-row", f"{len(fields)} fields, {len(names)} are expected"), name
            else:
                yield dict(zip(names, fields, strict=True)), name


def records(path: Path, *, skip_first: bool = False, quoted: bool = True) -> Iterator[bytes | PayloadError]:
    """Records of a text file as bytes without their line end; a quoted field may hold line ends. Blank ones are left
    out, one of more than `MAX_LINE` bytes is a `PayloadError` and its rest is passed over."""
    with path.open("rb") as file:
        if skip_first:
            _whole(file, quoted)
        while (line := _whole(file, quoted)) is not None:
            if isinstance(line, PayloadError) or line.strip():
                yield line


def _whole(file: Any, quoted: bool) -> bytes | PayloadError | None:
    line: bytes = file.readline(MAX_LINE)
    if not line:
        return None
    joined = 1
    while quoted and line.count(b'"') % 2 and joined < _MAX_JOINED and len(line) < MAX_LINE:
        more = file.readline(MAX_LINE)
        if not more:
            break
        line += more
        joined += 1
    if len(line) >= MAX_LINE:
        while not line.endswith(b"\n") and (line := file.readline(MAX_LINE)):
            pass
        return PayloadError("too-long-line", f"a record of more than {MAX_LINE} bytes")
    return line.rstrip(b"\r\n")


def _fields(line: bytes, delimiter: str, quoted: bool, encoding: str) -> list[str]:
    text = line.decode(encoding).rstrip("\r\n")
    if not quoted:
        return text.split(delimiter)
    parsed = list(csv.reader([text.replace("\0", "")], delimiter=delimiter)) if "\n" not in text else None
    if parsed is None:
        parsed = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter))
    return parsed[0] if parsed else [""]


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
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield PayloadError("bad-row", f"not JSON: {error}"), name
        else:
            if isinstance(found, dict):
                yield found, name
            else:
                yield PayloadError("bad-row", f"a JSON {type(found).__name__}, an object is expected"), name


def read_json(path: Path, title: str, *, max_bytes: int = 512 * 2**20) -> Any:
    """A whole JSON file. Raises `CorpusError`: missing, too large, not JSON."""
    try:
        if path.stat().st_size > max_bytes:
            raise CorpusError(f"{title}: {path} has more than {max_bytes / 2**20:.0f} MiB")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise CorpusError(f"{title}: {path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{title}: {path} is not JSON: {error}") from error


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


def find_file(root: Path, title: str, names: Sequence[str], url: str) -> Path:
    """The one file below `root` that is called like one of `names` (case ignored); the first name that is found wins.

    Raises `CorpusError`: `root` missing, no such file, or several of one name.
    """
    root = Path(root)
    if not root.is_dir():
        kind = "a file" if root.exists() else "missing"
        raise CorpusError(f"{title}: {root} is {kind}; need the folder that holds {' or '.join(names)} ({url}).")
    there: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__MACOSX" not in path.parts and not path.name.startswith("."):
            there.setdefault(path.name.lower(), []).append(path)
    for name in names:
        found = there.get(name.lower(), [])
        if len(found) > 1:
            raise CorpusError(f"{title}: {root} holds {len(found)} files {name}: {found[0]}, {found[1]} ... Link one.")
        if found:
            return found[0]
    shown = ", ".join(list(there)[:8]) or "nothing"
    raise CorpusError(f"{title}: {root} holds no {' or '.join(names)} (found {shown}). Get the corpus from {url}.")

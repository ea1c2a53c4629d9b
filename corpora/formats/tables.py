"""Rows of csv, tsv and jsonl files with bounded lines: what readers of tables share. Nothing is guessed silently."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from corpora.errors import CorpusError, PayloadError, did_you_mean
from corpora.formats.textlines import as_lines, open_lines
from corpora.labels import clean_label
from corpora.records.files import absence, printable, walk

MAX_LINE = 1 << 20  # bytes of one record; longer ones are rejects
_MAX_JOINED = 1000  # lines that one record may spread over
MAX_DIGITS = 400  # characters of a number
MAX_NUMBER = 3.4028234e38  # the largest float32: what tables of records hold

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
    text, which takes the delimiters in it where a row has more fields than columns and no field in quotes. Other
    encodings and line ends: see corpora/formats/textlines.py.

    Raises `CorpusError` at once, before anything is iterated: no such file, other columns, two of one name.
    """
    names = list(columns)
    if header:
        names = header_of(path, title, delimiter=delimiter, quoted=quoted, encoding=encoding, wanted=columns)
        missing = [name for name in columns if name not in names]
        if missing:
            raise CorpusError(
                f"{title}: {path} has no column {', '.join(map(repr, missing))}. Found: {', '.join(names)[:500]}"
            )
    else:
        open_lines(path, title, encoding)[0].close()
    return _rows(path, title, names, delimiter, header, quoted, encoding, rest)


def header_of(
    path: Path, title: str, *, delimiter: str, quoted: bool, encoding: str, wanted: Sequence[str] = ()
) -> list[str]:
    """The names of a table's columns, freed of what nobody sees around them.

    Raises `CorpusError`: cannot be read, empty, no header, two columns of one name.
    """
    file, inner = open_lines(path, title, encoding)
    with file:
        first = next(records_of(file, quoted=quoted, delimiter=delimiter), None)
    if first is None:
        raise CorpusError(f"{title}: {path} is empty; its first line must name the columns")
    try:
        if isinstance(first, PayloadError):
            raise first
        fields = _fields(first.decode(inner, "replace").encode("utf-8"), delimiter, quoted, "utf-8")
    except (csv.Error, PayloadError) as error:
        why = str(error) if isinstance(error, PayloadError) else _no_fields()
        raise CorpusError(f"{title}: the first line of {path} is no header: {why}") from None
    names = [name.strip() if name.strip() in wanted else clean_label(name) for name in fields]
    no_doubles([name for name in names if name or "" in wanted], f"{title}: {path}")
    return names


def has_columns(there: Iterable[str], wanted: Iterable[str], where: str) -> None:
    """Raises `CorpusError` naming the column, the nearest one and all that were found."""
    names = list(there)
    for column in wanted:
        if column not in names:
            hint = did_you_mean(column, names)
            raise CorpusError(f"{where}: column {column!r} not in table.{hint} Found: {', '.join(names)[:500]}")


def no_doubles(names: Sequence[str], where: str) -> None:
    """Raises `CorpusError` for columns of one name: the later would take the place of the earlier."""
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise CorpusError(
            f"{where} has several columns named {', '.join(map(repr, doubled))[:300]}: it is not known which one is "
            f"meant. Rename or take out all but one. Found: {', '.join(names)[:500]}"
        )


def _no_fields() -> str:
    return f"a lone carriage return outside of quotes, or a field of more than {csv.field_size_limit()} characters"


def _rows(
    path: Path,
    title: str,
    names: list[str],
    delimiter: str,
    header: bool,
    quoted: bool,
    encoding: str,
    rest: str | None,
) -> Iterator[tuple[Row | PayloadError, str]]:
    shown = printable(path.name)
    file, inner = open_lines(path, title, encoding)
    with file:
        lines = records_of(file, quoted=quoted, delimiter=delimiter)
        if header:
            next(lines, None)
        for number, line in enumerate(lines):
            yield _row(line, names, delimiter, quoted, inner, rest), f"{shown}#{number:06d}"


def _row(
    line: bytes | PayloadError, names: list[str], delimiter: str, quoted: bool, encoding: str, rest: str | None
) -> Row | PayloadError:
    if isinstance(line, PayloadError):
        return line
    try:
        fields = _fields(line, delimiter, quoted, encoding)
    except UnicodeDecodeError as error:
        return _undecodable(error, encoding)
    except csv.Error:
        return PayloadError("bad-row", _no_fields())
    if rest is not None and len(fields) > len(names) and not _in_quotes(line, delimiter, quoted):
        at, more = names.index(rest), len(fields) - len(names)
        fields[at : at + more + 1] = [delimiter.join(fields[at : at + more + 1])]
    if len(fields) != len(names):
        return PayloadError("bad-row", f"{len(fields)} fields, {len(names)} are expected")
    return dict(zip(names, fields, strict=True))


def _undecodable(error: UnicodeDecodeError, encoding: str) -> PayloadError:
    byte = error.object[error.start]
    return PayloadError("undecodable-row", f"byte {error.start} (0x{byte:02x}) is not {encoding}")


def records(path: Path, *, quoted: bool = True, delimiter: str = ",") -> Iterator[bytes | PayloadError]:
    """Records of a text file as bytes without their line end; a quoted field may hold line ends. Blank ones are left
    out. In place of a record of more than `MAX_LINE` bytes, or with a quote that is not closed within `_MAX_JOINED`
    lines, comes a `PayloadError` (too-long-line, bad-row); reading goes on with the next line, so that a stray quote
    costs one record and not all that follow."""
    with path.open("rb") as file:
        yield from records_of(as_lines(file)[0], quoted=quoted, delimiter=delimiter)


def records_of(file: IO[bytes], *, quoted: bool = True, delimiter: str = ",") -> Iterator[bytes | PayloadError]:
    """`records` of an open file, a member of a zip for instance."""
    given_back: deque[bytes] = deque()

    def line() -> bytes | PayloadError | None:
        raw = given_back.popleft() if given_back else file.readline(MAX_LINE)
        if len(raw) < MAX_LINE:
            return raw or None
        while not raw.endswith(b"\n") and (raw := file.readline(MAX_LINE)):
            pass
        return PayloadError("too-long-line", f"a record of more than {MAX_LINE} bytes")

    first = True
    while (raw := line()) is not None:
        if first and isinstance(raw, bytes):
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if quoted and isinstance(raw, bytes) and b'"' in raw:
            lines = [raw]
            if _open_quote(lines, line, delimiter):
                given_back.extendleft(reversed(lines[1:]))
                raw = PayloadError("bad-row", f"a quote is not closed within {_MAX_JOINED} lines: {raw[:60]!r}")
            else:
                raw = b"".join(lines)
        if isinstance(raw, PayloadError) or raw.strip():
            yield raw.rstrip(b"\r\n") if isinstance(raw, bytes) else raw
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
        while len(lines) < _MAX_JOINED and size < MAX_LINE and isinstance(raw := more(), bytes):
            lines.append(raw)
            size += len(raw)
            yield raw.decode("latin-1")
        still_open = True

    try:
        next(csv.reader(feed(), delimiter=delimiter), None)
    except csv.Error:  # a field too large, or a lone carriage return: `_fields` says which
        return len(lines) > 1
    return still_open


def _in_quotes(line: bytes, delimiter: str, quoted: bool) -> bool:
    """Whether a field of the record may stand in quotes, so that its delimiters are no fields."""
    return quoted and (line.startswith(b'"') or f'{delimiter}"'.encode() in line)


def _fields(line: bytes, delimiter: str, quoted: bool, encoding: str) -> list[str]:
    text = line.decode(encoding).rstrip("\r\n")
    if not quoted or '"' not in text:
        return text.split(delimiter)
    return next(csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter), [""])


def read_jsonl(
    path: Path, title: str, *, encoding: str = "utf-8"
) -> Iterator[tuple[dict[str, Any] | PayloadError, str]]:
    """Yields (object, "file.jsonl#000012"); in its place comes a `PayloadError` for what is no JSON object (bad-row),
    names a key twice (repeated-key) or is no text (undecodable-row). NaN and Infinity, which JSON does not have and
    many write, are numbers.

    Raises `CorpusError` at once if the file cannot be read.
    """
    if not path.is_file():
        raise CorpusError(f"{title}: {path} is missing or no file")
    open_lines(path, title, encoding)[0].close()
    return _objects(path, title, encoding)


def _objects(path: Path, title: str, encoding: str) -> Iterator[tuple[dict[str, Any] | PayloadError, str]]:
    shown = printable(path.name)
    file, inner = open_lines(path, title, encoding)
    with file:
        for number, line in enumerate(records_of(file, quoted=False)):
            yield _object(line, inner), f"{shown}#{number:06d}"


def _object(line: bytes | PayloadError, encoding: str) -> dict[str, Any] | PayloadError:
    if isinstance(line, PayloadError):
        return line
    try:
        value = json.loads(line.decode(encoding), object_pairs_hook=_no_key_twice)
    except UnicodeDecodeError as error:
        return _undecodable(error, encoding)
    except PayloadError as error:
        return error
    except json.JSONDecodeError as error:
        return PayloadError("bad-row", f"not JSON (character {error.pos})")
    except RecursionError:
        return PayloadError("bad-row", "JSON within JSON too deeply")
    except ValueError:
        return PayloadError("bad-row", "a number of too many digits")
    if isinstance(value, dict):
        return value
    return PayloadError("bad-row", f"a JSON {type(value).__name__}, an object is expected")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises `PayloadError` repeated-key for values that differ: the later would take the place of the earlier."""
    row = dict(pairs)
    if len(row) < len(pairs):
        doubled = dict.fromkeys(key for key, value in pairs if row[key] != value)
        if doubled:
            raise PayloadError("repeated-key", f"several values of {', '.join(map(repr, doubled))[:200]} in one object")
    return row


def read_json(path: Path, title: str, *, max_bytes: int = 512 * 2**20) -> Any:
    """A whole JSON file. Raises `CorpusError`: missing, too large, not JSON, a key twice in one object."""
    try:
        if path.stat().st_size > max_bytes:
            raise CorpusError(f"{title}: {path} has more than {max_bytes / 2**20:.0f} MiB")
        return json.loads(path.read_bytes(), object_pairs_hook=_no_key_twice)
    except OSError as error:
        raise CorpusError(f"{title}: {path} cannot be read ({error.strerror})") from error
    except PayloadError as error:
        raise CorpusError(f"{title}: {path}: {error.detail}; keep the right one") from None
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{title}: {path} is not JSON: {error}") from error


def row_of(row: Row | PayloadError) -> Row:
    """The row, or its error raised: the first line of a reader's `make` for `read_items`."""
    if isinstance(row, PayloadError):
        raise row
    return row


def number_of(text: str, what: str) -> float:
    """Text -> number that a float32 can hold (at most 3.4e38). Raises `PayloadError` not-a-number."""
    try:
        value = float(text) if len(text) <= MAX_DIGITS and "_" not in text else math.nan  # Python reads 1_0 as 10
    except ValueError:
        value = math.nan
    if not abs(value) <= MAX_NUMBER:
        raise PayloadError("not-a-number", f"{what} is {text[:40]!r}")
    return value


def whole_of(text: str, what: str) -> int:
    """Text -> whole number of at most nine digits, not negative. Raises `PayloadError` not-a-number."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise PayloadError("not-a-number", f"{what} is {text[:40]!r}")
    return int(text)


def find_file(root: Path, title: str, names: Sequence[str], url: str) -> Path:
    """The one file below `root` that is called like one of `names` (case ignored); the first name that is there wins.

    Raises `CorpusError`: `root` missing, no such file, or several of one name.
    """
    there = _files_by_name(Path(root), title, " or ".join(names), url)
    path = _pick(there, Path(root), title, names)
    if path is None:
        shown = ", ".join(list(there)[:8]) or "nothing"
        raise CorpusError(f"{title}: {root} holds no {' or '.join(names)} (found {shown}). Get the corpus from {url}.")
    return path


def find_parts(root: Path, title: str, parts: Mapping[str, Sequence[str]], url: str) -> dict[str, Path]:
    """{part: names that its file may have} -> {part: its file}, all of them: a corpus that comes in several tables.

    Raises `CorpusError`: `root` missing, a part without its file, or several files of one name.
    """
    wanted = ", ".join(" or ".join(names) for names in parts.values())
    there = _files_by_name(Path(root), title, wanted, url)
    paths = {part: _pick(there, Path(root), title, names) for part, names in parts.items()}
    missing = [" or ".join(parts[part]) for part, path in paths.items() if path is None]
    if missing:
        shown = ", ".join(list(there)[:8]) or "nothing"
        raise CorpusError(
            f"{title}: {root} holds no {', no '.join(missing)} (found {shown}); need {wanted}. Get the corpus from "
            f"{url}."
        )
    return {part: path for part, path in paths.items() if path is not None}


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
        matches = there.get(name.lower(), [])
        if len(matches) > 1:
            raise CorpusError(
                f"{title}: {root} holds {len(matches)} files {name}: {matches[0]}, {matches[1]} ... Link one."
            )
        if matches:
            return matches[0]
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

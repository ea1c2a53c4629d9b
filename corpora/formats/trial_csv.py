"""Trials as csv: columns of numbers whose row is their time. A value that is missing never moves those after it.

A row stands for a moment, so nothing is left out: a blank line is a row, and what is missing is NaN until it is judged.
Signals of several rates lie in one file in two ways. Each column is filled from the top, and the slower ones end early;
or a slower signal has a cell in each k-th row, where a faster one has a cell in all of them. Anything else is a gap.

Slugs: not-a-csv, not-utf8, empty, missing-signal, other-channels, repeated-column, not-numbers, missing-values,
unequal-duration.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import PayloadError
from corpora.readers.described.filekeys import SignalSpec

# what tools write where there is no value (those that pandas reads as NaN, and other common ones), in small letters
MISSING = frozenset(
    {
        "",
        "-",
        "--",
        ".",
        "?",
        "*",
        "n/a",
        "na",
        "#n/a",
        "#n/a n/a",
        "#na",
        "<na>",
        "nan",
        "-nan",
        "+nan",
        "nan(ind)",
        "-nan(ind)",
        "null",
        "none",
        "nil",
        "nat",
        "missing",
        "1.#ind",
        "-1.#ind",
        "1.#qnan",
        "-1.#qnan",
        "#num!",
        "#value!",
        "#div/0!",
        "#ref!",
    }
)
_DELIMITERS = (",", ";", "\t")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_BLANK_LINE = re.compile(rb"^[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Table:
    """A csv whose lines were cut: names of the columns, delimiter, and the rows' bytes with one \\n after each."""

    names: tuple[str, ...]
    delimiter: str
    body: bytes


def open_trial(content: bytes, specs: Mapping[str, SignalSpec]) -> Table:
    """A file with a line of names -> `Table`. Of comma, semicolon and tab that one separates fields which gives most of
    the columns that `specs` name. Raises `PayloadError`: empty, not-utf8, not-a-csv, repeated-column."""
    head, _, body = one_line_end(content.removeprefix(b"\xef\xbb\xbf")).partition(b"\n")
    if not head.strip():
        raise PayloadError("empty", "no line of names")
    if b"\0" in head:
        raise PayloadError("not-a-csv", "a zero byte in the first line; a text in UTF-8 is expected")
    try:
        line = head.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PayloadError("not-utf8", f"byte {error.start} of the line of names") from None
    headers = [(delimiter, _names(line, delimiter)) for delimiter in _DELIMITERS]
    delimiter, names = max(
        headers, key=lambda pair: sum(len(wanted(spec, name, pair[1])) for name, spec in specs.items())
    )
    if len(set(names)) < len(names):
        again = sorted({name for name in names if names.count(name) > 1})
        raise PayloadError("repeated-column", f"{', '.join(map(repr, again))[:200]} names several columns")
    return Table(names, delimiter, body)


def _names(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(name.strip() for name in next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        raise PayloadError("not-a-csv", "the line of names cannot be split into fields") from None


def one_line_end(content: bytes) -> bytes:
    """Line ends of any system as \\n. A writer that doubled its carriage returns left no blank lines between."""
    if b"\r" not in content:
        return content
    if content.count(b"\r\r\n") == content.count(b"\n"):
        content = content.replace(b"\r\r\n", b"\n")
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def wanted(spec: SignalSpec, name: str, names: Sequence[str]) -> list[str]:
    """The columns of a signal that are among `names`, in the order of the card; of a pattern, of `names`."""
    if spec.columns is not None:
        return [column for column in spec.columns if column in names]
    if spec.pattern is not None:
        return [column for column in names if re.fullmatch(spec.pattern, column)]
    return [column for column in [spec.column or name] if column in names]


def fixed(specs: Mapping[str, SignalSpec], names: Sequence[str]) -> dict[str, SignalSpec]:
    """`specs` whose patterns have become the columns that fit them among `names`, in their order.

    Raises `PayloadError` missing-signal.
    """
    columns = {name: _columns(spec, name, names) for name, spec in specs.items()}
    return {
        name: spec if spec.pattern is None else spec.model_copy(update={"columns": columns[name]})
        for name, spec in specs.items()
    }


def _columns(spec: SignalSpec, name: str, names: Sequence[str]) -> list[str]:
    """All columns of a signal. Raises `PayloadError`: missing-signal, other-channels."""
    there = wanted(spec, name, names)
    asked = spec.columns or ([] if spec.pattern is not None else [spec.column or name])
    if len(there) < max(len(asked), 1):
        absent = [column for column in asked if column not in there]
        what = f"no column {', '.join(map(repr, absent[:5]))}" if absent else f"no column like {spec.pattern!r}"
        raise PayloadError("missing-signal", f"{what}; found: {', '.join(names)[:300]}")
    if spec.pattern is not None and spec.columns is not None:
        more = [column for column in names if re.fullmatch(spec.pattern, column) and column not in there]
        if more:
            raise PayloadError(
                "other-channels",
                f"{name!r} has {len(there)} channels in the first trial; here also {', '.join(more[:5])}",
            )
    return there


def read_trial(
    content: bytes, specs: Mapping[str, SignalSpec], missing: Sequence[str] = ()
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """A csv with a line of names -> {signal: float32 [n], or [n, channels] of several columns}, {signal: its columns}.

    `missing`: texts beside `MISSING` that stand for no value. Raises `PayloadError` with the slugs of the module.
    """
    table = open_trial(content, specs)
    columns = {name: _columns(spec, name, table.names) for name, spec in specs.items()}
    values = read_numbers(table, list(dict.fromkeys(c for own in columns.values() for c in own)), missing)
    rows = len(next(iter(values.values())))
    if rows == 0:
        raise PayloadError("empty", "a line of names and no values")
    _judge_end(table, missing)
    rates = {column: specs[name].rate_hz for name, own in columns.items() for column in own}
    full_hz = max((rates[c] for c in rates if not np.isnan(values[c]).any()), default=0.0)
    arrays = {}
    for name, own in columns.items():
        kept = [_without_end(values[column], name, column, specs[name].rate_hz, full_hz) for column in own]
        lengths = {column: len(part) for column, part in zip(own, kept, strict=True)}
        _judge_lengths(lengths, specs[name].rate_hz)
        single = specs[name].columns is None and specs[name].pattern is None
        arrays[name] = (kept[0] if single else np.stack(kept, axis=1)).astype(np.float32)
    for rate_hz in {spec.rate_hz for spec in specs.values()}:
        _judge_lengths({name: len(arrays[name]) for name in arrays if specs[name].rate_hz == rate_hz}, rate_hz)
    return arrays, columns


def _judge_lengths(lengths: Mapping[str, int], rate_hz: float) -> None:
    """Columns of one rate end together. Raises `PayloadError` unequal-duration."""
    if len(set(lengths.values())) > 1:
        least, most = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        raise PayloadError(
            "unequal-duration",
            f"{least!r} has {lengths[least]} values, {most!r} {lengths[most]}, both at {rate_hz:g} Hz",
        )


def _without_end(values: np.ndarray, name: str, column: str, rate_hz: float, full_hz: float) -> np.ndarray:
    """A column without the rows after its last value, which belong to faster signals.

    `full_hz`: rate of the fastest signal that has a value in every row. Raises `PayloadError` missing-values.
    """
    there = np.flatnonzero(~np.isnan(values))
    n = int(there[-1]) + 1 if len(there) else 0
    if n and len(there) == n:
        return values[:n]
    step = full_hz / rate_hz
    if step >= 2 and step.is_integer() and np.array_equal(there, np.arange(0, len(values), int(step))):
        return values[there]
    first = int(np.isnan(values).argmax())
    lost = int(np.isnan(values[: n or len(values)]).sum())
    shown = repr(name) if name == column else f"{name!r} (column {column!r})"
    raise PayloadError("missing-values", f"{lost} values of {shown} are missing, the first at {first / rate_hz:g} s")


def _judge_end(table: Table, missing: Sequence[str]) -> None:
    """Raises `PayloadError` missing-values where the last row says of all its cells that they are missing."""
    last = _without_blank_end(table.body, table.delimiter).rstrip(b"\n").rpartition(b"\n")[2]
    cells = [cell.strip(' "').lower() for cell in last.decode("utf-8", "replace").split(table.delimiter)]
    if set(cells) <= _gone(missing):
        raise PayloadError("missing-values", "the last row has no value in any column: the recording ends in a gap")


def read_numbers(table: Table, columns: Sequence[str], missing: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The columns as float64 [rows], NaN where a value is missing. Rows of nothing but delimiters at the end are none.

    Raises `PayloadError`: not-a-csv (a row with other than as many fields), not-utf8, not-numbers.
    """
    import pyarrow as pa
    import pyarrow.csv as pacsv

    width = len(table.names)
    body = _without_blank_end(table.body, table.delimiter)
    if not body:
        return {column: np.zeros(0) for column in columns}
    if width > 1:
        body = _BLANK_LINE.sub((table.delimiter * (width - 1)).encode(), body.removesuffix(b"\n"))
    odd: list[pacsv.InvalidRow] = []

    def refuse(row: pacsv.InvalidRow) -> str:
        odd.append(row)
        return "error"

    at = {column: f"{table.names.index(column)}" for column in columns}
    try:
        read = pacsv.read_csv(
            pa.BufferReader(body),
            pacsv.ReadOptions(use_threads=False, block_size=len(body) + 1, column_names=[f"{i}" for i in range(width)]),
            pacsv.ParseOptions(delimiter=table.delimiter, ignore_empty_lines=False, invalid_row_handler=refuse),
            pacsv.ConvertOptions(
                include_columns=list(at.values()),
                column_types=dict.fromkeys(at.values(), pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if odd:
            fault = f"row {odd[0].number} has {odd[0].actual_columns} fields, {width} are expected"
            comma = odd[0].actual_columns > width and table.delimiter == ","
            hint = "; a decimal comma splits a number in two, a point is needed" if comma else ""
            raise PayloadError("not-a-csv", fault + hint) from None
        if "UTF8" in str(error):
            raise PayloadError("not-utf8", "a column of numbers holds bytes that are no UTF-8") from None
        raise PayloadError("not-a-csv", "its rows cannot be split into fields") from None
    return {column: _floats(read[at[column]].combine_chunks(), column, _gone(missing)) for column in columns}


def _gone(missing: Sequence[str]) -> frozenset[str]:
    return MISSING | {text.strip().lower() for text in missing}


def _without_blank_end(body: bytes, delimiter: str) -> bytes:
    nothing = b' \t"\n' + delimiter.encode()
    end = len(body.rstrip(nothing))
    if end == 0:
        return b""
    line_end = body.find(b"\n", end)
    return body if line_end < 0 else body[: line_end + 1]


def _floats(column: object, name: str, gone: frozenset[str]) -> np.ndarray:
    """A pyarrow array of texts -> float64 [n], NaN for those in `gone`. Raises `PayloadError` not-numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if gone == MISSING:  # else a number may be one of the texts
        try:
            return np.asarray(pc.cast(column, pa.float64()), dtype=np.float64)
        except pa.ArrowInvalid:
            pass
    text = pc.utf8_trim_whitespace(column)
    absent = pc.is_in(pc.utf8_lower(text), value_set=pa.array(sorted(gone)))
    text = pc.if_else(absent, "nan", pc.replace_substring_regex(text, r"^\+", ""))
    try:
        return np.asarray(pc.cast(text, pa.float64()), dtype=np.float64)
    except pa.ArrowInvalid:
        row, bad = next(
            ((row, cell) for row, cell in enumerate(text.to_pylist()) if cell != "nan" and not _NUMBER.fullmatch(cell)),
            (0, text[0].as_py()),
        )
        hint = "; a decimal comma, a point is needed" if _DECIMAL_COMMA.fullmatch(bad) else ""
        raise PayloadError("not-numbers", f"column {name!r} holds {bad[:40]!r} in row {row + 1}{hint}") from None

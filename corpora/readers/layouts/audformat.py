"""Layout `audformat`: a database folder in audEERING's format, db.yaml beside tables in csv or parquet.

The header is read by the package `audformat` (pip install "emoforge[audformat]") from YAML that a safe loader parsed;
the tables are read here, for the package would unpickle a cached copy that lies beside them. A column is one of the
card's `tables`, or of those in `join`, found by file; `speaker/gender` is what the column's scheme knows of each
speaker. A table's split of type train, dev or test is the official one, where every table has one. Rows of a segmented
table are cut from their file.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError, ResourceError
from corpora.formats.arrow import parquet_rows
from corpora.formats.tables import number_of, read_table, row_of
from corpora.readers.described.cardfile import Card
from corpora.readers.described.fake import payload_of
from corpora.readers.described.filekeys import AudformatFiles
from corpora.readers.layouts.cells import as_text, cells, fields_of_path, has_columns, own_id
from corpora.readers.layouts.entries import RawSample, inside
from corpora.readers.layouts.table import made_cells
from corpora.records.joins import opened, settled
from corpora.records.unknown import is_unknown
from corpora.store.atomic import write_bytes

MAX_HEADER_BYTES = 64 << 20
# what the package raises for a header that is none; its own errors are kinds of these
_NO_HEADER = (LookupError, TypeError, ValueError, AttributeError, AssertionError, RecursionError, OverflowError)
_SPLITS = ("train", "dev", "test")
_INDEX = ("file", "start", "end")
_DURATION = re.compile(r"(?:(\d{1,6}) days? ?,? ?)?(\d{1,6}):(\d{1,2}):(\d{1,2}(?:\.\d{1,12})?)")


class Audformat:
    """See the module."""

    def __init__(self, card: Card) -> None:
        assert isinstance(card.files, AudformatFiles)
        self.card, self.files = card, card.files
        self._root = Path()
        self._joined: dict[str, dict[str, Any]] = {}
        self._about: dict[str, dict[str, Any]] = {}

    def items(self, root: Path) -> Iterator[tuple[Any, str]]:
        """See `Layout.items`."""
        self._root = root
        db = self._header(root)
        title = self.card.facts.title
        for table in [*self.files.tables, *self.files.join]:
            if table not in db.tables:
                raise CorpusError(f"{title}: table {table!r} is not in {root}/db.yaml. Found: {', '.join(db.tables)}")
        there = {name for table in [*self.files.tables, *self.files.join] for name in db.tables[table].columns}
        has_columns(there, [name.partition("/")[0] for name in self.files.wanted()], f"{title}: db.yaml")
        self._joined, bad = self._looked_up()
        self._about = self._known_of(db)
        splits = {table: self._split(db, table) for table in self.files.tables}
        official = all(splits.values()) and len(set(splits.values())) > 1

        def rows() -> Iterator[tuple[Any, str]]:
            parts = [(self._rows(table), {"split": splits[table]} if official else {}) for table in self.files.tables]
            return chain.from_iterable((((row, fields), name) for row, name in part) for part, fields in parts)

        return chain(bad, settled(rows, _place, self._said))

    def _said(self, item: Any) -> tuple[str, ...]:
        columns = [self.files.columns.get("label"), *self.files.label_columns]
        return tuple(str(item[0].get(column)).strip() for column in columns if column is not None)

    def _looked_up(self) -> tuple[dict[str, dict[str, Any]], list[tuple[Any, str]]]:
        """File -> what the tables of `join` know of it; and their rows that are none, as items. Raises `CorpusError`
        where they know two things."""
        by_file: dict[str, dict[str, Any]] = {}
        bad: list[tuple[Any, str]] = []
        wanted = {name.partition("/")[0] for name in self.files.wanted()}
        for table in self.files.join:
            for row, name in self._rows(table):
                if isinstance(row, PayloadError):
                    bad.append(((row, {}), name))
                    continue
                file, known = as_text(row["file"]), by_file.setdefault(str(as_text(row["file"])), {})
                for column in wanted & row.keys():
                    if not is_unknown(text := as_text(row[column])) and known.setdefault(column, text) != text:
                        raise CorpusError(
                            f"{self.card.facts.title}: {name}: {column!r} of {file} is {str(text)[:60]!r} and "
                            f"{str(known[column])[:60]!r}; a table of files.join says one thing of a file"
                        )
        return by_file, bad

    def _header(self, root: Path) -> Any:
        path = root / "db.yaml"
        if not path.is_file():
            kind = "is missing" if not root.exists() else "is a file" if root.is_file() else "holds no db.yaml"
            raise CorpusError(f"{self.card.facts.title}: {root} {kind}; need the folder of an audformat database")
        try:
            import audformat
        except ModuleNotFoundError as error:
            raise ResourceError(
                f'{self.card.facts.title}: audformat is not installed ({error}): pip install "emoforge[audformat]"'
            ) from None
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        if path.stat().st_size > MAX_HEADER_BYTES:
            raise CorpusError(f"{self.card.facts.title}: {path} has more than {MAX_HEADER_BYTES} bytes")
        try:
            # the package's own loader would build any Python object that the file names
            return audformat.Database.load_header_from_yaml(YAML(typ="safe").load(path.read_bytes()))
        except (YAMLError, *_NO_HEADER) as error:
            raise CorpusError(f"{self.card.facts.title}: {path} is no header of audformat: {error!r}") from None

    def _parquet(self, path: Path, index: list[str]) -> Iterator[tuple[Any, str]]:
        rows, there = parquet_rows(path, self.card.facts.title, None)
        has_columns(there, index, f"{self.card.facts.title}: {path}")
        return rows

    def _rows(self, table: str, *, misc: bool = False) -> Iterator[tuple[Any, str]]:
        title = self.card.facts.title
        if "/" in table or "\\" in table or "\0" in table:
            raise CorpusError(f"{title}: {table[:80]!r} is no name of a table of {self._root}")
        paths = [self._root / f"db.{table}{suffix}" for suffix in (".csv", ".parquet")]
        there = [path for path in paths if path.is_file()]
        if len(there) != 1:
            raise CorpusError(
                f"{title}: both {paths[0].name} and {paths[1].name} are in {self._root}, and may differ; take one out"
                if there
                else f"{title}: neither {paths[0].name} nor {paths[1].name} in {self._root}; pickles are not read"
            )
        index = [] if misc else ["file"]
        return read_table(there[0], title, columns=index) if there[0] == paths[0] else self._parquet(there[0], index)

    def _split(self, db: Any, table: str) -> str | None:
        split_id = db.tables[table].split_id
        kind = str(db.splits[split_id].type) if split_id in db.splits else ""
        return kind if kind in _SPLITS else None

    def _known_of(self, db: Any) -> dict[str, dict[str, Any]]:
        """Column -> {label of its scheme: what is known of it}, for columns that the card names as column/attribute."""
        about = {}
        for wanted in self.files.wanted():
            column, _, attribute = wanted.partition("/")
            if not attribute:
                continue
            table = next(t for t in [*self.files.tables, *self.files.join] if column in db.tables[t].columns)
            scheme_id = db.tables[table].columns[column].scheme_id
            labels = db.schemes[scheme_id].labels if scheme_id in db.schemes else None
            if isinstance(labels, str):  # a table of its own
                labels = self._labels_of(labels)
            if not isinstance(labels, Mapping):
                raise CorpusError(f"{self.card.facts.title}: the scheme of {column!r} knows nothing of its labels")
            about[column] = {
                str(label): attributes for label, attributes in labels.items() if isinstance(attributes, Mapping)
            }
            known = sorted({name for attributes in about[column].values() for name in attributes})
            has_columns(known, [attribute], f"{self.card.facts.title}: scheme of {column!r}")
        return about

    def _labels_of(self, table: str) -> dict[str, Any]:
        """Label -> its row in a table of labels. Raises `CorpusError` where two rows are of one label and differ."""
        labels: dict[str, Any] = {}
        for row, name in self._rows(table, misc=True):
            if isinstance(row, PayloadError) or not row:
                continue
            label = str(as_text(next(iter(row.values()))))
            if labels.setdefault(label, row) != row:
                raise CorpusError(f"{self.card.facts.title}: {name}: {label[:60]!r} has two rows, and they differ")
        return labels

    def raw_sample(self, item: Any, name: str) -> RawSample | None:
        """See `Layout.raw_sample`."""
        given, fields = opened(item)
        row = dict(row_of(given))
        file = str(as_text(row.get("file")) or "")
        merged: dict[str, Any] = self._with_joined(file, row)
        for wanted in self.files.wanted():
            column, _, attribute = wanted.partition("/")
            if attribute:
                merged[wanted] = self._about[column].get(str(as_text(merged.get(column))), {}).get(attribute)
        texts, ratings, extra = cells(self.files, merged)
        named = fields_of_path(self.files, file)
        start, end = _seconds(row.get("start")) or 0.0, _seconds(row.get("end"))
        path = inside(self._root, file, "the file")
        native = str(PurePosixPath(file).with_suffix(""))
        cut = None
        if start > 0 or end is not None:
            cut = (start, end if end is not None else math.inf)
            native = f"{native}-{_in_seconds(start)}-{'end' if end is None else _in_seconds(end)}"
            extra = extra | {"start_s": _in_seconds(start)}
        native = own_id(texts, self.files) or native
        return RawSample(
            native,
            texts | fields | named.fields,
            path=path,
            cut=cut,
            ratings=ratings,
            extra=extra | named.extra,
            blank=named.blank,
        )

    def _with_joined(self, file: str, row: dict[str, Any]) -> dict[str, Any]:
        """The row with what is looked up by its file. Raises `PayloadError` contradiction where both know a column."""
        joined = self._joined.get(file, {})
        for column, text in joined.items():
            own = as_text(row.get(column))
            if not is_unknown(own) and own != text:
                raise PayloadError("contradiction", f"{column} is {str(own)[:60]!r} here, {str(text)[:60]!r} in a join")
        return {**row, **joined}

    def write(self, root: Path, rows: list[dict[str, Any]], seed: int) -> None:
        """A database of one filewise table (and one for each further `tables`, with its split). Needs audformat."""
        lines: dict[str, list[dict[str, Any]]] = {}
        for number, row in enumerate(rows):
            table = self.files.tables[number % len(self.files.tables)]
            cells_of_row = {"file": f"wav/{number:04d}.wav", **made_cells(self.card, self.files, row, number)}
            content = payload_of(self.card, row, ".wav", np.random.default_rng([seed, 3, number]))
            write_bytes(root / cells_of_row["file"], content)
            lines.setdefault(table, []).append(cells_of_row)
        header: dict[str, Any] = {
            "name": self.card.facts.name,
            "source": "made up",
            "usage": "unrestricted",
            "schemes": {},
            "splits": {},
            "tables": {},
        }
        about: dict[str, dict[str, dict[str, Any]]] = {}
        for part in lines.values():
            for line in part:
                for column in [name for name in line if "/" in name]:
                    owner, _, attribute = column.partition("/")
                    about.setdefault(owner, {}).setdefault(line[owner], {})[attribute] = line.pop(column)
        for number, (table, part) in enumerate(lines.items()):
            columns = [name for name in part[0] if name != "file"]
            for column in columns:
                header["schemes"][column] = (
                    {"dtype": "str", "labels": about[column]} if column in about else {"dtype": "str"}
                )
            table_header: dict[str, Any] = {
                "type": "filewise",
                "columns": {name: {"scheme_id": name} for name in columns},
            }
            if len(lines) > 1:
                split = _SPLITS[number % 3]
                header["splits"][split] = {"type": split}
                table_header["split_id"] = split
            header["tables"][table] = table_header
            text = ",".join(["file", *columns]) + "\n"
            text += "".join(",".join(str(line[name]) for name in ["file", *columns]) + "\n" for line in part)
            write_bytes(root / f"db.{table}.csv", text.encode())
        from ruamel.yaml import YAML

        out = io.BytesIO()
        YAML(typ="safe").dump(header, out)
        write_bytes(root / "db.yaml", out.getvalue())


def _place(item: Any) -> tuple[str, ...] | None:
    """The stretch of a file that a row speaks of."""
    return None if isinstance(item[0], PayloadError) else tuple(str(item[0].get(part)) for part in _INDEX)


def _seconds(value: Any) -> float | None:
    """A duration as audformat writes it: "0 days 00:00:01.5", seconds, a timedelta; empty or NaT: none.

    Raises `PayloadError` not-a-number; bad-segment: below 0.
    """
    if is_unknown(value):
        return None
    if hasattr(value, "total_seconds"):
        seconds = float(value.total_seconds())
    elif (match := _DURATION.fullmatch(str(value).strip())) is not None:
        days, hours, minutes, rest = match.groups()
        seconds = int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest)
    else:
        seconds = number_of(str(value), "a time")
    if seconds < 0:
        raise PayloadError("bad-segment", f"a time is {seconds:g} s")
    return seconds


def _in_seconds(seconds: float) -> str:
    """Seconds as short as they are exact: two segments that differ have two names."""
    short = f"{seconds:g}"
    return short if float(short) == seconds else repr(seconds)

"""Layout `table`: one row a sample, in csv, tsv, jsonl or parquet; a column holds the text, the pixels or a path.

Several tables are read one after the other, sorted by name; `name_pattern` takes fields (the split, say) from a table's
own path. `label_columns` are weights of several labels, `rater_columns` the ratings of each rater. Rows that name one
file, or one id and text, and give it other labels are rejects, all of them (conflicting-entries).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from corpora.errors import CorpusError, PayloadError
from corpora.formats.arrow import parquet_rows
from corpora.formats.tables import header_of, read_jsonl, read_table
from corpora.readers.described.cardfile import Card
from corpora.readers.described.fake import payload_of, sentence, variants
from corpora.readers.described.filekeys import PAYLOADS, TableFiles, _Columns
from corpora.readers.layouts.cells import (
    cells,
    clean_path,
    columns_like,
    fields_of_name,
    fields_of_path,
    has_columns,
    numbers_of,
    own_id,
)
from corpora.readers.layouts.entries import RawSample, inside
from corpora.records.files import absence, printable
from corpora.records.joins import opened, settled
from corpora.store.atomic import write_bytes

_DELIMITERS = {"csv": ",", "tsv": "\t"}


class Tables:
    """See the module."""

    def __init__(self, card: Card) -> None:
        assert isinstance(card.files, TableFiles)
        self.card, self.files = card, card.files
        self._root = Path()
        self._several = False
        self._features: list[str] = []

    def items(self, root: Path) -> Iterator[tuple[Any, str]]:
        """See `Layout.items`."""
        self._root = root
        tables = find_tables(root, self.card, self.files.tables)
        self._several, self._features = len(tables) > 1, []

        def rows() -> Iterator[tuple[Any, str]]:
            opened = [self._rows(path, name) for path, name in tables]  # each header is looked at before the first row
            return chain.from_iterable(opened)

        return settled(rows, self._key_of, self._said)

    def _key_of(self, item: Any) -> tuple[str, ...] | None:
        """The file that a row speaks of, or its id and text: what cannot have two labels."""
        row = item[0]
        keys = [column for field in ("path", "id", "text") if (column := self.files.columns.get(field)) is not None]
        if isinstance(row, PayloadError) or not {"path", "id"} & set(self.files.columns):
            return None
        return tuple(str(row.get(column)) for column in keys)

    def _said(self, item: Any) -> tuple[str, ...]:
        columns = [self.files.columns.get("label"), *self.files.label_columns]
        return tuple(str(item[0].get(column)).strip() for column in columns if column is not None)

    def _rows(self, path: Path, name: str) -> Iterator[tuple[Any, str]]:
        kind = self.files.format or path.suffix.lower().lstrip(".")
        named_fields = fields_of_name(self.files, name, self.card)
        title, files = self.card.facts.title, self.files
        wanted = files.wanted()
        rows: Iterable[tuple[Any, str]]
        there: list[str] | None
        vector: list[str] = []
        if kind == "parquet":
            rows, there = parquet_rows(path, title, wanted, also=files.vector)
            vector = columns_like(files.vector, there, wanted, f"{title}: {path}")
        elif kind in ("jsonl", "ndjson"):
            rows, there = _looked_at(read_jsonl(path, title, encoding=files.encoding), path, title, wanted)
            vector = columns_like(files.vector, there, wanted, f"{title}: {path}") if there is not None else []
        elif kind in ("csv", "tsv", "txt"):
            delimiter = files.delimiter or _DELIMITERS.get(kind, "\t")
            if files.header is not None:
                has_columns(files.header, wanted, f"{title}: files.header of {self.card.origin}")
                there = files.header
            else:
                there = header_of(
                    path, title, delimiter=delimiter, quoted=files.quoted, encoding=files.encoding, wanted=wanted
                )
                has_columns(there, wanted, f"{title}: {path}")
            vector = columns_like(files.vector, there, wanted, f"{title}: {path}")
            rows = read_table(
                path,
                title,
                columns=files.header or wanted,
                delimiter=delimiter,
                header=files.header is None,
                quoted=files.quoted,
                encoding=files.encoding,
            )
        else:
            raise CorpusError(f"{title}: {path} ends in .{kind}; say files.format: csv, tsv, jsonl or parquet")
        if vector and self._features and sorted(vector) != sorted(self._features):
            other = sorted(set(vector) ^ set(self._features))
            raise CorpusError(
                f"{title}: {path} has other features than the tables before it: {', '.join(other)[:300]}; all must "
                "have the same"
            )
        self._features = vector = self._features or vector  # one order for all tables, whatever theirs is
        # the number that a row's name ends in counts rows of its own table
        return (((row, named_fields, PurePosixPath(name), vector), shown) for row, shown in rows)

    def raw_sample(self, item: Any, name: str) -> RawSample | None:
        """See `Layout.raw_sample`."""
        row, named_fields, table, vector = opened(item)
        if isinstance(row, PayloadError):
            raise row
        number = name.rpartition("#")[2]
        native = f"{table.with_suffix('')}/{number}" if self._several else number
        texts, ratings, extra = cells(self.files, row)
        path = None
        if "path" in self.files.columns:
            column = clean_path(texts.pop("path", None))
            given = column + self.files.suffix if column else ""
            named_fields = named_fields.also(fields_of_path(self.files, column, given))
            if not self.files.vector:
                if not given:
                    raise PayloadError("missing-file", "the row names no file")
                path = inside(self._root, str(PurePosixPath(self.files.media) / given), "the path")
                native = str(PurePosixPath(given).with_suffix(""))
        text, pixels = texts.pop("text", None), texts.pop("pixels", None)
        native = own_id(texts, self.files) or native
        return RawSample(
            native,
            texts | named_fields.fields,
            path=path,
            text=text,
            pixels=pixels,
            ratings=ratings,
            extra=extra | named_fields.extra,
            blank=named_fields.blank,
            vector=numbers_of(row, vector) if self.files.vector else None,
        )

    def write(self, root: Path, rows: list[dict[str, Any]], seed: int) -> None:
        """Tables with the columns of the card (and its media files); a `name_pattern` with a split gives one each."""
        named = self.files.named
        parts: dict[str, list[dict[str, Any]]] = {}
        for number, row in enumerate(rows):
            cell_texts = made_cells(self.card, self.files, row, number)
            if "path" in self.files.columns:
                path = self._made_path(row, number)
                cell_texts[self.files.columns["path"]] = path.removesuffix(self.files.suffix)
                suffix = PurePosixPath(path).suffix.lower()
                if not self.files.vector:
                    content = payload_of(self.card, row, suffix, np.random.default_rng([seed, 3, number]))
                    write_bytes(root / self.files.media / path, content)
            if "pixels" in self.files.columns:
                cell_texts[self.files.columns["pixels"]] = _made_pixels(self.card, row, seed, number)
            if "text" in self.files.columns:
                written = sentence(row, np.random.default_rng([seed, 3, number]))
                # a text with a comma stands in quotes, which is what readers of csv stumble over
                cell_texts[self.files.columns["text"]] = written.replace(" ", ", ", 1) if self.files.quoted else written
            if self.files.vector:
                names = _made_names(self.files.vector)
                drawn = np.random.default_rng([seed, 3, number]).normal(len(row["emotion"] or ""), 1.0, len(names))
                cell_texts |= {name: f"{value:.6g}" for name, value in zip(names, drawn, strict=True)}
            parts.setdefault(row["texts"].get("split", "") if named else "", []).append(cell_texts)
        for split, part in parts.items():
            name = self.files.tables[0].replace("**/", "").replace("*", split or "table")
            write_bytes(root / name, self._written(part, name))

    def _made_path(self, row: Mapping[str, Any], number: int) -> str:
        listed = self.files.fake.get("path")
        if listed:
            known = {"number": f"{number + 1}", **row["texts"]}
            path = listed[0].format_map(known)
            if self.files.path_named and not self.files.path_named.search(path):
                raise CorpusError(f"{self.card.facts.title}: files.fake.path makes {path!r}, which path_pattern is not")
            return path
        if self.files.path_pattern:
            raise CorpusError(f"{self.card.facts.title}: to make paths up, path_pattern needs files.fake.path")
        ending = {"speech": ".wav", "face": ".png", "text": ".txt", "physio": ".csv"}[self.card.facts.modality]
        return f"{number + 1:04d}{self.files.suffix or ending}"

    def _written(self, part: list[dict[str, Any]], name: str) -> bytes:
        kind = self.files.format or PurePosixPath(name).suffix.lower().lstrip(".")
        columns = self.files.header or list(part[0])
        if kind == "parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            out = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(part), out)
            return out.getvalue()
        if kind in ("jsonl", "ndjson"):
            return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part).encode()
        text = io.StringIO()
        delimiter = self.files.delimiter or _DELIMITERS.get(kind, "\t")
        if self.files.quoted:
            writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        else:
            writer = csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_NONE)
        if self.files.header is None:
            writer.writerow(columns)
        writer.writerows([[row.get(column, "") for column in columns] for row in part])
        return text.getvalue().encode(self.files.encoding)


def find_tables(root: Path, card: Card, globs: list[str]) -> list[tuple[Path, str]]:
    """Files that fit the globs, at any depth, as (path, relative name). Raises `CorpusError` with what is there, and
    where two tables differ in their endings alone: ids of their rows would be the same."""
    title = card.facts.title
    if (kind := absence(root)) is not None:
        raise CorpusError(f"{title}: {root} is {kind}; need its folder")
    by_name: dict[str, Path] = {}
    for glob in globs:
        pattern = glob if glob.startswith("**/") else f"**/{glob}"
        for path in root.glob(pattern):
            name = path.relative_to(root)
            if not path.is_file() or any(part.startswith((".", "__MACOSX")) for part in name.parts):
                continue
            if (other := by_name.setdefault(printable(name.as_posix()), path)) != path:
                raise CorpusError(f"{title}: {other!r} and {path!r} are written alike; rename one")
    if not by_name:
        there = sorted(p.relative_to(root).as_posix() for p in root.iterdir())[:12]
        raise CorpusError(
            f"{title}: {root} holds no table {' or '.join(globs)} (found {', '.join(there) or 'nothing'})"
        )
    stems: dict[str, str] = {}
    for shown in sorted(by_name):
        if (twin := stems.setdefault(str(PurePosixPath(shown).with_suffix("")), shown)) != shown:
            raise CorpusError(
                f"{title}: {root} holds {twin} and {shown}, which may be one table twice; take one out, or name "
                "one in files.tables"
            )
    return [(by_name[name], name) for name in sorted(by_name)]


def _made_names(globs: list[str]) -> list[str]:
    """Names of fake features: those named, and three for each glob."""
    names_of = [[glob.replace("*", str(i)) for i in range(1, 4)] if "*" in glob else [glob] for glob in globs]
    return [name for names in names_of for name in names][:8]


def _looked_at(
    rows: Iterator[tuple[Any, str]], path: Path, title: str, wanted: list[str]
) -> tuple[Iterator[tuple[Any, str]], list[str] | None]:
    """jsonl rows, of which the first object must have the columns, and none of them twice; and its keys."""
    first, there = [], None
    for row, name in rows:
        first.append((row, name))
        if isinstance(row, PayloadError) and row.reason == "repeated-key":
            raise CorpusError(f"{title}: {path}: {name} has {row.detail}: nobody can tell which one is meant")
        if not isinstance(row, PayloadError):
            there = list(row)
            has_columns(there, wanted, f"{title}: {path}")
            break
    return chain(first, rows), there


def made_cells(card: Card, files: _Columns, row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """One fake row {column: text}, payloads aside."""
    texts = row["texts"]
    line: dict[str, Any] = {}
    for field, column in files.columns.items():
        if field in PAYLOADS:
            line[column] = ""
        elif field in texts:
            line[column] = texts[field]
        elif field == "id":
            line[column] = f"{(files.fake.get('id') or ['n'])[0]}{number:05d}"
        else:
            default = {"agreement": "0.8", "intensity": "0.5", "turn": "1"}.get(field, f"{field}1")
            options = variants(files.fake.get(field), files.values.get(field), default)
            line[column] = options[0] if field in ("agreement", "intensity") else options[number % len(options)]
    for column, label in files.label_columns.items():
        emotion = card.facts.label_map[str(label)]
        first = next((name for name, meant in card.facts.label_map.items() if meant == row["emotion"]), None)
        line[column] = "1" if emotion is not None and str(label) == first else "0"
    for dimension, columns in files.rater_columns.items():
        low, high = card.facts.dimensions[dimension]
        for place, column in enumerate(columns):
            line[column] = f"{low + (number * 7 + place * 3) % 11 / 10 * (high - low):.3g}"
    for column in files.extra:
        line.setdefault(column, f"{column} {number}")
    return line


def _made_pixels(card: Card, row: Mapping[str, Any], seed: int, number: int) -> str:
    from corpora.codecs import decode_image

    picture = decode_image(payload_of(card, row, ".png", np.random.default_rng([seed, 3, number])))
    return " ".join(map(str, picture.ravel().tolist()))

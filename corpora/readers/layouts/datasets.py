"""Layout `datasets`: what Hugging Face `datasets` saved (save_to_disk: arrow files), or a folder of parquet files.

Both are Arrow tables, whose schema carries the features as JSON: names of a ClassLabel are put in place of its numbers,
Audio and Image columns are structs of {bytes, path}. pyarrow reads them all, so the library itself is not needed, no
code of a data set runs, and a row at a time is in memory. A split is where the file lies (test/data-00000.arrow,
emotion/test-00000-of-00001.parquet) unless the card says otherwise; one split alone is none.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpora.errors import CorpusError, PayloadError
from corpora.formats.arrow import BATCH, CUT_SHORT, batch_rows
from corpora.formats.tables import no_doubles
from corpora.readers.described.cardfile import Card
from corpora.readers.described.fake import payload_of, sentence
from corpora.readers.described.filekeys import DatasetsFiles
from corpora.readers.layouts.cells import (
    PathFields,
    cells,
    clean_path,
    fields_of_name,
    fields_of_path,
    has_columns,
    own_id,
)
from corpora.readers.layouts.entries import RawSample, inside
from corpora.readers.layouts.table import find_tables, made_cells
from corpora.records.files import printable
from corpora.records.spellings import Spellings
from corpora.records.unknown import is_unknown
from corpora.store.atomic import write_bytes

_SPLIT = re.compile(r"(?:^|/)(train|training|dev|val|valid|validation|test)(?=[/.-]|$)")


class Datasets:
    """See the module."""

    def __init__(self, card: Card) -> None:
        assert isinstance(card.files, DatasetsFiles)
        self.card, self.files = card, card.files
        self._root = Path()

    def items(self, root: Path) -> Iterator[tuple[Any, str]]:
        """See `Layout.items`."""
        self._root = root
        title, wanted = self.card.facts.title, self.files.wanted()
        tables = find_tables(root, self.card, ["*.arrow", "*.parquet"])
        opened: dict[str, tuple[pa.Schema, Iterator[Any]]] = {}
        broken: dict[str, PayloadError] = {}
        for path, name in tables:
            if path.name.startswith("cache-"):  # what `map` and `filter` of the library leave behind
                continue
            try:
                opened_one = _arrow(path) if path.suffix == ".arrow" else _parquet(path, wanted)
                if opened_one[0].names:  # names that are no text raise here
                    opened[name] = opened_one
                else:
                    broken[name] = PayloadError("not-a-dataset", "a table without columns")
            except (pa.ArrowException, OSError, ValueError):
                broken[name] = PayloadError("not-a-dataset", f"no {path.suffix.lstrip('.')} file, or a damaged one")
        if not opened:
            raise CorpusError(f"{title}: no file of datasets in {root} can be read ({len(tables)} were looked at)")
        for name, (schema, _) in opened.items():
            no_doubles(schema.names, f"{title}: {root / name}")
            has_columns(schema.names, wanted, f"{title}: {root / name}")
            self._knows_classes(class_names(schema), root / name)
        splits = {name: match[1] if (match := _SPLIT.search(name)) else None for name in opened}
        official = None not in splits.values() and len(set(splits.values())) > 1
        parts: list[Iterator[tuple[Any, str]]] = []
        for _, name in tables:
            if name in broken:
                parts.append(iter([((broken[name], PathFields(), {}, name), name)]))
            elif name in opened:
                named_fields = fields_of_name(self.files, name, self.card)
                if official and "split" not in self.files.fields():
                    named_fields = named_fields.also(PathFields({"split": str(splits[name])}))
                parts.append(self._rows(name, named_fields, *opened[name]))
        return chain.from_iterable(parts)

    def _knows_classes(self, classes: dict[str, list[str]], path: Path) -> None:
        """A file names all its classes, so one that the card lacks is an error before anything is read."""
        named = classes.get(self.files.columns.get("label", ""), [])
        known = self.files.values.get("label") or self.card.facts.label_map
        spellings = Spellings(known, self.card.origin, ignore_case=self.files.ignore_case)
        unknown = [n for n in named if spellings.find(n) is None and not is_unknown(n, words=False)]
        if unknown:
            raise CorpusError(
                f"{self.card.facts.title}: {path} has classes that {self.card.origin} does not know: "
                f"{', '.join(unknown)[:300]}. Found: {', '.join(named)[:300]}; known: {', '.join(known)[:300]} "
                "(label_map may lead to null)"
            )

    def _rows(
        self, name: str, named_fields: PathFields, schema: pa.Schema, batches: Iterator[Any]
    ) -> Iterator[tuple[Any, str]]:
        classes, stem, number = class_names(schema), PurePosixPath(name).with_suffix(""), 0
        shown = printable(name)
        try:
            for batch in batches:
                chosen = batch.select(self.files.wanted())
                chosen.validate(full=True)  # a damaged arrow file would be read beyond its end
                for row in batch_rows(chosen):
                    yield (row, named_fields, classes, f"{stem}/{number:06d}"), f"{shown}#{number:06d}"
                    number += 1
        except (pa.ArrowException, OSError, ValueError):
            yield (CUT_SHORT, named_fields, classes, ""), f"{shown}#{number:06d}"

    def raw_sample(self, item: Any, name: str) -> RawSample | None:
        """See `Layout.raw_sample`."""
        row, named_fields, classes, native = item
        if isinstance(row, PayloadError):
            raise row
        named = {column: _named(value, classes.get(column)) for column, value in row.items()}
        texts, ratings, extra = cells(self.files, named)
        media, text, pixels = texts.pop("media", None), texts.pop("text", None), texts.pop("pixels", None)
        path = clean_path(texts.pop("path", None))
        content, codec = None, ""
        if isinstance(media, Mapping):
            content = media.get("bytes")
            path = path or clean_path(media.get("path"))
            codec = PurePosixPath(clean_path(media.get("path"))).suffix.lower().lstrip(".")
        elif isinstance(media, bytes):
            content = media
        elif media is not None:
            raise PayloadError("bad-row", f"the media column holds {type(media).__name__}, {{bytes, path}} is expected")
        if content is not None and not isinstance(content, bytes):
            raise PayloadError("bad-row", f"the media column holds bytes of type {type(content).__name__}")
        named_fields = named_fields.also(fields_of_path(self.files, path))
        place = inside(self._root, path, "the path") if path and content is None else None
        native = own_id(texts, self.files) or native
        return RawSample(
            native,
            texts | named_fields.fields,
            path=place,
            content=content,
            codec=codec,
            text=text,
            pixels=pixels,
            ratings=ratings,
            extra=extra | named_fields.extra,
            blank=named_fields.blank,
        )

    def write(self, root: Path, rows: list[dict[str, Any]], seed: int) -> None:
        """Parquet files as a data set's page holds them: <split>-00000-of-00001.parquet, with the features in them."""
        features: dict[str, Any] = {}
        names = [str(name) for name in self.card.facts.label_map]
        parts: dict[str, list[dict[str, Any]]] = {}
        splits = self.files.fake.get("split") or ["train"]
        for number, row in enumerate(rows):
            line = made_cells(self.card, self.files, row, number)
            label = self.files.columns.get("label")
            if label is not None and not self.files.values.get("label"):
                line[label] = names.index(row["texts"]["label"])
                features[label] = {"names": names, "_type": "ClassLabel"}
            if "media" in self.files.columns:
                suffix = ".wav" if self.card.facts.modality == "speech" else ".png"
                content = payload_of(self.card, row, suffix, np.random.default_rng([seed, 3, number]))
                line[self.files.columns["media"]] = {"bytes": content, "path": f"{number}{suffix}"}
            if "text" in self.files.columns:
                line[self.files.columns["text"]] = sentence(row, np.random.default_rng([seed, 3, number]))
            parts.setdefault(splits[number % len(splits)], []).append(line)
        for split, part in parts.items():
            table = pa.Table.from_pylist(part)
            metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
            out = io.BytesIO()
            pq.write_table(table.replace_schema_metadata(metadata), out)
            write_bytes(root / f"{split}-00000-of-00001.parquet", out.getvalue())


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Column -> names of its classes, from the features that `datasets` writes into a schema's metadata."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    classes = {}
    for column, feature in features.items() if isinstance(features, dict) else ():
        while isinstance(feature, list) and feature:
            feature = feature[0]
        while isinstance(feature, dict) and isinstance(feature.get("feature"), dict):  # lists of labels
            feature = feature["feature"]
        names = feature.get("names") if isinstance(feature, dict) else None
        if isinstance(names, list):
            classes[column] = [str(name) for name in names]
    return classes


def _named(value: Any, names: list[str] | None) -> Any:
    """A class number, or a list of them -> names; -1 is a label that is not known."""
    if names is None or value is None:
        return value
    if isinstance(value, list):
        return [_named(part, names) for part in value]
    if not isinstance(value, int):
        return value
    if not -1 <= value < len(names):
        raise PayloadError("bad-label", f"class {value}, the file names {len(names)} classes")
    return names[value] if value >= 0 else None


def _arrow(path: Path) -> tuple[pa.Schema, Iterator[Any]]:
    """An arrow stream, as `datasets` writes it, memory-mapped."""
    reader = pa.ipc.open_stream(pa.memory_map(str(path)))
    return reader.schema, iter(reader)


def _parquet(path: Path, wanted: list[str]) -> tuple[pa.Schema, Iterator[Any]]:
    file = pq.ParquetFile(path)
    known = [column for column in wanted if column in file.schema_arrow.names]
    return file.schema_arrow, file.iter_batches(batch_size=BATCH, columns=known)

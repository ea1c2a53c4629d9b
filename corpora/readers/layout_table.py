"""Layout `table`: one row a sample, in csv, tsv, jsonl or parquet; a column holds the text, the pixels or a path.

Several tables are read one after the other, sorted by name; `name_pattern` takes fields (the split, say) from a table's
own path. `label_columns` are weights of several labels, `rater_columns` the ratings of each rater. Rows that name one
file, or one id and text, and give it other labels are rejects, all of them (conflicting-entries).
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from corpora.atomic import write_bytes
from corpora.errors import CorpusError, PayloadError
from corpora.readers.cardfile import PAYLOADS, Card, TableFiles, _Columns
from corpora.readers.described_fake import payload_of, sentence, variants
from corpora.readers.files import absence, printable
from corpora.readers.found import Found, inside
from corpora.readers.joins import opened, settled
from corpora.readers.tables import number_of, read_jsonl, read_table

_DELIMITERS = {"csv": ",", "tsv": "\t"}
BATCH = 256  # rows of a parquet file in memory


class Tables:
    """See the module."""

    def __init__(self, card: Card) -> None:
        assert isinstance(card.files, TableFiles)
        self.card, self.files = card, card.files
        self._root = Path()
        self._several = False

    def items(self, root: Path) -> Iterator[tuple[Any, str]]:
        self._root = root
        tables = find_tables(root, self.card, self.files.tables)
        self._several = len(tables) > 1

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
        fields = fields_of_name(self.files, name, self.card)
        title, wanted = self.card.facts.title, self.files.wanted()
        rows: Iterable[tuple[Any, str]]
        if kind == "parquet":
            rows = parquet_rows(path, title, wanted)
        elif kind in ("jsonl", "ndjson"):
            rows = _looked_at(read_jsonl(path, title), path, title, wanted)
        elif kind in ("csv", "tsv", "txt"):
            delimiter = self.files.delimiter or _DELIMITERS.get(kind, "\t")
            header = self.files.header
            if header is not None:
                has_columns(header, wanted, f"{title}: files.header of {self.card.origin}")
            else:
                has_columns(_header(path, delimiter, self.files), wanted, f"{title}: {path}")
            rows = read_table(
                path, title, columns=header or wanted, delimiter=delimiter, header=header is None,
                quoted=self.files.quoted, encoding=self.files.encoding,
            )  # fmt: skip
        else:
            raise CorpusError(f"{title}: {path} ends in .{kind}; say files.format: csv, tsv, jsonl or parquet")
        # the number that a row's name ends in counts rows of its own table
        return (((row, fields, PurePosixPath(name)), shown) for row, shown in rows)

    def found(self, item: Any, name: str) -> Found | None:
        row, fields, table = opened(item)
        if isinstance(row, PayloadError):
            raise row
        number = name.rpartition("#")[2]
        native = f"{table.with_suffix('')}/{number}" if self._several else number
        texts, ratings, extra = cells(self.files, row)
        path = None
        if "path" in self.files.columns:
            given = str(texts.pop("path", "") or "").strip() + self.files.suffix
            path = inside(self._root, str(PurePosixPath(self.files.media) / given), "the path")
            native = str(PurePosixPath(given).with_suffix(""))
        text, pixels = texts.pop("text", None), texts.pop("pixels", None)
        native = str(texts.pop("id", None) or native)
        return Found(native, texts | fields, path=path, text=text, pixels=pixels, ratings=ratings, extra=extra)

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
                content = payload_of(self.card, row, suffix, np.random.default_rng([seed, 3, number]))
                write_bytes(root / self.files.media / path, content)
            if "pixels" in self.files.columns:
                cell_texts[self.files.columns["pixels"]] = _made_pixels(self.card, row, seed, number)
            if "text" in self.files.columns:
                written = sentence(row, np.random.default_rng([seed, 3, number]))
                # a text with a comma stands in quotes, which is what readers of csv stumble over
                cell_texts[self.files.columns["text"]] = written.replace(" ", ", ", 1) if self.files.quoted else written
            parts.setdefault(row["texts"].get("split", "") if named else "", []).append(cell_texts)
        for split, part in parts.items():
            name = self.files.tables[0].replace("**/", "").replace("*", split or "table")
            write_bytes(root / name, self._written(part, name))

    def _made_path(self, row: Mapping[str, Any], number: int) -> str:
        listed = self.files.fake.get("path")
        if listed:
            known = {"number": f"{number + 1}", **row["texts"]}
            return listed[0].format_map(known)
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
    """Files that fit the globs, at any depth, as (path, relative name). Raises `CorpusError` with what is there."""
    title = card.facts.title
    if (kind := absence(root)) is not None:
        raise CorpusError(f"{title}: {root} is {kind}; need its folder")
    found: dict[str, Path] = {}
    for glob in globs:
        pattern = glob if glob.startswith("**/") else f"**/{glob}"
        for path in root.glob(pattern):
            name = path.relative_to(root)
            if path.is_file() and not any(part.startswith((".", "__MACOSX")) for part in name.parts):
                found[printable(name.as_posix())] = path
    if not found:
        there = sorted(p.relative_to(root).as_posix() for p in root.iterdir())[:12]
        raise CorpusError(
            f"{title}: {root} holds no table {' or '.join(globs)} (found {', '.join(there) or 'nothing'})"
        )
    return [(found[name], name) for name in sorted(found)]


def fields_of_name(files: _Columns, name: str, card: Card) -> dict[str, str]:
    """Fields that a table's own path tells. Raises `CorpusError` for a name that the pattern does not fit."""
    if files.named is None:
        return {}
    match = files.named.search(name)
    if match is None:
        raise CorpusError(f"{card.facts.title}: the table {name} does not fit name_pattern {files.name_pattern!r}")
    return {key: text for key, text in match.groupdict().items() if text is not None}


def has_columns(there: Iterable[str], wanted: Iterable[str], where: str) -> None:
    """Raises `CorpusError` naming the column, the nearest one and all that were found."""
    names = list(there)
    for column in wanted:
        if column not in names:
            near = difflib.get_close_matches(column, names, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise CorpusError(f"{where}: column {column!r} not in table.{hint} Found: {', '.join(names)[:500]}")


def _header(path: Path, delimiter: str, files: TableFiles) -> list[str]:
    try:
        with path.open("rb") as file:
            line = file.readline(1 << 20)
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror})") from error
    text = line.removeprefix(b"\xef\xbb\xbf").decode(files.encoding, "replace").rstrip("\r\n")
    parts = (
        next(csv.reader([text.replace("\0", "")], delimiter=delimiter), []) if files.quoted else text.split(delimiter)
    )
    return [part.strip() for part in parts]


def _looked_at(rows: Iterator[tuple[Any, str]], path: Path, title: str, wanted: list[str]) -> Iterator[tuple[Any, str]]:
    """jsonl rows, of which the first object must have the columns."""
    first = []
    for row, name in rows:
        first.append((row, name))
        if not isinstance(row, PayloadError):
            has_columns(row, wanted, f"{title}: {path}")
            break
    return chain(first, rows)


def parquet_rows(path: Path, title: str, wanted: list[str] | None) -> Iterator[tuple[Any, str]]:
    """Rows of a parquet file as {column: value}; `wanted` None: all. Raises `CorpusError` at once: no parquet, or other
    columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise CorpusError(f"{title}: {path} is not parquet: {error}") from None
    has_columns(file.schema_arrow.names, wanted or [], f"{title}: {path}")

    def rows() -> Iterator[tuple[Any, str]]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=BATCH, columns=wanted):
                for at in range(batch.num_rows):
                    yield batch.slice(at, 1).to_pylist()[0], f"{printable(path.name)}#{number:06d}"
                    number += 1
        except (pa.ArrowException, OSError) as error:
            yield PayloadError("bad-row", f"the file cannot be read on: {error}"), f"{path.name}#{number:06d}"

    return rows()


def cells(files: _Columns, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any], dict[str, str]]:
    """A row -> fields (payload columns among them), ratings (dimension, rater, value), extra. Raises `PayloadError`."""
    fields: dict[str, Any] = {}
    for field, column in files.columns.items():
        value = row.get(column)
        if value is not None:
            fields[field] = as_text(value)
    if files.label_columns:
        weights = {str(label): _weight(row.get(column), column) for column, label in files.label_columns.items()}
        if any(weight < 0 for weight in weights.values()):
            raise PayloadError("bad-label", f"a weight below 0: {weights}")
        fields["label"] = weights
    ratings = []
    for dimension, columns in files.rater_columns.items():
        for column in columns:
            text = as_text(row.get(column))
            if text is not None and str(text).strip() not in files.missing:
                ratings.append((dimension, column, number_of(str(text), column)))
    extra = {column: str(as_text(row[column])) for column in files.extra if row.get(column) is not None}
    return fields, ratings, extra


def _weight(value: Any, column: str) -> float:
    if value in (None, "", False, "False", "false"):
        return 0.0
    if value in (True, "True", "true"):
        return 1.0
    return number_of(str(value), column)


def as_text(value: Any) -> Any:
    """A cell as text; lists stay lists of texts, bytes and structs stay as they are."""
    if value is None or isinstance(value, str | bytes | dict):
        return value
    if isinstance(value, list | tuple):
        return [as_text(part) for part in value]
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else repr(value)
    return str(value)


def made_cells(card: Card, files: _Columns, row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """One made-up row {column: text}, payloads aside."""
    texts = row["texts"]
    made: dict[str, Any] = {}
    for field, column in files.columns.items():
        if field in PAYLOADS:
            made[column] = ""
        elif field in texts:
            made[column] = texts[field]
        elif field == "id":
            made[column] = f"{(files.fake.get('id') or ['n'])[0]}{number:05d}"
        else:
            default = {"agreement": "0.8", "intensity": "0.5", "turn": "1"}.get(field, f"{field}1")
            options = variants(files.fake.get(field), files.values.get(field), default)
            made[column] = options[0] if field in ("agreement", "intensity") else options[number % len(options)]
    for column, label in files.label_columns.items():
        emotion = card.facts.label_map[str(label)]
        first = next((name for name, meant in card.facts.label_map.items() if meant == row["emotion"]), None)
        made[column] = "1" if emotion is not None and str(label) == first else "0"
    for dimension, columns in files.rater_columns.items():
        low, high = card.facts.dimensions[dimension]
        for place, column in enumerate(columns):
            made[column] = f"{low + (number * 7 + place * 3) % 11 / 10 * (high - low):.3g}"
    for column in files.extra:
        made.setdefault(column, f"{column} {number}")
    return made


def _made_pixels(card: Card, row: Mapping[str, Any], seed: int, number: int) -> str:
    from corpora.codecs import decode_image

    picture = decode_image(payload_of(card, row, ".png", np.random.default_rng([seed, 3, number])))
    return " ".join(map(str, picture.ravel().tolist()))

"""Reads and verifies a release: a folder of tars, Parquet tables and one manifest.

Nothing but pyarrow, tarfile and json is needed. The manifest is under the hash: `release_hash` is the sha256 of its own
canonical JSON without `release_hash`, and it holds the sha256 of every file.

Formats: in 1 the hash was one over the files alone, and README.md was none of them; such releases open and verify by
that rule. In 2 the manifest came under it. In 3 the index has `part` and `sources` (of older ones they follow from
`modality` and `source_ids`), and from here on tables grow: corpora/store/evolve.py. 3.1 adds `weight`, which is 1 in
all that came before, 3.2 lineage.parquet, 3.3 what describes a release (LICENSE.md, LICENSES/, croissant.json,
SHA256SUMS) and `terms` of its licences in the manifest. 4 is 3.3 with an index that has no columns of payloads: of a
part that holds features alone, and of nothing else.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Unpack, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpora.errors import CorpusError, IntegrityError, UnknownNameError, UserError
from corpora.fingerprint import hash_file, hash_files, hash_json
from corpora.formats.jsonfile import as_written, read_json
from corpora.schema import LINEAGE, REQUESTS, SAMPLES, SCORES, SPLITS
from corpora.store.atomic import canonical_json
from corpora.store.checked import (
    MANIFEST,
    Problem,
    file_problem,
    first_problem,
    foreign_shards,
    member_problems,
    root_problem,
    unlisted,
)
from corpora.store.columns import WITHOUT_PAYLOADS, Columns
from corpora.store.evolve import Format
from corpora.store.remembered import has_hash
from corpora.store.removed import warn_of_notice
from corpora.store.shards import PLACE, iter_payloads, read_table
from corpora.store.weights import DRAWN_BY, ClassBalance, class_balance, drawn, with_weights

if TYPE_CHECKING:
    import pandas as pd
    import webdataset

    from corpora.reading.order import Shuffle
    from corpora.reading.selection import Kind, Which

Weights = Literal["keep", "draw"]

INDEX, SPLIT_TABLE, FEATURES = "index.parquet", "splits.parquet", "features.parquet"
FEATURE_TABLE = re.compile(r"features-([a-z][a-z0-9_]{0,39})\.parquet")  # of a representation beside payloads
UNIT = b"unit"  # key of a feature's unit in its column's metadata
TABLES = (INDEX, SPLIT_TABLE)
SCORE_TABLE, LINEAGE_TABLE, REQUESTS_TABLE = "scores.parquet", "lineage.parquet", "requests.parquet"
FORMAT = Format("emoforge-release", 3, 3)
FEATURES_ALONE = Format("emoforge-release", 4)  # without payloads; the newest that is read
MAX_NAME = 200  # characters of a path; the project's own have 40
_SHA256 = re.compile(r"[0-9a-f]{64}")
# fields that are shown to people or decide something, and what they must be where they are there
_FIELDS: dict[str, tuple[str, Any]] = {
    "name": ("text", lambda v: isinstance(v, str)),
    "publishable": ("true or false", lambda v: isinstance(v, bool)),
    "terms": ("a mapping", lambda v: isinstance(v, dict)),
    "corpora": (
        "a list of corpora with id and card",
        lambda v: isinstance(v, list) and all(isinstance(e, dict) and _is_told(e.get("id"), e.get("card")) for e in v),
    ),
    **{
        name: ("a list of texts", lambda v: isinstance(v, list) and all(isinstance(text, str) for text in v))
        for name in ("reasons", "notes", "licenses", "classes")
    },
}


def _is_told(name: Any, card: Any) -> bool:
    return isinstance(name, str) and isinstance(card, dict)


def feature_file(name: str) -> str:
    """Of the table of features `name`, beside payloads."""
    return f"features-{name}.parquet"


def compute_release_hash(files: Mapping[str, str]) -> str:
    """{relative path: sha256} -> the Merkle root, 64 hex digits: sha256 over the sorted paths and hashes."""
    return hash_files(dict(files))


def sealed(manifest: Mapping[str, Any], form: Format = FORMAT) -> dict[str, Any]:
    """The manifest with its `format` and `release_hash`: what `write_json` is to write as manifest.json. form: FORMAT,
    or FEATURES_ALONE.

    `files` is what `describe_files` gives for every file but the manifest. Nothing of this machine or time may
    be in it.
    """
    whole = json.loads(canonical_json({**manifest, "format": form.text}))  # as it is read back
    return {**whole, "release_hash": _own_hash(whole)}


def _own_hash(manifest: Mapping[str, Any]) -> str:
    return hash_json({key: value for key, value in manifest.items() if key != "release_hash"})


def describe_files(root: Path, paths: Iterator[str] | list[str] | tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Relative posix paths below `root` -> the manifest's `files`: {path: {"sha256", "n_bytes"}}."""
    return {name: {"sha256": hash_file(root / name), "n_bytes": (root / name).stat().st_size} for name in sorted(paths)}


@dataclass(frozen=True, slots=True, repr=False)
class Release:
    """One release on disk. `columns` are those of the index, decoded when they are first asked for; `splits` has the
    schema SPLITS. `weight` of the index is never null: 1 of every real sample. `drawn`: weights were answered by a
    draw, and all that is left weighs 1."""

    path: Path
    manifest: Mapping[str, Any]
    columns: Columns
    splits: pa.Table
    version: int = field(default=FORMAT.major)  # of the format
    drawn: bool = False

    def __repr__(self) -> str:
        return f"Release({self.manifest.get('name')!r}, {self.release_hash[:12]}, {str(self.path)!r})"

    @property
    def index(self) -> pa.Table:
        """All columns of the index, schema SAMPLES. Who needs a few takes `columns.select(names)`: of a million rows
        all of them take half a second and 600 MB."""
        return self.columns.table()

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Files in the folder that the manifest does not list: not of the release, whatever they are."""
        return unlisted(self.path, self.manifest["files"], self.version)

    @property
    def release_hash(self) -> str:
        """64 hex digits: names all that is in the release."""
        return str(self.manifest["release_hash"])

    @property
    def has_payloads(self) -> bool:
        """Whether samples lie in shards; not in a part that holds features alone."""
        return self.version < FEATURES_ALONE.major

    def require_payloads(self) -> None:
        """Raises `UserError` where it has none, and says what it has."""
        if not self.has_payloads:
            raise UserError(f"{self.path} holds features alone, no payload. Read {self._shown_tables}, and to_pandas()")

    @property
    def _shown_tables(self) -> str:
        return ", ".join(f"features({name!r})" for name in self.feature_tables)

    @property
    def views(self) -> tuple[str, ...]:
        """Names of its split views."""
        return tuple(sorted(pc.unique(self.splits["view"]).to_pylist()))

    def rows(self, split: str | None = None, *, synthetic: bool | None = None, view: str | None = None) -> pa.Table:
        """Index rows of a split (None: of all). `synthetic` True or False keeps one kind. `view` is needed only
        where the release holds several. `weight` is what a row counts in training. Raises `UnknownNameError`."""
        table = self.index
        if split is not None:
            rows = self.splits.filter(pc.equal(self.splits["view"], self._view(view)))
            known = pc.unique(rows["split"]).to_pylist()
            if split not in known:
                raise UnknownNameError.of("split", split, known)
            ids = rows.filter(pc.equal(rows["split"], split))["sample_id"]
            table = table.filter(pc.is_in(table["sample_id"], value_set=ids.combine_chunks()))
        if synthetic is not None:
            real = pc.is_null(table["generator_id"])
            table = table.filter(pc.invert(real) if synthetic else real)
        return table

    def narrow(self, columns: Iterable[str]) -> Release:
        """The same release with these columns of the index alone, and what `rows` needs: choosing rows costs by the
        column. Columns are not copied."""
        names = list(dict.fromkeys([*columns, "sample_id", "generator_id"]))
        return replace(self, columns=Columns.of(self.columns.select(names), self.columns.path))

    def samples(
        self,
        split: str | None = None,
        *,
        synthetic: bool | None = None,
        view: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Rows of `rows(...)` as dicts with `payload` (bytes, checked by sha256) and `synthetic`, in shard order. To be
        multiplied with the loss: `weight`, 1.0 for real samples.

        `columns`: what of the index a dict holds beside these two, `["emotion"]` for a loop that needs the class alone.
        None: all of it, whose lists and maps take longer to build than a small picture takes to read.

        At once raises `UnknownNameError` (split, view, column of the index), `UserError` (`columns` is one text, or no
        payloads are there).
        """
        self.require_payloads()
        names = _columns(columns, self.columns.names)
        own = self if names is None else self.narrow([*names, *PLACE])
        return self._samples(own.rows(split, synthetic=synthetic, view=view), names)

    def _samples(self, table: pa.Table, names: list[str] | None) -> Iterator[dict[str, Any]]:
        if names is None:
            for row, payload in iter_payloads(self.path, table, whole=self._is_whole):
                yield row | {"payload": payload, "synthetic": row["generator_id"] is not None}
            return
        for row, payload in iter_payloads(self.path, table, [*names, "generator_id"], self._is_whole):
            generator = row["generator_id"]
            if "generator_id" not in names:
                del row["generator_id"]
            yield row | {"payload": payload, "synthetic": generator is not None}

    def _is_whole(self, shard: str) -> bool:
        """Whether a shard is what the manifest says: it was hashed before and has not changed since, or it is now."""
        entry = self.manifest["files"].get(shard)
        return entry is not None and has_hash(self.path, shard, entry["sha256"])

    def webdataset(
        self,
        split: str | None = None,
        *,
        kind: Kind = "both",
        decode: bool = True,
        shuffle: Shuffle | None = None,
        check: bool = True,
        **which: Unpack[Which],
    ) -> webdataset.WebDataset:
        """A `wds.WebDataset` of a split (None: all), to be gone on with by its stages: `to_tuple`, `map`, `batched`.

        A sample: `__key__`, `__url__`, its payload under its codec ("wav", "png", "npz", "txt"), decoded as
        corpora/reading/decoded.py says, or bytes without `decode`; `json`; and from the index `emotion`, `weight` (to
        be multiplied with the loss) and `synthetic`. kind: "real", "synthetic" or "both".

        Over all ranks and DataLoader workers each sample comes exactly once in an epoch, however many shards there are;
        readers' parts differ by one sample at most. `shuffle`: names the order (`Shuffle(seed, epoch)`); for the next
        epoch build the pipeline anew with its number, which costs milliseconds. Without: the order of the shards.
        check: a shard is hashed when it is first opened, and then again only after it has changed.

        which: `view`; `where={"mcd": "<= 6"}`, scores of synthetic samples; `synthetic_share` in [0, 1]; `classes`.
        Raises as `corpora.reading.selection.selected`; `UnknownNameError` for a codec that has no decoder; while it is
        read `IntegrityError`.
        """
        from corpora.reading.pipeline import Stages, pipeline  # webdataset takes a second to load

        return pipeline(self, split, kind, Stages(decode, shuffle, check), which)

    def balance(self, split: str = "train", *, view: str | None = None) -> dict[str, ClassBalance]:
        """Class -> its real and synthetic rows in the split and the sum of their weights, which is what is balanced.
        Soft labels, of no class, are left out. Raises `UnknownNameError`."""
        return class_balance(self.narrow(["emotion", "weight"]).rows(split, view=view))

    def to_pandas(self, split: str | None = None, *, scores: bool = False, view: str | None = None) -> pd.DataFrame:
        """Rows of `rows(...)` as a pandas frame, index `sample_id`, in the order of the index.

        All columns of SAMPLES and before them `split` and `synthetic` (bool); what has few values (corpus, emotion,
        subject, ...) is a category, `split` one ordered train < dev < test. A missing text is NaN, a missing number NaN
        or, where it is whole, <NA>. `scores`: also a column `score.<gate>` for each sample gate, float64: what the gate
        gave a synthetic sample, NaN for real ones and where it could not be scored.

        Raises `UnknownNameError`; `IntegrityError` where the scores are not those of the manifest.
        """
        from corpora.store.frame import index_frame, score_frame  # pandas takes a second to load

        view = self._view(view)
        splits = self.splits.filter(pc.equal(self.splits["view"], view))
        frame = index_frame(self.rows(split, view=view), splits)
        if scores and SCORE_TABLE in self.manifest["files"]:
            frame = frame.join(score_frame(self.scores()))
        return frame

    def _view(self, view: str | None) -> str:
        """The view that is meant; None: the only one. Raises `UnknownNameError`."""
        name = view if view is not None else (self.views[0] if len(self.views) == 1 else None)
        if name not in self.views:
            raise UnknownNameError.of("split view", str(view), self.views)
        return name

    def scores(self) -> pa.Table:
        """SCORES: what each gate gave each candidate, accepted or not; no row where nothing was drawn. Raises
        `IntegrityError` where the file is not what it was."""
        if SCORE_TABLE not in self.manifest["files"]:
            return SCORES.empty_table()
        _check_file(self.path, SCORE_TABLE, self.manifest["files"][SCORE_TABLE])
        return read_table(self.path / SCORE_TABLE, SCORES)

    def requests(self) -> pa.Table | None:
        """REQUESTS, a row for each synthetic sample: which model was asked for it, with which prompts, and its
        cost. None where the generator asks nobody. Raises `IntegrityError` where the file is not what it was."""
        if REQUESTS_TABLE not in self.manifest["files"]:
            return None
        _check_file(self.path, REQUESTS_TABLE, self.manifest["files"][REQUESTS_TABLE])
        return read_table(self.path / REQUESTS_TABLE, REQUESTS)

    @property
    def feature_tables(self) -> tuple[str, ...]:
        """Names of the tables of features that lie beside the payloads, as `features(name)` takes them."""
        return tuple(match[1] for file in sorted(self.manifest["files"]) if (match := FEATURE_TABLE.fullmatch(file)))

    def features(self, name: str | None = None) -> pa.Table:
        """name: of a table beside payloads (`feature_tables`): sample_id in the order of the index, then one float32
        column a feature; null where a sample has none (the manifest's `feature_tables` counts why). The metadata of the
        schema names representation, parameters and weights; of a field, its unit. Raises `UnknownNameError`.

        None: features.parquet of a release of feature rows: sample_id, split, corpus, ..., weight, generator_id (null:
        real), then one float32 column a feature; `schema.field(name).metadata[b"unit"]` is its unit. A weight is never
        null; of a release that was opened with `weights="draw"` the samples that were drawn, each of weight 1.

        Raises `UserError` where the release has none, `IntegrityError` where the file is not what it was.
        """
        if name is not None:
            return self._feature_table(name)
        if FEATURES not in self.manifest["files"]:
            self.require_payloads()
            also = f" Tables beside them: {self._shown_tables}." if self.feature_tables else ""
            from_shards = "payloads were generated, and `samples()` reads them from the shards."
            raise UserError(f"{self.path} has no {FEATURES}: {from_shards}{also}")
        _check_file(self.path, FEATURES, self.manifest["files"][FEATURES])
        table = pq.ParquetFile(self.path / FEATURES).read()
        if "weight" not in table.schema.names:  # of formats before 3.1
            ones = pa.array(np.ones(table.num_rows, np.float32))
            table = table.add_column(table.schema.get_field_index("generator_id"), SAMPLES.field("weight"), ones)
        table = with_weights(table, self.path / FEATURES)
        if self.drawn:
            known = self.columns["sample_id"].combine_chunks()
            table = _weighing_one(table.filter(pc.is_in(table["sample_id"], value_set=known)))
        return table

    def _feature_table(self, name: str) -> pa.Table:
        if name not in self.feature_tables:
            raise UnknownNameError.of("feature table", name, self.feature_tables)
        file = feature_file(name)
        _check_file(self.path, file, self.manifest["files"][file])
        table = pq.ParquetFile(self.path / file).read()
        if self.drawn:
            table = table.filter(pc.is_in(table["sample_id"], value_set=self.index["sample_id"].combine_chunks()))
        return table

    def lineage(self) -> pa.Table:
        """LINEAGE: who used what; no row of a release of formats before 3.2. Raises `IntegrityError` where the file is
        not what it was."""
        if LINEAGE_TABLE not in self.manifest["files"]:
            return LINEAGE.empty_table()
        _check_file(self.path, LINEAGE_TABLE, self.manifest["files"][LINEAGE_TABLE])
        return read_table(self.path / LINEAGE_TABLE, LINEAGE)

    def verify(self) -> None:
        """The manifest, and every file of it: there, of its size and sha256; the hash of the whole; members of each tar
        as many as the index has; no tar among the shards that nobody knows. Other files that the manifest does not list
        are not of the release: see `unlisted`. Raises `IntegrityError` with the first thing that differs."""
        manifest, version = read_manifest(self.path)
        if manifest != self.manifest:
            raise IntegrityError(f"{self.path / MANIFEST} is another than when the release was opened.")
        first_problem(self._problems(version))

    def _problems(self, version: int) -> Iterator[Problem]:
        """In the order in which they are looked for; all of them, and where they lie: corpora/store/verify.py."""
        for name, entry in self.manifest["files"].items():
            if (problem := file_problem(self.path, name, entry)) is not None:
                yield problem
        if version == 1 and (root := root_problem(self.path, self.manifest)):
            yield Problem(MANIFEST, "manifest", root)
        yield from foreign_shards(self.path, self.unlisted)
        index = index_columns(self.path, version)  # all rows, whatever was drawn of them
        yield from member_problems(self.path, index["shard"].drop_null())


def index_columns(root: Path, version: int) -> Columns:
    """The index of a release of this major version of the format. Raises `IntegrityError`."""
    return Columns(root / INDEX, WITHOUT_PAYLOADS if version >= FEATURES_ALONE.major else SAMPLES)


def open_release(path: Path | str, *, weights: Weights = "keep", seed: int = 0) -> Release:
    """Opens a release folder; reads and checks the manifest and the tables, no payload.

    `weights`: what becomes of the samples' weights. "keep": each row has its `weight`, to be multiplied with the loss.
    "draw": for trainers that know no weights; of the synthetic samples of each class exactly as many are kept as their
    weights come to, each with its weight as the probability, and all that is left weighs 1. `seed` fixes which; another
    one every epoch shows all of them in time (corpora/store/weights.py). Without weights in it a release is the same
    either way.

    Raises `CorpusError` if there is no release or one of a newer format, `IntegrityError` if the manifest or a table is
    not what it was, names files outside of the folder, or holds a weight that is NaN or outside [0, 1];
    `UnknownNameError` for another `weights`. Warns (`RetractedWarning`) where the folder says that something of it was
    retracted since it was published.
    """
    if weights not in get_args(Weights):
        raise UnknownNameError.of("treatment of weights", str(weights), get_args(Weights))
    root = Path(path)
    manifest, version = read_manifest(root)
    warn_of_notice(root)
    for name in TABLES:
        if name not in manifest["files"]:
            raise IntegrityError(f"{root / MANIFEST} does not list {name}: it is not the manifest of a release.")
        _check_file(root, name, manifest["files"][name])
    index = index_columns(root, version)
    index = index.having("weight", with_weights(index.select(["sample_id", "weight"]), index.path)["weight"])
    splits = read_table(root / SPLIT_TABLE, SPLITS)
    for shard in _shards(index["shard"]):
        if shard not in manifest["files"]:
            raise IntegrityError(f"{root}: the index names {shard!r}, the manifest does not.")
    if weights == "draw":
        index = index.filter(pa.array(drawn(index.select(DRAWN_BY), seed)))
        index = index.having("weight", _weighing_one(index.select(["weight"]))["weight"])
    return Release(root, manifest, index, splits, version, weights == "draw")


def _weighing_one(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("weight")
    return table.set_column(at, table.schema.field(at), pa.array(np.ones(table.num_rows, np.float32)))


def _columns(asked: Iterable[str] | None, known: Sequence[str]) -> list[str] | None:
    """The columns that were asked for, each once. `payload` and `synthetic` are there in any case."""
    if asked is None:
        return None
    if isinstance(asked, str):
        raise UserError(f"columns is the text {asked!r}; a list of names is wanted: columns=[{asked!r}]")
    names = [name for name in dict.fromkeys(asked) if name not in ("payload", "synthetic")]
    for name in names:
        if name not in known:
            raise UnknownNameError.of("column of the index", str(name), known)
    return names


def _shards(names: pa.ChunkedArray) -> list[str]:
    return sorted(pc.unique(names.drop_null()).to_pylist())


def read_manifest(root: Path) -> tuple[dict[str, Any], int]:
    """-> the manifest, whole and of the right types, and the major version of its format. Raises as `open_release`."""
    place = root / MANIFEST
    if not place.is_file():
        raise CorpusError(f"{root} is no release: it holds no {MANIFEST}. Give the folder that `emoforge run` printed.")
    manifest = read_json(place)
    version = FEATURES_ALONE.require(manifest.get("format", "emoforge-release/1"), place)
    for name in ("files", "release_hash"):
        if name not in manifest:
            raise IntegrityError(f"{place} has no {name!r}: it is not the manifest of a release.")
    if not _is_sha256(manifest["release_hash"]):
        raise IntegrityError(f"{place}: release_hash is {_short(manifest['release_hash'])}; 64 hex digits are wanted.")
    if not isinstance(manifest["files"], dict):
        kind = type(manifest["files"]).__name__
        raise IntegrityError(f"{place}: files is a {kind}; a mapping of path to sha256 and n_bytes is wanted.")
    for name, entry in manifest["files"].items():
        _check_entry(place, name, entry)
    for name, (wanted, fits) in _FIELDS.items():
        if name in manifest and not fits(manifest[name]):
            raise IntegrityError(f"{place}: {name} is {_short(manifest[name])}; {wanted} is wanted.")
    if version > 1:
        if place.is_symlink() or not as_written(place, manifest):
            raise IntegrityError(f"{place} was not written by emoforge as it stands: it was changed.")
        own = _own_hash(manifest)
        if own != manifest["release_hash"]:
            raise IntegrityError(
                f"{place} was changed: it hashes to {own}, its release_hash is {manifest['release_hash']}."
            )
    return manifest, version


def _check_entry(place: Path, name: str, entry: Any) -> None:
    """A path that stays below the release, and a hash and size that are some."""
    parts = name.split("/")
    if (
        PurePosixPath(name).is_absolute()
        or any(part in ("", ".", "..") for part in parts)
        or name == MANIFEST
        or not name.isprintable()
        or len(name) > MAX_NAME
        or "\\" in name
    ):
        raise IntegrityError(f"{place}: files names {_short(name)}, which is no path of a file below the release.")
    size = entry.get("n_bytes") if isinstance(entry, dict) else None
    if not (isinstance(entry, dict) and _is_sha256(entry.get("sha256")) and type(size) is int and size >= 0):
        raise IntegrityError(f"{place}: files says {_short(entry)} of {name!r}; sha256 and n_bytes are wanted.")


def _check_file(root: Path, name: str, entry: Mapping[str, Any]) -> None:
    if (problem := file_problem(root, name, entry, remembered=True)) is not None:
        raise IntegrityError(problem.sentence)


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _short(value: Any) -> str:
    shown = reprlib.repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."

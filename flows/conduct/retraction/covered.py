"""What a retraction takes out of the ingested corpora: the thing itself, equal payloads, and near copies of either.

Near copies are those that ingest has listed (near_pairs.parquet) and those between two corpora of one modality, which
are compared here by their fingerprints, as the audit does.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import UnknownNameError, UserError
from corpora.near.pairs import FINGERPRINTS, NEAR, near_pairs
from corpora.schema import SAMPLES
from corpora.store.shards import read_table
from flows.params import load_params
from flows.paths import Layout
from flows.stages.ingest.retracted import Of, Retraction, retraction_key

INDEX = ("sample_id", "corpus", "subject_id", "modality", "sha256")


@dataclass(frozen=True, slots=True)
class Thing:
    """What is to be taken out: the id of a subject (CORPUS:SUBJECT), of a sample (CORPUS/...), or a corpus."""

    of: Of
    name: str

    @property
    def corpus(self) -> str:
        """Where it lies. Raises `UserError` for an id that names no corpus."""
        mark = {"subject": ":", "sample": "/", "corpus": ""}[self.of]
        corpus, _, rest = self.name.partition(mark) if mark else (self.name, "", "all")
        if not corpus or not rest:
            raise UserError(f"{self.name!r} is no id of a {self.of}; it begins with its corpus: demo_speech{mark}...")
        if corpus == "syn":
            raise UserError(f"{self.name} is synthetic; take out the real sample or the person that it stands on")
        return corpus

    @property
    def key(self) -> str:
        """Hashed, as data/retractions has it."""
        return retraction_key(self.of, self.name)


@dataclass(frozen=True)
class Covered:
    """Real samples that go: of the thing itself, and its copies elsewhere. payloads: sha256 of all of them."""

    own: tuple[str, ...] = ()
    near: dict[str, tuple[str, ...]] = field(default_factory=dict)  # corpus -> ids
    payloads: tuple[str, ...] = ()

    @property
    def n_near(self) -> int:
        """Near copies in all corpora."""
        return sum(len(ids) for ids in self.near.values())


def ingested(layout: Layout) -> dict[str, Path]:
    """Corpora that were ingested here, by name."""
    return {p.parent.name: p.parent for p in sorted((layout.repo / "data" / "corpora").glob("*/index.parquet"))}


def covered(thing: Thing, layout: Layout, *, before: Retraction | None) -> Covered:
    """What of the ingested corpora goes. before: the retraction that there is already, whose payloads are searched for
    as well. Raises `UnknownNameError` where no corpus has it and nobody has taken it out, `UserError` where the corpus
    was not ingested here."""
    folders = ingested(layout)
    corpus = thing.corpus
    index = {name: read_table(folder / "index.parquet", SAMPLES).select(INDEX) for name, folder in folders.items()}
    own = _own(thing, index.get(corpus))
    if own is None and before is None:
        if corpus in load_params(layout.params).corpora:
            raise UserError(
                f"corpus {corpus!r} was not ingested here, so what it has of {thing.name} is not known: "
                f"dvc pull data/corpora/{corpus}, or build a run of it (emoforge run)"
            )
        raise UnknownNameError.of("corpus", corpus, folders)
    if (own is None or own.num_rows == 0) and before is None and thing.of != "corpus":
        assert own is not None
        column = "subject_id" if thing.of == "subject" else "sample_id"
        known = [str(v) for v in index[corpus][column].unique().to_pylist() if v is not None]
        raise UnknownNameError.of(thing.of, thing.name, known)
    if thing.of == "corpus":  # copies elsewhere are the other corpus' own: the licence of this one does not bind them
        return Covered(tuple(own["sample_id"].to_pylist()) if own is not None else ())
    hashes = {*(own["sha256"].to_pylist() if own is not None else ()), *(before.payloads if before else ())}
    alike = hashes | _near(hashes, own, folders, index)
    near: dict[str, tuple[str, ...]] = {}
    payloads = set(hashes)
    mine = set(own["sample_id"].to_pylist()) if own is not None else set()
    for name, table in index.items():
        found = table.filter(pc.is_in(table["sha256"], value_set=pa.array(sorted(alike), pa.string())))
        ids = sorted(set(found["sample_id"].to_pylist()) - mine)
        payloads |= set(found["sha256"].to_pylist())
        if ids:
            near[name] = tuple(ids)
    return Covered(tuple(sorted(mine)), near, tuple(sorted(payloads)))


def _own(thing: Thing, table: pa.Table | None) -> pa.Table | None:
    if table is None or thing.of == "corpus":
        return table
    column = "subject_id" if thing.of == "subject" else "sample_id"
    return table.filter(pc.equal(table[column], thing.name))


def _near(hashes: set[str], own: pa.Table | None, folders: dict[str, Path], index: dict[str, pa.Table]) -> set[str]:
    """Payloads (sha256) that are near copies of one of `hashes`, in any corpus of the modality."""
    if own is None or own.num_rows == 0:
        return set()
    modality = own["modality"][0].as_py()
    alike = [n for n, table in index.items() if table.num_rows and modality in table["modality"].unique().to_pylist()]
    pairs = [read_table(folders[name] / "near_pairs.parquet", NEAR) for name in alike]
    if len(alike) > 1:
        prints = pa.concat_tables([read_table(folders[name] / "near.parquet", FINGERPRINTS) for name in alike])
        pairs.append(near_pairs(prints))
    links: dict[str, set[str]] = defaultdict(set)
    for table in pairs:
        for one, other in zip(table["first"].to_pylist(), table["second"].to_pylist(), strict=True):
            links[one].add(other)
            links[other].add(one)
    return {other for sha in hashes for other in links.get(sha, ())}

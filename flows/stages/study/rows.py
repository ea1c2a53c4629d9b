"""The rows of a study: every prepared piece of its corpora with features, label and people, once, in the work store.

Nothing of a fold is in it: which rows are train is a matter of views (flows/stages/study/views.py). The prepared
payloads stay where `prepare` puts them; a row says where.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from corpora.errors import CorpusError
from corpora.fingerprint import hash_json
from corpora.labels import CANONICAL
from corpora.schema import SAMPLES, Payload
from flows.artifacts.base import Record
from flows.engine.store import WorkStore
from flows.params import Machine
from flows.paths import Layout
from flows.stages.plan.plans import PreparePlan
from flows.stages.prepare.packs import Packs
from flows.stages.prepare.prepare import label, load_indexes
from flows.stages.prepare.preparer import representation_of
from flows.stages.prepare.records import PreparedPiece
from flows.stages.prepare.writer import Writer
from flows.studying import Task

FORM = 1  # of the stored rows
PACKS_HELD = 24  # in the memory of one worker
DIMENSIONS = ("valence", "arousal", "dominance")
# what stands in the column `emotion` of rows of a task without classes: views and preparation want a word there
NO_CLASS: dict[Task, str] = {"dimensions": "rated", "labels": "labelled"}


class RowFacts(Record):
    """What is known of one row. key: of the prepared sample, by content; emotion: in the study's scheme (`NO_CLASS` of
    a task without classes); labels: canonical names, sorted, of the task `labels` alone."""

    piece_id: str
    sample_id: str
    key: str
    emotion: str
    corpus: str
    group: str
    subject: str | None
    session: str | None
    recording: str | None
    gender: str | None
    age: float | None
    language: str | None
    official: str | None
    valence: float | None
    arousal: float | None
    dominance: float | None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a piece are: pack, codec, first and last byte in "payload" and in "coded", its facts."""

    pack: str
    codec: str
    payload: tuple[int, int]
    coded: tuple[int, int]
    piece: PreparedPiece


@dataclass(frozen=True)
class Rows:
    """Row i of every field is one piece. x: [N, *shape] float32 of the representation that the plan named; NaN in rows
    that it could not encode (`encoded` [N] bool)."""

    facts: tuple[RowFacts, ...]
    x: np.ndarray
    encoded: np.ndarray
    places: tuple[Place, ...]

    def __len__(self) -> int:
        return len(self.facts)

    @cached_property
    def emotions(self) -> np.ndarray:
        """[N] class names."""
        return np.array([fact.emotion for fact in self.facts], dtype=str)

    @cached_property
    def groups(self) -> np.ndarray:
        """[N] split units."""
        return np.array([fact.group for fact in self.facts], dtype=str)


def rows_key(plan: PreparePlan, settings: str, chosen: Sequence[str], task: Task = "classes") -> str:
    """Where the work store keeps the rows of a study that prepares as `plan` says, of the samples `chosen`."""
    came_from = [FORM, settings, plan.corpora, list(plan.corpus_names), plan.scheme, hash_json(list(chosen))]
    came_from += [] if task == "classes" else [task]  # keys of `classes` are older than other tasks
    return f"studies/rows/{hash_json(came_from)[:40]}"


@dataclass(frozen=True)
class Prepared:
    """What a study knows after preparing: where its rows are kept, the records of its samples, what was refused."""

    key: str
    settings: str  # hash of all that decides how a payload is prepared and encoded
    index: pa.Table  # SAMPLES of the samples that were prepared, labelled
    rejected: Mapping[str, int]  # reason -> samples


def prepare_rows(
    plan: PreparePlan, layout: Layout, machine: Machine, store: WorkStore, chosen: pa.Table, task: Task = "classes"
) -> Prepared:
    """Prepares and encodes what the store has not, and keeps the rows under one key. `chosen`: SAMPLES, as
    `labelled_index` gives it. Raises `CorpusError` as `prepare` does."""
    ids = chosen["sample_id"].to_pylist()
    writer = Writer(plan, layout, machine, store, chosen, dict.fromkeys(ids, "train"))
    key = rows_key(plan, writer.settings, ids, task)
    packs, records = writer.prepared_packs()
    refused: dict[str, int] = {}
    for reject in writer.rejects:
        refused[reject.reason] = refused.get(reject.reason, 0) + 1
    if not store.sound(key):
        _keep(key, packs, records, plan, store, task)
    kept = {i for i in ids if i not in {r.path for r in writer.rejects}}
    index = chosen.filter(pa.array([i in kept for i in ids], pa.bool_()))
    return Prepared(key, writer.settings, index, refused)


def _keep(key: str, packs: Packs, records: Mapping[str, Any], plan: PreparePlan, store: WorkStore, task: Task) -> None:
    facts: list[dict[str, Any]] = []
    arrays: list[np.ndarray | None] = []
    places: list[list[Any]] = []
    of_piece = {piece.piece_id: piece for piece in packs.each(list(records))}
    for sample_id, row in records.items():
        sample = packs.record(sample_id)
        for n, piece in enumerate(sample.pieces):
            content = of_piece[sample_id + piece.suffix]
            pack = packs.pack_of[sample.key]
            fact = _facts(sample_id, content.piece_id, sample.key, row)
            if task == "labels":
                fact = fact.model_copy(update={"labels": own_labels(row)})
            facts.append(fact.to_json())
            arrays.append(content.array)
            places.append([pack, content.codec, sample.key, n])
    representation = representation_of(plan.representation.model_dump(mode="json") if plan.representation else None)
    if representation is None:
        raise CorpusError(f"study {plan.run!r}: its plan names no representation")
    empty = np.full(representation.spec.shape, np.nan, np.float32)
    x = np.stack([empty if array is None else array for array in arrays]) if arrays else empty[None][:0]
    encoded = np.array([array is not None for array in arrays], dtype=bool)
    store.put_arrays(key, {"x": x.astype(np.float32), "encoded": encoded}, {"facts": facts, "places": places})


def _facts(sample_id: str, piece_id: str, key: str, row: Mapping[str, Any]) -> RowFacts:
    return RowFacts(
        piece_id=piece_id,
        sample_id=sample_id,
        key=key,
        emotion=row["emotion"],
        corpus=row["corpus"],
        group=row["group_id"],
        subject=row["subject_id"],
        session=row["session_id"],
        recording=row["recording_id"],
        gender=row["gender"],
        age=row["age"],
        language=row["language"],
        official=dict(row["extra"] or ()).get("official_split"),
        valence=row["valence"],
        arousal=row["arousal"],
        dominance=row["dominance"],
    )


def read_rows(store: WorkStore, key: str) -> Rows:
    """What `prepare_rows` kept. Raises `MissingItemError`."""
    from flows.stages.prepare.records import PackRecord

    arrays, meta = store.get_arrays(key)
    records: dict[str, PackRecord] = {}
    places = []
    for pack, codec, sample, n in meta["places"]:
        if pack not in records:
            records[pack] = PackRecord.from_json(store.get_meta(pack))
        piece = next(s for s in records[pack].samples if s.key == sample).pieces[n]
        places.append(Place(pack, codec, piece.payload, piece.coded, piece))
    facts = tuple(RowFacts.model_validate(fact) for fact in meta["facts"])
    return Rows(facts, arrays["x"], arrays["encoded"].astype(bool), tuple(places))


class Payloads:
    """Prepared payloads of rows, read from their packs; the last few packs stay in memory."""

    def __init__(self, store: WorkStore, rows: Rows) -> None:
        self._store, self._rows = store, rows
        self._held: OrderedDict[str, Mapping[str, np.ndarray]] = OrderedDict()

    def of(self, row: int, *, coded: bool = False) -> Payload:
        """The payload of a row as prepared; `coded`: after a trip through the representation, where one is kept."""
        place = self._rows.places[row]
        arrays = self._pack(place.pack)
        piece = place.piece
        if coded and piece.coded_as is not None and place.coded[1] > place.coded[0]:
            data = arrays["coded"][slice(*place.coded)].tobytes()
            return Payload(data, piece.coded_as.codec, piece.coded_as.signals, piece.coded_as.duration_s)
        data = arrays["payload"][slice(*place.payload)].tobytes()
        return Payload(data, place.codec, tuple(piece.signals), piece.duration_s)

    def _pack(self, key: str) -> Mapping[str, np.ndarray]:
        if key not in self._held:
            self._held[key] = {n: a for n, a in self._store.get_arrays(key)[0].items() if n != "arrays"}
            while len(self._held) > PACKS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]


def own_labels(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Canonical names of a row of SAMPLES whose weight is above 0, sorted."""
    return tuple(sorted({e["label"] for e in row["labels"] or () if e["scheme"] == CANONICAL and e["weight"] > 0}))


def labelled_index(plan: PreparePlan, layout: Layout, task: Task = "classes") -> pa.Table:
    """SAMPLES of all corpora of the study, shards by absolute path: those that have a class in its scheme; of the task
    `dimensions` those with any rating, of `labels` those with any canonical label, and `NO_CLASS` as their emotion."""
    index = load_indexes(plan, layout)
    if task == "classes":
        index, _ = label(index, plan.scheme)
        return index.filter(pa.compute.is_valid(index["emotion"]))
    if task == "dimensions":
        known = [any(value is not None for value in row.values()) for row in index.select(DIMENSIONS).to_pylist()]
    else:
        known = [bool(own_labels(row)) for row in index.select(["labels"]).to_pylist()]
    index = index.filter(pa.array(known, pa.bool_()))
    words = pa.array([NO_CLASS[task]] * index.num_rows, pa.string())
    return index.set_column(index.schema.get_field_index("emotion"), SAMPLES.field("emotion"), words)


def by_hash(index: pa.Table, most: int | None) -> pa.Table:
    """At most `most` samples of an index, each class by its share of the whole, chosen by a hash of the ids: a sample
    that joins the corpus moves no other one. None: all of it."""
    if most is None or index.num_rows <= most:
        return index.sort_by("sample_id")
    ids, emotions = index["sample_id"].to_pylist(), index["emotion"].to_pylist()
    ranked = sorted(range(len(ids)), key=lambda i: hash_json(["study", ids[i]]))
    wanted = {e: max(2, round(most * emotions.count(e) / len(ids))) for e in set(emotions)}
    taken: dict[str, int] = {}
    kept = []
    for i in ranked:
        if taken.get(emotions[i], 0) < wanted[emotions[i]]:
            taken[emotions[i]] = taken.get(emotions[i], 0) + 1
            kept.append(i)
    return index.take(sorted(kept, key=lambda i: ids[i]))

"""The tables and the in-memory records that every package speaks: samples, rejects, splits, scores, verdicts.

One row a sample, whatever its modality. Schemas are pyarrow's; a Parquet file that leaves this project has one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

MODALITIES = ("speech", "face", "text", "physio")
PARTS = {"speech": "voice", "face": "face", "text": "line", "physio": "signals"}  # what a sample is that names no part
FROM = "from"  # the role of a source that a sample was moved away from
SPLIT_NAMES = ("train", "dev", "test")
FACTS = ("layout", "labels", "subjects", "counts", "splits", "license")  # what a card owes a source for
CORPUS_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")

_LABEL = pa.struct([("scheme", pa.string()), ("label", pa.string()), ("weight", pa.float32())])
_RATING = pa.struct([("scheme", pa.string()), ("rater", pa.string()), ("value", pa.float32())])
_SOURCE = pa.struct([("role", pa.string()), ("id", pa.string())])
_SIGNAL = pa.struct(
    [("name", pa.string()), ("unit", pa.string()), ("rate_hz", pa.float32()), ("shape", pa.list_(pa.int32()))]
)


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SAMPLES = pa.schema(
    [
        _required("sample_id", pa.string()),  # "<corpus>/<native id>"; synthetic: "syn/<generator id>/<draw>"
        _required("corpus", pa.string()),
        _required("modality", pa.string()),
        pa.field("part", pa.string()),  # of its recording: voice, face, line, eeg, eye, ...
        _required("recording_id", pa.string()),  # what several parts are recordings of; alone: sample_id
        pa.field("subject_id", pa.string()),  # "<corpus>:<subject>"; null where the corpus knows none
        _required("group_id", pa.string()),  # the split unit: all of one group lie in one split
        pa.field("session_id", pa.string()),
        pa.field("turn", pa.int32()),
        pa.field("t_start_s", pa.float64()),
        pa.field("t_end_s", pa.float64()),
        pa.field("emotion", pa.string()),  # in the target scheme; null where the corpus has none in it
        pa.field("labels", pa.list_(_LABEL)),
        pa.field("ratings", pa.list_(_RATING)),
        pa.field("emotion_raw", pa.string()),
        pa.field("intensity", pa.float32()),
        pa.field("valence", pa.float32()),  # [-1, 1]; null: not rated
        pa.field("arousal", pa.float32()),
        pa.field("dominance", pa.float32()),
        pa.field("rater_agreement", pa.float32()),
        pa.field("gender", pa.string()),
        pa.field("age", pa.float32()),
        pa.field("language", pa.string()),
        pa.field("sentence_id", pa.string()),
        _required("codec", pa.string()),  # "wav", "png", "txt", ...: the payload's file ending in the shard
        pa.field("duration_s", pa.float64()),
        pa.field("signals", pa.list_(_SIGNAL)),
        pa.field("extra", pa.map_(pa.string(), pa.string())),
        _required("shard", pa.string()),
        _required("offset", pa.int64()),  # of the payload's first byte in the tar
        _required("n_bytes", pa.int64()),
        _required("sha256", pa.string()),  # of the payload
        pa.field("generator_id", pa.string()),  # these four: null for a real sample
        pa.field("seed", pa.int64()),
        pa.field("sources", pa.list_(_SOURCE)),  # by role: "from", "style", ...
        pa.field("source_ids", pa.list_(pa.string())),  # ids of `sources`, for readers of formats before 3
        pa.field("weight", pa.float32()),  # what a sample counts in training, in [0, 1]; null: 1
        _required("license", pa.string()),
        pa.field("consent", pa.string()),
    ]
)

REJECTS = pa.schema(
    [
        _required("corpus", pa.string()),
        _required("path", pa.string()),  # relative to the corpus' root, or the sample's id
        _required("stage", pa.string()),  # ingest | prepare
        _required("reason", pa.string()),  # a slug: "not-a-wav", "too-short", ...
        pa.field("detail", pa.string()),
    ]
)

SPLITS = pa.schema(
    [_required("view", pa.string()), _required("sample_id", pa.string()), _required("split", pa.string())]
)

SCORES = pa.schema(
    [
        _required("sample_id", pa.string()),
        _required("emotion", pa.string()),  # the class that was asked for
        _required("round", pa.int32()),
        _required("gate", pa.string()),
        pa.field("value", pa.float64()),  # NaN: could not be scored, hence not passed, unless real samples were lacking
        pa.field("limit", pa.float64()),
        _required("passed", pa.bool_()),
        pa.field("reason", pa.string()),
        pa.field("judge", pa.string()),  # what measured: name and hash of judge or reference
    ]
)

# who was asked for a synthetic sample, where its generator asks somebody else: a language model behind an address
LINEAGE = pa.schema(
    [
        _required("sample_id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("model", pa.string()),  # as the run names it
        pa.field("answered_by", pa.list_(pa.string())),  # as the server names it, one for each request
        pa.field("requests", pa.list_(pa.string())),  # sha256 of address and body, in the order in which they were sent
        pa.field("prompts", pa.list_(pa.string())),  # JSON of the messages of each request
        pa.field("annotator", pa.string()),  # model that named the class; null: nobody was asked
        pa.field("label", pa.string()),  # what it said; null: no class
        pa.field("attempts", pa.int32()),  # answers that the draw used up; what stands above is of the last
        pa.field("tokens_in", pa.int64()),  # these three: of all attempts, the annotator's answers among them
        pa.field("tokens_out", pa.int64()),
        pa.field("money", pa.float64()),  # in the unit of the run's prices
        pa.field("facts", pa.string()),  # JSON of what else the generator says; null: nothing
    ]
)

VERDICTS = pa.schema(
    [
        _required("gate", pa.string()),
        _required("group", pa.string()),  # "all" or a class
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("floor", pa.float64()),
        pa.field("limit", pa.float64()),
        _required("n_real", pa.int64()),
        _required("n_synthetic", pa.int64()),
        _required("unit", pa.string()),
        pa.field("judge", pa.string()),
        _required("verdict", pa.string()),  # pass | fail | undecided
        _required("reason", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Signal:
    """What a record says of one signal of its payload: name, unit, samples a second (None: no series), shape."""

    name: str
    unit: str | None = None
    rate_hz: float | None = None
    shape: tuple[int, ...] = ()

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Signal:
        """An entry of the column `signals`."""
        return cls(str(row["name"]), row.get("unit"), row.get("rate_hz"), tuple(row.get("shape") or ()))

    def as_row(self) -> dict[str, Any]:
        """An entry of the column `signals`."""
        return {"name": self.name, "unit": self.unit, "rate_hz": self.rate_hz, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Payload:
    """A file's bytes and what its record says of them: both ways of a representation.

    `codec`: the file's ending ("wav", "png", "txt", "npz", ...). `signals`: of physiology, each with unit and rate.
    """

    data: bytes
    codec: str
    signals: tuple[Signal, ...] = ()
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled payload on its way from a reader into a shard.

    `emotion` is a name of the canonical vocabulary (`corpora.labels.EMOTIONS`) or None. Ratings on dimensions are in
    [-1, 1]. `payload` holds the file's bytes in the format that `codec` names. `part`: what of its recording it is;
    None: what is usual for the modality (`PARTS`). `sources`: role -> id of a real sample that a synthetic one was made
    from. `weight`: what it counts in training, in [0, 1]; None: 1.
    """

    sample_id: str
    corpus: str
    modality: str
    payload: bytes
    codec: str
    license: str
    group_id: str
    subject_id: str | None = None
    recording_id: str | None = None  # None: the sample stands alone and is its own recording
    session_id: str | None = None
    turn: int | None = None
    t_start_s: float | None = None
    t_end_s: float | None = None
    emotion: str | None = None
    emotion_raw: str | None = None
    labels: Sequence[Mapping[str, object]] = ()
    ratings: Sequence[Mapping[str, object]] = ()
    intensity: float | None = None
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    rater_agreement: float | None = None
    gender: str | None = None
    age: float | None = None
    language: str | None = None
    sentence_id: str | None = None
    duration_s: float | None = None
    signals: Sequence[Mapping[str, object]] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    generator_id: str | None = None
    seed: int | None = None
    sources: Mapping[str, str] | None = None
    consent: str | None = None
    part: str | None = None
    weight: float | None = None

    @property
    def source_ids(self) -> tuple[str, ...] | None:
        """Ids of the sources in the order of their roles' names; None where `sources` is."""
        return None if self.sources is None else tuple(self.sources[role] for role in sorted(self.sources))


@dataclass(frozen=True, slots=True)
class Reject:
    """One file or row that could not become a sample, and why. `reason` is a slug that can be counted.

    `label`: the text that is no label of the corpus, where that is why; `nearest`: the known label it may be a spelling
    of. Neither is a column of `REJECTS`: `detail` says both in words.
    """

    corpus: str
    path: str
    reason: str
    detail: str = ""
    stage: str = "ingest"
    label: str | None = None
    nearest: str | None = None


@dataclass(frozen=True, slots=True)
class CorpusCard:
    """What was published about a corpus. A fact without a source is None and named in `unverified`, never a guess.

    `split_unit`: what stays together in one split: "subject", "dialogue", "trial", "video" or "payload" (pixel hash).
    `label_map`: native label -> canonical emotion, or None where the vocabulary has no word for it; empty for a corpus
    that is rated on dimensions only.
    `counts`: native label -> published number of samples (for several labels a sample: of samples that carry it).
    `dimensions`: rated dimension -> (lowest, highest) value of the corpus' own scale; records hold them in [-1, 1].
    `sources`: fact (one of `FACTS`) -> paper, page or file where it stands; those without one are in `unverified`.
    `tested_on`: "real" where the tests read published files, "fake" where only fake ones in the native layout.
    """

    name: str
    title: str
    modality: str
    version: str
    license: str  # SPDX id where one exists
    may_redistribute: bool
    url: str
    bibtex: str
    language: str | None
    split_unit: str
    label_map: Mapping[str, str | None]
    counts: Mapping[str, int] | None
    counts_source: str | None
    n_subjects: int | None
    n_samples: int | None = None
    knows_subjects: bool = True
    is_vector: bool = False  # samples are vectors of features, without rates and times
    dimensions: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    official_split: str | None = None  # what the published split is, in a sentence
    sources: Mapping[str, str] = field(default_factory=dict)
    unverified: tuple[str, ...] = ()
    access: str = "open download"  # or what one must sign or ask for
    tested_on: str = "fake"
    quirks: tuple[str, ...] = ()  # oddities of the published files that the reader knows


@runtime_checkable
class Corpus(Protocol):
    """A reader: a data card that runs.

    `corpus` (the second argument of read) is the id under which the user linked it, so that two copies can live side
    by side; ids of samples, subjects and groups start with it.
    """

    card: CorpusCard

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        """Yields samples and rejects in a deterministic order with bounded memory.

        Raises `CorpusError` if `root` is missing, empty or has nothing of this corpus' layout.
        """
        ...

    def fake(self, root: Path, *, subjects: int, per_class: Mapping[str, int] | int, seed: int) -> None:
        """Writes a small fake corpus in the native layout. `per_class` counts samples in all (canonical names).

        A corpus rated on dimensions only takes an int: that many samples in all. Where the layout fixes the trials of a
        subject, counts are rounded up to what it can hold.
        """
        ...

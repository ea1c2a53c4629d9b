"""augmented/: the synthetic samples of a run and what became of every candidate (flows/stages/augment/augment.py).

shards/train-synthetic-*.tar + index.parquet   what is released, with its weight where samples are weighted
accepted.parquet                               every candidate that passed all gates, and whether it is released
scores.parquet                                 every candidate and gate
asked.parquet                                  every candidate: what it was asked for beside the class; where a run asks
draws.parquet + drawn_by.json                  every draw of the lists that released samples were drawn in, and by what
requests.parquet                               every candidate: who was asked for it; of generators that ask somebody
rejected/*.tar + rejected.parquet              a few rejected candidates of each class and gate, to look at
reference.json                                 gate -> class -> scores of real samples that the gate had not met
balance.json                                   counts of every class, cell and round; limits
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from corpora.schema import REQUESTS, SAMPLES, SCORES, Sample
from corpora.store.shards import read_table, write_shards, write_table
from flows.artifacts.base import Folder, Record, optional_table, read_as, write_as
from flows.params import Target
from generators.draws.balance import Stop
from generators.generator import RATED

Reference = dict[str, dict[str, list[float | None]]]  # gate -> class -> scores; None: no finite one

# accepted.parquet: `place`: its turn among those of its cell, in the order of choice; `weight`: null: 1
ACCEPTED = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("emotion", pa.string(), nullable=False),
        pa.field("corpus", pa.string()),
        pa.field("subject_id", pa.string()),
        pa.field("round", pa.int32(), nullable=False),
        pa.field("place", pa.int32()),
        pa.field("released", pa.bool_(), nullable=False),
        pa.field("weight", pa.float32()),
    ]
)

# asked.parquet: null where it was not asked for
ASKED = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        *(pa.field(name, pa.float64()) for name in RATED),
        pa.field("subject_id", pa.string()),
        pa.field("given", pa.string()),  # JSON of named vectors: name -> numbers
    ]
)

# draws.parquet: `list`: key of the draws that were made in one batch, `row`: the place in it; `draw`: canonical JSON
DRAWS = pa.schema(
    [
        pa.field("list", pa.string(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("draw", pa.string(), nullable=False),
    ]
)


class DrawnBy(Record):
    """drawn_by.json: what names the generator, hence its samples (`generator_id` in flows/stages/fit/model_file.py).
    weights: over the hashes of the model's files; params: over parameters, representation and classes; code: of what
    turns draws into payloads; loads: path that a parameter names -> hash of what lay there."""

    generator_id: str
    generator: str
    weights: str
    params: str
    code: str
    loads: dict[str, str]


class GateCost(Record):
    """What one gate costs a class. refused: candidates that it rejects, whatever the others say; alone: those that only
    it rejects. draws_per_accepted: how many more draws an accepted sample takes because of it; None where none passed.
    """

    refused: int
    alone: int
    draws_per_accepted: float | None


class ClassTally(Record):
    """Counts of a class. real_train, target: train samples, real and wanted. accepted: released; surplus: passed and
    were not needed, or are withheld. effective: what the accepted come to, the sum of their weights; by count as many
    as they are. rejected: gate that rejected first -> candidates. acceptance: share that passed, None where nothing was
    drawn. stopped: why sampling ended (generators/draws/balance.py)."""

    emotion: str
    real_train: int
    target: int
    candidates: int
    accepted: int
    effective: int
    surplus: int
    rejected: dict[str, int]
    acceptance: float | None
    draws_per_accepted: float | None
    gates: dict[str, GateCost]
    filled: bool
    stopped: Stop

    @property
    def named(self) -> str:
        """What people read."""
        return self.emotion

    @property
    def counted(self) -> str:
        """What the accepted count for, for people: "24", or "24 (188 weighted)"."""
        return f"{self.accepted}" if self.accepted == self.effective else f"{self.effective} ({self.accepted} weighted)"

    @property
    def passed(self) -> int:
        """Candidates that passed every gate."""
        return self.accepted + self.surplus


class CellTally(ClassTally):
    """The same of a class of one corpus, of one subject, or of a mixture of classes (class -> share)."""

    corpus: str | None
    subject: str | None
    mixture: dict[str, float] | None = None

    @property
    def named(self) -> str:
        """The class, or the mixture with its shares: "0.5 fear + 0.5 sadness"."""
        return " + ".join(f"{share:g} {name}" for name, share in (self.mixture or {}).items()) or self.emotion

    @model_serializer(mode="wrap")
    def _without_mixture(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Most cells are of one class."""
        return {k: v for k, v in dump(self).items() if k != "mixture" or v is not None}


class RoundTally(Record):
    """One round of one cell. accepted: candidates that passed every gate."""

    round: int
    emotion: str = Field(alias="class")
    candidates: int
    accepted: int
    corpus: str | None = None
    subject: str | None = None

    @model_serializer(mode="wrap")
    def _without_owner(self, dump: SerializerFunctionWrapHandler) -> dict[str, str | int]:
        """A round of a class of the run has neither corpus nor subject."""
        return {k: v for k, v in dump(self).items() if v is not None}


class Chosen(Record):
    """How the released samples were chosen among those that passed; nothing of it without a generator.
    cells_with_a_choice: cells in which more passed than were needed. spread, embedding: of `diverse` alone."""

    by: str | None = None
    cells_with_a_choice: int | None = None
    spread: str | None = None
    embedding: str | None = None

    @model_serializer(mode="wrap")
    def _what_was_done(self, dump: SerializerFunctionWrapHandler) -> dict[str, str | int]:
        return {k: v for k, v in dump(self).items() if v is not None}


class Balance(Record):
    """balance.json. within, target: of the run's params; None without a generator. cells: where corpora or subjects are
    balanced on their own. limits: gate -> class -> the number that scores were
    held against, None: none. undecided: gate -> class -> why the gate has no say in it."""

    within: str | None
    target: Target | None
    classes: tuple[ClassTally, ...]
    cells: tuple[CellTally, ...]
    rounds: tuple[RoundTally, ...]
    chosen: Chosen
    limits: dict[str, dict[str, float | None]]
    undecided: dict[str, dict[str, str]]

    @property
    def mixtures(self) -> tuple[CellTally, ...]:
        """Cells of soft labels, which are no class of the run."""
        return tuple(cell for cell in self.cells if cell.mixture)

    @property
    def owned(self) -> tuple[CellTally, ...]:
        """Cells of a corpus or of a subject."""
        return tuple(cell for cell in self.cells if not cell.mixture)

    @property
    def every(self) -> tuple[ClassTally, ...]:
        """Classes, then mixtures: each sample that is wanted counts in one of them."""
        return (*self.classes, *self.mixtures)


@dataclass(frozen=True, slots=True)
class Augmented(Folder):
    """data/runs/<run>/augmented. Readers raise `IntegrityError` that names the file."""

    @property
    def shards(self) -> Path:
        """The folder of the tars that `index` points into."""
        return self.path / "shards"

    @property
    def has_reference(self) -> bool:
        """False in a run of before gates kept the scores of real samples."""
        return (self.path / "reference.json").exists()

    @property
    def scores_file(self) -> Path:
        """scores.parquet, which a release holds as it is."""
        return self.path / "scores.parquet"

    def index(self) -> pa.Table:
        """SAMPLES that are released."""
        return read_table(self.path / "index.parquet", SAMPLES)

    def rejected(self) -> pa.Table | None:
        """SAMPLES of some rejected candidates; None where none has a payload."""
        return optional_table(self.path / "rejected.parquet", SAMPLES)

    def accepted(self) -> pa.Table:
        """ACCEPTED."""
        return read_table(self.path / "accepted.parquet", ACCEPTED)

    def scores(self) -> pa.Table:
        """SCORES of every candidate and gate."""
        return read_table(self.scores_file, SCORES)

    def asked(self) -> pa.Table | None:
        """ASKED; None where the run asks for a class alone."""
        return optional_table(self.path / "asked.parquet", ASKED)

    def draws(self) -> pa.Table:
        """DRAWS; empty where nothing was drawn, and in a run of before draws were kept."""
        table = optional_table(self.path / "draws.parquet", DRAWS)
        return DRAWS.empty_table() if table is None else table

    def drawn_by(self) -> DrawnBy | None:
        """What drew; None where `draws` is empty for one of its reasons."""
        path = self.path / "drawn_by.json"
        drawn_by: DrawnBy | None = read_as(path, DrawnBy) if path.exists() else None
        return drawn_by

    def requests(self) -> pa.Table | None:
        """REQUESTS of every candidate; None of a generator that asks nobody."""
        return optional_table(self.path / "requests.parquet", REQUESTS)

    def reference(self) -> Reference:
        """Scores of real samples by parts of each gate that had not met them."""
        reference: Reference = read_as(self.path / "reference.json", Reference)
        return reference

    def balance(self) -> Balance:
        """Counts of classes, cells and rounds."""
        balance: Balance = read_as(self.path / "balance.json", Balance)
        return balance

    def write_samples(self, released: Iterable[Sample], shards: int) -> None:
        """Tars and index of what is released."""
        table = write_shards(iter(released), self.path, shards, "shards/train-synthetic")
        write_table(self.path / "index.parquet", table)

    def write_rejected(self, shown: Iterable[Sample]) -> None:
        """Tar and index of rejected candidates to look at."""
        table = write_shards(iter(shown), self.path, 1, "rejected/rejected")
        write_table(self.path / "rejected.parquet", table)

    def write_tables(self, scores: pa.Table, accepted: pa.Table) -> None:
        """SCORES and ACCEPTED."""
        write_table(self.scores_file, scores)
        write_table(self.path / "accepted.parquet", accepted)

    def write_asked(self, asked: pa.Table) -> None:
        """asked.parquet."""
        write_table(self.path / "asked.parquet", asked)

    def write_draws(self, draws: pa.Table, by: DrawnBy) -> None:
        """draws.parquet and drawn_by.json."""
        write_table(self.path / "draws.parquet", draws)
        write_as(self.path / "drawn_by.json", by, DrawnBy)

    def write_requests(self, requests: pa.Table) -> None:
        """requests.parquet."""
        write_table(self.path / "requests.parquet", requests)

    def write_reference(self, reference: Mapping[str, Mapping[str, list[float | None]]]) -> None:
        """What real samples score, for limits, yardsticks and figures."""
        write_as(self.path / "reference.json", reference, Reference)

    def write_balance(self, balance: Balance) -> None:
        """balance.json."""
        write_as(self.path / "balance.json", balance, Balance)

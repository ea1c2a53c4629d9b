"""params.yaml and machine.yaml as frozen, checked objects.

params.yaml holds what changes bytes (numerics and the runs); machine.yaml, untracked, what does not (how many actors,
where). Every stage reads its part from the JSON that `plan` wrote, so a stage never sees what it does not depend on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from corpora.errors import ParamsError, UnknownNameError, UserError
from corpora.formats.yamlfile import LARGEST, read_yaml
from corpora.params import StrictParams as _Model
from corpora.params import problems
from corpora.splits.audit import SHORT_TEXT
from corpora.splits.views import ViewSpec
from features.faces.prepare import FaceSteps
from features.physio.prepare import SignalSteps
from features.speech.prepare import SpeechSteps
from features.text.prepare import TextSteps
from flows.asking import Ask
from flows.generating import EarlyStop as EarlyStop
from flows.generating import GeneratorParams as GeneratorParams
from flows.machine import Machine
from flows.publisher import PublishParams
from flows.releasing import ReleaseParams as ReleaseParams
from flows.releasing import RepresentationParams as RepresentationParams
from flows.studying import StudyParams
from generators.draws.balance import Budget
from generators.draws.targets import BySubject, Cell, cells
from validators.verdict import Limit

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=1_000_000_000)]  # 0: none
Shards = Annotated[int, Field(ge=1, le=99_999)]  # names have five digits
Threads = Annotated[int, Field(ge=1, le=4096)]
Seed = Annotated[int, Field(ge=0, le=LARGEST)]
M = TypeVar("M", bound=BaseModel)
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
CARDS = PurePosixPath("data/cards")  # a dependency of the stage reader, so that an edited card is read again


def _card_path(value: str) -> str:
    path = PurePosixPath(value)
    if path.parent != CARDS or path.suffix not in (".yaml", ".yml"):
        raise ValueError(
            f"a card is read from {CARDS}/NAME.yaml, where DVC sees an edit of it; move it there, or let "
            "`emoforge link NAME PATH --reader CARD.yaml` copy it"
        )
    return value


def _reader(value: str) -> str:
    if value.endswith((".yaml", ".yml")):
        return _card_path(value)
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", value):
        raise ValueError("a reader's name has small letters, digits and _; a card's path ends in .yaml")
    return value


def _options(value: dict[str, Any]) -> dict[str, Any]:
    if isinstance(value.get("card"), str):
        _card_path(value["card"])
    return value


Reader = Annotated[str, AfterValidator(_reader)]
Options = Annotated[dict[str, Any], AfterValidator(_options)]


class Numerics(_Model):
    """What changes bytes: the same values give the same release on any number of actors."""

    device: Literal["cpu", "cuda"] = Field("cpu", description="Where generators compute.")
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16 is autocast on cuda; weights stay float32. Some 15 times slower on a CPU."
    )
    compile: bool = Field(False, description="torch.compile the networks (cuda).")
    fit_threads: Threads = Field(2, description="Threads of the process that fits and evaluates.")
    sample_threads: Threads = Field(1, description="Threads of each process that samples.")
    draw_list: Annotated[int, Field(ge=1, le=65536)] = Field(
        16, description="Draws in one work item; the batch size of sampling."
    )
    ddp_world_size: Threads = Field(1, description="Workers that share one fit (Ray Train, DDP).")


class Demo(_Model):
    """A fake corpus in the native layout of a reader's corpus."""

    reader: Reader = Field(description="Whose `fake()` writes it.")
    options: Options = Field(default_factory=dict, description="The reader's own.")
    subjects: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        12, description="Subjects; 0 where the corpus knows none."
    )
    per_class: dict[str, Count] = Field(description="Samples of each class.")
    seed: Seed = Field(7, description="Same seed, same bytes.")


class Ratios(_Model):
    """Shares of the groups that each split gets."""

    train: Share = Field(0.6, description="Generators, judges and scalers see this alone.")
    dev: Share = Field(0.2, description="What gates compare with, where it has at least 4 groups.")
    test: Share = Field(0.2, description="Only `evaluate` reads it, for the question what the release is worth.")

    @model_validator(mode="after")
    def _sum_to_one(self) -> Ratios:
        total = self.train + self.dev + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the ratios sum to {total:g}; train + dev + test must sum to 1")
        if min(self.train, self.test) <= 0:
            raise ValueError("train and test must be above 0")
        return self


class CorpusParams(_Model):
    """How a corpus in data/raw is ingested."""

    reader: Reader = Field(description="A reader's name (`emoforge corpora`), or a card: data/cards/NAME.yaml.")
    options: Options = Field(default_factory=dict, description="The reader's own (`emoforge corpora show NAME`).")
    shards: Shards = Field(8, description="Buckets that samples are hashed into; one new file changes one shard.")
    ratios: Ratios = Field(default_factory=lambda: Ratios(), description="Shares of the view `group`.")
    split_seed: Seed = Field(0, description="Seed of the search for the split with the smallest deviation.")
    max_reject_share: Share = Field(0.1, description="More rejected files than this share stop the stage.")
    on_unknown_label: Literal["stop", "reject"] = Field(
        "stop",
        description="A label that neither reader nor card knows, on more than a few files, or on half of a class in "
        "another spelling: stop and say what to do, or count the files as rejects.",
    )


class Prepare(_Model):
    """What makes the payloads of a run alike: the steps of its modality, in their order. `null` switches a step off."""

    speech: SpeechSteps = Field(default_factory=SpeechSteps)
    face: FaceSteps = Field(default_factory=FaceSteps)
    text: TextSteps = Field(default_factory=TextSteps)
    physio: SignalSteps = Field(default_factory=SignalSteps)
    max_reject_share: Share = Field(0.5, description="A corpus of which more is refused than this stops the stage.")


class Target(_Model):
    """How many train samples, real and synthetic, each class is to have (docs/rounds.md)."""

    policy: Literal["majority", "number", "effective", "tail"] = Field(
        "majority",
        description="As many as the largest class; at least `number`; by effective number (`beta`); by tail factor "
        "(`fraction`, `power`).",
    )
    number: Count | None = Field(None, description="For policy `number`.")
    fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="For policy `tail`: classes below this share of the largest are raised."
    )
    power: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="For policy `tail`: 1 raises them to that share, 0.5 by the repeat factor of LVIS."
    )
    beta: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.999, description="For policy `effective` (Cui et al. 2019): 0 changes nothing, towards 1 it is `majority`."
    )
    beyond: Annotated[float, Field(ge=0, le=10)] = Field(
        0.0,
        description="For policy `majority`: every class, the largest too, is raised so much above the largest (0.5: by "
        "half). With `by: weight` it steadies kernel machines.",
    )
    within: Literal["run", "corpus"] = Field(
        "run", description="Count classes over the run, or in each corpus on its own (several corpora in one run)."
    )
    cells: Literal["class", "subject"] = Field(
        "class",
        description="What is balanced: the classes, or the classes of each subject (conversions, and generators that "
        "honour subjects).",
    )
    by: Literal["count", "weight"] = Field(
        "count",
        description="What fills a class: as many samples as it lacks; or every possible source once (conversions), all "
        "that pass released, each with a weight, and the weights come to what is lacking.",
    )
    spread: Annotated[float, Field(ge=1, le=1_000_000)] = Field(
        8.0, description="For `by: weight`: sources that serve for each missing sample, at most."
    )

    def cells_of(
        self,
        classes: Sequence[str],
        counts: Mapping[str, int],
        by_corpus: Mapping[str, Mapping[str, int]],
        by_subject: BySubject | None,
    ) -> list[Cell]:
        """What is to be filled, whatever fills it: `generators.draws.targets.cells` with this policy."""
        return cells(classes, counts, by_corpus, by_subject=by_subject, **self.model_dump(exclude={"by", "spread"}))

    @model_validator(mode="after")
    def _number_given(self) -> Target:
        if self.policy == "number" and self.number is None:
            raise ValueError("policy 'number' needs `number`")
        if self.beyond and self.policy != "majority":
            raise ValueError(f"`beyond` goes with policy 'majority', not with {self.policy!r}")
        return self


class Choose(_Model):
    """Which accepted candidates are released where more passed than are needed."""

    by: Literal["first", "random", "diverse"] = Field(
        "first", description="In the order of the draws; at random by the run's seed; spread out in an embedding."
    )
    gather: Annotated[float, Field(ge=1, le=100)] = Field(
        1.0, description="Accepted candidates to draw for each one that is needed, so that there is a choice."
    )
    spread: Literal["coverage", "k-centre"] = Field(
        "coverage",
        description="For `diverse`: facility location, or farthest first; both beginning with the real samples.",
    )
    embedding: Literal["plain", "trained"] = Field(
        "plain", description="For `diverse`: components of functionals or HOG, or of a network trained on train."
    )
    dims: Annotated[int, Field(ge=1, le=512)] = Field(32, description="For `diverse`: components of the embedding.")


class Rounds(_Model):
    """When sampling gives up, and what it keeps. Budgets count draws, never seconds (docs/rounds.md)."""

    max_rounds: Count = Field(6, description="Rounds of sample and gate.")
    max_draws: Annotated[float, Field(ge=1, le=1_000_000)] = Field(
        8.0, description="Draws of a class, as a multiple of what it lacks; with `target.by: weight`: `target.spread`."
    )
    min_acceptance: Share = Field(
        0.02,
        description="A class of which a smaller share passed in the last round is given up and reported.",
    )
    give_up_after: Count = Field(
        4, description="Lists that share is taken over at least: smaller rounds are counted together."
    )
    choose: Choose = Field(default_factory=lambda: Choose())
    not_honoured: Literal["keep", "withhold"] = Field(
        "keep",
        description="A class whose candidates are not what was asked for (`conditions` fails): keep what passed, and "
        "`policy.on_fail` acts; or withhold its samples and release the others.",
    )

    def budget(self, target: Target) -> Budget:
        """As rounds are counted by, towards such targets."""
        return Budget(
            max_rounds=self.max_rounds,
            max_draws=self.max_draws,
            min_acceptance=self.min_acceptance,
            give_up_after=self.give_up_after,
            gather=self.choose.gather,
            spread=target.spread if target.by == "weight" else None,
        )


class LimitParams(_Model):
    """Where a gate says no: a number, or relative to what real data gets from the same gate."""

    absolute: float | None = None
    quantile: float | None = Field(
        None, description="Sample gates: of real held-out scores of the class, between 0 and 1."
    )
    floor: float | None = Field(None, description="Set gates: multiple of the real-against-real floor.")
    times: float = Field(1.0, description="Multiplies the quantile.")
    margin: float = Field(0.0, description="Added to the multiple of the floor.")

    @model_validator(mode="after")
    def _is_a_limit(self) -> LimitParams:
        try:
            self.limit()
        except ParamsError as error:
            raise ValueError(str(error)) from None
        return self

    def limit(self) -> Limit:
        """As gates take it, which knows the rules. Raises `ParamsError`."""
        return Limit(**self.model_dump())


class GateParams(_Model):
    """One gate of a run."""

    enabled: bool = True
    limit: LimitParams | None = Field(None, description="None: the gate's own default.")
    params: dict[str, Any] = Field(default_factory=dict, description="The gate's own.")


Action = Literal["fail", "drop", "move", "waive"]


class OnLeak(_Model):
    """What happens to each kind of finding of the audit (corpora/splits/audit.py)."""

    repeats: Action = Field("drop", description="The same payload in two splits.")
    near: Action = Field("drop", description="A near copy (docs/audit.md) in two splits; moved ones go to train.")
    split_unit: Action = Field("fail", description="The corpus' split unit in two splits.")
    subject: Action = Field("waive", description="A subject in two splits, where it is not the split unit.")
    session: Action = Field("waive", description="A session in two splits.")
    recording: Action = Field("waive", description="A recording in two splits.")
    short_texts: Action = Field(
        "waive", description="A repeat or near copy of a text of fewer than `short_text_letters`."
    )
    short_text_letters: int = Field(
        SHORT_TEXT,
        ge=0,
        description="Letters, blanks and signs: shorter texts ('Thank you.') recur by chance: no copies. 0: none do.",
    )
    repeats_within: Action = Field("waive", description="The same payload twice in one split.")
    near_within: Action = Field("waive", description="A near copy in the same split.")
    fitted: Literal["fail", "waive"] = Field(
        "fail", description="A generator, scaler or judge saw samples outside train."
    )


class Policy(_Model):
    """What keeps a release from being made."""

    on_fail: Literal["block", "flag"] = Field(
        "block", description="A set gate fails: no release, or one that cannot be published."
    )
    on_undecided: Literal["block", "flag"] = Field("flag", description="A set gate cannot tell.")
    on_unfilled: Literal["block", "flag"] = Field("flag", description="A class did not reach its target.")


class Evaluation(_Model):
    """The question what the release is worth to a classifier on people it has never seen."""

    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)] = Field(1000, description="Resamples of the test groups.")


class RunParams(_Model):
    """One release."""

    corpora: Annotated[list[Name], Field(min_length=1)] = Field(description="One or several corpora of one modality.")
    scheme: str = Field("corpus", description="Target labels: corpus | ekman6 | ekman7 | ravdess8 | iemocap4 ...")
    view: str = Field(
        "group",
        description="Split view, by name or by fields ({strategy: kfold, k: 5, fold: 3}): official | group | "
        "disjoint-<units> | group-k5-fold3 | loso-<subject> | leave-session-<id> | leave-corpus-<id>, then -inner2of5, "
        "-prune-fear10, -seed7; see docs/audit.md.",
    )
    on_leak: OnLeak = Field(default_factory=lambda: OnLeak())
    seed: Seed = Field(1, description="Of everything that is drawn in the run.")
    prepare: Prepare = Field(default_factory=lambda: Prepare())
    representation: RepresentationParams | None = Field(
        None, description="What the generator models; none without a generator."
    )
    generator: GeneratorParams | None = Field(
        None, description="None: a release of real samples alone: split, prepared and audited, balanced by nothing."
    )
    target: Target = Field(default_factory=lambda: Target())
    rounds: Rounds = Field(default_factory=lambda: Rounds())
    ask: Ask = Field(default_factory=lambda: Ask())
    gates: dict[Name, GateParams] = Field(default_factory=dict, description="Overrides of DEFAULT_GATES, by name.")
    policy: Policy = Field(default_factory=lambda: Policy())
    evaluation: Evaluation = Field(default_factory=lambda: Evaluation())
    shards: Shards = Field(8, description="Shards of each split of the release.")
    release: ReleaseParams | None = Field(None, description="What the release holds beside; none: nothing more.")

    @model_serializer(mode="wrap")
    def _without_release(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Most runs ask for nothing more, and what is released of them says nothing of it."""
        return {k: v for k, v in dump(self).items() if k != "release" or v is not None}

    @field_validator("view", mode="before")
    @classmethod
    def _canonical(cls, view: Any) -> str:
        if not isinstance(view, str | Mapping):
            raise ValueError("expected a name or a mapping of fields")
        try:
            return ViewSpec.of(view).name
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_validator("corpora")
    @classmethod
    def _no_repeats(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError(f"a corpus is named twice: {', '.join(names)}")
        return names

    @model_validator(mode="after")
    def _generator_and_what_it_models(self) -> RunParams:
        if (self.generator is None) != (self.representation is None):
            given, lacking = ("generator", "representation") if self.generator else ("representation", "generator")
            raise ValueError(
                f"`{given}` is given and `{lacking}` is not: a generator needs both, a release of real samples neither"
            )
        if self.generator is None and self.ask != Ask():
            raise ValueError("`ask` is what synthetic samples are asked for, and without a `generator` there are none")
        if self.target.by == "weight" and (self.rounds.choose.gather != 1.0 or self.rounds.choose.by != "first"):
            raise ValueError(
                "target.by is 'weight': all that pass are released, so there is nothing to choose; leave out "
                "`rounds.choose` (by: first, gather: 1)"
            )
        if self.generator is None and self.gates:
            raise ValueError("`gates` judge synthetic samples, and without a `generator` there are none")
        return self

    def gate_params(self) -> dict[str, GateParams]:
        """The gates of the run by name, defaults first; plan leaves out those that do not know the modality."""
        names = [*DEFAULT_GATES, *(n for n in self.gates if n not in DEFAULT_GATES)]
        chosen = {n: self.gates.get(n) or GateParams() for n in names}
        return {n: g for n, g in chosen.items() if g.enabled}


# What every run is gated by unless it says otherwise. Limits that params do not name are the gates' own: docs/gates.md
DEFAULT_GATES = ("validity", "copies", "agreement", "support", "mcd", "variance", "frechet", "kid", "vendi")


class Params(_Model):
    """The whole of params.yaml."""

    numerics: Numerics = Field(default_factory=lambda: Numerics())
    demo: dict[Name, Demo] = Field(default_factory=dict)
    corpora: dict[Name, CorpusParams] = Field(default_factory=dict)
    runs: dict[Name, RunParams] = Field(default_factory=dict)
    studies: dict[Name, StudyParams] = Field(default_factory=dict)
    publish: PublishParams = Field(default_factory=lambda: PublishParams())

    def study(self, name: str) -> StudyParams:
        """A study by its name. Raises `UnknownNameError` with the nearest one."""
        if name not in self.studies:
            raise UnknownNameError.of("study", name, self.studies)
        return self.studies[name]

    def run(self, name: str) -> RunParams:
        """A run by its name. Raises `UnknownNameError` with the nearest one."""
        if name not in self.runs:
            raise UnknownNameError.of("run", name, self.runs)
        return self.runs[name]

    def corpus(self, name: str) -> CorpusParams:
        """A corpus by its name. Raises `UnknownNameError` with the nearest one."""
        if name not in self.corpora:
            raise UnknownNameError.of("corpus", name, self.corpora)
        return self.corpora[name]


def load_params(path: Path) -> Params:
    """Reads and checks params.yaml. Raises `ParamsError` naming file, key, value and what is allowed."""
    params = _validated(Params, _read(path), path)
    for run_name, run in params.runs.items():
        for corpus in run.corpora:
            if corpus not in params.corpora:
                hint = UnknownNameError.of("corpus", corpus, params.corpora)
                raise ParamsError(f"{path.name}: runs.{run_name}.corpora: {hint}")
    for study_name, study in params.studies.items():
        for corpus in study.corpora:
            if corpus not in params.corpora:
                hint = UnknownNameError.of("corpus", corpus, params.corpora)
                raise ParamsError(f"{path.name}: studies.{study_name}.corpora: {hint}")
    for corpus in params.publish.permits:
        if corpus not in params.corpora:
            hint = UnknownNameError.of("corpus", corpus, params.corpora)
            raise ParamsError(f"{path.name}: publish.permits: {hint}")
    return params


def load_machine(path: Path) -> Machine:
    """Reads machine.yaml if it is there. Environment RAY_ADDRESS and EMOFORGE_STORE win over its values."""
    raw = _read(path) if path.exists() or path.is_symlink() else {}
    if os.environ.get("RAY_ADDRESS"):
        raw["ray_address"] = os.environ["RAY_ADDRESS"]
    if os.environ.get("EMOFORGE_STORE"):
        raw["store"] = os.environ["EMOFORGE_STORE"]
    if os.environ.get("EMOFORGE_ACTORS"):
        raw["actors"] = os.environ["EMOFORGE_ACTORS"]
    return _validated(Machine, raw, path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_yaml(path, ParamsError)
    except FileNotFoundError:
        raise ParamsError(f"no {path.name} in {path.parent}: run emoforge in the project's folder") from None


def _validated(model: type[M], raw: Mapping[str, Any], path: Path) -> M:
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        raise ParamsError(f"{path.name}: " + "; ".join(problems(model, error))) from None

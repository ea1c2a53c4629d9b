"""Whether a run can come to its end, and what its gates can never say: by labels, groups and subjects alone.

Asked before anything is prepared (`plan`, `emoforge check`), of what ingest left, and once more when it is prepared and
some samples may have been rejected: a fit takes hours, and an error after it could have been foreseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from corpora.errors import CorpusError, EmoforgeError, LeakError, ParamsError, SplitError, UnknownNameError
from corpora.labels import SCHEMES, classes_of
from flows.artifacts.prepared import Leak
from flows.asking import problems_of_ask
from flows.given import NEEDED, problems_of_given
from flows.params import GeneratorParams, Params, Target
from flows.paths import Layout
from flows.stages.augment.batches import Form
from flows.stages.augment.gating import gate_seed
from flows.stages.augment.rounds import subject_counts
from flows.stages.plan.plan import make_plans
from flows.stages.plan.plans import FitPlan, Plans, PreparePlan
from flows.stages.prepare.prepare import choose_view, label, load_indexes
from flows.stages.prepare.summary import leak_shares
from generators.generator import NEW_SUBJECT, RATED, generator_class
from validators.gate import foresee, gate_class
from validators.roster import Roster, counted

MIN_TRAIN = 2  # samples of each class
TRIED = (
    "group-k5-fold1",
    "group-k5-fold2",
    "group-k3-fold1",
    "group-k3-fold2",
    "group",
    "group-seed1",
    "group-seed2",
    "group-seed3",
    "official",
)
ADVISED = 3  # views that an error names
MOST_TRIED = 60_000  # samples; of a bigger corpus fewer views are tried, each takes seconds
_COLUMNS = list(dict.fromkeys(["sample_id", "emotion", "group_id", "subject_id", "corpus", *RATED, *NEEDED]))


@dataclass(frozen=True, slots=True)
class Problem:
    """`stops`: the run dies of it in `stage`; else a gate stays undecided, or a number will say little."""

    stage: str
    text: str
    stops: bool

    def as_dict(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class People:
    """The labelled samples of a run's view. index: SAMPLES with the run's classes; split_of: id -> split; layout: of
    what is generated, as of a Batch."""

    index: pa.Table
    split_of: Mapping[str, str]
    classes: tuple[str, ...]
    modality: str
    layout: str = ""

    def roster(self, split: str) -> Roster:
        """The classed samples of `split`, as gates see them before they are fitted."""
        part = self._of(split)
        return Roster(
            self.modality,
            tuple(part["sample_id"].to_pylist()),
            tuple(part["emotion"].to_pylist()),
            tuple(part["group_id"].to_pylist()),
            tuple(part["subject_id"].to_pylist()),
            self.layout,
        )

    def knows(self, condition: str) -> bool:
        """Whether a train sample has the rating, or names its subject."""
        part = self._of("train")["subject_id" if condition == "subject" else condition]
        return part.null_count < len(part)

    def cells(self, target: Target, corpora: Sequence[str]) -> None:
        """Raises `ParamsError` where there is nothing to balance, or nobody is named whose classes could be."""
        by_subject = subject_counts(self.index, {i for i, split in self.split_of.items() if split == "train"})
        by_corpus = {
            c: {name: sum(own.get(name, 0) for own in by_subject.get(c, {}).values()) for name in self.classes}
            for c in corpora
        }
        counts = {name: sum(own[name] for own in by_corpus.values()) for name in self.classes}
        target.cells_of(self.classes, counts, by_corpus, by_subject)

    def records(self, split: str) -> list[dict[str, Any]]:
        """The classed samples of `split`, with the columns that named vectors come from."""
        return self._of(split).select(list(NEEDED)).to_pylist()

    def _of(self, split: str) -> pa.Table:
        kept = [self.split_of.get(i) == split for i in self.index["sample_id"].to_pylist()]
        known = [e is not None for e in self.index["emotion"].to_pylist()]
        return self.index.filter(pa.array([k and n for k, n in zip(kept, known, strict=True)], pa.bool_()))


@dataclass(frozen=True)
class Outlook:
    """What `emoforge check` tells of a run. leaks: `leak_shares` of flows/stages/prepare/summary.py."""

    problems: tuple[Problem, ...] = ()
    advice: str = ""
    leaks: Mapping[str, Leak] = field(default_factory=dict)

    def as_dict(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        return {
            "problems": [asdict(problem) for problem in self.problems],
            "advice": self.advice,
            "leaks": {split: leak.to_json() for split, leak in self.leaks.items()},
        }

    @property
    def stops(self) -> tuple[Problem, ...]:
        """The problems with which the run cannot come to its end."""
        return tuple(p for p in self.problems if p.stops)


def outlook(plans: Plans, layout: Layout) -> Outlook:
    """Of corpora that are ingested. Raises nothing for what labels, groups or leaks forbid: that is its answer."""
    index = load_indexes(plans.prepare, layout)
    try:
        people, dropped = _people(plans.prepare, layout, index)
    except (SplitError, LeakError, CorpusError) as error:
        return Outlook((Problem("prepare", str(error), True),), _advice(plans, layout, index))
    problems = tuple(problems_of(people, plans))
    advice = _advice(plans, layout, index) if any(p.stops for p in problems) else ""
    return Outlook(problems, advice, leak_shares(people.split_of, dropped))


def foreseen(params: Params, layout: Layout, run: str) -> Outlook | None:
    """`outlook` of a run by name; None where its corpora are not ingested."""
    if not all((layout.corpus(name) / "index.parquet").exists() for name in params.run(run).corpora):
        return None
    try:
        return outlook(make_plans(params, layout, run), layout)
    except EmoforgeError as error:
        return Outlook((Problem("plan", str(error), True),))


def require_feasible(plans: Plans, layout: Layout) -> None:
    """Raises what the view raises (`SplitError`, `LeakError`, `CorpusError`), `CorpusError` with every reason for which
    a later stage could not end, and the views and schemes with which it could. Nothing for a run without a generator:
    real samples need no judges."""
    if plans.fit.generator is None:
        return
    index = load_indexes(plans.prepare, layout)
    try:
        people, _ = _people(plans.prepare, layout, index)
    except (SplitError, LeakError) as error:
        advice = _advice(plans, layout, index)
        raise type(error)(f"{error}{' ' + advice if advice else ''}") from None
    _refuse(plans.fit.run, problems_of(people, plans), lambda: _advice(plans, layout, index))


def require_prepared(
    run: str,
    layout: Layout,
    index: pa.Table,
    split_of: Mapping[str, str],
    classes: Sequence[str],
    listed: Callable[[], str],
) -> None:
    """The same of what preparation left. `listed`: writes down what it refused, and says where; "" for nothing. Raises
    `CorpusError`."""
    plans = Plans.read(layout, run)
    if plans.fit.generator is None:
        return
    people = People(index, split_of, tuple(classes), plans.fit.modality, layout_of(plans.fit))
    _refuse(run, problems_of(people, plans), lambda: f"{ADVICE}{listed()}")


ADVICE = "Choose another view, a coarser label scheme, or more data."


def _refuse(run: str, problems: Iterable[Problem], advise: Callable[[], str]) -> None:
    stops = [p for p in problems if p.stops]
    if stops:
        reasons = "; ".join(f"{p.stage}: {p.text.rstrip('.')}" for p in stops)
        raise CorpusError(f"run {run!r} cannot come to its end ({reasons}). {advise()}")


def _people(plan: PreparePlan, layout: Layout, index: pa.Table) -> tuple[People, pa.Table]:
    """-> who is where, and what leaks took (DROPPED)."""
    split_of, _, dropped = choose_view(plan, layout, index)
    labelled, _ = label(index, plan.scheme)
    pairs = zip(labelled["sample_id"].to_pylist(), labelled["emotion"].to_pylist(), strict=True)
    classes = classes_of(plan.scheme, [e for i, e in pairs if i in split_of])
    return People(labelled.select(_COLUMNS), split_of, classes, plan.modality, layout_of(plan)), dropped


def layout_of(plan: PreparePlan | FitPlan) -> str:
    """As of the batches that the run's gates will see."""
    shape = plan.representation
    return Form.of(plan.modality, None, None if shape is None else shape.model_dump(mode="json")).layout


def problems_of(people: People, plans: Plans) -> list[Problem]:
    """What stops the run, in the order of its stages; then what will stay undecided."""
    if plans.fit.generator is None:
        return []
    train, dev, test = (people.roster(split) for split in ("train", "dev", "test"))
    problems = [Problem("fit", text, True) for text in _fit(people, train, plans.fit.generator, plans.fit.seed)]
    problems += [Problem("augment", text, True) for text in [*_targets(people, plans), *_asked(people, train, plans)]]
    problems += _gates(train, dev, people.classes, plans)
    problems += _worth(test, people.classes)
    return sorted(problems, key=lambda p: not p.stops)


def _asked(people: People, train: Roster, plans: Plans) -> list[str]:
    """What the run asks for and cannot have: classes and subjects that are none, or that a generator never learns."""
    plan, generator = plans.augment, plans.fit.generator
    assert generator is not None
    gates = {name: gate_class(name).asks for name in plan.gates if gate_class(name).asks}
    asked = plan.ask.asked()
    texts = problems_of_ask(asked, people.classes, gates)
    if "subject" not in generator_class(generator.name).can_honour(generator.params):
        return texts
    there = {s for s in train.subjects if s is not None}
    new = {s for s in asked.subjects if s.startswith(NEW_SUBJECT)}
    if new - there and len(there) < 2:
        texts.append(f"ask.subject: {min(new)} is a mix of several people of train, which names {len(there)}")
    texts += [
        f"ask.subject: {UnknownNameError.of('subject', s, there)}" for s in asked.subjects if s not in there | new
    ]
    wanted = there if plan.target.cells == "subject" else there & set(asked.subjects)
    if generator.early_stop.every and wanted:
        from flows.stages.fit.stopping import held_out_groups

        groups = tuple(train.group_names.tolist())
        try:
            held = held_out_groups(groups, generator.early_stop.share, plans.fit.seed)
        except EmoforgeError:
            return texts  # `_fit` says it
        seen = {s for s, group in zip(train.subjects, groups, strict=True) if group not in held}
        texts += [
            f"early stopping holds out every sample of subject {s}, who is asked for; set generator.early_stop.every "
            "to 0, or do not ask for subjects"
            for s in sorted(wanted - seen)
        ]
    return texts


def _fit(people: People, train: Roster, generator: GeneratorParams, seed: int) -> list[str]:
    counts = Counter(train.emotions)
    few = {c: counts[c] for c in people.classes if counts[c] < MIN_TRAIN}
    texts = []
    if few:
        named = ", ".join(f"{c} ({n})" for c, n in sorted(few.items()))
        texts.append(f"too few train samples of {named}; at least {MIN_TRAIN} of each class are needed")
    kind = generator_class(generator.name)
    if not few and hasattr(kind, "foresee"):
        texts += kind.foresee(generator.params, train.ids, train.emotions, train.subjects)
    if generator.given:
        texts += problems_of_given(generator.given, people.records("train"))
    ranked = generator.intensity == "ranked"
    for name in sorted(kind.can_honour(generator.params)):
        if not people.knows(name) and not (ranked and name == "intensity"):
            thing = f"an {name}" if name[0] in "ai" else f"a {name}"
            rank = ", or let rankers give it (generator.intensity: ranked)" if name == "intensity" else ""
            texts.append(
                f"generator.params: it is to honour {name}, but no train sample has {thing}; leave it out{rank}"
            )
    if ranked:
        texts += _unrankable(train, generator)
    if generator.early_stop.every:
        texts += _early_stop(people.classes, train, generator.early_stop.share, seed)
    return texts


def _unrankable(train: Roster, generator: GeneratorParams) -> list[str]:
    from training.intensity import require_enough

    try:
        require_enough(
            np.asarray(train.emotions, dtype=str), np.asarray(train.group_names, dtype=str), generator.neutral
        )
    except EmoforgeError as error:
        return [f"generator.intensity is 'ranked': {error}"]
    return []


def _early_stop(classes: Sequence[str], train: Roster, share: float, seed: int) -> list[str]:
    from flows.stages.fit.stopping import held_out_groups

    try:
        held = held_out_groups(tuple(train.group_names.tolist()), share, seed)
    except EmoforgeError as error:
        return [str(error)]
    seen = {e for e, g in zip(train.emotions, train.group_names, strict=True) if g not in held}
    return [
        f"early stopping holds out every {train.unit} of {name}; set generator.early_stop.every to 0 or hold out less"
        for name in classes
        if name not in seen and name in train.emotions
    ]


def _targets(people: People, plans: Plans) -> list[str]:
    try:
        people.cells(plans.augment.target, plans.prepare.corpus_names)
    except ParamsError as error:
        return [str(error)]
    return []


def _gates(train: Roster, dev: Roster, classes: Sequence[str], plans: Plans) -> list[Problem]:
    """The run's gates, one line for all that share a reason."""
    stops: dict[tuple[str, str], list[str]] = {}
    silent: dict[tuple[str, str], list[str]] = {}
    for plan in (plans.augment, plans.evaluate):
        for name, gate in plan.gates.items():
            foreseen = foresee(
                gate_class(name),
                train,
                dev if len(dev) else None,
                classes=classes,
                params=gate.params,
                limit=gate.limit,
                seed=gate_seed(plan, name if plan is plans.augment else "reference"),
            )
            if foreseen.error:
                stops.setdefault((plan.stage, foreseen.error), []).append(name)
            for group, why in foreseen.undecided.items():
                silent.setdefault((plan.stage, why), []).append(name if group == "all" else f"{name} of {group}")
    problems = [Problem(stage, f"{', '.join(gates)}: {why}", True) for (stage, why), gates in stops.items()]
    for (stage, why), gates in silent.items():
        problems.append(Problem(stage, f"{', '.join(gates)} will stay undecided: {why}", False))
    return problems


def _worth(test: Roster, classes: Sequence[str]) -> list[Problem]:
    """What a classifier is tested on."""
    held = [c for c in classes if c in test.emotions]
    if not held:
        return [Problem("evaluate", "the test split holds no sample of the run's classes", True)]
    texts = []
    if len(held) < len(classes):
        gone = ", ".join(c for c in classes if c not in held)
        texts.append(f"test has no sample of {gone}: what they are worth to a classifier is not measured")
    n = len(set(test.group_names))
    if n < 2:
        texts.append(f"test has {counted(n, test.unit)}: whether the synthetic samples help stays undecided")
    if n >= 2 and len(held) == len(classes):
        texts.append(_power(test, classes))
    return [Problem("evaluate", text, False) for text in texts]


def _power(test: Roster, classes: Sequence[str]) -> str:
    """What difference the test split can show at all, before anything is spent on one."""
    from validators.trials.studies.power import SINGLE_RUN, expected_power

    groups, classed = sorted(set(test.group_names)), {name: k for k, name in enumerate(classes)}
    place = {name: n for n, name in enumerate(groups)}
    counts = np.zeros((len(groups), len(classes)), np.int64)
    for group, emotion in zip(test.group_names, test.emotions, strict=True):
        counts[place[group], classed[emotion]] += 1
    known = all(subject is not None for subject in test.subjects)
    return expected_power(counts, classes, SINGLE_RUN, people_known=known).sentence


def _advice(plans: Plans, layout: Layout, index: pa.Table) -> str:
    """The first views with which the run could end, else the label schemes; what else there is to do where none is."""
    views = [view for view in TRIED if view != plans.prepare.view]
    if index.num_rows > MOST_TRIED:
        views = views[:2]
    good = [view for view in views if _works(plans, layout, index, view=view)]
    if good:
        return f"Views with which it can: {', '.join(good[:ADVISED])} (runs.{plans.fit.run}.view)."
    have = len({e for e in index["emotion"].to_pylist() if e is not None})
    smaller = [name for name, scheme in SCHEMES.items() if scheme.classes and len(scheme.classes) < have]
    good = [name for name in smaller if _works(plans, layout, index, scheme=name)]
    if good:
        return f"Label schemes with which it can: {', '.join(good[:ADVISED])} (runs.{plans.fit.run}.scheme)."
    return f"No view that was tried ({', '.join(views)}) mends it. {ADVICE}"


def _works(plans: Plans, layout: Layout, index: pa.Table, **change: str) -> bool:
    tried = plans.prepare.model_copy(update=change)
    try:
        people, _ = _people(tried, layout, index)
        return not any(p.stops for p in problems_of(people, replace(plans, prepare=tried)))
    except EmoforgeError:
        return False

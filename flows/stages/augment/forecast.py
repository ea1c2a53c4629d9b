"""What the next run of `augment` is expected to take: `emoforge check` shows it before. Decides nothing.

Counts come from what prepare left; before that, from the ingested corpora (leaks not yet dropped, nothing refused).
Acceptance comes from the last run where there is one, else from the prior of generators/draws/balance.py; seconds from
.emoforge/timings, and are not known before a first run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue

from corpora.errors import EmoforgeError, IntegrityError
from corpora.labels import assign, classes_of
from corpora.schema import SAMPLES, SPLITS
from corpora.splits.splits import make_view
from corpora.splits.views import ViewSpec
from corpora.store.shards import read_table
from flows.artifacts.augmented import Augmented
from flows.artifacts.prepared import Prepared
from flows.params import Machine, Numerics, RunParams
from flows.paths import Layout
from flows.stages.augment.rounds import prepared_cells, prepared_subjects, subject_counts
from flows.stages.augment.tallies import seconds_per_draw, timings
from generators.draws.balance import (
    PRIOR_ACCEPTED,
    PRIOR_TRIED,
    STOPS,
    Forecast,
    Stop,
    expected_acceptance,
    forecast,
)
from generators.draws.targets import BySubject, Cell, mixture_name
from generators.generator import SourceClass, generator_class, source_class

FEW_SAMPLES = 20  # real train samples of a class; below, a model learns the samples and not the class
FEW_PEOPLE = 3  # who show it; below, it learns who they are
PRIOR = f"prior ({PRIOR_ACCEPTED / PRIOR_TRIED:.0%})"


@dataclass(frozen=True, slots=True)
class ClassForecast:
    """One class of a run, or a mixture of classes. real, target: train samples. acceptance: the share of draws expected
    to pass, `known_from` "last run" or the prior. draws, rounds, passed: expected. stopped: how it is expected to end.
    seconds: wall clock on the actors of machine.yaml; None where nothing was ever timed. people: subjects with train
    samples of the class, None where one of these is of nobody known. warning: "" or why the figures say little: too few
    samples or people."""

    emotion: str
    real: int
    target: int
    missing: int
    acceptance: float
    known_from: str
    draws: int
    rounds: int
    passed: int
    stopped: str
    seconds: float | None
    people: int | None = None
    warning: str = ""

    def as_dict(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunForecast:
    """`counts_from`: where the counts of classes come from; "" and a `reason` where they are not known yet."""

    run: str
    counts_from: str
    reason: str
    classes: tuple[ClassForecast, ...] = ()

    def as_dict(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Expected:
    """Of one class. rate: share of draws that passes; seen: as of the last run; cells: what each of its cells takes."""

    rate: float
    seen: bool
    cells: tuple[Forecast, ...]

    @property
    def draws(self) -> int:
        return sum(f.draws for f in self.cells)


def forecast_run(name: str, run: RunParams, numerics: Numerics, machine: Machine, layout: Layout) -> RunForecast | None:
    """None for a run without a generator. Never raises for what is not there yet: `reason` says it."""
    if run.generator is None:
        return None
    try:
        wanted, by_subject, source = _cells(name, run, layout)
    except EmoforgeError as error:
        return RunForecast(name, "", str(error))
    if wanted is None:
        todo = " ".join(f"ingest@{corpus}" for corpus in run.corpora)
        return RunForecast(name, "", f"counts of classes are known once the corpora are ingested: dvc repro {todo}")
    last = _last_run(layout.run(name) / "augmented")
    by_name: dict[str, list[Cell]] = {}  # what people call it: a class, or a mixture
    for cell in [*wanted, *run.ask.asked().cells()]:
        by_name.setdefault(cell.what, []).append(cell)
    timed = timings(layout.timing_file("draws", name))
    per_draw = seconds_per_draw(timed, {own[0].emotion for own in by_name.values()})
    budget = run.rounds.budget(run.target)
    of = source_class(generator_class(run.generator.name), run.generator.params)
    expected: dict[str, _Expected] = {}
    for what, own in by_name.items():
        tried, passed = last.get(what, (0, 0))
        rate = expected_acceptance(tried, passed)
        of_cells = tuple(
            forecast(c.lacking, rate, budget, numerics.draw_list, possible_sources(c, by_subject, of)) for c in own
        )
        expected[what] = _Expected(rate, tried > 0, of_cells)
    lists = math.ceil(sum(e.draws for e in expected.values()) / numerics.draw_list)
    at_once = max(1, min(machine.actors, lists))
    rows = []
    for what, of_class in expected.items():
        own, emotion = by_name[what], by_name[what][0].emotion  # "" of a mixture: its classes have rows of their own
        real, people = sum(c.real for c in own), people_of(by_subject, emotion) if emotion else None
        rows.append(
            ClassForecast(
                emotion=what,
                real=real,
                target=sum(c.target for c in own),
                missing=sum(c.lacking for c in own),
                acceptance=of_class.rate,
                known_from="last run" if of_class.seen else PRIOR,
                draws=of_class.draws,
                rounds=max(f.rounds for f in of_class.cells),
                passed=sum(f.passed for f in of_class.cells),
                stopped=_worst(of_class.cells),
                seconds=of_class.draws * per_draw[emotion] / at_once if emotion in per_draw else None,
                people=people,
                warning=too_few(real, people) if emotion else "",
            )
        )
    return RunForecast(name, source, "", tuple(rows))


def people_of(by_subject: BySubject, emotion: str) -> int | None:
    """Subjects with a sample of the class; None where a sample of it names nobody."""
    people: set[tuple[str, str]] = set()
    for corpus, subjects in by_subject.items():
        for subject, counts in subjects.items():
            if counts.get(emotion, 0) > 0:
                if subject is None:
                    return None
                people.add((corpus, subject))
    return len(people)


def possible_sources(cell: Cell, by_subject: BySubject, of: SourceClass = "other") -> int:
    """Train samples of other classes (or the same, as `of` says) that draws of the cell may start from: of its subject,
    else of its corpus, else of the run."""
    return sum(
        n
        for corpus, subjects in by_subject.items()
        for subject, counts in subjects.items()
        if (cell.subject == subject if cell.subject is not None else cell.corpus in (None, corpus))
        for emotion, n in counts.items()
        if (emotion in cell.classes) == (of == "same")
    )


def too_few(real: int, people: int | None) -> str:
    """ "5 real samples of 2 people: too few to learn the class from", or ""."""
    if real >= FEW_SAMPLES and (people is None or people >= FEW_PEOPLE):
        return ""
    samples = f"{real} real sample{'' if real == 1 else 's'}"
    of = "" if people is None or not real else f" of {people} {'person' if people == 1 else 'people'}"
    return f"{samples}{of}: too few to learn the class from"


def _worst(expected: Sequence[Forecast]) -> Stop:
    return min((f.stopped for f in expected), key=list(STOPS).index)


def _last_run(augmented: Path) -> dict[str, tuple[int, int]]:
    """Class or mixture -> (draws, passed) of the last run; {} where there is none that can be read."""
    try:
        balance = Augmented.open(augmented).balance()
    except IntegrityError:
        return {}
    classes = {row.emotion: (row.candidates, row.passed) for row in balance.classes}
    mixtures = {mixture_name(row.mixture): (row.candidates, row.passed) for row in balance.cells if row.mixture}
    return classes | mixtures


def _cells(name: str, run: RunParams, layout: Layout) -> tuple[list[Cell] | None, BySubject, str]:
    """-> the cells (None: not known yet), train samples of each subject and class, and where they were counted."""
    prepared = _prepared(layout.run(name) / "prepared", run)
    if prepared is not None:
        return prepared_cells(run.target, prepared), prepared_subjects(prepared), "prepared data"
    folders = [layout.corpus(corpus) for corpus in run.corpora]
    if not all((folder / "index.parquet").exists() for folder in folders):
        return None, {}, ""
    return *_ingested_cells(run, folders), "ingested corpora, before preparation"


def _prepared(folder: Path, run: RunParams) -> Prepared | None:
    """What lies there, where it was made of these corpora, with this view and scheme."""
    try:
        prepared = Prepared.open(folder)
        summary = prepared.summary()
    except IntegrityError:
        return None
    same = (list(summary.corpora), summary.view, summary.scheme) == (run.corpora, run.view, run.scheme)
    return prepared if same else None


def _ingested_cells(run: RunParams, folders: list[Path]) -> tuple[list[Cell], BySubject]:
    import pyarrow as pa
    import pyarrow.compute as pc

    index = pa.concat_tables([read_table(folder / "index.parquet", SAMPLES) for folder in folders])
    spec = ViewSpec.parse(run.view)
    splits = pa.concat_tables([read_table(folder / "splits.parquet", SPLITS) for folder in folders])
    of_view = splits.filter(pc.equal(splits.column("view"), spec.outer.name))
    outer = of_view if of_view.num_rows else None
    view = outer if outer is not None and spec == spec.outer else make_view(index, spec, outer=outer)
    split = dict(zip(view.column("sample_id").to_pylist(), view.column("split").to_pylist(), strict=True))
    records = index.select(["emotion", "labels", "valence", "arousal", "dominance"]).to_pylist()
    emotions = [assign(record, run.scheme) for record in records]
    at = index.schema.get_field_index("emotion")
    index = index.set_column(at, SAMPLES.field("emotion"), pa.array(emotions, pa.string()))
    ids = index.column("sample_id").to_pylist()
    classes = list(classes_of(run.scheme, [e for i, e in zip(ids, emotions, strict=True) if i in split]))
    by_subject = subject_counts(index, {i for i in ids if split.get(i) == "train"})
    by_corpus = {
        corpus: {c: sum(own.get(c, 0) for own in by_subject.get(corpus, {}).values()) for c in classes}
        for corpus in run.corpora
    }
    counts = {c: sum(own[c] for own in by_corpus.values()) for c in classes}
    return run.target.cells_of(classes, counts, by_corpus, by_subject), by_subject

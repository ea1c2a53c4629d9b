"""What the next run of `augment` is expected to take, told before it is begun by `emoforge check`. Decides nothing.

Counts come from what prepare left; before that, from the ingested corpora (leaks not yet dropped, nothing refused).
Acceptance comes from the last run where there is one, else from the prior of generators/draws/balance.py; seconds from
.emoforge/timings, and are not known before a first run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpora.errors import EmoforgeError, IntegrityError
from corpora.formats.jsonfile import read_json
from corpora.labels import assign, classes_of
from corpora.schema import SAMPLES, SPLITS
from corpora.splits.splits import make_view
from corpora.splits.views import ViewSpec
from corpora.store.shards import read_table
from flows.params import Machine, Numerics, RunParams
from flows.paths import Layout
from flows.stages.augment.rounds import budget_of, prepared_cells, prepared_subjects, subject_counts
from flows.stages.augment.tallies import seconds_per_draw, timings
from generators.draws.balance import PRIOR_ACCEPTED, PRIOR_TRIED, STOPS, Forecast, expected_acceptance, forecast
from generators.draws.targets import BySubject, Cell, cells

FEW_SAMPLES = 20  # real train samples of a class; below, a model learns the samples and not the class
FEW_PEOPLE = 3  # who show it; below, it learns who they are
PRIOR = f"prior ({PRIOR_ACCEPTED / PRIOR_TRIED:.0%})"


@dataclass(frozen=True, slots=True)
class ClassForecast:
    """One class of a run. real, target: train samples. acceptance: the share of draws expected to pass, `known_from`
    "last run" or the prior. draws, rounds, passed: expected. stopped: how it is expected to end. seconds: wall clock on
    the actors of machine.yaml; None where nothing was ever timed. people: subjects with train samples of the class,
    None where one of these is of nobody known. warning: "" or why the figures say little: too few samples or people."""

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

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunForecast:
    """`counts_from`: where the counts of classes come from; "" and a `reason` where they are not known yet."""

    run: str
    counts_from: str
    reason: str
    classes: tuple[ClassForecast, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


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
    told = timings(layout.timing_file("draws", name))
    last = _last_run(layout.run(name) / "augmented" / "balance.json")
    classes = list(dict.fromkeys(cell.emotion for cell in wanted))
    per_draw = seconds_per_draw(told, classes)
    budget = budget_of(run.rounds.model_dump())
    found: dict[str, tuple[float, bool, list[Forecast]]] = {}
    for emotion in classes:
        tried, passed = last.get(emotion, (0, 0))
        rate = expected_acceptance(tried, passed)
        lacking = [c.lacking for c in wanted if c.emotion == emotion]
        found[emotion] = rate, tried > 0, [forecast(n, rate, budget, numerics.draw_list) for n in lacking]
    lists = math.ceil(sum(f.draws for _, _, expected in found.values() for f in expected) / numerics.draw_list)
    at_once = max(1, min(machine.actors, lists))
    rows = []
    for emotion, (rate, seen, expected) in found.items():
        own = [c for c in wanted if c.emotion == emotion]
        draws = sum(f.draws for f in expected)
        real, people = sum(c.real for c in own), people_of(by_subject, emotion)
        rows.append(
            ClassForecast(
                emotion=emotion,
                real=real,
                target=sum(c.target for c in own),
                missing=sum(c.lacking for c in own),
                acceptance=rate,
                known_from="last run" if seen else PRIOR,
                draws=draws,
                rounds=max(f.rounds for f in expected),
                passed=sum(f.passed for f in expected),
                stopped=_worst(expected),
                seconds=draws * per_draw[emotion] / at_once if emotion in per_draw else None,
                people=people,
                warning=too_few(real, people),
            )
        )
    return RunForecast(name, source, "", tuple(rows))


def people_of(by_subject: BySubject, emotion: str) -> int | None:
    """Subjects with a sample of the class; None where a sample of it names nobody."""
    found: set[tuple[str, str]] = set()
    for corpus, subjects in by_subject.items():
        for subject, counts in subjects.items():
            if counts.get(emotion, 0) > 0:
                if subject is None:
                    return None
                found.add((corpus, subject))
    return len(found)


def too_few(real: int, people: int | None) -> str:
    """ "5 real samples of 2 people: too few to learn the class from", or ""."""
    if real >= FEW_SAMPLES and (people is None or people >= FEW_PEOPLE):
        return ""
    samples = f"{real} real sample{'' if real == 1 else 's'}"
    of = "" if people is None or not real else f" of {people} {'person' if people == 1 else 'people'}"
    return f"{samples}{of}: too few to learn the class from"


def _worst(expected: list[Forecast]) -> str:
    return min((f.stopped for f in expected), key=list(STOPS).index)


def _last_run(path: Path) -> dict[str, tuple[int, int]]:
    """Class -> (draws, passed) of the last run; {} where there is none that can be read."""
    try:
        rows = read_json(path)["classes"]
        return {r["emotion"]: (r["candidates"], r["accepted"] + r["surplus"]) for r in rows}
    except (IntegrityError, KeyError, TypeError):
        return {}


def _cells(name: str, run: RunParams, layout: Layout) -> tuple[list[Cell] | None, BySubject, str]:
    """-> the cells (None: not known yet), train samples of each subject and class, and where they were counted."""
    target = run.target.model_dump(mode="json")
    prepared = layout.run(name) / "prepared"
    if _is_prepared(prepared, run):
        return prepared_cells(target, prepared), prepared_subjects(prepared), "prepared data"
    folders = [layout.corpus(corpus) for corpus in run.corpora]
    if not all((folder / "index.parquet").exists() for folder in folders):
        return None, {}, ""
    return *_ingested_cells(run, folders, target), "ingested corpora, before preparation"


def _is_prepared(prepared: Path, run: RunParams) -> bool:
    """Whether what lies there was made of these corpora, with this view and scheme."""
    try:
        summary = read_json(prepared / "summary.json")
    except IntegrityError:
        return False
    made_of: Mapping[str, Any] = {"corpora": run.corpora, "view": run.view, "scheme": run.scheme}
    return all(summary.get(key) == value for key, value in made_of.items())


def _ingested_cells(run: RunParams, folders: list[Path], target: Mapping[str, Any]) -> tuple[list[Cell], BySubject]:
    import pyarrow as pa
    import pyarrow.compute as pc

    index = pa.concat_tables([read_table(folder / "index.parquet", SAMPLES) for folder in folders])
    spec = ViewSpec.parse(run.view)
    made = pa.concat_tables([read_table(folder / "splits.parquet", SPLITS) for folder in folders])
    made = made.filter(pc.equal(made.column("view"), spec.outer.name))
    outer = made if made.num_rows else None
    if outer is not None and spec == spec.outer:
        split = dict(zip(made.column("sample_id").to_pylist(), made.column("split").to_pylist(), strict=True))
    else:
        view = make_view(index, spec, outer=outer)
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
    return cells(classes, counts, by_corpus, by_subject=by_subject, **target), by_subject

"""The stage `study`: every arm over every view with every classifier, and what it says.

Cells are work items: shared out over actors, kept by content, taken up where they were interrupted. Writes
data/studies/<study>/result (flows/artifacts/studied.py).
"""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from corpora.errors import CorpusError
from corpora.labels import classes_of
from corpora.near.pairs import FINGERPRINTS, NEAR, near_pairs
from corpora.store.shards import read_table
from flows.artifacts.studied import ARM_GATES, About, Studied
from flows.engine.executor import Worker
from flows.engine.progress import progress
from flows.engine.store import WorkStore
from flows.machine import Machine
from flows.paths import Layout
from flows.stages.plan.weights import require_loaded
from flows.stages.report.study_page import study_markdown, study_page
from flows.stages.study.cells import cell_key, view_hash
from flows.stages.study.design import FEATURES, StudyPlan
from flows.stages.study.dispatch import Wanted, compute_cells, kept_cell
from flows.stages.study.methods import NEEDS_PRUNED, default_arms, family_of, gate_pairs, roles_of
from flows.stages.study.rows import Rows, by_hash, labelled_index, prepare_rows, read_rows
from flows.stages.study.views import View, Views, require_vault
from flows.stages.study.worker import StudySetup
from flows.studying import Arm, StudyParams
from generators.generator import generator_class
from validators.trials.classifiers.registry import classifier
from validators.trials.studies.answers import ANSWERS, CELLS, PEOPLE, Study
from validators.trials.studies.gates import GateReading
from validators.trials.studies.summary import summarised

LIBRARIES = ("numpy", "scikit-learn", "torch", "imbalanced-learn", "audiomentations", "statsmodels")


@dataclass(frozen=True)
class Asked:
    """All that a study computes: its rows, views and cells."""

    plan: StudyPlan
    classes: tuple[str, ...]
    rows: Rows
    setup: StudySetup
    views: tuple[View, ...]
    cells: tuple[Wanted, ...]
    rejected: Mapping[str, int]
    dropped: int


def run(plan: StudyPlan, layout: Layout, machine: Machine, *, into: Path, mode: str = "full") -> None:
    """Answers the study and writes `into`. mode: full | quick | vault, for the page.

    Raises `SplitError`, `UserError` and `CorpusError` for what no cell could be computed of; what single cells cannot
    do stands in the result.
    """
    if plan.params.task != "classes":
        from flows.stages.study.targets_study import run_targets

        run_targets(plan, layout, machine, into=into, mode=mode)
        return
    store = WorkStore(machine.store or layout.store)
    asked = ask(plan, layout, machine, store, vault=mode == "vault")
    compute(asked, machine, store)
    write(asked, store, into, mode)


def ask(plan: StudyPlan, layout: Layout, machine: Machine, store: WorkStore, *, vault: bool = False) -> Asked:
    """Prepares the rows, cuts the views and lists the cells."""
    study, features = plan.params, plan.prepare(FEATURES)
    for key in plan.prepares:
        require_loaded(plan.prepare(key).loads)
    index = by_hash(labelled_index(features, layout), study.max_samples)
    if not index.num_rows:
        raise CorpusError(f"study {plan.study!r}: no sample has a class of scheme {study.scheme!r}")
    progress(f"study: preparing {index.num_rows} samples")
    prepared = prepare_rows(features, layout, machine, store, index)
    modelled: dict[str, tuple[dict[str, JsonValue], str]] = {}
    for key in plan.prepares:
        if key != FEATURES:
            own = plan.prepare(key)
            assert own.representation is not None
            named = own.representation.model_dump(mode="json")
            modelled[key] = named, prepare_rows(own, layout, machine, store, index).key
    rows = read_rows(store, prepared.key)
    require_vault(plan.study, rows.facts, study.vault)
    classes = classes_of(study.scheme, [fact.emotion for fact in rows.facts])
    assert features.representation is not None
    rate_hz = features.steps.model_dump()["resample"]["rate_hz"] if plan.modality == "speech" else None
    setup = StudySetup(
        store=store.url,
        modality=plan.modality,
        rate_hz=rate_hz,
        classes=tuple(classes),
        rows=prepared.key,
        settings=prepared.settings,
        features=features.representation.model_dump(mode="json"),
        scaling=plan.scaling.model_dump(mode="json"),
        modelled=modelled,
        arms={name: arm.model_dump(mode="json") for name, arm in plan.arms.items()},
        classifiers=plan.classifiers,
        code=plan.code.arms,
        inner_folds=study.inner_folds,
    )
    cutter = Views(plan.study, study, plan.on_leak, prepared.index, rows.facts, near_of(plan, layout), classes, vault)
    views = tuple(with_features(view, rows) for view in cutter)
    cells = tuple(_cells(plan, rows, prepared.key, classes, views))
    return Asked(plan, tuple(classes), rows, setup, views, cells, prepared.rejected, cutter.dropped)


def near_of(plan: StudyPlan, layout: Layout) -> pa.Table:
    """NEAR of all corpora of the study together."""
    folders = [layout.corpus(corpus) for corpus in plan.params.corpora]
    if len(folders) == 1:
        return read_table(folders[0] / "near_pairs.parquet", NEAR)
    return near_pairs(pa.concat_tables(read_table(folder / "near.parquet", FINGERPRINTS) for folder in folders))


def with_features(view: View, rows: Rows) -> View:
    """The view without rows that have no features."""
    kept = {name: getattr(view, name)[rows.encoded[getattr(view, name)]] for name in ("train", "gone", "test")}
    return dataclasses.replace(view, **kept)


def _cells(
    plan: StudyPlan, rows: Rows, rows_key: str, classes: Sequence[str], views: Sequence[View]
) -> Iterator[Wanted]:
    for n, view in enumerate(views):
        hashed = view_hash(view, rows.facts, rows_key)
        for name, arm in plan.arms.items():
            if arm.method in NEEDS_PRUNED and view.pruned is None:
                continue  # nothing of one class was taken away
            own = [arm.method, *(f"gate {gate}" for gate in sorted(arm.gates))]
            code = [plan.code.arms[part] for part in own]
            modelled = None if arm.representation is None else _settings(plan, arm.representation)
            for label, params in plan.classifiers.items():
                more: list[JsonValue] = [
                    list(classes),
                    plan.scaling.model_dump(mode="json"),
                    [*code, plan.code.classifiers[label]],
                    plan.params.inner_folds if arm.tune else None,
                    modelled,
                    *([] if view.heard is None else [view.heard.key(rows_key)]),
                ]
                yield Wanted(cell_key(hashed, view.pruned, arm, label, params, more), name, label, n)


def _settings(plan: StudyPlan, representation: Mapping[str, Any]) -> JsonValue:
    """What decides what a generator models, beside the rows."""
    from flows.stages.study.generated import representation_key

    own = plan.prepare(representation_key(representation))
    named = None if own.representation is None else own.representation.model_dump(mode="json")
    return [own.worker_code, named, {**own.loads}]


def compute(asked: Asked, machine: Machine, store: WorkStore) -> None:
    """Does the cells that the store has not, view by view."""
    place = {name: k for k, name in enumerate(asked.classes)}

    def payload(view: View, rows: str, own: list[Wanted]) -> dict[str, JsonValue]:
        return {
            "view": rows,
            "seed": view.seed,
            "pruned": None if view.pruned is None else place[view.pruned],
            "heard": None if view.heard is None else [view.heard.change, view.heard.level],
            "jobs": [[cell.key, cell.arm, cell.classifier] for cell in own],
        }

    worker = Worker("flows.stages.study.worker:StudyWorker", {"setup": asked.setup.to_json()})
    compute_cells(asked.cells, asked.views, worker, payload, machine, store)


def write(asked: Asked, store: WorkStore, into: Path, mode: str) -> None:
    """Tables, summary and page."""
    cells, answers, gates = _tables(asked, store)
    people = people_of(asked.rows)
    study = Study.of_tables(asked.classes, cells, answers, people)
    progress(f"study: statistics over {cells.num_rows} cells, {answers.num_rows} answers")
    about = _about(asked, mode)
    summary = summarised(
        study,
        roles_of(asked.plan.arms),
        n_bootstrap=asked.plan.params.bootstrap,
        seed=asked.plan.params.seed,
        pairs=gate_pairs(asked.plan.arms),
        readings=_readings(gates),
    )
    shown = shown_of(about)
    with Studied.written(into) as out:
        out.write_answers(cells, answers, people, gates)
        out.write_words(
            about, plain_json(dataclasses.asdict(summary)), study_page(summary, shown), study_markdown(summary, shown)
        )


def _tables(asked: Asked, store: WorkStore) -> tuple[pa.Table, pa.Table, pa.Table]:
    """CELLS, ANSWERS, ARM_GATES of everything that was asked. Raises `IntegrityError` where the store lost a cell."""
    cells: list[dict[str, JsonValue]] = []
    gates: list[dict[str, Any]] = []
    parts: list[pa.Table] = []
    gated: set[tuple[str, int]] = set()
    ids = np.array([fact.piece_id for fact in asked.rows.facts], dtype=object)
    place = {name: k for k, name in enumerate(asked.classes)}
    targets = np.array([place[fact.emotion] for fact in asked.rows.facts], np.int16)
    for number, wanted in enumerate(asked.cells):
        view = asked.views[wanted.view]
        kept = kept_cell(wanted, number, view, store)
        cells.append(kept.row)
        if not kept.ok:
            continue
        name, arrays, meta = kept.row["cell"], kept.arrays, kept.meta
        own = arrays["rows"]
        flat = pa.array(np.ascontiguousarray(arrays["scores"]).ravel())
        ends = pa.array(np.arange(len(own) + 1, dtype=np.int32) * len(asked.classes))
        columns = [
            pa.array([name] * len(own), pa.string()),
            pa.array(ids[own].tolist(), pa.string()),
            pa.array(targets[own], pa.int16()),
            pa.array(arrays["answer"], pa.int16()),
            pa.ListArray.from_arrays(ends, flat),
        ]
        parts.append(pa.Table.from_arrays(columns, schema=ANSWERS))
        if meta["gates"] and (wanted.arm, wanted.view) not in gated:
            gated.add((wanted.arm, wanted.view))
            at = {"arm": wanted.arm, "condition": view.condition, "fold": view.fold, "seed": view.seed}
            gates += [{**at, "gate": g, "score": mean, "let_in": share} for g, (mean, share) in meta["gates"].items()]
    answers = pa.concat_tables(parts).combine_chunks() if parts else ANSWERS.empty_table()
    return pa.Table.from_pylist(cells, schema=CELLS), answers, pa.Table.from_pylist(gates, schema=ARM_GATES)


def _readings(gates: pa.Table) -> list[GateReading]:
    """ARM_GATES as statistics take them."""
    return [
        GateReading(r["arm"], r["condition"], r["gate"], math.nan if r["score"] is None else r["score"], r["let_in"])
        for r in gates.to_pylist()
    ]


def people_of(rows: Rows) -> pa.Table:
    """PEOPLE of the rows of a study."""
    columns = {
        "sample_id": [fact.piece_id for fact in rows.facts],
        "subject": [fact.subject or fact.group for fact in rows.facts],
        "corpus": [fact.corpus for fact in rows.facts],
        "gender": [fact.gender for fact in rows.facts],
        "age": [fact.age for fact in rows.facts],
        "language": [fact.language for fact in rows.facts],
    }
    return pa.table(columns, schema=PEOPLE)


def _about(asked: Asked, mode: str) -> About:
    plan = asked.plan
    probabilities = tuple(n for n, p in plan.classifiers.items() if classifier(n, p).probabilities)
    about = about_of(plan, asked.rows, asked.classes, mode)
    counted = {"rejected": dict(asked.rejected), "dropped": asked.dropped}
    return about.model_copy(update={**counted, "probabilities": probabilities})


def about_of(plan: StudyPlan, rows: Rows, names: Sequence[str], mode: str) -> About:
    """What was asked, of whom. names: classes, dimensions or labels. Nothing is rejected, dropped or a probability yet;
    the caller says so."""
    people = {fact.subject or fact.group for fact in rows.facts}
    spec = plan.prepares[FEATURES]
    params: Any = spec["params"]
    return About(
        study=plan.study,
        mode=mode,
        task=plan.params.task,
        corpora=plan.params.corpora,
        modality=plan.modality,
        classes=tuple(names),
        features=str(params["representation"]["name"]),
        scaling=plan.scaling.scaling
        + ("" if plan.scaling.components is None else f", {plan.scaling.components} components"),
        arms={name: arm.model_dump(mode="json", exclude_defaults=True) for name, arm in plan.arms.items()},
        classifiers=plan.classifiers,
        folds=plan.params.folds,
        seeds=plan.params.seeds,
        n_samples=len(rows),
        n_people=len(people),
        people_known=all(fact.subject is not None for fact in rows.facts),
        rejected={},
        dropped=0,
        probabilities=(),
        bootstrap=plan.params.bootstrap,
        machine=f"{platform.machine()}, Python {platform.python_version()}",
        versions={name: version(name) for name in LIBRARIES},
        asked=plan.asked,
    )


def shown_of(about: About) -> dict[str, str]:
    """What the page says of the study, in the order in which it says it."""
    people = f"{about.n_people} people" if about.people_known else f"{about.n_people} split units, people not known"
    return {
        "study": about.study,
        "mode": about.mode,
        "corpora": ", ".join(about.corpora),
        about.task: ", ".join(about.classes),
        **({"left out": ", ".join(f"{k} ({why})" for k, why in about.left_out.items())} if about.left_out else {}),
        "samples": f"{about.n_samples} of {people}",
        "features": f"{about.features}, scaled: {about.scaling}",
        "views": f"{about.folds} folds, {about.seeds} seeds",
        "classifiers": ", ".join(about.classifiers),
        "refused by preparation": ", ".join(f"{k} {n}" for k, n in about.rejected.items()) or "nothing",
        "taken out as leaks": f"{about.dropped} samples in the fold that lost most",
        "machine": about.machine,
        "versions": ", ".join(f"{name} {number}" for name, number in about.versions.items()),
    }


def plain_json(value: Any) -> Any:
    """JSON of a summary: NaN and infinities are null."""
    if isinstance(value, dict):
        return {str(key): plain_json(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(own) for own in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def quick(study: StudyParams, arms: Mapping[str, Arm], modality: str) -> StudyParams:
    """A first answer in minutes: one seed, at most 3 folds, one percentage, nothing that is trained or rendered."""
    slow = [name for name, arm in arms.items() if _is_slow(arm)]
    conditions = study.conditions.model_copy(
        update={"prune": study.conditions.prune[:1], "long_tail": (), "groups": ()}
    )
    most = 1500 if study.max_samples is None else min(1500, study.max_samples)
    # a study's own slow arm may stand in place of a default one, which must not come back for it
    without = tuple(dict.fromkeys([*study.without, *(n for n in slow if n in default_arms(modality))]))
    return study.model_copy(
        update={
            "seeds": 1,
            "folds": min(3, study.folds),
            "conditions": conditions,
            "max_samples": most,
            "without": without,
            "arms": {n: arm for n, arm in study.arms.items() if n not in slow},
        }
    )


def _is_slow(arm: Arm) -> bool:
    """Whether an arm trains a network, or makes payloads of which features are to be taken."""
    family = family_of(arm.method)
    return family == "payload" or (
        family == "generator" and (arm.representation is not None or generator_class(arm.method).trains)
    )

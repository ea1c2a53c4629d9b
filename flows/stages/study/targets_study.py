"""The stage `study` of the tasks `dimensions` and `labels`: as flows/stages/study/study.py, whose rows, views and pages
it shares. Cells are named by their rows, targets, arm, classifier and code."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from corpora.errors import CorpusError
from flows.artifacts.studied import Studied
from flows.engine.executor import Worker
from flows.engine.progress import progress
from flows.engine.store import WorkStore
from flows.machine import Machine
from flows.paths import Layout
from flows.stages.plan.code import code_hash
from flows.stages.plan.weights import require_loaded
from flows.stages.report.predicted_page import predicted_markdown, predicted_page
from flows.stages.study.cells import cell_key, view_hash
from flows.stages.study.design import FEATURES, StudyPlan
from flows.stages.study.dispatch import Wanted, compute_cells, kept_cell
from flows.stages.study.methods import roles_of
from flows.stages.study.rows import NO_CLASS, Rows, by_hash, labelled_index, prepare_rows, read_rows
from flows.stages.study.study import (
    about_of,
    near_of,
    people_of,
    plain_json,
    shown_of,
    with_features,
)
from flows.stages.study.targets import Targets, targets_of
from flows.stages.study.targets_worker import TargetJob, TargetSetup, ViewJobs
from flows.stages.study.views import View, Views, in_vault, require_vault
from validators.trials.studies.answers import CELLS
from validators.trials.studies.predicted import predicted_summary
from validators.trials.studies.predictions import PREDICTIONS, TRUTHS, Predictions

FORM = 1  # of a stored cell, and of how arms and classifiers are put together (flows/stages/study/targets_worker.py)
# What draws rows is in the key; what these say of a row is there by itself, and methods have hashes of their own
_ELSEWHERE = ("corpora.*", "features.*", "flows.studying", "flows.artifacts.*", "flows.stages.prepare.*",
              "flows.stages.study.rows", "flows.stages.study.changed", "flows.stages.study.train")  # fmt: skip


@dataclass(frozen=True)
class TargetAsked:
    """All that such a study computes."""

    plan: StudyPlan
    targets: Targets
    rows: Rows
    setup: TargetSetup
    views: tuple[View, ...]
    cells: tuple[Wanted, ...]
    rejected: Mapping[str, int]
    dropped: int


def run_targets(plan: StudyPlan, layout: Layout, machine: Machine, *, into: Path, mode: str) -> None:
    """Answers the study and writes `into`. Raises as `study.run`."""
    store = WorkStore(machine.store or layout.store)
    asked = ask_targets(plan, layout, machine, store, vault=mode == "vault")
    compute_targets(asked, machine, store)
    write_targets(asked, store, into, mode)


def ask_targets(
    plan: StudyPlan, layout: Layout, machine: Machine, store: WorkStore, *, vault: bool = False
) -> TargetAsked:
    """Prepares the rows, cuts the views and lists the cells."""
    study, features = plan.params, plan.prepare(FEATURES)
    require_loaded(features.loads)
    index = by_hash(labelled_index(features, layout, study.task), study.max_samples)
    if not index.num_rows:
        wanted = "a rating of valence, arousal or dominance" if study.task == "dimensions" else "a canonical label"
        raise CorpusError(f"study {plan.study!r}: no sample of {', '.join(study.corpora)} has {wanted}")
    progress(f"study: preparing {index.num_rows} samples")
    prepared = prepare_rows(features, layout, machine, store, index, study.task)
    rows = read_rows(store, prepared.key)
    require_vault(plan.study, rows.facts, study.vault)
    targets = targets_of(study.task, rows.facts, {f.sample_id for f in rows.facts if in_vault(f, study.vault)})
    for name, why in targets.left_out.items():
        progress(f"study: {name} is left out: {why}")
    assert features.representation is not None
    setup = TargetSetup(
        store=store.url,
        modality=plan.modality,
        task=targets.task,
        names=targets.names,
        rows=prepared.key,
        settings=prepared.settings,
        features=features.representation.model_dump(mode="json"),
        scaling=plan.scaling.model_dump(mode="json"),
        arms={name: arm.model_dump(mode="json") for name, arm in plan.arms.items()},
        classifiers=plan.classifiers,
        code=plan.code.arms,
    )
    near, classes = near_of(plan, layout), [NO_CLASS[study.task]]
    cutter = Views(plan.study, study, plan.on_leak, prepared.index, rows.facts, near, classes, vault)
    views = tuple(with_features(view, rows) for view in cutter)
    cells = tuple(_cells(plan, rows, prepared.key, targets, views))
    return TargetAsked(plan, targets, rows, setup, views, cells, prepared.rejected, cutter.dropped)


def _cells(plan: StudyPlan, rows: Rows, rows_key: str, targets: Targets, views: tuple[View, ...]) -> Iterator[Wanted]:
    code = code_hash(["flows.stages.study.targets"], without=_ELSEWHERE)
    for n, view in enumerate(views):
        hashed = view_hash(view, rows.facts, rows_key)
        known: list[JsonValue] = [targets.hashed(view.train), targets.hashed(view.test)]
        heard: list[JsonValue] = [] if view.heard is None else [view.heard.key(rows_key)]
        for name, arm in plan.arms.items():
            for label, params in plan.classifiers.items():
                own: list[JsonValue] = [code, plan.code.arms[arm.method], plan.code.classifiers[label]]
                scaling = plan.scaling.model_dump(mode="json")
                more: list[JsonValue] = [FORM, targets.task, list(targets.names), *known, scaling, *own, *heard]
                yield Wanted(cell_key(hashed, None, arm, label, params, more), name, label, n)


def compute_targets(asked: TargetAsked, machine: Machine, store: WorkStore) -> None:
    """Does the cells that the store has not, view by view."""

    def payload(view: View, rows: str, own: list[Wanted]) -> dict[str, JsonValue]:
        jobs = tuple(TargetJob(key=cell.key, arm=cell.arm, classifier=cell.classifier) for cell in own)
        heard = None if view.heard is None else (view.heard.change, view.heard.level)
        return ViewJobs(view=rows, seed=view.seed, heard=heard, jobs=jobs).to_json()

    worker = Worker("flows.stages.study.targets_worker:TargetWorker", {"setup": asked.setup.to_json()})
    compute_cells(asked.cells, asked.views, worker, payload, machine, store)


def write_targets(asked: TargetAsked, store: WorkStore, into: Path, mode: str) -> None:
    """Tables, summary and page."""
    plan, targets = asked.plan, asked.targets
    cells, predictions = _tables(asked, store)
    truths, people = truths_of(asked.rows, targets), people_of(asked.rows)
    progress(f"study: statistics over {cells.num_rows} cells, {predictions.num_rows} predictions")
    whole = Predictions.of_tables(targets.task, targets.names, cells, predictions, truths, people)
    summary = predicted_summary(
        whole,
        roles_of(plan.arms),
        n_bootstrap=plan.params.bootstrap,
        seed=plan.params.seed,
        left_out=targets.left_out,
    )
    known = {"rejected": dict(asked.rejected), "dropped": asked.dropped, "left_out": targets.left_out}
    probabilities = tuple(plan.classifiers) if targets.task == "labels" else ()
    about = about_of(plan, asked.rows, targets.names, mode)
    about = about.model_copy(update={**known, "probabilities": probabilities})
    shown = shown_of(about)
    with Studied.written(into) as out:
        out.write_predictions(cells, predictions, truths, people)
        said = plain_json(dataclasses.asdict(summary))
        out.write_words(about, said, predicted_page(summary, shown), predicted_markdown(summary, shown))


def truths_of(rows: Rows, targets: Targets) -> pa.Table:
    """TRUTHS of the rows of a study."""
    ids = [fact.piece_id for fact in rows.facts]
    return pa.Table.from_arrays([pa.array(ids, pa.string()), _lists(targets.values)], schema=TRUTHS)


def _lists(values: np.ndarray) -> pa.Array:
    """[n, K] float32 -> n lists; NaN is null."""
    flat = np.ascontiguousarray(values, np.float32).ravel()
    ends = pa.array(np.arange(len(values) + 1, dtype=np.int32) * values.shape[1])
    return pa.ListArray.from_arrays(ends, pa.array(flat, mask=np.isnan(flat)))


def _tables(asked: TargetAsked, store: WorkStore) -> tuple[pa.Table, pa.Table]:
    """CELLS and PREDICTIONS of everything that was asked. Raises `IntegrityError` where the store lost a cell."""
    cells: list[dict[str, JsonValue]] = []
    parts: list[pa.Table] = []
    ids = np.array([fact.piece_id for fact in asked.rows.facts], dtype=object)
    for number, wanted in enumerate(asked.cells):
        kept = kept_cell(wanted, number, asked.views[wanted.view], store)
        cells.append(kept.row)
        if not kept.ok:
            continue
        name, arrays = kept.row["cell"], kept.arrays
        own = arrays["rows"]
        names = pa.array([name] * len(own), pa.string())
        samples = pa.array(ids[own].tolist(), pa.string())
        answers = pa.nulls(len(own), PREDICTIONS.field("answers").type)
        if asked.targets.task == "labels":
            ends = pa.array(np.arange(len(own) + 1, dtype=np.int32) * len(asked.targets.names))
            answers = pa.ListArray.from_arrays(ends, pa.array(arrays["answers"].astype(bool).ravel()))
        columns = [names, samples, _lists(arrays["values"]), answers]
        parts.append(pa.Table.from_arrays(columns, schema=PREDICTIONS))
    predictions = pa.concat_tables(parts).combine_chunks() if parts else PREDICTIONS.empty_table()
    return pa.Table.from_pylist(cells, schema=CELLS), predictions

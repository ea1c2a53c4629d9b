"""The worker of a study of dimensions or labels: the arms of one view, each with every classifier.

As flows/stages/study/worker.py, of which it shares the rows, the scales and what is heard.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from pydantic import JsonValue

from corpora.errors import EmoforgeError, UserError
from flows.artifacts.base import Record
from flows.engine.store import WorkStore
from flows.stages.study.changed import Changed
from flows.stages.study.design import recogniser
from flows.stages.study.dispatch import NO_ANSWER
from flows.stages.study.generated import representation_from
from flows.stages.study.heard import Heard, tested_rows
from flows.stages.study.rows import NO_CLASS, Payloads, read_rows
from flows.stages.study.targets import AddedTargets, TargetRows, Targets, label_weights, values_of
from flows.stages.study.train import TrainView
from flows.studying import Arm
from validators.trials.classifiers.scaling import ScalingParams
from validators.trials.studies.predictions import Task as TargetTask

log = logging.getLogger(__name__)


class TargetSetup(Record):
    """What a worker works with. names: of the targets; rows: store key of the study's rows; settings: hash
    of how they were prepared; features: the representation that classifiers see; arms, classifiers: by name; code: of
    methods."""

    store: str
    modality: str
    task: TargetTask
    names: tuple[str, ...]
    rows: str
    settings: str
    features: dict[str, JsonValue]
    scaling: dict[str, JsonValue]
    arms: dict[str, dict[str, JsonValue]]
    classifiers: dict[str, dict[str, JsonValue]]
    code: dict[str, str]


class TargetJob(Record):
    """One cell of a view that the store has not."""

    key: str
    arm: str
    classifier: str


class ViewJobs(Record):
    """One work item. view: store key of {train, test}; heard: change and level, or None."""

    view: str
    seed: int
    heard: tuple[str, float] | None
    jobs: tuple[TargetJob, ...]


class TargetWorker:
    """Long-lived: the rows are read once."""

    def __init__(self, setup: Mapping[str, JsonValue]) -> None:
        """`setup`: a `TargetSetup` as JSON."""
        self.setup = TargetSetup.model_validate(setup)
        self.store = WorkStore(self.setup.store)
        self.rows = read_rows(self.store, self.setup.rows)
        self.targets: Targets = Targets(
            self.setup.task, self.setup.names, values_of(self.setup.task, self.rows.facts, self.setup.names), {}
        )
        self.features = representation_from(self.setup.features)
        self.arms = {name: Arm.model_validate(arm) for name, arm in self.setup.arms.items()}
        self.classifiers = {n: recogniser(self.setup.task, n, p) for n, p in self.setup.classifiers.items()}
        self.scaling = ScalingParams.model_validate(self.setup.scaling)

    def run(self, payload: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """payload: a `ViewJobs` as JSON -> {"cells": number}.

        Leaves one item a cell: "values" [n, K], of labels "answers" [n, K] too, "rows" [n] and what became of it."""
        asked = ViewJobs.model_validate(payload)
        arrays, _ = self.store.get_arrays(asked.view)
        train, test = arrays["train"], arrays["test"]
        classes = (NO_CLASS[self.setup.task],)
        view = TrainView(self.rows, classes, self.scaling, train, train[:0], test, asked.seed)
        bench = TargetBench(self, view, None if asked.heard is None else Heard(*asked.heard))
        for arm in dict.fromkeys(job.arm for job in asked.jobs):
            for job in (j for j in asked.jobs if j.arm == arm):
                if not self.store.has(job.key):
                    bench.answer(job)
        return {"cells": len(asked.jobs)}


class TargetBench:
    """One view, on which arms are tried. What several classifiers need is computed once."""

    def __init__(self, worker: TargetWorker, view: TrainView, heard: Heard | None = None) -> None:
        self.worker, self.view, self.heard, setup = worker, view, heard, worker.setup
        payloads = Payloads(worker.store, view.rows)
        changed = Changed(view, payloads, worker.features, setup.modality, worker.store, setup.settings, setup.code)
        self.rows = TargetRows(view, worker.targets, changed)
        self._added: dict[str, AddedTargets | Exception] = {}

    @cached_property
    def tested(self) -> tuple[np.ndarray, np.ndarray]:
        """[n] rows that are tested, and their features: `tested_rows`."""
        worker = self.worker
        return tested_rows(self.view, self.heard, worker.setup.rows, worker.features, worker.store)

    def answer(self, job: TargetJob) -> None:
        """Trains one classifier on one arm and keeps what it predicts, or why there is nothing."""
        begun = time.perf_counter()
        arm = self.worker.arms[job.arm]
        try:
            if not len(self.view.test):
                raise UserError("no test sample of this view has features")
            if not len(self.view.train):
                raise UserError("no train sample of this view has features")
            added = self.added(arm)
            arrays = self.predictions(arm, added, job.classifier)
        except NO_ANSWER:
            raise
        except UserError as error:
            self._keep(job, "impossible", str(error), begun)
        except (EmoforgeError, ValueError, ArithmeticError, RuntimeError, np.linalg.LinAlgError) as error:
            log.warning("arm %s: %s: %s", job.arm, type(error).__name__, error)
            self._keep(job, "failed", f"{type(error).__name__}: {error}", begun)
        else:
            lost = len(self.view.test) - len(self.tested[0])
            said = [*added.notes, *([f"{lost} test samples cannot be described so changed"] if lost else [])]
            self._keep(job, "ok", "; ".join(said), begun, {**arrays, "rows": self.tested[0]}, len(added))

    def _keep(
        self,
        job: TargetJob,
        status: str,
        reason: str,
        begun: float,
        arrays: Mapping[str, np.ndarray] | None = None,
        n_added: int = 0,
    ) -> None:
        meta: dict[str, JsonValue] = {
            "status": status,
            "reason": reason,
            "n_real": len(self.view.train),
            "n_added": n_added,
            "seconds": round(time.perf_counter() - begun, 4),
        }
        self.worker.store.put_arrays(job.key, dict(arrays or {"rows": self.view.test[:0]}), meta)

    def added(self, arm: Arm) -> AddedTargets:
        """The rows of an arm, computed once for all classifiers. Raises what computing them raised."""
        key = arm.model_dump_json()
        if key not in self._added:
            try:
                self._added[key] = self.rows.added(arm)
            except NO_ANSWER:
                raise
            except (EmoforgeError, ValueError, ArithmeticError, RuntimeError) as error:
                self._added[key] = error
        known = self._added[key]
        if isinstance(known, Exception):
            raise known
        return known

    def predictions(self, arm: Arm, added: AddedTargets, classifier: str) -> dict[str, np.ndarray]:
        """ "values" [n, K] float32 of the test rows: ratings, or probabilities of labels with "answers" [n, K]."""
        view, model = self.view, self.worker.classifiers[classifier]
        x = np.concatenate([view.x, added.x]) if len(added) else view.x
        y = np.concatenate([self.rows.train, added.values]) if len(added) else self.rows.train
        reference = np.arange(len(y)) < len(view.train)
        if self.worker.setup.task == "dimensions":
            fitted = model.fit_dimensions(x, y, seed=view.seed, reference=reference)
            return {"values": fitted.predictions(self.tested[1]).astype(np.float32)}
        weights = None
        if arm.method == "class_weights":
            weights = label_weights(y, float(arm.params.get("power", 1.0)))
        fitted = model.fit_labels(x, y > 0, weights=weights, seed=view.seed, reference=reference)
        answers, scores = fitted.answers(self.tested[1])
        return {"values": scores.astype(np.float32), "answers": answers.astype(np.uint8)}

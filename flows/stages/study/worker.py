"""The worker of a study: the arms of one view, each with every classifier; answers go into the work store.

What cannot be done is an answer, too: the cell says so with its reason, and no average leaves it out unseen.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import JsonValue

from corpora.errors import EmoforgeError, UserError
from corpora.fingerprint import hash_json
from flows.artifacts.base import Record
from flows.engine.store import MissingItemError, WorkStore
from flows.stages.augment.batches import Form
from flows.stages.study.changed import Changed
from flows.stages.study.dispatch import NO_ANSWER
from flows.stages.study.generated import Generated, Modelled, representation_from, representation_key
from flows.stages.study.heard import Heard, tested_rows
from flows.stages.study.methods import family_of
from flows.stages.study.plain import fill, oracle, oracle_fill, true_effect
from flows.stages.study.rows import Payloads, read_rows
from flows.stages.study.train import Added, TrainView, nothing
from flows.stages.study.tuned import inner_views, tuned_arm, with_defaults
from flows.studying import Arm
from generators.classical.method import vector_method
from validators.trials.classifiers.priors import adjusted_answers, class_weights, train_prior
from validators.trials.classifiers.protocol import Classifier
from validators.trials.classifiers.registry import classifier
from validators.trials.classifiers.scaling import ScalingParams

log = logging.getLogger(__name__)

_NO_ROWS = {"tune", "trials", "keep_total"}  # of an arm: what does not decide which rows it adds


class StudySetup(Record):
    """What a worker works with. rows: store key of the study's rows; settings: hash of how they were prepared;
    features: the representation that classifiers see; modelled: representation -> store key of the rows in it; arms,
    classifiers: by name; code: of methods, for what is kept beside the cells."""

    store: str
    modality: str
    rate_hz: float | None
    classes: tuple[str, ...]
    rows: str
    settings: str
    features: dict[str, JsonValue]
    scaling: dict[str, JsonValue]
    modelled: dict[str, tuple[dict[str, JsonValue], str]]
    arms: dict[str, dict[str, Any]]
    classifiers: dict[str, dict[str, Any]]
    code: dict[str, str]
    inner_folds: int


@dataclass(frozen=True, slots=True)
class Job:
    """One cell of a view that the store has not."""

    key: str
    arm: str
    classifier: str


class StudyWorker:
    """Long-lived: the rows are read once."""

    def __init__(self, setup: Mapping[str, JsonValue]) -> None:
        """`setup`: a `StudySetup` as JSON."""
        self.setup = StudySetup.model_validate(setup)
        self.store = WorkStore(self.setup.store)
        self.rows = read_rows(self.store, self.setup.rows)
        self.features = representation_from(self.setup.features)
        self.arms = {name: Arm.model_validate(arm) for name, arm in self.setup.arms.items()}
        self.classifiers = {name: classifier(name, params) for name, params in self.setup.classifiers.items()}
        self.scaling = ScalingParams.model_validate(self.setup.scaling)
        self._modelled: dict[str, Modelled] = {}

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        """payload: {"view": store key of {train, gone, test}, "seed", "pruned", "heard": [change, level] or None,
        "jobs": [[key, arm, classifier]]} -> {"cells": number}.

        Leaves one item a cell: "answer" [n], "scores" [n, K], "rows" [n] and what became of it."""
        arrays, _ = self.store.get_arrays(payload["view"])
        view = TrainView(
            self.rows,
            self.setup.classes,
            self.scaling,
            train=arrays["train"],
            gone=arrays["gone"],
            test=arrays["test"],
            seed=int(payload["seed"]),
            pruned=payload["pruned"],
        )
        jobs = [Job(*job) for job in payload["jobs"]]
        bench = Bench(self, view, None if payload["heard"] is None else Heard(*payload["heard"]))
        for arm in dict.fromkeys(job.arm for job in jobs):
            for job in (j for j in jobs if j.arm == arm):
                if not self.store.has(job.key):
                    bench.answer(job)
        return {"cells": len(jobs)}

    def modelled(self, key: str) -> Modelled:
        """The rows in another representation. Raises `UserError` where preparation cut the samples otherwise for it."""
        if key not in self._modelled:
            params, rows_key = self.setup.modelled[key]
            rows = read_rows(self.store, rows_key)
            if [f.piece_id for f in rows.facts] != [f.piece_id for f in self.rows.facts]:
                raise UserError(
                    f"representation {params['name']} wants samples prepared otherwise than the study's features do; "
                    "its rows cannot be compared with them"
                )
            form = Form.of(self.setup.modality, self.setup.rate_hz, params)
            own = representation_from(params)
            self._modelled[key] = Modelled(rows, own, self.features, form, Payloads(self.store, rows))
        return self._modelled[key]


class Bench:
    """One view, on which arms are tried. What several arms need is computed once."""

    def __init__(self, worker: StudyWorker, view: TrainView, heard: Heard | None = None) -> None:
        self.worker, self.view, self.heard, setup = worker, view, heard, worker.setup
        self.generated = Generated(view, _Lazy(worker), setup.modality)
        payloads = Payloads(worker.store, worker.rows)
        self.changed = Changed(
            view, payloads, worker.features, setup.modality, worker.store, setup.settings, setup.code
        )
        self._added: dict[str, Added | Exception] = {}

    @cached_property
    def tested(self) -> tuple[np.ndarray, np.ndarray]:
        """[n] rows that are tested, and their features: `tested_rows`."""
        worker = self.worker
        return tested_rows(self.view, self.heard, worker.setup.rows, worker.features, worker.store)

    def answer(self, job: Job) -> None:
        """Trains one classifier on one arm and keeps its answers, or why there are none."""
        begun = time.perf_counter()
        arm, model = self.worker.arms[job.arm], self.worker.classifiers[job.classifier]
        try:
            self.view.require_test()
            chosen: dict[str, JsonValue] = {}
            untuned = ""
            if arm.tune and len(np.unique(self.view.rows.groups[self.view.train])) < 2:
                # its defaults are well defined; what cannot be done is to choose others on people who were not met
                untuned, arm = "one split unit in train: nothing was tuned", with_defaults(arm)
            elif arm.tune:
                arm, chosen = self._tuned(arm, model)
            added = self.added(arm)
            answer, scores = self.answers(arm, added, model)
        except NO_ANSWER:
            raise
        except UserError as error:
            self._cannot(job, "impossible", str(error), begun)
        except (EmoforgeError, ValueError, ArithmeticError, RuntimeError, np.linalg.LinAlgError) as error:
            log.warning("arm %s: %s: %s", job.arm, type(error).__name__, error)
            self._cannot(job, "failed", f"{type(error).__name__}: {error}", begun)
        else:
            lost = len(self.view.test) - len(answer)
            said = [
                *([untuned] if untuned else []),
                *added.notes,
                *([f"{lost} test samples cannot be described so changed"] if lost else []),
            ]
            meta = {
                "status": "ok",
                "reason": "; ".join(said),
                "n_real": 0 if arm.synthetic_only else len(self.view.train),
                "n_added": len(added),
                "seconds": round(time.perf_counter() - begun, 4),
                "probabilities": model.probabilities,
                "gates": {name: [_number(mean), share] for name, (mean, share) in added.gates.items()},
                "tuned": chosen,
            }
            arrays: dict[str, np.ndarray] = {
                "answer": answer.astype(np.int16),
                "scores": scores.astype(np.float32),
                "rows": self.tested[0],
            }
            self.worker.store.put_arrays(job.key, arrays, meta)

    def _cannot(self, job: Job, status: str, reason: str, begun: float) -> None:
        meta = {
            "status": status,
            "reason": reason,
            "n_real": len(self.view.train),
            "n_added": 0,
            "seconds": round(time.perf_counter() - begun, 4),
        }
        self.worker.store.put_arrays(job.key, {"rows": self.view.test[:0]}, meta)

    def added(self, arm: Arm) -> Added:
        """The rows of an arm, computed once for all classifiers. Raises what computing them raised."""
        key = repr(arm.model_dump(exclude=_NO_ROWS))
        if key not in self._added:
            try:
                self._added[key] = self._kept(arm) if family_of(arm.method) == "generator" else self._rows(arm)
            except NO_ANSWER:
                raise
            except (EmoforgeError, ValueError, ArithmeticError, RuntimeError) as error:
                self._added[key] = error
        known = self._added[key]
        if isinstance(known, Exception):
            raise known
        return known

    def _kept(self, arm: Arm) -> Added:
        """The rows of an arm that are costly: what a classifier that is added later finds in the store."""
        store, made_of = self.worker.store, self._made_of(arm)
        key = f"studies/added/{hash_json(made_of)[:40]}"
        try:
            arrays, meta = store.get_arrays(key)
        except MissingItemError:
            added = self._rows(arm)
            scores = {name: [_number(mean), share] for name, (mean, share) in added.gates.items()}
            rows = {"x": added.x.astype(np.float32), "y": added.y}
            rows |= {name: of for name, of in (("weights", added.weights), ("soft", added.soft)) if of is not None}
            store.put_arrays(key, rows, {"notes": list(added.notes), "gates": scores})
            arrays, meta = store.get_arrays(key)
        gates = {name: (math.nan if mean is None else mean, share) for name, (mean, share) in meta["gates"].items()}
        x = arrays["x"].astype(np.float64)
        return Added(x, arrays["y"], tuple(meta["notes"]), gates, arrays.get("weights"), arrays.get("soft"))

    def _made_of(self, arm: Arm) -> list[JsonValue]:
        """What decides the rows of an arm: those that it learns from, itself and its code."""
        setup, facts = self.worker.setup, self.view.rows.facts
        train: list[JsonValue] = [[facts[i].piece_id, facts[i].emotion, facts[i].subject] for i in self.view.train]
        names = [arm.method, *(f"gate {gate}" for gate in sorted(arm.gates))]
        modelled = None if arm.representation is None else setup.modelled[representation_key(arm.representation)][1]
        asked = arm.model_dump(mode="json", exclude=_NO_ROWS)
        code: list[JsonValue] = [setup.code.get(name, "") for name in names]
        return [setup.rows, modelled, train, list(setup.classes), setup.scaling, self.view.seed, asked, code]

    def _rows(self, arm: Arm) -> Added:
        view, method = self.view, arm.method
        family = family_of(method)
        lacks = view.lacks(arm.amount, whole=arm.synthetic_only, beyond=arm.beyond)
        if family == "vector":
            drawn = vector_method(method, arm.params).rows(
                view.x, view.y, view.subjects, lacks, view.rng("vector", method)
            )
            return Added(drawn.x, drawn.y, drawn.notes)
        if family == "payload":
            return self.changed.added(arm, lacks)
        if family == "generator":
            return self.generated.added(arm, lacks)
        if method == "oracle":
            return oracle(view)
        if method == "fill":
            return fill(view, self.generated)
        if method == "oracle_fill":
            return oracle_fill(view, self.generated)
        if method == "true_effect":
            return true_effect(view, lacks)
        return nothing(view)  # class weights, logit adjustment: the classifier is asked otherwise

    def answers(self, arm: Arm, added: Added, model: Classifier) -> tuple[np.ndarray, np.ndarray]:
        """[n] class indices and [n, K] scores of the test rows."""
        view, n_classes, added = self.view, len(self.view.classes), added.by_class
        if arm.synthetic_only:
            x, y, reference = added.x, added.y, None
        else:
            x = np.concatenate([view.x, added.x]) if len(added) else view.x
            y = np.concatenate([view.y, added.y]) if len(added) else view.y
            reference = np.arange(len(y)) < len(view.y)
        weights = None
        if added.weights is not None:
            weights = np.concatenate([np.ones(0 if arm.synthetic_only else len(view.y)), added.counts])
        if arm.keep_total and len(added) and not arm.synthetic_only:
            weights = np.ones(len(y)) if weights is None else weights
            weights = weights * (len(view.y) / weights.sum())
        if arm.method == "class_weights":
            weights = class_weights(y, n_classes, float(arm.params.get("power", 1.0)))
        fitted = model.fit(x, y, weights=weights, n_classes=n_classes, seed=view.seed, reference=reference)
        answer, scores = fitted.answers(self.tested[1])
        if arm.method == "logit_adjustment":
            prior, tau = train_prior(y, n_classes, weights), float(arm.params.get("tau", 1.0))
            answer, scores = adjusted_answers(scores, prior, tau, probabilities=model.probabilities, name=model.name)
        return answer, scores

    def _tuned(self, arm: Arm, model: Classifier) -> tuple[Arm, dict[str, JsonValue]]:
        """The arm with what inner folds of train chose. Test rows are never looked at."""
        benches = [Bench(self.worker, inner) for inner in inner_views(self.view, self.worker.setup.inner_folds)]
        return tuned_arm(arm, model, benches, seed=self.view.seed)


class _Lazy(Mapping[str, Modelled]):
    """Rows in other representations, read when an arm asks for them."""

    def __init__(self, worker: StudyWorker) -> None:
        self._worker = worker

    def __getitem__(self, key: str) -> Modelled:
        return self._worker.modelled(key)

    def __iter__(self) -> Any:
        return iter(self._worker.setup.modelled)

    def __len__(self) -> int:
        return len(self._worker.setup.modelled)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

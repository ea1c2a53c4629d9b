"""`emoforge tune`: an arm's parameters, chosen on inner folds of everybody who is not in the vault.

Every trial is kept in the work store, so that a search that was interrupted goes on and a longer one begins where the
shorter one ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import JsonValue

from corpora.errors import ParamsError, UnknownNameError
from corpora.fingerprint import hash_json
from flows.engine.progress import Pace
from flows.engine.store import WorkStore
from flows.engine.worker import limited_threads
from flows.params import load_machine, load_params
from flows.paths import Layout
from flows.stages.study.cells import FORM
from flows.stages.study.design import design_of
from flows.stages.study.dispatch import THREADS
from flows.stages.study.study import ask
from flows.stages.study.train import TrainView
from flows.stages.study.tuned import inner_uar, inner_views, space_of, with_values
from flows.stages.study.views import in_vault
from flows.stages.study.worker import Bench, StudyWorker
from validators.trials.studies.tuning import Trial, Value, search


@dataclass(frozen=True, slots=True)
class Searched:
    """best: the values of the best trial; trials: all, in their order."""

    best: Mapping[str, Value]
    trials: tuple[Trial, ...]

    def ranked(self) -> list[Trial]:
        """The best first; trials that failed last."""
        return sorted(self.trials, key=lambda t: (t.value is None, -(t.value or 0.0)))

    def as_dict(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        listed: list[JsonValue] = [
            {"params": dict(t.params), "value": t.value, "reason": t.reason} for t in self.trials
        ]
        return {"best": dict(self.best), "trials": listed}


def tune_arm(study: str, arm: str, layout: Layout, *, classifier: str, trials: int | None = None) -> Searched:
    """Mean UAR over inner folds of whole split units, classes as the corpus has them. The corpora must be ingested.

    Raises `UnknownNameError` for an arm that the study has not, `ParamsError` for one without `tune`.
    """
    params, machine = load_params(layout.params), load_machine(layout.machine)
    plan = design_of(study, params.study(study), layout)
    if arm not in plan.arms:
        raise UnknownNameError.of("arm of the study", arm, plan.arms)
    asked_arm = plan.arms[arm]
    if not asked_arm.tune:
        raise ParamsError(
            f"studies.{study}.arms.{arm} has no `tune`: say what may be chosen, e.g. tune: {{amount: [1, 0.5]}}"
        )
    store = WorkStore(machine.store or layout.store)
    asked = ask(plan, layout, machine, store)
    rows = asked.rows
    free = [i for i, f in enumerate(rows.facts) if rows.encoded[i] and not in_vault(f, plan.params.vault)]
    worker = StudyWorker(asked.setup.to_json())
    whole = np.array(free, np.int64)
    view = TrainView(rows, asked.classes, plan.scaling, whole, whole[:0], whole[:0], plan.params.seed)
    model = worker.classifiers[classifier]
    came_from: list[JsonValue] = [
        FORM,
        asked.setup.rows,
        [rows.facts[i].piece_id for i in free],
        asked_arm.model_dump(mode="json", exclude={"trials"}),
        classifier,
        plan.classifiers[classifier],
        plan.code.model_dump(mode="json"),
        plan.params.inner_folds,
        plan.params.seed,
    ]
    key = f"studies/trials/{hash_json(came_from)[:40]}"
    known = _kept(store, key)
    wanted = trials or asked_arm.trials
    pace = Pace("tune", "trials", wanted)
    pace.add(min(len(known), wanted))
    with limited_threads(THREADS):
        benches = [Bench(worker, inner) for inner in inner_views(view, plan.params.inner_folds)]

        def objective(values: Mapping[str, Value]) -> float:
            return inner_uar(with_values(asked_arm, values), model, benches)

        def keep(trial: Trial) -> None:
            known.append(trial)
            _keep(store, key, known)
            pace.add()

        tuned = search(
            objective,
            space_of(asked_arm),
            trials=wanted,
            seed=plan.params.seed,
            done=tuple(known[:wanted]),
            on_trial=keep,
        )
    pace.end()
    return Searched(tuned.params, tuned.trials)


def _kept(store: WorkStore, key: str) -> list[Trial]:
    if not store.sound(key):
        return []
    listed: list[dict[str, Any]] = store.get_arrays(key)[1]["trials"]
    return [Trial(t["params"], t["value"], t["reason"]) for t in listed]


def _keep(store: WorkStore, key: str, trials: list[Trial]) -> None:
    listed = [{"params": dict(t.params), "value": t.value, "reason": t.reason} for t in trials]
    store.put_arrays(key, {"n": np.array([len(trials)])}, {"trials": listed})

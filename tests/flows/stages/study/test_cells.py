"""Cells are named by what they are made of, computed once, and kept whatever becomes of the others."""

from __future__ import annotations

import numpy as np
import pytest

import flows.stages.study.worker as worker
from corpora.errors import InterruptedRunError, ResourceError
from flows.engine.store import WorkStore
from flows.stages.study.design import StudyPlan
from flows.stages.study.study import ask, compute
from flows.stages.study.worker import Bench, StudyWorker
from tests.flows.stages.study.tiny_study import STUDY, Project

ONE_SEED = {"seeds": 1, "conditions": {"as_is": False, "prune": [40], "classes": ["anger"]}}


def test_names_of_studies_and_arms_are_in_no_key(project: Project) -> None:
    first = project.asked(**ONE_SEED)
    renamed = {f"my {name}": arm for name, arm in STUDY["arms"].items()}
    second = project.asked(**ONE_SEED, arms=renamed)
    assert {c.key for c in first.cells} == {c.key for c in second.cells}


def test_an_arm_that_is_added_computes_itself_alone(project: Project) -> None:
    first = {c.key for c in project.asked(**ONE_SEED).cells}
    more = project.asked(**ONE_SEED, arms={**STUDY["arms"], "mixup": {"method": "mixup"}})
    assert {c.arm for c in more.cells if c.key not in first} == {"mixup"}
    other = project.asked(**ONE_SEED, classifiers={"logistic": {}, "svm": {}})
    assert {c.classifier for c in other.cells if c.key not in first} == {"svm"}
    stronger = {**STUDY["arms"], "transfer": {"method": "transfer", "params": {"strength": 0.5}}}
    changed = project.asked(**ONE_SEED, arms=stronger)
    assert {c.arm for c in changed.cells if c.key not in first} == {"transfer"}


def test_an_interrupted_study_goes_on_where_it_stood(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = project.asked(**ONE_SEED, arms={"jitter": {"method": "jitter", "params": {"sd": 0.31}}})
    answer, done = Bench.answer, []

    def two_alone(self: Bench, job: worker.Job) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job.key)
        answer(self, job)

    monkeypatch.setattr(Bench, "answer", two_alone)
    with pytest.raises(KeyboardInterrupt):
        compute(asked, project.machine, project.store)
    monkeypatch.setattr(Bench, "answer", lambda self, job: (done.append(job.key), answer(self, job)))
    compute(asked, project.machine, project.store)
    assert len(done) == len(set(done))
    assert all(project.store.has(cell.key) for cell in asked.cells)


def test_a_failing_arm_is_an_answer(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = project.asked(**ONE_SEED, arms={"jitter": {"method": "jitter", "params": {"sd": 0.77}}})

    def breaks(*_: object) -> None:
        raise FloatingPointError("overflow in the middle")

    monkeypatch.setattr(worker, "vector_method", breaks)
    compute(asked, project.machine, project.store)
    metas = {c.arm: project.store.get_meta(c.key) for c in asked.cells}
    assert metas["jitter"]["status"] == "failed"
    assert "overflow in the middle" in metas["jitter"]["reason"]
    assert metas["nothing"]["status"] == "ok"


def test_what_is_undefined_says_so(project: Project) -> None:
    arms = {"logit adjustment": {"method": "logit_adjustment"}}
    asked = project.asked(**ONE_SEED, arms=arms, classifiers={"svm": {}})
    compute(asked, project.machine, project.store)
    metas = [project.store.get_meta(c.key) for c in asked.cells if c.arm == "logit adjustment"]
    assert {meta["status"] for meta in metas} == {"impossible"}
    assert all("margins" in meta["reason"] for meta in metas)


def test_answers_are_the_same_in_another_store(project: Project, tmp_path: object) -> None:
    asked = project.asked(**ONE_SEED)
    compute(asked, project.machine, project.store)
    kept = {c.key: project.store.get_arrays(c.key)[0] for c in asked.cells}
    fresh = WorkStore(f"{tmp_path}/again")
    elsewhere = StudyWorker({**asked.setup.to_json()})
    elsewhere.store = fresh
    for n, view in enumerate(asked.views):
        fresh.put_arrays(f"view/{n}", {"train": view.train, "gone": view.gone, "test": view.test}, {})
        jobs = [[c.key, c.arm, c.classifier] for c in asked.cells if c.view == n][::-1]  # another order
        elsewhere.run({"view": f"view/{n}", "seed": view.seed, "pruned": 0, "heard": None, "jobs": jobs})
    for key, arrays in kept.items():
        again = fresh.get_arrays(key)[0]
        assert set(again) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(again[name], array)


def test_what_is_heard_changes_test_samples_alone(project: Project) -> None:
    asked = project.asked(
        seeds=1, conditions={"prune": []}, arms={"nothing": {"method": "nothing"}}, heard={"noise": [50, -20]}
    )
    compute(asked, project.machine, project.store)
    answers: dict[str, dict[int, np.ndarray]] = {}
    for cell in asked.cells:
        view = asked.views[cell.view]
        answers.setdefault(view.condition, {})[view.fold] = project.store.get_arrays(cell.key)[0]["scores"]
    plain, faint, loud = (answers[c] for c in ("as is", "as is, tested with noise 50", "as is, tested with noise -20"))
    faint_change = np.mean([np.abs(faint[f] - plain[f]).mean() for f in plain])
    loud_change = np.mean([np.abs(loud[f] - plain[f]).mean() for f in plain])
    assert 0 < faint_change < loud_change / 2


def test_a_design_that_was_written_asks_for_the_same_cells(project: Project) -> None:
    """JSON sorts the gates of an arm: their order is no part of what a cell is."""
    gates = {"validity": {}, "copies": {}, "agreement": {}}
    arms = {"gated": {"method": "transfer", "gates": gates}}
    direct = project.asked(**ONE_SEED, arms=arms)
    direct.plan.write(project.layout)
    written = ask(StudyPlan.read(project.layout, "tiny"), project.layout, project.machine, project.store)
    assert {c.key for c in written.cells} == {c.key for c in direct.cells}
    assert list(written.plan.arms["gated"].gates) != list(direct.plan.arms["gated"].gates), "else this tests nothing"


@pytest.mark.parametrize("error", [ResourceError("the storage is down"), InterruptedRunError("ended by SIGTERM")])
def test_what_says_nothing_of_an_arm_is_kept_as_no_answer(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    arms = {"jitter": {"method": "jitter", "params": {"sd": 0.4 + len(str(error)) / 1000}}}
    asked = project.asked(**ONE_SEED, arms=arms)
    method = worker.vector_method

    def breaks(*_: object) -> None:
        raise error

    monkeypatch.setattr(worker, "vector_method", breaks)
    with pytest.raises(type(error)):
        compute(asked, project.machine, project.store)
    assert not any(project.store.has(c.key) for c in asked.cells if c.arm == "jitter")
    monkeypatch.setattr(worker, "vector_method", method)
    compute(asked, project.machine, project.store)
    assert {project.store.get_meta(c.key)["status"] for c in asked.cells} == {"ok"}

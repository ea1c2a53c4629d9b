"""What arms add, and that nothing of the people who are tested is in it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from corpora.errors import UserError
from flows.stages.study.methods import default_arms
from flows.stages.study.plain import oracle
from flows.stages.study.study import Asked
from flows.stages.study.train import TrainView
from flows.stages.study.worker import Bench, StudyWorker
from flows.studying import Arm
from tests.flows.stages.study.tiny_study import Project

SHORT = {
    name: arm.model_copy(update={"steps": min(arm.steps, 10)})
    for name, arm in default_arms("speech").items()
    if arm.representation is None
} | {
    "transfer, audio": Arm(method="transfer", representation={"name": "world", "max_s": 1.6}),
    "transfer, edited": Arm(method="transfer", representation={"name": "differential"}, by="weight", spread=1.5),
    "transfer, audio, gated": Arm(
        method="transfer",
        representation={"name": "world", "max_s": 1.6},
        gates={"support": {"limit": {"absolute": 1000.0}}},  # type: ignore[dict-item]
    ),
}
PRUNED = {"seeds": 1, "conditions": {"as_is": False, "prune": [50], "classes": ["anger"]}}


@pytest.fixture(scope="module")
def asked(project: Project) -> Asked:
    return project.asked(**PRUNED, arms={name: arm.model_dump() for name, arm in SHORT.items()})


def _view(asked: Asked, worker: StudyWorker, rows: object = None) -> TrainView:
    view = asked.views[0]
    return TrainView(
        worker.rows if rows is None else rows,  # type: ignore[arg-type]
        asked.classes,
        worker.scaling,
        train=view.train,
        gone=view.gone,
        test=view.test,
        seed=view.seed,
        pruned=asked.classes.index(str(view.pruned)),
    )


@pytest.fixture(scope="module")
def worker(asked: Asked) -> StudyWorker:
    return StudyWorker(asked.setup.to_json())


@pytest.mark.parametrize("name", list(SHORT))
def test_an_arm_fills_what_lacks_and_has_not_seen_the_people_who_are_tested(
    asked: Asked, worker: StudyWorker, name: str
) -> None:
    view = _view(asked, worker)
    arm = SHORT[name]
    lacks = view.lacks(whole=arm.synthetic_only, beyond=arm.beyond)
    added = Bench(worker, view).added(arm)
    assert np.isfinite(added.x).all()
    # what rows count: of weighted arms many light ones
    summed = {k: added.counts[added.y == k].sum() for k in range(len(asked.classes)) if (added.y == k).any()}
    counts = {k: round(total) for k, total in summed.items()}
    np.testing.assert_allclose(list(summed.values()), list(counts.values()), atol=1e-6)
    if arm.by == "weight":
        sources = np.bincount(view.y, minlength=len(asked.classes))
        for k, n in lacks.items():
            rows = int((added.y == k).sum())
            assert rows == min(int(np.ceil(arm.spread * n)), len(view.y) - sources[k])
    if arm.method in ("nothing", "class_weights", "logit_adjustment"):
        assert counts == {}
    elif arm.method == "oracle":
        assert counts == {view.pruned: len(view.gone)}
    elif arm.method == "fill":
        assert counts == {k: n for k, n in lacks.items() if k != view.pruned}
    elif arm.method == "oracle_fill":
        assert counts == {**{k: n for k, n in lacks.items() if k != view.pruned}, view.pruned: len(view.gone)}
    elif arm.gates:
        assert all(counts.get(k, 0) <= n for k, n in lacks.items())
        assert sum(counts.values()) < sum(lacks.values()) or not added.notes
        assert set(added.gates) == set(arm.gates)
        assert all(0 <= let_in <= 1 for _, let_in in added.gates.values())
    else:
        assert counts == lacks, added.notes
    # the same with other people in the test set: what an arm adds is the same to the last bit
    x = worker.rows.x.copy()
    x[view.test] = 1e6
    other = _view(asked, worker, dataclasses.replace(worker.rows, x=x))
    np.testing.assert_array_equal(Bench(worker, other).added(arm).x, added.x)


def test_the_oracle_gives_back_the_very_rows_that_were_pruned(asked: Asked, worker: StudyWorker) -> None:
    view = _view(asked, worker)
    np.testing.assert_array_equal(oracle(view).x, view.scaled(worker.rows.x[view.gone]))
    whole = dataclasses.replace(view, gone=view.gone[:0])
    with pytest.raises(UserError, match="nothing can be given back"):
        oracle(whole)


def test_scales_are_learned_from_real_train_rows_alone(asked: Asked, worker: StudyWorker) -> None:
    view = _view(asked, worker)
    before = view.scaled(worker.rows.x[view.test])
    x = worker.rows.x.copy()
    x[view.gone] = 1e6  # what was pruned is not there
    other = _view(asked, worker, dataclasses.replace(worker.rows, x=x))
    np.testing.assert_array_equal(other.scaled(worker.rows.x[view.test]), before)


def test_synthetic_only_trains_on_no_real_row(asked: Asked, worker: StudyWorker) -> None:
    view = _view(asked, worker)
    bench, model = Bench(worker, view), worker.classifiers["logistic"]
    arm = Arm(method="transfer", synthetic_only=True)
    added = bench.added(arm)
    answer, _ = bench.answers(arm, added, model)
    fitted = model.fit(added.x, added.y, n_classes=len(asked.classes), seed=view.seed)
    np.testing.assert_array_equal(fitted.answers(view.scaled(worker.rows.x[view.test]))[0], answer)


def test_baselines_are_tuned_on_people_of_train(
    asked: Asked, worker: StudyWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flows.stages.study.worker as module

    view = _view(asked, worker)
    seen: list[set[str | None]] = []
    cut = module.inner_views

    def watched(outer: TrainView, folds: int) -> list[TrainView]:
        views = cut(outer, folds)
        seen.extend({view.rows.facts[i].group for i in np.concatenate([v.train, v.test])} for v in views)
        for inner in views:
            train, test = ({view.rows.groups[i] for i in part} for part in (inner.train, inner.test))
            assert not train & test
        return views

    monkeypatch.setattr(module, "inner_views", watched)
    arm, chosen = Bench(worker, view)._tuned(SHORT["logit adjustment"], worker.classifiers["logistic"])
    tested = {view.rows.facts[i].group for i in view.test}
    assert seen and all(not tested & people for people in seen)
    assert arm.params["tau"] == chosen["tau"] and not arm.tune


def test_a_class_that_train_lacks_is_not_filled(asked: Asked, worker: StudyWorker) -> None:
    view = _view(asked, worker)
    left = view.train[worker.rows.emotions[view.train] != "sadness"]
    lacking = dataclasses.replace(view, train=left)
    k = asked.classes.index("sadness")
    assert k not in lacking.lacks()
    added = Bench(worker, lacking).added(SHORT["cvae"])
    assert k not in set(added.y.tolist())
    answer, _ = Bench(worker, lacking).answers(SHORT["cvae"], added, worker.classifiers["logistic"])
    assert k not in set(answer.tolist())


def test_arms_that_differ_in_a_gate_alone_are_paired() -> None:
    from flows.stages.study.methods import gate_pairs

    gates = {"copies": {}, "support": {}}
    arms = {
        "t": Arm(method="transfer"),
        "t, gated": Arm(method="transfer", gates=gates),  # type: ignore[arg-type]
        "t, without copies": Arm(method="transfer", gates={"support": {}}),  # type: ignore[dict-item]
        "other": Arm(method="transfer", params={"strength": 0.5}),
    }
    pairs = {(p.gate, p.on, p.off) for p in gate_pairs(arms)}
    assert pairs == {
        ("copies", "t, gated", "t, without copies"),
        ("all gates", "t, gated", "t"),
        ("support", "t, without copies", "t"),
    }


def test_where_train_is_one_person_baselines_keep_their_defaults_and_say_so(asked: Asked, worker: StudyWorker) -> None:
    from flows.stages.study.worker import Job

    view = _view(asked, worker)
    alone = view.train[worker.rows.groups[view.train] == worker.rows.groups[view.train][0]]
    bench = Bench(worker, dataclasses.replace(view, train=alone))
    bench.answer(Job("studies/cells/alone", "class weights", "logistic"))
    meta = worker.store.get_meta("studies/cells/alone")
    assert meta["status"] == "ok" and "nothing was tuned" in meta["reason"] and meta["tuned"] == {}


def test_rows_that_look_like_no_real_ones_count_less(asked: Asked, worker: StudyWorker) -> None:
    view = _view(asked, worker)
    bench = Bench(worker, view)
    plain, weighed = (bench.added(Arm(method="transfer", weigh=how)) for how in ("alike", "plausible"))
    np.testing.assert_array_equal(plain.x, weighed.x)
    assert plain.weights is None and weighed.weights is not None
    assert weighed.weights.min() > 0 and weighed.weights.max() <= 1
    rough = bench.added(Arm(method="diffusion", params={"width": 8, "extra_noise": 2.0}, steps=1, weigh="plausible"))
    assert rough.counts.mean() < 0.7 * weighed.counts.mean()
    assert Arm.model_validate({"preset": "physio/yi-2024"}).weigh == "plausible"

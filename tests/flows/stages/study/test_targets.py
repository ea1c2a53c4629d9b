"""Studies of dimensions and labels: targets follow their source rows, what needs classes is refused, and the whole."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from corpora.errors import CorpusError, IntegrityError, ParamsError, UserError
from corpora.fingerprint import hash_json
from flows.artifacts.studied import Studied
from flows.stages.run import run_stage
from flows.stages.study.design import design_of
from flows.stages.study.methods import default_arms
from flows.stages.study.rows import DIMENSIONS, RowFacts, rows_key
from flows.stages.study.study import quick
from flows.stages.study.targets import FEWEST_SAMPLES, label_weights, rarity, targets_of
from flows.stages.study.targets_study import TargetAsked, compute_targets
from flows.stages.study.targets_worker import TargetBench, TargetJob, TargetWorker
from flows.stages.study.train import TrainView
from flows.studying import Arm, StudyParams
from generators.classical.method import PAYLOAD_METHODS
from tests.flows.stages.study.rated_study import COMMENTS, VOICES, Rated

NAMES = {"voices": VOICES, "comments": COMMENTS}


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rated]:
    before = os.environ.get("EMOFORGE_ACTORS")
    os.environ["EMOFORGE_ACTORS"] = "0"
    yield Rated.at(tmp_path_factory.mktemp("rated"))
    if before is None:
        del os.environ["EMOFORGE_ACTORS"]
    else:
        os.environ["EMOFORGE_ACTORS"] = before


@pytest.fixture(scope="module")
def asked(rated: Rated) -> dict[str, TargetAsked]:
    return {name: rated.asked(name) for name in NAMES}


@pytest.fixture(scope="module")
def workers(asked: dict[str, TargetAsked]) -> dict[str, TargetWorker]:
    return {name: TargetWorker(own.setup.to_json()) for name, own in asked.items()}


def _bench(asked: TargetAsked, worker: TargetWorker, x: np.ndarray | None = None) -> TargetBench:
    view = asked.views[0]
    rows = worker.rows if x is None else dataclasses.replace(worker.rows, x=x)
    no_class = (rows.facts[0].emotion,)
    return TargetBench(
        worker, TrainView(rows, no_class, worker.scaling, view.train, view.train[:0], view.test, view.seed)
    )


ARMS = [("voices", method) for method in ("oversample", "jitter", "noise", "pitch", "gain")]
ARMS += [("comments", method) for method in ("oversample", "jitter", "eda", "substitute")]


@pytest.mark.parametrize(("name", "method"), ARMS)
@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_targets_follow_the_rows_that_they_come_from(
    asked: dict[str, TargetAsked], workers: dict[str, TargetWorker], name: str, method: str, amount: float
) -> None:
    own, worker = asked[name], workers[name]
    bench = _bench(own, worker)
    arm = Arm(method=method, amount=amount)
    added, view = bench.added(arm), own.views[0]
    wanted = round(amount * len(view.train))
    assert len(added) == wanted or (len(added) < wanted and added.notes)
    assert len(added) > 0.5 * wanted
    assert set(added.source) <= set(view.train)
    np.testing.assert_array_equal(added.values, own.targets.values[added.source])
    if method == "oversample":
        np.testing.assert_allclose(added.x, bench.view.scaled(worker.rows.x[added.source]), rtol=0, atol=1e-9)
    elif method != "gain":  # loudness is no part of the functionals
        # closer to its own source than to most other train rows: it is that row, changed
        distance = np.linalg.norm(added.x[:, None] - bench.view.x[None], axis=2)
        place = {int(row): n for n, row in enumerate(view.train)}
        mine = distance[np.arange(len(added)), [place[int(row)] for row in added.source]]
        assert np.mean(mine < np.median(distance, axis=1)) > 0.9
    # other people in the test set change nothing, to the last bit
    x = worker.rows.x.copy()
    x[view.test] = 1e6
    again = _bench(own, worker, x).added(arm)
    np.testing.assert_array_equal(again.x, added.x)
    np.testing.assert_array_equal(again.source, added.source)


def test_dimensions_are_drawn_evenly_and_labels_by_their_rarity(
    asked: dict[str, TargetAsked], workers: dict[str, TargetWorker]
) -> None:
    even = _bench(asked["voices"], workers["voices"]).added(Arm(method="oversample", amount=2.0))
    assert set(np.unique(even.source, return_counts=True)[1]) == {2}
    by_hand = rarity(np.array([[1, 0], [1, 1], [1, 0], [0, 0]], np.float32))
    np.testing.assert_allclose(by_hand, np.array([1 / 3, 1, 1 / 3, 0]) / (5 / 3))
    with pytest.raises(UserError, match="nothing to draw from"):
        rarity(np.zeros((3, 2), np.float32))
    own = _bench(asked["comments"], workers["comments"])
    train, drawn = own.rows.train, own.added(Arm(method="oversample", amount=10.0))
    np.testing.assert_allclose(drawn.values.mean(0), rarity(train) @ train, atol=0.04)
    rare = int(train.sum(0).argmin())
    assert drawn.values[:, rare].mean() > 1.5 * train[:, rare].mean()


def test_weights_of_labels_balance_each_label_by_itself() -> None:
    labels = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]], np.float32)
    weights = label_weights(labels, 1.0)
    assert weights[0, 0] == pytest.approx(weights[1:, 0].sum()) == pytest.approx(2.0)
    np.testing.assert_allclose(weights[:, 1], 1.0)  # nobody has it: nothing to weigh
    assert weights[0, 2] == pytest.approx(weights[1:, 2].sum())
    np.testing.assert_allclose(label_weights(labels, 0.0), 1.0)


def test_class_weights_change_answers_of_labels_and_add_no_row(rated: Rated, asked: dict[str, TargetAsked]) -> None:
    compute_targets(asked["comments"], rated.machine, rated.store)
    cells = [(c.arm, rated.store.get_arrays(c.key)) for c in asked["comments"].cells if c.view == 0]
    of = {arm: arrays for arm, (arrays, meta) in cells if meta["status"] == "ok" or pytest.fail(meta["reason"])}
    assert not np.array_equal(of["class weights"]["values"], of["nothing"]["values"])
    assert {meta["n_added"] for arm, (_, meta) in cells if arm in ("class weights", "nothing")} == {0}


def _facts(rated: Rated, asked: TargetAsked, **changes: Any) -> list[RowFacts]:
    return [fact.model_copy(update=changes) for fact in asked.rows.facts]


def test_targets_say_what_is_left_out(rated: Rated, asked: dict[str, TargetAsked]) -> None:
    voices, comments = asked["voices"], asked["comments"]
    assert voices.targets.names == DIMENSIONS and np.isfinite(voices.targets.values).all()
    assert len(voices.rows) == 46  # the turn without a majority has ratings too
    some = [voices.rows.facts[0].model_copy(update={"arousal": None}), *voices.rows.facts[1:]]
    assert np.argwhere(np.isnan(targets_of("dimensions", some).values)).tolist() == [[0, 1]]
    unrated = targets_of("dimensions", _facts(rated, voices, dominance=None))
    assert unrated.names == DIMENSIONS and unrated.left_out == {"dominance": "nobody rated it"}
    with pytest.raises(CorpusError, match="no prepared sample has a rating"):
        targets_of("dimensions", _facts(rated, voices, **dict.fromkeys(DIMENSIONS)))
    names, counts = np.unique([name for f in comments.rows.facts for name in f.labels], return_counts=True)
    assert set(comments.targets.names) == set(names[counts >= FEWEST_SAMPLES])
    assert set(comments.targets.left_out) == set(names[counts < FEWEST_SAMPLES])
    assert comments.targets.values.sum() > len(comments.rows) * 0.9  # some rows have several
    assert comments.targets.values.sum(1).max() >= 1
    with_anger = {f.sample_id for f in comments.rows.facts if "anger" in f.labels}
    assert "anger" in targets_of("labels", comments.rows.facts, sorted(with_anger)[10:]).names
    assert targets_of("labels", comments.rows.facts, sorted(with_anger)[9:]).left_out["anger"].startswith("9 samples")
    with pytest.raises(CorpusError, match="no label has 10 samples"):
        targets_of("labels", [fact.model_copy(update={"labels": ()}) for fact in comments.rows.facts])


NO_CLASSES = "belongs to a class, and a study of dimensions needs rows with ratings"
REFUSED = [
    ("voices", {"arms": {"x": {"method": method}}}, NO_CLASSES)
    for method in ("smote", "borderline", "adasyn", "mixup", "transfer", "cvae", "oracle", "fill", "class_weights")
] + [
    ("voices", {"arms": {"x": {"method": "logit_adjustment"}}}, "what it does belongs to a class"),
    ("comments", {"arms": {"x": {"method": "smote"}}}, "needs rows with several labels each.*class_weights, eda"),
    ("comments", {"arms": {"x": {"method": "noise"}}}, "does not change text"),
    ("voices", {"arms": {"x": {"method": "jitter", "tune": {"sd": [0.1, 0.2]}}}}, "chosen by a score of classes"),
    ("voices", {"classifiers": {"svm": {}}}, "not for numbers such as valence. Those that are: ridge"),
    ("comments", {"classifiers": {"boosting": {}}}, "not for several labels a sample. Those that are: logistic"),
    ("voices", {"features": {"name": "world", "max_s": 1.6}}, "reads vector"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "says"), REFUSED)
def test_what_needs_classes_is_refused_with_the_reason(
    rated: Rated, name: str, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ParamsError, match=says):
        rated.plan(name, **changes)


@pytest.mark.parametrize("conditions", [{"prune": [10]}, {"long_tail": [10]}, {"classes": ["anger"]}])
def test_conditions_of_classes_are_an_error(conditions: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a study of dimensions has no classes"):
        StudyParams.model_validate({**VOICES, "conditions": conditions})


def test_a_task_has_defaults_of_its_own(rated: Rated) -> None:
    study = StudyParams.model_validate({k: v for k, v in COMMENTS.items() if k != "conditions"})
    assert study.conditions.as_is and not study.conditions.prune
    assert set(study.classifiers) == {"logistic"}
    assert set(StudyParams.model_validate(VOICES).classifiers) == {"ridge"}
    assert StudyParams.model_validate(study.model_dump(mode="json")) == study
    whole = StudyParams.model_validate({k: v for k, v in VOICES.items() if k != "task"})
    assert whole.task == "classes" and whole.conditions.prune and set(whole.classifiers) == {"logistic", "svm"}
    for name, modality, weights in (("voices", "speech", False), ("comments", "text", True)):
        arms = rated.plan(name, defaults=True, arms={}).arms
        methods = {arm.method for arm in arms.values()}
        payload = {a.method for a in default_arms(modality).values()} & set(PAYLOAD_METHODS[modality])
        assert methods == {"nothing", "oversample", "jitter", *payload, *(["class_weights"] if weights else [])}
        assert not any(arm.tune for arm in arms.values())


def test_quick_leaves_out_what_changes_payloads(rated: Rated) -> None:
    whole = rated.plan("voices", defaults=True, arms={})
    small = design_of("voices", quick(whole.params, whole.arms, whole.modality), rated.layout)
    assert (small.params.seeds, small.params.task) == (1, "dimensions")
    assert {arm.method for arm in small.arms.values()} == {"nothing", "oversample", "jitter"}


def test_no_person_is_on_both_sides_and_the_vault_is_alone(rated: Rated) -> None:
    facts = rated.asked("voices").rows.facts  # three sessions of two people each
    session = facts[0].group
    hidden = sorted({str(f.subject) for f in facts if f.group == session})
    study = {"vault": {"subjects": hidden}, "folds": 2, "conditions": {"groups": [1]}}
    own = rated.asked("voices", **study)
    people = np.array([str(fact.subject) for fact in own.rows.facts])
    for view in own.views:
        assert not set(people[view.train]) & set(people[view.test])
        assert not set(hidden) & (set(people[view.train]) | set(people[view.test]))
    assert {v.condition for v in own.views} == {"as is", "1 split units"}
    look = rated.asked("voices", **study, look=True)
    assert look.views and all(set(people[view.test]) == set(hidden) for view in look.views)


def test_cells_are_named_by_targets_and_by_no_name_of_an_arm(rated: Rated, asked: dict[str, TargetAsked]) -> None:
    keys = {cell.key for cell in asked["voices"].cells}
    renamed = rated.asked("voices", arms={f"my {n}": arm for n, arm in VOICES["arms"].items()})
    assert {cell.key for cell in renamed.cells} == keys
    more = rated.asked("voices", arms={**VOICES["arms"], "gain": {"method": "gain"}})
    assert {cell.arm for cell in more.cells if cell.key not in keys} == {"gain"}
    first = asked["voices"]
    other = dataclasses.replace(first.targets, values=first.targets.values + np.float32(0.01))
    view = first.views[0]
    assert other.hashed(view.test) != first.targets.hashed(view.test)


def test_keys_of_studies_of_classes_are_as_they_were_before_there_were_tasks(rated: Rated) -> None:
    plan = rated.plan("voices").prepare("features")
    made_of = [1, "settings", plan.corpora, list(plan.corpus_names), plan.scheme, hash_json(["a", "b"])]
    assert rows_key(plan, "settings", ["a", "b"]) == f"studies/rows/{hash_json(made_of)[:40]}"
    assert rows_key(plan, "settings", ["a", "b"], "labels") != rows_key(plan, "settings", ["a", "b"])
    kept = rated.asked("voices").rows.facts[0].to_json()
    del kept["labels"]  # what older stores hold
    assert RowFacts.model_validate(kept).labels == ()


def test_what_cannot_be_computed_says_why(asked: dict[str, TargetAsked], workers: dict[str, TargetWorker]) -> None:
    own, worker = asked["voices"], workers["voices"]
    bench = _bench(own, worker)
    lacking = dataclasses.replace(bench.view, test=bench.view.test[:0])
    empty = TargetBench(worker, lacking)
    empty.answer(TargetJob(key="studies/cells/nobody", arm="nothing", classifier="ridge"))
    meta = worker.store.get_meta("studies/cells/nobody")
    assert meta["status"] == "impossible" and "no test sample" in meta["reason"]


@pytest.mark.parametrize("name", list(NAMES))
def test_the_stages_leave_a_whole_result(rated: Rated, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("design", "study"):
        run_stage(verb, name, repo=rated.root)
    result = Studied.open(rated.layout.study(name) / "result")
    about, whole, summary = result.about(), result.predictions(), result.summary()
    task = NAMES[name]["task"]
    assert about.task == task and about.classes == whole.names
    assert {cell.status for cell in whole.study.cells} == {"ok"}
    assert len(whole.study.cells) == 3 * NAMES[name]["seeds"] * 4
    assert result.outcome() in ("win", "no win", "cannot tell") and len(result.verdict()) > 20
    word = "mean CCC" if task == "dimensions" else "macro-F1"
    assert word in result.verdict() or result.outcome() == "cannot tell"
    assert summary["verdicts"][0]["sentence"] == result.verdict()  # type: ignore[index, call-overload]
    page, tables = result.page.read_text("utf-8"), result.tables.read_text("utf-8")
    assert "<html" in page and "<svg" in page and "oracle" not in page
    assert all(n in page and n in tables for n in (*whole.names, "jitter", word))
    assert all(left in page for left in about.left_out)
    predictions = pq.read_table(result.path / "predictions.parquet")
    assert predictions.num_rows == 4 * NAMES[name]["seeds"] * about.n_samples  # arms x seeds, each sample once
    assert pq.read_table(result.path / "truths.parquet").num_rows == about.n_samples
    before = {p.name: p.read_bytes() for p in result.path.iterdir()}
    capsys.readouterr()
    run_stage("study", name, repo=rated.root)
    assert f"{len(whole.study.cells)} cells, {len(whole.study.cells)} of them known" in capsys.readouterr().out
    assert {p.name: p.read_bytes() for p in result.path.iterdir()} == before


def test_what_is_heard_changes_test_samples_alone(rated: Rated) -> None:
    own = rated.asked("voices", seeds=1, arms={"jitter": {"method": "jitter"}}, heard={"noise": [50, -20]})
    compute_targets(own, rated.machine, rated.store)
    values: dict[str, list[np.ndarray]] = {}
    for cell in own.cells:
        if cell.arm == "nothing":
            arrays = rated.store.get_arrays(cell.key)[0]
            values.setdefault(own.views[cell.view].condition, []).append(arrays["values"])
    plain, faint, loud = (values[c] for c in ("as is", "as is, tested with noise 50", "as is, tested with noise -20"))
    changes = [np.mean([np.abs(a - b).mean() for a, b in zip(plain, heard, strict=True)]) for heard in (faint, loud)]
    assert 0 < changes[0] < changes[1] / 2


def test_a_study_of_classes_has_no_predictions(rated: Rated) -> None:
    run_stage("design", "voices", repo=rated.root)
    run_stage("study", "voices", repo=rated.root)
    result = Studied.open(rated.layout.study("voices") / "result")
    path = result.path / "about.json"
    kept = path.read_text("utf-8")
    try:
        path.write_text(kept.replace('"dimensions"', '"classes"'), encoding="utf-8")
        with pytest.raises(IntegrityError, match="no predictions"):
            result.predictions()
    finally:
        path.write_text(kept, encoding="utf-8")

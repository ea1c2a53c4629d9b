"""Who is tested, and what train lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import ParamsError, SplitError, UnknownNameError, UserError
from flows.stages.study.design import FEATURES
from flows.stages.study.rows import Rows, labelled_index
from flows.stages.study.study import Asked, near_of
from flows.stages.study.views import View, Views
from tests.flows.stages.study.tiny_study import Project
from validators.trials.studies.answers import AS_IS


def _people(asked: Asked, rows: np.ndarray) -> set[str | None]:
    return {asked.rows.facts[i].subject for i in rows}


def _of(asked: Asked, condition: str) -> list[View]:
    return [view for view in asked.views if view.condition == condition]


def test_every_person_is_tested_once_by_people_who_are_not_them(project: Project) -> None:
    asked = project.asked()
    for seed in (0, 1):
        own = [view for view in _of(asked, AS_IS) if view.seed == seed]
        tested = np.concatenate([view.test for view in own])
        assert sorted(tested) == list(range(len(asked.rows)))
        for view in own:
            assert not _people(asked, view.test) & _people(asked, np.concatenate([view.train, view.gone]))
    cuts = [{tuple(view.test) for view in _of(asked, AS_IS) if view.seed == seed} for seed in (0, 1)]
    assert cuts[0] != cuts[1], "another seed is another cut into folds"


def test_pruning_takes_from_train_alone_and_of_one_class(project: Project) -> None:
    asked = project.asked(conditions={"prune": [40], "as_is": True})
    whole = {(v.fold, v.seed): v for v in _of(asked, AS_IS)}
    for name in ("anger", "neutral", "sadness"):
        for view in _of(asked, f"{name} to 40 %"):
            full = whole[view.fold, view.seed]
            assert set(asked.rows.emotions[view.gone]) == {name}
            assert sorted([*view.train, *view.gone]) == full.train.tolist()
            assert view.test.tolist() == full.test.tolist()
            before = int((asked.rows.emotions[full.train] == name).sum())
            assert int((asked.rows.emotions[view.train] == name).sum()) == max(1, round(0.4 * before))


def test_groups_can_lose_a_class_whole_and_train_can_hold_few_people(project: Project) -> None:
    asked = project.asked(
        conditions={"as_is": False, "prune": [40], "classes": ["anger"], "by": "groups", "groups": [2]}
    )
    for view in _of(asked, "anger to 40 % of people"):
        left = view.train[asked.rows.emotions[view.train] == "anger"]
        assert not _people(asked, left) & _people(asked, view.gone)
    assert {len(_people(asked, view.train)) for view in _of(asked, "2 split units")} == {2}


def test_a_long_tail_prunes_every_class_but_the_largest(project: Project) -> None:
    asked = project.asked(conditions={"as_is": False, "prune": [], "long_tail": [4]})
    for view in asked.views:
        counts = [int((asked.rows.emotions[view.train] == c).sum()) for c in ("anger", "sadness", "neutral")]
        assert counts == sorted(counts, reverse=True)
        assert 2.5 <= counts[0] / counts[-1] <= 6


@pytest.mark.parametrize("named", ["tiny:03", "03"])
def test_the_vault_is_in_no_view_of_development_and_is_tested_once_alone(project: Project, named: str) -> None:
    known = sorted({str(f.subject) for f in project.asked().rows.facts})
    subject = next(s for s in known if s.endswith("03"))
    vault = {"subjects": [named if ":" not in named else subject]}
    asked = project.asked(vault=vault, folds=2)
    for view in asked.views:
        assert subject not in _people(asked, np.concatenate([view.train, view.gone, view.test]))
    look = project.asked(vault=vault, folds=2, look=True)
    for view in look.views:
        assert _people(look, view.test) == {subject}
        assert subject not in _people(look, np.concatenate([view.train, view.gone]))


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"folds": 9}, SplitError, "at most 6 folds"),
        ({"vault": {"subjects": ["77"]}}, UserError, "no subject '77'"),
        ({"vault": {"official": ["test"]}}, UserError, "publish no split"),
        ({"classifiers": {"svmm": {}}}, ParamsError, "svm"),
        ({"arms": {"x": {"method": "smot"}}}, ParamsError, "Did you mean 'smote'"),
        ({"arms": {"x": {"method": "flip"}}}, ParamsError, "does not change speech"),
        ({"arms": {"x": {"method": "smote", "params": {"kk": 1}}}}, ParamsError, "arms.x"),
        ({"arms": {"x": {"method": "smote", "gates": {"kid": {}}}}}, ParamsError, "for generators"),
        ({"arms": {"x": {"method": "transfer", "gates": {"kid": {}}}}}, ParamsError, "gate kid"),
        ({"arms": {"x": {"method": "cvae", "params": {"widht": 3}}}}, ParamsError, "width"),
        ({"arms": {"x": {"method": "jitter", "tune": {"sd": 3}}}}, ParamsError, "list of options"),
        ({"features": {"name": "world", "max_s": 1.6}, "classifiers": {"logistic": {}}}, ParamsError, "vector"),
        ({"conditions": {"classes": ["angr"]}}, UnknownNameError, "anger"),
        ({"heard": {"nosie": [10]}}, ParamsError, "noise"),
        ({"heard": {"noise": [1000]}}, ParamsError, "level is 1000"),
        ({"defaults": True, "without": ["SMOT"]}, UnknownNameError, "SMOTE"),
    ],
)
def test_what_cannot_end_is_refused_before_it_begins(
    project: Project, changes: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        project.asked(**changes)


def test_corpora_are_tested_by_what_was_learned_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    there = Project.at(tmp_path / "two", corpora=("tiny", "other"))
    asked = there.asked(corpora=["tiny", "other"], split="corpora", conditions={"prune": []}, seeds=1)
    assert [view.fold for view in asked.views] == [1, 2]
    for view, name in zip(asked.views, ("tiny", "other"), strict=True):
        assert {asked.rows.facts[i].corpus for i in view.test} == {name}
        assert {asked.rows.facts[i].corpus for i in view.train} == {"tiny", "other"} - {name}
    with pytest.raises(ValueError, match="at least two"):
        there.study(split="corpora")


def test_classes_of_any_scheme_can_be_pruned(project: Project) -> None:
    """Their names need not be words of the vocabulary: "no stress" and "low" are none."""
    asked = project.asked(seeds=1)
    facts = [
        f.model_copy(update={"emotion": "no stress" if f.emotion == "anger" else "HALV"}) for f in asked.rows.facts
    ]
    rows = Rows(tuple(facts), asked.rows.x, asked.rows.encoded, asked.rows.places)
    study = project.study(seeds=1, conditions={"as_is": False, "prune": [50]})
    plan = project.plan(seeds=1)
    table = labelled_index(plan.prepare(FEATURES), project.layout)
    views = list(Views("t", study, plan.on_leak, table, facts, near_of(plan, project.layout), ("no stress", "HALV")))
    assert {view.pruned for view in views} == {"no stress", "HALV"}
    for view in views:
        assert set(rows.emotions[view.gone]) == {view.pruned}

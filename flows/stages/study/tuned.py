"""What an arm leaves open, chosen on inner folds of the train part: people who are tested are never asked.

Inner folds hold whole split units. What is compared is UAR over them, of the classifier that the cell will train.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import JsonValue

from corpora.errors import UserError
from flows.stages.study.train import TrainView
from flows.studying import Arm
from validators.trials.classifiers.protocol import Classifier
from validators.trials.studies.tuning import Choice, Value, search
from validators.trials.studies.tuning import space_of as parsed_space

if TYPE_CHECKING:
    from flows.stages.study.worker import Bench

OF_THE_ARM = ("amount", "gather", "steps")  # tuned beside the method's own parameters


def inner_views(view: TrainView, folds: int) -> list[TrainView]:
    """Train cut into `folds`, each tested once by the others; stratified, split units whole. Raises `UserError` where
    train has fewer split units than folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    groups = view.rows.groups[view.train]
    n = len(np.unique(groups))
    if n < 2:
        raise UserError("train holds one split unit: nothing can be chosen on people who were not seen")
    cutter = StratifiedGroupKFold(min(folds, n), shuffle=True, random_state=view.seed % 2**31)
    with warnings.catch_warnings():
        # a class of fewer members than folds is in some of them; UAR there is over the classes that are
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        cuts = list(cutter.split(view.train, view.y, groups))
    views = []
    for train, test in cuts:
        views.append(
            TrainView(
                view.rows,
                view.classes,
                view.scaling,
                train=view.train[train],
                gone=view.train[:0],
                test=view.train[test],
                seed=view.seed,
                pruned=view.pruned,
            )
        )
    return views


def with_values(arm: Arm, values: Mapping[str, JsonValue]) -> Arm:
    """The arm with these parameters, and nothing left to choose."""
    own: dict[str, Any] = {name: value for name, value in values.items() if name in OF_THE_ARM}
    params = {**arm.params, **{name: value for name, value in values.items() if name not in OF_THE_ARM}}
    return Arm.model_validate({**arm.model_dump(), **own, "params": params, "tune": {}})


def with_defaults(arm: Arm) -> Arm:
    """The arm with the first value of everything that it leaves open."""
    return with_values(arm, {name: choice.first for name, choice in space_of(arm).items()})


def space_of(arm: Arm) -> dict[str, Choice]:
    """What is searched. Raises `ParamsError` for what is no list and no range."""
    return parsed_space(arm.tune, f"tune of {arm.method}")


def tuned_arm(arm: Arm, model: Classifier, benches: Sequence[Bench], *, seed: int) -> tuple[Arm, dict[str, JsonValue]]:
    """The arm with the values of largest mean UAR over the inner folds, and these values."""

    known: dict[str, float] = {}

    def objective(values: Mapping[str, Value]) -> float:
        name = repr(sorted(values.items()))
        if name not in known:  # a search comes back to the same few options
            known[name] = inner_uar(with_values(arm, values), model, benches)
        return known[name]

    space = space_of(arm)
    options = grid_of(space)
    if 0 < len(options) <= arm.trials:  # all of them: nothing is left to a search
        best = max(options, key=objective)
    else:
        best = dict(search(objective, space, trials=arm.trials, seed=seed).params)
    return with_values(arm, best), dict(best)


def inner_uar(arm: Arm, model: Classifier, benches: Sequence[Bench]) -> float:
    """Mean UAR of an arm over inner folds, in [0, 1]."""
    answers = [(bench, bench.answers(arm, bench.added(arm), model)[0]) for bench in benches]
    return float(np.mean([uar(b.view.labels(b.view.test), answer) for b, answer in answers]))


def grid_of(space: Mapping[str, Choice]) -> list[dict[str, Value]]:
    """Every combination of options, defaults first; [] where a range is among them."""
    if any(choice.kind != "categorical" for choice in space.values()):
        return []
    return [dict(zip(space, values, strict=True)) for values in product(*(c.options for c in space.values()))]


def uar(target: np.ndarray, answer: np.ndarray) -> float:
    """Mean recall over the classes that `target` holds, in [0, 1]."""
    return float(np.mean([(answer[target == k] == k).mean() for k in np.unique(target)]))

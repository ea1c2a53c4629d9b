"""The downstream question: scores by hand and by scikit-learn, intervals that respect groups, wins, losses and
neither."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from corpora.errors import UserError
from validators.batch import rows_by_class, rows_of
from validators.gate import Batch
from validators.trials.downstream import bootstrap_weights, svm_answers, uplift, weighted_scores

CLASSES = ("anger", "happiness", "sadness")


def test_scores_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    target, answers = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    weights = rng.integers(0, 3, (2, 300)).astype(float)
    uar, recall, f1 = weighted_scores(target, answers, weights, 4)
    for r in range(2):
        assert uar[r] == pytest.approx(balanced_accuracy_score(target, answers, sample_weight=weights[r]))
        assert f1[r] == pytest.approx(f1_score(target, answers, average=None, sample_weight=weights[r]))
    assert recall.shape == (2, 4)


def test_bootstrap_draws_whole_groups_and_then_within_them() -> None:
    groups = np.repeat(np.array(["a", "b", "c", "d"]), [1, 2, 3, 40])
    weights = bootstrap_weights(groups, 4000, seed=0)
    assert (weights[0] == 1).all()
    counts = np.stack([weights[1:, groups == g].sum(1) / (groups == g).sum() for g in "abcd"], axis=1)
    assert (counts == counts.round()).all() and (counts.sum(1) == 4).all()  # groups come whole
    assert weights[1:].mean(0) == pytest.approx(1.0, abs=0.1)
    assert weights[1:, 10:].std() > 1.0
    alone = bootstrap_weights(np.arange(50).astype(str), 2000, seed=0)
    assert (alone[1:].sum(1) == 50).all() and alone[1:].var(0).mean() == pytest.approx(1 - 1 / 50, abs=0.05)


def _split(make: Callable[..., Batch], modality: str) -> tuple[Batch, Batch, Batch]:
    """Few and lopsided train samples, many more of the same kind, and test people."""
    small = make(modality, groups=range(4), per_cell=3)
    keep = np.asarray([e == "anger" or i % 9 in (3, 6) for i, e in enumerate(small.emotions)])
    return (
        rows_of(small, keep),
        make(modality, groups=range(40, 52), seed=3),
        make(modality, groups=range(20, 26), seed=1),
    )


def test_more_of_the_truth_helps_and_lies_hurt(make: Callable[..., Batch], modality: str) -> None:
    train, more, test = _split(make, modality)
    good = uplift(train, more, test, classes=CLASSES, seed=0, n_bootstrap=300)
    json.dumps(good, allow_nan=False)
    arms = {arm["arm"]: arm for arm in good["arms"]}
    assert set(arms) == {"real", "real, weighted", "real, oversampled", "real + synthetic"}
    assert arms["real + synthetic"]["n_train"] == len(train) + len(more) and good["n_test"] == len(test)
    assert good["test_groups"] == 6 and good["outcome"] in ("win", "no difference")
    for arm in arms.values():
        assert arm["low"] <= arm["uar"] <= arm["high"]
        assert arm["uar"] == pytest.approx(np.mean([c["recall"] for c in arm["per_class"].values()]))
    turned = dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True))
    lies = replace(more, emotions=tuple(turned[name] for name in more.emotions))
    bad = uplift(train, lies, test, classes=CLASSES, seed=0, n_bootstrap=300)
    assert bad["outcome"] == "loss" and bad["difference"]["high"] < 0
    assert bad["difference"]["value"] < good["difference"]["value"]
    assert good == uplift(train, more, test, classes=CLASSES, seed=0, n_bootstrap=300)


def test_weights_of_samples_count_in_the_loss(make: Callable[..., Batch]) -> None:
    train, more, test = _split(make, "face")
    turned = dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True))
    lies = replace(more, emotions=tuple(turned[name] for name in more.emotions))

    def gain(weight: float | None) -> float:
        weights = () if weight is None else (weight,) * len(lies)
        told = uplift(train, replace(lies, weights=weights), test, classes=CLASSES, seed=0, n_bootstrap=100)
        assert told["synthetic_weight"] == (None if weight is None else pytest.approx(weight * len(lies), abs=0.01))
        assert [arm["n_train"] for arm in told["arms"]][-1] == len(train) + len(lies)
        return float(told["difference"]["value"])

    assert gain(1.0) == gain(None), "a weight of one is none"
    assert abs(gain(1e-6)) < 0.02 < abs(gain(1.0)), "a lie that counts nothing does no harm"


def test_a_weight_of_a_half_is_half_a_row() -> None:
    """Two rows of weight 1/2 are one row: in the loss and in the width of the kernel."""
    rng = np.random.default_rng(0)
    x, y, asked = rng.normal(size=(60, 5)), rng.integers(0, 3, 60), rng.normal(size=(200, 5))
    once = svm_answers(x, y, None, asked)
    twice = svm_answers(np.repeat(x, 2, axis=0), np.repeat(y, 2), None, asked, np.full(120, 0.5))
    assert (once == twice).mean() > 0.98


def test_nothing_synthetic_makes_no_difference(make: Callable[..., Batch]) -> None:
    train, more, test = _split(make, "face")
    found = uplift(train, rows_of(more, np.arange(0)), test, classes=CLASSES, seed=0, n_bootstrap=100)
    assert found["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0} and found["outcome"] == "no difference"


def test_one_test_group_has_no_interval(make: Callable[..., Batch]) -> None:
    train, more, _ = _split(make, "face")
    found = uplift(train, more, make("face", groups=[20]), classes=CLASSES, seed=0, n_bootstrap=100)
    assert found["outcome"] == "undecided" and found["difference"]["low"] is None


def test_bad_input(make: Callable[..., Batch]) -> None:
    train, more, test = _split(make, "face")
    with pytest.raises(UserError, match="test split holds no usable"):
        uplift(train, more, rows_of(test, np.arange(0)), classes=CLASSES, seed=0)
    with pytest.raises(UserError, match="fewer than 2"):
        uplift(rows_of(train, np.arange(2)), more, test, classes=CLASSES, seed=0)
    only = uplift(train, more, rows_of(test, np.arange(3)), classes=CLASSES, seed=0, n_bootstrap=100)
    assert only["arms"][0]["per_class"]["sadness"]["recall"] is None


def test_a_soft_label_counts_in_each_of_its_classes(make: Callable[..., Batch]) -> None:
    """The same as if its rows stood there once for each class, with weights."""
    train, more, test = _split(make, "face")
    shares = tuple({"anger": 0.75, "sadness": 0.25} if i % 2 else None for i in range(len(more)))
    soft = replace(more, shares=shares)
    by_class = rows_by_class(soft)
    assert len(by_class) == len(more) + len(more) // 2
    assert sum(by_class.weights) == pytest.approx(len(more)) and rows_by_class(more) is more
    one, other = (uplift(train, batch, test, classes=CLASSES, seed=1, n_bootstrap=100) for batch in (soft, by_class))
    assert one["arms"][3]["uar"] == other["arms"][3]["uar"] and one["n_synthetic"] == len(more)
    assert one["synthetic_weight"] == pytest.approx(len(more), abs=0.01)

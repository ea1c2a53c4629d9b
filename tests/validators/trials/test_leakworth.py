"""What a leak is worth: a planted leak has its price, none has none, and a missing number its reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.svm import SVC

from corpora.errors import UserError
from validators.batch import Batch
from validators.embeddings.projection import Projection
from validators.trials import leakworth
from validators.trials.leakworth import leak_worth

NAMES = np.asarray(["anger", "fear", "neutral"])


def batch(x: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> Batch:
    ids = tuple(f"s{i}" for i in range(len(x)))
    return Batch(
        modality="physio",
        layout="vector",
        ids=ids,
        emotions=tuple(labels.tolist()),
        signals=[row.astype(np.float32) for row in x],
        sha256=ids,
        groups=ids if groups is None else tuple(groups.tolist()),
    )


def noise(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features that say nothing of the labels: what is right above chance was remembered."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 12)), NAMES[rng.permutation(n) % 3]


def planted(n_copies: int) -> tuple[Batch, Batch, np.ndarray]:
    x, y = noise(240, 0)
    x_test, y_test = noise(120, 1)
    leaked = np.arange(240) < n_copies
    x[leaked], y[leaked] = x_test[:n_copies], y_test[:n_copies]
    return batch(x, y), batch(x_test, y_test), leaked


def test_copies_of_noise_are_worth_what_was_remembered() -> None:
    train, test, leaked = planted(60)  # half of test
    worth = leak_worth(train, test, leaked, seed=0)
    assert worth.with_leak.value > 0.55 and abs(worth.without.value - 1 / 3) < 0.12
    assert worth.difference.low is not None and worth.difference.low > 0.1
    assert worth.difference.value == pytest.approx(worth.with_leak.value - worth.without.value)
    assert worth.others is not None and worth.beyond is not None
    assert worth.others.value > 0.5, "as many others were taken away: the leak stays"
    assert worth.beyond.value == pytest.approx(worth.others.value - worth.without.value)
    assert (worth.n_train, worth.n_leaked, worth.n_test, worth.test_groups) == (240, 60, 120, 120)


def test_what_is_no_copy_is_worth_nothing() -> None:
    rng = np.random.default_rng(5)
    y, y_test = NAMES[np.arange(300) % 3], NAMES[np.arange(150) % 3]
    centres = {name: rng.normal(size=8) for name in NAMES.tolist()}
    x, x_test = (np.stack([centres[n] + rng.normal(size=8) for n in labels.tolist()]) for labels in (y, y_test))
    worth = leak_worth(batch(x, y), batch(x_test, y_test), np.arange(300) < 30, seed=0)
    assert worth.beyond is not None and worth.beyond.low is not None and worth.beyond.high is not None
    assert worth.beyond.low < 0.01 and worth.beyond.high > -0.01 and abs(worth.beyond.value) < 0.03


def test_the_scores_are_those_of_scikit_learn() -> None:
    train, test, leaked = planted(40)
    worth = leak_worth(train, test, leaked, seed=0, n_bootstrap=10)
    x, x_test = np.stack(train.signals).astype(float), np.stack(test.signals).astype(float)
    y, y_test = np.asarray(train.emotions), np.asarray(test.emotions)
    for rows, value in ((np.ones(240, bool), worth.with_leak.value), (~leaked, worth.without.value)):
        projection = Projection.fit(x[rows], 100)
        svm = SVC(C=3.0).fit(projection.apply(x[rows]), y[rows])
        answers = svm.predict(projection.apply(x_test))
        assert value == pytest.approx(balanced_accuracy_score(y_test, answers))


def test_one_test_group_has_no_interval() -> None:
    train, test, leaked = planted(60)
    worth = leak_worth(train, replace(test, groups=("one",) * len(test)), leaked, seed=0, n_bootstrap=20)
    assert worth.difference.low is None and worth.test_groups == 1


def test_the_same_seed_gives_the_same_numbers() -> None:
    train, test, leaked = planted(30)
    assert leak_worth(train, test, leaked, seed=3) == leak_worth(train, test, leaked, seed=3)


def test_a_large_train_set_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leakworth, "MAX_TRAIN", 100)
    train, test, leaked = planted(60)
    worth = leak_worth(train, test, leaked, seed=0, n_bootstrap=20)
    assert (worth.n_train, worth.n_drawn) == (240, 100) and 0 < worth.n_leaked < 60


def test_where_nearly_all_leaks_there_are_no_others() -> None:
    train, test, _ = planted(60)
    leaked = np.arange(240) >= 40
    worth = leak_worth(train, test, leaked, seed=0, n_bootstrap=20)
    assert worth.others is None and worth.beyond is None and worth.difference.low is not None


@pytest.mark.parametrize("case", ["no labels", "no common class", "class gone", "nothing leaks"])
def test_why_there_is_no_number(case: str) -> None:
    train, test, leaked = planted(60)
    if case == "no labels":
        test, said = replace(test, emotions=("",) * len(test)), "second side has no labels"
    elif case == "no common class":
        test, said = replace(test, emotions=("joy",) * len(test)), "0 classes in common"
    elif case == "class gone":
        leaked, said = leaked | (np.asarray(train.emotions) == "fear"), "no sample of fear"
    else:
        leaked, said = np.zeros(240, bool), "no train sample that leaks"
    with pytest.raises(UserError, match=said):
        leak_worth(train, test, leaked, seed=0)


def test_labels_of_one_side_alone_take_no_part() -> None:
    train, test, leaked = planted(60)
    emotions = tuple("joy" if i % 10 == 9 else name for i, name in enumerate(train.emotions))
    worth = leak_worth(replace(train, emotions=emotions), test, leaked, seed=0, n_bootstrap=20)
    assert worth.classes == tuple(NAMES) and worth.n_train == 216

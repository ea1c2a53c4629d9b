"""The conformal guarantee: of what is exchangeable with the real samples of a class, at most alpha is turned away."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from validators.batch import rows_of
from validators.embeddings.features import features_of
from validators.gate import Batch, admit
from validators.gates.conformal import Conformal

CLASSES = ("common", "rare")
SIZES = {"common": 160, "rare": 12}
NEW = 40  # fresh samples of a class in each world


def _world(seed: int) -> tuple[Batch, Batch]:
    """Train and fresh samples from one distribution, each sample its own group: exchangeable by construction.

    The features are planted, so no signal is ever looked at; the classes overlap, or no judge would ever be wrong.
    """
    rng = np.random.default_rng(seed)
    emotions = [name for name in CLASSES for _ in range(SIZES[name])] + [n for n in CLASSES for _ in range(NEW)]
    x = rng.normal(size=(len(emotions), 6)) + 0.7 * (np.asarray(emotions) == "rare")[:, None]
    ids = tuple(f"{seed}/{i}" for i in range(len(emotions)))
    one = np.zeros((8, 8), np.uint8)
    batch = Batch("face", ids, tuple(emotions), [one] * len(emotions), ids, groups=ids, cache={"hog": x})
    n = sum(SIZES.values())
    return rows_of(batch, np.arange(n)), rows_of(batch, np.arange(n, len(emotions)))


@pytest.mark.parametrize("judge", ["linear", "linear+forest"])
def test_real_samples_are_rejected_no_more_often_than_alpha(judge: str) -> None:
    rejected, drawn, alphas = {(c, a): 0 for c in CLASSES for a in (0.1, 0.25)}, dict.fromkeys(CLASSES, 0), (0.1, 0.25)
    for seed in range(24):
        train, fresh = _world(seed)
        gate = Conformal.fit(train, classes=CLASSES, params={"judge": judge, "trees": 15}, seed=seed)
        p, labels = gate.score(fresh), np.asarray(fresh.emotions)
        for name in CLASSES:
            drawn[name] += NEW
            for alpha in alphas:
                rejected[name, alpha] += int((~admit(p[labels == name], alpha, "higher")).sum())
    for (name, alpha), count in rejected.items():
        # one train set makes its 40 answers alike: the binomial is taken over worlds' worth of samples, generously
        assert count / drawn[name] <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / (24 * min(SIZES[name], NEW))), (
            name,
            alpha,
        )
    assert rejected["common", 0.25] / drawn["common"] > 0.12, "a p-value that rejects nobody proves nothing"


def test_one_fold_is_the_textbook_p_value() -> None:
    """A conversion is judged by one fold alone: its p-value is (1 + #) / (1 + n) over that fold's held-out samples."""
    train, fresh = _world(0)
    gate = Conformal.fit(train, classes=CLASSES, params={"judge": "linear"}, seed=0)
    own = Batch(
        **{f: getattr(fresh, f) for f in ("modality", "ids", "emotions", "signals", "sha256", "groups")},
        source_ids=tuple((train.ids[0],) for _ in range(len(fresh))),
        cache=dict(fresh.cache),
    )
    fold = gate._fold_of[train.ids[0]]
    p = gate.predict_folds(own)[:, fold]
    for i in (0, NEW):
        k = CLASSES.index(own.emotions[i])
        of_class, folds = gate._own_p(k)
        real = of_class[folds == fold]
        assert gate.score(own)[i] == (1 + (real <= round(p[i, k], 9)).sum()) / (1 + len(real))


def test_the_smallest_p_value_is_one_of_n_plus_one() -> None:
    """12 real samples: nothing can be rejected at alpha = 0.05, whatever it is, and the gate does not pretend to."""
    train, fresh = _world(1)
    gate = Conformal.fit(train, classes=CLASSES, params={"judge": "linear"}, seed=1)
    odd = rows_of(fresh, np.flatnonzero(np.asarray(fresh.emotions) == "rare"))
    odd.cache["hog"] = odd.cache["hog"] - 9.0  # as unlike the class as can be
    assert gate.score(odd) == pytest.approx(1 / 13)
    assert admit(gate.score(odd), Conformal.default_limit.resolve(np.zeros(0)), "higher").all()


def test_p_values_rise_with_the_judges_probability() -> None:
    train, fresh = _world(2)
    gate = Conformal.fit(train, classes=CLASSES, params={"judge": "linear"}, seed=2)
    assert features_of(fresh, "hog") is fresh.cache["hog"]
    one = rows_of(fresh, np.zeros(9, int))
    one.cache["hog"] = fresh.cache["hog"][:1] - np.linspace(-3, 3, 9)[:, None]  # from rare towards common
    p = gate.score(one)
    assert (np.diff(p) >= 0).all() and p[0] < 0.2 < 0.8 < p[-1]


def test_under_the_null_p_values_are_binomially_uniform() -> None:
    """Pooled over worlds, the share of p <= alpha for the common class is within what a binomial allows."""
    p = np.concatenate(
        [
            Conformal.fit(train, classes=CLASSES, params={"judge": "linear"}, seed=s).score(
                rows_of(fresh, np.arange(NEW))
            )
            for s in range(12)
            for train, fresh in [_world(100 + s)]
        ]
    )
    for alpha in (0.1, 0.3, 0.5):
        assert (p <= alpha).sum() <= binom.ppf(0.9999, p.size, alpha)

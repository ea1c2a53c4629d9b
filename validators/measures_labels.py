"""The measures of answers against truth, as `validators.measure` offers them. `real` is the truth.

Intervals are a bootstrap over rows (percentile, 1000 resamples): rows of one person are taken as independent, which a
list of labels cannot contradict; `evaluate` resamples groups instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from corpora.errors import UserError
from validators.labels import ccc, class_scores, expected_calibration_error, macro_auc
from validators.measure import Measured

RESAMPLES = 1000


def _interval(n: int, value: Callable[[np.ndarray], float], seed: int) -> tuple[float, float]:
    """Percentiles of `value` over resampled row numbers; resamples that have no number are left out."""
    rng = np.random.default_rng(seed)
    found = np.array([value(rng.integers(n, size=n)) for _ in range(RESAMPLES)])
    found = found[np.isfinite(found)]
    if n < 2 or found.size < RESAMPLES / 2:
        return math.nan, math.nan
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _classes(truth: Sequence[str], answer: Sequence[str], which: str, seed: int) -> Measured:
    names = tuple(sorted({*truth, *answer}))
    found = class_scores(truth, answer, names)
    of, said = np.asarray(truth, dtype=str), np.asarray(answer, dtype=str)

    def value(rows: np.ndarray) -> float:
        return float(getattr(class_scores(of[rows].tolist(), said[rows].tolist(), names), which))

    low, high = _interval(len(of), value, seed)
    details = {"classes": list(names), "confusion (row: truth)": found.confusion.tolist()}
    conventions = {
        "accuracy": "share of all rows",
        "uar": "mean recall over classes that occur",
        "macro_f1": "mean F1 over classes that occur or are answered (UF1)",
    }
    return Measured(
        float(getattr(found, which)), "share", conventions[which], len(of), len(said), low=low, high=high,
        details=details,
    )  # fmt: skip


def accuracy(real: Sequence[str], synthetic: Sequence[str], *, seed: int = 0) -> Measured:
    return _classes(real, synthetic, "accuracy", seed)


def uar(real: Sequence[str], synthetic: Sequence[str], *, seed: int = 0) -> Measured:
    return _classes(real, synthetic, "uar", seed)


def macro_f1(real: Sequence[str], synthetic: Sequence[str], *, seed: int = 0) -> Measured:
    return _classes(real, synthetic, "macro_f1", seed)


def _scored(synthetic: np.ndarray, classes: str, n: int) -> tuple[np.ndarray, list[str]]:
    """Scores [n, k] and the names of their columns. Raises `UserError`."""
    names = [name.strip() for name in classes.split(",") if name.strip()]
    scores = np.asarray(synthetic)
    if scores.dtype.kind not in "fiu" or scores.ndim != 2:
        raise UserError(f"scores are numbers [n, classes], not {scores.dtype} {scores.shape}; give them as .npy")
    if scores.shape != (n, len(names)):
        raise UserError(f"scores {scores.shape} for {n} truths; name the columns in order: classes=anger,fear,...")
    return scores.astype(np.float64), names


def auc(real: Sequence[str], synthetic: np.ndarray, *, classes: str = "", seed: int = 0) -> Measured:
    """`synthetic`: scores [n, k]; `classes`: names of its columns, with commas between."""
    scores, names = _scored(synthetic, classes, len(real))
    truth = np.asarray(real, dtype=str)
    low, high = _interval(len(truth), lambda rows: macro_auc(truth[rows].tolist(), scores[rows], names), seed)
    value = macro_auc(list(real), scores, names)
    return Measured(
        value, "AUC", "one class against the rest, mean, ties half", len(real), len(scores), low=low, high=high
    )


def ece(real: Sequence[str], synthetic: np.ndarray, *, classes: str = "", bins: int = 15, seed: int = 0) -> Measured:
    """`synthetic`: probabilities [n, k]; `classes`: names of its columns, with commas between."""
    scores, names = _scored(synthetic, classes, len(real))
    if not np.allclose(scores.sum(axis=1), 1.0, atol=1e-3):
        raise UserError("probabilities of a row must sum to 1")
    truth = np.asarray(real, dtype=str)

    def value(rows: np.ndarray) -> float:
        return expected_calibration_error(truth[rows].tolist(), scores[rows], names, bins=bins)

    low, high = _interval(len(truth), value, seed)
    found = value(np.arange(len(truth)))
    return Measured(found, "share", f"{bins} bins of equal width", len(real), len(scores), low=low, high=high)


def concordance(real: np.ndarray, synthetic: np.ndarray, *, ddof: int = 0, seed: int = 0) -> Measured:
    """`ddof` 0 as Lin and the AVEC challenges, 1 for unbiased (co)variances."""
    x, y = np.asarray(real, np.float64).ravel(), np.asarray(synthetic, np.float64).ravel()
    value = ccc(x, y, ddof=ddof)
    low, high = _interval(len(x), lambda rows: ccc(x[rows], y[rows], ddof=ddof), seed)
    reason = "" if math.isfinite(value) else "fewer than 2 values, or values that are not finite"
    return Measured(value, "1", f"Lin 1989, ddof {ddof}", len(x), len(y), low=low, high=high, reason=reason)

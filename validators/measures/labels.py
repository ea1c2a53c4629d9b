"""The measures of answers against truth, as `validators.measures.registry` offers them. `real` is the truth.

Intervals are a bootstrap over rows (percentile, 1000 resamples): rows of one person are taken as independent, which a
list of labels cannot contradict; `evaluate` resamples groups instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators.maths.labels import ccc, class_scores, expected_calibration_error, macro_auc, refuse_unknown
from validators.measures.answers import classes_of, comparable, labels_of, spellings
from validators.measures.measured import Measured

RESAMPLES = 1000


def _interval(n: int, value: Callable[[np.ndarray], float], seed: int) -> tuple[float, float]:
    """Percentiles of `value` over resampled row numbers; resamples that have no number are left out."""
    if n < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    values = np.array([value(rng.integers(n, size=n)) for _ in range(RESAMPLES)])
    values = values[np.isfinite(values)]
    if values.size < RESAMPLES / 2:
        return math.nan, math.nan
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _classes(truth: Any, answer: Any, which: str, classes: Any, ignore_case: bool, seed: int) -> Measured:
    of, answers, names = comparable(truth, answer, classes, ignore_case=ignore_case)
    scores = class_scores(of, answers, names)
    true, answered = np.asarray(of, dtype=str), np.asarray(answers, dtype=str)

    def value(rows: np.ndarray) -> float:
        return float(getattr(class_scores(true[rows].tolist(), answered[rows].tolist(), names), which))

    low, high = _interval(len(of), value, seed)
    details: dict[str, Any] = {"classes": list(names), "confusion (row: truth)": scores.confusion.tolist()}
    if alone := sorted(set(answers) - set(of)):
        details["answered, never true"] = alone  # a slip of the pen would stand here
    conventions = {
        "accuracy": "share of all rows",
        "uar": "mean recall over classes that occur",
        "macro_f1": "mean F1 over classes that occur or are answered (UF1)",
    }
    return Measured(
        float(getattr(scores, which)),
        "share",
        conventions[which],
        len(of),
        len(answers),
        low=low,
        high=high,
        details=details,
    )


def accuracy(real: Any, synthetic: Any, *, classes: str = "", ignore_case: bool = False, seed: int = 0) -> Measured:
    """`classes`: all that a label may be, with commas between; none given: those that occur."""
    return _classes(real, synthetic, "accuracy", classes, ignore_case, seed)


def uar(real: Any, synthetic: Any, *, classes: str = "", ignore_case: bool = False, seed: int = 0) -> Measured:
    """`classes`: as in `accuracy`."""
    return _classes(real, synthetic, "uar", classes, ignore_case, seed)


def macro_f1(real: Any, synthetic: Any, *, classes: str = "", ignore_case: bool = False, seed: int = 0) -> Measured:
    """`classes`: as in `accuracy`."""
    return _classes(real, synthetic, "macro_f1", classes, ignore_case, seed)


def _scored(real: Any, synthetic: Any, classes: Any, ignore_case: bool) -> tuple[list[str], np.ndarray, list[str]]:
    """Truth, scores [n, k] float64 and the names of their columns. Raises `UserError`."""
    truth, names = labels_of(real, "the truth"), classes_of(classes)
    scores = np.asarray(synthetic)
    if scores.dtype.kind not in "fiub" or scores.ndim != 2:
        raise UserError(f"scores are numbers [n, classes], not {scores.dtype} {scores.shape}; give them as .npy")
    if not truth:
        raise UserError("0 truths; at least one row is needed")
    if scores.shape != (len(truth), len(names)):
        raise UserError(
            f"scores {scores.shape} for {len(truth)} truths; name the columns in order: classes=anger,fear,..."
        )
    if ignore_case:
        spelt = spellings([*names, *truth])
        truth = [spelt[label] for label in truth]
    refuse_unknown(truth, names, "the truth")
    return truth, scores.astype(np.float64), names


def _why_none(scores: np.ndarray, otherwise: str) -> str:
    bad = int((~np.isfinite(scores)).any(axis=1).sum())
    return f"{bad} of {len(scores)} rows of scores hold NaN or infinity" if bad else otherwise


def auc(real: Any, synthetic: Any, *, classes: str = "", ignore_case: bool = False, seed: int = 0) -> Measured:
    """`synthetic`: scores [n, k]; `classes`: names of its columns, with commas between."""
    truth, scores, names = _scored(real, synthetic, classes, ignore_case)
    of = np.asarray(truth, dtype=str)
    value = macro_auc(truth, scores, names)
    low, high = math.nan, math.nan
    if math.isfinite(value):
        low, high = _interval(len(of), lambda rows: macro_auc(of[rows].tolist(), scores[rows], names), seed)
    reason = "" if math.isfinite(value) else _why_none(scores, "no class has both rows of it and rows of others")
    return Measured(
        value,
        "AUC",
        "one class against the rest, mean, ties half",
        len(of),
        len(scores),
        low=low,
        high=high,
        reason=reason,
    )


def ece(
    real: Any, synthetic: Any, *, classes: str = "", bins: int = 15, ignore_case: bool = False, seed: int = 0
) -> Measured:
    """`synthetic`: probabilities [n, k]; `classes`: names of its columns, with commas between."""
    truth, scores, names = _scored(real, synthetic, classes, ignore_case)
    sums = scores.sum(axis=1)
    odd = np.isfinite(sums) & ((np.abs(sums - 1.0) > 1e-3) | (scores < 0).any(axis=1))
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise UserError(
            f"scores, row {row + 1}: {scores[row].tolist()!s:.80} sums to {sums[row]:g}; probabilities of a row are "
            "not below 0 and sum to 1"
        )
    of = np.asarray(truth, dtype=str)

    def value(rows: np.ndarray) -> float:
        return expected_calibration_error(of[rows].tolist(), scores[rows], names, bins=bins)

    number = value(np.arange(len(of)))
    low, high = _interval(len(of), value, seed) if math.isfinite(number) else (math.nan, math.nan)
    return Measured(
        number,
        "share",
        f"{bins} bins of equal width",
        len(of),
        len(scores),
        low=low,
        high=high,
        reason="" if math.isfinite(number) else _why_none(scores, "no row"),
    )


def concordance(real: np.ndarray, synthetic: np.ndarray, *, ddof: int = 0, seed: int = 0) -> Measured:
    """`ddof` 0 as Lin and the AVEC challenges, 1 for unbiased (co)variances."""
    x, y = np.asarray(real, np.float64).ravel(), np.asarray(synthetic, np.float64).ravel()
    value = ccc(x, y, ddof=ddof)
    low, high = math.nan, math.nan
    if math.isfinite(value):
        low, high = _interval(len(x), lambda rows: ccc(x[rows], y[rows], ddof=ddof), seed)
    reason = "" if math.isfinite(value) else "fewer than 2 values, or values that are not finite"
    return Measured(value, "1", f"Lin 1989, ddof {ddof}", len(x), len(y), low=low, high=high, reason=reason)

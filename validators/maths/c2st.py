"""Classifier two-sample test: can a classifier that never saw them tell synthetic rows from real ones?

Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests". The statistic is the balanced accuracy (0.5: it
cannot, 1: always) and the area under the ROC curve of out-of-fold scores, folds that part no group. `discriminant_auc`
is the same with a classifier in closed form, for where it is fitted hundreds of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from validators.maths.auc import auc, auc_interval
from validators.maths.sets import checked_pair, finite

FEWEST = 10  # rows of a set: with less, every fold holds two or three
FOLDS = 3  # of the discriminant
SHRINKAGE = 0.1  # of its within-set covariance towards its mean variance: a fold holds few rows


@dataclass(frozen=True, slots=True)
class TwoSample:
    """accuracy: balanced, in [0, 1]; auc in [0, 1] with its 95 % interval; p: of as good an AUC by chance."""

    accuracy: float
    auc: float
    low: float
    high: float
    p: float


def c2st(
    real: np.ndarray,
    synthetic: np.ndarray,
    *,
    real_groups: Sequence[str] | None = None,
    synthetic_groups: Sequence[str] | None = None,
    classifier: str = "linear",
    folds: int = 5,
    seed: int = 0,
) -> TwoSample:
    """real [n, d], synthetic [m, d] -> `TwoSample`; classes are weighted equally, so n and m may differ.

    classifier: "linear" (logistic regression on standardised columns), "forest" (200 trees) or "knn". Rows of one
    group stay in one fold; without groups each row is one. p and interval are those of the Mann-Whitney statistic (its
    normal approximation; Hanley & McNeil 1982 for the interval), which takes rows as independent: with groups they are
    too narrow, and the report says so. NaN with fewer than 10 rows in a set, fewer groups than 2 in one, or values that
    are not finite. Raises `UserError`.
    """
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    real, synthetic = checked_pair(real, synthetic)
    n, m = len(real), len(synthetic)
    groups = _groups(real_groups, n, "real") + _groups(synthetic_groups, m, "synthetic")
    per_side = min(len(set(groups[:n])), len(set(groups[n:])))
    if min(n, m) < FEWEST or per_side < 2 or not finite(real, synthetic):
        return TwoSample(*[float("nan")] * 5)
    x, y = np.vstack([real, synthetic]), np.r_[np.zeros(n, int), np.ones(m, int)]
    splitter = StratifiedGroupKFold(min(folds, per_side), shuffle=True, random_state=seed)
    score = cross_val_predict(_classifier(classifier, seed), x, y, groups=groups, cv=splitter, method="predict_proba")
    score = score[:, 1]
    area = auc(score[n:], score[:n])
    low, high = auc_interval(area, m, n)
    return TwoSample(float(balanced_accuracy_score(y, score > 0.5)), area, low, high, _p_value(score[n:], score[:n]))


def discriminant_auc(x: np.ndarray, y: np.ndarray) -> float:
    """x [n, d], y [m, d] -> mean over folds of the AUC of a discriminant that never saw the rows; NaN for < 6 rows."""
    if min(len(x), len(y)) < 2 * FOLDS:
        return float("nan")
    aucs = []
    for fold in range(FOLDS):
        out_x, out_y = (np.arange(len(z)) % FOLDS == fold for z in (x, y))
        learn_x, learn_y = x[~out_x], y[~out_y]
        difference = learn_y.mean(axis=0) - learn_x.mean(axis=0)
        within = np.concatenate([learn_x - learn_x.mean(axis=0), learn_y - learn_y.mean(axis=0)])
        cov = within.T @ within / max(len(within) - 2, 1)
        level = max(float(np.trace(cov)) / len(cov), 1e-12)
        cov = (1 - SHRINKAGE) * cov + SHRINKAGE * level * np.eye(len(cov))
        weights = np.linalg.solve(cov, difference)
        scores, m = np.concatenate([y[out_y], x[out_x]]) @ weights, int(out_y.sum())
        aucs.append(auc(scores[:m], scores[m:]))
    return float(np.mean(aucs))


def _groups(given: Sequence[str] | None, n: int, side: str) -> list[str]:
    if given is None:
        return [f"{side} {i}" for i in range(n)]
    if len(given) != n:
        raise UserError(f"{len(given)} groups for {n} {side} rows")
    return [f"{side} {group}" for group in given]


def _classifier(name: str, seed: int):  # type: ignore[no-untyped-def]
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == "linear":
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))
    if name == "forest":
        return RandomForestClassifier(200, class_weight="balanced", random_state=seed, n_jobs=1)
    if name == "knn":
        return make_pipeline(StandardScaler(), KNeighborsClassifier(5))
    raise UserError(f"classifier {name!r}; known: forest, knn, linear")


def _p_value(positive: np.ndarray, negative: np.ndarray) -> float:
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(positive, negative, alternative="greater").pvalue)

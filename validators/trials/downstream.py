"""What a user wants to know: does a plain classifier do better on people it has never met when the synthetic data is
added?

The classifier is a support vector machine with an RBF kernel on principal components of hand-made features: another
architecture than the judges of `agreement` and than the network behind the Frechet distance, with its parameters fixed
beforehand. Test data is real, of groups that nothing else saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, rows_by_class, rows_of, usable
from validators.embeddings.features import PLAIN, features_of
from validators.embeddings.projection import Projection

COMPONENTS = 100
CLASSIFIER = f"SVM (RBF, C = 3) on {COMPONENTS} principal components of "
_LEVELS = (2.5, 97.5)


def uplift(
    train: Batch,
    synthetic: Batch,
    test: Batch,
    *,
    classes: Sequence[str],
    seed: int,
    n_bootstrap: int = 1000,
) -> dict[str, Any]:
    """Trains the classifier on four train sets and tests each on the same real samples. JSON-able; floats in [0, 1].

    Arms: "real", "real, weighted" (classes weighted equally), "real, oversampled" (rows repeated at random up to the
    majority), "real + synthetic". Of each: UAR (mean recall over the classes that test holds), per class F1, recall
    and n, with 95 % intervals by a bootstrap of test groups, and of samples within them. `difference`: UAR of real +
    synthetic minus real on the same resamples; `against_weighted`: minus real, weighted. `outcome`: win | loss | no
    difference, or undecided where test has a single group. Scaler and components come from real train alone.

    Synthetic samples with weights count for them in the loss (and in the width of the kernel); `synthetic_weight` is
    their sum, None where each counts 1.

    Raises `UserError` where test is empty or train holds fewer than 2 of the classes.
    """
    names = list(classes)
    x_train, y_train, _ = labelled_features(train, names)
    x_test, y_test, groups = labelled_features(test, names)
    if len(y_test) == 0:
        raise UserError("evaluate: the test split holds no usable sample of the run's classes; choose another view.")
    if len(np.unique(y_train)) < 2:
        raise UserError(
            "evaluate: train holds fewer than 2 of the run's classes; a classifier has nothing to tell apart."
        )
    n_synthetic = len(_labelled(synthetic, names))
    synthetic = rows_by_class(synthetic)  # a soft label counts in each of its classes
    projection = Projection.fit(x_train, COMPONENTS)
    z_train, z_test = projection.apply(x_train), projection.apply(x_test)
    del x_train, x_test  # as large as train: before the synthetic ones come
    x_syn, y_syn, _ = labelled_features(synthetic, names)
    z_syn = projection.apply(x_syn) if len(y_syn) else z_train[:0]
    del x_syn
    drawn, counts = _oversample(y_train, seed), labelled_weights(synthetic, names)
    both = None if counts is None else np.concatenate([np.ones(len(y_train)), counts])
    arms = {
        "real": (z_train, y_train, None, None),
        "real, weighted": (z_train, y_train, "balanced", None),
        "real, oversampled": (z_train[drawn], y_train[drawn], None, None),
        "real + synthetic": (np.concatenate([z_train, z_syn]), np.concatenate([y_train, y_syn]), None, both),
    }
    weights = bootstrap_weights(groups, n_bootstrap, seed)
    one_group = len(np.unique(groups)) < 2
    rows, uars = [], {}
    for arm, (z, y, of_classes, of_samples) in arms.items():
        answers = svm_answers(z, y, of_classes, z_test, of_samples)
        row, uars[arm] = _arm(arm, y_test, answers, weights, names, one_group)
        rows.append(row | {"n_train": len(y_train) + n_synthetic if arm == "real + synthetic" else len(y)})
    difference = _difference(uars["real + synthetic"] - uars["real"], one_group)
    if one_group:
        outcome = "undecided"
    else:
        outcome = "win" if difference["low"] > 0 else "loss" if difference["high"] < 0 else "no difference"
    return {
        "classifier": CLASSIFIER + PLAIN[train.kind],
        "classes": names,
        "n_train": len(y_train),
        "n_synthetic": n_synthetic,
        "synthetic_weight": None if counts is None else round(float(counts.sum()), 3),
        "n_test": len(y_test),
        "test_groups": len(np.unique(groups)),
        "arms": rows,
        "difference": difference,
        "against_weighted": _difference(uars["real + synthetic"] - uars["real, weighted"], one_group),
        "outcome": outcome,
    }


def bootstrap_weights(groups: np.ndarray, n_bootstrap: int, seed: int) -> np.ndarray:
    """N group names -> [1 + n_bootstrap, N] how often each sample counts; row 0 is the data as they are.

    Groups are drawn with replacement, then samples within each drawn group, so that few large groups do not look surer
    than they are (two-stage cluster bootstrap, Davison & Hinkley 1997, section 3.8). With one sample a group: the
    plain bootstrap.
    """
    rng = np.random.default_rng(seed)
    names, of_sample, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n = len(names)
    drawn = rng.multinomial(n, np.full(n, 1.0 / n), size=n_bootstrap)
    weights = np.ones((1 + n_bootstrap, len(groups)))
    if sizes.max() == 1:
        weights[1:] = drawn[:, of_sample]
        return weights
    for g in range(n):
        members = of_sample == g
        weights[1:, members] = rng.multinomial(drawn[:, g] * sizes[g], np.full(sizes[g], 1.0 / sizes[g]))
    return weights


def weighted_scores(
    target: np.ndarray, answers: np.ndarray, weights: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[N] class indices, [N] answers, [R, N] weights -> UAR [R], recall [R, k], F1 [R, k].

    A class without weight has recall NaN and is left out of that UAR; F1 is 0 where nothing was asked and found right.
    """
    cell = np.zeros((len(target), k * k))
    cell[np.arange(len(target)), target * k + answers] = 1.0
    confusion = (weights @ cell).reshape(-1, k, k)
    right = np.diagonal(confusion, axis1=1, axis2=2)
    asked, answered = confusion.sum(axis=2), confusion.sum(axis=1)
    recall = np.divide(right, asked, out=np.full_like(right, np.nan), where=asked > 0)
    f1 = np.divide(2 * right, asked + answered, out=np.zeros_like(right), where=asked + answered > 0)
    f1[asked == 0] = np.nan
    return np.nanmean(recall, axis=1), recall, f1


def labelled_features(batch: Batch, names: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> of the n usable samples of these classes: plain features [n, D], class indices [n], group names [n]."""
    part = _labelled(batch, names)
    labels = np.asarray([names.index(name) for name in part.emotions], dtype=int)
    return features_of(part, PLAIN[batch.kind]), labels, np.asarray(part.groups or part.ids, dtype=str)


def labelled_weights(batch: Batch, names: list[str]) -> np.ndarray | None:
    """-> [n] weights of the same samples; None where each counts 1."""
    return np.asarray(_labelled(batch, names).weights, np.float64) if batch.weights else None


def _labelled(batch: Batch, names: list[str]) -> Batch:
    return rows_of(batch, usable(batch) & np.isin(np.asarray(batch.emotions, dtype=str), names))


def _oversample(labels: np.ndarray, seed: int) -> np.ndarray:
    """Row indices: each row once, and rows of the smaller classes again at random up to the largest class."""
    rng = np.random.default_rng(seed)
    most = np.bincount(labels).max()
    more = [rng.choice(np.flatnonzero(labels == c), most - int((labels == c).sum())) for c in np.unique(labels)]
    return np.concatenate([np.arange(len(labels)), *more])


def svm_answers(
    x: np.ndarray, y: np.ndarray, weight: str | None, x_test: np.ndarray, of_samples: np.ndarray | None = None
) -> np.ndarray:
    """Trains the classifier on components x [n, d] and class indices y [n] -> its answers [m] to x_test [m, d].
    `weight`: "balanced" weighs classes equally. of_samples: [n] weights of rows, which scale C of each."""
    from sklearn.svm import SVC

    gamma: str | float = "scale"
    if of_samples is not None:  # scale is 1 / (d variance over all entries); a row counts in it for what it weighs
        mean = np.average(x, axis=0, weights=of_samples).mean()
        variance = float(np.average(((x - mean) ** 2).mean(axis=1), weights=of_samples))
        gamma = 1.0 / (x.shape[1] * variance) if variance > 0 else 1.0
    model = SVC(kernel="rbf", C=3.0, gamma=gamma, class_weight=weight, cache_size=500)
    answers: np.ndarray = model.fit(x, y, sample_weight=of_samples).predict(x_test)
    return answers


def _arm(
    arm: str, target: np.ndarray, answers: np.ndarray, weights: np.ndarray, names: list[str], one_group: bool
) -> tuple[dict[str, Any], np.ndarray]:
    uar, recall, f1 = weighted_scores(target, answers, weights, len(names))
    low, high = percentile_interval(uar[1:], one_group)
    per_class = {}
    for c, name in enumerate(names):
        n = int((target == c).sum())
        bounds = percentile_interval(f1[1:, c], one_group or n == 0)
        per_class[name] = {
            "f1": _number(f1[0, c]),
            "low": bounds[0],
            "high": bounds[1],
            "recall": _number(recall[0, c]),
            "n": n,
        }
    return {"arm": arm, "uar": float(uar[0]), "low": low, "high": high, "per_class": per_class}, uar


def _difference(uars: np.ndarray, one_group: bool) -> dict[str, Any]:
    low, high = percentile_interval(uars[1:], one_group)
    return {"value": float(uars[0]), "low": low, "high": high}


def percentile_interval(values: np.ndarray, none: bool) -> tuple[Any, Any]:
    """95 % percentile interval; (None, None) where there is nothing to resample."""
    if none or not np.isfinite(values).any():
        return None, None
    low, high = np.nanpercentile(values, _LEVELS)
    return float(low), float(high)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

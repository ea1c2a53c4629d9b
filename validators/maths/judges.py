"""Classifiers that judge: three architectures that learn from the same samples and err in different ways.

linear: multinomial logistic regression; forest: extremely randomised trees (Geurts et al. 2006); both on principal
components of hand-made features. network: the small convolutional network of features.encoders. A support vector
machine is left out on purpose: `downstream` asks one what the data is worth. All are kept as arrays, never pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

ARCHITECTURES = ("linear", "forest", "network")
_COMPONENTS = {"text": 1000}  # a class of texts is known by its words: the leading components are of length and topic
_FLOOR = 1e-3  # of a forest's probability: its log is what temperature scales
_ROWS = 4096  # scored at once by a forest


def components_of(modality: str, asked: int | None) -> int:
    """Principal components of hand-made features that judges learn from: what is asked for, or the modality's own."""
    return int(asked) if asked is not None else _COMPONENTS.get(modality, 100)


def fit_linear(x: np.ndarray, target: np.ndarray, k: int, options: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """x [n, d] components, target [n] indices of k classes, each of which occurs -> coef [k, d], intercept [k]."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=float(options["inverse_penalty"]), class_weight="balanced", max_iter=5000)
    model.fit(x, target)
    coef, intercept = model.coef_, model.intercept_
    if k == 2:  # scikit-learn keeps one row for two classes: the log-odds of the second
        coef, intercept = np.vstack([0 * coef, coef]), np.concatenate([0 * intercept, intercept])
    return {"coef": coef, "intercept": intercept}


def linear_logits(arrays: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """-> [n, k]"""
    logits: np.ndarray = x @ arrays["coef"].T + arrays["intercept"]
    return logits


def fit_forest(x: np.ndarray, target: np.ndarray, options: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
    """-> nodes of all trees, one after the other: left, right (-1: a leaf), feature, threshold, value [nodes, k];
    root [trees]."""
    from sklearn.ensemble import ExtraTreesClassifier

    model = ExtraTreesClassifier(
        int(options["trees"]),
        min_samples_leaf=max(3, len(x) // 500),
        class_weight="balanced",
        random_state=seed,
        n_jobs=1,
    ).fit(x.astype(np.float32), target)
    trees = [estimator.tree_ for estimator in model.estimators_]
    root = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    children = [np.stack([t.children_left, t.children_right]) for t in trees]
    left, right = np.concatenate([np.where(c < 0, -1, c + r) for c, r in zip(children, root, strict=True)], axis=1)
    value = np.concatenate([t.value[:, 0, :] for t in trees])
    return {
        "left": left.astype(np.int32),
        "right": right.astype(np.int32),
        "feature": np.concatenate([np.maximum(t.feature, 0) for t in trees]).astype(np.int32),
        "threshold": np.concatenate([t.threshold for t in trees]),
        "value": (value / value.sum(axis=1, keepdims=True)).astype(np.float32),
        "root": root.astype(np.int32),
    }


def forest_logits(arrays: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """-> [n, k] logs of the mean of the trees' probabilities."""
    out = []
    for start in range(0, len(x), _ROWS):
        part = x[start : start + _ROWS].astype(np.float32)
        node = np.tile(arrays["root"], (len(part), 1))  # [n, trees]
        rows = np.arange(len(part))[:, None]
        while True:
            inner = arrays["left"][node] >= 0
            if not inner.any():
                break
            goes_left = part[rows, arrays["feature"][node]] <= arrays["threshold"][node]
            node = np.where(inner, np.where(goes_left, arrays["left"][node], arrays["right"][node]), node)
        out.append(arrays["value"][node].astype(np.float64).mean(axis=1))
    p = np.concatenate(out) if out else np.zeros((0, arrays["value"].shape[1]))
    return np.log(np.maximum(p, _FLOOR))


def fit_temperature(logits: np.ndarray, target: np.ndarray) -> float:
    """The T in [0.05, 20] that minimises the mean negative log-likelihood of softmax(logits / T); classes weigh
    equally.

    logits [N, K]; target [N] class indices. Equal weights because the judges learned with equal weights too: else T
    would absorb the class frequencies.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    counts = np.bincount(target, minlength=logits.shape[1])
    weight = 1.0 / counts[target]

    def loss(log_t: float) -> float:
        log_p = log_softmax(logits / np.exp(log_t), axis=1)
        return -float(weight @ log_p[np.arange(len(target)), target])

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded").x))

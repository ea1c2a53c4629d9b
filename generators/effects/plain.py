"""Class means shrunk towards "no difference" by empirical Bayes (Efron & Morris 1975, JASA 70:311-319): what a rare
class seems to do with few samples is mostly noise.

`shrunk_means` goes dimension by dimension, for columns that each mean something; `stein_means` takes the whole vector
of a class at once, in coordinates where the spread within classes is 1, for columns that mean nothing alone (principal
components of images).
"""

from __future__ import annotations

import numpy as np


def shrunk_means(values: np.ndarray, labels: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """[N, D] centred values, class indices [N] -> shrunk class means [K, D] and the share kept of each [K, D] in [0,
    1].

    A class mean is theta + noise of variance s^2 / n_c (s^2: pooled within classes), theta ~ N(0, tau^2) across
    classes; tau^2 by moments, never negative; the posterior mean keeps tau^2 / (tau^2 + s^2 / n_c).
    """
    counts = np.array([(labels == k).sum() for k in range(n_classes)], np.float64)
    means = np.stack([values[labels == k].mean(axis=0) for k in range(n_classes)])
    within = ((values - means[labels]) ** 2).sum(axis=0) / max(1, len(values) - n_classes)
    noise = within[None, :] / counts[:, None]  # [K, D]
    between = np.maximum((means**2 - noise).mean(axis=0), 0.0)
    kept = between[None, :] / np.maximum(between[None, :] + noise, 1e-12)
    return means * kept, kept


def stein_means(values: np.ndarray, labels: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """[N, D] centred values, class indices [N] -> class means [K, D], each shrunk as a whole, and its share kept [K,
    1].

    In coordinates where the spread within classes is the identity, a mean of n_c samples is N(theta, I / n_c), and the
    positive-part James-Stein estimate keeps 1 - (D - 2) / (n_c |mean|^2) of it; times v / (v - D + 3), because that
    spread is itself estimated, with v = N - K degrees of freedom (James & Stein 1961, section 4).
    """
    d, freedom = values.shape[1], max(1, len(values) - n_classes)
    price = max(0, d - 2) * freedom / max(1, freedom - d + 3)
    counts = np.array([(labels == k).sum() for k in range(n_classes)], np.float64)[:, None]
    means = np.stack([values[labels == k].mean(axis=0) for k in range(n_classes)])
    rest = values - means[labels]
    within = rest.T @ rest / freedom
    variances, vectors = np.linalg.eigh(within)
    white = means @ vectors / np.sqrt(np.maximum(variances, 1e-9 * variances.max() + 1e-300))
    kept = 1.0 - price / np.maximum(counts * (white**2).sum(axis=1, keepdims=True), 1e-300)
    kept = np.clip(kept, 0.0, 1.0)
    return means * kept, kept

"""Which columns of a vector carry the class: Fisher's ratio first, then the weights of a discriminant analysis.

After Shilandari et al. 2022, who choose features in these two stages behind a CycleGAN. Both are fitted on the rows
that teach, and on no others.
"""

from __future__ import annotations

import math

import numpy as np

FLAT = 1e-9  # variance within classes below which a column has none


def fisher_ratio(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[N, D] rows of classes [N] -> [D] variance between class means (classes counted alike) over the mean variance
    within classes; 0 for a column that is flat within them."""
    classes = np.unique(labels)
    means = np.stack([x[labels == k].mean(axis=0) for k in classes])
    within = np.mean([x[labels == k].var(axis=0) for k in classes], axis=0)
    return np.where(within > FLAT, means.var(axis=0) / np.maximum(within, FLAT), 0.0)


def discriminant_weight(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[N, D] rows of classes [N] -> [D] how much each column, at spread 1, says in a linear discriminant analysis:
    absolute coefficients, summed over classes. Covariances are shrunk as far as so few rows need (Ledoit-Wolf)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    spread = x.std(axis=0)
    scaled = (x - x.mean(axis=0)) / np.where(spread > FLAT, spread, 1.0)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(scaled, labels)
    total: np.ndarray = np.abs(model.coef_).sum(axis=0)
    return total


def chosen_columns(x: np.ndarray, labels: np.ndarray, fisher: float, lda: float) -> np.ndarray:
    """[N, D] rows of classes [N] -> [D] bool: of the share `fisher` of the columns with the largest Fisher ratios, the
    share `lda` that says most together. At least one column each; of equal ones the first."""
    first = _largest(fisher_ratio(x, labels), fisher)
    second = _largest(discriminant_weight(x[:, first], labels), lda) if lda < 1 else np.arange(len(first))
    chosen = np.zeros(x.shape[1], bool)
    chosen[first[second]] = True
    return chosen


def _largest(values: np.ndarray, share: float) -> np.ndarray:
    n = max(1, math.ceil(share * len(values) - 1e-9))
    return np.sort(np.argsort(-values, kind="stable")[:n])

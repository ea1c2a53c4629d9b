"""What a synthetic row may count in training: less, the less it looks like a real row of its class.

Two things can be wrong with a row, and each has a rank among real rows (a conformal p-value, Vovk et al. 2005, chapter
2): it lies far from what is real of its class, or nearer to another class than to its own. The weight is the smaller of
the two ranks, and full from the middle of the real rows on. So joint training takes real rows in full and synthetic
ones as far as they can be believed, which is what FSDT learns with a network of its own (Yi et al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from generators.draws.selection import BLOCK_VALUES, distances

NEAREST = 3  # the distance to a set is that to its third nearest row, so that one odd row or copy makes nothing real
FULL = 0.5  # rank from which a row counts in full: no farther off than half of the real rows


def plausibility(real: np.ndarray, labels: np.ndarray, rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """[N, D] real rows of classes [N], in one scale, and [M, D] synthetic rows of classes asked [M] -> [M] float64
    weights in (0, 1]. A class of fewer than two real rows gives its rows 1: there is nothing to rank among.

    Raises `ValueError` for rows that are no finite numbers, or of another width."""
    real, rows = np.asarray(real, np.float64), np.asarray(rows, np.float64)
    if real.ndim != 2 or rows.ndim != 2 or real.shape[1] != rows.shape[1]:
        raise ValueError(f"real rows {real.shape} and synthetic rows {rows.shape} are no tables of one width")
    if not (np.isfinite(real).all() and np.isfinite(rows).all()):
        raise ValueError("some row holds NaN or infinite values; leave it out")
    weights = np.ones(len(rows))
    for k in np.unique(asked):
        own, wanted = real[labels == k], np.flatnonzero(asked == k)
        if len(own) < 2:
            continue
        others = real[labels != k]
        far = _far(own, own, itself=True), _far(own, rows[wanted])
        rank = _rank(*far)
        if len(others):
            strange = [a / np.maximum(_far(others, x), 1e-12) for a, x in zip(far, (own, rows[wanted]), strict=True)]
            rank = np.minimum(rank, _rank(*strange))
        weights[wanted] = np.minimum(1.0, rank / FULL)
    return weights


def _rank(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """[n], [m] -> [m] in (0, 1]: share of known numbers (and the number itself) that are as large or larger."""
    as_large = len(known) - np.searchsorted(np.sort(known), asked, side="left")
    return (1.0 + as_large) / (1.0 + len(known))


def _far(there: np.ndarray, rows: np.ndarray, *, itself: bool = False) -> np.ndarray:
    """[n, D], [m, D] -> [m] distance to the `NEAREST`-th nearest of `there`. itself: rows are `there`, and none is its
    own neighbour."""
    k = min(NEAREST, len(there) - itself)
    return np.concatenate([np.sort(part, axis=1)[:, k - 1 + itself] for part in _parts(there, rows)])


def _parts(there: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    step = max(1, BLOCK_VALUES // max(1, there.size))
    for start in range(0, len(rows), step):
        yield distances(rows[start : start + step], there)

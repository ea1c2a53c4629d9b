"""Frechet distance between two sets of features, in a form that is exact where the usual one breaks.

    d^2 = |mu1 - mu2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)          (Dowson & Landau 1982; Heusel et al. 2017, FID)

The trace of the root is the sum of the roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric and
positive semi-definite whatever the rank: no complex roots, no epsilon on the diagonal. Covariances use ddof = 1 (as
FID does).

The distance of two finite samples is biased upwards, the more the smaller they are. `FrechetGate` therefore never
compares it with a fixed number but with what real data gets against real data at the very same sizes and class counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators.embeddings import Embedding, fit_embedding, rows_of, usable
from validators.folds import group_folds, group_halves
from validators.gate import Batch, Better, Estimate, Limit


def frechet_distance(mu1: np.ndarray, cov1: np.ndarray, mu2: np.ndarray, cov2: np.ndarray) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians. mu [d], cov [d, d] symmetric positive semi-definite.

    Returns a value >= 0 in squared feature units; NaN where an input is not finite. Raises `UserError` for shapes
    that do not fit each other.
    """
    mu1, mu2 = np.atleast_1d(np.asarray(mu1, np.float64)), np.atleast_1d(np.asarray(mu2, np.float64))
    cov1, cov2 = np.atleast_2d(np.asarray(cov1, np.float64)), np.atleast_2d(np.asarray(cov2, np.float64))
    d = mu1.size
    if mu1.shape != (d,) or mu2.shape != (d,) or cov1.shape != (d, d) or cov2.shape != (d, d):
        raise UserError(
            f"means {mu1.shape}, {mu2.shape} and covariances {cov1.shape}, {cov2.shape} do not fit together"
        )
    if not all(np.isfinite(x).all() for x in (mu1, mu2, cov1, cov2)):
        return float("nan")
    values, vectors = np.linalg.eigh(cov1)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))  # root @ root.T = C1; the spectrum asks for no more than that
    return _distance(mu1 - mu2, np.trace(cov1) + np.trace(cov2), root.T @ cov2 @ root)


def features_frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Frechet distance between features x [n, d] and y [m, d]; n and m may differ; each needs at least 2 rows.

    Where min(n, m) < d, the d x d covariances are never built: with centred factors A = Xc/sqrt(n-1), B = Yc/sqrt(m-1),
    the eigenvalues of C1 C2 other than zero are the squared singular values of A B^T [n, m].
    NaN where there are fewer than 2 rows or a value is not finite.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise UserError(f"features {x.shape} and {y.shape} are not two matrices with the same number of columns")
    n, d = x.shape
    m = y.shape[0]
    if min(n, m) < 2 or d == 0 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    mu1, mu2 = x.mean(axis=0), y.mean(axis=0)
    a, b = (x - mu1) / np.sqrt(n - 1), (y - mu2) / np.sqrt(m - 1)
    if min(n, m) >= d:
        return frechet_distance(mu1, a.T @ a, mu2, b.T @ b)
    cross = a @ b.T
    product = cross @ cross.T if n <= m else cross.T @ cross
    return _distance(mu1 - mu2, float((a * a).sum() + (b * b).sum()), product)


def _distance(difference: np.ndarray, traces: float, product: np.ndarray) -> float:
    """From the mean difference, tr C1 + tr C2, and a symmetric matrix with the non-zero spectrum of C1 C2."""
    spectrum = np.linalg.eigvalsh((product + product.T) / 2)
    # Of a singular product, eigenvalues that should be 0 come out as +-1e-16 of the largest; their roots would be
    # 1e-8 of it.
    spectrum[spectrum < max(spectrum[-1], 0.0) * spectrum.size * np.finfo(np.float64).eps] = 0.0
    return max(float(difference @ difference + traces - 2.0 * np.sqrt(spectrum).sum()), 0.0)


DEFAULTS: dict[str, Any] = {
    "embedding": "trained",  # trained | functionals (speech) | hog (faces)
    "dims": 32,  # of the embedding, or of its principal components
    "folds": 2,  # of train, where it serves as reference
    "repeats": 100,  # group-disjoint halves
    "min_n": None,  # of real and of synthetic samples; None: 2 x dims
    "steps": None,  # of the embedding's training
}
MIN_GROUPS = 4  # of a reference: two halves of at least two groups each


@dataclass(frozen=True)
class _Part:
    """Reference samples in the embedding of a network that never saw them."""

    embedding: Embedding
    points: np.ndarray  # [n, d]
    emotions: np.ndarray  # [n] str
    groups: np.ndarray  # [n] str


class FrechetGate:
    """Pooled Frechet distance of synthetic samples to real ones of other people, beside its real-against-real floor.

    The reference is dev where it has at least 4 groups and `min_n` usable samples, else held-out folds of train, each
    in an embedding trained without it (their distances are averaged, never compared).

    Each repeat cuts the reference into halves A, B that share no group, and draws S from at most half of the synthetic
    set, all three with the same number of samples of each class: synthetic sets are balanced otherwise than real
    ones, and usually lack the majority class; classes that the synthetic set lacks are left out of A and B. Then
    value = mean FD(S, A) and floor = mean FD(B, A). The 95 % interval is that of the excess FD(S, A) - FD(B, A) over
    repeats, around the value: A is in both, so its peculiarity cancels. Half-samples of the groups vary as much as
    the full sample does (McCarthy 1969, Pseudo-replication: half samples), so no further bootstrap is needed, whose
    repeated rows would lower the covariance's rank.

    Unit: the embedding's columns have unit variance on train. params: see `DEFAULTS`.
    """

    name = "frechet"
    unit = "squared standard deviations"
    better: Better = "lower"
    modalities = ("speech", "face")
    # at 3.0 a collapsed or low-passed RAVDESS stayed undecided, at 2.0 both fail and people held out pass
    default_limit = Limit(floor=2.0)

    def __init__(self, parts: Sequence[_Part], options: Mapping[str, Any], why_not: str = "") -> None:
        self._parts = list(parts)
        self._options = dict(options)
        self._why_not = why_not
        self.min_n = minimum_n(options)
        self.judge = "+".join(part.embedding.name for part in parts) or "none"

    @classmethod
    def fit(
        cls, train: Batch, dev: Batch | None, *, classes: Sequence[str], params: Mapping[str, Any], seed: int
    ) -> FrechetGate:
        """Never raises for too little data: `measure` then says why there is no number. Raises `UserError` for an
        unknown embedding."""
        options = {**DEFAULTS, **params}
        train = _of_classes(train, classes)
        if dev is not None:
            dev = _of_classes(dev, classes)
            if len(set(dev.groups)) >= MIN_GROUPS and len(dev) >= minimum_n(options):
                return cls([_part(train, dev, classes, options, seed)], options)
        n_groups = len(set(train.groups) or train.ids)
        if n_groups < MIN_GROUPS:
            why = f"neither dev nor train has the {MIN_GROUPS} groups that a reference needs (train has {n_groups})"
            return cls([], options, why)
        try:
            fold = group_folds(train.groups, train.emotions, min(int(options["folds"]), n_groups // 2), seed)
        except UserError as error:
            return cls([], options, str(error))
        parts = [
            _part(rows_of(train, fold != k), rows_of(train, fold == k), classes, options, seed + int(k))
            for k in np.unique(fold)
        ]
        return cls(parts, options)

    def measure(self, synthetic: Batch, *, seed: int) -> Estimate:
        """Over the whole batch; an Estimate with NaN and a reason where there is no number. One unusable row is
        enough for that: a set that holds NaN or undecodable samples is not fit to be measured, nor to be released."""
        unusable = int((~usable(synthetic)).sum())
        n_real = sum(int(np.isin(part.emotions, synthetic.emotions).sum()) for part in self._parts)
        n = len(synthetic)
        if not self._parts:
            return _no_number(n_real, n, self._why_not)
        if unusable:
            return _no_number(n_real, n, f"{unusable} of {n} synthetic samples cannot be decoded or are not finite")
        if min(n, n_real) < 4:
            return _no_number(n_real, n, f"{n} synthetic and {n_real} real samples of their classes are too few")
        try:
            pairs = np.mean([self._repeats(part, synthetic, seed) for part in self._parts], axis=0)  # [R, 2]
        except UserError as error:
            return _no_number(n_real, n, str(error))
        if not np.isfinite(pairs).all():
            return _no_number(n_real, n, "a half of the reference holds fewer than 2 samples of the synthetic classes")
        value, floor = pairs.mean(axis=0)
        excess = pairs[:, 0] - pairs[:, 1]
        low, high = value + np.quantile(excess, [0.025, 0.975]) - excess.mean()
        return Estimate(float(value), float(low), float(high), float(floor), n_real, n)

    def _repeats(self, part: _Part, synthetic: Batch, seed: int) -> np.ndarray:
        """-> [R, 2]: FD(S, A) and FD(B, A) of each repeat."""
        points, emotions = part.embedding.embed(synthetic), np.asarray(synthetic.emotions, dtype=str)
        classes = np.unique(emotions)
        rng = np.random.default_rng(seed)
        out = []
        kept = np.isin(part.emotions, classes)
        if len(np.unique(part.groups[kept])) < 2:
            return np.full((1, 2), np.nan)
        real, labels = part.points[kept], part.emotions[kept]
        for half in group_halves(part.groups[kept], labels, int(self._options["repeats"]), seed):
            chosen: tuple[list[np.ndarray], ...] = ([], [], [])
            for name in classes:
                of_a, of_b = np.flatnonzero(half & (labels == name)), np.flatnonzero(~half & (labels == name))
                of_s = np.flatnonzero(emotions == name)
                m = min(of_a.size, of_b.size, (of_s.size + 1) // 2)
                for pool, rows in zip((of_a, of_b, of_s), chosen, strict=True):
                    rows.append(rng.choice(pool, m, replace=False))
            at = [np.concatenate(rows) for rows in chosen]
            x_a, x_b, x_s = real[at[0]], real[at[1]], points[at[2]]
            out.append((features_frechet(x_s, x_a), features_frechet(x_b, x_a)))
        return np.asarray(out)


def minimum_n(options: Mapping[str, Any]) -> int:
    """2 x dims unless params say otherwise: with fewer, the covariance is mostly noise."""
    return int(options["min_n"] or 2 * int(options["dims"]))


def _of_classes(batch: Batch, classes: Sequence[str]) -> Batch:
    return rows_of(batch, usable(batch) & np.isin(np.asarray(batch.emotions, dtype=str), classes))


def _part(
    train: Batch, reference: Batch, classes: Sequence[str], options: Mapping[str, Any], seed: int
) -> _Part:  # fmt: skip
    embedding = fit_embedding(
        str(options["embedding"]),
        train,
        classes=classes,
        seed=seed,
        dims=int(options["dims"]),
        options={"steps": options["steps"]},
    )
    groups = np.asarray(reference.groups or reference.ids, dtype=str)
    return _Part(embedding, embedding.embed(reference), np.asarray(reference.emotions, dtype=str), groups)


def _no_number(n_real: int, n_synthetic: int, reason: str) -> Estimate:
    nan = float("nan")
    return Estimate(nan, nan, nan, nan, n_real, n_synthetic, reason)

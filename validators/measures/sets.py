"""The measures over two sets of features, as `validators.measures.registry` offers them: value, interval, floor,
convention.

The floor is real against real: the mean over repeated random halves of `real`. Rows are shuffled without groups here (a
.npy names none), so people are in both halves and the floor is low; the gates cut between groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

import numpy as np

from corpora.errors import UnknownNameError, UserError
from validators.maths import c2st as twosample
from validators.maths import diversity, kernel, privacy, transport
from validators.maths.frechet import features_frechet
from validators.maths.prdc import prdc
from validators.maths.sets import checked_pair, finite, same_rows
from validators.measures.checked import numbers
from validators.measures.measured import Measured

HALVES = 10  # of real, for the floor
RESAMPLES = 200  # for an interval where there is no closed form

Value = Callable[[np.ndarray, np.ndarray], float]


def _measured(
    real: np.ndarray,
    synthetic: np.ndarray,
    found: float,
    value: Value | None,
    *,
    unit: str,
    convention: str,
    interval: tuple[float, float] = (math.nan, math.nan),
    seed: int = 0,
    details: dict[str, Any] | None = None,
    why: str = "",
) -> Measured:
    """`value`: the measure again, for the floor; None: no floor was asked for, or it would mean nothing. `why`: there
    is no number, where the rows themselves are fine."""
    real, synthetic = checked_pair(real, synthetic)
    return Measured(
        value=found,
        unit=unit,
        convention=convention,
        n_real=len(real),
        n_synthetic=len(synthetic),
        low=interval[0],
        high=interval[1],
        floor=floor_of(real, value, seed) if value is not None else math.nan,
        reason="" if math.isfinite(found) else why_none(real, synthetic, why),
        details=details or {},
    )


def why_none(real: np.ndarray, synthetic: np.ndarray, otherwise: str = "", **others: np.ndarray) -> str:
    """`others`: further sets by name. `otherwise`: the reason where no row is at fault; "": there are too few."""
    for name, rows in {"real": real, "synthetic": synthetic, **others}.items():
        bad = int((~np.isfinite(rows)).any(axis=1).sum())
        if bad:
            return f"{bad} of {len(rows)} {name} rows hold NaN or infinity"
    also = "".join(f", {len(rows)} {name}" for name, rows in others.items())
    return otherwise or f"{len(real)} real and {len(synthetic)} synthetic{also} rows are too few"


def floor_of(real: np.ndarray, value: Value, seed: int) -> float:
    """Mean of `value` over random halves of real; NaN where a half is too small for it."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(HALVES):
        order = rng.permutation(len(real))
        found.append(value(real[order[: len(real) // 2]], real[order[len(real) // 2 :]]))
    return float(np.mean(found))


def half_samples(real: np.ndarray, synthetic: np.ndarray, value: Value, seed: int) -> tuple[float, float]:
    """95 % interval from half-samples without replacement of both sets, around the value of the whole sets.

    Half-samples vary as much as the whole does (McCarthy 1969); a bootstrap's repeated rows would lower the rank of a
    covariance and stand in each other's neighbourhoods.
    """
    real, synthetic = checked_pair(real, synthetic)
    rng = np.random.default_rng(seed)
    halves = []
    for _ in range(RESAMPLES):
        a = rng.permutation(len(real))[: (len(real) + 1) // 2]
        b = rng.permutation(len(synthetic))[: (len(synthetic) + 1) // 2]
        halves.append(value(real[a], synthetic[b]))
    if not np.isfinite(halves).all():
        return math.nan, math.nan
    low, high = value(real, synthetic) + np.quantile(halves, [0.025, 0.975]) - np.mean(halves)
    return float(low), float(high)


def frechet(
    real: np.ndarray, synthetic: np.ndarray, *, interval: bool = False, floor: bool = True, seed: int = 0
) -> Measured:
    """Squared Frechet distance. `interval`: by half-samples (some 200 times the cost)."""
    value = features_frechet
    ends = half_samples(real, synthetic, value, seed) if interval else (math.nan, math.nan)
    return _measured(
        real,
        synthetic,
        value(*checked_pair(real, synthetic)),
        value if floor else None,
        interval=ends,
        seed=seed,
        unit="squared feature units",
        convention="FID, ddof 1, no shrinkage",
    )


def _kernel(
    real: np.ndarray,
    synthetic: np.ndarray,
    form: Callable[..., kernel.Discrepancy],
    unit: str,
    convention: str,
    floor: bool,
    seed: int,
) -> Measured:
    found = form(real, synthetic)
    again: Value = lambda a, b: form(a, b).value  # noqa: E731
    return _measured(
        real,
        synthetic,
        found.value,
        again if floor else None,
        unit=unit,
        convention=convention,
        interval=(found.low, found.high),
        seed=seed,
    )


def kid(real: np.ndarray, synthetic: np.ndarray, *, floor: bool = True, seed: int = 0) -> Measured:
    """Kernel distance; `floor` real against real (its expectation is 0: what is left is its noise)."""
    convention = "MMD^2, unbiased, (x.y/d + 1)^3, all rows, not scaled"
    return _kernel(real, synthetic, kernel.kid, "1", convention, floor, seed)


def cmmd(
    real: np.ndarray, synthetic: np.ndarray, *, sigma: float = 10.0, floor: bool = True, seed: int = 0
) -> Measured:
    """`sigma`: width of the Gaussian kernel in feature units (10 for CLIP's)."""
    convention = f"MMD^2, unbiased, Gaussian sigma {sigma:g}, x 1000"
    return _kernel(real, synthetic, partial(kernel.cmmd, sigma=sigma), "1", convention, floor, seed)


def energy(real: np.ndarray, synthetic: np.ndarray, *, floor: bool = True, seed: int = 0) -> Measured:
    convention = "2 E|x-y| - E|x-x'| - E|y-y'|, unbiased"
    return _kernel(real, synthetic, kernel.energy_distance, "feature units", convention, floor, seed)


def sliced(
    real: np.ndarray, synthetic: np.ndarray, *, directions: int = 256, p: int = 2, floor: bool = True, seed: int = 0
) -> Measured:
    value = partial(transport.sliced_wasserstein, directions=directions, p=p, seed=seed)
    return _measured(
        real,
        synthetic,
        value(real, synthetic),
        value if floor else None,
        seed=seed,
        unit="feature units",
        convention=f"W_{p} over {directions} directions, root of the mean power",
    )


def _neighbours(real: np.ndarray, synthetic: np.ndarray, which: str, k: int, floor: bool, seed: int) -> Measured:
    found = prdc(real, synthetic, k=k)
    again: Value = lambda a, b: float(getattr(prdc(a, b, k=k), which))  # noqa: E731
    why = f"{len(real)} real and {len(synthetic)} synthetic rows are too few; more than {k} of both are needed"
    if found.left_out.get(which):
        why = f"each row repeats more than {k} times, so that its ball has no radius; drop repeats first"
    return _measured(
        real,
        synthetic,
        float(getattr(found, which)),
        again if floor else None,
        seed=seed,
        unit="share",
        convention=f"k = {k}, squared Euclidean, strictly inside",
        details=asdict(found),
        why=why,
    )


def precision(real: np.ndarray, synthetic: np.ndarray, *, k: int = 5, floor: bool = True, seed: int = 0) -> Measured:
    return _neighbours(real, synthetic, "precision", k, floor, seed)


def recall(real: np.ndarray, synthetic: np.ndarray, *, k: int = 5, floor: bool = True, seed: int = 0) -> Measured:
    return _neighbours(real, synthetic, "recall", k, floor, seed)


def density(real: np.ndarray, synthetic: np.ndarray, *, k: int = 5, floor: bool = True, seed: int = 0) -> Measured:
    return _neighbours(real, synthetic, "density", k, floor, seed)


def coverage(real: np.ndarray, synthetic: np.ndarray, *, k: int = 5, floor: bool = True, seed: int = 0) -> Measured:
    return _neighbours(real, synthetic, "coverage", k, floor, seed)


def vendi(
    real: np.ndarray, synthetic: np.ndarray, *, similarity: Literal["cosine", "rbf"] = "cosine", seed: int = 0
) -> Measured:
    """Of the synthetic set, at the size of the smaller one; `details` holds that of real at the same size."""
    real, synthetic = checked_pair(real, synthetic)
    if similarity not in ("cosine", "rbf"):
        raise UnknownNameError.of("similarity", similarity, ["cosine", "rbf"])
    empty = int((np.abs(synthetic).sum(axis=1) == 0).sum()) if similarity == "cosine" else 0
    if empty:
        why = f"{empty} of {len(synthetic)} synthetic rows have length 0, hence no direction; take similarity=rbf"
        return _measured(
            real, synthetic, math.nan, None, unit="samples", convention="cosine similarity, order 1", why=why
        )
    rng = np.random.default_rng(seed)
    n = min(len(real), len(synthetic))
    of_real, of_synthetic = (
        diversity.vendi_score(rows[rng.permutation(len(rows))[:n]], kernel=similarity) for rows in (real, synthetic)
    )
    return _measured(
        real,
        synthetic,
        of_synthetic,
        None,
        unit="samples",
        details={"real": of_real, "n": n},
        convention=f"{similarity} similarity, order 1, {n} rows of each set",
    )


def c2st(
    real: np.ndarray,
    synthetic: np.ndarray,
    *,
    classifier: Literal["linear", "forest", "knn"] = "linear",
    folds: int = 5,
    floor: bool = True,
    seed: int = 0,
) -> Measured:
    """AUC of a cross-validated classifier, with its p value in `details`."""
    found = twosample.c2st(real, synthetic, classifier=classifier, folds=folds, seed=seed)
    again: Value = lambda a, b: twosample.c2st(a, b, classifier=classifier, folds=folds, seed=seed).auc  # noqa: E731
    return _measured(
        real,
        synthetic,
        found.auc,
        again if floor else None,
        unit="AUC",
        interval=(found.low, found.high),
        seed=seed,
        convention=f"{classifier}, {folds} folds, classes weighted equally",
        details={"accuracy": found.accuracy, "p": found.p},
    )


def authenticity(real: np.ndarray, synthetic: np.ndarray) -> Measured:
    """`real` is the train set. Copies of rows that repeat in train are left out, counted in `details`."""
    share = privacy.auth_pct(real, synthetic)
    return _share(real, synthetic, share, "share", "Alaa et al. 2022, Euclidean", left_out=len(synthetic) - share.n)


def dcr(real: np.ndarray, synthetic: np.ndarray, *, holdout: np.ndarray | None = None, seed: int = 0) -> Measured:
    """`real` is the train set; `holdout`: rows of other people, which no generator saw."""
    holdout = _needed(holdout, "dcr")
    share = privacy.dcr_share(real, holdout, synthetic, seed=seed)
    convention = "nearer to train than to as many holdout rows, ties half, Euclidean"
    return _share(real, synthetic, share, "share", convention, holdout=holdout)


def membership(real: np.ndarray, synthetic: np.ndarray, *, holdout: np.ndarray | None = None, k: int = 1) -> Measured:
    """`real` is the train set; `holdout`: rows of other people, which no generator saw."""
    holdout = _needed(holdout, "mia-auc")
    share = privacy.membership_auc(real, holdout, synthetic, k=k)
    convention = f"distance to the {k} nearest synthetic rows, no shadow model"
    return _share(real, synthetic, share, "AUC", convention, holdout=holdout)


def nndr(real: np.ndarray, synthetic: np.ndarray) -> Measured:
    """Median over synthetic rows; `details` has the 5 % quantile, where copies are. A row that equals two train rows or
    more has no ratio (0 / 0): left out, counted."""
    real, synthetic = checked_pair(real, synthetic)
    convention = "nearest over second nearest train row, Euclidean, median"
    ratio, left_out = np.zeros(0), 0
    if len(real) > 1 and len(synthetic) and finite(real, synthetic):
        point, of_synthetic = same_rows(real, synthetic)
        times = np.bincount(point, minlength=int(max(point.max(), of_synthetic.max())) + 1)[of_synthetic]
        left_out = int((times > 1).sum())
        ratio = privacy.nndr(real, synthetic[times < 2])
    value, low = (float(np.median(ratio)), float(np.quantile(ratio, 0.05))) if ratio.size else (math.nan, math.nan)
    details = {"quantile_05": low} | ({"left out: equal to two train rows or more": left_out} if left_out else {})
    return _measured(
        real,
        synthetic,
        value,
        None,
        unit="ratio",
        convention=convention,
        details=details,
        why=ALL_COPIES if left_out else "",
    )


ALL_COPIES = "each synthetic row equals two train rows or more: what is nearest is not said; drop repeats first"


def _needed(holdout: Any, name: str) -> np.ndarray:
    """[n, d] float64. Raises `UserError`: none, or no numbers."""
    if holdout is None:
        raise UserError(f"{name} compares train with people held out: give them with the option holdout=FILE.npy")
    rows = numbers(holdout, "holdout", (1, 2), "[n, d] or [n]")
    return rows[:, None] if rows.ndim == 1 else rows


def _share(
    real: np.ndarray,
    synthetic: np.ndarray,
    share: privacy.Share,
    unit: str,
    convention: str,
    *,
    holdout: np.ndarray | None = None,
    left_out: int = 0,
) -> Measured:
    others = {} if holdout is None else {"holdout": holdout}
    why = (
        ""
        if math.isfinite(share.value)
        else why_none(*checked_pair(real, synthetic), ALL_COPIES if left_out else "", **others)
    )
    return _measured(
        real,
        synthetic,
        share.value,
        None,
        unit=unit,
        convention=convention,
        interval=(share.low, share.high),
        why=why,
        details={"left out: equal to two train rows or more": left_out} if left_out else {},
    )

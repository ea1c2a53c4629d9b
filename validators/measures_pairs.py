"""The measures over pairs (recordings, pictures), as `validators.measure` offers them: the mean over pairs.

Intervals are those of a mean over pairs (Student's t); pairs without a number are counted by reason and left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators import images, melcepstrum
from validators.measure import Measured
from validators.pitch import PitchComparison, compare_pitch

Recording = tuple[np.ndarray, int]  # [n] float32 in [-1, 1], Hz


def mean_of_pairs(pairs: Sequence[tuple[float, str | None]], unit: str, convention: str) -> Measured:
    """(value, reason why there is none) of each pair."""
    values = np.array([value for value, _ in pairs], dtype=np.float64)
    good = values[np.isfinite(values)]
    reasons = Counter(reason or "not a finite number" for value, reason in pairs if not math.isfinite(value))
    low = high = math.nan
    if good.size > 1:
        from scipy.stats import t

        half = float(t.ppf(0.975, good.size - 1) * good.std(ddof=1) / math.sqrt(good.size))
        low, high = float(good.mean()) - half, float(good.mean()) + half
    details: dict[str, Any] = {"pairs": len(pairs), "measured": int(good.size), "left out": dict(reasons)}
    if good.size:
        details |= {"sd": float(good.std(ddof=1)) if good.size > 1 else 0.0, "median": float(np.median(good))}
    value = float(good.mean()) if good.size else math.nan
    reason = "" if good.size else "no pair has a number: " + ", ".join(f"{k} {n}" for k, n in reasons.items())
    return Measured(
        value, unit, convention, len(pairs), len(pairs), low=low, high=high, reason=reason, details=details
    )  # fmt: skip


def _paired(real: Sequence[Any], synthetic: Sequence[Any]) -> list[tuple[Any, Any]]:
    if len(real) != len(synthetic) or len(real) == 0:
        raise UserError(f"{len(real)} real and {len(synthetic)} synthetic items; pairs need as many of both")
    return list(zip(real, synthetic, strict=True))


def _same_rate(a: Recording, b: Recording) -> int:
    if a[1] != b[1]:
        raise UserError(f"a pair has rates {a[1]} and {b[1]} Hz; resample one of them")
    return a[1]


def mcd(real: Sequence[Recording], synthetic: Sequence[Recording], *, align: bool = True) -> Measured:
    """`align`: exact DTW; without it, frame by frame over the length that both have."""
    pairs = []
    for a, b in _paired(real, synthetic):
        pairs.append(melcepstrum.mcd(a[0], b[0], _same_rate(a, b), align=align))
    convention = melcepstrum.CONVENTION if align else melcepstrum.CONVENTION.replace("dtw", "plain")
    return mean_of_pairs(pairs, "dB", convention)


def _pitch(
    real: Sequence[Recording], synthetic: Sequence[Recording], field: str, align: str
) -> list[tuple[float, str | None]]:
    if align not in ("start", "linear"):
        raise UserError(f"align is {align!r}; known: linear, start")
    found: list[PitchComparison] = [
        compare_pitch(a[0], b[0], _same_rate(a, b), align="linear" if align == "linear" else "start")
        for a, b in _paired(real, synthetic)
    ]
    return [(float(getattr(one, field)), one.reason) for one in found]


def f0_rmse(
    real: Sequence[Recording], synthetic: Sequence[Recording], *, unit: str = "cents", align: str = "start"
) -> Measured:
    """`unit`: cents or Hz. Frames voiced in both."""
    if unit not in ("cents", "Hz"):
        raise UserError(f"unit is {unit!r}; known: cents, Hz")
    pairs = _pitch(real, synthetic, "rmse_cents" if unit == "cents" else "rmse_hz", align)
    return mean_of_pairs(pairs, unit, f"DIO + StoneMask, 5 ms, voiced in both, aligned by {align}")


def f0_correlation(real: Sequence[Recording], synthetic: Sequence[Recording], *, align: str = "start") -> Measured:
    pairs = _pitch(real, synthetic, "correlation", align)
    return mean_of_pairs(pairs, "1", f"Pearson of log F0, DIO + StoneMask, 5 ms, voiced in both, aligned by {align}")


def voicing_error(real: Sequence[Recording], synthetic: Sequence[Recording], *, align: str = "start") -> Measured:
    pairs = _pitch(real, synthetic, "voicing_error", align)
    return mean_of_pairs(pairs, "share", f"frames voiced in one only, DIO + StoneMask, 5 ms, aligned by {align}")


def _pictures(
    real: Sequence[Any], synthetic: Sequence[Any], form: Callable[..., float]
) -> list[tuple[float, str | None]]:
    return [(form(a, b), None) for a, b in _paired(real, synthetic)]


def psnr(real: Sequence[np.ndarray], synthetic: Sequence[np.ndarray]) -> Measured:
    """Equal pictures have an infinite PSNR and are left out of the mean, counted."""
    pairs = [(v, "equal pictures" if math.isinf(v) else None) for v, _ in _pictures(real, synthetic, images.psnr)]
    return mean_of_pairs(pairs, "dB", "peak 255, mean over pixels and channels")


def ssim(
    real: Sequence[np.ndarray], synthetic: Sequence[np.ndarray], *, convention: images.Convention = "wang2004"
) -> Measured:
    """`convention`: wang2004 or skimage."""
    if convention not in ("wang2004", "skimage"):
        raise UserError(f"convention is {convention!r}; known: skimage, wang2004")
    pairs = _pictures(real, synthetic, lambda a, b: images.ssim(a, b, convention=convention))
    return mean_of_pairs(pairs, "1", convention)

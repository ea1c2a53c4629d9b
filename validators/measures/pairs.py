"""The measures over pairs (recordings, pictures), as `validators.measures.registry` offers them: the mean over pairs.

Intervals are those of a mean over pairs (Student's t); pairs without a number are counted by reason and left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from corpora.errors import UserError
from validators.maths import images
from validators.maths.speech import levels, melcepstrum, pymcd
from validators.maths.speech.pitch import PitchComparison, compare_pitch
from validators.measures.measured import Measured

Align = Literal["start", "linear"]
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
    return Measured(value, unit, convention, len(pairs), len(pairs), low=low, high=high, reason=reason, details=details)


def _paired(real: Sequence[Any], synthetic: Sequence[Any]) -> list[tuple[Any, Any]]:
    if len(real) != len(synthetic) or len(real) == 0:
        raise UserError(f"{len(real)} real and {len(synthetic)} synthetic items; pairs need as many of both")
    return list(zip(real, synthetic, strict=True))


def _same_rate(a: Recording, b: Recording) -> int:
    if a[1] != b[1]:
        raise UserError(f"a pair has rates {a[1]} and {b[1]} Hz; resample one of them")
    return a[1]


def mcd(
    real: Sequence[Recording],
    synthetic: Sequence[Recording],
    *,
    align: bool = True,
    f0: melcepstrum.F0Method = "dio",
    convention: Literal["mcd24", "pymcd"] = "mcd24",
) -> Measured:
    """`align`: exact DTW; without it, frame by frame over the length that both have. `f0`: dio or harvest.

    `convention`: mcd24, or pymcd for a number that can be set beside that package's (its modes dtw and plain).
    """
    if convention not in ("mcd24", "pymcd"):
        raise UserError(f"convention is {convention!r}; known: mcd24, pymcd")
    name = melcepstrum.convention_of(align=align, f0=f0)
    if convention == "pymcd":
        if f0 != "dio":
            raise UserError("pymcd's convention tracks F0 with DIO; leave the option f0 away")
        form: Callable[..., tuple[float, str | None]] = pymcd.mcd
        name = pymcd.CONVENTION[align]
    else:
        form = partial(melcepstrum.mcd, f0=f0)
    pairs = [form(a[0], b[0], _same_rate(a, b), align=align) for a, b in _paired(real, synthetic)]
    return mean_of_pairs(pairs, "dB", name)


_TRACKERS = {"dio": "DIO + StoneMask", "harvest": "Harvest + StoneMask"}


def _pitch(
    real: Sequence[Recording], synthetic: Sequence[Recording], field: str, align: str, f0: str
) -> tuple[list[tuple[float, str | None]], str]:
    """Value and reason of each pair, and how they were made."""
    if align not in ("start", "linear"):
        raise UserError(f"align is {align!r}; known: linear, start")
    if f0 not in _TRACKERS:
        raise UserError(f"f0 is {f0!r}; known: dio, harvest")
    found: list[PitchComparison] = [
        compare_pitch(
            a[0],
            b[0],
            _same_rate(a, b),
            align="linear" if align == "linear" else "start",
            f0="harvest" if f0 == "harvest" else "dio",
        )
        for a, b in _paired(real, synthetic)
    ]
    return [(float(getattr(one, field)), one.reason) for one in found], f"{_TRACKERS[f0]}, 5 ms, aligned by {align}"


def f0_rmse(
    real: Sequence[Recording],
    synthetic: Sequence[Recording],
    *,
    unit: Literal["cents", "Hz"] = "cents",
    align: Align = "start",
    f0: melcepstrum.F0Method = "dio",
) -> Measured:
    """`unit`: cents or Hz. Frames voiced in both. `f0`: dio or harvest."""
    if unit not in ("cents", "Hz"):
        raise UserError(f"unit is {unit!r}; known: cents, Hz")
    pairs, how = _pitch(real, synthetic, "rmse_cents" if unit == "cents" else "rmse_hz", align, f0)
    return mean_of_pairs(pairs, unit, f"voiced in both, {how}")


def f0_correlation(
    real: Sequence[Recording],
    synthetic: Sequence[Recording],
    *,
    align: Align = "start",
    f0: melcepstrum.F0Method = "dio",
) -> Measured:
    """Of log F0. `f0`: dio or harvest."""
    pairs, how = _pitch(real, synthetic, "correlation", align, f0)
    return mean_of_pairs(pairs, "1", f"Pearson of log F0, voiced in both, {how}")


def voicing_error(
    real: Sequence[Recording],
    synthetic: Sequence[Recording],
    *,
    align: Align = "start",
    f0: melcepstrum.F0Method = "dio",
) -> Measured:
    """`f0`: dio or harvest."""
    pairs, how = _pitch(real, synthetic, "voicing_error", align, f0)
    return mean_of_pairs(pairs, "share", f"frames voiced in one only, {how}")


def energy_difference(
    real: Sequence[Recording],
    synthetic: Sequence[Recording],
    *,
    align: Literal["dtw", "start"] = "dtw",
    gain: bool = True,
) -> Measured:
    """Mean absolute difference of frame level. `align`: dtw (the path of the mel-cepstra) or start. `gain`: false takes
    the mean difference of each pair off first, so that a recording that is only louder differs by 0."""
    if align not in ("dtw", "start"):
        raise UserError(f"align is {align!r}; known: dtw, start")
    pairs = [
        levels.energy_difference(a[0], b[0], _same_rate(a, b), path=align == "dtw", gain=gain)
        for a, b in _paired(real, synthetic)
    ]
    path = "the DTW path of mcd24" if align == "dtw" else "frames from the start"
    told = f"25 ms each 5 ms, from {levels.RANGE_DB:g} dB under the loudest frame on, mean over {path}"
    return mean_of_pairs(pairs, "dB", told + (", gain counts" if gain else ", gain taken off"))


def duration_difference(real: Sequence[Recording], synthetic: Sequence[Recording]) -> Measured:
    """Mean absolute difference in s; details: how much longer the synthetic ones are, in s and as a ratio."""
    pairs: list[tuple[float, str | None]] = []
    longer, ratios = [], []
    for a, b in _paired(real, synthetic):
        rate = _same_rate(a, b)
        refused = next((r for s in (a[0], b[0]) if (r := melcepstrum.refusal(s, rate)) is not None), None)
        if refused is not None:
            pairs.append((math.nan, str(refused.reason)))
            continue
        pairs.append((abs(len(b[0]) - len(a[0])) / rate, None))
        longer.append((len(b[0]) - len(a[0])) / rate)
        ratios.append(len(b[0]) / len(a[0]))
    found = mean_of_pairs(pairs, "s", "|synthetic - real| of whole recordings, pauses included")
    if not ratios:
        return found
    more = {
        "mean of synthetic - real, s": float(np.mean(longer)),
        "ratio synthetic / real": float(np.exp(np.mean(np.log(ratios)))),
    }
    return replace(found, details={**found.details, **more})


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

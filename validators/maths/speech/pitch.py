"""How far the melody of one utterance is from that of another: F0 error, correlation, voicing, duration.

For pairs that say the same (reconstructions, conversions). F0 each 5 ms by DIO or Harvest, refined by StoneMask.
Definitions as usual in voice conversion: errors over frames that are voiced in both, voicing error over all frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.speech.world import track_f0
from validators.maths.speech.melcepstrum import refusal

HOP_S = 0.005
FEWEST_VOICED = 10  # frames voiced in both (50 ms): fewer say nothing about a melody


@dataclass(frozen=True, slots=True)
class PitchComparison:
    """F0 numbers are NaN, and `reason` says why, where they would mean nothing.

    `voicing_error`: share of frames that are voiced in one only. `duration_difference_s`: other - reference.
    `n_voiced`: frames voiced in both. Reasons: empty, non-finite, too-short, silent, unvoiced (fewer than 10 frames
    voiced in both).
    """

    rmse_hz: float
    rmse_cents: float
    correlation: float
    voicing_error: float
    duration_difference_s: float
    n_voiced: int
    reason: str | None = None


def compare_pitch(
    reference: np.ndarray,
    other: np.ndarray,
    rate_hz: int,
    *,
    align: Literal["start", "linear"] = "start",
    f0: Literal["dio", "harvest"] = "dio",
) -> PitchComparison:
    """Two signals [n], [m] float in [-1, 1] at one rate -> how their melodies differ.

    `align`: "start" compares frame by frame over the length that both have; "linear" first stretches `other` in time to
    the reference's length, for conversions that change the tempo. `f0`: the tracker.
    """
    difference_s = (len(other) - len(reference)) / rate_hz
    for signal in (reference, other):
        if (refused := refusal(signal, rate_hz)) is not None:
            return PitchComparison(math.nan, math.nan, math.nan, math.nan, difference_s, 0, refused.reason)
    a, _ = track_f0(reference, int(rate_hz), hop_s=HOP_S, f0_method=f0)
    b, _ = track_f0(other, int(rate_hz), hop_s=HOP_S, f0_method=f0)
    if align == "linear":
        b = b[np.rint(np.linspace(0, len(b) - 1, len(a))).astype(np.int64)]
    return compare_tracks(a, b, difference_s)


def compare_tracks(a: np.ndarray, b: np.ndarray, duration_difference_s: float = 0.0) -> PitchComparison:
    """Two F0 tracks [T], [U] Hz (0 = unvoiced) on one time grid -> comparison over the frames that both have."""
    n = min(len(a), len(b))
    a, b = a[:n], b[:n]
    both = (a > 0) & (b > 0)
    n_voiced = int(both.sum())
    voicing_error = float(((a > 0) != (b > 0)).mean()) if n else math.nan
    if n_voiced < FEWEST_VOICED:
        return PitchComparison(math.nan, math.nan, math.nan, voicing_error, duration_difference_s, n_voiced, "unvoiced")
    hz, cents = b[both] - a[both], 1200.0 * np.log2(b[both] / a[both])
    x, y = np.log(a[both]), np.log(b[both])
    spread = float(x.std() * y.std())
    # a monotone has no melody to correlate with: NaN, the errors stand
    correlation = float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread > 1e-9 else math.nan
    return PitchComparison(
        rmse_hz=float(np.sqrt((hz**2).mean())),
        rmse_cents=float(np.sqrt((cents**2).mean())),
        correlation=correlation,
        voicing_error=voicing_error,
        duration_difference_s=duration_difference_s,
        n_voiced=n_voiced,
    )

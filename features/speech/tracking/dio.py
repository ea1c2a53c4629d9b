"""DIO's F0 track, as pyworld 0.3 gives it, in 40 % of the time.

Morise, Kawahara & Katayose 2009, "Fast and reliable F0 estimation method based on the period extraction of vocal fold
vibration of singing voice and speech" (AES 35th International Conference), with the choices of WORLD (Morise, Yokomori
& Ozawa 2016, https://doi.org/10.1587/transinf.2015EDP7457). The signal goes through low-pass filters half an octave
apart. Where one leaves the fundamental alone, the distances between rising and falling zero crossings, peaks and dips
agree: their mean is a candidate, their disagreement its score. The best candidates that go on smoothly become the
track, which then grows from candidate to candidate into what lies around it.

Values differ from WORLD's by rounding alone. Rounding decides where the recording is digital silence, in WORLD as well:
there a frame may differ, as it does when the gain changes.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from features.speech.tracking.bands import bands

BANDS_AN_OCTAVE = 2.0
JUMP = 0.1  # of F0: neighbouring frames of one voice differ by less
UNFIT = 100_000.0  # score of no candidate
TINY = 1e-12  # against division by zero


def dio(
    signal: np.ndarray,
    rate_hz: int,
    *,
    f0_floor: float = 71.0,
    f0_ceil: float = 800.0,
    hop_ms: float = 5.0,
    speed: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """[n] float -> (F0 [T] Hz, 0 = unvoiced; times [T] s), float64; T = n // hop + 1. `pyworld.dio` with these options.

    `speed` 2 to 12: tracked in every so many-th sample, faster and coarser. Shorter than eight periods of `f0_floor`
    nothing is voiced, nor in a signal with NaN or infinities. Raises ValueError for other shapes and rates under 1 Hz.
    """
    x, rate_hz = np.ascontiguousarray(signal, dtype=np.float64), int(rate_hz)
    if x.ndim != 1 or rate_hz < 1:
        raise ValueError(f"DIO wants one channel [n] at 1 Hz or more, this is {x.shape} at {rate_hz} Hz")
    frames = int(1000.0 * len(x) / rate_hz / hop_ms) + 1
    times = np.arange(frames) * hop_ms / 1000.0
    edge = int(0.5 + 1000.0 / hop_ms / f0_floor) * 2 + 1  # frames at both ends, always unvoiced
    if frames <= 2 * edge or not np.isfinite(x).all():
        return np.zeros(frames), times
    ratio = max(min(int(speed), 12), 1)
    rate = float(rate_hz) / ratio
    count = 1 + int(math.log(f0_ceil / f0_floor) / math.log(2.0) * BANDS_AN_OCTAVE)
    boundaries = f0_floor * 2.0 ** (np.arange(1, count + 1) / BANDS_AN_OCTAVE)
    candidates, scores = np.empty((count, frames)), np.empty((count, frames))
    edges = np.empty((4, len(x) // ratio // 2 + 3))
    for b, band in enumerate(bands(x, rate, boundaries, ratio)):
        limits = (max(boundaries[b] / 2.0, f0_floor), min(boundaries[b], f0_ceil))
        _candidates(band, rate, limits, times, edges, candidates[b], scores[b])
    return _smooth_track(candidates, scores, edge), times


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _candidates(
    y: np.ndarray,
    rate: float,
    limits: tuple[float, float],
    times: np.ndarray,
    edges: np.ndarray,
    candidate: np.ndarray,
    score: np.ndarray,
) -> None:  # pragma: no cover (compiled)
    """A band [n] -> its candidate (0: none) and the score (the less the better) at each of the times.

    `edges`: room for [4, n / 2 + 2] places of falling and rising zero crossings, peaks and dips, in samples.
    """
    n = y.size
    falls, rises, peaks, dips = 0, 0, 0, 0
    now, slope, signs = y[0], 0.0, 0
    for i in range(1, n):
        then, before, previous = now, slope, signs
        now = y[i]
        slope = now - then
        signs = (now > 0.0) | (now < 0.0) << 1 | (slope > 0.0) << 2 | (slope < 0.0) << 3
        if signs == previous and i > 1:
            continue
        if then > 0.0 and now <= 0.0:
            edges[0, falls] = i - then / slope
            falls += 1
        elif then < 0.0 and now >= 0.0:
            edges[1, rises] = i - then / slope
            rises += 1
        if before > 0.0 and slope <= 0.0:  # not at the first slope, before which none is
            edges[2, peaks] = (i - 1) - before / (slope - before)
            peaks += 1
        elif before < 0.0 and slope >= 0.0:
            edges[3, dips] = (i - 1) - before / (slope - before)
            dips += 1
    counts = (falls, rises, peaks, dips)
    if min(falls, rises, peaks, dips) < 4:  # three distances of each kind
        for t in range(times.size):
            candidate[t], score[t] = 0.0, UNFIT / TINY
        return
    values = np.empty((4, times.size))
    for kind in range(4):
        _interpolated(edges[kind, : counts[kind]], rate, times, values[kind])
    low, high = limits
    for t in range(times.size):
        a, b, c, d = values[0, t], values[1, t], values[2, t], values[3, t]
        mean = (a + b + c + d) / 4.0
        if mean > high or mean < low:
            candidate[t], score[t] = 0.0, UNFIT / TINY
            continue
        squares = (a - mean) * (a - mean) + (b - mean) * (b - mean) + (c - mean) * (c - mean) + (d - mean) * (d - mean)
        candidate[t], score[t] = mean, math.sqrt(squares / 3.0) / (mean + TINY)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _interpolated(
    edges: np.ndarray, rate: float, times: np.ndarray, out: np.ndarray
) -> None:  # pragma: no cover (compiled)
    """Places [E] in samples -> 1 / their distances, in Hz, linear between the middles of these, and on beyond them."""
    k, last = 0, edges.size - 3  # the line from distance k to distance k + 1
    left, right = (edges[0] + edges[1]) / 2.0 / rate, (edges[1] + edges[2]) / 2.0 / rate
    for t in range(times.size):
        while k < last and times[t] >= right:
            k += 1
            left, right = right, (edges[k + 1] + edges[k + 2]) / 2.0 / rate
        low, high = rate / (edges[k + 1] - edges[k]), rate / (edges[k + 2] - edges[k + 1])
        out[t] = low + (times[t] - left) / (right - left) * (high - low)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _smooth_track(candidates: np.ndarray, scores: np.ndarray, edge: int) -> np.ndarray:  # pragma: no cover (compiled)
    """Candidates and scores [B, T] -> F0 [T]: the best ones where they do not jump and last `edge` frames or more (T
    above 2 `edge`), grown to both sides as long as some candidate goes on."""
    bands, frames = candidates.shape
    best = np.zeros(frames)
    for t in range(edge, frames - edge):
        at = 0
        for b in range(1, bands):
            if scores[b, t] < scores[at, t]:
                at = b
        best[t] = candidates[at, t]
    steady, track = np.zeros(frames), np.zeros(frames)
    for t in range(edge, frames):
        if abs((best[t] - best[t - 1]) / (TINY + best[t])) < JUMP:
            steady[t] = best[t]
    reach = (edge - 1) // 2
    since = 0  # frames in a row that are steady
    for t in range(frames):
        since = since + 1 if steady[t] != 0.0 else 0
        if since > 2 * reach:  # and so is all that lies this near
            track[t - reach] = steady[t - reach]
    starts, ends = np.empty(frames, np.int64), np.empty(frames, np.int64)  # first and last frames of voiced sections
    sections, ended = 0, 0
    for t in range(1, frames):
        if track[t] == 0.0 and track[t - 1] != 0.0:
            ends[ended] = t - 1
            ended += 1
        elif track[t - 1] == 0.0 and track[t] != 0.0:
            starts[sections] = t
            sections += 1
    for s in range(ended):
        stop = frames - 1 if s == ended - 1 else ends[s + 1]
        for t in range(ends[s], stop):
            track[t + 1] = _next(track[t], track[t - 1], candidates, t + 1)
            if track[t + 1] == 0.0:
                break
    for s in range(sections - 1, -1, -1):
        stop = 1 if s == 0 else starts[s - 1]
        for t in range(starts[s], stop, -1):
            track[t - 1] = _next(track[t], track[t + 1], candidates, t - 1)
            if track[t - 1] == 0.0:
                break
    return track


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _next(now: float, before: float, candidates: np.ndarray, t: int) -> float:  # pragma: no cover (compiled)
    """The candidate of [B, T] at t nearest to where the track points, half a step on; 0 where even that is a jump."""
    expected = (now * 3.0 - before) / 2.0
    best = candidates[0, t]
    for b in range(1, candidates.shape[0]):
        if abs(expected - candidates[b, t]) < abs(expected - best):
            best = candidates[b, t]
    return 0.0 if abs(1.0 - best / expected) > JUMP else best

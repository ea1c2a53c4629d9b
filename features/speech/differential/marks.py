"""Pitch marks: where the periods of voiced speech lie, to a fraction of a sample, and evenly spaced places elsewhere.

Marks follow the waveform from period to period by cross-correlation, as TD-PSOLA needs them (Moulines & Charpentier
1990). They are real-valued: marks on whole samples at 16 kHz would add about 1 % jitter at 300 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

SHORTEST_RUN = 4  # frames; shorter voiced runs are errors of the tracker
SEARCH = 0.25  # share of the period around it in which the next mark is looked for
STRAY_COST = 0.15  # of the correlation, for each whole period that a mark strays from the tracked one
UNVOICED_S = 0.005  # between marks where there is no pitch
LOCAL = 2  # neighbours on each side that make the local mean of periods or amplitudes


@dataclass(frozen=True, slots=True)
class Marks:
    """M marks: at [M] float64, samples, strictly increasing, the first is 0 and the last the last sample; run [M] int,
    the voiced run that a mark belongs to, -1 where unvoiced."""

    at: np.ndarray
    run: np.ndarray

    @property
    def voiced(self) -> np.ndarray:
        """[M - 1] bool: the distance to the next mark is a period."""
        return (self.run[:-1] >= 0) & (self.run[:-1] == self.run[1:])

    @property
    def periods(self) -> np.ndarray:
        """[M - 1] float64: distance to the next mark, samples."""
        return np.diff(self.at)


def pitch_marks(signal: np.ndarray, f0_hz: np.ndarray, hop: int, rate_hz: int) -> Marks:
    """[n] float64 with n >= 2, F0 [T] Hz at samples 0, hop, 2 hop ... (0: unvoiced) -> marks that cover [0, n - 1]."""
    n = len(signal)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (f0_hz > 0).astype(np.int8), [0]])))
    pieces: list[np.ndarray] = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        low, high = max(0.0, (begin - 0.5) * hop), min(n - 1.0, (end - 0.5) * hop)
        if end - begin < SHORTEST_RUN or high - low < hop:
            continue
        period = rate_hz / np.interp(np.arange(len(f0_hz)), np.arange(begin, end), f0_hz[begin:end])
        start = _start(signal, period, (int(begin), int(end)), hop)
        if not low <= start <= high:
            continue
        back = _walk(signal, period, start, low, -1, hop)
        pieces.append(np.concatenate([back[::-1], [start], _walk(signal, period, start, high, 1, hop)]))
    return _with_unvoiced(pieces, n, UNVOICED_S * rate_hz)


def _start(signal: np.ndarray, period: np.ndarray, run: tuple[int, int], hop: int) -> float:
    """The largest sample within a period of the run's loudest frame."""
    n = len(signal)
    frames = np.arange(*run)
    power = np.concatenate([[0.0], np.cumsum(signal**2)])
    energy = power[np.clip((frames + 1) * hop, 0, n)] - power[np.clip((frames - 1) * hop, 0, n)]
    loudest = int(frames[int(np.argmax(energy))])
    half = max(1, int(period[loudest] / 2))
    low, high = max(0, loudest * hop - half), min(n, loudest * hop + half + 1)
    return float(low + int(np.argmax(np.abs(signal[low:high])))) if high > low else -1.0


@numba.njit(cache=True, nogil=True)
def _walk(x: np.ndarray, period: np.ndarray, start: float, limit: float, direction: int, hop: int) -> np.ndarray:
    """Marks after `start` in one direction, up to `limit`: each where the next period is most like this one."""
    n = len(x)
    out = np.empty(n + 2)
    count = 0
    at = start
    while count < n:
        frame = min(max(at / hop, 0.0), len(period) - 1.0)
        left = int(frame)
        right = min(left + 1, len(period) - 1)
        p = period[left] + (period[right] - period[left]) * (frame - left)
        shortest, longest = max(2, int(np.ceil(p * (1 - SEARCH)))), int(np.floor(p * (1 + SEARCH)))
        if longest < shortest:
            break
        half = max(1, int(p / 2))
        here = int(np.floor(at + 0.5))
        likeness = np.empty(longest - shortest + 1)
        own = 1e-12
        for j in range(-half, half + 1):
            if 0 <= here + j < n:
                own += x[here + j] ** 2
        best, top = 0, -1e9
        for k in range(len(likeness)):
            there = here + direction * (shortest + k)
            product, other = 0.0, 1e-12
            for j in range(-half, half + 1):
                if 0 <= there + j < n:
                    b = x[there + j]
                    other += b * b
                    if 0 <= here + j < n:
                        product += x[here + j] * b
            likeness[k] = product / np.sqrt(own * other)
            score = likeness[k] - STRAY_COST * abs(shortest + k - p) / p
            if score > top:
                best, top = k, score
        lag = float(shortest + best)
        if 0 < best < len(likeness) - 1:  # the peak of the parabola through three points
            a, b, c = likeness[best - 1], likeness[best], likeness[best + 1]
            bend = a - 2 * b + c
            if bend < -1e-12:
                lag += min(max(0.5 * (a - c) / bend, -0.5), 0.5)
        at += direction * lag
        if at * direction > limit * direction:
            break
        out[count] = at
        count += 1
    return out[:count].copy()


def _with_unvoiced(pieces: list[np.ndarray], n: int, step: float) -> Marks:
    """Voiced runs of marks -> all marks: gaps are filled evenly, about `step` samples apart."""
    at: list[np.ndarray] = []
    run: list[np.ndarray] = []
    last = 0.0
    if not pieces or pieces[0][0] > 0:
        at.append(np.zeros(1))
        run.append(np.full(1, -1))
    for index, piece in enumerate([*pieces, np.array([n - 1.0])]):
        gap = float(piece[0]) - last
        inside = last + gap * np.arange(1, parts) / parts if (parts := max(1, round(gap / step))) > 1 else np.empty(0)
        at.append(inside)
        run.append(np.full(len(inside), -1))
        if index < len(pieces):
            at.append(piece)
            run.append(np.full(len(piece), index))
            last = float(piece[-1])
        elif gap > 0:
            at.append(piece)
            run.append(np.full(1, -1))
    return Marks(np.concatenate(at), np.concatenate(run))


def local_mean(values: np.ndarray, run: np.ndarray) -> np.ndarray:
    """[M] values, [M] run -> [M] mean over up to `LOCAL` neighbours on each side, as many on the left as on the right,
    all of one run: so a steady glide is its own local mean."""
    n = len(values)
    total, count = values.astype(np.float64).copy(), np.ones(n)
    inside = run >= 0
    for k in range(1, LOCAL + 1):
        left, right = np.roll(np.arange(n), k), np.roll(np.arange(n), -k)
        inside = inside & (run[left] == run) & (run[right] == run)
        inside[:k] = inside[n - min(k, n) :] = False
        total += np.where(inside, values[left] + values[right], 0.0)
        count += np.where(inside, 2.0, 0.0)
    return total / count

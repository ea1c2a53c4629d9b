"""Grains of the source, placed anew: pitch, its perturbation and duration move, the waveform of a period does not.

TD-PSOLA (Moulines & Charpentier 1990) with three changes. Neighbouring grains are the two halves of asymmetric Hann
windows and sum to exactly 1, so that grains left in place are the source. Marks and places are real-valued; a grain is
read between samples by a windowed sinc. Where nothing has a period, grains follow one another as in the source until
they are 12.5 ms off: the buzz of repeated noise does not arise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

TAPS = 16  # on each side of the interpolating sinc
SLACK_S = 0.0125  # how far unvoiced grains may be off before one is repeated or left out


@dataclass(frozen=True, slots=True)
class Placement:
    """Where M grains go. steps [M - 1]: samples from a grain to the next in the output; gains [M]; stretch: length of
    the output over that of the source."""

    steps: np.ndarray
    gains: np.ndarray
    stretch: float = 1.0


def placed(signal: np.ndarray, at: np.ndarray, voiced: np.ndarray, placement: Placement, rate_hz: int) -> np.ndarray:
    """[n] float64, marks [M], voiced distances [M - 1] bool -> [round(n stretch)] float64.

    Steps equal to the distances of the marks, gains 1 and stretch 1 give the signal.
    """
    slack = np.where(voiced, np.diff(at) / 2, SLACK_S * rate_hz)
    order, where = _schedule(at, placement.steps, slack, placement.stretch)
    return _grains(signal, at, placement.gains, order, where, round(len(signal) * placement.stretch))


@numba.njit(cache=True, nogil=True)
def _schedule(at: np.ndarray, steps: np.ndarray, slack: np.ndarray, stretch: float) -> tuple[np.ndarray, np.ndarray]:
    """-> (index of the grain [G], how many samples later than in the source it stands [G])."""
    end = at[-1] * stretch
    most = 2 + int(end / steps.min()) if len(steps) else 1
    order, where = np.empty(most, np.int64), np.empty(most)
    i, late, count = 0, 0.0, 0
    while count < most:
        order[count], where[count] = i, late
        count += 1
        now = at[i] + late
        if i == len(at) - 1 or now >= end:
            break
        then = now + steps[i]
        source = then / stretch
        following = i + 1
        if abs(at[following] - source) <= slack[i]:
            late += steps[i] - (at[following] - at[i])  # not then - at: a grain left in place stays there to the bit
            i = following
            continue
        j = np.searchsorted(at, source)
        if j == len(at) or (j > 0 and source - at[j - 1] <= at[j] - source):
            j -= 1
        i, late = j, then - at[j]
    return order[:count].copy(), where[:count].copy()


@numba.njit(cache=True, nogil=True)
def _grains(
    x: np.ndarray, at: np.ndarray, gains: np.ndarray, order: np.ndarray, where: np.ndarray, n_out: int
) -> np.ndarray:
    """Overlap-add of the grains."""
    n, m = len(x), len(at)
    out = np.zeros(n_out)
    taps = np.zeros(2 * TAPS)
    for g in range(len(order)):
        i, late, gain = order[g], where[g], gains[order[g]]
        left = at[i] - at[i - 1] if i > 0 else 1.0
        right = at[i + 1] - at[i] if i < m - 1 else 1.0
        middle = at[i] + late
        whole = int(np.floor(-late))
        fraction = -late - whole  # the source is read at k + whole + fraction
        if fraction > 0:
            total = 0.0
            for t in range(2 * TAPS):
                u = fraction - (t - TAPS + 1)
                taps[t] = np.sin(np.pi * u) / (np.pi * u) * (0.5 + 0.5 * np.cos(np.pi * u / (TAPS + 1)))
                total += taps[t]
            taps /= total
        for k in range(max(0, int(np.ceil(middle - left))), min(n_out - 1, int(np.floor(middle + right))) + 1):
            u = k - middle
            weight = 0.5 + 0.5 * np.cos(np.pi * u / (left if u < 0 else right))
            value = 0.0
            if fraction > 0:
                first = k + whole - TAPS + 1
                for t in range(max(0, -first), min(2 * TAPS, n - first)):
                    value += taps[t] * x[first + t]
            elif 0 <= k + whole < n:
                value = x[k + whole]
            out[k] += gain * weight * value
    return out

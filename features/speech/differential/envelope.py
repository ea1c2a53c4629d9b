"""The spectrum moves: the source's short-time spectra, times the decoded difference of two envelopes.

Zero-phase filtering keeps the excitation, the phases and the recording's own noise. With a difference of 0 the filter
is the identity: the window is a whole number of hops, so the squared windows sum to a constant.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import irfft, rfft

from features.speech.differential.analysis import ORDER, hop_of
from features.speech.vocoder import pyworld

OVERLAP = 6  # hops in a window: 30 ms
MOST_GAIN = 2.5  # log amplitude: 22 dB
BLOCK = 1024  # frames that are filtered at once


def filter_length(rate_hz: int) -> int:
    """Points of the FFT: twice the window at least, so that the filter's response does not wrap around."""
    shortest = 2 * OVERLAP * hop_of(rate_hz)
    return int(2 ** np.ceil(np.log2(shortest)))


@lru_cache(maxsize=4)
def decoder(rate_hz: int) -> np.ndarray:
    """-> [n_fft / 2 + 1, 40] float64, read-only: matrix @ mel-cepstrum = log power of WORLD's decoded envelope.

    WORLD's decoder is linear in the code before its last step, the exponential: its answers to unit codes are the
    columns.
    """
    n_fft = filter_length(rate_hz)
    codes = np.vstack([np.zeros((1, ORDER)), np.eye(ORDER)])
    logs = np.log(pyworld.decode_spectral_envelope(codes, rate_hz, n_fft))
    matrix = np.ascontiguousarray((logs[1:] - logs[0]).T)
    matrix.setflags(write=False)
    return matrix


def filtered(signal: np.ndarray, moves: np.ndarray, rate_hz: int) -> np.ndarray:
    """[n] float64 and changes [T, 40] of the mel-cepstrum (log power), one every hop -> [n] float64.

    Frames beyond the last take its change. Gains are clipped to 22 dB either way.
    """
    n, hop = len(signal), hop_of(rate_hz)
    window_length, n_fft = OVERLAP * hop, filter_length(rate_hz)
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_length) / window_length))  # periodic
    count = -(-n // hop) + OVERLAP  # frame j starts at sample (j - OVERLAP) hop of the signal
    padded = np.zeros((count + OVERLAP) * hop)
    padded[window_length : window_length + n] = signal
    frames = sliding_window_view(padded, window_length)[::hop]
    centre = np.arange(len(frames)) - OVERLAP // 2  # in hops: the analysis frame that stands in a window's middle
    matrix = 0.5 * decoder(rate_hz).T
    out = np.zeros(len(padded))
    for low in range(0, len(frames), BLOCK):
        part = frames[low : low + BLOCK]
        change = moves[np.clip(centre[low : low + BLOCK], 0, len(moves) - 1)]
        gain = np.exp(np.clip(change @ matrix, -MOST_GAIN, MOST_GAIN))
        # zero phase: a response that begins before the window wraps to the block's end and is cut there
        blocks = irfft(rfft(part * window, n_fft, axis=1) * gain, n_fft, axis=1)[:, :window_length] * window
        added = np.zeros((len(part) + OVERLAP - 1, hop))
        for k in range(OVERLAP):
            added[k : k + len(part)] += blocks[:, k * hop : (k + 1) * hop]
        out[low * hop : low * hop + added.size] += added.ravel()
    return out[window_length : window_length + n] / (OVERLAP / 2)

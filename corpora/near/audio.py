"""Near copies among recordings: bits of band-energy differences, an inverted index over them; the bit error decides.

After Haitsma & Kalker 2002, "A highly robust audio fingerprinting system": 33 bands from 300 to 2000 Hz, frames of
0.37 s, and bit m of a frame is 1 if the energy difference of bands m and m + 1 grew since the frame before. Gain
cancels out, resampling and re-encoding change few bits, and a trimmed copy has the same frames at another place. Theirs
is music; in speech, pauses say nothing, so frames far below the loudest one are left out. Ours come half as often.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from corpora.codecs import decode_wav
from corpora.errors import PayloadError
from corpora.formats.channels import mixed_down

METHOD = "bands33/1"
_RATE_HZ = 5400.0  # about; the nearest whole fraction of the recording's rate
_FRAME_S, _HOP_S = 0.37, 0.0232
_BANDS = np.geomspace(300.0, 2000.0, 34)  # Hz, edges of 33 bands
_QUIET_DB = 35.0  # frames that are this far below the loudest say nothing
_BLOCK = 256  # frames at a time
_MIN_FRAMES = 20  # that two recordings must share to be compared: 0.46 s, and the length of a frame on top
_LAG_BITS = 14  # 2**13 frames are 190 s, more than a recording may have
_CROWD = 64  # a code in more recordings than this says nothing
# Share of differing bits in what two recordings share. Haitsma & Kalker take 0.35 for music; here copies lie below 0.2
# (at 10 dB of added noise), two takes of one sentence by one speaker above 0.25.
MAX_ERROR = 0.22


def fingerprint(payload: bytes) -> bytes:
    """wav -> little-endian uint32 codes, one each 23 ms, 0 for a quiet frame; b"" if it is silent or short."""
    try:
        signal, rate_hz = decode_wav(payload)
    except PayloadError:
        return b""
    codes = codes_of(mixed_down(signal, np.float32)[0], rate_hz)
    return codes.astype("<u4").tobytes() if np.count_nonzero(codes) >= _MIN_FRAMES else b""


def codes_of(signal: np.ndarray, rate_hz: int) -> np.ndarray:
    """[n] float32 -> [frames - 1] uint32."""
    from scipy.fft import next_fast_len, rfft
    from scipy.signal import resample_poly

    factor = max(1, round(rate_hz / _RATE_HZ))
    if factor > 1:
        signal = resample_poly(signal, 1, factor, window=_lowpass(factor)).astype(np.float32)
    rate = rate_hz / factor
    length = round(_FRAME_S * rate)
    n_frames = int((len(signal) / rate - _FRAME_S) / _HOP_S) + 1
    if n_frames < 2:
        return np.zeros(0, np.uint32)
    starts = np.rint(np.arange(n_frames) * _HOP_S * rate).astype(int)
    starts = starts[starts + length <= len(signal)]
    window = _window(length)
    size = next_fast_len(length, real=True)
    low, matrix = _band_matrix(size, float(rate))
    frames = np.lib.stride_tricks.sliding_window_view(signal, length)
    energy = np.concatenate(
        [
            _power(rfft(frames[starts[at : at + _BLOCK]] * window, size, axis=1)[:, low : low + len(matrix)]) @ matrix
            for at in range(0, len(starts), _BLOCK)
        ]
    )
    loud = energy.sum(axis=1)
    rises = np.diff(np.diff(energy, axis=1), axis=0) > 0
    codes = rises @ (1 << np.arange(32, dtype=np.uint64))
    codes[loud[1:] < loud.max() * 10 ** (-_QUIET_DB / 10)] = 0
    return codes.astype(np.uint32) if loud.max() > 0 else np.zeros(len(codes), np.uint32)


def _power(spectrum: np.ndarray) -> np.ndarray:
    return np.asarray(spectrum.real**2 + spectrum.imag**2)


@lru_cache(maxsize=16)
def _lowpass(factor: int) -> np.ndarray:
    """[20 * factor + 1] float32: the filter that resample_poly designs for this factor, else once a recording."""
    from scipy.signal import firwin

    return np.asarray(firwin(20 * factor + 1, 1.0 / factor, window=("kaiser", 5.0)), np.float32)


@lru_cache(maxsize=16)
def _window(length: int) -> np.ndarray:
    """[length] float32."""
    return np.hanning(length).astype(np.float32)


@lru_cache(maxsize=16)
def _band_matrix(size: int, rate_hz: float) -> tuple[int, np.ndarray]:
    """-> first bin of the lowest band, and [bins, 33] float32: which of the bins from there on fall into each band."""
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    band = np.searchsorted(_BANDS, hz, side="right") - 1
    inside = np.flatnonzero((band >= 0) & (band < 33))
    return int(inside[0]), np.asarray(band[inside[0] : inside[-1] + 1, None] == np.arange(33)[None], dtype=np.float32)


def near_pairs(prints: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Fingerprints -> ([P, 2] int64 rows with first < second, [P] float32 share of equal bits), sorted.

    Candidates share a code; near-linear as long as few recordings share one. Empty prints pair with none.
    """
    lengths = np.array([len(p) // 4 for p in prints], np.int64)
    codes = np.frombuffer(b"".join(prints), "<u4")
    if not len(codes):
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    begins = np.concatenate([[0], np.cumsum(lengths)])
    first, second, lag = _hits(codes, lengths)
    pairs, scores = [], []
    for a, b, shift in zip(first.tolist(), second.tolist(), lag.tolist(), strict=True):
        error = _bit_error(codes[begins[a] : begins[a + 1]], codes[begins[b] : begins[b + 1]], shift)
        if error <= MAX_ERROR:
            pairs.append((a, b))
            scores.append(1.0 - error)
    if not pairs:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    indices, score = np.array(pairs, np.int64), np.array(scores, np.float32)
    order = np.lexsort((-score, indices[:, 1], indices[:, 0]))
    indices, score = indices[order], score[order]
    best = np.ones(len(indices), bool)
    best[1:] = (indices[1:] != indices[:-1]).any(axis=1)
    return indices[best], score[best]


def _hits(codes: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> (first, second, lag in frames) of recordings that share a code, each once; lag: place in first - in second."""
    n = len(lengths)
    row = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    place = (np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)).astype(np.int32)
    nonzero = np.flatnonzero(codes)
    order = nonzero[np.argsort(codes[nonzero], kind="stable")]
    value = codes[order]
    hits: list[np.ndarray] = []
    for step in range(1, _CROWD):
        if step >= len(order):
            break
        same = np.flatnonzero(value[step:] == value[:-step])
        if not len(same):
            break
        a, b = order[same], order[same + step]
        apart = row[a] != row[b]
        a, b = a[apart], b[apart]
        swap = row[a] > row[b]
        a, b = np.where(swap, b, a), np.where(swap, a, b)
        lag = place[a].astype(np.int64) - place[b]
        keys = ((row[a].astype(np.int64) * n + row[b]) << _LAG_BITS) + lag + (1 << (_LAG_BITS - 1))
        hits.append(np.unique(keys))
    if not hits:
        none = np.zeros(0, np.int64)
        return none, none, none
    every = np.unique(np.concatenate(hits))
    pair = every >> _LAG_BITS
    return pair // n, pair % n, (every & ((1 << _LAG_BITS) - 1)) - (1 << (_LAG_BITS - 1))


def _bit_error(a: np.ndarray, b: np.ndarray, lag: int) -> float:
    """Share of bits that differ where frame i + lag of `a` meets frame i of `b`; 1 if too few have any."""
    if lag < 0:
        a, b, lag = b, a, -lag
    n = min(len(a) - lag, len(b))
    if n < _MIN_FRAMES:
        return 1.0
    x, y = a[lag : lag + n], b[:n]
    both = (x != 0) & (y != 0)
    n_both = int(both.sum())
    if n_both < _MIN_FRAMES:
        return 1.0
    return float(np.bitwise_count(x[both] ^ y[both]).sum()) / (32.0 * n_both)

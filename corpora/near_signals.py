"""Near copies among physiological windows: pieces around peaks find candidates, the largest cross-correlation decides.

A window becomes two traces (channels of its fastest signal) at 32 Hz or less, as differences of neighbouring values:
slow drifts are alike in all windows. Pieces of the traces around peaks are hashed by the signs of random projections
(Charikar 2002): gain, unit and offset do not count, and a cutting or a shifted window has the same peaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from corpora.errors import PayloadError
from corpora.signals import decode_signals

METHOD = "traces2/1"
_RATE_HZ = 32.0  # faster signals are averaged down to about this
_LENGTH = 1 << 15  # values of a trace; 17 minutes at 32 Hz
_MIN_LENGTH = 20  # less is no series
_PEAK, _PEAKS = 4, 48  # reach of a peak; peaks of a window, the highest
# Half a piece and the lengths of traces that are cut into such pieces. Long ones, because one heartbeat is like the
# next; windows of a second have no room for them. A cutting of a window falls into one of the two with it.
_PIECES = ((8, 0, 320), (24, 120, _LENGTH))
_BITS, _TABLES = 22, 6
_CROWD = 32  # a hash of more pieces than this says nothing
_MIN_HITS = 2  # equal hashes that must agree on a shift
_PARTNERS = (
    12  # of a window, those with most equal hashes: what is looked at grows with the windows, not with their pairs
)
# Correlation in both traces at one shift; more is asked where there is but one trace. Where a window is much like its
# partners that are no copies (one heartbeat like the next), a copy must be ten times closer than they are.
MIN_CORRELATION, MIN_CORRELATION_ALONE, _CLOSER, _HIGHEST = 0.88, 0.94, 10.0, 0.99
_MIN_OVERLAP = 0.4  # of the shorter window


def fingerprint(payload: bytes, signals: Sequence[Mapping[str, object]] = ()) -> bytes:
    """npz and the `signals` of its record -> float16 [2, n], two traces of deviation 1; b"" where nothing varies.

    Where only one channel varies, both traces are the same.
    """
    try:
        arrays = decode_signals(payload)
    except PayloadError:
        return b""
    rates = {str(s["name"]): float(str(s["rate_hz"])) for s in signals if s.get("rate_hz")}
    traces: list[np.ndarray] = []
    for number in range(2):  # a channel of each signal first, then a second one of each
        for name in sorted(arrays, key=lambda n: (-min(rates.get(n, 0.0), _RATE_HZ), n)):
            array = np.asarray(arrays[name], np.float32)
            if len(array) < _MIN_LENGTH:
                array = array.reshape(-1)  # features of one moment: channels in a row
            trace = _channel(array.reshape(len(array), -1), number, rates.get(name, 0.0))
            if trace is not None and (not traces or abs(len(trace) - len(traces[0])) <= 2):
                traces.append(trace)
            if len(traces) == 2:
                n = min(map(len, traces))
                return np.stack([traces[0][:n], traces[1][:n]]).astype("<f2").tobytes()
    return np.stack([traces[0], traces[0]]).astype("<f2").tobytes() if traces else b""


def _channel(columns: np.ndarray, number: int, rate_hz: float) -> np.ndarray | None:
    """[n, channels] -> the first trace that varies from the front (`number` 0) or, for 1, from the middle on."""
    width = columns.shape[1]
    if number >= width:
        return None
    for column in range(number * (width // 2), min(width, number * (width // 2) + 8)):
        trace = _trace(columns[:, column], rate_hz)
        if trace is not None:
            return trace
    return None


def _trace(values: np.ndarray, rate_hz: float) -> np.ndarray | None:
    """[n] -> [m] float32 differences of the averaged, smoothed series, deviation 1; None where it is flat or short."""
    factor = max(1, int(np.ceil(rate_hz / _RATE_HZ - 1e-6)))
    values = values[: _LENGTH * factor].astype(np.float64)
    values = values[: len(values) // factor * factor].reshape(-1, factor).mean(axis=1)
    if len(values) < _MIN_LENGTH:
        return None
    values = (
        values[:-2] + 2 * values[1:-1] + values[2:]
    ) / 4  # nothing at half the rate: shifts by part of a value do no harm
    change = np.diff(values)
    spread = change.std()
    if not np.isfinite(spread) or spread <= 1e-6 * (np.abs(values).max() + 1e-30):
        return None
    return np.asarray(np.clip((change - change.mean()) / spread, -100, 100), dtype=np.float32)


def near_pairs(prints: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Fingerprints -> ([P, 2] rows with first < second, [P] float32 correlation), sorted. Empty: no pairs."""
    traces = [np.frombuffer(data, "<f2").reshape(2, -1).astype(np.float32) if data else None for data in prints]
    alone = {row for row, t in enumerate(traces) if t is not None and np.array_equal(t[0], t[1])}
    best: dict[tuple[int, int], float] = {}
    for half, shortest, longest in _PIECES:
        fitting = [t if t is not None and shortest <= t.shape[1] <= longest else None for t in traces]
        for a, b, lag in _candidates(fitting, half):
            best[a, b] = max(best.get((a, b), -1.0), _correlation(traces[a], traces[b], lag))  # type: ignore[arg-type]
    partners: dict[int, list[float]] = {}
    for pair, score in best.items():
        for row in pair:
            partners.setdefault(row, []).append(score)
    usual = {row: float(np.median(scores)) for row, scores in partners.items() if len(scores) >= _PARTNERS // 2}
    pairs = []
    for a, b in sorted(best):
        alike = max(usual.get(a, 0.0), usual.get(b, 0.0))
        least = MIN_CORRELATION_ALONE if a in alone or b in alone else MIN_CORRELATION
        if best[a, b] >= min(max(least, 1 - (1 - alike) / _CLOSER), _HIGHEST):
            pairs.append((a, b))
    return np.array(pairs, np.int64).reshape(-1, 2), np.array([best[p] for p in pairs], np.float32)


def _pieces(trace: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    """[2, n] -> ([p] places in half values, [p, 2 * (2 * half + 1)] pieces of both traces there, each of length 1).

    Once from the values and once from what lies between them: a cutting may begin anywhere between two averages.
    """
    from scipy.ndimage import maximum_filter1d

    places, pieces = [], []
    for series, late in ((trace, 0), (_between(trace), 1)):
        height = np.abs(series[0])
        peak = np.flatnonzero((height == maximum_filter1d(height, 2 * _PEAK + 1)) & (height > 0.3))
        if len(height) <= 2 * _PEAKS:  # short: every place counts
            peak = np.arange(len(height))
        peak = peak[(peak >= half) & (peak < len(height) - half)]
        peak = np.sort(peak[np.argsort(-height[peak], kind="stable")[:_PEAKS]])
        around = series[:, peak[:, None] + np.arange(-half, half + 1)]  # [2, p, 2 * half + 1]
        around = around / (np.linalg.norm(around, axis=2, keepdims=True) + 1e-6)
        places.append(2 * peak + late)
        pieces.append(np.concatenate([around[0], around[1]], axis=1))
    return np.concatenate(places), np.concatenate(pieces)


def _between(trace: np.ndarray) -> np.ndarray:
    """[2, n] -> [2, n - 1] halfway between neighbours, by cubic interpolation; linear at the ends."""
    middle = (trace[:, :-1] + trace[:, 1:]) / 2
    middle[:, 1:-1] = (9 * (trace[:, 1:-2] + trace[:, 2:-1]) - trace[:, :-3] - trace[:, 3:]) / 16
    return middle


def _candidates(traces: list[np.ndarray | None], half: int) -> list[tuple[int, int, int]]:
    """-> (first, second, lag) of windows with pieces of one hash; lag: place in first - in second, in half values."""
    rng = np.random.default_rng(20020519)
    planes = rng.standard_normal((2 * (2 * half + 1), _BITS * _TABLES)).astype(np.float32)
    weights = (1 << np.arange(_BITS)).astype(np.int64)
    rows, places, keys = [], [], []
    for number, trace in enumerate(traces):
        if trace is None:
            continue
        peak, pieces = _pieces(trace, half)
        keys.append((pieces @ planes > 0).reshape(len(peak), _TABLES, _BITS) @ weights)
        places.append(peak)
        rows.append(np.full(len(peak), number))
    if not rows:
        return []
    row, place, key = np.concatenate(rows), np.concatenate(places), np.concatenate(keys)
    n, span = len(traces), 4 * _LENGTH
    hits = [np.zeros(0, np.int64)]
    for table in range(_TABLES):
        order = np.argsort(key[:, table], kind="stable")
        value = key[order, table]
        for step in range(1, min(_CROWD, len(order))):
            same = np.flatnonzero(value[step:] == value[:-step])
            if not len(same):
                break
            a, b = order[same], order[same + step]
            a, b = np.where(row[a] < row[b], a, b), np.where(row[a] < row[b], b, a)
            apart = row[a] != row[b]
            a, b = a[apart], b[apart]
            hits.append((row[a] * n + row[b]) * span + place[a] - place[b] + span // 2)
    found, count = _counted(np.concatenate(hits))
    pair = found // span
    order = np.lexsort((-count, pair))
    found, count, pair = found[order], count[order], pair[order]
    new = np.ones(len(pair), bool)
    new[1:] = pair[1:] != pair[:-1]  # the shift that most agree on
    found, count, pair = found[new], count[new], pair[new]
    first, second = pair // n, pair % n
    kept = _top(first, count) | _top(second, count)
    lag = found % span - span // 2
    return list(zip(first[kept].tolist(), second[kept].tolist(), lag[kept].tolist(), strict=True))


def _counted(hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> distinct hits that came often enough, and how often."""
    found, count = np.unique(hits, return_counts=True)
    enough = count >= _MIN_HITS
    return found[enough], count[enough]


def _top(row: np.ndarray, count: np.ndarray) -> np.ndarray:
    """[c] bool: among the `_PARTNERS` highest counts of its row."""
    order = np.lexsort((-count, row))
    new = np.ones(len(row), bool)
    new[1:] = row[order][1:] != row[order][:-1]
    at = np.arange(len(row))
    top = np.empty(len(row), bool)
    top[order] = at - np.maximum.accumulate(np.where(new, at, 0)) < _PARTNERS
    return top


def _correlation(a: np.ndarray, b: np.ndarray, lag: int) -> float:
    """[2, n], [2, m] -> the largest correlation, at shifts near `lag` half values, of the trace that agrees less.

    0 if too little overlaps.
    """
    most = 0.0
    for shift in (lag, lag - 1, lag + 1):
        whole, late = divmod(shift, 2)
        x, y = (_between(a) if late else a), b
        x, y = (x[:, whole:], y) if whole >= 0 else (x, y[:, -whole:])
        n = min(x.shape[1], y.shape[1])
        if n < max(_MIN_OVERLAP * min(a.shape[1], b.shape[1]), _MIN_LENGTH - 8):
            continue
        x, y = x[:, :n] - x[:, :n].mean(axis=1, keepdims=True), y[:, :n] - y[:, :n].mean(axis=1, keepdims=True)
        r = (x * y).sum(axis=1) / (np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)) + 1e-9)
        most = max(most, float(r.min()))
    return most

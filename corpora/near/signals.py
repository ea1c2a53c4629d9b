"""Near copies among physiological windows: pieces around peaks find candidates, correlation at one shift decides.

A window becomes some traces (channels of its fastest signals) at 32 Hz or less, as differences of neighbouring values:
slow drifts are alike in all windows. Pieces of the traces around peaks are hashed by the signs of random projections
(Charikar 2002): gain, unit and offset do not count, and a cutting or a shifted window has the same peaks.

Two smooth trends correlate by chance, the more so the fewer independent values they have. So all traces must agree at
one shift, and what that is worth is counted in independent values (`effective_length`), not in values. A window of a
few moments, features of no rate, and many channels that are too smooth are compared as they stand: near_rows.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

from corpora.errors import PayloadError
from corpora.near import rows as near_rows
from corpora.signals import decode_signals

METHOD = "traces8/1"
_RATE_HZ = 32.0  # faster signals are averaged down to about this
_LENGTH = 1 << 15  # values of a trace; 17 minutes at 32 Hz
_MIN_LENGTH = 20  # less is no series
_TRACES, _VALUES = 8, 1 << 13  # traces of a window, and their values in all; two at least
_HEAD = struct.Struct("<HI")  # number of traces, values of each
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
# Correlation at one shift, of a third of the traces (of both, where there are two); more is asked of a single one.
# Where a window is much like its partners that are no copies (one heartbeat like the next), a copy must be ten times
# closer than they are.
MIN_CORRELATION, MIN_CORRELATION_ALONE, _CLOSER, _HIGHEST = 0.88, 0.94, 10.0, 0.99
_AGREES = 0.5  # of the others at that shift; one in four may be lost: noise in a cutting, steps of a coarse copy
_MIN_OVERLAP = 0.4  # of the shorter window
MIN_EFFECTIVE = 16.0  # independent values that two windows share; fewer prove nothing, however alike
# -log10 of the chance that windows which have nothing to do with each other correlate so: some 10^6 pairs of windows
# at some 100 shifts are looked through for one that does.
MIN_EVIDENCE = 10.0


def fingerprint(payload: bytes, signals: Sequence[Mapping[str, object]] = ()) -> bytes:
    """npz and the `signals` of its record -> k and n, traces [k, n] float16 of deviation 1, k <= 8, and a row of
    near_rows where the traces are none or say too little; b"" where nothing varies.
    """
    try:
        arrays = {name: np.asarray(array, np.float32) for name, array in decode_signals(payload).items()}
    except PayloadError:
        return b""
    declared = {str(s["name"]): s.get("rate_hz") for s in signals}
    rates = {name: float(str(rate)) for name, rate in declared.items() if rate}
    series = {n: a.reshape(len(a), -1) for n, a in arrays.items() if a.ndim and (n not in declared or n in rates)}
    series = {n: a for n, a in series.items() if len(a) >= _MIN_LENGTH}
    traces = _traces(series, rates)
    n = min(map(len, traces), default=0)
    kept = np.array([trace[:n] for trace in traces[: int(np.clip(_VALUES // max(n, 1), 2, _TRACES))]])
    row = b""
    if not series or (_is_wide(series) and len(kept) and effective_length(kept, kept) < 2 * MIN_EFFECTIVE):
        row = near_rows.fingerprint(arrays, one_unit=bool(rates) or not declared)
    return _HEAD.pack(len(kept), n) + kept.astype("<f2").tobytes() + row if len(kept) or row else b""


def _is_wide(series: Mapping[str, np.ndarray]) -> bool:
    """Whether the levels of so many channels identify a window whose course is too smooth to (EEG features)."""
    return max(values.shape[1] for values in series.values()) >= near_rows.MIN_SIZE


def _traces(series: Mapping[str, np.ndarray], rates: Mapping[str, float]) -> list[np.ndarray]:
    """{signal: [n, channels]} -> traces of one length: a channel of each of the fastest signals, then another of each.

    The order is the same whatever the number that is kept: channels far from each other come first.
    """
    traces: list[np.ndarray] = []
    names = sorted(series, key=lambda n: (-min(rates.get(n, 0.0), _RATE_HZ), n))
    used: set[tuple[str, int]] = set()
    for number in range(_TRACES):
        place = int(f"{number:03b}"[::-1], 2) / _TRACES  # 0, 1/2, 1/4, 3/4, 1/8 ...
        for name in names:
            width = series[name].shape[1]
            for column in range(int(place * width), min(width, int(place * width) + 8)):
                if (name, column) in used:
                    continue
                used.add((name, column))
                trace = _trace(series[name][:, column], rates.get(name, 0.0))
                if trace is not None and (not traces or abs(len(trace) - len(traces[0])) <= 2):
                    traces.append(trace)
                    break
            if len(traces) == _TRACES:
                return traces
    return traces


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
    read = [_read(data) for data in prints]
    traces = [trace for trace, _ in read]
    best: dict[tuple[int, int], float] = {}
    proven: set[tuple[int, int]] = set()
    for half, shortest, longest in _PIECES:
        fitting = [t if t is not None and shortest <= t.shape[1] <= longest else None for t in traces]
        for a, b, lag in _candidates(fitting, half):
            score, evident = _correlation(traces[a], traces[b], lag)  # type: ignore[arg-type]
            if score >= best.get((a, b), -1.0):
                best[a, b] = score
                (proven.add if evident else proven.discard)((a, b))
    partners: dict[int, list[float]] = {}
    for pair, score in best.items():
        for row in pair:
            partners.setdefault(row, []).append(score)
    usual = {row: float(np.median(scores)) for row, scores in partners.items() if len(scores) >= _PARTNERS // 2}
    copies = near_rows.near_pairs({number: row for number, (_, row) in enumerate(read) if row})
    for a, b in proven:
        alike = max(usual.get(a, 0.0), usual.get(b, 0.0))
        least = MIN_CORRELATION_ALONE if min(len(traces[a]), len(traces[b])) == 1 else MIN_CORRELATION  # type: ignore[arg-type]
        if best[a, b] >= min(max(least, 1 - (1 - alike) / _CLOSER), _HIGHEST):
            copies[a, b] = best[a, b]
    pairs = sorted(copies)
    return np.array(pairs, np.int64).reshape(-1, 2), np.array([copies[p] for p in pairs], np.float32)


def _read(data: bytes) -> tuple[np.ndarray | None, bytes]:
    """A fingerprint -> ([k, n] float32 or None, row or b"")."""
    if not data:
        return None, b""
    k, n = _HEAD.unpack_from(data)
    values = np.frombuffer(data, "<f2", k * n, _HEAD.size).astype(np.float32).reshape(k, n)
    return (values if k else None), data[_HEAD.size + 2 * k * n :]


def effective_length(x: np.ndarray, y: np.ndarray) -> float:
    """[k, n], [k, n] traces of mean 0 -> the number of independent values by which their correlation is judged, >= 1.

    The part of the band that both fill, n / sum over lags of the products of autocorrelations (Bartlett 1946, by
    spectra); times the part of the time that both fill, for one bump has all frequencies and is still one event; times
    the traces, of which those that move together count as one. White noise of one trace has about n / 2.
    """
    k, n = x.shape
    band = _filled(*(np.abs(np.fft.fft(t, axis=1)) ** 2 for t in (x, y)))
    time = _filled(x**2, y**2)
    unit = [t / (np.linalg.norm(t, axis=1, keepdims=True) + 1e-9) for t in (x, y)]
    space = k**2 / max(float(((unit[0] @ unit[0].T) * (unit[1] @ unit[1].T)).sum()), 1.0)
    return float(max(n * band * time, 1.0) * np.clip(space, 1, k))


def _filled(x: np.ndarray, y: np.ndarray) -> float:
    """[k, n] powers -> the part of n places where both are, in (0, 1]; each averaged over traces and three places."""
    mean = []
    for power in (x, y):
        each = (power / (power.sum(axis=1, keepdims=True) + 1e-30)).mean(axis=0)
        mean.append(sum(np.roll(each, step) for step in (-1, 0, 1)) / 3)
    both = float((mean[0] * mean[1]).sum())
    return min(float(mean[0].sum() * mean[1].sum()) / max(both * x.shape[1], 1e-30), 1.0)


def evidence(correlation: float, effective: float) -> float:
    """-log10 of the chance of at least this correlation among `effective` independent values of unrelated series.

    The tail of its distribution under independence, (1 - r^2)^((n - 2) / 2), but for a factor near 1.
    """
    return max(effective - 2, 0.0) / 2 * -float(np.log10(max(1 - min(correlation, 1.0) ** 2, 1e-12)))


def _pieces(trace: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    """[k, n] -> ([p] places in half values, [p, 2 * (2 * half + 1)] pieces of two traces there, each of length 1).

    Once from the values and once from what lies between them: a cutting may begin anywhere between two averages.
    """
    from scipy.ndimage import maximum_filter1d

    places, pieces = [], []
    trace = trace[[0, min(1, len(trace) - 1)]]
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
    """[k, n] -> [k, n - 1] halfway between neighbours, by cubic interpolation; linear at the ends."""
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
    hit, count = _counted(np.concatenate(hits))
    pair = hit // span
    order = np.lexsort((-count, pair))
    hit, count, pair = hit[order], count[order], pair[order]
    new = np.ones(len(pair), bool)
    new[1:] = pair[1:] != pair[:-1]  # the shift that most agree on
    hit, count, pair = hit[new], count[new], pair[new]
    first, second = pair // n, pair % n
    kept = _top(first, count) | _top(second, count)
    lag = hit % span - span // 2
    return list(zip(first[kept].tolist(), second[kept].tolist(), lag[kept].tolist(), strict=True))


def _counted(hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> distinct hits that came often enough, and how often."""
    hit, count = np.unique(hits, return_counts=True)
    enough = count >= _MIN_HITS
    return hit[enough], count[enough]


def _top(row: np.ndarray, count: np.ndarray) -> np.ndarray:
    """[c] bool: among the `_PARTNERS` highest counts of its row."""
    order = np.lexsort((-count, row))
    new = np.ones(len(row), bool)
    new[1:] = row[order][1:] != row[order][:-1]
    at = np.arange(len(row))
    top = np.empty(len(row), bool)
    top[order] = at - np.maximum.accumulate(np.where(new, at, 0)) < _PARTNERS
    return top


def _correlation(a: np.ndarray, b: np.ndarray, lag: int) -> tuple[float, bool]:
    """[k, n], [l, m] -> the largest correlation, at shifts near `lag` half values, that a third of the traces have, two
    at least; and whether the others agree at that shift, and so much agreement of so few independent values is more
    than chance. 0 if too little overlaps.
    """
    k = min(len(a), len(b))
    a, b = a[:k], b[:k]
    most, evident = 0.0, False
    for shift in (lag, lag - 1, lag + 1):
        whole, late = divmod(shift, 2)
        x, y = (_between(a) if late else a), b
        x, y = (x[:, whole:], y) if whole >= 0 else (x, y[:, -whole:])
        n = min(x.shape[1], y.shape[1])
        if n < max(_MIN_OVERLAP * min(a.shape[1], b.shape[1]), _MIN_LENGTH - 8):
            continue
        x, y = x[:, :n] - x[:, :n].mean(axis=1, keepdims=True), y[:, :n] - y[:, :n].mean(axis=1, keepdims=True)
        r = np.sort((x * y).sum(axis=1) / (np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)) + 1e-9))[::-1]
        third = float(r[min(k, max(2, -(-k // 3))) - 1])
        if third > most:
            most, effective = third, effective_length(x, y)
            agrees = r[k - 1 - k // 4] >= _AGREES and effective >= MIN_EFFECTIVE
            evident = bool(agrees and evidence(float(r.mean()), effective) >= MIN_EVIDENCE)
    return most, evident

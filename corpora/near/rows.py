"""Near copies among rows of numbers that are no series: features of one moment, or a window of a few moments.

Rows of one kind are alike because of what all of them have in common (the pattern over the scalp, each feature's own
size). So what is common to the rows of one length is taken away first, and a copy must be far closer than a row's
other neighbours are, which may be of the same person.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

MIN_SIZE = 20  # numbers in a row; fewer are alike by chance
_MAX_SIZE = 1 << 11  # of a longer row, that many evenly spread
MIN_CORRELATION = 0.97  # of what is left of the row when what is common is taken away
MIN_EFFECTIVE = 8.0  # independent numbers in that
_CLOSER = 10.0  # times that a copy must be closer than other neighbours
# rows from which on the common part can be estimated; with fewer, a copy has the same numbers but for unit and offset
_KNOWN = 12
_SAME = 1 - 1e-6
_SAMPLE = 1024  # rows that others are compared with to learn how close neighbours are
_BITS, _TABLES, _CROWD = 16, 12, 32


def fingerprint(arrays: Mapping[str, np.ndarray], *, one_unit: bool) -> bytes:
    """{signal: float32 array} -> float32 row of deviation 1; b"" for less than `MIN_SIZE` numbers, or equal ones.

    `one_unit`: numbers of one signal have the same unit, so that an offset does not count; features of many units are
    divided alone.
    """
    parts = [np.asarray(arrays[name], np.float64).reshape(-1) for name in sorted(arrays)]
    if one_unit:
        parts = [part - part.mean() for part in parts if len(part)]
    row = np.concatenate(parts) if parts else np.zeros(0)
    if len(row) > _MAX_SIZE:
        row = row[np.linspace(0, len(row) - 1, _MAX_SIZE).astype(np.int64)]
    size = float(np.sqrt(np.mean(row**2))) if len(row) >= MIN_SIZE else 0.0
    if not np.isfinite(size) or size == 0 or np.ptp(row) <= 1e-6 * size:
        return b""
    return (row / size).astype("<f4").tobytes()


def near_pairs(rows: Mapping[int, bytes]) -> dict[tuple[int, int], float]:
    """{number: fingerprint} -> {(first, second): correlation} with first < second; rows of one length alone."""
    by_length: dict[int, list[int]] = {}
    for number in sorted(rows):
        by_length.setdefault(len(rows[number]), []).append(number)
    copies: dict[tuple[int, int], float] = {}
    for numbers in by_length.values():
        if len(numbers) < 2:
            continue
        values = np.stack([np.frombuffer(rows[number], "<f4").astype(np.float64) for number in numbers])
        for (a, b), score in (_far_closer(values) if len(numbers) >= _KNOWN else _same(values)).items():
            copies[numbers[a], numbers[b]] = score
    return copies


def _same(values: np.ndarray) -> dict[tuple[int, int], float]:
    """Too few to know what is common to all: the same numbers."""
    unit = _unit(values)
    r = unit @ unit.T
    return {(int(a), int(b)): float(r[a, b]) for a, b in np.argwhere(np.triu(r >= _SAME, 1))}


def _far_closer(values: np.ndarray) -> dict[tuple[int, int], float]:
    """[m, d] -> pairs that are closer than their neighbours by far."""
    left = values - np.median(values, axis=0)
    left = _unit(left / (left.std(axis=0) + 1e-9 * (np.abs(values).max() + 1e-30)))
    m = len(left)
    sample = left[np.linspace(0, m - 1, min(m, _SAMPLE)).astype(np.int64)]
    squares = (sample @ sample.T)[np.triu_indices(len(sample), 1)] ** 2
    if np.median(squares) / 0.455 > 1 / MIN_EFFECTIVE:  # the median of a chi-square of 1 is 0.455 of its mean
        return {}
    closer = {}
    for a, b in _candidates(left):
        r = float(left[a] @ left[b])
        if r >= MIN_CORRELATION:
            others = max(_neighbours(left[a], sample), _neighbours(left[b], sample))
            if 1 - r <= (1 - others) / _CLOSER:
                closer[a, b] = r
    return closer


def _neighbours(row: np.ndarray, sample: np.ndarray) -> float:
    """Correlation with the rows that come after the few closest: those may be copies."""
    closest = np.sort(sample @ row)[::-1]
    return float(np.median(closest[4:_KNOWN]))


def _candidates(unit: np.ndarray) -> list[tuple[int, int]]:
    """[m, d] of length 1 -> pairs that share a hash: signs of random projections (Charikar 2002)."""
    planes = np.random.default_rng(20020519).standard_normal((unit.shape[1], _BITS * _TABLES))
    bits = (unit @ planes > 0).reshape(len(unit), _TABLES, _BITS)
    keys = bits @ (1 << np.arange(_BITS)).astype(np.int64)
    candidates: set[tuple[int, int]] = set()
    for table in range(_TABLES):
        order = np.argsort(keys[:, table], kind="stable")
        value = keys[order, table]
        for step in range(1, min(_CROWD, len(order))):
            same = np.flatnonzero(value[step:] == value[:-step])
            if not len(same):
                break
            a, b = order[same], order[same + step]
            candidates |= set(zip(np.minimum(a, b).tolist(), np.maximum(a, b).tolist(), strict=True))
    return sorted(candidates)


def _unit(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centred / (np.linalg.norm(centred, axis=1, keepdims=True) + 1e-12))

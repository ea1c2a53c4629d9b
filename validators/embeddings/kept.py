"""Features of a batch, computed once: kept in the batch, and by content for batches cut from the same samples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, usable
from validators.memo import Memo

Extractor = Callable[[Batch, np.ndarray], np.ndarray]  # batch, indices of usable rows -> [rows, D]
_Key = tuple[str, str, bytes]  # name of the features, modality, content
_MOST = 32_000_000  # float64: 256 MB
_MEMO: Memo[_Key, np.ndarray] = Memo(_MOST, size=lambda row: row.size)


def kept_features(batch: Batch, name: str, extract: Extractor) -> np.ndarray:
    """-> [B, D] float64 features, computed on first use and kept in `batch.cache[name]`.

    Every value is finite: rows that `usable` rejects are zeros, and whoever scores them must answer NaN; [B, 0] where
    no row is usable. Row i depends on sample i only.
    """
    if name not in batch.cache:
        rows = np.flatnonzero(usable(batch))
        if rows.size:
            features = _by_content(batch, name, rows, extract)
            out = np.zeros((len(batch), features.shape[1]))
            out[rows] = np.nan_to_num(features, nan=0.0, posinf=0.0, neginf=0.0)
        else:
            out = np.zeros((len(batch), 0))
        batch.cache[name] = out
    return batch.cache[name]


def content_key(signal: np.ndarray, rate_hz: float | None) -> bytes:
    """16 bytes of blake2b over values, shape, dtype and rate: equal for equal samples, whatever batch they stand in."""
    signal, rate = np.asarray(signal), float(rate_hz) if rate_hz else None
    digest = hashlib.blake2b(f"{signal.dtype} {signal.shape} {rate}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(signal).tobytes())
    return digest.digest()


def rate_of(batch: Batch) -> int:
    """Hz. Raises `UserError` where the batch has no sampling rate."""
    if not batch.rate_hz:
        raise UserError("a speech batch needs its sampling rate (rate_hz in Hz)")
    return int(batch.rate_hz)


def _by_content(batch: Batch, name: str, rows: np.ndarray, extract: Extractor) -> np.ndarray:
    """-> [rows, D] float64. Gates, the self-test and `uplift` cut batches of their own out of the same samples; each
    signal is looked at once."""
    keys: list[_Key] = [(name, batch.modality, content_key(batch.signals[i], batch.rate_hz)) for i in rows]
    remembered = [_MEMO.get(key) for key in keys]
    missing = np.asarray([row is None for row in remembered], dtype=bool)
    computed = iter(np.asarray(extract(batch, rows[missing]), dtype=np.float64) if missing.any() else ())
    features = np.stack([next(computed) if row is None else row for row in remembered])
    for key, row, new in zip(keys, features, missing, strict=True):
        if new:
            _MEMO.put(key, row.copy())
    return features


def vectors_of(batch: Batch) -> np.ndarray:
    """Feature vectors as they are, [B, D] float64; rows that cannot be used are zeros. Whoever compares them
    standardises by train. Raises `UserError` for vectors of unlike lengths."""
    if len(columns := sorted({s.size for s in batch.signals if s.size})) > 1:
        raise UserError(f"vectors of {', '.join(map(str, columns))} columns do not stand in one batch")
    if "plain" not in batch.cache:  # nothing is computed, so that nothing is worth remembering by content
        rows = np.flatnonzero(usable(batch))
        out = np.zeros((len(batch), columns[0] if rows.size else 0))
        for i in rows.tolist():
            out[i] = batch.signals[i].ravel()
        batch.cache["plain"] = out
    return batch.cache["plain"]


def as_they_are(batch: Batch, rows: np.ndarray) -> np.ndarray:
    """The vectors of these rows, [len(rows), D] float64."""
    return np.stack([np.asarray(batch.signals[i], dtype=np.float64).ravel() for i in rows])

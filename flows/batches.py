"""What gates see of stored samples: payloads decoded into a Batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpora.codecs import decode_image, decode_wav
from corpora.errors import PayloadError
from corpora.shards import iter_payloads
from validators.gate import Batch


def decode_signal(payload: bytes, modality: str) -> np.ndarray:
    """Harmonised payload -> speech [n] float32, face [H, W] uint8. Raises `PayloadError`."""
    if modality == "speech":
        signal, _ = decode_wav(payload)
        return np.ascontiguousarray(signal.mean(axis=1), dtype=np.float32)
    return decode_image(payload)


def batch_from_payloads(
    modality: str,
    ids: Sequence[str],
    emotions: Sequence[str],
    payloads: Sequence[bytes],
    *,
    sha256: Sequence[str],
    rate_hz: float | None,
    subjects: Sequence[str | None] = (),
    groups: Sequence[str] = (),
    source_ids: Sequence[Sequence[str]] = (),
) -> Batch:
    """Decodes; what cannot be decoded keeps its row with an empty signal and the reason."""
    empty = np.zeros(0, np.float32) if modality == "speech" else np.zeros((0, 0), np.uint8)
    signals: list[np.ndarray] = []
    errors: list[str | None] = []
    for payload in payloads:
        try:
            signals.append(decode_signal(payload, modality))
            errors.append(None)
        except PayloadError as error:
            signals.append(empty)
            errors.append(error.reason)
    return Batch(
        modality=modality,
        ids=tuple(ids),
        emotions=tuple(emotions),
        signals=signals,
        sha256=tuple(sha256),
        rate_hz=rate_hz if modality == "speech" else None,
        subjects=tuple(subjects) or (None,) * len(ids),
        groups=tuple(groups) or tuple(ids),
        source_ids=tuple(map(tuple, source_ids)) or ((),) * len(ids),
        errors=tuple(errors),
    )


def batch_from_table(folder: Path, table: pa.Table, modality: str, rate_hz: float | None) -> Batch:
    """Reads the payloads of `table` (SAMPLES) from the shards in `folder`, in the order of the shards."""
    rows, payloads = [], []
    for row, payload in iter_payloads(folder, table):
        rows.append(row)
        payloads.append(payload)
    return batch_from_payloads(
        modality,
        [r["sample_id"] for r in rows],
        [r["emotion"] for r in rows],
        payloads,
        sha256=[r["sha256"] for r in rows],
        rate_hz=rate_hz,
        subjects=[r["subject_id"] for r in rows],
        groups=[r["group_id"] for r in rows],
        source_ids=[r["source_ids"] or () for r in rows],
    )

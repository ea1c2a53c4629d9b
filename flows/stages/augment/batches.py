"""What gates see of stored samples: payloads decoded into a Batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpora.codecs import decode_image, decode_text, decode_wav
from corpora.errors import PayloadError, UserError
from corpora.signals import decode_signals
from corpora.store.shards import iter_payloads
from features.physio.steps import Resampling, resample
from validators.gate import Batch

Columns = tuple[tuple[str, int], ...]  # names of signals, sorted, and how many columns each has
Facts = Sequence[Mapping[str, object]]  # the record's `signals`: name, unit, rate_hz, shape of each
SHORTEST = 0.9  # of the longest signal of a trial: what all of them must cover
_EMPTY: dict[str, np.ndarray] = {
    "speech": np.zeros(0, np.float32),
    "text": np.zeros(0, np.uint8),
    "physio": np.zeros((0, 0), np.float32),
}


def decode_signal(payload: bytes, modality: str) -> np.ndarray:
    """Harmonised payload -> speech [n] float32, face [H, W] uint8, text [n] uint8 (its UTF-8), physio [T, C] float32.

    Raises `PayloadError`, of physio also lengths-differ: without rates, only signals of one length fit together.
    """
    if modality == "speech":
        signal, _ = decode_wav(payload)
        return np.ascontiguousarray(signal.mean(axis=1), dtype=np.float32)
    if modality == "text":
        decode_text(payload)
        return np.frombuffer(payload, np.uint8)
    if modality == "physio":
        trial: np.ndarray = _stacked(decode_signals(payload), 1.0)[0]
        return trial
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
    facts: Sequence[Facts | None] = (),
    dimensions: Mapping[str, Sequence[float | None]] | None = None,
) -> Batch:
    """Decodes; what cannot be decoded keeps its row with an empty signal and the reason.

    facts: of physio, the `signals` of each record. Signals of other rates are brought to `rate_hz` (polyphase filters);
    None: to no other, all must have one already, which becomes the batch's. Slugs of physio beside those of
    `decode_signals`: no-rate, rate-misfit, lengths-differ, other-channels (than most of the batch). Raises `UserError`
    where physio has several rates and `rate_hz` is None. dimensions: valence, arousal, dominance; None: not known.
    """
    empty = _EMPTY.get(modality, np.zeros((0, 0), np.uint8))
    signals: list[np.ndarray] = []
    errors: list[str | None] = []
    layouts: list[Columns | None] = []
    if modality == "physio" and facts:
        rate_hz = rate_hz or _only_rate(facts)
    for i, payload in enumerate(payloads):
        layout: Columns | None = None
        signal: np.ndarray
        try:
            if modality == "physio" and facts:
                signal, layout = _trial(payload, facts[i], rate_hz)
            else:
                signal = decode_signal(payload, modality)
            signals.append(signal)
            errors.append(None)
        except PayloadError as error:
            signals.append(empty)
            errors.append(error.reason)
        layouts.append(layout)
    usual = Counter(layout for layout in layouts if layout).most_common(1)
    for i, layout in enumerate(layouts):
        if layout and layout != usual[0][0]:
            signals[i], errors[i] = empty, "other-channels"
    return Batch(
        modality=modality,
        ids=tuple(ids),
        emotions=tuple(emotions),
        signals=signals,
        sha256=tuple(sha256),
        rate_hz=rate_hz if modality in ("speech", "physio") else None,
        subjects=tuple(subjects) or (None,) * len(ids),
        groups=tuple(groups) or tuple(ids),
        source_ids=tuple(map(tuple, source_ids)) or ((),) * len(ids),
        errors=tuple(errors),
        dimensions={
            name: np.asarray(values, np.float64)  # None becomes NaN
            for name, values in (dimensions or {}).items()
            if any(value is not None for value in values)
        },
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
        facts=[r["signals"] for r in rows] if modality == "physio" else (),
        dimensions={name: [r.get(name) for r in rows] for name in ("valence", "arousal", "dominance")},
    )


def _only_rate(facts: Sequence[Facts | None]) -> float | None:
    rates = sorted({float(str(s["rate_hz"])) for of in facts for s in of or () if s.get("rate_hz")})
    if len(rates) > 1:
        told = ", ".join(f"{rate:g}" for rate in rates)
        raise UserError(
            f"signals of {told} Hz do not stand in one array; name one rate: prepare.physio.resample.all_hz"
        )
    return rates[0] if rates else None


def _trial(payload: bytes, facts: Facts | None, rate_hz: float | None) -> tuple[np.ndarray, Columns]:
    """-> [T, C] float32 at `rate_hz`, and what its columns are."""
    arrays = decode_signals(payload)
    rates = {str(s["name"]): float(str(s["rate_hz"])) for s in facts or () if s.get("rate_hz")}
    if rate_hz is None or not set(arrays) <= set(rates):
        raise PayloadError("no-rate", f"no rate of {', '.join(sorted(set(arrays) - set(rates))) or 'any signal'}")
    floats = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    same, _ = resample(floats, {name: rates[name] for name in arrays}, Resampling(all_hz=rate_hz))
    return _stacked(same, SHORTEST)


def _stacked(arrays: Mapping[str, np.ndarray], shortest: float) -> tuple[np.ndarray, Columns]:
    """{name: [n] or [n, c]} of one rate -> [T, C] float32, names sorted, as long as the shortest; and its columns."""
    columns = {name: arrays[name].reshape(len(arrays[name]), -1) for name in sorted(arrays)}
    lengths = [len(column) for column in columns.values()]
    if min(lengths) < shortest * max(lengths):
        raise PayloadError("lengths-differ", f"signals of {min(lengths)} to {max(lengths)} values in one trial")
    found = np.concatenate([column[: min(lengths)] for column in columns.values()], axis=1)
    return found.astype(np.float32), tuple((name, column.shape[1]) for name, column in columns.items())

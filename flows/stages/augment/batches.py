"""What gates see of stored samples: payloads decoded into a Batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpora.codecs import decode_image, decode_text, decode_wav
from corpora.errors import PayloadError, UserError
from corpora.signals import VECTOR, decode_signals
from corpora.store.shards import iter_payloads
from corpora.tagged import content_sha256
from features.physio.steps import Resampling, resample
from features.representation import is_features, make_representation
from features.vectors import vector_of
from validators.gate import Batch

Columns = tuple[tuple[str, int], ...]  # names of signals, sorted, and how many columns each has
Facts = Sequence[Mapping[str, object]]  # the record's `signals`: name, unit, rate_hz, shape of each
# columns of SAMPLES that reach a gate: they stand in a Batch
SEEN = (
    *("sample_id", "sha256", "emotion", "subject_id", "group_id", "source_ids"),
    *("signals", "valence", "arousal", "dominance", "weight", "generator_id"),
)
SHORTEST = 0.9  # of the longest signal of a trial: what all of them must cover
_EMPTY: dict[str, np.ndarray] = {
    "speech": np.zeros(0, np.float32),
    "text": np.zeros(0, np.uint8),
    "physio": np.zeros((0, 0), np.float32),
    "vector": np.zeros(0, np.float32),
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


@dataclass(frozen=True, slots=True)
class Form:
    """The form in which gates see the samples of a run. `rate_hz`: of speech, and what signals of several rates are
    brought to; None: they have one already. `layout`: "" (signals of the modality) or "vector" (rows of features)."""

    modality: str
    rate_hz: float | None = None
    layout: str = ""

    @classmethod
    def of(cls, modality: str, rate_hz: float | None, representation: Mapping[str, Any] | None) -> Form:
        """Of a run's modality, the rate of its speech and its representation (name and parameters; None: it has none):
        signals are seen at the rate at which they are modelled."""
        if representation is None:
            return cls(modality, rate_hz)
        params = {key: value for key, value in representation.items() if key != "name"}
        built = make_representation(representation["name"], params)
        spec = built.spec
        if is_features(built):
            return cls(modality, None, "vector")
        return cls(modality, rate_hz or (spec.rate_hz if modality == "physio" else None))


@dataclass(frozen=True, slots=True)
class Stored:
    """Stored samples, column by column; row i of each is one. facts: the `signals` of each record (physiology needs
    their rates); subjects, groups: of whom; source_ids: of conversions; dimensions: valence, arousal, dominance, None
    where not known; weights: None counts 1; shares: soft labels, None: of the class alone. A column that is left out is
    not known of any row."""

    ids: Sequence[str]
    emotions: Sequence[str]
    payloads: Sequence[bytes]
    sha256: Sequence[str]
    facts: Sequence[Facts | None] = ()
    subjects: Sequence[str | None] = ()
    groups: Sequence[str] = ()
    source_ids: Sequence[Sequence[str]] = ()
    dimensions: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    weights: Sequence[float | None] = ()
    shares: Sequence[Mapping[str, float] | None] = ()


def batch_of(stored: Stored, form: Form) -> Batch:
    """Decodes; what cannot be decoded keeps its row with an empty signal and the reason.

    Signals of other rates are brought to the form's (polyphase filters). Slugs of physiology beside those of
    `decode_signals`: no-rate, rate-misfit, lengths-differ, other-channels (than most of the batch); of vectors:
    no-vector, other-columns (than most). Raises `UserError` where physiology has several rates and the form has none.
    """
    rate_hz = form.rate_hz
    if form.modality == "physio" and form.layout != "vector" and stored.facts:
        rate_hz = rate_hz or _only_rate(stored.facts)
    signals, errors = _decoded(stored, replace(form, rate_hz=rate_hz))
    n = len(stored.ids)
    return Batch(
        modality=form.modality,
        ids=tuple(stored.ids),
        emotions=tuple(stored.emotions),
        signals=signals,
        # what is equal but for whose it is, is equal: copies are searched for by content
        sha256=tuple(content_sha256(p, sha) for p, sha in zip(stored.payloads, stored.sha256, strict=True)),
        rate_hz=rate_hz if form.modality in ("speech", "physio") and form.layout != "vector" else None,
        subjects=tuple(stored.subjects) or (None,) * n,
        groups=tuple(stored.groups) or tuple(stored.ids),
        source_ids=tuple(map(tuple, stored.source_ids)) or ((),) * n,
        errors=tuple(errors),
        dimensions={
            name: np.asarray(values, np.float64)  # None becomes NaN
            for name, values in stored.dimensions.items()
            if any(value is not None for value in values)
        },
        layout=form.layout,
        weights=tuple(1.0 if w is None else w for w in stored.weights)
        if any(w is not None for w in stored.weights)
        else (),
        shares=tuple(stored.shares) if any(stored.shares) else (),
    )


def _decoded(stored: Stored, form: Form) -> tuple[list[np.ndarray], list[str | None]]:
    """-> signals, and why a row has none. Rows of other channels or columns than most have none either."""
    vectors = form.layout == "vector"
    empty = _EMPTY["vector"] if vectors else _EMPTY.get(form.modality, np.zeros((0, 0), np.uint8))
    signals: list[np.ndarray] = []
    errors: list[str | None] = []
    columns: list[Columns | None] = []
    for i, payload in enumerate(stored.payloads):
        own: Columns | None = None
        signal, error = empty, None
        try:
            if vectors:
                signal = vector_of(payload)
                own = ((VECTOR, len(signal)),)
            elif form.modality == "physio" and stored.facts:
                signal, own = _trial(payload, stored.facts[i], form.rate_hz)
            else:
                signal = decode_signal(payload, form.modality)
        except PayloadError as refused:
            error = refused.reason
        signals.append(signal)
        errors.append(error)
        columns.append(own)
    usual = Counter(own for own in columns if own).most_common(1)
    for i, own in enumerate(columns):
        if own and own != usual[0][0]:
            signals[i], errors[i] = empty, "other-columns" if vectors else "other-channels"
    return signals, errors


def batch_from_table(folder: Path, table: pa.Table, form: Form) -> Batch:
    """Reads the payloads of `table` (SAMPLES) from the shards in `folder`, in the order of the shards."""
    rows, payloads = [], []
    for row, payload in iter_payloads(
        folder, table, [name for name in (*SEEN, "labels") if name in table.schema.names]
    ):
        rows.append(row)
        payloads.append(payload)
    stored = Stored(
        [r["sample_id"] for r in rows],
        [r["emotion"] for r in rows],
        payloads,
        [r["sha256"] for r in rows],
        facts=[r["signals"] for r in rows],
        subjects=[r["subject_id"] for r in rows],
        groups=[r["group_id"] for r in rows],
        source_ids=[r["source_ids"] or () for r in rows],
        dimensions={name: [r.get(name) for r in rows] for name in ("valence", "arousal", "dominance")},
        weights=[r.get("weight") for r in rows],
        shares=[soft_label_of(r) for r in rows],
    )
    return batch_of(stored, form)


def soft_label_of(row: Mapping[str, Any]) -> dict[str, float] | None:
    """Class -> share of a synthetic row of SAMPLES that has a class and is not of it alone; None of all others: the
    labels of a real one are what its corpus says in other schemes."""
    if row.get("generator_id") is None or row["emotion"] is None or not row.get("labels"):
        return None
    return {entry["label"]: float(entry["weight"]) for entry in row["labels"]}


def _only_rate(facts: Sequence[Facts | None]) -> float | None:
    rates = sorted({float(str(s["rate_hz"])) for of in facts for s in of or () if s.get("rate_hz")})
    if len(rates) > 1:
        named = ", ".join(f"{rate:g}" for rate in rates)
        raise UserError(
            f"signals of {named} Hz do not stand in one array; name one rate: prepare.physio.resample.all_hz"
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
    trial = np.concatenate([column[: min(lengths)] for column in columns.values()], axis=1)
    return trial.astype(np.float32), tuple((name, column.shape[1]) for name, column in columns.items())

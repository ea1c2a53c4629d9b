"""What gates see: decoded samples, row by row, which of them can be used, and cuts of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from validators.maths.text.words import text_of


@dataclass(frozen=True, slots=True)
class Batch:
    """Decoded samples as gates see them; row i of every field is one sample.

    signals: speech [n_i] float32 in [-1, 1] at `rate_hz`; faces [H, W] uint8. An entry of length 0 could not be decoded
    and `errors` says why (a reason slug), else None. emotions: the true class, or the class that was asked for.
    sha256: of the payload. source_ids: of a conversion; empty for everything else. dimensions: valence, arousal,
    dominance -> [B] float64 in [-1, 1], as rated or as asked for; NaN: not known; a name may be missing. weights: what
    each sample counts in training, in [0, 1]; empty: each 1. shares: soft labels, class -> share (they sum to 1), of
    rows that have one beside their class; empty: no row has.

    layout "": signals of the modality, as above (texts: the bytes of their UTF-8; physiology: [T] or [T, C]). layout
    "vector": rows of features of whatever modality, [D] float32, all of one length and order of columns.
    """

    modality: str
    ids: tuple[str, ...]
    emotions: tuple[str, ...]
    signals: Sequence[np.ndarray]
    sha256: tuple[str, ...]
    rate_hz: float | None = None
    subjects: tuple[str | None, ...] = ()
    groups: tuple[str, ...] = ()
    source_ids: tuple[tuple[str, ...], ...] = ()
    errors: tuple[str | None, ...] = ()
    dimensions: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    layout: str = ""
    weights: tuple[float, ...] = ()
    shares: tuple[Mapping[str, float] | None, ...] = field(default=(), compare=False)
    # features by extractor name, filled by validators.embeddings.features on first use; never compared
    cache: dict[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def kind(self) -> str:
        """What the signals are: the modality, or "vector" whatever the modality."""
        return self.layout or self.modality


def usable(batch: Batch) -> np.ndarray:
    """-> [B] bool: the row was decoded, is not empty, and all its values are finite; a text: is UTF-8."""
    if batch.kind == "text":
        return np.asarray([s.size > 0 and text_of(np.asarray(s)) is not None for s in batch.signals], bool)
    return np.asarray([s.size > 0 and s.ndim in (1, 2, 3) and bool(np.isfinite(s).all()) for s in batch.signals], bool)


def relative_weights(batch: Batch) -> np.ndarray:
    """-> [B] float64, weights over the largest of them: 1 everywhere where all count the same. Their sum over a class
    is how many rows it has in the largest set that shows classes in the shares which a weighted training shows."""
    weights = np.asarray(batch.weights or (1.0,) * len(batch), np.float64)
    most = weights.max(initial=0.0)
    return weights / most if most > 0 else np.ones(len(batch))


def rows_by_class(batch: Batch) -> Batch:
    """What a trainer of hard labels reads: a row of a soft label once for each of its classes, with its share of the
    row's weight; the same batch where no row has one."""
    if not batch.shares:
        return batch
    parts = [
        (i, name, share)
        for i, shares in enumerate(batch.shares)
        for name, share in (shares or {batch.emotions[i]: 1.0}).items()
    ]
    rows = np.asarray([i for i, _, _ in parts], int)
    whole = batch.weights or (1.0,) * len(batch)
    weights = tuple(whole[i] * share for i, _, share in parts)
    emotions = tuple(name for _, name, _ in parts)
    return dataclasses.replace(rows_of(batch, rows), emotions=emotions, weights=weights, shares=())


def rows_of(batch: Batch, rows: np.ndarray) -> Batch:
    """The samples at integer or boolean `rows`, with what of their features is already known."""
    index = np.flatnonzero(rows) if rows.dtype == bool else rows
    cut: dict[str, Any] = {}
    for item in dataclasses.fields(Batch):
        value = getattr(batch, item.name)
        if item.name in ("cache", "dimensions"):
            cut[item.name] = {key: array[index] for key, array in value.items()}
        elif item.name == "signals":
            cut["signals"] = [value[i] for i in index]
        elif isinstance(value, tuple):
            cut[item.name] = tuple(value[i] for i in index) if value else ()
        else:
            cut[item.name] = value
    return Batch(**cut)

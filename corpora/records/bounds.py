"""What the sizes, rates and values of a record may be. Wide: beyond them lies a wrong unit or a damaged header.

One odd file is a counted reject when it is read (`out_of_bounds`); the checks of the whole index (validators/tables.py)
take the same bounds, and so fail where a reader is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from corpora.schema import Sample
from corpora.signals import MAX_SIGNALS, is_vector

# kind of record -> fact -> lowest, highest. rate_hz: the slowest signal's.
BOUNDS: dict[str, dict[str, tuple[float, float]]] = {
    "speech": {"rate_hz": (4000, 192_000), "channels": (1, 64), "duration_s": (0.01, 3600)},
    "face": {"height_px": (8, 20_000), "width_px": (8, 20_000)},
    "text": {"characters": (1, 1_000_000)},
    "physio": {"n_signals": (1, MAX_SIGNALS), "rate_hz": (0.01, 100_000), "duration_s": (0.01, 86_400)},
    "vector": {"n_signals": (1, 1)},  # rows of features, of whatever modality: neither rate nor duration
}
# of every modality, where they are known
VALUES: dict[str, tuple[float, float]] = {
    "intensity": (0.0, 1.0),
    "age": (0.0, 120.0),
    "valence": (-1.0, 1.0),
    "arousal": (-1.0, 1.0),
    "dominance": (-1.0, 1.0),
    "weight": (0.0, 1.0),
}
CODECS: dict[str, tuple[str, ...]] = {
    "speech": ("wav",),
    "face": ("png", "jpg", "bmp", "tiff", "pgm", "ppm", "gif", "webp"),
    "text": ("txt",),
    "physio": ("npz",),
    "vector": ("npz",),
}
_SLUGS = {
    "rate_hz": "rate-out-of-range",
    "channels": "channels-out-of-range",
    "n_signals": "signals-out-of-range",
    "height_px": "size-out-of-range",
    "width_px": "size-out-of-range",
    "characters": "size-out-of-range",
    "duration_s": "duration-out-of-range",
}


_values, _UNKNOWN = attrgetter(*VALUES), (None,) * len(VALUES)


def facts_of(modality: str, signals: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """The `signals` column of one record -> rate_hz, channels, height_px, width_px, characters, n_signals, where the
    modality has them."""
    facts: dict[str, float | None] = {"n_signals": float(len(signals))}
    if not signals:
        return facts
    shape = [float(size) for size in signals[0]["shape"] or ()]
    rates = [signal["rate_hz"] for signal in signals if signal["rate_hz"] is not None]
    facts["rate_hz"] = min(rates) if rates else None
    if modality == "speech" and len(shape) == 2:
        facts["channels"] = shape[1]
    elif modality == "face" and len(shape) >= 2:
        facts["height_px"], facts["width_px"] = shape[0], shape[1]
    elif modality == "text" and shape:
        facts["characters"] = shape[0]
    return facts


def out_of_bounds(sample: Sample) -> tuple[str, str] | None:
    """(slug, detail) of the first fact of a record beyond its bounds, None where all are within.

    Slugs: rate-, channels-, signals-, size-, duration-, value-out-of-range, unknown-codec.
    """
    if sample.modality not in BOUNDS:
        return None  # the check of the index says it, and which modalities there are
    kind = "vector" if is_vector(sample.signals) else sample.modality
    facts = facts_of(sample.modality, sample.signals)
    facts["duration_s"] = sample.duration_s
    for fact, (low, high) in BOUNDS[kind].items():
        value = facts.get(fact)
        if value is None or not low <= value <= high:
            shown = "not known" if value is None else f"{value:g}"
            return _SLUGS[fact], f"{fact} is {shown}; {low:g} to {high:g} is expected"
    values = _values(sample)
    for (name, (low, high)), value in zip(VALUES.items(), values if values != _UNKNOWN else (), strict=False):
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            return "value-out-of-range", f"{name} is {value:g}; {low:g} to {high:g} is expected"
    if sample.codec not in CODECS[kind]:
        return "unknown-codec", f"codec {sample.codec!r}; known: {', '.join(CODECS[kind])}"
    return None

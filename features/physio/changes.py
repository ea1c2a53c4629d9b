"""Signals of a payload changed in place: the arrays that change are written anew, everything else of it stays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from corpora.schema import Payload
from corpora.signals import decode_signals, encode_signals


def with_changes(source: Payload, changes: Mapping[str, np.ndarray]) -> Payload:
    """The npz with {name: [n] or [n, channels]} added to its signals; names, units, rates, lengths, duration stay.

    A change of zeros leaves its signal as it is; zeros alone leave the payload as it is, byte for byte.
    Raises `PayloadError` as `decode_signals` does, and non-finite where a sum is beyond float32.
    """
    told = {name: change for name, change in changes.items() if change.any()}
    if not told:
        return source
    arrays = decode_signals(source.data)
    for name, change in told.items():
        arrays[name] = arrays[name].astype(np.float64) + change
    return Payload(encode_signals(arrays), source.codec, source.signals, source.duration_s)

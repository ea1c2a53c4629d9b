"""Features without a way back: a vector of named numbers, which is its own payload.

No file of the modality can be made from them, so `decode` gives the vector itself: an npz with one float32 array
"features" [D] and no duration, as rows of features in a table of a corpus have it (corpora/signals.py). Names and units
of the columns are `spec.rows` and `spec.units`; a release keeps them in the schema of features.parquet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpora.errors import PayloadError
from corpora.schema import Payload, Signal
from corpora.signals import VECTOR, decode_signals, encode_signals
from features.representation import Spec


def vector_spec(name: str, columns: Sequence[str], units: Sequence[str]) -> Spec:
    """The spec of a vector with these columns. Raises ValueError where a name stands twice."""
    if len(set(columns)) != len(columns):
        raise ValueError(f"{name}: two columns have one name")
    return Spec(name=name, shape=(len(columns),), layout="vector", rows=tuple(columns), units=tuple(units))


def vector_of(data: bytes) -> np.ndarray:
    """The npz of a vector -> [D] float32. Raises `PayloadError`: no-vector, or what the decoder says."""
    arrays = decode_signals(data)
    if set(arrays) != {VECTOR} or arrays[VECTOR].ndim != 1:
        raise PayloadError("no-vector", f"arrays {', '.join(sorted(arrays))}; one array {VECTOR!r} [D] is wanted")
    return np.ascontiguousarray(arrays[VECTOR], dtype=np.float32)


class VectorRepresentation:
    """What representations without a way back share: the payload that is the vector. They bring `spec` and `encode`."""

    spec: Spec
    lossless = False
    way_back = False

    def decode(self, array: np.ndarray) -> Payload:
        """[D] float32 -> npz with one array "features". Raises `PayloadError`: wrong-shape, non-finite."""
        if array.shape != self.spec.shape:
            raise PayloadError("wrong-shape", f"{array.shape}; {self.spec.name} has {self.spec.shape}")
        if not np.isfinite(array).all():
            raise PayloadError("non-finite", f"{int((~np.isfinite(array)).sum())} of {array.size} features")
        vector = np.asarray(array, dtype=np.float32)
        return Payload(encode_signals({VECTOR: vector}), "npz", (Signal(VECTOR, "", None, vector.shape),))

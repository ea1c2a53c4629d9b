"""Rows of features that a corpus was published as: the payload is the vector already, nothing is computed or lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload
from features.physio.rows import require_units
from features.representation import Known, Spec
from features.vectors import VectorRepresentation, vector_of, vector_spec

if TYPE_CHECKING:  # what decodes a sample needs none of the code that prepares one
    from features.physio.prepare import SignalSteps


class TableRepresentation(VectorRepresentation):
    """npz with one array "features" <-> [D] float32: rows of a corpus that was published as features.

    `columns`: names of the features, in their order; not given: those of the corpora (`extra["features"]` of records).
    """

    modality = "physio"
    lossless = True

    def __init__(self, columns: Sequence[str] = ()) -> None:
        if isinstance(columns, str) or not all(isinstance(column, str) and column for column in columns):
            raise ParamsError(f"representation features: columns is {columns!r}; a list of names is wanted.")
        if len(set(columns)) != len(columns):
            raise ParamsError("representation features: two columns have one name.")
        self._spec = vector_spec(f"features{len(columns)}", columns, [""] * len(columns)) if columns else None

    @classmethod
    def settled(cls, params: Mapping[str, Any], known: Known) -> dict[str, Any]:
        """What params leave open, from what is known of the corpora. Raises `ParamsError` where that does not say."""
        columns = list(params.get("columns") or known.columns)
        if not columns:
            raise ParamsError("representation features: the corpora hold signals or files, no rows of features")
        return dict(params) | {"columns": columns}

    def require(self, steps: SignalSteps) -> SignalSteps:
        """Steps that leave units alone. Raises `ParamsError` as `require_units` does."""
        return require_units(steps)

    @property
    def spec(self) -> Spec:  # type: ignore[override]
        """Raises `ParamsError` before a run is planned, where params name no columns."""
        if self._spec is None:
            raise ParamsError("representation features: columns are settled when a run is planned; name them here")
        return self._spec

    def encode(self, payload: Payload) -> np.ndarray:
        """npz -> [D] float32. Raises `PayloadError`: no-vector, other-columns, or what the decoder says."""
        vector = vector_of(payload.data)
        if vector.shape != self.spec.shape:
            raise PayloadError("other-columns", f"{len(vector)} features; the representation has {self.spec.shape[0]}")
        return vector

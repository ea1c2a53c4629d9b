"""Ridge regression of dimensions (valence, arousal, dominance)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from corpora.errors import UserError
from validators.trials.classifiers.protocol import TrainRows, finite_rows
from validators.trials.classifiers.scaling import Scaler, ScalingParams


class RidgeParams(ScalingParams):
    """Of `ridge`."""

    alpha: float = Field(100.0, gt=0, le=1e9, description="strength of the penalty on squared slopes")


@dataclass(frozen=True, slots=True)
class FittedRidge:
    """models: scikit-learn's of each dimension, or None where train knows fewer than two values of it."""

    scaler: Scaler
    models: tuple[Any, ...]

    def predictions(self, x: np.ndarray) -> np.ndarray:
        finite_rows("ridge", "test", x)
        z = self.scaler.apply(x)
        out = np.full((len(z), len(self.models)), np.nan, np.float32)
        for m, model in enumerate(self.models):
            if model is not None:
                out[:, m] = model.predict(z)
        return out


@dataclass(frozen=True, slots=True)
class RidgeDimensions:
    """One regression a dimension, each on the rows whose value of it is known."""

    params: RidgeParams
    name: str = "ridge"
    Params: ClassVar = RidgeParams

    def fit_dimensions(
        self,
        x: np.ndarray,
        targets: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        seed: int,
        reference: np.ndarray | None = None,
    ) -> FittedRidge:
        from sklearn.linear_model import Ridge

        rows = TrainRows.of(self.name, x, np.asarray(targets, np.float64), weights, reference)
        if np.isinf(rows.targets).any():
            raise UserError(f"ridge: {int(np.isinf(rows.targets).sum())} targets are infinite; leave them out (NaN).")
        scaler = Scaler.fit(rows.x[rows.reference], self.params)
        z = scaler.apply(rows.x)
        models: list[Any] = []
        for values in rows.targets.T:
            known = np.isfinite(values)
            weight = None if rows.weights is None else rows.weights[known]
            model = Ridge(alpha=self.params.alpha, solver="cholesky")
            models.append(model.fit(z[known], values[known], sample_weight=weight) if known.sum() >= 2 else None)
        if all(model is None for model in models):
            raise UserError(
                "ridge: train knows fewer than two values of every dimension; choose a corpus that has them."
            )
        return FittedRidge(scaler, tuple(models))

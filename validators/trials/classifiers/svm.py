"""Support vector machines, linear and with an RBF kernel: libsvm's, one against one, with scores of one against the
rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from validators.trials.classifiers.protocol import Layout, TrainRows, finite_rows, known_classes, over_all_classes
from validators.trials.classifiers.scaling import Scaler, ScalingParams

_CACHE_MB = 500


class LinearSvmParams(ScalingParams):
    """Of `linear_svm`."""

    C: float = Field(0.1, gt=0, le=1e6, description="weight of what is on the wrong side of the margin")


class RbfSvmParams(ScalingParams):
    """Of `svm`."""

    C: float = Field(1.0, gt=0, le=1e6, description="weight of what is on the wrong side of the margin")
    gamma: float | None = Field(
        None, gt=0, le=1e6, description="width of the kernel; null: 1 / (features x variance of the real train rows)"
    )


@dataclass(frozen=True, slots=True)
class FittedSvm:
    """present: [P] the classes that train has; model: scikit-learn's, of places in `present`.

    Scores are its one-vs-rest values: votes of the pairs, plus margins that only break ties. So the largest is the
    answer of SVC.predict with break_ties.
    """

    name: str
    scaler: Scaler
    model: Any
    present: np.ndarray
    n_classes: int

    def answers(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        finite_rows(self.name, "test", x)
        scores = self.model.decision_function(self.scaler.apply(x))
        if scores.ndim == 1:  # of two classes, scikit-learn gives the margin of the second
            scores = np.stack([-scores, scores], axis=1)
        return over_all_classes(scores, self.present, self.n_classes, absent=-np.inf)


@dataclass(frozen=True, slots=True)
class LinearSvm:
    """Linear kernel."""

    params: LinearSvmParams
    name: str = "linear_svm"
    probabilities: bool = False
    layouts: frozenset[Layout] = frozenset({"vector"})
    Params: ClassVar = LinearSvmParams

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        n_classes: int,
        seed: int,
        reference: np.ndarray | None = None,
    ) -> FittedSvm:
        rows = TrainRows.of(self.name, x, y, weights, reference)
        scaler = Scaler.fit(rows.x[rows.reference], self.params)
        return _fitted(self.name, "linear", self.params.C, 1.0, rows, scaler, n_classes)


@dataclass(frozen=True, slots=True)
class RbfSvm:
    """RBF kernel, of a width that synthetic rows do not move."""

    params: RbfSvmParams
    name: str = "svm"
    probabilities: bool = False
    layouts: frozenset[Layout] = frozenset({"vector"})
    Params: ClassVar = RbfSvmParams

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        n_classes: int,
        seed: int,
        reference: np.ndarray | None = None,
    ) -> FittedSvm:
        rows = TrainRows.of(self.name, x, y, weights, reference)
        scaler = Scaler.fit(rows.x[rows.reference], self.params)
        gamma = self.params.gamma
        if gamma is None:  # scikit-learn's "scale", of the reference rows
            real = scaler.apply(rows.x[rows.reference])
            variance = float(real.var())
            gamma = 1.0 / (real.shape[1] * variance) if variance > 0 else 1.0
        return _fitted(self.name, "rbf", self.params.C, gamma, rows, scaler, n_classes)


def _fitted(
    name: str,
    kernel: Literal["linear", "rbf"],
    c: float,
    gamma: float,
    rows: TrainRows,
    scaler: Scaler,
    n_classes: int,
) -> FittedSvm:
    from sklearn.svm import SVC

    present, places = known_classes(name, rows.targets, n_classes)
    model = SVC(C=c, kernel=kernel, gamma=gamma, decision_function_shape="ovr", cache_size=_CACHE_MB)
    model.fit(scaler.apply(rows.x), places, sample_weight=rows.weights)
    return FittedSvm(name, scaler, model, present, n_classes)

"""Multinomial logistic regression; for several labels a sample, one regression a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from corpora.errors import UserError
from validators.trials.classifiers.protocol import Layout, TrainRows, finite_rows, known_classes, over_all_classes
from validators.trials.classifiers.scaling import Scaler, ScalingParams

TOLERANCE = 1e-5  # of the gradient of the mean loss; probabilities are then within about 2e-4 of the optimum
MAX_STEPS = 2000


class LogisticParams(ScalingParams):
    """Of `logistic`."""

    C: float = Field(0.1, gt=0, le=1e6, description="inverse strength of the penalty")
    threshold: float = Field(0.5, gt=0, lt=1, description="several labels: probability from which a label is answered")


@dataclass(frozen=True, slots=True)
class FittedLogistic:
    """present: [P] the classes that train has; model: scikit-learn's, of places in `present`."""

    scaler: Scaler
    model: Any
    present: np.ndarray
    n_classes: int

    def answers(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        finite_rows("logistic", "test", x)
        scores = self.model.predict_proba(self.scaler.apply(x))
        return over_all_classes(scores, self.present, self.n_classes, absent=0.0)


@dataclass(frozen=True, slots=True)
class FittedLogisticLabels:
    """models: one a label; a plain number where all of train has or lacks it."""

    scaler: Scaler
    models: tuple[Any, ...]
    threshold: float

    def answers(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        finite_rows("logistic", "test", x)
        z = self.scaler.apply(x)
        scores = np.empty((len(z), len(self.models)), np.float32)
        for k, model in enumerate(self.models):
            scores[:, k] = model if isinstance(model, float) else model.predict_proba(z)[:, 1]
        return scores >= self.threshold, scores


@dataclass(frozen=True, slots=True)
class Logistic:
    """Scikit-learn's, with an l2 penalty that does not touch the intercepts."""

    params: LogisticParams
    name: str = "logistic"
    probabilities: bool = True
    layouts: frozenset[Layout] = frozenset({"vector"})
    Params: ClassVar = LogisticParams

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        n_classes: int,
        seed: int,
        reference: np.ndarray | None = None,
    ) -> FittedLogistic:
        rows = TrainRows.of(self.name, x, y, weights, reference)
        present, places = known_classes(self.name, rows.targets, n_classes)
        scaler = Scaler.fit(rows.x[rows.reference], self.params)
        model = self._model().fit(scaler.apply(rows.x), places, sample_weight=rows.weights)
        return FittedLogistic(scaler, model, present, n_classes)

    def fit_labels(
        self,
        x: np.ndarray,
        targets: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        seed: int,
        reference: np.ndarray | None = None,
    ) -> FittedLogisticLabels:
        rows = TrainRows.of(self.name, x, np.asarray(targets, bool), weights, reference)
        scaler = Scaler.fit(rows.x[rows.reference], self.params)
        z = scaler.apply(rows.x)
        models: list[Any] = []
        for k, has in enumerate(rows.targets.T):
            weight = rows.weights if rows.weights is None or rows.weights.ndim == 1 else rows.weights[:, k]
            constant = has.all() or not has.any()
            models.append(float(has[0]) if constant else self._model().fit(z, has, sample_weight=weight))
        if all(isinstance(model, float) for model in models):
            raise UserError("logistic: no label has train rows with and without it; there is nothing to tell apart.")
        return FittedLogisticLabels(scaler, tuple(models), self.params.threshold)

    def _model(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.params.C, tol=TOLERANCE, max_iter=MAX_STEPS)

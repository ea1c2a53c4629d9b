"""Gradient boosting on histograms of the features: small trees, no early stop, nothing at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from corpora.params import StrictParams
from validators.trials.classifiers.protocol import Layout, TrainRows, finite_rows, known_classes, over_all_classes
from validators.trials.classifiers.scaling import Scaler, ScalingParams


class BoostingParams(StrictParams):
    """Of `boosting`. Trees ask only for the order of a feature's values, so features are not scaled."""

    rounds: int = Field(50, ge=1, le=10_000, description="trees of each class")
    leaves: int = Field(8, ge=2, le=1024, description="leaves of a tree")
    rate: float = Field(0.1, gt=0, le=1, description="learning rate")
    l2: float = Field(1.0, ge=0, le=1e6, description="penalty of the values of leaves")
    bins: int = Field(64, ge=2, le=255, description="bins of a feature's values")
    components: int | None = Field(
        None, ge=1, le=100_000, description="principal components of standardised features; null: the features"
    )


@dataclass(frozen=True, slots=True)
class FittedBoosting:
    """present: [P] the classes that train has; model: scikit-learn's, of places in `present`."""

    scaler: Scaler
    model: Any
    present: np.ndarray
    n_classes: int

    def answers(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        finite_rows("boosting", "test", x)
        scores = self.model.predict_proba(self.scaler.apply(x))
        return over_all_classes(scores, self.present, self.n_classes, absent=0.0)


@dataclass(frozen=True, slots=True)
class Boosting:
    """Scikit-learn's HistGradientBoostingClassifier. Weights count in losses, not in the least size of a leaf."""

    params: BoostingParams
    name: str = "boosting"
    probabilities: bool = True
    layouts: frozenset[Layout] = frozenset({"vector"})
    Params: ClassVar = BoostingParams

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        n_classes: int,
        seed: int,
        reference: np.ndarray | None = None,
    ) -> FittedBoosting:
        from sklearn.ensemble import HistGradientBoostingClassifier

        p = self.params
        rows = TrainRows.of(self.name, x, y, weights, reference)
        present, places = known_classes(self.name, rows.targets, n_classes)
        scaling = ScalingParams(scaling="none" if p.components is None else "standard", components=p.components)
        scaler = Scaler.fit(rows.x[rows.reference], scaling)
        model = HistGradientBoostingClassifier(
            max_iter=p.rounds,
            max_leaf_nodes=p.leaves,
            learning_rate=p.rate,
            l2_regularization=p.l2,
            max_bins=p.bins,
            early_stopping=False,
            random_state=seed % 2**32,
        )
        model.fit(scaler.apply(rows.x), places, sample_weight=rows.weights)
        return FittedBoosting(scaler, model, present, n_classes)

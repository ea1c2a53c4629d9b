"""What a linear classifier of the corpus' own train split sees: the "trained" embedding where there are no pictures.

Texts and signals have no image for the small network, and hashed words need none: what tells classes apart in them is
nearly linear. The classifier is that of `agreement` (validators/maths/judges.py), fitted without the samples it is
asked of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, rows_of, usable
from validators.embeddings.features import PLAIN, features_of
from validators.embeddings.projection import Projection
from validators.maths.judges import components_of, fit_linear, linear_logits
from validators.state import arrays_hash

INVERSE_PENALTY = 0.03  # scikit-learn's C, as `agreement` has it


class LinearEmbedding:
    """The k logits of a multinomial logistic regression on hand-made features, less their mean, projected.

    They have rank k - 1, so `dim` is k - 1 at most. Logits of train are more sure of themselves than those of other
    samples: distances are compared with a floor in the same space, never with 0.
    """

    def __init__(self, features: str, inner: Projection, judge: Mapping[str, np.ndarray], outer: Projection) -> None:
        self.features, self._inner, self._judge, self._outer = features, inner, dict(judge), outer
        self.dim = outer.components.shape[0]
        arrays = {**inner.arrays("inner."), **self._judge, **outer.arrays("outer.")}
        self.name = f"{features}-linear/{arrays_hash(arrays)}"

    @classmethod
    def fit(cls, train: Batch, *, classes: Sequence[str], dims: int, whiten: bool = False) -> LinearEmbedding:
        """Raises `UserError` where fewer than 2 of the classes have a usable sample in train."""
        batch = rows_of(train, usable(train) & np.isin(np.asarray(train.emotions, dtype=str), classes))
        there = [name for name in classes if name in set(batch.emotions)]
        if len(there) < 2:
            raise UserError(f"a classifier needs 2 classes with usable train samples; there are {len(there)}.")
        features = PLAIN[train.kind]
        x = features_of(batch, features)
        inner = Projection.fit(x, components_of(train.kind, None))
        target = np.asarray([there.index(name) for name in batch.emotions])
        judge = fit_linear(inner.apply(x), target, len(there), {"inverse_penalty": INVERSE_PENALTY})
        logits = _centred(linear_logits(judge, inner.apply(x)))
        return cls(features, inner, judge, Projection.fit(logits, min(dims, len(there) - 1), whiten=whiten))

    def embed(self, batch: Batch) -> np.ndarray:
        """-> [B, dim] float64; NaN rows where the sample cannot be used."""
        if self.name not in batch.cache:  # several gates ask for the same points
            ok = usable(batch)
            out = np.full((len(batch), self.dim), np.nan)
            if ok.any():
                x = self._inner.apply(features_of(batch, self.features)[ok])
                out[ok] = self._outer.apply(_centred(linear_logits(self._judge, x)))
            batch.cache[self.name] = out
        return batch.cache[self.name]


def _centred(logits: np.ndarray) -> np.ndarray:
    """A constant for all classes says nothing of any."""
    centred: np.ndarray = logits - logits.mean(axis=1, keepdims=True)
    return centred

"""From many features to few coordinates: standardised, clipped, on principal components of real train samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch
from validators.embeddings.features import plain_features
from validators.maths.principal import directions
from validators.maths.sets import column_scale


@dataclasses.dataclass(frozen=True)
class Projection:
    """Standardise each column, clip at 10 standard deviations, project on the leading principal components.

    mean, scale [D]; components [d, D]. The clip keeps one wild functional (a jitter of nearly nothing) from owning the
    distance; it is far outside of what real samples show.
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, dims: int, *, whiten: bool = False) -> Projection:
        """x [n, D] float64, n >= 2 -> at most `dims` components, never more than min(n - 1, D); `whiten`: each of unit
        variance on x, else they keep their own."""
        mean, spread = x.mean(axis=0), x.std(axis=0)
        scale = column_scale(spread, mean)  # a constant column stays 0
        standard = standardised(x, mean, scale)
        standard -= standard.mean(axis=0)
        components, squares = directions(standard, max(1, min(dims, len(x) - 1, x.shape[1])))
        if whiten:
            spreads = np.sqrt(squares / max(len(x) - 1, 1))
            components = components / np.where(spreads > 1e-6 * spreads[0], spreads, np.inf)[:, None]
        return cls(mean, scale, components)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """[n, D] -> [n, d] float64. Raises `UserError` where D is not that of `fit`: other channels, another rate."""
        if x.ndim != 2 or x.shape[1] != self.mean.size:
            raise UserError(f"features {x.shape} where [n, {self.mean.size}] were learned: other channels or rate?")
        projected: np.ndarray = standardised(x, self.mean, self.scale) @ self.components.T
        return projected

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """mean, scale and components under names that begin with `prefix`, for `save_state`."""
        return {f"{prefix}{f.name}": np.ascontiguousarray(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> Projection:
        """What `arrays(prefix)` gave. Raises `KeyError` where one of them is missing."""
        return cls(*(arrays[f"{prefix}{f.name}"] for f in dataclasses.fields(cls)))


def standardised(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """[n, D] -> [n, D] float64, standardised and clipped, in one array of its size: n may be all of train."""
    standard = np.subtract(x, mean, dtype=np.float64)
    standard /= scale
    np.clip(standard, -10.0, 10.0, out=standard)
    return standard


def plain_components(batch: Batch, projection: Projection) -> np.ndarray:
    """-> [B, d] float64: the hand-made features of the modality, projected."""
    return projection.apply(plain_features(batch))

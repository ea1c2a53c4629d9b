"""Coordinates in which sets are compared, of every kind: the one file that knows all embeddings.

An `Embedding` is fitted on train. Its name holds the hash of its weights: numbers from different embeddings are never
compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from corpora.errors import UnknownNameError
from features.pretrained.packages import packaged
from validators.batch import Batch, usable
from validators.embeddings.encoders import PathEmbedding, weights_hash
from validators.embeddings.features import FEATURES, PLAIN, encoders_in, features_of, titled
from validators.embeddings.images import IMAGES
from validators.embeddings.linear import LinearEmbedding
from validators.embeddings.network import TrainedEmbedding
from validators.embeddings.projection import Projection
from validators.state import arrays_hash

FROM_PATH = "path:"  # an embedding of this beginning is an encoder, loaded from the rest


class Embedding(Protocol):
    """Coordinates in which sets are compared. Fitted on real train samples only."""

    name: str  # kind and hash of the weights
    dim: int

    def embed(self, batch: Batch) -> np.ndarray:
        """-> [B, dim] float64; NaN rows where the sample cannot be used."""
        ...


class PlainEmbedding:
    """Principal components of standardised features ("functionals", "hog", ... or of a packaged encoder): no
    training."""

    def __init__(self, features: str, projection: Projection) -> None:
        self.features, self.projection = features, projection
        self.dim = projection.components.shape[0]
        self.name = f"{titled(features)}-pca{self.dim}/{arrays_hash(projection.arrays(''))}"

    @classmethod
    def fit(cls, train: Batch, features: str, *, dims: int = 32, whiten: bool = False) -> PlainEmbedding:
        """`features`: a name of `features_of` for the modality; `whiten`: columns of unit variance on train."""
        return cls(features, Projection.fit(features_of(train, features)[usable(train)], dims, whiten=whiten))

    def embed(self, batch: Batch) -> np.ndarray:
        """-> [B, dim] float64; NaN rows where the sample cannot be used."""
        x, ok = features_of(batch, self.features), usable(batch)
        out = np.full((len(batch), self.dim), np.nan)
        if ok.any():
            out[ok] = self.projection.apply(x[ok])
        return out


class JoinedEmbedding:
    """Two embeddings side by side: one learned what tells emotions apart, the other knows no labels."""

    def __init__(self, parts: Sequence[Embedding]) -> None:
        self.parts = tuple(parts)
        self.dim = sum(part.dim for part in parts)
        self.name = "&".join(part.name for part in parts)

    def embed(self, batch: Batch) -> np.ndarray:
        """-> [B, dim] float64; NaN rows where the sample cannot be used."""
        return np.concatenate([part.embed(batch) for part in self.parts], axis=1)


def fit_embedding(
    kind: str,
    train: Batch,
    *,
    classes: Sequence[str],
    seed: int,
    dims: int,
    whiten: bool = False,
    options: Mapping[str, Any],
) -> Embedding:
    """kind: "trained" (the small network, `options` go to `fit_encoder`; of texts, physiology and vectors, which have
    no picture for it, a linear classifier), the hand-made features ("functionals", "hog", "ngrams", "paces", "plain"),
    "both", side by side with `dims` each, an encoder of an installed package ("minilm"), or "path:FOLDER", one from a
    path (validators/embeddings/encoders.py).

    Raises `UnknownNameError` for anything else, `UserError` for a folder that holds no encoder of the modality, and for
    an encoder that is not installed.
    """
    if kind.startswith(FROM_PATH):
        return PathEmbedding.fit(kind.removeprefix(FROM_PATH), train, dims=dims, whiten=whiten)
    plain = PLAIN[train.kind]
    if kind == "both":
        return JoinedEmbedding(
            [
                fit_embedding(k, train, classes=classes, seed=seed, dims=dims, whiten=whiten, options=options)
                for k in ("trained", plain)
            ]
        )
    if kind == "trained" and train.kind not in IMAGES:
        return LinearEmbedding.fit(train, classes=classes, dims=dims, whiten=whiten)
    if kind == "trained":
        return TrainedEmbedding.fit(train, classes=classes, seed=seed, dims=dims, whiten=whiten, options=options)
    packed = [name for name in FEATURES[train.kind] if encoders_in(name)]
    if kind != plain and kind not in packed:
        known = ("trained", plain, "both", *packed, f"{FROM_PATH}FOLDER")
        raise UnknownNameError.of(f"embedding of {train.kind}", kind, known)
    return PlainEmbedding.fit(train, kind, dims=dims, whiten=whiten)


def weights_named(kind: str) -> str:
    """Hash of the weights that an embedding "path:FOLDER" or of a packaged encoder loads, "" for other kinds. Raises
    `UserError`."""
    if encoders_in(kind):
        return packaged(kind).weights()
    if not kind.startswith(FROM_PATH):
        return ""
    return weights_hash(kind.removeprefix(FROM_PATH))

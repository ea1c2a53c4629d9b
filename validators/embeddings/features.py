"""Hand-made features of samples by name: functionals or log-mel for speech, HOG or pixels for faces, hashed n-grams for
texts, levels and paces for physiology."""

from __future__ import annotations

import numpy as np

from corpora.errors import UnknownNameError
from features.faces.hog import hog_features
from features.physio.paces import trial_features
from features.speech.functionals import functionals_matrix
from features.text.ngrams import hashed_ngrams
from validators.batch import Batch
from validators.embeddings.images import FACE_SIDE, faces_at, mel_rows, pixel_rows
from validators.embeddings.kept import Extractor, as_they_are, kept_features, rate_of, vectors_of
from validators.maths.text.words import text_of


def features_of(batch: Batch, name: str) -> np.ndarray:
    """-> [B, D] float64 features, computed on first use and kept in `batch.cache[name]`; see `kept_features`.

    name: functionals, mel (speech); hog, pixels (faces); ngrams (texts); paces (physiology); plain (vectors: as they
    are; whoever compares them standardises by train, see `Projection`). Rows that cannot be used
    are zeros.

    Raises `UnknownNameError` for a name that the modality does not have, `UserError` for vectors of unlike lengths.
    """
    known = FEATURES.get(batch.kind, {})
    if name not in known:
        raise UnknownNameError.of(f"feature extractor of {batch.kind}", name, known)
    if batch.kind == "vector":
        return vectors_of(batch)
    return kept_features(batch, name, known[name])


def plain_features(batch: Batch) -> np.ndarray:
    """-> [B, D] float64: the hand-made features of the batch's modality (`PLAIN`)."""
    return features_of(batch, PLAIN[batch.kind])


def _functionals(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return functionals_matrix([batch.signals[i] for i in rows], rate_of(batch))


def _hog(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return hog_features(faces_at([batch.signals[i] for i in rows], FACE_SIDE))


def _ngrams(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return hashed_ngrams([text_of(np.asarray(batch.signals[i])) or "" for i in rows])


def _paces(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return trial_features([batch.signals[i] for i in rows], float(batch.rate_hz or 0.0))


FEATURES: dict[str, dict[str, Extractor]] = {
    "speech": {"functionals": _functionals, "mel": mel_rows},
    "face": {"hog": _hog, "pixels": pixel_rows},
    "text": {"ngrams": _ngrams},
    "physio": {"paces": _paces},
    "vector": {"plain": as_they_are},
}
# by kind of batch: the hand-made features
PLAIN = {"speech": "functionals", "face": "hog", "text": "ngrams", "physio": "paces", "vector": "plain"}

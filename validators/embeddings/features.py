"""Features of samples by name: hand-made ones (functionals or log-mel for speech, HOG or pixels for faces, hashed
n-grams for texts, levels and paces for physiology), and those of encoders that installed packages carry."""

from __future__ import annotations

import numpy as np

from corpora.errors import UnknownNameError
from features.faces.hog import hog_features
from features.faces.identity import face_points
from features.physio.paces import trial_features
from features.pretrained.packages import ENCODERS, packaged
from features.speech.functionals import functionals_matrix
from features.text.minilm import minilm
from features.text.ngrams import hashed_ngrams
from validators.batch import Batch
from validators.embeddings.images import FACE_SIDE, faces_at, mel_rows, pixel_rows
from validators.embeddings.kept import Extractor, as_they_are, kept_features, rate_of, vectors_of
from validators.maths.text.words import text_of


def features_of(batch: Batch, name: str) -> np.ndarray:
    """-> [B, D] float64 features, computed on first use and kept in `batch.cache[name]`; see `kept_features`.

    name: functionals, mel, speaker_ge2e (speech); hog, pixels, face_dlib (faces); ngrams, minilm (texts); paces
    (physiology); plain (vectors: as they are; whoever compares them standardises by train, see `Projection`); or
    several, joined by + and side by side in this order. Rows that cannot be used are zeros.

    Raises `UnknownNameError` for a name that the modality does not have, `UserError` for vectors of unlike lengths and
    for an encoder that is not installed.
    """
    if "+" in name:
        return np.concatenate([features_of(batch, part) for part in name.split("+")], axis=1)
    known = FEATURES.get(batch.kind, {})
    if name not in known:
        raise UnknownNameError.of(f"feature extractor of {batch.kind}", name, known)
    if batch.kind == "vector":
        return vectors_of(batch)
    return kept_features(batch, titled(name), known[name])


def plain_features(batch: Batch) -> np.ndarray:
    """-> [B, D] float64: the hand-made features of the batch's modality (`PLAIN`)."""
    return features_of(batch, PLAIN[batch.kind])


def encoders_in(features: str) -> tuple[str, ...]:
    """ "ngrams+minilm" -> those of them that installed packages carry: ("minilm",)."""
    return tuple(name for name in features.split("+") if name in ENCODERS)


def titled(features: str) -> str:
    """ "ngrams+minilm" -> "ngrams+minilm@VERSION#HASH", as it stands in numbers. Raises `UserError` for an encoder that
    is not installed."""
    return "+".join(packaged(name).title() if name in ENCODERS else name for name in features.split("+"))


def known_features(features: str) -> str:
    """What was given, where every part of it is a name of `FEATURES`, of whatever modality. Raises
    `UnknownNameError`."""
    names = {name for of_kind in FEATURES.values() for name in of_kind}
    for name in features.split("+"):
        if name not in names:
            raise UnknownNameError.of("features", name, names)
    return features


def _functionals(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return functionals_matrix([batch.signals[i] for i in rows], rate_of(batch))


def _speaker(batch: Batch, rows: np.ndarray) -> np.ndarray:
    from features.speech.speaker import COLUMNS, speaker_encoder  # torch, which `emoforge check` does without

    encoder, rate = speaker_encoder(), rate_of(batch)
    return np.asarray([encoder.encode(batch.signals[i], rate) for i in rows]).reshape(len(rows), COLUMNS)


def _hog(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return hog_features(faces_at([batch.signals[i] for i in rows], FACE_SIDE))


def _face(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return face_points(faces_at([batch.signals[i] for i in rows], FACE_SIDE))


def _ngrams(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return hashed_ngrams([text_of(np.asarray(batch.signals[i])) or "" for i in rows])


def _minilm(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return minilm().encode([text_of(np.asarray(batch.signals[i])) or "" for i in rows])


def _paces(batch: Batch, rows: np.ndarray) -> np.ndarray:
    return trial_features([batch.signals[i] for i in rows], float(batch.rate_hz or 0.0))


FEATURES: dict[str, dict[str, Extractor]] = {
    "speech": {"functionals": _functionals, "mel": mel_rows, "speaker_ge2e": _speaker},
    "face": {"hog": _hog, "pixels": pixel_rows, "face_dlib": _face},
    "text": {"ngrams": _ngrams, "minilm": _minilm},
    "physio": {"paces": _paces},
    "vector": {"plain": as_they_are},
}
# by kind of batch: the hand-made features
PLAIN = {"speech": "functionals", "face": "hog", "text": "ngrams", "physio": "paces", "vector": "plain"}

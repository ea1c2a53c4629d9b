"""Samples as pictures of one size: gray faces, and recordings as a log-mel image that fills its time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpora.errors import UserError
from features.speech.logmel import time_normalised_logmel
from validators.batch import Batch
from validators.embeddings.kept import Extractor, kept_features, rate_of

FACE_SIDE = 48  # pixels; faces of any size are compared at this one, so that features of all sets have one length
MEL_BANDS, MEL_COLUMNS = 40, 64  # columns of the time-normalised log-mel image


def mel_of(batch: Batch) -> np.ndarray:
    """Speech -> [B, 2560] float64 dB, rows of 40 bands by 64 columns of time; zeros where a row is not usable, [B, 0]
    where none is."""
    return kept_features(batch, "mel", mel_rows)


def mel_rows(batch: Batch, rows: np.ndarray) -> np.ndarray:
    """Speech, indices of usable rows -> [rows, 2560] float32 dB."""
    rate = rate_of(batch)
    return np.stack([time_normalised_logmel(batch.signals[i], rate, MEL_COLUMNS).ravel() for i in rows])


def pixel_rows(batch: Batch, rows: np.ndarray) -> np.ndarray:
    """Faces, indices of usable rows -> [rows, 2304] uint8."""
    return faces_at([batch.signals[i] for i in rows], FACE_SIDE).reshape(len(rows), -1)


def encoder_images(batch: Batch) -> np.ndarray:
    """-> [B, H, W] float64: what the encoder looks at (time-normalised log-mel in dB, or gray levels).

    Raises `UserError` for texts, physiology and rows of features: there is no picture of them.
    """
    if batch.kind not in IMAGES:
        raise UserError(f"no network looks at {batch.kind}; judges and embeddings of it are linear or hand-made")
    name, shape, rows = IMAGES[batch.kind]
    features = kept_features(batch, name, rows)
    return features.reshape(len(batch), *shape) if features.size else np.zeros((len(batch), *shape))


def faces_at(signals: Sequence[np.ndarray], side: int) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3] each -> [B, side, side] uint8: luminance, resized bilinearly where the size differs."""
    from PIL import Image

    out = np.zeros((len(signals), side, side), dtype=np.uint8)
    for i, signal in enumerate(signals):
        if signal.shape == (side, side):
            out[i] = signal
            continue
        picture = Image.fromarray(np.ascontiguousarray(signal, dtype=np.uint8)).convert("L")
        out[i] = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))
    return out


# what the encoder looks at: name of the features, height and width, how they are computed
IMAGES: dict[str, tuple[str, tuple[int, int], Extractor]] = {
    "speech": ("mel", (MEL_BANDS, MEL_COLUMNS), mel_rows),
    "face": ("pixels", (FACE_SIDE, FACE_SIDE), pixel_rows),
}

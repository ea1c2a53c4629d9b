"""A face's place among faces as what a generator models: a vector, without a way back to a face."""

from __future__ import annotations

import numpy as np

from corpora.codecs import decode_image
from corpora.errors import PayloadError
from corpora.schema import Payload
from features.faces.identity import COLUMNS, NAME, face_points
from features.vectors import VectorRepresentation, vector_spec


class FaceRepresentation(VectorRepresentation):
    """png, jpg -> [128] float32: a face's place in dlib's face recognition network, without a way back to a face.

    Needs the extra `pretrained-faces` (docs/encoders.md). Grey pictures of any size, cropped to the face. It tells
    people apart, and emotions little. Nothing is learned here.
    """

    modality = "face"
    encoders = (NAME,)

    def __init__(self) -> None:
        self.spec = vector_spec(NAME, [f"{NAME}_{i}" for i in range(COLUMNS)], [""] * COLUMNS)

    def encode(self, payload: Payload) -> np.ndarray:
        """Grey image file -> [128] float32. Raises `PayloadError`: not-grey, or what the decoder says; `UserError`
        where the network is not installed."""
        pixels = decode_image(payload.data)
        if pixels.ndim != 2:
            raise PayloadError("not-grey", f"the {payload.codec} has shape {pixels.shape}: prepare it first")
        return face_points(pixels[None])[0]

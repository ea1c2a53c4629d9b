"""Whose face is it? dlib's face recognition network (King 2017, after He et al. 2016): points of faces, 128 numbers.

The network is read from the file that the package face-recognition-models carries (CC0) and run by dlib. Pictures come
as they are prepared, cropped to the face: the landmark models that lie beside it are not used, for one of them is for
non-commercial use, and so faces are not turned upright first as its authors do.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

import numpy as np

from corpora.errors import UserError
from features.pretrained.packages import packaged

NAME = "face_dlib"
COLUMNS = 128
_SIDE = 150  # pixels of what it looks at


def face_points(pictures: np.ndarray) -> np.ndarray:
    """[B, H, W] uint8 grey faces -> [B, 128] float32; two of one person lie within about 0.6 where they are upright.

    Row i depends on picture i only. Raises `UserError` where the network is not installed or its file is damaged.
    """
    import cv2

    encoder = packaged(NAME)
    encoder.require()
    network = _loaded(str(encoder.paths()[0]), encoder.title())
    out = np.zeros((len(pictures), COLUMNS), np.float32)
    for row, picture in enumerate(pictures):
        large = cv2.resize(np.ascontiguousarray(picture), (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        chip = np.ascontiguousarray(np.repeat(large[:, :, None], 3, axis=2))
        out[row] = np.asarray(network.compute_face_descriptor(chip))
    return out


@lru_cache(maxsize=1)
def _loaded(path: str, title: str) -> Any:
    dlib = importlib.import_module("dlib")  # by name: whoever has no faces needs it not
    try:
        return dlib.face_recognition_model_v1(path)
    except RuntimeError as error:
        raise UserError(f"{title}: its file is no network that dlib reads ({error}); install it again") from error

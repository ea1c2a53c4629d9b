"""Grey images as arrays for generators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from corpora.codecs import decode_image, encode_png
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload, Signal
from features.representation import Spec, require_array

if TYPE_CHECKING:  # what decodes a sample needs none of the code that prepares one
    from features.faces.prepare import FaceSteps


class PixelRepresentation:
    """png <-> [1, size, size] float32 in [-1, 1]. `size`: pixels of a side, a multiple of 8: U-Nets halve it."""

    modality = "face"
    lossless = True
    way_back = True

    def __init__(self, size: int = 48) -> None:
        if not 16 <= size <= 512 or size % 8:
            raise ParamsError(f"representation pixels: size is {size}; allowed are multiples of 8 from 16 to 512.")
        self.size = size
        self.spec = Spec(name=f"grey{size}", shape=(1, size, size), bounds=(-1.0, 1.0))

    def require(self, steps: FaceSteps) -> FaceSteps:
        """See `grey_steps`."""
        return grey_steps(steps, self.size)

    def encode(self, payload: Payload) -> np.ndarray:
        """Grey image file of size x size -> [1, size, size] float32, 0..255 mapped linearly to -1..1.

        Raises `PayloadError`: wrong-size, not-grey, or what the decoder says of a broken file.
        """
        pixels = grey_pixels(payload, self.size)
        return (pixels.astype(np.float32) / np.float32(127.5) - np.float32(1.0))[None]

    def decode(self, array: np.ndarray) -> Payload:
        """[1, size, size] float32 -> png; values beyond [-1, 1] are clipped.

        Raises `PayloadError`: wrong-shape, non-finite.
        """
        require_array(array, self.spec)
        return png_of((np.clip(array[0].astype(np.float64), -1.0, 1.0) + 1.0) * 127.5)

    def edit(self, source: Payload, before: np.ndarray, after: np.ndarray) -> Payload:
        """The source's own grey levels plus those by which its array changed, rounded once, clipped at 0 and 255.

        A change of less than half a level everywhere leaves the source as it is: its bytes, its codec. Raises
        `PayloadError`: those of `encode`, wrong-shape, non-finite.
        """
        require_array(before, self.spec)
        require_array(after, self.spec)
        pixels = grey_pixels(source, self.size).astype(np.float64)
        levels = np.rint((after[0].astype(np.float64) - before[0]) * 127.5)
        return png_of(pixels + levels) if levels.any() else source


def png_of(levels: np.ndarray) -> Payload:
    """[H, W] float64 grey levels -> payload of a png; rounded, clipped to 0..255."""
    grey = np.rint(np.clip(levels, 0.0, 255.0)).astype(np.uint8)
    return Payload(encode_png(grey), "png", (Signal("image", "grey level", None, grey.shape),))


def grey_steps(steps: FaceSteps, size: int) -> FaceSteps:
    """Steps that make grey pictures of `size`. Raises `ParamsError` where they name another size, or colour."""
    if steps.size.px not in (None, size):
        raise ParamsError(f"prepare.face.size.px is {steps.size.px}, the representation's {size}")
    if steps.colour.mode != "grey":
        raise ParamsError(f"prepare.face.colour.mode is {steps.colour.mode}, the representation takes grey")
    return steps.model_copy(update={"size": steps.size.model_copy(update={"px": size})})


def grey_pixels(payload: Payload, size: int) -> np.ndarray:
    """Grey image file -> [size, size] uint8. Raises `PayloadError`: wrong-size, not-grey, or what the decoder says."""
    pixels = decode_image(payload.data)
    if pixels.ndim != 2:
        raise PayloadError("not-grey", f"the {payload.codec} has shape {pixels.shape}: prepare it first")
    if pixels.shape != (size, size):
        raise PayloadError("wrong-size", f"{pixels.shape[0]} x {pixels.shape[1]}; wanted {size} x {size}")
    return pixels

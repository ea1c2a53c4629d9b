"""Faces: flips, crops, erased boxes, brightness. Pictures keep their size, grey stays grey and colour colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from corpora.codecs import decode_image, encode_png
from corpora.errors import PayloadError
from corpora.schema import Payload
from generators.classical.method import (
    MethodParams,
    Range,
    Unfitted,
    log_uniform,
    require_changed,
    require_codec,
    uniform,
    within,
)


def pixels_of(payload: Payload) -> np.ndarray:
    """png -> uint8 [H, W] or [H, W, 3]. Raises `PayloadError`: wrong-codec, or what the decoder says."""
    require_codec(payload, "png")
    return decode_image(payload.data)


def with_pixels(payload: Payload, pixels: np.ndarray) -> Payload:
    """The payload with other pixels of the same shape. Raises `PayloadError` unchanged."""
    require_changed(pixels_of(payload), pixels)
    return Payload(encode_png(np.ascontiguousarray(pixels)), payload.codec, payload.signals, payload.duration_s)


class FlipParams(MethodParams):
    """Flips have nothing to set."""


class Flip:
    """Left and right change places. Always: the study decides which samples are flipped."""

    Params: ClassVar = FlipParams
    varies: ClassVar[bool] = False
    fit = Unfitted.fit

    def __init__(self, params: FlipParams | None = None) -> None:
        self.params = params or FlipParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Same size. Raises `PayloadError`: unchanged (a picture that is its own mirror image), or what the decoder
        says."""
        return with_pixels(payload, pixels_of(payload)[:, ::-1])


class CropParams(MethodParams):
    """Parameters of crops."""

    area: Annotated[Range, within(0.01, 1)] = Field(
        (0.7, 1.0), description="least and largest share of the picture that is kept"
    )
    aspect: Annotated[Range, within(0.1, 10)] = Field(
        (0.9, 1.1), description="narrowest and widest shape of the crop against the picture's own"
    )


class Crop(Unfitted):
    """A random part of the picture, brought to its size (Szegedy et al. 2015, Going deeper with convolutions, CVPR,
    section 6), by bicubic interpolation. An aspect that does not fit into the picture is brought to the nearest that
    does."""

    Params: ClassVar = CropParams

    def __init__(self, params: CropParams | None = None) -> None:
        self.params = params or CropParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Same size. Raises `PayloadError`: flat (every pixel has one value), unchanged, or what the decoder says."""
        pixels = pixels_of(payload)
        p = self.params
        if p.area == (1, 1) and p.aspect == (1, 1):
            return payload
        require_not_flat(pixels)
        height, width = pixels.shape[:2]
        area = uniform(rng, p.area)
        aspect = float(np.clip(log_uniform(rng, p.aspect), area, 1 / area))
        high, wide = height * np.sqrt(area / aspect), width * np.sqrt(area * aspect)
        top, left = rng.uniform(0, max(height - high, 0.0)), rng.uniform(0, max(width - wide, 0.0))
        box = (left, top, min(left + wide, width), min(top + high, height))
        from PIL import Image

        resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box=box)
        return with_pixels(payload, np.asarray(resized, dtype=np.uint8))


class EraseParams(MethodParams):
    """Parameters of erased boxes."""

    area: Annotated[Range, within(0, 0.9)] = Field(
        (0.02, 0.4), description="least and largest share of the picture that is erased, drawn evenly"
    )
    aspect: Annotated[Range, within(0.1, 10)] = Field(
        (0.3, 1 / 0.3), description="narrowest and widest shape of the box against the picture's own"
    )
    fill: Literal["noise", "mean"] = Field(
        "noise", description="noise: each value drawn evenly from 0 to 255; mean: the picture's mean level"
    )


class Erase(Unfitted):
    """One box filled with noise or one level (Zhong et al. 2020, Random erasing data augmentation, AAAI; RE-R and
    RE-M there). Of the aspects those are drawn that fit, where the paper draws area and aspect again until they do: so
    large areas are as frequent as they are asked for."""

    Params: ClassVar = EraseParams

    def __init__(self, params: EraseParams | None = None) -> None:
        self.params = params or EraseParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Same size; the box has the area that was drawn, to within half a row or column. Raises `PayloadError`:
        too-small (no box of whole pixels is that small, or only the whole picture), unchanged, or what the decoder
        says."""
        pixels = pixels_of(payload)
        p = self.params
        if p.area == (0, 0):
            return payload
        height, width = pixels.shape[:2]
        area = uniform(rng, p.area)
        aspect = float(np.clip(log_uniform(rng, p.aspect), area, 1 / area)) if area > 0 else 1.0
        high = int(np.clip(round(height * np.sqrt(area / aspect)), 1, height))
        wide = min(round(area * height * width / high), width)
        if wide == 0 or high * wide == height * width:
            raise PayloadError("too-small", f"{height} x {width} pixels: no box is {100 * area:.1f} % of them")
        top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
        erased = pixels.copy()
        box = erased[top : top + high, left : left + wide]
        if p.fill == "noise":
            box[...] = rng.integers(0, 256, size=box.shape, dtype=np.uint8)
        else:
            box[...] = np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8)
        return with_pixels(payload, erased)


class BrightnessParams(MethodParams):
    """Parameters of brightness."""

    factor: Annotated[Range, within(0.1, 10)] = Field(
        (0.75, 1 / 0.75), description="darkest and brightest, 1 = as it is; each ratio is as likely as its inverse"
    )


class Brightness(Unfitted):
    """Every level times one factor, to whole levels; what goes beyond 255 is 255."""

    Params: ClassVar = BrightnessParams

    def __init__(self, params: BrightnessParams | None = None) -> None:
        self.params = params or BrightnessParams()

    def apply(self, payload: Payload, rng: np.random.Generator, *, others: Sequence[Payload] = ()) -> Payload:
        """Same size. Raises `PayloadError`: unchanged (black stays black, and white white), or what the decoder
        says."""
        pixels = pixels_of(payload)
        factor = log_uniform(rng, self.params.factor)
        if factor == 1:
            return payload
        return with_pixels(payload, np.clip(np.rint(pixels * factor), 0, 255).astype(np.uint8))


def require_not_flat(pixels: np.ndarray) -> None:
    """Raises `PayloadError` flat where every pixel has one value."""
    if (pixels == pixels[:1, :1]).all():
        raise PayloadError("flat", f"all {pixels.shape[0]} x {pixels.shape[1]} pixels are alike")

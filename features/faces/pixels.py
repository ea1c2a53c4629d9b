"""Grey images as arrays for generators, and histograms of oriented gradients for classical classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from corpora.codecs import decode_image, encode_png
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload, Signal
from features.representation import Spec
from features.vectors import VectorRepresentation, vector_spec

if TYPE_CHECKING:  # what decodes a sample needs none of the code that prepares one
    from features.faces.prepare import FaceSteps

_BLOCK_EPS = 1e-5
_HYSTERESIS = 0.2
_BLOCK = 2  # cells of a block's side
_CELLS = ("upper_left", "upper_right", "lower_left", "lower_right")  # of a block, in the order of its columns


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
        if array.shape != self.spec.shape:
            raise PayloadError("wrong-shape", f"{array.shape}; {self.spec.name} has {self.spec.shape}")
        if not np.isfinite(array).all():
            raise PayloadError("non-finite", f"{int((~np.isfinite(array)).sum())} pixels are NaN or infinite")
        grey = np.rint((np.clip(array[0].astype(np.float64), -1.0, 1.0) + 1.0) * 127.5)
        image = Signal("image", "grey level", None, grey.shape)
        return Payload(encode_png(grey.astype(np.uint8)), "png", (image,))


class HogRepresentation(VectorRepresentation):
    """png -> [D] float32: histograms of oriented gradients, without a way back to a face.

    Columns are named by their block, their cell in it and their direction ("r0_c0_upper_left_90deg": an edge whose
    gradient points down). Parameters: `size`, pixels of a side; `cell`, pixels of a cell's side; `orientations`, bins
    of 180 degrees. D is 900 for 48, 8, 9.
    """

    modality = "face"

    def __init__(self, size: int = 48, cell: int = 8, orientations: int = 9) -> None:
        if not 4 <= cell <= 64 or not 16 <= size <= 512 or size % 8 or size < _BLOCK * cell:
            raise ParamsError(
                f"representation hog: size is {size}, cell {cell}; allowed are multiples of 8 from 16 to 512, "
                f"and cells of 4 to 64 pixels of which {_BLOCK} fit on a side."
            )
        if not 2 <= orientations <= 36:
            raise ParamsError(f"representation hog: orientations is {orientations}; allowed are 2 to 36.")
        self.size, self.cell, self.orientations = size, cell, orientations
        blocks = range(size // cell - _BLOCK + 1)
        degrees = [f"{180.0 * o / orientations:g}deg" for o in range(orientations)]
        columns = [f"r{r}_c{c}_{part}_{d}" for r in blocks for c in blocks for part in _CELLS for d in degrees]
        self.spec = vector_spec(f"hog{size}-{cell}px-{orientations}", columns, [""] * len(columns))

    def require(self, steps: FaceSteps) -> FaceSteps:
        """See `grey_steps`."""
        return grey_steps(steps, self.size)

    def encode(self, payload: Payload) -> np.ndarray:
        """Grey image file of size x size -> [D] float32.

        Raises `PayloadError`: wrong-size, not-grey, or what the decoder says of a broken file.
        """
        image = grey_pixels(payload, self.size)
        return hog_features(image[None], orientations=self.orientations, cell=self.cell, block=_BLOCK)[0]


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


def hog_features(images: np.ndarray, *, orientations: int = 9, cell: int = 8, block: int = 2) -> np.ndarray:
    """[B, H, W] uint8 -> [B, D] float32: histograms of oriented gradients, L2-Hys blocks.

    D = (H // cell - block + 1) * (W // cell - block + 1) * block**2 * orientations: 900 for 48 x 48. Dalal & Triggs
    2005 (https://doi.org/10.1109/CVPR.2005.177) in the form of `skimage.feature.hog` (unsigned gradients, hard
    binning), for a whole batch at once. Raises `ValueError` if an image holds fewer than block x block cells.
    """
    if images.ndim != 3:
        raise ValueError(f"hog_features wants [B, H, W], got shape {images.shape}")
    rows, columns = images.shape[1] // cell, images.shape[2] // cell
    if rows < block or columns < block:
        raise ValueError(f"images of {images.shape[1:]} hold {rows} x {columns} cells; a block needs {block} x {block}")
    pieces = [_hog_batch(part, orientations, cell, block) for part in _chunks(images, 256)]
    width = (rows - block + 1) * (columns - block + 1) * block * block * orientations
    return np.concatenate(pieces) if pieces else np.zeros((0, width), dtype=np.float32)


def _chunks(images: np.ndarray, size: int) -> list[np.ndarray]:
    return [images[i : i + size] for i in range(0, len(images), size)]


def _hog_batch(images: np.ndarray, orientations: int, cell: int, block: int) -> np.ndarray:
    x = images.astype(np.float64)
    down, across = np.zeros_like(x), np.zeros_like(x)  # the border keeps gradient 0, as in skimage
    down[:, 1:-1] = x[:, 2:] - x[:, :-2]
    across[:, :, 1:-1] = x[:, :, 2:] - x[:, :, :-2]
    magnitude = np.hypot(across, down)
    angle = np.rad2deg(np.arctan2(down, across)) % 180.0
    bins = np.minimum((angle * (orientations / 180.0)).astype(np.int64), orientations - 1)
    b, rows, columns = len(x), x.shape[1] // cell, x.shape[2] // cell
    cells = np.zeros((b, rows, columns, orientations))
    for o in range(orientations):
        part = np.where(bins == o, magnitude, 0.0)[:, : rows * cell, : columns * cell]
        cells[..., o] = part.reshape(b, rows, cell, columns, cell).sum(axis=(2, 4)) / (cell * cell)
    windows = np.lib.stride_tricks.sliding_window_view(cells, (block, block), axis=(1, 2))  # [b, r, c, o, block, block]
    flat = windows.transpose(0, 1, 2, 4, 5, 3).reshape(b, rows - block + 1, columns - block + 1, -1)
    flat = flat / np.sqrt((flat**2).sum(axis=-1, keepdims=True) + _BLOCK_EPS**2)
    flat = np.minimum(flat, _HYSTERESIS)
    flat = flat / np.sqrt((flat**2).sum(axis=-1, keepdims=True) + _BLOCK_EPS**2)
    return flat.reshape(b, -1).astype(np.float32)

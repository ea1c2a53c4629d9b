"""Histograms of oriented gradients as what a generator models: a vector, without a way back to a face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import ParamsError
from corpora.schema import Payload
from features.faces.hog import hog_features
from features.faces.pixels import grey_pixels, grey_steps
from features.vectors import VectorRepresentation, vector_spec

if TYPE_CHECKING:  # what encodes a sample needs none of the code that prepares one
    from features.faces.prepare import FaceSteps

_BLOCK = 2  # cells of a block's side
_CELLS = ("upper_left", "upper_right", "lower_left", "lower_right")  # of a block, in the order of its columns


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

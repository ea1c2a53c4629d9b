"""Faces by their oriented energy: how strong edges of each direction and width are in each cell of a grid.

Histograms of oriented gradients see an expression as more or fewer edges of a direction in a place. So a class effect
is described that way, and brought back by gains on the *source's own* edges: the picture is split into bands of
direction and width (Freeman & Adelson 1991; Simoncelli & Freeman 1995, "The steerable pyramid": bands that sum to the
picture), each band is multiplied by a gain that goes smoothly from cell to cell, and what that changes is added. Lines
of the brows and the mouth grow or fade where they are; whose face it is, its light and its contrast stay. Where a gain
cannot draw what is not there (teeth of an open mouth), `level`, the blurred picture, moves by an offset.

Adding differences of mean pictures instead moves few of these features, and most of it the wrong way: edges of means
are blurred, and lie across the source's own (docs/experiments/faces.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload
from features.faces.pixels import grey_pixels, grey_steps, png_of
from features.representation import Spec, require_array
from features.vectors import vector_spec

if TYPE_CHECKING:  # what decodes a sample needs none of the code that prepares one
    from features.faces.prepare import FaceSteps

WAVELENGTHS_PX = (4.0, 8.0, 16.0)  # middles of the bands; finer edges count with the first, wider ones are the level
MAX_LOG_GAIN = 1.5  # of amplitude: 13 dB; beyond it what grows is the noise of the picture
_FLOOR = 1.0  # grey levels squared: less is rounding, and has no direction
_CONTRAST = 2.5  # grey levels: lowest standard deviation that levels are told in
_ROUNDS, _STEP = 3, 0.7  # bands overlap: gains are corrected by what they reached


class OrientedEnergyRepresentation:
    """Grey png <-> [D] float32: log energy of edges by cell, width and direction, and the blurred picture.

    Columns "r3_c2_8px_45deg": ln of the rms amplitude of that band (edges 8 pixels wide, across 45 degrees; 0 is an
    edge between left and right) in the cell of row 3 and column 2, less the mean over the picture, so that contrast is
    none of it. "r3_c2_level": mean of the blurred picture there, in standard deviations of the picture about its own
    mean. `size`: pixels of a side; `cell`: of a cell, a divisor of it; `orientations`: 2 to 12. The way back is `edit`;
    an array alone is no picture, so generators other than conversions cannot use it.
    """

    modality = "face"
    lossless = True  # an edit by nothing is the source, byte for byte
    way_back = True
    needs_source = True  # `decode` cannot: what a generator draws without a source is no payload

    def __init__(self, size: int = 48, cell: int = 8, orientations: int = 8) -> None:
        if not 32 <= size <= 512 or size % 8:
            raise ParamsError(f"representation oriented_energy: size is {size}; allowed are multiples of 8, 32 to 512.")
        if not 4 <= cell <= size // 2 or size % cell:
            raise ParamsError(f"representation oriented_energy: cell is {cell}; allowed are divisors of {size} from 4.")
        if not 2 <= orientations <= 12:
            raise ParamsError(f"representation oriented_energy: orientations is {orientations}; allowed are 2 to 12.")
        self.size, self.cells, self.orientations = size, size // cell, orientations
        bands = [f"{w:g}px_{180 * k / orientations:g}deg" for w in WAVELENGTHS_PX for k in range(orientations)]
        columns = [f"r{r}_c{c}_{b}" for b in (*bands, "level") for r in range(self.cells) for c in range(self.cells)]
        units = ["ln"] * (len(bands) * self.cells**2) + [""] * self.cells**2
        self.spec: Spec = vector_spec(f"oriented{size}-{cell}-{orientations}", columns, units)

    def require(self, steps: FaceSteps) -> FaceSteps:
        """See `grey_steps`."""
        return grey_steps(steps, self.size)

    def encode(self, payload: Payload) -> np.ndarray:
        """Grey image file of size x size -> [D] float32.

        Raises `PayloadError`: wrong-size, not-grey, or what the decoder says of a broken file.
        """
        return self._described(grey_pixels(payload, self.size).astype(np.float64)).astype(np.float32)

    def decode(self, array: np.ndarray) -> Payload:
        """Raises `PayloadError` needs-source: gains are of a real picture's edges, which `edit` has."""
        require_array(array, self.spec)
        raise PayloadError("needs-source", "oriented energies make no picture of their own; generate by conversion")

    def edit(self, source: Payload, before: np.ndarray, after: np.ndarray) -> Payload:
        """The source with its edges stronger or weaker, and its blurred picture lighter or darker, by what changed.

        Grey levels are rounded once and clipped at 0 and 255; where none moves by half a level the source comes back
        as it is. Raises `PayloadError`: those of `encode`, wrong-shape, non-finite.
        """
        require_array(before, self.spec)
        require_array(after, self.spec)
        moved = after.astype(np.float64) - before
        pixels = grey_pixels(source, self.size).astype(np.float64)
        if not moved.any():
            return source
        levels = np.rint(self._added(pixels, moved))
        return png_of(pixels + levels) if levels.any() else source

    def _split(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[D] -> energies [bands, cells, cells], levels [cells, cells]"""
        grid = values.reshape(-1, self.cells, self.cells)
        return grid[:-1], grid[-1]

    def _described(self, pixels: np.ndarray) -> np.ndarray:
        bank = _bank(self.size, self.cells, self.orientations)
        bands, blurred = bank.bands(pixels)
        energies = bank.log_amplitudes(bands)
        levels = bank.pooled((blurred - pixels.mean()) / max(float(pixels.std()), _CONTRAST))
        return np.concatenate([(energies - energies.mean()).ravel(), levels.ravel()])

    def _added(self, pixels: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """[H, W] grey levels, change [D] -> what is added to them."""
        bank = _bank(self.size, self.cells, self.orientations)
        wanted, level = self._split(moved)
        wanted = np.clip(wanted, -MAX_LOG_GAIN, MAX_LOG_GAIN)
        offset = max(float(pixels.std()), _CONTRAST) * bank.spread(level)
        if not wanted.any():
            return offset
        bands, _ = bank.bands(pixels)
        start, gains, added = bank.log_amplitudes(bands), wanted, np.zeros_like(pixels)
        for step in range(_ROUNDS):
            added = (np.expm1(bank.spread(gains)) * bands).sum(axis=0)
            if step + 1 < _ROUNDS:
                reached = bank.log_amplitudes(bank.bands(pixels + added)[0]) - start
                gains = np.clip(gains + _STEP * (wanted - reached), -MAX_LOG_GAIN, MAX_LOG_GAIN)
        return added + offset


@dataclass(frozen=True, slots=True)
class _Bank:
    """Masks [bands, N, N // 2 + 1] of the spectrum of the mirrored picture, that of the blurred rest, and the weight of
    each cell at each row of pixels [size, cells]: they sum to 1 over bands and rest, and over cells."""

    masks: np.ndarray
    rest: np.ndarray
    cells: np.ndarray
    pad: int

    def bands(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[H, W] -> [bands, H, W] and the blurred rest [H, W]; all of them sum to the picture."""
        from scipy.fft import irfft2, rfft2

        padded = np.pad(pixels, self.pad, mode="symmetric")
        spectrum, inner = rfft2(padded), slice(self.pad, -self.pad)
        bands = irfft2(spectrum * self.masks, s=padded.shape)[:, inner, inner]
        return bands, irfft2(spectrum * self.rest, s=padded.shape)[inner, inner]

    def pooled(self, x: np.ndarray) -> np.ndarray:
        """[..., H, W] -> [..., cells, cells]: weighted means about the cells' middles."""
        weights = self.cells / self.cells.sum(axis=0)
        return np.asarray(weights.T @ x @ weights)

    def spread(self, x: np.ndarray) -> np.ndarray:
        """[..., cells, cells] -> [..., H, W]: linear between the cells' middles."""
        return np.asarray(self.cells @ x @ self.cells.T)

    def log_amplitudes(self, bands: np.ndarray) -> np.ndarray:
        """[bands, H, W] -> [bands, cells, cells] ln of the rms grey levels."""
        return 0.5 * np.log(self.pooled(bands**2) + _FLOOR)


@cache
def _bank(size: int, cells: int, orientations: int) -> _Bank:
    """Raised cosines over log frequency, an octave apart, times raised cosines over direction."""
    pad = size // 4
    down, across = np.fft.fftfreq(size + 2 * pad)[:, None], np.fft.rfftfreq(size + 2 * pad)[None]
    octave, angle = np.log2(np.maximum(np.hypot(down, across), 1e-9)), np.arctan2(down, across)
    # what passes above each band's lower flank; neighbours share a flank, so their differences sum to one
    passed = [np.sin(0.5 * np.pi * np.clip(octave + np.log2(w) + 1.0, 0.0, 1.0)) ** 2 for w in WAVELENGTHS_PX]
    radial = [passed[0], *(wide - fine for fine, wide in pairwise(passed))]
    turns = [
        np.cos(
            np.clip(
                orientations / 4 * np.angle(np.exp(2j * (angle - np.pi * k / orientations))), -0.5 * np.pi, 0.5 * np.pi
            )
        )
        ** 2
        for k in range(orientations)
    ]
    masks = np.stack([ring * turn for ring in radial for turn in turns])
    # exact also where a direction means nothing (the highest frequency of the real transform)
    masks *= (passed[-1] / np.maximum(masks.sum(axis=0), 1e-300)) * (masks.sum(axis=0) > 0)
    middles = (np.arange(cells) + 0.5) * size / cells - 0.5
    weights = np.stack([np.interp(np.arange(size), middles, row) for row in np.eye(cells)], axis=1)
    return _Bank(masks, 1.0 - passed[-1], weights, pad)

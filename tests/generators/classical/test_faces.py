"""Faces: where pixels go, how much is erased, how bright it gets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.codecs import decode_image
from corpora.errors import PayloadError
from generators.classical.method import payload_method
from tests.generators.classical.payloads import face


def applied(name: str, pixels: np.ndarray, seed: int = 0, **params: object) -> np.ndarray:
    return decode_image(payload_method("face", name, params).apply(face(pixels), np.random.default_rng(seed)).data)


RAMP = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (40, 1))  # [40, 48], brighter to the right


def test_flip_is_the_mirror_image() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert np.array_equal(applied("flip", RAMP), RAMP[:, ::-1])
    assert np.array_equal(applied("flip", colour), np.flip(colour, axis=1))


@given(area=st.floats(0.02, 0.7), seed=st.integers(0, 10_000), shape=st.sampled_from([(48, 48), (40, 64), (96, 31)]))
def test_erasing_erases_the_area(area: float, seed: int, shape: tuple[int, int]) -> None:
    """One box, everything outside of it as before, and the area to half a row or column."""
    pixels = np.full(shape, 100, np.uint8)
    erased = applied("erase", pixels, seed, area=(area, area), fill="noise")
    rows, columns = (np.flatnonzero((erased != 100).any(axis=axis)) for axis in (1, 0))
    high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    allowed = max(high, wide) / 2 + 1
    # noise is 100 by chance in one pixel of 256: an edge of one or two pixels may hide
    assert abs(high * wide - area * pixels.size) <= allowed or min(high, wide) < 3
    assert (erased == 100).sum() == pytest.approx(pixels.size - high * wide, abs=high * wide / 256 + 20)


def test_erased_boxes_have_noise_or_the_mean() -> None:
    box = applied("erase", RAMP, 3, area=(0.3, 0.3), fill="mean")
    changed = box != RAMP
    assert set(box[changed].tolist()) == {round(RAMP.mean())}
    noise = applied("erase", RAMP, 3, area=(0.6, 0.6))[applied("erase", RAMP, 3, area=(0.6, 0.6)) != RAMP]
    assert noise.mean() == pytest.approx(127, abs=8) and noise.std() == pytest.approx(74, abs=5)
    areas = [(applied("erase", RAMP, seed) != RAMP).mean() for seed in range(300)]
    assert min(areas) < 0.04 and 0.37 < max(areas) < 0.42 and np.mean(areas) == pytest.approx(0.21, abs=0.02)


def test_crops_are_parts_of_the_picture() -> None:
    """On a ramp, levels tell columns: a crop of a quarter of the area spans half of the width, wherever it lies."""
    spans, starts = [], []
    for seed in range(60):
        row = applied("crop", RAMP, seed, area=(0.25, 0.25), aspect=(1, 1))[20].astype(int)
        assert (np.diff(row) >= 0).all()
        spans.append(row[-1] - row[0])
        starts.append(row[0])
    assert np.mean(spans) == pytest.approx(0.5 * 235, abs=6) and np.std(spans) < 4
    assert min(starts) < 10 and max(starts) > 100
    both = RAMP + np.arange(40, dtype=np.uint8)[:, None] // 4
    wide = applied("crop", both, 1, area=(0.5, 0.5), aspect=(2, 2))[20].astype(int)  # as wide as the picture
    assert wide[-1] - wide[0] > 225


def test_brightness_is_a_factor() -> None:
    assert np.array_equal(applied("brightness", RAMP, factor=(0.5, 0.5)), np.rint(RAMP * 0.5))
    assert np.array_equal(applied("brightness", RAMP, factor=(2, 2)), np.minimum(2 * RAMP.astype(int), 255))
    fine = np.arange(190, dtype=np.uint8).reshape(10, 19)
    factors = []
    for seed in range(200):
        try:
            factors.append(applied("brightness", fine, seed).sum() / fine.sum())
        except PayloadError as error:  # a factor so near to 1 that no level is rounded to another
            assert error.reason == "unchanged"
    assert len(factors) > 190
    assert 0.74 < min(factors) < 0.8 and 1.2 < max(factors) < 1.34
    assert np.mean(np.array(factors) < 1) == pytest.approx(0.5, abs=0.1)

"""Pixels and histograms of oriented gradients, the latter against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.feature import hog

from corpora.codecs import decode_image, encode_png
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload
from features.faces.hog import hog_features
from features.faces.pixels import PixelRepresentation
from features.representation import Representation, make_representation


def faces(n: int, size: int = 48, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size), dtype=np.uint8)


def test_every_grey_level_survives() -> None:
    pixels = PixelRepresentation(size=16)
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    array = pixels.encode(Payload(encode_png(image), "png"))
    assert array.dtype == np.float32 and array.shape == (1, 16, 16)
    assert array.min() == -1.0 and array.max() == 1.0
    assert (decode_image(pixels.decode(array).data) == image).all()
    assert pixels.decode(array) == pixels.decode(array.copy())


def test_the_registry_makes_it() -> None:
    made = make_representation("pixels", {"size": 32})
    assert isinstance(made, Representation)
    assert made.spec.shape == (1, 32, 32) and made.spec.bounds == (-1.0, 1.0) and made.spec.mask_row is None


def test_values_beyond_the_range_are_clipped() -> None:
    pixels = PixelRepresentation(size=16)
    array = np.full((1, 16, 16), 3.0, dtype=np.float32)
    array[0, 0] = -7.0
    back = decode_image(pixels.decode(array).data)
    assert (back[0] == 0).all() and (back[1:] == 255).all()


def test_bad_input_is_named() -> None:
    pixels = PixelRepresentation(size=48)
    for payload, slug in (
        (encode_png(faces(1, 32)[0]), "wrong-size"),
        (encode_png(np.zeros((48, 48, 3), dtype=np.uint8)), "not-grey"),
        (b"nothing", "not-an-image"),
    ):
        with pytest.raises(PayloadError) as error:
            pixels.encode(Payload(payload, "png"))
        assert error.value.reason == slug
    for array, slug in (
        (np.zeros((48, 48), dtype=np.float32), "wrong-shape"),
        (np.full((1, 48, 48), np.nan, dtype=np.float32), "non-finite"),
    ):
        with pytest.raises(PayloadError) as error:
            pixels.decode(array)
        assert error.value.reason == slug
    with pytest.raises(ParamsError, match="size is 50"):
        PixelRepresentation(size=50)


@pytest.mark.parametrize(("size", "orientations"), [(48, 9), (32, 8), (52, 9)])
def test_hog_equals_scikit_image(size: int, orientations: int) -> None:
    images = faces(3, size)
    images[2] = np.add.outer(np.arange(size), np.arange(size)).astype(np.uint8)  # smooth: equal angles everywhere
    expected = np.stack(
        [hog(i, orientations, pixels_per_cell=(8, 8), cells_per_block=(2, 2), block_norm="L2-Hys") for i in images]
    )
    got = hog_features(images, orientations=orientations)
    assert got.dtype == np.float32 and got.shape == expected.shape
    assert np.allclose(got, expected, atol=1e-6)


def test_hog_of_flat_images_is_zero_and_of_none_is_empty() -> None:
    assert not hog_features(np.full((2, 48, 48), 90, dtype=np.uint8)).any()
    assert hog_features(np.zeros((0, 48, 48), dtype=np.uint8)).shape == (0, 900)
    with pytest.raises(ValueError, match="a block needs"):
        hog_features(np.zeros((1, 8, 8), dtype=np.uint8))


def test_hog_rows_do_not_depend_on_their_neighbours() -> None:
    images = faces(300)
    assert (hog_features(images)[270] == hog_features(images[270:271])[0]).all()

"""Oriented energy: bands that sum to the picture, gratings with a known direction, gains that do what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from corpora.codecs import decode_image, encode_png
from corpora.errors import ParamsError, PayloadError
from corpora.readers.fakes.face import draw_face
from corpora.schema import Payload
from features.faces.oriented import OrientedEnergyRepresentation, _bank
from features.representation import make_representation

SIZE = 48
FACE = draw_face("anger", person=np.random.default_rng(1), rng=np.random.default_rng(2))


def png(picture: np.ndarray) -> Payload:
    return Payload(encode_png(np.rint(np.clip(picture, 0, 255)).astype(np.uint8)), "png")


def grating(degrees: float, wavelength: float, amplitude: float = 40.0) -> np.ndarray:
    """Waves across the direction of `degrees`: 0 are upright stripes."""
    y, x = np.indices((SIZE, SIZE))
    turn = np.deg2rad(degrees)
    return np.asarray(128 + amplitude * np.sin(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / wavelength))


@pytest.fixture(scope="module")
def oriented() -> OrientedEnergyRepresentation:
    made = make_representation("oriented_energy", {})
    assert isinstance(made, OrientedEnergyRepresentation)
    return made


@pytest.mark.parametrize(("size", "cells", "orientations"), [(48, 6, 8), (48, 12, 2), (64, 8, 5)])
def test_bands_and_what_is_left_sum_to_the_picture(size: int, cells: int, orientations: int) -> None:
    bank = _bank(size, cells, orientations)
    picture = np.random.default_rng(3).uniform(0, 255, (size, size))
    bands, rest = bank.bands(picture)
    assert bands.shape == (3 * orientations, size, size)
    np.testing.assert_allclose(bands.sum(axis=0) + rest, picture, atol=1e-9)
    np.testing.assert_allclose(bank.cells.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(bank.spread(np.ones((cells, cells))), 1.0, atol=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 45.0, 90.0, 135.0])
@pytest.mark.parametrize("wavelength", [4.0, 8.0, 16.0])
def test_a_grating_stands_in_its_own_band(
    oriented: OrientedEnergyRepresentation, degrees: float, wavelength: float
) -> None:
    vector = oriented.encode(png(grating(degrees, wavelength)))
    middle = {n.split("_", 2)[2]: v for n, v in zip(oriented.spec.rows, vector, strict=True) if n.startswith("r3_c2_")}
    assert max(middle, key=lambda name: middle[name]) == f"{wavelength:g}px_{degrees:g}deg"


def test_light_and_contrast_are_none_of_it(oriented: OrientedEnergyRepresentation) -> None:
    dark = oriented.encode(png(FACE * 0.5 + 60))
    np.testing.assert_allclose(dark, oriented.encode(png(FACE * 1.0)), atol=0.6)
    assert np.corrcoef(dark, oriented.encode(png(FACE * 1.0)))[0, 1] > 0.98


def changed(oriented: OrientedEnergyRepresentation, source: Payload, **change: Any) -> np.ndarray:
    before = oriented.encode(source)
    after = before.copy()
    for number, name in enumerate(oriented.spec.rows):
        after[number] += change["by"] if change["name"] in name else 0.0
    return decode_image(oriented.edit(source, before, after).data).astype(float)


def test_a_gain_makes_its_edges_stronger_and_no_others(oriented: OrientedEnergyRepresentation) -> None:
    upright, level = grating(0, 8, 20.0) - 128, grating(90, 8, 20.0) - 128
    both = png(128 + upright + level)
    inner = (slice(12, 36), slice(12, 36))
    stronger = changed(oriented, both, name="_8px_0deg", by=np.log(1.5))
    a = np.stack([upright[inner].ravel(), level[inner].ravel()], axis=1)
    amounts, *_ = np.linalg.lstsq(a, (stronger - 128)[inner].ravel(), rcond=None)
    np.testing.assert_allclose(amounts, [1.5, 1.0], atol=0.12)


def test_levels_move_where_they_are_told_to(oriented: OrientedEnergyRepresentation) -> None:
    moved = changed(oriented, png(FACE), name="r1_c4_level", by=0.5) - FACE
    assert moved[8:16, 32:40].mean() == pytest.approx(0.5 * FACE.std() * 0.6, rel=0.4)
    assert not moved[:, :24].any() and not moved[24:].any()


def test_what_is_no_picture_of_its_own_says_so(oriented: OrientedEnergyRepresentation) -> None:
    for act, slug in (
        (lambda: oriented.decode(oriented.encode(png(FACE))), "needs-source"),
        (lambda: oriented.decode(np.zeros(3)), "wrong-shape"),
        (lambda: oriented.encode(png(FACE[:32])), "wrong-size"),
    ):
        with pytest.raises(PayloadError) as caught:
            act()
        assert caught.value.reason == slug


@pytest.mark.parametrize(
    ("params", "text"),
    [({"size": 50}, "size is 50"), ({"cell": 7}, "cell is 7"), ({"orientations": 1}, "orientations is 1")],
)
def test_bad_parameters_are_named(params: dict[str, Any], text: str) -> None:
    with pytest.raises(ParamsError, match=text):
        make_representation("oriented_energy", params)

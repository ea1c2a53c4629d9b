"""Grey levels and sides of pictures: from the file's facts, or a refusal that says what is not known."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from corpora.codecs import decode_image, image_header
from corpora.errors import PayloadError
from corpora.formats.pictures import Turn, turn_of
from corpora.readers.faces.expw import ExpW
from corpora.records.boxes import MIRRORED_68, upright_places
from corpora.schema import Reject, Sample
from features.faces.prepare import published_face

GREY = np.arange(30, 30 + 48, dtype=np.uint8).reshape(6, 8) * 2  # no two equal neighbours, brightest 154
GREY[0, 0] = 255
FORMATS = ("jpeg", "png", "tiff", "webp")


def saved(array: np.ndarray, form: str = "png", orientation: int | None = None, **options: object) -> bytes:
    out, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
        options["exif"] = exif
    Image.fromarray(array).save(out, form, **options)  # type: ignore[arg-type]
    return out.getvalue()


def png(pixels: np.ndarray, *, kind: int = 0, significant: int | None = None) -> bytes:
    """A png of 16 bits: grey (kind 0), colour (2) or grey with transparency (4)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    sbit = chunk(b"sBIT", bytes([significant] * {0: 1, 2: 3, 4: 2}[kind])) if significant else b""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + sbit + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def reason(payload: bytes, levels: float | None = None) -> str:
    reasons = []
    for read in (decode_image, image_header):
        with pytest.raises(PayloadError) as caught:
            read(payload, levels=levels)
        reasons.append(caught.value.reason)
    assert reasons[0] == reasons[1]  # at ingest as at prepare
    return reasons[0]


DEEP = GREY.astype(np.uint16)
ODD = DEEP * 16 + np.arange(48, dtype=np.uint16).reshape(6, 8) % 13  # 12 bits that are no 8 bits moved


@pytest.mark.parametrize(
    "payload",
    [
        png(DEEP * 257),
        png(DEEP * 256),
        png(DEEP * 257 // 3 * 3),
        saved(DEEP * 257, "tiff"),
        saved((DEEP * 257).astype(">u2"), "tiff"),
        saved(DEEP, "tiff", tiffinfo={281: 255}),
        saved(DEEP * 16, "tiff", tiffinfo={281: 4095}),
        saved(GREY.astype(np.int32), "tiff", tiffinfo={281: 255}),
        saved((GREY / 255).astype(np.float32), "tiff"),
        saved(GREY.astype(np.float32), "tiff", tiffinfo={341: 255.0}),
        png(ODD, significant=12),
        b"P5 8 6 4095\n" + (DEEP * 16).astype(">u2").tobytes(),
        b"P5 8 6 65535\n" + (DEEP * 257).astype(">u2").tobytes(),
        b"P5 8 6 255\n" + GREY.tobytes(),
        png(np.stack([DEEP * 257] * 3, -1), kind=2),
    ],
)
def test_levels_are_those_of_the_files_facts(payload: bytes) -> None:
    pixels = decode_image(payload)
    wanted = GREY if pixels.ndim == 2 else np.stack([GREY] * 3, -1)
    assert np.abs(pixels.astype(int) - wanted).max() <= 1
    assert image_header(payload) == (6, 8, 1 if pixels.ndim == 2 else 3)


@pytest.mark.parametrize(
    "payload",
    [
        png(DEEP),
        png(DEEP * 16),
        png(ODD),
        png(DEEP * 4),
        png(DEEP * 64),
        png(DEEP * 16, significant=12),  # by the standard a very dark picture, by its writer's habit 12 bits
        png(ODD, significant=8),
        png(ODD, significant=16),
        png(ODD, significant=0),
        png(np.stack([DEEP * 16] * 3, -1), kind=2),
        png(np.stack([DEEP * 16, DEEP * 0 + 4095], -1), kind=4),
        saved(DEEP, "tiff"),
        saved(DEEP * 16, "tiff"),
        saved(DEEP * 16, "tiff", tiffinfo={281: 4080}),
        saved(GREY.astype(np.int32), "tiff"),
        saved(GREY.astype(np.float32), "tiff"),
        saved((GREY > 99).astype(np.float32), "tiff"),
        saved((GREY / 255 - 0.5).astype(np.float32), "tiff"),
    ],
)
def test_a_white_that_nothing_tells_is_refused(payload: bytes) -> None:
    assert reason(payload) == "unknown-scale"


@settings(max_examples=40)
@given(white=st.integers(1, 60_000), seed=st.integers(0, 99), kind=st.sampled_from(["png", "tiff", "float", "int32"]))
def test_a_card_may_name_the_level_of_white(white: int, seed: int, kind: str) -> None:
    values = np.random.default_rng(seed).integers(0, white + 1, (5, 7))
    if kind == "float":
        payload = saved(values.astype(np.float32), "tiff")
    elif kind == "int32":
        payload = saved(values.astype(np.int32), "tiff")
    else:
        payload = png(values) if kind == "png" else saved(values.astype(np.uint16), "tiff")
    pixels = decode_image(payload, levels=white)
    assert np.abs(pixels - values * 255.0 / white).max() <= 0.5 + 1e-6
    assert image_header(payload, levels=white) == (5, 7, 1)
    if values.max() > 1:
        assert reason(payload, levels=float(values.max()) / 2) == "value-out-of-range"


def test_black_and_eight_bits_need_no_scale() -> None:
    assert decode_image(png(DEEP * 0)).max() == decode_image(saved(np.zeros((6, 8), np.float32), "tiff")).max() == 0
    dark = GREY // 40
    for form in ("png", "tiff", "bmp"):
        np.testing.assert_array_equal(decode_image(saved(dark, form)), dark)  # dark pictures of 8 bits stay dark
        np.testing.assert_array_equal(decode_image(saved(dark, form), levels=4095), dark)


def test_a_scale_is_never_the_pictures_own() -> None:
    """Half as bright in the file is half as bright in the pixels, wherever both are read."""
    for make in (lambda a: png((a * 257).astype(np.uint16)), lambda a: saved((a / 255).astype(np.float32), "tiff")):
        full, half = decode_image(make(GREY.astype(float))), decode_image(make(GREY * 0.5))
        assert np.abs(full / 2 - half).max() <= 1


def test_pixels_that_are_no_numbers_are_refused() -> None:
    odd = (GREY / 255).astype(np.float32)
    odd[0, 0] = np.nan
    assert reason(saved(odd, "tiff")) == "non-finite"
    out = io.BytesIO()
    Image.frombytes("LAB", (8, 6), bytes(144)).save(out, "tiff")
    assert reason(out.getvalue()) == "unsupported-encoding"


def test_white_is_zero_in_a_deep_tiff() -> None:
    made = bytearray(saved(65535 - DEEP * 257, "tiff"))
    at = made.index(struct.pack("<HHI", 262, 3, 1)) + 8
    made[at : at + 2] = b"\0\0"
    assert np.abs(decode_image(bytes(made)).astype(int) - GREY).max() <= 1


# -- EXIF


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera stores so that EXIF turns it into `upright`: the inverse of each turn, in NumPy's words."""
    inverse = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }
    return np.ascontiguousarray(inverse[orientation](upright))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_and_shape_are_of_the_upright_picture(form: str, orientation: int) -> None:
    upright = np.kron(np.array([[250, 20, 90], [160, 40, 200]], np.uint8), np.ones((16, 16), np.uint8))
    kept = stored(upright, orientation)
    payload = saved(kept, form, orientation, **({"lossless": True} if form == "webp" else {}))
    pixels = decode_image(payload)
    shown = pixels if pixels.ndim == 2 else pixels[..., 0]
    assert np.abs(shown.astype(int) - upright).max() <= 12
    assert image_header(payload)[:2] == upright.shape
    assert turn_of(payload) == Turn(orientation, kept.shape[1], kept.shape[0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_places_turn_with_the_picture(orientation: int) -> None:
    rng = np.random.default_rng(orientation)
    upright = np.zeros((40, 70), np.uint8)
    upright[5:15, 50:64] = 200  # the box
    kept = stored(upright, orientation)
    ys, xs = np.nonzero(kept)
    box = f"{xs.min()},{ys.min()},{xs.max() + 1 - xs.min()},{ys.max() + 1 - ys.min()}"
    for points in (2, 5, 68, 7):
        marked = np.zeros(upright.shape, int)
        places = rng.permutation(upright.size)[:points]
        marked.flat[places] = np.arange(1, points + 1)
        here = stored(marked, orientation)
        marks = ";".join("{1},{0}".format(*np.argwhere(here == i + 1)[0]) for i in range(points))
        found = upright_places({"face_box": box, "landmarks": marks, "a": "b"}, Turn(orientation, *kept.shape[::-1]))
        assert [float(v) for v in found["face_box"].split(",")] == [50, 5, 14, 10]
        moved = [tuple(float(v) for v in p.split(",")) for p in found["landmarks"].split(";")]
        assert sorted(moved) == sorted((float(x), float(y)) for y, x in np.argwhere(marked))
        assert found["a"] == "b" and found.get("exif_orientation") == (None if orientation == 1 else str(orientation))
        if points in (2, 5) and orientation > 1:
            assert moved[0][0] <= moved[1][0]


def test_landmarks_of_a_mirrored_face_keep_their_names() -> None:
    assert {MIRRORED_68.get(i, i) for i in range(68)} == set(range(68))
    assert all(MIRRORED_68.get(MIRRORED_68.get(i, i), MIRRORED_68.get(i, i)) == i for i in range(68))
    eyes = {"landmarks": "10,20;30,21;20,30;12,40;28,41"}  # left eye in the picture first
    found = published_face(upright_places(eyes, Turn(2, 64, 64)), (64, 64))
    assert found is not None and found.eyes == ((33.0, 21.0), (53.0, 20.0))


def test_places_that_cannot_be_read_stay_and_boxes_of_another_picture_are_refused() -> None:
    turn = Turn(6, 80, 60)
    assert upright_places({"face_box": "a,b"}, turn)["face_box"] == "a,b"
    assert upright_places({"face_box": "nan"}, Turn(1, 80, 60)) == {"face_box": "nan"}
    with pytest.raises(PayloadError, match="stored"):
        upright_places({"face_box": "10,55,20,20"}, turn)  # inside of 60 x 80 alone


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_in_stored_pixels_shows_the_face_after_any_turn(orientation: int, tmp_path: Path) -> None:
    kept = np.full((160, 240), 30, np.uint8)
    kept[20:80, 150:210] = 200  # the face
    (tmp_path / "image/origin").mkdir(parents=True)
    (tmp_path / "label").mkdir()
    (tmp_path / "image/origin/a.jpg").write_bytes(saved(np.dstack([kept] * 3), "jpeg", orientation))
    (tmp_path / "label/label.lst").write_text("a.jpg 0 20 150 210 80 30.0 3\n")
    (sample,) = ExpW().read(tmp_path, "mine")
    assert isinstance(sample, Sample) and not isinstance(sample, Reject)
    pixels = decode_image(sample.payload)
    assert list(sample.signals[0]["shape"]) == list(pixels.shape)
    found = published_face(sample.extra, pixels.shape)
    assert found is not None
    left, top, width, height = (round(v) for v in found.box)
    face, whole = pixels[top : top + height, left : left + width, 0], pixels[..., 0]
    assert face.shape == (60, 60) and face[4:-4, 4:-4].min() > 180
    assert (whole > 100).sum() == pytest.approx(3600, abs=150)

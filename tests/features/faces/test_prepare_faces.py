"""Prepared faces: geometry that can be computed by hand, official boxes, the detector on drawn and real faces."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from corpora.codecs import decode_image, encode_png
from corpora.errors import PayloadError
from corpora.readers.fakes.face import Picture, draw_picture
from features.faces.prepare import (
    EYE_HEIGHT,
    FACE_WIDTHS,
    Detection,
    FaceSteps,
    Find,
    PrepareFaces,
    crop_face,
    degrees,
    detect_face,
    published_face,
)
from features.steps import Piece, Source

CENTRE: dict[str, Any] = {"find": {"by": "none"}, "size": {"px": 48}}


def prepare(
    payload: bytes, codec: str = "png", extra: dict[str, str] | None = None, reader: str = "", **steps: Any
) -> Piece:
    (piece,) = PrepareFaces(FaceSteps.model_validate(CENTRE | steps))(Source(payload, codec, (), extra or {}, reader))
    return piece


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def scene(k: int, **options: Any) -> Picture:
    return draw_picture("neutral", person=np.random.default_rng([k, 1]), rng=np.random.default_rng([k, 2]), **options)


def test_a_grey_png_of_the_size_passes_through() -> None:
    image = noise(48, 48)
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="png", compress_level=9)  # other bytes than our own encoder's
    assert prepare(out.getvalue()).payload == out.getvalue() != encode_png(image)
    assert (decode_image(out.getvalue()) == image).all()


@pytest.mark.parametrize("shape", [(96, 96, 3), (96, 128), (24, 24), (48, 48, 3), (49, 47)])
@pytest.mark.parametrize("mode", ["grey", "rgb"])
def test_any_image_becomes_a_square(shape: tuple[int, ...], mode: str) -> None:
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) * (255.0 / (shape[0] + shape[1]))
    image = (ramp if len(shape) == 2 else np.repeat(ramp[..., None], 3, axis=2)).astype(np.uint8)
    pixels = decode_image(prepare(encode_png(image), colour={"mode": mode}).payload)
    assert pixels.shape == ((48, 48) if mode == "grey" else (48, 48, 3)) and pixels.dtype == np.uint8
    grey = pixels if mode == "grey" else pixels[..., 0]
    assert grey[0, 0] < grey[24, 24] < grey[-1, -1]
    assert pixels.mean() == pytest.approx(float(image.mean()), abs=3.0)


def test_shrinking_takes_the_mean_over_area() -> None:
    board = (np.indices((96, 96)).sum(axis=0) % 2 * 255).astype(np.uint8)
    board[:48] //= 2  # else it would be flat
    pixels = decode_image(prepare(encode_png(board)).payload)
    assert np.abs(pixels[30:].astype(int) - 128).max() <= 1 and np.abs(pixels[:20].astype(int) - 64).max() <= 1


@pytest.mark.parametrize(
    ("payload", "extra", "by", "slug"),
    [
        (encode_png(np.full((48, 48), 77, dtype=np.uint8)), {}, "none", "flat"),
        (encode_png(np.full((90, 90, 3), 12, dtype=np.uint8)), {}, "none", "flat"),
        (b"no image", {}, "none", "not-an-image"),
        (encode_png(noise(48, 48))[:300], {}, "none", "truncated"),
        (encode_png(noise(80, 80)), {}, "haar", "no-face"),
        (encode_png(noise(80, 80)), {}, "auto", "no-face"),
        (encode_png(noise(80, 80)), {}, "corpus", "no-face"),
        (encode_png(noise(80, 80)), {"face_box": "1,2,x,4"}, "corpus", "bad-box"),
        (encode_png(noise(80, 80)), {"face_box": "1,2,3"}, "corpus", "bad-box"),
        (encode_png(noise(80, 80)), {"face_box": "90,0,20,20"}, "corpus", "bad-box"),
        (encode_png(noise(80, 80)), {"face_box": "0,0,1e9,1e9"}, "corpus", "bad-box"),
        (encode_png(noise(80, 80)), {"face_box": "0,0,nan,3"}, "corpus", "bad-box"),
        (encode_png(noise(80, 80)), {"landmarks": "1,2;3"}, "corpus", "bad-box"),
        (encode_png(noise(80, 80)), {"landmarks": "50,20;10,20"}, "corpus", "bad-box"),  # the wrong eye first
    ],
)
def test_bad_pictures_are_named(payload: bytes, extra: dict[str, str], by: str, slug: str) -> None:
    with pytest.raises(PayloadError) as error:
        prepare(payload, extra=extra, find={"by": by})
    assert error.value.reason == slug


def test_a_published_box_is_cut_out_pixel_by_pixel() -> None:
    image = noise(100, 120)
    extra = {"face_box": "30,20,40,40"}
    made = decode_image(prepare(encode_png(image), extra=extra, find={"by": "corpus"}, crop={"margin": 0.1}).payload)
    assert (made == image[16:64, 26:74]).all(), "a margin of 4 pixels on each side makes 48 of 40"
    outside = decode_image(
        prepare(encode_png(image), extra={"face_box": "-10,0,40,48"}, find={"by": "auto"}, crop={"margin": 0.0}).payload
    )
    assert (outside[:, 14:] == image[:48, :34]).all() and (outside[:, :14] == image[:48, :1]).all(), "edge repeated"


def test_a_corpus_of_crops_is_not_searched_and_a_box_comes_before_the_detector() -> None:
    asked: list[int] = []

    def detect(pixels: np.ndarray) -> Detection | None:
        asked.append(1)
        return None

    run = PrepareFaces(FaceSteps.model_validate(CENTRE | {"find": {"by": "auto"}}), detect)
    run(Source(encode_png(noise(48, 48)), "png", reader="fer2013"))
    run(Source(encode_png(noise(48, 48)), "png", extra={"face_box": "2,2,40,40"}, reader="expw"))
    assert not asked
    with pytest.raises(PayloadError, match="no face"):
        run(Source(encode_png(noise(48, 48)), "png", reader="kdef"))
    assert asked


@pytest.mark.parametrize("turn", [-35.0, -20.0, 0.0, 20.0])
def test_a_turned_face_is_levelled_and_scaled_by_its_eyes(turn: float) -> None:
    """A drawing with two bright dots for eyes, turned: they come to rest where the geometry says, to half a pixel."""
    size, apart = 400, 80.0
    angle = np.deg2rad(turn)
    middle = np.array([210.0, 190.0])
    half = apart / 2 * np.array([np.cos(angle), np.sin(angle)])
    image = np.full((size, size), 90, np.uint8)
    yy, xx = np.mgrid[:size, :size]
    for x, y in (middle - half, middle + half):
        image[(xx - x) ** 2 + (yy - y) ** 2 <= 36] = 250
    eyes = (
        (float(middle[0] - half[0]), float(middle[1] - half[1])),
        (float(middle[0] + half[0]), float(middle[1] + half[1])),
    )
    assert degrees(eyes) == pytest.approx(turn)
    margin = 0.1
    made = crop_face(image, Detection((0, 0, 1, 1), eyes), margin=margin)
    width = FACE_WIDTHS * apart
    assert made.shape == (round(width * 1.2),) * 2
    dots = made > 170
    left, right = dots.copy(), dots.copy()
    left[:, made.shape[1] // 2 :] = False
    right[:, : made.shape[1] // 2] = False
    (ly, lx), (ry, rx) = (np.argwhere(d).mean(axis=0) for d in (left, right))
    assert ly == pytest.approx(ry, abs=0.5), "level"
    assert rx - lx == pytest.approx(apart, abs=0.5)
    assert (lx + rx) / 2 == pytest.approx((made.shape[1] - 1) / 2, abs=0.5)
    assert ly == pytest.approx((margin + EYE_HEIGHT) * width - 0.5, abs=0.5)


def test_a_drawn_face_turned_by_20_degrees_is_found_and_levelled() -> None:
    """From pixels alone: detector, eyes, rotation. The levelled picture has eyes at most 4 degrees out of level."""
    levelled = 0
    for k in range(8):
        drawn = Image.fromarray(scene(k, size=260, share=0.5).pixels)
        turned = np.asarray(drawn.rotate(-20.0, Image.Resampling.BICUBIC, fillcolor=(120, 120, 120)))
        found = detect_face(turned, Find())
        if found is None or found.eyes is None:
            continue
        assert degrees(found.eyes) == pytest.approx(20.0, abs=6.0)
        again = detect_face(crop_face(turned, found, margin=0.3), Find())
        if again is not None and again.eyes is not None:
            assert abs(degrees(again.eyes)) < 4.0
            levelled += 1
    assert levelled >= 2


def test_a_turn_beyond_the_limit_is_not_made() -> None:
    image = encode_png(noise(200, 200))
    extra = {"landmarks": "80,60;110,112"}  # 60 degrees
    tilted = prepare(image, extra=extra, find={"by": "corpus"})
    assert "turned_degrees" not in tilted.notes and tilted.counted == ("no-eyes",)
    assert (
        prepare(image, extra=extra, find={"by": "corpus"}, align={"max_degrees": 80}).notes["turned_degrees"] == "60.0"
    )
    assert prepare(image, extra=extra, find={"by": "corpus"}, align=None).counted == ("no-eyes",)


def test_landmarks_of_68_points_give_the_eyes_of_the_drawing() -> None:
    drawn = scene(3, size=200)
    marks = ";".join(f"{x:.2f},{y:.2f}" for x, y in drawn.landmarks)
    found = published_face({"landmarks": marks}, drawn.pixels.shape)
    assert found is not None and found.eyes is not None
    (left, right), marked = found.eyes, drawn.landmarks
    assert left == pytest.approx(tuple(marked[36:42].mean(axis=0)), abs=0.01)
    assert right == pytest.approx(tuple(marked[42:48].mean(axis=0)), abs=0.01)
    x, y, w, h = found.box
    assert x < left[0] < right[0] < x + w and y < left[1] < y + h / 2
    assert published_face({"landmarks": "1,1;2,2;3,9"}, (20, 20)) == Detection((1.0, 1.0, 2.0, 8.0), None)


def test_the_detector_finds_drawn_faces_where_they_are() -> None:
    """Measured on 60 scenes: 75 to 80 % found, all of them where the face is, eyes to 0.08 of their distance."""
    found, eyes = 0, 0
    for k in range(12):
        drawn = scene(k, size=(200, 260))
        face = detect_face(drawn.pixels, Find())
        if face is None:
            continue
        found += 1
        x, y, w, h = face.box
        left, top, width, height = drawn.box
        assert left < x + w / 2 < left + width and top < y + h / 2 < top + height
        assert 0.7 < w / width < 1.8
        if face.eyes is not None:
            eyes += 1
            true = np.array([drawn.landmarks[36:42].mean(axis=0), drawn.landmarks[42:48].mean(axis=0)])
            assert np.abs(np.array(face.eyes) - true).max() < 0.15 * np.hypot(*(true[1] - true[0]))
    assert found >= 8 and eyes >= 6


def test_of_several_faces_the_largest_is_taken_and_counted() -> None:
    large, small = scene(0, size=200, share=0.7), scene(0, size=110, share=0.7)
    wide = np.full((200, 420, 3), 128, np.uint8)
    wide[:, 200:400] = large.pixels
    wide[45:155, 30:140] = small.pixels
    find = {"by": "haar", "min_share": 0.2}
    found = detect_face(wide, Find.model_validate(find))
    assert found is not None and found.n_faces == 2
    assert 200 < found.box[0] + found.box[2] / 2 < 400
    assert "several-faces" in prepare(encode_png(wide), find=find).counted


@pytest.mark.parametrize("shape", [(8, 20_000), (20_000, 9), (8, 8), (8, 160), (9, 300, 3)])
def test_no_size_is_too_odd_for_the_detector(shape: tuple[int, ...]) -> None:
    """A strip would be a picture of gigabytes once its short side has the detector's size."""
    with pytest.raises(PayloadError, match="no-face"):
        prepare(encode_png(noise(*shape)), find={"by": "haar"})


def test_the_detector_gives_the_same_bytes_twice() -> None:
    picture = encode_png(scene(2, size=240).pixels)
    first = prepare(picture, find={"by": "haar"})
    assert first == prepare(picture, find={"by": "haar"})
    assert first.notes["prepared_box"].count(",") == 3


def test_hit_rate_on_real_faces(shared_data: Path) -> None:
    """FER2013's 48 x 48 crops are not what a detector was made for. docs/prepare.md states the rate; a floor here."""
    csv.field_size_limit(10**7)
    with (shared_data / "fer2013" / "fer2013.csv").open() as file:
        rows = [row["pixels"] for _, row in zip(range(1200), csv.DictReader(file), strict=False)][::40]
    faces = [detect_face(np.array(r.split(), dtype=np.uint8).reshape(48, 48), Find()) for r in rows]
    assert sum(f is not None for f in faces) >= 0.55 * len(rows)
    tilts = [abs(degrees(f.eyes)) for f in faces if f is not None and f.eyes is not None]
    assert len(tilts) >= 0.4 * len(rows) and float(np.median(tilts)) < 8.0

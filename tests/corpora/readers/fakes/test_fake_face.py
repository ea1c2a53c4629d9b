"""Drawn pictures, boxes and landmarks, and headers of pictures cut short."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from corpora.codecs import encode_png, image_header
from corpora.errors import PayloadError
from corpora.readers.fakes.face import draw_picture, encode_jpg
from corpora.records.boxes import face_box, landmark_text
from corpora.schema import Corpus, Reject, Sample


def read(corpus: Corpus, root: Path) -> tuple[dict[str, Sample], list[tuple[str, str]]]:
    """-> ({native id: sample}, [(path, reason) of a reject])"""
    items = list(corpus.read(root, "c"))
    samples = {item.sample_id.removeprefix("c/"): item for item in items if isinstance(item, Sample)}
    return samples, [(item.path, item.reason) for item in items if isinstance(item, Reject)]


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def jpg() -> bytes:
    return encode_jpg(draw_picture("anger", size=64, person=rng(1), rng=rng(2)).pixels)


# -- pictures and boxes


def test_a_picture_cut_short_is_found_without_decoding_whole_ones(jpg: bytes) -> None:
    png = encode_png(np.full((9, 7), 99, np.uint8))
    assert image_header(jpg) == (64, 64, 3)
    assert image_header(png + b"trailing") == (9, 7, 1)
    for whole in (jpg, png):
        with pytest.raises(PayloadError, match="truncated"):
            image_header(whole[: len(whole) * 2 // 3])


def test_boxes_and_landmarks_are_written_in_one_way() -> None:
    assert face_box(113, 28, 226, 141) == "113,28,113,113"
    assert face_box(-3.25, 0, 10.5, 7) == "-3.25,0,13.75,7"
    assert landmark_text([(1, 2), (3.5, 4)]) == "1,2;3.5,4"
    for box in ((5, 0, 5, 9), (0, 9, 5, 0), (0, 0, float("nan"), 1)):
        with pytest.raises(PayloadError, match="bad-box"):
            face_box(*box)


def test_drawn_pictures_are_found_where_their_box_is() -> None:
    detector = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"))
    hits = 0
    for i in range(20):
        picture = draw_picture("happiness", size=(220, 180), share=0.5, person=rng(1, i), rng=rng(2, i))
        left, top, width, height = picture.box
        grey = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY)
        for x, y, w, h in detector.detectMultiScale(grey, 1.1, 3, minSize=(40, 40)):
            hits += abs(x + w / 2 - left - width / 2) < 0.3 * width and abs(y + h / 2 - top - height / 2) < 0.3 * height
        assert picture.landmarks.shape == (68, 2)
        inside = (picture.landmarks >= (left - 2, top - 2)) & (
            picture.landmarks <= (left + width + 2, top + height + 2)
        )
        assert inside.all()
    assert hits >= 14


@pytest.mark.parametrize("colour", [True, False])
def test_drawn_pictures_have_the_size_and_colours_asked(colour: bool) -> None:
    first = draw_picture(("happiness", "surprise"), size=(60, 90), colour=colour, person=rng(1), rng=rng(2))
    again = draw_picture(("happiness", "surprise"), size=(60, 90), colour=colour, person=rng(1), rng=rng(2))
    assert first.pixels.shape == ((60, 90, 3) if colour else (60, 90))
    assert np.array_equal(first.pixels, again.pixels)


def test_contempt_lifts_one_corner_of_the_mouth() -> None:
    marks = draw_picture("contempt", strength=1.0, size=200, person=rng(1), rng=rng(2)).landmarks
    rest = draw_picture("contempt", strength=0.0, size=200, person=rng(1), rng=rng(2)).landmarks
    lifted = rest[[48, 54], 1] - marks[[48, 54], 1]
    assert lifted[1] > 5 > lifted[0] + 4

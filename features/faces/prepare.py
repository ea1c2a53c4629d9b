"""Faces made alike: find the face, level the eyes, crop with a margin, grey or colour, one size.

Finding: what the corpus publishes of a sample (`extra["face_box"]` = "left,top,width,height", `extra["landmarks"]` =
"x,y;x,y;...", both in pixels of the published picture) comes before a detector. The detector is OpenCV's Haar cascades
(Viola & Jones 2001), whose weights come inside its wheel: nothing is downloaded, but profiles and dark or covered faces
are missed. How often, is in docs/prepare.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from corpora.codecs import decode_image, encode_png
from corpora.errors import PayloadError
from features.steps import Piece, Reads, Source, Step, Steps

FLAT_RANGE = 4  # grey levels between the darkest and the brightest pixel
# Readers whose pictures are published as crops of the face: a detector could only lose some of them.
CROPPED = frozenset({"fer2013", "ferplus", "raf_db"})

DEFAULT_PX = 48
FACE_WIDTHS = 2.5  # width of a face box over the distance between the eyes: 0.4 of a Haar box lies between them
EYE_HEIGHT = 0.38  # of the eyes in a face box, from above
EYE_POINTS: dict[int, tuple[slice, slice]] = {  # number of landmarks -> those of the eye left and right in the picture
    2: (slice(0, 1), slice(1, 2)),
    5: (slice(0, 1), slice(1, 2)),  # eyes, nose, corners of the mouth
    68: (slice(36, 42), slice(42, 48)),  # iBUG 300-W's order
}
_BORDER = 0.25  # of the shorter side, added for the detector: it wants to see what is around a face
_HUGE = 4  # a box beyond this many pictures is a mistake, and would be filled with repeated edges
_STRIP = 20  # long side over short one: no face is in such a picture, and the detector's would take gigabytes
_LARGE = 0.8  # of the largest face: as large as it
Box = tuple[float, float, float, float]  # left, top, width, height in pixels
Point = tuple[float, float]


class Find(Step):
    """Where the face is. A picture in which none is found is a reject: no-face."""

    by: Literal["auto", "none", "corpus", "haar"] = Field(
        "auto",
        description="none: the centre square. corpus: its boxes or landmarks. haar: a detector. auto: the corpus' "
        "where a sample has them, none for corpora that are published as crops, else haar.",
    )
    work_px: Annotated[int, Field(ge=48, le=2000)] = Field(
        240, description="The detector sees the picture with its shorter side at this many pixels."
    )
    min_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.15, description="Smallest face, as a share of the picture's shorter side."
    )
    neighbours: Annotated[int, Field(ge=1, le=50)] = Field(
        4, description="Hits that must agree; fewer finds more faces and more that are none."
    )


class Align(Step):
    """Turns the picture until the eyes are level. Without eyes it is left as it is."""

    max_degrees: Annotated[float, Field(gt=0, le=90)] = Field(
        45.0, description="A larger turn is taken for a mistake of the eye detector and not made."
    )


class Crop(Step):
    """A square around the face; what lies beyond the picture repeats its edge."""

    margin: Annotated[float, Field(ge=0, le=2)] = Field(0.1, description="Added on each side, as a share of the face.")


class Colour(Step):
    """Grey (ITU-R 601 luma) or RGB."""

    mode: Literal["grey", "rgb"] = Field("grey", description="The representation `pixels` takes grey.")


class Size(Step):
    """Mean over area where it shrinks, bicubic where it grows."""

    px: Annotated[int, Field(ge=8, le=2048)] | None = Field(
        None, description="Side in pixels; none: the representation's, 48 without one."
    )


class FaceSteps(Steps):
    """Steps for faces, in their order."""

    VERSION: ClassVar[str] = "face-2"  # 2: find, align, crop; a crop without them is what version 1 made

    find: Find = Field(default_factory=Find, description="Find the face.")
    align: Align | None = Field(default_factory=Align, description="Level the eyes.")
    crop: Crop = Field(default_factory=Crop, description="Cut the face out.")
    colour: Colour = Field(default_factory=Colour, description="Grey or colour.")
    size: Size = Field(default_factory=Size, description="One size.")

    def settled(self) -> FaceSteps:
        """With `size.px` as a number: what a representation asks for, else `DEFAULT_PX`."""
        return self.model_copy(update={"size": self.size.model_copy(update={"px": self.size.px or DEFAULT_PX})})


@dataclass(frozen=True, slots=True)
class Detection:
    """One face in pixels of the picture. `eyes`: centres of the eye left and right in the picture, where known."""

    box: Box
    eyes: tuple[Point, Point] | None
    n_faces: int = 1


class PrepareFaces:
    """The `Preparation` of faces: any picture -> png of one size. `detect`: pixels -> faces, for tests to replace."""

    codec = "png"

    def __init__(self, steps: FaceSteps, detect: Callable[[np.ndarray], Detection | None] | None = None) -> None:
        self.steps = steps
        self.size = steps.size.px or DEFAULT_PX
        self.detect = detect or (lambda pixels: detect_face(pixels, steps.find))
        by = steps.find.by
        published = frozenset({"face_box", "landmarks"}) if by in ("auto", "corpus") else frozenset()
        self.reads = Reads(extra=published, reader=by == "auto")

    def __call__(self, source: Source) -> list[Piece]:
        """Raises `PayloadError`: no-face, flat, bad-box, or what the decoder says."""
        pixels = decode_image(source.payload)
        square, detection = self._crop(pixels, source)
        grey = self.steps.colour.mode == "grey"
        as_it_is = (
            detection is None
            and grey
            and source.codec == "png"
            and pixels.shape == (self.size, self.size)
            and _is_grey8_png(source.payload)
        )
        prepared = pixels if as_it_is else resized(in_colour(square, grey=grey), self.size)
        spread = int(prepared.max()) - int(prepared.min())
        if spread <= FLAT_RANGE:
            raise PayloadError("flat", f"{spread} grey levels from darkest to brightest pixel; more than {FLAT_RANGE}")
        facts = {"name": "image", "unit": "grey level", "rate_hz": None, "shape": list(prepared.shape)}
        notes, counted = _notes(detection)
        payload = source.payload if as_it_is else encode_png(prepared)
        return [Piece(payload, signals=(facts,), notes=notes, counted=counted)]

    def _crop(self, pixels: np.ndarray, source: Source) -> tuple[np.ndarray, Detection | None]:
        by = self.steps.find.by
        published = published_face(source.extra, pixels.shape) if by in ("auto", "corpus") else None
        if published is None and (by == "none" or (by == "auto" and source.reader in CROPPED)):
            return centre_square(pixels), None
        if published is None and by == "corpus":
            raise PayloadError("no-face", "the corpus has neither a box nor landmarks of this picture")
        detection = published or self.detect(pixels)
        if detection is None:
            raise PayloadError("no-face", f"no face found in {pixels.shape[1]} x {pixels.shape[0]} pixels")
        level = self.steps.align is not None
        if self.steps.align is not None and detection.eyes is not None:
            level = abs(degrees(detection.eyes)) <= self.steps.align.max_degrees
        if not level:
            detection = Detection(detection.box, None, detection.n_faces)
        return crop_face(pixels, detection, margin=self.steps.crop.margin), detection


def _notes(detection: Detection | None) -> tuple[dict[str, str], tuple[str, ...]]:
    if detection is None:
        return {}, ()
    notes = {"prepared_box": ",".join(f"{v:.1f}" for v in detection.box)}
    counted = []
    if detection.n_faces > 1:
        notes["faces_found"] = str(detection.n_faces)
        counted.append("several-faces")
    if detection.eyes is None:
        counted.append("no-eyes")
    else:
        notes["turned_degrees"] = f"{degrees(detection.eyes):.1f}"
    return notes, tuple(counted)


def published_face(extra: dict[str, str] | Any, shape: Sequence[int]) -> Detection | None:
    """What the corpus says of the face: its box, or one around its eyes. None where it says nothing.

    Raises `PayloadError` bad-box for what cannot be read or lies outside the picture.
    """
    box, marks = extra.get("face_box"), extra.get("landmarks")
    if not box and not marks:
        return None
    try:
        points = np.array([[float(v) for v in p.split(",")] for p in marks.split(";")]) if marks else np.zeros((0, 2))
        given = tuple(float(v) for v in box.split(",")) if box else None
        if points.shape[1:] != (2,) or not np.isfinite(points).all():
            raise ValueError(f"landmarks of shape {points.shape}")
    except ValueError as error:
        raise PayloadError(
            "bad-box", f"face_box {box!r}, landmarks {marks!r:.200}: numbers separated by commas are expected"
        ) from error
    eyes = None
    if len(points) in EYE_POINTS:
        (ax, ay), (bx, by) = (points[part].mean(axis=0) for part in EYE_POINTS[len(points)])
        eyes = ((float(ax), float(ay)), (float(bx), float(by)))
        if not eyes[0][0] < eyes[1][0]:
            raise PayloadError("bad-box", f"the eyes are at {eyes}: the left one in the picture comes first")
    if given is None:
        if eyes is None:
            low, high = points.min(axis=0), points.max(axis=0)
            given = tuple(float(v) for v in (*low, *(high - low)))
        else:
            given = box_of_eyes(eyes)
    if len(given) != 4 or not all(map(math.isfinite, given)) or min(given[2:]) < 1:
        raise PayloadError("bad-box", f"{given}: need left, top, width, height")
    left, top, width, height = (float(v) for v in given)
    if left >= shape[1] or top >= shape[0] or left + width <= 0 or top + height <= 0:
        raise PayloadError("bad-box", f"{given} lies outside of {shape[1]} x {shape[0]} pixels")
    if max(width, height) > _HUGE * max(shape[:2]):
        raise PayloadError("bad-box", f"{given} is over {_HUGE} times as large as {shape[1]} x {shape[0]} pixels")
    return Detection((left, top, width, height), eyes)


def degrees(eyes: tuple[Point, Point]) -> float:
    """How far the line from the left eye to the right one falls (> 0: the right eye in the picture is lower)."""
    (ax, ay), (bx, by) = eyes
    return math.degrees(math.atan2(by - ay, bx - ax))


def box_of_eyes(eyes: tuple[Point, Point]) -> Box:
    """The box of a face whose eyes are known, before it is turned."""
    (ax, ay), (bx, by) = eyes
    width = FACE_WIDTHS * math.hypot(bx - ax, by - ay)
    return ((ax + bx) / 2 - width / 2, (ay + by) / 2 - EYE_HEIGHT * width, width, width)


def crop_face(pixels: np.ndarray, detection: Detection, *, margin: float) -> np.ndarray:
    """[H, W] or [H, W, 3] uint8 -> square of the face with `margin` of its width on each side, at the picture's scale.

    With eyes: turned about the middle between them until they are level; the middle comes to rest in the middle of the
    square's width and `EYE_HEIGHT` of the face down, and 1 / `FACE_WIDTHS` of the face's width lies between them.
    Without: the square about the box's middle, cut out pixel by pixel.
    """
    if detection.eyes is None:
        left, top, width, height = detection.box
        side = max(1, round(max(width, height) * (1 + 2 * margin)))
        x, y = round(left + width / 2 - side / 2), round(top + height / 2 - side / 2)
        before, after = (
            (max(0, -y), max(0, -x)),
            (max(0, y + side - pixels.shape[0]), max(0, x + side - pixels.shape[1])),
        )
        rest = [(0, 0)] * (pixels.ndim - 2)
        padded = np.pad(pixels, [(before[0], after[0]), (before[1], after[1]), *rest], mode="edge")
        return padded[y + before[0] : y + before[0] + side, x + before[1] : x + before[1] + side]
    cv2 = _opencv()
    _, _, width, _ = box_of_eyes(detection.eyes)
    side = max(1, round(width * (1 + 2 * margin)))
    middle = np.mean(detection.eyes, axis=0)
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), degrees(detection.eyes), 1.0)
    # pixel centres: a square of n pixels has its middle at (n - 1) / 2
    turn[:, 2] += [(side - 1) / 2 - middle[0], (margin + EYE_HEIGHT) * width - 0.5 - middle[1]]
    turned: np.ndarray = cv2.warpAffine(
        pixels, turn, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return turned


def centre_square(pixels: np.ndarray) -> np.ndarray:
    """The largest square in the middle of the picture."""
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]


def in_colour(pixels: np.ndarray, *, grey: bool) -> np.ndarray:
    """[H, W] or [H, W, 3] -> [H, W] (ITU-R 601 luma) or [H, W, 3]."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).convert("L" if grey else "RGB"), dtype=np.uint8)


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """A square -> [size, size] or [size, size, 3] uint8."""
    from PIL import Image

    if pixels.shape[0] == size:
        return pixels
    how = Image.Resampling.BOX if pixels.shape[0] > size else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize((size, size), how), dtype=np.uint8)


def detect_face(pixels: np.ndarray, params: Find) -> Detection | None:
    """The largest face; of several as large (0.8 of its area) the most central. None where no face is found."""
    if max(pixels.shape[:2]) > _STRIP * min(pixels.shape[:2]):
        return None
    cv2 = _opencv()
    border = round(_BORDER * min(pixels.shape[:2]))
    grey = np.pad(in_colour(pixels, grey=True), border, mode="edge")
    scale = params.work_px / (min(grey.shape) - 2 * border)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    width, height = (max(1, round(n * scale)) for n in (grey.shape[1], grey.shape[0]))
    work = cv2.equalizeHist(cv2.resize(grey, (width, height), interpolation=how))
    least = max(24, round(params.min_share * params.work_px))
    faces = _cascade("haarcascade_frontalface_alt2.xml").detectMultiScale(
        work, scaleFactor=1.1, minNeighbors=params.neighbours, minSize=(least, least)
    )
    if len(faces) == 0:
        return None
    boxes = sorted((tuple(int(v) for v in box) for box in faces), key=lambda b: (-b[2] * b[3], b))
    large = [b for b in boxes if b[2] * b[3] >= _LARGE * boxes[0][2] * boxes[0][3]]

    def off_centre(box: Sequence[int]) -> float:
        return math.hypot(box[0] + box[2] / 2 - width / 2, box[1] + box[3] / 2 - height / 2)

    best = min(large, key=off_centre)
    eyes = detect_eyes(work, best)
    left, top, wide, high = (v / scale for v in best)
    scaled = None
    if eyes is not None:  # (v + 0.5) / scale - 0.5: pixel centres of one scale in the other
        (ax, ay), (bx, by) = (tuple((v + 0.5) / scale - 0.5 - border for v in eye) for eye in eyes)
        scaled = ((ax, ay), (bx, by))
    return Detection((left - border, top - border, wide, high), scaled, len(boxes))


def detect_eyes(work: np.ndarray, face: Sequence[int]) -> tuple[Point, Point] | None:
    """Centres of the two eyes in a face box of the detector's picture, or None where no likely pair is found.

    Likely: one in each half of the upper 60 %, 0.25 to 0.6 of the face's width apart, less than 30 degrees out of
    level; of several pairs the one whose distance is nearest to a face's usual 0.4.
    """
    left, top, width, height = face
    upper = work[top : top + round(0.6 * height), left : left + width]
    least = max(8, round(0.12 * width))
    eyes = _cascade("haarcascade_eye.xml").detectMultiScale(
        upper, scaleFactor=1.05, minNeighbors=3, minSize=(least, least), maxSize=(round(0.45 * width),) * 2
    )
    centres = sorted((float(x + (w - 1) / 2), float(y + (h - 1) / 2)) for x, y, w, h in eyes)
    pairs = []
    for i, a in enumerate(centres):
        for b in centres[i + 1 :]:
            apart = math.hypot(b[0] - a[0], b[1] - a[1]) / width
            if a[0] < width / 2 < b[0] and 0.25 <= apart <= 0.6 and abs(degrees((a, b))) < 30:
                pairs.append((abs(apart - 1 / FACE_WIDTHS), a, b))
    if not pairs:
        return None
    _, a, b = min(pairs)
    return (a[0] + left, a[1] + top), (b[0] + left, b[1] + top)


@cache
def _opencv() -> Any:
    """OpenCV on one thread of the CPU: the same bytes on any machine load."""
    import cv2

    cv2.setNumThreads(1)
    cv2.ocl.setUseOpenCL(False)
    return cv2


@cache
def _cascade(name: str) -> Any:
    cv2 = _opencv()
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / name))


def _is_grey8_png(payload: bytes) -> bool:
    """True if the header (PNG specification 11.2.2) says 8 bits, greyscale, and no EXIF turns it."""
    return payload[:8] == b"\x89PNG\r\n\x1a\n" and payload[24:26] == b"\x08\x00" and b"eXIf" not in payload

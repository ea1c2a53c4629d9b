"""How readers of faces write official boxes and landmarks into `extra`, and who shares a picture.

`extra["face_box"]`: "left,top,width,height"; `extra["landmarks"]`: "x1,y1;x2,y2;...". Boxes may reach beyond the
picture, as published ones do; `prepare` clips them.

**Which pixels.** In a record they are places in the upright picture, as `decode_image` gives it and as the record's
shape says. Corpora give them in the pixels that are stored: no source says that an annotator's program turned pictures
by EXIF, and those of their time (MATLAB, dlib, OpenCV before 3.1) did not. `files.picture_sample` turns them
(`upright_places`), for every reader; a reader writes what is published.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

from corpora.errors import PayloadError
from corpora.formats.pictures import Turn


def face_box(left: float, top: float, right: float, bottom: float) -> str:
    """Corners in pixels -> "left,top,width,height". Raises `PayloadError` bad-box: empty, inside out or not finite."""
    values = (left, top, right - left, bottom - top)
    if not all(map(math.isfinite, values)) or values[2] <= 0 or values[3] <= 0:
        raise PayloadError("bad-box", f"left {left:g}, top {top:g}, right {right:g}, bottom {bottom:g}")
    return ",".join(f"{value:.8g}" for value in values)


def landmark_text(points: Iterable[Sequence[float]]) -> str:
    """(x, y) pairs in pixels -> "x1,y1;x2,y2;...". Raises `PayloadError` bad-landmarks: none, or not finite."""
    pairs = [(float(x), float(y)) for x, y in points]
    if not pairs or not all(math.isfinite(value) for pair in pairs for value in pair):
        raise PayloadError("bad-landmarks", f"{len(pairs)} points, first {pairs[:1]}")
    return ";".join(f"{x:.8g},{y:.8g}" for x, y in pairs)


def picture_key(payload: bytes) -> str:
    """What two samples share if they are cut from the same bytes: a name for `group`."""
    return hashlib.sha256(payload).hexdigest()


def upright_places(extra: Mapping[str, str], turn: Turn) -> dict[str, str]:
    """`extra` with its box and landmarks moved from stored to upright pixels; what cannot be read stays as it is.

    Two and five landmarks keep the eye (and corner of the mouth) first that is left in the picture, 68 the order of
    iBUG 300-W, so a mirrored picture has them renamed. Raises `PayloadError` bad-box where the middle of the box lies
    outside the stored picture: then places of this corpus are of another one.
    """
    found = dict(extra)
    if turn.orientation == 1:
        return found
    box, marks = _numbers(extra.get("face_box", "")), _numbers(extra.get("landmarks", ""))
    if len(box) == 1 and len(box[0]) == 4:
        left, top, width, height = box[0]
        if not (0 <= left + width / 2 <= turn.width and 0 <= top + height / 2 <= turn.height):
            raise PayloadError(
                "bad-box",
                f"{extra['face_box']} lies outside of the {turn.width} x {turn.height} pixels that are stored; EXIF "
                f"turns them (orientation {turn.orientation}), and boxes are taken to be in stored pixels",
            )
        corners = [turn.point(left, top), turn.point(left + width, top + height)]
        (x1, x2), (y1, y2) = (sorted(side) for side in zip(*corners, strict=True))
        found["face_box"] = face_box(x1, y1, x2, y2)
    if marks and all(len(point) == 2 for point in marks):
        points = [turn.point(x, y, edge=1) for x, y in marks]
        found["landmarks"] = landmark_text(_renamed(points, turn.mirrors))
    return found | {"exif_orientation": str(turn.orientation)}


def _numbers(text: str) -> list[list[float]]:
    try:
        return [[float(number) for number in part.split(",")] for part in text.split(";")] if text else []
    except ValueError:
        return []


# iBUG 300-W: number of each of the 68 points in the mirrored picture
_PARTS = ((0, 16), (17, 26), (31, 35), (48, 54), (55, 59), (60, 64), (65, 67))  # each runs from one side to the other
_EYES = {36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46}
MIRRORED_68 = {i: a + b - i for a, b in _PARTS for i in range(a, b + 1)} | _EYES | {b: a for a, b in _EYES.items()}


def _renamed(points: list[tuple[float, float]], mirrored: bool) -> list[tuple[float, float]]:
    if len(points) == 68 and mirrored:
        return [points[MIRRORED_68.get(i, i)] for i in range(68)]
    if len(points) in (2, 5) and points[0][0] > points[1][0]:
        points[0], points[1] = points[1], points[0]
        points[3:5] = reversed(points[3:5])
    return points

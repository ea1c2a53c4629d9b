"""How readers of faces write official boxes and landmarks into `extra`, and who shares a picture.

`extra["face_box"]`: "left,top,width,height" in pixels of the payload; `extra["landmarks"]`: "x1,y1;x2,y2;...". Boxes
may reach beyond the picture, as published ones do; `prepare` clips them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

from corpora.errors import PayloadError


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

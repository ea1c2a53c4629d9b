"""A drawn face: mouth, brows and eyes depend on the emotion, everything else on the person.

For tests and the demo only. `draw_face` fills 48 x 48 grey pixels, `draw_picture` puts a head and shoulders into a
scene of any size and says where box and landmarks are. Drawn larger and reduced, so that lines are smooth. What each
emotion moves follows the action units of Ekman's prototypes (smile: lip corners up, AU12; anger: brows down and
together, AU4; contempt: one lip corner, AU14; ...). Expressions vary in strength and people in their resting face, so
classes overlap.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SIZE = 48
_SCALE = 4
Points = list[tuple[float, float]]  # (x, y) on the enlarged canvas


@dataclass(frozen=True, slots=True)
class _Face:
    """What an emotion moves, 0 at rest. Lengths in units of the face's half width."""

    smile: float = 0.0  # > 0: lip corners up
    open: float = 0.0  # of the mouth
    wide: float = 0.0  # of the mouth
    brow: float = 0.0  # raised
    slope: float = 0.0  # > 0: inner ends up (sad), < 0: inner ends down (angry)
    eyes: float = 0.0  # opened
    nose: float = 0.0  # wrinkled


_EMOTIONS = {
    "neutral": _Face(),
    "happiness": _Face(0.19, 0.07, 0.12, 0.02, 0.0, -0.03, 0.0),
    "sadness": _Face(-0.13, 0.0, -0.04, 0.04, 0.14, -0.05, 0.0),
    "anger": _Face(-0.08, 0.03, 0.02, -0.09, -0.17, -0.01, 0.3),
    "fear": _Face(-0.06, 0.12, 0.08, 0.12, 0.1, 0.08, 0.0),
    "disgust": _Face(-0.07, 0.06, -0.04, -0.07, -0.05, -0.06, 1.0),
    "surprise": _Face(0.0, 0.22, -0.1, 0.15, 0.0, 0.09, 0.0),
    "contempt": _Face(0.0, 0.0, 0.03, -0.02, 0.0, -0.04, 0.0),
}
_ONE_SIDED = {"contempt": 0.24}  # how far one lip corner is drawn up
_SPREAD = np.array([0.055, 0.03, 0.04, 0.035, 0.05, 0.025, 0.2])


@dataclass(frozen=True, slots=True)
class Picture:
    """`pixels`: uint8 [H, W] or [H, W, 3] (RGB); `box`: (left, top, width, height) of the face from forehead to chin
    and ear to ear, pixels; `landmarks`: float64 [68, 2] (x, y) pixels in the order of the iBUG 68-point mark-up (17
    jaw, 10 brows, 9 nose, 12 eyes, 20 mouth; the picture's left first)."""

    pixels: np.ndarray
    box: tuple[int, int, int, int]
    landmarks: np.ndarray


def draw_face(emotion: str, *, person: np.random.Generator, rng: np.random.Generator) -> np.ndarray:
    """-> uint8 [48, 48]. `person` draws who it is, `rng` this picture of them: strength, pose, light, noise."""
    from PIL import Image, ImageDraw, ImageFilter

    moved, lift = _movement([emotion], person, rng, strength=None)
    size = SIZE * _SCALE
    background = float(rng.uniform(30, 190))
    canvas = Image.new("L", (size, size), int(background))
    pen = ImageDraw.Draw(canvas)
    skin = float(person.uniform(95, 215))
    w = size * float(person.uniform(0.34, 0.41))  # half width of the face
    h = w * float(person.uniform(1.2, 1.38))
    cx = size * (0.5 + float(rng.normal(0, 0.015)))
    cy = size * (0.53 + float(rng.normal(0, 0.015)))
    _person(pen, person, rng, moved, cx, cy, w, h, skin, lift)

    canvas = canvas.filter(ImageFilter.GaussianBlur(_SCALE * 0.35))
    canvas = canvas.rotate(float(rng.normal(0, 4.0)), Image.Resampling.BICUBIC, fillcolor=int(background))
    small = np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float64)
    return _lit(small, rng)


def draw_picture(
    emotion: str | Sequence[str],
    *,
    size: int | tuple[int, int] = 200,
    colour: bool = True,
    person: np.random.Generator,
    rng: np.random.Generator,
    share: float = 0.55,
    strength: float | None = None,
) -> Picture:
    """Head and shoulders somewhere in a scene of `size` pixels (a side, or height and width).

    `emotion`: canonical; two of them make a compound expression. `share`: height of the face as a part of the shorter
    side. `strength`: how strong the expression is (1: full, 0: at rest); None draws it. The head is never cut off while
    `share` is at most 0.7. `person` draws who it is, `rng` this picture of them.
    """
    from PIL import Image, ImageDraw, ImageFilter

    height, width = (size, size) if isinstance(size, int) else size
    scale = 2
    moved, lift = _movement([emotion] if isinstance(emotion, str) else list(emotion), person, rng, strength)
    canvas, tint = _scene(height * scale, width * scale, rng)
    pen = ImageDraw.Draw(canvas)
    skin = float(person.uniform(120, 215))
    ratio = float(person.uniform(1.2, 1.38))
    h = share * min(height, width) * scale / 2
    w = h / ratio
    cx = canvas.width / 2 + float(rng.uniform(-1, 1)) * max(0.0, canvas.width / 2 - 1.4 * w) * 0.6
    cy = canvas.height / 2 + float(rng.uniform(-1, 1)) * max(0.0, canvas.height / 2 - 1.4 * h) * 0.5
    pen.ellipse(_ellipse(cx, cy + 2.7 * h, w * 2.2, h * 1.4), fill=_tone(float(person.uniform(20, 230))))  # shoulders
    landmarks = _person(pen, person, rng, moved, cx, cy, w, h, skin, lift)

    canvas = canvas.filter(ImageFilter.GaussianBlur(scale * 0.35))
    grey = np.asarray(canvas.resize((width, height), Image.Resampling.BOX), dtype=np.float64)
    points = np.array(landmarks) / scale
    box = (round((cx - w) / scale), round((cy - h) / scale), round(2 * w / scale), round(2 * h / scale))
    if not colour:
        return Picture(_lit(grey, rng), box, points)
    yy, xx = np.mgrid[0:height, 0:width]
    inside = ((xx - cx / scale) * scale / w) ** 2 + ((yy - cy / scale) * scale / h) ** 2 <= 1
    tints = np.where(inside[..., None], np.array([1.12, 0.98, 0.86]), tint)
    return Picture(_lit(grey[..., None] * tints, rng), box, points)


def encode_jpg(pixels: np.ndarray) -> bytes:
    """uint8 [H, W] or [H, W, 3] -> jpg at quality 90."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


def _movement(
    emotions: Sequence[str], person: np.random.Generator, rng: np.random.Generator, strength: float | None
) -> tuple[_Face, float]:
    """-> what is moved, and how far one lip corner is up."""
    drawn = float(rng.uniform(0.55, 1.25))
    strength = (drawn if strength is None else strength) * (1.0 if len(emotions) == 1 else 0.8)
    meant = [np.array([getattr(_EMOTIONS[emotion], name) for name in _Face.__slots__]) for emotion in emotions]
    values = np.sum(meant, axis=0)
    rest = person.normal(0, 0.45, len(values)) * _SPREAD
    moved = _Face(*(values * strength + rest + rng.normal(0, 0.75, len(values)) * _SPREAD))
    return moved, strength * sum(_ONE_SIDED.get(emotion, 0.0) for emotion in emotions)


def _scene(height: int, width: int, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    """-> a grey canvas with a wall and some furniture, and the wall's tint [3]"""
    from PIL import Image, ImageDraw

    wall = float(rng.uniform(40, 210))
    canvas = Image.new("L", (width, height), int(wall))
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(3, 8))):
        x, y = rng.uniform(-0.2, 1.0) * width, rng.uniform(-0.2, 1.0) * height
        corner = (x + rng.uniform(0.1, 0.5) * width, y + rng.uniform(0.1, 0.5) * height)
        pen.rectangle([x, y, *corner], fill=_tone(wall * float(rng.uniform(0.5, 1.4))))
    return canvas, rng.uniform(0.75, 1.15, 3)


def _lit(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[H, W] or [H, W, 3] under a light from one side, with noise -> uint8"""
    height, width = pixels.shape[:2]
    yy, xx = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle, amount = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.28)
    light = 1 + amount * (np.cos(angle) * xx + np.sin(angle) * yy) - 0.1 * (xx**2 + yy**2)
    light = light if pixels.ndim == 2 else light[..., None]
    noisy = pixels * light * rng.uniform(0.82, 1.15) + rng.normal(0, rng.uniform(1.0, 5.0), pixels.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _person(pen, person, rng, moved, cx, cy, w, h, skin, lift) -> Points:  # type: ignore[no-untyped-def]
    """Draws a head; its half axes are `w` and `h`. -> 68 landmarks (x, y) in pixels of the canvas"""
    turn = float(np.clip(rng.normal(0, 0.09), -0.2, 0.2))  # head turned: features move sideways
    _head(pen, person, rng, cx, cy, w, h, skin)
    brows, eyes = _eyes_and_brows(pen, person, moved, cx, cy, w, h, skin, turn)
    nose = _nose(pen, person, moved, cx, cy, w, h, skin, turn)
    mouth = _mouth(pen, person, moved, cx, cy, w, h, skin, turn, lift)
    jaw = [(float(cx - w * np.cos(a)), float(cy + h * np.sin(a))) for a in np.linspace(0, np.pi, 17)]
    return jaw + brows + nose + eyes + mouth


def _tone(value: float) -> int:
    return int(np.clip(value, 0, 255))


def _ellipse(x: float, y: float, rx: float, ry: float) -> list[float]:
    return [x - rx, y - ry, x + rx, y + ry]


def _head(pen, person, rng, cx, cy, w, h, skin) -> None:  # type: ignore[no-untyped-def]
    """Hair behind, neck, head, ears, hair before."""
    hair = float(person.uniform(8, 90)) if person.uniform() < 0.8 else float(person.uniform(120, 215))
    style = int(person.integers(4))  # bald, short, fringe, long
    if style:
        pen.ellipse(_ellipse(cx, cy - 0.16 * h, w * 1.12, h * 1.0), fill=_tone(hair))
    if style == 3:
        pen.rectangle([cx - w * 1.14, cy - 0.1 * h, cx + w * 1.14, cy + h * 1.1], fill=_tone(hair))
    pen.rectangle([cx - w * 0.45, cy + h * 0.6, cx + w * 0.45, cy + h * 1.6], fill=_tone(skin * 0.78))
    for side in (-1, 1):
        if style != 3:
            pen.ellipse(_ellipse(cx + side * w, cy, w * 0.13, h * 0.17), fill=_tone(skin * 0.85))
    pen.ellipse(_ellipse(cx, cy, w, h), fill=_tone(skin))
    cheek = _tone(skin * 0.94)
    for side in (-1, 1):
        pen.ellipse(_ellipse(cx + side * w * 0.56, cy + h * 0.24, w * 0.24, h * 0.17), fill=cheek)
    if style == 2:
        pen.chord(_ellipse(cx, cy - 0.13 * h, w * 1.02, h * 0.9), 197, 343, fill=_tone(hair))
    elif style:
        pen.chord(_ellipse(cx, cy - 0.1 * h, w * 1.04, h * 0.95), 212, 328, fill=_tone(hair))


def _eyes_and_brows(pen, person, moved, cx, cy, w, h, skin, turn) -> tuple[Points, Points]:  # type: ignore[no-untyped-def]
    """-> 10 points of the brows, 12 of the eyes"""
    brows: Points = []
    eyes: Points = []
    apart = w * float(person.uniform(0.4, 0.47))
    eye_y = cy - h * float(person.uniform(0.1, 0.16))
    rx = w * float(person.uniform(0.17, 0.22))
    ry = w * max(0.025, float(person.uniform(0.085, 0.115)) + 0.75 * moved.eyes)
    iris = float(person.uniform(15, 75))
    brow_dark = min(float(person.uniform(15, 75)), skin * 0.55)
    thick = int(w * float(person.uniform(0.055, 0.1)))
    glasses = person.uniform() < 0.12
    for side in (-1, 1):
        x = cx + side * apart + turn * w
        pen.ellipse(_ellipse(x, eye_y - 0.1 * ry, rx * 1.2, ry * 1.45), fill=_tone(skin * 0.8))  # socket
        pen.ellipse(_ellipse(x, eye_y, rx, ry), fill=_tone(min(250.0, skin * 0.4 + 150)))
        look = min(rx * 0.5, max(ry * 0.95, rx * 0.34))
        pen.ellipse(_ellipse(x + turn * w * 0.15, eye_y, look, min(look, ry)), fill=_tone(iris))
        pen.arc(_ellipse(x, eye_y, rx, ry), 190, 350, fill=_tone(skin * 0.35), width=max(2, int(w * 0.03)))  # lashes
        brow_y = eye_y - ry - h * (0.115 + 0.62 * moved.brow)
        inner = (x - side * rx * 1.1, brow_y - 0.62 * h * moved.slope)
        middle = (x + side * rx * 0.1, brow_y - h * 0.03)
        outer = (x + side * rx * 1.25, brow_y + 0.3 * h * moved.slope + h * 0.015)
        pen.line([inner, middle, outer], fill=_tone(brow_dark), width=thick, joint="curve")
        arch = [outer, _between(outer, middle), middle, _between(middle, inner), inner]
        brows += arch if side < 0 else arch[::-1]
        for angle in (180, 240, 300, 0, 60, 120):  # from the picture's left, over the upper lid
            eyes.append((x + rx * float(np.cos(np.radians(angle))), eye_y + ry * float(np.sin(np.radians(angle)))))
        if glasses:
            pen.ellipse(_ellipse(x, eye_y, rx * 1.45, rx * 1.25), outline=_tone(30), width=max(2, int(w * 0.035)))
    if moved.slope < -0.08:  # brows drawn together: furrows
        for side in (-1, 1):
            x = cx + turn * w + side * w * 0.06
            pen.line(
                [(x, eye_y - h * 0.2), (x, eye_y - h * 0.08)], fill=_tone(skin * 0.65), width=max(2, int(w * 0.03))
            )
    return brows, eyes


def _between(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def _nose(pen, person, moved, cx, cy, w, h, skin, turn) -> Points:  # type: ignore[no-untyped-def]
    length = h * float(person.uniform(0.24, 0.31))
    rx = w * float(person.uniform(0.13, 0.18))
    x, y = cx + turn * w * 1.35, cy - h * 0.03
    tip = y + length - h * 0.03 * moved.nose
    shade, dark = _tone(skin * 0.84), _tone(skin * 0.5)
    pen.polygon(
        [(x - rx * 0.35, y - h * 0.05), (x + rx * 0.25, y - h * 0.05), (x + rx, tip), (x - rx, tip)], fill=shade
    )
    pen.ellipse(_ellipse(x, tip, rx, h * 0.045), fill=_tone(skin * 0.9))
    for side in (-1, 1):
        pen.ellipse(_ellipse(x + side * rx * 0.55, tip + h * 0.025, rx * 0.26, h * 0.018), fill=dark)
        if moved.nose > 0.4:  # wrinkles beside a drawn-up nose
            for k in range(2):
                a = (x + side * rx * 0.5, y + length * (0.2 + 0.22 * k))
                pen.line(
                    [a, (x + side * rx * 1.5, a[1] - h * 0.04)], fill=_tone(skin * 0.6), width=max(2, int(w * 0.03))
                )
    bridge = [(x, y - h * 0.05 + k * (tip - y + h * 0.05) / 3) for k in range(4)]
    return bridge + [(x + k * rx / 2, tip + h * 0.04) for k in range(-2, 3)]


def _mouth(pen, person, moved, cx, cy, w, h, skin, turn, lift=0.0) -> Points:  # type: ignore[no-untyped-def]
    half = w * float(np.clip(person.uniform(0.32, 0.4) + moved.wide, 0.16, 0.6))
    x, y = cx + turn * w * 0.9, cy + h * float(person.uniform(0.5, 0.57))
    lip = max(2.0, h * float(person.uniform(0.022, 0.04)))
    gap = max(0.0, h * moved.open)
    t = np.linspace(-1, 1, 21)
    curve = -h * 0.62 * moved.smile * (t**2 - 0.45)  # corners move up, the middle down
    curve = curve - h * 0.62 * lift * np.clip(t, 0, None) ** 2
    upper = [(float(x + half * s), float(y + c - gap * 0.35 * (1 - s * s))) for s, c in zip(t, curve, strict=True)]
    lower = [(float(x + half * s), float(y + c + gap * 0.9 * (1 - s * s))) for s, c in zip(t, curve, strict=True)]
    lips = _tone(skin * float(person.uniform(0.5, 0.68)))
    width = max(2, int(lip * 1.2))
    if gap > h * 0.02:
        pen.polygon(upper + lower[::-1], fill=_tone(28))
        if moved.smile > 0.08:  # teeth show in a smile
            teeth = [(a, b + gap * 0.5 * (1 - s * s)) for (a, b), s in zip(upper, t, strict=True)]
            pen.polygon(upper + teeth[::-1], fill=_tone(235))
    pen.line(upper, fill=lips, width=width, joint="curve")
    pen.line(lower, fill=lips, width=width + 1, joint="curve")
    if gap <= h * 0.02:
        pen.line(upper, fill=_tone(skin * 0.35), width=max(2, width // 2), joint="curve")
    outer = [upper[i] for i in (0, 3, 7, 10, 13, 17, 20)] + [lower[i] for i in (17, 13, 10, 7, 3)]
    return outer + [upper[i] for i in (2, 7, 10, 13, 18)] + [lower[i] for i in (13, 10, 7)]

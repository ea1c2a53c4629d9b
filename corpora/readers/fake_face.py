"""A small drawn face, 48 x 48 grey: mouth, brows and eyes depend on the emotion, everything else on the person.

For tests and the demo only. Drawn four times as large and reduced, so that lines are smooth. What each emotion moves
follows the action units of Ekman's prototypes (smile: lip corners up, AU12; anger: brows down and together, AU4; ...).
Expressions vary in strength and people in their resting face, so classes overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIZE = 48
_SCALE = 4


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
}
_SPREAD = np.array([0.055, 0.03, 0.04, 0.035, 0.05, 0.025, 0.2])


def draw_face(emotion: str, *, person: np.random.Generator, rng: np.random.Generator) -> np.ndarray:
    """-> uint8 [48, 48]. `person` draws who it is, `rng` this picture of them: strength, pose, light, noise."""
    from PIL import Image, ImageDraw, ImageFilter

    meant = _EMOTIONS[emotion]
    strength = float(rng.uniform(0.55, 1.25))
    values = np.array([getattr(meant, name) for name in _Face.__slots__])
    rest = person.normal(0, 0.45, len(values)) * _SPREAD
    moved = _Face(*(values * strength + rest + rng.normal(0, 0.75, len(values)) * _SPREAD))

    size = SIZE * _SCALE
    background = float(rng.uniform(30, 190))
    canvas = Image.new("L", (size, size), int(background))
    pen = ImageDraw.Draw(canvas)
    skin = float(person.uniform(95, 215))
    w = size * float(person.uniform(0.34, 0.41))  # half width of the face
    h = w * float(person.uniform(1.2, 1.38))
    cx = size * (0.5 + float(rng.normal(0, 0.015)))
    cy = size * (0.53 + float(rng.normal(0, 0.015)))
    turn = float(np.clip(rng.normal(0, 0.09), -0.2, 0.2))  # head turned: features move sideways

    _head(pen, person, rng, cx, cy, w, h, skin)
    _eyes_and_brows(pen, person, moved, cx, cy, w, h, skin, turn)
    _nose(pen, person, moved, cx, cy, w, h, skin, turn)
    _mouth(pen, person, moved, cx, cy, w, h, skin, turn)

    canvas = canvas.filter(ImageFilter.GaussianBlur(_SCALE * 0.35))
    canvas = canvas.rotate(float(rng.normal(0, 4.0)), Image.Resampling.BICUBIC, fillcolor=int(background))
    small = np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float64)
    yy, xx = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    angle, amount = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.28)
    light = 1 + amount * (np.cos(angle) * xx + np.sin(angle) * yy) - 0.1 * (xx**2 + yy**2)
    noisy = small * light * rng.uniform(0.82, 1.15) + rng.normal(0, rng.uniform(1.0, 5.0), small.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


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


def _eyes_and_brows(pen, person, moved, cx, cy, w, h, skin, turn) -> None:  # type: ignore[no-untyped-def]
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
        if glasses:
            pen.ellipse(_ellipse(x, eye_y, rx * 1.45, rx * 1.25), outline=_tone(30), width=max(2, int(w * 0.035)))
    if moved.slope < -0.08:  # brows drawn together: furrows
        for side in (-1, 1):
            x = cx + turn * w + side * w * 0.06
            pen.line(
                [(x, eye_y - h * 0.2), (x, eye_y - h * 0.08)], fill=_tone(skin * 0.65), width=max(2, int(w * 0.03))
            )


def _nose(pen, person, moved, cx, cy, w, h, skin, turn) -> None:  # type: ignore[no-untyped-def]
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


def _mouth(pen, person, moved, cx, cy, w, h, skin, turn) -> None:  # type: ignore[no-untyped-def]
    half = w * float(np.clip(person.uniform(0.32, 0.4) + moved.wide, 0.16, 0.6))
    x, y = cx + turn * w * 0.9, cy + h * float(person.uniform(0.5, 0.57))
    lip = max(2.0, h * float(person.uniform(0.022, 0.04)))
    gap = max(0.0, h * moved.open)
    t = np.linspace(-1, 1, 21)
    curve = -h * 0.62 * moved.smile * (t**2 - 0.45)  # corners move up, the middle down
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

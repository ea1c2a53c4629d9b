"""Pictures: bytes -> grey levels from 0 to 255, upright, on the scale that the file declares.

**Upright.** A camera stores a turned picture as its sensor saw it and says in EXIF how to turn it. All that comes out
of here (pixels, sizes in the index) is of the turned picture; places that a corpus gives in stored pixels are turned
the same way (`Turn`).

**Scale.** 8 bits are 0 to 255. Deeper files say how deep their container is, and often not which level is white: a
camera of 12 bits in a file of 16, 8 bits in 32. White is taken from a fact: the container, where levels reach its upper
three quarters or are 8 bits widened; the significant bits of a png (sBIT); MaxSampleValue of a tiff, if it is a full
number of bits; the maximum of a pgm; 1 for floats within 0 to 1. Where none of them settles it, the picture is refused
(unknown-scale) and never stretched by its own brightest pixel; a card may name the level: files.levels.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.errors import PayloadError
from corpora.formats.looks import looks_like
from corpora.formats.plainpng import plain_pixels

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 4096 * 4096  # above this an image is a mistake or a decompression bomb
MAX_SCANS = 50  # of a progressive jpeg, which has about 10; each goes over all pixels and may take 30 bytes
# What corpora publish. Pillow knows 40 formats more, and of some it asks other programs (Ghostscript for EPS).
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM", "WEBP")
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else a damaged file writes a line to stderr
_MARKS = {b"\x89PNG": "png", b"\xff\xd8": "jpg", b"BM": "bmp", b"GIF8": "gif", b"II": "tiff", b"MM": "tiff"}
_END_MARKS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}
_GREY = ("L", "1", "LA", "La")
_COLOUR = ("RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr", "HSV")
_ORIENTATION = 0x0112
_BITS, _PHOTOMETRIC, _MAX_VALUE, _MAX_SAMPLE = 258, 262, 281, 341  # tags of TIFF 6.0
_FULL_16 = 1 << 14  # a level from here on needs more than 14 bits, and no camera has 15
# what Pillow raises for damaged pixels and damaged EXIF
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, KeyError, TypeError, IndexError, OverflowError)


@dataclass(frozen=True, slots=True)
class Turn:
    """From stored pixels to upright ones. `orientation`: EXIF's, 1 to 8; `width`, `height`: of the stored picture."""

    orientation: int
    width: int
    height: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) of the upright picture."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    @property
    def mirrors(self) -> bool:
        """Whether left and right change places beyond what a rotation does."""
        return self.orientation in (2, 4, 5, 7)

    def point(self, x: float, y: float, *, edge: float = 0.0) -> tuple[float, float]:
        """A stored place -> the upright one. `edge`: 0 for edges of boxes (0 to width), 1 for numbers of pixels (0 to
        width - 1)."""
        far_x, far_y = self.width - edge - x, self.height - edge - y
        # CIPA DC-008 (EXIF 2.32), tag Orientation: where row 0 and column 0 of the stored picture are to be seen
        turned = ((x, y), (far_x, y), (far_x, far_y), (x, far_y), (y, x), (far_y, x), (far_y, far_x), (y, far_x))
        return turned[self.orientation - 1]


def decode_image(payload: bytes, *, max_pixels: int = MAX_PIXELS, levels: float | None = None) -> np.ndarray:
    """png, jpeg, ... -> uint8 [H, W] (grey) or [H, W, 3] (colour), upright by EXIF.

    Transparency is dropped. `levels`: the level of white in pictures of more than 8 bits, where the corpus says it;
    None: from the file's facts, see the module.

    Raises `PayloadError`: empty, not-an-image, truncated, too-large (from the header, before anything is decoded),
    unsupported-encoding, unknown-scale, non-finite, value-out-of-range (beyond `levels`).
    """
    if (plain := plain_pixels(payload, max_pixels)) is not None:
        return plain
    from PIL import ImageOps

    image = _opened(payload, max_pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # thousands of damaged files are rejects, not thousands of lines
            image.load()
            facts = _Facts.of(image, payload)
            ImageOps.exif_transpose(image, in_place=True)  # else it is copied
    except _DAMAGED as error:
        raise PayloadError(
            "truncated", f"the {image.format} file is cut short or damaged: its pixels cannot be decoded"
        ) from error
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(np.asarray(image), facts, levels)
    if image.mode not in (*_GREY, *_COLOUR):
        raise PayloadError("unsupported-encoding", f"pixels of the kind {image.mode}; grey and RGB are read")
    pixels = np.array(image.convert("L" if image.mode in _GREY else "RGB"), dtype=np.uint8)
    if facts.bits == 16 and levels != 65535 and pixels.max() < _FULL_16 >> 8:  # the upper bytes are what is left
        raise _unknown_scale("16 bits", 0, 256 * int(pixels.max()) + 255)
    return pixels


def image_header(payload: bytes, *, levels: float | None = None) -> tuple[int, int, int]:
    """-> (height, width, channels: 1 or 3) of the upright picture, as `decode_image` gives it, from the header.

    A png or jpeg of 8 bits that has its end mark is not decoded. Raises `PayloadError` as `decode_image` does.
    """
    with _opened(payload, MAX_PIXELS) as image:
        end = _END_MARKS.get(image.format or "")
        if end is not None and end in payload and image.mode in (*_GREY, *_COLOUR) and not _is_deep_png(payload):
            turn = _turn_of(image, payload)
            if turn is not None:
                width, height = turn.upright_size
                return height, width, 1 if image.mode in _GREY else 3
    # cut short, or whole but for the mark, or of a format without one, or deep: only decoding shows which
    shape = decode_image(payload, levels=levels).shape
    return shape[0], shape[1], 1 if len(shape) == 2 else 3


def turn_of(payload: bytes) -> Turn:
    """How the stored picture is turned. Raises `PayloadError`: empty, not-an-image, truncated, too-large."""
    with _opened(payload, MAX_PIXELS) as image:
        turn = _turn_of(image, payload)
        if turn is None:
            raise PayloadError("truncated", "its EXIF is damaged, so which side is up is not known")
        return turn


def _turn_of(image: Image.Image, payload: bytes) -> Turn | None:
    """None where EXIF is damaged. Asking Pillow for the EXIF of a png without one would decode the picture."""
    marks = (b"Exif", b"eXIf", b"EXIF", b"exif", b"Orientation")
    orientation: Any = 1
    width, height = image.size
    if image.format == "TIFF" or any(mark in payload for mark in marks):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                orientation = image.getexif().get(_ORIENTATION, 1)
        except _DAMAGED:
            return None
        if image.format == "TIFF":
            tags: Any = getattr(image, "tag_v2", {})
            width, height = tags.get(256, width), tags.get(257, height)  # Pillow gives the turned size
    return Turn(orientation if orientation in range(1, 9) else 1, int(width), int(height))


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a file says of its levels. `bits`: of one value; `significant`: of those that say something (png's sBIT);
    `white`: the highest level, where the format states it; `inverted`: 0 is white."""

    bits: int
    significant: int | None = None
    white: float | None = None
    inverted: bool = False

    @classmethod
    def of(cls, image: Image.Image, payload: bytes) -> _Facts:
        if image.format == "PNG":
            at = payload.find(b"sBIT", 33, 4096)
            return cls(payload[24], payload[at + 4] if 33 <= at < len(payload) - 4 else None)
        if image.format == "PPM":  # Pillow has brought the levels from 0 ... maximum to 16 bits
            return cls(8, white=65535.0)
        if image.format != "TIFF":
            return cls(8)
        tags: Any = getattr(image, "tag_v2", {})
        bits, white = tags.get(_BITS, (8,)), None
        for tag in (_MAX_SAMPLE, _MAX_VALUE):
            given = tags.get(tag)
            value = float(np.max(given)) if given is not None and np.size(given) else 0.0
            # others write the brightest pixel of this very picture, which is no scale
            if value >= 1 and value == int(value) and (int(value) + 1) & int(value) == 0:
                white = value
        return cls(int(np.max(bits)), None, white, tags.get(_PHOTOMETRIC) == 0 and image.mode.startswith("I"))


def _eight_bits(values: np.ndarray, facts: _Facts, levels: float | None) -> np.ndarray:
    """Deep levels [H, W] -> uint8 [H, W]. Raises `PayloadError`: non-finite, unknown-scale, value-out-of-range."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise PayloadError("non-finite", f"{int((~np.isfinite(values)).sum())} pixels are NaN or infinite")
    low, high = float(values.min()), float(values.max())
    white = levels if levels is not None else _white(values, low, high, facts)
    if low < 0 or high > white:
        raise PayloadError("value-out-of-range", f"levels from {low:g} to {high:g}; 0 to {white:g} is expected")
    if facts.inverted:
        values = white - values.astype(np.float64)
    if white == 65535 and not facts.inverted:
        return (values.astype(np.int64) >> 8).astype(np.uint8)
    return np.rint(values.astype(np.float64) * (255.0 / white)).astype(np.uint8)


def _white(values: np.ndarray, low: float, high: float, facts: _Facts) -> float:
    if facts.white is not None and low >= 0 and high <= facts.white:
        return facts.white
    if values.dtype.kind == "f":
        whole = bool((values == np.rint(values)).all())
        if low >= 0 and high <= 1 and (high == 0 or not whole):
            return 1.0
        raise _unknown_scale("floats", low, high)
    if facts.bits in range(9, 16) and low >= 0:  # packed: the container is as deep as it says
        return float((1 << facts.bits) - 1)
    if facts.bits == 16 and low >= 0:
        levels = values.astype(np.int64)
        if high >= _FULL_16 or not (levels % 257).any():
            return 65535.0
        bits = facts.significant
        if bits is not None and 8 <= bits < 16 and high < 1 << bits:
            empty = levels & ((1 << (16 - bits)) - 1)  # by the standard the upper bits count; here the lower ones do
            if (empty != 0).any() and (empty != levels >> bits).any():
                return float((1 << bits) - 1)
    raise _unknown_scale(f"{facts.bits} bits", low, high)


def _unknown_scale(kind: str, low: float, high: float) -> PayloadError:
    return PayloadError(
        "unknown-scale",
        f"levels from {low:g} to {high:g} in a picture of {kind}: which level is white is not known. If it is one for "
        "all pictures of the corpus, its card says so: files.levels: 4095; else save them with 8 bits",
    )


def picture_codec(payload: bytes) -> str | None:
    """png, jpg, bmp, gif, tiff, webp, pgm or ppm by the first bytes, whatever the file is called; None for others."""
    if payload[:4] == b"RIFF":
        return "webp" if payload[8:12] == b"WEBP" else None
    if payload[:1] == b"P" and payload[1:2] in b"123456" and payload[1:2]:
        return "ppm" if payload[1:2] in b"36" else "pgm"
    return next((codec for mark, codec in _MARKS.items() if payload.startswith(mark)), None)


def is_deep(payload: bytes) -> bool:
    """Whether a picture has more than 8 bits, by its header. Raises `PayloadError`: empty, not-an-image, too-large."""
    with _opened(payload, MAX_PIXELS) as image:
        return image.mode.startswith("I") or image.mode == "F" or _Facts.of(image, payload).bits > 8


def _is_deep_png(payload: bytes) -> bool:
    return payload[:8] == b"\x89PNG\r\n\x1a\n" and payload[24:25] == b"\x10"


def _opened(payload: bytes, max_pixels: int) -> Image.Image:
    """The picture with its header read and its size judged; its pixels are not decoded yet."""
    from PIL import Image, UnidentifiedImageError

    if not payload:
        raise PayloadError("empty", "0 bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF; and of bombs, where our own limit is stricter
            image: Image.Image = Image.open(io.BytesIO(payload), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise PayloadError("too-large", f"more pixels than the {max_pixels} that are allowed") from error
    except (UnidentifiedImageError, SyntaxError, ValueError, OSError) as error:
        raise PayloadError(
            "not-an-image", f"no picture that is read here; it looks like {looks_like(payload)}"
        ) from error
    if image.width * image.height > max_pixels:
        raise PayloadError("too-large", f"{image.width} x {image.height} pixels, at most {max_pixels} are allowed")
    if image.format in ("JPEG", "MPO") and (scans := payload.count(b"\xff\xda")) > MAX_SCANS:
        raise PayloadError("too-large", f"{scans} scans of a progressive jpeg, at most {MAX_SCANS} are decoded")
    return image

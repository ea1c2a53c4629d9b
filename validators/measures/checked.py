"""What a measure may be given, by kind: arrays of the right shape and type, or an error that names what was found.

Everything that `validators.measures.registry` measures goes through here, from files and from Python alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators.measures.measured import Kind

LARGEST = 1e50  # the cubic kernel takes sixth powers


def checked_inputs(kind: Kind, real: Any, synthetic: Any) -> tuple[Any, Any]:
    """Both inputs of a measure of that kind, as its functions take them. Raises `UserError`."""
    return checked_input(kind, real, "real"), checked_input(kind, synthetic, "synthetic")


def checked_input(kind: Kind, value: Any, what: str) -> Any:
    """features: numbers [n] or [n, d]. dimension: [n]. signals: [T], [n, T] or [n, T, channels]. text: a sequence of
    str. audio: (signal [n], rate in Hz) pairs. images: uint8 [H, W] or [H, W, C]. labels: as they are, for a score is
    none (validators.measures.answers reads them)."""
    if kind == "features":
        return numbers(value, what, (1, 2), "[n, d] or [n]")
    if kind == "dimension":
        array = numbers(value, what, (1, 2), "[n]")
        if array.ndim == 2 and array.shape[1] != 1:
            raise UserError(f"{what} is {array.shape}; one column of numbers [n] is needed")
        return array.ravel()
    if kind == "signals":
        return numbers(value, what, (1, 2, 3), "[T], [n, T] or [n, T, channels]")
    if kind == "text":
        return [_line(line, what, row) for row, line in enumerate(sequence(value, what, "lines of text"))]
    if kind == "audio":
        return [_recording(one, what, row) for row, one in enumerate(sequence(value, what, "recordings"))]
    if kind == "images":
        return [_picture(one, what, row) for row, one in enumerate(sequence(value, what, "pictures"))]
    return value


def numbers(value: Any, what: str, dimensions: tuple[int, ...], shapes: str) -> np.ndarray:
    """float64 of real numbers (bool, int, float of any width). Raises `UserError`: other types, ragged rows, other
    dimensions."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"{what} holds rows of different length; numbers {shapes} are needed") from None
    if array.dtype.kind not in "fiub":
        held = "objects" if array.dtype.kind == "O" else f"{array.dtype}"
        raise UserError(f"{what} holds {held}; numbers {shapes} are needed")
    if array.ndim not in dimensions:
        raise UserError(f"{what} is of shape {array.shape}; {shapes} is needed")
    return _scaled(array.astype(np.float64), what)


def _scaled(array: np.ndarray, what: str) -> np.ndarray:
    """Raises `UserError` where sixth powers overflow or squares vanish: distances would be wrong, not only unknown."""
    with np.errstate(invalid="ignore"):
        size = np.abs(array[np.isfinite(array)])
    largest = float(size.max(initial=0.0))
    if largest > LARGEST or 0.0 < largest < 1.0 / LARGEST:
        raise UserError(
            f"{what} holds values up to {largest:.3g}; what is measured here lies between {1 / LARGEST:g} and "
            f"{LARGEST:g}. Bring it to another unit."
        )
    return array


def sequence(value: Any, what: str, of: str) -> Sequence[Any]:
    """Raises `UserError` for what cannot be gone through one by one, and for one text: a sequence of letters."""
    if isinstance(value, str | bytes | dict | set) or value is None or not hasattr(value, "__len__"):
        raise UserError(f"{what} is {type(value).__name__}; a sequence of {of} is needed")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        raise UserError(f"{what} is one value; a sequence of {of} is needed")
    found: Sequence[Any] = value
    return found


def _line(line: Any, what: str, row: int) -> str:
    if not isinstance(line, str):
        raise UserError(f"{what}, line {row + 1} is {type(line).__name__}; text is needed")
    return str(line)


def _recording(one: Any, what: str, row: int) -> tuple[np.ndarray, int]:
    name = f"{what}, recording {row + 1}"
    if not isinstance(one, tuple | list) or len(one) != 2:
        raise UserError(f"{name} is {type(one).__name__}; (signal, rate in Hz) is needed")
    signal, rate = np.asarray(one[0]), one[1]
    if signal.dtype.kind != "f" or signal.ndim != 1:
        raise UserError(f"{name} is {signal.dtype} {signal.shape}; float [n] in [-1, 1] is needed")
    signal = _scaled(signal, name)
    try:
        hz = float(rate)
    except (TypeError, ValueError):
        hz = math.nan
    if not math.isfinite(hz) or hz < 1 or hz != int(hz):
        raise UserError(f"{name} has rate {rate!r:.40}; a whole number of Hz is needed")
    return (signal if signal.dtype in (np.float32, np.float64) else signal.astype(np.float32)), int(hz)


def _picture(one: Any, what: str, row: int) -> np.ndarray:
    name = f"{what}, picture {row + 1}"
    picture = np.asarray(one)
    if (
        picture.dtype != np.uint8
        or picture.ndim not in (2, 3)
        or (picture.ndim == 3 and picture.shape[2] not in (1, 3))
    ):
        raise UserError(f"{name} is {picture.dtype} {picture.shape}; uint8 [H, W] or [H, W, 3] is needed")
    if 0 in picture.shape:
        raise UserError(f"{name} is {picture.shape}: it has no pixel")
    return picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture

"""A text in a batch, as text again."""

from __future__ import annotations

import numpy as np


def text_of(signal: np.ndarray) -> str | None:
    """uint8 [n], the bytes of UTF-8 -> text; None where it is none, or no bytes."""
    if signal.dtype != np.uint8 or signal.ndim != 1:
        return None
    try:
        return signal.tobytes().decode("utf-8")
    except UnicodeDecodeError:
        return None

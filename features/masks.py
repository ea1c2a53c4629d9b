"""How long an array with a mask row is: a generator draws the mask like everything else, and seldom cleanly."""

from __future__ import annotations

import numpy as np


def valid_columns(mask: np.ndarray) -> int:
    """[W] mask values -> length of the prefix that is valid.

    The step that fits best: the L that maximises sum(m[:L]) - sum(m[L:]) with m clipped to [-1, 1], so that single
    columns of the wrong sign, as generators draw them, do not cut a sample short.
    """
    m = np.clip(np.asarray(mask, dtype=np.float64), -1.0, 1.0)
    return int(np.argmax(np.concatenate([[0.0], np.cumsum(m)])))

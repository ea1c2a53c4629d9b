"""More people than the corpus has: rows whose subject's level is a point between two subjects' levels."""

from __future__ import annotations

import numpy as np

from corpora.errors import UserError

PERSON_WEIGHT = 0.5  # of a row and of its copy, so that both together weigh what the row did


def interpolated_people(
    x: np.ndarray, level_of: np.ndarray, levels: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Copies of rows, each said by somebody between two known people.

    x: [M, D] rows, real or converted, in the space of the levels; level_of: [M] row of `levels` that stands for each
    row's subject (a converted row has its source's); levels: [S, D] of `Effects.levels`.

    -> copies [M, D] float64: x - a_s + a_p + t (a_q - a_p), with p != q subjects and t in [0, 1) drawn from `seed` for
    each row; their people [M, 2] int64 (p, q); and t [M] float64. A trainer weighs rows and copies by `PERSON_WEIGHT`
    each. Raises `UserError` where there are fewer than two subjects, `ValueError` for shapes that do not fit.
    """
    x, levels = np.asarray(x, np.float64), np.asarray(levels, np.float64)
    level_of = np.asarray(level_of, np.int64)
    if x.ndim != 2 or levels.ndim != 2 or x.shape[1] != levels.shape[1] or level_of.shape != (len(x),):
        raise ValueError(f"rows {x.shape}, their levels {level_of.shape} and levels {levels.shape} do not fit together")
    if len(levels) < 2:
        raise UserError(f"people are interpolated between two subjects or more; train has {len(levels)}")
    rng = np.random.default_rng(seed)
    p = rng.integers(0, len(levels), len(x))
    q = (p + rng.integers(1, len(levels), len(x))) % len(levels)
    t = rng.random(len(x))
    copies = x - levels[level_of] + levels[p] + t[:, None] * (levels[q] - levels[p])
    return copies, np.stack([p, q], axis=1), t

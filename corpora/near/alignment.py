"""Two thumbnails laid on each other: the best scale, turn and shift, and how alike they are there.

Lucas & Kanade 1981, "An iterative image registration technique", with gain and offset solved for beside the motion. A
motion is (a, b, c, d) of x' = a x - b y + c, y' = b x + a y + d, in pixels from the middle of 32 x 32.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SIDE = 32  # pixels of a thumbnail
MIDDLE = (SIDE - 1) / 2
_FAR = SIDE / 4  # pixels in whose units scale and turn are solved for
_STEPS = 4  # Gauss-Newton steps, after the first
_HOPELESS = 0.45  # correlation after the first step below which no further one helps


@cache
def pixel_grid() -> tuple[np.ndarray, np.ndarray]:
    """[1024] float32 twice: y and x of each pixel, from the middle."""
    axis = np.arange(SIDE, dtype=np.float32) - MIDDLE
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y.ravel(), x.ravel()


def aligned_correlation(first: np.ndarray, second: np.ndarray, motion: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """[B, 1024] uint8 twice, [B, 4] where `first` lies on `second` about, [B] bool -> [B] correlation once aligned.

    Aligned by scale, turn and shift, with gain and offset. Correlated is local contrast (a picture minus its blur):
    large shapes and light are alike in most faces.
    """
    image, target = _standard(first), _standard(second)
    image[mirrored] = image[mirrored].reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(-1, SIDE * SIDE)
    contrast = _contrast(target)
    # single precision in what a picture is, double in what is computed from it: turned once and not in each step
    image, target = image.astype(np.float64), target.astype(np.float64)
    motion = _step(image, target, motion)
    score = _overlap_correlation(image, contrast, motion)
    left = np.flatnonzero(score >= _HOPELESS)
    if len(left):
        image, target, motion = image[left], target[left], motion[left]
        for _ in range(_STEPS):
            motion = _step(image, target, motion)
        score[left] = np.maximum(score[left], _overlap_correlation(image, contrast[left], motion))
    return score


def _step(image: np.ndarray, target: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """One Gauss-Newton step: [B, 1024] twice and [B, 4] motions -> better motions."""
    warped, inside = _warp(image, motion)
    mask = inside.astype(np.float64)
    steepest = np.zeros((len(image), 6, SIDE * SIDE))  # what a pixel changes by with each unknown, of one size all six
    across, down = steepest[:, 2], steepest[:, 3]
    square = warped.reshape(-1, SIDE, SIDE)
    np.subtract(square[:, :, 2:], square[:, :, :-2], out=across.reshape(square.shape)[:, :, 1:-1])
    np.subtract(square[:, 2:], square[:, :-2], out=down.reshape(square.shape)[:, 1:-1])
    across *= mask
    down *= mask
    y, x = _far_grid()
    scaled, turned = steepest[:, 0], steepest[:, 1]
    np.multiply(across, x, out=scaled)
    scaled += down * y
    np.multiply(down, x, out=turned)
    turned -= across * y
    steepest[:, 2:4] *= 0.5
    np.multiply(warped, mask, out=steepest[:, 4])
    steepest[:, 5] = mask
    normal = steepest @ steepest.transpose(0, 2, 1) + np.eye(6, dtype=np.float32)
    np.subtract(target, warped, out=warped)
    warped *= mask
    moved = np.linalg.solve(normal, steepest @ warped[:, :, None])[:, :4, 0]
    limit = np.array([0.06, 0.06, 1.5, 1.5], np.float32)
    s = np.clip(moved / np.array([_FAR, _FAR, 1, 1], np.float32), -limit, limit)
    a, b, c, d = motion.T
    return np.stack(
        [
            a * (1 + s[:, 0]) - b * s[:, 1],
            b * (1 + s[:, 0]) + a * s[:, 1],
            a * s[:, 2] - b * s[:, 3] + c,
            b * s[:, 2] + a * s[:, 3] + d,
        ],
        axis=1,
    )


@cache
def _far_grid() -> tuple[np.ndarray, np.ndarray]:
    """[1024] float64 twice: `pixel_grid` for differences of two pixels, hence half of it, in units of `_FAR`. Powers of
    two: nothing is rounded."""
    y, x = pixel_grid()
    return y / np.float64(2 * _FAR), x / np.float64(2 * _FAR)


def _overlap_correlation(image: np.ndarray, contrast: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """`contrast`: that of the target."""
    warped, inside = _warp(image, motion)
    return _masked_correlation(_contrast(warped), contrast, _eroded(inside))


def _standard(thumbs: np.ndarray) -> np.ndarray:
    """[B, 1024] uint8 -> float32, mean 0, deviation 1."""
    x = thumbs.astype(np.float32)
    x -= x.mean(axis=1, keepdims=True)
    return x / (x.std(axis=1, keepdims=True) + 1e-6)


def _warp(image: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[B, 1024] float64, [B, 4] -> ([B, 1024] float64 sampled linearly, [B, 1024] bool: inside the picture)."""
    line = pixel_grid()[1][:SIDE]
    a, b, c, d = (motion[:, k : k + 1] for k in range(4))
    ax, bx = (a * line)[:, None], (b * line)[:, None]
    ay, by = (a * line)[:, :, None], (b * line)[:, :, None]
    u, v = ax - by, bx + ay
    u += (c + MIDDLE)[:, :, None]
    v += (d + MIDDLE)[:, :, None]
    inside = (u > -0.01) & (u < SIDE - 0.99) & (v > -0.01) & (v < SIDE - 0.99)
    np.clip(u, 0, SIDE - 1.001, out=u)
    np.clip(v, 0, SIDE - 1.001, out=v)
    i, j = np.trunc(v), np.trunc(u)
    fv, fu = (v - i).astype(np.float64), (u - j).astype(np.float64)  # what is left of a float32 is one
    i *= SIDE
    i += j
    at = i.astype(np.intp)
    at += (np.arange(len(image)) * (SIDE * SIDE))[:, None, None]
    # the pixel itself, the one beside it and those below: one list of places in four views that begin later
    here, beside, below, across = (image.ravel()[step:].take(at) for step in (0, 1, SIDE, SIDE + 1))
    here *= (left := 1 - fu)
    beside *= fu
    here += beside
    here *= 1 - fv
    below *= left
    across *= fu
    below += across
    below *= fv
    here += below
    return here.reshape(len(image), -1), inside.reshape(len(image), -1)


def _contrast(flat: np.ndarray) -> np.ndarray:
    """[B, 1024] -> [B, 1024]: the picture minus its mean over 7 x 7 pixels; edges repeat."""
    from scipy.ndimage import uniform_filter

    square = flat.reshape(-1, SIDE, SIDE)
    return (square - uniform_filter(square, size=(0, 7, 7), mode="nearest")).reshape(len(flat), -1)


def _eroded(inside: np.ndarray) -> np.ndarray:
    """One pixel less at each edge of what overlaps: there the blur saw what lies outside."""
    from scipy.ndimage import minimum_filter

    square = inside.reshape(-1, SIDE, SIDE).astype(np.uint8)
    return minimum_filter(square, size=(1, 3, 3), mode="nearest").reshape(len(inside), -1).astype(np.float32)


def _masked_correlation(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """[B, n] thrice -> [B] Pearson correlation over the mask; 0 where less than half of the picture overlaps."""
    n = mask.sum(axis=1, keepdims=True)
    a = (a - (a * mask).sum(axis=1, keepdims=True) / np.maximum(n, 1)) * mask
    b = (b - (b * mask).sum(axis=1, keepdims=True) / np.maximum(n, 1)) * mask
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)) + 1e-6
    return np.where(n[:, 0] * 2 >= mask.shape[1], (a * b).sum(axis=1) / norm, 0.0).astype(np.float32)

"""Geometry of a class effect: where the parts of a face go from one class to another, apart from how bright they are.

A class mean of aligned pictures shows where brows, lids and corners of the mouth are on average. The optical flow from
one class' mean to another's is the move of these parts; warping a real picture by it moves its own edges, where adding
the difference of the means only blends a blurred face over it (the shape and the texture of Cootes, Edwards & Taylor
2001, "Active appearance models", without landmarks). What is left of the difference once the means are aligned is
texture, which is added after the warp.
"""

from __future__ import annotations

import numpy as np

SMOOTH_PX = 4.0  # of a 48-pixel face: what a class moves is larger than the details of its mean
MAX_SHARE = 0.06  # of the picture's side: a mean that seems to move further is a mean of too few pictures
_FLAT = 1e-9


def flow(mean_from: np.ndarray, mean_to: np.ndarray) -> np.ndarray:
    """Two class means [H, W], any one scale of grey -> [2, H, W] float64 (down, across) in pixels.

    mean_to(p) ~ mean_from(p + flow(p)): where each pixel of the target stands in the source, which is what a backward
    `warp` takes. Iterative Lucas-Kanade with a Gaussian window (Le Besnerais & Champagnat 2005) from scikit-image,
    smoothed, no longer than `MAX_SHARE` of the side. Zeros for equal means. Raises ValueError for other shapes.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.registration import optical_flow_ilk

    a, b = np.asarray(mean_from, np.float64), np.asarray(mean_to, np.float64)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"class means have shapes {a.shape} and {b.shape}; wanted: two pictures [H, W] of one size")
    low, span = min(a.min(), b.min()), max(a.max(), b.max()) - min(a.min(), b.min())
    if span < _FLAT or (a == b).all():
        return np.zeros((2, *a.shape))
    size = min(a.shape) / 48.0
    moved = optical_flow_ilk((b - low) / span, (a - low) / span, radius=round(5 * size), gaussian=True)
    moved = np.stack([gaussian_filter(part, SMOOTH_PX * size) for part in np.asarray(moved, np.float64)])
    length, most = np.hypot(*moved), MAX_SHARE * min(a.shape)
    return moved * (most / np.maximum(length, most))


def warp(image: np.ndarray, moved: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Picture [H, W] and `flow` [2, H, W] -> [H, W] float64: image(p + strength * flow(p)); cubic, edges go on.

    Strength 0, or a flow of zeros, is the identity, bit for bit. Raises ValueError for a flow of another shape.
    """
    from scipy.ndimage import map_coordinates

    x = np.asarray(image, np.float64)
    if x.ndim != 2 or moved.shape != (2, *x.shape):
        raise ValueError(f"a flow of shape {moved.shape} does not fit a picture of shape {x.shape}")
    if strength == 0.0 or not moved.any():
        return x.copy()
    at = np.indices(x.shape, dtype=np.float64) + strength * moved
    return np.asarray(map_coordinates(x, at, order=3, mode="nearest"))


def moved_face(source: np.ndarray, mean_from: np.ndarray, mean_to: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """A picture [H, W] of one class, moved to another: warped, then what the aligned means still differ by is added.

    All three in one scale (of one contrast: multiply means of normalised pictures by the source's own). Strength
    scales both parts; 0 is the identity.
    """
    moved = flow(mean_from, mean_to)
    texture = np.asarray(mean_to, np.float64) - warp(mean_from, moved)
    return warp(source, moved, strength) + strength * texture

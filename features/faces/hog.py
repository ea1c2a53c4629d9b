"""Histograms of oriented gradients, for classical classifiers and as features of faces."""

from __future__ import annotations

import numpy as np

_BLOCK_EPS = 1e-5
_HYSTERESIS = 0.2


def hog_features(images: np.ndarray, *, orientations: int = 9, cell: int = 8, block: int = 2) -> np.ndarray:
    """[B, H, W] uint8 -> [B, D] float32: histograms of oriented gradients, L2-Hys blocks.

    D = (H // cell - block + 1) * (W // cell - block + 1) * block**2 * orientations: 900 for 48 x 48. Dalal & Triggs
    2005 (https://doi.org/10.1109/CVPR.2005.177) in the form of `skimage.feature.hog` (unsigned gradients, hard
    binning), for a whole batch at once. Raises `ValueError` if an image holds fewer than block x block cells.
    """
    if images.ndim != 3:
        raise ValueError(f"hog_features wants [B, H, W], got shape {images.shape}")
    rows, columns = images.shape[1] // cell, images.shape[2] // cell
    if rows < block or columns < block:
        raise ValueError(f"images of {images.shape[1:]} hold {rows} x {columns} cells; a block needs {block} x {block}")
    pieces = [_hog_batch(part, orientations, cell, block) for part in _chunks(images, 256)]
    width = (rows - block + 1) * (columns - block + 1) * block * block * orientations
    return np.concatenate(pieces) if pieces else np.zeros((0, width), dtype=np.float32)


def _chunks(images: np.ndarray, size: int) -> list[np.ndarray]:
    return [images[i : i + size] for i in range(0, len(images), size)]


def _hog_batch(images: np.ndarray, orientations: int, cell: int, block: int) -> np.ndarray:
    x = images.astype(np.float64)
    down, across = np.zeros_like(x), np.zeros_like(x)  # the border keeps gradient 0, as in skimage
    down[:, 1:-1] = x[:, 2:] - x[:, :-2]
    across[:, :, 1:-1] = x[:, :, 2:] - x[:, :, :-2]
    magnitude = np.hypot(across, down)
    angle = np.rad2deg(np.arctan2(down, across)) % 180.0
    bins = np.minimum((angle * (orientations / 180.0)).astype(np.int64), orientations - 1)
    b, rows, columns = len(x), x.shape[1] // cell, x.shape[2] // cell
    cells = np.zeros((b, rows, columns, orientations))
    for o in range(orientations):
        part = np.where(bins == o, magnitude, 0.0)[:, : rows * cell, : columns * cell]
        cells[..., o] = part.reshape(b, rows, cell, columns, cell).sum(axis=(2, 4)) / (cell * cell)
    windows = np.lib.stride_tricks.sliding_window_view(cells, (block, block), axis=(1, 2))  # [b, r, c, o, block, block]
    flat = windows.transpose(0, 1, 2, 4, 5, 3).reshape(b, rows - block + 1, columns - block + 1, -1)
    flat = flat / np.sqrt((flat**2).sum(axis=-1, keepdims=True) + _BLOCK_EPS**2)
    flat = np.minimum(flat, _HYSTERESIS)
    flat = flat / np.sqrt((flat**2).sum(axis=-1, keepdims=True) + _BLOCK_EPS**2)
    return flat.reshape(b, -1).astype(np.float32)

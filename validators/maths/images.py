"""Measures of one picture against another: PSNR and SSIM."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from corpora.errors import UserError

Convention = Literal["wang2004", "skimage"]


def is_picture(array: np.ndarray) -> bool:
    """uint8 [H, W], [H, W, 1] or [H, W, 3]; it may be empty."""
    shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3))
    return array.dtype == np.uint8 and shaped


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """uint8 [H, W] or [H, W, C] -> peak signal-to-noise ratio in dB against a peak of 255; inf for equal pictures.

    10 log10(255^2 / MSE), the mean over all pixels and channels. Raises `UserError` for other or unlike shapes.
    """
    a, b = _pair(a, b)
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10.0 * math.log10(255.0**2 / error)


def ssim(a: np.ndarray, b: np.ndarray, *, convention: Convention = "wang2004") -> float:
    """uint8 [H, W] or [H, W, C] -> mean structural similarity in [-1, 1], channels averaged.

    "wang2004": Gaussian window 11 x 11 of sigma 1.5, population covariances, K1 0.01, K2 0.03 (Wang et al. 2004, IEEE
    TIP 13(4)). "skimage": uniform window 7 x 7, sample covariances: what scikit-image does unasked. The two differ by
    some hundredths. Raises `UserError` for pictures smaller than the window.
    """
    from skimage.metrics import structural_similarity

    a, b = _pair(a, b)
    window = 11 if convention == "wang2004" else 7
    if min(a.shape[:2]) < window:
        raise UserError(f"SSIM {convention} needs pictures of at least {window} x {window} pixels, not {a.shape[:2]}")
    options = (
        {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False} if convention == "wang2004" else {}
    )
    channels = None if a.ndim == 2 else -1
    return float(structural_similarity(a, b, data_range=255, channel_axis=channels, **options))


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != np.uint8 or b.dtype != np.uint8 or a.ndim not in (2, 3):
        raise UserError(f"pictures are uint8 [H, W] or [H, W, C], not {a.dtype} {a.shape} and {b.dtype} {b.shape}")
    if a.shape != b.shape or 0 in a.shape:
        raise UserError(f"pictures of {a.shape} and {b.shape}; a pair has one shape")
    return a, b

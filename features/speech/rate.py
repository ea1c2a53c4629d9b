"""The rate that networks of speech were trained at."""

from __future__ import annotations

import math

import numpy as np
import soxr

from corpora.errors import UserError

RATE_HZ = 16000


def at_16k(signal: np.ndarray, rate_hz: float) -> np.ndarray:
    """[n] float at `rate_hz` -> [m] float32 at 16 kHz. Raises `UserError` for an empty or non-finite signal, or another
    rate than a positive one."""
    mono = np.asarray(signal, dtype=np.float32)
    if mono.ndim != 1 or mono.size == 0 or not np.isfinite(mono).all():
        raise UserError(f"a network hears one channel of finite samples; this signal is {mono.shape}")
    if not (rate_hz > 0 and math.isfinite(rate_hz)):
        raise UserError(f"a network needs the sampling rate in Hz; it is {rate_hz}")
    if rate_hz != RATE_HZ:
        mono = soxr.resample(mono, rate_hz, RATE_HZ, quality="HQ")
    return mono if mono.size else np.zeros(1, np.float32)

"""Voices of known pitch, formants, jitter and shimmer: pulses through resonators."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from corpora.codecs import encode_wav
from corpora.schema import Payload

RATE = 16000
FORMANTS = ((700.0, 90.0), (1200.0, 110.0), (2600.0, 170.0))


def vowel(
    f0_hz: float = 140.0,
    seconds: float = 0.8,
    rate: int = RATE,
    *,
    glide: float = 0.0,
    jitter: float = 0.0,
    shimmer: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """[n] float64, peak 0.4: a band-limited pulse each period, low-passed like a glottis, through three formants.

    glide: change of log F0 from start to end; jitter, shimmer: relative standard deviation of periods and pulses.
    """
    rng = np.random.default_rng(seed)
    n = int(seconds * rate)
    x = np.zeros(n)
    at = 0.3 * rate / f0_hz
    while at < n - 20:
        k = np.arange(int(at) - 15, int(at) + 17)
        inside = (k >= 0) & (k < n)
        x[k[inside]] += (1 + shimmer * rng.standard_normal()) * (np.sinc(k - at) * np.hanning(34)[1:-1])[inside]
        period = rate / (f0_hz * np.exp(glide * at / n))
        at += period * (1 + jitter * rng.standard_normal())
    x = lfilter([1.0], [1.0, -0.96], x)
    for hz, width in FORMANTS:
        r = np.exp(-np.pi * width / rate)
        x = lfilter([1.0], [1.0, -2 * r * np.cos(2 * np.pi * hz / rate), r * r], x)
    x += 1e-4 * np.abs(x).max() * rng.standard_normal(n)
    return 0.4 * x / np.abs(x).max()


def hiss(seconds: float = 0.8, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """[n] float64: noise, softer at both ends."""
    noise = np.random.default_rng(seed).standard_normal(int(seconds * rate))
    return 0.05 * noise * np.hanning(len(noise)) ** 0.5


def word(seed: int = 0) -> np.ndarray:
    """[n] float64: pause, hiss, vowel with a glide, hiss, vowel, pause; a noise floor 60 dB down."""
    pause = np.zeros(int(0.1 * RATE))
    ends = np.sin(np.linspace(0, np.pi, int(0.4 * RATE))) ** 0.3
    parts = [
        pause,
        hiss(0.15, seed=seed),
        ends * vowel(160, 0.4, glide=0.2, jitter=0.01, shimmer=0.05, seed=seed),
        hiss(0.1, seed=seed + 1),
        ends * vowel(150, 0.4, glide=-0.3, jitter=0.01, shimmer=0.05, seed=seed + 1),
        pause,
    ]
    x = np.concatenate(parts)
    return x + 4e-4 * np.random.default_rng(seed).standard_normal(len(x))


def wav(signal: np.ndarray, rate: int = RATE) -> Payload:
    """[n] -> PCM16 payload."""
    return Payload(encode_wav(signal.astype(np.float32), rate), "wav")

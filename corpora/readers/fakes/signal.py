"""Fake physiological signals for `fake`, with the bands, beats and responses by which emotions differ.

Nothing here is a model of the body. A subject has traits of their own (resting pulse, alpha, skin conductance), an
emotion moves them by less than subjects differ, so that classes overlap and a split by subject is harder than one
that leaks. Units are the usual ones: EEG, EOG and EMG in µV, ECG in mV, EDA in µS, TEMP in °C, ACC in g.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

# emotion -> (arousal, valence), both -1 to 1: where Russell (1980) puts the words on his circle, roughly
_CIRCLE = {
    "neutral": (-0.2, 0.0),
    "calm": (-0.7, 0.3),
    "relaxation": (-0.8, 0.6),
    "contentment": (-0.5, 0.7),
    "happiness": (0.5, 0.9),
    "amusement": (0.4, 0.8),
    "excitement": (0.9, 0.7),
    "surprise": (0.8, 0.2),
    "sadness": (-0.5, -0.8),
    "boredom": (-0.8, -0.4),
    "anger": (0.8, -0.7),
    "disgust": (0.4, -0.8),
    "fear": (0.9, -0.8),
    "anxiety": (0.7, -0.6),
    "stress": (0.9, -0.6),
}
_BANDS_HZ = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (14.0, 30.0),
    "gamma": (30.0, 45.0),
}
KINDS = ("EEG", "ECG", "BVP", "EDA", "RESP", "TEMP", "ACC", "EMG", "EOG")


def make_signal(
    kind: str,
    *,
    seconds: float,
    rate_hz: float,
    channels: int,
    emotion: str | None,
    subject_rng: np.random.Generator,
    rng: np.random.Generator,
) -> np.ndarray:
    """float32 [n] for one channel, else [n, channels], n = round(seconds * rate_hz), time first.

    `subject_rng`: built from the subject's seed for each call, so that one person has the same traits in each trial;
    `rng` draws the trial. An emotion that the circle does not hold, and None, count as neutral. Raises
    ValueError for another kind, or no sample.
    """
    if kind not in KINDS:
        raise ValueError(f"signal {kind!r}; known: {', '.join(KINDS)}")
    n = round(seconds * rate_hz)
    if n < 1 or channels < 1:
        raise ValueError(f"{seconds} s at {rate_hz} Hz in {channels} channels: nothing to generate")
    traits = subject_rng.normal(size=(8, max(channels, 4)))
    arousal, valence = _CIRCLE.get(emotion or "neutral", (-0.2, 0.0))
    mood = np.array([arousal, valence]) + rng.normal(0, 0.35, size=2)  # nobody feels as asked
    t = np.arange(n) / rate_hz
    if kind == "EEG":
        signal = _eeg(n, rate_hz, channels, mood, traits, rng)
    elif kind in ("ECG", "BVP"):
        signal = _columns(_beats(kind, t, mood, traits, rng), channels, 0.02, rng)
    elif kind == "EDA":
        signal = _columns(_eda(t, rate_hz, mood, traits, rng), channels, 0.005, rng)
    elif kind == "RESP":
        per_s = np.clip(0.25 + 0.07 * mood[0] + 0.03 * traits[2, 0], 0.1, 0.6)
        phase = 2 * np.pi * (per_s * t + 0.02 * np.sin(2 * np.pi * 0.03 * t + rng.uniform(0, 6)))
        signal = _columns(np.sin(phase) + 0.2 * np.sin(2 * phase), channels, 0.03, rng)
    elif kind == "TEMP":  # fingers cool under stress
        drift = -0.3 * mood[0] * (1 - np.exp(-t / 60.0))
        signal = _columns(33.0 + 0.8 * traits[3, 0] + drift, channels, 0.01, rng)
    elif kind == "ACC":
        gravity = traits[4, :channels] / np.linalg.norm(traits[4, :channels])
        move = _smooth(rng.normal(size=(n, channels)), rate_hz, 2.0) * (0.03 + 0.02 * max(mood[0], 0))
        signal = gravity + move + rng.normal(0, 0.005, size=(n, channels))
    elif kind == "EMG":
        bursts = 1.0 + np.maximum(_smooth(rng.normal(size=(n, channels)), rate_hz, 1.0), 0) * (1.5 - mood[1])
        signal = (4.0 + abs(traits[5, :channels])) * bursts * rng.normal(size=(n, channels))
    else:
        signal = _eog(n, rate_hz, channels, mood, traits, rng)
    signal = np.asarray(signal, dtype=np.float32).reshape(n, channels)
    return signal[:, 0] if channels == 1 else signal


def _columns(signal: np.ndarray, channels: int, noise: float, rng: np.random.Generator) -> np.ndarray:
    """[n] -> [n, channels]: the same body seen by several sensors."""
    return np.asarray(signal[:, None] + rng.normal(0, noise, size=(len(signal), channels)))


def _smooth(noise: np.ndarray, rate_hz: float, corner_hz: float) -> np.ndarray:
    """White noise [n, c] -> noise below about `corner_hz`, of unit variance."""
    keep = float(np.exp(-2 * np.pi * corner_hz / rate_hz))
    smooth = lfilter([np.sqrt(1 - keep**2)], [1, -keep], noise, axis=0)
    return np.asarray(smooth)


def _shaped(n: int, rate_hz: float, gains: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[n, c] noise: 1/f, with the power of band b of channel c multiplied by gains[b, c]; one inverse FFT."""
    size = 1 << max(4, (n - 1).bit_length())
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    weights = np.repeat((1 / np.maximum(hz, 1.0))[:, None], gains.shape[1], axis=1)
    for (low, high), gain in zip(_BANDS_HZ.values(), gains, strict=True):
        weights[(hz >= low) & (hz < high)] *= gain
    weights[hz < 0.5] = 0
    spectrum = weights * (rng.normal(size=weights.shape) + 1j * rng.normal(size=weights.shape))
    return np.asarray(np.fft.irfft(spectrum, size, axis=0)[:n] * np.sqrt(size))


def _eeg(
    n: int, rate_hz: float, channels: int, mood: np.ndarray, traits: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Alpha falls with arousal, beta and gamma rise; alpha of the left half of the channels falls with valence."""
    side = np.where(np.arange(channels) % 2 == 0, 1.0, -1.0)
    personal = np.exp(0.25 * traits[:5, :channels])
    gains = (
        np.array(
            [
                np.full(channels, 1.0),
                np.full(channels, 1.2 - 0.2 * mood[0]),
                3.0 * np.exp(-0.45 * mood[0] - 0.25 * side * mood[1]),
                1.2 * np.exp(0.35 * mood[0] + 0.15 * side * mood[1]) * np.ones(channels),
                1.0 * np.exp(0.35 * mood[0] + 0.2 * mood[1]) * np.ones(channels),
            ]
        )
        * personal
    )
    own = _shaped(n, rate_hz, gains, rng)
    shared = _shaped(n, rate_hz, gains.mean(axis=1, keepdims=True), rng)
    mixed = own + 0.8 * shared * (0.6 + 0.4 * np.cos(np.arange(channels) / max(channels, 2) * np.pi))
    return np.asarray(25.0 * mixed)


def _beats(kind: str, t: np.ndarray, mood: np.ndarray, traits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[n] of beats: pulse about 68 a minute, up by about 9 in full arousal; variability falls with it."""
    pulse = float(np.clip(68 + 8 * traits[0, 0] + 9 * mood[0], 45, 150))
    jitter = 0.045 * np.exp(-0.7 * mood[0])
    count = int((t[-1] + 4) * pulse / 60 * 1.3) + 4
    sway = 0.03 * np.sin(2 * np.pi * 0.25 * np.arange(count) * 60 / pulse)
    gaps = np.maximum(60 / pulse * (1 + jitter * rng.normal(size=count) + sway), 0.33)
    times = np.cumsum(gaps) - 2 * gaps[0] + rng.uniform(0, gaps[0])
    last = np.clip(np.searchsorted(times, t, side="right") - 1, 0, count - 2)
    since, gap = t - times[last], times[last + 1] - times[last]
    if kind == "BVP":  # a systolic wave, a notch and a diastolic one, in the arbitrary units of a pulse oximeter
        depth = 60.0 * np.exp(0.2 * traits[1, 0] - 0.3 * mood[0])
        wave = np.exp(-(((since - 0.18) / 0.09) ** 2)) + 0.4 * np.exp(-(((since - 0.42) / 0.1) ** 2)) - 0.35
        return np.asarray(depth * wave)
    height = 1.0 + 0.15 * np.tanh(traits[1, 0])
    # P of the next beat, Q, R, S, T of this one: Gaussians in seconds as in McSharry et al. (2003)
    waves = [
        (gap - 0.17, 0.12, 0.03),
        (gap - 0.03, -0.1, 0.01),
        (gap, height, 0.012),
        (0.0, height, 0.012),
        (0.03, -0.2, 0.012),
        (0.28, 0.3, 0.05),
    ]
    return np.asarray(sum(high * np.exp(-(((since - at) / wide) ** 2) / 2) for at, high, wide in waves))


def _eda(t: np.ndarray, rate_hz: float, mood: np.ndarray, traits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A slow level and responses (rise about 1 s, fall about 4 s), 2 to 12 of them a minute with arousal."""
    level = 2.5 * np.exp(0.4 * traits[2, 1]) * (1 + 0.15 * mood[0] * (1 - np.exp(-t / 40)))
    impulses = np.zeros(len(t))
    count = int(rng.poisson((6 + 5 * mood[0].clip(-1, 1)) * (t[-1] + 1 / rate_hz) / 60))
    np.add.at(impulses, rng.integers(0, len(t), size=count), 0.6 * rng.gamma(2.0, 0.4, size=count))
    fast, slow = np.exp(-1 / (0.7 * rate_hz)), np.exp(-1 / (4.0 * rate_hz))
    shape = lfilter([1.0], [1, -slow], impulses) - lfilter([1.0], [1, -fast], impulses)
    return np.asarray(np.maximum(level + shape, 0.05))


def _eog(
    n: int, rate_hz: float, channels: int, mood: np.ndarray, traits: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Slow drift, and blinks that all channels see: about 15 a minute."""
    blinks = (rng.uniform(size=n) < (15 + 5 * mood[0]) / 60 / rate_hz).astype(float)
    wide = max(1, round(0.3 * rate_hz))
    blink = np.convolve(blinks, np.hanning(wide + 2), mode="same")[:n] * 150
    drift = _smooth(rng.normal(size=(n, channels)), rate_hz, 0.5) * 15
    return np.asarray(blink[:, None] * (1 + 0.2 * np.tanh(traits[6, :channels])) + drift)

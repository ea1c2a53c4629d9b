"""A few numbers that describe one payload: how long, how loud, how bright, how many words. What one looks at first.

One payload alone, no labels, no other sample. What cannot be measured (no voiced frame, too short a recording for a
loudness) is absent, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpora.codecs import decode_image, decode_text, decode_wav
from corpora.errors import PayloadError
from corpora.formats.channels import mixed_down
from corpora.signals import BASELINE, decode_signals, is_vector
from features.physio.steps import kind_of
from features.physio.stretches import beating, flat_share

F0_RANGE_HZ = (60.0, 500.0)
_F0_HOP_MS = 10.0
_LOUDNESS_BLOCK_S = 0.4  # ITU-R BS.1770-4: one gating block
# Hz; the borders of Zheng & Lu (2015), with which the differential entropies of SEED were computed
BANDS_HZ = {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 14.0), "beta": (14.0, 31.0), "gamma": (31.0, 50.0)}
_HEART_HZ = (0.7, 3.0)  # 42 to 180 beats a minute
_HEART_S = 8.0  # of a stretch that a pulse is taken from


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of a profile: what it is called, in what unit it is, and how its axis is drawn."""

    title: str
    unit: str
    log: bool = False


MEASURES: dict[str, Measure] = {
    "duration_s": Measure("Duration", "s", log=True),
    "f0_hz": Measure("Median F0 of voiced frames", "Hz", log=True),
    "loudness_lufs": Measure("Loudness (ITU-R BS.1770)", "LUFS"),
    "brightness": Measure("Mean grey level", "0 to 255"),
    "contrast": Measure("Standard deviation of grey levels", "0 to 255"),
    "sharpness": Measure("Variance of the Laplacian at 48 pixels", "grey levels squared", log=True),
    "height_px": Measure("Height of the picture", "pixel", log=True),
    "characters": Measure("Length", "characters", log=True),
    "words": Measure("Length", "words", log=True),
    **{
        f"eeg_{band}": Measure(f"EEG power, {band} {low:g}-{high:g} Hz", "share of 1-50 Hz")
        for band, (low, high) in BANDS_HZ.items()
    },
    "heart_bpm": Measure("Pulse, from the strongest line at 0.7 to 3 Hz", "beats a minute"),
    "eda": Measure("Mean skin conductance", "as recorded"),
    "temperature": Measure("Mean skin temperature", "as recorded"),
}


def describe(payload: bytes, modality: str, signals: Sequence[Mapping[str, Any]] = ()) -> dict[str, float]:
    """Payload -> {name in MEASURES: finite value}. `signals`: the record's column, for the rates of physiology.

    Raises `PayloadError` if it cannot be decoded, ValueError for an unknown modality.
    """
    if modality == "speech":
        numbers = _speech(payload)
    elif modality == "face":
        numbers = _face(payload)
    elif modality == "text":
        text = decode_text(payload)
        numbers = {"characters": float(len(text)), "words": float(len(text.split()))}
    elif modality == "physio":
        numbers = {} if is_vector(signals) else _physio(payload, {str(s["name"]): float(s["rate_hz"]) for s in signals})
    else:
        raise ValueError(f"no profile for modality {modality!r}")
    return {name: float(value) for name, value in numbers.items() if np.isfinite(value)}


def _speech(payload: bytes) -> dict[str, float]:
    channels, rate_hz = decode_wav(payload)
    signal, _ = mixed_down(channels)
    numbers = {"duration_s": len(signal) / rate_hz}
    f0 = median_f0(signal, rate_hz)
    if f0 is not None:
        numbers["f0_hz"] = f0
    if len(signal) >= _LOUDNESS_BLOCK_S * rate_hz and np.abs(signal).max() > 0:
        import pyloudnorm

        numbers["loudness_lufs"] = float(pyloudnorm.Meter(rate_hz).integrated_loudness(signal))
    return numbers


def median_f0(signal: np.ndarray, rate_hz: int) -> float | None:
    """float64 [n] -> Hz over voiced frames (DIO), None where no frame is voiced."""
    from features.speech.tracking.dio import dio

    low, high = F0_RANGE_HZ
    f0, _ = dio(signal, rate_hz, f0_floor=low, f0_ceil=high, hop_ms=_F0_HOP_MS, speed=4)
    voiced = f0[f0 > 0]
    return float(np.median(voiced)) if len(voiced) else None


def _face(payload: bytes) -> dict[str, float]:
    from PIL import Image
    from scipy.ndimage import laplace

    image = Image.fromarray(decode_image(payload)).convert("L")
    pixels = np.asarray(image, dtype=np.float64)
    scale = 48 / min(image.size)  # one size for all: sharpness depends on how many pixels an edge takes
    small = (
        image
        if scale >= 1
        else image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX
        )
    )
    return {
        "brightness": pixels.mean(),
        "contrast": pixels.std(),
        "sharpness": laplace(np.asarray(small, dtype=np.float64)).var(),
        "height_px": image.height,
    }


def _physio(payload: bytes, rates_hz: Mapping[str, float]) -> dict[str, float]:
    arrays = decode_signals(payload)
    numbers: dict[str, float] = {"duration_s": max(len(a) / rates_hz[name] for name, a in arrays.items())}
    for name, array in arrays.items():
        values, rate_hz, kind = np.asarray(array, dtype=np.float64), rates_hz[name], kind_of(name)
        if name.endswith(BASELINE):
            continue
        if kind == "EEG" and rate_hz >= 100:
            numbers |= {f"eeg_{band}": share for band, share in band_shares(values, rate_hz).items()}
        elif kind in ("BVP", "ECG"):
            bpm = pulse_bpm(values if values.ndim == 1 else values[:, 0], rate_hz)
            if bpm is not None:
                numbers["heart_bpm"] = bpm
        elif kind == "EDA":
            numbers["eda"] = values.mean()
        elif kind == "TEMP":
            numbers["temperature"] = values.mean()
    return numbers


def band_shares(eeg: np.ndarray, rate_hz: float) -> dict[str, float]:
    """[n] or [n, channels] -> share of the power at 1 to 50 Hz in each band, mean over channels (Welch, 2 s).

    Channels with a flat stretch are left out: they have the bands of its edges. {}: no other.
    """
    from scipy.signal import welch

    columns = eeg.reshape(len(eeg), -1)
    columns = columns[:, [flat_share(column, rate_hz) == 0 and np.ptp(column) > 0 for column in columns.T]]
    if not columns.shape[1]:
        return {}
    n = min(len(columns), round(2 * rate_hz))
    frequency, power = welch(columns, fs=rate_hz, nperseg=n, axis=0)
    inside = (frequency >= 1) & (frequency < 50)
    total = power[inside].sum(axis=0)
    shares = {}
    for band, (low, high) in BANDS_HZ.items():
        part = power[(frequency >= low) & (frequency < high)].sum(axis=0)
        shares[band] = float(np.mean(np.divide(part, total, out=np.zeros_like(part), where=total > 0)))
    return shares


def pulse_bpm(signal: np.ndarray, rate_hz: float) -> float | None:
    """[n] of BVP or ECG -> beats a minute: the fundamental of the rectified slope at 0.7 to 3 Hz, in the longest
    stretch in which the signal lives; None where that is under 8 s.

    The slope's square has one hump a beat in both kinds of signal; its spectrum is summed over two harmonics, so that
    a strong second one is not taken for the pulse.
    """
    from scipy.signal import welch

    stretches = beating(signal, rate_hz)
    start, stop = max(stretches.tolist(), key=lambda pair: pair[1] - pair[0], default=(0, 0))
    if stop - start < _HEART_S * rate_hz:
        return None
    signal = signal[start:stop]
    slope = np.diff(signal - signal.mean()) ** 2
    slope -= slope.mean()
    n = min(len(slope), round(30 * rate_hz))
    size = max(n, round(60 * rate_hz))  # zero-padded: a line a beat a minute
    frequency, power = welch(slope, fs=rate_hz, nperseg=n, nfft=size)
    inside = np.flatnonzero((frequency >= _HEART_HZ[0]) & (frequency <= _HEART_HZ[1]))
    double = np.minimum(2 * inside, len(power) - 1)
    return float(60 * frequency[inside[np.argmax(power[inside] + power[double])]])


def describe_or_none(payload: bytes, modality: str, signals: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """`describe`, None for what cannot be decoded: profiles look at raw corpora, where prepare has rejected nothing."""
    try:
        return describe(payload, modality, signals)
    except PayloadError:
        return None

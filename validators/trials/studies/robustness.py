"""Test samples made harder: what a trained classifier is asked about, to see how its answers hold.

Train is never touched. Each change is a pure function of the decoded signal, a strength and a random generator. The
numbers behind a sample depend on the seed, the change and the sample's id and not on the strength: every classifier of
every arm is asked about the same noise, and a stronger change is more of the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from corpora.errors import ParamsError, UnknownNameError, UserError
from training.seeds import derive_seed

if TYPE_CHECKING:
    from corpora.schema import Payload


def speech_noise(signal: np.ndarray, rate_hz: float, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """float [n] in [-1, 1] -> float32 [n]: white noise added at this ratio to the power of the whole signal, cut at
    full scale. Silence stays silence: it has no such ratio."""
    from validators.trials.defects import noisy

    return noisy(snr_db)(signal, rate_hz, rng)


def speech_gain(signal: np.ndarray, rate_hz: float, db: float, rng: np.random.Generator) -> np.ndarray:
    """float [n] in [-1, 1] -> float32 [n]: louder by `db` (softer where negative), cut at full scale."""
    from validators.trials.defects import louder

    return louder(10.0 ** (db / 20.0))(signal, rate_hz, rng)


def face_occlusion(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3] -> the same shape: a box of the picture's form covers `share` of its area, somewhere
    within it, in the picture's mean level (the box of random erasing, Zhong et al. 2020, arXiv:1708.04896)."""
    height, width = image.shape[:2]
    h, w = (min(side, round(side * math.sqrt(share))) for side in (height, width))
    at = rng.random(2)
    top, left = round(at[0] * (height - h)), round(at[1] * (width - w))
    out = image.copy()
    out[top : top + h, left : left + w] = np.rint(image.reshape(height * width, -1).mean(axis=0)).astype(np.uint8)
    return out


def face_rotation(image: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3] -> the same shape: turned about its centre to one side or the other; what was outside
    shows the nearest edge."""
    return _warped(image, math.radians(degrees) * _side(rng), 1.0)


def face_scale(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3] -> the same shape: larger or smaller by `factor` (1 or more) about its centre; what was
    outside shows the nearest edge."""
    return _warped(image, 0.0, factor ** _side(rng))


def text_typos(text: str, share: float, rng: np.random.Generator) -> str:
    """`share` of the letters, in expectation, are typed wrong: exchanged with the letter before, left out or typed
    twice, in equal parts (after Belinkov & Bisk 2018, arXiv:1711.02173; errors that need no keyboard and so no
    language). A text keeps at least one letter."""
    drawn, kinds = rng.random(len(text)), rng.integers(0, 3, len(text))
    out: list[str] = []
    letters = sum(letter.isalpha() for letter in text)
    for letter, number, kind in zip(text, drawn, kinds, strict=True):
        if not letter.isalpha() or number >= share:
            out.append(letter)
        elif kind == 0 and out and out[-1][-1].isalpha():
            out.append(letter + out.pop())
        elif kind == 1 and letters > 1:
            letters -= 1
        else:
            out.append(letter * 2)
    return "".join(out)


def text_word_drop(text: str, share: float, rng: np.random.Generator) -> str:
    """Each word is left out with probability `share` (random deletion of Wei & Zou 2019, arXiv:1901.11196); one stays
    where all would go. What is left is parted by single blanks."""
    words = text.split()
    drawn = rng.random(len(words))
    kept = [word for word, number in zip(words, drawn, strict=True) if number >= share]
    return " ".join(kept or [words[int(drawn.argmax())]] if words else [])


def signals_noise(signals: Mapping[str, np.ndarray], snr_db: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """name -> [n] or [n, channels]: white noise on each channel, at this ratio to its variance (its mean is an offset
    and no signal). A constant channel stays as it is."""
    out = {}
    for name in sorted(signals):
        values = np.asarray(signals[name], np.float64)
        level = values.std(axis=0, keepdims=True) * 10.0 ** (-snr_db / 20.0)
        out[name] = (values + level * rng.standard_normal(values.shape)).astype(np.float32)
    return out


def signals_off(signals: Mapping[str, np.ndarray], share: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """name -> [n] or [n, channels]: `share` of all channels, rounded up and never all of them, have lost contact and
    show their median throughout. Raises `UserError` where there is only one channel."""
    places = [
        (name, channel)
        for name in sorted(signals)
        for channel in range(1 if np.ndim(signals[name]) == 1 else np.shape(signals[name])[1])
    ]
    if len(places) < 2:
        raise UserError("a channel cannot be off where there is only one; choose another change of signals.")
    out = {name: np.array(values, np.float32) for name, values in signals.items()}
    n = min(len(places) - 1, math.ceil(share * len(places) - 1e-9))
    for i in rng.permutation(len(places))[:n]:
        name, channel = places[int(i)]
        column = out[name].reshape(len(out[name]), -1)[:, channel]
        column[:] = np.median(column)
    return out


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One change. levels: strengths that a study asks for, from mild to severe; low, high: those allowed; unit: of
    strengths; apply: (decoded signal, [rate in Hz, of speech,] strength, generator) -> changed signal."""

    name: str
    modality: str
    unit: str
    levels: tuple[float, ...]
    low: float
    high: float
    apply: Callable[..., Any]


PERTURBATIONS: dict[str, Perturbation] = {
    p.name: p
    for p in (
        Perturbation("noise", "speech", "dB SNR", (20.0, 10.0, 0.0), -40.0, 100.0, speech_noise),
        Perturbation("gain", "speech", "dB", (-6.0, -12.0, -24.0), -60.0, 40.0, speech_gain),
        Perturbation("occlusion", "face", "share of area", (0.1, 0.2, 0.4), 0.0, 1.0, face_occlusion),
        Perturbation("rotation", "face", "degrees", (5.0, 10.0, 20.0), 0.0, 180.0, face_rotation),
        Perturbation("scale", "face", "times", (1.1, 1.2, 1.4), 1.0, 4.0, face_scale),
        Perturbation("typos", "text", "share of letters", (0.02, 0.05, 0.1), 0.0, 1.0, text_typos),
        Perturbation("word-drop", "text", "share of words", (0.1, 0.2, 0.4), 0.0, 1.0, text_word_drop),
        Perturbation("signal-noise", "physio", "dB SNR", (20.0, 10.0, 0.0), -40.0, 100.0, signals_noise),
        Perturbation("channel-off", "physio", "share of channels", (0.1, 0.25, 0.5), 0.0, 1.0, signals_off),
    )
}


def perturbation(name: str, modality: str) -> Perturbation:
    """Raises `UnknownNameError` where no change of that name is for `modality`."""
    known = {p.name: p for p in PERTURBATIONS.values() if p.modality == modality}
    if name not in known:
        raise UnknownNameError.of(f"perturbation of {modality}", name, known)
    return known[name]


def perturbed(payload: Payload, change: Perturbation, level: float, *, seed: int, sample_id: str) -> Payload:
    """A prepared payload (wav, picture, text, npz), changed: wav of one channel (several are averaged), png, txt, npz.

    Raises `ParamsError` for a level out of range, `UserError` as the change does, `PayloadError` for bytes that cannot
    be decoded.
    """
    from corpora.codecs import decode_image, decode_text, decode_wav, encode_png, encode_text, encode_wav
    from corpora.signals import decode_signals, encode_signals

    if not change.low <= level <= change.high:
        raise ParamsError(
            f"perturbation {change.name}: level is {level}; allowed are {change.low:g} to {change.high:g} {change.unit}"
        )
    rng = np.random.default_rng(derive_seed(seed, "perturbation", change.name, sample_id))
    if change.modality == "speech":
        signal, rate = decode_wav(payload.data)
        return replace(payload, data=encode_wav(change.apply(signal.mean(axis=1), rate, level, rng), rate), codec="wav")
    if change.modality == "face":
        return replace(payload, data=encode_png(change.apply(decode_image(payload.data), level, rng)), codec="png")
    if change.modality == "text":
        return replace(payload, data=encode_text(change.apply(decode_text(payload.data), level, rng)), codec="txt")
    return replace(payload, data=encode_signals(change.apply(decode_signals(payload.data), level, rng)), codec="npz")


def _side(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _warped(image: np.ndarray, radians: float, factor: float) -> np.ndarray:
    """Turned by `radians` (from the second axis to the first) and enlarged by `factor` about the centre, bilinear."""
    from scipy.ndimage import affine_transform

    cos, sin = math.cos(radians), math.sin(radians)
    back = np.array([[cos, sin], [-sin, cos]]) / factor  # from a place of the result to one of the image
    centre = (np.array(image.shape[:2]) - 1) / 2
    planes = image.reshape(*image.shape[:2], -1).astype(np.float64)
    turned = [
        affine_transform(planes[..., c], back, centre - back @ centre, order=1, mode="nearest")
        for c in range(planes.shape[2])
    ]
    return np.clip(np.rint(np.stack(turned, axis=-1)), 0, 255).astype(np.uint8).reshape(image.shape)

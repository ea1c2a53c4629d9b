"""Payloads as things that a page can hold: small pictures of faces and voices, sounds, texts, curves of signals."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from corpora.codecs import decode_image, decode_text, decode_wav, encode_png, encode_wav
from corpora.formats.channels import mixed_down
from corpora.schema import Signal
from corpora.signals import VECTOR, decode_signals
from flows.stages.report import figures

MAX_FACE_PX = 96  # larger faces are scaled down for the page
MAX_SOUND_S = 6.0  # longer sounds are cut for the page
MAX_CHARACTERS = 280  # longer texts are cut for the page
MAX_SIGNALS, MAX_POINTS = 4, 240  # curves of one sample, points of each
MAX_FEATURES = 6  # of a row of features
SPECTROGRAM = (56, 168)  # height, width in pixels
WAVE = (168, 32)  # width, height of a waveform


@dataclass(frozen=True, slots=True)
class Medium:
    """`picture`: PNG as a data URI. `sound`: FLAC as a data URI, None for faces. `note`: length or size in words.
    `text`: of a text. `figure`: SVG of signals. `wave`: of a sound, what an SVG path draws (`waveform`)."""

    picture: str
    sound: str | None
    note: str
    text: str | None = None
    figure: str | None = None
    wave: str | None = None

    @property
    def n_bytes(self) -> int:
        """Characters that it takes on the page."""
        return sum(len(part or "") for part in (self.picture, self.sound, self.text, self.figure, self.wave))


def to_medium(payload: bytes, codec: str, signals: Sequence[Signal] = (), *, features: Sequence[str] = ()) -> Medium:
    """png -> picture; wav -> spectrogram and sound; txt -> text; npz -> curves (`signals`: what the record says of
    them), or, of a row of features, its first values (`features`: names of the columns, where they are known). Raises
    `PayloadError` for bytes that cannot be decoded."""
    if codec == "txt":
        text = decode_text(payload)
        cut = f", first {MAX_CHARACTERS} here" if len(text) > MAX_CHARACTERS else ""
        return Medium("", None, f"{len(text)} characters{cut}", text=text[:MAX_CHARACTERS])
    if codec == "npz":
        arrays = decode_signals(payload)
        if set(arrays) == {VECTOR} and arrays[VECTOR].ndim == 1:
            return _features(arrays[VECTOR], features)
        return _curves(arrays, signals)
    if codec == "wav":
        signal, rate_hz = decode_wav(payload)
        mono = mixed_down(signal, np.float32)[0]
        shown = mono[: int(MAX_SOUND_S * rate_hz)]
        cut = f", first {MAX_SOUND_S:g} s here" if len(shown) < len(mono) else ""
        picture = encode_png(spectrogram(shown, rate_hz))
        note, sound = f"{len(mono) / rate_hz:.2f} s{cut}", _uri(*_sound(shown, rate_hz))
        return Medium(_uri("image/png", picture), sound, note, wave=waveform(shown))
    image = decode_image(payload)
    height, width = image.shape[:2]
    return Medium(_uri("image/png", encode_png(_at_most(image, MAX_FACE_PX))), None, f"{width} x {height} px")


def _features(vector: np.ndarray, names: Sequence[str]) -> Medium:
    """[D] -> its first values as text: there is nothing to see or hear."""
    named = names if len(names) == vector.size else [f"feature {i}" for i in range(1, vector.size + 1)]
    shown = list(zip(named, vector, strict=True))[:MAX_FEATURES]
    cut = f", first {len(shown)} here" if len(shown) < vector.size else ""
    text = "\n".join(f"{name}: {value:.4g}" for name, value in shown)
    return Medium("", None, f"{vector.size} features{cut}", text=text)


def _curves(arrays: Mapping[str, np.ndarray], signals: Sequence[Signal]) -> Medium:
    """The first channel of the first few signals over time."""
    facts = {signal.name: signal for signal in signals}
    shown, notes = [], []
    for name, array in list(arrays.items())[:MAX_SIGNALS]:
        first = np.asarray(array if array.ndim == 1 else array[:, 0], dtype=np.float64)
        fact = facts.get(name, Signal(name))
        at = np.unique(np.linspace(0, len(first) - 1, min(len(first), MAX_POINTS)).round().astype(int))
        times = at / fact.rate_hz if fact.rate_hz else at.astype(float)
        shown.append((name, fact.unit or "", times, first[at]))
        rate = f" at {fact.rate_hz:g} Hz" if fact.rate_hz else ""
        notes.append(f"{name} {' x '.join(map(str, array.shape))}{rate}")
    more = len(arrays) - len(shown)
    note = ", ".join(notes) + (f" and {more} more" if more else "")
    return Medium("", None, note, figure=figures.signal_curves(shown))


def spectrogram(signal: np.ndarray, rate_hz: int) -> np.ndarray:
    """float32 [n] -> uint8 [56, 168, 3]: log power on a mel-spaced axis up to 8 kHz, 60 dB of range, time to the right.

    For the eye only; no gate or model uses it.
    """
    from matplotlib import colormaps
    from scipy.signal import stft

    height, width = SPECTROGRAM
    n = min(512, max(16, len(signal)))
    frequencies, _, spectrum = stft(signal, fs=rate_hz, nperseg=n, noverlap=n * 3 // 4, padded=True)
    power = np.abs(spectrum) ** 2
    top = 2595 * np.log10(1 + min(rate_hz / 2, 8000.0) / 700)  # mel scale of O'Shaughnessy (1987)
    wanted = 700 * (10 ** (np.linspace(0, top, height) / 2595) - 1)
    columns = np.linspace(0, power.shape[1] - 1, width)
    rows = np.stack([np.interp(wanted, frequencies, power[:, round(c)]) for c in columns], axis=1)
    level = 10 * np.log10(np.maximum(rows, 1e-12))
    scaled = np.clip((level - level.max() + 60.0) / 60.0, 0.0, 1.0)
    colours: np.ndarray = (colormaps["magma"](scaled[::-1])[..., :3] * 255).round().astype(np.uint8)
    return colours


def waveform(signal: np.ndarray) -> str:
    """float32 [n] in [-1, 1] -> the path of its envelope in a box of WAVE: of each column the highest and the lowest
    value, at the signal's own level."""
    width, height = WAVE
    columns = np.array_split(signal, width) if len(signal) >= width else np.split(signal, len(signal))
    ends = [(float(part.max()), float(part.min())) for part in columns if part.size]
    step = width / max(len(ends), 1)
    lines = (
        f"M{x * step:.4g} {height / 2 * (1 - min(high, 1.0)):.1f}V{height / 2 * (1 - max(low, -1.0)) + 0.4:.1f}"
        for x, (high, low) in enumerate(ends)
    )
    return "".join(lines)


def _sound(signal: np.ndarray, rate_hz: int) -> tuple[str, bytes]:
    """FLAC holds the same 16-bit samples as wav in about half the bytes; every current browser plays it."""
    import soundfile

    out = io.BytesIO()
    pcm, rate = soundfile.read(io.BytesIO(encode_wav(signal, rate_hz)), dtype="int16")
    soundfile.write(out, pcm, rate, format="FLAC", subtype="PCM_16")
    return "audio/flac", out.getvalue()


def _at_most(image: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    if max(image.shape[:2]) <= side:
        return image
    small = Image.fromarray(image)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.uint8)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"

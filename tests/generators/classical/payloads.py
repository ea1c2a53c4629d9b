"""Small payloads of every modality as `prepare` writes them, rows of features, and hostile ones."""

from __future__ import annotations

import numpy as np

from corpora.codecs import encode_png, encode_wav
from corpora.schema import Payload, Signal
from corpora.signals import encode_signals

RATE_HZ = 16000
TRAIN_TEXTS = (
    "I am so happy today because you came home .",
    "I am so sad today because you left home .",
    "We are so happy now because you came early .",
    "We are so glad today because they came home .",
    "You are so glad now because they left early .",
    "They were sad and you were happy about it .",
)


def voice(seconds: float = 1.0, f0_hz: float = 140.0, seed: int = 0) -> np.ndarray:
    """[n] float32: a harmonic tone with a little vibrato, edges faded, and a breath of noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(f0_hz * (1 + 0.02 * np.sin(2 * np.pi * 5 * t))) / RATE_HZ
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    fade = np.minimum(1, np.minimum(t, t[::-1]) / 0.05)
    return (0.1 * fade * tone + 1e-4 * rng.standard_normal(len(t))).astype(np.float32)


def speech(signal: np.ndarray | None = None) -> Payload:
    samples = voice() if signal is None else np.asarray(signal, np.float32)
    facts = (Signal("audio", "full scale", float(RATE_HZ), (len(samples), 1)),)
    return Payload(encode_wav(samples, RATE_HZ, keep_peaks=True), "wav", facts, len(samples) / RATE_HZ)


def face(pixels: np.ndarray | None = None) -> Payload:
    if pixels is None:
        y, x = np.mgrid[:40, :48]
        pixels = np.clip(60 + 2 * x + y + np.random.default_rng(0).normal(0, 5, x.shape), 0, 255).astype(np.uint8)
    return Payload(encode_png(pixels), "png", (Signal("image", "grey level", None, pixels.shape),))


def text(line: str = "I am so happy now because you came home and they were glad about it .") -> Payload:
    return Payload(line.encode(), "txt", (Signal("text", "character", None, (len(line),)),))


def physio(**changed: np.ndarray | None) -> Payload:
    """BVP [640] at 64 Hz, EDA [40] at 4 Hz, ACC [320, 3] at 32 Hz, EDA before the trial [20]; None leaves one out."""
    rng = np.random.default_rng(0)
    arrays = {
        "BVP": np.sin(np.arange(640) / 8) + 0.3 * rng.standard_normal(640),
        "EDA": 3 + 0.01 * np.cumsum(rng.standard_normal(40)),
        "ACC": 50 + np.cumsum(rng.standard_normal((320, 3)), axis=0),
        "EDA_baseline": 2.9 + 0.01 * np.cumsum(rng.standard_normal(20)),
    } | changed
    rates = {"BVP": 64.0, "EDA": 4.0, "ACC": 32.0, "EDA_baseline": 4.0}
    held = {name: np.asarray(array, np.float32) for name, array in arrays.items() if array is not None}
    facts = tuple(Signal(name, "u", rates[name], held[name].shape) for name in sorted(held))
    return Payload(encode_signals(held), "npz", facts, 10.0)


def feature_row() -> Payload:
    data = encode_signals({"features": np.arange(5.0)})
    return Payload(data, "npz", (Signal("features", None, None, (5,)),))


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x [60, 4], y [60]: 36 of class 0, 18 of 1, 6 of 2, which overlap; the last column is constant."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2], [36, 18, 6])
    x = rng.normal(0, [1.0, 2.0, 100.0, 0.0], (60, 4)) + 0.5 * y[:, None]
    x[:, 3] = 0.1
    return x, y


TRAIN = {"speech": [speech()], "face": [face()], "text": [text(line) for line in TRAIN_TEXTS], "physio": [physio()]}
USUAL = {"speech": speech(), "face": face(), "text": text(), "physio": physio()}
HOSTILE: dict[str, dict[str, Payload]] = {
    "speech": {
        "empty": Payload(b"", "wav"),
        "no wav": Payload(b"RIFFnonsense", "wav"),
        "one sample": speech(np.array([0.1])),
        "silence": speech(np.zeros(16000)),
        "constant": speech(np.full(16000, 0.25)),
        "full scale": speech(np.sign(np.sin(np.arange(16000) / 5))),
        "short": speech(voice(0.05)),
        "beyond full scale": speech(1.9 * np.sin(np.arange(8000) / 9)),
        "another codec": Payload(speech().data, "flac"),
    },
    "face": {
        "empty": Payload(b"", "png"),
        "no png": Payload(b"\x89PNG nonsense", "png"),
        "one pixel": face(np.full((1, 1), 77, np.uint8)),
        "one row": face(np.arange(30, dtype=np.uint8)[None]),
        "black": face(np.zeros((20, 20), np.uint8)),
        "white": face(np.full((20, 20), 255, np.uint8)),
        "colour": face(np.random.default_rng(0).integers(0, 256, (24, 16, 3), dtype=np.uint8)),
        "another codec": Payload(face().data, "jpg"),
    },
    "text": {
        "empty": Payload(b"", "txt"),
        "blank": Payload(b" \n ", "txt"),
        "not utf-8": Payload(b"\xff\xfe so", "txt"),
        "one word": text("happy"),
        "one unknown word": text("zyzzyva"),
        "signs": text("!!! ... :)"),
        "one word again and again": text("no no no no"),
        "masks": text("[NAME] [URL]!"),
        "no spaces": text("今日はとても嬉しい"),
        "another codec": Payload(b"so happy", "json"),
    },
    "physio": {
        "empty": Payload(b"", "npz"),
        "no npz": Payload(b"PK nonsense", "npz"),
        "a row of features": feature_row(),
        "a row without facts": Payload(feature_row().data, "npz"),
        "no rates": Payload(physio().data, "npz"),
        "one value": physio(BVP=np.ones(1), EDA=None, ACC=None),
        "two values": physio(BVP=np.array([0.0, 1.0]), EDA=None, ACC=None),
        "constant": physio(BVP=np.full(100, 0.1), EDA=None, ACC=np.full((50, 3), 0.1)),
        "one channel": physio(EDA=None, ACC=None),
        "constant beside": physio(EDA=np.full(40, 33.3)),
        "huge": physio(BVP=3.4e38 * np.sin(np.arange(640) / 8)),
        "integers": Payload(
            encode_signals({"BVP": np.arange(50, dtype=np.int16)}), "npz", (Signal("BVP", "nW", 64.0, (50,)),)
        ),
        "another codec": Payload(physio().data, "csv"),
    },
}

"""Releases of a few samples whose payloads are what their endings say, for readers that decode them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from corpora.codecs import encode_png, encode_text, encode_wav
from corpora.schema import Sample
from corpora.signals import encode_signals
from tests.small_release import made, real, write_release

RATE_HZ = 16000
ENDINGS = {"face": "png", "speech": "wav", "text": "txt", "physio": "npz"}
N_REAL, N_SYNTHETIC = 22, 10
SPLIT = {**{f"c/{i}": "dev" for i in (16, 17, 18)}, **{f"c/{i}": "test" for i in (19, 20, 21)}}


def content(modality: str, number: int) -> Any:
    """What a reader gets out of sample `number` of this modality."""
    rng = np.random.default_rng(number)
    if modality == "face":
        return rng.integers(0, 256, (8, 6), dtype=np.uint8)
    if modality == "speech":
        return rng.integers(-3000, 3000, 400 + number).astype(np.float32) / np.float32(32768)
    if modality == "text":
        return f"Zeile {number}: größer, as it was."
    return {"ecg": rng.standard_normal(16).astype(np.float32), "eda": rng.standard_normal((8, 2)).astype(np.float32)}


def payload(modality: str, number: int) -> bytes:
    """`content` as the file's bytes."""
    value = content(modality, number)
    if modality == "face":
        return encode_png(value)
    if modality == "speech":
        return encode_wav(value, RATE_HZ)
    return encode_text(value) if modality == "text" else encode_signals(value)


def samples(modality: str, n_real: int = N_REAL, n_synthetic: int = N_SYNTHETIC) -> list[Sample]:
    """Real ones c/0, c/1, ..., synthetic ones syn/9e1d/0, ... of content 100, 101, ... and weight 0.5."""
    own = {"modality": modality, "codec": ENDINGS[modality]}
    if modality == "speech":
        own["duration_s"] = 0.025
    reals = [real(i, payload=payload(modality, i), language="de", gender="female", **own) for i in range(n_real)]
    return reals + [made(i, payload=payload(modality, 100 + i), weight=0.5, **own) for i in range(n_synthetic)]


def number_of(sample_id: str) -> int:
    """The number whose `content` the sample has."""
    number = int(sample_id.rpartition("/")[2])
    return 100 + number if sample_id.startswith("syn/") else number


def readable(folder: Path, modality: str) -> Path:
    """A release of `samples(modality)`: three real ones each in dev and test, all others in train."""
    return write_release(folder, samples(modality), SPLIT, modality=modality)

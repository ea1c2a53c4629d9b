"""A release of faces that a kit can be made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora.codecs import encode_png, encode_wav
from corpora.schema import Sample
from corpora.store.release import Release, open_release
from tests.small_release import made, real, write_release

N = 16  # real samples, and synthetic ones: half of each class


def smooth(number: int) -> bytes:
    """A picture that compresses well."""
    return encode_png(np.full((24, 24), 40 + number, np.uint8))


def noisy(number: int) -> bytes:
    """One that does not."""
    return encode_png(np.random.default_rng(number).integers(0, 255, (24, 24)).astype(np.uint8))


def voice(number: int) -> bytes:
    """A tone of half a second."""
    t = np.arange(4000) / 8000
    return encode_wav((0.3 * np.sin(2 * np.pi * (200 + 10 * number) * t)).astype(np.float32), 8000)


def samples(modality: str = "face", *, swap: bool = False) -> list[Sample]:
    """Real c/0 .. and synthetic ones of the same people. swap: the payloads of real and synthetic change places."""
    codec = {"face": "png", "speech": "wav", "text": "txt"}[modality]

    def payload(number: int, *, synthetic: bool) -> bytes:
        if modality == "speech":
            return voice(number + (50 if synthetic else 0))
        if modality == "text":
            return f"{'a generated' if synthetic != swap else 'my own'} day, number {number} </script>".encode()
        return smooth(number) if synthetic != swap else noisy(number)

    facts = {"modality": modality, "codec": codec}
    return [
        *(real(i, payload=payload(i, synthetic=False), **facts) for i in range(3 * N)),
        *(made(i, payload=payload(i, synthetic=True), **facts) for i in range(N)),
    ]


def release_in(folder: Path, modality: str = "face", *, swap: bool = False) -> Release:
    """Written and opened."""
    return open_release(write_release(folder, samples(modality, swap=swap), modality=modality))

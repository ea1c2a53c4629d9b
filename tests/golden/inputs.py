"""What golden values were measured on: small arrays and texts from seeds, the same for the tools and for us."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def features(n: int, m: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """[n, d], [m, d] float64: correlated Gaussians, the second one moved and wider."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d)) / np.sqrt(d)
    return rng.normal(size=(n, d)) @ mix, 1.3 * rng.normal(size=(m, d)) @ mix + 0.3


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """uint8 [40, 48] twice: waves, and the same with noise."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:40, 0:48]
    one = 127 + 60 * np.sin(x / 5) * np.cos(y / 7) + 20 * np.sin(x * y / 90)
    return tuple(np.clip(p, 0, 255).astype(np.uint8) for p in (one, one + rng.normal(0, 12, one.shape)))  # type: ignore[return-value]


def answers() -> tuple[np.ndarray, np.ndarray]:
    """Classes 0 to 3 [200], and [200, 4] probabilities that are right more often than not."""
    rng = np.random.default_rng(6)
    truth = rng.choice(4, 200, p=[0.5, 0.25, 0.15, 0.1])
    logits = rng.normal(size=(200, 4))
    logits[np.arange(200), truth] += 1.2
    odds = np.exp(logits)
    return truth, odds / odds.sum(axis=1, keepdims=True)


def ratings() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    x = rng.normal(size=80)
    return x, 0.7 * x + 0.4 * rng.normal(size=80) + 0.2


WORDS = ("the", "a", "cat", "dog", "ran", "slept", "home", "all", "day", "while", "rain", "fell", "on", "him", "I've")


def texts() -> tuple[list[str], list[str]]:
    """30 lines, and 30 that keep most of their words."""
    rng = np.random.default_rng(8)
    first = [" ".join(rng.choice(WORDS, rng.integers(4, 14))) + "." for _ in range(30)]
    second = [" ".join(w if rng.random() < 0.8 else str(rng.choice(WORDS)) for w in line.split()) for line in first]
    return first, second


def histograms() -> tuple[np.ndarray, np.ndarray]:
    """[12] twice, with empty bins on either side."""
    rng = np.random.default_rng(9)
    p, q = rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(12))
    p[:2], q[10:] = 0.0, 0.0
    return p / p.sum(), q / q.sum()


def waves() -> tuple[np.ndarray, np.ndarray]:
    """float32 [22050] twice at 22050 Hz: a second of a voice-like tone, at 120 and at 150 Hz."""
    made = []
    for seed, f0 in ((10, 120.0), (11, 150.0)):
        rng = np.random.default_rng(seed)
        t = np.arange(22050) / 22050
        tone = sum(np.sin(2 * np.pi * f0 * k * t + rng.uniform(0, 6)) / k ** (1 + f0 / 300) for k in range(1, 30))
        made.append((0.2 * tone * (0.6 + 0.4 * np.sin(9 * t)) + 0.003 * rng.normal(size=t.size)).astype(np.float32))
    return made[0], made[1]


def waves_apart() -> tuple[np.ndarray, np.ndarray]:
    """The same tones, the first without its end and the second without its beginning: what a path has to find."""
    first, second = waves()
    return first[:17000], second[3000:]


def beats() -> np.ndarray:
    """[40] positions of beats at 250 Hz, whole numbers."""
    rng = np.random.default_rng(12)
    return np.round(250 * np.cumsum(rng.normal(0.82, 0.05, 40))).astype(np.int64)


def eeg() -> np.ndarray:
    """[4, 1000, 3] float64 at 128 Hz: noise with a rhythm at 10 Hz."""
    rng = np.random.default_rng(13)
    t = np.arange(1000)[:, None] / 128
    return rng.normal(size=(4, 1000, 3)) + np.sin(2 * np.pi * 10 * t + np.arange(3))


INPUTS: dict[str, Any] = {
    "features": lambda: features(300, 300, 12, 0),
    "features-unequal": lambda: features(300, 180, 12, 1),
    "features-deficient": lambda: features(40, 30, 64, 2),
    "pictures": pictures,
    "answers": answers,
    "ratings": ratings,
    "texts": texts,
    "histograms": histograms,
    "waves": waves,
    "waves-apart": waves_apart,
    "beats": lambda: (beats(),),
    "eeg": lambda: (eeg(),),
}


def fingerprint(name: str) -> str:
    """Of values to 6 digits: whether a golden value belongs to these inputs, on another machine too."""
    said = hashlib.sha256()
    for part in INPUTS[name]():
        plain = (
            "\n".join(part)
            if isinstance(part, list)
            else np.array2string(
                np.round(np.asarray(part, np.float64).ravel()[:500], 6) + 0.0, threshold=1000, precision=6
            )
        )
        said.update(plain.encode())
    return said.hexdigest()[:16]

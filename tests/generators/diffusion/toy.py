"""Train splits whose density is known: a ring of Gaussians, and signals whose spectrum is their class."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.representation import Spec
from generators.generator import Condition, Device, Draw, TrainData, generator_class

CPU = Device()
RING = Spec("toy-ring", (2,), layout="vector", rows=("a", "b"), units=("", ""))
MODES, RADIUS, WIDTH = 6, 4.0, 0.3
WAVES = Spec("toy-waves", (2, 64), layout="rows", rate_hz=32.0, rows=("one", "two"), units=("uV", "uV"))
HERTZ = {"neutral": 2.0, "anger": 5.0, "fear": 10.0}


def centres() -> np.ndarray:
    """[MODES, 2] on a circle; mode m is of class m % 3."""
    angle = 2 * np.pi * np.arange(MODES) / MODES
    return RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def split(spec: Spec, arrays: np.ndarray, labels: list[str]) -> TrainData:
    n = len(arrays)
    return TrainData(
        spec=spec,
        classes=tuple(HERTZ),
        arrays=arrays.astype(np.float32),
        emotions=tuple(labels),
        ids=tuple(f"toy/{i}" for i in range(n)),
        groups=tuple(f"toy:{i % 5}" for i in range(n)),
        subjects=tuple(f"toy:{i % 5}" for i in range(n)),
        held_out=np.arange(n) % 10 == 0,
    )


def ring(n: int = 600, seed: int = 0) -> TrainData:
    modes = np.arange(n) % MODES
    arrays = centres()[modes] + np.random.default_rng(seed).normal(0, WIDTH, (n, 2))
    return split(RING, arrays, [tuple(HERTZ)[m % 3] for m in modes])


def waves(n: int = 240, seed: int = 0) -> TrainData:
    """A wave of the class' frequency and random phase in both rows, twice as strong in the second, in white noise."""
    rng = np.random.default_rng(seed)
    labels = [tuple(HERTZ)[i % 3] for i in range(n)]
    time = np.arange(64) / 32.0
    hertz = np.array([HERTZ[name] for name in labels])[:, None, None]
    phase = 2 * np.pi * rng.random((n, 2, 1))
    arrays = np.sin(2 * np.pi * hertz * time + phase) * np.array([1.0, 2.0])[:, None]
    return split(WAVES, arrays + rng.normal(0, 0.7, arrays.shape), labels)


def band_powers(arrays: np.ndarray) -> np.ndarray:
    """[n, 2, 64] -> [2, bands] log mean power of 1 to 3.5, 3.5 to 7.5, 7.5 to 12 Hz."""
    power = np.abs(np.fft.rfft(arrays, axis=2)) ** 2
    hertz = np.fft.rfftfreq(arrays.shape[2], 1 / 32.0)
    bands = ((1, 3.5), (3.5, 7.5), (7.5, 12))
    return np.stack([np.log(power[:, :, (hertz >= a) & (hertz < b)].mean(axis=(0, 2))) for a, b in bands], axis=1)


def fitted(data: TrainData, steps: int, name: str = "diffusion", **params: Any) -> Any:
    generator = generator_class(name)(data.spec, data.classes, **params)
    list(generator.fit(data, steps=steps, seed=1, device=CPU))
    return generator


def drawn(generator: Any, emotion: Any, n: int, given: Any = None, seed: int = 1000) -> np.ndarray:
    draws = [Draw(Condition(emotion, given or {}), seed + k) for k in range(n)]
    return generator.sample(draws, device=CPU)


def converted(generator: Any, data: TrainData, rows: list[int], emotion: str) -> np.ndarray:
    draws = [Draw(Condition(emotion), 1000 + i, {"from": data.ids[i]}) for i in rows]
    return generator.sample(draws, data.arrays[rows], device=CPU)

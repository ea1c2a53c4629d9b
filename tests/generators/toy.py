"""Small train splits with classes that a nearest mean tells apart."""

from __future__ import annotations

import numpy as np

from features.representation import Spec
from generators.generator import TrainData

CLASSES = ("neutral", "anger", "fear")
IMAGES = Spec("toy-grey12", (1, 12, 12), bounds=(-1.0, 1.0))
SPEECH = Spec(
    "toy-world",
    (6, 22),  # neither side a power of two
    layout="rows",
    rate_hz=100.0,
    mask_row=5,
    rows=("mcep_0", "mcep_1", "mcep_2", "log_f0", "voicing", "mask"),
)
SIGNALS = Spec(
    "toy-windows",
    (3, 40),
    layout="rows",
    rate_hz=8.0,
    rows=("bvp", "eda", "temp"),
    units=("nW", "uS", "degC"),
)
VECTOR = Spec(
    "toy-features",
    (10,),
    layout="vector",
    rows=tuple(f"column_{i}" for i in range(10)),
    units=("Hz", *("",) * 9),
)


def toy_data(spec: Spec, n: int = 60, *, subjects: bool = True, seed: int = 0) -> TrainData:
    """Class k has its own mean pattern; every fifth sample is held out; speech has lengths of 12 to 22 columns.

    Signals: a wave whose level is the class' in its own row, in units of very different size. Vectors: column k is the
    class', column 8 is twice column 9, the last of them is the same everywhere but for its subject.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % len(CLASSES))
    people = np.arange(n) % 4
    c, h, w = spec.grid
    arrays = np.zeros((n, c, h, w), np.float32)
    for i, k in enumerate(labels):
        if spec.bounds is not None:
            arrays[i] = rng.normal(0, 0.1, (c, h, w)) - 0.5
            arrays[i, :, 4 * k : 4 * k + 4] += 1.0
        elif spec.layout == "vector":
            arrays[i, 0, :, 0] = rng.normal(0, 0.3, h)
            arrays[i, 0, k, 0] += 3.0
            arrays[i, 0, 0, 0] *= 100.0  # Hz beside shares
            arrays[i, 0, 3, 0] = people[i]
            arrays[i, 0, 8, 0] = 2.0 * arrays[i, 0, 9, 0]
            arrays[i, 0, 7, 0] = 7.0
        elif spec.mask_row is None:
            phase = rng.random((h, 1)) * 2 * np.pi
            arrays[i, 0] = np.sin(np.arange(w)[None] / 3 + phase) * (0.5 + 0.1 * people[i]) + rng.normal(0, 0.1, (h, w))
            arrays[i, 0, k % h] += 2.0
            arrays[i, 0, 1 % h] *= 50.0
        else:
            arrays[i] = rng.normal(0, 0.2, (c, h, w))
            arrays[i, :, k] += 3.0
            arrays[i, :, :3] += 0.5 * people[i]
            arrays[i, :, 3] = 5.0 + 0.3 * k + rng.normal(0, 0.05, w)
            arrays[i, :, 4] = rng.random(w) < 0.7
            length = int(rng.integers(12, w + 1))
            arrays[i, :, :, length:] = 0.0
            arrays[i, :, 5] = np.where(np.arange(w) < length, 1.0, -1.0)
    if spec.bounds is not None:
        arrays = np.clip(arrays, *spec.bounds)
    return TrainData(
        spec=spec,
        classes=CLASSES,
        arrays=arrays.reshape(n, *spec.shape),
        emotions=tuple(CLASSES[k] for k in labels),
        ids=tuple(f"toy/{i}" for i in range(n)),
        groups=tuple(f"toy:{p}" for p in people),
        subjects=tuple(f"toy:{p}" for p in people) if subjects else (None,) * n,
        held_out=np.arange(n) % 5 == 0,
        ratings={"intensity": np.where(np.arange(n) % 3 == 0, np.nan, rng.random(n))},
    )


def class_means(data: TrainData) -> np.ndarray:
    """[K, features]: what a nearest-mean classifier compares with."""
    labels = np.array(data.emotions)
    return np.stack([_features(data.arrays[labels == c]).mean(axis=0) for c in data.classes])


def units_of(data: TrainData) -> np.ndarray:
    """What arrays are divided by before distances are taken: the spread of each row that has units, else 1."""
    if data.spec.bounds is not None:
        return np.ones(1, np.float32)
    others = (0,) if data.spec.layout == "vector" else (0, 2)
    spread = data.arrays.std(axis=others, keepdims=True)[0]
    return np.where(spread > 1e-6, spread, 1.0)


def nearest(arrays: np.ndarray, means: np.ndarray) -> np.ndarray:
    """[n, *shape] -> [n] class indices."""
    return np.linalg.norm(_features(arrays)[:, None] - means[None], axis=2).argmin(axis=1)


def _features(arrays: np.ndarray) -> np.ndarray:
    level = arrays if arrays.ndim == 2 else arrays.mean(axis=-1)  # of a vector, each column
    return level.reshape(len(arrays), -1).astype(np.float64)

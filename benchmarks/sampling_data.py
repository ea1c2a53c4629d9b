"""What generators are fitted on where their speed is measured: shapes, a ring, faces of FER2013, arrays of a file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from features.representation import Spec
from generators.generator import TrainData

FER = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")  # the corpus' codes 0 to 6


def shapes(n: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """[n, 1, 24, 24] in [-1, 1]: a soft ring, a bar or two spots, where and how large by chance."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:24, 0:24] / 23.0
    names, arrays = [], np.empty((n, 1, 24, 24), np.float32)
    for i in range(n):
        name = ("ring", "bar", "spots")[i % 3]
        cx, cy = rng.uniform(0.35, 0.65, 2)
        width = rng.uniform(0.05, 0.09)
        if name == "ring":
            distance = np.abs(np.hypot(x - cx, y - cy) - rng.uniform(0.15, 0.3))
        elif name == "bar":
            angle = rng.uniform(-0.5, 0.5)
            distance = np.abs((x - cx) * np.sin(angle) + (y - cy) * np.cos(angle))
        else:
            apart = rng.uniform(0.15, 0.25)
            distance = np.minimum(np.hypot(x - cx - apart, y - cy), np.hypot(x - cx + apart, y - cy))
        arrays[i, 0] = 1.8 * np.exp(-((distance / width) ** 2)) - 0.9 + rng.normal(0, 0.03, x.shape)
        names.append(name)
    return np.clip(arrays, -1, 1), names


def ring(n: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """[n, 8]: six Gaussians on a circle, two for each class, mixed into eight columns."""
    rng = np.random.default_rng(seed)
    mode = np.arange(n) % 6
    angle = 2 * np.pi * mode / 6
    plane = 4 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.3, (n, 2))
    mixing = np.random.default_rng(7).normal(size=(2, 8))
    return (plane @ mixing + rng.normal(0, 0.2, (n, 8))).astype(np.float32), [f"class{m % 3}" for m in mode]


def faces(path: Path) -> tuple[np.ndarray, list[str]]:
    """[n, 1, 48, 48] in [-1, 1]: the rows of Training."""
    with path.open(newline="") as file:
        rows = [(r["pixels"], FER[int(r["emotion"])]) for r in csv.DictReader(file) if r["Usage"] == "Training"]
    grey = np.array([np.fromstring(pixels, dtype=np.float32, sep=" ") for pixels, _ in rows])
    return grey.reshape(-1, 1, 48, 48) / 127.5 - 1.0, [emotion for _, emotion in rows]


def train_data(which: str, n: int) -> TrainData:
    """Half of it held out, to compare with."""
    if which.endswith(".npz"):
        with np.load(which, allow_pickle=False) as file:
            arrays, emotions, held_out = file["arrays"], [str(e) for e in file["emotions"]], file["held_out"]
    elif which.endswith(".csv"):
        arrays, emotions = faces(Path(which))
        held_out = np.arange(len(arrays)) % 2 == 1
    else:
        arrays, emotions = {"shapes": shapes, "ring": ring}[which](n, 0)
        held_out = np.arange(n) // 3 % 2 == 1
    shape = tuple(arrays.shape[1:])
    if len(shape) == 1:
        spec = Spec("bench", shape, layout="vector", rows=tuple(map(str, range(shape[0]))), units=("",) * shape[0])
    else:
        spec = Spec("bench", shape, bounds=(-1.0, 1.0))
    count = len(arrays)
    ids = tuple(map(str, range(count)))
    return TrainData(
        spec, tuple(sorted(set(emotions))), arrays, tuple(emotions), ids, ids, (None,) * count, np.asarray(held_out)
    )

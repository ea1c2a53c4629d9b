"""A paired toy: the class is a known shift of two columns, identity is another column, the rest is noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from features.representation import Spec
from generators.generator import Condition, Device, Draw, TrainData, generator_class

CLASSES = ("neutral", "anger")
SHIFT = np.array([2.0, -2.0])
SPEC = Spec("toy-pairs", (6,), layout="vector", rows=tuple(f"c{i}" for i in range(6)), units=("",) * 6)
CPU = Device()
FAST: dict[str, Any] = {"width": 8, "blocks": 1, "batch_size": 32, "lr": 2e-3, "lr_critic": 2e-3, "ema_std": 0.05}


def pairs(n: int = 200, *, corpora: tuple[str, ...] = ("toy",), offset: float = 0.0, seed: int = 0) -> TrainData:
    """Columns 0 and 1: class; 2: identity, spread 1, the same distribution in both classes; 3 to 5: noise, and in
    column 3 corpus c lies c * offset higher. Rows of one corpus follow those of another in turn."""
    rng = np.random.default_rng(seed)
    label, corpus = np.arange(n) % 2, (np.arange(n) // 2) % len(corpora)
    x = rng.normal(0, 0.3, (n, 6))
    x[:, :2] += label[:, None] * SHIFT
    x[:, 2] = rng.normal(0, 1.0, n)
    x[:, 3] += corpus * offset
    return TrainData(
        spec=SPEC,
        classes=CLASSES,
        arrays=x.astype(np.float32),
        emotions=tuple(CLASSES[k] for k in label),
        ids=tuple(f"{corpora[c]}/{i}" for i, c in enumerate(corpus)),
        groups=tuple(f"g{i}" for i in range(n)),
        subjects=(None,) * n,
        held_out=np.arange(n) % 10 == 9,
    )


def fitted(name: str, data: TrainData, steps: int = 150, **params: Any) -> tuple[Any, list[dict[str, float]]]:
    """-> the generator, and the losses of each report."""
    torch.set_num_threads(1)
    generator = generator_class(name)(data.spec, data.classes, **{**FAST, **params})
    return generator, [dict(p.losses) for p in generator.fit(data, steps=steps, seed=1, device=CPU)]


def converted(generator: Any, data: TrainData, rows: np.ndarray, to: str, seed: int = 7) -> np.ndarray:
    """Rows of train converted to a class -> [n, *shape]."""
    draws = [Draw(Condition(to), seed + int(i), {"from": data.ids[i]}) for i in rows]
    return np.asarray(generator.sample(draws, data.arrays[rows], device=CPU))


def neutral_rows(data: TrainData, n: int = 60) -> np.ndarray:
    """Of the class that is converted in tests."""
    return np.array([i for i, e in enumerate(data.emotions) if e == "neutral"][:n])


def flipped(made: np.ndarray) -> float:
    """Share of arrays on anger's side of the middle between the classes, [n, 6] -> [0, 1]."""
    return float(((made[:, :2] - SHIFT / 2) @ SHIFT > 0).mean())


def identity_kept(made: np.ndarray, sources: np.ndarray) -> float:
    """Correlation of the identity column before and after."""
    return float(np.corrcoef(made[:, 2], sources[:, 2])[0, 1])

"""What every generator is: something that turns (condition, seed) into arrays, and can be fitted, saved and loaded.

Generators know no gates, no Ray, no Prefect and no DVC. What they need from outside is handed in as a callable.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from corpora.errors import UnknownNameError
from features.representation import ArraySpec

GENERATORS: dict[str, str] = {
    "cvae": "generators.vae:ConditionalVAE",
    "cgan": "generators.gan:ConditionalGAN",
    "diffusion": "generators.diffusion:Diffusion",
    "transfer": "generators.conversion:Transfer",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """What is asked for. `emotion`: a class, or a distribution over classes (soft labels).

    `intensity` in [0, 1], 1 = full. `vad`: valence, arousal, dominance in [-1, 1]. `vector`: a named vector (action
    units, transcript or face embedding, context). A generator that cannot honour a field that is set raises
    `UserError`.
    """

    emotion: str | Mapping[str, float]
    intensity: float = 1.0
    subject_id: str | None = None
    vad: tuple[float, float, float] | None = None
    vector: tuple[str, tuple[float, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Draw:
    """Names one synthetic sample of one generator for ever. `seed` in [0, 2**63)."""

    condition: Condition
    seed: int
    source_ids: tuple[str, ...] = ()

    def key(self) -> str:
        """20 hex digits of sha256 over the canonical JSON of the draw."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class TrainData:
    """The train split as arrays: row i of every field is one sample. Nothing of dev or test is ever in here.

    arrays: [N, C, H, W] float32 in the representation's units (may be memory-mapped); emotions: N class names;
    subjects: N subject ids or None; groups: N group ids; ids: N sample ids; intensity: [N] in [0, 1], NaN where not
    known. `held_out`: boolean [N], the part of train that early stopping looks at and gradients never see.
    """

    spec: ArraySpec
    classes: tuple[str, ...]
    arrays: np.ndarray
    emotions: tuple[str, ...]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    subjects: tuple[str | None, ...]
    held_out: np.ndarray
    intensity: np.ndarray


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a running fit. `losses` are means since the last report."""

    step: int
    steps: int
    losses: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Device:
    """Where and how a generator computes. `dtype`: "float32" | "bfloat16" (autocast; weights stay float32)."""

    kind: str = "cpu"  # "cpu" | "cuda" | "cuda:1" ...
    dtype: str = "float32"
    compile: bool = False


Monitor = Callable[["Generator"], float]  # lower is better; looks at the held-out part of train only


@runtime_checkable
class Generator(Protocol):
    """Construct with `(spec, classes, **params)`; classes fixes the order of class indices."""

    spec: ArraySpec
    classes: tuple[str, ...]
    needs_sources: bool  # True: every Draw carries `source_ids` and `sample` wants the source arrays
    trains: bool  # False: `fit` is a closed form without steps (transfer)

    def fit(
        self,
        data: TrainData,
        *,
        steps: int,
        seed: int,
        device: Device,
        checkpoints: Path | None = None,  # folder for resumable state; written atomically, safe to delete
        checkpoint_every: int = 500,
        monitor: Monitor | None = None,
        monitor_every: int = 0,
        patience: int = 0,
    ) -> Iterator[Progress]:
        """Trains; resumes from `checkpoints` if state is there, with the result that an uninterrupted fit has."""
        ...

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        """draws (n) and their sources [n, C, H, W] -> [n, C, H, W] float32 in the representation's units.

        Row i depends on draws[i] and sources[i] only: one random generator a draw, seeded with its seed.
        """
        ...

    def save(self, folder: Path) -> None:
        """Writes model.safetensors and config.json; the folder's content names the generator (generator_id)."""
        ...

    @classmethod
    def load(cls, folder: Path, *, device: Device) -> Generator: ...


def generator_class(name: str) -> Any:
    """The class registered under `name` (literal registry, then entry points `emoforge.generators`)."""
    found = {e.name: e.value for e in entry_points(group="emoforge.generators")} | GENERATORS
    if name not in found:
        raise UnknownNameError.of("generator", name, found)
    module, _, attribute = found[name].partition(":")
    return getattr(importlib.import_module(module), attribute)

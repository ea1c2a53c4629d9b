"""The smallest settings with which each registered generator learns the toy corpora: of the contract test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from generators.generator import GENERATORS, generator_class


@dataclass(frozen=True, slots=True)
class Tiny:
    """params of the generator, and the steps after which it honours the class."""

    steps: int
    params: dict[str, Any] = field(default_factory=dict)


TINY: dict[str, Tiny] = {
    "cvae": Tiny(150, {"width": 8, "latent": 4, "batch_size": 16}),
    "cgan": Tiny(120, {"width": 8, "latent": 8, "batch_size": 16, "lr": 1e-3, "lr_discriminator": 1e-3}),
    "diffusion": Tiny(200, {"width": 8, "levels": 2, "patch": [2, 2], "sample_steps": 6, "batch_size": 16}),
    "transfer": Tiny(1, {"components": 8}),
    "resampling": Tiny(1),
    "augmentation": Tiny(1, {"methods": [{"method": "erase"}]}),
}
KINDS = {name: generator_class(name) for name in GENERATORS}
ARRAYS = [name for name in GENERATORS if KINDS[name].layouts & {"image", "rows", "vector"}]
TRAINED = [name for name in ARRAYS if KINDS[name].trains]
HONOURING = [name for name in TRAINED if "subject" in KINDS[name].can_honour({"honours": ["subject"]})]

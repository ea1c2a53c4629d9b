"""Seeds derived by hash and one random generator for each sample: no global state, nothing depends on batch mates.

Noise is drawn on the CPU and then moved, so that the same draw starts from the same numbers on every device.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch takes seconds to import and `derive_seed` needs none of it
    import torch

SEED_LIMIT = 2**63


def derive_seed(*parts: Any) -> int:
    """Hash of `parts` (strings, numbers, booleans, None, lists of them) -> int in [0, 2**63).

    The same parts in the same order give the same seed on every machine; 1 and "1" differ.
    """
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % SEED_LIMIT


def generator(seed: int) -> torch.Generator:
    """A fresh CPU generator. `seed` in [0, 2**63), else ValueError."""
    import torch

    if not 0 <= seed < SEED_LIMIT:
        raise ValueError(f"seed {seed} is outside [0, 2**63); make seeds with derive_seed")
    return torch.Generator(device="cpu").manual_seed(seed)


def noise(seeds: Sequence[int], shape: Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
    """n seeds -> [n, *shape] float32 of standard normal noise; row i comes from seeds[i] alone."""
    import torch

    rows = [torch.randn(tuple(shape), generator=generator(seed)) for seed in seeds]
    return torch.stack(rows).to(device) if rows else torch.empty((0, *shape), device=device)


def seed_global(seed: int, device: torch.device) -> None:
    """Seeds torch's global generator as `torch.manual_seed` does, without its way through every kind of device where
    work is on the CPU: a step of a small network takes as long as that. Who calls it puts the state back."""
    import torch

    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)

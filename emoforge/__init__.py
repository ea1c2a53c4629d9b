"""emoforge: versioned, class-balanced, quality-gated releases of emotion corpora.

The door. `open_release(folder)` reads what was published: `samples()`, `webdataset()` as a pipeline, `to_pandas()` the
index as a frame. `torch_dataset(folder)` is the same by number, with samplers. Everything else is behind the command
`emoforge`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import corpora.quiet  # noqa: F401  (first: telemetry off before anything that has some is imported)

if TYPE_CHECKING:
    from corpora.reading.order import Shuffle
    from corpora.store.release import open_release
    from training.reading.dataset import torch_dataset
    from training.reading.samplers import BalancedSampler, ReleaseSampler

__all__ = ["BalancedSampler", "ReleaseSampler", "Shuffle", "__version__", "open_release", "torch_dataset"]
__version__ = "0.1.0"

_WHERE = {
    "open_release": "corpora.store.release",
    "Shuffle": "corpora.reading.order",
    "torch_dataset": "training.reading.dataset",
    "ReleaseSampler": "training.reading.samplers",
    "BalancedSampler": "training.reading.samplers",
}


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name in _WHERE:  # lazily: neither pyarrow nor torch is needed to show help
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

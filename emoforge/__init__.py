"""emoforge: versioned, class-balanced, quality-gated releases of emotion corpora.

The door. `open_release(folder)` reads what was published, and its `to_pandas()` gives the index as a frame; everything
else is behind the command `emoforge`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import corpora.quiet  # noqa: F401  (first: telemetry off before anything that has some is imported)

if TYPE_CHECKING:
    from corpora.store.release import open_release

__all__ = ["__version__", "open_release"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "open_release":  # lazily: pyarrow is not needed to show help
        from corpora.store.release import open_release

        return open_release
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

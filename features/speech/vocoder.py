"""pyworld, imported once and quietly: it asks pkg_resources for its own version, which setuptools announces to drop."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
    import pyworld

__all__ = ["pyworld"]

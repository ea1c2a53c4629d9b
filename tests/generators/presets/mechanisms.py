"""Which preset's mechanism which test shows to be active: `@shows("speech/chatziagapi-2019")` above the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

SHOWN: dict[str, str] = {}  # preset -> test
F = TypeVar("F", bound=Callable[..., object])


def shows(*presets: str) -> Callable[[F], F]:
    """Marks a test that fails where the mechanism of these presets is taken out."""

    def mark(test: F) -> F:
        for preset in presets:
            assert preset not in SHOWN, f"{preset} is shown by {SHOWN[preset]} already"
            SHOWN[preset] = f"{test.__module__}.{test.__name__}"  # type: ignore[attr-defined]
        return test

    return mark

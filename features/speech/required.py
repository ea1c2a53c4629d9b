"""What representations of speech ask of its preparation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpora.errors import ParamsError

if TYPE_CHECKING:  # what decodes a sample needs none of the code that prepares one
    from features.speech.prepare import SpeechSteps


def require_rate(steps: SpeechSteps, rate_hz: int) -> SpeechSteps:
    """Steps that bring speech to a representation's `rate_hz`. Raises `ParamsError` where they name another rate."""
    if steps.resample.rate_hz != rate_hz:
        raise ParamsError(
            f"prepare.speech.resample.rate_hz is {steps.resample.rate_hz}, the representation's {rate_hz}"
        )
    return steps

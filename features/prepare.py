"""The door to preparation: the steps of each modality by name, and the worker that runs them on one payload.

    prepare = make_preparation("speech", {"trim": {"below_db": 40}})
    pieces = prepare(Source(payload, "wav"))

What a step is and may see: features/steps.py. Which steps there are, in which order and with which defaults: the
`...Steps` model of each modality.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from corpora.errors import CorpusError
from features.steps import Preparation, Steps

# modality -> module, model of the steps, class that runs them
PREPARATIONS: dict[str, tuple[str, str, str]] = {
    "speech": ("features.speech.prepare", "SpeechSteps", "PrepareSpeech"),
    "face": ("features.faces.prepare", "FaceSteps", "PrepareFaces"),
    "text": ("features.text.prepare", "TextSteps", "PrepareText"),
    "physio": ("features.physio.prepare", "SignalSteps", "PrepareSignals"),
}


def steps_of(modality: str, params: Mapping[str, Any]) -> Steps:
    """Checked steps of one modality; what `params` does not name has its default."""
    module, model, _ = _names(modality)
    steps: Steps = getattr(importlib.import_module(module), model).model_validate(dict(params))
    return steps


def make_preparation(modality: str, params: Mapping[str, Any]) -> Preparation:
    """Raises `CorpusError` for a modality without preparation, pydantic's `ValidationError` for unknown steps."""
    module, _, runner = _names(modality)
    preparation: Preparation = getattr(importlib.import_module(module), runner)(steps_of(modality, params))
    return preparation


def preparation_module(modality: str) -> str:
    """The module that prepares `modality`, for the fingerprint of a plan."""
    return _names(modality)[0]


def _names(modality: str) -> tuple[str, str, str]:
    if modality not in PREPARATIONS:
        raise CorpusError(f"no preparation for modality {modality!r}; known: {', '.join(PREPARATIONS)}")
    return PREPARATIONS[modality]

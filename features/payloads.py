"""Payloads as they are: for generators that edit real payloads themselves (generators/classical/augmentation.py).

The array says nothing: one 0. No model could learn from it or draw it, so it has a layout of its own, "payload", which
no generator of arrays can model; a run that names another generator is refused when it is planned.
"""

from __future__ import annotations

import numpy as np

from corpora.errors import PayloadError
from corpora.schema import Payload
from features.representation import Spec, require_array


class PayloadRepresentation:
    """What the four have in common: they bring the name, the modality and the codec that `prepare` writes."""

    modality: str
    codec: str
    spec: Spec
    lossless = True
    way_back = True
    needs_source = True

    def encode(self, payload: Payload) -> np.ndarray:
        """-> [1] float32, 0. Raises `PayloadError`: wrong-codec, empty."""
        if payload.codec != self.codec:
            raise PayloadError("wrong-codec", f"{self.spec.name} are {self.codec}, this payload is {payload.codec!r}")
        if not payload.data:
            raise PayloadError("empty", "no bytes")
        return np.zeros(1, np.float32)

    def decode(self, array: np.ndarray) -> Payload:
        """Raises `PayloadError` needs-source: there is no payload in an array that says nothing."""
        require_array(array, self.spec)
        raise PayloadError("needs-source", f"{self.spec.name} are edited, never decoded: use a generator that edits")


class AudioRepresentation(PayloadRepresentation):
    """wav as it is, for a generator that edits it: `augmentation`."""

    modality, codec, spec = "speech", "wav", Spec("audio", (1,), layout="payload")


class PicturesRepresentation(PayloadRepresentation):
    """png as it is, for a generator that edits it: `augmentation`."""

    modality, codec, spec = "face", "png", Spec("pictures", (1,), layout="payload")


class TextsRepresentation(PayloadRepresentation):
    """txt as it is, for a generator that edits it: `augmentation`."""

    modality, codec, spec = "text", "txt", Spec("texts", (1,), layout="payload")


class SignalsRepresentation(PayloadRepresentation):
    """npz of signals as it is, for a generator that edits it: `augmentation`."""

    modality, codec, spec = "physio", "npz", Spec("signals", (1,), layout="payload")


KINDS = (AudioRepresentation, PicturesRepresentation, TextsRepresentation, SignalsRepresentation)


def modality_of(spec: Spec) -> str:
    """Of the payloads that stand behind a spec of layout "payload". Raises KeyError for another spec."""
    return {kind.spec.name: kind.modality for kind in KINDS}[spec.name]

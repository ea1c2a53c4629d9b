"""What a representation asks of the preparation of its modality."""

from __future__ import annotations

import pytest

from corpora.errors import ParamsError
from features.faces.pixels import PixelRepresentation
from features.faces.prepare import DEFAULT_PX, FaceSteps, PrepareFaces
from features.physio.prepare import PrepareSignals, SignalSteps
from features.speech.prepare import PrepareSpeech, SpeechSteps
from features.speech.world import WorldRepresentation
from features.steps import Reads
from features.text.prepare import PrepareText, TextSteps


def test_pixels_settle_size_and_take_grey() -> None:
    pixels = PixelRepresentation(32)
    assert pixels.require(FaceSteps()).size.px == 32
    assert pixels.require(FaceSteps.model_validate({"size": {"px": 32}})).size.px == 32
    with pytest.raises(ParamsError, match=r"prepare\.face\.size\.px is 64, the representation's 32"):
        pixels.require(FaceSteps.model_validate({"size": {"px": 64}}))
    with pytest.raises(ParamsError, match="takes grey"):
        pixels.require(FaceSteps.model_validate({"colour": {"mode": "rgb"}}))


def test_world_takes_its_own_rate() -> None:
    assert WorldRepresentation().require(SpeechSteps()) == SpeechSteps()
    with pytest.raises(ParamsError, match=r"prepare\.speech\.resample\.rate_hz is 24000, the representation's 16000"):
        WorldRepresentation().require(SpeechSteps.model_validate({"resample": {"rate_hz": 24000}}))


def test_without_a_representation_steps_settle_themselves() -> None:
    assert FaceSteps().settled().size.px == DEFAULT_PX and SpeechSteps().settled() == SpeechSteps()
    assert FaceSteps.model_validate({"size": {"px": 64}}).settled().size.px == 64


def test_steps_say_what_they_look_at() -> None:
    def faces(by: str) -> Reads:
        return PrepareFaces(FaceSteps.model_validate({"find": {"by": by}})).reads

    published = frozenset({"face_box", "landmarks"})
    assert faces("auto") == Reads(extra=published, reader=True) and faces("corpus") == Reads(extra=published)
    assert faces("none") == faces("haar") == Reads() == PrepareSpeech(SpeechSteps()).reads
    assert PrepareSignals(SignalSteps()).reads == Reads(signals=True) and PrepareText(TextSteps()).reads == Reads()

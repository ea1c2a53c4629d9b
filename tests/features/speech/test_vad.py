"""Trimming by voice activity: a tiny network that hears level, its place among the steps, and the published one."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import decode_wav, encode_wav
from corpora.errors import PayloadError, UserError
from features.pretrained.packages import ENCODERS, packaged
from features.speech.prepare import PrepareSpeech, SpeechSteps
from features.speech.vad import speech_probabilities, speech_span
from features.steps import Source
from tests.features.pretrained.carried import carry
from tests.features.pretrained.tiny_onnx import tiny_vad

RATE = 16000
VAD = {"trim": {"method": "vad", "margin_s": 0.0}}
needs_onnx = pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")


def spoken(before: int, during: int, after: int, rate: int = RATE) -> np.ndarray:
    """Windows of 32 ms: faint hum, a loud tone, faint hum."""
    t = np.arange((before + during + after) * round(0.032 * rate)) / rate
    loud = np.repeat([False] * before + [True] * during + [False] * after, round(0.032 * rate))
    return (np.where(loud, 0.5, 0.02) * np.sin(2 * np.pi * 250 * t)).astype(np.float32)


@needs_onnx
def test_edges_without_speech_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path, "silero", tiny_vad(), monkeypatch)
    signal = spoken(9, 30, 5)
    p = speech_probabilities(signal, RATE)
    assert p.shape == (44,) and (p[10:39] > 1.5).all() and (p[:9] < 0.1).all()
    assert speech_span(signal, RATE, threshold=0.5, margin_s=0.0) == (9 * 512, 39 * 512)
    assert speech_span(signal, RATE, threshold=0.5, margin_s=0.1) == (9 * 512 - 1600, 39 * 512 + 1600)
    assert speech_span(signal, RATE, threshold=0.5, margin_s=9.0) == (0, signal.size)
    (piece,) = PrepareSpeech(SpeechSteps.model_validate(VAD))(Source(encode_wav(signal, RATE), "wav"))
    cut, rate = decode_wav(piece.payload)
    assert rate == RATE and len(cut) == 30 * 512 and piece.start_s == pytest.approx(9 * 0.032)
    start, stop = speech_span(spoken(9, 30, 5, 48000), 48000, threshold=0.5, margin_s=0.0) or (0, 0)
    assert (start / 48000, stop / 48000) == pytest.approx((9 * 0.032, 39 * 0.032), abs=0.033)


@needs_onnx
def test_a_recording_without_speech_is_a_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path, "silero", tiny_vad(), monkeypatch)
    with pytest.raises(PayloadError) as caught:
        PrepareSpeech(SpeechSteps.model_validate(VAD))(Source(encode_wav(spoken(30, 0, 0), RATE), "wav"))
    assert caught.value.reason == "no-speech"


def test_it_is_asked_for_by_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SpeechSteps().encoders() == () == SpeechSteps.model_validate({"trim": None}).encoders()
    asked = SpeechSteps.model_validate(VAD)
    assert asked.encoders() == ("silero",)
    by_level, by_network = SpeechSteps().described(), asked.described()
    assert {"step": "trim-1", "params": {"below_db": 35.0, "margin_s": 0.05}} in by_level, "as before there were two"
    assert {"step": "trim-1", "params": {"method": "vad", "threshold": 0.5, "margin_s": 0.0}} in by_network
    assert SpeechSteps.model_validate(asked.model_dump(mode="json")) == asked
    monkeypatch.setitem(ENCODERS, "silero", replace(ENCODERS["silero"], distribution="no-such-package"))
    with pytest.raises(UserError, match="silero needs the package"):
        PrepareSpeech(asked)(Source(encode_wav(spoken(1, 30, 1), RATE), "wav"))


def test_the_published_one_hears_a_voice(shared_data: Path) -> None:
    try:
        packaged("silero").require()
    except UserError as absent:
        pytest.skip(str(absent))
    file = shared_data / "ravdess" / "Actor_01" / "03-01-05-01-01-01-01.wav"
    voice = decode_wav(file.read_bytes())[0].mean(axis=1).astype(np.float32)
    start, stop = speech_span(voice, RATE, threshold=0.5, margin_s=0.0) or (0, 0)
    energy = np.cumsum(voice**2) / np.sum(voice**2)
    assert start > 0.5 * RATE and stop < voice.size - 0.3 * RATE, "a second of silence stands at each edge"
    assert energy[start] < 0.02 and energy[stop] > 0.95
    hiss = np.random.default_rng(0).normal(0, 0.01, 2 * RATE).astype(np.float32)
    assert speech_span(hiss, RATE, threshold=0.5, margin_s=0.0) is None

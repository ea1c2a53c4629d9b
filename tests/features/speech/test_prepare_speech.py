"""Prepared speech: one rate, one channel, loudness kept; each step against a signal with a known answer."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from corpora.codecs import decode_wav, encode_wav
from corpora.errors import PayloadError
from features.speech.prepare import (
    PrepareSpeech,
    SpeechSteps,
    active_span,
    clipped_share,
    frame_rms,
    loudness_lufs,
    snr_db,
    to_loudness,
)
from features.steps import Piece, Source

RATE = 16000
STEPS: dict[str, Any] = {"trim": {"below_db": 30}, "length": {"min_s": 0.2, "max_s": 5.0}}


def prepare(payload: bytes, codec: str = "wav", **steps: Any) -> list[Piece]:
    return PrepareSpeech(SpeechSteps.model_validate(STEPS | steps))(Source(payload, codec))


def signal_of(piece: Piece) -> np.ndarray:
    return decode_wav(piece.payload)[0][:, 0]


def wav(signal: np.ndarray, rate: int, subtype: str = "PCM_16") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, signal, rate, format="WAV", subtype=subtype)
    return out.getvalue()


def tone(seconds: float, rate: int = RATE, f: float = 440.0, peak: float = 0.4) -> np.ndarray:
    return peak * np.sin(2 * np.pi * f * np.arange(round(seconds * rate)) / rate)


def burst(rate: int, before: float = 0.5, seconds: float = 1.0, after: float = 0.7) -> np.ndarray:
    return np.concatenate([np.zeros(int(before * rate)), tone(seconds, rate), np.zeros(int(after * rate))])


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
def test_any_wav_becomes_mono_pcm16_at_the_asked_rate(rate: int, subtype: str) -> None:
    clean = burst(rate)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(clean))
    (piece,) = prepare(wav(np.stack([clean + noise, clean - noise], 1), rate, subtype))
    info = soundfile.info(io.BytesIO(piece.payload))
    signal = signal_of(piece)
    assert (info.samplerate, info.channels, info.subtype, piece.suffix) == (16000, 1, "PCM_16", "")
    assert piece.duration_s == len(signal) / 16000 == pytest.approx(1.1, abs=0.05)  # the tone and both margins
    assert piece.signals[0]["rate_hz"] == 16000 and piece.signals[0]["shape"] == [len(signal), 1]
    spectrum = np.abs(np.fft.rfft(signal))
    assert np.fft.rfftfreq(len(signal), 1 / 16000)[spectrum.argmax()] == pytest.approx(440.0, abs=2.0)
    assert signal[2000:-2000].std() == pytest.approx(0.4 / np.sqrt(2), rel=0.03)


def test_relative_loudness_is_kept_and_dc_is_not() -> None:
    loud = signal_of(prepare(wav(burst(16000), 16000, "FLOAT"))[0])
    soft = signal_of(prepare(wav(0.1 * burst(16000) + 0.2, 16000, "FLOAT"))[0])
    assert soft.std() / loud.std() == pytest.approx(0.1, rel=0.01)
    over = prepare(wav(4.5 * burst(16000), 16000, "FLOAT"))[0]
    assert soundfile.info(io.BytesIO(over.payload)).subtype == "FLOAT"
    assert np.abs(signal_of(over)).max() == pytest.approx(1.8, rel=0.01)  # neither cut nor scaled
    with pytest.raises(PayloadError, match="unknown-scale"):
        prepare(wav(5.5 * burst(16000), 16000, "FLOAT"))


def test_preparing_twice_changes_little_and_no_trim_keeps_all() -> None:
    (once,) = prepare(wav(burst(48000), 48000))
    (twice,) = prepare(once.payload)
    assert abs(len(once.payload) - len(twice.payload)) <= 2 * 160
    (untrimmed,) = prepare(encode_wav(burst(16000).astype(np.float32), 16000), trim=None)
    assert len(signal_of(untrimmed)) == 16000 * 2.2


def clipped(gain: float) -> np.ndarray:
    return np.clip(gain * burst(16000), -1.0, 1.0)


@pytest.mark.parametrize(
    ("payload", "slug", "steps"),
    [
        (wav(np.zeros(16000), 16000), "silent", {}),
        (wav(np.full(16000, 0.5), 16000), "silent", {}),  # only DC
        (wav(np.zeros(100), 16000), "silent", {}),
        (wav(burst(16000, seconds=0.05), 16000), "too-short", {}),
        (wav(burst(16000, seconds=6.0), 16000), "too-long", {}),
        (wav(burst(16000), 16000)[:2000], "truncated", {}),
        (b"", "empty", {}),
        (b"RIFFxxxx", "not-a-wav", {}),
        (wav(clipped(5.0), 16000), "clipped", {"clipping": {}}),
        (wav(0.3 * clipped(5.0), 16000), "clipped", {"clipping": {}}),  # turned down after it was clipped
        (wav(tone(2.0) + 0.4 * np.random.default_rng(0).standard_normal(32000), 16000), "noisy", {"noise": {}}),
        (wav(tone(4.0), 16000), "no-pause", {"segment": {"max_s": 2.0, "min_s": 0.5}}),
    ],
)
def test_bad_wavs_are_named(payload: bytes, slug: str, steps: dict[str, Any]) -> None:
    with pytest.raises(PayloadError) as error:
        prepare(payload, **steps)
    assert error.value.reason == slug


def test_speech_comes_as_wav() -> None:
    with pytest.raises(PayloadError, match="mp3"):
        prepare(b"ID3", codec="mp3")


def test_active_span_and_frame_rms() -> None:
    x = burst(16000, 0.5, 1.0, 0.7)
    start, stop = active_span(x, 16000, trim_db=30.0, margin_s=0.0)
    assert start == pytest.approx(8000, abs=400) and stop == pytest.approx(24000, abs=400)
    assert active_span(x, 16000, trim_db=30.0, margin_s=9.0) == (0, len(x))
    assert frame_rms(np.ones(1000), 16000) == pytest.approx(np.ones(8))
    assert len(frame_rms(np.ones(1), 16000)) == 1


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_a_full_scale_sine_of_997_hz_has_minus_3_lufs(rate: int) -> None:
    """ITU-R BS.1770-4, Annex 1: 0 dBFS, 997 Hz, one channel reads -3.01 LKFS."""
    assert loudness_lufs(tone(3.0, rate, 997.0, 1.0), rate) == pytest.approx(-3.01, abs=0.1)
    assert loudness_lufs(tone(0.25, rate, 997.0, 0.1), rate) == pytest.approx(-23.01, abs=0.2)  # below one gating block


def test_loudness_is_brought_to_the_target_and_never_clips() -> None:
    quiet = tone(2.0, f=997.0, peak=0.01)
    (piece,) = prepare(wav(quiet, RATE, "FLOAT"), trim=None, loudness={"lufs": -23})
    assert loudness_lufs(signal_of(piece), RATE) == pytest.approx(-23.0, abs=0.1)
    peaky = quiet.copy()
    peaky[1000] = 0.9
    made = to_loudness(peaky, RATE, -10.0, -1.0)
    assert np.abs(made).max() == pytest.approx(10 ** (-1 / 20)), "the peak bounds the gain"
    assert np.allclose(made, peaky * (made[1000] / 0.9)), "one gain for all"


def test_loudness_is_off_unless_asked_for() -> None:
    steps = [entry["step"] for entry in SpeechSteps().described()]
    assert steps == ["resample-1", "trim-1", "length-1"]


@pytest.mark.parametrize("wanted", [0.0, 5.0, 10.0, 20.0, 30.0])
def test_a_known_mixture_is_estimated_within_2_db(wanted: float) -> None:
    rng = np.random.default_rng(3)
    rhythm = np.repeat([1, 0, 1, 1, 0, 0.5, 0, 1], 4000)  # syllables and pauses
    speech = tone(len(rhythm) / RATE) * rhythm
    noise = rng.standard_normal(len(speech))
    noise *= np.sqrt((speech**2).mean() / (noise**2).mean()) * 10 ** (-wanted / 20)
    assert snr_db(speech + noise, RATE) == pytest.approx(wanted, abs=2.0)


def test_a_known_mixture_with_real_speech(shared_data: Path) -> None:
    rng = np.random.default_rng(0)
    files = (
        sorted((shared_data / "ravdess").rglob("*.wav"))[::120] + sorted((shared_data / "emodb").rglob("*.wav"))[::60]
    )
    for file in files:
        speech = decode_wav(file.read_bytes())[0].mean(axis=1)
        rate = soundfile.info(str(file)).samplerate
        assert clipped_share(speech[:, None]) == 0.0
        for wanted in (5.0, 15.0):
            noise = rng.standard_normal(len(speech))
            noise *= np.sqrt((speech**2).mean() / (noise**2).mean()) * 10 ** (-wanted / 20)
            assert snr_db(speech + noise, rate) == pytest.approx(wanted, abs=2.0), file.name


def test_digital_silence_has_no_noise() -> None:
    assert snr_db(burst(16000), RATE) == np.inf


def test_clipped_share_counts_runs_at_the_extreme() -> None:
    assert clipped_share(tone(1.0, f=441.3)[:, None]) == pytest.approx(0.0, abs=0.002)
    x = tone(1.0, f=100.0, peak=1.0)
    limited = np.clip(x, -0.5, 0.5)  # a third of each half wave lies beyond sin 30 degrees ... 150
    assert clipped_share(limited[:, None]) == pytest.approx(1 / 3, abs=0.01)
    assert clipped_share(np.stack([x, limited], 1)) == clipped_share(limited[:, None]), "the worst channel"
    assert clipped_share(np.full((100, 1), 0.001)) == 0.0, "too quiet to say"


def test_long_utterances_are_cut_in_their_pauses_and_lose_nothing() -> None:
    parts = [(1.6, 0.4), (2.2, 0.3), (0.9, 0.5), (2.4, 0.4), (1.3, 0.0)]
    x = np.concatenate([np.concatenate([tone(a), np.zeros(round(b * RATE))]) for a, b in parts])
    pieces = prepare(wav(x, RATE), trim=None, segment={"max_s": 4.0, "min_s": 1.0})
    assert [p.suffix for p in pieces] == [f"#s{i:04d}" for i in range(1, len(pieces) + 1)] and len(pieces) >= 3
    assert all(1.0 <= p.duration_s <= 4.0 for p in pieces if p.duration_s)
    whole = x - x.mean()
    assert np.allclose(np.concatenate([signal_of(p) for p in pieces]), whole, atol=1e-4), "nothing lost, nothing twice"
    pauses, t = [], 0.0
    for a, b in parts:
        pauses.append((t + a, t + a + b))
        t += a + b
    for left, right in pairwise(pieces):
        assert left.stop_s == right.start_s
        assert any(a <= (left.stop_s or 0) <= b for a, b in pauses), f"{left.stop_s} is not in a pause"


def test_short_utterances_are_not_cut() -> None:
    (piece,) = prepare(wav(burst(RATE), RATE), segment={"max_s": 4.0, "min_s": 1.0})
    assert piece.suffix == ""


def test_steps_that_contradict_each_other_are_named() -> None:
    with pytest.raises(ValidationError, match="twice"):
        SpeechSteps.model_validate({"segment": {"max_s": 1.0, "min_s": 0.8}})
    with pytest.raises(ValidationError, match="refused by length"):
        SpeechSteps.model_validate({"segment": {"max_s": 10.0}, "length": {"max_s": 5.0}})

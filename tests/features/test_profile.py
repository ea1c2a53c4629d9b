from __future__ import annotations

import numpy as np
import pytest

from corpora.codecs import encode_png, encode_text, encode_wav
from corpora.signals import encode_signals
from features.profile import BANDS_HZ, MEASURES, band_shares, describe, describe_or_none, median_f0, pulse_bpm


def harmonic(f0: float, seconds: float = 1.5, rate_hz: int = 16000) -> np.ndarray:
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return sum(np.sin(2 * np.pi * f0 * k * t) / k for k in range(1, 6)) * 0.1  # type: ignore[return-value]


@pytest.mark.parametrize("f0", [110.0, 220.0])
def test_f0_of_a_harmonic_tone(f0: float) -> None:
    found = median_f0(harmonic(f0), 16000)
    assert found == pytest.approx(f0, rel=0.02)


def test_loudness_follows_the_gain_and_the_standard() -> None:
    # ITU-R BS.1770-4: a 997 Hz sine at full scale in one channel reads -3.01 LUFS
    sine = np.sin(2 * np.pi * 997 * np.arange(48000) / 48000)
    loud = describe(encode_wav((0.99 * sine).astype(np.float32), 48000), "speech")
    soft = describe(encode_wav((0.099 * sine).astype(np.float32), 48000), "speech")
    assert loud["loudness_lufs"] == pytest.approx(-3.01 + 20 * np.log10(0.99), abs=0.1)
    assert loud["loudness_lufs"] - soft["loudness_lufs"] == pytest.approx(20, abs=0.1)


def test_what_cannot_be_measured_is_absent() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 3200).astype(np.float32)
    assert "loudness_lufs" not in describe(encode_wav(noise, 16000), "speech")  # 0.2 s: no gating block
    silence = describe(encode_wav(np.zeros(16000, np.float32), 16000), "speech")
    assert set(silence) == {"duration_s"}
    assert describe_or_none(b"RIFF", "speech", ()) is None


def test_pictures() -> None:
    flat = np.full((96, 96), 100, np.uint8)
    edges = flat.copy()
    edges[:, ::8] = 200
    plain, sharp = describe(encode_png(flat), "face"), describe(encode_png(edges), "face")
    assert plain["brightness"] == 100 and plain["contrast"] == 0 and plain["sharpness"] == 0
    assert sharp["sharpness"] > 10 and sharp["height_px"] == 96


def test_text() -> None:
    assert describe(encode_text("so it is, then"), "text") == {"characters": 14.0, "words": 4.0}


def test_bands_hold_the_share_of_their_sine() -> None:
    t = np.arange(200 * 10) / 200
    signal = np.stack([np.sin(2 * np.pi * 10 * t), np.sin(2 * np.pi * 20 * t)], axis=1)
    shares = band_shares(signal, 200)
    assert shares["alpha"] == pytest.approx(0.5, abs=0.02) and shares["beta"] == pytest.approx(0.5, abs=0.02)
    assert sum(shares.values()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("bpm", [55, 72, 120, 160])
def test_pulse_of_a_train_of_beats(bpm: int) -> None:
    rng = np.random.default_rng(bpm)
    t = np.arange(64 * 60) / 64
    phase = (t * bpm / 60) % 1
    beats = np.exp(-0.5 * ((phase - 0.3) / 0.08) ** 2) + 0.3 * np.exp(-0.5 * ((phase - 0.55) / 0.1) ** 2)
    assert pulse_bpm(beats + rng.normal(0, 0.01, len(t)), 64) == pytest.approx(bpm, abs=3)


def test_signals_are_told_apart_by_name() -> None:
    rng = np.random.default_rng(0)
    arrays = {"EEG": rng.normal(size=(512, 3)), "EDA": np.full(40, 2.5), "TEMP": np.full(40, 33.0)}
    told = [{"name": "EEG", "rate_hz": 128.0}, {"name": "EDA", "rate_hz": 4.0}, {"name": "TEMP", "rate_hz": 4.0}]
    found = describe(encode_signals(arrays), "physio", told)
    assert found["duration_s"] == 10 and found["eda"] == 2.5 and found["temperature"] == 33
    assert {f"eeg_{band}" for band in BANDS_HZ} < set(found) <= set(MEASURES)


def test_signals_of_two_devices_are_known_by_their_kind() -> None:
    t = np.arange(64 * 30) / 64
    arrays = {"wrist_BVP": np.sin(2 * np.pi * 1.2 * t), "chest_EDA": np.ones(40), "EEG_baseline": np.ones((256, 2))}
    told = [
        {"name": name, "rate_hz": rate}
        for name, rate in (("wrist_BVP", 64.0), ("chest_EDA", 4.0), ("EEG_baseline", 128.0))
    ]
    found = describe(encode_signals(arrays), "physio", told)
    assert "heart_bpm" in found and found["eda"] == 1 and not any(name.startswith("eeg") for name in found)


def test_unknown_modality_is_a_defect() -> None:
    with pytest.raises(ValueError, match="smell"):
        describe(b"x", "smell")

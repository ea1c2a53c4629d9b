"""Log-mel spectrograms against librosa's filters and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from features.speech.logmel import hz_to_mel, logmel, mel_filters, mel_to_hz, power_frames

RATE = 16000


def test_filters_equal_librosa() -> None:
    librosa_filters = pytest.importorskip("librosa.filters")
    expected = librosa_filters.mel(sr=RATE, n_fft=512, n_mels=40, fmin=50.0, fmax=8000.0, norm=None, dtype=np.float64)
    assert np.allclose(mel_filters(RATE, 512, 40, 50.0, 8000.0), expected, atol=1e-9)


def test_mel_scale_inverts() -> None:
    hz = np.array([0.0, 50.0, 999.0, 1000.0, 1001.0, 7999.0])
    assert np.allclose(mel_to_hz(hz_to_mel(hz)), hz)


def test_a_full_scale_sine_has_0_db_at_its_bin() -> None:
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(RATE) / RATE)  # bin 32 of 512
    power = power_frames(tone, RATE, hop_s=0.01, window_s=0.032)
    middle = power[20:-20]
    assert (middle.argmax(axis=1) == 32).all()
    assert np.allclose(10 * np.log10(middle[:, 32]), 0.0, atol=1e-6)


def test_shape_gain_and_silence() -> None:
    x = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    mel = logmel(x, RATE)
    assert mel.shape == (40, 101) and mel.dtype == np.float32
    assert np.allclose(logmel(0.1 * x, RATE), mel - 20.0, atol=1e-3)
    for n in (0, 1, 50):
        assert (logmel(np.zeros(n), RATE) == -100.0).all()
    with pytest.raises(ValueError, match="NaN"):
        logmel(np.array([np.nan]), RATE)

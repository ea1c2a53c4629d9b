"""Our cepstrum of CheapTrick's envelope against pyworld's envelope, and mel-cepstra against those made from it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from features.speech.vocoder import pyworld
from features.speech.world import F0_FLOOR_HZ, fft_length, track_f0
from validators.maths.speech import cheaptrick
from validators.maths.speech.cheaptrick import log_cepstrum
from validators.maths.speech.melcepstrum import ALPHA, cepstrum_matrix, mel_cepstrum, reach, warping, warping_matrix


def sound(rate_hz: int, seed: int, *, gap: bool = False) -> np.ndarray:
    """[n] float64: 1.2 s of a gliding buzz and of noise; `gap`: digital silence within."""
    rng, n = np.random.default_rng(seed), int(1.2 * rate_hz)
    t = np.arange(n) / rate_hz
    phase = 2 * np.pi * np.cumsum(90.0 + 160.0 * t) / rate_hz
    x = sum(np.sin(k * phase) / k for k in range(1, 20)) * (t < 0.8) * 0.1 + 0.003 * rng.normal(size=n)
    if gap:
        x[n // 3 : n // 2] = 0.0
    return np.asarray(x, np.float64)


def ours(x: np.ndarray, f0: np.ndarray, times: np.ndarray, rate_hz: int, n_fft: int) -> np.ndarray:
    cepstrum = log_cepstrum(x, f0, times, rate_hz, n_fft)
    both = np.concatenate([cepstrum, cepstrum[:, -2:0:-1]], axis=1)
    return scipy.fft.fft(both, axis=1).real[:, : n_fft // 2 + 1]


@pytest.mark.parametrize(("rate_hz", "gap"), [(8000, False), (16000, True), (22050, False), (48000, True)])
def test_it_is_the_envelope_of_pyworld(rate_hz: int, gap: bool) -> None:
    x, n_fft = sound(rate_hz, 1, gap=gap), fft_length(rate_hz)
    f0, times = track_f0(x, rate_hz, hop_s=0.005)
    assert (f0 > 0).sum() > 50 and (f0 == 0).sum() > 50
    theirs = pyworld.cheaptrick(x, f0, times, rate_hz, f0_floor=F0_FLOOR_HZ, fft_size=n_fft)
    np.testing.assert_allclose(ours(x, f0, times, rate_hz, n_fft), np.log(theirs), atol=1e-6)


def test_digital_silence_has_the_same_noise() -> None:
    x, f0, times = np.zeros(8000), np.zeros(101), np.arange(101) * 0.005
    theirs = pyworld.cheaptrick(x, f0, times, 16000, fft_size=1024)
    np.testing.assert_allclose(ours(x, f0, times, 16000, 1024), np.log(theirs), atol=1e-9)


def test_long_sound_does_not_keep_its_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sound(16000, 2)
    f0, times = track_f0(x, 16000, hop_s=0.005)
    kept = log_cepstrum(x, f0, times, 16000, 1024)
    monkeypatch.setattr(cheaptrick, "MOST_KEPT", 1)
    before = cheaptrick._noise.cache_info().currsize
    assert (log_cepstrum(x, f0, times, 16000, 1024) == kept).all()
    assert cheaptrick._noise.cache_info().currsize == before


def test_mel_cepstra_are_those_of_the_envelope() -> None:
    x = sound(16000, 3)
    level = x * (0.05 / np.sqrt((x**2).mean()))
    f0, times = track_f0(level, 16000, hop_s=0.005)
    envelope = pyworld.cheaptrick(level, f0, times, 16000, f0_floor=F0_FLOOR_HZ, fft_size=1024)
    wanted = np.log(envelope) @ cepstrum_matrix(1024, warping(16000))[:, 1:]
    np.testing.assert_allclose(mel_cepstrum(x, 16000), wanted, atol=2e-6)


def test_a_frame_does_not_depend_on_the_one_before() -> None:
    """What frames of one F0 share is worked out anew where F0 changes, also at the edge of a block."""
    x, times = sound(16000, 4), np.arange(100) * 0.005
    f0 = np.asarray([120.0, 120.0, 0.0, 0.0, 0.0, 230.0, 0.0, 120.0, 90.0, 90.0] * 10)
    theirs = pyworld.cheaptrick(x, f0, times, 16000, f0_floor=F0_FLOOR_HZ, fft_size=1024)
    np.testing.assert_allclose(ours(x, f0, times, 16000, 1024), np.log(theirs), atol=1e-6)


@pytest.mark.parametrize("rate_hz", sorted(ALPHA))
def test_quefrencies_that_are_left_out_change_no_bit(rate_hz: int) -> None:
    x, n_fft = sound(rate_hz, 5), fft_length(rate_hz)
    level = x * (0.05 / np.sqrt((x**2).mean()))
    f0, times = track_f0(level, rate_hz, hop_s=0.005)
    whole, read = log_cepstrum(level, f0, times, rate_hz, n_fft), reach(n_fft, warping(rate_hz))
    assert read < 0.5 * whole.shape[1]
    assert (log_cepstrum(level, f0, times, rate_hz, n_fft, read) == whole[:, :read]).all()
    whole[:, [0, -1]] *= 0.5  # one-sided, of magnitude
    wanted = (whole @ warping_matrix(n_fft // 2 + 1, warping(rate_hz))[:, 1:]).astype(np.float32)
    assert (mel_cepstrum(x, rate_hz) == wanted).all()

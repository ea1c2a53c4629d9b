"""DIO and StoneMask of our own against pyworld's: the same frames voiced, F0 to 1e-6 Hz."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from features.speech.functionals import F0_RANGE_HZ
from features.speech.tracking import bands
from features.speech.tracking.dio import dio
from features.speech.tracking.stonemask import stonemask
from features.speech.vocoder import pyworld
from features.speech.world import track_f0

RATES = (8000, 11025, 16000, 22050, 48000)


def voice(rate_hz: int, seconds: float, seed: int = 0) -> np.ndarray:
    """[n] float64: damped pulses of a resonance at 600 Hz, 70 to 150 a second, none quite where it should be."""
    rng, n = np.random.default_rng(seed), int(rate_hz * seconds)
    out, at = np.zeros(n + rate_hz), 0.02
    k = np.arange(rate_hz // 40)
    pulse = 0.3 * np.exp(-250.0 * k / rate_hz) * np.cos(2 * np.pi * 600.0 * k / rate_hz)
    while at < seconds:
        out[int(at * rate_hz) : int(at * rate_hz) + len(k)] += pulse
        at += (1.0 + 0.01 * rng.standard_normal()) / (110.0 + 40.0 * np.sin(6.0 * at))
    return out[:n]


def sounds(rate_hz: int) -> dict[str, np.ndarray]:
    """[n] float64 each, of a length that is no round number."""
    seconds = 0.6 + rate_hz / 777_777
    n, rng = int(rate_hz * seconds), np.random.default_rng(rate_hz)
    t = np.arange(n) / rate_hz
    glide = 2 * np.pi * np.cumsum(110.0 + 240.0 * t) / rate_hz
    clicks = np.zeros(n)
    clicks[[n // 4, n // 2, n // 2 + 37]] = 1.0, -1.0, 0.5
    spoken = voice(rate_hz, seconds)
    return {
        "sine": 0.3 * np.sin(2 * np.pi * 203.7 * t),
        "low sine": 0.3 * np.sin(2 * np.pi * 75.3 * t + 1.0),
        "glide": 0.2 * np.sin(glide) + 0.1 * np.sin(2 * glide + 0.3),
        "voice": spoken,
        "voice in 16 bits": np.round(3000.0 * spoken) / 32768.0,
        "voice, then its end": np.r_[spoken[: n // 2], 1e-5 * rng.standard_normal(n - n // 2)],
        "voice in noise": spoken + 0.02 * rng.standard_normal(n),
        "noise": 0.1 * rng.standard_normal(n),
        "clicks": clicks,
        "offset": 0.4 + spoken,
        "silence": np.zeros(n),
    }


def compare(ours: np.ndarray, theirs: np.ndarray, what: str) -> int:
    """The number of voiced frames."""
    np.testing.assert_array_equal(ours > 0, theirs > 0, err_msg=what)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6, err_msg=what)
    return int((theirs > 0).sum())


@pytest.mark.parametrize("rate_hz", RATES)
def test_track_is_pyworlds(rate_hz: int) -> None:
    voiced = {}
    for name, x in sounds(rate_hz).items():
        theirs, times = pyworld.dio(x, rate_hz)
        ours, our_times = dio(x, rate_hz)
        np.testing.assert_array_equal(our_times, times)
        voiced[name] = compare(ours, theirs, f"{name} at {rate_hz} Hz")
        compare(stonemask(x, theirs, times, rate_hz), pyworld.stonemask(x, theirs, times, rate_hz), name)
    assert min(voiced[k] for k in ("sine", "low sine", "glide", "voice", "voice in noise")) > 5, voiced
    assert voiced["silence"] == voiced["clicks"] == 0


@pytest.mark.parametrize(("rate_hz", "speed"), [(8000, 2), (16000, 4), (44100, 11)])
def test_decimated_track_is_pyworlds(rate_hz: int, speed: int) -> None:
    low, high = F0_RANGE_HZ
    for name, x in sounds(rate_hz).items():
        for cut in (0, 1):  # lengths that `speed` divides and does not
            theirs, _ = pyworld.dio(x[cut:], rate_hz, low, high, frame_period=10.0, speed=speed)
            ours, _ = dio(x[cut:], rate_hz, f0_floor=low, f0_ceil=high, hop_ms=10.0, speed=speed)
            compare(ours, theirs, f"{name} less {cut} at {rate_hz} Hz")


@pytest.mark.parametrize(("floor", "ceil", "hop_ms"), [(40.0, 320.0, 5.0), (71.0, 1100.0, 1.0), (60.0, 500.0, 8.0)])
def test_options_mean_what_they_mean_to_pyworld(floor: float, ceil: float, hop_ms: float) -> None:
    x = voice(16000, 1.1)
    theirs, times = pyworld.dio(x, 16000, floor, ceil, frame_period=hop_ms)
    ours, our_times = dio(x, 16000, f0_floor=floor, f0_ceil=ceil, hop_ms=hop_ms)
    np.testing.assert_array_equal(our_times, times)
    assert compare(ours, theirs, "voice") > 50


def test_shorter_than_the_low_cut() -> None:
    x = 0.3 * np.sin(2 * np.pi * 1230.0 * np.arange(200) / 16000)
    theirs, _ = pyworld.dio(x, 16000, 800.0, 1600.0, frame_period=1.0)
    ours, _ = dio(x, 16000, f0_floor=800.0, f0_ceil=1600.0, hop_ms=1.0)
    assert compare(ours, theirs, "12.5 ms") > 0


def test_gain_moves_ours_where_it_moves_pyworlds() -> None:
    """WORLD's bands depend on gain (bands.py); at the scale of 16-bit integers that is heard in the third decimal."""
    x = voice(8000, 0.8)
    theirs = [pyworld.dio(gain * x, 8000)[0] for gain in (1.0, 32768.0)]
    assert np.abs(theirs[0] - theirs[1]).max() > 1e-4
    for gain, track in zip((1.0, 32768.0), theirs, strict=True):
        compare(dio(gain * x, 8000)[0], track, f"gain {gain}")


def test_any_length() -> None:
    x = voice(16000, 0.9)[300:]
    for n in (*range(12), 159, 160, 161, 900, 1839, 1840, 2001, 4096, len(x)):
        theirs, times = pyworld.dio(x[:n].copy(), 16000)
        ours, our_times = dio(x[:n], 16000)
        np.testing.assert_array_equal(our_times, times)
        compare(ours, theirs, f"{n} samples")
    assert (ours > 0).any()


def test_long_sounds_keep_no_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    x = voice(16000, 0.9)
    kept, _ = dio(x, 16000)
    bands._filters.cache_clear()
    monkeypatch.setattr(bands, "MOST_KEPT", 100)
    anew, _ = dio(x, 16000)
    np.testing.assert_array_equal(anew, kept)
    assert bands._filters.cache_info().currsize == 0


@pytest.mark.parametrize("method", ["dio", "harvest"])
def test_a_tone_has_its_frequency(method: Literal["dio", "harvest"]) -> None:
    phase = 2 * np.pi * 187.3 * np.arange(16000) / 16000
    tone = np.sum([0.1 * np.cos(k * phase + k) for k in range(1, 9)], axis=0)
    f0, times = track_f0(tone, 16000, hop_s=0.005, f0_method=method)
    inner = (times > 0.1) & (times < 0.9)
    assert np.abs(f0[inner] - 187.3).max() < 0.1


def test_what_is_not_finite_is_unvoiced() -> None:
    for bad in (np.nan, np.inf):
        x = voice(16000, 0.6)
        x[5000] = bad
        f0, times = track_f0(x, 16000, hop_s=0.005)
        assert len(f0) == len(times) == 121 and not f0.any()


def test_stonemask_at_the_edges_of_what_it_refines() -> None:
    """At both ends of the recording, at F0 that it refuses, where rounding decides which samples are meant (220.5 a
    frame), and where the answer is too far off."""
    x = voice(44100, 0.5)
    f0 = np.tile([0.0, 39.9, 40.0, 40.1, 71.3, 150.0, 333.3, 799.0, 3674.0, 3676.0], 11)[:101]
    times = np.arange(101) * 0.005
    ours, theirs = stonemask(x, f0, times, 44100), pyworld.stonemask(x, f0, times, 44100)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    moved = (theirs > 0) & (theirs != f0)
    assert moved.sum() > 20 and ((theirs > 0) & (theirs == f0)).sum() > 10


def test_what_is_no_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="one channel"):
        dio(np.zeros((800, 2)), 16000)
    with pytest.raises(ValueError, match="1 Hz or more"):
        dio(np.zeros(800), 0)
    with pytest.raises(ValueError, match="one length"):
        stonemask(np.zeros(800), np.full(3, 100.0), np.zeros(4), 16000)
    with pytest.raises(ValueError, match="no samples"):
        stonemask(np.zeros(0), np.full(3, 100.0), np.zeros(3), 16000)

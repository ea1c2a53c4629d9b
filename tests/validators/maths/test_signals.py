"""Measures of signals: known answers, properties, and signals that have no number."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from corpora.errors import UnknownNameError, UserError
from emoforge.cli import app
from features.physio.heart import heart, of_beats
from features.physio.ranges import RANGES
from validators.maths.signals import (
    autocorrelation,
    band_powers_db,
    bands_of,
    coherence,
    differential_entropy,
    log_spectral_distance,
    longest_flat_s,
    out_of_range,
    share_at_limits,
    spectrum,
    trials_of,
)
from validators.measures.registry import METRICS, measure

RATE = 128.0
ALL = bands_of((), RATE)


def sine(hz: float, seconds: float = 10.0, amplitude: float = 1.0) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return amplitude * np.sin(2 * np.pi * hz * t)


def noise(n: int = 8, seconds: float = 10.0, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, int(seconds * RATE), channels))


def test_entropy_of_a_sine_is_that_of_its_variance() -> None:
    found = differential_entropy(trials_of(sine(10.0, 20)), RATE, ALL)[0, 0]
    alpha = list(ALL).index("alpha")
    assert found[alpha] == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 0.5), abs=0.01)
    assert np.delete(found, alpha).max() < found[alpha] - 2


def test_entropy_of_white_noise_is_that_of_each_bands_share() -> None:
    found = differential_entropy(noise(20, 30), RATE, ALL).mean(axis=(0, 1))
    # the filter runs twice: its width at half power of white noise is some 0.95 of the nominal one
    for value, (low, high) in zip(found, ALL.values(), strict=True):
        assert value == pytest.approx(0.5 * math.log(2 * math.pi * math.e * (high - low) / (RATE / 2)), abs=0.06)


def test_a_gain_adds_its_logarithm() -> None:
    x = noise(3)
    assert differential_entropy(10 * x, RATE, ALL) == pytest.approx(differential_entropy(x, RATE, ALL) + math.log(10))
    assert band_powers_db(10 * x, RATE, ALL) == pytest.approx(band_powers_db(x, RATE, ALL) + 20)
    assert autocorrelation(10 * x + 3, RATE, 0.5) == pytest.approx(autocorrelation(x, RATE, 0.5))
    assert coherence(10 * x, RATE, ALL) == pytest.approx(coherence(x, RATE, ALL))
    gained = measure("differential-entropy", x, 2 * x, rate_hz=RATE)
    assert gained.value == pytest.approx(math.log(2)) and gained.unit == "nats"
    assert measure("psd-distance", x, 2 * x, rate_hz=RATE).value == pytest.approx(20 * math.log10(2))
    assert measure("band-power", x, 2 * x, rate_hz=RATE).value == pytest.approx(20 * math.log10(2))


def test_density_of_white_noise() -> None:
    """Variance 1 over RATE / 2 Hz."""
    found = band_powers_db(noise(40, 20), RATE, ALL).mean()
    assert found == pytest.approx(10 * math.log10(2 / RATE), abs=0.2)


def test_log_spectral_distance_by_hand() -> None:
    a, b = np.array([[1.0, 10.0], [1.0, 1.0]]), np.array([[10.0, 10.0], [1.0, 1.0]])
    assert log_spectral_distance(a, b) == pytest.approx((math.sqrt((10**2 + 0) / 2) + 0) / 2)
    assert log_spectral_distance(a, b) == log_spectral_distance(b, a) and log_spectral_distance(a, a) == 0
    assert math.isnan(log_spectral_distance(a, np.zeros((2, 2))))


def test_autocorrelation_is_the_sum_of_products() -> None:
    x = noise(2, 1.0)
    found = autocorrelation(x, RATE, 0.1)
    centred = x[1, :, 1] - x[1, :, 1].mean()
    brute = [(centred[k:] * centred[: len(centred) - k]).sum() / (centred**2).sum() for k in range(1, 14)]
    assert found.shape == (2, 2, 13) and found[1, 1] == pytest.approx(brute)


def test_coherence_of_what_channels_share() -> None:
    rng = np.random.default_rng(0)
    shared, own = noise(6, 60, 1), noise(6, 60, 3, seed=1)
    x = np.concatenate([shared, 3 * shared, own[:, :, :1], shared + own[:, :, 1:2]], axis=2)
    found = coherence(x, RATE, ALL).mean(axis=(0, 2))
    assert found[0] == pytest.approx(1.0)  # (0, 1): one is the other
    assert found[1] < 0.03  # (0, 2): strangers
    assert found[2] == pytest.approx(0.5, abs=0.03)  # (0, 3): half of the power is shared
    shuffled = x[rng.permutation(6)][:, :, [0, 2, 1, 3]]
    assert measure("coherence", x, x, rate_hz=RATE).value == 0 < measure("coherence", x, shuffled, rate_hz=RATE).value


def test_a_wrong_colour_is_seen_and_its_strength_ordered() -> None:
    from scipy.ndimage import gaussian_filter1d

    real, other = noise(12, seed=1), noise(12, seed=2)
    for name in ("differential-entropy", "band-power", "psd-distance", "autocorrelation"):
        values = [measure(name, real, other, rate_hz=RATE).value] + [
            measure(name, real, gaussian_filter1d(other, width, axis=1), rate_hz=RATE, floor=False).value
            for width in (0.5, 1.0, 2.0)
        ]
        assert values == sorted(values), name
        found = measure(name, real, gaussian_filter1d(other, 1.0, axis=1), rate_hz=RATE)
        assert found.low < found.value < found.high and found.floor < found.low, name


def test_variability_by_hand() -> None:
    """Intervals 800, 900, 700, 800 ms: mean 800; differences 100, -200, 100."""
    found = of_beats(np.cumsum([0.0, 0.8, 0.9, 0.7, 0.8]))
    assert found.bpm == pytest.approx(75) and found.beats == 5
    assert found.sdnn_ms == pytest.approx(math.sqrt(20000 / 3)) and found.rmssd_ms == pytest.approx(math.sqrt(20000))
    assert of_beats(np.arange(3.0)).reason == "too-short"
    assert of_beats(np.arange(6) * 3.0).reason == "implausible" == of_beats(np.arange(6) * 0.2).reason


@pytest.mark.parametrize(("kind", "rate_hz"), [("ECG", 256.0), ("BVP", 64.0)])
def test_rate_of_simulated_hearts(kind: str, rate_hz: float) -> None:
    import neurokit2

    made = neurokit2.ecg_simulate if kind == "ECG" else neurokit2.ppg_simulate
    for bpm in (55, 72, 110):
        signal = made(duration=30, sampling_rate=int(rate_hz), heart_rate=bpm, random_state=3)
        assert heart(signal, rate_hz, f"chest_{kind}").bpm == pytest.approx(bpm, rel=0.04)


def test_no_heart() -> None:
    assert heart(np.zeros(2560), 256).reason == "flat" and heart(np.ones(9), 256).reason == "too-short"
    assert heart(np.full(2560, np.nan), 256).reason == "not-finite"
    assert heart(np.sin(np.arange(2560) * 1e-3), 64, "BVP").reason
    for options in ({"kind": "EDA"}, {"rate_hz": 4.0}):
        with pytest.raises(UserError, match="beat"):
            heart(np.ones(999), **{"rate_hz": 256.0, **options})  # type: ignore[arg-type]
    found = measure("heart-rate", noise(5), np.zeros((5, 1280, 2)), rate_hz=RATE)
    assert math.isnan(found.value) and found.reason and found.details["synthetic, left out"] == {"flat": 5}


def test_ranges() -> None:
    assert out_of_range(np.array([29.9, 30.0, 220.0, 221.0, np.nan]), "HR") == pytest.approx(3 / 5)
    assert out_of_range(np.array([-0.1, 0.0, 100.0]), "wrist_GSR") == pytest.approx(1 / 3)
    assert out_of_range(np.array([20.0, 45.0, np.inf]), "TEMP") == pytest.approx(1 / 3)
    with pytest.raises(UnknownNameError, match="EDA, HR, TEMP"):
        out_of_range(np.ones(3), "EEG")
    assert all(one.source and one.unit and one.low < one.high for one in RANGES.values())
    assert measure("out-of-range", np.full((3, 9), 33.0), np.full((3, 9), 50.0), kind="TEMP").value == 1.0


def test_flat_and_clipped() -> None:
    x = np.random.default_rng(0).normal(size=2000)
    assert share_at_limits(x) < 0.002 and longest_flat_s(x, 10) == 0
    clipped = np.clip(np.convolve(x, np.ones(20) / 20, "same"), -0.1, 0.1)
    assert share_at_limits(clipped) > 0.3
    assert longest_flat_s(np.r_[x, np.zeros(50), x], 10.0) == pytest.approx(5.0)
    assert longest_flat_s(np.full(30, np.nan), 1.0) == 0 and math.isnan(share_at_limits(np.zeros(0)))


SETS = sorted(name for name, one in METRICS.items() if one.kind == "signals" and name != "out-of-range")


@pytest.mark.parametrize("name", SETS)
def test_bad_signals(name: str) -> None:
    good = noise(5)
    with pytest.raises(UserError, match="rate"):
        measure(name, good, good)
    with pytest.raises(UserError, match="channels"):
        measure(name, good, noise(5, channels=3), rate_hz=RATE)
    for shape in ((0, 1280, 2), (2, 2, 1280, 2), (5, 0)):
        with pytest.raises(UserError, match="shape"):
            measure(name, good, np.zeros(shape), rate_hz=RATE)
    for bad in (np.zeros((5, 1280, 2)), np.full((5, 1280, 2), np.nan), np.full((5, 1280, 2), np.inf)):
        found = measure(name, good, bad, rate_hz=RATE)
        assert math.isnan(found.value) and found.reason and math.isnan(found.low)


def test_what_does_not_fit_is_said() -> None:
    x = noise(4, 2.0)
    with pytest.raises(UserError, match=r"bands=delta,theta,alpha,beta$"):
        measure("differential-entropy", x, x, rate_hz=64.0)
    with pytest.raises(UserError, match="Did you mean 'alpha'"):
        measure("band-power", x, x, rate_hz=RATE, bands="alfa")
    with pytest.raises(UserError, match=r"3.00 s at least"):
        measure("differential-entropy", x, x, rate_hz=RATE)
    with pytest.raises(UserError, match="3 segments"):
        measure("coherence", x, x, rate_hz=RATE)
    with pytest.raises(UserError, match="there is one"):
        measure("coherence", x[:, :, :1], x[:, :, :1], rate_hz=RATE)
    with pytest.raises(UserError, match="lags to 2 s"):
        measure("autocorrelation", x, x, rate_hz=RATE, longest_s=2.0)
    with pytest.raises(UserError, match="channel 2 of 2"):
        measure("rmssd", x, x, rate_hz=RATE, channel=2)
    with pytest.raises(UserError, match="no spectrum"):
        spectrum(np.ones((1, 2, 1)), RATE)
    one = measure("psd-distance", x[0, :, 0], x[1, :, 0], rate_hz=RATE)  # [T]: a single trial
    assert one.n_real == 1 and math.isfinite(one.value) and math.isnan(one.low) and math.isnan(one.floor)


def test_on_the_command_line(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", noise(5)[:, :, 0])
    np.save(tmp_path / "s.npy", 2 * noise(5, seed=1)[:, :, 0])
    files = [str(tmp_path / "r.npy"), str(tmp_path / "s.npy")]
    given = ["-o", f"rate_hz={RATE:g}", "-o", "low_hz=4", "-o", "high_hz=40"]
    done = CliRunner().invoke(app, ["measure", "psd-distance", *files, *given, "--json"])
    told = json.loads(done.stdout)
    assert told["value"] == pytest.approx(6, abs=1) and told["unit"] == "dB" and "4 to 40 Hz" in told["convention"]

"""Hearts of known intervals, and the same with the sensor off: close to the truth, or undefined with a reason."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.readers import make_corpus
from corpora.schema import Sample
from corpora.signals import decode_signals, encode_signals
from features.physio.heart import HIGH_MS, LOW_MS, heart, of_beats
from features.physio.stretches import beating, flat_runs, flat_share
from features.profile import describe, pulse_bpm
from validators.measures.registry import measure

RATES = {"BVP": 64, "ECG": 256}
FILLS = ("hold", "zero", "rail", "ramp", "quiet", "noise", "slow noise")


def train(
    kind: str, seed: int, bpm: float = 72.0, jitter: float = 0.02, seconds: float = 60.0
) -> tuple[np.ndarray, float, float]:
    """-> signal [T], true RMSSD in ms, true beats a minute. A beat is two humps, or Q, R, S and T as Gaussians."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(RATES[kind] * seconds)) / RATES[kind]
    beats = 0.3 + np.cumsum(60 / bpm * (1 + jitter * rng.normal(size=int(seconds * bpm / 60 * 1.5) + 9)))
    waves = {
        "BVP": [(0.0, 1.0, 0.07), (0.3, 0.4, 0.085)],
        "ECG": [(-0.03, -0.1, 0.01), (0.0, 1.0, 0.012), (0.03, -0.2, 0.012), (0.28, 0.3, 0.05)],
    }[kind]
    x = sum(high * np.exp(-(((t[:, None] - beats - at) / wide) ** 2) / 2).sum(axis=1) for at, high, wide in waves)
    intervals = 1000 * np.diff(beats[beats < seconds])
    rmssd = math.sqrt(float(np.mean(np.diff(intervals) ** 2)))
    return x + 0.01 * rng.normal(size=t.size), rmssd, 60_000 / float(intervals.mean())


def with_gap(x: np.ndarray, kind: str, start_s: float, length_s: float, fill: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out, first = x.copy(), round(start_s * RATES[kind])
    last = min(first + round(length_s * RATES[kind]), len(x))
    n = last - first
    out[first:last] = {
        "hold": np.full(n, x[first]),
        "zero": np.zeros(n),
        "rail": np.full(n, 1.5 * x.max()),
        "ramp": np.linspace(x[first], x[min(last, len(x) - 1)], n),
        "quiet": x[first] + 0.01 * rng.normal(size=n),
        "noise": x.mean() + 0.5 * rng.normal(size=n),
        "slow noise": np.convolve(rng.normal(size=n + 20), np.ones(20) / 5, "same")[:n],
    }[fill]
    return out.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("kind", RATES)
@pytest.mark.parametrize("bpm", [45.0, 72.0, 110.0])
@pytest.mark.parametrize("jitter", [0.01, 0.03, 0.08])
def test_variability_of_a_known_train(kind: str, bpm: float, jitter: float) -> None:
    x, rmssd, rate = train(kind, 1, bpm, jitter)
    found = heart(x, RATES[kind], kind)
    error = math.sqrt(6) * 1000 / RATES[kind] / math.sqrt(12)  # RMSSD of beats that fall on whole values
    assert found.reason is None and found.bpm == pytest.approx(rate, rel=0.01)
    assert abs(found.rmssd_ms - rmssd) < 0.15 * rmssd + error
    assert found.left_out <= 0.08 * found.intervals


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(RATES)),
    st.sampled_from(FILLS),
    st.floats(0, 59),
    st.floats(0.1, 60),
    st.sampled_from([50.0, 72.0, 100.0]),
    st.sampled_from([0.02, 0.05]),
    st.integers(0, 20),
)
def test_a_gap_is_left_out_or_said(
    kind: str, fill: str, start_s: float, length_s: float, bpm: float, jitter: float, seed: int
) -> None:
    x, rmssd, rate = train(kind, seed, bpm, jitter)
    found = heart(with_gap(x, kind, start_s, length_s, fill, seed), RATES[kind], kind)
    if found.reason is not None:
        assert found.reason in ("flat", "gaps", "artefacts", "too-short", "implausible")
        assert math.isnan(found.rmssd_ms) and math.isnan(found.bpm) and math.isnan(found.sdnn_ms)
        assert length_s > 3  # a short gap undoes no minute
        return
    if fill == "slow noise" and length_s > 20:
        # A known limit: noise of the pace of a pulse, for a third of the minute and more, can pass for one (BVP at 50
        # a minute, 29 s of it from second 14: 63). What comes out is then possible, and no more.
        assert 30 < found.bpm < 220
        return
    most = 4.0 if "noise" in fill else 2.0  # some noise has the shape and the pace of a pulse
    assert 0.5 * rmssd < found.rmssd_ms < most * rmssd + 12
    assert found.bpm == pytest.approx(rate, rel=0.15 if "noise" in fill else 0.05)


def test_ten_seconds_off_in_a_minute() -> None:
    """The mean of what a sensor off gives was 1870 ms; without, the truth is about 24."""
    on = np.stack([train("BVP", seed)[0] for seed in range(6)])
    off = on.copy()
    off[:, 64 * 20 : 64 * 30] = off[:, 64 * 20 : 64 * 20 + 1]
    found = measure("rmssd", on, off, rate_hz=64, kind="BVP")
    assert found.details["real, mean"] == pytest.approx(25, abs=4) == found.details["synthetic, mean"]
    assert found.details["synthetic, left out"] == {} and "artefacts left out" in found.convention
    assert found.details["synthetic, intervals"] < found.details["real, intervals"]
    assert found.details["synthetic, seconds without a signal"] == pytest.approx(60, abs=4)
    assert found.details["real, seconds without a signal"] == 0
    assert measure("heart-rate", on, off, rate_hz=64, kind="BVP").value < 0.5
    most = on.copy()
    most[:, 64 * 20 :] = 0.0
    none = measure("rmssd", on, most, rate_hz=64, kind="BVP")
    assert math.isnan(none.value) and none.details["synthetic, left out"] == {"gaps": 6} and none.reason


def test_no_difference_is_taken_across_what_was_left_out() -> None:
    """Intervals of 800 and 900 in turn; one beat is missed. By hand: all differences are 100."""
    intervals = np.array([0.8, 0.9] * 10)
    times = np.cumsum(np.r_[0.0, intervals])
    whole, missed = of_beats(times), of_beats(np.delete(times, 8))
    assert whole.rmssd_ms == pytest.approx(100) == missed.rmssd_ms
    assert (whole.left_out, missed.left_out, missed.intervals) == (0, 1, 19)
    doubled = of_beats(np.sort(np.r_[times, times[5] + 0.45]))
    assert doubled.rmssd_ms == pytest.approx(100) and doubled.left_out == 2
    two = of_beats(times[:8], times[8:] + 60, seconds=80)
    assert two.reason == "gaps" and of_beats(times[:8], times[8:] + 60).rmssd_ms == pytest.approx(100)
    assert of_beats(times, sound=[np.arange(21) % 3 > 0]).reason == "artefacts"
    assert of_beats(np.cumsum(np.r_[0, [0.8, 2.1] * 8])).reason == "artefacts"  # every second one is impossible
    assert 60_000 / HIGH_MS == 30 and pytest.approx(220) == 60_000 / LOW_MS


def test_stretches() -> None:
    x = np.sin(np.arange(640) / 5)
    assert beating(x, 64).tolist() == [[0, 640]]
    x[100:300] = np.linspace(0, 1, 200)
    first, second = beating(x, 64).tolist()
    assert first[0] == 0 and 98 <= first[1] <= 100 and 300 <= second[0] <= 302 and second[1] == 640
    x = np.sin(np.arange(1280) / 5)
    x[320:960] = 0.02 * np.random.default_rng(0).normal(size=640)  # off, and not quite still
    (_, first), (second, _) = beating(x, 64).tolist()
    assert abs(first - 320) < 16 and abs(second - 960) < 16
    assert beating(np.ones(640), 64).tolist() == [] == beating(np.ones(2), 64).tolist()
    assert flat_runs(np.array([1, 1, 2, 3, 3, 3, np.nan, np.nan]), 2).tolist() == [[0, 2], [3, 6]]
    assert flat_share(np.r_[x[:64], np.full(32, 5.0), x[:32]], 64) == 0.25
    assert flat_share(np.r_[x[:64], np.full(31, 5.0), x[:33]], 64) == 0.0


def test_a_profile_has_no_pulse_where_there_is_none() -> None:
    x = train("BVP", 0)[0]
    assert pulse_bpm(x, 64) == pytest.approx(72, abs=3)
    x[64 * 20 : 64 * 35] = x[64 * 20]
    assert pulse_bpm(x, 64) == pytest.approx(72, abs=3)
    assert pulse_bpm(np.zeros(6400), 64) is None and pulse_bpm(x[: 64 * 7], 64) is None
    told = [{"name": "BVP", "rate_hz": 64.0}, {"name": "EEG", "rate_hz": 128.0}]
    eeg = np.random.default_rng(0).normal(size=(7680, 2))
    flat = encode_signals({"BVP": np.full(3840, 0.3), "EEG": np.ones((7680, 2))})
    assert set(describe(flat, "physio", told)) == {"duration_s"}
    whole = describe(encode_signals({"BVP": x, "EEG": eeg}), "physio", told)
    eeg[:2560, 1] = 0.5
    half = describe(encode_signals({"BVP": x, "EEG": eeg}), "physio", told)
    assert half["eeg_alpha"] == pytest.approx(whole["eeg_alpha"], abs=0.02) and "heart_bpm" in half


@pytest.mark.parametrize("name", ["differential-entropy", "band-power", "coherence"])
def test_bands_of_a_trial_that_stands_still_are_none(name: str) -> None:
    rng = np.random.default_rng(0)
    real, bad = rng.normal(size=(6, 1280, 2)), rng.normal(size=(6, 1280, 2))
    assert math.isfinite(measure(name, real, bad, rate_hz=128).value)
    bad[2, 300:380, 1] = bad[2, 300, 1]
    found = measure(name, real, bad, rate_hz=128)
    assert math.isnan(found.value) and "1 of 6 synthetic trials" in found.reason
    assert found.details["synthetic, flat for 0.5 s"] == 1


@pytest.mark.parametrize("name", ["psd-distance", "autocorrelation"])
def test_where_signals_that_rest_may_be_meant_flat_trials_are_counted(name: str) -> None:
    rng = np.random.default_rng(0)
    real, bad = rng.normal(size=(6, 1280, 2)), rng.normal(size=(6, 1280, 2))
    assert not measure(name, real, real, rate_hz=128).details
    bad[2, 300:380, 1] = bad[2, 300, 1]
    bad[4] = np.clip(bad[4], -0.5, 0.5)
    found = measure(name, real, bad, rate_hz=128)
    assert found.details == {"synthetic, flat for 0.5 s": 1, "synthetic, clipped": 1} and math.isfinite(found.value)


def test_real_wrists_have_possible_hearts(shared_data: Path) -> None:
    samples = make_corpus("stress_predict").read(shared_data / "stress_predict", "s")
    first = next(x for x in samples if isinstance(x, Sample))
    pulse = decode_signals(first.payload)["BVP"]
    found = [heart(pulse[k : k + 3840], 64, "BVP") for k in range(0, min(len(pulse) - 3840, 8 * 3840), 3840)]
    assert any(one.reason is None for one in found)
    assert all(one.rmssd_ms < 250 and 40 < one.bpm < 150 for one in found if one.reason is None)

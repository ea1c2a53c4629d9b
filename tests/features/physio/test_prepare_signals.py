"""Signals with known answers through each step: hum, bands, phase, rates, artefacts, baselines, statistics, windows."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpora.errors import LeakError, PayloadError
from corpora.readers.fakes.signal import make_signal
from corpora.signals import decode_signals, encode_signals
from features.physio.prepare import PrepareSignals, SignalSteps
from features.physio.statistics import Moments, PopulationStatistics, SubjectBaseline, opening
from features.physio.steps import (
    Artefacts,
    Bands,
    Baseline,
    Clean,
    Resampling,
    against_baseline,
    clean,
    filter_bands,
    kind_of,
    mark_flat,
    mark_wild,
    resample,
)
from features.physio.windows import MAX_WINDOWS, Windows, cut, spans
from features.steps import Source


def sine(hz: float, rate_hz: float, seconds: float = 20.0, phase: float = 0.3) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz + phase)


def line(signal: np.ndarray, hz: float, rate_hz: float) -> complex:
    """Amplitude and phase of one frequency in the middle of a signal, by least squares."""
    middle = slice(len(signal) // 4, 3 * len(signal) // 4)
    t = np.arange(len(signal))[middle] / rate_hz
    basis = np.stack([np.cos(2 * np.pi * hz * t), np.sin(2 * np.pi * hz * t), np.ones_like(t)], axis=1)
    a, b, _ = np.linalg.lstsq(basis, signal[middle], rcond=None)[0]
    return complex(a, -b)


def decibel(after: complex, before: complex) -> float:
    return float(20 * np.log10(abs(after) / abs(before)))


# --- bands and hum


@pytest.mark.parametrize("rate_hz", [128.0, 200.0, 500.0, 1000.0])
def test_hum_goes_by_more_than_40_db_and_ten_hertz_stays_in_amplitude_and_phase(rate_hz: float) -> None:
    hum, alpha = sine(50.0, rate_hz), sine(10.0, rate_hz)
    bands = Bands(hz={"EEG": (1.0, None)})
    out, rates = filter_bands({"EEG": alpha + hum}, {"EEG": rate_hz}, bands)
    assert rates == {"EEG": rate_hz}
    before, after = line(alpha, 10.0, rate_hz), line(out["EEG"], 10.0, rate_hz)
    assert abs(after) == pytest.approx(abs(before), rel=0.01)
    assert abs(np.angle(after / before)) < 0.005
    assert decibel(line(out["EEG"], 50.0, rate_hz), line(hum, 50.0, rate_hz)) < -40
    off, _ = filter_bands({"EEG": alpha + hum}, {"EEG": rate_hz}, bands.model_copy(update={"notch_hz": None}))
    assert decibel(line(off["EEG"], 50.0, rate_hz), line(hum, 50.0, rate_hz)) > -1


def test_harmonics_of_the_hum_go_too_and_neighbours_stay() -> None:
    mixed = sum(sine(hz, 1000.0) for hz in (50, 100, 150, 200, 60, 130))
    assert isinstance(mixed, np.ndarray)
    out, _ = filter_bands({"EMG": mixed}, {"EMG": 1000.0}, Bands(hz={"EMG": (20.0, None)}))
    for hz in (50, 100, 150, 200):
        assert abs(line(out["EMG"], hz, 1000.0)) < 0.01
    for hz in (60, 130):
        assert abs(line(out["EMG"], hz, 1000.0)) == pytest.approx(1.0, rel=0.01)


def test_what_lies_outside_the_band_goes_and_channels_do_not_mix() -> None:
    rate_hz = 256.0
    drift, beta, fast = 30 * sine(0.1, rate_hz, 60), sine(20.0, rate_hz, 60), sine(90.0, rate_hz, 60)
    two = np.stack([drift + beta + fast, np.zeros_like(beta)], axis=1)
    out, _ = filter_bands({"EEG": two}, {"EEG": rate_hz}, Bands())
    assert out["EEG"].shape == two.shape
    assert decibel(line(out["EEG"][:, 0], 0.1, rate_hz), line(drift, 0.1, rate_hz)) < -100
    assert decibel(line(out["EEG"][:, 0], 90.0, rate_hz), line(fast, 90.0, rate_hz)) < -40
    assert abs(line(out["EEG"][:, 0], 20.0, rate_hz)) == pytest.approx(1.0, rel=0.01)
    assert np.abs(out["EEG"][:, 1]).max() < 1e-9


def test_zero_phase_keeps_a_symmetric_pulse_where_it_is() -> None:
    pulse = np.exp(-(((np.arange(2001) - 1000) / 20) ** 2))
    out, _ = filter_bands({"EEG": pulse}, {"EEG": 500.0}, Bands())
    assert np.argmax(out["EEG"]) == 1000
    assert np.allclose(out["EEG"], out["EEG"][::-1], atol=1e-4)  # but for the ends


def test_edges_that_the_rate_cannot_hold() -> None:
    slow = sine(1.0, 64.0)
    out, _ = filter_bands({"EEG": slow + 5}, {"EEG": 64.0}, Bands(hz={"EEG": (0.2, 45.0)}))  # 45 > 32 Hz: no edge
    assert abs(line(out["EEG"], 1.0, 64.0)) == pytest.approx(1.0, rel=0.01)
    with pytest.raises(PayloadError, match="rate-too-low"):
        filter_bands({"EMG": slow}, {"EMG": 32.0}, Bands())
    out, _ = filter_bands({"TEMP": slow, "ACC": slow}, {"TEMP": 4.0, "ACC": 32.0}, Bands())
    assert np.array_equal(out["TEMP"], slow) and np.array_equal(out["ACC"], slow)
    with pytest.raises(ValidationError, match="empty"):
        Bands(hz={"EEG": (45.0, 1.0)})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("EEG", "EEG"),
        ("EEG_baseline", "EEG"),
        ("chest_ECG", "ECG"),
        ("wrist_TEMP", "TEMP"),
        ("GSR", "EDA"),
        ("GSR_baseline", "EDA"),
        ("PPG", "BVP"),
        ("DE", "DE"),
    ],
)
def test_kind_is_read_from_the_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


# --- NeuroKit2


def test_cleaning_keeps_beats_and_takes_wander_and_hum() -> None:
    import neurokit2 as nk

    rate_hz = 250.0
    ecg = make_signal(
        "ECG",
        seconds=30,
        rate_hz=rate_hz,
        channels=1,
        emotion=None,
        subject_rng=np.random.default_rng(0),
        rng=np.random.default_rng(1),
    )
    dirty = ecg + 3 * sine(0.1, rate_hz, 30) + 0.3 * sine(50, rate_hz, 30)
    out, rates = clean({"chest_ECG": dirty, "EEG": dirty}, {"chest_ECG": rate_hz, "EEG": rate_hz}, Clean())
    assert np.array_equal(out["EEG"], dirty) and rates["chest_ECG"] == rate_hz
    found = nk.ecg_peaks(out["chest_ECG"], rate_hz)[1]["ECG_R_Peaks"]
    wanted = nk.ecg_peaks(nk.ecg_clean(ecg, rate_hz), rate_hz)[1]["ECG_R_Peaks"]
    assert len(found) == len(wanted) > 20
    assert np.abs(np.asarray(found) - np.asarray(wanted)).max() <= 3
    assert abs(line(out["chest_ECG"], 0.1, rate_hz)) < 0.03


def test_slow_conductance_stays_and_fast_one_loses_what_is_fast() -> None:
    level = 2 + sine(0.05, 4.0, 60)
    out, _ = clean({"EDA": level}, {"EDA": 4.0}, Clean())
    assert np.array_equal(out["EDA"], level)
    fast = 2 + sine(0.2, 64.0, 60) + 0.5 * sine(12.0, 64.0, 60)
    out, _ = clean({"GSR": fast[:, None]}, {"GSR": 64.0}, Clean())
    assert out["GSR"].shape == (len(fast), 1)
    assert abs(line(out["GSR"][:, 0], 12.0, 64.0)) < 0.01
    assert abs(line(out["GSR"][:, 0], 0.2, 64.0)) == pytest.approx(1.0, rel=0.02)
    for name, rate_hz, seconds, reason in (("BVP", 8.0, 9, "rate-too-low"), ("ECG", 64.0, 0.5, "too-short")):
        with pytest.raises(PayloadError, match=reason):
            clean({name: sine(1.0, rate_hz, seconds)}, {name: rate_hz}, Clean())


# --- artefacts


def test_marks_stand_exactly_where_the_artefacts_are() -> None:
    rng = np.random.default_rng(0)
    eeg = rng.normal(0, 10, size=(1000, 2))
    eeg[100:110, 0] = 400
    eeg[300:350, 1] = eeg[300, 1]  # 0.5 s
    eeg[500:520, 1] = eeg[500, 1]  # 0.2 s: no flat line yet
    params = Artefacts(flat_s=0.5)
    wild = mark_wild({"EEG": eeg}, {"EEG": 100.0}, params)["EEG"]
    flat = mark_flat({"EEG": eeg, "TEMP": np.full(99, 33.0)}, {"EEG": 100.0, "TEMP": 4.0}, params)
    assert np.flatnonzero(wild[:, 0]).tolist() == list(range(100, 110)) and not wild[:, 1].any()
    assert np.flatnonzero(flat["EEG"][:, 1]).tolist() == list(range(300, 350)) and not flat["EEG"][:, 0].any()
    assert not flat["TEMP"].any()  # a temperature may stay


def source(arrays: dict[str, np.ndarray], rates: dict[str, float], units: dict[str, str] | None = None) -> Source:
    signals = [
        {"name": n, "unit": (units or {}).get(n, "µV"), "rate_hz": rates[n], "shape": list(a.shape)}
        for n, a in arrays.items()
    ]
    return Source(encode_signals(arrays), "npz", signals)


def eeg(seconds: float = 12.0, rate_hz: float = 128.0, seed: int = 0) -> np.ndarray:
    return make_signal(
        "EEG",
        seconds=seconds,
        rate_hz=rate_hz,
        channels=4,
        emotion=None,
        subject_rng=np.random.default_rng(seed),
        rng=np.random.default_rng(seed + 1),
    )


def test_trials_with_too_many_artefacts_are_rejects_and_windows_with_them_are_dropped() -> None:
    signal = eeg()
    signal[4 * 128 : 8 * 128] = signal[4 * 128]  # a third of the trial is flat
    trial = source({"EEG": signal}, {"EEG": 128.0})
    with pytest.raises(PayloadError, match=r"artefacts: 33.* %"):
        PrepareSignals(SignalSteps())(trial)
    pieces = PrepareSignals(SignalSteps(windows=Windows(length_s=2.0)))(trial)
    assert [piece.suffix for piece in pieces] == ["#w0000", "#w0001", "#w0004", "#w0005"]
    assert Counter(slug for piece in pieces for slug in piece.counted) == {"artefact-window": 2}
    assert {piece.notes["artefact_share"] for piece in pieces} == {"0.0000"}
    signal[:] = 1.0
    with pytest.raises(PayloadError, match="artefacts: all 6 windows"):
        PrepareSignals(SignalSteps(windows=Windows(length_s=2.0)))(source({"EEG": signal}, {"EEG": 128.0}))


def test_limits_in_microvolt_do_not_judge_other_units() -> None:
    wild = source({"EEG": eeg() * 1000}, {"EEG": 128.0})
    with pytest.raises(PayloadError, match="artefacts"):
        PrepareSignals(SignalSteps())(wild)
    assert PrepareSignals(SignalSteps())(source({"EEG": eeg() * 1000}, {"EEG": 128.0}, {"EEG": "nV"}))


# --- rates


@pytest.mark.parametrize(("old", "new"), [(700.0, 64.0), (64.0, 128.0), (1000.0, 200.0), (4.0, 8.0), (128.0, 100.0)])
def test_another_rate_keeps_a_sine(old: float, new: float) -> None:
    hz = min(old, new) / 10
    signal = np.stack([sine(hz, old), 5 + sine(hz, old, phase=1.0)], axis=1)
    out, rates = resample({"BVP": signal}, {"BVP": old}, Resampling(all_hz=new))
    assert rates == {"BVP": new} and out["BVP"].shape == (round(20 * new), 2)
    for column, phase in ((0, 0.3), (1, 1.0)):
        wanted = sine(hz, new, phase=phase)
        assert abs(line(out["BVP"][:, column], hz, new) - line(wanted, hz, new)) < 0.01
    assert out["BVP"][:, 1].mean() == pytest.approx(5.0, abs=0.05)


def test_what_a_lower_rate_cannot_hold_is_not_folded_back() -> None:
    out, _ = resample({"ECG": sine(300.0, 700.0)}, {"ECG": 700.0}, Resampling(hz={"ECG": 64.0}))
    assert np.abs(out["ECG"][100:-100]).max() < 0.01
    same, rates = resample({"ECG": sine(3.0, 700.0)}, {"ECG": 700.0}, Resampling(hz={"EEG": 64.0}))
    assert rates == {"ECG": 700.0} and len(same["ECG"]) == 14000
    with pytest.raises(PayloadError, match="rate-misfit"):
        resample({"ECG": sine(3.0, 64.0)}, {"ECG": 64.0}, Resampling(all_hz=64 * np.pi))


# --- own baseline, statistics of train


def test_baseline_of_the_trial_gives_z_scores_and_is_gone_afterwards() -> None:
    rng = np.random.default_rng(0)
    rest = rng.normal([5, -3], [2, 0.5], size=(4000, 2))
    arrays = {"EEG": rng.normal([9, -3], [2, 1.0], size=(9000, 2)), "EEG_baseline": rest, "TEMP": np.ones(9)}
    out, rates = against_baseline(arrays, dict.fromkeys(arrays, 128.0), Baseline())
    assert set(out) == set(rates) == {"EEG", "TEMP"}
    assert out["EEG"].mean(axis=0) == pytest.approx([2.0, 0.0], abs=0.1)
    assert out["EEG"].std(axis=0) == pytest.approx([1.0, 2.0], abs=0.1)
    less, _ = against_baseline(arrays, dict.fromkeys(arrays, 128.0), Baseline(scale="mean"))
    assert less["EEG"].std(axis=0) == pytest.approx([2.0, 1.0], abs=0.1)
    with pytest.raises(PayloadError, match="no TEMP_baseline"):
        against_baseline(arrays, dict.fromkeys(arrays, 128.0), Baseline(require=True))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 50), st.integers(1, 50))
def test_moments_of_parts_are_the_moments_of_the_whole(seed: int, channels: int, first: int, second: int) -> None:
    whole = np.random.default_rng(seed).normal(1e3, 2, size=(first + second, channels))
    joined = Moments.of(whole[:first]).joined(Moments.of(whole[first:]))
    assert joined.count == len(whole)
    assert joined.mean == pytest.approx(whole.mean(axis=0), rel=1e-12)
    assert joined.variance == pytest.approx(whole.var(axis=0), rel=1e-6, abs=1e-9)


def test_a_constant_channel_is_centred_and_not_blown_up() -> None:
    assert np.array_equal(Moments.of(np.full(9, 0.1)).applied(np.full(5, 0.1)), np.zeros(5))
    with pytest.raises(ValueError, match="3 channels; fitted on 1"):
        Moments.of(np.ones(9)).applied(np.ones((5, 3)))


def test_statistics_see_train_only_and_say_what_they_saw() -> None:
    rng = np.random.default_rng(0)
    trials = [(f"c/{n}", {"EDA": rng.normal(3, 2, size=500)}) for n in range(20)]
    split_of = {f"c/{n}": "train" if n < 15 else "test" for n in range(20)}
    found = PopulationStatistics.fit(trials[:15], split_of)
    assert found.sample_ids == tuple(sorted(f"c/{n}" for n in range(15)))
    pooled = np.concatenate([found.apply(arrays)["EDA"] for _, arrays in trials[:15]])
    assert (pooled.mean(), pooled.std()) == pytest.approx((0, 1), abs=1e-9)
    written = json.loads(json.dumps(found.as_json()))
    assert written["samples"] == 15 and written["moments"]["EDA"]["count"] == 7500
    with pytest.raises(LeakError, match="c/15 is in test"):
        PopulationStatistics.fit(trials, split_of)
    with pytest.raises(LeakError, match="no split"):
        PopulationStatistics.fit(trials[:1], {})
    with pytest.raises(ValueError, match="no trial"):
        PopulationStatistics.fit([], split_of)


def test_rest_of_a_subject_is_its_own_and_chosen_by_time() -> None:
    rates = {"EDA": 4.0, "BVP": 64.0}
    session = {"EDA": np.r_[np.full(40, 2.0), np.full(40, 9.0)], "BVP": np.arange(1280.0)}
    rest = opening(session, rates, 10.0)
    assert {name: len(array) for name, array in rest.items()} == {"EDA": 40, "BVP": 640}
    baseline = SubjectBaseline.fit("c:1", [("c/1/1", "c:1", rest)])
    assert baseline.apply({"EDA": np.array([2.0, 9.0])})["EDA"].tolist() == [0.0, 7.0]
    assert baseline.sample_ids == ("c/1/1",)
    with pytest.raises(LeakError, match="c/2/1, which is of c:2"):
        SubjectBaseline.fit("c:1", [("c/1/1", "c:1", rest), ("c/2/1", "c:2", rest)])
    with pytest.raises(ValueError, match="no rest"):
        SubjectBaseline.fit("c:1", [])


# --- windows


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 12), st.integers(0, 3), st.sampled_from([(64.0, 4.0, 32.0), (700.0, 64.0, 4.0), (128.0, 1.0, 8.0)])
)
def test_windows_tile_a_trial_of_several_rates_exactly(count: int, rest_s: int, rates_hz: tuple[float, ...]) -> None:
    rates = dict(zip("abc", rates_hz, strict=True))
    seconds = 4 * count + rest_s
    arrays = {name: np.arange(round(seconds * rate)) for name, rate in rates.items()}
    windows = list(cut(arrays, rates, Windows(length_s=4.0)))
    assert len(windows) == count
    assert [(w.start_s, w.stop_s) for w in windows] == [(4.0 * k, 4.0 * k + 4) for k in range(count)]
    for name, rate in rates.items():
        joined = np.concatenate([w.arrays[name] for w in windows])
        assert np.array_equal(joined, np.arange(round(4 * count * rate)))


def test_overlapping_windows_step_by_the_hop() -> None:
    windows = list(cut({"EEG": np.arange(1280)}, {"EEG": 128.0}, Windows(length_s=2.0, hop_s=0.5)))
    assert len(windows) == 17
    assert [int(w.arrays["EEG"][0]) for w in windows] == [64 * k for k in range(17)]
    assert {len(w.arrays["EEG"]) for w in windows} == {256}
    assert windows[-1].stop_s == 10.0 and windows[3].suffix == "#w0003"


def test_windows_of_awkward_rates_all_have_one_length() -> None:
    windows = list(cut({"x": np.arange(100)}, {"x": 7.0}, Windows(length_s=1.1, hop_s=0.3)))
    assert {len(w.arrays["x"]) for w in windows} == {8}
    assert len(windows) == 44


def test_windows_that_do_not_fit() -> None:
    with pytest.raises(PayloadError, match="too-short"):
        spans(3.99, Windows())
    with pytest.raises(PayloadError, match="too-long"):
        spans(MAX_WINDOWS + 1.0, Windows(length_s=1.0))
    with pytest.raises(PayloadError, match="rate-too-low"):
        list(cut({"x": np.arange(100)}, {"x": 1.0}, Windows(length_s=0.25)))
    with pytest.raises(ValidationError, match="values would be lost"):
        Windows(length_s=1.0, hop_s=2.0)
    for count in range(1, 30):  # 0.7 / 0.1 is 6.999999999999999
        assert len(spans(count / 10, Windows(length_s=0.1))) == len(spans(count * 0.1, Windows(length_s=0.1))) == count


# --- all steps together


def test_all_steps_in_their_order() -> None:
    arrays = {"EEG": eeg(), "EEG_baseline": eeg(3.0), "GSR": 2 + sine(0.1, 128.0, 12), "junk": np.ones(99)}
    steps = SignalSteps(
        keep=("EEG", "EDA"),
        resample=Resampling(hz={"EEG": 64.0, "EDA": 8.0}),
        baseline=Baseline(),
        windows=Windows(length_s=4.0),
    )
    pieces = PrepareSignals(steps)(source(arrays, dict.fromkeys(arrays, 128.0), {"GSR": "µS"}))
    assert [(piece.suffix, piece.start_s, piece.stop_s) for piece in pieces] == [
        ("#w0000", 0.0, 4.0),
        ("#w0001", 4.0, 8.0),
        ("#w0002", 8.0, 12.0),
    ]
    for piece in pieces:
        shapes = {name: array.shape for name, array in decode_signals(piece.payload).items()}
        assert shapes == {"EEG": (256, 4), "GSR": (32,)}
        assert {s["name"]: (s["unit"], s["rate_hz"], tuple(s["shape"])) for s in piece.signals} == {
            "EEG": ("z", 64.0, (256, 4)),
            "GSR": ("µS", 8.0, (32,)),
        }
    assert [step["step"] for step in steps.described()] == [
        "keep",
        "bands-1",
        "clean-1",
        "artefacts-1",
        "resample-1",
        "baseline-1",
        "windows-1",
    ]


def test_preparation_is_the_same_each_time_and_refuses_what_is_not_its_own() -> None:
    trial = source({"EEG": eeg()}, {"EEG": 128.0})
    prepare = PrepareSignals(SignalSteps())
    assert prepare(trial) == prepare(trial)
    for wrong, reason in (
        (Source(b"x", "wav"), "wrong-codec"),
        (Source(b"x", "npz"), "not-an-npz"),
    ):
        with pytest.raises(PayloadError, match=reason):
            prepare(wrong)
    with pytest.raises(PayloadError, match="no-signals"):
        PrepareSignals(SignalSteps(keep=("ECG",)))(trial)
    with pytest.raises(ValidationError):
        SignalSteps.model_validate({"bandpass": {}})

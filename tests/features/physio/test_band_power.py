"""Band power: closed forms of sines, and filters that move the band they are told to and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload, Signal
from corpora.signals import decode_signals, encode_signals
from features.physio.band_power import MAX_GAIN, BandPowerRepresentation, Bank, edited
from features.physio.rows import Channels
from features.representation import Known, make_representation

RATES = {"EEG": 128.0, "EDA": 4.0, "TEMP": 4.0}
TOLD: list[dict[str, Any]] = [
    {"name": "EDA", "unit": "µS", "rate_hz": 4.0, "columns": None},
    {"name": "EEG", "unit": "µV", "rate_hz": 128.0, "columns": 2},
    {"name": "TEMP", "unit": "°C", "rate_hz": 4.0, "columns": None},
]
SECONDS = 20.0
T = np.arange(128 * 20) / 128.0
ALPHA, BETA = 8 * np.sin(2 * np.pi * 10 * T + 0.4), 3 * np.sin(2 * np.pi * 20 * T + 1.0)


def trial(eda: float = 2.0) -> Payload:
    slow = np.arange(80) / 4.0
    arrays = {
        "EEG": np.stack([ALPHA + BETA, BETA], axis=1),
        "EDA": eda + 0.2 * np.sin(2 * np.pi * 0.2 * slow),
        "TEMP": 33.0 + 0.01 * slow,
    }
    facts = tuple(Signal(n, None, RATES[n], a.shape) for n, a in arrays.items())
    return Payload(encode_signals(arrays), "npz", facts, SECONDS)


@pytest.fixture(scope="module")
def power() -> BandPowerRepresentation:
    made = make_representation("band_power", {"signals": TOLD, "seconds": SECONDS})
    assert isinstance(made, BandPowerRepresentation)
    return made


def moved(power: BandPowerRepresentation, **changes: float) -> tuple[np.ndarray, np.ndarray]:
    """The encoding of the trial, and the same with columns changed ("EEG_0_8_14Hz" for "EEG_0_8-14Hz")."""
    before = power.encode(trial())
    after = before.astype(np.float64)
    for name, change in changes.items():
        head, _, tail = name.rpartition("_")
        after[power.spec.rows.index(name if tail == "level" else f"{head}-{tail}")] += change
    return before, after


def test_a_sine_has_its_amplitude_in_its_band(power: BandPowerRepresentation) -> None:
    told = dict(zip(power.spec.rows, power.encode(trial()).tolist(), strict=True))
    assert told["EEG_0_8-14Hz"] == pytest.approx(np.log(8 / np.sqrt(2)), abs=0.01)
    assert told["EEG_0_14-31Hz"] == told["EEG_1_14-31Hz"] == pytest.approx(np.log(3 / np.sqrt(2)), abs=0.01)
    assert told["EDA_0.1-0.3Hz"] == pytest.approx(np.log(0.2 / np.sqrt(2)), abs=0.03)
    assert told["EDA_level"] == pytest.approx(np.log(2.0), abs=1e-3)
    assert told["TEMP_level"] == pytest.approx(33.0 + 0.01 * 79 / 8, abs=1e-4)
    units = dict(zip(power.spec.rows, power.spec.units, strict=True))
    assert (units["EEG_0_8-14Hz"], units["EDA_level"], units["TEMP_level"]) == ("ln µV", "ln µS", "°C")


def test_bands_are_those_that_rate_and_time_hold(power: BandPowerRepresentation) -> None:
    assert [n for n in power.spec.rows if n.startswith("EEG_0")] == [
        f"EEG_0_{band}Hz" for band in ("1-4", "4-8", "8-14", "14-31", "31-50")
    ]
    assert [n for n in power.spec.rows if n.startswith("EDA")] == [
        "EDA_0.1-0.3Hz",
        "EDA_0.3-0.7Hz",
        "EDA_0.7-1.5Hz",
        "EDA_level",
    ]
    longer = BandPowerRepresentation(TOLD, 40.0)
    assert "EDA_0.03-0.1Hz" in longer.spec.rows, "a whole cycle of 0.03 Hz takes 33 s"


def test_one_band_of_one_channel_moves_and_its_phase_stays(power: BandPowerRepresentation) -> None:
    before, after = moved(power, EEG_0_8_14Hz=np.log(2.0))
    edited_trial = decode_signals(power.edit(trial(), before, after).data)
    source = decode_signals(trial().data)
    inner = slice(256, -256)
    np.testing.assert_allclose(edited_trial["EEG"][inner, 0], (2 * ALPHA + BETA)[inner], atol=0.35)
    np.testing.assert_array_equal(edited_trial["EEG"][:, 1], source["EEG"][:, 1])
    for name in ("EDA", "TEMP"):
        np.testing.assert_array_equal(edited_trial[name], source[name])


def test_a_band_that_shrinks_is_not_turned_over() -> None:
    bank = Bank.of(Channels("EEG", "µV", 128.0), SECONDS)
    down = np.where(np.arange(len(bank.bands)) == 2, -np.log(3.5), 0.0)
    filtered = edited(ALPHA + BETA, bank, down)
    assert 0.2 < float(filtered @ ALPHA / (ALPHA @ ALPHA)) < 0.4 and filtered @ BETA / (BETA @ BETA) > 0.9


def test_the_end_of_a_trial_does_not_leak_into_its_beginning() -> None:
    bank = Bank.of(Channels("EEG", "µV", 128.0), SECONDS)
    burst = np.where(T > 18.5, ALPHA, 0.0)
    added = edited(burst, bank, np.where(np.arange(len(bank.bands)) == 2, np.log(2.0), 0.0)) - burst
    assert np.abs(added[T > 19]).max() > 4 and np.abs(added[T < 1]).max() < 0.05


def test_levels_move_by_a_factor_or_a_sum(power: BandPowerRepresentation) -> None:
    before, after = moved(power, EDA_level=np.log(1.5), TEMP_level=-0.4)
    new, old = decode_signals(power.edit(trial(), before, after).data), decode_signals(trial().data)
    np.testing.assert_allclose(new["EDA"], old["EDA"] + 0.5 * old["EDA"].mean(dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(new["TEMP"], old["TEMP"] - 0.4, rtol=1e-6)
    np.testing.assert_array_equal(new["EEG"], old["EEG"])


def test_a_filter_that_changes_nothing_adds_nothing() -> None:
    """The whole filter forced, by gains of 1e-15: no window, no edge, no round of correction has a shift of its own."""
    bank = Bank.of(Channels("EEG", "µV", 128.0, 2), SECONDS)
    x = np.stack([ALPHA + BETA, BETA + 0.5 * T], axis=1)
    assert edited(x, bank, np.zeros(10)) is x
    assert np.abs(edited(x, bank, np.full(10, 1e-15)) - x).max() < 1e-12


def test_a_wish_beyond_all_bounds_is_a_bounded_gain(power: BandPowerRepresentation) -> None:
    before, after = moved(power, EEG_0_8_14Hz=50.0)
    edited_trial = decode_signals(power.edit(trial(), before, after).data)
    assert np.abs(edited_trial["EEG"][:, 0]).max() < (MAX_GAIN + 0.5) * (8 + 3)


def test_a_band_that_holds_nothing_stays_empty(power: BandPowerRepresentation) -> None:
    """A level that only drifts has no amplitude that could grow."""
    before = power.encode(trial())
    after = before.astype(np.float64)
    after[power.spec.rows.index("TEMP_0.7-1.5Hz")] += 1.0
    new, old = decode_signals(power.edit(trial(), before, after).data), decode_signals(trial().data)
    np.testing.assert_allclose(new["TEMP"], old["TEMP"], atol=1e-4)


def test_what_cannot_be_described_or_edited_says_why(power: BandPowerRepresentation) -> None:
    for payload, slug in ((trial(eda=-1.0), "no-level"), (Payload(b"RIFF", "wav"), "wrong-codec")):
        with pytest.raises(PayloadError) as caught:
            power.encode(payload)
        assert caught.value.reason == slug
    with pytest.raises(PayloadError, match="the slowest band needs 30 s"):
        BandPowerRepresentation(TOLD, 30.0).encode(trial())
    with pytest.raises(PayloadError) as caught:
        power.decode(power.encode(trial()))
    assert caught.value.reason == "needs-source"


def test_parameters_are_settled_and_checked() -> None:
    known = Known((Signal("EDA", "µS", 4.0), Signal("ACC", "g", 32.0, (3,))), 30.0)
    settled = BandPowerRepresentation.settled({}, known)
    assert settled["seconds"] == 30.0 and [s["name"] for s in settled["signals"]] == ["ACC", "EDA"]
    assert BandPowerRepresentation.settled({}, Known(known.signals))["seconds"] == 10.0
    with pytest.raises(ParamsError, match="seconds is 0"):
        BandPowerRepresentation(TOLD, 0)
    with pytest.raises(ParamsError, match="hold no band and no level"):
        BandPowerRepresentation([{"name": "BVP", "rate_hz": 0.15}], 20)
    with pytest.raises(ParamsError, match="settled when a run is planned"):
        _ = BandPowerRepresentation().spec

"""Rows of signals: the way back gives names, units, rates, lengths and duration of what went in, nearly its values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload, Signal
from corpora.signals import decode_signals, encode_signals
from features.physio.prepare import PrepareSignals, SignalSteps, signals_after
from features.physio.rows import RowsRepresentation
from features.representation import Known, Representation, make_representation
from features.steps import Source

WRISTBAND = {
    "ACC": (32.0, 3, "1/64 g"),
    "BVP": (64.0, None, "nW"),
    "EDA": (4.0, None, "µS"),
    "HR": (1.0, None, "1/min"),
}
SIGNALS = [{"name": n, "unit": u, "rate_hz": r, "columns": c} for n, (r, c, u) in WRISTBAND.items()]


def wristband(seconds: float, **other_rates: float) -> Payload:
    """Slow sines, so that no rate here loses any of them."""
    arrays, facts = {}, []
    for name, (rate, columns, unit) in WRISTBAND.items():
        rate = other_rates.get(name, rate)
        t = np.arange(round(seconds * rate)) / rate
        course = 3.0 + np.sin(2 * np.pi * 0.2 * t)
        arrays[name] = course if columns is None else np.stack([course, 2 * course, -course], axis=1)
        facts.append(Signal(name, unit, rate, arrays[name].shape))
    return Payload(encode_signals(arrays), "npz", tuple(facts), seconds)


def test_each_channel_is_a_row_at_one_rate() -> None:
    rows = make_representation("rows", {"rate_hz": 16, "seconds": 8, "signals": SIGNALS, "levels": False})
    assert isinstance(rows, Representation) and rows.way_back and not rows.lossless
    spec = rows.spec
    assert spec.layout == "rows" and spec.shape == (6, 128) and spec.rate_hz == 16 and spec.mask_row is None
    assert spec.rows == ("ACC_0", "ACC_1", "ACC_2", "BVP", "EDA", "HR")
    assert spec.units == ("1/64 g", "1/64 g", "1/64 g", "nW", "µS", "1/min")
    array = rows.encode(wristband(8.0))
    assert array.shape == spec.shape and array.dtype == np.float32
    wanted = 3.0 + np.sin(2 * np.pi * 0.2 * np.arange(128) / 16.0)
    for row, factor in enumerate((1, 2, -1, 1, 1, 1)):
        np.testing.assert_allclose(array[row, 8:-16], factor * wanted[8:-16], atol=0.2)


def test_levels_stand_in_rows_of_their_own() -> None:
    plain = RowsRepresentation(rate_hz=16, seconds=8, signals=SIGNALS, levels=False).encode(wristband(8.0))
    rows = RowsRepresentation(rate_hz=16, seconds=8, signals=SIGNALS)
    array = rows.encode(wristband(8.0))
    assert rows.spec.shape == (12, 128) and rows.spec.rows[6:] == tuple(f"{r}_level" for r in rows.spec.rows[:6])
    assert rows.spec.units[:6] == rows.spec.units[6:]
    np.testing.assert_allclose(array[:6].mean(axis=1), 0.0, atol=1e-5)
    np.testing.assert_allclose(array[:6] + array[6:], plain, atol=1e-4)
    assert (np.ptp(array[6:], axis=1) == 0).all()
    # a model that draws a course off its mean and a level that wavers gives the same payload
    wavering = array + 0.5
    wavering[6:] += np.linspace(-1, 1, 128) - 0.5
    old, new = (decode_signals(rows.decode(a.astype(np.float32)).data) for a in (array, wavering))
    for name in old:
        np.testing.assert_allclose(new[name], old[name], atol=1e-3)


def test_the_way_back_has_the_facts_of_the_payload() -> None:
    before = wristband(8.0)
    rows = RowsRepresentation(rate_hz=16, seconds=8, signals=SIGNALS)
    after = rows.decode(rows.encode(before))
    assert (after.codec, after.duration_s, after.signals) == (before.codec, before.duration_s, before.signals)
    old, new = decode_signals(before.data), decode_signals(after.data)
    assert {n: (a.shape, a.dtype) for n, a in new.items()} == {n: (a.shape, np.dtype("f4")) for n, a in old.items()}
    for name, array in old.items():
        inner = slice(len(array) // 8, -len(array) // 8)
        np.testing.assert_allclose(new[name][inner], array[inner], atol=0.1)
    assert rows.decode(rows.encode(before)) == after, "the same array gives the same bytes"


@pytest.mark.parametrize("seconds", [8.0, 5.5, 2.0])
def test_length_is_part_of_the_array_where_payloads_differ(seconds: float) -> None:
    rows = RowsRepresentation(rate_hz=16, seconds=8, mask=True, signals=SIGNALS)
    assert rows.spec.rows[-1] == "mask" and rows.spec.mask_row == 12 and rows.spec.units[-1] == ""
    array = rows.encode(wristband(seconds))
    assert (array[-1] > 0).sum() == seconds * 16 and not array[:-1, round(seconds * 16) :].any()
    after = rows.decode(array)
    assert after.duration_s == seconds and after.signals == wristband(seconds).signals


def test_a_prepared_window_comes_back_with_its_own_facts() -> None:
    trial = wristband(17.0)
    steps = SignalSteps.model_validate({"windows": {"length_s": 8}, "resample": {"hz": {"ACC": 16}}, "clean": None})
    signals = [signal.as_row() for signal in trial.signals]
    pieces = PrepareSignals(steps)(Source(trial.data, "npz", signals))
    told = signals_after(trial.signals, steps)
    known = Known(tuple(Signal(s.name, s.unit, s.rate_hz, s.shape[1:]) for s in told), 8.0, 17.0)
    rows = make_representation("rows", RowsRepresentation.settled({"rate_hz": 16}, known))
    for piece in pieces:
        before = Payload(piece.payload, "npz", tuple(Signal.from_row(s) for s in piece.signals), piece.duration_s)
        after = rows.decode(rows.encode(before))
        assert (after.codec, after.duration_s, after.signals) == (before.codec, before.duration_s, before.signals)
    assert len(pieces) == 2


def test_what_is_known_of_the_corpora_fills_what_params_leave_open() -> None:
    known = Known((Signal("EDA", "µS", 4.0), Signal("ACC", "1/64 g", 32.0, (3,))), 8.0, 300.0)
    settled = RowsRepresentation.settled({"rate_hz": 8}, known)
    assert settled == {
        "rate_hz": 8,
        "seconds": 8.0,
        "mask": False,
        "signals": [
            {"name": "ACC", "unit": "1/64 g", "rate_hz": 32.0, "columns": 3},
            {"name": "EDA", "unit": "µS", "rate_hz": 4.0, "columns": None},
        ],
    }
    assert RowsRepresentation.settled(settled, Known()) == settled, "what is settled stays"
    whole = RowsRepresentation.settled({"seconds": 20}, Known(known.signals, None, 300.0))
    assert whole["mask"] is True and whole["seconds"] == 20
    with pytest.raises(ParamsError, match=r"seconds is not given.*longest sample has 300 s"):
        RowsRepresentation.settled({}, Known(known.signals, None, 300.0))
    with pytest.raises(ParamsError, match="features has no rate"):
        RowsRepresentation.settled({}, Known((Signal("features"),), 8.0))
    with pytest.raises(ParamsError, match="settled when a run is planned"):
        _ = RowsRepresentation().spec


@pytest.mark.parametrize(
    ("payload", "slug"),
    [
        (wristband(4.0), "too-short"),
        (wristband(9.0), "too-long"),
        (wristband(8.0, EDA=8.0), "rate-misfit"),
        (
            Payload(encode_signals({"EDA": np.ones(32)}), "npz", (Signal("EDA", "µS", 4.0, (32,)),), 8.0),
            "missing-signal",
        ),
        (Payload(b"RIFF", "wav"), "wrong-codec"),
        (Payload(b"", "npz"), "empty"),
    ],
)
def test_what_cannot_be_encoded_says_why(payload: Payload, slug: str) -> None:
    rows = RowsRepresentation(rate_hz=16, seconds=8, signals=SIGNALS)
    with pytest.raises(PayloadError) as caught:
        rows.encode(payload)
    assert caught.value.reason == slug


def test_other_channels_and_arrays_that_hold_nothing_say_why() -> None:
    flat = [{"name": "ACC", "unit": "g", "rate_hz": 32.0, "columns": None}]
    with pytest.raises(PayloadError, match="other-channels"):
        RowsRepresentation(rate_hz=16, seconds=8, signals=flat).encode(wristband(8.0))
    rows = RowsRepresentation(rate_hz=16, seconds=8, mask=True, signals=SIGNALS)
    bad: list[tuple[np.ndarray, str]] = [
        (np.zeros((2, 2), np.float32), "wrong-shape"),
        (np.full(rows.spec.shape, np.nan, np.float32), "non-finite"),
        (np.full(rows.spec.shape, -1.0, np.float32), "empty"),
    ]
    for array, slug in bad:
        with pytest.raises(PayloadError) as caught:
            rows.decode(array)
        assert caught.value.reason == slug


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"rate_hz": 0}, "rate_hz is 0; allowed are 0.1 to 2048"),
        ({"seconds": -1}, "seconds is -1"),
        ({"seconds": 3600, "rate_hz": 64}, "allowed are 2 to 16384"),
        ({"signals": ["EDA"]}, "each signal is"),
        ({"signals": [{"name": "EDA", "rate_hz": None}]}, "EDA has rate_hz None"),
        ({"signals": SIGNALS[:1] * 2}, "named twice"),
        ({"signal": SIGNALS}, r"unknown parameter of representation rows 'signal'.*Did you mean 'signals'"),
    ],
)
def test_bad_parameters_are_named(params: dict[str, Any], text: str) -> None:
    with pytest.raises(ParamsError, match=text):
        make_representation("rows", params)


def test_z_scores_of_what_is_released_do_not_go_with_it() -> None:
    rows = RowsRepresentation(rate_hz=16, seconds=8, signals=SIGNALS)
    rows.require(SignalSteps())
    with pytest.raises(ParamsError, match="population"):
        rows.require(SignalSteps.model_validate({"population": {}}))


def test_signals_after_the_steps_are_those_of_the_piece() -> None:
    arrays = {"EEG": np.random.default_rng(0).normal(size=(512, 2)), "EDA": np.linspace(1, 2, 16)}
    arrays["EEG_baseline"] = arrays["EEG"][:256]
    rates = {"EEG": 128.0, "EEG_baseline": 128.0, "EDA": 4.0}
    signals = [Signal(n, "µV" if "EEG" in n else "µS", rates[n], a.shape) for n, a in arrays.items()]
    choices: list[dict[str, Any]] = [{}, {"baseline": {}}, {"keep": ["EDA"]}, {"resample": {"all_hz": 64}}]
    for params in [*choices, {"baseline": {"scale": "mean"}}]:
        steps = SignalSteps.model_validate({"artefacts": None, "bands": None, **params})
        (piece,) = PrepareSignals(steps)(Source(encode_signals(arrays), "npz", [s.as_row() for s in signals]))
        prepared = {(s["name"], s["unit"], s["rate_hz"]) for s in piece.signals}
        assert prepared == {(s.name, s.unit, s.rate_hz) for s in signals_after(signals, steps)}

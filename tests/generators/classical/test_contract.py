"""What every classical method promises, whatever it does: over both tables of names."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from corpora.codecs import decode_image, decode_text, decode_wav
from corpora.errors import ParamsError, PayloadError, UnknownNameError, UserError
from corpora.schema import Payload
from corpora.signals import decode_signals
from generators.classical.method import (
    PAYLOAD_METHODS,
    VECTOR_METHODS,
    PayloadMethod,
    payload_method,
    vector_method,
)
from generators.classical.neighbours import SmoteParams
from tests.generators.classical.payloads import HOSTILE, TRAIN, USUAL, rows

METHODS = [(modality, name) for modality, names in PAYLOAD_METHODS.items() for name in names]
NOTHING: dict[tuple[str, str], Mapping[str, Any]] = {  # parameters under which a payload comes back byte for byte
    ("speech", "noise"): {"snr_db": None},
    ("speech", "pitch"): {"semitones": (0, 0)},
    ("speech", "stretch"): {"rate": (1, 1)},
    ("speech", "gain"): {"gain_db": (0, 0)},
    ("speech", "reverb"): {"rt60_s": None},
    ("speech", "spec_augment"): {"frequency_masks": 0, "time_share": 0},
    ("face", "crop"): {"area": (1, 1), "aspect": (1, 1)},
    ("face", "erase"): {"area": (0, 0)},
    ("face", "brightness"): {"factor": (1, 1)},
    ("text", "eda"): {"alpha": 0},
    ("text", "substitute"): {"share": 0},
    ("physio", "channel_mask"): {"share": 0},
    ("physio", "band_mask"): {"attenuation_db": 0},
    ("physio", "surrogate"): {"strength": 0},
    ("physio", "sensor_noise"): {"sd": 0},
    ("physio", "scale"): {"factor": (1, 1)},
}
WITHOUT = {("face", "flip")}  # has no strength
FEW = {("text", "eda"), ("text", "substitute"), ("physio", "channel_mask")}  # have few results for a small payload
LONE = {"jitter", "oversample"}  # can do with one row of a class
HOSTILES = [(modality, name, what) for modality, name in METHODS for what in HOSTILE[modality]]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """The first import of scikit-learn moves Python's global random state, whoever it is that imports it."""
    for modality, name in METHODS:
        payload_method(modality, name)
    for name in VECTOR_METHODS:
        vector_method(name)


@pytest.fixture(autouse=True)
def global_states_stay() -> Iterator[None]:
    """No test of this file may move the global random states, whether the method succeeds or not."""
    ours, numpys = random.getstate(), np.random.get_state()
    yield
    assert random.getstate() == ours
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpys, strict=True))


def fitted(modality: str, name: str, params: Mapping[str, Any] | None = None) -> PayloadMethod:
    return payload_method(modality, name, params).fit(TRAIN[modality])


def require_sound(before: Payload, after: Payload) -> None:
    """Same codec, names, units and rates; values that are numbers; facts that fit the bytes."""
    assert after.codec == before.codec
    assert [(s.name, s.unit, s.rate_hz) for s in after.signals] == [(s.name, s.unit, s.rate_hz) for s in before.signals]
    if before.codec == "wav":
        (signal, rate), (_, rate_before) = decode_wav(after.data), decode_wav(before.data)
        assert rate == rate_before and np.isfinite(signal).all() and np.abs(signal).max() <= 2
        assert after.signals[0].shape == signal.shape and after.duration_s == len(signal) / rate
    elif before.codec == "png":
        assert decode_image(after.data).shape == decode_image(before.data).shape
        assert after.signals == before.signals
    elif before.codec == "txt":
        line = decode_text(after.data)
        assert line.split() and after.signals[0].shape == (len(line),)
    else:
        held, was = decode_signals(after.data), decode_signals(before.data)
        assert after.signals == before.signals and after.duration_s == before.duration_s
        assert {k: (v.shape, v.dtype) for k, v in held.items()} == {k: (v.shape, v.dtype) for k, v in was.items()}
        assert all(np.isfinite(array).all() for array in held.values())
        assert np.array_equal(held["EDA_baseline"], was["EDA_baseline"])


@pytest.mark.parametrize(("modality", "name"), METHODS)
def test_payloads_depend_on_bytes_and_seed_alone(modality: str, name: str) -> None:
    payload, method = USUAL[modality], fitted(modality, name)
    first = method.apply(payload, rng(1))
    ours, numpys = random.getstate(), np.random.get_state()
    random.seed(3)  # whatever the global states are
    np.random.seed(3)
    again = fitted(modality, name).apply(payload, rng(1), others=[payload])
    random.setstate(ours)
    np.random.set_state(numpys)
    assert first == again and first.data != payload.data
    require_sound(payload, first)
    results = {method.apply(payload, rng(seed)).data for seed in range(6)}
    assert len(results) > 1 if method.varies else len(results) == 1
    if method.varies and (modality, name) not in FEW:
        assert len(results) == 6


@pytest.mark.parametrize(("modality", "name"), [m for m in METHODS if m not in WITHOUT])
def test_strength_0_gives_the_payload_back(modality: str, name: str) -> None:
    for seed in range(3):
        assert fitted(modality, name, NOTHING[modality, name]).apply(USUAL[modality], rng(seed)) == USUAL[modality]


def test_every_method_says_what_strength_0_is() -> None:
    assert set(METHODS) == set(NOTHING) | WITHOUT


@pytest.mark.parametrize(("modality", "name", "what"), HOSTILES)
def test_hostile_payloads_are_changed_or_refused(modality: str, name: str, what: str) -> None:
    payload, method = HOSTILE[modality][what], fitted(modality, name)
    for seed in range(3):
        try:
            result = method.apply(payload, rng(seed))
        except PayloadError as error:
            assert error.reason and error.reason == error.reason.lower() and " " not in error.reason
            assert error.detail
            continue
        require_sound(payload, result)
        assert result.data != payload.data
    if what in ("empty", "another codec") or (what.startswith(("no ", "not ", "a row")) and what != "no spaces"):
        with pytest.raises(PayloadError):  # strength 0 is no excuse for what is no payload
            fitted(modality, name, NOTHING.get((modality, name))).apply(payload, rng())


@pytest.mark.parametrize("name", ["eda", "substitute"])
def test_texts_are_counted_before_they_are_changed(name: str) -> None:
    operations = {"operations": ("replace",)} if name == "eda" else {}
    with pytest.raises(UserError, match="fit"):
        payload_method("text", name, operations).apply(USUAL["text"], rng())
    with pytest.raises(UserError, match="there is none"):
        payload_method("text", name).fit([])


@pytest.mark.parametrize("name", VECTOR_METHODS)
def test_rows_are_exactly_what_is_lacked(name: str) -> None:
    x, y = rows()
    before = x.copy(), y.copy()
    method = vector_method(name)
    subjects = [None, "a"] * 30
    drawn = method.rows(x, y, subjects, {2: 13, 1: 7, 0: 0}, rng(1))
    assert drawn.x.shape == (20, 4) and drawn.x.dtype == np.float64 and np.isfinite(drawn.x).all()
    assert drawn.y.tolist() == [1] * 7 + [2] * 13
    assert (y[drawn.source] == drawn.y).all() and (drawn.second >= -1).all()
    two = drawn.second >= 0
    assert (y[drawn.second[two]] == drawn.y[two]).all()
    assert np.allclose(drawn.x[:, 3], 0.1)
    numpys = np.random.get_state()
    np.random.seed(3)
    again = vector_method(name).rows(x, y, subjects, {1: 7, 2: 13}, rng(1))
    np.random.set_state(numpys)
    for field in ("x", "y", "source", "second"):
        assert np.array_equal(getattr(drawn, field), getattr(again, field))
    assert drawn.notes == again.notes
    assert not np.array_equal(drawn.x, method.rows(x, y, subjects, {2: 13, 1: 7}, rng(2)).x)
    assert np.array_equal(x, before[0]) and np.array_equal(y, before[1])


@pytest.mark.parametrize("name", VECTOR_METHODS)
def test_classes_that_are_too_small(name: str) -> None:
    x, y = rows()
    y[-1] = 3  # alone
    method = vector_method(name)
    none = method.rows(x, y, [None] * 60, {}, rng())
    assert none.x.shape == (0, 4) and len(none.y) == len(none.source) == len(none.second) == 0
    with pytest.raises(UserError, match="class 7 has no row"):
        method.rows(x, y, [None] * 60, {7: 1}, rng())
    if name in LONE:
        drawn = method.rows(x, y, [None] * 60, {3: 5}, rng())
        assert drawn.source.tolist() == [59] * 5 and np.isfinite(drawn.x).all()
    else:
        with pytest.raises(UserError, match=r"class 3 has 1 row.*oversample"):
            method.rows(x, y, [None] * 60, {3: 5}, rng())
    two = np.r_[x[:1], x[-1:]], np.array([0, 0])  # one class alone, fewer rows than neighbours
    if name in ("borderline", "adasyn"):
        with pytest.raises(UserError, match="all rows are of class 0"):
            method.rows(*two, [None] * 2, {0: 3}, rng())
    else:
        drawn = method.rows(*two, [None] * 2, {0: 3}, rng())
        assert len(drawn.x) == 3 and (drawn.notes != ()) == (name == "smote")


@pytest.mark.parametrize("name", VECTOR_METHODS)
def test_values_that_are_no_numbers(name: str) -> None:
    x, y = rows()
    x[3, 1] = np.nan
    with pytest.raises(UserError, match="1 values of the train rows are NaN"):
        vector_method(name).rows(x, y, [None] * 60, {1: 2}, rng())
    with pytest.raises(ValueError, match="0 or more"):
        vector_method(name).rows(rows()[0], y, [None] * 60, {1: -2}, rng())


@pytest.mark.parametrize("name", [name for name in VECTOR_METHODS if name not in ("borderline", "adasyn")])
def test_constant_features_stay_constant(name: str) -> None:
    """Borderline and ADASYN ask who lies among whom, which equal rows leave open."""
    x, y = np.full((20, 3), 0.1), np.repeat([0, 1], 10)
    drawn = vector_method(name).rows(x, y, [None] * 20, {1: 9}, rng())
    assert np.allclose(drawn.x, 0.1, rtol=0, atol=1e-15)


def test_names_and_parameters_that_do_not_exist() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown vector method 'smoe'. Did you mean 'smote'"):
        vector_method("smoe")
    with pytest.raises(UnknownNameError, match=r"unknown speech method 'pich'. Did you mean 'pitch'"):
        payload_method("speech", "pich")
    with pytest.raises(UnknownNameError, match="unknown modality"):
        payload_method("voice", "pitch")
    with pytest.raises(ParamsError, match="parameters of vector method smote: unknown parameter 'n'"):
        vector_method("smote", {"n": 3})
    with pytest.raises(ParamsError, match=r"speech method pitch.*lower end comes first"):
        payload_method("speech", "pitch", {"semitones": (2, -2)})
    with pytest.raises(ParamsError, match=r"both ends must lie from 0.5 to 2"):
        payload_method("speech", "stretch", {"rate": (0.4, 1)})
    params = SmoteParams(k=2)
    assert vector_method("smote", params).params is params  # type: ignore[attr-defined]

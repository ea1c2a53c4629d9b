from __future__ import annotations

import contextlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import PayloadError
from corpora.near.pairs import fingerprint
from corpora.readers import make_corpus
from corpora.records.files import vector_sample
from corpora.signals import MAX_SIGNALS, check_trial, decode_signals, encode_signals, is_vector

ARRAYS = {"BVP": np.linspace(-1, 1, 640), "EEG": np.ones((128, 4), np.float32), "label": np.arange(10, dtype=np.uint8)}


def test_round_trip_keeps_values_kinds_and_shapes() -> None:
    found = decode_signals(encode_signals(ARRAYS))
    assert list(found) == ["BVP", "EEG", "label"]
    assert found["BVP"].dtype == np.float32 and found["label"].dtype == np.uint8
    for name, array in ARRAYS.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6)


def test_same_arrays_same_bytes_in_any_order_and_numpy_reads_them() -> None:
    payload = encode_signals(ARRAYS)
    assert encode_signals(dict(reversed(ARRAYS.items()))) == payload
    with np.load(io.BytesIO(payload), allow_pickle=False) as read:
        assert sorted(read.files) == sorted(ARRAYS)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [({}, "empty"), ({"a": np.zeros((0, 3))}, "empty"), ({"a": np.array([1.0, np.nan])}, "non-finite")],
)
def test_what_is_no_signal_is_not_written(arrays: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(PayloadError) as raised:
        encode_signals(arrays)
    assert raised.value.reason == reason


@pytest.mark.parametrize("bad", [{"a": np.zeros((2, 2, 2))}, {"a/b": np.zeros(2)}, {"a": np.array(["x"])}])
def test_shapes_and_names_that_do_not_fit_are_defects(bad: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="signal"):
        encode_signals(bad)


def packed(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(f"{name}.npy", body)
    return out.getvalue()


def npy(array: np.ndarray, *, pickled: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=pickled)
    return out.getvalue()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"no zip at all", "not-an-npz"),
        (encode_signals(ARRAYS)[:-100], "not-an-npz"),
        (packed(a=npy(np.array([{"x": 1}], dtype=object), pickled=True)), "unsupported-encoding"),
        (packed(a=npy(np.zeros(10))[:-8]), "truncated"),
        (packed(a=b"\x93NUMPY\x01\x00\xff\xff{"), "not-an-npz"),
        (packed(a=npy(np.array([np.inf]))), "non-finite"),
        (packed(a=npy(np.zeros((2, 2, 2)))), "unsupported-encoding"),
        (packed(**{f"a{i}": npy(np.zeros(1)) for i in range(MAX_SIGNALS + 1)}), "too-large"),
    ],
)
def test_bad_payloads_are_told_by_a_slug(payload: bytes, reason: str) -> None:
    with pytest.raises(PayloadError) as raised:
        decode_signals(payload)
    assert raised.value.reason == reason


def test_a_bomb_is_judged_before_it_is_unpacked() -> None:
    bomb = packed(a=bytes(50_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(PayloadError, match="too-large"):
        decode_signals(bomb, max_bytes=1_000_000)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_mutated_bytes_give_arrays_or_a_payload_error(seed: int, flips: int) -> None:
    rng = np.random.default_rng(seed)
    payload = bytearray(encode_signals(ARRAYS))
    for at in rng.integers(0, len(payload), flips):
        payload[at] = int(rng.integers(256))
    with contextlib.suppress(PayloadError):
        decode_signals(bytes(payload))


def test_rows_of_features_are_not_compared_as_if_they_were_time() -> None:
    row = {str(i): float(np.sin(i / 9)) for i in range(300)}
    made = vector_sample(make_corpus("wesad").card, "c", "1", row)
    assert is_vector(made.signals) and made.duration_s is None
    assert fingerprint("physio", made.payload, [dict(s) for s in made.signals]) == b""
    in_time = [{**made.signals[0], "rate_hz": 4.0}]
    assert not is_vector(in_time) and fingerprint("physio", made.payload, in_time) != b""
    with pytest.raises(PayloadError, match="empty"):
        vector_sample(make_corpus("wesad").card, "c", "1", {})


def test_more_than_can_be_read_again_is_not_written() -> None:
    with pytest.raises(PayloadError, match=rf"{MAX_SIGNALS + 1} signals.*can be one signal \[n, channels\]"):
        encode_signals({f"a{i}": np.zeros(1) for i in range(MAX_SIGNALS + 1)})
    huge = np.broadcast_to(np.float32(0), (600 * 2**20, 1))
    with pytest.raises(PayloadError, match="too-large"):
        encode_signals({"a": huge})


@given(st.floats(1, 100), st.lists(st.sampled_from([0.25, 1.0, 4.0, 64.0, 700.0]), min_size=1, max_size=4), st.data())
def test_signals_of_a_trial_cover_one_time(seconds: float, rates: list[float], data: st.DataObject) -> None:
    """However the last value is rounded, signals of one duration pass; one that lacks two values and more does not."""
    rounded = [data.draw(st.sampled_from([np.floor, np.ceil])) for _ in rates]
    arrays = {
        f"s{i}": np.zeros(max(int(f(seconds * r)), 1)) for i, (r, f) in enumerate(zip(rates, rounded, strict=True))
    }
    told = {f"s{i}": rate for i, rate in enumerate(rates)}
    check_trial(arrays, told)
    slowest = min(rates)
    short = (
        arrays | {"short": np.zeros(int((seconds - 2.01 / slowest - 2.01 / 64) * 64))} if seconds > 3 / slowest else {}
    )
    if short:
        with pytest.raises(PayloadError, match="unequal-duration: signal 'short' lasts"):
            check_trial(short, told | {"short": 64.0})
    check_trial(arrays | {"EEG_baseline": np.zeros(7)}, told | {"EEG_baseline": 64.0})


def test_the_first_value_that_is_none_is_told_in_seconds() -> None:
    array = np.zeros((40, 2))
    array[10, 1] = array[11, 0] = np.nan
    with pytest.raises(PayloadError) as raised:
        check_trial({"EEG": array}, {"EEG": 4.0})
    assert (raised.value.reason, raised.value.detail) == ("non-finite", "2 values of signal 'EEG', the first at 2.5 s")

"""Payloads of every modality as gates see them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from corpora.codecs import encode_png, encode_text, encode_wav
from corpora.errors import PayloadError, UserError
from corpora.fingerprint import hash_bytes
from corpora.signals import encode_signals
from corpora.tagged import Tag, with_tag
from flows.stages.augment.batches import Form, Stored, batch_of, decode_signal
from validators.batch import usable
from validators.gate import Batch


def batch(modality: str, payloads: list[bytes], rate_hz: float | None = None, **fields: Any) -> Batch:
    ids = [f"c/{i}" for i in range(len(payloads))]
    return batch_of(Stored(ids, ["joy"] * len(ids), payloads, ids, **fields), Form(modality, rate_hz))


def facts(**rates: float) -> list[dict[str, object]]:
    return [{"name": name, "unit": "1", "rate_hz": rate, "shape": [1]} for name, rate in rates.items()]


def trial(**arrays: np.ndarray) -> bytes:
    return encode_signals(arrays)


def test_texts_are_their_bytes() -> None:
    made = batch("text", [encode_text("naïve?"), b"\xff\xfe no", b"  ", encode_text("yes")], 16000.0)
    assert [s.tobytes().decode() for s in made.signals if s.size] == ["naïve?", "yes"]
    assert all(s.dtype == np.uint8 and s.ndim == 1 for s in made.signals)
    assert made.errors == (None, "not-utf8", "empty", None) and made.rate_hz is None
    assert usable(made).tolist() == [True, False, False, True]


def test_speech_and_faces_are_as_before() -> None:
    wave = np.linspace(-0.5, 0.5, 800).astype(np.float32)
    voice = batch("speech", [encode_wav(wave, 16000), b"RIFF"], 16000.0)
    assert voice.signals[0] == pytest.approx(wave, abs=1e-4) and voice.rate_hz == 16000.0
    assert voice.signals[1].shape == (0,) and voice.errors[1] is not None
    face = batch("face", [encode_png(np.full((8, 8), 7, np.uint8)), b""], 16000.0)
    assert face.signals[0].shape == (8, 8) and face.errors[1] == "empty" and face.rate_hz is None


def test_signals_of_one_rate_stand_side_by_side() -> None:
    ecg, eeg = np.arange(40.0), np.ones((41, 2))
    made = batch("physio", [trial(EEG=eeg, ECG=ecg)], facts=[facts(ECG=128.0, EEG=128.0)])
    assert made.rate_hz == 128.0 and made.errors == (None,)
    assert made.signals[0].dtype == np.float32 and made.signals[0].shape == (40, 3)
    np.testing.assert_array_equal(made.signals[0][:, 0], ecg)  # sorted by name, cut to the shortest
    np.testing.assert_array_equal(made.signals[0][:, 1:], 1.0)


def test_other_rates_need_one_that_is_named() -> None:
    t = np.arange(640) / 64.0
    payload = trial(BVP=np.sin(2 * np.pi * t), EDA=np.linspace(1, 2, 40), HR=np.full(10, 70.0))
    rates = facts(BVP=64.0, EDA=4.0, HR=1.0)
    with pytest.raises(UserError, match="1, 4, 64 Hz"):
        batch("physio", [payload], facts=[rates])
    made = batch("physio", [payload], 16.0, facts=[rates])
    assert made.rate_hz == 16.0 and made.signals[0].shape == (160, 3)
    assert made.signals[0][:, 0] == pytest.approx(np.sin(2 * np.pi * np.arange(160) / 16.0), abs=0.05)
    assert made.signals[0][:, 2] == pytest.approx(70.0, abs=0.1)


def test_trials_that_do_not_fit_say_why() -> None:
    whole = trial(ECG=np.arange(40.0), EDA=np.arange(40.0))
    payloads = [whole, trial(ECG=np.arange(40.0)), b"", trial(ECG=np.arange(40.0), EDA=np.arange(9.0)), whole, whole]
    told = [facts(ECG=4.0, EDA=4.0)] * 5 + [facts(ECG=4.0)]
    made = batch("physio", payloads, facts=told)
    assert made.errors == (None, "other-channels", "empty", "lengths-differ", None, "no-rate")
    assert usable(made).tolist() == [True, False, False, False, True, False]
    assert {s.shape for s in made.signals} == {(40, 2), (0, 0)}
    assert batch("physio", [whole], facts=[None]).errors == ("no-rate",)


def test_without_rates_one_length_is_enough() -> None:
    assert decode_signal(trial(a=np.arange(4), b=np.ones((4, 2))), "physio").shape == (4, 3)
    with pytest.raises(PayloadError) as caught:
        decode_signal(trial(a=np.arange(4), b=np.ones((5, 2))), "physio")
    assert caught.value.reason == "lengths-differ"


def test_no_rows() -> None:
    assert len(batch("physio", [], facts=[])) == len(batch("text", [])) == 0


@pytest.mark.parametrize(
    ("modality", "payload"),
    [
        ("speech", encode_wav(np.linspace(-0.5, 0.5, 800).astype(np.float32), 16000)),
        ("face", encode_png(np.full((8, 8), 7, np.uint8))),
        ("physio", encode_signals({"EDA": np.ones(40, np.float32)})),
    ],
)
def test_what_is_equal_but_for_its_tag_is_equal(modality: str, payload: bytes) -> None:
    """A conversion of strength 0 is a copy of its source, and of another one that came to the same."""
    codec = {"speech": "wav", "face": "png", "physio": "npz"}[modality]
    tagged = [with_tag(payload, codec, Tag("9e1d", f"syn/9e1d/{n}")) for n in range(2)]
    payloads = [payload, *tagged]
    hashes = [hash_bytes(one) for one in payloads]
    rates = {"facts": [facts(EDA=4.0)] * 3} if modality == "physio" else {}
    made = batch_of(Stored(list("abc"), ["joy"] * 3, payloads, hashes, **rates), Form(modality, 16000.0))
    assert len(set(hashes)) == 3 and made.sha256 == (hashes[0],) * 3
    assert all(np.array_equal(made.signals[0], signal) for signal in made.signals)

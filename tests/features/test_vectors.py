"""Features without a way back: what they are of, what they say of themselves, and the payload that they are."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from corpora.codecs import decode_wav, encode_png, encode_text, encode_wav
from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload, Signal
from corpora.signals import encode_signals, is_vector
from features.faces.hog import hog_features
from features.faces.prepare import FaceSteps
from features.physio.heart import heart
from features.physio.paces import trial_features
from features.representation import Known, Representation, make_representation, representation_class
from features.speech.functionals import speech_functionals
from features.speech.prepare import SpeechSteps
from features.text.ngrams import hashed_ngrams
from features.vectors import vector_of, vector_spec

RATE = 16000
PULSE = np.sin(2 * np.pi * 1.2 * np.arange(64 * 40) / 64.0) ** 15
SIGNALS = [
    {"name": "BVP", "unit": "nW", "rate_hz": 64.0, "columns": None},
    {"name": "TEMP", "unit": "°C", "rate_hz": 4.0, "columns": None},
]


def trial() -> Payload:
    arrays = {"BVP": PULSE, "TEMP": np.linspace(33, 34, 160)}
    facts = tuple(Signal(s["name"], s["unit"], s["rate_hz"], arrays[s["name"]].shape) for s in SIGNALS)  # type: ignore
    return Payload(encode_signals(arrays), "npz", facts, 40.0)


WAVE = (0.3 * np.sin(2 * np.pi * 150 * np.arange(RATE) / RATE)).astype(np.float32)
FACE = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
CASES: dict[str, tuple[dict[str, Any], Payload]] = {
    "functionals": ({}, Payload(encode_wav(WAVE, RATE), "wav")),
    "hog": ({}, Payload(encode_png(FACE), "png")),
    "bands": ({"signals": SIGNALS}, trial()),
    "heart": ({"signals": SIGNALS[:1]}, trial()),
    "features": ({"columns": ["hr", "eda"]}, Payload(encode_signals({"features": np.array([61.0, 2.5])}), "npz")),
    "sentence": ({"words": 64, "pieces": 32}, Payload(encode_text("so happy!"), "txt")),
}


@pytest.mark.parametrize("name", CASES)
def test_the_payload_is_the_vector(name: str) -> None:
    params, payload = CASES[name]
    features = make_representation(name, params)
    assert isinstance(features, Representation) and not features.way_back
    assert features.lossless is (name == "features")
    spec = features.spec
    assert spec.layout == "vector" and len(spec.rows) == len(spec.units) == spec.shape[0] == len(set(spec.rows))
    vector = features.encode(payload)
    assert vector.shape == spec.shape and vector.dtype == np.float32 and np.isfinite(vector).all()
    coded = features.decode(vector)
    assert coded.codec == "npz" and coded.duration_s is None and is_vector([s.as_row() for s in coded.signals])
    np.testing.assert_array_equal(vector_of(coded.data), vector)
    with np.load(io.BytesIO(coded.data)) as npz:  # with nothing of ours
        np.testing.assert_array_equal(npz["features"], vector)
    for array, slug in ((vector[:-1], "wrong-shape"), (np.full_like(vector, np.nan), "non-finite")):
        with pytest.raises(PayloadError) as caught:
            features.decode(array)
        assert caught.value.reason == slug


def named(name: str) -> dict[str, float]:
    params, payload = CASES[name]
    features = make_representation(name, params)
    return dict(zip(features.spec.rows, map(float, features.encode(payload)), strict=True))


def test_values_are_those_of_the_plain_features() -> None:
    decoded = decode_wav(encode_wav(WAVE, RATE))[0].mean(axis=1)
    np.testing.assert_array_equal(
        np.array([*named("functionals").values()], np.float32), speech_functionals(decoded, RATE)
    )
    np.testing.assert_array_equal(np.array([*named("hog").values()], np.float32), hog_features(FACE[None])[0])
    np.testing.assert_allclose(list(named("sentence").values()), hashed_ngrams(["so happy!"], 64, 32)[0], atol=1e-6)
    bands = named("bands")
    assert bands["BVP_pulse_hz"] == pytest.approx(2.4, abs=0.1) or bands["BVP_pulse_hz"] == pytest.approx(1.2, abs=0.1)
    assert bands["TEMP_mean"] == pytest.approx(33.5, abs=1e-3)
    pulse = np.asarray(PULSE, np.float32)
    np.testing.assert_allclose(
        [v for k, v in bands.items() if k.startswith("BVP_")], trial_features([pulse], 64.0)[0], rtol=1e-4, atol=1e-4
    )
    assert named("heart")["bpm"] == pytest.approx(heart(pulse, 64.0, "BVP").bpm, abs=1e-3)


def test_units_are_told() -> None:
    def units(name: str) -> dict[str, str]:
        spec = make_representation(name, CASES[name][0]).spec
        return dict(zip(spec.rows, spec.units, strict=True))

    speech = units("functionals")
    assert (speech["logf0_mean"], speech["energy_p50_db"], speech["duration_s"]) == ("ln Hz", "dB", "s")
    assert (speech["syllables_per_s"], speech["slope_0_500_mean_db"], speech["voiced_share"]) == ("1/s", "dB/kHz", "")
    bands = units("bands")
    assert (bands["TEMP_mean"], bands["BVP_log_sd"], bands["BVP_pulse_hz"]) == ("°C", "ln nW", "Hz")
    assert bands["BVP_de_0.7-1.5Hz"] == "nat" and "TEMP_de_3-8Hz" not in bands, "no band above half the rate"
    assert units("heart") == {"bpm": "beats/min", "sdnn_ms": "ms", "rmssd_ms": "ms"}


def test_hog_columns_are_in_the_order_of_the_features() -> None:
    """An edge in one cell shows in the columns of that cell alone, in its direction."""
    image = np.full((48, 48), 100, np.uint8)
    image[3:5, 1:7] = 200  # a bar in the upper left cell: gradients up and down
    features = make_representation("hog", {})
    vector = features.encode(Payload(encode_png(image), "png"))
    strongest = features.spec.rows[int(vector.argmax())]
    assert strongest.startswith("r0_c0_upper_left_") and strongest.endswith(("80deg", "100deg"))
    assert {n for n, v in zip(features.spec.rows, vector, strict=True) if v > 0} <= {
        n for n in features.spec.rows if n.startswith("r0_c0_upper_left")
    }


@pytest.mark.parametrize(
    ("name", "payload", "slug"),
    [
        ("functionals", Payload(encode_wav(WAVE, 8000), "wav"), "wrong-rate"),
        ("functionals", Payload(b"", "png"), "wrong-codec"),
        ("hog", Payload(encode_png(FACE[:32, :32]), "png"), "wrong-size"),
        ("hog", Payload(encode_png(np.zeros((48, 48, 3), np.uint8)), "png"), "not-grey"),
        ("bands", Payload(encode_signals({"BVP": PULSE}), "npz", trial().signals[:1]), "missing-signal"),
        ("heart", Payload(encode_signals({"BVP": np.ones(2560)}), "npz", trial().signals[:1]), "flat"),
        ("features", Payload(encode_signals({"features": np.ones(3)}), "npz"), "other-columns"),
        ("sentence", Payload(b"\xff\xfe", "txt"), "not-utf8"),
    ],
)
def test_what_cannot_be_encoded_says_why(name: str, payload: Payload, slug: str) -> None:
    with pytest.raises(PayloadError) as caught:
        make_representation(name, CASES[name][0]).encode(payload)
    assert caught.value.reason == slug


def test_signals_are_settled_from_the_corpora() -> None:
    known = Known((Signal("TEMP", "°C", 4.0), Signal("chest_ECG", "mV", 700.0), Signal("BVP", "nW", 64.0)))
    names = {
        name: [s["name"] for s in representation_class(name).settled({}, known)["signals"]]
        for name in ("bands", "heart")
    }
    assert names == {"bands": ["BVP", "TEMP", "chest_ECG"], "heart": ["chest_ECG"]}
    with pytest.raises(ParamsError, match="no ECG and no BVP among TEMP"):
        representation_class("heart").settled({}, Known((Signal("TEMP", "°C", 4.0),)))


@pytest.mark.parametrize(
    ("name", "params", "text"),
    [
        ("functionals", {"rate_hz": 100}, "rate_hz is 100"),
        ("hog", {"size": 50}, "size is 50"),
        ("hog", {"cell": 40}, "cell 40"),
        ("heart", {"signals": SIGNALS[1:]}, "TEMP at 4 Hz"),
        ("features", {"columns": "hr"}, "a list of names"),
        ("features", {"columns": ["hr", "hr"]}, "one name"),
        ("sentence", {"words": 0}, "words is 0"),
        ("sentence", {"wordz": 8}, "Did you mean 'words'"),
    ],
)
def test_bad_parameters_are_named(name: str, params: dict[str, Any], text: str) -> None:
    with pytest.raises(ParamsError, match=text):
        make_representation(name, params)


def test_steps_that_do_not_fit_are_named() -> None:
    hog = make_representation("hog", {"size": 32})
    assert hog.require(FaceSteps()).size.px == 32  # type: ignore[attr-defined]
    with pytest.raises(ParamsError, match=r"size.px is 48, the representation's 32"):
        hog.require(FaceSteps.model_validate({"size": {"px": 48}}))  # type: ignore[attr-defined]
    with pytest.raises(ParamsError, match="rgb"):
        hog.require(FaceSteps.model_validate({"colour": {"mode": "rgb"}}))  # type: ignore[attr-defined]
    with pytest.raises(ParamsError, match=r"rate_hz is 16000, the representation's 8000"):
        make_representation("functionals", {"rate_hz": 8000}).require(SpeechSteps())  # type: ignore[attr-defined]


def test_what_is_no_vector_says_so() -> None:
    with pytest.raises(PayloadError, match="no-vector"):
        vector_of(encode_signals({"BVP": np.ones(3)}))
    with pytest.raises(PayloadError, match="no-vector"):
        vector_of(encode_signals({"features": np.ones((3, 2))}))
    with pytest.raises(ValueError, match="one name"):
        vector_spec("x", ["a", "a"], ["", ""])

"""A record beyond a bound is a reject with a reason, exactly where the check of the index would fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from corpora.records.bounds import BOUNDS, CODECS, VALUES, facts_of, out_of_bounds
from corpora.schema import MODALITIES, Sample


def sample(modality: str, **more: Any) -> Sample:
    shape = {"speech": [16000, 1], "face": [48, 48, 3], "text": [12], "physio": [500, 3]}[modality]
    rate = None if modality in ("face", "text") else 100.0 if modality == "physio" else 16000.0
    signals = [{"name": "x", "unit": "y", "rate_hz": rate, "shape": shape}]
    made = Sample("c/a", "c", modality, b"x", CODECS[modality][0], "CC0-1.0", "c:a", signals=signals)
    return replace(made, duration_s=None if rate is None else 1.0, **more)


def with_fact(modality: str, fact: str, value: float) -> Sample:
    made = sample(modality)
    (signal,) = (dict(s) for s in made.signals)
    shape: Any = list(signal["shape"])
    if fact == "duration_s":
        return replace(made, duration_s=value)
    if fact == "n_signals":
        return replace(made, signals=[signal] * int(value))
    if fact == "rate_hz":
        signal["rate_hz"] = value
    else:
        shape[{"channels": 1, "height_px": 0, "width_px": 1, "characters": 0}[fact]] = value
    return replace(made, signals=[signal | {"shape": shape}])


@pytest.mark.parametrize(("modality", "fact"), [(m, fact) for m in MODALITIES for fact in BOUNDS[m]])
def test_each_bound_is_where_it_is_said_to_be(modality: str, fact: str) -> None:
    low, high = BOUNDS[modality][fact]
    assert out_of_bounds(sample(modality)) is None
    for value in (low, high):
        assert out_of_bounds(with_fact(modality, fact, value)) is None
    for value in (low - (1 if low >= 1 else low), high + 1):
        slug, detail = out_of_bounds(with_fact(modality, fact, value)) or ("", "")
        assert slug.endswith("-out-of-range") and f"{low:g} to {high:g}" in detail


def test_a_rate_that_is_not_known_is_said_so() -> None:
    assert out_of_bounds(replace(sample("physio"), signals=[])) is not None
    made = sample("speech")
    odd = replace(made, signals=[dict(made.signals[0]) | {"rate_hz": None}])
    assert out_of_bounds(odd) == ("rate-out-of-range", "rate_hz is not known; 4000 to 192000 is expected")
    assert facts_of("speech", odd.signals)["rate_hz"] is None


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -2.0, 121.0])
def test_values_that_no_scale_has(name: str, value: float) -> None:
    slug, detail = out_of_bounds(replace(sample("text"), **{name: value})) or ("", "")
    assert slug == "value-out-of-range" and detail.startswith(name)


def test_a_codec_that_is_not_read() -> None:
    assert (out_of_bounds(replace(sample("face"), codec="jfif")) or ("",))[0] == "unknown-codec"

"""Naturalness against real speech of one recording condition, by a tiny network whose opinion is known."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora.errors import IntegrityError, ParamsError
from tests.features.pretrained.carried import carry
from tests.features.pretrained.tiny_onnx import tiny_dnsmos
from validators.batch import rows_of
from validators.gate import Batch, admit, class_limits
from validators.gates.mos import MosParams, Naturalness, opinions, phases_drawn

CLASSES = ("anger", "sadness")
RATE = 16000.0
pytestmark = pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")


@pytest.fixture(autouse=True)
def _network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    carry(tmp_path / "site", "dnsmos", tiny_dnsmos(), monkeypatch)
    yield


def voice(level: float, rng: np.random.Generator) -> np.ndarray:
    """A pulse at each period, whose mean of |x| is near `level`: with other phases it is spread over the period."""
    t = np.arange(int(0.5 * RATE)) / RATE
    wave = np.cos(2 * np.pi * 180 * t + rng.uniform(0, 6)) ** 41
    wave = wave + 0.02 * rng.standard_normal(t.size)
    return (level * rng.uniform(0.97, 1.03) * wave / np.abs(wave).mean()).astype(np.float32)


def people(levels: dict[str, float], n: int = 10, corpus: str = "c") -> Batch:
    """n samples of each class and person; the level is the room's. Anger is 0.01 louder."""
    rng, rows = np.random.default_rng(0), []
    for who, level in levels.items():
        rows += [
            (f"{corpus}/{who}-{e}-{i}", e, f"{corpus}:{who}", voice(level + 0.01 * (e == "anger"), rng))
            for e in CLASSES
            for i in range(n)
        ]
    ids, emotions, who, signals = zip(*rows, strict=True)
    return Batch("speech", ids, emotions, list(signals), ids, RATE, subjects=who, groups=who)


def fit(train: Batch, **params: object) -> Naturalness:
    return Naturalness.fit(train, classes=CLASSES, params=params, seed=0)


TRAIN = people({"near": 0.05, "far": 0.12})


def test_a_sample_is_held_against_its_own_condition() -> None:
    gate = fit(TRAIN)
    assert gate._facts["centre"].keys() == {"subject c:near", "subject c:far", "corpus c", "all"}
    values, who = opinions(TRAIN, MosParams()), np.asarray(TRAIN.subjects)
    by_hand = [values[i] - np.median(np.delete(values, i)[np.delete(who, i) == who[i]]) for i in range(len(TRAIN))]
    reference = np.full(len(TRAIN), np.nan)
    for name, scores in gate.reference().items():
        reference[np.asarray(TRAIN.emotions) == name] = scores
    np.testing.assert_allclose(reference, by_hand, atol=1e-4)
    # the room of `far` sounds worse by itself: a conversion of `near` that sounds so has lost something
    spoilt = people({"near": 0.12, "far": 0.12}, n=3)
    sources = tuple((TRAIN.ids[list(TRAIN.subjects).index(s)],) for s in spoilt.subjects)
    made = replace(spoilt, ids=tuple(f"syn/{i}" for i in spoilt.ids), subjects=(), source_ids=sources)
    limits, silent = class_limits(gate, Naturalness.default_limit, CLASSES)
    passed = admit(gate.score(made), min(limits.values()), gate.better)
    assert not silent and passed.tolist() == [s == "c:far" for s in spoilt.subjects]


def test_conditions_grow_coarser_where_samples_are_few() -> None:
    train = people({"near": 0.05, "far": 0.12}, n=3)
    assert fit(train)._facts["centre"].keys() == {"corpus c", "all"}
    assert fit(train, condition="all")._facts["centre"].keys() == {"all"}
    assert fit(train, least=3)._facts["centre"].keys() >= {"subject c:near", "subject c:far"}
    gate = fit(TRAIN)
    nobody = replace(rows_of(TRAIN, np.arange(2)), ids=("syn/1", "syn/2"), subjects=(None, "c:stranger"))
    everybody = opinions(nobody, MosParams()) - gate._facts["centre"]["all"]
    np.testing.assert_allclose(gate.score(nobody), everybody, atol=1e-4)
    known = replace(nobody, ids=("c/1", "c/2"))
    apart = gate._facts["centre"]["all"] - gate._facts["centre"]["corpus c"]
    np.testing.assert_allclose(gate.score(known), everybody + apart, atol=2e-4)


def test_what_the_network_does_not_hear_is_undecided() -> None:
    assert fit(TRAIN).cannot_judge(Naturalness.default_limit) == {}
    rng = np.random.default_rng(0)
    hiss = [rng.normal(0, 0.05 * rng.uniform(0.97, 1.03), 8000).astype(np.float32) for _ in TRAIN.signals]
    deaf = replace(TRAIN, signals=hiss, cache={})
    gate = fit(deaf)  # drawing phases anew changes nothing of steady noise
    unable = gate.cannot_judge(Naturalness.default_limit)
    assert unable and all("phases drawn at random" in why for why in unable.values())
    assert fit(deaf, heard=0).cannot_judge(Naturalness.default_limit) == {}


def test_phases_are_drawn_and_little_else() -> None:
    signal = voice(0.05, np.random.default_rng(1))
    drawn = phases_drawn(signal, np.random.default_rng(2))
    assert drawn.shape == signal.shape and np.std(drawn) == pytest.approx(np.std(signal), rel=1e-3)
    assert abs(np.corrcoef(drawn, signal)[0, 1]) < 0.3
    before, after = ((np.abs(np.fft.rfft(x)) ** 2)[80:100].sum() for x in (signal, drawn))  # around 180 Hz
    assert after == pytest.approx(before, rel=0.5) and phases_drawn(signal[:40], np.random.default_rng(0)).size == 40


def test_reasons_and_params() -> None:
    gate = fit(TRAIN, condition="corpus")
    odd = rows_of(TRAIN, np.arange(3))
    signals = [np.zeros(8000, np.float32), np.zeros(0, np.float32), odd.signals[2]]
    odd = replace(odd, signals=signals, cache={})
    assert gate.reasons(odd) == ["silent", "not-usable", None] and np.isnan(gate.score(odd)).tolist() == [1, 1, 0]
    assert gate.reasons(replace(odd, rate_hz=8000.0)) == ["wrong-rate"] * 3
    assert Naturalness.encoders({}) == ("dnsmos",) and Naturalness.encoders({"model": "distillmos"}) == ("distillmos",)
    with pytest.raises(ParamsError, match="distillmos has no scale 'sig'"):
        fit(TRAIN, model="distillmos", scale="sig")


def test_another_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = fit(TRAIN)
    gate.save(tmp_path / "gate")
    assert Naturalness.load(tmp_path / "gate").judge == gate.judge and gate.judge.startswith("dnsmos@9.1#")
    carry(tmp_path / "site", "dnsmos", tiny_dnsmos() + b"\x92\x01\x00", monkeypatch)
    with pytest.raises(IntegrityError, match="gate mos was fitted with dnsmos@"):
        Naturalness.load(tmp_path / "gate")

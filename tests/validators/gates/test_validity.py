"""Every check of the validity gate, by a sample that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corpora.errors import UserError
from validators.batch import rows_of
from validators.gate import Batch, admit
from validators.gates.validity import Validity

CLASSES = ("anger", "happiness", "sadness")


def _fit(train: Batch) -> Validity:
    return Validity.fit(train, classes=CLASSES, params={}, seed=0)


def _tone(seconds: float, amplitude: float = 0.3) -> np.ndarray:
    return (amplitude * np.sin(np.arange(int(16000 * seconds)) * 0.1)).astype(np.float32)


SPEECH: dict[str, np.ndarray] = {
    "silent": _tone(0.5, 1e-4),
    "flat": np.full(8000, 0.2, np.float32),
    "clipped": np.clip(_tone(0.5, 3.0), -1, 1),
    "out-of-range": _tone(0.5, 3.0),
    "too-short": _tone(0.1),
    "too-long": _tone(3.0),
    "not-finite": np.where(np.arange(8000) == 5, np.nan, _tone(0.5)).astype(np.float32),
    "not-mono": np.zeros((8000, 2), np.float32),
}
RAMP = np.tile(np.arange(32, dtype=np.uint8), (32, 1))
FACE: dict[str, np.ndarray] = {
    "flat": np.full((32, 32), 128, np.uint8),
    "too-dark": RAMP // 2,
    "too-bright": 255 - RAMP // 2,
    "not-an-image": np.zeros(100, np.uint8),
    "out-of-range": RAMP.astype(np.float32) * 10,
}


@pytest.mark.parametrize(("modality", "cases"), [("speech", SPEECH), ("face", FACE)], ids=["speech", "face"])
def test_every_reason(modality: str, cases: dict[str, np.ndarray], make: Callable[..., Batch]) -> None:
    gate, batch = _fit(make(modality, groups=range(4))), make(modality, groups=range(1), per_cell=4)
    names = list(cases)
    broken = replace(batch, signals=[*cases.values(), *batch.signals[len(names) :]], cache={})
    values = gate.score(broken)
    passed = admit(values, 1.0, gate.better)
    assert gate.reasons(broken)[: len(names)] == names
    assert not passed[: len(names)].any() and passed[len(names) :].all()


def test_softly_recorded_people_are_not_silent(make: Callable[..., Batch], change: Callable[..., Batch]) -> None:
    soft = change(make("speech", groups=range(4)), lambda s: s * 0.003)  # RAVDESS as published: down to -70 dBFS
    gate, own = _fit(soft), make("speech", groups=range(9, 11))
    assert (gate.score(change(own, lambda s: s * 0.002)) == 1.0).all()
    assert gate.reasons(change(own, lambda s: s * 2e-5)) == ["silent"] * len(own)
    dead = _fit(change(make("speech", groups=range(4)), lambda s: s * 1e-7))
    assert dead.reasons(change(own, lambda s: s * 2e-5))[0] == "silent"


def test_real_people_are_valid(train: Batch, strangers: Batch) -> None:
    gate = _fit(train)
    assert (gate.score(strangers) == 1.0).mean() > 0.95
    assert np.mean(np.concatenate(list(gate.reference().values()))) > 0.95


def test_the_payloads_own_error_is_the_reason(train: Batch, strangers: Batch) -> None:
    signals = [np.zeros(0, strangers.signals[0].dtype), *strangers.signals[1:]]
    broken = replace(strangers, signals=signals, errors=("truncated", *strangers.errors[1:]), cache={})
    gate = _fit(train)
    values = gate.score(broken)
    assert np.isnan(values[0])
    assert gate.reasons(broken)[0] == "truncated"


def test_nothing_to_learn_from(train: Batch) -> None:
    with pytest.raises(UserError, match="no usable sample"):
        _fit(rows_of(train, np.zeros(len(train), dtype=bool)))

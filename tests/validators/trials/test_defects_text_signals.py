"""Planted defects of texts and of signals, and the quick self-test on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.validators.trials.test_selftest import CLASSES, test_every_defect_says_which_rows_it_is_in
from validators.gate import SAMPLE_GATES, Batch, default_limit, gate_class
from validators.gates.validity import Validity
from validators.trials.defects import DEFECTS, channels_noisy, mode_key
from validators.trials.selftest import HELD_OUT, QUICK, quick

__all__ = ["test_every_defect_says_which_rows_it_is_in"]  # the test of voices and faces, here on texts and signals


@pytest.fixture(scope="module", params=["text", "physio"])
def modality(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_change_does_what_it_says(train: Batch, strangers: Batch, modality: str) -> None:
    rng = np.random.default_rng(0)
    change = {d.name: d.change for d in DEFECTS[modality] if d.change}
    one = strangers.signals[0]
    if modality == "text":
        words = one.tobytes().decode().split()
        mixed = change["words shuffled"](one, 0.0, rng).tobytes().decode().split()
        assert sorted(mixed) == sorted(words) and mixed != words
        looped = change["words repeated"](one, 0.0, rng).tobytes().decode().split()
        assert len(looped) >= 12 and len(set(looped)) < len(looped) / 2
        near = change["near copies 5%"](one, 0.0, rng).tobytes().decode().split()
        assert near != words and len(near) >= len(words) * 7 / 8
        with pytest.raises(UnicodeDecodeError):
            change["not UTF-8 5 %"](one, 0.0, rng).tobytes().decode()
    else:
        noise = channels_noisy(0.0)(one, 32.0, rng) - one
        assert noise.std(axis=0) == pytest.approx(one.std(axis=0), rel=0.15)
        flat = change["flat channel 5 %"](one, 32.0, rng)
        assert (np.ptp(flat[len(one) // 10 :], axis=0) == 0).sum() == 1 and np.shares_memory(one, flat) is False
    assert mode_key(strangers).shape == (len(strangers),) and np.ptp(mode_key(strangers)) > 0


def test_validity_turns_the_broken_ones_away(train: Batch, strangers: Batch, modality: str) -> None:
    gate = Validity.fit(train, classes=CLASSES, params={}, seed=0)
    names = ("not UTF-8 5 %", "words repeated 5 %") if modality == "text" else ("flat channel 5 %", "not a number 5 %")
    for defect in DEFECTS[modality]:
        if defect.name in names:
            planted = defect.plant(strangers, train, np.random.default_rng(0))
            assert not (gate.score(planted.batch)[planted.planted] == 1.0).any(), defect.name


def test_the_quick_form(make: Callable[..., Batch], modality: str) -> None:
    train = make(modality, groups=range(12), per_cell=3)
    sets = {name: ({}, default_limit(gate_class(name))) for name in ("frechet", "vendi")}
    sample = {name: ({}, default_limit(gate_class(name))) for name in SAMPLE_GATES if gate_class(name).fits_at_once}
    found = quick(train, classes=CLASSES, sample_gates=sample, set_gates=sets, seed=0)
    seen = {o.defect: o for o in found.outcomes}
    assert set(seen) == {HELD_OUT, *QUICK[modality]}
    assert not seen[HELD_OUT].caught and seen[HELD_OUT].rejected < 0.2
    assert "copies" in seen["copies 5%"].by

"""Copies, exact and near; and what is no copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corpora.errors import UserError
from validators.copies import Copies
from validators.embeddings import rows_of
from validators.gate import Batch, admit

CLASSES = ("anger", "happiness", "sadness")
Change = Callable[[Batch, Callable[[np.ndarray], np.ndarray]], Batch]


@pytest.fixture
def gate(train: Batch) -> Copies:
    return Copies.fit(train, classes=CLASSES, known_sha256=frozenset({"f" * 64}), params={}, seed=0)


def _passed(gate: Copies, batch: Batch) -> np.ndarray:
    return admit(gate.score(batch), gate.default_limit.resolve(np.zeros(0)), gate.better)


def test_new_samples_pass_and_known_payloads_do_not(gate: Copies, train: Batch, strangers: Batch) -> None:
    assert _passed(gate, strangers).mean() > 0.9
    assert (gate.score(train) == 0.0).all() and not _passed(gate, train).any()
    assert set(gate.reasons(train)) == {"exact-copy"} and set(gate.reasons(strangers)) == {None}
    dev_or_test = replace(strangers, sha256=("f" * 64, *strangers.sha256[1:]))
    assert gate.reasons(dev_or_test)[0] == "exact-copy" and not _passed(gate, dev_or_test)[0]


def test_near_copies_are_caught(gate: Copies, train: Batch, change: Change) -> None:
    rng = np.random.default_rng(0)
    if train.modality == "speech":
        changes = [
            lambda s: (0.3 * s).astype(np.float32),
            lambda s: (s + rng.normal(0, 1e-3, s.shape)).astype(np.float32),
            lambda s: (np.round(s * 2**9) / 2**9).astype(np.float32),
        ]
    else:
        changes = [
            lambda s: (0.6 * s + 40).astype(np.uint8),
            lambda s: np.clip(s + rng.normal(0, 8, s.shape), 0, 255).astype(np.uint8),
            lambda s: np.ascontiguousarray(s[:, ::-1]),
        ]
    for f in changes:
        near = change(train, f)
        assert not _passed(gate, near).any() and set(gate.reasons(near)) == {None}


def test_a_conversion_may_be_near_its_source_but_not_be_it(gate: Copies, train: Batch, change: Change) -> None:
    if train.modality == "speech":
        nearly = change(train, lambda s: (0.9 * s).astype(np.float32))
        moved = change(train, lambda s: (s * np.linspace(1.0, 0.1, s.size)).astype(np.float32))
    else:
        nearly = change(train, lambda s: (0.9 * s).astype(np.uint8))
        moved = change(
            train, lambda s: np.clip(s + 50 * np.hypot(*np.mgrid[-1:1:32j, -1:1:32j]), 0, 255).astype(np.uint8)
        )
    sources = tuple((name,) for name in train.ids)
    assert not _passed(gate, replace(nearly, source_ids=sources)).any()
    plain, own = gate.score(moved), gate.score(replace(moved, source_ids=sources))
    assert (own >= plain).all() and np.median(own) > 1.2 * np.median(plain)


def test_reference_is_about_one(gate: Copies) -> None:
    found = gate.reference()
    assert set(found) == set(CLASSES)
    assert np.median(np.concatenate(list(found.values()))) == pytest.approx(1.0)


def test_copies_among_candidates(gate: Copies, strangers: Batch) -> None:
    picked = rows_of(strangers, np.array([0, 10, 20, 10, 0]))
    assert gate.near_pairs(picked, 0.3) == [(0, 4), (1, 3)]
    assert gate.near_pairs(rows_of(strangers, np.array([3])), 0.3) == []


def test_one_sample_is_too_few(train: Batch) -> None:
    with pytest.raises(UserError, match="at least 2 usable"):
        Copies.fit(rows_of(train, np.arange(1)), classes=CLASSES, params={}, seed=0)

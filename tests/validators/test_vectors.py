"""Rows of features instead of signals: which gates look at them, and that they see what is wrong in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from corpora.errors import UserError
from validators.batch import Batch, rows_of, usable
from validators.embeddings.features import features_of
from validators.embeddings.images import encoder_images
from validators.gate import SAMPLE_GATES, SET_GATES, admit, class_limits, default_limit, gate_class, knows
from validators.gates.copies import Copies
from validators.gates.validity import Validity
from validators.maths.vector_validity import VectorRules
from validators.trials.downstream import uplift
from validators.trials.selftest import HELD_OUT, QUICK, quick

CLASSES = ("anger", "happiness", "sadness")
SIGNALS_ALONE = {"mcd", "mos", "variance", "text", "identity"}


@pytest.fixture(scope="module")
def train(make: Callable[..., Batch]) -> Batch:
    return make("vector", groups=range(12), per_cell=4)


@pytest.fixture(scope="module")
def strangers(make: Callable[..., Batch]) -> Batch:
    batch = make("vector", groups=range(20, 26), seed=1)
    return replace(batch, ids=tuple(f"syn/demo/{i}" for i in range(len(batch))))


def with_rows(batch: Batch, rows: list[np.ndarray]) -> Batch:
    hashes = tuple(hashlib.sha256(row.tobytes()).hexdigest() for row in rows)
    return replace(rows_of(batch, np.arange(len(rows))), signals=rows, sha256=hashes, cache={})


@pytest.mark.parametrize("modality", ["speech", "face", "text", "physio"])
def test_which_gates_look_at_vectors(modality: str) -> None:
    left_out = {name for name in (*SAMPLE_GATES, *SET_GATES) if not knows(gate_class(name), modality, "vector")}
    assert left_out == SIGNALS_ALONE
    for layout in ("", "image", "rows", "tokens"):
        assert knows(gate_class("kid"), modality, layout)
        assert knows(gate_class("mcd"), modality, layout) == (modality == "speech")


@pytest.mark.parametrize("modality", ["speech", "face", "text", "physio"])
def test_a_vector_is_looked_at_as_it_is_whatever_its_modality(train: Batch, modality: str) -> None:
    batch = replace(train, modality=modality, rate_hz=None, cache={})
    assert batch.kind == "vector" and usable(batch).all()
    np.testing.assert_array_equal(features_of(batch, "plain"), np.stack(train.signals).astype(np.float64))
    with pytest.raises(UserError, match="no network looks at vector"):
        encoder_images(batch)
    with pytest.raises(UserError, match="vectors of 2, 30 columns"):
        features_of(replace(batch, signals=[*batch.signals[:-1], np.ones(2, np.float32)], cache={}), "plain")


def test_units_do_not_count(train: Batch, strangers: Batch) -> None:
    """Scores are the same where columns come in other units."""
    units = (10.0 ** np.random.default_rng(0).uniform(-3, 3, 30)).astype(np.float64)

    def other(batch: Batch) -> Batch:
        return replace(batch, signals=[s * units for s in batch.signals], cache={})

    for name in ("validity", "copies", "agreement", "support"):
        fit = gate_class(name).fit
        fitted, again = (
            fit(b, classes=CLASSES, known_sha256=frozenset(), params={}, seed=0) for b in (train, other(train))
        )
        assert again.score(other(strangers)) == pytest.approx(fitted.score(strangers), rel=1e-3)


def test_copies_in_the_standardised_space(train: Batch, strangers: Batch) -> None:
    gate = Copies.fit(train, classes=CLASSES, params={}, seed=0)
    spread, rng = np.std(train.signals, axis=0), np.random.default_rng(0)
    near = [(s + 0.02 * spread * rng.standard_normal(s.shape)).astype(np.float32) for s in train.signals[:6]]
    limit = default_limit(gate).resolve(np.zeros(0))
    assert not admit(gate.score(with_rows(strangers, near)), limit, gate.better).any()
    assert admit(gate.score(strangers), limit, gate.better).all()
    known = replace(rows_of(strangers, np.arange(1)), sha256=train.sha256[:1])
    assert gate.score(known)[0] == 0.0 and gate.reasons(known) == ["exact-copy"]
    twice = with_rows(strangers, [*strangers.signals[:3], (strangers.signals[1] + 0.01 * spread).astype(np.float32)])
    assert gate.near_pairs(twice, limit) == [(1, 3)]
    kept = replace(with_rows(strangers, [train.signals[0], near[1]]), source_ids=((train.ids[0],), ("x",)))
    assert gate.score(kept)[0] == pytest.approx(0.0, abs=1e-2), "a conversion that changed nothing is a copy"
    with pytest.raises(UserError, match="copies: 2 columns, train has 30"):
        gate.score(with_rows(strangers, [np.ones(2, np.float32)]))


def test_a_source_counts_as_farther_than_others(train: Batch, strangers: Batch) -> None:
    gate = Copies.fit(train, classes=CLASSES, params={"own_times": 4.0}, seed=0)
    moved = (train.signals[0] + 0.2 * np.std(train.signals, axis=0)).astype(np.float32)
    plain, converted = (
        gate.score(replace(with_rows(strangers, [moved]), source_ids=(sources,))) for sources in ((), (train.ids[0],))
    )
    assert 0 < plain[0] < converted[0] <= 4.0 * plain[0] + 1e-9


def test_every_reason_of_validity(train: Batch, strangers: Batch) -> None:
    gate = Validity.fit(train, classes=CLASSES, params={}, seed=0)
    far = strangers.signals[0].copy()
    far[3] += 50 * np.std(train.signals, axis=0)[3]
    cases = {
        "not-decodable": np.zeros(0, np.float32),
        "not-finite": np.where(np.arange(30) == 4, np.nan, strangers.signals[0]),
        "wrong-columns": np.ones(29, np.float32),
        "out-of-range": far,
    }
    batch = with_rows(strangers, [*cases.values(), strangers.signals[1]])
    assert gate.reasons(batch) == [*cases, None]
    assert not admit(gate.score(batch), 1.0, gate.better)[:4].any() and gate.score(strangers).mean() > 0.9
    assert np.concatenate(list(gate.reference().values())).mean() > 0.9


def test_a_constant_column_has_the_scale_one() -> None:
    rows = [np.array([5.0, x], np.float32) for x in (0.0, 10.0, 20.0)]
    rules = VectorRules(VectorRules.learn(rows, 3.0))
    for first, second, reason in ((5.5, 0, None), (9, 0, "out-of-range"), (5, 39, None), (5, 41, "out-of-range")):
        assert rules.reason(np.array([first, second], np.float32)) == reason


def test_planted_defects_are_caught(train: Batch) -> None:
    sample: dict[str, Any] = {name: ({}, default_limit(gate_class(name))) for name in ("validity", "copies", "support")}
    sets: dict[str, Any] = {name: ({}, default_limit(gate_class(name))) for name in ("frechet", "kid", "vendi")}
    outcomes = {
        o.defect: o for o in quick(train, classes=CLASSES, sample_gates=sample, set_gates=sets, seed=0).outcomes
    }
    assert set(outcomes) == {HELD_OUT, *QUICK["vector"]}
    assert not outcomes[HELD_OUT].caught
    for name in ("copies 5%", "far column 5 %", "not a number 5 %", "noisy 2 sd"):
        assert outcomes[name].caught, name
    assert "validity" in outcomes["far column 5 %"].by and "copies" in outcomes["copies 5%"].by


def test_what_they_are_worth_to_a_classifier(train: Batch, strangers: Batch) -> None:
    worth = uplift(
        rows_of(train, np.arange(0, len(train), 2)), strangers, train, classes=CLASSES, seed=0, n_bootstrap=100
    )
    assert worth["classifier"].endswith("plain") and worth["arms"][0]["uar"] > 0.5


def test_a_real_person_passes(train: Batch, strangers: Batch) -> None:
    for name in ("agreement", "conformal", "support"):
        gate = gate_class(name).fit(train, classes=CLASSES, known_sha256=frozenset(), params={}, seed=0)
        limits, _ = class_limits(gate, default_limit(gate), CLASSES)
        at = np.array([limits[e] for e in strangers.emotions])
        passed = [admit(v[None], x, gate.better)[0] for v, x in zip(gate.score(strangers), at, strict=True)]
        assert np.mean(passed) > 0.6, name


def test_copies_of_vectors_count_as_all_distances_say(train: Batch) -> None:
    """Its sources and recordings that equal them count five times as far; everything else as it is."""
    rows = [np.asarray(s, np.float32) for s in train.signals]
    rows[1] = rows[0].copy()  # a recording that the corpus holds twice
    twice = with_rows(train, rows)
    gate = Copies.fit(twice, classes=CLASSES, params={"own_times": 5.0}, seed=0)
    rng = np.random.default_rng(0)
    strengths = np.linspace(0.01, 2.0, len(rows))
    moved = [r + s * rng.standard_normal(r.size).astype(np.float32) for r, s in zip(rows, strengths, strict=True)]
    asked = replace(with_rows(train, moved), ids=tuple(f"syn/{i}" for i in range(len(rows))))
    points, x = np.stack(rows).astype(np.float64), np.stack(moved).astype(np.float64)
    mean, spread = points.mean(axis=0), points.std(axis=0)
    points, x = (np.clip((a - mean) / spread, -10.0, 10.0) for a in (points, x))
    points = points.astype(np.float32).astype(np.float64)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    groups = np.asarray(train.groups)
    scale = np.median(np.where(groups[:, None] == groups[None], np.inf, apart).min(axis=1))
    ratios = np.linalg.norm(x[:, None] - points[None], axis=2) / scale
    np.testing.assert_allclose(gate.score(asked), ratios.min(axis=1), atol=1e-8)
    own = replace(asked, source_ids=tuple((name,) for name in train.ids), cache={})
    twins = apart < scale / 5.0
    assert twins[0, 1] and twins.sum() < 2 * len(rows)
    np.testing.assert_allclose(gate.score(own), np.where(twins, 5.0 * ratios, ratios).min(axis=1), atol=1e-8)

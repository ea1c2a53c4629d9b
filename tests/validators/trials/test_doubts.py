"""Labels that judges doubt: planted errors come first, and what cannot be judged is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corpora.errors import UserError
from validators.batch import Batch
from validators.trials.doubts import doubted_labels

CLASSES = ("anger", "fear", "joy")


def simulated(n: int = 300, people: int = 10, seed: int = 0) -> Batch:
    """Rows of features around the centre of their class, moved by who it is."""
    rng = np.random.default_rng(seed)
    centres, own = rng.normal(0, 2, (3, 8)), rng.normal(0, 0.5, (people, 8))
    y, who = np.arange(n) % 3, np.arange(n) // 3 % people
    x = centres[y] + own[who] + rng.normal(0, 1, (n, 8))
    ids = tuple(f"s{i:03d}" for i in range(n))
    groups = tuple(f"p{i}" for i in who)
    return Batch(
        modality="physio",
        layout="vector",
        ids=ids,
        emotions=tuple(CLASSES[k] for k in y),
        signals=[row.astype(np.float32) for row in x],
        sha256=ids,
        groups=groups,
        subjects=groups,
    )


def planted(batch: Batch, n: int, seed: int = 7) -> tuple[Batch, set[str]]:
    """`n` labels turned to another class."""
    rows = np.random.default_rng(seed).choice(len(batch), n, replace=False)
    emotions = list(batch.emotions)
    for i in rows:
        emotions[i] = CLASSES[(CLASSES.index(emotions[i]) + 1) % 3]
    return replace(batch, emotions=tuple(emotions), cache={}), {batch.ids[i] for i in rows}


def test_planted_errors_come_first() -> None:
    wrong, planted_ids = planted(simulated(), 20)
    doubts = doubted_labels(wrong, CLASSES, seed=0)
    assert len(doubts.rows) == 300, "nothing is dropped"
    first = {doubt.sample_id for doubt in doubts.rows[:20]}
    assert len(first & planted_ids) >= 18
    assert sum(doubt.issue for doubt in doubts.rows if doubt.sample_id in planted_ids) >= 18
    by_id = {doubt.sample_id: doubt for doubt in doubts.rows}
    truth = dict(zip(simulated().ids, simulated().emotions, strict=True))
    assert np.mean([by_id[i].answer == truth[i] for i in planted_ids]) >= 0.9
    assert [doubt.rank for doubt in doubts.rows] == list(range(1, 301))
    order = [(not doubt.issue, round(doubt.quality, 9)) for doubt in doubts.rows]
    assert order == sorted(order)
    assert doubts.agreed == np.mean([doubt.answer == doubt.given for doubt in doubts.rows])
    assert all(wrong.ids[doubt.row] == doubt.sample_id for doubt in doubts.rows)
    assert all(0 <= doubt.quality <= doubt.answer_p <= 1 for doubt in doubts.rows)


def test_clean_labels_are_mostly_left_alone() -> None:
    doubts = doubted_labels(simulated(), CLASSES, seed=0)
    assert sum(doubt.issue for doubt in doubts.rows) < 15 and not doubts.not_judged and not doubts.unsure
    assert doubts == doubted_labels(simulated(), CLASSES, seed=0)


def test_judges_have_not_met_whom_they_judge() -> None:
    """Everybody says joy in a way of their own: who had met them would know it, and nobody else can."""
    batch = simulated()
    own = np.random.default_rng(3).normal(0, 6, (10, 8))
    signals = [
        (own[int(g[1:])] if e == "joy" else s).astype(np.float32)
        for g, e, s in zip(batch.groups, batch.emotions, batch.signals, strict=True)
    ]
    doubts = doubted_labels(replace(batch, signals=signals, cache={}), CLASSES, seed=0)
    joy = [doubt.quality for doubt in doubts.rows if doubt.given == "joy"]
    assert len(joy) == 100 and np.mean(joy) < 0.6


def test_classes_of_few_or_of_one_person_are_said() -> None:
    batch = simulated()
    emotions = list(batch.emotions)
    emotions[:3] = ["rare"] * 3
    for i, group in enumerate(batch.groups):
        if group == "p4":
            emotions[i] = "alone"
    emotions[10] = "unknown"
    doubts = doubted_labels(replace(batch, emotions=tuple(emotions), cache={}), [*CLASSES, "rare", "alone"], seed=0)
    assert doubts.not_judged["rare"] == "has 3 samples; 5 are needed"
    assert "all its 30 samples in one group (p4)" in doubts.not_judged["alone"]
    assert doubts.classes == CLASSES and doubts.skipped == 1
    assert {doubt.given for doubt in doubts.rows} == set(CLASSES)
    with pytest.raises(UserError, match="rare has 3 samples"):
        doubted_labels(replace(batch, emotions=tuple(emotions), cache={}), ["rare", "joy"], seed=0)


def test_every_modality(make: Callable[..., Batch], modality: str) -> None:
    batch = make(modality, groups=range(8), per_cell=3)
    doubts = doubted_labels(batch, sorted(set(batch.emotions)), seed=0)
    assert len(doubts.rows) == len(batch) and doubts.groups == 8

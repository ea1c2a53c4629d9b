"""The set gates: each statistic against its own definition, one reference for all, and the defects that each is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from corpora.errors import ParamsError
from validators import reference
from validators.batch import rows_of
from validators.gate import Batch, default_limit, judge, measured_groups
from validators.gates.c2st import C2stGate
from validators.gates.coverage import CoverageGate
from validators.gates.frechet import FrechetGate
from validators.gates.kid import KidGate, _class_pairs
from validators.gates.mia import MembershipGate
from validators.gates.vendi import VendiGate
from validators.maths.c2st import discriminant_auc
from validators.maths.folds import group_halves
from validators.maths.kernel import kid
from validators.maths.prdc import prdc
from validators.memo import Memo
from validators.reference import Part, Reference, by_weight, estimate_of, matched_rows
from validators.trials.defects import as_candidates, collapsed_class, shuffled_labels

CLASSES = ("anger", "happiness", "sadness")
PLAIN = {"speech": {"embedding": "functionals"}, "face": {"embedding": "hog"}}
MATCHED = (FrechetGate, KidGate, C2stGate, VendiGate, CoverageGate)


def _fit(kind: Any, train: Batch, **params: Any) -> Any:
    return kind.fit(train, None, classes=CLASSES, params={**PLAIN[train.modality], **params}, seed=0)


def _verdicts(gate: Any, synthetic: Batch) -> dict[str, str]:
    return {
        group: judge(e, limit=default_limit(gate).resolve_floor(e), min_n=gate.min_n, better=gate.better)[0]
        for group, e in measured_groups(gate, synthetic, seed=1).items()
    }


@pytest.mark.parametrize("kind", MATCHED)
def test_strangers_do_not_fail(kind: Any, train: Batch, strangers: Batch) -> None:
    gate = _fit(kind, train)
    assert "fail" not in _verdicts(gate, strangers).values()
    assert measured_groups(gate, strangers, seed=1) == measured_groups(gate, strangers, seed=1)


@pytest.mark.parametrize("kind", [FrechetGate, KidGate, VendiGate, CoverageGate])
def test_noise_fails(kind: Any, train: Batch, strangers: Batch, change: Callable[..., Batch]) -> None:
    rng = np.random.default_rng(0)
    if train.modality == "speech":
        bad = change(strangers, lambda s: rng.uniform(-0.3, 0.3, s.shape).astype(np.float32))
    else:
        bad = change(strangers, lambda s: rng.integers(100, 140, s.shape).astype(np.uint8))
    assert _verdicts(_fit(kind, train), bad)["all"] == "fail"


def test_a_collapsed_class_is_named(train: Batch, strangers: Batch) -> None:
    bad = collapsed_class(strangers, train, np.random.default_rng(0))
    name = strangers.emotions[int(np.flatnonzero(bad.planted)[0])]
    said = _verdicts(_fit(VendiGate, train), bad.batch)
    assert said[name] == "fail" and [g for g, v in said.items() if v == "fail" and g != "all"] == [name]


def test_labels_count_in_kid_and_not_in_frechet(train: Batch, strangers: Batch) -> None:
    bad = shuffled_labels(strangers, train, np.random.default_rng(0)).batch
    kernel, gaussian = _fit(KidGate, train), _fit(FrechetGate, train)
    right, wrong = (kernel.measure(batch, seed=1) for batch in (as_candidates(strangers), bad))
    assert wrong.value > right.value + 0.15
    right, wrong = (gaussian.measure(batch, seed=1) for batch in (as_candidates(strangers), bad))
    assert wrong.value == pytest.approx(right.value, rel=0.2)


def test_kid_by_class_is_kid() -> None:
    """The vectorised halves give validators.maths.kernel.kid on those very rows."""
    rng = np.random.default_rng(3)
    real, made = rng.normal(size=(14, 4)), rng.normal(0.5, 1.0, size=(9, 4))
    in_a = np.asarray([rng.permutation(14) < 6 for _ in range(5)])
    found = _class_pairs(real, made, in_a, np.random.default_rng(0))
    order = np.argsort(np.random.default_rng(0).random((5, 9)), axis=1)
    for r in range(5):
        assert found[r, 0] == pytest.approx(kid(made[order[r, :5]], real[in_a[r]]).value)
        assert found[r, 1] == pytest.approx(kid(real[~in_a[r]], real[in_a[r]]).value)
    assert np.isnan(_class_pairs(real, made, np.eye(14, dtype=bool)[:1], rng)).all(), "one real sample is no set"


def test_a_class_that_some_halves_lack(strangers: Batch) -> None:
    """Each part of the reference lacks other repeats: those that both have are averaged."""
    rng = np.random.default_rng(0)
    embedding: Any = SimpleNamespace(name="made/up", embed=lambda batch: np.stack([s[:4] for s in batch.signals]))
    parts = []
    for k in range(2):
        groups = np.repeat(["g", "h", "i"], 20)
        labels = np.full(60, "sadness")
        labels[[0, 1, 20, 21, *([40] if k else [40, 41])]] = "anger"  # one in a group alone: no set
        parts.append(Part(embedding, rng.normal(size=(60, 4)), labels, groups))
    signals = [rng.normal(size=8).astype(np.float32) for _ in strangers.ids]
    made = replace(strangers, signals=signals, cache={})
    gate = KidGate(Reference(tuple(parts)), CLASSES, KidGate.Params())
    angry = rows_of(made, np.asarray(made.emotions) == "anger")
    missing = [int(np.isnan(gate.pairs(part, angry, 1)).any(axis=1).sum()) for part in parts]
    assert 0 < max(missing) < 50 and missing[0] != missing[1], missing
    found = measured_groups(gate, made, seed=1)
    assert all(np.isfinite(found[name].value) for name in ("all", "anger", "sadness"))
    assert np.isnan(found["happiness"].value) and found["happiness"].reason


def test_discriminant_auc() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 5)), rng.normal(size=(300, 5))
    assert discriminant_auc(x, y) == pytest.approx(0.5, abs=0.08)
    # two normals whose means differ by delta: the best AUC is Phi(delta / sqrt 2)
    shifted = y + np.array([1.0, 0, 0, 0, 0])
    assert discriminant_auc(x, shifted) == pytest.approx(0.7602, abs=0.04)
    assert discriminant_auc(x, y + 9.0) == 1.0
    assert np.isnan(discriminant_auc(x[:5], y))


def test_coverage_is_that_of_prdc(train: Batch) -> None:
    rng = np.random.default_rng(0)
    a, s = rng.normal(size=(30, 3)), rng.normal(size=(30, 3)) * 0.3
    gate = _fit(CoverageGate, train, k=4)
    assert gate.compare([s[:10], s[10:]], [a[:10], a[10:]]) == prdc(a, s, k=4).coverage


def test_membership_is_given_away_by_copies_and_not_by_strangers(make: Callable[..., Batch], modality: str) -> None:
    train, dev = make(modality, groups=range(16)), make(modality, groups=range(40, 56), seed=4)
    strangers = make(modality, groups=range(60, 76), seed=5)
    gate = MembershipGate.fit(train, dev, classes=CLASSES, params={}, seed=0)
    good, bad = _verdicts(gate, as_candidates(strangers)), _verdicts(gate, as_candidates(train))
    assert good["all"] != "fail" and bad["all"] == "fail"
    found = gate.measure(as_candidates(train), seed=1)  # half of the copies are drawn: at most half are given away
    assert found.low > found.floor + 0.1 and found.value > 0.6
    few = gate.measure(rows_of(as_candidates(strangers), np.arange(0, len(strangers), 3)), seed=1)
    assert few.n_synthetic == len(strangers) // 3 < len(dev) and few.value < 0.6, "fewer than dev has, and strangers"
    alone = MembershipGate.fit(train, None, classes=CLASSES, params={}, seed=0)
    assert "4 groups" in alone.measure(strangers, seed=1).reason


def test_gates_of_a_run_share_one_reference(train: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[str] = []
    real = reference.fit_embedding

    def counted(*args: Any, **kwargs: Any) -> Any:
        fitted.append(args[0])
        return real(*args, **kwargs)

    monkeypatch.setattr(reference, "_FITTED", Memo(4))
    monkeypatch.setattr(reference, "fit_embedding", counted)
    judges = {_fit(kind, train).judge for kind in MATCHED}
    assert len(judges) == 1 and len(fitted) == 2, "two folds of train, once for all gates"
    _fit(KidGate, replace(train, emotions=train.emotions[1:] + train.emotions[:1]))
    assert len(fitted) == 4, "other labels, another reference"


def test_halves_are_matched_and_share_no_group() -> None:
    rng = np.random.default_rng(0)
    groups, emotions = rng.integers(0, 9, 200).astype(str), rng.choice(["a", "b", "c"], 200)
    part = Part(None, rng.normal(size=(200, 2)), emotions, groups)  # type: ignore[arg-type]
    made = np.asarray(["a"] * 7 + ["b"] * 90)
    for s, a, b in matched_rows(part, labelled(made), repeats=10, seed=0):
        assert [len(x) for x in s] == [len(x) for x in a] == [len(x) for x in b] and len(s[0]) == 4
        assert not set(groups[np.concatenate(a)]) & set(groups[np.concatenate(b)])
        for name, rows, of_s in zip("ab", a, s, strict=True):
            assert set(emotions[rows]) == {name} == set(made[of_s]) and len(set(of_s)) == len(of_s)
    one = Part(None, part.points, emotions, np.full(200, "g"))  # type: ignore[arg-type]
    assert not list(matched_rows(one, labelled(made), repeats=2, seed=0))


def labelled(emotions: np.ndarray, weights: tuple[float, ...] = ()) -> Batch:
    n = len(emotions)
    return Batch("face", ("x",) * n, tuple(emotions), [np.ones((2, 2))] * n, ("",) * n, weights=weights)


def test_classes_stand_in_a_matched_set_as_their_weights_say() -> None:
    """80 rows of a that count for 10 stand beside 10 of b: as many of each, whatever a set holds in rows."""
    rng = np.random.default_rng(0)
    groups, emotions = rng.integers(0, 9, 400).astype(str), rng.choice(["a", "b"], 400)
    part = Part(None, rng.normal(size=(400, 2)), emotions, groups)  # type: ignore[arg-type]
    made = np.asarray(["a"] * 80 + ["b"] * 10)
    weights = (0.125,) * 80 + (1.0,) * 10
    seen: set[int] = set()
    for s, _, _ in matched_rows(part, labelled(made, weights), repeats=40, seed=0):
        assert [len(x) for x in s] == [5, 5]
        seen |= set(s[0])
    assert len(seen) > 70, "rows of a take turns"
    rows = [[len(x) for x in s] for s, _, _ in matched_rows(part, labelled(made), repeats=3, seed=0)]
    assert rows == [[40, 5]] * 3
    even = list(matched_rows(part, labelled(made, (0.25,) * 90), repeats=3, seed=0))
    plain = list(matched_rows(part, labelled(made), repeats=3, seed=0))
    assert all(np.array_equal(x, y) for t, u in zip(even, plain, strict=True) for x, y in zip(t[0], u[0], strict=True))


def test_rows_are_drawn_as_often_as_they_weigh_and_once() -> None:
    rng = np.random.default_rng(0)
    weights = np.array([1.0] * 4 + [0.25] * 16)  # sum 8: 4 rows may be drawn
    often = np.zeros(20)
    for _ in range(4000):
        rows = by_weight(np.arange(20), weights, 4, rng)
        assert len(set(rows)) == 4
        often[rows] += 1
    assert np.abs(often / 4000 - weights / 2).max() < 0.03


def test_the_pooled_kid_weighs_each_class_by_what_it_counts(strangers: Batch, train: Batch) -> None:
    gate, of_class = _fit(KidGate, train), np.asarray(strangers.emotions) == CLASSES[0]
    n, n_a = len(strangers), int(of_class.sum())

    def pooled(weight: float) -> float:
        return float(gate.measure(replace(strangers, weights=tuple(np.where(of_class, weight, 1.0))), seed=1).value)

    every, without = pooled(1.0), pooled(1e-9)
    assert every == gate.measure(strangers, seed=1).value
    own = (n * every - (n - n_a) * without) / n_a  # of the class alone
    assert pooled(0.25) == pytest.approx((n_a / 4 * own + (n - n_a) * without) / (n_a / 4 + n - n_a), rel=1e-6)
    half = np.where(of_class, 0.5, 1.0)
    assert gate.measure(replace(strangers, weights=tuple(half)), seed=1).n_synthetic == int(half.sum())


def test_rows_that_count_nothing_are_seen_by_no_matched_gate(strangers: Batch, train: Batch) -> None:
    """Samples of another class under the name of this one, each of all but no weight: as if they were not there."""
    liars = rows_of(strangers, np.asarray(strangers.emotions) != CLASSES[0])
    liars = replace(liars, emotions=(CLASSES[0],) * len(liars), cache={})
    both = Batch(
        strangers.modality,
        strangers.ids + liars.ids,
        strangers.emotions + liars.emotions,
        [*strangers.signals, *liars.signals],
        strangers.sha256 + liars.sha256,
        rate_hz=strangers.rate_hz,
        weights=(1.0,) * len(strangers) + (1e-9,) * len(liars),
    )
    for kind in (FrechetGate, KidGate):
        gate = _fit(kind, train)
        honest, seen = gate.measure(strangers, seed=1), gate.measure(both, seed=1)
        lied = gate.measure(replace(both, weights=()), seed=1)
        assert abs(seen.value - honest.value) < 0.4 * abs(lied.value - honest.value)
        assert seen.n_synthetic == honest.n_synthetic


def test_several_intervals_hold_together() -> None:
    """Of 200 nulls with 9 groups each, about one in twenty has an interval that misses; alone, one in three would."""
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(200):
        found = [estimate_of(np.c_[rng.normal(rng.normal(), 1.0, 400), np.zeros(400)], 9, 9, 9) for _ in range(9)]
        missed += any(not e.low <= 0 <= e.high for e in found)
    assert missed / 200 < 0.12
    one, many = (estimate_of(np.c_[rng.normal(size=400), np.zeros(400)], 9, 9, k) for k in (1, 9))
    assert many.high - many.low > 1.2 * (one.high - one.low)


@pytest.mark.parametrize("kind", MATCHED)
def test_bad_input_gives_no_number(kind: Any, train: Batch, strangers: Batch) -> None:
    gate = _fit(kind, train)
    awe = replace(strangers, emotions=("awe",) * len(strangers))
    empty = replace(strangers, signals=[np.zeros(0, strangers.signals[0].dtype), *strangers.signals[1:]], cache={})
    for bad in (awe, empty, rows_of(strangers, np.arange(0))):
        found = measured_groups(gate, bad, seed=1)["all"]
        assert np.isnan(found.value) and found.reason
    with pytest.raises(ParamsError, match="Did you mean 'both'"):
        _fit(kind, train, embedding="boht")


@pytest.mark.parametrize("m", [7, 8])
def test_each_half_is_compared_by_all_its_pairs(m: int) -> None:
    """Against sums over pairs, for halves of unequal size: cross terms and all."""
    rng = np.random.default_rng(4)
    real, made = rng.normal(size=(9, 3)), rng.normal(size=(m, 3)) + 0.4
    in_a = np.stack([rng.permutation(9) < n for n in (2, 4, 6)])
    found = _class_pairs(real, made, in_a, np.random.default_rng(11))
    order = np.argsort(np.random.default_rng(11).random((3, m)), axis=1)
    for a, drawn, (s_a, b_a) in zip(in_a, order, found, strict=True):
        half = made[drawn[: (m + 1) // 2]]
        assert s_a == pytest.approx(kid(half, real[a]).value, rel=1e-9)
        assert b_a == pytest.approx(kid(real[~a], real[a]).value, rel=1e-9)


def test_the_interval_is_that_of_the_excess_about_the_value() -> None:
    rng = np.random.default_rng(5)
    pairs = rng.normal(size=(400, 2)) * [3.0, 2.0] + [7.0, 1.0]
    excess = pairs[:, 0] - pairs[:, 1]
    alone = estimate_of(pairs, 30, 40)
    assert (alone.value, alone.floor) == pytest.approx((pairs[:, 0].mean(), pairs[:, 1].mean()))
    assert (alone.n_real, alone.n_synthetic) == (30, 40)
    low, high = np.sort(excess)[[9, 389]] - excess.mean() + alone.value  # 2.5 % of 400 on either side
    assert alone.low == pytest.approx(low, abs=0.05) and alone.high == pytest.approx(high, abs=0.05)
    several = estimate_of(pairs, 30, 40, comparisons=5)
    half = 2.5758293 * excess.std()  # z of 0.995: five intervals at 95 % together
    assert (several.low, several.high) == pytest.approx((alone.value - half, alone.value + half), rel=1e-6)


def test_both_sides_of_the_pooled_kid_are_weighted_by_class() -> None:
    """Two classes, three repeats: the number is what adding up by hand gives."""
    rng = np.random.default_rng(6)
    n, m = 24, 18
    emotions, asked = np.array(["a", "b"] * (n // 2)), np.array(["a"] * 6 + ["b"] * 12)
    real, made = rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + (asked == "b")[:, None]
    part = Part(
        SimpleNamespace(name="as it is", embed=lambda batch: made),
        real,
        emotions,
        np.array([f"g{i // 2}" for i in range(n)]),
    )  # type: ignore[arg-type]
    gate = KidGate(Reference((part,)), ("a", "b"), KidGate.Params(repeats=3))
    batch = Batch("speech", tuple(map(str, range(m))), tuple(asked), [made[i] for i in range(m)], ("",) * m)
    pairs = gate.pairs(part, batch, 2)
    halves = np.asarray(list(group_halves(part.groups, emotions, 3, 2)))
    again = np.random.default_rng(2)
    by_hand = np.zeros((3, 2))
    for name, weight in (("a", 6), ("b", 12)):
        rows, own = (
            again.permutation(np.flatnonzero(emotions == name)),
            again.permutation(np.flatnonzero(asked == name)),
        )
        by_hand += weight / 18 * _class_pairs(real[rows], made[own], halves[:, rows], again)
    assert pairs == pytest.approx(by_hand)

"""Each planted fault rings its own alarm and no other, over all kinds of samples; clean batches ring none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.validators.conftest import CLASSES as MADE
from tests.validators.conftest import made, make_batch
from validators.batch import Batch, rows_of
from validators.maths.alarms import Labelled, copied, level_ratio, one_and_the_same, strength
from validators.trials.alarms import ALARMS, COLLAPSE, COPIES, INTENSITY, SMOOTHING, batch_alarms, lines

CLASSES = ("anger", "fear", "neutral")
Make = Callable[[int, np.random.Generator, float], np.ndarray]  # class, rng, strength of the class -> signal
VOCABULARY = [f"word{i}" for i in range(400)]
COMMON = ["the", "a", "of", "it", "is"]


def vector(k: int, rng: np.random.Generator, strength: float) -> np.ndarray:
    """12 columns of spreads that fall, mixed; the class shifts the broad ones."""
    mix = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]
    x = rng.standard_normal(12) * 2.0 ** -np.arange(0, 6, 0.5)
    x[:3] += strength * 2.5 * np.eye(3)[k]
    return (x @ mix + 100).astype(np.float32)


def face(k: int, rng: np.random.Generator, strength: float) -> np.ndarray:
    """A slow pattern of the class, another one of the sample, and grain."""
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    person = sum(
        rng.normal(0, 12) * np.cos(np.pi * (a * x + b * y) / 2 + rng.uniform(0, 6))
        for a, b in ((1, 0), (0, 1), (1, 2), (2, 1))
    )
    own = 45 * strength * np.cos(2 * np.pi * (k + 1) * y) * np.exp(-(x**2) * 2)
    return np.clip(128 + person + own + rng.normal(0, 14, x.shape), 0, 255).astype(np.uint8)


def physio(k: int, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Two channels of 8 s: a slow wave whose height is the class, and a fast ripple."""
    t = np.arange(256) / 32
    level = np.array([1.0, 1.0]) + strength * np.array([(0.0, 0.0), (2.5, 0.0), (0.0, 2.5)])[k]
    wave = (
        np.sin(2 * np.pi * rng.uniform(0.15, 0.5) * t + rng.uniform(0, 6))[:, None] * level * rng.uniform(0.7, 1.3, 2)
    )
    return (wave + 0.3 * rng.standard_normal((256, 2)) + rng.normal(0, 0.4, 2)).astype(np.float32)


def text(k: int, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Common words, rare ones, and words of the class."""
    n = int(rng.integers(6, 24))
    own = [f"{CLASSES[k]}{i}" for i in range(12)]
    words = []
    for _ in range(n):
        pick = rng.random()
        pool = COMMON if pick < 0.5 else own if pick < 0.5 + 0.25 * strength else VOCABULARY
        words.append(str(rng.choice(pool)))
    return np.frombuffer(" ".join(words).encode(), np.uint8)


MAKE: dict[str, Make] = {"vector": vector, "face": face, "physio": physio, "text": text}


def batch_of(kind: str, n: int, seed: int, *, strength: float = 1.0, groups: int = 12) -> Batch:
    rng = np.random.default_rng(seed)
    names = [CLASSES[i % 3] for i in range(3 * n)]
    signals = [MAKE[kind](CLASSES.index(c), rng, strength) for c in names]
    return make_batch(kind, signals, names, [f"p{(i // 3) % groups}" for i in range(3 * n)])


def synthetic(batch: Batch, change: Callable[[np.ndarray], np.ndarray] = lambda s: s) -> Batch:
    signals = [change(s) for s in batch.signals]
    n = len(signals)
    return replace(
        batch,
        signals=signals,
        ids=tuple(f"syn/{i}" for i in range(n)),
        groups=tuple(f"syn/{i}" for i in range(n)),
        subjects=(None,) * n,
        sha256=tuple(hashlib.sha256(s.tobytes()).hexdigest() for s in signals),
        cache={},
    )


def collapsed(kind: str) -> Batch:
    """Three things of each class, again and again with a little noise."""
    rng, few = np.random.default_rng(5), batch_of(kind, 3, 77)
    rows = np.tile(np.arange(9), 20)
    noise = {"vector": 1e-3, "face": 1.0, "physio": 1e-3, "text": 0.0}[kind]
    return synthetic(rows_of(few, rows), lambda s: (s + noise * rng.standard_normal(s.shape)).astype(s.dtype))


def smooth(kind: str) -> Batch:
    """Without detail: small components, high frequencies, rare words and other lengths gone."""
    from scipy.ndimage import gaussian_filter, gaussian_filter1d

    clean = batch_of(kind, 60, 78)
    if kind == "vector":
        mix = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]

        def low(s: np.ndarray) -> np.ndarray:
            x = (s - 100) @ mix.T
            x[5:] *= 0.3
            return (x @ mix + 100).astype(np.float32)

        return synthetic(clean, low)
    if kind == "face":
        return synthetic(clean, lambda s: gaussian_filter(s.astype(float), 1.2).astype(np.uint8))
    if kind == "physio":
        return synthetic(clean, lambda s: gaussian_filter1d(s, 2.0, axis=0).astype(np.float32))
    rng = np.random.default_rng(4)

    def plain(s: np.ndarray) -> np.ndarray:
        words = bytes(s).decode().split()
        kept = [w if not w.startswith("word") or rng.random() < 0.3 else COMMON[rng.integers(5)] for w in words]
        return np.frombuffer(" ".join((kept * 3)[:13]).encode(), np.uint8)

    return synthetic(clean, plain)


def weak(kind: str) -> Batch:
    """The way to the class cut to a quarter."""
    return synthetic(batch_of(kind, 60, 79, strength=0.25))


def stolen(kind: str, train: Batch) -> Batch:
    """A fifth are train samples."""
    clean = batch_of(kind, 60, 80)
    signals = list(clean.signals)
    for i in range(0, len(signals), 5):
        own = [j for j, e in enumerate(train.emotions) if e == clean.emotions[i]]
        signals[i] = train.signals[own[i % len(own)]]
    return synthetic(replace(clean, signals=signals))


@pytest.fixture(scope="module", params=sorted(MAKE))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def train(kind: str) -> Batch:
    return batch_of(kind, 60, 1)


@pytest.mark.parametrize("planted", ["clean", COLLAPSE, SMOOTHING, INTENSITY, COPIES])
def test_a_planted_fault_rings_its_own_alarm_and_no_other(kind: str, train: Batch, planted: str) -> None:
    batch = {
        "clean": lambda: synthetic(batch_of(kind, 60, 76)),
        COLLAPSE: lambda: collapsed(kind),
        SMOOTHING: lambda: smooth(kind),
        INTENSITY: lambda: weak(kind),
        COPIES: lambda: stolen(kind, train),
    }[planted]()
    alarms = batch_alarms(train, batch, classes=CLASSES, seed=3)
    assert {a.name for a in alarms} == set(ALARMS), "each alarm says something, whatever it is"
    assert {a.name for a in alarms if a.state == "rings"} == ({planted} - {"clean"}), [a.line for a in alarms]


@pytest.mark.slow
def test_clean_batches_ring_in_no_more_than_one_seed_of_twenty(train: Batch, kind: str) -> None:
    rung = [
        any(
            a.state == "rings"
            for a in batch_alarms(train, synthetic(batch_of(kind, 30, seed)), classes=CLASSES, seed=2)
        )
        for seed in range(100, 120)
    ]
    assert sum(rung) <= 1


def test_few_samples_are_undecided_and_say_so(train: Batch, kind: str) -> None:
    alarms = batch_alarms(train, rows_of(synthetic(batch_of(kind, 60, 76)), np.arange(9)), classes=CLASSES, seed=3)
    assert {a.state for a in alarms} == {"undecided"} and all(a.reason for a in alarms)
    assert "are needed" in " ".join(lines(alarms, "undecided"))
    empty = batch_alarms(train, rows_of(train, np.arange(0)), classes=CLASSES, seed=3)
    assert {a.name for a in empty} == set(ALARMS) and {a.state for a in empty} == {"undecided"}


def test_train_of_few_people_gives_no_floor() -> None:
    few = batch_of("vector", 40, 1, groups=3)
    alarms = batch_alarms(few, synthetic(batch_of("vector", 40, 2)), classes=CLASSES, seed=3)
    assert {a.name for a in alarms if a.state == "undecided"} >= {COLLAPSE, SMOOTHING, INTENSITY}
    assert "fewer than 4 groups" in alarms[0].reason


def test_one_class_has_no_way_to_go() -> None:
    one, more = (rows_of(b, np.asarray(b.emotions) == "fear") for b in (batch_of("vector", 60, s) for s in (1, 2)))
    alarms = batch_alarms(one, synthetic(more), classes=("fear",), seed=3)
    (way,) = [a for a in alarms if a.name == INTENSITY]
    assert way.state == "undecided" and "one class alone" in way.reason
    assert not any(a.state == "rings" for a in alarms)


def test_one_class_that_collapsed_is_named() -> None:
    train, good = batch_of("vector", 60, 1), batch_of("vector", 60, 76)
    few = collapsed("vector")
    keep = np.asarray(few.emotions) == "fear"
    rows = np.asarray(good.emotions) != "fear"
    parts = [rows_of(synthetic(good), rows), rows_of(few, keep)]
    whole = make_batch(
        "vector",
        [s for p in parts for s in p.signals],
        [e for p in parts for e in p.emotions],
        [f"s{i}" for i in range(180)],
    )
    said = lines(batch_alarms(train, whole, classes=CLASSES, seed=3), "rings")
    assert len(said) == 1 and said[0].startswith("alarm: collapse of fear: different samples 0."), said


@pytest.mark.parametrize("kind", ["speech", "face", "text", "physio", "vector"])
def test_real_people_whom_train_has_not_met_ring_nothing(kind: str) -> None:
    train, strangers = (made(kind, groups=range(at, at + 8), per_cell=3) for at in (0, 50))
    alarms = batch_alarms(train, synthetic(strangers), classes=MADE, seed=3)
    assert {a.name for a in alarms} == set(ALARMS)
    assert not any(a.state == "rings" for a in alarms), lines(alarms, "rings")
    assert any(a.state == "quiet" for a in alarms)


def test_level_and_strength_are_what_was_planted() -> None:
    rng, n = np.random.default_rng(1), 400
    labels, groups = np.repeat(["a", "b"], n // 2), np.arange(n) % 20
    real, drawn = Labelled(labels, groups), Labelled(labels, np.arange(n))
    level = level_ratio(
        drawn, real, (0.5 * rng.exponential(size=n), rng.exponential(size=n)), ["a", "b"], least=12, seed=0
    )
    assert level["all"].value == pytest.approx(0.5, abs=0.08)
    assert level["a"].low < 0.5 < level["a"].high
    shift = np.where(labels == "a", 1.0, -1.0)[:, None] * [2.0, 0.0, 0.0]
    x_r, x_s = (rng.standard_normal((n, 3)) + share * shift for share in (1.0, 0.5))
    halves = [np.isin(groups, rng.permutation(20)[:10]) for _ in range(20)]
    way = strength((x_s, drawn), (x_r, real), halves, ["a", "b"], least=12, seed=0)
    # from the middle of real b at -2 to a at +2 are 4; synthetic a lies at +1: 3 of 4
    assert way["a"].value == pytest.approx(0.75, abs=0.06) and way["a"].floor == pytest.approx(1.0)


def test_copies_are_counted_against_chance() -> None:
    real, scores = np.linspace(0.4, 2.0, 200), np.r_[np.full(30, 0.1), np.full(70, 1.0), np.nan]
    reading = copied(scores, real, 0.5)
    assert (reading.value, reading.n_synthetic) == (0.3, 100)
    assert reading.floor == (real < 0.5).mean() and reading.low < 0.3 < reading.high


def test_rows_that_are_one_are_one() -> None:
    x = np.array([[0.0, 0.0], [0.1, 0.0], [3.0, 0.0], [3.05, 0.0], [9.0, 0.0]])
    assert one_and_the_same(x, 1.0).tolist() == [0, 0, 1, 1, 2]

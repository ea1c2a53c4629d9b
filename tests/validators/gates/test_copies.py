"""Copies, exact and near; and what is no copy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora.errors import UserError
from validators.batch import rows_of
from validators.gate import Batch, admit
from validators.gates.copies import Copies

CLASSES = ("anger", "happiness", "sadness")
Change = Callable[[Batch, Callable[[np.ndarray], np.ndarray]], Batch]


@pytest.fixture(scope="module", params=["speech", "face", "text", "physio"])
def modality(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def of_text(f: Callable[[str], str]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda signal: np.frombuffer(f(signal.tobytes().decode()).encode(), np.uint8)


def lines(texts: list[str], groups: list[str] | None = None) -> Batch:
    signals = [np.frombuffer(text.encode(), np.uint8) for text in texts]
    n = len(texts)
    return Batch(
        "text",
        tuple(f"c/{i}" for i in range(n)),
        tuple(CLASSES[i % 3] for i in range(n)),
        signals,
        tuple(hashlib.sha256(s.tobytes()).hexdigest() for s in signals),
        groups=tuple(groups or (f"g{i}" for i in range(n))),
        errors=(None,) * n,
    )


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
    elif train.modality == "text":
        changes = [
            of_text(lambda t: t.upper().replace(".", " !! ")),
            of_text(lambda t: " ".join("cheese" if i == 3 else word for i, word in enumerate(t.split()))),
            of_text(lambda t: " ".join(t.split()[1:])),
        ]
    elif train.modality == "physio":
        changes = [
            lambda s: (s * np.array([0.3, 2.0]) + np.array([5.0, -1.0])).astype(np.float32),
            lambda s: (s + 0.05 * s.std(axis=0) * rng.standard_normal(s.shape)).astype(np.float32),
            lambda s: np.repeat(s, 2, axis=0),  # at twice the rate
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
    elif train.modality == "text":
        nearly = change(train, of_text(str.upper))
        moved = change(train, of_text(lambda t: " ".join(w for i, w in enumerate(t.split()) if i % 3)))
    elif train.modality == "physio":
        nearly = change(train, lambda s: (0.99 * s + 0.01 * s.std(axis=0)).astype(np.float32))
        moved = change(
            train, lambda s: (s + 0.4 * s.std(axis=0) * np.sin(np.linspace(0, 9, len(s)))[:, None]).astype(np.float32)
        )
    else:
        nearly = change(train, lambda s: (0.9 * s).astype(np.uint8))
        moved = change(
            train, lambda s: np.clip(s + 50 * np.hypot(*np.mgrid[-1:1:32j, -1:1:32j]), 0, 255).astype(np.uint8)
        )
    sources = tuple((name,) for name in train.ids)
    assert not _passed(gate, replace(nearly, source_ids=sources)).any()
    plain, own = gate.score(moved), gate.score(replace(moved, source_ids=sources))
    assert (own >= plain).all() and np.median(own) > 1.2 * np.median(plain)


@pytest.mark.parametrize("modality", ["physio"], indirect=True)
def test_a_conversion_of_signals_may_move_level_and_spread_alone(
    gate: Copies, train: Batch, change: Change, tmp_path: Path
) -> None:
    """What the class does to a pulse or a skin conductance is its level: no shape of it changes."""
    own = replace(train, sha256=("",) * len(train), source_ids=tuple((name,) for name in train.ids))
    moved = change(own, lambda s: (1.2 * s + 0.8 * s.std(axis=0)).astype(np.float32))
    assert _passed(gate, moved).all()
    gate.save(tmp_path / "copies")
    np.testing.assert_array_equal(Copies.load(tmp_path / "copies").score(moved), gate.score(moved))
    assert not _passed(gate, replace(moved, source_ids=((),) * len(train))).any(), "of no declared source: a copy"
    strangers = tuple((train.ids[i - 1],) for i in range(len(train)))
    assert not _passed(gate, replace(moved, source_ids=strangers)).any(), "a copy of what is not its source"
    assert (gate.score(own) < 1e-3).all() and not _passed(gate, own).any(), "unchanged"


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


FILLER = [f"word{i} thing{i} goes{i} over{i} there{i} with{i} that{i}" for i in range(12)]


def test_what_several_people_say_is_no_copy() -> None:
    said = ["Thank you so much!", "thank you so much", "THANK YOU SO MUCH", "gay swans rule", *FILLER]
    gate = Copies.fit(lines(said), classes=CLASSES, params={}, seed=0)
    asked = lines(["Thank you so much!", "thank you, so much", "gay swans rule", "Gay swans rule.", "gay swans", "?!"])
    scores = gate.score(asked)
    assert (scores[:2] >= 1.0).all() and (scores[2:4] == 0.0).all() and scores[4] >= 1.0 and np.isnan(scores[5])
    assert gate.reasons(asked) == [None, None, "exact-copy", None, None, None]
    assert gate.near_pairs(asked, 0.5) == [(0, 1), (2, 3)]  # one of each is enough


def test_a_group_that_repeats_itself_is_one_voice() -> None:
    said = ["my cat is called Bob"] * 3 + FILLER
    gate = Copies.fit(lines(said, ["me"] * 3 + [f"g{i}" for i in range(12)]), classes=CLASSES, params={}, seed=0)
    assert gate.score(lines(["My cat is called Bob!"]))[0] == 0.0


def test_pairs_of_words_by_hand() -> None:
    gate = Copies.fit(lines(FILLER), classes=CLASSES, params={}, seed=0)  # real texts share no pair: 1 is typical
    one = FILLER[0].split()
    asked = lines([" ".join([*one[:6], "new"]), " ".join([*one[:3], "a", "b", "c", "d"]), "a b c d e f"])
    np.testing.assert_allclose(gate.score(asked), [1 / 6, 4 / 6, 1.0])
    assert np.allclose(np.concatenate(list(gate.reference().values())), 1.0)


def test_other_channels_are_an_error(make: Callable[..., Batch]) -> None:
    train = make("physio", groups=range(4))
    gate = Copies.fit(train, classes=CLASSES, params={}, seed=0)
    one = replace(train, signals=[s[:, :1] for s in train.signals], cache={})
    with pytest.raises(UserError, match="1 channels, train has 2"):
        gate.score(one)
    mixed = replace(train, signals=[*train.signals[:-1], train.signals[-1][:, :1]], cache={})
    with pytest.raises(UserError, match="1, 2 channels"):
        Copies.fit(mixed, classes=CLASSES, params={}, seed=0)


def test_constant_channels_are_no_shape(make: Callable[..., Batch]) -> None:
    train = make("physio", groups=range(4))
    gate = Copies.fit(train, classes=CLASSES, params={}, seed=0)
    flat = replace(train, signals=[np.full_like(s, 0.1) for s in train.signals], sha256=("",) * len(train), cache={})
    assert np.isfinite(gate.score(flat)).all()
    half = [np.stack([s[:, 0], np.full(len(s), 0.1, np.float32)], axis=1) for s in train.signals]
    assert (gate.score(replace(train, signals=half, sha256=("",) * len(train), cache={})) > 0.3).all()


def test_held_out_comments_pass_and_copies_do_not(shared_data: Path) -> None:
    """GoEmotions: held-out comments, and train comments with a word in eight replaced."""
    table = (shared_data / "goemotions" / "train.tsv").read_text(encoding="utf-8").splitlines()
    texts = list(dict.fromkeys(line.split("\t")[0] for line in table))
    rng = np.random.default_rng(0)
    order = rng.permutation(len(texts))
    train, held_out = ([texts[i] for i in rows] for rows in (order[:3000], order[3000:3400]))
    gate = Copies.fit(lines(train), classes=CLASSES, params={}, seed=0)
    assert _passed(gate, lines(held_out)).mean() > 0.97
    vocabulary = " ".join(train).split()
    near = []
    for words in (text.split() for text in train[:200] if len(text.split()) >= 6):
        for i in rng.permutation(len(words))[: max(1, round(len(words) / 8))]:
            words[i] = vocabulary[rng.integers(len(vocabulary))]
        near.append(" ".join(words))
    assert _passed(gate, lines(train[:200])).mean() < 0.02  # what two people say
    assert _passed(gate, lines(near)).mean() < 0.1

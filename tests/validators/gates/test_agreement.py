"""The judges: cross-fitted, calibrated, kept without pickle, and able to see a wrong label."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from corpora.errors import IntegrityError, ParamsError, UserError
from features.pretrained.packages import packaged
from tests.features.pretrained.carried import carry, tiny_minilm
from validators.batch import rows_of
from validators.gate import Batch
from validators.gates.agreement import Agreement, mixture_agreement
from validators.maths.judges import fit_temperature
from validators.roster import Roster

CLASSES = ("anger", "happiness", "sadness")


def _fit(train: Batch, **params: object) -> Agreement:
    return Agreement.fit(train, classes=CLASSES, params=params, seed=0)


def test_strangers_agree_and_wrong_labels_do_not(train: Batch, strangers: Batch) -> None:
    gate = _fit(train)
    right = gate.score(strangers)
    turned = dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True))
    wrong = gate.score(replace(strangers, emotions=tuple(turned[name] for name in strangers.emotions)))
    assert ((right > 0) & (right <= 1)).all()
    assert (right == 1.0).mean() > 0.7 and (wrong == 1.0).mean() < 0.2
    first = gate.predict(strangers).argmax(axis=1) == [CLASSES.index(name) for name in strangers.emotions]
    assert (first == (right == 1.0)).all()


def test_a_soft_label_is_judged_against_the_mixture(train: Batch, strangers: Batch) -> None:
    rng = np.random.default_rng(0)
    for p in rng.dirichlet(np.ones(4), 50):
        assert mixture_agreement(p, np.eye(4)[1]) == pytest.approx(p[1] / p.max()), "of one class: the plain score"
        q = rng.dirichlet(np.ones(4))
        orders = [float(q @ p[list(order)]) for order in itertools.permutations(range(4))]
        assert mixture_agreement(p, q) == pytest.approx(float(q @ p) / max(orders)), "brute force over all orders"
    gate = _fit(train)
    other = tuple(next(name for name in CLASSES if name != own) for own in strangers.emotions)
    asked = replace(strangers, emotions=other)  # a sample of one class, that should be a mixture of it with another
    plain, p = gate.score(asked), gate.predict(asked)
    shares = tuple({name: 0.6, own: 0.4} for own, name in zip(strangers.emotions, other, strict=True))
    mixed = gate.score(replace(asked, shares=shares))
    assert (mixed >= plain).all() and ((mixed == 1.0) == (plain == 1.0)).all(), "first choice is first choice"
    told = np.array([p[i][CLASSES.index(own)] == p[i].max() for i, own in enumerate(strangers.emotions)])
    assert told.mean() > 0.7 and (mixed[told] > plain[told]).all(), "what is heard as the rest of the mixture is nearer"
    alone = tuple({name: 1.0} for name in other)
    np.testing.assert_array_equal(gate.score(replace(asked, shares=alone)), plain)


def test_reference_is_what_judges_say_that_never_saw_the_sample(train: Batch) -> None:
    gate = _fit(train)
    again, reference = gate.score(train), gate.reference()
    assert set(reference) == set(CLASSES)
    labels = np.asarray(train.emotions)
    for name in CLASSES:
        assert reference[name] == pytest.approx(again[labels == name])
    # a judge that had seen them would know them all: labels at random are no better than chance out of fold
    shuffled = tuple(np.random.default_rng(0).permutation(labels).tolist())
    blind = _fit(replace(train, emotions=shuffled))
    hits = np.concatenate(list(blind.reference().values())) == 1.0
    assert hits.mean() < 0.55


def test_a_conversion_is_judged_only_by_who_never_saw_its_source(train: Batch, strangers: Batch) -> None:
    gate = _fit(train)
    n = len(strangers)
    converted = replace(strangers, source_ids=tuple((train.ids[i],) for i in range(n)))
    allowed = gate._allowed(converted)
    assert (allowed.sum(axis=1) == 1).all()
    for i in range(n):
        assert np.flatnonzero(allowed[i])[0] == gate._fold_of[train.ids[i]]
    assert gate._allowed(strangers).all()
    other = next(name for name in train.ids if gate._fold_of[name] != gate._fold_of[train.ids[0]])
    mixed = rows_of(replace(strangers, source_ids=((train.ids[0], other),) * n), np.arange(1))
    assert np.isnan(gate.score(mixed)).all()


def test_temperature_recovers_the_scale_of_the_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (6000, 3))
    target = np.array([rng.choice(3, p=p) for p in softmax(logits, axis=1)])
    assert fit_temperature(logits, target) == pytest.approx(1.0, abs=0.08)
    assert fit_temperature(4 * logits, target) == pytest.approx(4.0, abs=0.32)


def test_two_classes(train: Batch) -> None:
    part = rows_of(train, np.isin(np.asarray(train.emotions), CLASSES[:2]))
    gate = Agreement.fit(part, classes=CLASSES[:2], params={}, seed=0)
    p = gate.predict(part)
    assert p.sum(axis=1) == pytest.approx(1.0) and (gate.score(part) == 1.0).mean() > 0.7


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        (lambda i, e, g: e != "sadness", "'sadness' has no usable sample"),
        (lambda i, e, g: e != "sadness" or i == 6, "'sadness' has only one sample"),
        (lambda i, e, g: e != "sadness" or g == "demo:0", "'sadness' has only 3 samples of one group"),
        (lambda i, e, g: g == "demo:0", "at least 2 groups"),
    ],
)
def test_a_class_that_cannot_be_learned_is_named(
    make: Callable[..., Batch], keep: Callable[[int, str, str], bool], says: str
) -> None:
    whole = make("face", groups=range(3))
    rows = [keep(i, e, g) for i, (e, g) in enumerate(zip(whole.emotions, whole.groups, strict=True))]
    with pytest.raises(UserError, match=says):
        _fit(rows_of(whole, np.asarray(rows)))


def test_a_changed_file_is_noticed(train: Batch, tmp_path: Path) -> None:
    gate, other = _fit(train), _fit(train, folds=2)
    gate.save(tmp_path / "a")
    other.save(tmp_path / "b")
    (tmp_path / "b" / "gate.safetensors").replace(tmp_path / "a" / "gate.safetensors")
    with pytest.raises(IntegrityError):
        Agreement.load(tmp_path / "a")


def test_networks_as_judges(make: Callable[..., Batch], tmp_path: Path) -> None:
    train, strangers = make("face", groups=range(6)), make("face", groups=range(20, 24), seed=1)
    gate = _fit(train, judge="network", folds=2, steps=25)
    scores = gate.score(strangers)
    assert ((scores > 0) & (scores <= 1)).all() and gate.judge.startswith("network-2folds/")
    gate.save(tmp_path)
    loaded = Agreement.load(tmp_path)
    assert loaded.judge == gate.judge
    np.testing.assert_array_equal(loaded.score(strangers), scores)
    labels = np.asarray(train.emotions)
    assert loaded.reference()["anger"] == pytest.approx(gate.score(train)[labels == "anger"], rel=1e-5)
    with pytest.raises(ParamsError, match="Did you mean 'network'"):
        _fit(train, judge="netwrok")


def test_rows_that_cannot_be_used_teach_nobody(make: Callable[..., Batch]) -> None:
    """Not decodable, not finite, or of a class that the run does not have: as if they were not there."""
    train = make("face", groups=range(6))
    rows, n = np.arange(len(train)), len(train)
    spoilt = list(train.signals)
    spoilt[0], spoilt[7] = spoilt[0][:0], np.full_like(spoilt[7], np.nan, dtype=np.float32)
    emotions = tuple("grief" if i == 11 else name for i, name in enumerate(train.emotions))
    errors = tuple("truncated" if i == 0 else None for i in range(n))
    gate = _fit(replace(train, signals=spoilt, emotions=emotions, errors=errors, cache={}))
    whole = _fit(rows_of(train, ~np.isin(rows, (0, 7, 11))))
    assert gate.judge == whole.judge
    assert set(gate._fold_of) == {name for i, name in enumerate(train.ids) if i not in (0, 7, 11)}
    assert sum(len(scores) for scores in gate.reference().values()) == n - 3


def test_there_are_four_folds_unless_networks_judge(make: Callable[..., Batch]) -> None:
    train = make("face", groups=range(9))
    assert "-4folds/" in _fit(train).judge and set(_fit(train)._fold_of.values()) == {0, 1, 2, 3}
    assert _fit(train).judge == _fit(train, folds=4).judge != _fit(train, folds=3).judge
    assert _fit(train, judge="network+linear", steps=2).judge.startswith("network+linear-3folds/")


def test_judges_see_what_they_are_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path / "site", "minilm", tiny_minilm(), monkeypatch)
    words = {"anger": "sad dog", "happiness": "so happy!", "sadness": "the dog ran sadness"}
    rng = np.random.default_rng(0)
    lines = [(e, f"g{i % 8}", f"{'the ' * int(rng.integers(0, 3))}{words[e]}") for e in CLASSES for i in range(24)]
    emotions, groups, said = zip(*lines, strict=True)
    ids = tuple(f"t{i}" for i in range(len(lines)))
    train = Batch("text", ids, emotions, [np.frombuffer(s.encode(), np.uint8) for s in said], ids, groups=groups)
    gate = _fit(train, features="minilm", judge="linear")
    title = packaged("minilm").title()
    assert title in gate.judge and Agreement.encoders({"features": "ngrams+minilm"}) == ("minilm",)
    assert gate._arrays["0.mean"].shape == (384,)
    assert _fit(train, features="ngrams+minilm", judge="linear")._arrays["0.mean"].shape == (1024 + 384,)
    assert (np.concatenate(list(gate.reference().values())) == 1.0).mean() > 0.9
    gate.save(tmp_path / "gate")
    np.testing.assert_array_equal(Agreement.load(tmp_path / "gate").score(train), gate.score(train))
    carry(tmp_path / "site", "minilm", tiny_minilm(seed=1), monkeypatch)
    with pytest.raises(IntegrityError, match=r"fitted with minilm@.* installed is minilm@.* do not compare"):
        Agreement.load(tmp_path / "gate")


def test_features_of_another_modality_are_refused(train: Batch) -> None:
    foreign = "ngrams" if train.kind != "text" else "hog"
    with pytest.raises(UserError, match=f"features {foreign} are not of {train.kind}"):
        _fit(train, features=foreign)
    roster = Roster.of(train)
    asked = {"classes": CLASSES, "params": {"features": foreign}, "limit": Agreement.default_limit, "seed": 0}
    assert foreign in Agreement.foresee(roster, None, **asked).error  # type: ignore[arg-type]
    with pytest.raises(ParamsError, match="unknown features 'minlm'"):
        _fit(train, features="minlm")

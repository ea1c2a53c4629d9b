"""Support: near to people of the class is about 1, elsewhere far more; nobody is compared with themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corpora.errors import ParamsError, UserError
from validators.batch import rows_of
from validators.embeddings.features import PLAIN, features_of
from validators.embeddings.projection import Projection
from validators.gate import Batch, admit
from validators.gates import support
from validators.gates.support import Support
from validators.maths.privacy import Near

CLASSES = ("anger", "happiness", "sadness")


def _fit(train: Batch, **params: object) -> Support:
    return Support.fit(train, classes=CLASSES, params=params, seed=0)


def test_strangers_are_within_and_noise_is_not(train: Batch, strangers: Batch, change: Callable[..., Batch]) -> None:
    gate = _fit(train)
    limits = {name: gate.default_limit.resolve(values) for name, values in gate.reference().items()}
    rng = np.random.default_rng(0)
    if train.modality == "speech":
        far = change(strangers, lambda s: rng.uniform(-0.5, 0.5, s.shape).astype(np.float32))
    else:
        far = change(strangers, lambda s: rng.integers(0, 256, s.shape).astype(np.uint8))
    at = np.asarray([limits[name] for name in strangers.emotions])

    def passed(batch: Batch) -> float:
        return float(np.mean([admit(np.array([v]), x, "lower")[0] for v, x in zip(gate.score(batch), at, strict=True)]))

    assert passed(strangers) > 0.85 and passed(far) < 0.05
    assert np.median(gate.score(strangers)) == pytest.approx(1.0, abs=0.5)


def test_a_train_sample_is_judged_by_the_fold_that_holds_it_out(train: Batch) -> None:
    gate = _fit(train)
    again, labels = gate.score(train), np.asarray(train.emotions)
    for name in CLASSES:
        assert gate.reference()[name] == pytest.approx(again[labels == name])
    assert again.min() > 0.05, "its own distance would be 0"


def test_by_brute_force(train: Batch, strangers: Batch) -> None:
    """The formula, spelled out for one stranger and one fold."""
    gate = _fit(train, k=2, folds=2)
    converted = rows_of(replace(strangers, source_ids=((train.ids[0],),) * len(strangers)), np.arange(3))
    fold = gate._fold_of[train.ids[0]]
    rest = rows_of(train, np.asarray([gate._fold_of[i] != fold for i in train.ids]))
    x = features_of(rest, PLAIN[train.modality])
    projection = Projection.fit(x, 24, whiten=True)
    near = projection.apply(x)[np.asarray(rest.emotions) == converted.emotions[0]]
    point = projection.apply(features_of(converted, PLAIN[train.modality])[:1])
    distance = np.sort(np.linalg.norm(near - point, axis=1))[1]
    scale = gate._arrays["scale"][fold, CLASSES.index(converted.emotions[0])]
    assert gate.score(converted)[0] == pytest.approx(distance / scale)


def test_bad_input(train: Batch, strangers: Batch) -> None:
    gate = _fit(train)
    assert np.isnan(gate.score(replace(strangers, emotions=("awe",) * len(strangers), cache={}))).all()
    other = next(i for i in train.ids if gate._fold_of[i] != gate._fold_of[train.ids[0]])
    mixed = replace(strangers, source_ids=((train.ids[0], other),) * len(strangers))
    assert np.isnan(gate.score(mixed)).all()
    with pytest.raises(ParamsError, match="'k' is 0"):
        _fit(train, k=0)
    with pytest.raises(UserError, match="at least 2 groups"):
        _fit(replace(train, groups=("one",) * len(train)))


def test_neighbours_are_laid_out_once_for_all_lists(
    train: Batch, strangers: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, laid = _fit(train), []

    class Counted(Near):
        def __init__(self, reference: np.ndarray) -> None:
            laid.append(len(reference))
            super().__init__(reference)

    monkeypatch.setattr(support, "Near", Counted)
    whole = gate.score(strangers)
    once = len(laid)
    by_list = [gate.score(rows_of(strangers, np.arange(i, i + 1))) for i in range(len(strangers))]
    assert len(laid) == once == gate._n_folds * len(CLASSES)
    np.testing.assert_allclose(np.concatenate(by_list), whole, atol=1e-8)

"""Features of all of train are held once: what is computed from them takes one more of its size, and the same bits."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from validators.batch import Batch
from validators.embeddings import kept
from validators.embeddings.kept import vectors_of
from validators.embeddings.projection import Projection
from validators.maths.principal import leading
from validators.maths.sets import column_scale
from validators.maths.vector_validity import VectorRules
from validators.trials.looks import VectorEye

N, D = 4000, 64


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, D)) * rng.uniform(0.1, 5.0, D)
    x[:, 3], x[0, 5] = 1.0, 1e4  # a column that is constant, and a value beyond the clip
    return x


def batch_of(x: np.ndarray) -> Batch:
    names = tuple(f"v/{i}" for i in range(len(x)))
    return Batch("text", names, ("fear",) * len(x), list(x.astype(np.float32)), names, layout="vector")


def copies(run: Callable[[], object], of: np.ndarray) -> float:
    """The most memory that a run takes, in sizes of an array."""
    run()  # what is loaded once
    tracemalloc.start()
    run()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / of.nbytes


def test_a_projection_is_the_bits_of_its_formula(x: np.ndarray) -> None:
    projection = Projection.fit(x, 7, whiten=True)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    scale = column_scale(spread, mean)
    standard = np.clip((x - mean) / scale, -10.0, 10.0)
    _, components, variances = leading(standard, 7)
    np.testing.assert_array_equal(projection.components, components / np.sqrt(variances)[:, None])
    np.testing.assert_array_equal(projection.apply(x), standard @ projection.components.T)


def test_a_projection_takes_one_array_of_the_size(x: np.ndarray) -> None:
    assert copies(lambda: Projection.fit(x, 2), x) < 1.3
    projection = Projection.fit(x, 2)
    assert copies(lambda: projection.apply(x), x) < 1.3


def test_vectors_are_not_remembered_by_content(x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is computed of them: to look for each by its hash, and to keep a second one, is work for nothing."""

    def never(*_: object) -> None:
        raise AssertionError("looked for by content")

    monkeypatch.setattr(kept, "_by_content", never)
    batch = batch_of(x)
    np.testing.assert_array_equal(vectors_of(batch), x.astype(np.float32).astype(np.float64))
    assert vectors_of(batch) is vectors_of(batch), "made once for a batch"
    signals = batch.signals
    assert (
        copies(lambda: vectors_of(Batch("text", batch.ids, batch.emotions, signals, batch.sha256, layout="vector")), x)
        < 1.3
    )


def test_rules_of_vectors_are_learned_in_one_array_of_the_size(x: np.ndarray) -> None:
    rows = list(x.astype(np.float32))
    learned = VectorRules.learn(rows, 2.0)
    single = x.astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(learned["centre"], np.median(single, axis=0))
    farthest = np.abs(single - learned["centre"]).max(axis=0)
    np.testing.assert_array_equal(learned["reach"], 2.0 * column_scale(farthest, learned["centre"]))
    assert copies(lambda: VectorRules.learn(rows, 2.0), x) < 1.8, "float32, then float64"


def test_rows_that_cannot_be_used_are_zeros(x: np.ndarray) -> None:
    signals = [*x[:3].astype(np.float32), np.zeros(0, np.float32), np.full(D, np.nan, np.float32)]
    names = tuple(f"v/{i}" for i in range(5))
    vectors = vectors_of(Batch("text", names, ("fear",) * 5, signals, names, layout="vector"))
    assert vectors.shape == (5, D) and vectors[:3].any(axis=1).all() and not vectors[3:].any()


def test_an_eye_learns_in_one_array_of_the_size(x: np.ndarray) -> None:
    batch = batch_of(x)
    vectors_of(batch)
    assert copies(lambda: VectorEye(batch), x) < 2.2, "standardised, and the rows of a class at a time"

"""Features of texts and signals, and the embeddings that rest on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corpora.errors import UserError
from features.physio.paces import PACES_HZ, columns_at, trial_features
from features.text.ngrams import PIECE_COLUMNS, WORD_COLUMNS, hashed_ngrams
from validators.batch import rows_of, usable
from validators.embeddings import kept
from validators.embeddings.embedding import fit_embedding
from validators.embeddings.features import FEATURES, features_of
from validators.embeddings.images import encoder_images
from validators.embeddings.projection import Projection
from validators.gate import Batch
from validators.gates.agreement import Agreement
from validators.maths.text.words import text_of
from validators.memo import Memo

CLASSES = ("anger", "happiness", "sadness")
Make = Callable[..., Batch]
RATE = 128.0


def of(signal: np.ndarray, rate: float = RATE) -> dict[str, float]:
    return dict(zip(columns_at(rate), trial_features([signal], rate)[0], strict=True))


def test_a_pulse_is_found_at_its_rate() -> None:
    t = np.arange(int(20 * RATE)) / RATE
    for hz in (0.8, 1.25, 2.6):
        found = of(5.0 + np.sin(2 * np.pi * hz * t))
        assert found["pulse_hz"] == pytest.approx(hz, abs=0.05) and found["pulse_share"] > 0.6
    assert of(np.random.default_rng(0).normal(size=t.size))["pulse_share"] < 0.2


def test_entropies_of_white_noise_are_those_of_its_bands() -> None:
    """White noise of variance s^2 has s^2 (high - low) / (rate / 2) in a band: 1/2 ln(2 pi e of that)."""
    noise = 3.0 * np.random.default_rng(0).normal(size=200_000)
    found = of(noise)
    for low, high in PACES_HZ:
        expected = 0.5 * math.log(2 * math.pi * math.e * 9.0 * (high - low) / (RATE / 2))
        assert found[f"de_{low:g}-{high:g}Hz"] == pytest.approx(expected, abs=0.2 if high < 0.5 else 0.06)
    assert found["log_sd"] == pytest.approx(math.log(3.0), abs=0.01)
    assert found["roughness"] == pytest.approx(math.log(2 / math.sqrt(math.pi)), abs=0.01)


def test_gain_and_offset_do_what_they_should() -> None:
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.normal(size=(2000, 2)), axis=0)
    plain, louder = trial_features([x], RATE)[0], trial_features([10.0 * x + 4.0], RATE)[0]
    names = columns_at(RATE) * 2
    for name, a, b in zip(names, plain, louder, strict=True):
        shift = math.log(10.0) if name == "log_sd" or name.startswith("de_") else 0.0
        assert b == pytest.approx(10 * a + 4 if name == "mean" else a + shift, abs=1e-6), name
    assert of(np.linspace(0, 1, 500))["trend"] == pytest.approx(math.sqrt(12), abs=0.02)


@pytest.mark.parametrize("rate", [1.0, 4.0, 64.0, 512.0])
def test_every_trial_has_finite_features(rate: float) -> None:
    rng = np.random.default_rng(0)
    for signal in (np.full(50, 7.0), np.zeros(1), np.array([1.0, 2.0]), 1e-30 * rng.normal(size=90), np.full(9, 1e30)):
        found = trial_features([signal, rng.normal(size=300)], rate)
        assert found.shape == (2, len(columns_at(rate))) and np.isfinite(found).all()


def test_trials_that_do_not_fit_are_errors() -> None:
    with pytest.raises(UserError, match="1, 2 channels"):
        trial_features([np.zeros((9, 2)), np.zeros((9, 1))], RATE)
    with pytest.raises(UserError, match="rate"):
        trial_features([np.zeros((9, 2))], 0.0)
    projection = Projection.fit(np.random.default_rng(0).normal(size=(9, 4)), 2)
    with pytest.raises(UserError, match="other channels or rate"):
        projection.apply(np.zeros((3, 5)))


def test_hashed_words_are_the_same_everywhere() -> None:
    found = hashed_ngrams(["I'm so happy!!", "so happy i'm !!", "", "xyzzy"])
    assert found.shape == (4, WORD_COLUMNS + PIECE_COLUMNS) and np.isfinite(found).all()
    np.testing.assert_allclose(found[0, :WORD_COLUMNS], found[1, :WORD_COLUMNS])  # a bag of words, case folded
    assert not found[2].any()
    assert np.linalg.norm(found[[0, 3], :WORD_COLUMNS], axis=1) == pytest.approx(1.0)
    word = np.flatnonzero(found[3, :WORD_COLUMNS])
    assert (word.tolist(), found[3, word].tolist()) == GOLDEN_XYZZY
    np.testing.assert_allclose(hashed_ngrams(["xyzzy"])[0], found[3])
    assert hashed_ngrams([]).shape == (0, WORD_COLUMNS + PIECE_COLUMNS)


# scikit-learn 1: murmurhash3_32("xyzzy", seed=0) is 1169592324: column |h| % 512, and the sign of h
GOLDEN_XYZZY = ([4], [1.0])


def test_what_is_no_text() -> None:
    assert text_of(np.frombuffer("é".encode(), np.uint8)) == "é"
    assert text_of(np.frombuffer(b"\xe9", np.uint8)) is None
    assert text_of(np.zeros(3, np.float32)) is None and text_of(np.zeros((2, 2), np.uint8)) is None


@pytest.mark.parametrize("modality", ["text", "physio"])
@pytest.mark.parametrize("kind", ["trained", "both"])
def test_trained_is_linear_where_there_is_no_picture(make: Make, modality: str, kind: str) -> None:
    train, other = make(modality, groups=range(8)), make(modality, groups=range(20, 24), seed=1)
    found = fit_embedding(kind, train, classes=CLASSES, seed=0, dims=4, whiten=True, options={"steps": None})
    assert "-linear/" in found.name and found.dim == (2 if kind == "trained" else 6)
    points = found.embed(other)
    labels = np.asarray(other.emotions)
    own = np.stack([points[labels == name, :2].mean(axis=0) for name in CLASSES])
    nearest = np.linalg.norm(points[:, None, :2] - own, axis=2).argmin(axis=1)
    assert (np.asarray(CLASSES)[nearest] == labels).mean() > 0.7
    again = fit_embedding(kind, replace(train, cache={}), classes=CLASSES, seed=0, dims=4, whiten=True, options={})
    assert again.name == found.name
    broken = replace(other, signals=[np.zeros(0, other.signals[0].dtype), *other.signals[1:]], cache={})
    rows = found.embed(broken)
    assert np.isnan(rows[0]).all() and not usable(broken)[0]
    np.testing.assert_allclose(rows[1:], points[1:])


@pytest.mark.parametrize("modality", ["text", "physio"])
def test_no_network_looks_at_them(make: Make, modality: str) -> None:
    train = make(modality, groups=range(4))
    with pytest.raises(UserError, match="no network"):
        Agreement.fit(train, classes=CLASSES, params={"judge": "linear+network"}, seed=0)
    with pytest.raises(UserError, match="no network"):
        encoder_images(train)
    with pytest.raises(UserError, match="2 classes"):
        fit_embedding("trained", train, classes=("anger",), seed=0, dims=4, options={})
    assert features_of(train, {"text": "ngrams", "physio": "paces"}[modality]).shape[0] == len(train)


def test_features_are_kept_by_content(make: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another batch of the same signals is not looked at again and gets the same bits; the oldest are forgotten."""
    monkeypatch.setattr(kept, "_MEMO", Memo(10**6, size=lambda row: row.size))
    real, asked = FEATURES["face"]["hog"], []

    def counted(batch: Batch, rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return real(batch, rows)

    monkeypatch.setitem(FEATURES["face"], "hog", counted)
    batch = make("face", groups=range(2))
    first = features_of(replace(batch, cache={}), "hog")
    half = replace(rows_of(batch, np.arange(0, len(batch), 2)), cache={})
    np.testing.assert_array_equal(features_of(half, "hog"), first[::2])
    assert asked == [len(batch)]
    memo: Memo[tuple[str, str, bytes], np.ndarray] = Memo(first.shape[1], size=lambda row: row.size)
    monkeypatch.setattr(kept, "_MEMO", memo)
    features_of(replace(make("face", groups=range(5, 7)), cache={}), "hog")
    assert len(memo) == 1


def test_a_sample_is_known_by_values_shape_type_and_rate() -> None:
    x = np.arange(6, dtype=np.float32)
    assert kept.content_key(x, 8000) == kept.content_key(x.copy(), 8000.0)
    others = [(x, 4000.0), (x, None), (x.reshape(2, 3), 8000.0), (x.view(np.int32), 8000.0), (x + 1, 8000.0)]
    assert len({kept.content_key(x, 8000.0), *(kept.content_key(*other) for other in others)}) == 6

"""The small encoder: deterministic, independent of its batch, kept without pickle, honest about time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from corpora.errors import IntegrityError, UserError
from features.encoders import TrainedEncoder
from features.speech.logmel import logmel, time_normalised_logmel


def _encoder(seed: int = 0) -> TrainedEncoder:
    torch.manual_seed(seed)
    return TrainedEncoder(("a", "b", "c"), shape=(32, 48), mean=3.0, scale=2.0, width=4, kind="face")


def test_rows_do_not_depend_on_their_batch() -> None:
    encoder, x = _encoder(), np.random.default_rng(0).normal(3, 2, (5, 32, 48))
    whole = encoder.embed(x)
    assert whole.shape == (5, 32) and whole.dtype == np.float64 and encoder.logits(x).shape == (5, 3)
    np.testing.assert_allclose(encoder.embed(x[2:3]), whole[2:3], rtol=1e-5, atol=1e-6)
    assert encoder.embed(x[:0]).shape == (0, 32)


def test_saved_and_loaded(tmp_path: Path) -> None:
    encoder, x = _encoder(), np.random.default_rng(0).normal(3, 2, (4, 32, 48))
    encoder.save(tmp_path)
    loaded = TrainedEncoder.load(tmp_path)
    assert loaded.name == encoder.name and loaded.classes == encoder.classes and encoder.name != _encoder(1).name
    np.testing.assert_array_equal(loaded.embed(x), encoder.embed(x))
    (tmp_path / "encoder.safetensors").write_bytes(b"0" * 100)
    with pytest.raises(IntegrityError):
        TrainedEncoder.load(tmp_path)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(UserError, match="32, 48"):
        _encoder().embed(np.zeros((2, 48, 32)))
    with pytest.raises(UserError, match="16 x 16"):
        TrainedEncoder(("a", "b"), shape=(8, 48), mean=0.0, scale=1.0)


@pytest.mark.parametrize("n", [1, 800, 8000, 40000])
def test_time_normalised_logmel_keeps_the_mean_over_time(n: int) -> None:
    signal = np.random.default_rng(0).normal(0, 0.1, n).astype(np.float32) * np.linspace(0.1, 1, n, dtype=np.float32)
    image = time_normalised_logmel(signal, 16000, 64)
    assert image.shape == (40, 64) and np.isfinite(image).all()
    np.testing.assert_allclose(image.mean(axis=1), logmel(signal, 16000).mean(axis=1), rtol=1e-4)


def test_time_normalised_logmel_keeps_order() -> None:
    signal = np.concatenate([np.zeros(8000), np.random.default_rng(0).normal(0, 0.1, 8000)]).astype(np.float32)
    image = time_normalised_logmel(signal, 16000, 64)
    assert image[:, :30].mean() < -90 and image[:, 34:].mean() > -60

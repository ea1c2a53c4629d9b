"""Each autoencoder recovers what is known of a toy corpus: means, covariances, spectra, modes, the prior of codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from features.representation import Spec
from generators.generator import Condition, Device, Draw, TrainData, generator_class

CPU = Device()
CLASSES = ("low", "high")


def corpus(arrays: np.ndarray, labels: np.ndarray, spec: Spec, classes: tuple[str, ...] = CLASSES) -> TrainData:
    n = len(arrays)
    return TrainData(
        spec=spec,
        classes=classes,
        arrays=arrays.astype(np.float32),
        emotions=tuple(classes[k] for k in labels),
        ids=tuple(f"t/{i}" for i in range(n)),
        groups=tuple(f"t:{i}" for i in range(n)),
        subjects=(None,) * n,
        held_out=np.zeros(n, bool),
    )


def vector(columns: int) -> Spec:
    return Spec("known", (columns,), layout="vector", rows=tuple(f"c{i}" for i in range(columns)))


def fitted(name: str, data: TrainData, steps: int, **params: Any) -> Any:
    model = generator_class(name)(data.spec, data.classes, **params)
    for _ in model.fit(data, steps=steps, seed=3, device=CPU):
        pass
    return model


def drawn(model: Any, emotion: str, n: int) -> np.ndarray:
    sampled: np.ndarray = model.sample([Draw(Condition(emotion), 50 + i) for i in range(n)], device=CPU)
    return sampled


def gaussians(n: int = 800) -> tuple[TrainData, list[np.ndarray], list[np.ndarray]]:
    """Two classes of known means [4] and covariances [4, 4]."""
    rng = np.random.default_rng(1)
    means = [np.array([-1.5, 0.0, 1.0, 0.0]), np.array([1.5, 0.5, -1.0, 0.0])]
    low = np.eye(4)
    low[0, 1] = low[1, 0] = 0.8
    high = np.diag([0.5, 1.5, 1.0, 1.0])
    high[2, 3] = high[3, 2] = -0.7
    labels = np.arange(n) % 2
    arrays = np.stack([rng.multivariate_normal(means[k], (low, high)[k]) for k in labels])
    return corpus(arrays, labels, vector(4)), means, [low, high]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("cvae", {"latent": 4}),
        ("cvae", {"latent": 4, "emotion_head": 0.3}),
        ("aae", {"latent": 4}),
        pytest.param("aae", {"latent": 4, "prior": "normal"}, marks=pytest.mark.slow),
        ("masked", {"latent": 4}),
        ("vae_gan", {"latent": 4}),
        pytest.param("vae_gan", {"latent": 4, "critics": "two", "adversarial": 0.02}, marks=pytest.mark.slow),
    ],
    ids=lambda p: p if isinstance(p, str) else "-".join(map(str, p.values())),
)
def test_means_and_covariances_of_classes_are_recovered(name: str, params: dict[str, Any]) -> None:
    """Means within 0.35 of a standard deviation, covariances within 0.45 of their norm."""
    data, means, covariances = gaussians()
    model = fitted(name, data, 250, width=8, temperature=1.0, batch_size=64, **params)
    for k, emotion in enumerate(CLASSES):
        x = drawn(model, emotion, 1000)
        off = np.abs(x.mean(axis=0) - means[k]) / np.sqrt(np.diag(covariances[k]))
        assert off.max() < 0.35, f"{name} {emotion}: {off.round(2)}"
        wrong = np.linalg.norm(np.cov(x.T) - covariances[k]) / np.linalg.norm(covariances[k])
        assert wrong < 0.45, f"{name} {emotion}: {wrong:.2f}\n{np.cov(x.T).round(2)}"


@pytest.mark.parametrize("name", ["cvae", pytest.param("masked", marks=pytest.mark.slow)])
def test_the_spectrum_of_a_class_is_recovered(name: str) -> None:
    """Class "low" swings 3 times in a window, "high" 7 times, at any phase: the power of samples peaks there."""
    rng, n, t = np.random.default_rng(2), 160, np.arange(64) / 64
    labels = np.arange(n) % 2
    swings = np.where(labels == 0, 3, 7)[:, None, None]
    phase = rng.random((n, 1, 1)) * 2 * np.pi
    waves = np.sin(2 * np.pi * swings * t + phase) + rng.normal(0, 0.1, (n, 1, 64))
    data = corpus(waves, labels, Spec("wave", (1, 64), layout="rows", rate_hz=64.0))
    model = fitted(name, data, 250, width=8, latent=4, lr=5e-3, residual=0.0)
    for emotion, expected in (("low", 3), ("high", 7)):
        power = (np.abs(np.fft.rfft(drawn(model, emotion, 100)[:, 0])) ** 2).mean(axis=0)
        assert power[1:].argmax() + 1 == expected
        assert power[expected] / power[1:].sum() > 0.5, f"{emotion}: {power[expected] / power[1:].sum():.2f}"


def ring(n: int = 800) -> tuple[TrainData, np.ndarray]:
    """Eight Gaussians on a ring of radius 2, all of one class (the other: a Gaussian far away)."""
    rng = np.random.default_rng(5)
    angles = 2 * np.pi * np.arange(8) / 8
    modes = 2.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    around = modes[np.arange(n) % 8] + rng.normal(0, 0.1, (n, 2))
    arrays = np.concatenate([around, rng.normal(5.0, 0.2, (100, 2))])
    return corpus(arrays, np.array([0] * n + [1] * 100), vector(2)), modes


def test_the_modes_of_a_ring_are_recovered_by_a_mixture_of_codes_and_not_by_one_gaussian() -> None:
    data, modes = ring()
    shares = {}
    for components in (1, 8):
        model = fitted("masked", data, 300, width=8, latent=2, noise=0.02, components=components, temperature=1.0)
        x = drawn(model, "low", 400)
        away = np.linalg.norm(x[:, None] - modes[None], axis=2)
        shares[components] = float((away.min(axis=1) < 0.4).mean())
        if components == 8:
            hit = np.bincount(away.argmin(axis=1)[away.min(axis=1) < 0.4], minlength=8)
            assert (hit >= 20).all(), f"every mode: {hit}"
    assert shares[8] > 0.9 > shares[1] + 0.3, shares


@pytest.mark.slow
def test_codes_of_an_adversarial_autoencoder_follow_its_prior() -> None:
    data, _, _ = gaussians()
    far = {}
    for adversarial in (0.0, 0.3):
        model = fitted("aae", data, 250, width=8, latent=2, adversarial=adversarial, batch_size=64)
        density, prior = model.network.density, model._means()
        spread = torch.diagonal(density.factor[:, 0] @ density.factor[:, 0].mT, dim1=1, dim2=2)
        far[adversarial] = float((density.mean[:, 0] - prior).abs().mean() + (spread - 1.0).abs().mean())
    assert far[0.3] < 0.8 and far[0.3] < 0.5 * far[0.0], far
    model.params = replace_codes(model.params)
    model._settle(_train_set(model, data))
    assert torch.equal(model.network.density.mean[:, 0], model._means()), "drawn from the prior itself, where asked"


def replace_codes(params: Any) -> Any:
    return params.model_copy(update={"codes": "prior"})


def _train_set(model: Any, data: TrainData) -> Any:
    from generators.condition import train_conditions
    from generators.trained import TrainSet

    x = model.network.normaliser(torch.from_numpy(data.arrays.reshape(len(data.arrays), *data.spec.grid)))
    return TrainSet(x, train_conditions(data, model.fields), np.arange(len(x)))


@pytest.mark.slow
def test_the_two_parts_of_a_code_are_told_apart_by_what_they_can_answer() -> None:
    """Two columns show the class, two the subject: the emotion's part of the code knows the class, the other not."""
    rng, n = np.random.default_rng(0), 400
    labels, people = np.arange(n) % 2, rng.integers(0, 2, n)
    arrays = rng.normal(0, 0.3, (n, 4))
    arrays[:, :2] += 2.0 * labels[:, None]
    arrays[:, 2:] += 2.0 * people[:, None]
    data = replace(corpus(arrays, labels, vector(4)), subjects=tuple(f"p{i}" for i in people))
    tells = {}
    for orthogonal in (0.0, 3.0):
        model = fitted(
            "cvae", data, 300, width=8, latent=4, split=0.5, emotion_head=1.0, subject_head=1.0,
            orthogonal=orthogonal, honours=["subject"], batch_size=64,
        )  # fmt: skip
        train = _train_set(model, data)
        code, _ = model.network.encode(train.x, model.network.read_under(train.conditions))
        code = code.detach().numpy()
        tells[orthogonal] = [
            float(np.abs(np.corrcoef(code[:, part].T, labels)[-1, :-1]).max()) for part in (slice(0, 2), slice(2, 4))
        ]
    own, other = tells[3.0]
    assert own > 0.8 and other < 0.3 and other < tells[0.0][1] + 0.05, tells

"""A ring of eight Gaussians comes back by the default settings for vectors: modes, means and covariances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from features.representation import Spec
from generators.gan.gan import ConditionalGAN
from generators.generator import Condition, Device, Draw, TrainData

RING = Spec("ring", (2,), layout="vector")
MODES, RADIUS, SPREAD, N = 8, 4.0, 0.3, 800
CENTRES = RADIUS * np.stack([f(2 * np.pi * np.arange(MODES) / MODES) for f in (np.cos, np.sin)], axis=1)


def ring(classes: int) -> TrainData:
    """Mode m is of class m modulo `classes`."""
    rng = np.random.default_rng(0)
    modes = rng.permutation(np.arange(N) % MODES)
    names = tuple(f"c{k}" for k in range(classes))
    ids = tuple(str(i) for i in range(N))
    return TrainData(
        spec=RING,
        classes=names,
        arrays=(CENTRES[modes] + rng.normal(0, SPREAD, (N, 2))).astype(np.float32),
        emotions=tuple(names[m % classes] for m in modes),
        ids=ids,
        groups=ids,
        subjects=(None,) * N,
        held_out=np.zeros(N, bool),
    )


SHORT = {"width": 8, "batch_size": 64, "lr": 1e-3, "lr_discriminator": 1e-3}  # in seconds; the rest is as by default


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("classes", "steps", "inside"), [(8, 400, 0.95), pytest.param(2, 800, 0.85, marks=pytest.mark.slow)]
)
def test_a_ring_of_gaussians_is_recovered(classes: int, steps: int, inside: float) -> None:
    """Eight classes of one mode, and two classes of four modes each. Bounds: share of samples within 3 standard
    deviations of a mode of the class that was asked for; every mode has at least half of its share; means within one
    standard deviation; standard deviations along both axes of each mode's ellipse within a factor of 2.5."""
    torch.set_num_threads(1)
    data = ring(classes)
    gan = ConditionalGAN(RING, data.classes, **SHORT)
    for _ in gan.fit(data, steps=steps, seed=1, device=Device()):
        pass
    drawn = gan.sample([Draw(Condition(data.classes[i % classes]), i) for i in range(N)], device=Device())
    distance = np.linalg.norm(drawn[:, None] - CENTRES[None], axis=2)
    modes = distance.argmin(axis=1)
    close = distance.min(axis=1) < 3 * SPREAD
    assert (close & (modes % classes == np.arange(N) % classes)).mean() > inside
    for mode in range(MODES):
        own = drawn[(modes == mode) & close]
        assert len(own) > N / MODES / 2, f"mode {mode} is hardly there"
        assert np.linalg.norm(own.mean(axis=0) - CENTRES[mode]) < SPREAD
        axes = np.sqrt(np.linalg.eigvalsh(np.cov(own.T)))
        assert axes[0] > SPREAD / 2.5 and axes[1] < 2.5 * SPREAD, f"mode {mode}: {axes}"


@pytest.mark.slow
def test_a_critic_that_lags_behind_lets_classes_shrink() -> None:
    """Why vectors have defaults of their own: with spectral norm and one step of the critic, each class of correlated
    columns loses most of its spread."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    labels = np.arange(160) % 4
    mixing, centres = rng.normal(size=(4, 20, 6)), rng.normal(0, 1.2, (4, 20))
    arrays = centres[labels] + 0.4 * np.einsum("ndk,nk->nd", mixing[labels], rng.normal(size=(160, 6)))
    few = ring(4)
    data = replace(
        few,
        spec=Spec("cloud", (20,), layout="vector"),
        arrays=arrays.astype(np.float32),
        emotions=tuple(few.classes[k] for k in labels),
        **{name: getattr(few, name)[:160] for name in ("ids", "groups", "subjects", "held_out")},
    )

    def share_of_spread(**params: Any) -> float:
        gan = ConditionalGAN(data.spec, data.classes, width=8, **params)
        for _ in gan.fit(data, steps=300, seed=1, device=Device()):
            pass
        drawn = gan.sample([Draw(Condition(data.classes[i % 4]), i) for i in range(400)], device=Device())
        return float(np.mean([drawn[k::4].std(axis=0) / arrays[k::4].std(axis=0) for k in range(4)]))

    default, lagging = share_of_spread(), share_of_spread(critic_steps=1, r1=0.0, spectral=True)
    assert default > 0.75 and lagging < 0.6, (default, lagging)

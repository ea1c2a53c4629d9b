"""A ring of eight Gaussians comes back by the default settings for vectors: modes, means and covariances."""

from __future__ import annotations

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


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("classes", "inside"), [(8, 0.95), (2, 0.85)])
def test_a_ring_of_gaussians_is_recovered(classes: int, inside: float) -> None:
    """Eight classes of one mode, and two classes of four modes each, by the defaults but for the width (for the time of
    a test). Bounds: share of samples within 3 standard deviations of a mode of the class that was asked for; every mode
    has at least a third of its share; means within one standard deviation; standard deviations along both axes of each
    mode's ellipse within a factor of two."""
    torch.set_num_threads(1)
    data = ring(classes)
    gan = ConditionalGAN(RING, data.classes, width=8)
    for _ in gan.fit(data, steps=700, seed=1, device=Device()):
        pass
    drawn = gan.sample([Draw(Condition(data.classes[i % classes]), i) for i in range(N)], device=Device())
    distance = np.linalg.norm(drawn[:, None] - CENTRES[None], axis=2)
    modes = distance.argmin(axis=1)
    close = distance.min(axis=1) < 3 * SPREAD
    assert (close & (modes % classes == np.arange(N) % classes)).mean() > inside
    for mode in range(MODES):
        own = drawn[(modes == mode) & close]
        assert len(own) > N / MODES / 3, f"mode {mode} is hardly there"
        assert np.linalg.norm(own.mean(axis=0) - CENTRES[mode]) < SPREAD
        axes = np.sqrt(np.linalg.eigvalsh(np.cov(own.T)))
        assert axes[0] > SPREAD / 2 and axes[1] < 2 * SPREAD, f"mode {mode}: {axes}"


def test_a_critic_that_lags_behind_lets_classes_shrink() -> None:
    """Why vectors have defaults of their own: with spectral norm and one step of the critic the modes lose spread."""
    torch.set_num_threads(1)
    data = ring(8)

    def spread(**params: object) -> float:
        gan = ConditionalGAN(RING, data.classes, width=4, lr=1e-3, lr_discriminator=1e-3, **params)
        for _ in gan.fit(data, steps=250, seed=1, device=Device()):
            pass
        drawn = gan.sample([Draw(Condition(data.classes[i % 8]), i) for i in range(400)], device=Device())
        return float(np.mean([drawn[k::8].std(axis=0).mean() for k in range(8)]))

    assert spread() > 1.2 * spread(critic_steps=1, r1=0.0, spectral=True)

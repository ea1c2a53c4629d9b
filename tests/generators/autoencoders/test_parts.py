"""Pieces of the autoencoders: corruption, heads, priors, densities, the schedule of beta, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import ParamsError
from generators.autoencoders.aae import prior_means
from generators.autoencoders.corruption import corrupted, hidden_cells, keep_mask_row
from generators.autoencoders.density import CodeDensity
from generators.autoencoders.heads import CodeHeads, orthogonality, parts_of
from generators.autoencoders.objective import annealed
from generators.autoencoders.params import ElboParams, HeadParams
from generators.autoencoders.vae import VaeParams
from generators.condition import emotion_alone
from generators.generator import generator_class
from tests.generators.toy import CLASSES, IMAGES, SIGNALS, SPEECH, VECTOR
from training.seeds import generator


def turns(n: int, size: int) -> torch.Tensor:
    return torch.rand((n, size), generator=generator(4))


def test_patches_time_and_channels_leave_out_the_share_that_is_asked_for() -> None:
    patches = hidden_cells((5, 3, 12, 12), "patches", 0.75, turns(5, 144), 4)
    squares = patches.unfold(2, 4, 4).unfold(3, 4, 4)
    assert set(squares.flatten(4).mean(dim=4).unique().tolist()) == {0.0, 1.0}, "whole squares"
    assert (patches[:, 0].flatten(1).mean(dim=1) == 7 / 9).all() and (patches[:, 0] == patches[:, 2]).all()
    assert len({tuple(p.flatten().tolist()) for p in patches}) > 2, "each sample its own"
    time = hidden_cells((4, 1, 3, 40), "time", 0.3, turns(4, 120), 4)
    assert (time.mean(dim=(1, 2, 3)) == 0.3).all() and (time[:, :, 0] == time[:, :, 2]).all()
    channels = hidden_cells((6, 1, 4, 9), "channels", 0.5, turns(6, 36), 4)
    assert (channels.sum(dim=(1, 2))[:, 0] == 2).all() and (channels[..., :1] == channels).all()
    cells = hidden_cells((50, 1, 20, 20), "cells", 0.2, turns(50, 400), 4)
    assert abs(float(cells.mean()) - 0.2) < 0.01


def test_what_is_left_out_is_the_mean_and_the_mask_row_stays() -> None:
    x = torch.full((2, 1, *SPEECH.shape), 3.0)
    hidden = keep_mask_row(torch.ones_like(x), SPEECH)
    seen = corrupted(x, hidden, torch.ones_like(x), SPEECH)
    assert (seen[:, :, 5] == 3.0).all() and (seen[:, :, :5] == 0.0).all()
    assert (corrupted(x, torch.zeros_like(x), torch.ones_like(x), SPEECH)[:, :, :5] == 4.0).all()


def test_beta_rises_in_every_cycle() -> None:
    p = ElboParams(beta=2.0, kl_warmup=0.5, kl_cycles=2)
    assert [annealed(p, t) for t in (0.0, 0.125, 0.25, 0.4, 0.5, 0.625, 0.75)] == [0, 1, 2, 2, 0, 1, 2]
    assert annealed(ElboParams(kl_warmup=0.0), 0.0) == 1.0


def test_orthogonality_is_the_mean_squared_correlation() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 2)), rng.normal(size=(200, 3))
    b[:, 1] = 2.0 * a[:, 0] + 5.0
    expected = (np.corrcoef(a.T, b.T)[:2, 2:] ** 2).mean()
    assert float(orthogonality(torch.from_numpy(a), torch.from_numpy(b))) == pytest.approx(expected, abs=1e-5)
    assert expected > 1 / 6


def test_heads_read_their_parts_and_nobody_teaches_nothing() -> None:
    assert parts_of(8, 0.25) == {"emotion": slice(0, 2), "subject": slice(2, 8)}
    assert parts_of(2, 0.99)["subject"] == slice(1, 2), "at least one dimension each"
    p = HeadParams(latent=4, emotion_head=1.0, subject_head=0.5, split=0.5, honours=("subject",))
    torch.manual_seed(0)
    heads = CodeHeads(p, 3, 2)
    code = torch.randn(6, 4, requires_grad=True)
    subject = torch.tensor([[1.0, 0.0]] * 3 + [[0.5, 0.5]] * 3)  # of the last three nothing is known
    total, terms = heads(code, {"emotion": torch.eye(3)[[0, 1, 2, 0, 1, 2]], "subject": subject})
    assert float(total) == pytest.approx(float(terms["emotion_head"] + 0.5 * terms["subject_head"]))
    terms["subject_head"].backward()
    assert code.grad is not None and (code.grad[:3, 2:] != 0).all()
    assert (code.grad[:, :2] == 0).all() and (code.grad[3:] == 0).all()


def test_neighbours_of_the_prior_are_as_far_apart_as_asked() -> None:
    for classes, latent in ((4, 8), (5, 2), (6, 1), (2, 2)):
        means = prior_means(classes, latent, 3.0)
        apart = torch.cdist(means, means) + 99.0 * torch.eye(classes)
        assert torch.allclose(apart.min(dim=1).values, torch.tensor(3.0), atol=1e-4), (classes, latent)


def test_a_mixture_draws_each_gaussian_as_often_as_the_class_has_it() -> None:
    rng = torch.Generator().manual_seed(0)
    n = 400
    right = torch.rand(n, generator=rng) < 0.25
    codes = torch.randn(n, 2, generator=rng) * 0.2 + torch.where(right[:, None], 3.0, -3.0)
    density = CodeDensity(2, 2, components=3)
    everything = torch.cat([codes, codes[:20] + 50]).double()
    density.fit(everything, torch.full_like(everything, 1e-4), torch.tensor([0] * n + [1] * 20))
    emotion = torch.tensor([[1.0, 0.0]]).expand(2000, 2)
    z = density.draw(emotion, torch.randn(2000, 2, generator=rng), torch.rand(2000, generator=rng))
    assert abs(float((z[:, 0] > 0).float().mean()) - float(right.float().mean())) < 0.03
    assert abs(float(z[z[:, 0] > 0].std()) - 0.2) < 0.05 and (z.abs() - 3.0).abs().max() < 1.5
    one = density.draw(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2), torch.tensor([0.999999]))
    assert (one > 40).all(), "a class with 20 samples has two Gaussians at most"
    single = CodeDensity(2, 2)
    single.fit(everything, torch.full_like(everything, 1e-4), torch.tensor([0] * n + [1] * 20))
    assert float((single.draw(emotion, torch.randn(2000, 2, generator=rng)).abs() < 1.5).float().mean()) > 0.2


def test_nothing_is_known_beside_the_emotion() -> None:
    given = {"emotion": torch.eye(2), "arousal": torch.ones(2, 2), "subject": torch.eye(2)}
    alone = emotion_alone(given)
    assert (
        (alone["emotion"] == torch.eye(2)).all() and (alone["arousal"] == 0).all() and (alone["subject"] == 0.5).all()
    )


@pytest.mark.parametrize(
    ("name", "spec", "params", "says"),
    [
        ("masked", VECTOR, {"corruption": "patches"}, "patches.*vector; use noise, cells"),
        ("masked", IMAGES, {"corruption": "patches", "patch": 12}, "12 x 12.*smaller patch"),
        ("masked", SIGNALS, {"hidden_only": True}, "hidden_only.*noise leaves none out"),
        ("aae", IMAGES, {"corruption": "time"}, "time.*image"),
        ("cvae", VECTOR, {"orthogonal": 1.0}, "split"),
        ("cvae", VECTOR, {"split": 0.5}, "split does nothing alone"),
        ("masked", VECTOR, {"subject_head": 1.0}, r"honours: \[subject\]"),
        ("vae_gan", VECTOR, {"critics": "two", "loss": "logistic"}, "D2GAN"),
        ("vae_edit", VECTOR, {"features": 1.0}, "critics: none"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(
    name: str, spec: Any, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(ParamsError, match=says):
        generator_class(name)(spec, CLASSES, **params)


def test_an_encoder_with_heads_sees_no_class() -> None:
    kind = generator_class("cvae")
    assert kind(VECTOR, CLASSES, emotion_head=1.0).views.encoder == "nothing"
    assert kind(VECTOR, CLASSES).views.encoder == "all" and not VaeParams().headed

"""Each adversarial loss against its formula computed by hand, and each penalty against a critic of known slope."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from generators.gan.losses import (
    ADVERSARIAL,
    TwoScores,
    began_balance,
    began_critic,
    began_measure,
    d2gan_critic,
    d2gan_generator,
    divergence_penalty,
    gradient_penalty,
    kplus1_fake,
    kplus1_generator,
    kplus1_real,
    kplus1_unlabelled,
    r1_penalty,
)

REAL, FAKE = torch.tensor([0.5, 2.0]), torch.tensor([-0.5, 1.0])


def softplus(x: float) -> float:
    return log(1.0 + exp(x))


@pytest.mark.parametrize(
    ("name", "critic", "generator"),
    [
        ("hinge", 0.5 / 2 + (0.5 + 2.0) / 2, -0.25),
        ("wgan-gp", 0.25 - 1.25, -0.25),
        ("wgan-div", 0.25 - 1.25, -0.25),
        ("least-squares", 0.5 * ((0.25 + 1.0) / 2 + (0.25 + 1.0) / 2), 0.5 * (2.25 + 0.0) / 2),
        (
            "logistic",
            (softplus(-0.5) + softplus(-2.0)) / 2 + (softplus(-0.5) + softplus(1.0)) / 2,
            (softplus(0.5) + softplus(-1.0)) / 2,
        ),
    ],
)
def test_the_two_sides_of_each_game(name: str, critic: float, generator: float) -> None:
    game = ADVERSARIAL[name]
    assert float(game.critic(REAL, FAKE)) == pytest.approx(critic, rel=1e-5)
    assert float(game.generator(FAKE)) == pytest.approx(generator, rel=1e-5)


def test_penalties_of_a_critic_whose_slope_is_known() -> None:
    weight = torch.tensor([[3.0, 4.0]], requires_grad=True)  # slope 5 everywhere

    def score(x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) @ weight.T)[:, 0]

    real, fake, share = torch.zeros(3, 1, 2, 1), torch.ones(3, 1, 2, 1), torch.tensor([0.0, 0.5, 1.0])
    penalty = gradient_penalty(score, real, fake, share)
    assert float(penalty.detach()) == pytest.approx(16.0)
    assert divergence_penalty(score, real, fake, share).item() == pytest.approx(2.0 * 5.0**6)
    assert divergence_penalty(score, real, fake, share, k=3.0, p=2.0).item() == pytest.approx(75.0)
    assert r1_penalty(score, real).item() == pytest.approx(12.5)
    penalty.backward()
    assert weight.grad is not None and weight.grad[0].tolist() == pytest.approx([2 * 4 * 0.6, 2 * 4 * 0.8])


def test_penalties_look_where_they_should() -> None:
    """The slope of x^2 / 2 is x itself, which tells where it was taken."""

    def score(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x.flatten(1).square().sum(dim=1)

    real, fake = torch.full((1, 1), 2.0), torch.full((1, 1), 10.0)
    assert gradient_penalty(score, real, fake, torch.tensor([0.75])).item() == pytest.approx((4.0 - 1.0) ** 2)
    assert r1_penalty(score, real).item() == pytest.approx(2.0)


def test_d2gan() -> None:
    real = TwoScores(torch.tensor([0.3]), torch.tensor([-1.0]))
    fake = TwoScores(torch.tensor([0.2]), torch.tensor([1.5]))
    d1x, d2x, d1g, d2g = (softplus(v) for v in (0.3, -1.0, 0.2, 1.5))
    game = 0.7 * log(d1x) - d1g - d2x + 0.4 * log(d2g)
    assert float(d2gan_critic(real, fake, 0.7, 0.4)) == pytest.approx(-game, rel=1e-4)
    assert float(d2gan_generator(fake, 0.4)) == pytest.approx(-d1g + 0.4 * log(d2g), rel=1e-4)


def test_k_plus_one_answers() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]]))  # two classes, and "generated"
    classes = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    answered = -(log(0.5) + 0.5 * log(0.1) + 0.5 * log(0.6)) / 2
    assert float(kplus1_real(logits, classes)) == pytest.approx(answered, rel=1e-5)
    assert float(kplus1_generator(logits, classes)) == pytest.approx(answered, rel=1e-5)
    assert float(kplus1_unlabelled(logits)) == pytest.approx(-log(0.7), rel=1e-5)
    assert float(kplus1_fake(logits)) == pytest.approx(-log(0.3), rel=1e-5)
    for nothing in (kplus1_real(logits[:0], classes[:0]), kplus1_unlabelled(logits[:0])):
        assert float(nothing) == 0.0, "of no rows"


def test_began_keeps_its_balance_between_nought_and_one() -> None:
    real, fake, k = torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5]), torch.tensor(0.4)
    assert float(began_critic(real, fake, k)) == pytest.approx(2.0 - 0.4 * 0.5)
    assert float(began_measure(real, fake, 0.5)) == pytest.approx(2.0 + abs(0.5 * 2.0 - 0.5))
    assert float(began_balance(k, real, fake, 0.5, 0.01)) == pytest.approx(0.4 + 0.01 * 0.5)
    assert float(began_balance(k, real, fake, 0.5, 100.0)) == 1.0
    assert float(began_balance(k, fake, real, 0.5, 100.0)) == 0.0

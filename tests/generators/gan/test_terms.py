"""Terms and augmentation against what they are by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from features.representation import Spec
from generators.gan.augment import RAMP, Adaptive, adaptive_augment, diff_augment
from generators.gan.critics import Verdict
from generators.gan.terms import (
    SAME,
    boundary_term,
    consistency_term,
    diversity_term,
    mixed,
    smoothness_term,
    triplet_term,
)
from training.loop import Minibatch
from training.seeds import generator


def batch(seed: int = 3) -> Minibatch:
    return Minibatch(np.arange(4), 0, 0.0, generator(seed), torch.device("cpu"))


def test_mixing_is_of_samples_and_labels_by_one_share() -> None:
    x = F.one_hot(torch.arange(50)).float().reshape(50, 1, 50, 1)
    conditions = {"emotion": F.one_hot(torch.arange(50)).float(), "arousal": torch.arange(50.0)[:, None]}
    moved, asked = mixed(x, conditions, 1.0, batch())
    torch.testing.assert_close(moved.flatten(1), asked["emotion"])
    torch.testing.assert_close(asked["arousal"][:, 0], asked["emotion"] @ torch.arange(50.0))
    own = asked["emotion"].diagonal()
    assert float(own.std()) > 0.15, "a share of its own for each"
    assert ((asked["emotion"] > 0).sum(dim=1) <= 2).all()


def test_no_mixing_is_exactly_that() -> None:
    x, conditions = torch.randn(4, 1, 3, 1), {"emotion": torch.eye(4)}
    step = batch()
    same, asked = mixed(x, conditions, 0.0, step)
    assert same is x and asked is conditions
    assert torch.equal(step.randn(5), batch().randn(5)), "no random number is used up"
    nearly, _ = mixed(x, conditions, 1e-4, batch())
    distance = (nearly[:, None] - x[None]).flatten(2).abs().amax(dim=2).amin(dim=1)
    assert float(distance.max()) < 1e-3, "towards 0, each is one of the real samples"


def test_consistency_is_the_distance_of_two_passes() -> None:
    one = Verdict(torch.tensor([1.0, 2.0]), None, torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    two = Verdict(torch.tensor([1.5, 2.0]), None, torch.tensor([[1.0, 3.0], [1.0, 1.0]]))
    assert float(consistency_term(one, two)) == pytest.approx((0.5 + 0.1 * 2.0) / 2)
    assert float(consistency_term(one, two, margin=0.6)) == pytest.approx(0.1 / 2)
    assert float(consistency_term(one, one)) == 0.0


def test_the_virtual_adversarial_step_goes_where_the_answer_changes() -> None:
    """Of a linear classifier that looks at one column, the step is along it, and the divergence is known."""

    def logits_of(x: torch.Tensor) -> torch.Tensor:
        first = x.flatten(1)[:, :1]
        return torch.cat([first, torch.zeros_like(first)], dim=1)

    x = torch.zeros(3, 1, 4, 1)
    p, moved = 0.5, (1 / (1 + np.exp(-0.8)), 1 / (1 + np.exp(0.8)))
    expected = p * log(p / moved[0]) + p * log(p / moved[1])
    assert float(smoothness_term(logits_of, x, 0.8, batch())) == pytest.approx(expected, rel=1e-3)
    assert float(smoothness_term(lambda x: 0.0 * logits_of(x), x, 0.8, batch())) == pytest.approx(0.0, abs=1e-6)


def test_triplets_pull_and_push() -> None:
    anchors, others = torch.tensor([[0.0], [0.0], [0.0]]), torch.tensor([[1.0], [2.0], [5.0]])
    labels = torch.tensor([0, 0, 1])
    # rows 0 and 1 have each other and row 2; row 2 is alone in its class and does not count
    expected = (max(0.0, 4.0 - 25.0 + 23.0) + max(0.0, 1.0 - 25.0 + 23.0)) / 2
    assert float(triplet_term(anchors, others, labels, 23.0, batch())) == pytest.approx(expected)
    assert float(triplet_term(anchors, others, torch.tensor([0, 0, 0]), 23.0, batch())) == 0.0
    many = torch.arange(40) % 4
    places = F.one_hot(many).float()
    assert float(triplet_term(places, places, many, 1.9, batch())) == 0.0, "classes are 2 apart"
    assert float(triplet_term(places, places, many, 2.5, batch())) == pytest.approx(0.5)


def test_diversity_falls_with_distance() -> None:
    z_one, z_two = torch.zeros(2, 3), torch.full((2, 3), 2.0)
    one, two = torch.zeros(2, 1, 4, 1), torch.full((2, 1, 4, 1), 0.5)
    assert float(diversity_term(one, two, z_one, z_two)) == pytest.approx(2.0 / (0.5 + SAME))
    assert float(diversity_term(one, one, z_one, z_two)) == pytest.approx(2.0 / SAME), "of one mode alone"


def test_the_boundary_term_is_the_margin_that_is_left() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0]])
    classes = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert float(boundary_term(logits, classes)) == pytest.approx(2.0 / 2), "nothing for what is on the wrong side"


def test_the_probability_of_augmentation_follows_the_critic() -> None:
    adaptive = Adaptive()
    sure, unsure = torch.ones(40), torch.tensor([1.0, -1.0]).repeat(20)
    for _ in range(10):
        adaptive.adapt(sure, 0.0)
    assert float(adaptive.probability) == pytest.approx(400 / RAMP)
    adaptive.adapt(unsure, 0.0)
    assert float(adaptive.probability) == pytest.approx(360 / RAMP)
    for _ in range(20):
        adaptive.adapt(unsure, 0.0)
    assert float(adaptive.probability) == 0.0
    for _ in range(2 * RAMP // 40):
        adaptive.adapt(sure + 0.5, 0.5)
    assert float(adaptive.probability) == 1.0
    assert "probability" in adaptive.state_dict(), "kept with the weights"


def test_what_is_not_chosen_is_left_alone() -> None:
    spec = Spec("columns", (30,), layout="vector")
    x = torch.randn(400, 1, 30, 1)
    assert torch.equal(adaptive_augment(x, batch(), spec, torch.tensor(0.0)), x)
    changed = (adaptive_augment(x, batch(), spec, torch.tensor(0.5)) != x).flatten(1).any(dim=1).float().mean()
    always = (diff_augment(x, batch(), spec) != x).flatten(1).any(dim=1).float().mean()
    assert float(changed) == pytest.approx(0.5 * float(always), abs=0.08)

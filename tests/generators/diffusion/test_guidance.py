"""Each kind of guidance against its exact answer where classes are Gaussians."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from generators.diffusion.guidance import (
    Estimator,
    Gradient,
    Pull,
    guided,
    label_slope,
    mixture_of,
    taught_target,
    towards_neutral,
)
from generators.diffusion.precondition import Precondition
from generators.diffusion.samplers import dpmpp
from training.seeds import noise

CENTRES = torch.tensor([[-2.0], [0.0], [2.0]])  # of three classes of spread SPREAD, equally frequent
SPREAD = 0.5
EPSILON = Precondition("epsilon")
N = 40
SIGMAS = EPSILON.grid(60, "karras")
X = noise(list(range(N)), (1,))
ANGER = torch.eye(3)[torch.full((N,), 2)]


def sigma_of(t: torch.Tensor) -> float:
    from generators.diffusion.precondition import cosine_table

    table = torch.from_numpy(cosine_table()).log()
    low = int(t[0])
    share = float(t[0]) - low
    upper = table[min(low + 1, 999)]
    return math.exp(float(table[low] * (1 - share) + upper * share))


def posteriors(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """[n, 1] noisy -> [n, K] log p(class | x)."""
    return torch.log_softmax(-((x - CENTRES[:, 0]) ** 2) / (2 * (SPREAD**2 + sigma**2)), dim=1)


def predict(seen: torch.Tensor, t: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
    """The exact noise of x0 | class; embedding [m, K] one-hot, all 0: of all classes together."""
    sigma = sigma_of(t)
    x = seen * math.sqrt(1 + sigma**2)
    weights = posteriors(x, sigma).exp()
    weights = torch.where(embedding.sum(dim=1, keepdim=True) > 0, embedding, weights)
    mean = (SPREAD**2 * x + sigma**2 * CENTRES[:, 0]) / (SPREAD**2 + sigma**2)
    return (x - (weights * mean).sum(dim=1, keepdim=True)) / sigma


def log_probs(seen: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    sigma = sigma_of(t)
    return posteriors(seen * math.sqrt(1 + sigma**2), sigma)


def sampled(estimator: Estimator) -> torch.Tensor:
    with torch.inference_mode():
        return dpmpp(estimator, SIGMAS[0] * X, SIGMAS, X.clone)


PLAIN = Estimator(EPSILON, predict, ANGER)
FREE = Estimator(EPSILON, predict, torch.zeros(N, 3))
CONDITIONAL = CENTRES[2] + SPREAD * X


def test_the_class_alone_is_its_gaussian() -> None:
    torch.testing.assert_close(sampled(PLAIN), CONDITIONAL, atol=0.05, rtol=0)


def test_a_classifier_of_noisy_arrays_makes_an_unconditional_network_conditional() -> None:
    by_bayes = replace(FREE, gradient=Gradient(log_probs, ANGER, 1.0))
    torch.testing.assert_close(sampled(by_bayes), sampled(PLAIN), atol=0.05, rtol=0)
    assert not torch.allclose(sampled(replace(FREE, gradient=Gradient(log_probs, ANGER, 0.0))), CONDITIONAL, atol=0.5)


def test_soft_labels_of_the_classifier_add_their_gradients() -> None:
    soft = torch.tensor([[0.0, 0.3, 0.7]]).expand(N, 3)
    slope = label_slope(Gradient(log_probs, soft, 1.0), X, 400.0)
    parts = [label_slope(Gradient(log_probs, torch.eye(3)[[k]].expand(N, 3), 1.0), X, 400.0) for k in range(3)]
    torch.testing.assert_close(slope, 0.3 * parts[1] + 0.7 * parts[2])
    sigma = sigma_of(torch.tensor([400.0]))
    scale = math.sqrt(1 + sigma**2)
    x = X * scale
    exact = (CENTRES[2] - (posteriors(x, sigma).exp() @ CENTRES)) / (SPREAD**2 + sigma**2) * scale
    torch.testing.assert_close(parts[2], exact, atol=1e-4, rtol=1e-4)


def test_free_guidance_is_the_extrapolated_estimate_within_its_interval() -> None:
    pull = Pull(predict, torch.zeros(N, 3), 2.5, shared=True)
    for sigma in (0.2, 1.0, 5.0):
        own, free = PLAIN(sigma * X, sigma).x0, FREE(sigma * X, sigma).x0
        torch.testing.assert_close(
            replace(PLAIN, pull=pull)(sigma * X, sigma).x0, free + 2.5 * (own - free), atol=1e-4, rtol=1e-3
        )
        within = replace(PLAIN, pull=replace(pull, interval=(0.5, 2.0)))(sigma * X, sigma).x0
        torch.testing.assert_close(within, free + 2.5 * (own - free) if sigma == 1.0 else own, atol=1e-4, rtol=1e-3)
        for scale, exact in ((1.0, own), (0.0, free)):
            same = replace(PLAIN, pull=replace(pull, scale=scale))(sigma * X, sigma).x0
            torch.testing.assert_close(same, exact)


def test_outside_its_interval_guidance_costs_nothing() -> None:
    rows: list[int] = []

    def counting(seen: torch.Tensor, t: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        rows.append(len(seen))
        return predict(seen, t, embedding)

    pull = Pull(counting, torch.zeros(N, 3), 2.0, interval=(0.5, 2.0), shared=True)
    estimator = Estimator(EPSILON, counting, ANGER, pull=pull)
    for sigma in (5.0, 1.0, 0.1):
        estimator(X, sigma)
    assert rows == [N, 2 * N, N]


def test_autoguidance_undoes_the_error_that_two_networks_share() -> None:
    """Karras et al. 2024b: where the guide errs twice as far in the same direction, scale 2 is exact."""

    def wrong(by: float) -> object:
        return lambda seen, t, embedding: predict(seen, t, embedding) + by

    estimator = Estimator(EPSILON, wrong(0.2), ANGER, pull=Pull(wrong(0.4), ANGER, 2.0))  # type: ignore[arg-type]
    torch.testing.assert_close(sampled(estimator), sampled(PLAIN), atol=1e-3, rtol=0)
    plain = replace(estimator, pull=None)
    assert float((sampled(plain) - sampled(PLAIN)).abs().min()) > 0.1


def test_rescaling_gives_the_spread_back() -> None:
    own, other = torch.randn(5, 8), torch.randn(5, 8)
    full = guided(own, other, 4.0, rescale=1.0)
    torch.testing.assert_close(full.std(dim=1), own.std(dim=1))
    assert (guided(own, other, 4.0).std(dim=1) > 1.5 * own.std(dim=1)).all()


def test_a_learned_variance_is_not_guided() -> None:
    own, other = torch.randn(5, 8), torch.randn(5, 8)
    out = guided(own, other, 3.0, learned_variance=True)
    assert torch.equal(out[:, 4:], own[:, 4:])
    torch.testing.assert_close(out[:, :4], (other + 3.0 * (own - other))[:, :4])


def test_mixed_noises_are_the_weighted_sum_of_pure_ones() -> None:
    labels = torch.tensor([[0.0, 0.0, 1.0], [0.25, 0.0, 0.75], [0.5, 0.3, 0.2]])
    mixture = mixture_of(labels, lambda rows, pure: pure)
    x = X[:3]
    estimator = Estimator(EPSILON, predict, labels, mixture=mixture)
    pure = [Estimator(EPSILON, predict, torch.eye(3)[[k]].expand(3, 3))(x, 1.0).x0 for k in range(3)]
    made = estimator(x, 1.0).x0
    exact = sum(labels[:, [k]] * pure[k] for k in range(3))
    torch.testing.assert_close(made, exact)
    assert torch.equal(made[0], pure[2][0]), "one emotion is the pure case, exactly"
    outside = replace(estimator, mix_interval=(2.0, 9.0))(x, 1.0).x0
    assert torch.equal(outside, torch.stack([pure[2][0], pure[2][1], pure[0][2]])), "the largest share alone"
    pull = Pull(predict, torch.zeros(3, 3), 2.0, shared=True)
    free = Estimator(EPSILON, predict, torch.zeros(3, 3))(x, 1.0).x0
    torch.testing.assert_close(replace(estimator, pull=pull)(x, 1.0).x0, free + 2 * (exact - free))


@pytest.mark.parametrize("scale", [1.0, 2.0, 4.0])
def test_what_is_taught_is_guided_at_the_fixed_point(scale: float) -> None:
    plain, free = torch.randn(6), torch.randn(6)
    own = plain.clone()
    for _ in range(200):
        own = taught_target(plain, own, free, scale)
    torch.testing.assert_close(own, plain + (scale - 1.0) * (plain - free), atol=1e-4, rtol=1e-4)


def test_intensity_is_the_share_beside_neutral() -> None:
    labels = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    mixed = towards_neutral(labels, torch.tensor([0.4, 1.0, 0.2]), 0)
    torch.testing.assert_close(mixed, torch.tensor([[0.6, 0.4, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]))
    assert torch.equal(labels[0], torch.tensor([0.0, 1.0, 0.0]))


def test_the_classifier_is_more_sure_the_more_intensity_is_asked_for() -> None:
    """EmoDiff's check: monotone in alpha."""
    heard = []
    for alpha in (0.0, 0.5, 1.0):
        weights = towards_neutral(ANGER, torch.full((N,), alpha), 1)
        x0 = sampled(replace(FREE, gradient=Gradient(log_probs, weights, 2.0)))
        heard.append(float(posteriors(x0, 0.3).exp()[:, 2].mean()))
    assert heard[0] + 0.05 < heard[1] < heard[2] - 0.05, heard

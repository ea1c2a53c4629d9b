"""Samplers against diffusers' schedulers and against the exact answer on a Gaussian."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from generators.diffusion.precondition import (
    TIMESTEPS,
    Precondition,
    cosine_table,
    posterior_log_variances,
    student_levels,
    variational_bits,
)
from generators.diffusion.samplers import SAMPLERS, Denoised, RowNoise, inverted
from training.seeds import noise

V = Precondition("v")
SEEDS = list(range(400))
MEAN, SPREAD = torch.tensor([1.0, -0.5, 0.2]), torch.tensor([0.3, 1.0, 1.5])


def gaussian(x: torch.Tensor, sigma: float) -> Denoised:
    """The exact estimate where x0 ~ N(MEAN, SPREAD^2)."""
    own = SPREAD.square()
    return Denoised((own * x + sigma**2 * MEAN) / (own + sigma**2))


def exact(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Where the ODE leads: each column keeps its standard score."""
    return MEAN + (x - MEAN) * SPREAD / (SPREAD.square() + sigma**2).sqrt()


def crooked(x: torch.Tensor, sigma: float) -> Denoised:
    """No Gaussian's: a network's estimate may be anything."""
    return Denoised(torch.tanh(x / (1 + sigma) + 0.3) * 1.2 + 0.1 * sigma / (1 + sigma))


def theirs(kind: str, steps: int, x: torch.Tensor, **options: Any) -> torch.Tensor:
    """diffusers' loop in its own coordinates, on the same estimate. x: standard normal."""
    import diffusers

    schedule: Any = getattr(diffusers, kind)(
        num_train_timesteps=TIMESTEPS, beta_schedule="squaredcos_cap_v2", prediction_type="sample", **options
    )
    schedule.set_timesteps(steps)
    table = cosine_table()
    x = x.double()
    for t in schedule.timesteps:
        sigma = float(table[int(t)])
        scale = math.sqrt(1 + sigma**2)
        x = schedule.step(crooked(x * scale, sigma).x0, t, x).prev_sample
    return x.float()


@pytest.mark.parametrize("steps", [5, 10, 20])  # divisors: diffusers' DDIM steps by whole 1000 // n
@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("ddim", "DDIMScheduler", {"timestep_spacing": "trailing", "clip_sample": False, "set_alpha_to_one": True}),
        ("dpmpp", "DPMSolverMultistepScheduler", {"timestep_spacing": "trailing"}),
        ("unipc", "UniPCMultistepScheduler", {"timestep_spacing": "trailing", "final_sigmas_type": "zero"}),
    ],
)
def test_deterministic_samplers_are_those_of_diffusers(
    name: str, kind: str, options: dict[str, Any], steps: int
) -> None:
    start = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).double()
    sigmas = V.grid(steps)
    scale = math.sqrt(1 + sigmas[0] ** 2)
    ours = SAMPLERS[name](crooked, start * scale, sigmas, lambda: start)
    torch.testing.assert_close(ours.float(), theirs(kind, steps, start, **options), atol=3e-4, rtol=3e-4)


def test_ancestral_steps_have_the_mean_and_variance_of_diffusers() -> None:
    from diffusers import DDPMScheduler

    schedule: Any = DDPMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
    )
    schedule.set_timesteps(10)
    sigmas = V.grid(10)
    table, step = cosine_table(), 4
    t = int(schedule.timesteps[step])
    assert math.isclose(table[t], sigmas[step], rel_tol=1e-6)
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    white = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)).double()
    here, after = sigmas[step], sigmas[step + 1]
    ours = SAMPLERS["ddpm"](crooked, x * math.sqrt(1 + here**2), [here, after], lambda: white)
    x0 = crooked(x * math.sqrt(1 + here**2), here).x0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = schedule.step(x0, t, x, return_dict=False)[0]
        torch.manual_seed(0)
        drawn = torch.randn(x.shape, dtype=x.dtype)
    spread = schedule._get_variance(t).sqrt().double()
    expected = first - spread * drawn + spread * white
    torch.testing.assert_close(ours / math.sqrt(1 + after**2), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "least", "most"), [("ddim", 1.7, 2.4), ("dpmpp", 3.2, 9), ("heun", 3.2, 9), ("unipc", 3.2, 14)]
)
def test_odes_go_where_the_exact_one_does_at_their_order(name: str, least: float, most: float) -> None:
    errors = []
    for steps in (25, 50):
        sigmas = V.grid(steps, "karras")
        x = sigmas[0] * noise(SEEDS[:50], (3,)).double()
        errors.append(
            float((SAMPLERS[name](gaussian, x, sigmas, torch.empty(0).clone) - exact(x, sigmas[0])).abs().mean())
        )
    assert errors[1] < 0.05
    assert least < errors[0] / errors[1] < most, errors


@pytest.mark.parametrize(("name", "steps"), [("ddpm", 200), ("euler_maruyama", 300)])
def test_noisy_samplers_have_the_mean_and_covariance(name: str, steps: int) -> None:
    sigmas = V.grid(steps, "karras")
    fresh = RowNoise(SEEDS, (3,), torch.device("cpu"))
    sampled = SAMPLERS[name](gaussian, sigmas[0] * fresh(), sigmas, fresh)
    torch.testing.assert_close(sampled.mean(dim=0), MEAN, atol=0.25, rtol=0)
    torch.testing.assert_close(sampled.std(dim=0) / SPREAD, torch.ones(3), atol=0.12, rtol=0)
    corr = np.corrcoef(sampled.numpy().T) - np.eye(3)
    assert np.abs(corr).max() < 0.2


def test_noise_of_a_row_is_its_own() -> None:
    both = RowNoise([3, 4], (2, 5), torch.device("cpu"))
    alone = RowNoise([4], (2, 5), torch.device("cpu"))
    torch.testing.assert_close(both(), noise([3, 4], (2, 5)))
    alone()
    assert torch.equal(both()[1], alone()[0])


def test_what_is_inverted_comes_back() -> None:
    x0 = MEAN + SPREAD * noise(SEEDS[:20], (3,))
    sigmas = V.grid(60, "karras", start=0.9)
    up = inverted(gaussian, x0, sigmas)
    assert float((up - x0).abs().mean()) > 1.0
    back = SAMPLERS["dpmpp"](gaussian, up, sigmas, lambda: x0)
    assert float((back - x0).abs().max()) < 0.05


@pytest.mark.parametrize("prediction", ["v", "epsilon", "edm"])
def test_estimates_undo_targets(prediction: Any) -> None:
    of = Precondition(prediction)
    x0, eps = torch.randn(9, 4), torch.randn(9, 4)
    sigma, _ = of.levels((torch.arange(9) + 0.5) / 12)
    wide = sigma[:, None]
    output = of.target(x0, eps, wide)
    torch.testing.assert_close(of.denoised(x0 + wide * eps, output, wide), x0, atol=2e-3, rtol=1e-3)
    scales = of.scales(float(sigma[4]))
    seen = (x0 + wide * eps)[4]
    torch.testing.assert_close(scales.skip * seen + scales.out * output[4], x0[4], atol=1e-3, rtol=1e-3)
    assert abs(scales.into * math.sqrt(1 + float(sigma[4]) ** 2) - 1) < 1e-6
    if prediction != "edm":
        assert of.time_of(float(cosine_table()[137])) == pytest.approx(137, abs=1e-3)


def test_min_snr_weighs_as_the_paper_does() -> None:
    sigma = torch.tensor([0.1, 1.0, 10.0])
    snr = sigma.square().reciprocal()
    torch.testing.assert_close(Precondition("epsilon").weights(sigma, 5.0), snr.clamp(max=5) / snr)
    torch.testing.assert_close(V.weights(sigma, 5.0), snr.clamp(max=5) / (snr + 1))
    assert V.weights(sigma, 0.0).tolist() == [1, 1, 1]


def test_the_variational_bound_is_least_at_the_true_variance() -> None:
    t = torch.tensor([1, 10, 40])
    table = torch.from_numpy(cosine_table()).float()
    small, large = posterior_log_variances(table[t], table[t - 1])
    assert (small < large).all()
    x0 = torch.randn(3, 5, 2)
    off = x0 + 0.0
    bits = torch.stack([variational_bits(x0, off, torch.full_like(x0, s), t) for s in (0.0, 0.3, 0.9)])
    assert (bits[0] < bits[1]).all() and (bits[1] < bits[2]).all(), "an exact estimate: the smaller variance"
    torch.testing.assert_close(bits[0], torch.zeros(3), atol=1e-4, rtol=0)
    wrong = variational_bits(x0, x0 + 2.0, torch.zeros_like(x0), t)
    assert (wrong > bits[0]).all()


@pytest.mark.parametrize("spacing", ["trailing", "karras"])
def test_grids_fall_to_nothing(spacing: Any) -> None:
    for start in (0.2, 1.0):
        grid = V.grid(7, spacing, start)
        assert len(grid) == 8 and grid[-1] == 0 and (np.diff(grid) < 0).all()
    assert V.grid(7, spacing, 0.3)[0] < V.grid(7, spacing, 0.6)[0] < V.grid(7, spacing)[0]


@pytest.mark.parametrize("prediction", ["v", "epsilon", "edm"])
def test_every_step_of_a_student_has_something_to_hide(prediction: Any) -> None:
    for steps in (1, 2, 3, 8):
        levels = student_levels(prediction, steps)
        assert len(levels) == steps + 1 and levels[-1] == 0 and (np.diff(levels) < 0).all()
        assert levels[0] > 70 and levels[-2] > math.tan(math.pi / 2 / (steps + 0.5))
    assert 0.8 < student_levels(prediction, 2)[1] < 3.5, "where the papers take it, at spread 1"

"""Normalisation, grids, patches, augmentation and likelihood of the networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from corpora.errors import ParamsError, UserError
from features.representation import Spec
from generators.autoencoders.density import correlated, latent_density, residual_noise
from generators.autoencoders.objective import kl_nats, residual_nats
from generators.condition import ConditionEncoder, ConditionFields, emotion_weights, encode_conditions
from generators.diffusion.patches import Patches, cosines
from generators.gan.augment import diff_augment
from generators.generator import Condition, Device, generator_class
from generators.layers import Grid
from generators.normalise import Normaliser, on_grid
from tests.generators.toy import CLASSES, IMAGES, SPEECH, class_means, nearest, toy_data
from training.loop import Minibatch
from training.seeds import generator


def batch() -> Minibatch:
    return Minibatch(np.arange(4), 0, 0.0, generator(3), torch.device("cpu"))


def test_statistics_are_of_valid_train_columns() -> None:
    data = toy_data(SPEECH)
    rows = np.flatnonzero(~data.held_out)
    normaliser = Normaliser(SPEECH).fit(data.arrays, rows)
    x = torch.from_numpy(on_grid(data.arrays[rows], SPEECH))
    z = normaliser(x)
    valid = (x[:, 0, 5] > 0)[:, None].expand(-1, 5, -1)
    for h in range(5):
        inside = z[:, 0, h][valid[:, h]]
        assert abs(float(inside.mean())) < 1e-4 and abs(float(inside.std()) - 1) < 0.01
    assert (z[:, 0, :5][~valid] == 0).all()
    assert set(z[:, 0, 5].unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(normaliser.inverse(z), x, atol=1e-5, rtol=1e-5)


def test_the_way_back_stays_within_what_train_has_shown() -> None:
    data = toy_data(SPEECH)
    normaliser = Normaliser(SPEECH).fit(data.arrays, np.arange(60))
    wild = normaliser.inverse(torch.full((1, *SPEECH.grid), 100.0))
    low, high = normaliser.low[0, :5, 0], normaliser.high[0, :5, 0]
    assert (wild[0, 0, :5].amax(dim=1) <= high + 0.051 * (high - low)).all()
    assert int((wild[0, 0, 5] > 0).sum()) == 22
    none = normaliser.inverse(torch.full((1, *SPEECH.grid), -100.0))
    assert int((none[0, 0, 5] > 0).sum()) == int((data.arrays[:, 5] > 0).sum(axis=1).min())


def test_a_noisy_mask_has_the_length_that_fits_best() -> None:
    normaliser = Normaliser(SPEECH).fit(toy_data(SPEECH).arrays, np.arange(60))
    z = torch.zeros(1, *SPEECH.grid)
    z[0, 0, 5] = torch.where(torch.arange(22) < 16, 0.8, -0.9)
    z[0, 0, 5, 4], z[0, 0, 5, 20] = -0.5, 0.7  # one column wrong on each side
    assert int(normaliser.valid(z).sum()) == 16


def test_arrays_with_a_value_range_are_left_alone() -> None:
    x = torch.randn(2, *IMAGES.grid)
    normaliser = Normaliser(IMAGES).fit(x.numpy(), np.arange(2))
    assert torch.equal(normaliser(x), x) and float(normaliser.inverse(x).abs().max()) <= 1.0


@pytest.mark.parametrize(
    "spec", [IMAGES, SPEECH, Spec("w", (32, 320), "rows", mask_row=31), Spec("c", (3, 50, 37), bounds=(-1, 1))]
)
def test_folding_loses_nothing(spec: Spec) -> None:
    x = torch.randn(2, *spec.grid)
    grid = Grid(spec)
    assert grid.fold(x).shape == (2, grid.channels, *grid.padded)
    assert torch.equal(grid.unfold(grid.fold(x)), x)
    patches = Patches(spec, (2, 4) if spec.bounds is None else (2, 2), 2)
    patches.fit(x, {})
    folded = patches.fold(x, {})
    assert abs(float(folded.mean())) < 1e-4 and abs(float(folded.std()) - 1) < 0.05
    assert folded.shape == (2, patches.channels, *patches.grid)
    torch.testing.assert_close(patches.unfold(folded, {}), x, atol=1e-4, rtol=1e-4)
    assert all(side % 2 == 0 for side in patches.grid)


def test_coefficients_are_those_of_a_cosine_transform() -> None:
    from scipy.fft import dct

    x = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_allclose(x @ cosines(4).numpy().T, dct(x, norm="ortho", axis=1), atol=1e-6)


def test_patches_too_coarse_are_refused() -> None:
    with pytest.raises(ParamsError, match="lower one of them"):
        Patches(IMAGES, (4, 4), 4)
    with pytest.raises(ParamsError, match="at least 1"):
        generator_class("diffusion")(IMAGES, CLASSES, patch=[0, 2])


def test_soft_labels_mix_and_null_is_one_vector() -> None:
    encoder = ConditionEncoder(3, ConditionFields(), 8)
    asked = [Condition("anger"), Condition("fear"), Condition({"anger": 2.0, "fear": 2.0})]
    embedded = encoder(encode_conditions(asked, CLASSES, ConditionFields()))
    torch.testing.assert_close(embedded[2], (embedded[0] + embedded[1]) / 2)
    dropped = encoder(encode_conditions(asked, CLASSES, ConditionFields()), torch.tensor([True, False, True]))
    assert torch.equal(dropped[0], dropped[2]) and torch.equal(dropped[1], embedded[1])
    with pytest.raises(UserError, match="weight nan"):
        emotion_weights({"anger": float("nan")}, CLASSES)


def test_every_field_that_is_switched_on_moves_the_embedding() -> None:
    fields = ConditionFields(("intensity", "arousal"), ("s:1", "s:2"), ("au", 2))
    assert fields.names == {"intensity", "arousal", "subject", "au"}
    base = {"intensity": 0.5, "subject": "s:1", "arousal": 0.0, "au": (0.0, 1.0)}
    changed = {"intensity": 0.6, "subject": "s:2", "arousal": 0.5, "au": (1.0, 1.0)}
    encoder = ConditionEncoder(3, fields, 8)

    def embed(**values: object) -> torch.Tensor:
        condition = Condition("anger", {**base, **values})  # type: ignore[arg-type]
        return encoder(encode_conditions([condition], CLASSES, fields))

    for name, value in changed.items():
        assert not torch.allclose(embed(), embed(**{name: value})), name
    nobody = Condition("anger", {k: v for k, v in base.items() if k != "subject"})  # type: ignore[misc]
    encoded = encode_conditions([nobody], CLASSES, fields)
    assert encoded["subject"].tolist() == [[0.5, 0.5]], "an equal share of all whom the model knows"
    for name, wrong in [("subject", "s:9"), ("arousal", 2.0), ("au", (1.0,))]:
        with pytest.raises(UserError):
            embed(**{name: wrong})


def test_the_likelihood_is_that_of_the_best_variance_and_ignores_padding() -> None:
    x = torch.zeros(4, *SPEECH.grid)
    x[:, :, 5], x[:, :, 5, 11:] = 1.0, -1.0
    made = x.clone()
    made[:, :, 0, :11] += 2.0
    made[:, :, :5, 11:] += 50.0  # padding: nobody hears it
    rows = torch.log(torch.tensor([4.01, 0.01, 0.01, 0.01, 0.01])).sum() * 11 + torch.log(torch.tensor(0.01)) * 22
    torch.testing.assert_close(residual_nats(x, made, SPEECH), 0.5 * rows)
    assert float(kl_nats(torch.zeros(3, 2), torch.zeros(3, 2)).sum()) == 0.0
    torch.testing.assert_close(kl_nats(torch.full((3, 1), 2.0), torch.zeros(3, 1)), torch.tensor([2.0]))


def test_latents_have_each_class_mean_and_spread() -> None:
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(3000) % 2
    spread = torch.tensor([[1.0, 3.0], [2.0, 0.5]])
    mean = torch.randn(3000, 2, generator=rng) * spread[labels] + labels[:, None] * 5.0
    centres, factors = latent_density(mean.double(), torch.full((3000, 2), 0.01).double(), labels, 2)
    torch.testing.assert_close(centres, torch.tensor([[0.0, 0.0], [5.0, 5.0]]), atol=0.2, rtol=0)
    torch.testing.assert_close(factors.diagonal(dim1=1, dim2=2), spread, atol=0.15, rtol=0.05)
    rare = torch.cat([torch.zeros(2999), torch.ones(1)]).long()
    _, factors = latent_density(mean.double(), torch.full((3000, 2), 0.01).double(), rare, 2)
    assert torch.isfinite(factors).all(), "one sample is enough for a class"


def test_residual_noise_has_the_spread_and_the_lag_that_were_measured() -> None:
    rng = torch.Generator().manual_seed(0)
    lag = torch.tensor([[0.0, 0.8]])
    noise = correlated(torch.randn(400, 1, 2, 100, generator=rng), lag)
    noise[200:] *= 3.0
    labels = (torch.arange(400) >= 200).long()
    squares, neighbours = noise.square().sum(dim=3), (noise[..., 1:] * noise[..., :-1]).sum(dim=3)
    spread, found = residual_noise(squares, neighbours, torch.full((400, 1), 100.0), labels, 2)
    torch.testing.assert_close(found, lag, atol=0.02, rtol=0)
    torch.testing.assert_close(spread[:, 0], torch.tensor([[1.0, 1.0], [3.0, 3.0]]), atol=0.12, rtol=0.05)


def test_augmentation_keeps_shape_and_passes_gradients() -> None:
    for spec in (IMAGES, SPEECH):
        x = torch.randn(4, *spec.grid, requires_grad=True)
        out = diff_augment(x, batch(), spec)
        assert out.shape == x.shape and not torch.allclose(out, x)
        out.sum().backward()
        assert x.grad is not None and float(x.grad.abs().sum()) > 0
    speech = torch.arange(22.0).expand(4, 1, 6, 22).clone() + 1
    moved = diff_augment(speech, batch(), SPEECH)
    for row in moved.reshape(4, 6, 22):
        assert (row == row[0]).all(), "rows move together, none up or down"
        kept = row[0][row[0] > 0]
        assert (kept.diff() == 1).all() and len(kept) >= 19, "only time moves, loudness stays"


@pytest.mark.parametrize(
    "options",
    [
        {"discriminator": "ac"},
        pytest.param({"loss": "wgan-gp", "critic_steps": 2}, marks=pytest.mark.slow),
        {"augment": False},
    ],
)
def test_each_kind_of_gan_learns_the_classes(options: dict[str, object]) -> None:
    torch.set_num_threads(1)
    data = toy_data(SPEECH)
    gan = generator_class("cgan")(
        SPEECH, CLASSES, width=8, latent=8, batch_size=16, lr=1e-3, lr_discriminator=1e-3, **options
    )
    reports = list(gan.fit(data, steps=120, seed=1, device=Device()))
    assert {"critic_loss", "critic_gap", "generator_loss"} <= set(reports[-1].losses)
    from generators.draws.balance import draw_sequence
    from generators.draws.targets import Cell

    made = {c: gan.sample(draw_sequence(Cell(c, None, 0, 20), 0, 20, run_seed=0), device=Device()) for c in CLASSES}
    right = [(nearest(made[c], class_means(data)) == k).mean() for k, c in enumerate(CLASSES)]
    assert np.mean(right) > 0.8, right

"""Fitted diffusion: known densities are recovered, each option does what it says, and wrong ones are refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import IntegrityError, ParamsError, UserError
from features.representation import Spec
from generators.condition import train_conditions
from generators.diffusion import diffusion
from generators.diffusion.diffusion import DiffusionNetwork
from generators.diffusion.precondition import Precondition
from generators.generator import generator_class
from generators.normalise import on_grid
from generators.trained import TrainSet
from tests.generators.diffusion.toy import (
    CPU,
    MODES,
    RING,
    WAVES,
    WIDTH,
    band_powers,
    centres,
    converted,
    drawn,
    fitted,
    ring,
    waves,
)
from tests.generators.toy import CLASSES, IMAGES, SIGNALS, VECTOR, class_means, nearest, toy_data, units_of
from training.loop import DivergedError

SMALL: dict[str, Any] = {"width": 8, "levels": 2, "batch_size": 64, "sample_steps": 10}


def agreement(generator: Any, data: Any, n: int = 20) -> float:
    unit = units_of(data)
    means = class_means(dataclasses.replace(data, arrays=data.arrays / unit))
    made = [nearest(drawn(generator, c, n) / unit, means) for c in CLASSES]
    return float(np.mean([(made[k] == k).mean() for k in range(len(CLASSES))]))


@pytest.fixture(scope="module")
def ringed() -> Any:
    return fitted(ring(), 900, width=16, levels=3, batch_size=128, sample_steps=20, guidance=1.0)


def test_a_ring_of_gaussians_is_recovered(ringed: Any) -> None:
    for k, emotion in enumerate(CLASSES):
        made = drawn(ringed, emotion, 300)
        distance = np.linalg.norm(made[:, None] - centres()[None], axis=2)
        mode = distance.argmin(axis=1)
        assert np.isin(mode, [k, k + 3]).mean() > 0.97, "the class' own modes"
        for m in (k, k + 3):
            own = made[mode == m]
            assert 0.35 < len(own) / len(made) < 0.65, "each as often as it is"
            assert np.linalg.norm(own.mean(axis=0) - centres()[m]) < 0.15
            covariance = np.cov(own.T)
            assert np.abs(np.sqrt(np.diag(covariance)) / WIDTH - 1).max() < 0.35
            assert abs(covariance[0, 1]) < 0.4 * WIDTH**2
    assert MODES == 6


def test_few_steps_over_vectors_are_worth_more_at_low_noise(ringed: Any) -> None:
    """Why `spacing: auto` leaves vectors `trailing`: in eight steps, how far off the modes of the ring come out."""

    def farthest(spacing: str) -> float:
        params = {**ringed.params.model_dump(), "sample_steps": 8, "spacing": spacing}
        generator = generator_class("diffusion")(RING, CLASSES, **params)
        generator.network = ringed.network
        off = []
        for k, emotion in enumerate(CLASSES):
            made = drawn(generator, emotion, 600)
            mode = np.linalg.norm(made[:, None] - centres()[None], axis=2).argmin(axis=1)
            off += [np.linalg.norm(made[mode == m].mean(axis=0) - centres()[m]) for m in (k, k + 3)]
        return float(max(off))

    assert farthest("auto") < 0.25 and farthest("karras") > 0.5


def near_own_modes(generator: Any) -> float:
    """Share of samples that lie where their class does."""
    near = []
    for k, emotion in enumerate(CLASSES):
        distance = np.linalg.norm(drawn(generator, emotion, 200)[:, None] - centres()[None], axis=2)
        near.append((distance[:, [k, k + 3]].min(axis=1) < 3 * WIDTH).mean())
    return float(np.mean(near))


@pytest.mark.slow
def test_a_student_draws_in_two_steps(ringed: Any) -> None:
    student = fitted(ring(), 1200, width=16, levels=2, batch_size=64, guidance=1.0, student_steps=2, student_share=0.5)
    untuned = generator_class("diffusion")(RING, CLASSES, **{**ringed.params.model_dump(), "sample_steps": 2})
    untuned.network = ringed.network
    assert near_own_modes(student) > max(0.75, near_own_modes(untuned) + 0.1)
    once = generator_class("diffusion")(RING, CLASSES, **{**student.params.model_dump(), "student_steps": 1})
    once.network = student.network
    assert near_own_modes(student) > near_own_modes(once) + 0.04, "the second step is worth its pass"
    made = np.linalg.norm(drawn(student, "anger", 200)[:, None] - centres()[None], axis=2)
    assert 0.25 < (made[:, 1] < made[:, 4]).mean() < 0.75, "both modes of the class"


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"width": 16, "patch": [2, 2]}, id="time", marks=pytest.mark.slow),
        pytest.param({"network": "dit", "width": 8, "patch": [2, 8]}, id="dit", marks=pytest.mark.slow),
    ],
)
def test_signals_have_the_band_power_of_their_class(params: dict[str, Any]) -> None:
    data = waves()
    generator = fitted(data, 400, **{"levels": 2, "batch_size": 32, "sample_steps": 10, "guidance": 1.0, **params})
    labels = np.array(data.emotions)
    real = {c: band_powers(data.arrays[labels == c]) for c in CLASSES}
    made = {c: band_powers(drawn(generator, c, 60)) for c in CLASSES}
    for k, emotion in enumerate(CLASSES):
        others = [c for c in CLASSES if c != emotion]
        contrast = (real[emotion] - np.mean([real[c] for c in others], axis=0))[:, k]
        assert contrast.min() > 1.5
        assert (np.abs(made[emotion] - real[emotion])[:, k] < 0.3 * contrast).all(), "its own band is as strong"
        reached = (made[emotion] - np.mean([made[c] for c in others], axis=0))[:, k]
        assert (reached > 0.5 * contrast).all(), "and stands out of the other classes'"


VARIANTS: dict[str, tuple[Spec, dict[str, Any]]] = {
    "edm": (VECTOR, {"prediction": "edm", "sampler": "heun"}),
    "epsilon-minsnr": (VECTOR, {"prediction": "epsilon", "min_snr": 5.0}),
    "improved": (VECTOR, {"prediction": "epsilon", "learned_variance": True, "sampler": "ddpm", "sample_steps": 50}),
    "classifier": (VECTOR, {"guide": "classifier"}),
    "classifier-rows": (SIGNALS, {"guide": "classifier"}),
    "auto": (VECTOR, {"guide": "auto", "guidance": 2.0}),
    "trained": (VECTOR, {"guide": "trained", "guidance": 2.0}),
    "mixing": (VECTOR, {"soft_labels": "noise"}),
    "latent": (VECTOR, {"space": "latent", "latent": 6, "latent_share": 0.5}),
    "latent-rows": (SIGNALS, {"space": "latent", "latent": 6, "latent_share": 0.5}),
    "dit-columns": (VECTOR, {"network": "dit", "width": 16}),
    "dit-image": (IMAGES, {"network": "dit", "levels": 1}),
    "unipc-karras": (VECTOR, {"sampler": "unipc", "spacing": "karras"}),
}


LONG = {"classifier-rows", "dit-columns", "latent-rows"}  # for `make test-all`; a quicker sibling of each stays


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in VARIANTS])
def test_each_option_learns_the_classes_and_is_saved_whole(name: str, tmp_path: Path) -> None:
    spec, params = VARIANTS[name]
    data = toy_data(spec)
    generator = fitted(data, 200, **{**SMALL, "batch_size": 32, **params})
    assert agreement(generator, data) > 0.85
    generator.save(tmp_path / "model")
    loaded = generator_class("diffusion").load(tmp_path / "model", device=CPU)
    np.testing.assert_array_equal(drawn(loaded, "fear", 3), drawn(generator, "fear", 3))
    mixed = drawn(generator, {"fear": 0.5, "anger": 0.5}, 3)
    assert np.isfinite(mixed).all() and not np.allclose(mixed, drawn(generator, "fear", 3), atol=1e-3)


@pytest.mark.parametrize("name", ["classifier", "latent", "auto"])
def test_options_with_several_phases_resume(name: str, tmp_path: Path) -> None:
    spec, params = VARIANTS[name]
    data = toy_data(spec)
    params = {**SMALL, **params, "ema_widths": [0.05, 0.15]}
    whole = fitted(data, 12, **params)
    for stop in (3, 9):
        options = {"steps": 12, "seed": 1, "device": CPU, "checkpoints": tmp_path / str(stop), "checkpoint_every": 3}
        for progress in generator_class("diffusion")(spec, CLASSES, **params).fit(data, **options):
            if progress.step == stop:
                break
        resumed = generator_class("diffusion")(spec, CLASSES, **params)
        list(resumed.fit(data, **options))
        expected = whole.network.state_dict()
        for key, value in resumed.network.state_dict().items():
            assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize("params", [{"guide": "classifier", "guidance": 2.0}, {"soft_labels": "noise"}])
def test_intensity_is_a_mixture_with_neutral(params: dict[str, Any]) -> None:
    data = toy_data(VECTOR)
    generator = fitted(data, 200, **{**SMALL, "batch_size": 32, "intensity_by": "neutral", **params})
    kind = generator_class("diffusion")
    assert generator.honours == kind.can_honour({"intensity_by": "neutral"}) == {"intensity"}
    levels = [drawn(generator, "fear", 40, {"intensity": v})[:, 2].mean() for v in (0.0, 0.5, 1.0)]
    assert levels[0] < levels[1] < levels[2]
    np.testing.assert_allclose(
        drawn(generator, "fear", 3, {"intensity": 0.0}), drawn(generator, "neutral", 3), atol=1e-4
    )
    np.testing.assert_array_equal(drawn(generator, "fear", 3, {"intensity": 1.0}), drawn(generator, "fear", 3))
    with pytest.raises(ParamsError, match="'calm', which is none of neutral, anger, fear"):
        kind(VECTOR, CLASSES, intensity_by="neutral", neutral="calm")


def test_extra_noise_takes_samples_away_from_train(ringed: Any) -> None:
    noisier = generator_class("diffusion")(RING, CLASSES, **{**ringed.params.model_dump(), "extra_noise": 0.2})
    noisier.network, noisier.fields = ringed.network, ringed.fields
    for emotion in CLASSES:
        plain, rough = drawn(ringed, emotion, 100), drawn(noisier, emotion, 100)
        spread = (rough - plain) / ring().arrays.std(axis=0)
        assert abs(spread.std() - 0.2) < 0.06


@pytest.mark.parametrize("edit", ["sdedit", "inversion"])
def test_an_edit_goes_from_the_source_to_the_class(edit: str) -> None:
    data = ring()
    params = {"width": 16, "levels": 2, "batch_size": 64, "sample_steps": 30, "guidance": 1.0, "edit": edit}
    editor = fitted(data, 450, "diffusion_edit", **params)
    rows = [i for i in range(200) if data.emotions[i] == "neutral"]

    def at(strength: float) -> np.ndarray:
        other = generator_class("diffusion_edit")(RING, CLASSES, **{**params, "strength": strength})
        other.network, other.source_emotions = editor.network, editor.source_emotions
        return converted(other, data, rows, "anger")

    np.testing.assert_array_equal(at(0.0), data.arrays[rows])
    moved = [np.linalg.norm(at(s) - data.arrays[rows], axis=1).mean() for s in (0.02, 0.3, 0.9)]
    assert moved[0] < 0.15 * moved[2] and moved[0] < moved[1] < moved[2], moved
    distance = np.linalg.norm(at(0.9)[:, None] - centres()[None], axis=2).argmin(axis=1)
    assert np.isin(distance, [1, 4]).mean() > 0.9
    if edit == "inversion":
        same = generator_class("diffusion_edit")(RING, CLASSES, **{**params, "strength": 0.7, "sample_steps": 60})
        same.network, same.source_emotions = editor.network, editor.source_emotions
        back = converted(same, data, rows, "neutral")
        assert np.linalg.norm(back - data.arrays[rows], axis=1).mean() < 0.3, "under its own class it comes back"
    else:
        assert not np.allclose(at(0.3), at(0.31), atol=1e-3)


def test_an_autoencoder_of_diffusers_is_read_from_its_folder(tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    def save(folder: Path, seed: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            kl: Any = AutoencoderKL(
                in_channels=3,
                out_channels=3,
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                block_out_channels=(8, 8),
                latent_channels=3,
                norm_num_groups=4,
                sample_size=12,
            )
        kl.save_pretrained(folder)

    save(tmp_path / "vae", 0)
    data = toy_data(IMAGES)
    params = {**SMALL, "space": "latent", "autoencoder": str(tmp_path / "vae"), "network": "dit", "levels": 1}
    generator = fitted(data, 4, **params)
    space = generator.network.space
    assert (space.channels, space.grid) == (3, (6, 6))
    x = torch.from_numpy(data.arrays)
    z = space.fold(x, {})
    torch.testing.assert_close(z.mean(dim=(0, 2, 3)), torch.zeros(3), atol=0.3, rtol=0)
    kl: Any = AutoencoderKL.from_pretrained(tmp_path / "vae", local_files_only=True)
    with torch.no_grad():
        exact = kl.decode(kl.encode(x.expand(-1, 3, -1, -1)).latent_dist.mode()).sample.mean(dim=1, keepdim=True)
        torch.testing.assert_close(space.unfold(z, {}), exact, atol=1e-4, rtol=1e-4)
    assert drawn(generator, "fear", 2).shape == (2, 1, 12, 12)
    generator.save(tmp_path / "model")
    loaded = generator_class("diffusion").load(tmp_path / "model", device=CPU)
    np.testing.assert_array_equal(drawn(loaded, "fear", 2), drawn(generator, "fear", 2))
    assert not any("kl" in name for name in generator.network.state_dict()), (
        "the pretrained weights stay where they are"
    )
    save(tmp_path / "vae", 1)
    with pytest.raises(IntegrityError, match="other weights"):
        generator_class("diffusion").load(tmp_path / "model", device=CPU)
    with pytest.raises(ParamsError, match=r"no folder with config\.json"):
        fitted(data, 1, **{**params, "autoencoder": str(tmp_path)})
    (tmp_path / "vae" / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    with pytest.raises(ParamsError, match="holds a UNet2DModel"):
        fitted(data, 1, **params)
    with pytest.raises(ParamsError, match="of images"):
        fitted(toy_data(VECTOR), 1, **{**params, "network": "auto"})


def test_the_width_of_the_average_is_the_monitor_s_choice() -> None:
    data = toy_data(VECTOR)
    generator = generator_class("diffusion")(VECTOR, CLASSES, **{**SMALL, "ema_widths": [0.03, 0.2]})
    seen: list[torch.Tensor] = []
    scores = iter([5.0, 4.0, 3.0, 2.0, 3.5])  # two in the fit; then as it is, and both widths

    def monitor(model: Any) -> float:
        seen.append(torch.nn.utils.parameters_to_vector(model.network.core.parameters()).clone())
        return next(scores)

    list(generator.fit(data, steps=40, seed=0, device=CPU, monitor=monitor, monitor_every=20))
    assert len(seen) == 5
    assert torch.equal(seen[2], seen[1]) and not torch.equal(seen[3], seen[4])
    chosen = torch.nn.utils.parameters_to_vector(generator.network.core.parameters())
    assert torch.equal(chosen, seen[3])


def test_guidance_by_an_interval_costs_fewer_passes(monkeypatch: pytest.MonkeyPatch, ringed: Any) -> None:
    rows: list[int] = []
    predict = ringed.network.core.predict

    def counting(x: torch.Tensor, t: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        rows.append(len(x))
        return predict(x, t, embedding)

    monkeypatch.setattr(ringed.network.core, "predict", counting)
    params = {**ringed.params.model_dump(), "guidance": 2.0, "sample_steps": 10, "spacing": "trailing"}
    sigmas = Precondition().grid(10)
    for interval in (None, (0.3, 3.0), (500.0, 501.0)):
        guided = sum(interval is None or interval[0] <= sigma <= interval[1] for sigma in sigmas[:-1])
        other = generator_class("diffusion")(RING, CLASSES, **{**params, "guidance_interval": interval})
        other.network = ringed.network
        rows.clear()
        drawn(other, "fear", 8)
        assert len(rows) == 10
        assert sum(rows) == 8 * (10 + guided)


def test_divergence_stops_with_the_step_and_the_checkpoint(tmp_path: Path) -> None:
    data = toy_data(VECTOR)
    generator = generator_class("diffusion")(VECTOR, CLASSES, **SMALL)
    reports = generator.fit(data, steps=40, seed=0, device=CPU, checkpoints=tmp_path, checkpoint_every=5)
    real = DiffusionNetwork.fold
    calls = [0]

    def broken(self: Any, x: torch.Tensor, conditions: Any) -> torch.Tensor:
        calls[0] += 1
        return real(self, x, conditions) * (float("inf") if calls[0] > 12 else 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiffusionNetwork, "fold", broken)
        with pytest.raises(DivergedError, match=r"at step 11.*last good checkpoint is that of step 10: .*000000010"):
            list(reports)


def test_a_model_of_the_format_before_is_refused(tmp_path: Path) -> None:
    data = toy_data(VECTOR)
    fitted(data, 1, **SMALL).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format": config["format"] - 1}))
    with pytest.raises(IntegrityError, match=r"format 2, not one of 'diffusion' in format 3"):
        generator_class("diffusion").load(tmp_path, device=CPU)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"learned_variance": True}, "sampler ddpm"),
        ({"guide": "classifier", "honours": ["subject"]}, "unconditional"),
        ({"guide": "classifier", "soft_labels": "noise"}, "unconditional"),
        ({"mix_interval": [0.1, 2.0]}, "soft_labels noise"),
        ({"guidance_interval": [2.0, 1.0]}, "lower one first"),
        ({"intensity_by": "neutral", "use_intensity": True}, "leave out"),
        ({"autoencoder": "somewhere"}, "space latent"),
        ({"drop_condition": 0.0}, "drop_condition above 0"),
        ({"guide": "trained", "drop_condition": 0.0}, "drop_condition above 0"),
        ({"student_steps": 2}, "without guidance"),
        ({"ema_widths": [0.5]}, "within 0.01"),
        ({"network": "unet"}, "use auto or one of mlp, dit"),
    ],
)
def test_what_makes_no_sense_is_refused(params: dict[str, Any], says: str) -> None:
    with pytest.raises(ParamsError, match=says):
        generator = generator_class("diffusion")(VECTOR, CLASSES, **params)
        list(generator.fit(toy_data(VECTOR), steps=1, seed=0, device=CPU))


def test_edits_refuse_what_has_no_way_back() -> None:
    for params in ({"edit": "inversion", "sampler": "ddpm"}, {"student_steps": 2, "guidance": 1.0}):
        with pytest.raises(ParamsError):
            generator_class("diffusion_edit")(VECTOR, CLASSES, **params)
    editor = fitted(toy_data(VECTOR), 1, "diffusion_edit", **SMALL)
    with pytest.raises(UserError, match="names one source"):
        drawn(editor, "fear", 2)
    assert dataclasses.is_dataclass(WAVES)


class Stranger(torch.nn.Module):
    """A space of nobody's family around another one, which counts what it is asked for."""

    def __init__(self, inner: Any, *, keeps: bool) -> None:
        super().__init__()
        self.inner, self.keeps, self.folded = inner, keeps, 0
        self.channels, self.grid = inner.channels, inner.grid

    @property
    def autoencoder(self) -> Any:
        return self.inner.autoencoder

    def take_autoencoder(self, trained: torch.nn.Module) -> None:
        self.inner.take_autoencoder(trained)

    def bands(self) -> Any:
        return self.inner.bands()

    def fit(self, x: torch.Tensor, conditions: Any) -> None:
        self.inner.fit(x, conditions)

    def fold(self, x: torch.Tensor, conditions: Any) -> torch.Tensor:
        self.folded += 1
        return self.inner.fold(x, conditions)

    def unfold(self, z: torch.Tensor, conditions: Any) -> torch.Tensor:
        return self.inner.unfold(z, conditions)


@pytest.mark.parametrize("space", ["array", "latent"])
def test_a_space_is_asked_what_it_can_and_never_which_it_is(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, params = toy_data(VECTOR), {**SMALL, "space": space, "levels": 1}
    plain = drawn(fitted(data, 6, **params), "fear", 3)
    build = diffusion.space_of
    for keeps in (space == "latent", space != "latent"):
        monkeypatch.setattr(diffusion, "space_of", lambda *a, keeps=keeps: Stranger(build(*a), keeps=keeps))
        generator = fitted(data, 6, **params)
        phases = {phase.name for phase in generator._phases(generator._build(), train_set(data, generator), CPU, 1)}
        assert ("autoencoder" in phases) == (space == "latent")
        assert drawn(generator, "fear", 3).shape == plain.shape
        if keeps == (space == "latent"):
            np.testing.assert_array_equal(drawn(generator, "fear", 3), plain)
        folded = generator.network.space.folded
        assert folded <= 4 if keeps else folded >= 3, "kept, or folded batch by batch"


def train_set(data: Any, generator: Any) -> TrainSet:
    """The train split as `_phases` takes it."""
    x = torch.from_numpy(on_grid(data.arrays, data.spec))
    return TrainSet(x, dict(train_conditions(data, generator.fields)), np.arange(len(x)))


@pytest.mark.parametrize(
    ("spec", "params", "spacing"),
    [
        (IMAGES, {}, "karras"),
        (IMAGES, {"sampler": "dpmpp"}, "karras"),
        (IMAGES, {"sampler": "ddim"}, "trailing"),
        (IMAGES, {"space": "latent"}, "trailing"),
        (IMAGES, {"spacing": "trailing"}, "trailing"),
        (VECTOR, {}, "trailing"),
        (VECTOR, {"spacing": "karras"}, "karras"),
        (SIGNALS, {}, "trailing"),
    ],
)
def test_pictures_take_noise_levels_up_to_what_their_components_spread(
    spec: Spec, params: dict[str, Any], spacing: str
) -> None:
    assert generator_class("diffusion")(spec, CLASSES, **params).params.spacing_over(spec) == spacing

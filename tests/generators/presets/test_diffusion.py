"""The mechanisms of the diffusion presets: without each of them, something that is measured here is not so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import UserError
from features.representation import Spec
from generators.diffusion.guidance import Estimator
from generators.draws.plausible import plausibility
from generators.generator import Condition, Draw, generator_class
from generators.preset import load_preset
from tests.generators.diffusion.toy import CPU, converted, drawn
from tests.generators.presets.mechanisms import shows
from tests.generators.toy import CLASSES, IMAGES, SIGNALS, VECTOR, toy_data

TINY: dict[str, Any] = {"width": 8, "batch_size": 32}


def build(name: str, spec: Any = VECTOR, **without: Any) -> Any:
    """The preset's generator, small; `without`: what is taken out."""
    preset = load_preset(name)
    return generator_class(preset.generator)(spec, CLASSES, **{**preset.params, **TINY, "levels": 2, **without})


def fit(generator: Any, steps: int, **options: Any) -> list[Any]:
    return list(generator.fit(toy_data(generator.spec), steps=steps, seed=1, device=CPU, **options))


def passes(generator: Any, emotion: Any = "fear", given: Any = None) -> list[int]:
    """Rows that go through the network at each call, for two draws."""
    rows: list[int] = []
    predict = generator.network.core.predict

    def counting(x: torch.Tensor, t: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        rows.append(len(x))
        out: torch.Tensor = predict(x, t, embedding)
        return out

    generator.network.core.predict = counting
    drawn(generator, emotion, 2, given)
    generator.network.core.predict = predict
    return rows


def estimator(generator: Any, labels: list[list[float]]) -> Estimator:
    out: Estimator = generator._estimator({"emotion": torch.tensor(labels)})
    return out


def moved(generator: Any, emotion: str = "fear") -> float:
    """How far samples of a class lie above those of neutral in the column that is the class'."""
    column = CLASSES.index(emotion)
    return float((drawn(generator, emotion, 30) - drawn(generator, "neutral", 30))[:, column].mean())


@shows("speech/guo-2023")
def test_soft_labels_of_a_noisy_classifier_set_the_intensity() -> None:
    generator, without = build("speech/guo-2023"), build("speech/guo-2023", guidance=0.0)
    reports = fit(generator, 150)
    assert reports[-1].losses["classifier_right"] > 0.5
    without.network = generator.network
    levels = [drawn(generator, "fear", 40, {"intensity": v})[:, 2].mean() for v in (0.0, 0.5, 1.0)]
    assert levels[0] < levels[1] < levels[2]
    flat = [drawn(without, "fear", 40, {"intensity": v})[:, 2].mean() for v in (0.0, 1.0)]
    assert flat[0] == flat[1], "the network itself knows no class"


@shows("speech/tang-2023")
def test_noises_of_pure_emotions_are_mixed() -> None:
    generator, plain = build("speech/tang-2023"), build("speech/tang-2023", soft_labels="embedding", mix_interval=None)
    fit(generator, 20)
    plain.network = generator.network
    x = torch.randn(1, 10, 1, 1)
    soft = [0.0, 0.6, 0.4]
    pure = [estimator(generator, [row])(x, 1.0).x0 for row in ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0])]
    wanted = 0.6 * pure[0] + 0.4 * pure[1]
    torch.testing.assert_close(estimator(generator, [soft])(x, 1.0).x0, wanted)
    assert not torch.allclose(estimator(plain, [soft])(x, 1.0).x0, wanted, atol=1e-4)
    low, high = load_preset("speech/tang-2023").params["mix_interval"]
    for sigma in (low / 2, high * 2):
        torch.testing.assert_close(
            estimator(generator, [soft])(x, sigma).x0, estimator(generator, [[0.0, 1.0, 0.0]])(x, sigma).x0
        )
    assert sum(passes(generator, "fear", {"intensity": 0.5})) > sum(passes(generator))


@pytest.mark.slow
@shows("physio/siddhad-2024")
def test_the_denoiser_knows_the_class_and_noise_takes_samples_from_real_ones() -> None:
    generator, without = build("physio/siddhad-2024", SIGNALS), build("physio/siddhad-2024", SIGNALS, extra_noise=0.0)
    fit(generator, 120)
    without.network = generator.network
    x = torch.randn(1, generator.network.space.channels, *generator.network.space.grid)
    assert not torch.allclose(
        estimator(generator, [[1.0, 0, 0]])(x, 1.0).x0, estimator(generator, [[0, 0, 1.0]])(x, 1.0).x0
    )
    rough, plain = (
        drawn(g, "fear", 20) / toy_data(SIGNALS).arrays.std(axis=(0, 2))[:, None] for g in (generator, without)
    )
    assert 0.05 < np.std(rough - plain) < 0.2


@shows("faces/nichol-2021")
def test_the_variance_is_learned_beside_the_mean() -> None:
    generator, without = build("faces/nichol-2021"), build("faces/nichol-2021", learned_variance=False)
    first, last = fit(generator, 150)[0], fit(generator, 150)[-1]
    assert last.losses["vlb"] < first.losses["vlb"]
    assert "vlb" not in fit(without, 2)[-1].losses
    share = estimator(generator, [[1.0, 0.0, 0.0]])(torch.randn(1, 10, 1, 1), 0.05).share
    assert (
        share is not None
        and float(share.std()) > 0
        and estimator(without, [[1.0, 0, 0]])(torch.randn(1, 10, 1, 1), 0.05).share is None
    )


@shows("faces/karras-2022")
def test_the_network_is_preconditioned_and_heun_takes_two_passes() -> None:
    generator = build("faces/karras-2022")
    fit(generator, 5)
    x = torch.randn(1, 10, 1, 1)
    near = estimator(generator, [[1.0, 0, 0]])(x, 0.004).x0
    assert float((near - x).abs().max()) < 0.05, "at no noise the estimate is what is seen, whatever the network says"
    without = build("faces/karras-2022", prediction="epsilon")
    assert len(passes(generator)) == 2 * generator.params.sample_steps - 1
    from generators.diffusion.precondition import Precondition

    share = (torch.arange(4000) + 0.5) / 4000
    logs = [Precondition(g.params.prediction).levels(share)[0].log() for g in (generator, without)]
    assert abs(float(logs[0].std()) - 1.2) < 0.05 < abs(float(logs[1].std()) - 1.2)


@shows("faces/karras-2024")
def test_a_weaker_network_guides() -> None:
    generator, without = build("faces/karras-2024"), build("faces/karras-2024", guidance=1.0)
    reports = fit(generator, 100)
    assert "weak_loss" in reports[10].losses and "weak_loss" not in reports[-1].losses, "it is trained for less"
    sizes = [sum(p.numel() for p in part.parameters()) for part in (generator.network.weak, generator.network.core)]
    assert sizes[0] < 0.5 * sizes[1]
    without.network = generator.network
    x = torch.randn(1, 10, 1, 1)
    own = estimator(without, [[0.0, 0, 1.0]])(x, 1.0).x0
    weak = generator.network.weak
    kept, generator.network.core = generator.network.core, weak
    other = estimator(without, [[0.0, 0, 1.0]])(x, 1.0).x0
    generator.network.core = kept
    torch.testing.assert_close(estimator(generator, [[0.0, 0, 1.0]])(x, 1.0).x0, other + 2.0 * (own - other))


@shows("faces/karras-2024b")
def test_widths_of_the_average_are_tried_after_the_fit() -> None:
    counts = []
    without: dict[str, Any]
    for without in ({}, {"ema_widths": []}):
        seen: list[torch.Tensor] = []

        def monitor(model: Any, seen: list[torch.Tensor] = seen) -> float:
            seen.append(torch.nn.utils.parameters_to_vector(model.network.core.parameters()).clone())
            return -float(len(seen))

        generator = build("faces/karras-2024b", **without)
        fit(generator, 30, monitor=monitor, monitor_every=30)
        counts.append(len(seen))
        last = torch.nn.utils.parameters_to_vector(generator.network.core.parameters())
        assert torch.equal(last, seen[-1]), "the best is kept"
        assert len({float(v.sum()) for v in seen}) == max(1, len(seen) - 1)
    assert counts == [6, 1]


@shows("faces/meng-2022")
def test_the_source_is_noised_to_a_strength() -> None:
    generator, data = build("faces/meng-2022"), toy_data(VECTOR)
    fit(generator, 100)
    rows = [i for i in range(60) if data.emotions[i] == "neutral"]
    unit = np.maximum(data.arrays.std(axis=0), 0.1)
    far = []
    for strength in (0.0, 0.3, 0.95):
        other = build("faces/meng-2022", strength=strength)
        other.network, other.source_emotions = generator.network, generator.source_emotions
        far.append(np.abs((converted(other, data, rows, "fear") - data.arrays[rows]) / unit).mean())
    assert far[0] == 0 < far[1] < far[2]
    one, two = (Draw(Condition("fear"), seed, {"from": data.ids[rows[0]]}) for seed in (1, 2))
    made = generator.sample([one, two], data.arrays[[rows[0]] * 2], device=CPU)
    assert not np.allclose(made[0], made[1], atol=1e-3), "its noise is the draw's"


@shows("faces/song-2021")
def test_the_source_is_run_backwards() -> None:
    generator, data = build("faces/song-2021"), toy_data(VECTOR)
    noised = build("faces/song-2021", edit="sdedit")
    fit(generator, 100)
    noised.network, noised.source_emotions = generator.network, generator.source_emotions
    i = data.emotions.index("neutral")
    back, differ = [], []
    for editor in (generator, noised):
        same = [Draw(Condition("neutral"), seed, {"from": data.ids[i]}) for seed in (1, 2)]
        made = editor.sample(same, data.arrays[[i, i]], device=CPU) / (data.arrays.std(axis=0) + 1e-6)
        differ.append(np.abs(made[0] - made[1]).max())
        back.append(np.abs(made[0] - data.arrays[i] / (data.arrays.std(axis=0) + 1e-6)).mean())
    assert differ[0] < 1e-4 < differ[1]
    assert back[0] < 0.5 * back[1], "under its own class it comes back to itself"


@shows("faces/rombach-2022")
def test_the_autoencoder_is_fitted_first_and_left_alone() -> None:
    generator, without = (
        build("faces/rombach-2022", IMAGES, latent=4),
        build("faces/rombach-2022", VECTOR, space="array"),
    )
    losses = [report.losses for report in fit(generator, 20)]
    assert "autoencoder_mse" in losses[2] and "diffusion_mse" not in losses[2]
    assert "diffusion_mse" in losses[-1] and "autoencoder_mse" not in losses[-1]
    assert (generator.network.space.channels, generator.network.space.grid) == (4, (1, 1))
    fit(without, 2)
    assert without.network.space.channels == 10


@shows("faces/peebles-2023")
def test_a_transformer_sees_all_patches_and_starts_at_nothing() -> None:
    generator = build("faces/peebles-2023", IMAGES)
    fit(generator, 1)
    fresh = generator._build().core.denoiser
    channels, grid = generator.network.space.channels, generator.network.space.grid
    x, steer = torch.randn(1, channels, *grid), torch.randn(1, 32)
    assert float(fresh(x, torch.tensor([300.0]), steer).detach().abs().max()) == 0.0, "adaLN-Zero"
    fit(generator, 30)
    other = x.clone()
    other[..., 0, 0] += 1.0
    core = generator.network.core.denoiser
    outs = [core(one, torch.tensor([300.0]), steer) for one in (x, other)]
    assert float((outs[0] - outs[1])[..., -1, -1].abs().max()) > 1e-6, "one corner hears of the other"
    assert not torch.allclose(outs[0], core(x, torch.tensor([300.0]), steer + 1.0)), "and of the class"
    plain = build("faces/peebles-2023", network="mlp")
    assert type(generator.network.core.denoiser).__name__ == "DiT" != type(plain._build().core.denoiser).__name__


@shows("faces/ho-2022")
def test_conditions_are_dropped_and_samples_extrapolated() -> None:
    generator, without = build("faces/ho-2022"), build("faces/ho-2022", guidance=1.0, drop_condition=0.0)
    fit(generator, 150)
    fit(without, 5)
    assert set(passes(generator)) == {4} and set(passes(without)) == {2}
    plain = build("faces/ho-2022", guidance=1.0)
    plain.network = generator.network
    assert moved(generator) > moved(plain)
    null = generator.network.core.condition.null
    assert float(null.abs().max()) > 0 and float(without.network.core.condition.null.abs().max()) == 0


@shows("faces/kynkaanniemi-2024")
def test_guidance_is_on_in_its_interval_alone() -> None:
    generator, without = build("faces/kynkaanniemi-2024"), build("faces/kynkaanniemi-2024", guidance_interval=None)
    fit(generator, 5)
    without.network = generator.network
    rows = passes(generator)
    assert rows[0] == 2 and rows[-1] == 2 and 4 in rows
    assert set(passes(without)) == {4}


@shows("faces/hang-2023")
def test_noise_levels_are_weighed_by_the_capped_snr() -> None:
    def first(**without: Any) -> float:
        return float(fit(build("faces/hang-2023", **without), 1)[0].losses["loss"])

    assert first() != first(min_snr=0.0) and first() != first(min_snr=1.0)


@shows("faces/geng-2024")
def test_the_network_is_tuned_to_draw_in_two_passes() -> None:
    generator, without = build("faces/geng-2024"), build("faces/geng-2024", student_steps=0)
    losses = [report.losses for report in fit(generator, 40)]
    assert "gap" not in losses[20] and "gap" in losses[-1]
    fit(without, 5)
    assert len(passes(generator)) == 2 < len(passes(without))


@pytest.mark.slow
@shows("faces/tang-2025")
def test_guidance_is_taught_and_costs_no_pass() -> None:
    generator, without = build("faces/tang-2025"), build("faces/tang-2025", guidance=1.0)
    fit(generator, 150)
    fit(without, 150)
    assert set(passes(generator)) == {2}
    assert moved(generator) > moved(without), "farther from the others, as guided samples are"


@shows("speech/malik-2023")
def test_what_is_said_conditions_an_improved_ddpm(tmp_path: Path) -> None:
    data, rng = toy_data(VECTOR), np.random.default_rng(3)
    said = rng.integers(0, 2, len(data.ids))
    prompts = np.array([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]], np.float32)  # embeddings of two texts
    arrays = data.arrays.copy()
    arrays[:, 5] += 4.0 * said
    data = replace(data, arrays=arrays, vectors={"text": prompts[said]})

    def drawn_of(model: Any, text: np.ndarray, **given: Any) -> np.ndarray:
        whole = {"text": tuple(float(v) for v in text), **given}
        draws = [Draw(Condition("fear", whole), seed) for seed in range(20)]
        return np.asarray(model.sample(draws, device=CPU))

    generator = build("speech/malik-2023", sample_steps=12)
    reports = list(generator.fit(data, steps=150, seed=1, device=CPU))
    assert "vlb" in reports[-1].losses, "the hybrid loss"
    assert generator.honours == {"text", "subject"}
    one, two = (drawn_of(generator, text) for text in prompts)
    assert (two - one)[:, 5].mean() > 1.5, "another prompt is another sample"
    assert not np.array_equal(one, drawn_of(generator, prompts[0], subject="toy:1"))
    generator.save(tmp_path)
    loaded = type(generator).load(tmp_path, device=CPU)
    np.testing.assert_array_equal(drawn_of(loaded, prompts[1]), two)
    deaf = build("speech/malik-2023")
    list(deaf.fit(replace(data, vectors={}), steps=1, seed=1, device=CPU))
    with pytest.raises(UserError, match="sets text, which this generator was not fitted with"):
        drawn_of(deaf, prompts[0])
    plain = build("speech/malik-2023", learned_variance=False)
    assert "vlb" not in next(iter(plain.fit(data, steps=1, seed=1, device=CPU))).losses


TABLE = Spec(
    "toy-bands",
    (7,),
    layout="vector",
    rows=("eeg_0_delta", "eeg_0_theta", "eeg_0_log_sd", "eeg_1_delta", "eeg_1_theta", "eeg_1_log_sd", "eda_delta"),
)


@shows("physio/yi-2024")
def test_attention_is_over_bands_and_over_channels_and_corrupted_samples_weigh_less() -> None:
    generator = build("physio/yi-2024", TABLE)
    axial = generator._build().core.denoiser
    assert axial.sides == (3, 3) and int(axial.empty.sum()) == 2, "eda has one of the three features"
    block, steer = axial.blocks[0], torch.zeros(1, 32)
    torch.nn.init.normal_(block.steer.weight, std=0.2)
    torch.nn.init.ones_(block.steer.bias)

    def heard(side: str) -> torch.Tensor:
        """Cells that change where cell (0, 0) does, by the attention along one side alone."""
        part = getattr(block, f"_within_{side}")
        x = torch.randn(1, 3, 3, 32, generator=torch.Generator().manual_seed(1))
        other = x.clone()
        other[0, 0, 0] += 1.0
        changed: torch.Tensor = (part(x, axial.empty) - part(other, axial.empty)).abs().amax(-1)[0] > 1e-6
        return changed

    assert heard("rows")[0].all() and not heard("rows")[1:].any(), "bands of one channel"
    assert heard("columns")[:, 0].all() and not heard("columns")[:, 1:].any(), "channels of one band"
    x = torch.randn(2, 7, 1, 1)
    assert float(axial(x, torch.ones(2), torch.zeros(2, 32)).detach().abs().max()) == 0.0, "adaLN-Zero"
    assert not hasattr(build("physio/yi-2024", TABLE, network="dit")._build().core.denoiser, "empty")
    assert (
        "blocks" in dict(axial.named_children())
        and block(x.new_zeros(1, 3, 3, 32), steer, axial.empty).isfinite().all()
    )
    # the second half of its name: what an arm of a study does with the samples
    assert load_preset("physio/yi-2024").weigh == "plausible"
    data = toy_data(VECTOR)
    labels, scale = np.array([CLASSES.index(e) for e in data.emotions]), data.arrays.std(axis=0) + 1e-3
    real, rng = data.arrays / scale, np.random.default_rng(0)
    believed = [
        plausibility(real[::2], labels[::2], real[1::2] + s * rng.normal(size=real[1::2].shape), labels[1::2]).mean()
        for s in (0.0, 0.5, 2.0)
    ]
    assert believed[0] > believed[1] > believed[2] and believed[2] < 0.3 * believed[0], believed

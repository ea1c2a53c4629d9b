"""Fine-tuned pipelines: the class is honoured, LoRA keeps little, the base is checked, wrong places are named."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import IntegrityError, ParamsError, UserError
from generators.generator import Condition, Device, Draw, generator_class
from generators.pipelines.pipeline import load_pipeline
from tests.generators.pipelines.tiny_pipelines import write_ddpm, write_stable_diffusion
from tests.generators.toy import CLASSES, IMAGES, SPEECH, class_means, nearest, toy_data
from training.checkpoint import content_hash

pytest.importorskip("transformers")
pytestmark = pytest.mark.timeout(120)
CPU = Device()
KIND = generator_class("finetuned_diffusion")
KINDS = ["ddpm", "stable"]
WITH_PEFT = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft (extra lm) is not installed")
QUICK = {"tuning": "full", "sample_steps": 4, "batch_size": 16, "lr": 2e-3, "warmup": 5}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("pipelines")
    return {"ddpm": write_ddpm(root / "ddpm"), "stable": write_stable_diffusion(root / "stable")}


def make(place: str, **params: Any) -> Any:
    return KIND(IMAGES, CLASSES, **{"model": place, **QUICK, **params})


def fitted(place: str, steps: int, *, seed: int = 1, **params: Any) -> Any:
    generator = make(place, **params)
    generator.losses = [r.losses["loss"] for r in generator.fit(toy_data(IMAGES), steps=steps, seed=seed, device=CPU)]
    return generator


def draws_of(n: int) -> list[Draw]:
    return [Draw(Condition(CLASSES[k % 3]), 50 + k) for k in range(n)]


@pytest.mark.slow
def test_a_pipeline_without_a_condition_learns_one(tmp_path: Path) -> None:
    data = toy_data(IMAGES)
    generator = fitted(write_ddpm(tmp_path / "small", sample_size=8), 120, lr=4e-3, guidance=1.5, sample_steps=8)
    draws = draws_of(30)
    arrays = generator.sample(draws, device=CPU)
    assert arrays.shape == (30, 1, 12, 12) and arrays.dtype == np.float32 and np.abs(arrays).max() <= 1.0
    asked = np.array([CLASSES.index(str(d.condition.emotion)) for d in draws])
    assert (nearest(arrays, class_means(data)) == asked).mean() > 0.9
    np.testing.assert_allclose(generator.sample(draws[4:6], device=CPU), arrays[4:6], atol=1e-4)
    mixed = dataclasses.replace(draws[0], condition=Condition({"neutral": 0.5, "anger": 0.5}))
    assert not np.allclose(generator.sample([mixed], device=CPU), arrays[:1], atol=1e-3)
    with pytest.raises(UserError, match="intensity"):
        generator.sample([Draw(Condition("fear", {"intensity": 0.5}), 1)], device=CPU)


def test_before_the_first_step_it_is_the_pretrained_pipeline(places: dict[str, str]) -> None:
    generator = make(places["ddpm"])
    network = generator._build().eval()
    unet = load_pipeline(places["ddpm"]).unet.eval()
    z, t = torch.randn(2, 1, 16, 16), torch.tensor([3, 500])
    with torch.no_grad():
        torch.testing.assert_close(network.predict(z, t, torch.eye(3)[:2]), unet(z, t).sample)


@pytest.mark.slow
def test_prompts_say_the_class(places: dict[str, str]) -> None:
    generator = fitted(places["stable"], 60, drop_condition=0.2)
    assert generator.losses[-1] < generator.losses[0]
    network, data = generator.network, toy_data(IMAGES)
    with torch.no_grad():
        z = network.pipeline.from_images(torch.from_numpy(data.arrays[:3]))
        t = torch.tensor([400, 400, 400])
        own = torch.eye(3)
        right, other, none = (network.predict(z, t, shares) for shares in (own, own.roll(1, 0), torch.zeros(3, 3)))
        assert not torch.allclose(right, other) and not torch.allclose(right, none)
        half = torch.full((1, 3), 1 / 3)
        torch.testing.assert_close(
            torch.einsum("nk,kld->nld", half, network.contexts[:3]), network.contexts[:3].mean(dim=0, keepdim=True)
        )
    draws = draws_of(3)
    arrays = generator.sample([dataclasses.replace(d, seed=7) for d in draws], device=CPU)
    assert arrays.shape == (3, 1, 12, 12) and len({a.tobytes() for a in arrays}) == 3
    same = fitted(places["stable"], 2, words={"anger": "fear"}, guidance=1.0)
    anger, fear = same.sample([Draw(Condition(name), 7) for name in ("anger", "fear")], device=CPU)
    np.testing.assert_array_equal(anger, fear)  # the words are all that tells classes apart


def test_a_prompt_that_would_be_cut_off_is_refused(places: dict[str, str]) -> None:
    with pytest.raises(ParamsError, match="the text encoder reads 48; shorten it"):
        fitted(places["stable"], 1, prompt="a" * 60 + " {emotion}")


@pytest.mark.parametrize("kind", KINDS)
def test_images_go_there_and_back(kind: str, places: dict[str, str]) -> None:
    pipeline = load_pipeline(places[kind])
    x = torch.from_numpy(toy_data(IMAGES).arrays[:5])
    with torch.no_grad():
        z = pipeline.from_images(x)
        back = pipeline.to_images(z, IMAGES.grid)
    assert z.shape == (5, *pipeline.shape) and back.shape == x.shape
    if kind == "ddpm":  # the autoencoder of the other one was never trained
        assert float((back - x).abs().mean()) < 0.1
    else:
        clean = torch.nn.functional.interpolate(
            x.expand(-1, 3, -1, -1), (16, 16), mode="bilinear", antialias=True, align_corners=False
        )
        torch.testing.assert_close(z, pipeline.vae.encode(clean).latent_dist.mode() * 2.0)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_is_the_same_over_the_same_base(kind: str, places: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(places[kind].removeprefix("path:"), folder)
    generator = fitted(f"path:{folder}", 3)
    generator.save(tmp_path / "a")
    loaded = KIND.load(tmp_path / "a", device=CPU)
    np.testing.assert_array_equal(loaded.sample(draws_of(3), device=CPU), generator.sample(draws_of(3), device=CPU))
    loaded.save(tmp_path / "b")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")
    index = folder / "model_index.json"
    index.write_text(index.read_text() + "\n")
    with pytest.raises(IntegrityError, match="put the base back"):
        KIND.load(tmp_path / "a", device=CPU)


def test_interrupted_it_ends_the_same(places: dict[str, str], tmp_path: Path) -> None:
    whole = fitted(places["ddpm"], 6)
    options = {"steps": 6, "seed": 1, "device": CPU, "checkpoints": tmp_path / "states", "checkpoint_every": 2}
    for progress in make(places["ddpm"]).fit(toy_data(IMAGES), **options):
        if progress.step == 4:
            break
    resumed = make(places["ddpm"])
    assert len(list(resumed.fit(toy_data(IMAGES), **options))) == 6
    expected = whole.network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.network.state_dict().items())


def test_held_out_rows_teach_nothing(places: dict[str, str]) -> None:
    data = toy_data(IMAGES)
    changed = data.arrays.copy()
    changed[data.held_out] *= -0.5
    a, b = make(places["ddpm"]), make(places["ddpm"])
    for generator, arrays in ((a, data.arrays), (b, changed)):
        list(generator.fit(dataclasses.replace(data, arrays=arrays), steps=3, seed=1, device=CPU))
    np.testing.assert_array_equal(a.sample(draws_of(2), device=CPU), b.sample(draws_of(2), device=CPU))


@WITH_PEFT
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", ["attention", "all"])
def test_lora_moves_and_keeps_its_updates_alone(
    kind: str, targets: str, places: dict[str, str], tmp_path: Path
) -> None:
    generator = fitted(places[kind], 8, tuning="lora", rank=2, targets=targets)
    kept = {name for name in generator.network.state_dict() if name.startswith("trainable")}
    assert kept and all("lora_" in name or name == "trainable.class_embedding/weight" for name in kept)
    now = generator.network.pipeline.unet.state_dict()
    before = load_pipeline(places[kind]).unet.state_dict()
    base = {k.replace(".base_layer", ""): v for k, v in now.items() if "lora_" not in k and "class_embedding" not in k}
    assert base.keys() == before.keys() and all(torch.equal(v, before[k]) for k, v in base.items())
    generator.save(tmp_path / "a")
    if targets == "attention":
        weights = sum(f.stat().st_size for f in Path(places[kind].removeprefix("path:")).glob("unet/*.safetensors"))
        assert (tmp_path / "a" / "model.safetensors").stat().st_size < 0.5 * weights
    loaded = KIND.load(tmp_path / "a", device=CPU)
    np.testing.assert_array_equal(loaded.sample(draws_of(2), device=CPU), generator.sample(draws_of(2), device=CPU))


def test_a_place_that_holds_something_else_is_said(places: dict[str, str], tmp_path: Path) -> None:
    def of(name: str, **files: str) -> Path:
        for file, text in files.items():
            path = tmp_path / name / file.replace("__", "/").replace("_json", ".json").replace("_bin", ".bin")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / name

    file = tmp_path / "file"
    file.write_text("")
    pickled = tmp_path / "pickled"
    shutil.copytree(places["ddpm"].removeprefix("path:"), pickled)
    weights = pickled / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    broken = tmp_path / "broken"
    shutil.copytree(places["ddpm"].removeprefix("path:"), broken)
    (broken / "unet" / "config.json").write_text("{")
    cases = [
        (tmp_path / "gone", "nothing is there"),
        (file, "it is a file"),
        (of("single", config_json="{}"), "a single model, not a whole pipeline"),
        (of("list", model_index_json="[]"), "names no pipeline"),
        (of("flux", model_index_json='{"_class_name": "FluxPipeline"}'), "a FluxPipeline; known are DDPMPipeline"),
        (of("half", model_index_json='{"_class_name": "DDPMPipeline"}'), "part 'unet' is missing"),
        (pickled, "no weights as safetensors"),
        (broken, "unet cannot be loaded"),
    ]
    for path, says in cases:
        with pytest.raises(ParamsError, match=says):
            list(make(f"path:{path}").fit(toy_data(IMAGES), steps=1, seed=0, device=CPU))


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"model": "runwayml/sd"}, "path:FOLDER"),
        ({"prompt": "a face"}, r"\{emotion\} once"),
        ({"honours": ["intensity"]}, "the class alone"),
        ({"ema_std": 0.05}, "leave out ema_std"),
        ({"drop_condition": 0.0}, "guidance needs"),
        ({"words": {"angr": "x"}}, "Did you mean 'anger'"),
    ],
)
def test_a_wrong_parameter_is_named(params: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        make("path:somewhere", **params)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ParamsError, match="models layouts image"):
        KIND(SPEECH, CLASSES, model="path:x")
    with pytest.raises(ParamsError, match="bounds None"):
        KIND(dataclasses.replace(IMAGES, bounds=None), CLASSES, model="path:x")

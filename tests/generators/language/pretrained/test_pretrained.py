"""Fine-tuned language models: the class is honoured, LoRA keeps little, the base is checked, wrong places are named."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import IntegrityError, ParamsError, ResourceError, UserError
from generators.generator import Condition, Device, Draw, generator_class
from generators.language.lines import lines_of
from generators.language.pretrained.decoding import pick
from generators.language.pretrained.seq2seq import encoded, rewritten
from tests.generators.language.pretrained.tiny_checkpoints import (
    CLASSES,
    FEELS,
    UTF8,
    agreement,
    fit,
    toy_lines,
    toy_train,
    write_gpt2,
    write_t5,
)
from training.checkpoint import content_hash

pytest.importorskip("transformers")
pytestmark = pytest.mark.timeout(120)
CPU = Device()
NO_PEFT = importlib.util.find_spec("peft") is None
FULL = {"tuning": "full", "lr": 1e-2, "warmup": 5, "max_tokens": 16, "attempts": 1, "temperature": 0.7}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {"causal_lm": write_gpt2(root / "gpt2"), "seq2seq": write_t5(root / "t5")}


def make(name: str, places: dict[str, str], **params: Any) -> Any:
    given = {"model": places[name], **FULL, **params}
    return generator_class(name)(UTF8.spec, CLASSES, **given)


def draws_of(name: str, n: int) -> tuple[list[Draw], np.ndarray | None, list[str]]:
    """n draws over the classes, sources of another class for `seq2seq`, and what was asked for."""
    asked = [CLASSES[k % 3] for k in range(n)]
    if name == "causal_lm":
        return [Draw(Condition(e), 100 + k) for k, e in enumerate(asked)], None, asked
    data = toy_train()
    other = [next(i for i in range(k, len(data.ids)) if data.emotions[i] != e) for k, e in enumerate(asked)]
    draws = [
        Draw(Condition(e), 100 + k, {"from": data.ids[i]}) for k, (e, i) in enumerate(zip(asked, other, strict=True))
    ]
    return draws, data.arrays[other], asked


@pytest.fixture(scope="module")
def trained(places: dict[str, str]) -> dict[str, Any]:
    settings = {"causal_lm": (120, {}), "seq2seq": (250, {"mask_share": 0.9})}
    models = {}
    for name, (steps, params) in settings.items():
        models[name] = make(name, places, **params)
        losses = fit(models[name], steps)
        assert losses[-1] < 0.5 * losses[0]
    return models


@pytest.mark.parametrize("name", ["causal_lm", "seq2seq"])
def test_the_class_is_honoured_and_rows_stand_alone(
    name: str, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained[name]
    draws, sources, asked = draws_of(name, 24)
    monkeypatch.setattr(model, "known", frozenset())  # a toy grammar has few lines that train does not have
    arrays = model.sample(draws, sources, device=CPU)
    lines = lines_of(arrays)
    assert agreement(lines, asked) > 0.8, lines
    assert len(set(lines)) > 8
    alone = [
        model.sample(draws[k : k + 1], None if sources is None else sources[k : k + 1], device=CPU) for k in (0, 5)
    ]
    np.testing.assert_array_equal(np.concatenate(alone), arrays[[0, 5]])


@pytest.mark.parametrize("name", ["causal_lm", "seq2seq"])
def test_saved_and_loaded_it_is_the_same_over_the_same_base(
    name: str, trained: dict[str, Any], places: dict[str, str], tmp_path: Path
) -> None:
    model = trained[name]
    model.save(tmp_path / "a")
    loaded = generator_class(name).load(tmp_path / "a", device=CPU)
    draws, sources, _ = draws_of(name, 4)
    np.testing.assert_array_equal(loaded.sample(draws, sources, device=CPU), model.sample(draws, sources, device=CPU))
    loaded.save(tmp_path / "b")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")
    folder = Path(places[name].removeprefix("path:"))
    kept = (folder / "config.json").read_bytes()
    try:
        (folder / "config.json").write_bytes(kept + b"\n")
        with pytest.raises(IntegrityError, match="put the base back"):
            generator_class(name).load(tmp_path / "a", device=CPU)
    finally:
        (folder / "config.json").write_bytes(kept)


@pytest.mark.parametrize("name", ["causal_lm", "seq2seq"])
def test_interrupted_it_ends_the_same(name: str, places: dict[str, str], tmp_path: Path) -> None:
    whole = make(name, places)
    fit(whole, 6)
    cut = make(name, places)
    options = {"steps": 6, "seed": 1, "device": CPU, "checkpoints": tmp_path / "states", "checkpoint_every": 2}
    for progress in cut.fit(toy_train(), **options):
        if progress.step == 4:
            break
    resumed = make(name, places)
    assert len(list(resumed.fit(toy_train(), **options))) == 6
    expected = whole._tensors()
    assert all(torch.equal(value, expected[key]) for key, value in resumed._tensors().items())


def test_a_mixture_lies_between_control_embeddings(
    trained: dict[str, Any], places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained["causal_lm"]
    monkeypatch.setattr(model, "known", frozenset())
    seeds = range(60)
    mixed = lines_of(model.sample([Draw(Condition({"joy": 0.5, "anger": 0.5}), s) for s in seeds], device=CPU))
    heard = [sum(bool(set(FEELS[name]) & set(line.split())) for line in mixed) / 60 for name in CLASSES]
    assert heard[1] > 0.25 and heard[2] > 0.25 and heard[0] < 0.25, heard
    pure = lines_of(model.sample([Draw(Condition({"joy": 1.0}), s) for s in seeds], device=CPU))
    assert pure == lines_of(model.sample([Draw(Condition("joy"), s) for s in seeds], device=CPU))
    prompted = make("causal_lm", places, control="prompt")
    fit(prompted, 2)
    with pytest.raises(UserError, match="knows no mixtures"):
        prompted.sample([Draw(Condition({"joy": 0.5, "anger": 0.5}), 0)], device=CPU)


@pytest.mark.slow
def test_words_before_the_line_say_the_class(places: dict[str, str]) -> None:
    model = make("causal_lm", places, control="prompt", prompt="express {emotion}:")
    fit(model, 300)
    model.known = frozenset()
    draws, _, asked = draws_of("causal_lm", 24)
    assert agreement(lines_of(model.sample(draws, device=CPU)), asked) > 0.8


def test_what_repeats_train_is_not_given(trained: dict[str, Any]) -> None:
    model = generator_class("causal_lm")(UTF8.spec, CLASSES, **trained["causal_lm"].params.model_dump())
    fit(model, 120)
    draws, _, _ = draws_of("causal_lm", 40)
    train = {line for (line, _), held in zip(toy_lines(), toy_train().held_out, strict=True) if not held}
    lines = lines_of(model.sample(draws, device=CPU))
    assert "" in lines and not train & set(lines)


@pytest.mark.skipif(NO_PEFT, reason="peft (extra lm) is not installed")
@pytest.mark.parametrize("name", ["causal_lm", "seq2seq"])
def test_lora_moves_and_keeps_its_updates_alone(name: str, places: dict[str, str], tmp_path: Path) -> None:
    model = make(name, places, tuning="lora", rank=4, lr=5e-3)
    losses = fit(model, 30)
    assert losses[-1] < losses[0]
    kept = model._tensors()
    assert kept and all("lora_" in key or key == "control" for key in kept)
    assert sum(v.numel() for v in kept.values()) < 0.5 * sum(p.numel() for p in model.base.model.parameters())
    untouched = make(name, places)._open(0)[0].model.state_dict()
    base = {k.replace(".base_layer", ""): v for k, v in model.base.model.state_dict().items() if "lora_" not in k}
    assert base.keys() == untouched.keys() and all(torch.equal(v, untouched[k]) for k, v in base.items())
    model.save(tmp_path / "a")
    loaded = generator_class(name).load(tmp_path / "a", device=CPU)
    draws, sources, _ = draws_of(name, 3)
    np.testing.assert_array_equal(loaded.sample(draws, sources, device=CPU), model.sample(draws, sources, device=CPU))


@pytest.mark.skipif(not NO_PEFT, reason="peft is installed")
def test_without_peft_lora_says_what_to_install(places: dict[str, str]) -> None:
    with pytest.raises(ResourceError, match=r"emoforge\[lm\].*tuning: full"):
        fit(make("causal_lm", places, tuning="lora"), 1)


def test_there_and_back_keeps_the_class(places: dict[str, str], tmp_path: Path) -> None:
    params = {"there": places["seq2seq"], "back": write_t5(tmp_path / "other", seed=1), "max_tokens": 8}
    model = generator_class("back_translation")(UTF8.spec, CLASSES, **params)
    (progress,) = model.fit(toy_train(), steps=1, seed=0, device=CPU)
    assert model.source_class == "same" and progress.steps == 1
    data = toy_train()
    draws = [Draw(Condition("calm"), k, {"from": data.ids[0]}) for k in range(3)]
    arrays = model.sample(draws, data.arrays[[0, 0, 0]], device=CPU)
    assert len(set(lines_of(arrays))) > 1
    model.save(tmp_path / "model")
    loaded = generator_class("back_translation").load(tmp_path / "model", device=CPU)
    np.testing.assert_array_equal(loaded.sample(draws, data.arrays[[0, 0, 0]], device=CPU), arrays)
    passed: list[list[str]] = []
    model._round_trip = lambda lines, seeds: passed.append(list(lines)) or list(lines)  # type: ignore[func-returns-value]
    assert lines_of(model.sample(draws, data.arrays[[0, 0, 0]], device=CPU)) == ["", "", ""], "as it was: no variant"
    assert len(passed) == 3
    with pytest.raises(UserError, match="keeps the class"):
        model.sample([Draw(Condition("joy"), 0, {"from": data.ids[0]})], data.arrays[:1], device=CPU)
    shutil.rmtree(tmp_path / "other")
    with pytest.raises(ParamsError, match="nothing is there"):
        generator_class("back_translation").load(tmp_path / "model", device=CPU)


def test_without_chance_it_decodes_as_transformers_does(trained: dict[str, Any]) -> None:
    base = trained["seq2seq"].base
    inputs = [f"express joy: {line}" for line, _ in toy_lines()[::9]]
    own = rewritten(base, inputs, range(len(inputs)), longest=12, temperature=0.0, top_p=1.0)
    given = encoded(base, inputs, 64, torch.device("cpu"))
    theirs = base.model.generate(**given, max_new_tokens=12, do_sample=False, num_beams=1)
    assert own == base.tokenizer.batch_decode(theirs, skip_special_tokens=True) and len(set(own)) > 1


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "holds no config.json but nothing"),
        ({"model_index.json": "{}"}, "a diffusers pipeline"),
        ({"adapter_config.json": "{}"}, "adapter of peft"),
        ({"weights.gguf": ""}, "a GGUF file"),
        ({"config.json": "["}, "no JSON object"),
        ({"config.json": '{"generator": "cvae"}'}, "a model of generator cvae"),
        ({"config.json": '{"model_type": "t5"}'}, "of type 't5'; wanted is a causal"),
        ({"config.json": '{"model_type": "gpt2"}'}, "no weights"),
        ({"config.json": '{"model_type": "gpt2"}', "pytorch_model.bin": ""}, "pickled.*save them as safetensors"),
        ({"config.json": '{"model_type": "gpt2"}', "model.safetensors": ""}, "no tokenizer"),
        ({"config.json": '{"model_type": "gpt2"}', "model.safetensors": "x", "tokenizer.json": "{}"}, "cannot load it"),
    ],
)
def test_a_place_that_holds_something_else_is_said(files: dict[str, str], says: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ParamsError, match=says):
        fit(make("causal_lm", {"causal_lm": f"path:{tmp_path}"}), 1)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"model": "gpt2"}, "path:FOLDER"),
        ({"model": "hub:openai/gpt2@main"}, "whole commit"),
        ({"control": "prompt", "prompt": "hello"}, r"\{emotion\} once"),
    ],
)
def test_a_wrong_parameter_is_named(params: dict[str, Any], says: str) -> None:
    with pytest.raises(ParamsError, match=says):
        generator_class("causal_lm")(UTF8.spec, CLASSES, **{"model": "path:x", **params})


def test_nothing_there_and_files_are_told_apart(tmp_path: Path, places: dict[str, str]) -> None:
    (tmp_path / "file").write_text("")
    for place, says in ((tmp_path / "gone", "nothing is there"), (tmp_path / "file", "it is a file")):
        with pytest.raises(ParamsError, match=says):
            fit(make("causal_lm", {"causal_lm": f"path:{place}"}), 1)
    short = write_gpt2(tmp_path / "short", n_positions=4)
    with pytest.raises(ParamsError, match="4 positions, too few"):
        fit(make("causal_lm", {"causal_lm": short}), 1)


def test_tokens_are_picked_as_often_as_they_are_likely() -> None:
    shares = torch.tensor([0.5, 0.1, 0.3, 0.1])
    u = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    logits = shares.log().expand(1000, -1)
    counts = torch.bincount(pick(logits, u, 1.0, 1.0), minlength=4) / 1000
    torch.testing.assert_close(counts, shares, atol=0.002, rtol=0)
    nucleus = torch.bincount(pick(logits, u, 1.0, 0.75), minlength=4) / 1000
    torch.testing.assert_close(nucleus, torch.tensor([0.625, 0.0, 0.375, 0.0]), atol=0.002, rtol=0)
    assert pick(logits, u, 0.0, 1.0).unique().tolist() == [0]


def test_config_names_the_place_and_the_hash(trained: dict[str, Any], tmp_path: Path) -> None:
    trained["causal_lm"].save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["params"]["model"].startswith("path:") and len(config["learned"]["base"]) == 20

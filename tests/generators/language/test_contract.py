"""What every generator of lines promises, over the registry; a toy grammar says what is a line of which class."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import IntegrityError, ParamsError, UserError
from features.representation import Spec
from generators.draws.sources import SourceTable, choose_sources
from generators.generator import Condition, Device, Draw, Generator, TrainData, generator_class
from generators.language.lines import arrays_of, lines_of, same_line
from tests.generators.language.grammar import CLASSES, SPEC, STYLE, parsed, rated_lines, toy_lines
from tests.generators.tiny import KINDS, LINES, TINY
from training.checkpoint import content_hash

CPU = Device()
TRAINED = [name for name in LINES if KINDS[name].trains]
HONOURING = [name for name in TRAINED if "subject" in KINDS[name].can_honour({"honours": ["subject"]})]
pytestmark = pytest.mark.timeout(120)


def make(name: str, **params: Any) -> Any:
    return generator_class(name)(SPEC, CLASSES, **{**TINY[name].params, **params})


def fitted(name: str, data: TrainData, *, steps: int, params: dict[str, Any] | None = None, **options: Any) -> Any:
    generator = make(name, **(params or {}))
    for _ in generator.fit(data, **{"steps": steps, "seed": 1, "device": CPU, **options}):
        pass
    return generator


def draws_of(data: TrainData, generator: Any, n: int, *, first: int = 0) -> tuple[list[Draw], np.ndarray | None]:
    """n draws over all classes; with a source each where the generator wants them."""
    table = SourceTable(data.ids, data.emotions, data.subjects)
    draws = []
    for k in range(first, first + n):
        emotion = CLASSES[k % 3]
        sources = choose_sources([k // 3], table, emotion, 0)[0] if generator.takes else {}
        draws.append(Draw(Condition(emotion), 1000 + k, sources))
    return draws, sources_of(data, draws)


def sources_of(data: TrainData, draws: list[Draw]) -> np.ndarray | None:
    if not draws or not draws[0].sources:
        return None
    return np.stack([data.arrays[data.ids.index(d.sources["from"])] for d in draws])


@pytest.fixture(scope="module", params=LINES)
def trained(request: pytest.FixtureRequest) -> tuple[str, TrainData, Any]:
    data = toy_lines()
    return request.param, data, fitted(request.param, data, steps=TINY[request.param].steps)


def test_lines_are_lines_that_the_grammar_has_of_the_class_and_none_of_train(
    trained: tuple[str, TrainData, Any],
) -> None:
    name, data, generator = trained
    assert isinstance(generator, Generator)
    draws, sources = draws_of(data, generator, 150)
    arrays = generator.sample(draws, sources, device=CPU)
    assert arrays.shape == (150, *SPEC.shape) and arrays.dtype == np.float32
    lines = lines_of(arrays)
    known = {same_line(line) for line in np.array(lines_of(data.arrays))[~data.held_out]}
    assert not known & {same_line(line) for line in lines if line}
    whole = [parsed(line) for line in lines]
    accepted = np.mean([each is not None for each in whole])
    of_class = np.mean(
        [each is not None and each[1] == d.condition.emotion for each, d in zip(whole, draws, strict=True)]
    )
    assert accepted > 0.6, f"{name}: {accepted:.2f} of the lines are the grammar's"
    assert of_class > 0.98 * accepted, f"{name}: {of_class:.2f} of {accepted:.2f} are of the class"
    if sources is not None:
        pairs = [(parsed(line), each) for line, each in zip(lines_of(sources), whole, strict=True)]
        kept = [before[0] == after[0] for before, after in pairs if before is not None and after is not None]
        assert np.mean(kept) > 0.95, "what is said stays"
    assert generator.sample([], None if sources is None else sources[:0], device=CPU).shape == (0, *SPEC.shape)


def test_a_soft_label_gives_both_classes_their_share(trained: tuple[str, TrainData, Any]) -> None:
    name, data, generator = trained
    if generator.takes:  # from a line of the third class
        third = [i for i, e in enumerate(data.emotions) if e == "neutral"][:60]
        draws = [Draw(Condition({"anger": 0.5, "fear": 0.5}), i, {"from": data.ids[i]}) for i in third]
    else:
        draws = [Draw(Condition({"anger": 0.5, "fear": 0.5}), i) for i in range(60)]
    lines = lines_of(generator.sample(draws, sources_of(data, draws), device=CPU))
    words = {"anger": ("furious", "shouting", "rage"), "fear": ("trembling", "scared", "dread")}
    shares = {e: np.mean([any(w in line for w in some) for line in lines]) for e, some in words.items()}
    assert min(shares.values()) > 0.1, f"{name}: {shares}"
    pure = [dataclasses.replace(d, condition=Condition({"anger": 1.0})) for d in draws[:6]]
    named = [dataclasses.replace(d, condition=Condition("anger")) for d in draws[:6]]
    a, b = (generator.sample(d, sources_of(data, d), device=CPU) for d in (pure, named))
    np.testing.assert_array_equal(a, b)


def test_a_row_depends_on_its_draw_only(trained: tuple[str, TrainData, Any]) -> None:
    _, data, generator = trained
    draws, sources = draws_of(data, generator, 9)
    alone = generator.sample(draws, sources, device=CPU)
    np.testing.assert_array_equal(alone, generator.sample(draws, sources, device=CPU))
    mixed = draws_of(data, generator, 20, first=60)[0] + draws[::-1]
    among = generator.sample(mixed, sources_of(data, mixed), device=CPU)
    np.testing.assert_array_equal(among[20:][::-1], alone)


def test_another_seed_is_another_line(trained: tuple[str, TrainData, Any]) -> None:
    _, data, generator = trained
    draws, sources = draws_of(data, generator, 30)
    reseeded = [dataclasses.replace(d, seed=d.seed + 500) for d in draws]
    a, b = (lines_of(generator.sample(d, sources, device=CPU)) for d in (draws, reseeded))
    assert np.mean([x != y for x, y in zip(a, b, strict=True)]) > 0.3


def test_saved_and_loaded_it_is_the_same(trained: tuple[str, TrainData, Any], tmp_path: Path) -> None:
    name, data, generator = trained
    generator.save(tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["config.json", "model.safetensors"]
    loaded = generator_class(name).load(tmp_path / "a", device=CPU)
    draws, sources = draws_of(data, generator, 12)
    np.testing.assert_array_equal(
        loaded.sample(draws, sources, device=CPU), generator.sample(draws, sources, device=CPU)
    )
    loaded.save(tmp_path / "b")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")
    assert (loaded.known, loaded.source_emotions) == (generator.known, generator.source_emotions)
    fitted(name, toy_lines(seed=9), steps=2).save(tmp_path / "c")
    assert content_hash(tmp_path / "c") != content_hash(tmp_path / "a")
    for other in LINES:
        if other != name:
            with pytest.raises(IntegrityError, match=name):
                generator_class(other).load(tmp_path / "a", device=CPU)


def test_what_it_cannot_honour_is_an_error(trained: tuple[str, TrainData, Any]) -> None:
    _, data, generator = trained
    draws, sources = draws_of(data, generator, 1)
    for condition, says in [
        (Condition("angr"), "anger"),
        (Condition({"neutral": 0.5, "joy": 0.5}), "joy"),
        (Condition({"neutral": 0.0}), "sum to 0"),
        (Condition("fear", {"intensity": 0.5}), "intensity"),
        (Condition("fear", {"subject": "toy:1"}), "subject"),
        (Condition("fear", {"text": "a line"}), "text"),
    ]:
        with pytest.raises(UserError, match=says):
            generator.sample([dataclasses.replace(draws[0], condition=condition)], sources, device=CPU)


def test_sources_are_what_it_takes(trained: tuple[str, TrainData, Any]) -> None:
    _, data, generator = trained
    plain = Draw(Condition("fear"), 1)
    named = Draw(Condition("fear"), 1, {"from": data.ids[0]})
    if not generator.takes:
        for draw, sources in ((named, data.arrays[:1]), (plain, data.arrays[:1])):
            with pytest.raises(UserError, match="takes no sources"):
                generator.sample([draw], sources, device=CPU)
        return
    stranger = Draw(Condition("fear"), 1, {"from": "toy/nobody"})
    for draw, sources, says in [
        (plain, data.arrays[:1], "starts from real samples"),
        (named, None, "starts from real samples"),
        (named, data.arrays[:1, :9], "sources have shape"),
        (stranger, data.arrays[:1], "toy/nobody"),
    ]:
        with pytest.raises(UserError, match=says):
            generator.sample([draw], sources, device=CPU)


@pytest.mark.parametrize("name", LINES)
def test_bad_train_data_and_wrong_parameters_are_errors(name: str) -> None:
    data = toy_lines(24)
    nan, half, empty = data.arrays.copy(), data.arrays.copy(), data.arrays.copy()
    nan[7, 3] = np.nan
    half[7, :2] = 195
    empty[7] = 0
    for wrong, says in [
        (dataclasses.replace(data, arrays=nan), "toy/7"),
        (dataclasses.replace(data, arrays=half), "toy/7.*no text"),
        (dataclasses.replace(data, arrays=empty), "toy/7.*empty"),
        (dataclasses.replace(data, held_out=np.array([e == "fear" for e in data.emotions])), "'fear'"),
        (dataclasses.replace(data, emotions=("joy", *data.emotions[1:])), "'joy'"),
        (dataclasses.replace(data, arrays=data.arrays[:, :9]), "shape"),
    ]:
        with pytest.raises(UserError, match=says):
            fitted(name, wrong, steps=1)
    known = sorted(generator_class(name).Params.model_fields)[0]
    with pytest.raises(ParamsError, match=f"Did you mean '{known}'"):
        make(name, **{known + "s": 1})
    with pytest.raises(ParamsError, match="models layouts tokens"):
        generator_class(name)(Spec("toy", (3,), layout="vector"), CLASSES)
    with pytest.raises(UserError, match="not fitted yet"):
        make(name).sample([], None, device=CPU)


@pytest.mark.parametrize("name", LINES)
def test_held_out_lines_teach_nothing(name: str) -> None:
    data = toy_lines(60)
    lines = lines_of(data.arrays)
    changed = [line[::-1] if out else line for line, out in zip(lines, data.held_out, strict=True)]
    a = fitted(name, data, steps=3)
    b = fitted(name, dataclasses.replace(data, arrays=arrays_of(changed, SPEC)), steps=3)
    other = [line if out else f"{line} oh" for line, out in zip(lines, data.held_out, strict=True)]
    c = fitted(name, dataclasses.replace(data, arrays=arrays_of(other, SPEC)), steps=3)
    kept = [{k: v.tolist() for k, v in g._tensors().items()} for g in (a, b, c)]
    assert kept[0] == kept[1] != kept[2]
    assert a._learned() == b._learned() and a.known == b.known != c.known


@pytest.mark.parametrize("name", TRAINED)
def test_interrupted_anywhere_it_ends_the_same(name: str, tmp_path: Path) -> None:
    data = toy_lines(60)
    whole = fitted(name, data, steps=12)
    for stop in (3, 8):
        options = {"steps": 12, "seed": 1, "device": CPU, "checkpoints": tmp_path / str(stop), "checkpoint_every": 3}
        for progress in make(name).fit(data, **options):
            if progress.step == stop:
                break
        resumed = make(name)
        assert [r.step for r in resumed.fit(data, **options)] == list(range(1, 13))
        for key, value in resumed.network.state_dict().items():
            assert torch.equal(value, whole.network.state_dict()[key]), key


@pytest.mark.parametrize("name", TRAINED)
def test_the_best_weights_by_the_monitor_are_kept(name: str) -> None:
    data, scores, seen = toy_lines(60), iter([3.0, 1.0, 2.0, 2.5, 9.0]), list[float]()

    def monitor(generator: Any) -> float:
        seen.append(generator.held_out_loss(data, CPU))
        return next(scores)

    generator = fitted(name, data, steps=20, monitor=monitor, monitor_every=2, patience=2)
    assert len(seen) == 4 and generator.held_out_loss(data, CPU) == seen[1] != seen[3]


@pytest.mark.parametrize("name", TRAINED)
def test_the_held_out_loss_falls_as_it_learns(name: str) -> None:
    data = toy_lines(60)
    early, late = (fitted(name, data, steps=n).held_out_loss(data, CPU) for n in (2, 60))
    assert late < early - 0.5
    with pytest.raises(UserError, match="held out"):
        fitted(name, data, steps=1).held_out_loss(dataclasses.replace(data, held_out=np.zeros(60, bool)), CPU)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n == "infill" else []) for n in HONOURING]
)
def test_what_is_to_be_honoured_is_learned_saved_and_asked_for(name: str, tmp_path: Path) -> None:
    data = rated_lines(120)
    params = {"honours": ["subject"], "use_intensity": True}
    generator = fitted(name, data, steps=TINY[name].steps, params=params)
    assert generator.honours == generator_class(name).can_honour(params) == {"intensity", "subject"}
    draws = [d for d in draws_of(data, generator, 90)[0] if d.condition.emotion == "fear"]

    def drawn(model: Any, **given: Any) -> np.ndarray:
        some = [dataclasses.replace(d, condition=Condition("fear", given)) for d in draws]
        return model.sample(some, sources_of(data, some), device=CPU)

    much, little = (
        np.mean([STYLE["fear"][1] in line for line in lines_of(drawn(generator, intensity=v))]) for v in (1.0, 0.0)
    )
    assert much > little + 0.3, f"{name}: strong words in {much:.2f} where they are asked for, {little:.2f} elsewhere"
    asked = drawn(generator, intensity=0.5, subject="toy:1")
    for other in ({"intensity": 0.0, "subject": "toy:1"}, {"intensity": 0.5, "subject": "toy:2"}):
        assert not np.array_equal(asked, drawn(generator, **other)), other
    with pytest.raises(UserError, match="toy:9"):
        drawn(generator, subject="toy:9")
    generator.save(tmp_path)
    np.testing.assert_array_equal(
        drawn(generator_class(name).load(tmp_path, device=CPU), intensity=0.5, subject="toy:1"), asked
    )
    nobody = dataclasses.replace(data, subjects=(None,) * 120, ratings={})
    for lacking in ({"honours": ["subject"]}, {"use_intensity": True}):
        with pytest.raises(UserError, match=r"subject|intensity"):
            fitted(name, nobody, steps=1, params=lacking)


@pytest.mark.parametrize("name", TRAINED)
def test_bfloat16_trains_and_samples(name: str) -> None:
    data, device = toy_lines(24), Device("cpu", "bfloat16")
    generator = fitted(name, data, steps=2, device=device)
    draws, sources = draws_of(data, generator, 2)
    assert np.isfinite(generator.sample(draws, sources, device=device)).all()
    assert all(p.dtype == torch.float32 for p in generator.network.parameters())

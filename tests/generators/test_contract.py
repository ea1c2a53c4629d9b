"""What every generator promises, over the registry and the layouts: faces, speech, signals, vectors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpora.errors import ParamsError, UserError
from features.representation import Spec
from generators.draws.sources import SourceTable, choose_sources
from generators.generator import GENERATORS, Condition, Device, Draw, TrainData, generator_class, source_class
from tests.generators.tiny import ARRAYS, ELSEWHERE, HONOURING, KINDS, TINY, TRAINED
from tests.generators.toy import CLASSES, IMAGES, SIGNALS, SPEECH, VECTOR, class_means, nearest, toy_data, units_of
from training.checkpoint import content_hash

CPU = Device()
SPECS: dict[str, Spec] = {"faces": IMAGES, "speech": SPEECH, "signals": SIGNALS, "vector": VECTOR}
pytestmark = pytest.mark.timeout(120)


def _case(name: str, values: Any, *, slow: bool) -> Any:
    """Of a generator that shares another one's networks, what is `slow` is for `make test-all`."""
    return pytest.param(values, marks=[pytest.mark.slow] if slow and TINY[name].shares else [])


def _quick(name: str) -> list[str]:
    """The layouts over which a generator is fitted in `make test`: vectors where it can, and one other, which goes
    round over the generators. All of them: `make test-all`."""
    others = [m for m in SPECS if m != "vector" and SPECS[m].layout in KINDS[name].layouts]
    return ["vector", *([others[ARRAYS.index(name) % len(others)]] if others else [])]


def fitting(name: str, wanted: Spec) -> Spec:
    """The spec that is wanted, or the first that the generator can model."""
    able = [spec for spec in (wanted, *SPECS.values()) if spec.layout in KINDS[name].layouts]
    return able[0]


def test_every_generator_has_a_contract() -> None:
    assert set(GENERATORS) == set(TINY) | set(ELSEWHERE) and not set(TINY) & set(ELSEWHERE)
    for name, place in ELSEWHERE.items():
        assert f'"{name}"' in (Path(__file__).parent / place).read_text(encoding="utf-8"), f"{place} tests no {name}"


def make(name: str, spec: Spec, **params: Any) -> Any:
    return generator_class(name)(spec, CLASSES, **{**TINY[name].params, **params})


def fitted(name: str, spec: Spec, data: TrainData, *, steps: int, seed: int = 1, **options: Any) -> Any:
    generator = make(name, spec)
    for _ in generator.fit(data, steps=steps, seed=seed, device=CPU, **options):
        pass
    return generator


def draws_of(data: TrainData, generator: Any, n: int, *, first: int = 0) -> tuple[list[Draw], np.ndarray | None]:
    """n draws over all classes; with a source each where the generator wants them."""
    draws = []
    for k in range(first, first + n):
        emotion = CLASSES[k % len(CLASSES)]
        of = source_class(generator, TINY[generator.name].params)
        table = SourceTable(data.ids, data.emotions, data.subjects, of)
        sources = choose_sources([k], table, emotion, 0)[0] if generator.takes else {}
        draws.append(Draw(Condition(emotion), 1000 + k, sources))
    if not generator.takes:
        return draws, None
    return draws, np.stack([data.arrays[data.ids.index(d.sources["from"])] for d in draws])


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((n, m), marks=[] if m in _quick(n) else [pytest.mark.slow])
        for n in ARRAYS
        for m in SPECS
        if SPECS[m].layout in KINDS[n].layouts
    ],
    ids=lambda p: f"{p[0]}-{p[1]}",
)
def trained(request: pytest.FixtureRequest) -> tuple[str, TrainData, Any]:
    name, modality = request.param
    data = toy_data(SPECS[modality])
    return name, data, fitted(name, SPECS[modality], data, steps=TINY[name].steps, seed=TINY[name].seed)


def test_samples_have_the_shape_and_range_of_the_representation(trained: tuple[str, TrainData, Any]) -> None:
    _, data, generator = trained
    draws, sources = draws_of(data, generator, 7)
    made = generator.sample(draws, sources, device=CPU)
    assert made.shape == (7, *data.spec.shape) and made.dtype == np.float32
    assert np.isfinite(made).all()
    if data.spec.bounds is not None:
        assert made.min() >= -1.0 and made.max() <= 1.0
    elif data.spec.mask_row is not None:
        mask = made[:, data.spec.mask_row]
        assert set(np.unique(mask)) <= {-1.0, 1.0}
        assert (np.diff(mask, axis=1) <= 0).all(), "valid columns come first"
        assert (mask[:, 0] == 1.0).all(), "never empty"
        padding = np.broadcast_to((mask < 0)[:, None], made[:, :-1].shape)
        assert (made[:, :-1][padding] == 0.0).all(), "padding is what it is in train"
    if data.spec.layout == "vector":
        low, high = data.arrays.min(axis=0), data.arrays.max(axis=0)
        margin = 0.051 * (high - low)
        assert (made >= low - margin).all() and (made <= high + margin).all(), "within the range of train"
        np.testing.assert_allclose(made[:, 7], 7.0, atol=0.02)
    assert generator.sample([], None if sources is None else sources[:0], device=CPU).shape == (0, *data.spec.shape)


def test_what_is_drawn_spreads_as_train_does(trained: tuple[str, TrainData, Any]) -> None:
    name, data, generator = trained
    if data.spec.layout != "vector":
        return  # cells of the others are no quantities of their own
    draws, sources = draws_of(data, generator, 90)
    made = generator.sample(draws, sources, device=CPU)
    ratio = made[:, [4, 5, 6, 8, 9]].std(axis=0) / data.arrays[:, [4, 5, 6, 8, 9]].std(axis=0)
    assert ratio.min() > 0.2 and ratio.max() < 2.0, f"{name}: {ratio}"
    together = float(np.corrcoef(made[:, 8], made[:, 9])[0, 1])
    assert together > 0.5, f"{name}: columns that belong together correlate by {together:.2f}"


@pytest.mark.parametrize(
    "case", [_case(n, (n, *size), slow=True) for n in ARRAYS for size in ((1, 32), (2, 45), (8, 100), (3, 2000))]
)
def test_signals_of_any_usual_size_can_be_modelled(case: tuple[str, int, int]) -> None:
    name, rows, columns = case
    spec = Spec("windows", (rows, columns), layout="rows", rate_hz=32.0)
    data = toy_data(spec, n=24)
    if "rows" not in KINDS[name].layouts:
        pytest.skip("models no rows")
    generator = make(name, spec, **({"patch": None} if "patch" in TINY[name].params else {}))
    for _ in generator.fit(data, steps=2, seed=0, device=CPU):
        pass
    draws, sources = draws_of(data, generator, 2)
    made = generator.sample(draws, sources, device=CPU)
    assert made.shape == (2, rows, columns) and np.isfinite(made).all()


@pytest.mark.parametrize("name", ARRAYS)
def test_a_layout_that_cannot_be_modelled_is_refused(name: str) -> None:
    with pytest.raises(ParamsError, match=f"generator {name} models layouts .*; .*toy-words.*tokens"):
        make(name, Spec("toy-words", (12,), layout="tokens"))


def test_the_condition_is_honoured(trained: tuple[str, TrainData, Any]) -> None:
    name, data, generator = trained
    draws, sources = draws_of(data, generator, 60)
    made = generator.sample(draws, sources, device=CPU)
    asked = np.array([CLASSES.index(str(d.condition.emotion)) for d in draws])
    unit = units_of(data)
    means = class_means(dataclasses.replace(data, arrays=data.arrays / unit))
    agreement = float((nearest(made / unit, means) == asked).mean())
    assert agreement > 0.9, f"{name}: {agreement:.2f}"


def test_a_soft_label_lies_between(trained: tuple[str, TrainData, Any]) -> None:
    _, data, generator = trained
    draws, sources = draws_of(data, generator, 6)
    pure = dataclasses.replace(draws[0], condition=Condition({"neutral": 1.0}))
    first = None if sources is None else sources[:1]
    same = generator.sample([pure], first, device=CPU)
    np.testing.assert_allclose(same, generator.sample([draws[0]], first, device=CPU), atol=1e-5)
    mixed = dataclasses.replace(draws[0], condition=Condition({"neutral": 0.5, "anger": 0.5}))
    assert not np.allclose(same, generator.sample([mixed], first, device=CPU), atol=1e-3)


def test_a_row_depends_on_its_draw_only(trained: tuple[str, TrainData, Any]) -> None:
    _, data, generator = trained
    draws, sources = draws_of(data, generator, 5)
    others, other_sources = draws_of(data, generator, 4, first=50)
    alone = generator.sample(draws, sources, device=CPU)
    np.testing.assert_array_equal(alone, generator.sample(draws, sources, device=CPU))
    mixed_sources = None if sources is None else np.concatenate([other_sources, sources[::-1]])
    mixed = generator.sample(others + draws[::-1], mixed_sources, device=CPU)
    np.testing.assert_allclose(mixed[4:][::-1], alone, atol=1e-4)


def test_another_seed_is_another_sample(trained: tuple[str, TrainData, Any]) -> None:
    _, data, generator = trained
    draws, sources = draws_of(data, generator, 3)
    reseeded = [dataclasses.replace(d, seed=d.seed + 1) for d in draws]
    a, b = (generator.sample(d, sources, device=CPU) for d in (draws, reseeded))
    assert (np.abs(a - b).reshape(len(a), -1).max(axis=1) > 1e-4).all()


def test_saved_and_loaded_it_is_the_same(trained: tuple[str, TrainData, Any], tmp_path: Path) -> None:
    name, data, generator = trained
    generator.save(tmp_path / "a")
    generator.save(tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["config.json", "model.safetensors"]
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")
    loaded = generator_class(name).load(tmp_path / "a", device=CPU)
    draws, sources = draws_of(data, generator, 4)
    np.testing.assert_array_equal(
        loaded.sample(draws, sources, device=CPU), generator.sample(draws, sources, device=CPU)
    )
    loaded.save(tmp_path / "c")
    assert content_hash(tmp_path / "c") == content_hash(tmp_path / "a")
    other = fitted(name, data.spec, toy_data(data.spec, seed=9), steps=2)
    other.save(tmp_path / "d")
    assert content_hash(tmp_path / "d") != content_hash(tmp_path / "a")


def test_what_it_cannot_honour_is_an_error(trained: tuple[str, TrainData, Any]) -> None:
    _, data, generator = trained
    draws, sources = draws_of(data, generator, 1)
    for condition, says in [
        (Condition("angr"), "anger"),
        (Condition({"neutral": 0.5, "joy": 0.5}), "joy"),
        (Condition({"neutral": 0.0}), "sum to 0"),
        (Condition("fear", {"intensity": 0.5}), "intensity"),
        (Condition("fear", {"intensity": float("nan")}), "intensity"),
        (Condition("fear", {"subject": "toy:1"}), "subject"),
        (Condition("fear", {"valence": 0.5}), "valence"),
        (Condition("fear", {"face": (1.0,)}), "face"),
    ]:
        with pytest.raises(UserError, match=says):
            generator.sample([dataclasses.replace(draws[0], condition=condition)], sources, device=CPU)


@pytest.mark.parametrize("name", ARRAYS)
def test_bad_train_data_is_an_error(name: str) -> None:
    spec = fitting(name, IMAGES)
    data = toy_data(spec)
    broken = data.arrays.copy()
    broken[7].flat[3] = np.nan
    cases = [
        (dataclasses.replace(data, arrays=broken), "toy/7"),
        (dataclasses.replace(data, held_out=np.array([e == "fear" for e in data.emotions])), "'fear'"),
        (dataclasses.replace(data, emotions=("joy", *data.emotions[1:])), "'joy'"),
        (dataclasses.replace(data, arrays=data.arrays[..., :9]), "shape"),
    ]
    for wrong, says in cases:
        with pytest.raises(UserError, match=says):
            list(make(name, spec).fit(wrong, steps=1, seed=0, device=CPU))


@pytest.mark.parametrize("name", ARRAYS)
def test_a_wrong_parameter_is_named(name: str) -> None:
    known = sorted(generator_class(name).Params.model_fields)[0]
    with pytest.raises(ParamsError, match=f"Did you mean '{known}'"):
        make(name, fitting(name, IMAGES), **{known + "s": 1})
    with pytest.raises(ParamsError, match=known):
        make(name, fitting(name, IMAGES), **{known: "many"})


@pytest.mark.parametrize("name", TRAINED)
def test_interrupted_anywhere_it_ends_the_same(name: str, tmp_path: Path) -> None:
    spec = fitting(name, SPEECH)
    data = toy_data(spec)
    whole = fitted(name, spec, data, steps=12)
    draws, sources = draws_of(data, whole, 3)
    for stop in (3, 8):
        folder = tmp_path / str(stop)
        options = {"steps": 12, "seed": 1, "device": CPU, "checkpoints": folder, "checkpoint_every": 3}
        for progress in make(name, spec).fit(data, **options):
            if progress.step == stop:
                break
        resumed = make(name, spec)
        reports = list(resumed.fit(data, **options))
        assert [r.step for r in reports] == list(range(1, 13)), "the whole curve, also of steps done before"
        expected = whole.network.state_dict()
        for key, value in resumed.network.state_dict().items():
            assert torch.equal(value, expected[key]), key
        np.testing.assert_array_equal(
            resumed.sample(draws, sources, device=CPU), whole.sample(draws, sources, device=CPU)
        )


@pytest.mark.parametrize("name", ARRAYS)
def test_held_out_rows_teach_nothing(name: str) -> None:
    spec = fitting(name, SPEECH)
    data = toy_data(spec)
    changed = data.arrays.copy()
    changed[data.held_out] = changed[data.held_out][..., ::-1] * 3.0
    a = fitted(name, spec, data, steps=3)
    b = fitted(name, spec, dataclasses.replace(data, arrays=changed), steps=3)
    draws, sources = draws_of(data, a, 3)
    np.testing.assert_array_equal(a.sample(draws, sources, device=CPU), b.sample(draws, sources, device=CPU))
    seen = data.arrays.copy()
    seen[~data.held_out] *= 1.1
    c = fitted(name, spec, dataclasses.replace(data, arrays=seen), steps=3)
    assert not np.array_equal(a.sample(draws, sources, device=CPU), c.sample(draws, sources, device=CPU))


@pytest.mark.parametrize("name", TRAINED)
def test_the_best_weights_by_the_monitor_are_kept(name: str) -> None:
    spec = fitting(name, IMAGES)
    data = toy_data(spec)
    scores = iter([3.0, 1.0, 2.0, 2.5, 9.0, 9.0])
    seen: list[np.ndarray] = []
    draws, sources = draws_of(data, KINDS[name], 1, first=1)

    def monitor(generator: Any) -> float:
        seen.append(generator.sample(draws, sources, device=CPU))
        return next(scores)

    generator = fitted(name, spec, data, steps=20, monitor=monitor, monitor_every=2, patience=2)
    assert len(seen) == 4, "stops after two checks without a better score"
    np.testing.assert_array_equal(generator.sample(draws, sources, device=CPU), seen[1])


@pytest.mark.parametrize("name", HONOURING)
def test_intensity_is_honoured_where_it_was_learned(name: str) -> None:
    spec = fitting(name, SPEECH)
    data = toy_data(spec)
    generator = make(name, spec, use_intensity=True)
    for _ in generator.fit(data, steps=10, seed=0, device=CPU):
        pass
    draws, sources = draws_of(data, generator, 1, first=2)
    low, high = (
        generator.sample(
            [dataclasses.replace(draws[0], condition=Condition("fear", {"intensity": v}))], sources, device=CPU
        )
        for v in (0.1, 1.0)
    )
    assert not np.array_equal(low, high)
    unknown = dataclasses.replace(data, ratings={"intensity": np.full(len(data.ids), np.nan)})
    with pytest.raises(UserError, match="rating of intensity"):
        list(make(name, spec, use_intensity=True).fit(unknown, steps=1, seed=0, device=CPU))


@pytest.mark.parametrize("name", HONOURING)
def test_what_is_to_be_honoured_is_learned_saved_and_asked_for(name: str, tmp_path: Path) -> None:
    spec = fitting(name, VECTOR)
    data = toy_data(spec)
    place = np.arange(len(data.ids))
    ratings = {"arousal": np.where(place % 4 == 0, np.nan, place % 3 - 1.0), "valence": np.full(len(place), np.nan)}
    data = dataclasses.replace(data, ratings=ratings, subjects=tuple(None if i == 1 else f"toy:{i % 4}" for i in place))
    params = {"honours": ["subject", "arousal"]}
    generator = make(name, spec, **params)
    list(generator.fit(data, steps=10, seed=0, device=CPU))
    assert generator.honours == generator_class(name).can_honour(params) == {"arousal", "subject"}
    draws, sources = draws_of(data, generator, 1, first=2)

    def drawn(model: Any, **given: Any) -> np.ndarray:
        return model.sample([dataclasses.replace(draws[0], condition=Condition("fear", given))], sources, device=CPU)

    asked = drawn(generator, arousal=0.0, subject="toy:1")
    for other in ({"arousal": 1.0, "subject": "toy:1"}, {"arousal": 0.0, "subject": "toy:2"}, {"arousal": 0.0}, {}):
        assert not np.array_equal(asked, drawn(generator, **other)), other
    with pytest.raises(UserError, match=r"toy:9.*Known: toy:0, toy:1, toy:2, toy:3"):
        drawn(generator, subject="toy:9")
    generator.save(tmp_path)
    loaded = generator_class(name).load(tmp_path, device=CPU)
    np.testing.assert_array_equal(drawn(loaded, arousal=0.0, subject="toy:1"), asked)
    for lacking in ("valence", "subject"):
        nobody = dataclasses.replace(data, subjects=(None,) * len(place))
        with pytest.raises(UserError, match=lacking):
            list(make(name, spec, honours=[lacking]).fit(nobody, steps=1, seed=0, device=CPU))


@pytest.mark.parametrize("name", TRAINED)
def test_bfloat16_trains_and_samples(name: str) -> None:
    spec = fitting(name, SPEECH)
    data = toy_data(spec)
    device = Device("cpu", "bfloat16")
    generator = make(name, spec)
    for _ in generator.fit(data, steps=2, seed=0, device=device):
        pass
    draws, sources = draws_of(data, generator, 1)
    made = generator.sample(draws, sources, device=device)
    assert made.dtype == np.float32 and np.isfinite(made).all()
    assert all(p.dtype == torch.float32 for p in generator.network.parameters())

"""The score to stop early by: of models that draw, and of models that convert."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.csv
import pytest
import torch
import yaml
from torch import nn

from corpora.errors import UserError
from corpora.schema import SAMPLES
from corpora.store.shards import read_table
from features.representation import Spec
from flows.artifacts.prepared import Prepared
from flows.paths import Layout
from flows.stages.fit.fit import load_train
from flows.stages.fit.monitor import SAMPLES_PER_CLASS, held_out_distance, held_out_score
from flows.stages.plan.plans import FitPlan
from flows.stages.run import run_stage
from generators.condition import Conditions, encode_conditions
from generators.generator import GENERATORS, Device, Draw, TrainData
from generators.normalise import on_grid
from generators.trained import Network, TrainedGenerator, TrainSet
from tests.flows.conftest import TINY
from tests.generators.language.grammar import toy_lines
from training.loop import Minibatch, Phase
from validators.maths.kernel import energy_distance

CPU = Device()
N = 40  # of two classes in turns, ten groups, the last two of which are held out


def toy() -> TrainData:
    rng = np.random.default_rng(1)
    emotions = tuple("ab"[i % 2] for i in range(N))
    arrays = rng.normal(0, 1, (N, 3)).astype(np.float32) + np.array([[3.0 * (e == "b")] for e in emotions], np.float32)
    groups = tuple(f"g{i // 4}" for i in range(N))
    return TrainData(
        spec=Spec("toy", (3,), layout="vector"),
        classes=("a", "b"),
        arrays=arrays,
        emotions=emotions,
        ids=tuple(f"x/{i}" for i in range(N)),
        groups=groups,
        subjects=groups,
        held_out=np.array([g in ("g8", "g9") for g in groups]),
    )


class Drawn:
    """Draws from its own idea of each class."""

    takes: tuple[str, ...] = ()

    def __init__(self, shift: float) -> None:
        self.shift, self.calls = shift, 0

    def sample(self, draws: Sequence[Draw], sources: Any = None, *, device: Device) -> np.ndarray:
        assert sources is None
        noise = np.stack([np.random.default_rng(d.seed).normal(0, 1, 3) for d in draws])
        return (noise + [[3.0 * (d.condition.emotion == "b") + self.shift] for d in draws]).astype(np.float32)


class Moved:
    """A conversion: adds to each source what it thinks the other class is away."""

    takes = ("from",)

    def __init__(self, data: TrainData, step: float) -> None:
        self.data, self.step = data, step
        self.seen: list[tuple[Draw, np.ndarray]] = []

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        assert sources is not None and sources.shape == (len(draws), 3) and sources.dtype == np.float32
        self.seen += list(zip(draws, sources, strict=True))
        sign = np.array([[1.0 if d.condition.emotion == "b" else -1.0] for d in draws], np.float32)
        return sources + sign * self.step


def test_the_better_model_has_the_smaller_distance_and_the_same_at_every_look() -> None:
    monitor = held_out_distance(toy(), CPU, 3)
    good, bad = monitor(Drawn(0.0)), monitor(Drawn(4.0))  # type: ignore[arg-type]
    assert good < bad and monitor(Drawn(4.0)) == bad  # type: ignore[arg-type]


def test_a_conversion_starts_from_train_rows_of_other_classes_that_gradients_see() -> None:
    data = toy()
    monitor = held_out_distance(data, CPU, 3)
    model = Moved(data, 3.0)
    good, bad = monitor(model), monitor(Moved(data, 0.0))  # type: ignore[arg-type]
    assert good < bad
    assert len(model.seen) == 2 * SAMPLES_PER_CLASS
    row = {sample_id: i for i, sample_id in enumerate(data.ids)}
    for draw, source in model.seen:
        i = row[draw.sources["from"]]
        assert not data.held_out[i] and data.emotions[i] != draw.condition.emotion
        np.testing.assert_array_equal(source, data.arrays[i])
    again = Moved(data, 3.0)
    assert monitor(again) == good and [d for d, _ in again.seen] == [d for d, _ in model.seen]  # type: ignore[arg-type]


def test_it_is_the_energy_distance_of_the_measures() -> None:
    data = toy()
    one = dataclasses.replace(data, classes=("a",))
    held = np.flatnonzero(data.held_out)
    centre, scale = data.arrays[held].mean(0), data.arrays[held].std(0) + 1e-6
    model = Moved(data, 3.0)
    value = held_out_distance(one, CPU, 3)(model)  # type: ignore[arg-type]
    sampled = model.sample([d for d, _ in model.seen], np.stack([s for _, s in model.seen]), device=CPU)
    real = data.arrays[[i for i in held if data.emotions[i] == "a"]]
    assert value == pytest.approx(energy_distance((sampled - centre) / scale, (real - centre) / scale).value)


def test_a_class_with_one_held_out_row_is_left_out_and_none_at_all_is_an_error() -> None:
    data = toy()
    held = np.zeros(N, bool)
    held[[0, 2, 1]] = True  # two of a, one of b
    model = Moved(data, 3.0)
    assert np.isfinite(held_out_distance(dataclasses.replace(data, held_out=held), CPU, 3)(model))  # type: ignore[arg-type]
    assert {d.condition.emotion for d, _ in model.seen} == {"a"}
    held[2] = False
    with pytest.raises(UserError, match=r"holds out 2 train samples, and no class has 2.*early_stop"):
        held_out_distance(dataclasses.replace(data, held_out=held), CPU, 3)


# -- a conversion that trains, the whole way

OVERSHOT = 4.0  # the toy learns class means that far from zero: the longer it learns, the worse it gets


class MoverNetwork(Network):
    """One array for each class."""

    def __init__(self, spec: Spec, n_classes: int, fields: Any) -> None:
        super().__init__(spec, n_classes, fields, 4)
        self.mean = nn.Parameter(torch.zeros(n_classes, *spec.grid))

    def toward(self, conditions: Conditions) -> torch.Tensor:
        """[n, K] shares of classes -> [n, C, H, W]."""
        return torch.einsum("nk,kchw->nchw", conditions["emotion"], self.mean)


class Mover(TrainedGenerator):
    """A conversion that trains: half of the source, half of what it learned of the class."""

    name = "mover"
    takes: tuple[str, ...] = ("from",)
    sampled_from: ClassVar[list[Draw]] = []

    def _build(self) -> MoverNetwork:
        return MoverNetwork(self.spec, len(self.classes), self.fields)

    def _phases(self, network: Any, train: TrainSet, device: Device, seed: int) -> list[Phase]:
        def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
            x, conditions = train.take(batch.rows)
            return {"loss": (OVERSHOT * x - network.toward(conditions)).square().mean()}

        return [Phase("mover", network, loss, self.params.lr)]

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        assert sources is not None and sources.shape == (len(draws), *self.spec.shape)
        network = self._fitted()
        assert isinstance(network, MoverNetwork)
        self.sampled_from.extend(draws)
        asked = encode_conditions([draw.condition for draw in draws], self.classes, self.fields)
        with torch.inference_mode():
            x = network.normaliser(torch.from_numpy(on_grid(np.asarray(sources, np.float32), self.spec)))
            moved = network.normaliser.inverse(0.5 * x + 0.5 * network.toward(asked))
        return moved.numpy().reshape(sources.shape)


def test_a_conversion_that_trains_is_fitted_monitored_and_stopped_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GENERATORS, "mover", f"{__name__}:Mover")
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    params: dict[str, Any] = copy.deepcopy(TINY["faces"])
    params["demo"]["tiny"]["per_class"] = {"happiness": 30, "anger": 24}
    params["runs"]["tiny"] |= {
        "representation": {"name": "pixels", "size": 16},
        "generator": {
            "name": "mover",
            "steps": 400,
            "params": {"lr": 0.01, "warmup": 0},
            "early_stop": {"every": 2, "patience": 2, "share": 0.3},
        },
        "gates": {name: {"enabled": False} for name in ("agreement", "support", "frechet", "kid", "vendi")}
        | {"copies": {"limit": {"absolute": 0.0}}, "validity": {"limit": {"absolute": -1000.0}}},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    for verb in ("fake", "ingest", "plan", "prepare", "fit"):
        run_stage(verb, "tiny", repo=tmp_path)
    layout = Layout(tmp_path.resolve())
    folder = layout.run("tiny")
    summary = json.loads((folder / "fit/fit.json").read_text())
    assert summary["trains"] and summary["steps_done"] < 400, "stopped early"
    assert summary["ended"].startswith(f"at step {summary['steps_done']} of at most 400: no progress in 2 looks")
    scores = [v for v in pyarrow.csv.read_csv(folder / "fit/loss.csv")["monitor"].to_pylist() if v is not None]
    best = int(np.argmin(scores))
    assert 0 < best == len(scores) - 3, f"better at first, then two looks without a better score: {scores}"

    data = load_train(Prepared.open(folder / "prepared"), FitPlan.read(layout, "tiny"))
    held = {data.ids[i] for i in np.flatnonzero(data.held_out)}
    assert held and not held & {d.sources["from"] for d in Mover.sampled_from}, "sources are rows that gradients see"
    model = Mover.load(folder / "model", device=CPU)
    assert held_out_distance(data, CPU, 3)(model) == pytest.approx(scores[best], rel=1e-5), "the best weights are kept"

    run_stage("augment", "tiny", repo=tmp_path)
    drawn = read_table(folder / "augmented/index.parquet", SAMPLES).to_pylist()
    assert drawn and all(len(row["source_ids"]) == 1 for row in drawn)


class Liner:
    """Writes held-out lines of the class that is asked for, or of the other one."""

    takes = ()

    def __init__(self, data: TrainData, *, other: bool) -> None:
        self.rows = {
            c: [i for i in np.flatnonzero(data.held_out) if (data.emotions[i] == c) != other] for c in data.classes
        }
        self.data = data

    def sample(self, draws: Sequence[Draw], sources: np.ndarray | None = None, *, device: Device) -> np.ndarray:
        rows = [self.rows[str(d.condition.emotion)][i % 4] for i, d in enumerate(draws)]
        return np.asarray(self.data.arrays[rows])


class Knower:
    """Says itself how badly it knows the held-out lines."""

    takes = ()

    def held_out_loss(self, data: TrainData, device: Device) -> float:
        return 2.5


def test_lines_are_compared_by_their_words_and_a_language_model_is_asked_itself() -> None:
    data = toy_lines(90)
    monitor = held_out_distance(data, CPU, 3)
    right, wrong = (monitor(Liner(data, other=other)) for other in (False, True))  # type: ignore[arg-type]
    assert right < 0.5 * wrong
    knower: Any = Knower()
    assert held_out_score(knower, data, CPU, 3)(knower) == 2.5

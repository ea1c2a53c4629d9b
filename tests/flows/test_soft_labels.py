"""Samples that are of several classes: their label goes into records, gates and training, and not their class alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import ParamsError, PayloadError
from corpora.schema import Payload
from flows.artifacts.augmented import Augmented
from flows.artifacts.prepared import Prepared
from flows.stages.augment.batches import batch_from_table, soft_label_of
from flows.stages.augment.gating import form_of
from flows.stages.augment.sampler import OTHER_CLASS, _of_its_class
from flows.stages.release import soft_notes
from flows.stages.run import run_stage
from flows.stages.study.generated import Generated
from flows.stages.study.train import Added, joined
from generators.generator import Condition, Device, Draw, generator_class, soft_labels
from tests.flows.made_of import LENIENT
from tests.flows.test_vectors import features, params_of
from tests.generators.translation.toy import CLASSES, SPEC, pairs
from validators.batch import rows_by_class

COMPLETE: dict[str, Any] = {"mode": "complete", "rate": 0.7, "width": 8, "blocks": 1, "batch_size": 16}
FEW = LENIENT | {name: {"enabled": False} for name in ("agreement", "support")}  # judges take seconds
FILLED = 2 / 3  # of three columns two are hidden


def test_a_soft_label_reaches_records_and_training(tmp_path: Path, tiny_params: Any, project: Any) -> None:
    params = params_of(tiny_params)
    run = params["runs"]["tiny"]
    run |= {"representation": {"name": "features"}, "policy": {"on_fail": "flag"}, "gates": FEW}
    run |= {"generator": {"name": "edit", "steps": 4, "params": COMPLETE}, "target": {"policy": "number", "number": 30}}
    folder = project(tmp_path / "p", params)
    features(folder)
    for verb in ("ingest", "plan", "prepare", "fit", "augment"):
        run_stage(verb, "tiny", repo=folder)
    augmented, prepared = (folder / "data/runs/tiny" / name for name in ("augmented", "prepared"))
    table = Augmented.open(augmented).index()
    assert table.num_rows >= 4
    for row in table.to_pylist():
        other = {"calm": "stress", "stress": "calm"}[row["emotion"]]
        assert {entry["scheme"] for entry in row["labels"]} == {"corpus"}
        shares = {entry["label"]: entry["weight"] for entry in row["labels"]}
        assert shares == pytest.approx({row["emotion"]: FILLED, other: 1 - FILLED}, abs=1e-6)
    assert f"{table.num_rows} of {table.num_rows} synthetic samples are not of their class" in soft_notes(table)[0]

    # what evaluate trains with: each row in both of its classes, by its shares
    batch = batch_from_table(augmented, table, form_of(Prepared.open(prepared).summary()))
    both = rows_by_class(batch)
    assert len(both) == 2 * len(batch) and sum(both.weights) == pytest.approx(len(batch), abs=1e-4)
    for name in ("calm", "stress"):
        n = sum(emotion == name for emotion in batch.emotions)
        own = sum(w for w, e in zip(both.weights, both.emotions, strict=True) if e == name)
        assert own == pytest.approx(FILLED * n + (1 - FILLED) * (len(batch) - n), abs=1e-4)
    real = Prepared.open(prepared).index().to_pylist()
    assert real[0]["labels"] is not None and all(soft_label_of(row) is None for row in real)

    # a rate that leaves most of a source could fill no class: said before anything is prepared
    run["generator"]["params"] = COMPLETE | {"rate": 0.4, "lowest_rate": 0.2}
    project(folder, params)
    with pytest.raises(ParamsError, match=r"rate 0\.4 hides 0\.33 of a .* raise rate"):
        run_stage("plan", "tiny", repo=folder)


def test_what_is_mostly_of_another_class_is_rejected() -> None:
    payload, draw = Payload(b"x", "npz"), Draw(Condition("anger"), 1, {"from": "toy/0"})
    assert _of_its_class(payload, draw, {"anger": 0.6, "neutral": 0.4}) is payload
    for share in (0.5, 0.25):
        refused = _of_its_class(payload, draw, {"anger": share, "neutral": 1 - share})
        assert isinstance(refused, PayloadError) and refused.reason == OTHER_CLASS
        assert f"{share:.2f} anger" in refused.detail
    mixture = Draw(Condition({"anger": 0.5, "neutral": 0.5}), 1)
    assert _of_its_class(payload, mixture, {"anger": 0.2, "neutral": 0.8}) is payload, "it was asked for as no class"


def test_only_another_label_than_was_asked_for_is_said() -> None:
    class Says:
        def soft_label(self, draw: Draw) -> dict[str, float]:
            return draw.condition.shares if draw.seed else {"anger": 1e-9, "neutral": 1.0}

    draws = [
        Draw(Condition({"anger": 1.0, "neutral": 2.0}), 1),
        Draw(Condition("anger"), 1),
        Draw(Condition("anger"), 0),
    ]
    assert soft_labels(Says(), draws) == [None, None, {"neutral": 1.0}]  # type: ignore[arg-type]
    assert soft_labels(object(), draws) == [None] * 3  # type: ignore[arg-type]


def test_a_study_trains_with_the_shares() -> None:
    x = np.arange(6.0).reshape(3, 2)
    soft = np.array([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.0, 0.5, 0.5]])
    added = Added(x, np.array([0, 1, 2]), weights=np.array([1.0, 0.4, 1.0]), soft=soft)
    hard = added.by_class
    assert len(added) == 3 and hard.y.tolist() == [0, 0, 1, 1, 2] and hard.soft is None
    np.testing.assert_allclose(hard.counts, [1.0, 0.1, 0.3, 0.5, 0.5])
    np.testing.assert_array_equal(hard.x, x[[0, 1, 1, 2, 2]])
    plain = replace(added, soft=None)
    assert plain.by_class is plain
    both = joined([plain, added])
    assert both.soft is not None and both.soft[:3].tolist() == np.eye(3).tolist()
    assert both.by_class.counts.sum() == pytest.approx(2 * 2.4)


def test_labels_of_an_arm_are_those_of_its_generator() -> None:
    data = pairs(40)
    generator = generator_class("edit")(SPEC, CLASSES, **COMPLETE)
    list(generator.fit(data, steps=1, seed=1, device=Device()))

    class View:
        classes = ("anger", "calm", "neutral")

    arms = Generated(View(), {}, "physio")  # type: ignore[arg-type]
    draws = [Draw(Condition("anger"), 3, {"from": data.ids[0]}), Draw(Condition("neutral"), 4, {"from": data.ids[1]})]
    hidden = round(0.7 * 6) / 6
    wanted = [[hidden, 0, 1 - hidden], [1 - hidden, 0, hidden]]
    np.testing.assert_allclose(arms._labels(generator, draws), wanted, atol=1e-6)

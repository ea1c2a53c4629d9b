"""When fits end unless a run says otherwise."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.errors import UserError
from corpora.fingerprint import hash_folder
from flows.params import GeneratorParams, RepresentationParams
from flows.stages.fit.fit import TOOK, fit_worker
from flows.stages.fit.stopping import FEW_GROUPS, ended, foreseen, says_when, stopping_of
from flows.stages.plan.plans import FitCompute, FitPlan
from generators.generator import TrainData, generator_class, generator_names
from tests.generators.tiny import TINY
from tests.generators.toy import VECTOR, toy_data

EMOTIONS = ("fear",) * 20 + ("anger",) * 40 + ("joy",) * 3


def params(name: str = "cvae", steps: int = 2000, **more: Any) -> GeneratorParams:
    return GeneratorParams.model_validate({"name": name, "steps": steps, **more})


def test_every_generator_with_a_held_out_loss_is_looked_at_and_the_others_say_why_not() -> None:
    looked_at = {name for name in generator_names() if foreseen(params(name))[0]}
    assert {"cvae", "vae_edit", "diffusion", "diffusion_edit", "small_lm", "infill"} <= looked_at
    assert not looked_at & {"cgan", "vae_gan", "aae", "cycle", "stargan", "transfer", "resampling"}
    for name in set(generator_names()) - looked_at:
        every, reason = foreseen(params(name))
        assert every == 0 and reason, name
        assert (says_when(params(name)) == "") == (not generator_class(name).trains)
    assert "cgan takes all its 2,000 steps: generator cgan has no held-out loss" in says_when(params("cgan"))
    assert "after 2,000 steps at most (a look every 50 steps)" in says_when(params())


def test_parameters_that_a_held_out_loss_cannot_judge_keep_their_steps() -> None:
    assert foreseen(params("diffusion"))[0] and foreseen(params("vae_edit"))[0]
    student = params("diffusion", params={"student_steps": 2, "guidance": 1})
    assert foreseen(student) == (0, "the student of a diffusion is tuned in the last of its steps")
    assert "critics" in foreseen(params("vae_edit", params={"critics": "one"}))[1]


def test_what_a_run_says_goes_before() -> None:
    assert foreseen(params(early_stop={"every": 0})) == (0, "generator.early_stop.every is 0")
    assert foreseen(params("cgan", early_stop={"every": 70})) == (70, "")
    assert foreseen(params(steps=30, early_stop={"every": 7})) == (7, "")
    assert foreseen(params(steps=499))[0] == 0 and foreseen(params(steps=500))[0] == 25
    assert foreseen(params(steps=4000))[0] == 100
    with pytest.raises(UserError, match="at least 3 train groups"):
        stopping_of(params(early_stop={"every": 7}), ["a", "b"] * 30, ["x"] * 60, 0)


def test_whole_groups_are_held_out_where_there_are_enough_else_samples_of_each_class() -> None:
    many, few = [f"g{i % 30}" for i in range(63)], [f"g{i % (FEW_GROUPS - 1)}" for i in range(63)]
    groups = stopping_of(params(early_stop={"share": 0.2}), many, EMOTIONS, 3).held_out
    kept = {g for g, held in zip(many, groups, strict=True) if not held}
    assert groups.sum() >= 8 and kept.isdisjoint(g for g, held in zip(many, groups, strict=True) if held)
    samples = stopping_of(params(early_stop={"share": 0.2}), few, EMOTIONS, 3)
    assert Counter(np.array(EMOTIONS)[samples.held_out]) == {"fear": 4, "anger": 8}, "of three joys none"
    again = stopping_of(params(early_stop={"share": 0.2}), few, EMOTIONS, 3).held_out
    other = stopping_of(params(early_stop={"share": 0.2}), few, EMOTIONS, 4).held_out
    assert np.array_equal(samples.held_out, again) and not np.array_equal(again, other)
    people = params(params={"honours": ["subject"]}, early_stop={"share": 0.2})
    assert Counter(np.array(EMOTIONS)[stopping_of(people, many, EMOTIONS, 3).held_out]) == {"fear": 4, "anger": 8}
    # a class that only one group has stays with the generator
    alone = [f"g{i % 12}" if e != "joy" else "only" for i, e in enumerate(EMOTIONS)]
    for seed in range(6):
        held = stopping_of(params(early_stop={"share": 0.5}), alone, EMOTIONS, seed).held_out
        assert not held[60:].all()


def test_too_few_samples_keep_all_steps_and_say_so() -> None:
    stopping = stopping_of(params(), ["a", "b"] * 15, ["x", "y"] * 15, 0)
    assert stopping.every == 0 and not stopping.held_out.any()
    assert stopping.because == "30 train samples are too few to hold 8 of them out"


def test_why_a_fit_ended() -> None:
    stopping = stopping_of(params(), [f"g{i % 30}" for i in range(300)], ["x", "y"] * 150, 3)
    scores = [(50, 3.0), (100, 1.0), (150, 1.1), (200, 1.2), (250, 1.3)]
    assert ended(params(), stopping, scores, 250) == (
        "at step 250 of at most 2,000: no progress in 3 looks; the weights are those of step 100, the best of 5 looks "
        "at 30 held-out samples"
    )
    assert "after all 2,000 steps, still making progress" in ended(params(), stopping, scores, 2000)
    gan = params("cgan")
    none = stopping_of(gan, ["a"], ["x"], 0)
    assert ended(gan, none, [], 2000) == "after all 2,000 steps: generator cgan has no held-out loss"


def fit_of(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, until: int = 10**6) -> dict[str, Any]:
    """fit.json of the stage's worker over toy vectors; `until`: the step after which it is killed."""
    plan = FitPlan(
        run="toy",
        modality="physio",
        corpora={},
        code={},
        compute=FitCompute(device="cpu", dtype="float32", compile=False, fit_threads=1, ddp_world_size=1),
        generator=GeneratorParams(name=name, steps=60, params=TINY[name].params, checkpoint_every=5),
        representation=RepresentationParams(name="features"),
        seed=1,
        loads={},
    )

    def data_of(prepared: Any, settings: FitPlan) -> TrainData:
        data = toy_data(VECTOR)
        assert settings.generator is not None
        held = stopping_of(settings.generator, data.groups, data.emotions, settings.seed).held_out
        return dataclasses.replace(data, held_out=held)

    class Killed(BaseException):
        pass

    def tell(pace: Any, n: int, *rest: Any, **more: Any) -> None:
        pace.done += n
        if pace.done > until:
            raise Killed

    monkeypatch.setattr("flows.stages.fit.fit.load_train", data_of)
    monkeypatch.setattr("flows.stages.fit.fit.Prepared.open", lambda path: None)
    monkeypatch.setattr("flows.stages.fit.fit.Pace.add", tell)
    try:
        fit_worker(plan.to_json(), "", str(folder))
    except Killed:
        return {}
    model = hash_folder(folder / "result" / "model")
    return {**json.loads((folder / "result/fit/fit.json").read_text()), "model": model}


def test_the_stage_stops_a_fit_by_itself_and_a_killed_one_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("SHORT", 10), ("EVERY", 3), ("LOOKS", 60), ("FEWEST", 4)):
        monkeypatch.setattr(f"flows.stages.fit.stopping.{name}", value)
    monkeypatch.setattr("generators.fitting.GAIN", 0.5)  # whatever the toys still gain is no progress
    whole = fit_of("cvae", tmp_path / "whole", monkeypatch)
    assert whole["steps_done"] < 60 and whole["n_held_out"] == 6 and whole["n_train"] == 54
    assert whole["ended"].startswith(f"at step {whole['steps_done']} of at most 60: no progress in 3 looks")
    assert f"fit: ended {whole['ended']}" in capsys.readouterr().out
    took = json.loads((tmp_path / "whole" / TOOK).read_text())
    assert took["steps"] == whole["steps_done"] and took["seconds"] > 0, "beside the result, not in it"
    assert fit_of("cvae", tmp_path / "cut", monkeypatch, until=whole["steps_done"] - 4) == {}
    assert fit_of("cvae", tmp_path / "cut", monkeypatch) == whole
    gan = fit_of("cgan", tmp_path / "gan", monkeypatch)
    assert gan["steps_done"] == 60 and gan["n_held_out"] == 0
    assert gan["ended"] == "after all 60 steps: generator cgan has no held-out loss"

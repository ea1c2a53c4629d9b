"""What is said of the cost of a fit before it, and where the seconds of a step come from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from corpora.store.atomic import write_json
from flows.conduct.proposals import advised
from flows.conduct.sizes import FEW, sized
from flows.params import Machine, Numerics, RepresentationParams, RunParams
from flows.paths import Layout
from flows.stages.augment.forecast import ClassForecast, RunForecast
from flows.stages.fit import fit
from flows.stages.fit.cost import REFERENCES, cost_of, spec_of
from flows.stages.fit.took import TIMINGS, keep_timing, last_fit
from flows.stages.plan.plans import FitCompute, FitPlan

NUMERICS = Numerics()


def run_of(name: str = "cvae", representation: str = "world", steps: int = 2000, **params: Any) -> RunParams:
    return RunParams.model_validate(
        {
            "corpora": ["toy"],
            "representation": {"name": representation},
            "generator": {"name": name, "steps": steps, "params": params},
        }
    )


def plan_of(run: RunParams, **more: Any) -> FitPlan:
    return FitPlan(
        run="toy",
        modality="speech",
        corpora={},
        code={},
        compute=FitCompute(device="cpu", dtype="float32", compile=False, fit_threads=2, ddp_world_size=1),
        generator=run.generator,
        representation=run.representation,
        seed=1,
        loads={},
    ).model_copy(update=more)


def said(run: RunParams, tmp_path: Path, numerics: Numerics = NUMERICS) -> str:
    return cost_of("toy", run, numerics, Layout(tmp_path))


def test_before_a_first_fit_it_is_scaled_from_what_was_measured(tmp_path: Path) -> None:
    seconds, cells = REFERENCES["cvae", "rows"]
    assert cells == 32 * 320
    assert said(run_of(), tmp_path) == (
        f"the fit takes about {2000 * seconds / 60:.0f} min at most: 2,000 steps of {seconds:.2g} s, on one core, as "
        "measured elsewhere; its first fit will tell"
    )
    assert said(run_of("vae_edit"), tmp_path) == said(run_of(), tmp_path)
    half = f"steps of {seconds * 0.5**0.9:.2g} s"
    assert half in said(run_of(batch_size=16), tmp_path)
    assert f"steps of {seconds * 0.75**1.2:.2g} s" in said(run_of(width=24), tmp_path)
    assert "on one core" in said(run_of("aae", "functionals"), tmp_path), "of vectors, from the table of generators"


def test_what_was_never_measured_is_not_made_up(tmp_path: Path) -> None:
    nothing = "the fit takes 2,000 steps at most; what one costs its first fit will tell"
    assert said(run_of("stargan"), tmp_path) == nothing
    assert said(run_of(), tmp_path, Numerics(device="cuda")) == nothing
    assert said(run_of("transfer"), tmp_path) == "", "a closed form"
    assert said(RunParams.model_validate({"corpora": ["toy"]}), tmp_path) == ""


def test_the_last_fit_of_these_parameters_goes_before(tmp_path: Path) -> None:
    place = Layout(tmp_path).timing_file(TIMINGS, "toy")
    run = run_of(width=24)
    settled = RepresentationParams.model_validate({"name": "world", "hop_s": 0.01})
    keep_timing(place, plan_of(run, representation=settled), 400, 60.0)
    assert said(run, tmp_path) == "the fit takes about 5 min at most: 2,000 steps of 0.15 s, as in its last fit"
    assert "2,500 steps of 0.15 s" in said(run_of(steps=2500, width=24), tmp_path)
    for other in (run_of(width=16), run_of("vae_edit", width=24)):
        assert "measured elsewhere" in said(other, tmp_path)
    assert "measured elsewhere" in said(run, tmp_path, Numerics(fit_threads=1)), "other threads, other seconds"
    place.write_text("{")
    assert last_fit(place) is None and "measured elsewhere" in said(run, tmp_path)


def test_the_stage_keeps_it_beside_the_outs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fitted(plan: dict[str, Any], prepared: str, state: str) -> None:
        for part in ("model", "fit"):
            (Path(state) / "result" / part).mkdir(parents=True)
        write_json(Path(state) / fit.TOOK, {"steps": 60, "seconds": 3.0})

    layout = Layout(tmp_path)
    (layout.run("toy") / "prepared").mkdir(parents=True)
    monkeypatch.setattr(fit, "fit_worker", fitted)
    fit.run(plan_of(run_of()), layout, Machine())
    timing = last_fit(layout.timing_file(TIMINGS, "toy"))
    assert timing is not None and (timing.steps, timing.seconds) == (60, 3.0)
    assert "2,000 steps of 0.05 s, as in its last fit" in said(run_of(), tmp_path)


def test_a_small_corpus_is_told_of_a_smaller_network() -> None:
    spec = spec_of(run_of())
    size = sized(run_of(), spec, 285)
    assert size is not None and size.params == {"width": 24, "batch_size": 16, "padding": "cut"}
    assert sized(run_of(), spec, FEW + 1) is None and sized(run_of(), spec, 0) is None
    assert sized(run_of(width=48), spec, 285) is None, "who says a width wants it"
    assert sized(run_of("vae_edit", critics="one"), spec, 285) is None and sized(run_of("cgan"), spec, 285) is None
    assert sized(run_of(representation="functionals"), spec_of(run_of(representation="functionals")), 285) is None
    row = ClassForecast("fear", 285, 300, 15, 0.5, "prior", 20, 1, 15, "filled", None)
    forecast = RunForecast("toy", "prepared data", "", (row, dataclasses.replace(row, emotion="joy", real=0)))
    lines = advised(run_of(), forecast, "what it costs")
    assert lines[-2] == "what it costs"
    assert lines[-1].startswith(
        "285 train samples are few for cvae at its defaults: with params {batch_size: 16, padding: cut, width: 24}"
    )

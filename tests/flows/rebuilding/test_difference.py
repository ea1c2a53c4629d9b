"""The first stage that differs, and why: over locks and plans that are written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from flows.rebuilding.difference import MACHINE, NOT_KNOWN, RAW, first_difference, first_plan
from flows.rebuilding.lock import Outs
from flows.releases.plans import Planned

VERBS = {"prepare": "prepared", "fit": "model", "augment": "augmented", "evaluate": "evaluation", "release": "release"}


def lock(*other: str) -> Outs:
    """Of a run a over the corpus c; the stages named wrote something else."""
    lines = ["schema: '2.0'", "stages:", "  ingest@c:", "    outs:", "    - path: data/corpora/c"]
    lines.append(f"      md5: {'2' if 'ingest' in other else '1'}")
    for verb, out in VERBS.items():
        lines += [
            f"  {verb}@a:",
            "    outs:",
            f"    - path: data/runs/a/{out}",
            f"      md5: {2 if verb in other else 1}",
        ]
    lines += ["    - path: data/runs/a/report.html", "      md5: 77"]
    return Outs.of("\n".join(lines) + "\n")


def plan(libraries: dict[str, str] | None = None, **params: Any) -> Planned:
    """fit.json and augment.json, and two libraries."""
    fit = {"params": {"seed": params.get("seed", 1)}, "code": {"training.loop": params.get("loop", "aa")}}
    augment = {"params": {"seed": params.get("seed", 1), "target": params.get("target", 9)}, "code": {}}
    known = {"numpy": "2.1", "rich": "13"} | (libraries or {})
    return Planned({"fit": fit, "augment": augment}, {}, known)


def asked(wanted: tuple[Outs, Planned], there: tuple[Outs, Planned]) -> str:
    difference = first_difference("a", ["c"], wanted, there)
    return difference.sentence if difference else ""


@pytest.mark.parametrize(
    ("outs", "now", "says"),
    [
        ((), plan(), ""),
        (("fit", "augment", "release"), plan(seed=2), "fit@a made another model: runs.a.seed (1 -> 2)"),
        (("fit",), plan(loop="bb"), "fit@a made another model: code training.loop"),
        (("augment", "release"), plan(target=12), "augment@a made another augmented: runs.a.target (9 -> 12)"),
        # the change in the plan of a later stage does not explain an earlier one
        (("fit",), plan(target=12), f"fit@a made another model: {MACHINE}"),
        (("fit",), plan({"numpy": "2.2", "rich": "14"}), "fit@a made another model: numpy (2.1 -> 2.2)"),
        (("fit",), plan({"rich": "14"}), "fit@a made another model: rich (13 -> 14)"),
        (("ingest", "prepare"), plan(seed=2), f"ingest@c made another c: {RAW}"),
        (("evaluate", "release"), plan(), f"evaluate@a made another evaluation: {MACHINE}"),
        (("fit",), Planned({}, {}), f"fit@a made another model: {NOT_KNOWN}"),
    ],
)
def test_the_first_stage_and_why(outs: tuple[str, ...], now: Planned, says: str) -> None:
    assert asked((lock(), plan()), (lock(*outs), now)) == says


def test_a_stage_that_wrote_nothing() -> None:
    assert asked((lock(), plan()), (Outs({}), plan())).startswith("ingest@c made no c")


def test_plans_alone() -> None:
    assert first_plan("a", plan(), plan({"numpy": "3"})) is None, "libraries are in no plan"
    difference = first_plan("a", plan(), plan(seed=2, target=12))
    assert difference is not None
    assert difference.sentence == "fit@a was planned otherwise: runs.a.seed (1 -> 2)"

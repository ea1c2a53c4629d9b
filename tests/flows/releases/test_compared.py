"""A difference of known cause: what moved is counted, and traced to the one thing that was changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpora.schema import REJECTS, SCORES, Sample
from corpora.store.release import MANIFEST, open_release
from corpora.store.shards import write_table
from flows.releases.causes import NOTHING
from flows.releases.compared import Comparison, compare
from flows.releases.diff_page import diff_page
from flows.releases.places import Place, find_release
from tests.flows.releases.published import Published
from tests.small_release import VERDICT, made, real, seal, write_release

SAMPLES = [*map(real, range(8)), *map(made, range(4))]
RUN: dict[str, Any] = {"seed": 1, "gates": {"copies": {"limit": {"absolute": 0.0}}}, "policy": {"on_fail": "block"}}
PLANS: dict[str, Any] = {
    "prepare": {"params": {"seed": 1, "steps": {"size": 48}, "worker_code": "1"}, "corpora": {"c": "aa"}},
    "fit": {"params": {"seed": 1, "generator": {"name": "transfer", "params": {"strength": 1.0}}, "loads": {}}},
    "augment": {"params": {"seed": 1, "gates": RUN["gates"], "gate_code": {"copies": "1"}}},
    "evaluate": {"params": {"evaluation": {"bootstrap": 100}, "sample_gates": RUN["gates"]}},
    "release": {"params": {"policy": RUN["policy"], "run": RUN, "prepared": {}}},
}
CODE = {
    "prepare": {"corpora.schema": "1", "features.faces.prepare": "1"},
    "fit": {"generators.conversion": "1"},
    "augment": {"generators.conversion": "1", "validators.gates.copies": "1"},
    "evaluate": {"validators.gates.frechet": "1"},
    "release": {"flows.stages.release": "1"},
}
UPLIFT = {"classifier": "l", "classes": ["anger"], "n_train": 8, "n_synthetic": 4, "synthetic_weight": None}
UPLIFT |= {"n_test": 1, "test_groups": 1, "arms": [], "against_weighted": {"value": 0.0, "low": None, "high": None}}


def plans() -> dict[str, Any]:
    """Every plan, whole and free to change."""
    return {
        stage: {
            "stage": stage,
            "run": "tiny",
            "modality": "face",
            "numerics": {},
            "corpora": {},
            "code": dict(CODE[stage]),
        }
        | copy.deepcopy(plan)
        for stage, plan in PLANS.items()
    }


def run_of(
    place: Path, samples: list[Sample] = SAMPLES, change: Callable[[dict[str, Any]], None] = lambda _: None, **more: Any
) -> Path:
    """A run's folder with release, plans and evaluation. change: made to the plans."""
    told = plans()
    change(told)
    verdicts, gain = more.pop("verdicts", [{}]), more.pop("uplift", 0.05)
    folder = write_release(place / "release", samples, more.pop("split", None), verdicts, **more)
    settings = {"run": told["release"]["params"]["run"], "numerics": {}}
    (folder / "params.json").write_text(json.dumps(settings), encoding="utf-8")
    (place / "plan").mkdir()
    for stage, plan in told.items():
        (place / "plan" / f"{stage}.json").write_text(json.dumps(plan), encoding="utf-8")
    (place / "evaluation").mkdir()
    (place / "evaluation" / "verdicts.parquet").write_bytes((folder / "verdicts.parquet").read_bytes())
    moved = {"difference": {"value": gain, "low": 0.0, "high": 0.1}, "outcome": "win" if gain > 0 else "loss"}
    (place / "evaluation" / "uplift.json").write_text(json.dumps(UPLIFT | moved), encoding="utf-8")
    resealed(folder, samples, **more)
    return place


def resealed(folder: Path, samples: list[Sample], **facts: Any) -> None:
    """The manifest once more, over all that is there."""
    splits = open_release_splits(folder)
    (folder / MANIFEST).unlink()
    seal(folder, samples, [splits[s.sample_id] for s in samples], **facts)


def open_release_splits(folder: Path) -> Mapping[str, str]:
    """Sample -> split."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "splits.parquet")
    return dict(zip(table["sample_id"].to_pylist(), table["split"].to_pylist(), strict=True))


def compared(first: Path, second: Path) -> Comparison:
    return compare(Place("a", first / "release", first), Place("b", second / "release", second), None)


def set_in(stage: str, *keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        at = told[stage]
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value

    return change


LIMIT = ("params", "gates", "copies", "limit", "absolute")
OTHER = [*SAMPLES[:8], *(made(i, "aaaa") for i in range(4))]
REDONE = [real(0, payload=b"resized"), *SAMPLES[1:]]
FEWER = SAMPLES[:-1]
CASES = {
    "a gate's limit": (
        set_in("augment", *LIMIT, value=0.3),
        FEWER,
        "synthetic samples",
        "gates.copies.limit.absolute (0.0 -> 0.3)",
    ),
    "a corpus": (set_in("prepare", "corpora", "c", value="bb"), [*SAMPLES, real(9)], "real samples", "corpus c"),
    "a step": (
        set_in("prepare", "params", "steps", "size", value=32),
        REDONE,
        "real samples",
        "runs.tiny.prepare.face.size (48 -> 32)",
    ),
    "a generator": (
        set_in("fit", "params", "generator", "params", "strength", value=2.0),
        OTHER,
        "synthetic samples",
        "generator.params.strength (1.0 -> 2.0)",
    ),
    "weights": (
        set_in("fit", "params", "loads", value={"/m": "bb"}),
        OTHER,
        "synthetic samples",
        "weights runs.tiny.loads./m",
    ),
    "code that samples": (
        set_in("augment", "code", "generators.conversion", value="2"),
        OTHER,
        "synthetic samples",
        "code generators.conversion",
    ),
    "code that prepares": (
        set_in("prepare", "code", "features.faces.prepare", value="2"),
        REDONE,
        "real samples",
        "code features.faces.prepare",
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_what_moved_is_traced_to_the_one_thing_that_was_changed(tmp_path: Path, case: str) -> None:
    change, samples, what, because = CASES[case]
    difference = compared(run_of(tmp_path / "a"), run_of(tmp_path / "b", samples, change))
    assert [cause.moved for cause in difference.causes] == [what]
    cause = difference.causes[0]
    assert because in cause.sentence and cause.sure and len(difference.changes) == 1, cause


def test_a_change_behind_equal_samples_is_no_cause_of_them(tmp_path: Path) -> None:
    """The fit was changed and came to the same generator; a limit was changed, too: the limit it was."""

    def both(told: dict[str, Any]) -> None:
        set_in("fit", "code", "generators.conversion", value="2")(told)
        set_in("augment", *LIMIT, value=0.3)(told)

    difference = compared(run_of(tmp_path / "a"), run_of(tmp_path / "b", FEWER, both))
    assert len(difference.changes) == 2 and [cause.sure for cause in difference.causes] == [True]
    assert difference.causes[0].changes == ("runs.tiny.gates.copies.limit.absolute (0.0 -> 0.3)",)


def test_several_possible_causes_are_all_named(tmp_path: Path) -> None:
    def both(told: dict[str, Any]) -> None:
        set_in("augment", "code", "validators.gates.copies", value="2")(told)
        set_in("augment", *LIMIT, value=0.3)(told)

    cause = compared(run_of(tmp_path / "a"), run_of(tmp_path / "b", FEWER, both)).causes[0]
    assert not cause.sure and "one or more of" in cause.sentence and "validators.gates.copies" in cause.sentence


def test_what_follows_is_carried_by_what_moved_before_it(tmp_path: Path) -> None:
    change = set_in("prepare", "corpora", "c", value="bb")
    verdicts = [{"verdict": "fail", "value": 9.0}]
    second = run_of(tmp_path / "b", [*SAMPLES, real(9)], change, verdicts=verdicts, uplift=-0.02, publishable=False)
    difference = compared(run_of(tmp_path / "a"), second)
    causes = {cause.moved: cause for cause in difference.causes}
    assert list(causes) == ["real samples", "verdicts", "uplift", "publication"]
    assert causes["verdicts"].through == ("real samples",) and causes["verdicts"].changes == ()
    assert (
        causes["verdicts"].how == "frechet (all) pass -> fail" and "win) -> -2.0 points (loss" in causes["uplift"].how
    )
    assert difference.verdicts[0].turned and difference.verdicts[0].value == (1.5, 9.0)


def test_without_a_change_that_can_have_done_it_nothing_is_made_up(tmp_path: Path) -> None:
    cause = compared(run_of(tmp_path / "a"), run_of(tmp_path / "b", FEWER)).causes[0]
    assert cause.sentence == NOTHING and not cause.sure
    for name, torch in (("a", "2.9"), ("b", "2.10")):
        release_hash = open_release(tmp_path / name / "release").release_hash
        about = {"release_hash": release_hash, "libraries": {"torch": torch}, "git_commit": None, "git_dirty": True}
        (tmp_path / name / "provenance.json").write_text(json.dumps(about))
    cause = compared(tmp_path / "a", tmp_path / "b").causes[0]
    assert cause.sentence == "torch (2.9 -> 2.10)" and cause.sure


def test_plans_of_another_state_are_not_believed(tmp_path: Path) -> None:
    first = run_of(tmp_path / "a")
    second = run_of(tmp_path / "b", FEWER, set_in("augment", *LIMIT, value=0.3))
    settings = {"run": RUN | {"target": {"policy": "total"}}, "numerics": {}}
    (second / "release" / "params.json").write_text(json.dumps(settings))
    resealed(second / "release", FEWER)
    difference = compared(first, second)
    assert any("b: the plans beside it are of another state" in note for note in difference.notes)
    assert [change.what for change in difference.changes] == ["runs.tiny.target.policy"]
    assert difference.causes[0].changes == ("runs.tiny.target.policy (nothing -> total)",)


def test_each_release_says_what_became_of_the_other_s_samples(tmp_path: Path) -> None:
    first, second = run_of(tmp_path / "a"), run_of(tmp_path / "b", [*SAMPLES[1:9], made(2), made(9)])
    rows = [
        {"sample_id": i, "emotion": "fear", "round": 1, "gate": gate, "value": 0.1, "limit": 0.5, "passed": ok}
        | {"reason": None, "judge": None}
        for i, gate, ok in (
            ("syn/9e1d/1", "copies", False),
            ("syn/9e1d/1", "validity", True),
            ("syn/9e1d/3", "copies", True),
        )
    ]
    write_table(second / "release" / "scores.parquet", pa.Table.from_pylist(rows, schema=SCORES))
    reject = {"corpus": "c", "path": "0", "stage": "ingest", "reason": "too-short", "detail": None}
    write_table(second / "release" / "rejects.parquet", pa.Table.from_pylist([reject], schema=REJECTS))
    resealed(second / "release", [*SAMPLES[1:9], made(2), made(9)])
    difference = compared(first, second)
    found = {(f.way, f.kind, f.reason): f.n for f in difference.fates}
    assert found == {
        ("went", "real", "was rejected by ingest: too-short"): 1,
        ("went", "synthetic", "was refused by copies"): 1,
        ("went", "synthetic", "passed every gate and was not needed"): 1,
        ("came", "synthetic", "was not drawn"): 1,
    }
    counts = {(m.what, m.kind): m.n for m in difference.moved}
    assert counts == {("went", "real"): 1, ("went", "synthetic"): 2, ("came", "synthetic"): 1}
    moved = {(row.split, row.emotion): (row.real, row.synthetic) for row in difference.balance if row.moved}
    assert moved == {("train", "anger"): ((4, 3), (2, 1))}


def test_commits_between_two_versions_that_touched_the_code(tmp_path: Path) -> None:
    project = Published(tmp_path / "project")
    run_of(tmp_path / "a")
    run_of(tmp_path / "b", OTHER, set_in("augment", "code", "generators.conversion", value="2"))
    project.version(tmp_path / "a", "v1.0.0", code={"generators/conversion.py": "1"})
    project.version(tmp_path / "b", "v1.1.0", code={"generators/conversion.py": "2", "generators/other.py": "2"})
    places = [find_release(f"tiny@{n}", project.folder, whole=False) for n in ("v1.0.0", "v1.1.0")]
    difference = compare(places[0], places[1], project.folder)
    short = project.git("rev-parse", "--short", "tiny@v1.1.0^{}")
    assert difference.changes[0].commits == (f"{short} Publish v1.1.0",)
    assert difference.causes[0].sentence == f"code generators.conversion ({short} Publish v1.1.0)"
    assert difference.uplift.outcome == ("win", "win") and not difference.uplift.moved


def test_the_page_escapes_everything_and_needs_no_network(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    second = run_of(
        tmp_path / "b",
        [*SAMPLES, real(9, sample_id=f"c/{evil}", emotion="fear")],
        set_in("prepare", "corpora", evil, value="bb"),
        verdicts=[VERDICT | {"verdict": "fail", "reason": evil}],
    )
    page = diff_page(compared(run_of(tmp_path / "a"), second))
    assert evil not in page and page.count("&lt;script&gt;alert(1)") >= 3
    assert "http://" not in page and "https://" not in page and page.count("<script>") == 1
    same = diff_page(compared(tmp_path / "a", tmp_path / "a"))
    assert "Both are the same release" in same

"""The table "You change X, this reruns" of docs/architecture.md, line by line.

A stage runs again when its JSON (data/readers/<corpus>.json, data/runs/<run>/plan/<stage>.json) or what comes before it
changed: so plans are compared, with the source of modules edited in memory. What is found again in the work store is
counted in real runs of a tiny corpus.
"""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.params import load_params
from flows.paths import Layout
from flows.stages.ingest.reader import reader_of
from flows.stages.plan import code
from flows.stages.plan.plan import make_plans
from flows.stages.run import run_stage

Change = Callable[[dict[str, Any]], None]
PARAMS: dict[str, Any] = {
    "numerics": {"draw_list": 4, "fit_threads": 1},
    "demo": {"tiny": {"reader": "fer2013", "subjects": 0, "seed": 1, "per_class": {"happiness": 30, "anger": 24}}},
    "corpora": {"tiny": {"reader": "fer2013", "shards": 2}},
    "runs": {
        "tiny": {
            "corpora": ["tiny"],
            "seed": 3,
            "representation": {"name": "pixels", "size": 16},
            "generator": {"name": "transfer"},
            "gates": {
                "validity": {"limit": {"absolute": -1000.0}},
                "copies": {"limit": {"absolute": 0.0}},
                "support": {"limit": {"absolute": 1000.0}, "params": {"embedding": "hog"}},
                "kid": {"params": {"embedding": "hog", "dims": 8}},
            },
            "policy": {"on_fail": "flag"},
            "shards": 2,
        }
    },
}


def write(folder: Path, params: dict[str, Any]) -> Layout:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return Layout(folder)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reruns")
    write(folder, PARAMS)
    for verb in ("fake", "ingest"):
        run_stage(verb, "tiny", repo=folder)
    return folder


@pytest.fixture
def folder(ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    shutil.copytree(ingested, tmp_path / "p")
    return tmp_path / "p"


def dependencies(folder: Path, change: Change | None = None) -> dict[str, Any]:
    """Stage -> what DVC compares of it, outs of the stages before it aside."""
    params = copy.deepcopy(PARAMS)
    if change is not None:
        change(params)
    layout = write(folder, params)
    parsed = load_params(layout.params)
    plans: dict[str, Any] = {plan.stage: plan.key for plan in make_plans(parsed, layout, "tiny")}
    return {"ingest": (reader_of(parsed.corpus("tiny"), layout), parsed.corpus("tiny")), **plans}


def reruns(folder: Path, change: Change | None = None) -> str:
    """Stages that a change touches, in their order."""
    before = dependencies(folder)
    after = dependencies(folder, change)
    return " ".join(stage for stage in before if before[stage] != after[stage])


def of_run(**changes: Any) -> Change:
    return lambda params: params["runs"]["tiny"].update(copy.deepcopy(changes))


def of_gate(name: str, **changes: Any) -> Change:
    return lambda params: params["runs"]["tiny"]["gates"][name].update(changes)


def of_numerics(**changes: Any) -> Change:
    return lambda params: params["numerics"].update(changes)


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (of_run(view="group-k3-fold1"), "prepare release"),
        (of_run(scheme="valence3"), "prepare release"),
        (of_run(on_leak={"repeats": "waive"}), "prepare release"),
        (of_gate("copies", limit={"absolute": 0.5}), "augment release"),
        (of_gate("copies", params={"transform": 7}), "augment release"),
        (of_gate("kid", limit={"absolute": 5.0}), "evaluate release"),
        (of_gate("kid", params={"embedding": "hog", "dims": 4}), "evaluate release"),
        (of_run(generator={"name": "transfer", "params": {"strength": 1.5}}), "fit release"),
        (of_run(target={"policy": "majority", "times": 2.0}), "augment release"),
        (of_run(policy={"on_fail": "block"}), "release"),
        (of_run(evaluation={"bootstrap": 50}), "evaluate release"),
        (of_run(representation={"name": "pixels", "size": 24}), "prepare fit augment release"),
        (of_numerics(draw_list=8), "augment release"),
        (of_numerics(sample_threads=2), "augment release"),
        (of_numerics(fit_threads=2), "fit augment evaluate release"),
    ],
)
def test_params(ingested: Path, change: Change, stages: str) -> None:
    try:
        assert reruns(ingested, change) == stages
    finally:
        write(ingested, PARAMS)


ALL = "ingest prepare fit augment evaluate release report"
EDITS: dict[str, Callable[[bytes], bytes]] = {
    "comment": lambda text: text.replace(b"\nimport", b"\n# a word about it\nimport", 1) + b"\n# and one more\n",
    "docstring": lambda text: re.sub(rb'\A"""', b'"""Once more, in other words. ', text, count=1),
    "format": lambda text: text.replace(b"    return ", b"    return  ") + b"\n\n\n",
    "code": lambda text: text + b"\nEDITED = 1\n",
}


@pytest.mark.parametrize("how", ["comment", "docstring", "format"])
def test_comments_docstrings_and_formatting_rerun_nothing(
    ingested: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, source = dependencies(ingested), code.source_of
    changed = []

    def edited(module: str) -> bytes:
        text = EDITS[how](source(module))
        changed.append(text != source(module))
        return text

    monkeypatch.setattr(code, "source_of", edited)
    assert dependencies(ingested) == before and sum(changed) > 50, "every module of every stage was edited"


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("corpora.readers.faces.fer2013", "ingest"),
        ("corpora.readers.faces.expw", ""),
        ("corpora.near.images", "ingest"),
        ("features.faces.prepare", "prepare"),
        ("features.speech.prepare", ""),
        ("features.faces.pixels", "prepare fit augment evaluate"),
        ("generators.conversion", "fit augment"),
        ("generators.vae", ""),
        ("flows.stages.fit.monitor", "fit"),
        ("training.loop", "fit augment evaluate"),
        ("validators.gates.copies", "augment evaluate"),
        ("flows.stages.augment.rounds", "augment"),
        ("flows.stages.prepare.writer", "prepare"),
        ("flows.engine.pool", ""),
    ],
)
def test_code(ingested: Path, module: str, stages: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, source = dependencies(ingested), code.source_of
    monkeypatch.setattr(code, "source_of", lambda m: EDITS["code"](source(m)) if m == module else source(m))
    after = dependencies(ingested)
    rerun = [stage for stage in before if before[stage] != after[stage]]
    assert set(stages.split()) <= set(rerun), f"{module}: {rerun}"
    spared = {"": ALL.split(), "ingest": ALL.split()[1:]}.get(stages, [s for s in ("ingest",) if s not in stages])
    assert not set(spared) & set(rerun), f"{module}: {rerun}"
    if stages in ("prepare", "fit"):
        assert rerun == [stages]

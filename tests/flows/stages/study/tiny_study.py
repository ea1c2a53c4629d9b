"""A study of a fake corpus in seconds: six speakers, three classes, functionals."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flows.engine.store import WorkStore
from flows.machine import Machine
from flows.params import load_machine, load_params
from flows.paths import Layout
from flows.stages.run import run_stage
from flows.stages.study.design import StudyPlan, design_of
from flows.stages.study.study import Asked, ask
from flows.studying import StudyParams

STUDY: dict[str, Any] = {
    "corpora": ["tiny"],
    "features": {"name": "functionals"},
    "folds": 3,
    "seeds": 2,
    "conditions": {"prune": [40], "classes": ["anger"]},
    "classifiers": {"logistic": {}},
    "defaults": False,
    "arms": {
        "class weights": {"method": "class_weights"},
        "SMOTE": {"method": "smote", "params": {"k": 2}},
        "transfer": {"method": "transfer"},
        "oracle": {"method": "oracle"},
    },
    "bootstrap": 100,
}
PARAMS: dict[str, Any] = {
    "numerics": {"fit_threads": 1},
    "demo": {
        "tiny": {
            "reader": "ravdess",
            "subjects": 6,
            "seed": 1,
            "per_class": {"anger": 36, "neutral": 24, "sadness": 30},
        }
    },
    "corpora": {"tiny": {"reader": "ravdess", "shards": 2}},
    "runs": {},
    "studies": {"tiny": STUDY},
}


@dataclass(frozen=True)
class Project:
    """A project whose corpus is ingested."""

    root: Path

    @classmethod
    def at(cls, root: Path, corpora: Sequence[str] = ("tiny",)) -> Project:
        """Writes params.yaml and ingests corpora, which differ in their seed."""
        root.mkdir(parents=True, exist_ok=True)
        params = copy.deepcopy(PARAMS)
        for n, name in enumerate(corpora):
            params["demo"][name] = {**PARAMS["demo"]["tiny"], "seed": n + 1}
            params["corpora"][name] = PARAMS["corpora"]["tiny"]
        (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        for name in corpora:
            for verb in ("fake", "ingest"):
                run_stage(verb, name, repo=root)
        return cls(root)

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def machine(self) -> Machine:
        return load_machine(self.layout.machine)

    @property
    def store(self) -> WorkStore:
        return WorkStore(self.layout.store)

    def study(self, **changes: Any) -> StudyParams:
        """The study with changes; a mapping replaces what was there."""
        return StudyParams.model_validate({**copy.deepcopy(STUDY), **changes})

    def plan(self, **changes: Any) -> StudyPlan:
        load_params(self.layout.params)
        return design_of("tiny", self.study(**changes), self.layout)

    def asked(self, **changes: Any) -> Asked:
        vault = changes.pop("look", False)
        return ask(self.plan(**changes), self.layout, self.machine, self.store, vault=vault)

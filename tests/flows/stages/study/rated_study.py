"""Studies of two fake corpora in seconds: rated voices (IEMOCAP), and comments of several labels (GoEmotions)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flows.engine.store import WorkStore
from flows.machine import Machine
from flows.params import load_machine
from flows.paths import Layout
from flows.stages.run import run_stage
from flows.stages.study.design import StudyPlan, design_of
from flows.stages.study.targets_study import TargetAsked, ask_targets
from flows.studying import StudyParams

VOICES: dict[str, Any] = {
    "task": "dimensions",
    "corpora": ["voices"],
    "features": {"name": "functionals"},
    "folds": 3,
    "seeds": 2,
    "defaults": False,
    "arms": {"oversampling": {"method": "oversample"}, "jitter": {"method": "jitter"}, "noise": {"method": "noise"}},
    "bootstrap": 200,
}
COMMENTS: dict[str, Any] = {
    "task": "labels",
    "corpora": ["comments"],
    "features": {"name": "sentence", "words": 64, "pieces": 64},
    "folds": 3,
    "seeds": 1,
    "defaults": False,
    "arms": {"class weights": {"method": "class_weights"}, "jitter": {"method": "jitter"}, "EDA": {"method": "eda"}},
    "bootstrap": 200,
}
PARAMS: dict[str, Any] = {
    "numerics": {"fit_threads": 1},
    "demo": {
        "voices": {
            "reader": "iemocap",
            "subjects": 6,
            "seed": 1,
            "per_class": {"anger": 15, "neutral": 15, "sadness": 15},
        },
        "comments": {
            "reader": "goemotions",
            "subjects": 6,
            "seed": 1,
            "per_class": {"anger": 70, "happiness": 50, "sadness": 24, "fear": 4},
        },
    },
    "corpora": {"voices": {"reader": "iemocap", "shards": 2}, "comments": {"reader": "goemotions", "shards": 2}},
    "runs": {},
    "studies": {"voices": VOICES, "comments": COMMENTS},
}


@dataclass(frozen=True)
class Rated:
    """A project whose corpora are ingested."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> Rated:
        """Writes params.yaml and ingests both corpora."""
        root.mkdir(parents=True, exist_ok=True)
        (root / "params.yaml").write_text(yaml.safe_dump(PARAMS, sort_keys=False), encoding="utf-8")
        for corpus in ("voices", "comments"):
            for verb in ("fake", "ingest"):
                run_stage(verb, corpus, repo=root)
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

    def plan(self, name: str, **changes: Any) -> StudyPlan:
        """The study with changes; a mapping replaces what was there."""
        study = StudyParams.model_validate({**copy.deepcopy(PARAMS["studies"][name]), **changes})
        return design_of(name, study, self.layout)

    def asked(self, name: str, **changes: Any) -> TargetAsked:
        vault = changes.pop("look", False)
        return ask_targets(self.plan(name, **changes), self.layout, self.machine, self.store, vault=vault)

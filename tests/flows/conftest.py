"""A tiny project in a folder of its own: the whole pipeline in seconds, as plain functions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

STAGES = ("plan", "prepare", "fit", "augment", "evaluate", "release")

SPEECH: dict[str, Any] = {
    "corpora": ["tiny"],
    "seed": 3,
    "representation": {"name": "world", "max_s": 1.6},
    "generator": {"name": "cvae", "steps": 20, "params": {"width": 8, "latent": 4}, "checkpoint_every": 10},
    # a model of 20 steps makes nothing worth keeping: the gates score everything and refuse little
    "gates": {
        "agreement": {"limit": {"absolute": 0.0}},
        "mcd": {"limit": {"absolute": 1000.0}},
        "variance": {"limit": {"absolute": 0.0}},
        "copies": {"limit": {"absolute": 0.0}},
        "validity": {"limit": {"absolute": -1000.0}},
        "frechet": {"params": {"embedding": "functionals", "dims": 8}},  # a trained one takes seconds
        "kid": {"params": {"embedding": "functionals", "dims": 8}},
        "vendi": {"params": {"embedding": "functionals", "dims": 8}},
        "support": {"limit": {"absolute": 1000.0}},
    },
    "policy": {"on_fail": "flag"},
    "evaluation": {"bootstrap": 100},
    "shards": 2,
}
FACES = SPEECH | {
    "gates": {k: v for k, v in SPEECH["gates"].items() if k not in ("mcd", "variance")}
    | {name: {"params": {"embedding": "hog", "dims": 8}} for name in ("frechet", "kid", "vendi")},
    "representation": {"name": "pixels", "size": 32},
    "generator": {
        "name": "diffusion",
        "steps": 8,
        "params": {"width": 16, "sample_steps": 3},
        "checkpoint_every": 4,
    },
}
TINY = {
    "speech": {
        "numerics": {"draw_list": 4, "fit_threads": 1},
        "demo": {
            "tiny": {
                "reader": "ravdess",
                "subjects": 6,
                "seed": 1,
                "per_class": {"anger": 24, "neutral": 18, "sadness": 12},
            }
        },
        "corpora": {"tiny": {"reader": "ravdess", "shards": 2}},
        "runs": {"tiny": SPEECH},
    },
    "faces": {
        "numerics": {"draw_list": 4, "fit_threads": 1},
        "demo": {
            "tiny": {
                "reader": "fer2013",
                "subjects": 0,
                "seed": 1,
                "per_class": {"happiness": 40, "anger": 30, "neutral": 24},
            }
        },
        "corpora": {"tiny": {"reader": "fer2013", "shards": 2}},
        "runs": {"tiny": FACES},
    },
}


@pytest.fixture
def tiny_params() -> Callable[[str], dict[str, Any]]:
    """kind ("speech" | "faces") -> a fresh copy of the params, to change and hand to `project`."""
    return lambda kind: copy.deepcopy(TINY[kind])


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, dict[str, Any]], Path]:
    """(folder, params) -> the folder as a project, with every actor's work done in this process."""
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")

    def make(folder: Path, params: dict[str, Any]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def run_all() -> Callable[..., None]:
    """(folder, upto) -> runs every stage of the tiny run as the plain function that DVC would call."""
    from flows.stages.run import run_stage

    def run(folder: Path, *, stages: tuple[str, ...] = ("fake", "ingest", *STAGES)) -> None:
        for verb in stages:
            run_stage(verb, "tiny", repo=folder)

    return run

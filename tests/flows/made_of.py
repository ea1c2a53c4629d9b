"""Runs that differ in what is generated, over one tiny corpus that is ingested once: for tests of representations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from flows.stages.run import run_stage

STAGES = ("plan", "prepare", "fit", "augment", "evaluate", "release")
GENERATORS: dict[str, dict[str, Any]] = {
    "transfer": {"name": "transfer"},
    "cvae": {"name": "cvae", "steps": 12, "params": {"width": 8, "latent": 4}},
    "cgan": {"name": "cgan", "steps": 8, "params": {"width": 8}},
    "diffusion": {"name": "diffusion", "steps": 8, "params": {"width": 16, "sample_steps": 3}},
}
LM = {"width": 32, "layers": 2, "heads": 2, "vocabulary": 500, "lr": 5e-3, "batch_size": 16}
LINES: dict[str, dict[str, Any]] = {  # of texts as tokens
    "small_lm": {"name": "small_lm", "steps": 60, "params": LM},
    "infill": {"name": "infill", "steps": 60, "params": {**LM, "padded": True}},
    "delete_retrieve": {"name": "delete_retrieve"},
}
# a model of a dozen steps makes nothing worth keeping: the gates score everything and refuse nothing
LENIENT: dict[str, Any] = {
    "agreement": {"limit": {"absolute": 0.0}},
    "copies": {"limit": {"absolute": 0.0}},
    "support": {"limit": {"absolute": 1000.0}},
    "validity": {"limit": {"absolute": -1000.0}},
    "frechet": {"params": {"dims": 4}},
    "kid": {"params": {"dims": 4}},
    "vendi": {"params": {"dims": 4}},
}
DEMOS: dict[str, dict[str, Any]] = {
    "speech": {"reader": "ravdess", "subjects": 6, "per_class": {"anger": 18, "neutral": 12}, "seed": 1},
    "face": {"reader": "fer2013", "subjects": 0, "per_class": {"happiness": 40, "anger": 30}, "seed": 1},
    "text": {"reader": "goemotions", "subjects": 0, "per_class": {"happiness": 40, "anger": 30}, "seed": 1},
    "physio": {"reader": "stress_predict", "subjects": 6, "per_class": {"neutral": 18, "stress": 12}, "seed": 1},
}


def ingested(folder: Path, modality: str, runs: dict[str, dict[str, Any]]) -> Path:
    """A project whose corpus `tiny` of the modality is ingested. runs: name -> what is special about each."""
    demo = DEMOS[modality]
    common = {"corpora": ["tiny"], "seed": 3, "shards": 2, "gates": LENIENT, "policy": {"on_fail": "flag"}}
    common["evaluation"] = {"bootstrap": 100}
    params = {
        "numerics": {"draw_list": 4, "fit_threads": 1},
        "demo": {"tiny": demo},
        "corpora": {"tiny": {"reader": demo["reader"], "shards": 2}},
        "runs": {name: {**common, **run} for name, run in runs.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for verb in ("fake", "ingest"):
        run_stage(verb, "tiny", repo=folder)
    return folder


def released(folder: Path, run: str, stages: tuple[str, ...] = STAGES) -> Path:
    """Runs every stage of a run; -> its release."""
    for verb in stages:
        run_stage(verb, run, repo=folder)
    return folder / "data/runs" / run / "release"


# a card of rows of features
WRISTBAND = """\
title: Features of a wristband
modality: physio
license: CC0-1.0
label_map: {calm: calm, tense: stress}
files:
  layout: table
  tables: features.csv
  columns: {label: condition, path: window}
  path_pattern: '(?P<subject>s\\d+)/(?P<take>\\d+)'
  extra: [take]
  vector: ["eda_*", hr]
"""

"""Conditions are honoured: judges that saw real data alone name the class that was asked for (demo corpora)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.conditions import SHARE, measure
from flows.stages.run import run_stage


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("run", ["demo_speech", "demo_faces"])
def test_the_demo_generators_make_what_they_are_asked_for(
    run: str, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    params = yaml.safe_load((repo / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    for verb in ("fake", "ingest", "plan", "prepare"):
        run_stage(verb, run, repo=tmp_path)
    given = params["runs"][run]["generator"]
    options = (given["name"], given["steps"], given["params"], 40, 1)
    true = measure(tmp_path, run, *options, shuffle=False)
    shuffled = measure(tmp_path, run, *options, shuffle=True)
    recall = np.array([v for v, _, _ in true["recall"].values()])
    real = np.array([v for v, _ in true["real"].values()])
    chance = np.array([high for _, _, high in shuffled["recall"].values()])
    # over the classes; which single class falls short is in docs/conditions.md
    assert recall.mean() > chance.mean(), "better than the same generator on shuffled labels"
    if run == "demo_speech":
        assert recall.mean() >= SHARE * real.mean()

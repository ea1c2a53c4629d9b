"""Physiology from windows of several rates to a release: synthetic rows are told of and built as real ones are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpora.errors import ParamsError
from corpora.formats.jsonfile import read_json
from corpora.signals import decode_signals
from corpora.store.release import open_release
from flows.stages.augment import sampler
from flows.stages.augment.batches import Form, Stored
from flows.stages.run import run_stage
from tests.flows.made_of import GENERATORS, ingested, released
from validators.gate import Batch

ROWS = {"representation": {"name": "rows", "rate_hz": 8}, "prepare": {"physio": {"windows": {"length_s": 8}}}}
UNEQUAL = {"representation": {"name": "rows", "rate_hz": 8, "seconds": 24}}
RUNS = {name: ROWS | {"generator": generator} for name, generator in GENERATORS.items()}
RUNS["unequal"] = UNEQUAL | {"generator": GENERATORS["cvae"]}
RUNS["whole"] = {"representation": {"name": "rows"}, "generator": GENERATORS["cvae"]}
RUNS["scaled"] = {
    "representation": {"name": "rows", "seconds": 24},
    "prepare": {"physio": {"population": {}}},
    "generator": GENERATORS["cvae"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = pytest.MonkeyPatch()
    patch.setenv("EMOFORGE_ACTORS", "0")
    with patch.context():
        return ingested(tmp_path_factory.mktemp("signals"), "physio", RUNS)


slow = pytest.mark.slow


@pytest.mark.parametrize(
    "run",
    ["cvae", *(pytest.param(name, marks=slow) for name in ("transfer", "cgan", "diffusion", "unequal"))],
)
def test_synthetic_rows_are_as_real_ones(run: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    seen: list[Batch] = []
    real_batch = sampler.batch_of

    def remembered(stored: Stored, form: Form) -> Batch:
        seen.append(real_batch(stored, form))
        return seen[-1]

    monkeypatch.setattr(sampler, "batch_of", remembered)
    release = open_release(released(folder, run))
    release.verify()
    real, synthetic = (list(release.samples("train", synthetic=s)) for s in (False, True))
    assert len(synthetic) >= 4
    if run != "unequal":
        for name in ("codec", "duration_s", "signals"):
            assert {repr(row[name]) for row in synthetic} == {repr(row[name]) for row in real}, name
    for row in synthetic:
        assert [(s["name"], s["unit"], s["rate_hz"]) for s in row["signals"]] == [
            (s["name"], s["unit"], s["rate_hz"]) for s in real[0]["signals"]
        ]
        arrays = decode_signals(row["payload"])
        assert {name: list(array.shape) for name, array in arrays.items()} == {
            s["name"]: s["shape"] for s in row["signals"]
        }
        assert all(len(arrays[s["name"]]) == round(row["duration_s"] * s["rate_hz"]) for s in row["signals"])
    low, high = (np.quantile([decode_signals(r["payload"])["TEMP"].mean() for r in real], q) for q in (0.0, 1.0))
    assert all(low - 3 < decode_signals(row["payload"])["TEMP"].mean() < high + 3 for row in synthetic)
    # gates saw candidates at the rate of the representation, every channel of them
    assert all(batch.rate_hz == 8.0 and set(batch.errors) == {None} for batch in seen)
    assert {signal.shape[1] for batch in seen for signal in batch.signals} == {7}
    whole = read_json(folder / "data/runs" / run / "plan/prepare.json")["params"]["representation"]
    assert [s["name"] for s in whole["signals"]] == ["ACC", "BVP", "EDA", "HR", "TEMP"]
    assert whole["mask"] is (run == "unequal")


def test_what_cannot_be_settled_is_said_when_the_run_is_planned(folder: Path) -> None:
    with pytest.raises(
        ParamsError, match=r"runs.whole.representation: .*seconds is not given.*longest sample has 20 s"
    ):
        run_stage("plan", "whole", repo=folder)
    with pytest.raises(ParamsError, match=r"runs.scaled.*population"):
        run_stage("plan", "scaled", repo=folder)

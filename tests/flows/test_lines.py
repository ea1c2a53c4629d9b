"""Texts as a modality of a run: from a corpus to a release that holds synthetic lines beside real ones."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from corpora.formats.jsonfile import read_json
from corpora.store.release import open_release
from flows.artifacts.prepared import Prepared
from generators.language.lines import lines_of, same_line
from tests.flows.made_of import LENIENT, LINES, ingested, released

RUNS: dict[str, Any] = {
    name: {"representation": {"name": "utf8"}, "generator": generator} for name, generator in LINES.items()
}
RUNS["small_lm"] = {
    "representation": {"name": "utf8", "max_bytes": 110},
    "generator": LINES["small_lm"] | {"early_stop": {"every": 20, "patience": 2, "share": 0.2}},
    "gates": LENIENT | {"text": {"limit": {"absolute": 1000.0}}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = pytest.MonkeyPatch()
    patch.setenv("EMOFORGE_ACTORS", "0")
    with patch.context():
        return ingested(tmp_path_factory.mktemp("lines"), "text", RUNS)


@pytest.mark.parametrize(
    "run", ["small_lm", *(pytest.param(name, marks=pytest.mark.slow) for name in LINES if name != "small_lm")]
)
def test_synthetic_lines_stand_beside_real_ones(run: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    release = open_release(released(folder, run))
    release.verify()
    assert release.requests() is None, "nobody was asked for them"
    real, synthetic = (list(release.samples("train", synthetic=s)) for s in (False, True))
    assert len(synthetic) >= 2
    for row in (*real, *synthetic):
        text = row["payload"].decode("utf-8")
        assert (row["codec"], row["modality"], row["duration_s"]) == ("txt", "text", None)
        assert [(s["name"], s["unit"], s["shape"]) for s in row["signals"]] == [("text", "character", [len(text)])]
    known = {same_line(row["payload"].decode("utf-8")) for row in real}
    assert not known & {same_line(row["payload"].decode("utf-8")) for row in synthetic}, "no line of train again"
    place = folder / "data/runs" / run
    scores = pq.read_table(place / "augmented/scores.parquet").to_pylist()
    assert {"agreement", "copies", "support", "validity"} <= {s["gate"] for s in scores}
    assert {v["gate"] for v in pq.read_table(release.path / "verdicts.parquet").to_pylist()} >= {"kid", "vendi"}
    if run != "small_lm":
        assert all(row["source_ids"] for row in synthetic)
        return
    assert "text" in {s["gate"] for s in scores}, "the gate that reads the order of words"
    prepared = Prepared.open(place / "prepared")
    arrays = np.asarray(prepared.arrays())
    assert arrays.shape[1:] == (110,) and all(lines_of(arrays))
    with (place / "fit/loss.csv").open(encoding="utf-8") as file:
        monitored = [float(r["monitor"]) for r in csv.DictReader(file) if r["monitor"]]
    assert len(monitored) == 3 and monitored[-1] < monitored[0], "nats a piece of the lines that are held out fall"
    assert read_json(place / "fit/fit.json")["n_held_out"] > 0

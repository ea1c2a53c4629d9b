"""`emoforge labels` on a prepared run: the list, the CSV, the page; nothing is dropped."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import ParamsError, UserError
from emoforge.doubting import show_doubts
from flows.artifacts.prepared import Prepared
from tests.flows.stages.report.test_report import Tags, loaded_from


@pytest.fixture(params=["speech", "faces"])
def prepared(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tiny_params: Callable[[str], dict[str, Any]],
    project: Callable[[Path, dict[str, Any]], Path],
    run_all: Callable[..., None],
) -> Path:
    folder = project(tmp_path / "p", tiny_params(request.param))
    run_all(folder, stages=("fake", "ingest", "plan", "prepare"))
    return folder


def test_the_list_the_table_and_the_page(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"csv": tmp_path / "d.csv", "html": tmp_path / "d.html"}
    index = Prepared.open(prepared / "data/runs/tiny/prepared").index()
    show_doubts("tiny", prepared, **files, judge="linear+forest", seed=0, as_json=True)
    found = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader(files["csv"].open(encoding="utf-8")))
    assert {row["sample_id"] for row in rows} == set(index["sample_id"].to_pylist()), "every sample of every split"
    assert [row["sample_id"] for row in rows] == [row["sample_id"] for row in found["labels"]]
    assert {row["split"] for row in rows} == {"train", "dev", "test"}
    given = dict(zip(index["sample_id"].to_pylist(), index["emotion"].to_pylist(), strict=True))
    assert all(row["given"] == given[row["sample_id"]] for row in rows)
    content = files["html"].read_text(encoding="utf-8")
    tags = Tags(content)
    assert not tags.open and all(one.startswith("data:") for one in loaded_from(content))
    assert content.count("<figure") == min(100, len(rows)) and len(content) < 15_000_000
    with pytest.raises(ParamsError, match="unknown judge 'lineer'"):
        show_doubts("tiny", prepared, csv=None, html=None, judge="lineer", seed=0, as_json=False)
    show_doubts("tiny", prepared, csv=None, html=None, judge="linear+forest", seed=0, as_json=False)
    text = capsys.readouterr().out
    assert f"of {len(rows)} labels look wrong" in " ".join(text.split()) and "Nothing was dropped." in text


def test_a_run_that_is_not_prepared_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="emoforge run tiny"):
        show_doubts("tiny", tmp_path, csv=None, html=None, judge="linear+forest", seed=0, as_json=False)

"""`study-refresh`: every study is brought up to date, what failed is named, and what is new is sent to people."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

import flows.conduct.studies as studies
import flows.nightly.flows as nightly
from corpora.errors import GateError, UnknownNameError
from flows.conduct.pipeline import RunsFailedError

PARAMS = """
corpora: {voices: {reader: ravdess}}
studies:
  first: &asks {corpora: [voices], features: {name: functionals}}
  second: *asks
  third: *asks
"""


@pytest.fixture
def notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A project with three studies, without a server; -> what would be sent."""
    (tmp_path / "params.yaml").write_text(PARAMS)
    for name in ("first", "second", "third"):
        result = tmp_path / "data" / "studies" / name / "result"
        result.mkdir(parents=True)
        verdicts = [{"sentence": f"{name}: weights win", "outcome": "win"}]
        (result / "summary.json").write_text(json.dumps({"verdicts": verdicts}))
    sent: list[str] = []
    monkeypatch.setattr(nightly, "_alive", lambda home: contextlib.nullcontext())
    monkeypatch.setattr(nightly, "get_run_logger", lambda: logging.getLogger("test"))
    monkeypatch.setattr(nightly, "notify", lambda home, subject, body, warn: sent.append(body))
    return sent


def refreshed(monkeypatch: pytest.MonkeyPatch, stale: set[str], broken: set[str]) -> list[str]:
    """Studies that are `stale` have stages to run, those that are `broken` raise; -> those that were asked about."""
    asked: list[str] = []

    def bring(name: str, repo: Path, on_line: Callable[[str], None]) -> list[str]:
        asked.append(name)
        if name in broken:
            raise GateError(f"{name} is broken")
        return [f"study@{name}"] if name in stale else []

    monkeypatch.setattr(studies, "bring_study_up_to_date", bring)
    return asked


def test_what_is_new_is_sent_and_what_is_not_is_not(
    notices: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refreshed(monkeypatch, {"second"}, set())
    state = nightly.study_refresh.fn(repo=tmp_path)
    assert asked == ["first", "second", "third"]
    assert state.message == "second: second: weights win" and notices == [state.message]
    refreshed(monkeypatch, set(), set())
    assert nightly.study_refresh.fn(repo=tmp_path).message == "nothing new" and len(notices) == 1


def test_a_study_that_fails_keeps_no_other(notices: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = refreshed(monkeypatch, {"third"}, {"first"})
    with pytest.raises(GateError, match="first is broken"):
        nightly.study_refresh.fn(repo=tmp_path)
    assert asked == ["first", "second", "third"] and notices == ["third: third: weights win"]
    refreshed(monkeypatch, set(), {"first", "third"})
    with pytest.raises(RunsFailedError, match=r"first is broken(.|\n)*third is broken"):
        nightly.study_refresh.fn(repo=tmp_path)


def test_an_unknown_study_is_refused_before_any_is_run(
    notices: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refreshed(monkeypatch, {"first"}, set())
    with pytest.raises(UnknownNameError, match="fourth"):
        nightly.study_refresh.fn(["first", "fourth"], repo=tmp_path)
    assert not asked and not notices

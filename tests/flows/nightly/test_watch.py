"""A corpus is looked at cheaply, asked about where that says so, and taken for changed where its bytes are."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import flows.nightly.watch as watch
from corpora.errors import UnknownNameError
from flows.nightly.watch import keep, look, runs_of, watched
from flows.params import load_params


class Asked:
    """Stands where DVC is asked; counts how often."""

    def __init__(self) -> None:
        self.n = 0
        self.why: list[str] = []

    def __call__(self, stages: list[str], *, repo: Path) -> dict[str, list[str]]:
        self.n += 1
        return {stages[0]: self.why} if self.why else {}


@pytest.fixture
def dvc(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(watch, "reasons", asked)
    return asked


@pytest.fixture
def project(tmp_path: Path) -> Path:
    elsewhere = tmp_path / "disk" / "corpus"
    (elsewhere / "actor").mkdir(parents=True)
    (elsewhere / "actor" / "a.wav").write_bytes(b"1")
    (tmp_path / "p" / "data" / "raw").mkdir(parents=True)
    (tmp_path / "p" / "data" / "raw" / "lab").symlink_to(elsewhere)
    (elsewhere / "gone").symlink_to("nowhere")
    return tmp_path / "p"


def test_bytes_are_asked_about_only_where_names_sizes_or_times_differ(project: Path, dvc: Asked) -> None:
    file = project / "data" / "raw" / "lab" / "actor" / "a.wav"
    assert look("lab", project, settled_s=0).state == "as before" and dvc.n == 1, "never looked at: DVC knows"
    assert look("lab", project, settled_s=0).state == "as before" and dvc.n == 1, "nothing differs: DVC is not asked"
    os.utime(file, (1, 1))
    assert look("lab", project, settled_s=0).state == "as before" and dvc.n == 2, "touched: DVC says no"
    assert look("lab", project, settled_s=0).state == "as before" and dvc.n == 2

    dvc.why = ["input data/raw/lab is modified"]
    file.write_bytes(b"12")
    seen = look("lab", project, settled_s=0)
    assert seen.state == "changed" and seen.why == tuple(dvc.why)
    assert look("lab", project, settled_s=0).state == "changed", "until it was taken in"
    keep(seen, project)
    n = dvc.n
    assert look("lab", project, settled_s=0).state == "as before" and dvc.n == n
    (file.parent / "b.wav").write_bytes(b"1")
    assert look("lab", project, settled_s=0).state == "changed"
    (file.parent / "b.wav").unlink()
    assert look("lab", project, settled_s=0).state == "as before", "as it was when it was taken in"


def test_what_may_still_be_copied_is_left_for_the_next_look(project: Path, dvc: Asked) -> None:
    assert look("lab", project, settled_s=600).state == "changing" and dvc.n == 0
    old = time.time() - 700
    os.utime(project / "data" / "raw" / "lab" / "actor" / "a.wav", (old, old))
    assert look("lab", project, settled_s=600).state == "as before" and dvc.n == 1


def test_a_corpus_whose_disk_is_not_there(project: Path, dvc: Asked) -> None:
    assert look("other", project).state == "not there" and dvc.n == 0
    (project / "data" / "raw" / "lab").unlink()
    assert look("lab", project).state == "not there"


def test_which_corpora_and_runs(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(
        "demo: {fake: {reader: ravdess, per_class: {fear: 2}}}\n"
        "corpora: {fake: {reader: ravdess}, a: {reader: ravdess}, b: {reader: ravdess}}\n"
        "runs:\n  one: {corpora: [a, b]}\n  two: {corpora: [fake]}\n  three: {corpora: [b]}\n"
    )
    params = load_params(tmp_path / "params.yaml")
    assert watched(params, None) == ["a", "b"] and watched(params, ["fake"]) == ["fake"]
    with pytest.raises(UnknownNameError, match="corpus 'c'"):
        watched(params, ["c"])
    assert runs_of(params, ["b"]) == ["one", "three"] and runs_of(params, []) == []

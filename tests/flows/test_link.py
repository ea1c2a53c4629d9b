"""Linking: all of it or nothing, and params.yaml keeps what its owner wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpora.errors import CorpusError, UnknownNameError, UserError
from corpora.readers import make_corpus
from flows.link import link
from flows.params import load_params
from tests.toy import PARAMS


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("Größe of voices") / "RAVDESS copy"
    make_corpus("ravdess").fake(folder, subjects=2, per_class={"anger": 2, "fear": 2}, seed=1)
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    make_corpus("fer2013").fake(folder, subjects=0, per_class={"anger": 2, "fear": 2}, seed=1)
    return folder


def test_link_adds_corpus_and_run_and_keeps_comments(repo: Path, voices: Path) -> None:
    made = link("ravdess", voices, repo=repo)
    assert (made.reader, made.run) == ("ravdess", "ravdess")
    assert (repo / "data/raw/ravdess").is_symlink() and (repo / "data/raw/ravdess").resolve() == voices.resolve()
    text = (repo / "params.yaml").read_text(encoding="utf-8")
    assert all(line in text for line in PARAMS.splitlines())
    params = load_params(repo / "params.yaml")
    assert params.corpora["ravdess"].reader == "ravdess"
    assert params.run("ravdess").corpora == ["ravdess"] and params.run("ravdess").representation.name == "world"


def test_the_reader_is_found_by_its_layout(repo: Path, faces: Path) -> None:
    assert link("lab", faces, repo=repo).reader == "fer2013"
    assert load_params(repo / "params.yaml").run("lab").representation.name == "pixels"


def test_a_corpus_that_params_know_is_only_linked(repo: Path, voices: Path) -> None:
    link("ravdess", voices, repo=repo)
    (repo / "data/raw/ravdess").unlink()
    before = (repo / "params.yaml").read_bytes()
    assert link("ravdess", voices, repo=repo).run is None
    assert (repo / "params.yaml").read_bytes() == before
    (repo / "data/raw/ravdess").unlink()
    with pytest.raises(UserError, match="with reader 'ravdess', not 'emodb'"):
        link("ravdess", voices, repo=repo, reader="emodb")


@pytest.mark.parametrize(
    ("name", "reader", "says"),
    [
        ("Bad-Name", None, "small letters"),
        ("toy", None, "demo corpus"),
        ("fer2013", None, "fer2013"),
        ("lab", "ravdes", "Did you mean 'ravdess'"),
    ],
)
def test_bad_input_changes_nothing(repo: Path, voices: Path, name: str, reader: str | None, says: str) -> None:
    with pytest.raises(UserError, match=says):
        link(name, voices, repo=repo, reader=reader)
    assert (repo / "params.yaml").read_text(encoding="utf-8") == PARAMS
    assert not (repo / "data").exists()


def test_folders_that_are_not_there_empty_or_other(repo: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="does not exist"):
        link("lab", tmp_path / "nowhere", repo=repo)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="no reader finds its layout"):
        link("lab", tmp_path / "empty", repo=repo)
    (tmp_path / "file").write_text("x")
    with pytest.raises(CorpusError, match="is a file"):
        link("ravdess", tmp_path / "file", repo=repo)
    with pytest.raises(CorpusError):
        link("ravdess", tmp_path / "empty", repo=repo)
    assert not (repo / "data").exists()


def test_a_name_is_linked_once(repo: Path, voices: Path, faces: Path) -> None:
    link("ravdess", voices, repo=repo)
    with pytest.raises(UserError, match="already there"):
        link("ravdess", faces, repo=repo, reader="fer2013")
    assert (repo / "data/raw/ravdess").resolve() == voices.resolve()


def test_unknown_readers_are_named(repo: Path, voices: Path) -> None:
    with pytest.raises(UnknownNameError, match="ravdess"):
        link("lab", voices, repo=repo, reader="nobody")

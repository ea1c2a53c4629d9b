"""Linking: all of it or nothing, and params.yaml keeps what its owner wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from corpora.atomic import write_bytes
from corpora.codecs import encode_wav
from corpora.errors import CorpusError, ParamsError, UnknownNameError, UserError
from corpora.fingerprint import hash_bytes
from corpora.readers import make_corpus
from flows.link import link
from flows.params import CARDS, load_params
from flows.stages import run_stage
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


# -- cards of the user's own

CARD = """\
# what the lab recorded
title: Lab voices
modality: speech
license: CC0-1.0
label_map: {glad: happiness, cross: anger}
files: {layout: folder, pattern: '(?P<subject>[a-z]+)_(?P<label>[a-z]+)_\\d\\.wav', example: ann_glad_1.wav}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    tone = encode_wav(np.sin(np.arange(8000) / 9).astype(np.float32), 16000)
    for name in ("ann_glad_1", "ann_cross_2", "bob_glad_3", "cy_cross_4"):
        write_bytes(tmp_path / "lab" / f"{name}.wav", tone)
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "my.yaml").write_text(CARD, encoding="utf-8")
    return tmp_path / "lab"


def test_a_card_is_copied_and_read_from_there(repo: Path, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab.parent)
    made = link("lab", lab, repo=repo, reader="cards/my.yaml")
    assert (made.reader, made.license, made.run) == ("data/cards/lab.yaml", "CC0-1.0", "lab")
    assert (repo / "data/cards/lab.yaml").read_text(encoding="utf-8") == CARD
    assert load_params(repo / "params.yaml").corpora["lab"].reader == "data/cards/lab.yaml"
    run_stage("ingest", "lab", repo=repo)
    told = json.loads((repo / "data/corpora/lab/card.json").read_text(encoding="utf-8"))
    assert told["card_sha256"] == hash_bytes(CARD.encode()) and told["card"]["title"] == "Lab voices"
    assert pq.read_table(repo / "data/corpora/lab/index.parquet").num_rows == 4
    before = json.loads((repo / "data/corpora/lab/manifest.json").read_text(encoding="utf-8"))["content_hash"]
    (repo / "data/cards/lab.yaml").write_text(CARD.replace("cross: anger", "cross: null"), encoding="utf-8")
    run_stage("ingest", "lab", repo=repo)
    assert json.loads((repo / "data/corpora/lab/manifest.json").read_text())["content_hash"] != before
    assert pq.read_table(repo / "data/corpora/lab/index.parquet")["emotion"].null_count == 2
    (repo / "data/raw/lab").unlink()
    assert link("lab", lab, repo=repo).reader == "data/cards/lab.yaml"  # from then on without --reader


def test_a_card_that_fits_nothing_leaves_nothing(repo: Path, lab: Path, voices: Path) -> None:
    card = lab.parent / "cards" / "my.yaml"
    with pytest.raises(CorpusError, match=r"named like ann_glad_1\.wav"):
        link("lab", voices, repo=repo, reader=str(card))
    with pytest.raises(CorpusError, match=r"card no\.yaml is not a file"):
        link("lab", lab, repo=repo, reader="no.yaml")
    with pytest.raises(UserError, match="what a card describes"):
        link("lab", lab, repo=repo, reader="folder")
    assert (repo / "params.yaml").read_text(encoding="utf-8") == PARAMS and not (repo / "data").exists()
    write_bytes(repo / "data/cards/lab.yaml", b"title: another")
    with pytest.raises(UserError, match="already there and differs"):
        link("lab", lab, repo=repo, reader=str(card))
    assert (repo / "params.yaml").read_text(encoding="utf-8") == PARAMS and not (repo / "data/raw/lab").is_symlink()


@pytest.mark.parametrize("reader", ["cards/my.yaml", "data/cards/../my.yaml", "/etc/my.yaml", "data/cards/a/b.yaml"])
def test_params_name_cards_where_dvc_sees_them(repo: Path, reader: str) -> None:
    for entry in (f"{{reader: {reader}}}", f"{{reader: table, options: {{card: {reader}}}}}"):
        (repo / "params.yaml").write_text(PARAMS.replace("corpora:", f"corpora:\n  lab: {entry}", 1), encoding="utf-8")
        with pytest.raises(ParamsError, match=r"data/cards/NAME\.yaml"):
            load_params(repo / "params.yaml")


def test_ingest_depends_on_cards() -> None:
    stages = YAML(typ="safe").load((Path(__file__).parents[2] / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {str(CARDS), "corpora"} <= set(stages["ingest"]["do"]["deps"])
    assert (Path(__file__).parents[2] / str(CARDS)).is_dir()


def test_only_readers_of_what_is_there_are_tried(repo: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def spied(name: str, *args: Any, **more: Any) -> Any:
        corpus = make_corpus(name, *args, **more)
        real = corpus.read
        monkeypatch.setattr(corpus, "read", lambda *a: tried.append(corpus.card.modality) or real(*a), raising=False)
        return corpus

    monkeypatch.setattr("flows.link.make_corpus", spied)
    assert link("lab", faces, repo=repo).reader == "fer2013"
    assert "speech" not in tried and "face" in tried


def test_a_folder_is_walked_once_for_all_readers(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpora.readers import files

    real, walks = files._walk, []
    monkeypatch.setattr(files, "_walk", lambda root: walks.append(root) or real(root))
    write_bytes(tmp_path / "unknown" / "a.wav", b"RIFF")
    with pytest.raises(CorpusError, match="no reader finds its layout"):
        link("lab", tmp_path / "unknown", repo=repo)
    assert walks == [tmp_path / "unknown"]

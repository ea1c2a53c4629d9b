"""Linking: all of it or nothing, and params.yaml keeps what its owner wrote."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from corpora.codecs import encode_wav
from corpora.errors import CorpusError, ParamsError, UnknownNameError, UserError
from corpora.fingerprint import hash_bytes
from corpora.readers import make_corpus
from corpora.store.atomic import write_bytes
from emoforge.cli import app
from flows.conduct.link import link
from flows.params import CARDS, load_params
from flows.stages.run import run_stage
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
    assert params.run("ravdess").corpora == ["ravdess"] and params.run("ravdess").representation.name == "differential"


def test_signals_of_several_rates_get_one_so_that_the_run_can_be_planned(repo: Path, tmp_path: Path) -> None:
    make_corpus("wesad").fake(tmp_path / "w", subjects=6, per_class={"neutral": 6, "stress": 6, "amusement": 6}, seed=1)
    linked = link("wesad", tmp_path / "w", repo=repo)
    assert "are brought to 64 Hz" in linked.because
    run = load_params(repo / "params.yaml").run("wesad")
    assert run.prepare.physio is not None and run.prepare.physio.resample.all_hz == 64
    for verb in ("reader", "ingest", "plan"):  # which refuses signals that gates cannot put into one array
        run_stage(verb, "wesad", repo=repo)


def test_the_reader_is_found_by_its_layout(repo: Path, faces: Path) -> None:
    assert link("lab", faces, repo=repo).reader == "fer2013"
    assert load_params(repo / "params.yaml").run("lab").representation.name == "oriented_energy"


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
    with pytest.raises(UnknownNameError, match="Did you mean 'ravdess'"):
        link("lab", voices, repo=repo, reader="ravdes")
    with pytest.raises(UnknownNameError, match=r"'nobody'\. Known, nearest of [0-9]+: "):
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


def test_what_reading_depends_on_is_seen_by_dvc() -> None:
    stages = YAML(typ="safe").load((Path(__file__).parents[3] / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {str(CARDS), "corpora", "flows", "validators"} <= set(stages["reader"]["do"]["deps"])
    assert stages["reader"]["do"]["outs"] == ["data/readers/${key}.json"]
    assert set(stages["ingest"]["do"]["deps"]) == {"data/raw/${key}", "data/readers/${key}.json"}
    assert (Path(__file__).parents[3] / str(CARDS)).is_dir()


def test_only_readers_of_what_is_there_are_tried(repo: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def spied(name: str, *args: Any, **more: Any) -> Any:
        corpus = make_corpus(name, *args, **more)
        real = corpus.read
        monkeypatch.setattr(corpus, "read", lambda *a: tried.append(corpus.card.modality) or real(*a), raising=False)
        return corpus

    monkeypatch.setattr("flows.conduct.link.make_corpus", spied)
    assert link("lab", faces, repo=repo).reader == "fer2013"
    assert "speech" not in tried and "face" in tried


def test_a_folder_is_walked_once_for_all_readers(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpora.records import files

    real, walks = files._walk, []
    monkeypatch.setattr(files, "_walk", lambda root: walks.append(root) or real(root))
    write_bytes(tmp_path / "unknown" / "a.wav", b"RIFF")
    with pytest.raises(CorpusError, match="no reader finds its layout"):
        link("lab", tmp_path / "unknown", repo=repo)
    assert walks == [tmp_path / "unknown"]


def archive_of(folder: Path, kind: str, place: Path) -> Path:
    return Path(shutil.make_archive(str(place), kind, folder))


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_is_unpacked_and_linked(repo: Path, voices: Path, tmp_path: Path, kind: str) -> None:
    archive = archive_of(voices, kind, tmp_path / "My voices (1)")
    made = link("lab", archive, repo=repo)
    assert (made.reader, made.archive) == ("ravdess", archive)
    assert made.target.parent == repo / ".emoforge/extracted" and made.target.name.startswith("lab-")
    assert (repo / "data/raw/lab").resolve() == made.target.resolve()
    there = {path.relative_to(voices) for path in voices.rglob("*.wav")}
    assert {path.relative_to(made.target) for path in made.target.rglob("*.wav")} == there
    assert load_params(repo / "params.yaml").corpora["lab"].reader == "ravdess"


def test_an_archive_is_unpacked_once_and_another_apart(repo: Path, voices: Path, tmp_path: Path) -> None:
    archive = archive_of(voices, "zip", tmp_path / "voices")
    first = link("lab", archive, repo=repo).target
    stamp = first.stat().st_mtime_ns
    (repo / "data/raw/lab").unlink()
    assert link("lab", archive, repo=repo).target == first and first.stat().st_mtime_ns == stamp
    (repo / "data/raw/lab").unlink()
    make_corpus("ravdess").fake(tmp_path / "other", subjects=2, per_class=1, seed=2)
    assert link("lab", archive_of(tmp_path / "other", "zip", tmp_path / "b"), repo=repo).target != first


def test_an_archive_that_is_refused_leaves_nothing(repo: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("03-01-05-01-01-01-01.wav", b"x")
        made.writestr("../../evil.wav", b"x")
    with pytest.raises(CorpusError, match=r"a\.zip: entry '\.\./\.\./evil\.wav' leads out of the folder"):
        link("lab", tmp_path / "a.zip", repo=repo)
    assert not (repo / "data").exists() and not list((repo / ".emoforge/extracted").iterdir())
    assert (repo / "params.yaml").read_text(encoding="utf-8") == PARAMS


def test_a_link_to_a_folder_that_is_gone_is_replaced(repo: Path, voices: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").symlink_to(voices)
    link("ravdess", tmp_path / "moved", repo=repo)
    (tmp_path / "moved").unlink()
    with pytest.raises(CorpusError, match="does not exist"):
        link("ravdess", tmp_path / "moved", repo=repo)
    assert (repo / "data/raw/ravdess").is_symlink()
    with pytest.raises(CorpusError, match=r"is a link to .*moved, which is not there"):
        make_corpus("ravdess").read(repo / "data/raw/ravdess", "ravdess")
    assert link("ravdess", voices, repo=repo).target == voices
    assert (repo / "data/raw/ravdess").resolve() == voices.resolve()


def test_a_folder_that_holds_itself_by_links_is_read_once(repo: Path, voices: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(voices, copy)
    for name in ("again", "and_again"):  # two of them: 2^40 ways before the system says stop
        (copy / name).symlink_to(copy)
        (next(copy.glob("Actor_*")) / name).symlink_to(copy)
    made = link("lab", copy, repo=repo)
    items = list(make_corpus("ravdess").read(made.target, "lab"))
    assert len(items) == len(list(voices.rglob("*.wav")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("reader", ["ravdess", "fer2013"])
def test_a_folder_that_cannot_be_read_is_named(repo: Path, voices: Path, tmp_path: Path, reader: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(voices, copy)
    closed = next(copy.glob("Actor_*"))
    closed.chmod(0)
    try:
        with pytest.raises(CorpusError, match=r"Actor_.* cannot be read \(Permission denied\)"):
            link("lab", copy, repo=repo)
    finally:
        closed.chmod(0o755)


@pytest.fixture
def project(repo: Path, voices: Path) -> Path:
    """A project that holds folders of its own, each with a readable corpus below it."""
    for name in ("data/corpora/x", "data/raw/x", "corpora/x", "docs/x", ".dvc/x", ".emoforge/store/x", "lab"):
        shutil.copytree(voices, repo / name)
    return repo


@pytest.mark.parametrize(
    "where",
    [
        ".",
        "..",
        "../..",
        "data",
        "data/raw",
        "data/raw/x",
        "data/corpora",
        "data/corpora/x",
        "corpora",
        "corpora/x",
        "docs/x",
        ".dvc/x",
        ".emoforge/store/x",
        "lab/..",
        "lab/../data/raw/x",
        "/",
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_the_project_is_no_corpus(project: Path, tmp_path: Path, where: str, linked: bool) -> None:
    path = project / where
    if linked:
        (tmp_path / "elsewhere").mkdir()
        path = tmp_path / "elsewhere" / "link"
        path.symlink_to(project / where)
    with pytest.raises(UserError, match="this project"):
        link("ravdess", path, repo=project)
    assert (project / "params.yaml").read_text(encoding="utf-8") == PARAMS
    assert not (project / "data/raw/ravdess").is_symlink()


def test_an_archive_of_the_project_is_none_either(project: Path, voices: Path) -> None:
    archive = archive_of(voices, "zip", project / "data" / "voices")
    with pytest.raises(UserError, match="this project"):
        link("ravdess", archive, repo=project)


def test_a_folder_beside_the_project_is_one_however_it_is_named(
    project: Path, voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = project.parent / "corpora of mine"
    shutil.copytree(voices, beside)
    monkeypatch.chdir(project)
    link("ravdess", Path("../corpora of mine"), repo=project)
    assert (project / "data/raw/ravdess").readlink() == beside
    monkeypatch.chdir(next(beside.iterdir()))
    link("again", Path(".."), repo=project)
    assert (project / "data/raw/again").readlink() == beside
    with pytest.raises(UserError, match="is this project, or holds it"):
        monkeypatch.chdir(project)
        link("whole", Path(".."), repo=project)


def test_another_folder_in_the_project_is_one(project: Path) -> None:
    assert link("ravdess", project / "lab", repo=project).reader == "ravdess"


# -- labels that the card lacks


def test_labels_that_the_card_lacks_are_told_with_the_nearest(
    repo: Path, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tone = (lab / "ann_glad_1.wav").read_bytes()
    for name in ("bob_GLAD_4", "bob_GLAD_5", "cy_puzzled_6"):
        write_bytes(lab / f"{name}.wav", tone)
    card = CARD.replace("(?P<label>[a-z]+)", "(?P<label>[A-Za-z]+)")
    (lab.parent / "cards" / "my.yaml").write_text(card, encoding="utf-8")
    (repo / "dvc.yaml").touch()
    monkeypatch.chdir(repo)
    done = CliRunner().invoke(app, ["link", "lab", str(lab), "--reader", str(lab.parent / "cards" / "my.yaml")])
    assert done.exception is None, done.exception
    told = " ".join(done.stdout.split())
    assert "of 7 files or rows looked at: 'GLAD' 2 (nearest: 'glad'), 'puzzled' 1." in told
    assert "data/cards/lab.yaml (label_map; null" in told
    with pytest.raises(CorpusError, match=r"'GLAD' \(2 of 4 samples of happiness would be lost; did you mean 'glad'"):
        run_stage("ingest", "lab", repo=repo)
    text = (repo / "params.yaml").read_text(encoding="utf-8")
    more = "reader: data/cards/lab.yaml, on_unknown_label: reject, max_reject_share: 0.5}"
    (repo / "params.yaml").write_text(text.replace("reader: data/cards/lab.yaml}", more), encoding="utf-8")
    run_stage("ingest", "lab", repo=repo)
    card_told = json.loads((repo / "data/corpora/lab/card.json").read_text(encoding="utf-8"))
    assert [one["label"] for one in card_told["unknown_labels"]] == ["GLAD", "puzzled"]


def test_the_look_at_labels_is_short(repo: Path, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.conduct.link.LOOK_S", -1.0)
    made = link("lab", lab, repo=repo, reader=str(lab.parent / "cards" / "my.yaml"))
    assert made.looked_at == 1 and made.unknown == ()


def test_a_card_whose_labels_are_all_other_names_the_nearest(repo: Path, lab: Path) -> None:
    card = CARD.replace("{glad: happiness, cross: anger}", "{GLAD: happiness, crosss: anger}")
    (lab.parent / "cards" / "my.yaml").write_text(card, encoding="utf-8")
    with pytest.raises(CorpusError, match=r"Found: cross, glad\. .* Nearest: cross \(crosss\), glad \(GLAD\)\."):
        link("lab", lab, repo=repo, reader=str(lab.parent / "cards" / "my.yaml"))

"""Names of every kind become ids that are valid, apart from each other, and the same on every machine."""

from __future__ import annotations

import json
import os
import re
import tarfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest

from corpora.codecs import encode_wav
from corpora.errors import CorpusError, PayloadError
from corpora.readers import make_corpus
from corpora.readers.described.corpus import Described
from corpora.records.files import absence, corpus_files, read_items, text_sample, walk
from corpora.records.ids import MAX_ID, valid_id
from corpora.schema import Reject, Sample
from corpora.store.shards import write_shards
from validators.tables import sample_expectations

CHECKS = [options for _, options in sample_expectations("speech") if options.get("column") == "sample_id"]
GX = re.compile(next(str(options["regex"]) for options in CHECKS if "regex" in options))
AWKWARD = [
    "my file (1)",
    "my%20file (1)",
    "tab\there",
    "line\nbreak",
    "größe",
    "怒り/声 1",
    "🙂",
    "a\u00a0b",
    "a\u200bb",
    "\ufeffa",
    "nul\0",
    "\x1b[31mred",
    "../up",
    "a/../b",
    "./a",
    "/etc/passwd",
    "a//b",
    "a/",
    "..",
    ".",
    "...",
    "Case",
    "case",
    "CASE",
    "n" * 300,
    "n" * 301,
    "ö" * 150,
    "\ud800",
    "a\\b",
    "100%",
    "con",
    "-rf",
    "'; drop",
    "#w0001",
]


def sample(native: str, **fields: object) -> Sample:
    return text_sample(make_corpus("isear").card, "mine", native, "some text", **fields)


def test_nearly_all_ids_stay_as_they_are() -> None:
    for native in ("03-01-05-01-01-01-01", "dia12_utt3", "session1/5_1/01", "ses01_f00.wav", "a.b/c..d", "x" * MAX_ID):
        assert valid_id(native) == native
    assert valid_id("my file (1)") == "my%20file%20(1)"
    assert valid_id("größe") == "größe"


def test_awkward_ids_are_valid_and_stay_apart() -> None:
    made = [sample(native).sample_id for native in AWKWARD]
    assert len(set(made)) == len(AWKWARD)
    for sample_id in made:
        assert GX.fullmatch(sample_id), sample_id
        assert len(sample_id.encode()) <= MAX_ID + len("mine/")
        assert not {"", ".", ".."} & set(sample_id.split("/")), sample_id
        assert all(unicodedata.category(letter)[0] not in "CZ" or letter == "🙂" for letter in sample_id), sample_id
    assert made == [sample(native).sample_id for native in AWKWARD]


def test_two_spellings_of_one_name_are_one_id() -> None:
    assert valid_id("gro\u0308ße") == valid_id("größe")
    names = [("a", "gro\u0308ße"), ("b", "größe")]
    found = list(read_items(names, "mine", lambda _, name: sample(name)))
    assert [item.reason for item in found if isinstance(item, Reject)] == ["repeated-name"]


def test_an_id_of_nothing_and_text_that_is_none_are_rejects() -> None:
    with pytest.raises(PayloadError, match="bad-name"):
        sample("")
    for fields in (
        {"subject": "\ud800"},
        {"sentence_id": "\ud800"},
        {"extra": {"path": "\udfff"}},
        {"emotion_raw": "\ud83d"},
        {"labels": [{"scheme": "x", "label": "\ud800", "weight": 1.0}]},
    ):
        with pytest.raises(PayloadError, match="not-utf8"):
            sample("a", **fields)
    assert sample("a", subject="Søren 🙂").subject_id == "mine:Søren 🙂"


def shards(folder: Path, samples: Sequence[Sample]) -> list[str]:
    """Names of all files and members, after a look that they are plain and that no two differ in case only."""
    table = write_shards(samples, folder, 7, "shards/mine")
    assert sorted(table["sample_id"].to_pylist()) == sorted(s.sample_id for s in samples)
    names: list[str] = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_dir():
            continue
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            for member in members:
                if member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None and json.load(file)["sample_id"].startswith("mine/")
        names += [relative, *(member.name for member in members)]
    assert all(re.fullmatch(r"shards/mine-\d{5}\.tar|[0-9a-f]{16}\.(txt|wav|json)", name) for name in names)
    assert len({name.casefold() for name in names}) == len(names)
    return names


def test_names_in_shards_collide_on_no_file_system(tmp_path: Path) -> None:
    samples = [sample(native, subject=native.encode("utf-8", "replace").decode()) for native in AWKWARD]
    names = shards(tmp_path / "a", samples)
    assert len(names) > 2 * len(AWKWARD)
    upper = [sample(f"{letter}/{number}", subject=letter) for letter in "aAbB" for number in range(5)]
    shards(tmp_path / "b", upper)


CARD = """
name: lab
title: Lab
modality: speech
version: "1"
license: CC-BY-4.0
may_redistribute: true
url: https://example.org
bibtex: "@misc{{lab}}"
language: en
split_unit: payload
label_map: {{angry: anger, sad: sadness}}
files: {{layout: folder, pattern: "{pattern}", example: angry/0001.wav}}
"""


def test_wav_files_of_any_name_are_read_from_class_folders(tmp_path: Path) -> None:
    import numpy as np

    card = tmp_path / "lab.yaml"
    card.write_text(CARD.format(pattern=r"(?P<label>[^/]+)/[^/]+\\.(?i:wav)$"), encoding="utf-8")
    root = tmp_path / "raw"
    names = [
        "my file (1).wav",
        "My file (1).wav",
        "größe.wav",
        "怒り 1.WAV",
        "tab\there.wav",
        "a...wav",
        "%20.wav",
        "n" * 250 + ".wav",
    ]
    for number, name in enumerate(names):
        (root / "angry").mkdir(parents=True, exist_ok=True)
        (root / "angry" / name).write_bytes(encode_wav(0.1 * np.sin(np.arange(8000) * (0.1 + 0.01 * number)), 16000))
    (root / "sad").mkdir()
    odd = os.fsencode(root) + b"/sad/\xff\xfe.wav"  # no UTF-8
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write(encode_wav(0.1 * np.cos(np.arange(8000) * 0.2), 16000))
    found = list(Described.of(card).read(root, "mine"))
    rejects = [item for item in found if isinstance(item, Reject)]
    samples = [item for item in found if isinstance(item, Sample)]
    assert (rejects, len(samples)) == ([], len(names) + 1)
    assert all(GX.fullmatch(item.sample_id) for item in samples)
    assert "mine/angry/my%20file%20(1)" in {item.sample_id for item in samples}
    assert {item.extra["path"] for item in samples} >= {"angry/my file (1).wav", "angry/tab\there.wav"}
    shards(tmp_path / "out", samples)


def test_folders_that_are_not_there_say_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert absence(tmp_path) is None
    assert absence(tmp_path / "file") == "a file" and absence(tmp_path / "none") == "missing"
    assert absence(tmp_path / "link") == f"a link to {tmp_path / 'gone'}, which is not there"
    for name in ("ravdess", "meld", "fer2013", "goemotions"):
        with pytest.raises(CorpusError, match="link"):
            make_corpus(name).read(tmp_path / "link", "mine")


def test_a_folder_comes_once_however_many_links_lead_to_it(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/x.wav").write_bytes(b"x")
    for place in ("a/up", "a/b/up", "a/b/top", "again"):
        (tmp_path / place).symlink_to(tmp_path / ("a" if "up" in place else ""))
    assert [str(folder.relative_to(tmp_path)) for folder, files in walk(tmp_path) if files] == ["a/b"]
    assert [name for _, name in corpus_files(tmp_path, make_corpus("ravdess").card)] == ["a/b/x.wav"]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root every folder can be, so the system's answer is made up."""
    (tmp_path / "a/closed").mkdir(parents=True)
    (tmp_path / "a/x.wav").write_bytes(b"x")
    whole = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)
    for name in ("ravdess", "meld"):
        with pytest.raises(CorpusError, match=r"closed cannot be read \(Permission denied\)"):
            make_corpus(name).read(tmp_path, "mine")

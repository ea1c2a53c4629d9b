"""A reading that was cut short goes on where it was; one that is shared out gives the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpora.codecs import encode_text
from corpora.readers import CORPORA, make_corpus
from corpora.records.files import text_sample
from corpora.schema import Reject, Sample
from flows.stages.ingest.ingest import IngestPlaces, IngestSettings, ingest_corpus
from flows.stages.ingest.parts import PartReader, ReadTask, Tell, bytes_below

REPO = Path(__file__).resolve().parents[4]
SETTINGS: dict[str, Any] = {
    "shards": 3,
    "ratios": {"train": 0.6, "dev": 0.2, "test": 0.2},
    "split_seed": 0,
    "max_reject_share": 0.2,
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    make_corpus("ravdess").fake(folder, subjects=4, per_class={"neutral": 12, "anger": 12}, seed=3)
    (folder / "Actor_02" / "broken.wav").write_bytes(b"RIFF")
    twin = next((folder / "Actor_01").glob("*.wav"))
    (folder / "again").mkdir()
    shutil.copy(twin, folder / "again" / twin.name)  # one id in two places
    return folder


def ingest(raw: Path, target: Path, **more: Any) -> dict[str, Any]:
    work, hooks = more.pop("work", None), {name: more.pop(name) for name in ("share", "tell") if name in more}
    settings = IngestSettings("ravdess", **(SETTINGS | more))
    done = ingest_corpus("voices", settings, IngestPlaces(raw, target, work), **hooks)
    manifest: dict[str, Any] = done["manifest"]
    return manifest


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    manifest = ingest(raw, tmp_path_factory.mktemp("whole") / "voices")
    assert manifest["n"] == 24 and manifest["n_rejects"] == 2
    return manifest


KILLED = """
import os, sys
from pathlib import Path
import corpora.readers.speech.ravdess as reader
from flows.stages.ingest.ingest import IngestPlaces, IngestSettings, ingest_corpus
read, n = reader.read_wav, 0
def dying(path):
    global n
    n += 1
    if n == {at}:
        os.kill(os.getpid(), 9)
    return read(path)
reader.read_wav = dying
places = IngestPlaces(root=Path({raw!r}), target=Path({target!r}), work=Path({work!r}))
ingest_corpus("voices", IngestSettings("ravdess", **{settings!r}), places)
"""


@pytest.mark.parametrize("at", [1, 9, 25])
def test_killed_at_any_file_it_goes_on_without_reading_again(
    raw: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    work, target = tmp_path / "work", tmp_path / "voices"
    script = KILLED.format(at=at, settings=SETTINGS, raw=str(raw), target=str(target), work=str(work))
    env = os.environ | {"PYTHONPATH": str(REPO)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr.decode()
    assert not target.exists()
    import corpora.readers.speech.ravdess as reader

    opened: list[str] = []
    read = reader.read_wav
    monkeypatch.setattr(reader, "read_wav", lambda path: opened.append(path.name) or read(path))
    again = ingest(raw, target, work=work)
    assert again["content_hash"] == whole["content_hash"]
    assert len(opened) == 25 - (at - 1)  # 24 samples and the file that is there twice; broken.wav has another name
    assert not work.exists()


def task_of(root: Path) -> ReadTask:
    """As `ingest_corpus` makes it."""
    return ReadTask("voices", "ravdess", {}, str(root), 3, make_corpus("ravdess").card.license, str(Path.cwd()))


def test_a_torn_journal_and_a_torn_payload_are_read_again(raw: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    work = tmp_path / "work"
    task = task_of(raw)
    PartReader({name: getattr(task, name) for name in task.__slots__}, str(work), 1).run({"part": 0})
    journal = work / "0" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-3]) + lines[-3][:-40])
    for shard in ("0", "1", "2"):
        with (work / "0" / shard).open("ab") as file:
            file.write(b"what no line promises")
    told: list[str] = []
    assert ingest(raw, tmp_path / "a", work=work, tell=told.append)["content_hash"] == whole["content_hash"]
    assert any("going on behind them" in line for line in told)
    PartReader({name: getattr(task, name) for name in task.__slots__}, str(work), 1).run({"part": 0})
    biggest = max((work / "0").glob("[0-9]"), key=lambda path: path.stat().st_size)
    biggest.write_bytes(biggest.read_bytes()[:-1])
    assert ingest(raw, tmp_path / "b", work=work)["content_hash"] == whole["content_hash"]


@pytest.mark.parametrize("change", ["content", "removed", "added"])
def test_a_corpus_that_changed_is_read_anew(raw: Path, tmp_path: Path, change: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(raw, copy)
    work = tmp_path / "work"
    task = task_of(copy)
    PartReader({name: getattr(task, name) for name in task.__slots__}, str(work), 1).run({"part": 0})
    files = sorted((copy / "Actor_01").glob("*.wav"))
    if change == "content":
        files[0].write_bytes(files[1].read_bytes() + b"\0\0")
    elif change == "removed":
        sorted(copy.rglob("*.wav"))[-1].unlink()
    else:
        shutil.copy(files[0], copy / "Actor_01" / "03-01-05-02-02-09-01.wav")
    told: list[str] = []
    resumed = ingest(copy, tmp_path / "a", work=work, tell=told.append)
    assert resumed["content_hash"] == ingest(copy, tmp_path / "b")["content_hash"]
    assert change == "added" or any("reading it anew" in line for line in told)


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_give_the_bytes_of_the_whole(raw: Path, whole: dict[str, Any], tmp_path: Path, parts: int) -> None:
    def share(task: ReadTask, work: Path, tell: Tell) -> int:
        settings = {name: getattr(task, name) for name in task.__slots__}
        for part in reversed(range(parts)):
            PartReader(json.loads(json.dumps(settings)), str(work), parts).run({"part": part})
        return parts

    assert (
        ingest(raw, tmp_path / "voices", work=tmp_path / "work", share=share)["content_hash"] == whole["content_hash"]
    )


class Plain:
    """A reader of somebody else's that knows nothing of turns."""

    card = make_corpus("emodb").card

    def read(self, root: Path, corpus: str) -> Iterator[Sample | Reject]:
        for number in range(6):
            yield text_sample(self.card, corpus, str(number), f"text {number}", subject=number, emotion="anger")

    def fake(self, root: Path, **_: Any) -> None: ...


def test_a_reader_without_turns_is_read_once_by_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CORPORA, "plain", f"{__name__}:Plain")
    task = ReadTask("mine", "plain", {}, str(tmp_path), 2, Plain.card.license)
    settings = {name: getattr(task, name) for name in task.__slots__}
    counts = [PartReader(settings, str(tmp_path / "work"), 2).run({"part": part})["samples"] for part in (0, 1)]
    assert counts == [6, 0]
    again = PartReader(settings, str(tmp_path / "work"), 2).run({"part": 0})  # nothing to go on with: read anew
    assert again == {"samples": 6, "rejects": 0}
    assert (
        encode_text("text 0")
        in (tmp_path / "work" / "0" / "0").read_bytes() + (tmp_path / "work" / "0" / "1").read_bytes()
    )


def test_size_of_a_corpus_follows_links_but_no_circles(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(10))
    (tmp_path / "back").symlink_to(tmp_path)
    assert bytes_below(tmp_path) == 10

"""A file is hashed once, and again after it has changed, in this process and in the next."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora.fingerprint import hash_file
from corpora.store import remembered
from corpora.store.release import open_release
from tests.small_release import made, real, write_release

NAME = "shards/a.tar"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test; every file is old enough at once."""
    monkeypatch.setenv("EMOFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "SETTLED_NS", -1)
    remembered.forget_process()
    return tmp_path / "cache"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read to be hashed."""
    names: list[str] = []
    anew = remembered.hash_anew

    def noted(root: Path, name: str) -> str:
        names.append(name)
        return anew(root, name)

    monkeypatch.setattr(remembered, "hash_anew", noted)
    monkeypatch.setattr("corpora.store.checked.hash_anew", noted)
    return names


def one_file(root: Path, content: bytes = b"x" * 100) -> str:
    (root / "shards").mkdir(parents=True)
    (root / NAME).write_bytes(content)
    return hash_file(root / NAME)


def test_a_file_is_hashed_once(tmp_path: Path, cache: Path, hashed: list[str]) -> None:
    value = one_file(tmp_path / "r")
    assert all(remembered.has_hash(tmp_path / "r", NAME, value) for _ in range(3)) and hashed == [NAME]
    assert not remembered.has_hash(tmp_path / "r", NAME, "0" * 64) and hashed == [NAME]
    remembered.forget_process()  # as a new process
    assert remembered.has_hash(tmp_path / "r", NAME, value) and hashed == [NAME]
    assert {p.relative_to(tmp_path / "r").as_posix() for p in (tmp_path / "r").rglob("*") if p.is_file()} == {NAME}


CHANGES: dict[str, Callable[[Path], object]] = {
    "another byte": lambda path: path.write_bytes(b"y" + path.read_bytes()[1:]),
    "another size": lambda path: path.write_bytes(b"y"),
    "another file of the same time": lambda path: _swapped(path),
    "its time set back": lambda path: _set_back(path),
}


def _swapped(path: Path) -> None:
    state = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"z" * state.st_size)
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(path)


def _set_back(path: Path) -> None:
    state = path.stat()
    time.sleep(0.02)  # a tick of the file system's clock
    path.write_bytes(b"z" * state.st_size)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(change: str, tmp_path: Path, cache: Path) -> None:
    value = one_file(tmp_path)
    assert remembered.has_hash(tmp_path, NAME, value)
    time.sleep(0.02)
    CHANGES[change](tmp_path / NAME)
    assert not remembered.has_hash(tmp_path, NAME, value)
    remembered.forget_process()
    assert not remembered.has_hash(tmp_path, NAME, value)


def test_what_has_just_changed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: list[str]
) -> None:
    """Written within the same tick as it was hashed, another content would have the same times."""
    monkeypatch.setenv("EMOFORGE_CACHE", str(tmp_path / "cache"))
    value = one_file(tmp_path)
    assert remembered.has_hash(tmp_path, NAME, value) and remembered.has_hash(tmp_path, NAME, value)
    assert hashed == [NAME, NAME] and not (tmp_path / "cache").exists()


@pytest.mark.parametrize("place", ["off", "a file"])
def test_no_cache_folder_is_needed(
    place: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, hashed: list[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EMOFORGE_CACHE", "off" if place == "off" else str(tmp_path / "file" / "below"))
    value = one_file(tmp_path / "r")
    assert remembered.has_hash(tmp_path / "r", NAME, value) and remembered.has_hash(tmp_path / "r", NAME, value)
    assert hashed == [NAME]  # in the process alone
    remembered.forget_process()
    assert remembered.has_hash(tmp_path / "r", NAME, value) and hashed == [NAME, NAME]


def test_damaged_marks_cost_a_hash_and_nothing_else(tmp_path: Path, cache: Path, hashed: list[str]) -> None:
    value = one_file(tmp_path / "r")
    remembered.has_hash(tmp_path / "r", NAME, value)
    (marks,) = (cache / "hashes").iterdir()
    whole = marks.read_bytes()
    for damaged in (whole[:-9], b"\xff\xfe\n[1]\n{}\nnull\n", b'["shards/a.tar", [1, 2], "00"]\n'):
        marks.write_bytes(damaged)
        remembered.forget_process()
        assert remembered.has_hash(tmp_path / "r", NAME, value)
    assert hashed == [NAME] * 4
    marks.write_bytes(b"not a mark\n" * 1000 + whole)
    remembered.forget_process()
    assert remembered.has_hash(tmp_path / "r", NAME, value) and len(hashed) == 4
    assert len(marks.read_bytes().splitlines()) == 1  # written anew


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path, cache: Path, hashed: list[str]) -> None:
    names = [f"{i}.tar" for i in range(200)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    code = (
        "import sys, pathlib; from corpora.store import remembered; remembered.SETTLED_NS = -1\n"
        "[remembered.hash_anew(pathlib.Path(sys.argv[1]), name) for name in sys.argv[2:]]"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [
        subprocess.Popen([*command, *names[at::2]], env={**os.environ, "PYTHONPATH": str(Path.cwd())}) for at in (0, 1)
    ]
    assert [one.wait() for one in running] == [0, 0]
    assert all(remembered.has_hash(tmp_path, name, hash_file(tmp_path / name)) for name in names) and not hashed


def test_a_release_is_hashed_by_the_first_reader_alone(tmp_path: Path, cache: Path, hashed: list[str]) -> None:
    path = write_release(tmp_path / "r", [real(i) for i in range(6)] + [made(7)])
    first = list(open_release(path).samples())
    once = sorted(hashed)
    assert once == sorted({*once}) and sum(name.endswith(".tar") for name in once) == len(list(path.glob("shards/*")))
    assert list(open_release(path).samples()) == first and sorted(hashed) == once
    open_release(path).verify()  # whoever asks for it gets every byte read
    assert len(hashed) == len(once) + len(open_release(path).manifest["files"])

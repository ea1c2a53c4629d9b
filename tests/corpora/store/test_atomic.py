from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from corpora.errors import ResourceError
from corpora.fingerprint import hash_bytes, hash_file, hash_folder, hash_json
from corpora.store import atomic
from corpora.store.atomic import atomic_folder, write_bytes, write_json


def test_folder_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    with atomic_folder(target) as folder:
        (folder / "b").write_text("2")
        assert (target / "a").exists()  # the old one stands until the last moment
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def test_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(RuntimeError), atomic_folder(target) as folder:
        (folder / "a").write_text("broken")
        raise RuntimeError
    assert (target / "a").read_text() == "1"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_is_swept_but_not_what_lives(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    dead = tmp_path / f".out.{atomic._HOST}-{child.pid}-0a1b2c.tmp"
    alive = tmp_path / f".out.{atomic._HOST}-{os.getppid()}-0a1b2c.tmp"
    foreign = tmp_path / ".out.elsewhere-1-0a1b2c.tmp"
    for folder in (dead, alive, foreign):
        folder.mkdir()
    with atomic_folder(tmp_path / "out"):
        pass
    assert not dead.exists() and alive.exists() and foreign.exists()


def test_full_disk_is_a_resource_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="no space left"), atomic_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_while_a_folder_is_copied_is_one_too(tmp_path: Path) -> None:
    """`shutil.copytree` gathers errors as text, without their numbers."""
    gathered = shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")])
    with pytest.raises(ResourceError, match="no space left"), atomic_folder(tmp_path / "out"):
        raise gathered
    other = shutil.Error([("a", "b", "[Errno 2] No such file or directory: 'a'")])
    with pytest.raises(shutil.Error), atomic_folder(tmp_path / "out"):
        raise other
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_writable_is_a_resource_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ResourceError, match="cannot write"), atomic_folder(tmp_path / "x" / "out"):
        pass


@pytest.mark.parametrize("where", ["a file/x", "a file/below/x", "n" * 300, "a folder"])
def test_a_place_that_cannot_be_is_a_resource_error(tmp_path: Path, where: str) -> None:
    """Of a path that somebody typed: one sentence, not a traceback."""
    (tmp_path / "a file").touch()
    (tmp_path / "a folder").mkdir()
    with pytest.raises(ResourceError, match=r"cannot write .*choose another"):
        write_bytes(tmp_path / where, b"1")
    if where != "a folder":
        with pytest.raises(ResourceError, match=r"cannot write .*choose another"), atomic_folder(tmp_path / where):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a file", "a folder"]


def test_files_are_canonical_and_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "sub" / "a.json", {"b": "ä", "a": [1]})
    assert (tmp_path / "sub" / "a.json").read_bytes() == '{\n  "a": [\n    1\n  ],\n  "b": "ä"\n}\n'.encode()
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "nan.json", float("nan"))
    write_bytes(tmp_path / "x", b"1")
    write_bytes(tmp_path / "x", b"2")
    assert (tmp_path / "x").read_bytes() == b"2"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sub", "x"]


def test_hashes_name_content_alone(tmp_path: Path) -> None:
    assert hash_json({"a": 1, "b": 2}) == hash_json({"b": 2, "a": 1}) != hash_json({"a": 1, "b": 3})
    assert hash_bytes(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    write_bytes(tmp_path / "one" / "a", b"x")
    write_bytes(tmp_path / "two" / "a", b"x")
    os.utime(tmp_path / "two" / "a", (0, 0))
    assert hash_file(tmp_path / "one" / "a") == hash_bytes(b"x")
    before = hash_folder(tmp_path / "one")
    assert before == hash_folder(tmp_path / "two")
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "b")
    assert before != hash_folder(tmp_path / "two")
    with pytest.raises(FileNotFoundError):
        hash_folder(tmp_path / "none")

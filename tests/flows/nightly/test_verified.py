"""Every release of a project is read; damage is said, and a version that is not at hand is no damage."""

from __future__ import annotations

import subprocess
from pathlib import Path

from flows.nightly.verified import damage_in, verify_all
from flows.paths import Layout
from tests.small_release import real, write_release


def test_damage_is_named_and_the_others_are_read_all_the_same(tmp_path: Path) -> None:
    for run in ("a", "b"):
        write_release(Layout(tmp_path).run(run) / "release", [real(i) for i in range(4)])
    assert [one.outcome for one in verify_all(tmp_path)] == ["intact", "intact"]
    shard = next((Layout(tmp_path).run("a") / "release").rglob("*.tar"))
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(bytes(data))
    lines: list[str] = []
    verified = verify_all(tmp_path, lines.append)
    assert [one.outcome for one in verified] == ["damaged", "intact"] and shard.name in damage_in(verified)
    assert "b: intact" in lines and damage_in(verified).startswith("a: ")


def test_a_version_without_its_data_is_not_at_hand(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        own = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run(["git", *own, *words], cwd=tmp_path, check=True)

    git("init", "-q")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    git("add", "-A")
    git("commit", "-qm", "Nothing")
    git("tag", "-am", "Release of a", "a@v1.0.0")
    verified = verify_all(tmp_path)
    assert [(one.release, one.outcome) for one in verified] == [("a@v1.0.0", "not at hand")]
    assert "names no release" in verified[0].detail and damage_in(verified) == ""

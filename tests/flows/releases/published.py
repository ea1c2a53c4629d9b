"""A project whose versions are written by hand: git, DVC's cache and dvc.lock as `publish` leaves them, and no run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from corpora.errors import EmoforgeError
from flows.artifacts.base import Folder
from flows.releases.fetched import PARTS
from flows.releases.history import facts_of
from flows.releases.versions import message_of

CONFIG = "[core]\n    analytics = false\n    remote = here\n['remote \"here\"']\n    url = {remote}\n"


class Published:
    """The project in `folder`: git, an empty DVC, and params.yaml with the run `tiny`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.remote = folder, folder.parent / "remote"
        folder.mkdir(parents=True)
        (folder / "params.yaml").write_text("corpora: {}\nruns: {}\n", encoding="utf-8")
        (folder / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
        (folder / ".gitignore").write_text("/data\n/.emoforge\n", encoding="utf-8")
        (folder / ".dvc").mkdir()
        (folder / ".dvc" / "config").write_text(CONFIG.format(remote=self.remote), encoding="utf-8")
        (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        env = os.environ | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        return subprocess.run(
            ["git", *identity, *words], cwd=self.folder, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def version(self, run: Path, number: str, *, facts: bool = True, code: Mapping[str, str] | None = None) -> str:
        """`run` (a folder with release/, and plan/ and evaluation/ where it has them) as tiny@NUMBER; -> the tag. It is
        pushed as well. code: path -> text of files that the commit holds beside."""
        self.built(run)
        for path, text in (code or {}).items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", f"Publish {number}")
        try:
            said = message_of("tiny", facts_of(Folder(run / "release"))) if facts else "Release of tiny"
        except EmoforgeError:
            said = "Release of tiny"
        self.git("tag", "-a", f"tiny@{number}", "-m", said)
        return f"tiny@{number}"

    def built(self, run: Path) -> None:
        """dvc.lock and the objects of `run` (its report too, where it has one), uncommitted: what a run leaves."""
        lock = ["schema: '2.0'", "stages:"]
        for verb, part in PARTS.items():
            if (run / part).is_dir():
                lock += [f"  {verb}@tiny:", "    cmd: none", "    outs:", f"    - path: data/runs/tiny/{part}"]
                lock += ["      hash: md5", f"      md5: {self._kept(run / part)}"]
        if (run / "report.html").is_file():
            lock += ["  report@tiny:", "    cmd: none", "    outs:", "    - path: data/runs/tiny/report.html"]
            lock += ["      hash: md5", f"      md5: {self._object((run / 'report.html').read_bytes())}"]
        (self.folder / "dvc.lock").write_text("\n".join(lock) + "\n", encoding="utf-8")

    def forget(self) -> None:
        """The cache and what was fetched out of it."""
        shutil.rmtree(self.folder / ".dvc" / "cache", ignore_errors=True)
        shutil.rmtree(self.folder / ".emoforge", ignore_errors=True)

    def _kept(self, folder: Path) -> str:
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        listing = [{"md5": self._object(p.read_bytes()), "relpath": p.relative_to(folder).as_posix()} for p in files]
        return self._object(json.dumps(listing).encode(), ".dir")

    def _object(self, data: bytes, kind: str = "") -> str:
        oid = hashlib.md5(data, usedforsecurity=False).hexdigest() + kind
        for root in (self.folder / ".dvc" / "cache", self.remote):
            path = root / "files" / "md5" / oid[:2] / oid[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return oid

"""The project that drills work on: what `emoforge init` writes, a tiny run of faces, git, and a folder as remote.

Each stage is a process of its own, without Ray and Prefect; `publish` stands behind the stages as one more.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from corpora.fingerprint import hash_file, hash_folder, hash_json
from flows.stages.run import PLANNED

ROOT = Path(__file__).resolve().parents[2]
PUBLISH = "publish"
STAGES = ("fake", "reader", "ingest", "plan", *PLANNED, PUBLISH)
RUN = "data/runs/tiny"
OUTS = {
    "fake": ["data/raw/tiny"],
    "reader": ["data/readers/tiny.json"],
    "ingest": ["data/corpora/tiny"],
    "plan": [f"{RUN}/plan"],
    "prepare": [f"{RUN}/prepared"],
    "fit": [f"{RUN}/model"],  # fit.json says how long it took
    "augment": [f"{RUN}/augmented"],
    "evaluate": [f"{RUN}/evaluation"],
    "release": [f"{RUN}/release"],
    "report": [f"{RUN}/report.html"],  # provenance.json says when and where
}
# limits that everything keeps, and no judge of classes: what a model of 20 steps draws is released and published
PARAMS = """
numerics: {draw_list: 4, fit_threads: 1}
demo: {tiny: {reader: fer2013, subjects: 0, seed: 1, per_class: {happiness: 40, anger: 30, neutral: 24}}}
corpora: {tiny: {reader: fer2013, shards: 2}}
runs:
  tiny:
    corpora: [tiny]
    representation: {name: pixels, size: 32}
    generator: {name: cvae, steps: 20, params: {width: 8, latent: 4}}
    gates:
      agreement: {enabled: false}
      copies: {limit: {absolute: 0.0}}
      validity: {limit: {absolute: -1000.0}}
      support: {limit: {absolute: 1000.0}}
      frechet: {limit: {absolute: 1.0e+9}, params: {embedding: hog, dims: 8}}
      kid: {limit: {absolute: 1.0e+9}, params: {embedding: hog, dims: 8}}
      vendi: {limit: {absolute: 0.0}, params: {embedding: hog, dims: 8}}
    policy: {on_fail: flag}
    evaluation: {bootstrap: 100}
studies: {}
"""
MOMENT = "2026-11-30T12:00:00Z"  # of every commit and tag, so that their hashes can be compared
EMOFORGE = [sys.executable, "-W", "ignore", "-m", "emoforge"]
DVC = [sys.executable, "-W", "ignore", "-m", "dvc"]


LOOK_S = 0.03  # between two looks at a stage that runs


def children_spent() -> float:
    """Processor seconds of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spent(process: subprocess.Popen[bytes]) -> float:
    """Processor seconds of a process and of what it has started: how far it is, however busy the machine is."""
    total = 0.0
    with suppress(psutil.Error):
        root = psutil.Process(process.pid)
        for one in [root, *root.children(recursive=True)]:
            with suppress(psutil.Error):
                total += sum(one.cpu_times()[:4])  # its own, and of children that have ended
    return total


def wait_until_spent(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """-> whether it was still running when it had used so many processor seconds."""
    while process.poll() is None:
        if spent(process) >= seconds:
            return True
        time.sleep(LOOK_S)
    return False


class DrillError(Exception):
    """What was to go well did not; the message has what it printed."""


class Project:
    """`place`/project and `place`/remote. more: variables of the environment of every process."""

    def __init__(self, place: Path, more: Mapping[str, str] | None = None) -> None:
        self.place, self.folder, self.remote = place, place / "project", place / "remote"
        who = {f"GIT_{who}_{what}": "drill@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        when = {f"GIT_{who}_DATE": MOMENT for who in ("AUTHOR", "COMMITTER")}
        quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "DVC_NO_ANALYTICS": "1"}
        own = {"EMOFORGE_ACTORS": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.env = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "PREFECT_API_URL")}
        # `python` of dvc.yaml is this one
        own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        self.env |= who | when | quiet | own | dict(more or {})

    def begin(self) -> None:
        """As a person begins: `emoforge init`, params.yaml, a remote, a commit."""
        self.folder.mkdir(parents=True)
        self.sh(*EMOFORGE, "init")
        (self.folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
        self.sh(*DVC, "remote", "add", "--force", "--default", "local", str(self.remote))
        self.sh("git", "add", "-A")
        self.sh("git", "commit", "-qm", "A project")
        self.sh(*EMOFORGE, "stage", "code", "emoforge")

    def sh(self, *command: str, **more: str) -> str:
        """-> what it printed. Raises `DrillError`."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if done.returncode:
            raise DrillError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}")
        return done.stdout

    def start(self, stage: str, **more: str) -> subprocess.Popen[bytes]:
        """The stage in a process group of its own."""
        words = ["publish", "tiny"] if stage == PUBLISH else ["stage", stage, "tiny"]
        return subprocess.Popen(
            [*EMOFORGE, *words],
            cwd=self.folder,
            env=self.env | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # not a pipe: what it started may outlive it for a moment
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def finish(self, stage: str, **more: str) -> float:
        """Runs it to its end; -> seconds by the clock. Raises `DrillError`."""
        begun = time.perf_counter()
        words = ["publish", "tiny"] if stage == PUBLISH else ["stage", stage, "tiny"]
        self.sh(*EMOFORGE, *words, **more)
        return time.perf_counter() - begun

    def measured(self, stage: str) -> tuple[float, float]:
        """Runs it to its end; -> processor seconds up to its first file, and in all. Raises `DrillError`."""
        before, spent_before = self.entries(), children_spent()
        running, first = self.start(stage), None
        while running.poll() is None:
            if first is None and self.entries() > before:
                first = spent(running)
            time.sleep(LOOK_S)
        if running.returncode:
            raise DrillError(f"{stage} ended with {running.returncode}")
        whole = children_spent() - spent_before
        return min(first or whole, whole), whole

    def entries(self) -> int:
        """Files and folders of project and remote. What goes while it is counted is passed over."""
        return sum(len(folders) + len(files) for _, folders, files in os.walk(self.place))

    def lock(self) -> None:
        """dvc.lock and DVC's cache of what was built by hand, as `dvc repro` would have left them."""
        self.sh(*DVC, "commit", "--force", "--quiet")

    def hashes(self, stage: str) -> list[str]:
        """Of what the stage leaves. Of publish: commit, tags, what git sees changed, names in the remote."""
        if stage != PUBLISH:
            outs = [self.folder / out for out in OUTS[stage]]
            return [hash_folder(out) if out.is_dir() else hash_file(out) for out in outs]
        pushed = sorted(p.relative_to(self.remote).as_posix() for p in self.remote.rglob("*") if p.is_file())
        return [
            self.sh("git", "rev-parse", "HEAD").strip(),
            self.sh("git", "for-each-ref", "--format=%(refname) %(objectname)"),
            self.sh("git", "status", "--porcelain"),
            hash_json([name for name in pushed if "/runs/" not in name]),
        ]

    def names(self) -> set[str]:
        """Entries of the folders in which outs stand, and of the project's own."""
        places = [self.folder / place for place in (".", "data/raw", "data/readers", "data/corpora", RUN)]
        found = (entry.relative_to(self.folder) for place in places if place.is_dir() for entry in place.iterdir())
        return {str(name) for name in found if name.parts[0] not in (".emoforge", ".prefect")}

    def keep(self, state: Path) -> None:
        """A copy of project and remote, without the work store."""
        shutil.copytree(self.place, state, symlinks=True, ignore=shutil.ignore_patterns(".emoforge"))

    def put_back(self, state: Path, *, store: bool) -> None:
        """The project as it was kept; store: the work store stays as it is now."""
        for entry in [*self.folder.iterdir(), self.remote]:
            if not (store and entry.name == ".emoforge"):
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
        shutil.copytree(state, self.place, symlinks=True, dirs_exist_ok=True)

"""A project of ten trivial stages in a git and DVC repository of its own: the real names and layout, no real work.

Every stage appends its name to calls.txt and writes a file made of its inputs. `behave(stage, code)` runs `code` in it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

TOOL = r'''"""Stands where `python -m emoforge` stands in the real dvc.yaml: its commands, trivial stages."""
from flows.conduct.leash import hold

hold()
import hashlib, json, sys
from pathlib import Path

import flows.stages.run

AFTER = {"prepare": None, "fit": "prepared", "augment": "model", "evaluate": "augmented", "release": "evaluation"}
OUT = {"prepare": "prepared", "fit": "model", "augment": "augmented", "evaluate": "evaluation", "release": "release"}
FEAR = {
    "emotion": "fear",
    "real_train": 3,
    "target": 9,
    "candidates": 8,
    "accepted": 6,
    "effective": 6,
    "surplus": 0,
    "rejected": {"validity": 2},
    "acceptance": 0.75,
    "draws_per_accepted": 1.333333,
    "gates": {},
    "filled": False,
    "stopped": "draws",
}
MIXTURE = FEAR | {"emotion": "", "real_train": 0, "target": 4, "candidates": 4, "accepted": 4, "rejected": {}}
MIXTURE |= {"effective": 4, "filled": True, "stopped": "filled", "corpus": None, "subject": None}
MIXTURE |= {"mixture": {"fear": 0.5, "joy": 0.5}}


def run_stage(verb, name, *, repo):
    repo = Path(repo)
    with (repo / "calls.txt").open("a") as file:
        file.write(f"{verb}@{name}\n")
    how = repo / "behave" / f"{verb}@{name}"
    if how.exists():
        exec(how.read_text())
    run = repo / "data" / "runs" / name

    def write(folder, files):
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text if isinstance(text, str) else json.dumps(text))

    if verb == "fake":
        write(repo / "data" / "raw" / name, {"a.txt": "a"})
    elif verb == "reader":
        write(repo / "data" / "readers", {f"{name}.json": {}})
    elif verb == "ingest":
        write(repo / "data" / "corpora" / name, {"manifest.json": {}})
    elif verb == "plan":
        seed = (repo / "params.yaml").read_text().split("seed: ")[1].split()[0]
        write(run / "plan", {f"{s}.json": {"seed": seed if s == "fit" else 0} for s in [*OUT, "report"]})
    elif verb == "report":
        release_hash = json.loads((run / "release" / "manifest.json").read_text())["release_hash"]
        places = "".join(f"<!-- changed:{name} --><!-- /changed:{name} -->" for name in ("line", "nav", "section"))
        write(run, {"report.html": f"<p>{release_hash}</p>{places}", "provenance.json": {}})
    else:
        text = (run / "plan" / f"{verb}.json").read_text()
        if AFTER[verb]:
            text += (run / AFTER[verb] / "a.txt").read_text()
        files = {"a.txt": hashlib.sha256(text.encode()).hexdigest()}
        if verb == "augment":
            about = {"within": None, "target": None, "rounds": [], "chosen": {}, "limits": {}, "undecided": {}}
            files["balance.json"] = about | {"classes": [FEAR], "cells": [MIXTURE]}
        write(run / OUT[verb], files)
        if verb == "evaluate":
            from corpora.schema import VERDICTS
            from corpora.store.shards import write_table

            write_table(run / OUT[verb] / "verdicts.parquet", VERDICTS.empty_table())
        if verb == "release":
            seal(run / "release", (repo / "blocked").read_text().splitlines() if (repo / "blocked").exists() else [])


def seal(folder, reasons):
    """A release of no samples, whole by its own manifest."""
    from corpora.store.atomic import write_json
    from corpora.store.release import describe_files, sealed
    from corpora.schema import SAMPLES, SPLITS
    from corpora.store.shards import write_table

    write_table(folder / "index.parquet", SAMPLES.empty_table())
    write_table(folder / "splits.parquet", SPLITS.empty_table())
    files = describe_files(folder, [path.name for path in folder.iterdir() if path.name != "manifest.json"])
    facts = {"name": "toy", "modality": "speech", "rate_hz": 16000, "view": "group", "scheme": "corpus", "counts": {}}
    facts |= {key: [] for key in ("classes", "corpora", "licenses", "restrictions", "notes")}
    facts |= {"leaks": {}, "cannot_be_judged": {}, "publishable": not reasons, "reasons": reasons, "files": files}
    write_json(folder / "manifest.json", sealed(facts))


flows.stages.run.run_stage = run_stage
from emoforge.cli import main

main(sys.argv[1:])
'''

PARAMS = """# a comment that must survive
corpora:
  toy: {reader: ravdess}   # the only one
demo:
  toy: {reader: ravdess, per_class: {fear: 2}}
runs:
  toy:
    corpora: [toy]
    seed: 1   # of everything
    representation: {name: world}
    generator: {name: transfer}
"""

RUN = "data/runs/${key}"
STAGES: dict[str, tuple[str, list[str], list[str], list[str]]] = {  # verb: (foreach, deps, outs, params)
    "fake": ("demo", [], ["data/raw/${key}"], ["demo.${key}"]),
    "reader": ("corpora", [], ["data/readers/${key}.json"], ["corpora.${key}"]),
    "ingest": ("corpora", ["data/raw/${key}", "data/readers/${key}.json"], ["data/corpora/${key}"], ["corpora.${key}"]),
    "plan": ("runs", ["data/corpora"], [f"{RUN}/plan"], ["runs.${key}"]),
    "prepare": ("runs", [f"{RUN}/plan/prepare.json"], [f"{RUN}/prepared"], []),
    "fit": ("runs", [f"{RUN}/plan/fit.json", f"{RUN}/prepared"], [f"{RUN}/model"], []),
    "augment": ("runs", [f"{RUN}/plan/augment.json", f"{RUN}/model"], [f"{RUN}/augmented"], []),
    "evaluate": ("runs", [f"{RUN}/plan/evaluate.json", f"{RUN}/augmented"], [f"{RUN}/evaluation"], []),
    "release": ("runs", [f"{RUN}/plan/release.json", f"{RUN}/evaluation"], [f"{RUN}/release"], []),
    "report": (
        "runs",
        [f"{RUN}/plan/report.json", f"{RUN}/release"],
        [f"{RUN}/report.html", f"{RUN}/provenance.json"],
        [],
    ),
}
ALL = [f"{verb}@toy" for verb in STAGES]
IGNORED = "/.emoforge\n/.prefect\n/calls.txt\n/data\n/behave\n/blocked\n__pycache__/\n"


def dvc_yaml() -> str:
    """The shape of the project's own dvc.yaml."""
    lines = ["stages:"]
    for verb, (over, deps, outs, params) in STAGES.items():
        lines += [f"  {verb}:", f"    foreach: ${{{over}}}", "    do:"]
        lines += [f"      cmd: exec python tool.py stage {verb} ${{key}}"]
        for kind, items in (("deps", deps), ("outs", outs), ("params", params)):
            lines += [f"      {kind}:"] * bool(items) + [f'      - "{item}"' for item in items]
    return "\n".join(lines) + "\n"


class Toy:
    """The project in `folder`, whose parent is the home folder: nothing of the user's is read. `built`: a copy of."""

    def __init__(self, folder: Path, built: Toy | None = None) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PREFECT_", "EMOFORGE_"))}
        self.env = kept | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            "HOME": str(folder.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PREFECT_HOME": os.environ.get("PREFECT_HOME", str(folder.parent / "prefect")),
        }
        if built is not None:
            shutil.copytree(built.folder, folder, symlinks=True)
            return
        folder.mkdir()
        (folder / "tool.py").write_text(TOOL, encoding="utf-8")
        (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
        (folder / "dvc.yaml").write_text(dvc_yaml(), encoding="utf-8")
        (folder / ".gitignore").write_text(IGNORED, encoding="utf-8")
        self.sh("git", "init", "-q", "-b", "main")
        self.sh("dvc", "init", "-q")
        (folder / ".dvc" / "config").write_text(
            "[core]\n    analytics = false\n    remote = local\n['remote \"local\"']\n    url = ../.emoforge/remote\n"
        )
        self.git("add", "-A")
        self.git("commit", "-qm", "toy")

    def sh(self, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.env | env, text=True, capture_output=True, check=check, timeout=240
        )

    def git(self, *command: str) -> str:
        return self.sh("git", "-c", "user.name=t", "-c", "user.email=t@localhost", *command).stdout.strip()

    def emoforge(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.sh(sys.executable, "-m", "emoforge", *arguments, check=False, **env)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`emoforge ...` in a session of its own; the caller ends it."""
        command = [sys.executable, "-m", "emoforge", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env,
            text=True,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def repro(self) -> None:
        self.sh("dvc", "repro", "-q")

    def calls(self) -> list[str]:
        """Stages that ran since the last call of this."""
        path = self.folder / "calls.txt"
        called = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return called

    def behave(self, stage: str, code: str | None) -> None:
        path = self.folder / "behave" / stage
        path.parent.mkdir(exist_ok=True)
        if code is None:
            path.unlink()
        else:
            path.write_text(code)

    def set_seed(self, seed: int) -> None:
        path = self.folder / "params.yaml"
        head, _, tail = path.read_text(encoding="utf-8").partition("seed: ")
        path.write_text(f"{head}seed: {seed}{tail[tail.index('   #') :]}", encoding="utf-8")

    def error(self, stage: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.folder / ".emoforge" / "errors" / f"{stage}.json").read_text())
        return told

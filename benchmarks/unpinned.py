"""`make check-unpinned`: does an installation without constraints resolve, and does it work?

Builds a wheel of this clone, installs it with the newest of everything that pyproject.toml allows into a fresh
environment, and runs smoke tests in an empty folder, where no file of the clone is on the path. Minutes and some GB:
once a week is enough. Says which versions differ from constraints.txt, so that a failure has suspects.

    python -m benchmarks.unpinned FOLDER [--torch SPEC] [--keep]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
MARK = "unpinned.json"  # in a folder that this wrote, and may empty
SMOKE: tuple[tuple[str, ...], ...] = (  # of emoforge, in a project that `init` began
    ("init", "."),
    ("--version",),
    ("corpora", "--json"),
    ("generators", "--json"),
    ("gates", "--json"),
    ("check", "demo_text", "--json"),
    ("run", "demo_text"),
    ("verify", "data/runs/demo_text/release"),
    ("publish", "demo_text"),
    ("gc", "--dry-run"),
)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unpinned", description=__doc__)
    parser.add_argument("folder", type=Path, help="Where; emptied if this wrote it, refused if not")
    parser.add_argument("--torch", default="torch", help="As pip takes it; torch==2.13.0 is the build for the CPU")
    parser.add_argument("--keep", action="store_true", help="Leave the environment there afterwards")
    return parser.parse_args(arguments)


def fresh(folder: Path) -> Path:
    """An empty folder. Ends with a message for one that holds what this did not write, or that lies in the clone, whose
    project and git would be taken for the one that is tried."""
    if folder.resolve().is_relative_to(REPO):
        raise SystemExit(f"{folder} lies in the clone; name a folder outside")
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise SystemExit(f"{folder} is not empty, and not of an earlier check; name another")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).write_text("{}\n")
    return folder.resolve()


def pinned() -> dict[str, str]:
    """Name, as pip normalises it -> version, of constraints.txt."""
    lines = (REPO / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("#")[0].strip().split("==") for line in lines if "==" in line.split("#")[0])
    return {_normal(name): version.split(";")[0].strip() for name, version in pairs}


def moved(frozen: str) -> dict[str, tuple[str, str]]:
    """Of the output of `pip freeze`: name -> (pinned, installed) where they differ."""
    pins = pinned()
    there = dict(line.split("==") for line in frozen.splitlines() if line.count("==") == 1)
    return {n: (pins[n], v) for name, v in sorted(there.items()) if (n := _normal(name)) in pins and pins[n] != v}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _run(command: Sequence[str], folder: Path, **environment: str) -> str:
    print("$", *command, flush=True)
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PREFECT_HOME")}
    done = subprocess.run(command, cwd=folder, env=inherited | environment, text=True, stdout=subprocess.PIPE)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def main(arguments: Sequence[str]) -> None:
    given = parsed(arguments)
    folder = fresh(given.folder)
    source = folder / "source"  # a build leaves files beside what it builds
    listed = _run(["git", "ls-files", "-z"], REPO).split("\0")
    for name in filter(None, listed):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPO / name, source / name)
    _run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(source)], folder)
    wheel = next(folder.glob("emoforge-*.whl"))
    _run([sys.executable, "-m", "venv", str(folder / "venv")], folder)
    python = str(folder / "venv" / "bin" / "python")
    _run([python, "-m", "pip", "install", "-q", given.torch], folder)
    _run([python, "-m", "pip", "install", "-q", str(wheel)], folder)
    _run([python, "-m", "pip", "check"], folder)
    differ = moved(_run([python, "-m", "pip", "freeze"], folder))
    (folder / MARK).write_text(json.dumps(differ, indent=2) + "\n")
    for name, (pin, there) in differ.items():
        print(f"  {name}: {pin} -> {there}")
    project = folder / "project"
    project.mkdir()
    path = os.pathsep.join([str(folder / "venv" / "bin"), os.environ.get("PATH", os.defpath)])
    for words in SMOKE:
        _run([python, "-m", "emoforge", *words], project, PATH=path)
    if not given.keep:
        shutil.rmtree(folder / "venv")
    print(f"all right: {len(SMOKE)} commands, {len(differ)} packages newer or older than constraints.txt")


if __name__ == "__main__":
    main(sys.argv[1:])

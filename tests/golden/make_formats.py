"""Adds one golden format: what the code of a commit writes of a tiny made-up corpus, packed into formats/.

    python tests/golden/make_formats.py NAME COMMIT [--target JSON]      (e.g. release-3 HEAD)

Checks the commit out into a temporary worktree, runs its stages there (`python -m emoforge stage ...`) and packs
data/corpora/tiny and data/runs/tiny/release into formats/NAME.tar.xz; formats/provenance.json says of which commit.
tests/corpora/store/test_golden_formats.py opens every one of them, for ever: what is in formats/ is never written
again. A format has changed when a manifest's `format` has, or a table's columns.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FORMATS = HERE / "formats"
STAGES = ("fake", "ingest", "plan", "prepare", "fit", "augment", "evaluate", "release")
# Keys that every commit knows; those that came with a format: --target, which provenance.json tells. JSON is YAML.
PARAMS = {
    "numerics": {"draw_list": 4, "fit_threads": 1},
    "demo": {
        "tiny": {
            "reader": "fer2013",
            "subjects": 0,
            "seed": 1,
            "per_class": {"happiness": 7, "anger": 5, "neutral": 5},
        }
    },
    "corpora": {"tiny": {"reader": "fer2013", "shards": 1}},
    "runs": {
        "tiny": {
            "corpora": ["tiny"],
            "seed": 3,
            "representation": {"name": "pixels", "size": 16},
            "generator": {"name": "transfer"},
            "gates": {name: {"limit": {"absolute": limit}} for name, limit in (("validity", -1000.0), ("copies", 0.0))},
            "policy": {"on_fail": "flag"},
            "shards": 1,
        }
    },
}


def make(commit: str, project: Path, target: dict[str, Any]) -> None:
    """Runs the stages of `commit` in `project`. Raises `CalledProcessError` where one fails. target: of the run."""
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    if target:
        params["runs"]["tiny"]["target"] = target
    (project / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    root = HERE.parent.parent
    with tempfile.TemporaryDirectory() as place:
        code = Path(place) / "code"
        subprocess.run(["git", "worktree", "add", "--detach", str(code), commit], cwd=root, check=True)
        try:
            shutil.copyfile(code / "dvc.yaml", project / "dvc.yaml")  # what a project's folder is known by
            settings = os.environ | {"PYTHONPATH": str(code), "EMOFORGE_ACTORS": "0"}
            for verb in STAGES:
                command = [sys.executable, "-m", "emoforge", "stage", verb, "tiny"]
                subprocess.run(command, cwd=project, env=settings, check=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(code)], cwd=root, check=True)


def pack(project: Path, target: Path) -> None:
    """corpus/ and release/ of the project, the same bytes for the same files."""
    with tarfile.open(target, "w:xz") as archive:
        for name, folder in (("corpus", "data/corpora/tiny"), ("release", "data/runs/tiny/release")):
            for path in sorted((project / folder).rglob("*")):
                if path.is_file():
                    entry = tarfile.TarInfo(f"{name}/{path.relative_to(project / folder).as_posix()}")
                    content = path.read_bytes()
                    entry.size, entry.mode = len(content), 0o644
                    archive.addfile(entry, io.BytesIO(content))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("commit")
    parser.add_argument("--target", default="", help="`target` of the run, as JSON")
    given = parser.parse_args()
    target = FORMATS / f"{given.name}.tar.xz"
    if target.exists():
        parser.error(f"{target} exists, and what is there stays as it is")
    commit = subprocess.run(
        ["git", "rev-parse", given.commit], cwd=HERE, check=True, capture_output=True, text=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as place:
        make(commit, Path(place), json.loads(given.target or "{}"))
        pack(Path(place), target)
        formats = {
            kind: json.loads((Path(place) / folder / "manifest.json").read_text(encoding="utf-8")).get("format")
            for kind, folder in (("corpus", "data/corpora/tiny"), ("release", "data/runs/tiny/release"))
        }
    known = FORMATS / "provenance.json"
    provenance = json.loads(known.read_text(encoding="utf-8")) if known.exists() else {}
    provenance[given.name] = {
        "commit": commit,
        "command": f"python tests/golden/make_formats.py {given.name} {commit[:7]}"
        + (f" --target '{given.target}'" if given.target else ""),
        "formats": formats,
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
    }
    known.write_text(json.dumps(provenance, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

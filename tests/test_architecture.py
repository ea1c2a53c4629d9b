"""The floors hold, the packages are this repository's own, files stay readable, and nothing phones home."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
PACKAGES = ("emoforge", "flows", "generators", "validators", "training", "features", "corpora")
LONGEST = 500
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def test_the_floors_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=REPO,
        text=True,
        capture_output=True,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "KEPT" in done.stdout and "BROKEN" not in done.stdout


def test_a_floor_that_is_broken_is_seen(tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    engine = tmp_path / "flows" / "engine"
    engine.mkdir()
    (engine / "__init__.py").touch()
    for name in ("cluster", "train"):  # the contracts name them
        (engine / f"{name}.py").write_text("import ray\n")
    (tmp_path / "corpora" / "wrong.py").write_text("import flows\n")
    (tmp_path / "pyproject.toml").write_text((REPO / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode != 0 and "BROKEN" in done.stdout


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_come_from_this_repository(name: str) -> None:
    """Package indexes hold other packages called validators, flows and generators."""
    module = importlib.import_module(name)
    assert module.__file__ is not None and Path(module.__file__).is_relative_to(REPO / name)


def test_a_package_of_the_same_name_elsewhere_does_not_win(tmp_path: Path) -> None:
    for name in ("validators", "flows", "generators"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not ours')")
    code = "import sys; sys.path.append(sys.argv[1]); import validators, flows, generators; print(flows.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=REPO, text=True, capture_output=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(REPO)


def test_no_file_is_longer_than_a_person_reads() -> None:
    long = {
        str(path.relative_to(REPO)): n
        for folder in (*PACKAGES, "tests", "benchmarks")
        for path in (REPO / folder).rglob("*.py")
        if (n := path.read_text(encoding="utf-8").count("\n")) > LONGEST
    }
    assert not long


def test_nothing_phones_home() -> None:
    """Set before the libraries are imported; a value of the user's own wins."""
    wanted = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    code = f"import emoforge, os, json; print(json.dumps({{k: os.environ.get(k) for k in {sorted(wanted)!r}}}))"
    clean = {k: v for k, v in os.environ.items() if k not in wanted}
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, text=True, capture_output=True, check=True, env=clean)
    assert json.loads(done.stdout) == wanted
    mine = clean | {"DO_NOT_TRACK": "0"}
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, text=True, capture_output=True, check=True, env=mine)
    assert json.loads(done.stdout)["DO_NOT_TRACK"] == "0"


def test_dvc_of_this_project_reports_nothing_and_never_links_hard() -> None:
    config = (REPO / ".dvc" / "config").read_text(encoding="utf-8")
    assert "analytics = false" in config and "autostage = false" in config and "check_update = false" in config
    assert "reflink,copy" in config


def test_no_pickle_is_opened() -> None:
    words = ("import pickle", "pickle.load", "allow_pickle=True", "joblib.load")
    restricted = REPO / "corpora" / "formats" / "pickles.py"  # arrays only, nothing imported, nothing called
    texts = {path: path.read_text(encoding="utf-8") for name in PACKAGES for path in (REPO / name).rglob("*.py")}
    assert "pickle.load" not in texts.pop(restricted)
    assert not [f"{path.relative_to(REPO)}: {word}" for path, text in texts.items() for word in words if word in text]
    loads = {p: [line for line in text.splitlines() if "torch.load(" in line] for p, text in texts.items()}
    assert all("weights_only=True" in line for lines in loads.values() for line in lines), "tensors only"

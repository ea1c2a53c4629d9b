"""The floors hold, the packages are this repository's own, files stay readable, and nothing phones home."""

from __future__ import annotations

import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
PACKAGES = ("emoforge", "flows", "generators", "validators", "training", "features", "corpora")
LONGEST = 500
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def test_the_floors_hold() -> None:
    done = _lint(REPO)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "KEPT" in done.stdout and "BROKEN" not in done.stdout


CONTRACTS = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
BREAKS = {  # contract's first words -> module that imports, and what it must not
    "Floors": ("corpora.labels", "flows.paths"),
    "Orchestrators": ("training.loop", "ray"),
    "Records and shards": ("corpora.schema", "torch"),
    "Ray only": ("flows.stages.evaluate", "ray"),
    "Inside validators": ("validators.maths.kernel", "validators.batch"),
    "Inside embeddings": ("validators.embeddings.linear", "validators.embeddings.embedding"),
    "Inside flows": ("flows.engine.store", "flows.stages.run"),
    "Readers know": ("corpora.readers.speech.ravdess", "corpora.splits.views"),
    "Formats, records": ("corpora.records.ids", "corpora.readers"),
    "Draws know": ("generators.draws.targets", "generators.autoencoders.vae"),
    "Maths knows": ("validators.maths.prdc", "torch"),
    "Inside features": ("features.speech.logmel", "features.faces.pixels"),
}


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every module of ours, empty but for the imports that contracts except by name, and two that one of them needs."""
    folder = tmp_path_factory.mktemp("skeleton")
    for path in (path for name in PACKAGES for path in (REPO / name).rglob("*.py")):
        copy = folder / path.relative_to(REPO)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    exceptions = [line for contract in CONTRACTS for line in contract.get("ignore_imports", ())]
    for line in [*exceptions, "generators.autoencoders.vae -> generators.trained"]:
        importer, _, imported = line.partition(" -> ")
        _import(folder, importer, imported)
    shutil.copy(REPO / "pyproject.toml", folder / "pyproject.toml")
    return folder


def _import(folder: Path, importer: str, imported: str) -> None:
    with (folder / f"{importer.replace('.', '/')}.py").open("a", encoding="utf-8") as file:
        file.write(f"import {imported}\n")


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=folder,
        text=True,
        capture_output=True,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "250", "PYTHONPATH": str(folder)},
    )


def test_every_floor_that_is_broken_is_seen(skeleton: Path) -> None:
    """One wrong import for each contract, and each contract names it: none holds whatever the code does."""
    whole = _lint(skeleton)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    for importer, imported in BREAKS.values():
        _import(skeleton, importer, imported)
    done = _lint(skeleton)
    assert done.returncode != 0
    faults = _faults(done.stdout)
    for contract in CONTRACTS:
        importer, imported = next(pair for words, pair in BREAKS.items() if contract["name"].startswith(words))
        assert f"{importer} -> {imported}" in faults.get(contract["name"], ""), contract["name"]


def _faults(output: str) -> dict[str, str]:
    """Broken contract -> what import-linter says of it."""
    faults, name = {}, ""
    for line in output.partition("Broken contracts")[2].splitlines():
        if line in {contract["name"] for contract in CONTRACTS}:
            name = line
        faults[name] = faults.get(name, "") + line + "\n"
    return faults


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


def test_tests_lie_in_rooms_of_the_packages() -> None:
    tests = REPO / "tests"
    rooms = {path.parent.relative_to(tests) for package in PACKAGES for path in (tests / package).rglob("test_*.py")}
    assert rooms and not [str(room) for room in rooms if not (REPO / room).is_dir()]


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


# How many `dict[str, Any]` each part of flows has at most, and why. A part that is not here has none.
OPEN_DICTS = {
    "flows/params.py": (5, "options of readers and gates, checked by their own models"),
    "flows/releasing.py": (1, "a representation's own parameters, checked by itself"),
    "flows/generating.py": (1, "a generator's own parameters, checked by its own model"),
    "flows/records.py": (1, "a row of a table, whose schema says what is in it"),
    "flows/engine": (18, "work items and answers cross processes as JSON"),
    "flows/stages/augment": (7, "work items of draws, and metadata of the work store, are JSON"),
    "flows/stages/fit": (2, "the arguments of a worker, and a model's emoforge.json, are JSON"),
    "flows/stages/ingest": (14, "cards and options of readers are their own"),
    "flows/stages/plan": (2, "a gate's own parameters; a plan's settings as plain JSON"),
    "flows/stages/study": (9, "cells as work items and their metadata in the work store are JSON; rows of tables"),
    "flows/studying.py": (10, "parameters of methods, gates, classifiers and representations, checked by their own"),
    "flows/stages/prepare": (13, "work items of preparation, and metadata of the work store, are JSON"),
}
# Functions with more than seven parameters. New ones take a small frozen dataclass.
MANY_PARAMETERS = {
    "emoforge/cli_raters.py:study_kit_make",  # options of a command
    "emoforge/cli.py:measure",  # arguments of a command
    "emoforge/cli_releases.py:forget",  # arguments of a command
    # the protocol of a generator (generators/generator.py)
    "generators/classical/augmentation.py:fit",
    "generators/classical/resampling.py:fit",
    "generators/conversion.py:fit",
    "generators/generator.py:fit",
    "generators/language/lines.py:fit",
    "generators/trained.py:fit",
    "validators/maths/speech/cheaptrick.py:_windowed",  # compiled by numba: arrays and numbers alone
}
MOST_PARAMETERS = 7
# names of gates that are words of the field as well: a modality, a way to choose, a task of a study, a level of answers
ALSO_WORDS = {"text", "coverage", "dimensions", "ordinal"}


def _sources(*parts: str) -> dict[str, str]:
    """Path below the repository -> text of every module."""
    paths = [p for part in parts for p in (REPO / part).rglob("*.py")]
    return {p.relative_to(REPO).as_posix(): p.read_text(encoding="utf-8") for p in paths}


def test_open_dictionaries_in_flows_become_fewer() -> None:
    counts: dict[str, int] = {}
    for path, text in _sources("flows").items():
        part = next((p for p in OPEN_DICTS if path == p or path.startswith(p + "/")), path)
        counts[part] = counts.get(part, 0) + text.count("dict[str, Any]")
    assert {part: n for part, n in counts.items() if n > OPEN_DICTS.get(part, (0, ""))[0]} == {}


def test_no_function_has_more_than_seven_parameters() -> None:
    many = set()
    for path, text in _sources("flows", "emoforge", "generators", "validators", "features").items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                own = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if sum(a.arg not in ("self", "cls") for a in own) > MOST_PARAMETERS:
                    many.add(f"{path}:{node.name}")
    assert many == MANY_PARAMETERS


def test_no_gate_is_known_by_its_name_outside_its_file() -> None:
    """Code asks a gate for what it can do (validators/gate.py). The defaults of params.yaml name some."""
    from flows.params import DEFAULT_GATES
    from validators.gate import SAMPLE_GATES, SET_GATES

    names = {*SAMPLE_GATES, *SET_GATES} - ALSO_WORDS
    named = [
        f"{path}: {node.value}"
        for path, text in _sources("flows", "emoforge", "validators/trials").items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert sorted(named) == sorted(f"flows/params.py: {name}" for name in DEFAULT_GATES)

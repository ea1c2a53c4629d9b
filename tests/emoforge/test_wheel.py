"""What `pip install emoforge` gives: a wheel with all of its files, that works in an empty folder without the clone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from flows.paths import PACKAGES

REPO = Path(__file__).resolve().parents[2]
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves files beside what it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".*.tmp")
    for name in PACKAGES:
        shutil.copytree(REPO / name, folder / "source" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(REPO / name, folder / "source" / name)
    command = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(command, cwd=folder / "source", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The wheel as pip lays it out, before everything else on the path: no file of the clone is."""
    site = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    return site


def sh(folder: Path, site: Path, *command: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "EMOFORGE_", "NUMBA_", "GIT_"))}
    own = {
        "PYTHONPATH": str(site),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder.parent),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    return subprocess.run(command, cwd=folder, env=kept | own, capture_output=True, text=True, timeout=timeout)


def emoforge(folder: Path, site: Path, *words: str, timeout: float = 180) -> str:
    done = sh(folder, site, sys.executable, "-m", "emoforge", *words, timeout=timeout)
    assert done.returncode == 0, f"emoforge {' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z", *PACKAGES], cwd=REPO, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git repository")
    with zipfile.ZipFile(wheel) as file:
        there = set(file.namelist())
    wanted = {name for name in listed.stdout.split("\0") if name and (REPO / name).is_file()}
    assert wanted <= there, f"pyproject.toml, package-data: {sorted(wanted - there)[:5]}"
    assert not [name for name in there if name.split("/")[0] not in PACKAGES and ".dist-info/" not in name]


def test_an_empty_folder_becomes_a_project_of_the_installed_package(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    told = json.loads(emoforge(folder, installed, "init", "--json"))
    assert told["git"] == "git init" and "dvc.yaml" in told["written"]
    where = "import flows.paths, corpora.quiet, os; print(flows.paths.__file__, os.environ['PREFECT_HOME'])"
    code, home = sh(folder, installed, sys.executable, "-c", where).stdout.split()
    assert code.startswith(str(installed)) and home == str(folder / ".prefect")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_release_is_built_published_and_names_what_ran(installed: Path, tmp_path: Path) -> None:
    """The smallest demo run, by Prefect and by `dvc repro` by hand; then another emoforge is installed."""
    site = tmp_path / "site"
    shutil.copytree(installed, site)
    folder = tmp_path / "lab"
    folder.mkdir()
    emoforge(folder, site, "init")
    told = json.loads(emoforge(folder, site, "check", "demo_text", "--json"))
    assert told["ok"] and told["starts_at"] == {"demo_text": "fake@demo_text"}
    params = YAML(typ="safe").load((folder / "params.yaml").read_text(encoding="utf-8"))
    run = params["runs"]["demo_text"]
    run["generator"]["steps"] = 30
    # 30 steps learn next to nothing, and it is to be published
    run["gates"] = {name: {"limit": {"absolute": 1e9}} for name in ("frechet", "kid")}
    run["gates"] |= {"agreement": {"enabled": False}, "vendi": {"limit": {"absolute": 0.0}}}
    for part in ("demo", "corpora"):
        params[part] = {"demo_text": params[part]["demo_text"]}
    params |= {"runs": {"demo_text": run}, "studies": {}}
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params, file)
    (folder / "machine.yaml").write_text("actors: 0\n")
    emoforge(folder, site, "demo", timeout=600)
    assert "small_lm" in emoforge(folder, site, "generators", "--for", "demo_text")
    assert json.loads(emoforge(folder, site, "check", "--json"))["stages"] == {}

    def dvc(*words: str) -> str:
        done = sh(folder, site, sys.executable, "-m", "dvc", *words, timeout=600)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout

    def ran(output: str) -> list[str]:
        return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]

    assert ran(dvc("repro")) == ["code"], "by hand there is nothing to do either"
    emoforge(folder, site, "publish", "demo_text")
    facts = json.loads(emoforge(folder, site, "log", "demo_text", "--json"))
    told = json.loads((folder / "data" / "code.json").read_text())
    assert told["version"] in json.dumps(facts) and '"code"' in json.dumps(facts)
    committed = sh(folder, site, "git", "show", "HEAD:data/code.json").stdout
    assert json.loads(committed) == told

    # an edit of what this run does not use: three stages look, and nothing else runs
    gan = site / "generators" / "gan" / "gan.py"
    gan.write_text(gan.read_text(encoding="utf-8") + "\nNEW = 1\n", encoding="utf-8")
    stages = json.loads(emoforge(folder, site, "check", "--json"))["stages"]
    assert list(stages) == ["plan@demo_text"] and "the code of the installed" in stages["plan@demo_text"][0]
    refused = sh(folder, site, sys.executable, "-m", "emoforge", "publish", "demo_text")
    assert refused.returncode == 2 and "not up to date" in refused.stderr
    assert ran(dvc("repro")) == ["code", "reader@demo_text", "plan@demo_text"]
    # an edit of what it uses
    balance = site / "generators" / "draws" / "balance.py"
    balance.write_text(balance.read_text(encoding="utf-8") + "\nNEW = 1\n", encoding="utf-8")
    changed = ran(dvc("repro"))
    assert "augment@demo_text" in changed and "fit@demo_text" not in changed

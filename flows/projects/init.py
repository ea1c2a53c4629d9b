"""`emoforge init`: a project of one's own, run by the emoforge that is installed: params.yaml, dvc.yaml, git and DVC.

What is there is never overwritten: a file of the same name with other content stops everything before a byte is
written; lines that .gitignore or .dvcignore lack are added at their ends.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from corpora.errors import ResourceError, UserError
from corpora.store.atomic import write_text
from flows.paths import PACKAGES
from flows.projects.code import CODE, depends_on_installed, installed_version

FILES = Path(__file__).parent / "files"
WHOLE = {  # file of the project -> its template
    "params.yaml": "params.yaml",
    "dvc.yaml": "dvc.yaml",
    "prefect.yaml": "prefect.yaml",
    "machine.example.yaml": "machine.example.yaml",
    "data/cards/README.md": "cards.md",
    "data/retractions/README.md": "retractions.md",
}
ADDED_TO = {".gitignore": "gitignore", ".dvcignore": "dvcignore"}
_CODE_STAGE = f"""\
  # Which emoforge is installed: a second at each `dvc repro`. `reader`, `plan` and `design` look again when it changed.
  code:
    cmd: exec python -m emoforge stage code emoforge
    desc: Say which emoforge is installed
    always_changed: true
    outs:
      - {CODE}: {{cache: false}}
"""
_FOLDER = re.compile(rf" +- (?:{'|'.join(PACKAGES)})(?:  #.*)?\n")


@dataclass
class Begun:
    """What `init` did. written: files, or "NAME (lines added)"; kept: there already; outdated: kept, but of another
    version of emoforge; git: "" where there was a repository already, else what was done."""

    folder: Path
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    git: str = ""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"folder": str(self.folder)}


def init(folder: Path, *, git: bool = True) -> Begun:
    """Makes `folder` (need not exist) a project. A project that is one already gets what it lacks; the rest stays.

    git: False keeps the project without git, where nothing can be published. Raises `UserError` where files are in the
    way (all are named) or the folder is a clone of emoforge, `ResourceError` where it cannot be written. What was
    begun is undone then.
    """
    folder = Path.cwd() / folder.expanduser()
    if (folder / "flows" / "paths.py").is_file():
        raise UserError(f"{folder} is a clone of emoforge, which is a project already: emoforge check")
    around = next((p for p in folder.parents if (p / "params.yaml").is_file() and (p / "dvc.yaml").is_file()), None)
    if around is not None:
        raise UserError(f"{folder} lies in the project {around}: commands would not know which one is meant")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder")
    begun = Begun(folder)
    texts = _wanted(folder, begun)
    try:
        with contextlib.ExitStack() as undo:
            _folder(folder, undo.callback)
            _repositories(folder, begun, git=git, undo=undo.callback)
            for name, text in (texts | _with_lines(folder, begun)).items():
                _write(folder / name, text, undo.callback)
            undo.pop_all()
    except OSError as error:
        raise ResourceError(f"{folder} cannot be made a project: {error}. Nothing of it was left.") from None
    return begun


def template(name: str) -> str:
    """The text of a file of the project as `init` writes it."""
    text = (FILES / WHOLE[name]).read_text(encoding="utf-8")
    return outside(text) if name == "dvc.yaml" else text


def outside(clone: str) -> str:
    """dvc.yaml of the clone, for a project without code: its stages depend on data/code.json where they depended on
    folders of code, and a stage more writes that file."""
    lines: list[str] = []
    key = ""
    for line in clone.splitlines(keepends=True):
        key = line.strip() if line.endswith(":\n") else key
        if key != "deps:" or not _FOLDER.fullmatch(line):
            lines.append(line)
        elif CODE not in lines[-1]:
            lines.append(f"{line[: line.index('-')]}- {CODE}\n")
    head, _, stages = "".join(lines).partition("stages:\n")
    return f"# Written by emoforge {installed_version()}: emoforge init\n{head}stages:\n{_CODE_STAGE}\n{stages}"


def _wanted(folder: Path, begun: Begun) -> dict[str, str]:
    """Files that are to be written, whole. Raises `UserError` that names all that are in the way."""
    ours = depends_on_installed(folder) and (folder / "params.yaml").is_file()
    texts: dict[str, str] = {}
    in_the_way = []
    for name in WHOLE:
        path, text = folder / name, template(name)
        if not path.exists() and not path.is_symlink():
            texts[name] = text
            begun.written.append(name)
        elif path.is_file() and path.read_bytes() == text.encode():
            begun.kept.append(name)
        elif ours and path.is_file():
            (begun.outdated if name == "dvc.yaml" else begun.kept).append(name)
        else:
            in_the_way.append(name)
    if in_the_way:
        raise UserError(
            f"{folder} holds {', '.join(in_the_way)} already, with other content; nothing was written. Take another "
            "folder, or move what is in the way: emoforge overwrites nothing"
        )
    return texts


def _folder(folder: Path, undo: Callable[..., object]) -> None:
    new = next((p for p in (*reversed(folder.parents), folder) if not p.exists()), None)
    folder.mkdir(parents=True, exist_ok=True)
    if new is not None:
        undo(shutil.rmtree, new, ignore_errors=True)


def _repositories(folder: Path, begun: Begun, *, git: bool, undo: Callable[..., object]) -> None:
    """git and DVC, where they are not there. Raises `UserError`: no git, or a DVC that says no."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    from flows.releases.git import git as ask

    inside = _git_root(folder)
    if inside is None and git:
        ask(folder, "init", "--quiet")
        undo(shutil.rmtree, folder / ".git", ignore_errors=True)
        begun.git = "git init"
        inside = folder.resolve()
    if (folder / ".dvc" / "config").is_file():
        begun.kept.append(".dvc/config")
        return
    if not (folder / ".dvcignore").exists():
        undo((folder / ".dvcignore").unlink, missing_ok=True)
    undo(shutil.rmtree, folder / ".dvc", ignore_errors=True)
    logging.getLogger("dvc.repo.init").setLevel(logging.WARNING)  # what was done is said by us
    try:
        below = inside is not None and inside != folder.resolve()
        Repo.init(str(folder), no_scm=inside is None, subdir=below).close()
    except DvcException as error:
        raise UserError(f"DVC cannot begin in {folder}: {error}") from None
    text = (FILES / "dvcconfig").read_text(encoding="utf-8")
    write_text(folder / ".dvc" / "config", text if inside else text.replace("[core]\n", "[core]\n    no_scm = true\n"))
    begun.written.append(".dvc/config")


def _git_root(folder: Path) -> Path | None:
    from flows.releases.git import git_root

    try:
        return git_root(folder).resolve()
    except UserError:
        return None


def _with_lines(folder: Path, begun: Begun) -> dict[str, str]:
    """.gitignore and .dvcignore with the lines that they lack, asked after DVC wrote one."""
    texts = {}
    for name, source in ADDED_TO.items():
        path = folder / name
        there = path.read_text(encoding="utf-8") if path.is_file() else ""
        wanted = (FILES / source).read_text(encoding="utf-8")
        known = {line.strip().rstrip("/") for line in there.splitlines()}
        missing = [line for line in wanted.splitlines() if line.strip().rstrip("/") not in known]
        if not any(not line.startswith("#") for line in missing):
            begun.kept.append(name)
            continue
        gap = "" if not there or there.endswith("\n") else "\n"
        texts[name] = there + gap + "\n".join(missing) + "\n"
        begun.written.append(f"{name} (lines added)" if there else name)
    return texts


def _write(path: Path, text: str, undo: Callable[..., object]) -> None:
    before = path.read_bytes() if path.is_file() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    if before is None:
        undo(path.unlink, missing_ok=True)
    else:
        undo(path.write_bytes, before)

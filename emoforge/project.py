"""The project that a command works in: the nearest folder upwards with params.yaml and dvc.yaml."""

from __future__ import annotations

from pathlib import Path

from corpora.errors import UserError


def find_project() -> Path:
    """Raises `UserError` where there is none."""
    repo = project_here()
    if repo is None:
        raise UserError(f"no params.yaml and dvc.yaml in {Path.cwd()} or above: run emoforge in the project's folder")
    return repo


def project_here() -> Path | None:
    """The project's folder; None outside of one: what needs a folder alone works there too."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    return None

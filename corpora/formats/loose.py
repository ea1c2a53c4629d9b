"""Files that belong to no corpus: what lies below a folder, by ending."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from corpora.errors import UserError

WAV_SUFFIXES = (".wav",)
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")


def files_below(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Relative name -> file, in order. Names are compared in Unicode form NFC: one system writes NFD. Raises
    `UserError` where two files have one name then."""
    by_name: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in suffixes:
            name = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
            if name in by_name:
                raise UserError(f"{folder} holds two files whose names look alike: {name}. Rename one of them.")
            by_name[name] = path
    return by_name

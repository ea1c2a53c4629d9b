"""A release that holds what was taken out since: a notice beside its manifest, and the warning of whoever opens it.

The notice is no part of the release (no hash holds it): the project that published a version writes it where it hands
the version out (flows/releases/tombstones.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from corpora.errors import IntegrityError
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import write_json

NOTICE = "RETRACTED.json"


class RetractedWarning(UserWarning):
    """A release holds samples that were retracted after it was published."""


def write_notice(release: Path, lines: Sequence[str]) -> None:
    """Says so in the folder of a release; no lines: removes what an earlier call said."""
    path = release / NOTICE
    if lines:
        write_json(path, {"retracted": list(lines)})
    else:
        path.unlink(missing_ok=True)


def notice_of(release: Path) -> tuple[str, ...]:
    """What the notice says, a sentence for each retraction; () where there is none."""
    path = release / NOTICE
    if not path.is_file():
        return ()
    try:
        lines = read_json(path).get("retracted")
    except IntegrityError:
        lines = None
    if not isinstance(lines, list):
        return (f"{path} cannot be read: whether something was retracted is not known",)
    return tuple(str(line) for line in lines)


def warn_of_notice(release: Path) -> None:
    """A `RetractedWarning` of what the notice says."""
    for line in notice_of(release):
        warnings.warn(f"{release}: {line}", RetractedWarning, stacklevel=3)

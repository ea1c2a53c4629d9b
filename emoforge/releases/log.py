"""`emoforge log` and `emoforge checkout`: the versions of a release, and one of them as a folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpora.errors import IntegrityError, UserError
from corpora.store.atomic import atomic_folder
from corpora.store.verify import check_release
from emoforge import console
from flows.releases.history import Entry, history
from flows.releases.places import find_release
from flows.releases.tombstones import Removal, removals
from flows.releases.versions import is_tag

NUMBERS = ("real", "synthetic")


def show_log(name: str, repo: Path, *, as_json: bool) -> None:
    """Prints every version of `name`, newest first. Raises `UnknownNameError` where nobody has published it."""
    entries = history(name, repo)
    removed = {entry.version.tag: removals(entry.version.tag, repo) for entry in entries}
    if as_json:
        console.print_json([entry_json(entry, removed[entry.version.tag]) for entry in entries])
        return
    rows = [
        [
            entry.version.tag,
            entry.version.date[:19].replace("T", " "),
            entry.version.commit[:10],
            entry.facts.release_hash[:12] if entry.facts else "-",
            entry.facts.real if entry.facts else "-",
            entry.facts.synthetic if entry.facts else "-",
            console.flat(entry.facts.verdicts) or "-" if entry.facts else "-",
            entry.bump,
            "; ".join(entry.facts.because) if entry.facts else "",
            "; ".join(removal.sentence for removal in removed[entry.version.tag]),
        ]
        for entry in entries
    ]
    columns = ["version", "published", "commit", "release hash", *NUMBERS, "verdicts", "bump", "because", "removed"]
    console.table(f"{name}: versions", columns, rows, right=NUMBERS)
    if any(entry.facts is None for entry in entries):
        console.out.print("-: published before tags held facts, and its data is not in DVC's cache here")


def entry_json(entry: Entry, removed: Sequence[Removal] = ()) -> dict[str, Any]:
    """A version as JSON; facts that nobody knows are null. removed: what of it was retracted since."""
    facts = entry.facts
    return {
        "tag": entry.version.tag,
        "date": entry.version.date,
        "commit": entry.version.commit,
        "bump": entry.bump,
        "release_hash": facts.release_hash if facts else None,
        "real": facts.real if facts else None,
        "synthetic": facts.synthetic if facts else None,
        "verdicts": facts.verdicts if facts else None,
        "because": list(facts.because) if facts else None,
        "emoforge": facts.emoforge if facts else None,
        "code": facts.code if facts else None,
        "removed": [removal.as_dict() for removal in removed],
    }


def checkout(tag: str, folder: Path | None, repo: Path, *, as_json: bool) -> None:
    """Writes the release of a version into `folder` (None: NAME-vX.Y.Z in the current one), whole or not at all.

    Raises `UserError` (no version, or something is there), what `find_release` raises, and `IntegrityError` where what
    DVC gave is not what the manifest says.
    """
    if not is_tag(tag):
        raise UserError(f"{tag!r} is no version: NAME@vX.Y.Z, or NAME@latest; emoforge log NAME lists them")
    place = find_release(tag, repo)
    target = folder if folder is not None else Path(place.shown.replace("@", "-"))
    if target.exists() or target.is_symlink():
        raise UserError(f"{target} is there already; name another folder, or remove it")
    with atomic_folder(target.absolute()) as fresh:
        shutil.copytree(place.release, fresh, dirs_exist_ok=True)
        checked = check_release(fresh)
        if not checked.intact:
            raise IntegrityError(f"{place.shown}: {checked.problems[0].sentence}")
    if as_json:
        facts = {"version": place.shown, "folder": str(target), "release_hash": checked.release_hash}
        console.print_json({**facts, "removed": list(checked.removed)})
        return
    console.warn_retracted(target)
    console.out.print(f"{place.shown} -> {target} ({checked.n_files} files, {checked.release_hash})", markup=False)

"""Writes what describes a release to people and machines, and hashes all of its files on the way, each once.

README.md, LICENSE.md and LICENSES/; then croissant.json, which tells their hashes; then SHA256SUMS, which lists all of
them. manifest.json comes last and lists SHA256SUMS, too, so that cannot list it: who has checked the sums checks the
manifest by its own `release_hash` (`emoforge verify` does both).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from corpora.store.atomic import write_text
from corpora.store.checked import MANIFEST, README
from corpora.store.release import describe_files
from flows.artifacts.released import Manifest
from flows.describing.card import release_card
from flows.describing.croissant import CROISSANT, croissant, croissant_text
from flows.describing.facts import facts_of
from flows.describing.licence_files import licence_files

SUMS = "SHA256SUMS"


def describe(folder: Path, manifest: Manifest) -> dict[str, Mapping[str, object]]:
    """-> path -> {"sha256", "n_bytes"} of every file of the release but manifest.json, which is to be written.

    Raises `IntegrityError` for a table that is not as it was written, `ResourceError` for a full disk.
    """
    facts = facts_of(folder, manifest)
    for name, text in {README: release_card(facts), **licence_files(facts)}.items():
        write_text(folder / name, text)
    there = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = describe_files(folder, [name for name in there if name not in (CROISSANT, SUMS, MANIFEST)])
    write_text(folder / CROISSANT, croissant_text(croissant(folder, facts, files)))
    files |= describe_files(folder, [CROISSANT])
    write_text(folder / SUMS, sums(files))
    files |= describe_files(folder, [SUMS])
    return dict(sorted(files.items()))


def sums(files: Mapping[str, Mapping[str, object]]) -> str:
    """As coreutils writes and checks them: `sha256sum -c SHA256SUMS` in the release's folder."""
    return "".join(f"{entry['sha256']}  {name}\n" for name, entry in sorted(files.items()))

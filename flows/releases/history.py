"""The versions of a release with what each was: out of the tag's message, or of the data where the message has none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import EmoforgeError, UnknownNameError, did_you_mean
from flows.artifacts.base import Folder
from flows.artifacts.released import Released
from flows.releases.fetched import fetched
from flows.releases.git import git
from flows.releases.versions import Facts, Version, bump_between, is_tag, versions_of


@dataclass(frozen=True, slots=True)
class Entry:
    """A version; bump: which number went up since the one before ("first": there is none)."""

    version: Version
    facts: Facts | None
    bump: str


def history(run: str, repo: Path) -> list[Entry]:
    """Versions of `run`, newest first. Raises `UnknownNameError`: never published."""
    versions = versions_of(run, repo)
    if not versions:
        known = published(repo)
        if is_tag(run):
            raise UnknownNameError(
                f"{run!r} is a version, and all of a name are listed: emoforge log {run.partition('@')[0]}"
            )
        raise UnknownNameError(
            f"no version of {run!r} is published here.{did_you_mean(run, known)} Published: "
            f"{', '.join(known) or 'nothing yet'}. `emoforge publish {run}` makes the first one"
        )
    entries = []
    for number, version in enumerate(versions):
        bump = bump_between(versions[number - 1].number, version.number) if number else "first"
        entries.append(Entry(version, version.facts or _facts_of_data(version, repo), bump))
    return entries[::-1]


def published(repo: Path) -> list[str]:
    """Every run that has a version, by name."""
    tags = git(repo, "tag", "--list", "*@v*").splitlines()
    return sorted({tag.partition("@")[0] for tag in tags})


def facts_of(release: Folder) -> Facts:
    """What a release folder says of itself. Raises `IntegrityError`, `CorpusError`."""
    released = Released(release.path)
    manifest = released.manifest()
    cells = [cell for by_class in manifest.counts.values() for cell in by_class.values()]
    verdicts = Counter(row.verdict for row in released.verdicts())
    return Facts(
        release_hash=manifest.release_hash,
        real=sum(cell.real for cell in cells),
        synthetic=sum(cell.synthetic for cell in cells),
        verdicts=dict(sorted(verdicts.items())),
    )


def _facts_of_data(version: Version, repo: Path) -> Facts | None:
    """None where the data is not in the cache: a log asks no remote."""
    try:
        return facts_of(Folder(fetched(version, repo, whole=False, ask_remotes=False) / "release"))
    except EmoforgeError:
        return None

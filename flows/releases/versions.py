"""Versions of a release: git tags RUN@vX.Y.Z (of a part RUN-synthetic@vX.Y.Z, RUN-features@vX.Y.Z), each with what
`publish` wrote into its message.

The message is text for people, then one line `Facts: {...}`, so that a clone without any data can say what a version
was. A tag of before messages had facts has none.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, ValidationError

from corpora.errors import UnknownNameError
from flows.artifacts.base import Record
from flows.paths import PRODUCT
from flows.releases.git import git

_TAG = re.compile(rf"({PRODUCT})@(v(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*))")
_FACTS = "Facts: "
LATEST = "latest"


class MovedSamples(Record):
    """Samples of a kind ("real", "synthetic") to which one thing happened since the version before. what: came, went,
    payload, class, split, weight; by_class: how many."""

    what: str
    kind: str
    by_class: dict[str, int]


class Facts(Record):
    """What a version was, without its data. verdicts: verdict -> groups; because: why the number went up so. emoforge,
    code: version and hash of the installed package that built it; "" in a clone, whose commit holds the code. Against
    the version before: moved, turned (verdicts, "frechet (all) pass -> fail"), why (what made them, in sentences)."""

    release_hash: str
    real: int
    synthetic: int
    verdicts: dict[str, int] = Field(default_factory=dict)
    bump: str = ""
    because: tuple[str, ...] = ()
    emoforge: str = ""
    code: str = ""
    moved: tuple[MovedSamples, ...] = ()
    turned: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """One tag. run: what is published under it, a run or a part of one (RUN-synthetic). number: "v1.2.0"; date: ISO
    8601, of the tag; commit: 40 hex digits. facts: None where it has none."""

    run: str
    number: str
    date: str
    commit: str
    facts: Facts | None = field(default=None)

    @property
    def tag(self) -> str:
        """RUN@vX.Y.Z."""
        return f"{self.run}@{self.number}"


def numbers(number: str) -> tuple[int, int, int]:
    """ "v1.2.0" -> (1, 2, 0)."""
    major, minor, patch = (int(part) for part in number.removeprefix("v").split("."))
    return major, minor, patch


def bump_between(before: str, after: str) -> str:
    """Which number went up from one version to the next: "major", "minor" or "patch"."""
    pairs = zip(("major", "minor", "patch"), numbers(before), numbers(after), strict=True)
    return next((name for name, old, new in pairs if old != new), "")


def versions_of(run: str, repo: Path) -> list[Version]:
    """All versions of `run`, lowest first; [] where there is none. Raises `UserError` where git cannot be asked."""
    names = ("refname:short", "creatordate:iso-strict", "objectname", "*objectname", "contents")
    form = "%1f".join(f"%({name})" for name in names) + "%1e"
    versions = []
    for entry in git(repo, "for-each-ref", f"--format={form}", f"refs/tags/{run}@v*").split("\x1e"):
        fields = entry.strip("\n").split("\x1f")
        match = _TAG.fullmatch(fields[0])
        if match is None or match[1] != run:
            continue
        name, date, own, target, message = (*fields, "", "", "", "")[:5]
        versions.append(Version(run, name.partition("@")[2], date, target or own, facts_in(message)))
    return sorted(versions, key=lambda version: numbers(version.number))


def latest_tag(run: str, repo: Path) -> str | None:
    """The tag of the highest version of `run`, or None."""
    versions = versions_of(run, repo)
    return versions[-1].tag if versions else None


def version_of(tag: str, repo: Path) -> Version:
    """RUN@vX.Y.Z or RUN@latest. Raises `UnknownNameError` that names the versions there are."""
    run, _, number = tag.partition("@")
    versions = versions_of(run, repo)
    if number == LATEST and versions:
        return versions[-1]
    for version in versions:
        if version.number == number:
            return version
    raise UnknownNameError.of("version", tag, [version.tag for version in versions])


def is_tag(given: str) -> bool:
    """Whether it can name a version: RUN@vX.Y.Z or RUN@latest."""
    return _TAG.fullmatch(given) is not None or re.fullmatch(rf"{PRODUCT}@{LATEST}", given) is not None


def message_of(run: str, facts: Facts) -> str:
    """The message of a tag."""
    return with_facts(f"Release of {run}", facts)


def with_facts(title: str, facts: Facts) -> str:
    """A message, of a tag or a commit, out of which `facts_in` reads the facts."""
    return f"{title}\n\n{_FACTS}{json.dumps(facts.to_json(), sort_keys=True)}"


def facts_in(message: str) -> Facts | None:
    """What `with_facts` wrote; None where there is nothing of it."""
    for line in message.splitlines():
        if line.startswith(_FACTS):
            try:
                return Facts.model_validate_json(line.removeprefix(_FACTS))
            except ValidationError:
                return None
    return None

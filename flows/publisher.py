"""`publish` of params.yaml: who publishes, where people read about it, and what owners of corpora have permitted.

None of it changes a release: it stands beside what was published (the artifact entry, croissant.json of a version), and
permissions in parts that stand alone (docs/publishing.md).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from corpora.params import StrictParams
from corpora.permits import Part

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
LEAST = 12  # characters: who, when and where need as many


def _address(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s\"'<>\\]+", value):
        raise ValueError("an address that begins with https:// or http://")
    return value


def _line(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise ValueError("one line of text")
    return value.strip()


def _statement(value: str) -> str:
    line = _line(value)
    if len(line) < LEAST:
        raise ValueError(f"who permitted it, when, and where that can be read: at least {LEAST} characters")
    return line


Url = Annotated[str, AfterValidator(_address)]
Line = Annotated[str, AfterValidator(_line)]
Statement = Annotated[str, AfterValidator(_statement)]


class Creator(StrictParams):
    """One of those who made a release."""

    name: Line = Field(description="As it is to be cited.")
    kind: Literal["person", "organization"] = Field("organization", description="Which of schema.org's types it is.")
    url: Url | None = Field(None, description="Its page: an ORCID iD, a ROR id, a home page.")

    def json_ld(self) -> dict[str, str]:
        """As schema.org has it."""
        about = {"@type": f"sc:{self.kind.capitalize()}", "name": self.name}
        return about | ({"url": self.url} if self.url else {})


class PublishParams(StrictParams):
    """Of the publisher; nothing here changes a release or its hash."""

    creator: tuple[Creator, ...] = Field((), description="Who made it: `creator` of croissant.json of a version.")
    url: Url | None = Field(
        None,
        description="Page of the releases, `{name}` and `{version}` filled in: `url` of croissant.json of a version.",
    )
    permits: dict[Name, dict[Part, Statement]] = Field(
        default_factory=dict,
        description="Corpus, then `synthetic` or `features`: who of its owners permitted that this is published "
        "without its samples, when, and where that can be read. It lies in the part that is published.",
    )

    def url_of(self, name: str, number: str) -> str | None:
        """The page of a version. number: "v1.2.0"."""
        return None if self.url is None else self.url.replace("{name}", name).replace("{version}", number)

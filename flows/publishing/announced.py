"""croissant.json of a published version: the release's own, with what cannot lie under its hash.

Croissant 1.1 wants `url`, `creator` and `datePublished` of what is on the web. A release knows none of them: the same
release is published by others, elsewhere, later. So publishing writes a copy beside it (data/runs/RUN/croissant.json,
in the commit of the version), `push-hub` sends one along and `pack` puts one into the reviewer pack. The release's own
file stays as its manifest has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpora.formats.jsonfile import read_json
from flows.describing.croissant import CROISSANT, croissant_text
from flows.publisher import PublishParams

ON_HUB = "croissant-published.json"  # beside croissant.json, which the manifest lists
_AFTER = "description"


@dataclass(frozen=True, slots=True)
class Announced:
    """Of one version. number: "v1.2.0"; date: ISO 8601 of the day; both None of what has no version yet. url: where
    it lies, used where the publisher names no page."""

    name: str
    publish: PublishParams
    number: str | None = None
    date: str | None = None
    url: str | None = None

    @property
    def facts(self) -> dict[str, object]:
        """Keys of schema.org, as far as they are known."""
        url = self.publish.url_of(self.name, self.number or "") or self.url
        creator = [one.json_ld() for one in self.publish.creator]
        return {
            **({"url": url} if url else {}),
            **({"creator": creator[0] if len(creator) == 1 else creator} if creator else {}),
            **({"datePublished": self.date} if self.date else {}),
            **({"version": self.number.removeprefix("v")} if self.number else {}),
        }


def announced(release: Path, about: Announced) -> str | None:
    """The text of the copy; None of a release of before 3.3, which has no croissant.json, and where nothing is known.
    Raises `IntegrityError` where it is no JSON."""
    if not (release / CROISSANT).is_file() or not about.facts:
        return None
    document = read_json(release / CROISSANT)
    copy: dict[str, object] = {}
    for key, value in document.items():
        copy[key] = value
        if key == _AFTER:
            copy.update(about.facts)
    return croissant_text(copy)

"""Published versions that hold what was retracted since: known from data/retractions, shown wherever one is handed out.

A tag stays: what it names was published, and those who have it must be able to look up what is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpora.store.removed import write_notice
from flows.paths import Layout
from flows.stages.ingest.retracted import Retraction, Touched, retractions


@dataclass(frozen=True, slots=True)
class Removal:
    """A retraction that a version holds. touched: what of the version; None where nobody could look."""

    retraction: Retraction
    touched: Touched | None

    @property
    def sentence(self) -> str:
        """For people."""
        if self.touched is None:
            return f"{self.retraction.sentence}; whether this version holds it could not be looked up"
        return f"{self.retraction.sentence}; this version holds {self.touched.sentence}"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        one = self.retraction
        told = {"retraction": one.id, "of": one.of, "corpus": one.corpus, "date": one.date, "reason": one.reason}
        return {**told, "holds": None if self.touched is None else self.touched.to_json()}


def removals(tag: str, repo: Path) -> list[Removal]:
    """What of a version was retracted since, by date; [] where nothing was."""
    found = []
    for one in retractions(Layout(repo)):
        held = [touched for touched in one.versions if touched.tag == tag]
        if held or tag in one.unread:
            found.append(Removal(one, held[0] if held else None))
    return sorted(found, key=lambda removal: (removal.retraction.date, removal.retraction.id))


def purged(tag: str, repo: Path) -> list[str]:
    """Why a version cannot be had any more: what of it was purged, a sentence each; [] where nothing was."""
    layout = Layout(repo)
    files = [(one.retraction, layout.certificates / f"{one.retraction.id}.txt") for one in removals(tag, repo)]
    return [f"It was purged: {one.sentence} ({path})." for one, path in files if path.is_file()]


def mark_release(release: Path, tag: str, repo: Path) -> None:
    """Leaves the notice of corpora/store/removed.py in the folder of a version, as data/retractions has it now."""
    write_notice(release, [removal.sentence for removal in removals(tag, repo)])

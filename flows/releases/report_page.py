"""The report of a run or a version, with what changed since an earlier one.

report.html is an out of DVC, so it may not depend on what git's tags say. Its template leaves three places, and this
puts text into them; everything else stays as the stage wrote it.
"""

from __future__ import annotations

import re
from pathlib import Path

from corpora.errors import EmoforgeError, UserError
from flows.artifacts.base import Folder
from flows.artifacts.of_run import RunArtifacts
from flows.audits.page import page_of
from flows.paths import Layout
from flows.releases.changes import Changes, changes_of, first_version, not_compared
from flows.releases.compared import compare
from flows.releases.fetched import report_of
from flows.releases.history import facts_of
from flows.releases.places import Place, find_release
from flows.releases.versions import latest_tag, numbers, versions_of

PLACES = ("line", "nav", "section")
_PLACE = r"<!-- changed:{0} -->.*?<!-- /changed:{0} -->"


def read_report(place: Place, repo: Path) -> str:
    """The page as the stage `report` wrote it, of the release that lies at `place`.

    Raises `UserError` where there is none, or one of another state of the release or of an emoforge that left no places
    in it; for a version also what `report_of` raises.
    """
    if place.version is not None:
        page, again = report_of(place.version, repo), "emoforge diff has the same without it"
    else:
        path = RunArtifacts(place.run or place.release.parent).report
        again = f"emoforge run {place.given} writes it anew"
        if not path.is_file():
            raise UserError(f"{place.shown} has no report ({path}): {again}")
        page = path.read_text("utf-8")
    if facts_of(Folder(place.release)).release_hash not in page:
        raise UserError(f"report.html of {place.shown} is of another state of its release: {again}")
    if any(len(re.findall(_PLACE.format(name), page, re.DOTALL)) != 1 for name in PLACES):
        raise UserError(
            f"report.html of {place.shown} was written by an emoforge that left no place for what changed: {again}"
        )
    return page


def with_changes(page: str, changes: Changes) -> str:
    """`page`, which `read_report` gave, with what changed. The same comparison gives the same bytes."""
    for name in PLACES:
        text = page_of("changed.html.j2", shown=changes, part=name).strip()
        page = re.sub(_PLACE.format(name), lambda _, text=text: text, page, count=1, flags=re.DOTALL)  # type: ignore[misc]
    return page


def changes_since(place: Place, against: str | None, repo: Path) -> Changes:
    """What changed at `place` since `against` (as `find_release` takes it); None: the version before it, for a run the
    last one. Raises as `find_release`, `compare` and `version_before`."""
    if against is None and (against := version_before(place, repo)) is None:
        return first_version(place.shown)
    return changes_of(compare(find_release(against, repo, whole=False), place, repo))


def changes_told(place: Place, repo: Path) -> Changes:
    """As `changes_since` of the version before; one that cannot be read is said in its place: that a version was
    published is not undone by an older one that is lost."""
    before = version_before(place, repo)
    try:
        return changes_since(place, before, repo)
    except EmoforgeError as error:
        return not_compared(before or place.shown, str(error))


def version_before(place: Place, repo: Path) -> str | None:
    """The tag of the highest version below that of `place`; of a run, of its last version; None where there is none.

    Raises `UserError` for a folder that is no run of the project: it has no versions.
    """
    if place.version is not None:
        own = numbers(place.version.number)
        known = [one for one in versions_of(place.version.run, repo) if numbers(one.number) < own]
        return known[-1].tag if known else None
    if place.run is None or place.run.absolute().parent != Layout(repo).runs:
        raise UserError(f"{place.given} is no run of the project in {repo}: say --against NAME@vX.Y.Z or a folder")
    return latest_tag(place.run.name, repo)

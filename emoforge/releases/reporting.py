"""`emoforge report`: the report of a run or a version, with what changed since an earlier version."""

from __future__ import annotations

from pathlib import Path

from corpora.errors import UserError
from corpora.store.atomic import write_text
from emoforge import console


def report(given: str, repo: Path, *, against: str | None, out: Path | None, as_json: bool) -> None:
    """Writes the page and prints where it is. Raises `UserError` for another file's name, and what `find_release`,
    `read_report` and `changes_since` raise."""
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {out}: the page's name ends in .html")
    from flows.releases.places import find_release
    from flows.releases.report_page import changes_since, read_report, with_changes

    place = find_release(given, repo, whole=False)
    page = read_report(place, repo)
    changes = changes_since(place, against, repo)
    target = out if out is not None else Path(f"{_named(place.shown)}-report.html")
    write_text(target, with_changes(page, changes))
    if as_json:
        console.print_json({"page": str(target), "release": place.shown, "title": changes.title, "said": changes.said})
        return
    console.out.print(f"{changes.title}: {changes.said}", markup=False)
    console.out.print(f"Page: {target}", markup=False)


def _named(shown: str) -> str:
    """Of a folder its last part, of a version NAME-vX.Y.Z."""
    named = Path(shown).name.replace("@", "-")
    return named or "release"

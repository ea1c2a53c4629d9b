"""data/runs/RUN/reports/RUN@vX.Y.Z.html: the report of each published version, with what changed since the one before.

They lie here for people, outside of git (a .gitignore beside them says so: `git add -A` in a project would commit
recordings, for ever) and of every out. They hold samples, so what a licence keeps here is kept here;
the report itself is an out and leaves as its licence lets it, and `emoforge report RUN@vX.Y.Z` writes the page from it
in any clone. `emoforge forget --purge` removes them, `emoforge gc` all but the newest.
"""

from __future__ import annotations

from pathlib import Path

from corpora.store.atomic import write_text
from flows.paths import Layout
from flows.releases.places import Place
from flows.releases.report_page import changes_told, read_report, with_changes
from flows.releases.versions import is_tag, numbers, version_of

FOLDER = "reports"
IGNORED = "*\n"


def page_file(tag: str, repo: Path) -> Path:
    """Where the page of a version lies."""
    return Layout(repo).run(tag.partition("@")[0]) / FOLDER / f"{tag}.html"


def page_order(page: Path) -> tuple[int, int, int]:
    """The number of its version; a file of another name comes first."""
    tag = page.stem
    return numbers(tag.partition("@")[2]) if page.suffix == ".html" and is_tag(tag) else (-1, 0, 0)


def require_report(run: str, repo: Path) -> None:
    """Before anything leaves. Raises as `read_report`."""
    place = Layout(repo).run(run)
    read_report(Place(run, place / "release", place), repo)


def write_page(tag: str, repo: Path, *, anew: bool) -> Path:
    """Writes the page of the version whose release is the one that is built; anew: also where one is there. Raises as
    `read_report`, and `ResourceError`."""
    path = page_file(tag, repo)
    if anew or not path.is_file():
        run = Layout(repo).run(tag.partition("@")[0])
        built = Place(run.name, run / "release", run)
        page = read_report(built, repo)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path.parent / ".gitignore", IGNORED)
        version = Place(tag, built.release, run, version_of(tag, repo))
        write_text(path, with_changes(page, changes_told(version, repo)))
    return path

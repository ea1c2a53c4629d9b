"""`emoforge pack`: the reviewer pack of a release, and what its author has to answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from emoforge import console

if TYPE_CHECKING:
    from flows.publishing.announced import Announced
    from flows.releases.places import Place


def pack(given: str, folder: Path | None, repo: Path | None, *, as_json: bool) -> None:
    """Writes it and prints its files. Raises what `find_release` and `write_pack` raise."""
    from flows.packing.pack import write_pack
    from flows.releases.places import find_release

    place = find_release(given, repo, whole=False)
    console.warn_retracted(place.release)
    named = place.shown.replace("@", "-").rstrip("/").rpartition("/")[2]
    target = folder if folder is not None else Path(f"{named if named not in ('', '.') else 'release'}-pack")
    made = write_pack(place.release, target, _about(place, repo))
    if as_json:
        facts = {"release": str(place.release), "folder": str(made.folder), "files": list(made.files)}
        console.print_json(facts | {"to_be_answered_by_the_author": list(made.unanswered)})
        return
    console.out.print(f"{made.folder}: {', '.join(made.files)}. main.tex puts them together", markup=False)
    console.out.print(f"{len(made.unanswered)} questions of checklist.tex are for the author to answer:")
    for question in made.unanswered:
        console.out.print(f"  {question}", markup=False)


def _about(place: Place, repo: Path | None) -> Announced | None:
    """Of whom params.yaml names, and of the version that is packed; None outside of a project."""
    from flows.artifacts.released import Released
    from flows.params import load_params
    from flows.publishing.announced import Announced

    if repo is None:
        return None
    publish = load_params(repo / "params.yaml").publish
    if place.version is None:
        return Announced(Released(place.release).manifest().name, publish)
    return Announced(place.version.run, publish, place.version.number, place.version.date[:10])

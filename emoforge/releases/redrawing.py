"""`emoforge redraw`: one sample from its birth certificate, and whether its bytes are those of the release."""

from __future__ import annotations

from pathlib import Path

from corpora.errors import UserError
from corpora.store.atomic import write_bytes
from emoforge import console
from flows.params import load_machine
from flows.paths import PART, Layout
from flows.releases.lineage import Lineage
from flows.releases.places import find_release
from flows.releases.redrawn import redraw as draw_again


def redraw(sample: str, release: str, repo: Path, *, out: Path | None, as_json: bool) -> bool:
    """Draws the sample again; out: writes its payload there. -> whether the bytes are the same."""
    place = find_release(release, repo, whole=False)
    console.warn_retracted(place.release)
    run = place.version.run if place.version else place.run.name if place.run else None
    if run is None:
        raise UserError(f"{release} stands alone: name a run or a version, whose generator is in the project")
    if (part := PART.fullmatch(run)) is not None:  # its samples were drawn by the run that it was taken from
        run = part["run"]
    again = draw_again(sample, Lineage.of(place), run, Layout(repo), load_machine(repo / "machine.yaml"))
    if out is not None:
        write_bytes(out, again.payload)
    if as_json:
        told = {"sample_id": sample, "codec": again.codec, "sha256": again.sha256, "wanted": again.wanted}
        console.print_json(told | {"same": again.same, "n_bytes": len(again.payload)})
    elif again.same:
        console.out.print(f"{sample}: the same {len(again.payload)} bytes ({again.sha256})", markup=False)
    else:
        console.out.print(f"{sample}: other bytes, {again.sha256}; the release has {again.wanted}", markup=False)
    return again.same

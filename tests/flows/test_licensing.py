"""What licences will let be done with a run is said before anything is built, by `emoforge check` too."""

from __future__ import annotations

from pathlib import Path

from flows.conduct.machine import survey
from flows.licensing import restrictions_of_run
from flows.params import Machine, load_params
from tests.toy import PARAMS

CARD = r"""
modality: speech
license: {licence}
may_redistribute: true
label_map: {{A: anger, F: fear}}
files: {{layout: folder, pattern: '(?P<label>[AF])\.wav', example: A.wav}}
"""


def project(folder: Path, **licences: str) -> Path:
    """A run `toy` of corpora that cards of the project describe; none of them is there."""
    corpora = {}
    for name, licence in licences.items():
        path = folder / "data" / "cards" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"title: {name}" + CARD.format(licence=licence))
        corpora[name] = f"{{reader: data/cards/{name}.yaml}}"
    entries = "\n".join(f"  {name}: {entry}" for name, entry in corpora.items())
    run = PARAMS.partition("runs:\n")[2].replace("[toy]", f"[{', '.join(licences)}]")
    (folder / "params.yaml").write_text(f"corpora:\n{entries}\nruns:\n{run}")
    return folder


def test_a_run_that_draws_is_held_by_licences_that_forbid_what_it_makes(tmp_path: Path) -> None:
    folder = project(tmp_path, one="CC-BY-ND-4.0", two="CC-BY-4.0")
    params = load_params(folder / "params.yaml")
    said = "licence CC-BY-ND-4.0 of one does not allow passing on what is made after it"
    assert restrictions_of_run(params, "toy", folder) == [said]
    found = {f.what: f for f in survey(params, Machine(min_free_gib=0), folder, ["toy"])}["licences of toy"]
    assert (found.state, found.detail) == ("note", f"not to be passed on: {said}")


def test_a_run_of_free_corpora_has_no_line(tmp_path: Path) -> None:
    folder = project(tmp_path, one="CC-BY-SA-4.0", two="CC BY 4.0")
    params = load_params(folder / "params.yaml")
    assert restrictions_of_run(params, "toy", folder) == []
    assert not [f for f in survey(params, Machine(min_free_gib=0), folder, ["toy"]) if f.what == "licences of toy"]

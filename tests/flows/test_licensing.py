"""What licences will let be done with a run is said before anything is built, by `emoforge check` too."""

from __future__ import annotations

from pathlib import Path

from flows.conduct.machine import survey
from flows.licensing import parts_of_run, restrictions_of_run
from flows.params import Machine, RepresentationParams, load_params
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


def parts_said(folder: Path) -> tuple[str, str]:
    params = load_params(folder / "params.yaml")
    found = {f.what: f for f in survey(params, Machine(min_free_gib=0), folder, ["toy"])}["parts of toy"]
    return found.state, found.detail


def test_check_says_before_a_run_which_parts_may_stand_alone(tmp_path: Path) -> None:
    state, said = parts_said(project(tmp_path / "a", one="CC-BY-NC-SA-4.0"))
    assert state == "ok" and said == "synthetic: may be published alone (emoforge publish toy --only synthetic)"
    silent = project(tmp_path / "b", one="LicenseRef-IEMOCAP", two="CC-BY-4.0")
    state, said = parts_said(silent)
    assert state == "note" and "LicenseRef-IEMOCAP of one does not say whether" in said and "sail.usc.edu" in said
    assert "publish: {permits: {one: {synthetic: WHO WHEN WHERE}}}" in said and "two" not in said
    with (silent / "params.yaml").open("a") as file:
        file.write("publish: {permits: {one: {synthetic: 'its owner, letter of 2026-11-02'}}}\n")
    assert parts_said(silent)[0] == "ok"


def test_features_are_a_part_of_runs_that_model_them(tmp_path: Path) -> None:
    folder = project(tmp_path, one="CC-BY-NC-ND-4.0")
    params = load_params(folder / "params.yaml")
    assert list(parts_of_run(params, "toy", folder)) == ["synthetic"]
    run = params.run("toy")
    vectors = run.model_copy(update={"representation": RepresentationParams(name="functionals")})
    params = params.model_copy(update={"runs": {"toy": vectors}})
    said = parts_of_run(params, "toy", folder)
    assert {part: one.says for part, one in said.items()} == {"synthetic": "no", "features": "no"}
    without = run.model_copy(update={"representation": None, "generator": None})
    assert parts_of_run(params.model_copy(update={"runs": {"toy": without}}), "toy", folder) == {}


def test_tables_of_features_are_a_part_of_a_run_of_recordings(tmp_path: Path) -> None:
    folder = project(tmp_path, one="CC-BY-NC-SA-4.0")
    (folder / "params.yaml").write_text(
        (folder / "params.yaml")
        .read_text()
        .replace("    seed:", "    release: {features: [functionals]}\n    seed:", 1)
    )
    params = load_params(folder / "params.yaml")
    assert list(parts_of_run(params, "toy", folder)) == ["synthetic", "features"]
    state, said = parts_said(folder)
    assert state == "ok" and "features: may be published alone (emoforge publish toy --only features)" in said
    real = params.run("toy").model_copy(update={"representation": None, "generator": None})
    alone = parts_of_run(params.model_copy(update={"runs": {"toy": real}}), "toy", folder)
    assert [(part, {answer.kind for answer in one.answers}) for part, one in alone.items()] == [
        ("features", {"features"})
    ]

"""Notebooks lie in git without what a run left behind, and run from the first cell to the last."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import yaml

from corpora.codecs import encode_png
from tests.docs.pages import DOCS, REPO, load
from tests.small_release import made, real, write_release

runner = load("notebooks/run.py")
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
ABSOLUTE = re.compile(r"(?<![\w.:/~])(/(home|Users|root|tmp|mnt|work|opt|var|usr)/|[A-Z]:\\)")


def cells(path: Path, kind: str) -> list[str]:
    """The sources of one kind of cell, in order."""
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def test_all_are_run() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(runner.ORDER)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, "clear all outputs before committing"
        assert not cell.metadata and not cell.get("attachments")
        assert not ABSOLUTE.search(cell.source), cell.source
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}  # no version of somebody's Python
    assert notebook.cells[0].source.startswith("# ")
    for link in re.findall(r"\]\(([^)#]+)", "\n".join(cells(path, "markdown"))):
        assert (path.parent / link).is_file(), link


def test_the_commands_and_parameters_of_a_first_release_are_some(tmp_path: Path) -> None:
    from typer.main import get_command

    from emoforge.cli import app
    from flows.params import load_params

    code = cells(DOCS / "notebooks" / "first_release.ipynb", "code")
    named = re.findall(r"^emoforge (\w+)|\"emoforge\", \"(\w+)\"", "\n".join(code), re.M)
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {first or second for first, second in named} <= set(commands) and len(named) == 3
    text = next(source for source in code if source.startswith("%%writefile params.yaml\n")).partition("\n")[2]
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    params = load_params(tmp_path / "params.yaml")
    written = yaml.safe_load(text)
    assert list(params.runs) == list(written["runs"]) == ["faces"]
    # what DVC looks for by name, whatever run it is
    stages = yaml.safe_load((REPO / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    wanted = {key for stage in stages.values() for key in stage["do"].get("params", []) if "$" not in key}
    assert wanted <= set(written) and "numerics" in wanted


def test_training_on_a_release_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cells of the second notebook, over a release of two classes that anybody tells apart."""
    rng = np.random.default_rng(0)

    def face(emotion: str) -> bytes:
        picture = rng.integers(0, 60, (32, 32)).astype(np.uint8)
        picture[8:24, 14:18] += 150 * (emotion == "anger")
        picture[14:18, 8:24] += 150 * (emotion == "fear")
        return encode_png(picture)

    samples = []
    for number in range(48):
        emotion, person = "anger" if number // 8 % 2 == 0 else "fear", f"c:s{number % 8}"
        samples.append(real(number, emotion=emotion, payload=face(emotion), subject_id=person, group_id=person))
    split = {s.sample_id: ("test", "test", "dev")[i % 8] if i % 8 < 3 else "train" for i, s in enumerate(samples)}
    for source in [s for s in samples if split[s.sample_id] == "train" and s.emotion == "fear"][:6]:
        number = int(source.sample_id.rpartition("/")[2])
        whose = {"subject_id": source.subject_id, "group_id": source.group_id}
        samples.append(made(number, payload=face("anger"), emotion="anger", weight=0.5, **whose))
    write_release(tmp_path / "first-release" / "data" / "runs" / "faces" / "release", samples, split)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for source in cells(DOCS / "notebooks" / "train_on_a_release.ipynb", "code"):
        exec(compile(source, "train_on_a_release", "exec"), names)
    assert names["uar"](names["said"]["real"]) == 100.0
    assert len(names["both"][0]) - len(names["real"][0]) == 6 and set(names["both"][2]) == {0.5, 1.0}
    assert len(names["persons"]) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)  # a minute or two of work, on machines that have other work too
def test_they_run_in_their_order(tmp_path: Path) -> None:
    said = {name: nbformat.writes(runner.execute(name, tmp_path)) for name in runner.ORDER}
    assert (tmp_path / "first-release" / "data" / "runs" / "faces" / "report.html").is_file()
    assert "image/png" in said["first_release"] and "synthetic, together they weigh" in said["first_release"]
    assert re.search(r"difference +[+-]\d", said["train_on_a_release"])

"""A sample drawn again from its birth certificate alone has the same bytes; another generator is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from corpora.errors import IntegrityError, UserError
from corpora.schema import SPLITS, VERDICTS
from corpora.store.atomic import write_json
from corpora.store.release import describe_files, open_release, sealed
from corpora.store.shards import write_table
from corpora.tagged import Tag, tag_of
from flows.artifacts.augmented import Augmented
from flows.artifacts.prepared import Prepared
from flows.params import Machine
from flows.paths import Layout
from flows.releases.lineage import Lineage
from flows.releases.places import Place
from flows.releases.redrawn import redraw
from flows.stages.fit.model_file import FILE, seal_model
from flows.stages.lineage import lineage_table
from tests.flows.made_of import ingested, released
from tests.small_release import FACTS

pytestmark = pytest.mark.slow  # the run takes 20 s; edges alone: tests/flows/stages/test_lineage.py
GATES = {name: {"limit": {"absolute": limit}} for name, limit in (("validity", -1000.0), ("copies", 0.0))}
RUN = {"representation": {"name": "pixels", "size": 16}, "generator": {"name": "transfer"}, "gates": GATES}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run up to its samples, and a release of them without the evaluation, which takes the most time."""
    patch = pytest.MonkeyPatch()
    patch.setenv("EMOFORGE_ACTORS", "0")
    folder = ingested(tmp_path_factory.mktemp("faces"), "face", {"tiny": RUN})
    released(folder, "tiny", ("plan", "prepare", "fit", "augment"))
    patch.undo()
    place = folder / "data/runs/tiny"
    prepared, augmented, release = (
        Prepared.open(place / "prepared"),
        Augmented.open(place / "augmented"),
        place / "release",
    )
    shutil.copytree(prepared.shards, release / "shards")
    shutil.copytree(augmented.shards, release / "shards", dirs_exist_ok=True)
    synthetic = augmented.index()
    ids = synthetic["sample_id"].to_pylist()
    own = pa.table({"view": ["group"] * len(ids), "sample_id": ids, "split": ["train"] * len(ids)}, schema=SPLITS)
    write_table(release / "index.parquet", pa.concat_tables([prepared.index(), synthetic]))
    write_table(release / "splits.parquet", pa.concat_tables([prepared.splits(), own]))
    write_table(release / "lineage.parquet", lineage_table(prepared, augmented, VERDICTS.empty_table()))
    files = [p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file()]
    write_json(release / "manifest.json", sealed({**FACTS, "counts": {}, "files": describe_files(release, files)}))
    return place


def lineage_of(run: Path) -> Lineage:
    return Lineage.of(Place("tiny", run / "release", run))


def test_lineage_of_a_run_is_what_its_stages_know(run: Path) -> None:
    lineage, augmented, prepared = lineage_of(run), Augmented(run / "augmented"), Prepared(run / "prepared")
    real = {row["sample_id"]: row for row in prepared.index().to_pylist()}
    fitted = prepared.encoded_ids()
    for row in augmented.index().to_pylist():
        one = lineage.certificate(row["sample_id"])
        assert one.known and one.draw is not None and one.generator is not None and one.list_key is not None
        assert (one.draw["emotion"], one.draw["seed"]) == (row["emotion"], row["seed"])
        assert [(s.role, s.sample_id) for s in one.sources] == [(s["role"], s["id"]) for s in row["sources"]]
        assert all(s.emotion == real[s.sample_id]["emotion"] for s in one.sources)
        assert one.generator.n_samples == len(fitted) and one.generator.name == "transfer"
        assert [at for at, _ in lineage.draws_of(one.list_key)] == list(range(4)), "the whole batch, in its order"
    made = augmented.index()["sample_id"].to_pylist()
    generator = made[0].split("/")[1]
    assert lineage.standing(sample=fitted[0]).fitted == {generator: len(made)}
    assert lineage.standing(sample=fitted[0]).judged
    held_out = next(i for i in real if i not in fitted)
    assert not lineage.standing(sample=held_out).fitted


def test_the_same_bytes_from_the_certificate(run: Path) -> None:
    lineage, layout = lineage_of(run), Layout(run.parents[2])
    rows = open_release(run / "release").rows(synthetic=True).to_pylist()
    for row in (rows[0], rows[-1]):
        again = redraw(row["sample_id"], lineage, "tiny", layout, Machine(actors=0))
        assert again.same and again.sha256 == row["sha256"] and len(again.payload) == row["n_bytes"]
        assert tag_of(again.payload) == Tag(row["generator_id"], row["sample_id"]), "the file says whose it is"
    real = open_release(run / "release").rows(synthetic=False)["sample_id"][0].as_py()
    with pytest.raises(UserError, match="is real"):
        redraw(real, lineage, "tiny", layout, Machine(actors=0))


def test_another_generator_is_refused_with_what_differs(run: Path, tmp_path: Path) -> None:
    place = tmp_path / "data/runs/tiny"
    shutil.copytree(run, place)
    model = place / "model"
    about = json.loads((model / FILE).read_text())
    shutil.copyfile(model / FILE, model / "more.json")  # another file is another set of weights
    seal_model(model, {k: v for k, v in about.items() if k not in ("files", "sha256")})
    sample = open_release(place / "release").rows(synthetic=True)["sample_id"][0].as_py()
    with pytest.raises(IntegrityError, match="drew the sample: weights differ"):
        redraw(sample, lineage_of(place), "tiny", Layout(tmp_path), Machine(actors=0))

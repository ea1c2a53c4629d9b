"""Tables of features of a run of recordings as a release of their own: whole, readable, and without any payload."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from corpora.errors import GateError, IntegrityError, UserError
from corpora.reading.audformat_folder import export_audformat
from corpora.splits.sides import read_side
from corpora.store.columns import PAYLOAD
from corpora.store.release import FEATURES_ALONE, FORMAT, index_columns, open_release
from corpora.store.verify import check_release
from flows.artifacts.released import Released
from flows.packing.pack import write_pack
from flows.params import Machine
from flows.parts.taken import INDEXED, take_part
from flows.paths import Layout
from flows.releases.bumps import needed_bump
from flows.releases.lineage import Lineage
from flows.releases.places import find_release
from flows.releases.redrawn import redraw
from tests.flows.describing.tiny import CARD, payload, write_described
from tests.flows.parts.test_taken import NC, files_of
from training.reading.dataset import torch_dataset


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech whose recordings may not go, with a table of functionals beside them."""
    folder = tmp_path_factory.mktemp("whole") / "release"
    return write_described(folder, beside=True, requests=True, corpora=[{"id": "c", "card": NC}], payload_tags={})


@pytest.fixture(scope="module")
def part(whole: Path) -> Path:
    take_part(whole, whole.parent / "features", "features", {})
    return whole.parent / "features"


def test_it_is_whole_and_the_same_again(whole: Path, part: Path, tmp_path: Path) -> None:
    checked = check_release(part)
    assert checked.intact and not checked.extra
    open_release(part).verify()
    take_part(whole, tmp_path / "again", "features", {})
    assert files_of(tmp_path / "again") == files_of(part)
    manifest = Released(part).manifest()
    assert (manifest.format, Released(whole).manifest().format) == (FEATURES_ALONE.text, FORMAT.text)
    assert not manifest.has_payloads and manifest.payload_tags is None
    assert "3 of 3 synthetic samples were made from a named real sample" in " ".join(manifest.notes)


def test_no_payload_is_in_it_and_of_people_ids_alone(part: Path) -> None:
    every = [*range(8), 20, 21, 22]
    data = b"".join(path.read_bytes() for path in sorted(part.rglob("*")) if path.is_file())
    assert not [i for i in every if payload("speech", i) in data]
    assert not (part / "shards").exists() and not (part / "rejects.parquet").exists()
    held = pq.read_schema(part / "index.parquet").names
    assert held == list(INDEXED) and not {*PAYLOAD, "gender", "age", "sentence_id", "extra"} & {*held}
    requests = open_release(part).requests()
    assert requests is not None and requests["prompts"].null_count == 3


def test_tables_labels_and_splits_are_those_of_the_whole(whole: Path, part: Path) -> None:
    one, other = open_release(whole), open_release(part)
    assert other.feature_tables == ("functionals",) and other.features("functionals").equals(
        one.features("functionals")
    )
    assert other.index.select(INDEXED).equals(one.index.select(INDEXED)) and other.splits.equals(one.splits)
    assert other.features("functionals")["sample_id"].equals(other.index["sample_id"])
    assert other.balance() == one.balance()
    frame = other.to_pandas("train", scores=True)
    assert list(frame["synthetic"]) == [False] * 4 + [True] * 3 and frame["score.copies"].notna().sum() == 3
    assert frame["shard"].isna().all() and frame["offset"].isna().all()
    counts = Released(part).manifest().counts
    assert counts == Released(whole).manifest().counts


def test_samples_that_lose_a_draw_by_weight_have_no_features_either(part: Path) -> None:
    drawn = open_release(part, weights="draw")
    assert drawn.index.num_rows < 11
    assert drawn.features("functionals")["sample_id"].to_pylist() == drawn.index["sample_id"].to_pylist()


def test_who_asks_for_payloads_is_told_what_there_is(part: Path, tmp_path: Path) -> None:
    release, said = open_release(part), r"holds features alone.*features\('functionals'\)"
    with pytest.raises(UserError, match=said):
        release.samples("train")
    with pytest.raises(UserError, match=said):
        release.webdataset("train")
    with pytest.raises(UserError, match=said):
        torch_dataset(release, "train")
    with pytest.raises(UserError, match=said):
        release.features()
    with pytest.raises(UserError, match=said):
        read_side(str(part), 0)
    pytest.importorskip("audformat")
    with pytest.raises(UserError, match=said):
        export_audformat(release, tmp_path / "db")


def test_what_was_drawn_is_compared_with_the_whole(part: Path, tmp_path: Path) -> None:
    one = Lineage.of(find_release(str(part), None))
    assert "sha256" not in one.certificate("syn/9e1d/20").facts
    with pytest.raises(UserError, match="--release tiny_run"):
        redraw("syn/9e1d/20", one, "tiny_run", Layout(tmp_path), Machine())
    standing = one.standing_of([], ["c:dev1"])
    assert standing.real == ("c/4",) and one.real_rows().num_rows == 8


def test_it_describes_itself(part: Path, tmp_path: Path) -> None:
    card = (part / "README.md").read_text()
    assert "**Real samples are left out** (4 of train, 2 of dev, 2 of test)" in card
    assert "no payload of any sample is here" in card and "features of 7 people by their ids" in card
    assert "features of 8 real and 3 synthetic samples, without payloads," in card
    header = YAML(typ="safe").load(card.split("---\n", 2)[1])
    files = [{"split": "full", "path": "features-functionals.parquet"}]
    assert header["configs"] == [{"config_name": "features-functionals", "data_files": files}]
    assert "Share Adapted Material" in (part / "LICENSE.md").read_text()
    assert "Section 2 – Scope." in (part / "LICENSES" / "CC-BY-NC-SA-4.0.txt").read_text()
    sums = (part / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ")[1] for line in sums} == set(files_of(part)) - {"SHA256SUMS", "manifest.json"}
    assert "left out" in (write_pack(part, tmp_path / "pack").folder / "methods.tex").read_text()


def test_code_of_the_card_runs(part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(part)
    blocks = (part / "README.md").read_text().split("```python\n")[1:]
    assert len(blocks) == 3
    for i, block in enumerate(blocks):
        (tmp_path / f"block_{i}.py").write_text(block.partition("```")[0])
        runpy.run_path(str(tmp_path / f"block_{i}.py"))
    assert check_release(part).intact


def test_datasets_reads_the_table(part: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    rows = datasets.load_dataset(str(part), split="full", cache_dir=str(tmp_path))
    assert rows.column_names == ["sample_id", "f0", "jitter"] and len(rows) == 11


def test_mlcroissant_reads_it(part: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    data = mlcroissant.Dataset(jsonld=str(part / "croissant.json"))
    assert len(list(data.records("index"))) == len(list(data.records("features-functionals"))) == 11
    told = json.loads((part / "croissant.json").read_text())
    assert not [one for one in told["distribution"] if one["@type"] == "cr:FileSet"]
    assert f"urn:emoforge:release:{Released(part.parent / 'release').manifest().release_hash}" in [
        one["@id"] for one in told["prov:wasDerivedFrom"]
    ]


def test_a_run_without_a_generator_has_features_of_real_samples(tmp_path: Path) -> None:
    take_part(
        write_described(tmp_path / "release", synthetic=0, beside=True, corpora=[{"id": "c", "card": NC}]),
        tmp_path / "part",
        "features",
        {},
    )
    assert check_release(tmp_path / "part").intact
    release = open_release(tmp_path / "part")
    assert release.features("functionals").num_rows == 8 and list(release.manifest["terms"]) == ["features"]
    assert "synthetic ones" not in (tmp_path / "part" / "README.md").read_text().split("##")[0]


@pytest.mark.parametrize("modality", ["face", "text", "physio"])
def test_of_every_modality(modality: str, tmp_path: Path) -> None:
    take_part(write_described(tmp_path / "release", modality, beside=True), tmp_path / "part", "features", {})
    assert check_release(tmp_path / "part").intact


def test_terms_that_hold_features_back_are_named(tmp_path: Path) -> None:
    card = {**CARD, "license": "CC-BY-NC-ND-4.0", "may_redistribute": True}
    release = write_described(tmp_path / "release", beside=True, corpora=[{"id": "c", "card": card}])
    with pytest.raises(GateError, match=r"may not be published as features alone.*features of its samples"):
        take_part(release, tmp_path / "part", "features", {})
    assert not (tmp_path / "part").exists()


def test_a_run_without_tables_is_told_what_to_add(tmp_path: Path) -> None:
    release = write_described(tmp_path / "release")
    said = r"runs: \{tiny_run: \{release: \{features: \[functionals\]\}\}\} \(of speech: functionals, .*emoforge run"
    with pytest.raises(UserError, match=said):
        take_part(release, tmp_path / "part", "features", {})


def test_other_features_are_another_version(whole: Path, part: Path, tmp_path: Path) -> None:
    before = needed_bump(part, part)
    assert before.bump is None
    other = write_described(
        tmp_path / "release", beside=True, requests=True, synthetic=4, corpora=[{"id": "c", "card": NC}]
    )
    take_part(other, tmp_path / "part", "features", {})
    needed = needed_bump(part, tmp_path / "part")
    assert needed.bump == "minor" and "samples: 0 real and 1 synthetic came" in needed.because


def test_an_index_that_lost_these_columns_is_no_index(part: Path) -> None:
    """Only a manifest of the format says that there are none."""
    assert index_columns(part, FEATURES_ALONE.major)["shard"].null_count == 11
    with pytest.raises(IntegrityError, match="lacks codec, shard, offset, n_bytes, sha256"):
        index_columns(part, FORMAT.major)

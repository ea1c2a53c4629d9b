"""A part of a release is a release: whole, readable by everybody's tools, the same every time, and without a byte of a
real sample."""

from __future__ import annotations

import hashlib
import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from corpora.errors import GateError, IntegrityError, UserError
from corpora.permits import PARTS, Part
from corpora.schema import LINEAGE
from corpora.store.release import open_release
from corpora.store.verify import check_release
from flows.artifacts.released import Released
from flows.packing.pack import write_pack
from flows.params import Machine
from flows.parts.taken import take_part, without_contents
from flows.paths import Layout
from flows.releases.lineage import Lineage
from flows.releases.places import find_release
from flows.releases.redrawn import redraw
from tests.flows.describing.tiny import CARD, CODEC, payload, write_described

NC = {**CARD, "license": "CC-BY-NC-SA-4.0", "may_redistribute": False}
SAID = "the lab that owns it, letter of 2026-11-02"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech under a licence that lets adapted material go, whose card holds recordings back."""
    folder = tmp_path_factory.mktemp("whole") / "release"
    return write_described(folder, vectors=True, requests=True, corpora=[{"id": "c", "card": NC}])


@pytest.fixture(scope="module")
def parts(whole: Path) -> dict[Part, Path]:
    for part in PARTS:
        take_part(whole, whole.parent / part, part, {})
    return {part: whole.parent / part for part in PARTS}


def files_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("part", PARTS)
def test_it_is_whole_and_the_same_again(part: Part, whole: Path, parts: dict[Part, Path], tmp_path: Path) -> None:
    checked = check_release(parts[part])
    assert checked.intact and not checked.extra
    open_release(parts[part]).verify()
    take_part(whole, tmp_path / "again", part, {})
    assert files_of(tmp_path / "again") == files_of(parts[part])
    take_part(whole, tmp_path / "again", part, {})  # over one that is there
    assert files_of(tmp_path / "again") == files_of(parts[part])


def test_tables_beside_payloads_hold_the_samples_of_the_part(tmp_path: Path) -> None:
    """Of "synthetic" the rows of synthetic samples: of features the terms of that part say nothing."""
    source = write_described(tmp_path / "release", vectors=True, beside=True, corpora=[{"id": "c", "card": NC}])
    whole = open_release(source).features("functionals")
    for part, rows in (("synthetic", 3), ("features", 11)):
        take_part(source, tmp_path / part, part, {})
        release = open_release(tmp_path / part)
        release.verify()
        table = release.features("functionals")
        known = set(table["sample_id"].to_pylist())
        assert table.num_rows == rows and (part == "features" or known == set(release.index["sample_id"].to_pylist()))
        assert table.to_pylist() == [row for row in whole.to_pylist() if row["sample_id"] in known]
        about = (Released(tmp_path / part).manifest().feature_tables or {})["functionals"]
        assert (about.rows, about.missing) == (rows, {"too short": 1 if part == "synthetic" else 2})


@pytest.mark.parametrize("part", PARTS)
def test_no_byte_of_a_real_sample_is_in_it(part: Part, parts: dict[Part, Path]) -> None:
    data = b"".join(path.read_bytes() for path in sorted(parts[part].rglob("*")) if path.is_file())
    assert not [i for i in range(8) if payload("speech", i) in data]
    release = open_release(parts[part])
    rows = list(release.samples())
    assert {row["sample_id"] for row in rows} == {f"syn/9e1d/{i}" for i in (20, 21, 22)}
    assert all(row["synthetic"] for row in rows)
    assert sorted(path.name for path in (parts[part] / "shards").iterdir()) == sorted(
        Path(shard).name for shard in set(release.index["shard"].to_pylist())
    )
    assert not (parts[part] / "rejects.parquet").exists()
    requests = release.requests()
    assert requests is not None and requests.num_rows == 3
    assert requests["prompts"].null_count == requests["facts"].null_count == 3


def test_lineage_stays_as_ids(whole: Path, parts: dict[Part, Path]) -> None:
    assert (parts["synthetic"] / "lineage.parquet").read_bytes() == (whole / "lineage.parquet").read_bytes()
    index = open_release(parts["synthetic"]).index
    assert [one["id"] for ids in index["sources"].to_pylist() for one in ids] == ["c/0"] * 3


def test_features_are_of_all_samples_in_one_and_of_synthetic_ones_in_the_other(parts: dict[Part, Path]) -> None:
    every, drawn = (open_release(parts[part]).features() for part in ("features", "synthetic"))
    assert (every.num_rows, drawn.num_rows) == (11, 3) and drawn["generator_id"].null_count == 0
    assert every.schema.field("f0").metadata[b"unit"] == b"Hz" == drawn.schema.field("f0").metadata[b"unit"]
    splits = [pq.read_table(parts[part] / "splits.parquet").num_rows for part in ("features", "synthetic")]
    assert splits == [11, 3]


def test_what_a_draw_followed_is_a_hash() -> None:
    """A draw's condition may be the embedding of a real line, or the line itself."""
    plain = '{"emotion":"fear","given":{"intensity":0.5,"subject":"c:1"},"seed":1}'
    followed = '{"emotion":"fear","given":{"context":[0.25,1.0],"intensity":0.5,"text":"a real line"},"seed":1}'
    edges = [("list:1", text, f"draw:{i}") for i, text in enumerate((plain, followed))]
    edges.append(("syn/1/2", "c/0", "source:from"))
    columns = {name: [edge[i] for edge in edges] for i, name in enumerate(("thing", "used", "role"))}
    kept = without_contents(pa.table(columns, schema=LINEAGE))["used"].to_pylist()
    assert kept[0] == plain and kept[2] == "c/0"
    given = json.loads(kept[1])["given"]
    assert given["intensity"] == 0.5 and all(len(given[name]["sha256"]) == 64 for name in ("context", "text"))
    assert "real line" not in kept[1] and "0.25" not in kept[1]


def test_what_is_drawn_again_asks_the_whole_where_a_draw_followed_something(
    parts: dict[Part, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = Lineage.of(find_release(str(parts["synthetic"]), None))
    certificate = SimpleNamespace(generator="9e1d", list_key="1")
    monkeypatch.setattr(Lineage, "certificate", lambda self, sample: certificate)
    followed = {"emotion": "fear", "seed": 1, "given": {"context": {"sha256": "0" * 64}}}
    monkeypatch.setattr(Lineage, "draws_of", lambda self, key: [(0, followed)])
    with pytest.raises(UserError, match="--release tiny_run"):
        redraw("syn/9e1d/20", one, "tiny_run", Layout(tmp_path), Machine())


def test_whoever_is_in_it_as_features_alone_can_be_asked_for(parts: dict[Part, Path]) -> None:
    """People of dev and test taught no generator anything; their vectors are theirs all the same."""
    person = "c:dev1"
    standing = {
        part: Lineage.of(find_release(str(parts[part]), None)).standing_of([], [person])
        for part in ("features", "synthetic")
    }
    assert standing["features"].real == ("c/4",) and standing["features"].touched
    assert not standing["synthetic"].touched
    rows = Lineage.of(find_release(str(parts["features"]), None)).real_rows()
    assert rows.num_rows == 8


def test_the_manifest_says_what_it_is_of_and_by_whose_leave(whole: Path, parts: dict[Part, Path]) -> None:
    manifest = Released(parts["synthetic"]).manifest()
    one = manifest.part_of
    assert manifest.name == "tiny_run-synthetic" and one is not None and one.only == "synthetic"
    assert one.release_hash == Released(whole).manifest().release_hash != manifest.release_hash
    assert one.left_out == {"train": 4, "dev": 2, "test": 2}
    assert "Share Adapted Material" in one.allowed[0].because and not one.allowed[0].permitted
    assert manifest.restrictions == () and list(manifest.terms or {}) == ["synthetic"]
    assert Released(whole).manifest().restrictions, "the whole may not go"
    assert {n.real for by_class in manifest.counts.values() for n in by_class.values()} == {0}
    assert any("left out" in note for note in manifest.notes)
    assert any("3 of 3 synthetic samples were made from a named real sample" in note for note in manifest.notes)


@pytest.mark.parametrize("part", PARTS)
def test_people_read_that_real_samples_are_left_out(part: Part, parts: dict[Part, Path], tmp_path: Path) -> None:
    card = (parts[part] / "README.md").read_text()
    terms = (parts[part] / "LICENSE.md").read_text()
    assert "**Real samples are left out** (4 of train, 2 of dev, 2 of test)" in card
    assert "real samples (also" not in terms and "Share Adapted Material" in terms
    assert "`CC-BY-NC-SA-4.0`" in terms and "no commercial use" in terms
    text = (parts[part] / "LICENSES" / "CC-BY-NC-SA-4.0.txt").read_text()
    assert "Section 2 – Scope." in text and text.startswith("SPDX-License-Identifier: CC-BY-NC-SA-4.0")
    header = YAML(typ="safe").load(card.split("---\n", 2)[1])
    assert header["license"] == "cc-by-nc-sa-4.0" and "extra_gated_prompt" not in header
    assert {one["config_name"] for one in header["configs"]} <= {"default", "synthetic", "features"}
    packed = write_pack(parts[part], tmp_path / "pack")
    assert "left out" in (packed.folder / "methods.tex").read_text()
    sums = (parts[part] / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ")[1] for line in sums} == set(files_of(parts[part])) - {"SHA256SUMS", "manifest.json"}


@pytest.mark.parametrize("part", PARTS)
def test_code_of_the_card_runs(
    part: Part, parts: dict[Part, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    monkeypatch.setitem(sys.modules, "torchcodec.encoders", None)
    monkeypatch.chdir(parts[part])
    blocks = (parts[part] / "README.md").read_text().split("```python\n")[1:]
    assert len(blocks) == 5
    for i, block in enumerate(blocks):
        script = tmp_path / f"block_{i}.py"
        script.write_text(block.partition("```")[0])
        runpy.run_path(str(script))
    assert check_release(parts[part]).intact


@pytest.mark.parametrize("part", PARTS)
def test_mlcroissant_reads_it(part: Part, parts: dict[Part, Path]) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    data = mlcroissant.Dataset(jsonld=str(parts[part] / "croissant.json"))
    assert len(list(data.records("index"))) == 3
    told = json.loads((parts[part] / "croissant.json").read_text())
    assert "without real" in told["description"] and told["rai:hasSyntheticData"] is True
    named = [one["@id"] for one in told["prov:wasDerivedFrom"]]
    part_of = Released(parts[part]).manifest().part_of
    assert part_of is not None and f"urn:emoforge:release:{part_of.release_hash}" in named


@pytest.mark.parametrize("modality", CODEC)
def test_of_every_modality(modality: str, tmp_path: Path) -> None:
    release = write_described(tmp_path / "release", modality)
    take_part(release, tmp_path / "part", "synthetic", {})
    assert check_release(tmp_path / "part").intact
    assert len(list(open_release(tmp_path / "part").samples("train"))) == 3


def refused(folder: Path, card: dict[str, Any], part: Part = "synthetic", **permits: dict[Part, str]) -> str:
    release = write_described(folder / "release", vectors=True, corpora=[{"id": "c", "card": card}])
    with pytest.raises(GateError) as error:
        take_part(release, folder / "part", part, permits)
    assert not (folder / "part").exists()
    return str(error.value)


def test_terms_that_say_no_are_named_with_their_clause(tmp_path: Path) -> None:
    said = refused(tmp_path, {**CARD, "license": "CC-BY-ND-4.0"})
    assert "CC-BY-ND-4.0 of c does not let" in said and "but not Share, Adapted Material" in said
    assert "permits: {c: {synthetic: " in said


def test_silent_terms_are_refused_until_the_owner_permits(tmp_path: Path) -> None:
    card = {**CARD, "license": "LicenseRef-DEAP-EULA", "may_redistribute": False}
    assert "does not say whether" in refused(tmp_path, card)
    take_part(tmp_path / "release", tmp_path / "part", "synthetic", {"c": {"synthetic": SAID}})
    assert SAID in (tmp_path / "part" / "README.md").read_text()
    part_of = Released(tmp_path / "part").manifest().part_of
    assert part_of is not None and part_of.allowed[0].permitted
    assert "features: WHO" in refused(tmp_path / "two", card, "features", c={"synthetic": SAID})


def test_what_is_not_there_cannot_be_taken(whole: Path, parts: dict[Part, Path], tmp_path: Path) -> None:
    real = write_described(tmp_path / "real", synthetic=0)
    with pytest.raises(UserError, match="no synthetic samples"):
        take_part(real, tmp_path / "part", "synthetic", {})
    with pytest.raises(UserError, match=r"no features\.parquet"):
        take_part(real, tmp_path / "part", "features", {})
    with pytest.raises(UserError, match="a part of tiny_run already"):
        take_part(parts["features"], tmp_path / "part", "synthetic", {})


def test_a_damaged_release_gives_no_part(tmp_path: Path) -> None:
    release = write_described(tmp_path / "release")
    shard = next((release / "shards").glob("test-real-*.tar"))
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    with pytest.raises(IntegrityError, match=shard.name):
        take_part(release, tmp_path / "part", "synthetic", {})
    assert not (tmp_path / "part").exists()

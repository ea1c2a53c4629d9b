"""What describes a release to people and machines: it loads, it reads, its sums hold, and it says what tables say."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from corpora.schema import SAMPLES
from corpora.store.release import open_release
from corpora.store.verify import check_release
from corpora.terms.texts import text_of
from flows.artifacts.released import Released
from flows.describing import licence_files
from flows.describing.facts import facts_of, signal_axes
from flows.describing.front_matter import hub_metadata, size_category
from flows.packing.checklist import checklist
from tests.flows.describing.tiny import CARD, CODEC, payload, write_described

AGREEMENT = {"license": "LicenseRef-DEAP-EULA", "may_redistribute": False, "title": "DEAP"}


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of each modality."""
    folder = tmp_path_factory.mktemp("described")
    return {modality: write_described(folder / f"a_{modality}", modality) for modality in CODEC}


def header(folder: Path) -> dict[str, Any]:
    """The YAML of a card."""
    _, yaml, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    found: dict[str, Any] = YAML(typ="safe").load(yaml)
    return found


@pytest.mark.parametrize("modality", CODEC)
def test_datasets_loads_each_config_by_the_card_alone(
    modality: str, releases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setitem(sys.modules, "torchcodec", None)  # as where it is not installed
    monkeypatch.setitem(sys.modules, "torchcodec.encoders", None)
    folder, ending = str(releases[modality]), CODEC[modality]
    monkeypatch.chdir(tmp_path)
    rows = list(datasets.load_dataset(folder, "synthetic", split="train", streaming=True))
    kept = datasets.load_dataset(folder, "default", split="train", cache_dir=str(tmp_path))
    real = datasets.load_dataset(folder, "real", split="test", cache_dir=str(tmp_path))
    assert {row["json"]["sample_id"] for row in rows} == {f"syn/9e1d/{i}" for i in (20, 21, 22)}
    assert all(row["json"]["synthetic"] and row["json"]["weight"] == 0.5 for row in rows)
    assert len(kept) == 7 and {row["json"]["sample_id"] for row in real} == {"c/6", "c/7"}
    assert all(row["json"]["weight"] is None and row["json"]["age"] >= 20 for row in real)
    row = next(row for row in rows if row["json"]["sample_id"] == "syn/9e1d/21")
    if modality == "face":
        assert row[ending].getpixel((0, 0)) == 21
    elif modality == "physio":
        assert np.array_equal(row[ending]["EDA"], [21.0] * 4)
        assert np.array_equal(row[ending]["ACC"], [[21.0] * 3] * 4)
    else:
        assert row[ending] == (payload(modality, 21).decode() if modality == "text" else payload(modality, 21))


@pytest.mark.parametrize("modality", ["speech", "physio"])
def test_code_of_the_card_runs_as_it_stands(
    modality: str, releases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    monkeypatch.chdir(releases[modality])
    blocks = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    for code in blocks:
        names: dict[str, object] = {}
        exec(code, names)
        if "payload" in names:
            assert isinstance(names["payload"], bytes)


@pytest.mark.parametrize("modality", ["speech", "face", "text"])
def test_features_of_synthetic_samples_beside_real_payloads(
    modality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who generates features has npz beside wav, png or txt in one split."""
    datasets = pytest.importorskip("datasets")
    folder, ending = write_described(tmp_path / "r", modality, vectors=True), CODEC[modality]
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    for code in blocks:
        exec(code, {})
    monkeypatch.chdir(tmp_path)
    every = datasets.load_dataset(str(folder), "default", split="train", cache_dir=str(tmp_path / "cache"))
    streamed = list(datasets.load_dataset(str(folder), "default", split="train", streaming=True))
    for rows in (every, streamed):
        assert len(rows) == 7
        for row in rows:
            synthetic = row["json"]["synthetic"]
            vector = (row["npz"] or {}).get("features")
            assert (row[ending] is None) == synthetic and (vector is not None) == synthetic
    drawn = list(datasets.load_dataset(str(folder), "synthetic", split="train", streaming=True))
    assert {row["npz"]["features"][0] for row in drawn} == {20.0, 21.0, 22.0} and ending not in drawn[0]
    told = json.loads((folder / "croissant.json").read_text())["distribution"]
    includes = {one["name"]: one["includes"] for one in told if one["@type"] == "cr:FileSet"}
    assert includes["payloads/train-synthetic"] == "*.npz" and includes["payloads/train-real"] == f"*.{ending}"
    answers = [a for q in checklist(facts_of(folder, Released(folder).manifest()), (), {}) for a in q.answer]
    assert any(f"a payload ({ending}; npz of a synthetic one)" in answer for answer in answers)


def test_mlcroissant_validates_it_and_reads_its_tables(
    releases: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    import mlcroissant

    folder = releases["speech"]
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    assert "not standard" not in caplog.text
    release = open_release(folder)

    def rows(name: str) -> list[dict[str, Any]]:
        return [
            {key.partition("/")[2]: value.decode() if isinstance(value, bytes) else value for key, value in row.items()}
            for row in dataset.records(name)
        ]

    index = {row["sample_id"]: row for row in rows("index")}
    assert list(index) == release.index["sample_id"].to_pylist()
    assert index["syn/9e1d/20"]["weight"] == 0.5 and index["c/1"]["weight"] is None
    assert index["c/1"]["source_ids"] is None and index["c/1"]["age"] == 21.0
    assert rows("splits") == release.splits.to_pylist()
    assert [(row["gate"], row["value"], row["verdict"]) for row in rows("verdicts")] == [("frechet", 1.5, "pass")]
    assert {row["sample_id"] for row in rows("scores")} == {f"syn/9e1d/{i}" for i in (20, 21, 22)}


def test_croissant_tells_what_is_synthetic_and_where_it_came_from(releases: dict[str, Path], tmp_path: Path) -> None:
    document = json.loads((releases["speech"] / "croissant.json").read_text(encoding="utf-8"))
    assert document["conformsTo"][0].endswith("/croissant/1.1")
    assert document["rai:hasSyntheticData"] is True
    assert document["license"] == ["https://spdx.org/licenses/CC-BY-4.0.html"]
    derived = {entity["@id"]: entity["prov:label"] for entity in document["prov:wasDerivedFrom"]}
    assert derived == {
        "urn:emoforge:corpus:c": "The corpus C & Co, version 1.0",
        "urn:emoforge:generator:9e1d": "name transfer, weights ab12",
    }
    assert document["prov:wasGeneratedBy"]["prov:used"] == [{"@id": "urn:emoforge:generator:9e1d"}]
    assert not {"datePublished", "dateCreated", "creator", "url"} & set(document)
    people = " ".join(document["rai:dataBiases"] + document["rai:personalSensitiveInformation"])
    assert "c:train" not in people and "c/1" not in json.dumps(document), "counts of people, and no record"
    alone = json.loads((write_described(tmp_path / "r", synthetic=0) / "croissant.json").read_text(encoding="utf-8"))
    assert alone["rai:hasSyntheticData"] is False and "prov:wasGeneratedBy" not in alone
    assert [r["@id"] for r in alone["recordSet"]] == ["index", "splits"], "a table without rows has no records"


def test_a_damaged_table_is_seen_by_mlcroissant(releases: dict[str, Path], tmp_path: Path) -> None:
    import mlcroissant

    folder = Path(shutil.copytree(releases["text"], tmp_path / "r"))
    shutil.copyfile(folder / "index.parquet", folder / "splits.parquet")
    with pytest.raises(Exception, match=r"Download\(splits.parquet\)"):
        list(mlcroissant.Dataset(jsonld=str(folder / "croissant.json")).records("splits"))


def test_sums_are_those_of_coreutils_over_all_but_the_manifest(releases: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(releases["face"], tmp_path / "r"))
    listed = dict(reversed(line.split("  ", 1)) for line in (folder / "SHA256SUMS").read_text().splitlines())
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(listed) == there - {"SHA256SUMS", "manifest.json"}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == said for name, said in listed.items())
    assert check_release(folder).intact
    tool = shutil.which("sha256sum")
    if tool is not None:
        check = [tool, "--check", "--strict", "--quiet", "SHA256SUMS"]
        assert subprocess.run(check, cwd=folder, capture_output=True).returncode == 0
        (folder / "LICENSE.md").write_text("do what you like")
        assert subprocess.run(check, cwd=folder, capture_output=True).returncode != 0
    (folder / "LICENSE.md").write_text("do what you like")
    assert [problem.file for problem in check_release(folder).problems] == ["LICENSE.md"]


def test_the_same_release_has_the_same_descriptions(releases: dict[str, Path], tmp_path: Path) -> None:
    again = write_described(tmp_path / "elsewhere" / "other", "speech")
    assert open_release(again).release_hash == open_release(releases["speech"]).release_hash


def test_the_card_answers_what_a_reader_asks(releases: dict[str, Path]) -> None:
    text = (releases["text"] / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)", text, re.M) == [
        *("What is in it", "Who is in it", "How it was made", "Gates", "Known limits", "What may be done with it"),
        *("How to read it", "Whom to cite"),
    ]
    assert "- people that real samples name: 7 (5 female, 2 male)" in text
    assert "- ages, where told: 20 to 22 years" in text and "- languages: pt-BR" in text
    assert "| train | anger | 2 | 2 | 1 |" in text
    assert "| frechet | all | 1.5 | 1 .. 2 | 1 | 2.5 | 4 | pass |" in text
    assert "- gate frechet (all) is undecided: 18 < 32 & 100 % of it" in text
    assert "of corpus c no source is known for: counts" in text
    assert "name the authors" in text and "@article{c2020corpus" in text


def test_metadata_of_the_hub(releases: dict[str, Path], tmp_path: Path) -> None:
    told = header(releases["text"])
    assert (told["license"], told["language"], told["task_categories"]) == (
        "cc-by-4.0",
        ["pt"],
        ["text-classification"],
    )
    assert told["size_categories"] == ["n<1K"] and "synthetic" in told["tags"] and "extra_gated_prompt" not in told
    assert [config["config_name"] for config in told["configs"]] == ["default", "real", "synthetic"]
    alone = header(write_described(tmp_path / "r", synthetic=0))
    assert "synthetic" not in alone["tags"] and [c["config_name"] for c in alone["configs"]] == ["default", "real"]
    assert [size_category(n) for n in (999, 1_000, 99_999, 5_000_000)] == ["n<1K", "1K<n<10K", "10K<n<100K", "1M<n<10M"]


def test_a_restricted_release_says_so_everywhere(tmp_path: Path) -> None:
    corpora = [{"id": "deap", "card": AGREEMENT}, {"id": "c", "card": CARD}]
    folder = write_described(tmp_path / "r", corpora=corpora)
    told = header(folder)
    assert (told["license"], told["license_link"]) == ("other", "LICENSE.md")
    assert re.fullmatch(r"[a-z0-9.-]+", told["license_name"]) and "deap-eula" in told["license_name"]
    assert told["extra_gated_fields"]["I have an agreement with the owners of deap"] == "checkbox"
    said = "licence LicenseRef-DEAP-EULA of deap does not allow passing on"
    terms = (folder / "LICENSE.md").read_text()
    assert said in terms and "no part of it may be passed on alone" in terms
    assert f"Not to be passed on: {said}" in (folder / "README.md").read_text()
    manifest = Released(folder).manifest()
    assert manifest.restrictions == (said,)
    assert manifest.terms is not None and manifest.terms["synthetic"]["may_be_passed_on"] is False  # type: ignore[index,call-overload]
    assert {p.name for p in (folder / "LICENSES").iterdir()} == {"LicenseRef-DEAP-EULA.txt", "CC-BY-4.0.txt"}
    own = (folder / "LICENSES" / "LicenseRef-DEAP-EULA.txt").read_text()
    assert (
        own.startswith("SPDX-License-Identifier: LicenseRef-DEAP-EULA\n")
        and "- copies of samples may not be passed on" in own
    )
    assert licence_files.TEXT not in own, "its text is its owner's"
    by = (folder / "LICENSES" / "CC-BY-4.0.txt").read_text()
    assert by.partition(licence_files.TEXT)[2].strip() == (text_of("CC-BY-4.0") or "-").strip()
    assert "Text: https://creativecommons.org/licenses/by/4.0/legalcode" in by and "said by: its page: CC BY 4.0" in by


def axes_of(samples: list[list[tuple[str, list[int]]] | None]) -> dict[str, int]:
    """Name -> axes of samples that have these arrays."""
    rows = [None if s is None else [{"name": name, "shape": shape} for name, shape in s] for s in samples]
    return signal_axes(pa.table({"signals": pa.array(rows, SAMPLES.field("signals").type)}))


def test_arrays_of_one_name_and_several_shapes_are_not_declared(releases: dict[str, Path]) -> None:
    facts = facts_of(releases["physio"], Released(releases["physio"]).manifest())
    assert facts.signals == {"ACC": 2, "EDA": 1}
    mixed = hub_metadata(dataclasses.replace(facts, signals=axes_of([[("A", [4])], [("A", [4, 2]), ("B", [3])]])))
    assert [row["name"] for row in mixed["dataset_info"][0]["features"]] == ["json", "__key__"]
    assert axes_of([None, [("A", [])], [("B", [4, 2])], [("B", [9, 2])]]) == {"A": 1, "B": 2}
    rows = hub_metadata(facts)["dataset_info"][0]["features"]
    assert rows[0] == {
        "name": "npz",
        "struct": [{"name": "ACC", "list": {"list": "float32"}}, {"name": "EDA", "list": "float32"}],
    }


def test_what_is_left_of_no_derivatives_is_said(tmp_path: Path) -> None:
    folder = write_described(tmp_path / "r", corpora=[{"id": "c", "card": CARD | {"license": "CC-BY-ND-4.0"}}])
    told = (folder / "LICENSE.md").read_text()
    assert "- **synthetic samples** may not be passed on: licence CC-BY-ND-4.0 of c does not allow" in told
    assert "its real samples alone may be passed on: a run without a generator releases them" in told


def test_a_release_that_stays_says_which_part_need_not(tmp_path: Path) -> None:
    kept = {**CARD, "license": "CC-BY-NC-SA-4.0", "may_redistribute": False}
    terms = (write_described(tmp_path / "a", corpora=[{"id": "c", "card": kept}]) / "LICENSE.md").read_text()
    assert "**synthetic samples** may not be passed on: licence CC-BY-NC-SA-4.0 of c allows" in terms
    assert "a part without its real samples may be published: of its synthetic (`emoforge publish tiny_run" in terms
    assert "no part of it" not in terms
    free = (write_described(tmp_path / "b") / "LICENSE.md").read_text()
    assert "a part without" not in free, "all of it may go"

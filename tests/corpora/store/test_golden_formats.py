"""Every format that was ever written opens, for ever. tests/golden/make_formats.py adds one."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from corpora.codecs import decode_image
from corpora.fingerprint import hash_file
from corpora.near.pairs import FINGERPRINTS, NEAR
from corpora.schema import PARTS, REJECTS, SAMPLES, SCORES, SPLITS, VERDICTS
from corpora.store import ingested, release
from corpora.store.release import open_release
from corpora.store.shards import iter_payloads, read_table
from flows.paths import Layout
from flows.records import sample_from_row
from flows.stages.prepare.prepare import load_indexes

FORMATS = Path(__file__).parents[2] / "golden" / "formats"
PROVENANCE: dict[str, Any] = json.loads((FORMATS / "provenance.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=sorted(PROVENANCE))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("format")
    with tarfile.open(FORMATS / f"{name}.tar.xz") as archive:
        archive.extractall(place, filter="data")
    return place


def test_what_lies_there_is_never_written_again() -> None:
    assert sorted(PROVENANCE) == sorted(path.name.removesuffix(".tar.xz") for path in FORMATS.glob("*.tar.xz"))
    for name, told in PROVENANCE.items():
        assert hashlib.sha256((FORMATS / f"{name}.tar.xz").read_bytes()).hexdigest() == told["sha256"], name


def test_today_s_formats_are_among_them() -> None:
    formats = [told["formats"] for told in PROVENANCE.values()]
    assert {"corpus": ingested.FORMAT.text, "release": release.FORMAT.text} in formats, (
        "a format has changed: python tests/golden/make_formats.py NAME HEAD"
    )


def test_a_release_opens_verifies_and_iterates(folder: Path) -> None:
    opened = open_release(folder / "release")
    opened.verify()
    assert opened.unlisted == () and opened.index.schema == SAMPLES and opened.splits.schema == SPLITS
    samples = list(opened.samples())
    assert len(samples) == opened.index.num_rows and opened.views == ("group",)
    count = Counter(s["synthetic"] for s in samples)
    assert count[False] == 17 and count[True] >= 2
    assert all(decode_image(s["payload"]).ndim == 2 for s in samples)
    real = {s["sample_id"] for s in opened.samples("train", synthetic=False)}
    for row in samples:
        assert row["part"] == PARTS["face"]
        assert (row["sources"] is None) == (row["source_ids"] is None) == (not row["synthetic"])
        for source in row["sources"] or ():
            assert source["role"] == "from" and source["id"] in real
        assert [source["id"] for source in row["sources"] or ()] == list(row["source_ids"] or ())
        assert set((sample_from_row(row, b"", "png").sources or {}).values()) == set(row["source_ids"] or ())
    for table, schema in (("scores", SCORES), ("verdicts", VERDICTS), ("rejects", REJECTS)):
        assert read_table(opened.path / f"{table}.parquet", schema).schema == schema
    frame = opened.to_pandas("train", scores=True)
    assert frame["synthetic"].sum() == count[True] and frame.loc[frame["synthetic"], "score.validity"].notna().all()


def test_weights_are_one_in_what_came_before_them(folder: Path, name: str) -> None:
    told = tuple(PROVENANCE[name]["formats"]["release"].partition("/")[2].split("."))
    opened, drawn = (open_release(folder / "release", weights=way) for way in ("keep", "draw"))  # type: ignore[arg-type]
    made = opened.rows(synthetic=True)["weight"].to_pylist()
    assert set(opened.rows(synthetic=False)["weight"].to_pylist()) == {1.0}
    assert all(0.0 < w <= 1.0 for w in made) and drawn.rows(synthetic=True).num_rows == round(sum(made))
    assert (set(made) == {1.0}) == (told < ("3", "1")), "since format 3.1 a release may be weighted, and this one is"


def test_an_ingested_corpus_is_read_as_prepare_reads_it(folder: Path, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    place = layout.corpus("tiny")
    place.parent.mkdir(parents=True)
    place.symlink_to(folder / "corpus")
    plan: Any = SimpleNamespace(corpus_names=("tiny",))
    index = load_indexes(plan, layout)
    assert index.schema == SAMPLES and index.num_rows == 17
    rows = [row for row, payload in iter_payloads(place, index) if decode_image(payload).shape == (48, 48)]
    assert len(rows) == 17 and {row["part"] for row in rows} == {"face"}
    assert read_table(place / "splits.parquet", SPLITS).num_rows >= 17
    assert read_table(place / "rejects.parquet", REJECTS).num_rows == 0
    manifest = ingested.corpus_manifest(place)
    for file, told in manifest["files"].items():
        assert hash_file(place / file) == told["sha256"]
    for table, schema in (("near", FINGERPRINTS), ("near_pairs", NEAR)):
        if f"{table}.parquet" in manifest["files"]:  # since near copies are looked for at ingest
            assert read_table(place / f"{table}.parquet", schema).schema == schema


def test_since_3_3_a_release_describes_itself(folder: Path, name: str) -> None:
    opened = open_release(folder / "release")
    described = {"LICENSE.md", "LICENSES/CC0-1.0.txt", "croissant.json", "SHA256SUMS"}
    is_new = tuple(PROVENANCE[name]["formats"]["release"].partition("/")[2].split(".")) >= ("3", "3")
    assert (described <= set(opened.manifest["files"])) == ("terms" in opened.manifest) == is_new

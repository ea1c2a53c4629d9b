from __future__ import annotations

import csv
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from corpora.codecs import encode_png
from corpora.errors import CorpusError, UnknownNameError
from corpora.fingerprint import hash_folder
from corpora.readers import make_corpus
from corpora.schema import REJECTS, SAMPLES, SPLITS, Reject
from corpora.store.release import compute_release_hash, describe_files
from corpora.store.shards import iter_payloads, read_table
from flows.stages.ingest.ingest import IngestPlaces, IngestSettings, _why_different, ingest_corpus
from flows.stages.ingest.retracted import retraction_key

RATIOS = {"train": 0.6, "dev": 0.2, "test": 0.2}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("raw")
    make_corpus("ravdess").fake(root / "voices", subjects=6, per_class={"neutral": 12, "anger": 18}, seed=1)
    make_corpus("fer2013").fake(root / "faces", subjects=0, per_class={"neutral": 60, "anger": 70}, seed=1)
    return root


def ingest(root: Path, target: Path, reader: str, **more: Any) -> dict[str, Any]:
    options = {"shards": 3, "ratios": RATIOS, "split_seed": 0, "max_reject_share": 0.1} | more
    places = IngestPlaces(root, target, options.pop("work", None), options.pop("rejects_to", None))
    hooks = {name: options.pop(name) for name in ("share", "tell") if name in options}
    return ingest_corpus("mine", IngestSettings(reader, **options), places, **hooks)


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_voices_become_a_folder_that_holds_all_of_them(raw: Path, tmp_path: Path) -> None:
    told: list[str] = []
    out = tmp_path / "out"
    result = ingest(raw / "voices", out, "ravdess", tell=told.append)
    assert {p.name for p in out.iterdir()} == {
        "shards",
        "index.parquet",
        "rejects.parquet",
        "splits.parquet",
        "audit.json",
        "quality.json",
        "card.json",
        "near.parquet",
        "near_pairs.parquet",
        "manifest.json",
    }
    index = read_table(out / "index.parquet", SAMPLES)
    raw_bytes = {f"mine/{p.stem}": p.read_bytes() for p in (raw / "voices").rglob("*.wav")}
    assert {row["sample_id"]: payload for row, payload in iter_payloads(out, index)} == raw_bytes
    assert read_table(out / "rejects.parquet", REJECTS).num_rows == 0
    assert set(read_table(out / "splits.parquet", SPLITS)["view"].to_pylist()) == {"group"}
    assert load(out / "audit.json")["views"]["official"]["reason"] == "the corpus publishes no split"
    assert load(out / "quality.json")["success"]
    card = load(out / "card.json")
    anger = next(row for row in card["counts"] if row["emotion"] == "anger")
    assert anger == {"label": "angry", "emotion": "anger", "found": 18, "published": 376, "difference": -358}
    assert card["n_subjects"] == 6
    assert told == ["mine: 30 samples, 0 rejected files"]
    assert card["notes"] == []
    assert result["manifest"] == load(out / "manifest.json")
    assert result["manifest"]["n"] == 30 and result["seconds"] > 0


def test_faces_have_their_official_view_and_its_leaks_are_told(raw: Path, tmp_path: Path) -> None:
    manifest = ingest(raw / "faces", tmp_path / "out", "fer2013")["manifest"]
    assert manifest["views"] == ["group", "official"]
    audit = load(tmp_path / "out" / "audit.json")["views"]
    assert audit["official"]["counts"] == {"train": 104, "dev": 13, "test": 13}
    assert {f["kind"] for f in audit["official"]["findings"]} >= {"repeats"}
    assert "repeats" not in {f["kind"] for f in audit["group"]["findings"]}


def test_what_equal_payloads_say_is_told_and_stops_nothing(raw: Path, tmp_path: Path) -> None:
    shutil.copytree(raw / "voices", tmp_path / "raw")
    path = min((tmp_path / "raw").rglob("03-01-05-*-01.wav"))
    shutil.copy(path, path.with_name(path.name.replace("-01.wav", "-77.wav")))
    shutil.copy(path, path.with_name(path.name.replace("03-01-05-", "03-01-06-").replace("-01.wav", "-78.wav")))
    told: list[str] = []
    manifest = ingest(tmp_path / "raw", tmp_path / "out", "ravdess", tell=told.append)["manifest"]
    assert manifest["n"] == 32
    audit, card = load(tmp_path / "out" / "audit.json"), load(tmp_path / "out" / "card.json")
    (people,) = audit["conflicts"]["same_recording"]["entries"]
    assert list(people) == ["mine:01", "mine:77", "mine:78"]
    assert people["mine:01"] == [f"mine/{path.stem}"]
    (labels,) = audit["conflicts"]["conflicting_labels"]["entries"]
    assert set(labels) == {"angry", "fearful"} and len(labels["angry"]) == 2
    assert [note.partition(":")[0] for note in card["notes"]] == [
        "3 speaker ids share recordings, so some are perhaps one person, whom a split by subject may divide",
        "1 payloads stand under several labels",
    ]
    assert told[1:] == [f"mine: {note}" for note in card["notes"]]


def test_what_was_retracted_stays_out_and_is_only_counted(raw: Path, tmp_path: Path) -> None:
    whole = ingest(raw / "voices", tmp_path / "whole", "ravdess")["manifest"]
    out = (retraction_key("subject", "mine:02"),)
    told: list[str] = []
    left = ingest(
        *(raw / "voices", tmp_path / "left", "ravdess"),
        retracted=out,
        max_reject_share=0.0,
        work=tmp_path / "work",
        tell=told.append,
    )["manifest"]
    people = read_table(tmp_path / "whole" / "index.parquet", SAMPLES)["subject_id"].to_pylist()
    gone = people.count("mine:02")
    assert left["n"] == whole["n"] - gone > 0 and left["n_rejects"] == gone > 0
    assert "mine:02" not in read_table(tmp_path / "left" / "index.parquet", SAMPLES)["subject_id"].to_pylist()
    rejects = read_table(tmp_path / "left" / "rejects.parquet", REJECTS).to_pylist()
    assert {tuple(r.values()) for r in rejects} == {("mine", "-", "ingest", "retracted", "")}
    assert f"mine: rejected, by reason: retracted {gone}" in told
    # an ingest that is gone on with after a crash leaves out no less
    again = ingest(raw / "voices", tmp_path / "again", "ravdess", retracted=out, work=tmp_path / "work")["manifest"]
    assert again["content_hash"] == left["content_hash"]


def test_same_corpus_same_bytes_in_another_place(raw: Path, tmp_path: Path) -> None:
    ingest(raw / "faces", tmp_path / "one", "fer2013")
    shutil.copytree(raw / "faces", tmp_path / "copy" / "größer als")
    ingest(tmp_path / "copy", tmp_path / "deeper" / "two", "fer2013")
    assert hash_folder(tmp_path / "one") == hash_folder(tmp_path / "deeper" / "two")


def test_manifest_names_every_file(raw: Path, tmp_path: Path) -> None:
    manifest = ingest(raw / "voices", tmp_path / "out", "ravdess")["manifest"]
    there = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert set(manifest["files"]) == there - {"manifest.json"}
    assert manifest["files"] == describe_files(tmp_path / "out", list(manifest["files"]))
    hashes = {name: told["sha256"] for name, told in manifest["files"].items()}
    assert manifest["content_hash"] == compute_release_hash(hashes)


def test_view_that_cannot_be_is_noted_and_no_error(tmp_path: Path) -> None:
    make_corpus("emodb").fake(tmp_path / "raw", subjects=2, per_class={"fear": 4, "anger": 4}, seed=0)
    manifest = ingest(tmp_path / "raw", tmp_path / "out", "emodb")["manifest"]
    assert manifest["views"] == []
    assert pq.read_table(tmp_path / "out" / "splits.parquet").num_rows == 0
    assert "2 group(s) cannot fill 3 splits" in load(tmp_path / "out" / "audit.json")["views"]["group"]["reason"]


@pytest.fixture
def spoilt(raw: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "spoilt"
    shutil.copytree(raw / "voices", folder)
    for path in sorted(folder.rglob("*.wav"))[:3]:
        path.write_bytes(path.read_bytes()[:-9])
    return folder


def test_bad_files_are_rows_and_the_rest_goes_on(spoilt: Path, tmp_path: Path) -> None:
    manifest = ingest(spoilt, tmp_path / "out", "ravdess", max_reject_share=0.1)["manifest"]
    assert (manifest["n"], manifest["n_rejects"]) == (27, 3)
    rejects = read_table(tmp_path / "out" / "rejects.parquet", REJECTS).to_pylist()
    assert {r["reason"] for r in rejects} == {"truncated"} and all(r["path"].startswith("Actor_") for r in rejects)
    assert load(tmp_path / "out" / "card.json")["rejects"] == {"truncated": 3}


def test_too_many_bad_files_stop_it_and_leave_what_was(spoilt: Path, raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "place" / "out"
    ingest(raw / "voices", out, "ravdess")
    before = hash_folder(out)
    with pytest.raises(CorpusError, match=r"3 of 30 files were rejected \(10%, at most 5% are allowed\): truncated 3"):
        ingest(spoilt, out, "ravdess", max_reject_share=0.05)
    assert hash_folder(out) == before and list(out.parent.iterdir()) == [out]


def test_the_list_of_rejects_lies_where_the_message_says(spoilt: Path, raw: Path, tmp_path: Path) -> None:
    left = tmp_path / "left" / "ingest@mine.csv"
    with pytest.raises(CorpusError, match=re.escape(f"All 3 are listed in {left}.")):
        ingest(spoilt, tmp_path / "out", "ravdess", max_reject_share=0.05, rejects_to=left)
    rows = list(csv.DictReader(left.open(encoding="utf-8", newline="")))
    assert [row["reason"] for row in rows] == ["truncated"] * 3
    assert all((spoilt / row["path"]).is_file() and "promises" in row["detail"] for row in rows)
    ingest(raw / "voices", tmp_path / "out", "ravdess", rejects_to=left)
    assert not left.exists()


def wav_of(rate_hz: int, seconds: float = 0.5, channels: int = 1) -> bytes:
    out = io.BytesIO()
    signal = np.random.default_rng(rate_hz).uniform(-0.1, 0.1, (round(rate_hz * seconds), channels))
    soundfile.write(out, signal, rate_hz, format="WAV", subtype="PCM_16")
    return out.getvalue()


def picture_of(height: int, width: int) -> bytes:
    return encode_png(np.random.default_rng([height, width]).integers(0, 255, (height, width), dtype=np.uint8))


CARD = """title: Lab
modality: {0}
license: CC0-1.0
label_map: {{glad: happiness, cross: anger}}
files: {{layout: folder}}
"""
ODD = {
    "a.wav": (wav_of(3000), "rate-out-of-range", "rate_hz is 3000; 4000 to 192000 is expected"),
    "b.wav": (wav_of(200_000, 0.2), "rate-out-of-range", "rate_hz is 200000"),
    "c.wav": (wav_of(8000, 0.2, 70), "channels-out-of-range", "channels is 70; 1 to 64 is expected"),
    "a.png": (picture_of(1, 1), "size-out-of-range", "height_px is 1; 8 to 20000 is expected"),
    "b.png": (picture_of(48, 7), "size-out-of-range", "width_px is 7"),
    "c.png": (picture_of(8, 20_001), "size-out-of-range", "width_px is 20001"),
}


@pytest.mark.parametrize(("modality", "suffix"), [("speech", ".wav"), ("face", ".png")])
def test_one_odd_file_is_a_reject_and_the_rest_goes_on(modality: str, suffix: str, tmp_path: Path) -> None:
    root, card = tmp_path / "raw", tmp_path / "lab.yaml"
    card.write_text(CARD.format(modality))
    for label in ("glad", "cross"):
        (root / label).mkdir(parents=True)
        for i in range(3):
            good = wav_of(8000 + i) if suffix == ".wav" else picture_of(40 + i, 40)
            (root / label / f"good{i}{suffix}").write_bytes(good)
    odd = {name: told for name, told in ODD.items() if name.endswith(suffix)}
    for name, (payload, _, _) in odd.items():
        (root / "glad" / name).write_bytes(payload)
    options = {"card": str(card)}
    manifest = ingest(root, tmp_path / "out", "folder", options=options, max_reject_share=0.5)["manifest"]
    assert (manifest["n"], manifest["n_rejects"]) == (6, 3)
    rejects = {row["path"]: row for row in read_table(tmp_path / "out" / "rejects.parquet", REJECTS).to_pylist()}
    for name, (_, reason, detail) in odd.items():
        row = rejects[f"glad/{name}"]
        assert row["reason"] == reason and row["detail"].startswith(detail)
    with pytest.raises(CorpusError, match=r"rejected \(33%.*glad/[abc]\.(wav|png) \((rate|size)-out-of-range"):
        ingest(root, tmp_path / "out", "folder", options=options, max_reject_share=0.1)


def test_what_is_rejected_gives_the_same_hash_in_another_folder(tmp_path: Path) -> None:
    """A page, a cut file, a folder and a dead link among pictures: `rejects.parquet` is a part of the content."""
    hashes = []
    for place in ("one", "another/and deeper"):
        root, card = tmp_path / place / "raw", tmp_path / place / "lab.yaml"
        for label in ("glad", "cross"):
            (root / label).mkdir(parents=True)
            for i in range(5):
                (root / label / f"{i}.png").write_bytes(picture_of(40 + i, 41))
        (root / "glad" / "thumb.jpg").write_bytes(b"<html>404</html>")
        (root / "glad" / "cut.png").write_bytes(picture_of(40, 40)[:-300])
        (root / "glad" / "lost.png").symlink_to(root / "nowhere.png")
        card.write_text(CARD.format("face"))
        told = ingest(root, tmp_path / place / "out", "folder", options={"card": str(card)}, max_reject_share=0.5)
        assert told["manifest"]["n_rejects"] == 3
        hashes.append(told["manifest"]["content_hash"])
    assert hashes[0] == hashes[1]


def test_nothing_accepted_is_an_error_whatever_the_limit(spoilt: Path, tmp_path: Path) -> None:
    for path in spoilt.rglob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(CorpusError, match=r"30 of 30 files were rejected .* empty 30"):
        ingest(spoilt, tmp_path / "place" / "out", "ravdess", max_reject_share=1.0)
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.parametrize(("reader", "error"), [("ravdes", UnknownNameError), ("emodb", CorpusError)])
def test_wrong_reader_is_one_clear_error(raw: Path, tmp_path: Path, reader: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"Did you mean 'ravdess'|named like 03a01Fa.wav"):
        ingest(raw / "voices", tmp_path / "out", reader)
    assert not (tmp_path / "out").exists()


def test_name_of_a_corpus_is_checked(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="allowed are a-z"):
        settings = IngestSettings("ravdess", shards=1, ratios=RATIOS, split_seed=0, max_reject_share=0.1)
        ingest_corpus("My Corpus", settings, IngestPlaces(raw, tmp_path / "o"))


def test_real_corpora(shared_data: Path, tmp_path: Path) -> None:
    voices = ingest(shared_data / "ravdess", tmp_path / "r", "ravdess")["manifest"]
    assert (voices["n"], voices["n_rejects"], voices["views"]) == (600, 0, ["group"])
    split = read_table(tmp_path / "r" / "splits.parquet", SPLITS)["split"].to_pylist()
    assert [split.count(s) for s in RATIOS] == [360, 120, 120]


@pytest.mark.parametrize(
    ("found", "n_rejects", "subjects", "says"),
    [
        ({"a": 90, "b": 50}, 10, 9, "10 samples fewer than published; 10 files or rows were rejected"),
        (
            {"a": 16},
            18,
            9,
            "134 samples fewer than published; 18 files or rows were rejected, which leaves 116 that are not in the "
            "folder; nothing of 'b'",
        ),
        ({"a": 80, "b": 50}, 0, 6, "20 samples fewer than published; 6 of 9 subjects are in the folder"),
        ({"a": 99, "b": 50}, 0, 9, "1 samples fewer than published; the reason is not known: a part of the corpus, or"),
        ({"a": 103, "b": 50}, 4, 9, "3 samples more than published: another version of the corpus, or files that"),
    ],
)
def test_rejects_explain_no_more_than_they_are(found: dict[str, int], n_rejects: int, subjects: int, says: str) -> None:
    card = replace(make_corpus("ravdess").card, n_subjects=9)
    published = {"a": 100, "b": 50}
    counts = [
        {"label": n, "published": p, "found": found.get(n, 0), "difference": found.get(n, 0) - p}
        for n, p in published.items()
    ]
    assert _why_different(
        card, counts, subjects, [Reject("c", f"{i}", "empty", "") for i in range(n_rejects)]
    ).startswith(says)

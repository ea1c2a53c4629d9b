"""Sides of an audit and what they share: planted copies, labels, what cannot be read, releases, errors."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from corpora.codecs import encode_png, encode_text, encode_wav
from corpora.errors import UnknownNameError, UserError
from corpora.schema import SPLITS, Sample
from corpora.signals import encode_signals
from corpora.splits.shared import COPIES, Shared, shared_by_sides
from corpora.splits.sides import read_side, read_sides, side_of_samples
from corpora.store.atomic import write_json
from corpora.store.release import describe_files, sealed
from corpora.store.shards import write_shards, write_table

RATE = 16_000


def face(seed: int) -> np.ndarray:
    """[48, 48] uint8: blobs, of which no two are alike."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8))
    return np.asarray(small.resize((48, 48), Image.Resampling.BICUBIC))


def voice(seed: int) -> np.ndarray:
    """[2 s] float32: syllables of noise whose spectrum moves."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(10):
        t = np.arange(RATE // 5) / RATE
        tones = sum(rng.uniform(0.2, 1) * np.sin(2 * np.pi * hz * t) for hz in rng.uniform(300, 2000, 6))
        parts.append(tones * np.hanning(len(t)))
    return (0.1 * np.concatenate(parts)).astype(np.float32)


def write(path: Path, payload: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload)


def between(*given: object) -> Shared:
    shared, _ = shared_by_sides(read_sides([str(path) for path in given]))
    return shared[0]


def kinds_of(shared: Shared, first: list[str], second: list[str]) -> dict[tuple[str, str], str]:
    return {(first[pair.first], second[pair.second]): pair.kind for pair in shared.pairs}


def names(folder: Path) -> list[str]:
    names: list[str] = read_side(str(folder), 0).index["name"].to_pylist()
    return names


def test_planted_faces(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for i in range(20):
        write(a / f"joy/{i:02d}.png", encode_png(face(i)))
        write(b / f"joy/{i:02d}.png", encode_png(face(100 + i)))
    write(b / "exact.png", encode_png(face(3)))
    again = io.BytesIO()
    Image.fromarray(face(4)).save(again, "JPEG", quality=60)
    write(b / "encoded.jpg", again.getvalue())
    large = Image.fromarray(face(5)).resize((96, 96), Image.Resampling.BICUBIC)
    write(b / "resized.png", encode_png(np.asarray(large)))
    shared = between(a, b)
    assert kinds_of(shared, names(a), names(b)) == {
        ("joy/03.png", "exact.png"): "repeats",
        ("joy/04.png", "encoded.jpg"): "near",
        ("joy/05.png", "resized.png"): "near",
    }
    assert shared.leaks and shared.pairs[0].distance == 0.0
    assert all(0 < pair.distance < 0.3 for pair in shared.pairs[1:])
    assert shared.involved(COPIES) == ((3, 4, 5), tuple(sorted(shared.involved(COPIES)[1])))


def test_planted_voices(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for i in range(8):
        write(a / f"{i}.wav", encode_wav(voice(i), RATE))
        write(b / f"{i}.wav", encode_wav(voice(50 + i), RATE))
    write(b / "shifted.wav", encode_wav(0.5 * voice(2)[2400:], RATE))
    write(b / "exact.WAV", encode_wav(voice(1), RATE))
    shared = between(a, b)
    kinds = {("1.wav", "exact.WAV"): "repeats", ("2.wav", "shifted.wav"): "near"}
    assert kinds_of(shared, names(a), names(b)) == kinds


def test_nothing_in_common(tmp_path: Path) -> None:
    for side, start in (("a", 0), ("b", 100), ("c", 200)):
        for i in range(10):
            write(tmp_path / side / f"{i}.png", encode_png(face(start + i)))
    shared, within = shared_by_sides(read_sides([str(tmp_path / side) for side in "abc"]))
    assert [(one.first, one.second) for one in shared] == [(0, 1), (0, 2), (1, 2)]
    assert not any(one.leaks or one.pairs or one.rows for one in shared) and not within


def test_copies_inside_one_side_are_no_leak(tmp_path: Path) -> None:
    for i in range(10):
        write(tmp_path / f"a/{i}.png", encode_png(face(i % 9)))
        write(tmp_path / f"b/{i}.png", encode_png(face(100 + i)))
    shared, within = shared_by_sides(read_sides([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert not shared[0].leaks and [(one.side, one.samples) for one in within] == [(0, {"repeats_within": 2})]


def test_texts_a_line_and_a_file(tmp_path: Path) -> None:
    long = "nobody expected that the whole orchestra would simply stand up and leave the hall"
    (tmp_path / "a.txt").write_bytes(f"Thank you.\n\n{long}\r\nquite another thing to say today\n".encode("utf-16"))
    write(tmp_path / "b/joy/1.txt", encode_text("Thank you."))
    write(tmp_path / "b/joy/2.txt", encode_text(long.replace("orchestra", "Orchestra") + "!"))
    shared = between(tmp_path / "a.txt", tmp_path / "b")
    first = read_side(str(tmp_path / "a.txt"), 0).index["name"].to_pylist()
    assert first == ["line 1", "line 3", "line 4"]
    assert kinds_of(shared, first, names(tmp_path / "b")) == {
        ("line 1", "joy/1.txt"): "short_texts",
        ("line 3", "joy/2.txt"): "near",
    }
    (tmp_path / "c.txt").write_text("Thank you.\n")
    thanks = between(tmp_path / "a.txt", tmp_path / "c.txt")
    assert thanks.rows.keys() == {"short_texts"} and not thanks.leaks, "people say it again"


def test_signals(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(6):
        for side in "ab":
            series = np.cumsum(rng.normal(size=(600, 2)), axis=0).astype(np.float32)
            write(tmp_path / f"{side}/{i}.npz", encode_signals({"eeg": series}))
    source = (tmp_path / "a/2.npz").read_bytes()
    write(tmp_path / "b/same.npz", source)
    assert [pair.kind for pair in between(tmp_path / "a", tmp_path / "b").pairs] == ["repeats"]


def test_labels_are_subfolders_and_unreadable_files_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    write(folder / "joy <b>/1.png", encode_png(face(1)))
    write(folder / "2.png", encode_png(face(2)))
    write(folder / "joy <b>/broken.png", b"\x89PNG no")
    write(folder / "joy <b>/empty.png", b"")
    write(folder / "joy <b>/empty too.png", b"")
    side = read_side(str(folder), 0)
    assert side.index["emotion"].to_pylist().count("joy <b>") == 4
    assert side.index["emotion"].null_count == 1
    reasons = {one.name: one.reason for one in side.unreadable}
    assert reasons.keys() == {"joy <b>/broken.png", "joy <b>/empty.png", "joy <b>/empty too.png"}
    assert reasons["joy <b>/empty.png"] == "empty"
    assert between(folder, folder).rows["repeats"][0], "a folder against itself"
    _, within = shared_by_sides(read_sides([str(folder), str(folder)]))
    assert not within, "nothing is no copy of nothing"


def a_release(folder: Path, people: list[str], seed: int = 0) -> Path:
    """Faces of people in train and test; the same person's faces have nothing in common."""
    samples = [
        Sample(
            f"c/{who}{i}",
            "c",
            "face",
            encode_png(face(1000 * seed + 10 * number + i)),
            "png",
            "CC0-1.0",
            group_id=f"c:{who}",
            subject_id=f"c:{who}",
            emotion=("anger", "joy")[i % 2],
        )
        for number, who in enumerate(people)
        for i in range(4)
    ]
    index = write_shards(samples, folder, 1, "shards/real")
    ids = index["sample_id"].to_pylist()
    split = ["train" if one.startswith(f"c/{people[0]}") else "test" for one in ids]
    view = {"view": ["group"] * len(ids), "sample_id": ids, "split": split}
    write_table(folder / "index.parquet", index)
    write_table(folder / "splits.parquet", pa.table(view, schema=SPLITS))
    files = describe_files(folder, [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()])
    write_json(folder / "manifest.json", sealed({"classes": ["anger", "joy"], "files": files}))
    return folder


def test_releases_their_splits_and_shared_people(tmp_path: Path) -> None:
    one, two = a_release(tmp_path / "one", ["ann", "bob"]), a_release(tmp_path / "two", ["bob", "cem"], seed=1)
    assert not between(f"{one}:train", f"{one}:test").leaks
    people = between(one, two)
    assert [finding.kind for finding in people.findings] == ["split_unit"]
    assert list(people.findings[0].members) == ["c:bob"]
    assert [len(rows) for rows in people.rows["split_unit"]] == [4, 4]
    assert {len(rows) for rows in between(one, f"{one}:train").rows["repeats"]} == {4}
    side = read_side(f"{two}:test", 0)
    for i, name in enumerate(side.index["name"].to_pylist()):
        assert side.payload(i) == encode_png(face(1010 + int(name.removeprefix("c/cem"))))
    assert len(side) == 4
    with pytest.raises(UnknownNameError, match="train"):
        read_side(f"{one}:trian", 0)


@pytest.mark.parametrize("case", ["one", "missing", "empty", "mixed", "two modalities", "no release", "a file"])
def test_bad_input_is_said(case: str, tmp_path: Path) -> None:
    write(tmp_path / "faces/1.png", encode_png(face(1)))
    write(tmp_path / "voices/1.wav", encode_wav(voice(1), RATE))
    write(tmp_path / "mixed/1.png", encode_png(face(1)))
    write(tmp_path / "mixed/1.wav", encode_wav(voice(1), RATE))
    (tmp_path / "empty").mkdir()
    faces = str(tmp_path / "faces")
    given, said = {
        "one": ([faces], "two folders or more, not 1"),
        "missing": ([faces, str(tmp_path / "no")], "no does not exist"),
        "empty": ([faces, str(tmp_path / "empty")], "holds no file that ends in .wav"),
        "mixed": ([faces, str(tmp_path / "mixed")], "several modalities: 1 of speech, 1 of face"),
        "two modalities": ([faces, str(tmp_path / "voices")], "several modalities have nothing to share"),
        "no release": ([faces, faces + ":train"], "is no release, so it has no split 'train'"),
        "a file": ([faces, faces + "/1.png"], "is a file"),
    }[case]
    with pytest.raises(UserError, match=said):
        read_sides(given)


def test_records_of_a_reader_keep_their_groups() -> None:
    sample = Sample("c/1", "c", "face", encode_png(face(1)), "png", "CC0-1.0", group_id="c:g", subject_id="c:s")
    side = side_of_samples("c", [sample, replace(sample, sample_id="c/2")])
    assert side.index["group_id"].to_pylist() == ["c:g", "c:g"] and side.payload(1) == sample.payload
    with pytest.raises(UserError, match="no modality"):
        side_of_samples("c", [])

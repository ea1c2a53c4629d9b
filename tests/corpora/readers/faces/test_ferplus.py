"""FER+: the rules of its views, and whether its votes belong to the pictures beside them."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import decode_image, encode_png
from corpora.errors import CorpusError, UnknownNameError
from corpora.labels import assign
from corpora.readers.faces.fer2013 import Fer2013
from corpora.readers.faces.ferplus import WORDS, FerPlus, label_weights
from corpora.readers.fakes.face import draw_picture
from corpora.schema import Corpus, Reject, Sample


def read(corpus: Corpus, root: Path) -> tuple[dict[str, Sample], list[tuple[str, str]]]:
    """-> ({native id: sample}, [(path, reason) of a reject])"""
    items = list(corpus.read(root, "c"))
    samples = {item.sample_id.removeprefix("c/"): item for item in items if isinstance(item, Sample)}
    return samples, [(item.path, item.reason) for item in items if isinstance(item, Reject)]


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


PUBLISHED = {  # votes: (majority, probability, multi_target)
    "4,0,0,1,3,2,0,0,0,0": ({"unknown": 1}, {"neutral": 4 / 7, "anger": 3 / 7}, {"neutral": 1, "anger": 1}),
    "6,0,1,1,0,0,0,0,2,0": ({"neutral": 1}, {"neutral": 1}, {"neutral": 1}),
    "5,0,1,0,0,0,0,0,4,0": ({"neutral": 1}, {"neutral": 1}, {"neutral": 1}),
    "4,2,4,0,0,0,0,0,0,0": ({"unknown": 1}, {"neutral": 0.5, "surprise": 0.5}, {"neutral": 1, "surprise": 1}),
    "0,0,3,0,3,0,3,0,1,0": (
        {"unknown": 1},
        {"surprise": 1 / 3, "anger": 1 / 3, "fear": 1 / 3},
        {"surprise": 1, "anger": 1, "fear": 1},
    ),
    "0,2,0,3,2,2,0,0,1,0": ({"unknown": 1}, {"unknown": 1}, {"unknown": 1}),
    "5,0,0,5,0,0,0,0,0,0": ({"unknown": 1}, {"neutral": 0.5, "sadness": 0.5}, {"neutral": 1, "sadness": 1}),
    "0,10,0,0,0,0,0,0,0,0": ({"happiness": 1}, {"happiness": 1}, {"happiness": 1}),
    "0,0,0,0,0,0,0,0,0,10": ({"NF": 1}, {"NF": 1}, {"NF": 1}),
}


@pytest.mark.parametrize("votes", PUBLISHED)
def test_ferplus_views_follow_the_rules_of_its_paper(votes: str) -> None:
    counts = dict(zip(WORDS, map(float, votes.split(",")), strict=True))
    for view, expected in zip(("majority", "probability", "multi_target"), PUBLISHED[votes], strict=True):
        assert label_weights(counts, view) == pytest.approx(expected), view


def ferplus(root: Path, rows: list[str], usages: list[str] | None = None) -> list[np.ndarray]:
    """fer2013.csv and fer2013new.csv; `rows`: "name,votes" -> the pictures"""
    images = [
        draw_picture("fear", size=48, colour=False, person=rng(1, i), rng=rng(2)).pixels for i in range(len(rows))
    ]
    usages = usages or ["Training"] * len(rows)
    lines = [f"0,{' '.join(map(str, image.ravel()))},{usage}" for image, usage in zip(images, usages, strict=True)]
    write(root / "fer2013.csv", "\n".join(["emotion,pixels,Usage", *lines]))
    write(root / "fer2013new.csv", "\n".join([f"Usage,Image name,{','.join(WORDS)}", *(f"Training,{r}" for r in rows)]))
    return images


ROWS = ["fer0000058.png,8,0,0,2,0,0,0,0,0,0", ",0,0,0,0,0,0,0,0,0,10", "fer0000059.png,4,2,4,0,0,0,0,0,0,0"]


def test_ferplus_rows_are_joined_by_their_order_not_by_the_number_in_the_name(tmp_path: Path) -> None:
    images = ferplus(tmp_path, ROWS)  # three rows of the published file: the second is no face and has no name
    samples, rejects = read(FerPlus(), tmp_path)
    assert rejects == []
    assert [(s.emotion, s.emotion_raw) for s in samples.values()] == [
        ("neutral", "neutral"),
        (None, "NF"),
        (None, "unknown"),
    ]
    for sample, image in zip(samples.values(), images, strict=True):
        assert np.array_equal(decode_image(sample.payload), image)
    assert samples["000002"].extra["image_name"] == "fer0000059.png"
    assert samples["000000"].rater_agreement == pytest.approx(0.8)
    assert [(r["scheme"], r["value"]) for r in samples["000000"].ratings] == [
        ("votes:neutral", 8),
        ("votes:sadness", 2),
    ]


def test_ferplus_views_are_labels_that_schemes_can_be_assigned_from(tmp_path: Path) -> None:
    ferplus(tmp_path, [*ROWS, "fer0000060.png,0,0,6,0,0,0,4,0,0,0"])
    soft = list(read(FerPlus(view="probability"), tmp_path)[0].values())
    assert [e for e in soft[2].labels if e["scheme"] == "canonical"] == [
        {"scheme": "canonical", "label": "neutral", "weight": 0.5},
        {"scheme": "canonical", "label": "surprise", "weight": 0.5},
    ]
    assert (soft[2].emotion, soft[3].emotion) == (None, "surprise")  # a tie is no emotion
    records = [{"emotion": s.emotion, "labels": s.labels} for s in soft]
    assert [assign(record, "ekman7") for record in records] == ["neutral", None, None, "surprise"]
    many = list(read(FerPlus(view="multi_target"), tmp_path)[0].values())
    assert {e["label"]: e["weight"] for e in many[3].labels if e["scheme"] == "ferplus"} == {"surprise": 1, "fear": 1}
    with pytest.raises(UnknownNameError, match="multi_target"):
        FerPlus(view="median")


def refused(root: Path) -> str:
    with pytest.raises(CorpusError) as caught:
        FerPlus().read(root, "c")  # before a row is read
    return str(caught.value)


def test_ferplus_tables_of_another_length_or_usage_are_refused(tmp_path: Path) -> None:
    ferplus(tmp_path, ROWS)
    lines = (tmp_path / "fer2013.csv").read_text().splitlines()
    write(tmp_path / "fer2013.csv", "\n".join([*lines, lines[1]]))
    assert "fer2013new.csv has 3 rows, fer2013.csv 4" in refused(tmp_path)
    write(tmp_path / "fer2013.csv", "\n".join([*lines[:2], lines[3]]))  # the picture without a name taken out
    assert "fer2013new.csv has 3 rows, fer2013.csv 2" in refused(tmp_path)
    ferplus(tmp_path, ROWS, ["Training", "PublicTest", "PrivateTest"])
    told = refused(tmp_path)
    assert "Usage differs in 2 of 3 rows; first in row 1: Training in fer2013new.csv, PublicTest in fer2013.csv" in told


def test_ferplus_rows_that_cannot_be_read_keep_their_place(tmp_path: Path) -> None:
    images = ferplus(tmp_path, ["fer0000000.png,8,0,0,2,0,0,0,0,0,0", "fer0000001.png,x,0,0,0,0,0,0,0,0,0", *ROWS])
    path = tmp_path / "fer2013.csv"
    lines = path.read_text().splitlines()
    write(path, "\n".join([*lines[:3], "garbage", *lines[4:], "garbage"]))
    with (tmp_path / "fer2013new.csv").open("ab") as file:
        file.write(b"\n\x00\xff\n")
    samples, rejects = read(FerPlus(), tmp_path)
    assert [reason for _, reason in rejects] == ["not-a-number", "bad-row", "undecodable-row"]
    assert [decode_image(s.payload).tolist() for s in samples.values()] == [images[i].tolist() for i in (0, 3, 4)]
    assert [s.emotion for s in samples.values()] == ["neutral", None, None]


def many_rows(n: int) -> tuple[list[str], list[str]]:
    """fer2013new.csv and fer2013.csv of the same pictures, which are a pixel each; every 50th has no name."""
    draw, votes, pictures = rng(7), [f"Usage,Image name,{','.join(WORDS)}"], ["emotion,pixels,Usage"]
    codes = {0: 6, 1: 3, 2: 5, 3: 4, 4: 0, 5: 1, 6: 2}  # column of votes -> FER2013's code
    named = 0
    for row in range(n):
        column = int(draw.integers(7))
        count = [0] * 10
        count[column] = 10
        nameless = row % 50 == 49
        votes.append(f"Training,{'' if nameless else f'fer{named:07d}.png'},{','.join(map(str, count))}")
        named += not nameless
        code = codes[column] if draw.random() < 0.6 else int(draw.integers(7))  # people agree with FER2013 so often
        pictures.append(f"{code},{'0 ' * 2303}{row % 256},Training")
    return votes, pictures


@pytest.mark.parametrize("change", ["none", "moved picture", "moved votes", "swapped votes", "sorted", "no names"])
def test_ferplus_order_is_proven_by_names_and_by_the_labels_of_fer2013(change: str, tmp_path: Path) -> None:
    votes, pictures = many_rows(600)
    if change == "moved picture":
        pictures.insert(500, pictures.pop(100))
    elif change == "moved votes":
        votes.insert(500, votes.pop(120))
    elif change == "swapped votes":
        votes[220], votes[221] = votes[221], votes[220]
    elif change == "sorted":
        pictures[1:] = sorted(pictures[1:])
    elif change == "no names":  # taken out of both: they fit
        gone = [i for i, line in enumerate(votes) if line.startswith("Training,,")]
        votes, pictures = ([line for i, line in enumerate(lines) if i not in gone] for lines in (votes, pictures))
    write(tmp_path / "fer2013new.csv", "\n".join(votes))
    write(tmp_path / "fer2013.csv", "\n".join(pictures))
    if change in ("none", "no names"):
        assert len(read(FerPlus(), tmp_path)[0]) == len(votes) - 1
    elif "votes" in change:
        assert re.search(r"row \d+ of fer2013new\.csv is fer\d{7}\.png and stands behind", refused(tmp_path))
    else:
        assert re.search(r"own label is among the most voted in [1-3]?\d% of the rows", refused(tmp_path))


def test_ferplus_names_that_stand_twice_are_rejects_in_both_forms(tmp_path: Path) -> None:
    rows = ["fer0000009.png,8,0,0,2,0,0,0,0,0,0", *ROWS, "fer0000009.png,0,9,0,1,0,0,0,0,0,0"]
    images = ferplus(tmp_path, rows)
    samples, rejects = read(FerPlus(), tmp_path)
    assert list(samples) == ["000001", "000002", "000003"]
    assert rejects == [("fer2013new.csv#000000", "doubled-name"), ("fer2013new.csv#000004", "doubled-name")]
    (tmp_path / "fer2013.csv").unlink()
    for name, image in (("fer0000009.png", images[0]), ("fer0000058.png", images[1]), ("fer0000059.png", images[3])):
        write(tmp_path / "FER2013Train" / name, encode_png(image))
    samples, rejects = read(FerPlus(), tmp_path)
    assert list(samples) == ["000001", "000003"]
    assert [reason for _, reason in rejects] == ["doubled-name", "no-picture", "doubled-name"]


def test_ferplus_pictures_of_one_name_or_in_another_folder_are_rejects(tmp_path: Path) -> None:
    images = ferplus(tmp_path, ROWS)
    (tmp_path / "fer2013.csv").unlink()
    write(tmp_path / "FER2013Test/fer0000058.png", encode_png(images[0]))
    write(tmp_path / "FER2013Train/fer0000059.png", encode_png(images[2]))
    assert [reason for _, reason in read(FerPlus(), tmp_path)[1]] == ["usage-mismatch", "no-picture"]
    write(tmp_path / "FER2013Valid/fer0000059.png", encode_png(images[1]))
    assert [reason for _, reason in read(FerPlus(), tmp_path)[1]] == [
        "usage-mismatch",
        "no-picture",
        "conflicting-entries",
    ]


def test_ferplus_reads_extracted_pictures_by_name(tmp_path: Path) -> None:
    images = ferplus(tmp_path, ROWS)
    (tmp_path / "fer2013.csv").unlink()
    with pytest.raises(CorpusError, match=r"fer2013\.csv nor FER2013Train"):
        FerPlus().read(tmp_path, "c")
    for name, image in (("fer0000058.png", images[0]), ("fer0000059.png", images[2])):
        write(tmp_path / "FER2013Train" / name, encode_png(image))
    samples, rejects = read(FerPlus(), tmp_path)
    assert [s.emotion_raw for s in samples.values()] == ["neutral", "unknown"]
    assert np.array_equal(decode_image(samples["000002"].payload), images[2])
    assert rejects == [("fer2013new.csv#000001", "no-picture")]


@pytest.mark.slow
def test_real_fer2013_pictures_join_with_votes(shared_data: Path, tmp_path: Path) -> None:
    """Votes are made up, the pictures are the real file's: every row finds its own."""
    real = list(Fer2013().read(shared_data / "fer2013", "c"))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["Usage", "Image name", *WORDS])
    for i, item in enumerate(real):
        assert isinstance(item, Sample)
        votes = [10 * (word == item.emotion) for word in WORDS]
        writer.writerow([item.extra["usage"], f"fer{i:07d}.png", *votes])
    write(tmp_path / "fer2013new.csv", out.getvalue())
    (tmp_path / "fer2013.csv").symlink_to(shared_data / "fer2013" / "fer2013.csv")
    joined = list(FerPlus().read(tmp_path, "c"))
    assert [item.group_id for item in joined if isinstance(item, Sample)] == [
        item.group_id for item in real if isinstance(item, Sample)
    ]

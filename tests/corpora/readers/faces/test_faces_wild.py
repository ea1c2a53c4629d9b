"""Face corpora found in the wild: what is special in each. Expected values come from the sources that cards name."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import decode_image, encode_png
from corpora.errors import CorpusError, UnknownNameError
from corpora.labels import assign
from corpora.readers.faces.affectnet import AffectNet
from corpora.readers.faces.expw import ExpW
from corpora.readers.faces.fer2013 import Fer2013
from corpora.readers.faces.raf_db import RafDB
from corpora.readers.faces.sfew import Sfew
from corpora.readers.fakes.face import draw_picture, encode_jpg
from corpora.schema import Corpus, Reject, Sample


def read(corpus: Corpus, root: Path) -> tuple[dict[str, Sample], list[tuple[str, str]]]:
    """-> ({native id: sample}, [(path, reason) of a reject])"""
    items = list(corpus.read(root, "c"))
    samples = {item.sample_id.removeprefix("c/"): item for item in items if isinstance(item, Sample)}
    return samples, [(item.path, item.reason) for item in items if isinstance(item, Reject)]


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def jpg() -> bytes:
    return encode_jpg(draw_picture("anger", size=64, person=rng(1), rng=rng(2)).pixels)


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


# -- FER2013


def test_fer2013_folders_are_read_as_published(tmp_path: Path) -> None:
    pixels = draw_picture("anger", size=48, colour=False, person=rng(1), rng=rng(2)).pixels
    write(tmp_path / "train/angry/Training_3908.jpg", encode_jpg(pixels))
    write(tmp_path / "test/happy/PrivateTest_10131363.jpg", encode_jpg(pixels[:, ::-1]))
    write(tmp_path / "test/happy/PublicTest_1.png", encode_png(pixels))
    write(tmp_path / "validation/sad/7.png", encode_png(pixels))
    write(tmp_path / "test/bored/PublicTest_2.png", encode_png(pixels))
    write(tmp_path / "test/stray.png", encode_png(pixels))
    samples, rejects = read(Fer2013(), tmp_path)
    assert {name: (s.emotion, s.emotion_raw, s.extra["official_split"]) for name, s in samples.items()} == {
        "train/angry/Training_3908": ("anger", "angry", "train"),
        "test/happy/PrivateTest_10131363": ("happiness", "happy", "test"),
        "test/happy/PublicTest_1": ("happiness", "happy", "test"),
        "validation/sad/7": ("sadness", "sad", "dev"),
    }
    assert samples["test/happy/PublicTest_1"].extra["usage"] == "PublicTest"
    assert samples["train/angry/Training_3908"].payload == (tmp_path / "train/angry/Training_3908.jpg").read_bytes()
    assert rejects == [("test/bored/PublicTest_2.png", "bad-label"), ("test/stray.png", "bad-name")]


def test_fer2013_rows_and_pictures_of_the_same_pixels_are_one_group(tmp_path: Path) -> None:
    image = draw_picture("fear", size=48, colour=False, person=rng(1), rng=rng(2)).pixels
    write(tmp_path / "a/train/fear/1.png", encode_png(image))
    write(tmp_path / "b/fer2013.csv", f"emotion,pixels,Usage\n2,{' '.join(map(str, image.ravel()))},Training\n")
    (folder,), (row,) = (read(Fer2013(), tmp_path / form)[0].values() for form in "ab")
    assert folder.group_id == row.group_id
    assert folder.emotion == row.emotion == "fear"


def test_fer2013_csv_wins_over_folders_and_fakes_agree(tmp_path: Path) -> None:
    ask = {"anger": 12, "surprise": 9}
    Fer2013().fake_folders(tmp_path, subjects=0, per_class=ask, seed=4)
    folders, rejects = read(Fer2013(), tmp_path)
    assert rejects == [] and Counter(s.emotion for s in folders.values()) == ask
    Fer2013().fake(tmp_path, subjects=0, per_class=ask, seed=4)
    rows, _ = read(Fer2013(), tmp_path)
    assert set(rows) == {f"{i:06d}" for i in range(21)}
    usages = [Counter(s.extra["usage"] for s in form.values()) for form in (folders, rows)]
    assert usages[0] == usages[1]


def test_fer2013_folder_without_a_named_csv_still_takes_the_only_one(tmp_path: Path) -> None:
    Fer2013().fake(tmp_path / "deep", subjects=0, per_class={"anger": 2, "fear": 2}, seed=1)
    (tmp_path / "deep/fer2013.csv").rename(tmp_path / "deep/icml_face_data.csv")
    assert len(read(Fer2013(), tmp_path)[0]) == 4


# -- ExpW


def test_expw_boxes_are_published_as_top_left_right_bottom(tmp_path: Path, jpg: bytes) -> None:
    lines = ["angry_actor_104.jpg 0 28 113 226 141 22.9362 0", "angry_actor_104.jpg 1 1 2 30 40 7.5 6"]
    lines += [
        "gone.jpg 0 1 2 30 40 7.5 6",
        "angry_actor_104.jpg 2 1 30 30 40 7.5 6",
        "angry_actor_104.jpg 3 1 2 3 4 5 7",
    ]
    lines += ["angry_actor_104.jpg 0 28 113 226 141 22.9362 0", "angry_actor_104.jpg 4 1 2 30 x 7.5 6", "short 1"]
    write(tmp_path / "label/label.lst", "\n".join(lines))
    write(tmp_path / "image/origin/angry_actor_104.jpg", jpg)
    samples, rejects = read(ExpW(), tmp_path)
    first, second = samples["angry_actor_104_0"], samples["angry_actor_104_1"]
    assert first.extra["face_box"] == "113,28,113,113"  # left, top, width, height of the example in its readme
    assert second.extra["face_box"] == "2,1,28,39"
    assert (first.emotion, second.emotion) == ("anger", "neutral")
    assert first.group_id == second.group_id and first.payload == second.payload == jpg
    assert [reason for _, reason in rejects] == [
        "no-picture",
        "bad-box",
        "bad-label",
        "repeated-name",
        "not-a-number",
        "bad-row",
    ]


def test_expw_faces_with_two_labels_and_pictures_of_one_name_are_rejects(tmp_path: Path, jpg: bytes) -> None:
    lines = ["a.jpg 0 28 113 226 141 22.9 0", "a.jpg 1 1 2 30 40 7.5 6", "b.jpg 0 28 113 226 141 22.9 0"]
    write(tmp_path / "label/label.lst", "\n".join([*lines, "a.jpg 0 28 113 226 141 22.9 3"]))
    write(tmp_path / "image/origin/a.jpg", jpg)
    write(tmp_path / "image/origin/b.jpg", jpg)
    write(tmp_path / "image/other/b.jpg", jpg)  # the same picture once more
    samples, rejects = read(ExpW(), tmp_path)
    assert list(samples) == ["a_1", "b_0"]
    assert rejects == [("label.lst#000000", "conflicting-entries"), ("label.lst#000003", "conflicting-entries")]
    write(tmp_path / "image/other/b.jpg", jpg + b"x")
    assert list(read(ExpW(), tmp_path)[0]) == ["a_1"]


def test_raf_db_pictures_with_two_labels_are_rejects(tmp_path: Path, jpg: bytes) -> None:
    for number in (1, 2, 3):
        write(tmp_path / f"basic/Image/aligned/train_0000{number}_aligned.jpg", jpg)
    lines = ["train_00001.jpg 5", "train_00002.jpg 1", "train_00003.jpg 4", "train_00001.jpg 4", "train_00003.jpg 4"]
    write(tmp_path / "basic/EmoLabel/list_patition_label.txt", "\n".join(lines))
    samples, rejects = read(RafDB(), tmp_path)
    assert list(samples) == ["basic/train_00002", "basic/train_00003"]
    assert [reason for _, reason in rejects] == ["conflicting-entries", "conflicting-entries", "repeated-name"]
    for place in ("train/5/train_00001", "train/4/train_00001", "train/4/train_00002"):
        write(tmp_path / f"repacked/DATASET/{place}_aligned.jpg", jpg)
    samples, rejects = read(RafDB(), tmp_path / "repacked")
    assert list(samples) == ["basic/train_00002"]
    assert [reason for _, reason in rejects] == ["conflicting-entries", "conflicting-entries"]


def test_sfew_clip_whose_video_lies_in_two_classes_has_no_label(tmp_path: Path, jpg: bytes) -> None:
    for clip in ("000247920", "000111"):
        write(tmp_path / f"Train_AFEW/AlignedFaces_LBPTOP_Points/Faces/{clip}/I_1001.jpg", jpg)
        write(tmp_path / f"Train_AFEW/Angry/{clip}.avi", b"x")
    write(tmp_path / "Train_AFEW/Happy/000247920.avi", b"x")
    samples, rejects = read(Sfew(), tmp_path)
    assert [s.emotion for s in samples.values()] == ["anger"]
    assert [reason for _, reason in rejects] == ["conflicting-entries"]


def test_expw_fake_has_pictures_with_two_faces_in_their_boxes(tmp_path: Path) -> None:
    ExpW().fake(tmp_path, subjects=4, per_class={"anger": 8, "fear": 8}, seed=1)
    samples, _ = read(ExpW(), tmp_path)
    pairs = Counter(sample.group_id for sample in samples.values())
    assert set(pairs.values()) == {1, 2}
    for sample in samples.values():
        left, top, width, height = map(float, sample.extra["face_box"].split(","))
        shape = decode_image(sample.payload).shape
        assert 0 <= left < left + width <= shape[1] and 0 <= top < top + height <= shape[0]


# -- RAF-DB

BASIC = {1: "surprise", 2: "fear", 3: "disgust", 4: "happiness", 5: "sadness", 6: "anger", 7: "neutral"}


def raf_db(root: Path, subset: str, lines: list[str], jpg: bytes) -> Path:
    home = root / subset
    write(home / "EmoLabel/list_patition_label.txt", "\n".join(lines))
    for line in lines:
        write(home / f"Image/aligned/{line.split('.')[0]}_aligned.jpg", jpg)
        write(home / f"Image/original/{line.split('.')[0]}.jpg", jpg)
    return home


def test_raf_db_basic_codes_and_split(tmp_path: Path, jpg: bytes) -> None:
    raf_db(tmp_path, "basic", [*(f"train_{code:05d}.jpg {code}" for code in BASIC), "test_0001.jpg 4"], jpg)
    samples, rejects = read(RafDB(), tmp_path)
    assert rejects == []
    assert {code: samples[f"basic/train_{code:05d}"].emotion for code in BASIC} == BASIC
    assert {name: s.extra["official_split"] for name, s in samples.items()}["basic/test_0001"] == "test"
    assert all(s.gender is None and "face_box" not in s.extra for s in samples.values())


def test_raf_db_compound_labels_are_two_basic_emotions(tmp_path: Path, jpg: bytes) -> None:
    raf_db(tmp_path, "basic", ["train_00001.jpg 5"], jpg)
    raf_db(tmp_path, "compound", ["train_00001.jpg 1", "train_00002.jpg 8", "test_0001.jpg 12"], jpg)
    samples, rejects = read(RafDB(subset="compound"), tmp_path)
    assert list(samples) == ["compound/train_00001", "compound/train_00002"]
    assert rejects == [("list_patition_label.txt#000002", "bad-label")]
    happy, scared = samples.values()
    assert happy.emotion is None and happy.emotion_raw == "Happily Surprised"
    assert {e["label"]: e["weight"] for e in happy.labels if e["scheme"] == "canonical"} == {
        "happiness": 0.5,
        "surprise": 0.5,
    }
    assert assign({"labels": scared.labels}, "labels:raf_db_compound") == "Fearfully Surprised"
    assert list(read(RafDB(), tmp_path)[0]) == ["basic/train_00001"]


def test_raf_db_original_pictures_have_box_landmarks_and_attributes(tmp_path: Path, jpg: bytes) -> None:
    home = raf_db(tmp_path, "basic", ["train_00001.jpg 5", "train_00002.jpg 5", "train_00003.jpg 5"], jpg)
    write(home / "Annotation/boundingbox/train_00001_boundingbox.txt", "12.5 20 40.5 60 \n")
    write(home / "Annotation/manual/train_00001_manu_attri.txt", "1\t2\n3\t4\n5\t6\n7\t8\n9\t10.5\n1\n0\n3\n")
    write(home / "Annotation/boundingbox/train_00002_boundingbox.txt", "1 2 3")
    write(home / "Annotation/manual/train_00003_manu_attri.txt", "1\t2\n")
    samples, rejects = read(RafDB(images="original"), tmp_path)
    sample = samples["basic/train_00001"]
    assert sample.extra["face_box"] == "12.5,20,28,40"
    assert sample.extra["landmarks"] == "1,2;3,4;5,6;7,8;9,10.5"
    assert (sample.gender, sample.extra["age_range"]) == ("female", "40-69")
    assert [reason for _, reason in rejects] == ["bad-box", "bad-annotation"]
    aligned = read(RafDB(), tmp_path)[0]["basic/train_00001"]  # marks are places in the original
    assert "landmarks" not in aligned.extra and "face_box" not in aligned.extra and aligned.gender == "female"


def test_raf_db_reads_the_class_folders_of_its_repack(tmp_path: Path, jpg: bytes) -> None:
    write(tmp_path / "DATASET/train/1/train_00012_aligned.jpg", jpg)
    write(tmp_path / "DATASET/test/7/test_0002_aligned.jpg", jpg)
    write(tmp_path / "DATASET/test/stray.jpg", jpg)
    samples, rejects = read(RafDB(), tmp_path)
    assert {name: s.emotion for name, s in samples.items()} == {
        "basic/train_00012": "surprise",
        "basic/test_0002": "neutral",
    }
    assert rejects == [("DATASET/test/stray.jpg", "bad-name")]
    with pytest.raises(CorpusError, match="compound/EmoLabel"):
        RafDB(subset="compound").read(tmp_path, "c")


def test_raf_db_fake_writes_compound_too(tmp_path: Path) -> None:
    corpus = RafDB(subset="compound", images="original")
    corpus.fake(tmp_path, subjects=2, per_class={"happiness": 2, "fear": 1}, seed=0)
    samples, rejects = read(corpus, tmp_path)
    assert rejects == []
    words = Counter(s.emotion_raw for s in samples.values())
    assert words == {"Happily Surprised": 2, "Fearfully Angry": 1}
    assert all(s.extra["face_box"] and s.extra["landmarks"].count(";") == 4 for s in samples.values())
    with pytest.raises(CorpusError, match="neutral"):
        corpus.fake(tmp_path, subjects=2, per_class={"neutral": 2}, seed=0)


# -- AffectNet

HEAD = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"


def test_affectnet_csv_rows(tmp_path: Path, jpg: bytes) -> None:
    rows = [
        "1/a.jpg,13,14,89,90,1.5;2;3;4.25,1,0.785714,-0.055556",
        "1/b.jpg,13,14,89,90,1;2,10,-2,-2",
        "1/c.jpg,NULL,NULL,NULL,NULL,NULL,8,0.1,0.2",
        "1/gone.jpg,13,14,89,90,1;2,1,0,0",
        "1/e.jpg,13,14,89,90,1;2,11,0,0",
        "1/f.jpg,13,14,89,90,1;2,1,0,3",
        "1/g.jpg,13,14,0,90,1;2,1,0,0",
        "1/h.jpg,13,14,89,90,1;2;3,1,0,0",
        "../../../secret.jpg,13,14,89,90,1;2,1,0,0",
        f"{tmp_path.parent}/secret.jpg,13,14,89,90,1;2,1,0,0",
        "1/a.jpg,13,14,89,90,1;2,1,0.785714,-0.055556",
        "1/a.jpg,13",
        "1/i.jpg,13,14,89,90,1;2,1,0.5,0.5",
        "1/i.jpg,13,14,89,90,1;2,7,0.5,0.5",
    ]
    write(tmp_path / "training.csv", "\n".join([HEAD, *rows]))
    write(tmp_path / "validation.csv", "2/d.jpg,1,2,3,4,5;6,7,-1,1\n")  # without a head
    for name in ("2/d.jpg", *(f"1/{letter}.jpg" for letter in "abcefghi")):
        write(tmp_path / "Manually_Annotated/Manually_Annotated_Images" / name, jpg)
    write(tmp_path.parent / "secret.jpg", jpg)
    samples, rejects = read(AffectNet(), tmp_path)
    assert {name: (s.emotion, s.emotion_raw, s.extra["official_split"]) for name, s in samples.items()} == {
        "1/a": ("happiness", "Happiness", "train"),
        "1/b": (None, "No-Face", "train"),
        "1/c": (None, "None", "train"),
        "2/d": ("contempt", "Contempt", "dev"),
    }
    first = samples["1/a"]
    assert (first.extra["face_box"], first.extra["landmarks"]) == ("13,14,89,90", "1.5,2;3,4.25")
    assert (first.valence, first.arousal) == (pytest.approx(0.785714), pytest.approx(-0.055556))
    assert samples["1/b"].valence is None and samples["1/b"].ratings == []  # -2: not rated
    assert "face_box" not in samples["1/c"].extra and samples["1/c"].arousal == pytest.approx(0.2)
    assert [reason for _, reason in rejects] == [
        "no-picture",
        "bad-label",
        "rating-out-of-range",
        "bad-box",
        "bad-landmarks",
        "no-picture",
        "no-picture",
        "repeated-name",
        "bad-row",
        "conflicting-entries",
        "conflicting-entries",
    ]
    write(tmp_path / "lists/validation.csv", "2/d.jpg,1,2,3,4,5;6,6,-1,1\n")
    with pytest.raises(CorpusError, match=r"validation\.csv differ"):
        AffectNet().read(tmp_path, "c")


def test_affectnet_two_pictures_with_one_annotation_are_rejects(tmp_path: Path, jpg: bytes) -> None:
    AffectNet(form="npy").fake(tmp_path, subjects=2, per_class={"anger": 2}, seed=0)
    (one, two), _ = read(AffectNet(), tmp_path)
    write(tmp_path / f"{one}.x.jpg".replace("train_set/", "train_set/images/"), jpg)  # another name, no annotation
    write(tmp_path / f"{one}.png".replace("train_set/", "train_set/images/"), jpg)
    samples, rejects = read(AffectNet(), tmp_path)
    assert list(samples) == [two]
    assert sorted(reason for _, reason in rejects) == ["conflicting-entries", "conflicting-entries", "no-annotation"]


def npy(array: np.ndarray, **options: bool) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


def test_affectnet_npy_form(tmp_path: Path, jpg: bytes) -> None:
    def annotate(place: str, number: int, **arrays: np.ndarray) -> None:
        write(tmp_path / place / f"images/{number}.jpg", jpg)
        for kind, array in arrays.items():
            write(tmp_path / place / f"annotations/{number}_{kind}.npy", npy(array))

    text = {"exp": np.array("6"), "val": np.array("-0.5"), "aro": np.array("0.25")}
    numbers = {"exp": np.array(0), "val": np.array([-2.0]), "aro": np.array(-2.0)}
    annotate("train_set", 0, **text, lnd=np.arange(136.0))
    annotate("val_set", 0, **numbers)
    annotate("train_set", 1, **(text | {"exp": np.array("8")}), lnd=np.arange(3.0))
    annotate("train_set", 2, **{kind: array for kind, array in text.items() if kind != "aro"})
    annotate("train_set", 3, **(text | {"exp": np.array("joy")}))
    annotate("train_set", 4, **text)
    write(tmp_path / "train_set/annotations/4_val.npy", npy(np.array({"a": 1}, dtype=object), allow_pickle=True))
    annotate("train_set", 5, **text)
    many = b"(99999999999999999999,)"
    data = npy(np.zeros(2)).replace(b"(2,)", many).replace(b" " * (len(many) - 4) + b"\n", b"\n")
    write(tmp_path / "train_set/annotations/5_val.npy", data)
    annotate("train_set", 6, **(text | {"aro": np.array("nan")}))
    samples, rejects = read(AffectNet(), tmp_path)
    first, second = samples["train_set/0"], samples["val_set/0"]
    assert (first.emotion, first.valence, first.arousal) == ("anger", -0.5, 0.25)
    assert first.extra["landmarks"].startswith("0,1;2,3;") and first.extra["landmarks"].count(";") == 67
    assert (second.emotion, second.valence, second.extra["official_split"]) == ("neutral", None, "dev")
    assert [reason for _, reason in rejects] == [
        "bad-landmarks",
        "no-annotation",
        "not-a-number",
        "not-an-npy",
        "not-an-npy",
        "not-a-number",
    ]


def test_affectnet_forms_are_chosen_and_faked(tmp_path: Path) -> None:
    corpus = AffectNet(form="npy")
    corpus.fake(tmp_path, subjects=3, per_class={"contempt": 4, "anger": 3}, seed=2)
    samples, rejects = read(corpus, tmp_path)
    assert rejects == [] and Counter(s.emotion for s in samples.values()) == {"contempt": 4, "anger": 3}
    with pytest.raises(CorpusError, match="form: csv"):
        AffectNet(form="csv").read(tmp_path, "c")
    AffectNet().fake(tmp_path, subjects=3, per_class={"fear": 2}, seed=2)
    assert Counter(s.emotion for s in read(AffectNet(), tmp_path)[0].values()) == {"fear": 2, None: 3}
    assert Counter(s.emotion for s in read(corpus, tmp_path)[0].values()) == {"contempt": 4, "anger": 3}
    with pytest.raises(UnknownNameError, match="csv"):
        AffectNet(form="json")


# -- SFEW and AFEW


def test_sfew_frames_of_a_clip_are_one_group(tmp_path: Path, jpg: bytes) -> None:
    for name in (
        "Train/Train_Aligned_Faces/Angry/RevolutionaryRoad_000806440_00000015.png",
        "Train/Train_Aligned_Faces/Angry/RevolutionaryRoad_000806440_00000030.png",
        "Train/Angry/RevolutionaryRoad_000806440_00000015.png",
        "Val_Aligned_Faces_new/Sad/HarryPotter_Deathly_Hallows_1_005528520_00000026.png",
        "Test_Aligned_Faces/21_012246400_00000087.png",
        "Train/Angry/holiday.png",
        "elsewhere/Film_012246400_00000087.png",
        "Val/Film_012246400_00000087.png",
    ):
        write(tmp_path / name, jpg)
    samples, rejects = read(Sfew(), tmp_path)
    road = [s for s in samples.values() if s.group_id == "c:RevolutionaryRoad_000806440"]
    assert len(road) == 3 and {s.session_id for s in road} == {"c:RevolutionaryRoad"}
    assert {s.emotion for s in road} == {"anger"}
    harry = samples["Val_Aligned_Faces_new/Sad/HarryPotter_Deathly_Hallows_1_005528520_00000026"]
    assert (harry.session_id, harry.emotion) == ("c:HarryPotter_Deathly_Hallows_1", "sadness")
    assert harry.extra["official_split"] == "dev" and harry.extra["frame"] == "00000026"
    test = samples["Test_Aligned_Faces/21_012246400_00000087"]
    assert (test.emotion, test.emotion_raw, test.extra["official_split"]) == (None, None, "test")
    assert sorted(rejects) == [
        ("Train/Angry/holiday.png", "bad-name"),
        ("Val/Film_012246400_00000087.png", "no-label"),
        ("elsewhere/Film_012246400_00000087.png", "bad-name"),
    ]
    assert len(read(Sfew(aligned=True), tmp_path)[0]) == 4
    assert len(read(Sfew(aligned=False), tmp_path)[0]) == 1


def test_afew_frames_take_the_label_of_their_video(tmp_path: Path, jpg: bytes) -> None:
    write(tmp_path / "Train_AFEW/Happy/000247920.avi", b"a video")
    for name in (
        "Train_AFEW/AlignedFaces_LBPTOP_Points/Faces/000247920/I_1001.jpg",
        "Train_AFEW/AlignedFaces_LBPTOP_Points/Faces/000247920/I_1002.jpg",
        "Train_AFEW/AlignedFaces_LBPTOP_Points/Faces/000999999/I_1001.jpg",
        "Test_AFEW/Faces/000111111/I_1001.jpg",
        "val_afew/Angry/000046280/00001.jpg",
    ):
        write(tmp_path / name, jpg)
    samples, rejects = read(Sfew(), tmp_path)
    assert Counter((s.group_id, s.emotion) for s in samples.values()) == {
        ("c:train/000247920", "happiness"): 2,
        ("c:test/000111111", None): 1,
        ("c:val/000046280", "anger"): 1,
    }
    assert [reason for _, reason in rejects] == ["no-label"]

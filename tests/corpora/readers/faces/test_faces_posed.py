"""Face corpora posed in laboratories: what is special in each. Expected values come from what cards cite."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpora.codecs import encode_png
from corpora.errors import CorpusError, UnknownNameError
from corpora.labels import assign
from corpora.readers.faces.cfee import Cfee
from corpora.readers.faces.ck_plus import CKPlus
from corpora.readers.faces.jaffe import Jaffe
from corpora.readers.faces.kdef import Kdef
from corpora.readers.faces.oulu_casia import OuluCasia
from corpora.readers.faces.rafd import MODELS, Rafd
from corpora.readers.faces.sequences import chosen_frames
from corpora.readers.fakes.face import draw_picture, encode_jpg
from corpora.schema import Corpus, Reject, Sample


def read(corpus: Corpus, root: Path) -> tuple[dict[str, Sample], list[tuple[str, str]]]:
    """-> ({native id: sample}, [(path, reason) of a reject])"""
    items = list(corpus.read(root, "c"))
    samples = {item.sample_id.removeprefix("c/"): item for item in items if isinstance(item, Sample)}
    return samples, [(item.path, item.reason) for item in items if isinstance(item, Reject)]


PIXELS = draw_picture(
    "anger", size=48, colour=False, person=np.random.default_rng(1), rng=np.random.default_rng(2)
).pixels
PNG, JPG = encode_png(PIXELS), encode_jpg(PIXELS)


def tiff() -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "TIFF")
    return out.getvalue()


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


# -- which frames


@pytest.mark.parametrize(
    ("frames", "length", "roles"),
    [
        ("apex", 5, {4: "apex"}),
        ("apex_neutral", 5, {0: "neutral", 4: "apex"}),
        ("last3", 5, {2: "late", 3: "late", 4: "apex"}),
        ("last3_neutral", 5, {0: "neutral", 2: "late", 3: "late", 4: "apex"}),
        ("last3_neutral", 3, {0: "late", 1: "late", 2: "apex"}),  # the first frame is labelled once
        ("apex_neutral", 1, {0: "apex"}),
    ],
)
def test_frames_are_counted_from_the_end_and_a_frame_has_one_role(
    frames: str, length: int, roles: dict[int, str]
) -> None:
    names = [f"s/{number}" for number in range(length)]
    files = [(Path(name), name) for name in sorted(names, reverse=True)] + [(Path("stray"), "stray")]
    chosen, found = chosen_frames(files, lambda name: ("s", int(name[2:])) if name != "stray" else None, frames)
    assert found == {names[number]: role for number, role in roles.items()}
    assert [name for _, name in chosen] == [*sorted(found, reverse=True), "stray"]


def test_frames_are_ordered_by_number_not_by_name() -> None:
    names = ["s/9", "s/10", "s/1"]
    _, roles = chosen_frames([(Path(n), n) for n in names], lambda name: ("s", int(name[2:])), "apex_neutral")
    assert roles == {"s/1": "neutral", "s/10": "apex"}


# -- CK+


@pytest.fixture
def ck_plus(tmp_path: Path) -> Path:
    """The example of the distribution's readme, a smile without given intensity, and a sequence without an emotion."""
    for place, n_frames in (("S005/001", 11), ("S010/006", 4), ("S010/002", 4)):
        stem = place.replace("/", "_")
        for frame in range(1, n_frames + 1):
            write(tmp_path / "cohn-kanade-images" / place / f"{stem}_{frame:08d}.png", PNG)
            points = "".join(f"   {x:.7e}   {frame:.7e}\n" for x in range(68))
            write(tmp_path / "Landmarks" / place / f"{stem}_{frame:08d}_landmarks.txt", points)
    write(
        tmp_path / "FACS/S005/001/S0005_001_00000011_facs.txt",
        "9.0000000e+00   4.0000000e+00\n1.7000000e+01   2.0000000e+00\n",
    )
    write(tmp_path / "Emotion/S005/001/S005_001_00000011_emotion.txt", "3.00000000e+00\n")
    write(tmp_path / "FACS/S010/006/S010_006_00000004_facs.txt", "   1.2000000e+01   0.0000000e+00\n")
    write(tmp_path / "Emotion/S010/006/S010_006_00000004_emotion.txt", "   5.0000000e+00\n")
    (tmp_path / "Emotion/S010/002").mkdir()  # the archive has empty folders for those without a label
    return tmp_path


def test_ck_plus_reads_the_example_of_its_readme(ck_plus: Path) -> None:
    samples, rejects = read(CKPlus(), ck_plus)
    assert not rejects
    peak = samples["S005_001_00000011"]
    assert (peak.emotion, peak.emotion_raw, peak.extra["au"]) == ("disgust", "disgust", "9=4;17=2")  # AU 9d and 17b
    assert peak.extra["frame_role"] == "apex" and peak.group_id == peak.subject_id == "c:S005"
    landmarks = peak.extra["landmarks"].split(";")
    assert len(landmarks) == 68 and landmarks[3] == "3,11"
    first = samples["S005_001_00000001"]
    assert (first.emotion, first.extra["frame_role"]) == ("neutral", "neutral")
    assert "au" not in first.extra and first.extra["landmarks"].startswith("0,1;")  # FACS is of the peak
    smile = samples["S010_006_00000004"]
    assert (smile.emotion, smile.emotion_raw, smile.extra["au"]) == ("happiness", "happy", "12=0")
    assert len(samples) == 6


def test_a_sequence_without_an_emotion_is_null_or_left_out(ck_plus: Path) -> None:
    kept, _ = read(CKPlus(), ck_plus)
    assert kept["S010_002_00000004"].emotion is None and kept["S010_002_00000004"].emotion_raw is None
    assert kept["S010_002_00000001"].emotion == "neutral"
    left, rejects = read(CKPlus(unlabelled=False), ck_plus)
    assert not rejects and set(kept) - set(left) == {"S010_002_00000001", "S010_002_00000004"}


def test_options_of_ck_plus_choose_frames_and_counts(ck_plus: Path) -> None:
    samples, _ = read(CKPlus(frames="last3", unlabelled=False), ck_plus)
    assert Counter(sample.emotion for sample in samples.values()) == {"disgust": 3, "happiness": 3}
    assert samples["S005_001_00000009"].extra["frame_role"] == "late"
    assert set(read(CKPlus(frames="apex"), ck_plus)[0]) == {
        "S005_001_00000011",
        "S010_006_00000004",
        "S010_002_00000004",
    }
    apex = CKPlus(frames="apex", unlabelled=False).card
    assert apex.n_samples == sum((apex.counts or {}).values()) == 327
    assert (CKPlus().card.n_samples, (CKPlus().card.counts or {})["neutral"]) == (1186, 593)
    assert (CKPlus(frames="last3", unlabelled=False).card.counts or {})["surprise"] == 249  # as CK+48 holds
    with pytest.raises(UnknownNameError, match="apex_neutral"):
        CKPlus(frames="peak")


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("Emotion/S005/001/S005_001_00000011_emotion.txt", "9.0", "bad-label"),
        ("Emotion/S005/001/S005_001_00000011_emotion.txt", "3.5", "bad-label"),
        ("Emotion/S005/001/S005_001_00000011_emotion.txt", "3.0 4.0", "bad-annotation"),
        ("Emotion/S005/001/S005_001_00000011_emotion.txt", "", "bad-annotation"),
        ("Emotion/S005/001/S005_001_00000010_emotion.txt", "4.0", "bad-annotation"),
        ("Emotion/S005/001/S005_001_00000011_emotion.txt", "disgust", "not-a-number"),
        ("FACS/S005/001/S0005_001_00000011_facs.txt", "9.0 4.0 1.0", "bad-annotation"),
        ("Landmarks/S005/001/S005_001_00000011_landmarks.txt", "1.0\n2.0\n", "bad-landmarks"),
    ],
)
def test_a_bad_annotation_of_ck_plus_is_a_reject_of_its_pictures(
    ck_plus: Path, kind: str, text: str, reason: str
) -> None:
    write(ck_plus / kind, text)
    samples, rejects = read(CKPlus(frames="apex"), ck_plus)
    assert rejects == [("cohn-kanade-images/S005/001/S005_001_00000011.png", reason)]
    assert len(samples) == 2


def test_archives_of_ck_plus_may_lie_in_folders_of_their_names(ck_plus: Path) -> None:
    for folder, archive in (("Emotion", "Emotion_labels"), ("FACS", "FACS_labels"), ("Landmarks", "Landmarks_zip")):
        (ck_plus / archive).mkdir()
        (ck_plus / folder).rename(ck_plus / archive / folder)
    samples, _ = read(CKPlus(), ck_plus)
    assert samples["S005_001_00000011"].extra["au"] == "9=4;17=2"
    assert samples["S005_001_00000011"].emotion == "disgust" and "landmarks" in samples["S005_001_00000001"].extra


def test_pictures_of_ck_plus_without_their_labels_are_an_error(ck_plus: Path) -> None:
    with pytest.raises(CorpusError, match=r"Emotion_labels\.zip"):
        CKPlus().read(ck_plus / "cohn-kanade-images", "c")


def test_repack_ck48_has_labels_in_folders_and_no_neutral_faces(tmp_path: Path) -> None:
    for frame in (15, 16, 17):
        write(tmp_path / f"CK+48/anger/S010_004_{frame:08d}.png", PNG)
    write(tmp_path / "CK+48/happy/S010_006_00000013.png", PNG)
    samples, rejects = read(CKPlus(frames="last3_neutral"), tmp_path)
    assert not rejects
    assert {key: sample.emotion for key, sample in samples.items()} == {
        "S010_004_00000015": "anger",
        "S010_004_00000016": "anger",
        "S010_004_00000017": "anger",
        "S010_006_00000013": "happiness",
    }
    assert samples["S010_004_00000017"].group_id == "c:S010"
    assert set(read(CKPlus(), tmp_path)[0]) == {"S010_004_00000017", "S010_006_00000013"}


def test_made_up_ck_plus_has_no_neutral_where_none_is_read(tmp_path: Path) -> None:
    corpus = CKPlus(frames="apex", unlabelled=False)
    corpus.fake(tmp_path, subjects=2, per_class={"fear": 3}, seed=0)
    assert Counter(sample.emotion for sample in read(corpus, tmp_path)[0].values()) == {"fear": 3}
    with pytest.raises(CorpusError, match="apex_neutral"):
        corpus.fake(tmp_path, subjects=2, per_class={"neutral": 3}, seed=0)


# -- JAFFE

README = """The Japanese Female Facial Expression (JAFFE) Database

Semantic Ratings Data
#   HAP  SAD  SUR  ANG  DIS  FEA  PIC
-------------------------------------------
1   2.87 2.52 2.10 1.97 1.97 2.06 KM-NE1
39  1.20 2.00 1.50 6.10 2.00 1.10 KA-AN1
40  1.20 2.00 1.50 4.10 2.00 x    KA-AN2
41  1.20 2.00 1.50 4.10 2.00 KA-AN3
12  1.00 4.00 1.00 1.00 1.00 1.00 KM-SA4

Semantic Ratings Data (Fear Excluded)
#   HAP  SAD  SUR  ANG  DIS  PIC
1   1.11 1.11 1.11 1.11 1.11 KM-NE1
4   4.90 1.10 1.20 1.00 1.00 KM-HA1
"""


def test_jaffe_reads_names_and_the_ratings_of_its_readme(tmp_path: Path) -> None:
    for name in ("KM.NE1.1", "KA.AN1.39", "KA.AN2.40", "KA.AN3.41", "KM.HA1.4", "YM.FE4.70", "KA.XX1.99", "KA-AN1-39"):
        write(tmp_path / f"jaffe/{name}.tiff", tiff())
    write(tmp_path / "jaffe/README_FIRST.txt", README)
    samples, rejects = read(Jaffe(), tmp_path)
    neutral = samples["KM.NE1.1"]
    assert (neutral.emotion, neutral.emotion_raw, neutral.subject_id) == ("neutral", "NE", "c:KM")
    assert (neutral.gender, neutral.codec, neutral.extra["number"]) == ("female", "tiff", "1")
    assert {str(r["scheme"]): r["value"] for r in neutral.ratings} == {
        "happiness": 2.87,
        "sadness": 2.52,
        "surprise": 2.10,
        "anger": 1.97,
        "disgust": 1.97,
        "fear": 2.06,
    }
    assert {r["rater"] for r in neutral.ratings} == {"mean"}
    assert not samples["KM.HA1.4"].ratings  # rated in the other study alone
    assert samples["YM.FE4.70"].emotion == "fear"
    assert sorted(rejects) == [
        ("jaffe/KA-AN1-39.tiff", "bad-name"),
        ("jaffe/KA.AN1.39.tiff", "bad-rating"),
        ("jaffe/KA.AN2.40.tiff", "bad-rating"),
        ("jaffe/KA.AN3.41.tiff", "bad-rating"),
        ("jaffe/KA.XX1.99.tiff", "bad-label"),
    ]
    (tmp_path / "jaffe/README_FIRST.txt").unlink()
    samples, rejects = read(Jaffe(), tmp_path)
    assert not samples["KM.NE1.1"].ratings and len(rejects) == 2


def test_counts_of_jaffe_are_those_of_its_names() -> None:
    assert sum((Jaffe.card.counts or {}).values()) == Jaffe.card.n_samples == 213


def test_a_made_up_jaffe_has_ratings_that_agree_with_its_faces(tmp_path: Path) -> None:
    Jaffe().fake(tmp_path, subjects=4, per_class={"sadness": 6, "surprise": 5}, seed=3)
    for sample in read(Jaffe(), tmp_path)[0].values():
        assert max(sample.ratings, key=lambda entry: float(str(entry["value"])))["scheme"] == sample.emotion


# -- KDEF


def test_kdef_reads_its_codes_and_passes_over_averaged_faces(tmp_path: Path) -> None:
    for name in ("AF01/AF01ANFL", "BM35/BM35AFS", "AF31/AF31V", "AM31/AM31H", "AF02/AF02NEHR", "AF02/AF02XXS"):
        write(tmp_path / f"KDEF/{name}.JPG", JPG)
    write(tmp_path / "AKDEF/FAFFL.JPG", JPG)
    samples, rejects = read(Kdef(), tmp_path)
    assert set(samples) == {"AF01ANFL", "BM35AFS", "AF02NEHR"}
    angry, afraid = samples["AF01ANFL"], samples["BM35AFS"]
    assert (angry.emotion, angry.gender, angry.subject_id, angry.session_id) == ("anger", "female", "c:F01", "c:AF01")
    assert angry.extra["view"] == "full left profile" and angry.codec == "jpg"
    assert (afraid.emotion, afraid.emotion_raw, afraid.gender) == ("fear", "afraid", "male")
    assert afraid.extra["session"] == "B" and afraid.extra["angle"] == "S"
    assert sorted(rejects) == [
        ("KDEF/AF02/AF02XXS.JPG", "bad-label"),
        ("KDEF/AF31/AF31V.JPG", "bad-name"),
        ("KDEF/AM31/AM31H.JPG", "bad-name"),
    ]
    assert set(read(Kdef(angle="S"), tmp_path)[0]) == {"BM35AFS"}


def test_counts_of_kdef_follow_the_angle() -> None:
    assert (Kdef().card.n_samples, (Kdef().card.counts or {})["happy"]) == (4900, 700)
    assert (Kdef("S").card.n_samples, (Kdef("S").card.counts or {})["happy"]) == (980, 140)
    with pytest.raises(UnknownNameError, match="angle of KDEF"):
        Kdef("left")


def test_made_up_kdef_holds_ten_pictures_of_a_person_and_expression(tmp_path: Path) -> None:
    Kdef().fake(tmp_path, subjects=1, per_class={"anger": 10}, seed=0)
    samples, _ = read(Kdef(), tmp_path)
    assert {(s.extra["session"], s.extra["angle"]) for s in samples.values()} == {
        (session, angle) for session in "AB" for angle in ("FL", "HL", "S", "HR", "FR")
    }
    with pytest.raises(CorpusError, match="at most 10"):
        Kdef().fake(tmp_path, subjects=1, per_class={"anger": 11}, seed=0)


# -- RaFD


def test_rafd_reads_its_names_and_chooses_views(tmp_path: Path) -> None:
    for name in (
        "Rafd090_01_Caucasian_female_angry_frontal",
        "Rafd045_72_Moroccan_male_contemptuous_left",
        "Rafd180_42_Kid_female_surprised_right",
        "Rafd090_02_Caucasian_female_bored_frontal",
        "Rafd060_02_Caucasian_female_happy_frontal",
        "Rafd090_02_Elf_female_happy_frontal",
        "Rafd090_02_Caucasian_female_happy_up",
        "Rafd090_02_female_happy",
    ):
        write(tmp_path / f"{name}.jpg", JPG)
    samples, rejects = read(Rafd(), tmp_path)
    angry = samples["Rafd090_01_Caucasian_female_angry_frontal"]
    assert (angry.emotion, angry.emotion_raw, angry.gender, angry.subject_id) == ("anger", "angry", "female", "c:01")
    assert (angry.extra["angle"], angry.extra["gaze"], angry.extra["model_group"]) == ("090", "frontal", "Caucasian")
    contempt = samples["Rafd045_72_Moroccan_male_contemptuous_left"]
    assert (contempt.emotion, contempt.gender, contempt.extra["gaze"]) == ("contempt", "male", "left")
    assert samples["Rafd180_42_Kid_female_surprised_right"].extra["model_group"] == "Kid"
    assert len(samples) == 3 and Counter(reason for _, reason in rejects) == {"bad-label": 4, "bad-name": 1}
    assert set(read(Rafd(angle=90, gaze="frontal"), tmp_path)[0]) == {"Rafd090_01_Caucasian_female_angry_frontal"}


def test_counts_of_rafd_follow_the_views() -> None:
    assert len(MODELS) == 67 and {6, 13, 17, 34, 62, 66}.isdisjoint(MODELS) and max(MODELS) == 73
    assert (Rafd().card.n_samples, (Rafd().card.counts or {})["sad"]) == (8040, 1005)
    assert Rafd(angle="090", gaze="frontal").card.n_samples == 536  # the frontal set that others train on
    with pytest.raises(UnknownNameError, match="gaze of RaFD"):
        Rafd(gaze="up")


# -- CFEE

CODES = "id,emotion\n1,Neutral\n2,Happy\n5.0,happily_surprised\n9,Hatred\n10,Fearfully disgusted\n"


def cfee(tmp_path: Path, codes: str = CODES) -> Path:
    root = tmp_path / "CFEE_Database_230"
    for name in (
        "01-04/Images1/01_126_3963",
        "01-04/Images1/02_339_3470",
        "05-08/Images2/05_140_5449",
        "09-12/Images3/09_110_2555",
        "09-12/Images3/10_110_2559",
        "21-26/Images6/23_178_6632",
        "21-26/Images6/02_236",
        "21-26/Images6/260_19.png",
    ):
        write(root / f"{name}.jpg", JPG)
    write(root / "emotion_codes.csv", codes)
    return tmp_path


def test_cfee_reads_categories_and_the_two_emotions_of_their_names(tmp_path: Path) -> None:
    samples, rejects = read(Cfee(), cfee(tmp_path))
    assert {key: sample.emotion for key, sample in samples.items()} == {
        "01_126_3963": "neutral",
        "02_339_3470": "happiness",
        "05_140_5449": None,
        "09_110_2555": None,
        "10_110_2559": None,
        "02_236": "happiness",
    }
    assert samples["01_126_3963"].group_id == "c:126" and not samples["01_126_3963"].labels
    both = samples["05_140_5449"]
    assert both.emotion_raw == "Happily surprised"
    assert [(entry["scheme"], entry["label"], entry["weight"]) for entry in both.labels] == [
        ("cfee_category", "Happily surprised", 1.0),
        ("cfee", "Happy", 0.5),
        ("cfee", "Surprised", 0.5),
        ("canonical", "happiness", 0.5),
        ("canonical", "surprise", 0.5),
    ]
    record = {"emotion": both.emotion, "labels": both.labels}
    assert assign(record, "ekman7") is None and assign(record, "labels:cfee_category") == "Happily surprised"
    fearful = {entry["label"] for entry in samples["10_110_2559"].labels if entry["scheme"] == "canonical"}
    assert fearful == {"fear", "disgust"}
    assert [entry["label"] for entry in samples["09_110_2555"].labels] == ["Hatred"]  # its name says no basic emotion
    assert sorted(rejects) == [
        ("CFEE_Database_230/21-26/Images6/23_178_6632.jpg", "no-category"),
        ("CFEE_Database_230/21-26/Images6/260_19.png.jpg", "bad-name"),
    ]


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        ("1,Neutral\n2,Gleeful\n", "Gleeful.*unknown.*Fearfully disgusted"),
        ("1,Neutral\n01,Happy\n", "there twice"),
        ("1\n", "unknown"),
        ("number,name\n", "no category"),
    ],
)
def test_a_wrong_table_of_cfee_is_an_error_that_says_so(tmp_path: Path, codes: str, says: str) -> None:
    with pytest.raises(CorpusError, match=says):
        Cfee().read(cfee(tmp_path, codes), "c")


def test_cfee_without_its_table_says_how_to_make_it(tmp_path: Path) -> None:
    (cfee(tmp_path) / "CFEE_Database_230/emotion_codes.csv").unlink()
    with pytest.raises(CorpusError, match=r"sheet summary of AU_annotation_all_subjects\.xls"):
        Cfee().read(tmp_path, "c")


def test_card_of_cfee_has_22_categories_7_of_them_in_the_vocabulary() -> None:
    label_map = Cfee.card.label_map
    assert len(label_map) == 22 and sum(emotion is None for emotion in label_map.values()) == 15
    assert sum((Cfee.card.counts or {}).values()) == 22 * 230 == Cfee.card.n_samples


# -- Oulu-CASIA


@pytest.fixture
def oulu(tmp_path: Path) -> Path:
    for frame in range(18):
        write(tmp_path / f"OriginalImg/VL/Strong/P012/Anger/{frame:03d}.jpeg", JPG)
    for frame in range(4):
        write(tmp_path / f"OriginalImg/NI/Dark/P001/Happiness/{frame:03d}.jpeg", JPG)
        write(tmp_path / f"PreProcess_Img/VL_Acropped/Strong/P012/Anger/{frame:03d}.jpeg", JPG)
    return tmp_path


def test_oulu_reads_the_last_frame_of_original_pictures(oulu: Path) -> None:
    write(oulu / "OriginalImg/VL/Strong/P012/Rage/000.jpeg", JPG)
    samples, rejects = read(OuluCasia(), oulu)
    assert rejects == [("OriginalImg/VL/Strong/P012/Rage/000.jpeg", "bad-name")]
    assert set(samples) == {"VL/Strong/P012/Anger/017", "NI/Dark/P001/Happiness/003"}
    anger = samples["VL/Strong/P012/Anger/017"]
    assert (anger.emotion, anger.emotion_raw, anger.group_id, anger.codec) == ("anger", "Anger", "c:P012", "jpg")
    assert (anger.extra["acquisition"], anger.extra["lighting"]) == ("VL", "Strong")


def test_options_of_oulu_choose_frames_light_and_form(oulu: Path) -> None:
    samples, _ = read(OuluCasia(frames="last3_neutral", acquisition="VL", lighting="Strong"), oulu)
    assert {key[-3:]: sample.emotion for key, sample in samples.items()} == {
        "000": "neutral",
        "015": "anger",
        "016": "anger",
        "017": "anger",
    }
    assert set(read(OuluCasia(images="cropped"), oulu)[0]) == {"VL/Strong/P012/Anger/003"}
    assert set(read(OuluCasia(acquisition="NI"), oulu)[0]) == {"NI/Dark/P001/Happiness/003"}
    with pytest.raises(CorpusError, match="no cropped pictures of NI/Weak"):
        OuluCasia(images="cropped", acquisition="NI", lighting="Weak").read(oulu, "c")
    for options in ({"frames": "all"}, {"images": "raw"}, {"acquisition": "IR"}, {"lighting": "Bright"}):
        with pytest.raises(UnknownNameError):
            OuluCasia(**options)


def test_counts_of_oulu_follow_the_options() -> None:
    assert (OuluCasia().card.n_samples, (OuluCasia().card.counts or {})["Fear"]) == (2880, 480)
    common = OuluCasia(frames="last3_neutral", acquisition="VL", lighting="Strong").card
    assert common.counts == dict.fromkeys(("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"), 240) | {
        "Neutral": 480
    }  # as loaders of the corpus have it
    assert common.label_map["Neutral"] == "neutral" and common.n_samples == 1920


def test_made_up_oulu_fills_setups_in_both_forms(tmp_path: Path) -> None:
    for images in ("original", "cropped"):
        corpus = OuluCasia(images=images)
        corpus.fake(tmp_path, subjects=1, per_class={"fear": 6}, seed=0)
        found = read(corpus, tmp_path)[0].values()
        assert {(s.extra["acquisition"], s.extra["lighting"]) for s in found} == {
            (light, lamp) for light in ("VL", "NI") for lamp in ("Strong", "Weak", "Dark")
        }
    with pytest.raises(CorpusError, match="at most 6"):
        OuluCasia().fake(tmp_path, subjects=1, per_class={"fear": 7}, seed=0)

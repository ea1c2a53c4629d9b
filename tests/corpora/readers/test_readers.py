"""Each reader's own rules: names, labels, bad files; and the real corpora where they are."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from corpora.codecs import decode_image, decode_wav, encode_wav
from corpora.errors import CorpusError
from corpora.readers import make_corpus
from corpora.readers.faces.fer2013 import Fer2013
from corpora.readers.speech.ravdess import SONG_COUNTS, SPEECH_COUNTS, Ravdess
from corpora.schema import Corpus, Reject, Sample

TONE = np.sin(np.arange(8000) / 20).astype(np.float32) * 0.3


def read(corpus: Corpus, root: Path) -> tuple[list[Sample], list[Reject]]:
    found = list(corpus.read(root, "c"))
    return [s for s in found if isinstance(s, Sample)], [r for r in found if isinstance(r, Reject)]


# -- RAVDESS


def test_ravdess_name_tells_everything(tmp_path: Path) -> None:
    (tmp_path / "03-01-06-02-02-01-12.wav").write_bytes(encode_wav(TONE, 16000))
    (tmp_path / "03-02-01-01-01-02-07.WAV").write_bytes(encode_wav(TONE, 48000))
    (strong, song), rejects = read(Ravdess(), tmp_path)
    assert not rejects
    assert (strong.emotion, strong.emotion_raw, strong.intensity) == ("fear", "fearful", 1.0)
    assert (strong.subject_id, strong.group_id, strong.gender) == ("c:12", "c:12", "female")
    assert (strong.sentence_id, strong.extra["repetition"], strong.extra["channel"]) == ("c:02", "1", "speech")
    assert strong.duration_s == 0.5
    assert (song.emotion, song.intensity, song.gender, song.extra["channel"]) == ("neutral", 0.5, "male", "song")
    assert song.signals[0]["rate_hz"] == 48000.0


def test_ravdess_published_counts_sum_to_the_published_totals() -> None:
    assert sum(SPEECH_COUNTS.values()) == 1440
    assert sum(SONG_COUNTS.values()) == 1012


def test_ravdess_bad_files_are_rejects_with_slugs(tmp_path: Path) -> None:
    good = encode_wav(TONE, 16000)
    nan = io.BytesIO()
    soundfile.write(nan, np.r_[TONE, np.nan].astype(np.float32), 16000, format="WAV", subtype="FLOAT")
    files = {
        "03-01-01-01-01-01-01.wav": (good, None),
        "03-01-01-01-01-01-02.wav": (good[:-100], "truncated"),
        "03-01-01-01-01-01-03.wav": (b"", "empty"),
        "03-01-01-01-01-01-04.wav": (b"ID3" + good, "not-a-wav"),
        "03-01-01-01-01-01-05.wav": (encode_wav(TONE[:400], 16000), "too-short"),
        "03-01-01-01-01-01-06.wav": (encode_wav(np.zeros(61 * 8000, np.float32), 8000), "too-long"),
        "03-01-01-01-01-01-07.wav": (nan.getvalue(), "non-finite"),
        "03-01-09-01-01-01-08.wav": (good, "bad-label"),
        "03-01-01-03-01-01-08.wav": (good, "bad-label"),
        "02-01-01-01-01-01-09.wav": (good, "not-audio-only"),
        "01-01-01-01-01-01-09.mp4": (good, "not-audio-only"),
        "notes of Ärger.wav": (good, "not-of-this-corpus"),
        "copy/03-01-01-01-01-01-01.wav": (good, "repeated-name"),
    }
    for name, (payload, _) in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(payload)
    accepted, rejects = read(Ravdess(), tmp_path)
    assert [s.extra["path"] for s in accepted] == ["03-01-01-01-01-01-01.wav"]
    assert {r.path: r.reason for r in rejects} == {name: why for name, (_, why) in files.items() if why}
    assert all(r.detail for r in rejects)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
def test_ravdess_takes_every_usual_wav(subtype: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "03-01-01-01-01-01-01.wav", np.stack([TONE, TONE], 1), 44100, subtype=subtype)
    (sample,), rejects = read(Ravdess(), tmp_path)
    assert not rejects
    assert sample.signals[0]["shape"] == [8000, 2]
    assert decode_wav(sample.payload)[0].shape == (8000, 2)


def test_ravdess_name_of_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "03-01-01-01-01-01-01.wav").write_bytes(encode_wav(TONE, 16000))
    try:
        Path(str(tmp_path).encode().decode() + "/bad\udcff.wav").write_bytes(b"x")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names only")
    _, (reject,) = read(Ravdess(), tmp_path)
    reject.path.encode("utf-8")


def test_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "03-01-01-01-01-01-01.wav").write_bytes(encode_wav(TONE, 16000))
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(read(Ravdess(), tmp_path)[0]) == 1


def test_fake_ravdess_has_one_stereo_file_and_real_names(tmp_path: Path) -> None:
    Ravdess().fake(tmp_path, subjects=2, per_class={"anger": 20, "neutral": 10}, seed=3)
    found, _ = read(Ravdess(), tmp_path)
    assert Counter(s.signals[0]["shape"][1] for s in found) == {1: 29, 2: 1}  # type: ignore[index]
    assert {s.extra["path"].split("/")[0] for s in found} == {"Actor_01", "Actor_02"}
    assert max(int(s.extra["repetition"]) for s in found if s.emotion == "anger") == 3
    assert {s.intensity for s in found if s.emotion == "neutral"} == {0.5}
    with pytest.raises(CorpusError, match="subjects"):
        Ravdess().fake(tmp_path, subjects=0, per_class=1, seed=3)


def test_real_ravdess(shared_data: Path) -> None:
    found, rejects = read(Ravdess(), shared_data / "ravdess")
    assert not rejects
    assert Counter(s.emotion for s in found) == {"neutral": 40} | dict.fromkeys(
        ("calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"), 80
    )
    assert Counter(s.subject_id for s in found) == {f"c:{i:02d}": 60 for i in range(1, 11)}
    stereo = sorted(s.extra["path"].split("/")[0] for s in found if s.signals[0]["shape"][1] == 2)  # type: ignore[index]
    assert stereo == ["Actor_01", "Actor_01", "Actor_05"]
    twice = [payload for payload, n in Counter(s.payload for s in found).items() if n > 1]
    assert sorted(s.sample_id for s in found if s.payload == twice[0]) == [
        "c/03-01-03-01-02-01-07",
        "c/03-01-03-01-02-02-07",
    ]
    assert len(twice) == 1


# -- EmoDB


def test_emodb_name_tells_everything(tmp_path: Path) -> None:
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav" / "14b03Lb.wav").write_bytes(encode_wav(TONE, 16000))
    (sample,), _ = read(make_corpus("emodb"), tmp_path)
    assert (sample.emotion, sample.emotion_raw, sample.gender, sample.age) == ("boredom", "L", "female", 35.0)
    assert (sample.subject_id, sample.sentence_id, sample.extra["version"]) == ("c:14", "c:b03", "b")


def test_emodb_bad_names_are_rejects(tmp_path: Path) -> None:
    for name in ("03a01Fa.wav", "03a01Xa.wav", "04a01Fa.wav", "03c01Fa.wav"):
        (tmp_path / name).write_bytes(encode_wav(TONE, 16000))
    accepted, rejects = read(make_corpus("emodb"), tmp_path)
    assert len(accepted) == 1
    assert {r.path: r.reason for r in rejects} == {
        "03a01Xa.wav": "bad-label",
        "04a01Fa.wav": "bad-label",
        "03c01Fa.wav": "not-of-this-corpus",
    }


def test_real_emodb(shared_data: Path) -> None:
    found, rejects = read(make_corpus("emodb"), shared_data / "emodb")
    assert not rejects
    assert Counter(s.emotion for s in found) == {
        "anger": 27,
        "boredom": 9,
        "disgust": 9,
        "fear": 5,
        "happiness": 11,
        "neutral": 20,
        "sadness": 11,
    }
    assert {(s.subject_id, s.gender, s.age) for s in found} == {("c:03", "male", 31.0), ("c:09", "female", 21.0)}


# -- FER2013

PIXELS = " ".join(str(i % 256) for i in range(2304))


def csv(*rows: str, header: str = "emotion,pixels,Usage", newline: str = "\r\n") -> bytes:
    return newline.join([header, *rows, ""]).encode()


def test_fer2013_row_becomes_a_picture(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(csv(f"3,{PIXELS},PublicTest"))
    (sample,), _ = read(Fer2013(), tmp_path)
    expected = (np.arange(2304) % 256).astype(np.uint8).reshape(48, 48)
    np.testing.assert_array_equal(decode_image(sample.payload), expected)
    assert (sample.emotion, sample.subject_id) == ("happiness", None)
    assert (sample.extra["usage"], sample.extra["official_split"]) == ("PublicTest", "dev")


@pytest.mark.parametrize(
    "write",
    [
        lambda: csv(f'"3","{PIXELS}","PublicTest"'),
        lambda: csv(f"3,{PIXELS},PublicTest", newline="\n"),
        lambda: b"\xef\xbb\xbf" + csv(f"3,{PIXELS},PublicTest"),
        lambda: csv(f"3, PublicTest, {PIXELS}", header="emotion, Usage, pixels"),
        lambda: csv(f"3,{PIXELS},PublicTest").rstrip(),
        lambda: (
            csv('3,"' + PIXELS[:4000] + "\n" + PIXELS[4000:] + '",PublicTest')
            if PIXELS[4000] == " "
            else csv('3,"' + PIXELS.replace(" ", "\n", 40) + '",PublicTest')
        ),
    ],
)
def test_fer2013_dialects_of_csv_read_alike(write: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_bytes(csv(f"3,{PIXELS},PublicTest"))
    (plain,), _ = read(Fer2013(), tmp_path / "plain.csv")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "fer2013.csv").write_bytes(write())
    (other,), rejects = read(Fer2013(), tmp_path / "sub")
    assert not rejects
    assert (other.payload, other.group_id, other.extra) == (plain.payload, plain.group_id, plain.extra)


def test_fer2013_bad_rows_are_rejects_with_slugs(tmp_path: Path) -> None:
    rows = {
        f"0,{PIXELS},Training": None,
        f"7,{PIXELS},Training": "bad-label",
        f"0,{PIXELS},Final": "bad-usage",
        f"0,{PIXELS} 1,Training": "wrong-number-of-pixels",
        "0,,Training": "wrong-number-of-pixels",
        f"0,{PIXELS.replace('255', '256', 1)},Training": "value-out-of-range",
        f"0,{PIXELS.replace('255', '-1', 1)},Training": "value-out-of-range",
        f"0,{PIXELS.replace('255', '99999999999999999999', 1)},Training": "value-out-of-range",
        f"0,{PIXELS.replace('255', 'x', 1)},Training": "not-numbers",
        f"0,{PIXELS.replace('255', '2.5', 1)},Training": "not-numbers",
        "0,1 2 3": "bad-row",
        "0," + "1 " * 100_000 + ",Training": "bad-row",
        f"ä,{PIXELS},Training": "undecodable-row",
        f"6,{PIXELS},PrivateTest": None,
    }
    (tmp_path / "fer2013.csv").write_bytes(csv(*rows))
    accepted, rejects = read(Fer2013(), tmp_path)
    assert [s.sample_id for s in accepted] == ["c/000000", f"c/{len(rows) - 1:06d}"]
    assert [r.reason for r in rejects] == [why for why in rows.values() if why]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"emotion;pixels;Usage\n", "emotion;pixels;Usage"),
        (b"label,image\n", "expected emotion,pixels,Usage"),
        ("emotion,pixels,Usage\n".encode("utf-16"), "UTF-16"),
        (b"", "expected emotion,pixels,Usage"),
    ],
)
def test_fer2013_other_columns_or_encoding_is_an_error(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        Fer2013().read(tmp_path, "c")


def test_fer2013_header_without_rows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(csv())
    with pytest.raises(CorpusError, match="no rows"):
        list(Fer2013().read(tmp_path, "c"))


def test_fer2013_needs_one_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv())
    (tmp_path / "b.csv").write_bytes(csv())
    with pytest.raises(CorpusError, match="2 csv files"):
        Fer2013().read(tmp_path, "c")
    shutil.copy(tmp_path / "a.csv", tmp_path / "FER2013.csv")
    Fer2013().read(tmp_path, "c")


def test_fake_fer2013_repeats_pictures_across_usage(tmp_path: Path) -> None:
    Fer2013().fake(tmp_path, subjects=0, per_class={"neutral": 80, "happiness": 80}, seed=3)
    found, _ = read(Fer2013(), tmp_path)
    assert Counter(s.extra["usage"] for s in found) == {"Training": 128, "PublicTest": 16, "PrivateTest": 16}
    groups = Counter(s.group_id for s in found)
    twice = [group for group, n in groups.items() if n > 1]
    assert len(twice) >= 2
    for group in twice:
        assert len({s.extra["official_split"] for s in found if s.group_id == group}) == 2


def test_real_fer2013(shared_data: Path) -> None:
    found, rejects = read(Fer2013(), shared_data / "fer2013")
    assert not rejects
    assert Counter(s.extra["usage"] for s in found) == {"Training": 6000, "PublicTest": 1000, "PrivateTest": 1000}
    assert Counter(s.emotion for s in found) == {
        "happiness": 2014,
        "neutral": 1393,
        "sadness": 1314,
        "fear": 1163,
        "anger": 1145,
        "surprise": 856,
        "disgust": 115,
    }
    assert len({s.group_id for s in found}) == len({s.payload for s in found}) == 7893

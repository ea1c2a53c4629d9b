"""Readers of acted speech: names and rows as their sources quote them, and what they become."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from corpora.codecs import decode_wav, encode_wav
from corpora.errors import CorpusError, UnknownNameError
from corpora.labels import assign
from corpora.readers import make_corpus
from corpora.readers.speech.cafe import Cafe
from corpora.readers.speech.crema_d import CremaD
from corpora.readers.speech.shemo import Shemo
from corpora.schema import Corpus, Reject, Sample

TONE = (np.sin(np.arange(8000) / 20) * 0.3).astype(np.float32)
WAV = encode_wav(TONE, 16000)
ALL = ("crema_d", "cafe", "shemo", "enterface05")


def write(root: Path, *names: str, payload: bytes = WAV) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(payload)


def read(corpus: Corpus, root: Path) -> tuple[dict[str, Sample], dict[str, str]]:
    """-> ({native id: sample}, {path: slug})"""
    found = list(corpus.read(root, "c"))
    samples = {s.sample_id.removeprefix("c/"): s for s in found if isinstance(s, Sample)}
    return samples, {r.path: r.reason for r in found if isinstance(r, Reject)}


def emotions(corpus: Corpus, root: Path) -> dict[str, str | None]:
    samples, rejects = read(corpus, root)
    assert rejects == {}
    return {native: sample.emotion for native, sample in samples.items()}


def record(sample: Sample) -> dict[str, object]:
    return {"emotion": sample.emotion, "labels": list(sample.labels)}


# what papers and pages say of the whole: (files, speakers, labels)
@pytest.mark.parametrize(
    ("name", "files", "speakers", "labels"),
    [
        ("crema_d", 7442, 91, 6),
        ("savee", 480, 4, 7),
        ("tess", 2800, 2, 7),
        ("emovo", 588, 6, 7),
        ("urdu", 400, 29, 4),
        ("cafe", 936, 12, 7),
        ("shemo", 3000, 87, 6),
        ("enterface05", 1293, 44, 6),
    ],
)
def test_cards_say_what_was_published(name: str, files: int, speakers: int, labels: int) -> None:
    card = make_corpus(name).card
    assert (card.n_samples, card.n_subjects, len(card.label_map)) == (files, speakers, labels)
    assert card.counts is None or sum(card.counts.values()) == files


@pytest.mark.parametrize("name", ALL)
def test_fake_keeps_to_its_bounds(name: str, tmp_path: Path) -> None:
    corpus = make_corpus(name)
    for subjects in (0, 92):
        with pytest.raises(CorpusError, match=f"not {subjects}"):
            corpus.fake(tmp_path, subjects=subjects, per_class=1, seed=0)
    emotion = next(iter(corpus.card.label_map.values()))
    with pytest.raises(CorpusError, match="at most"):
        corpus.fake(tmp_path / "many", subjects=1, per_class={str(emotion): 10**4}, seed=0)
    assert not (tmp_path / "many").exists()  # it is said before anything is written


@pytest.mark.parametrize(("name", "most"), [("cafe", 6), ("crema_d", 12)])
def test_fake_of_neutral_holds_all_that_its_names_can(name: str, most: int, tmp_path: Path) -> None:
    corpus = make_corpus(name)
    corpus.fake(tmp_path, subjects=1, per_class={"neutral": most}, seed=0)
    assert Counter(emotions(corpus, tmp_path).values()) == {"neutral": most}
    with pytest.raises(CorpusError, match=f"at most {most} files of neutral"):
        corpus.fake(tmp_path, subjects=1, per_class={"neutral": most + 1}, seed=0)


# -- CREMA-D: rows of processedResults/tabulatedVotes.csv and VideoDemographics.csv as they are published

MEANS = '"meanAngerResp","meanDisgustResp","meanFearResp","meanHappyResp","meanNeutralResp","meanSadResp"'
VOTES = f""""","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote","meanEmoResp",{MEANS}
"100001",0,0,0,1,10,0,"1001_IEO_NEU_XX",11,0.909090909090909,"N",71.7272727272727,-1,-1,-1,98,69.1,-1
"100004",2,0,0,6,2,0,"1001_IEO_HAP_HI",10,0.6,"H",57.6,82.5,-1,-1,63.5,15,-1
"100006",0,1,1,0,8,0,"1001_IEO_SAD_MD",10,0.8,"N",40.4,-1,62,5,-1,42.125,-1
"100009",5,5,0,0,1,1,"1001_IEO_ANG_MD",12,0.416666666666667,"A:D",50.5833333333333,37.2,58.6,-1,-1,57,71
"103333",0,0,0,0,0,4,"1040_ITH_SAD_XX",4,1,"S",50,-1,-1,-1,-1,-1,-1
"205547",0,0,0,9,0,0,"1001_IEO_SAD_MD",9,1,"H",73.7777777777778,-1,-1,-1,73.7777777777778,-1,-1
"""
PEOPLE = """"ActorID","Age","Sex","Race","Ethnicity"
1001,51,"Male","Caucasian","Not Hispanic"
1002,21,"Female","Caucasian","Not Hispanic"
"""
CLIPS = ("1001_IEO_NEU_XX", "1001_IEO_HAP_HI", "1001_IEO_SAD_MD", "1001_IEO_ANG_MD", "1040_ITH_SAD_X")


@pytest.fixture
def crema(tmp_path: Path) -> Path:
    root = tmp_path / "crema"
    write(root, *(f"AudioWAV/{clip}.wav" for clip in CLIPS))
    write(root, "AudioMP3/1001_IEO_NEU_XX.mp3", "VideoFlash/1001_IEO_NEU_XX.flv", "readTabulatedVotes.R", payload=b"x")
    write(root, "processedResults/tabulatedVotes.csv", payload=VOTES.encode())
    write(root, "VideoDemographics.csv", payload=PEOPLE.encode())
    return root


def test_crema_d_names_tell_what_was_meant(crema: Path) -> None:
    samples, rejects = read(CremaD(), crema)
    assert rejects == {}
    assert {native: s.emotion for native, s in samples.items()} == {
        "1001_IEO_NEU_XX": "neutral",
        "1001_IEO_HAP_HI": "happiness",
        "1001_IEO_SAD_MD": "sadness",
        "1001_IEO_ANG_MD": "anger",
        "1040_ITH_SAD_X": "sadness",
    }
    high, medium = samples["1001_IEO_HAP_HI"], samples["1001_IEO_SAD_MD"]
    assert high.intensity == 1.0 and medium.intensity == pytest.approx(2 / 3)
    assert samples["1001_IEO_NEU_XX"].intensity is None and samples["1040_ITH_SAD_X"].intensity is None
    assert (high.gender, high.age, high.subject_id) == ("male", 51.0, "c:1001")
    assert (samples["1040_ITH_SAD_X"].gender, samples["1040_ITH_SAD_X"].age) == (None, None)
    assert high.extra["transcript"] == "It's eleven o'clock" and high.sentence_id == "c:IEO"


def test_crema_d_votes_stand_beside_the_intended_label_and_do_not_overrule_it(crema: Path) -> None:
    samples, _ = read(CremaD(), crema)
    sad = samples["1001_IEO_SAD_MD"]  # meant sad, heard neutral; the row of the face (9 H) is not of the voice
    assert [(e["scheme"], e["label"], e["weight"]) for e in sad.labels] == [
        ("crema_d:voice", "DIS", 0.1),
        ("crema_d:voice", "FEA", 0.1),
        ("crema_d:voice", "NEU", 0.8),
    ]
    assert assign(record(sad), "ekman7") == "sadness"
    assert assign(record(sad), "labels:crema_d:voice") == "NEU"
    assert sad.rater_agreement == 0.0
    assert samples["1001_IEO_HAP_HI"].rater_agreement == 0.6
    levels = {r["scheme"]: r["value"] for r in samples["1001_IEO_HAP_HI"].ratings}
    assert levels == {"level:ANG": 82.5, "level:HAP": 63.5, "level:NEU": 15.0}
    odd = samples["1040_ITH_SAD_X"]  # the table spells it XX
    assert odd.rater_agreement == 1.0 and odd.ratings == []  # and -1 is no level


def test_crema_d_perceived_is_what_most_heard_and_a_tie_is_none(crema: Path) -> None:
    corpus = make_corpus("crema_d", {"label": "perceived"})
    samples, rejects = read(corpus, crema)
    assert rejects == {}
    assert {native: s.emotion for native, s in samples.items()} == {
        "1001_IEO_NEU_XX": "neutral",
        "1001_IEO_HAP_HI": "happiness",
        "1001_IEO_SAD_MD": "neutral",
        "1001_IEO_ANG_MD": None,  # A:D
        "1040_ITH_SAD_X": "sadness",
    }
    assert all(assign(record(s), "ekman7") == s.emotion for s in samples.values())
    sad = samples["1001_IEO_SAD_MD"]
    canonical = {e["label"]: e["weight"] for e in sad.labels if e["scheme"] == "canonical"}
    assert canonical == {"disgust": 0.1, "fear": 0.1, "neutral": 0.8}
    assert (sad.emotion_raw, sad.extra["intended"], sad.rater_agreement, sad.intensity) == ("NEU", "SAD", 0.8, None)
    assert samples["1001_IEO_ANG_MD"].emotion_raw is None and samples["1001_IEO_ANG_MD"].rater_agreement is None
    assert corpus.card.counts is None and "counts" in corpus.card.unverified
    assert CremaD.card.counts is not None  # an option changes no other reader


def test_crema_d_perceived_needs_the_votes(crema: Path) -> None:
    write(crema, "AudioWAV/1002_IEO_NEU_XX.wav")
    assert read(CremaD("perceived"), crema)[1] == {"AudioWAV/1002_IEO_NEU_XX.wav": "no-votes"}
    assert "1002_IEO_NEU_XX" in read(CremaD(), crema)[0]
    with pytest.raises(CorpusError, match="tabulatedVotes"):
        CremaD("perceived").read(crema / "AudioWAV", "c")
    alone, rejects = read(CremaD(), crema / "AudioWAV")
    assert len(alone) == 6 and rejects == {} and alone["1001_IEO_HAP_HI"].gender is None
    with pytest.raises(UnknownNameError, match="Did you mean 'perceived'"):
        make_corpus("crema_d", {"label": "percieved"})


def test_crema_d_bad_rows_and_pointers_are_rejects(crema: Path) -> None:
    rows = '"100010",2,x,0,0,1,0,"1001_IEO_ANG_HI",9,0.6,"D",73,1,1,1,1,1,1\n"100011",1,2\n'
    rows += '"100012",0,0,0,0,0,0,"1001_IEO_FEA_LO",0,0,"",0,-1,-1,-1,-1,-1,-1\n'
    write(crema, "processedResults/tabulatedVotes.csv", payload=(VOTES + rows).encode())
    write(crema, "VideoDemographics.csv", payload=(PEOPLE + '1003,old,"Female","",""\n').encode())
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    write(crema, "AudioWAV/1001_DFA_ANG_XX.wav", payload=pointer)
    write(crema, "AudioWAV/1001_DFA_JOY_XX.wav", "AudioWAV/1001_ABC_SAD_XX.wav", "AudioWAV/1001_DFA_SAD_YY.wav")
    samples, rejects = read(CremaD(), crema)
    assert rejects == {
        "VideoDemographics.csv#000002": "not-a-number",
        "tabulatedVotes.csv#000006": "not-a-number",
        "tabulatedVotes.csv#000007": "bad-row",
        "tabulatedVotes.csv#000008": "bad-row",
        "AudioWAV/1001_DFA_ANG_XX.wav": "git-lfs-pointer",
        "AudioWAV/1001_DFA_JOY_XX.wav": "bad-label",
        "AudioWAV/1001_ABC_SAD_XX.wav": "bad-label",
        "AudioWAV/1001_DFA_SAD_YY.wav": "bad-label",
    }
    assert set(samples) == set(CLIPS)
    write(crema, "processedResults/tabulatedVotes.csv", payload=b"clip,vote\n")
    with pytest.raises(CorpusError, match="fileName"):
        CremaD().read(crema, "c")


def test_crema_d_fake_holds_for_both_labels(tmp_path: Path) -> None:
    wanted = {"anger": 7, "neutral": 5, "sadness": 3}
    for label in ("intended", "perceived"):
        CremaD(label).fake(tmp_path / label, subjects=3, per_class=wanted, seed=1)
        assert Counter(emotions(CremaD(label), tmp_path / label).values()) == wanted
    names = [path.stem for path in (tmp_path / "intended").rglob("*.wav")]
    assert sum(name.endswith("_X") for name in names) == 1
    heard = emotions(CremaD("perceived"), tmp_path / "intended")
    assert Counter(heard.values()) != wanted and None in heard.values()  # not all hear what was meant


# -- SAVEE: AudioData/Info.txt


def test_savee_letters_in_both_forms(tmp_path: Path) -> None:
    codes = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness"}
    codes |= {"su": "surprise"}
    for form in ("folders/AudioData/DC/{}03.wav", "flat/DC_{}03.wav"):
        write(tmp_path, *(form.format(code) for code in codes))
        assert emotions(make_corpus("savee"), tmp_path / form.split("/")[0]) == {
            f"DC_{c}03": e for c, e in codes.items()
        }
    sample = read(make_corpus("savee"), tmp_path / "flat")[0]["DC_sa03"]
    assert (sample.subject_id, sample.gender, sample.sentence_id) == ("c:DC", "male", "c:sa03")


def test_savee_rejects(tmp_path: Path) -> None:
    write(tmp_path, "AudioData/DC/a01.wav", "ALL/DC_a01.wav", "ALL/XX_a01.wav", "ALL/KL_sx01.wav", "ALL/a01.wav")
    write(tmp_path, "Clips/DC_a01.avi", "AudioData/Info.txt", payload=b"x")
    samples, rejects = read(make_corpus("savee"), tmp_path)
    assert set(samples) == {"DC_a01"}
    assert rejects == {
        "AudioData/DC/a01.wav": "repeated-name",
        "ALL/XX_a01.wav": "bad-label",
        "ALL/KL_sx01.wav": "bad-label",
        "ALL/a01.wav": "not-of-this-corpus",
    }


# -- TESS


def test_tess_names_with_their_odd_ones(tmp_path: Path) -> None:
    write(tmp_path, "OAF_angry/OAF_back_angry.wav", "OAF_neutral/OA_bite_neutral.wav", "YAF_food_ps.wav")
    write(tmp_path, "OAF_Pleasant_surprise/OAF_death_pleasant_surprise.wav", "YAF_wash_pleasant_surprised.wav")
    samples, rejects = read(make_corpus("tess"), tmp_path)
    assert rejects == {}
    assert {n: (s.subject_id, s.age, s.emotion, s.emotion_raw) for n, s in samples.items()} == {
        "OAF_back_angry": ("c:OAF", 64.0, "anger", "angry"),
        "OA_bite_neutral": ("c:OAF", 64.0, "neutral", "neutral"),
        "YAF_food_ps": ("c:YAF", 26.0, "surprise", "ps"),
        "OAF_death_pleasant_surprise": ("c:OAF", 64.0, "surprise", "ps"),
        "YAF_wash_pleasant_surprised": ("c:YAF", 26.0, "surprise", "ps"),
    }
    assert {s.gender for s in samples.values()} == {"female"}
    assert samples["OA_bite_neutral"].sentence_id == "c:bite"
    assert samples["OAF_back_angry"].extra["transcript"] == "Say the word back"


def test_tess_nested_copy_and_strangers_are_rejects(tmp_path: Path) -> None:
    inner = "TESS Toronto emotional speech set data/OAF_angry/OAF_back_angry.wav"
    write(tmp_path, "OAF_angry/OAF_back_angry.wav", inner, "XAF_back_angry.wav", "OAF_back_cross.wav", "OAF.wav")
    samples, rejects = read(make_corpus("tess"), tmp_path)
    assert list(samples) == ["OAF_back_angry"]
    assert rejects == {
        inner: "repeated-name",
        "XAF_back_angry.wav": "bad-label",
        "OAF_back_cross.wav": "bad-label",
        "OAF.wav": "not-of-this-corpus",
    }


# -- EMOVO


def test_emovo_italian_codes_and_people(tmp_path: Path) -> None:
    codes = {"neu": "neutral", "dis": "disgust", "gio": "happiness", "pau": "fear", "rab": "anger"}
    codes |= {"sor": "surprise", "tri": "sadness"}
    write(tmp_path, *(f"EMOVO/f2/{code}-f2-n5.wav" for code in codes), "EMOVO/m1/TRI-M1-b1.WAV")
    samples, rejects = read(make_corpus("emovo"), tmp_path)
    assert rejects == {}
    assert {n: s.emotion for n, s in samples.items() if s.subject_id == "c:f2"} == {
        f"{code}-f2-n5": emotion for code, emotion in codes.items()
    }
    woman, man = samples["neu-f2-n5"], samples["TRI-M1-b1"]
    assert (woman.gender, woman.age, man.gender, man.age) == ("female", 23.0, "male", 30.0)
    assert (woman.sentence_id, man.subject_id, woman.language) == ("c:n5", "c:m1", "it")


def test_emovo_rejects(tmp_path: Path) -> None:
    write(tmp_path, "dis-f1-b1.wav", "dis-f4-b1.wav", "col-f1-b1.wav", "dis-f1-b9.wav", "dis-f1.wav")
    assert read(make_corpus("emovo"), tmp_path)[1] == {
        "dis-f4-b1.wav": "bad-label",
        "col-f1-b1.wav": "bad-label",
        "dis-f1-b9.wav": "bad-label",
        "dis-f1.wav": "not-of-this-corpus",
    }


# -- URDU: names of files of siddiquelatif/URDU-Dataset


def test_urdu_names(tmp_path: Path) -> None:
    write(tmp_path, "Angry/SM1_F10_A010.wav", "Angry/SM4_F48_A0100.wav", "Happy/SF6_F3_H027.wav")
    write(tmp_path, "Neutral/SM5_F72_N0100.wav", "Sad/SF10_F1_S01.wav", "SM6_F4_S0100.wav")
    samples, rejects = read(make_corpus("urdu"), tmp_path)
    assert rejects == {}
    assert {n: (s.subject_id, s.gender, s.emotion) for n, s in samples.items()} == {
        "SM1_F10_A010": ("c:M1", "male", "anger"),
        "SM4_F48_A0100": ("c:M4", "male", "anger"),
        "SF6_F3_H027": ("c:F6", "female", "happiness"),
        "SM5_F72_N0100": ("c:M5", "male", "neutral"),
        "SF10_F1_S01": ("c:F10", "female", "sadness"),
        "SM6_F4_S0100": ("c:M6", "male", "sadness"),
    }


def test_urdu_rejects(tmp_path: Path) -> None:
    write(tmp_path, "Sad/SF10_F1_S01.wav", "Sad/SF10_F2_A02.wav", "Sad/SF10_F3_X03.wav", "Sad/SF10.wav")
    assert read(make_corpus("urdu"), tmp_path)[1] == {
        "Sad/SF10_F2_A02.wav": "bad-label",
        "Sad/SF10_F3_X03.wav": "bad-label",
        "Sad/SF10.wav": "not-of-this-corpus",
    }


# -- CaFE: Readme.txt of the archive


def aiff(signal: np.ndarray, rate_hz: int, subtype: str) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, signal, rate_hz, format="AIFF", subtype=subtype)
    return out.getvalue()


def test_cafe_names(tmp_path: Path) -> None:
    codes = {"C": "anger", "D": "disgust", "J": "happiness", "P": "fear", "S": "surprise", "T": "sadness"}
    write(tmp_path, *(f"Col√®re/Faible/07-{code}-1-3.wav" for code in codes), "Neutre/12-N-1-6.wav")
    write(tmp_path, "Joie/Fort/02-J-2-1.wav")
    samples, rejects = read(Cafe(), tmp_path)
    assert rejects == {}
    assert {n[3]: s.emotion for n, s in samples.items() if n.startswith("07")} == codes
    boy, woman, strong = samples["07-C-1-3"], samples["12-N-1-6"], samples["02-J-2-1"]
    assert (boy.gender, boy.age, woman.gender, woman.age) == ("male", 15.0, "female", 37.0)
    assert boy.intensity is not None and strong.intensity == 1.0 and boy.intensity < 1.0
    assert woman.emotion == "neutral" and woman.intensity is None
    assert (boy.sentence_id, boy.extra["transcript"]) == ("c:3", "Trois cygnes aveugles au bord du lac")


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_24", 24), ("PCM_16", 16)])
def test_cafe_aiff_becomes_wav_bit_by_bit(subtype: str, bits: int, tmp_path: Path) -> None:
    fine = (np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), 40000)).astype(np.int32)
    content = aiff(fine << (32 - bits), 192000, subtype)
    write(tmp_path, "CaFE_192k_1/Colère/Fort/01-C-2-1.aiff", payload=content)
    sample = read(Cafe(), tmp_path)[0]["01-C-2-1"]
    signal, rate_hz = decode_wav(sample.payload)
    assert (rate_hz, sample.codec, sample.signals[0]["rate_hz"]) == (192000, "wav", 192000.0)
    np.testing.assert_array_equal(signal[:, 0], (fine / 2.0 ** (bits - 1)).astype(np.float32))
    assert soundfile.info(io.BytesIO(sample.payload)).subtype == subtype


def test_cafe_rejects(tmp_path: Path) -> None:
    good = aiff(TONE, 48000, "PCM_24")
    write(tmp_path, "a/01-C-1-1.wav")
    write(tmp_path, "b/01-C-1-1.aiff", "b/01-D-1-1.aiff", payload=good)
    write(tmp_path, "b/02-C-1-1.aiff", payload=good[: len(good) // 2])
    write(tmp_path, "b/03-C-1-1.aiff", payload=b"no sound at all")
    write(tmp_path, "b/04-C-1-1.aiff", payload=b"")
    write(tmp_path, "b/05-C-1-1.aiff", payload=aiff(TONE[:99], 48000, "PCM_24"))
    write(tmp_path, "b/06-C-1-1.aiff", payload=aiff(TONE, 48000, "FLOAT"))
    write(tmp_path, "b/07-C-1-1.aiff", payload=b"FORM\0\0\0\4AIFF")
    write(tmp_path, "13-C-1-1.wav", "01-X-1-1.wav", "01-C-3-1.wav", "01-C-1-7.wav", "01-C-1.wav")
    samples, rejects = read(Cafe(), tmp_path)
    assert set(samples) == {"01-C-1-1", "01-D-1-1"}
    assert rejects == {
        "b/01-C-1-1.aiff": "repeated-name",
        "b/02-C-1-1.aiff": "truncated",
        "b/03-C-1-1.aiff": "not-an-aiff",
        "b/04-C-1-1.aiff": "empty",
        "b/05-C-1-1.aiff": "too-short",
        "b/06-C-1-1.aiff": "unsupported-encoding",
        "b/07-C-1-1.aiff": "not-an-aiff",
        "13-C-1-1.wav": "bad-label",
        "01-X-1-1.wav": "bad-label",
        "01-C-3-1.wav": "bad-label",
        "01-C-1-7.wav": "bad-label",
        "01-C-1.wav": "not-of-this-corpus",
    }


# -- ShEMO: README of pariajm/sharif-emotional-speech-database

INSTANCE = {
    "speaker_id": "F21",
    "gender": "female",
    "emotion": "neutral",
    "transcript": "مگه من به تو نگفته بودم",
    "ipa": "mӕge mæn be to nægofte budӕm",
}


def test_shemo_letters_and_list(tmp_path: Path) -> None:
    names = {"F03S02": "sadness", "F14A09": "anger", "M02F01": "fear", "F21N37": "neutral", "F24H15": "happiness"}
    names |= {"F21W09": "surprise"}
    write(tmp_path, *(f"{'male' if name[0] == 'M' else 'female'}/{name}.wav" for name in names))
    listed = {"F21N37": INSTANCE, "F14A09": {**INSTANCE, "emotion": "happiness", "ipa": "\ud800"}, "X": 3}
    write(tmp_path, "shemo.json", payload=json.dumps(listed).encode())
    samples, rejects = read(Shemo(), tmp_path)
    assert rejects == {}
    assert {n: s.emotion for n, s in samples.items()} == names
    assert {n: (s.subject_id, s.gender) for n, s in samples.items()}["M02F01"] == ("c:M02", "male")
    assert samples["F21N37"].extra == {
        "path": "female/F21N37.wav",
        "transcript": INSTANCE["transcript"],
        "ipa": INSTANCE["ipa"],
    }
    assert samples["F14A09"].extra["listed_emotion"] == "happiness"  # shown, and the name holds
    assert samples["F14A09"].extra["ipa"] == "?"
    assert "transcript" not in samples["M02F01"].extra


def test_shemo_rejects_and_a_broken_list(tmp_path: Path) -> None:
    write(tmp_path, "male/M01A01.wav", "male/M01B01.wav", "male/M1A1.wav", "copy/M01A01.wav")
    assert read(Shemo(), tmp_path)[1] == {
        "male/M01A01.wav": "repeated-name",
        "male/M01B01.wav": "bad-label",
        "male/M1A1.wav": "not-of-this-corpus",
    }
    for content in (b"[]", b"{"):
        write(tmp_path, "shemo.json", payload=content)
        with pytest.raises(CorpusError, match=r"shemo\.json"):
            Shemo().read(tmp_path, "c")

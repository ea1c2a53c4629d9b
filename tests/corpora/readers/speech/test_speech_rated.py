"""Readers of speech corpora with raters, options and odd layouts: lines as their users quote them, what they become."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import encode_wav
from corpora.errors import CorpusError, UnknownNameError, UserError
from corpora.formats.media import encode_m4a
from corpora.readers import make_corpus
from corpora.readers.speech.emov_db import EmovDb
from corpora.readers.speech.esd import Esd
from corpora.readers.speech.mead import Mead
from corpora.readers.speech.msp_podcast import MspPodcast
from corpora.readers.speech.ravdess import Ravdess
from corpora.records.raters import agreement
from corpora.schema import Corpus, Reject, Sample

TONE = (np.sin(np.arange(8000) / 20) * 0.3).astype(np.float32)
WAV = encode_wav(TONE, 16000)


def write(root: Path, *names: str, payload: bytes = WAV) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(payload)


def text(root: Path, name: str, content: str, encoding: str = "utf-8") -> None:
    write(root, name, payload=content.encode(encoding))


def read(corpus: Corpus, root: Path) -> tuple[dict[str, Sample], dict[str, str]]:
    """-> ({native id: sample}, {path: slug})"""
    found = list(corpus.read(root, "c"))
    samples = {s.sample_id.removeprefix("c/"): s for s in found if isinstance(s, Sample)}
    return samples, {r.path: r.reason for r in found if isinstance(r, Reject)}


def ratings(sample: Sample) -> set[tuple[object, ...]]:
    return {(r["rater"], r["scheme"], r["value"]) for r in sample.ratings}


def test_agreement_is_the_share_of_raters_who_said_it() -> None:
    assert agreement({"a": ["x"], "b": ["x", "y"], "c": ["y"], "d": []}, ["x"]) == 0.5
    assert agreement({}, ["x"]) is None and agreement({"a": ["x"]}, []) is None


# -- RAVDESS: speech and song


def test_ravdess_channel_chooses_files_and_published_counts(tmp_path: Path) -> None:
    make_corpus("ravdess", {"channel": "song"}).fake(tmp_path, subjects=18, per_class={"calm": 18, "anger": 4}, seed=1)
    Ravdess().fake(tmp_path, subjects=2, per_class={"disgust": 3, "neutral": 2}, seed=1)
    found = {channel: read(Ravdess(channel), tmp_path) for channel in ("speech", "song", "both")}
    assert all(rejects == {} for _, rejects in found.values())
    assert {channel: len(samples) for channel, (samples, _) in found.items()} == {"speech": 5, "song": 22, "both": 27}
    sung = found["song"][0].values()
    assert {s.extra["channel"] for s in sung} == {"song"} and "c:18" not in {s.subject_id for s in sung}
    # zenodo.org/records/1188976: 60 x 24 speech files, 44 x 23 songs
    cards = {channel: Ravdess(channel).card for channel in found}
    assert {channel: card.n_samples for channel, card in cards.items()} == {"speech": 1440, "song": 1012, "both": 2452}
    assert all(sum((card.counts or {}).values()) == card.n_samples for card in cards.values())
    assert (cards["song"].n_subjects, cards["both"].counts["calm"]) == (23, 376)  # type: ignore[index]
    assert set(cards["song"].label_map) == {"neutral", "calm", "happy", "sad", "angry", "fearful"}
    assert Ravdess.card.n_samples == 2452  # an option changes no other reader


def test_ravdess_channel_that_is_none_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'song'"):
        make_corpus("ravdess", {"channel": "songs"})
    Ravdess().fake(tmp_path, subjects=1, per_class=1, seed=0)
    with pytest.raises(CorpusError, match="03-02-06"):
        Ravdess("song").read(tmp_path, "c")


# -- MSP-Podcast

CONSENSUS = """FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set
MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,30,Male,Test1
MSP-PODCAST_0001_0009.wav,U,7.0,1.0,4.0,Unknown,Unknown,Train
MSP-PODCAST_0001_0010.wav,X,4.0,4.0,4.0,39,Female,Development
MSP-PODCAST_0001_0011.wav,H,4.0,8.0,4.0,39,Female,Train
MSP-PODCAST_0001_0012.wav,H,4.0,4.0,4.0,39,Female,Test9
MSP-PODCAST_0001_0013.wav,H,much,4.0,4.0,39,Female,Train
MSP-PODCAST_1909_1017.wav,H,4.0,4.0,4.0,39,Female,Train
"""
EXPECTED = {
    ("WORKER00000001", "category:Neutral", 1.0),
    ("WORKER00000001", "valence", 4.0),
    ("WORKER00000001", "arousal", 2.0),
    ("WORKER00000001", "dominance", 3.0),
    ("WORKER00000002", "category:Angry", 1.0),
    ("WORKER00000002", "valence", 3.0),
}


@pytest.fixture
def podcast(tmp_path: Path) -> Path:
    turns = [f"0001_00{n:02d}" for n in (8, 9, 10, 11, 12, 13)] + ["0002_0033", "0003_0001"]
    write(tmp_path, *(f"Audios/MSP-PODCAST_{turn}.wav" for turn in turns))
    old = "Previous_releases_information/files_removed_from_prev_versions/MSP-PODCAST_0009_0001.wav"
    write(tmp_path, old)
    text(tmp_path, "Labels/labels_consensus.csv", CONSENSUS)
    text(tmp_path, "Partitions.txt", "Test1; MSP-PODCAST_0001_0008.wav\nTest3; MSP-PODCAST_0002_0033.wav\n")
    text(tmp_path, "Transcripts/MSP-PODCAST_0001_0008.txt", "Well then.\n")
    return tmp_path


def detailed(root: Path, form: str) -> None:
    """labels_detailed in the forms of releases 2.0, 1.6, 1.7 to 1.12, and json."""
    file = "MSP-PODCAST_0001_0008.wav"
    one = {"EmoClass_Major": "Neutral", "EmoClass_Second": "Neutral,Concerned", "EmoAct": 2, "EmoVal": 4, "EmoDom": 3}
    two = {"EmoClass_Major": "Angry", "EmoClass_Second": "", "EmoAct": "", "EmoVal": 3, "EmoDom": "nan"}
    workers = {"WORKER00000001": one, "WORKER00000002": two}
    if form == "json":
        text(root, "Labels/labels_detailed.json", json.dumps({file: workers}))
        return
    with (root / "Labels" / "labels_detailed.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        if form == "EmoDetail":
            writer.writerow(["FileName", "EmoDetail"])
            writer.writerow([file, "WORKER00000001; Neutral; Neutral,Concerned; A:2.000000; V:4.000000; D:3.000000;"])
        else:
            writer.writerow(["FileName", form, *one])
            writer.writerows([file, worker, *given.values()] for worker, given in workers.items())


@pytest.mark.parametrize("form", ["WorkerID", "Workers", "EmoDetail", "json"])
def test_msp_podcast_turn_and_its_raters_in_all_forms(podcast: Path, form: str) -> None:
    detailed(podcast, form)
    first = read(MspPodcast(), podcast)[0]["MSP-PODCAST_0001_0008"]
    assert (first.emotion, first.emotion_raw, first.gender) == ("neutral", "N", "male")
    assert (first.subject_id, first.group_id, first.session_id) == ("c:30", "c:30", "c:0001")
    assert first.valence == pytest.approx(0.0) and first.arousal == pytest.approx(-0.6)  # 4.0 and 2.2 on 1 to 7
    assert first.dominance == pytest.approx(2 * 1.6 / 6 - 1)
    assert (first.extra["partition"], first.extra["official_split"]) == ("Test1", "test")
    assert first.extra["transcript"] == "Well then."
    whole = {rating for rating in EXPECTED if form != "EmoDetail" or rating[0] == "WORKER00000001"}
    assert ratings(first) == whole
    assert first.rater_agreement == (1.0 if form == "EmoDetail" else 0.5)


def test_msp_podcast_unknown_speakers_hidden_labels_and_bad_rows(podcast: Path) -> None:
    samples, rejects = read(MspPodcast(), podcast)
    unknown = samples["MSP-PODCAST_0001_0009"]
    assert (unknown.subject_id, unknown.gender, unknown.group_id) == (None, None, "c:recording-0001")
    assert (unknown.emotion, unknown.valence, unknown.arousal, unknown.extra["official_split"]) == (
        "surprise",
        -1.0,
        1.0,
        "train",
    )
    assert (samples["MSP-PODCAST_0001_0010"].emotion, samples["MSP-PODCAST_0001_0010"].emotion_raw) == (None, "X")
    hidden = samples["MSP-PODCAST_0002_0033"]
    assert (hidden.emotion, hidden.emotion_raw, hidden.extra["partition"]) == (None, None, "Test3")
    assert hidden.extra["official_split"] == "test"
    assert rejects == {
        "labels_consensus.csv#000003": "rating-out-of-range",
        "labels_consensus.csv#000004": "bad-label",
        "labels_consensus.csv#000005": "not-a-number",
        "labels_consensus.csv#000006": "missing-file",
        "Audios/MSP-PODCAST_0003_0001.wav": "no-label",
    }


def test_msp_podcast_bad_lines_of_raters_are_counted(podcast: Path) -> None:
    text(podcast, "Labels/labels_detailed.csv", "FileName,EmoDetail\nMSP-PODCAST_0001_0008.wav,WORKER1 says nothing\n")
    samples, rejects = read(MspPodcast(), podcast)
    assert rejects["labels_detailed.csv#000000"] == "bad-rating"
    assert not samples["MSP-PODCAST_0001_0008"].ratings


def test_msp_podcast_json_and_the_old_spelling_read_alike(podcast: Path) -> None:
    expected = read(MspPodcast(), podcast)
    rows = list(csv.DictReader(CONSENSUS.splitlines()))
    (podcast / "Labels" / "labels_consensus.csv").rename(podcast / "Labels" / "labels_concensus.csv")
    assert read(MspPodcast(), podcast)[0] == expected[0]
    (podcast / "Labels" / "labels_concensus.csv").unlink()
    with pytest.raises(CorpusError, match="labels_consensus"):
        MspPodcast().read(podcast, "c")
    entries = {row.pop("FileName"): row for row in rows}
    text(podcast, "Labels/labels_consensus.json", json.dumps(entries))
    assert read(MspPodcast(), podcast)[0] == expected[0]


# -- ESD


def test_esd_speaker_language_sentence_and_split(tmp_path: Path) -> None:
    write(tmp_path, "0011/Angry/train/0011_000351.wav", "0011/Surprise/test/0011_001750.wav")
    write(tmp_path, "0001/Neutral/evaluation/0001_000001.wav")
    text(tmp_path, "0011/0011.txt", "0011_000351\tThe nine the eggs.\tAngry\r\n0011_001750\tWords alone\r\n", "utf-16")
    text(tmp_path, "0001/0001.txt", "0001_000001\t打远一看\tNeutral\r\n", "gb2312")
    samples, rejects = read(Esd(), tmp_path)
    assert not rejects
    angry, last, zh = samples["0011_000351"], samples["0011_001750"], samples["0001_000001"]
    assert (angry.emotion, angry.emotion_raw, angry.language, angry.gender) == ("anger", "Angry", "en", "male")
    assert (angry.subject_id, angry.sentence_id, last.sentence_id) == ("c:0011", "c:en001", "c:en350")
    assert (angry.extra["transcript"], last.extra["transcript"]) == ("The nine the eggs.", "Words alone")
    assert (zh.language, zh.gender, zh.sentence_id, zh.extra["transcript"]) == ("zh", "female", "c:zh001", "打远一看")
    assert [s.extra["official_split"] for s in (angry, last, zh)] == ["train", "test", "dev"]


def test_esd_form_without_splits_has_none_and_lists_may_name_the_emotion(tmp_path: Path) -> None:
    write(tmp_path, "0020/Happy/0020_000701.wav", "0020/0020_001051.wav", "0020/0020_001052.wav")
    write(tmp_path, "0020/Sad/train/0020_001053.wav", "0021/Sad/0021_001051.wav", "0020/Sad/x.wav")
    text(tmp_path, "0020/0020.txt", "0020_001051\tWords\tSad\n0020_001052\tWords\tGlum\n")
    samples, rejects = read(Esd(), tmp_path)
    assert {name: s.emotion for name, s in samples.items()} == {
        "0020_000701": "happiness",
        "0020_001051": "sadness",
        "0020_001053": "sadness",
    }
    assert all("official_split" not in s.extra for s in samples.values())  # of a part it would be none
    assert rejects == {
        "0020/0020_001052.wav": "bad-label",
        "0021/Sad/0021_001051.wav": "bad-label",
        "0020/Sad/x.wav": "not-of-this-corpus",
    }


# -- EmoV-DB


def test_emov_db_reads_both_forms(tmp_path: Path) -> None:
    write(tmp_path, "bea_Amused/amused_1-15_0001.wav", "jenie/Angry/anger_113-140_0120.wav")
    write(tmp_path, "sam/Sleepy/sleepiness_1-28_0001.wav", "josh_Neutral/neutral_1-28_0001.wav")
    write(tmp_path, "sam_Disgust/disgust_1-28_0003.wav", "sam_Angry/neutral_1-28_0003.wav", "bea_Amused/0001.wav")
    write(tmp_path, "bea_Amused/amused_1-15.TextGrid", payload=b"x")
    samples, rejects = read(EmovDb(), tmp_path)
    assert {name: (s.emotion, s.gender, s.sentence_id) for name, s in samples.items()} == {
        "bea/Amused/amused_1-15_0001": ("amusement", "female", "c:0001"),
        "jenie/Angry/anger_113-140_0120": ("anger", "female", "c:0120"),
        "sam/Sleepy/sleepiness_1-28_0001": ("sleepiness", "male", "c:0001"),
        "sam/Disgusted/disgust_1-28_0003": ("disgust", "male", "c:0003"),
        "josh/Neutral/neutral_1-28_0001": ("neutral", "male", "c:0001"),
    }
    assert rejects == {
        "sam_Angry/neutral_1-28_0003.wav": "bad-label",
        "bea_Amused/0001.wav": "not-of-this-corpus",
    }


def test_fake_emov_db_leaves_out_what_josh_did_not_record(tmp_path: Path) -> None:
    EmovDb().fake(tmp_path, subjects=4, per_class=8, seed=0)
    samples, _ = read(EmovDb(), tmp_path)
    assert Counter(s.emotion for s in samples.values()) == dict.fromkeys(EmovDb.card.label_map.values(), 8)
    assert {s.emotion for s in samples.values() if s.subject_id == "c:josh"} == {"amusement", "neutral", "sleepiness"}


# -- MEAD


def test_mead_reads_aac_and_wav_and_leaves_films(tmp_path: Path) -> None:
    m4a = encode_m4a(np.tile(TONE, 2), 16000)
    write(tmp_path, "M003/audio/angry/level_3/001.m4a", "W009/audio/neutral/level_1/012.m4a", payload=m4a)
    write(tmp_path, "W009/audio/surprised/level_1/001.wav")
    write(tmp_path, "M003/video/front/angry/level_1/001.mp4", payload=b"film")
    write(tmp_path, "M003/audio/glad/level_1/001.m4a", "M003/audio/sad/level_4/001.m4a", payload=m4a)
    write(tmp_path, "M003/audio/sad/level_1/002.m4a", payload=b"no sound" * 99)
    samples, rejects = read(Mead(), tmp_path)
    angry = samples["M003/angry/level_3/001"]
    assert (angry.emotion, angry.emotion_raw, angry.intensity, angry.gender) == ("anger", "angry", 1.0, "male")
    assert (angry.codec, angry.signals[0]["rate_hz"], angry.duration_s) == (
        "wav",
        16000.0,
        pytest.approx(1.0, abs=0.13),
    )
    neutral = samples["W009/neutral/level_1/012"]
    assert (neutral.emotion, neutral.intensity, neutral.gender, neutral.subject_id) == (
        "neutral",
        None,
        "female",
        "c:W009",
    )
    assert samples["W009/surprised/level_1/001"].intensity == pytest.approx(1 / 3)
    assert samples["W009/surprised/level_1/001"].payload == WAV  # as published
    assert len(samples) == 3
    assert rejects == {
        "M003/audio/glad/level_1/001.m4a": "bad-label",
        "M003/audio/sad/level_4/001.m4a": "bad-label",
        "M003/audio/sad/level_1/002.m4a": "not-media",
    }


def test_mead_without_the_library_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "M003/audio/angry/level_3/001.m4a")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UserError, match=r"emoforge\[media\]"):
        Mead().read(tmp_path, "c")

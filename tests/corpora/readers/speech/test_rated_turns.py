"""IEMOCAP and MSP-IMPROV: evaluation files, lines as published code and notes quote them, whole and damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import encode_wav
from corpora.errors import CorpusError
from corpora.labels import assign
from corpora.readers.speech.iemocap import Iemocap
from corpora.readers.speech.msp_improv import MspImprov
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


# -- IEMOCAP: lines of EmoEvaluation as published code and notes quote them

EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral;\t()
C-E4:\tNeutral;\t()
C-F1:\tNeutral;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()
A-E4:\tval 2; act 3; dom  3;\t(mildly aggravated but staying polite, attitude)
A-F1:\tval 3; act 2; dom  1;\t()

[14.8872 - 18.0175]\tSes01F_impro01_F001\texc\t[4.5000, 5.0000, 3.0000]
C-E2:\tHappiness; Excited;\t()
C-E3:\tExcited;\t()
C-E4:\tSurprise;\t()
C-F1:\tSurprise;\t()
A-E3:\tval 4; act 5; dom  ;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M000\txxx\t[1.5000, 4.0000, 4.5000]
C-E2:\tAnger;\t()
C-E3:\tFrustration;\t()

[20.0000 - 21.0000]\tSes01F_impro01_M001\tfru\t[9.0000, 4.0000, 4.5000]

[22.0000 - 23.0000]\tSes01F_impro01_M002\tang\t[1.0000, 4.0000, 4.5000]
"""


@pytest.fixture
def iemocap(tmp_path: Path) -> Path:
    folder = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_"
    write(tmp_path, *(f"{folder}{turn}.wav" for turn in ("F000", "F001", "M000", "M001", "M009")))
    write(tmp_path, "Session1/dialog/wav/Ses01F_impro01.wav", "Session1/dialog/avi/DivX/Ses01F_impro01.avi")
    text(tmp_path, "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt", EVALUATION)
    text(tmp_path, "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt", "\0\5\x16")
    line = "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\n"
    text(tmp_path, "Session1/dialog/transcriptions/Ses01F_impro01.txt", line)
    return tmp_path


def test_iemocap_turn_has_consensus_raters_and_its_place(iemocap: Path) -> None:
    samples, _ = read(Iemocap(), iemocap)
    first = samples["Ses01F_impro01_F000"]
    assert (first.emotion, first.emotion_raw, list(first.labels)) == ("neutral", "neu", [])
    assert (first.subject_id, first.group_id, first.session_id) == ("c:Ses01F", "c:Ses01", "c:Ses01")
    assert (first.gender, first.t_start_s, first.t_end_s) == ("female", 6.2901, 8.2357)
    assert (first.valence, first.arousal, first.dominance) == (-0.25, -0.25, -0.25)  # 2.5 on 1 to 5
    assert first.rater_agreement == 1.0
    assert (first.extra["dialogue"], first.extra["transcript"]) == ("Ses01F_impro01", "Excuse me.")
    assert ratings(first) == {
        *((rater, "category:Neutral", 1.0) for rater in ("E2", "E3", "E4", "F1")),
        ("E3", "valence", 3.0),
        ("E3", "arousal", 2.0),
        ("E3", "dominance", 2.0),
        ("E4", "valence", 2.0),
        ("E4", "arousal", 3.0),
        ("E4", "dominance", 3.0),
        ("F1", "valence", 3.0),
        ("F1", "arousal", 2.0),
        ("F1", "dominance", 1.0),
    }
    # turns count both speakers by time, not by the order of lines
    assert [samples[f"Ses01F_impro01_{t}"].turn for t in ("F000", "M000", "F001")] == [0, 1, 2]


def test_iemocap_speaker_is_who_speaks_not_who_wears_the_markers(iemocap: Path) -> None:
    samples, _ = read(Iemocap(), iemocap)
    actor = samples["Ses01F_impro01_M000"]
    assert (actor.subject_id, actor.gender, actor.group_id) == ("c:Ses01M", "male", "c:Ses01")
    assert (actor.emotion, actor.emotion_raw, actor.rater_agreement) == (None, "xxx", None)
    assert {("E2", "category:Anger", 1.0), ("E3", "category:Frustration", 1.0)} <= ratings(actor)


def test_iemocap_excitement_is_merged_only_where_the_scheme_says_so(iemocap: Path) -> None:
    excited = read(Iemocap(), iemocap)[0]["Ses01F_impro01_F001"]
    assert excited.emotion == "excitement"
    assert excited.rater_agreement == pytest.approx(2 / 3)
    assert {r for r in ratings(excited) if r[0] == "E3"} == {
        ("E3", "category:Excited", 1.0),
        ("E3", "valence", 4.0),
        ("E3", "arousal", 5.0),
    }
    record = {"emotion": excited.emotion, "labels": excited.labels}
    schemes = ("iemocap4", "iemocap4_excited", "iemocap6")
    assert [assign(record, scheme) for scheme in schemes] == [None, "happiness", "excitement"]


def test_iemocap_bad_turns_are_rejects(iemocap: Path) -> None:
    folder = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_"
    write(iemocap, "notes.wav")
    _, rejects = read(Iemocap(), iemocap)
    assert rejects == {
        f"{folder}M001.wav": "rating-out-of-range",
        f"{folder}M009.wav": "no-label",
        "Ses01F_impro01_M002": "missing-file",
        "notes.wav": "not-of-this-corpus",
    }


HEADS = (
    "[14,8872 - 18,0175]\tSes01F_impro01_F001\texc\t[4,5000, 5,0000, 3,0000]",
    "[14.8872 - 18.0175]\tSes01F_impro01_F001\texc\t[, 5.0000, 3.0000]",
    "[14.8872 - 18.0175]\tSes01F_impro01_F001\texc\t[NaN, 5.0000, 3.0000]",
    "[14.8872 - 18.0175]\tSes01F_impro01_F001\texc\t[4.5.0, 5.0000, 3.0000]",
    "[14.8872 - ]\tSes01F_impro01_F001\texc\t[4.5, 5.0000, 3.0000]",
    "[14.8872 - 18.0175]\tSes01F_impro01_F001\t\t[4.5, 5.0000, 3.0000]",
    "14.8872 - 18.0175\tSes01F_impro01_F001\texc\t4.5, 5.0000, 3.0000",
    "[14.8872 - 18.0175]\t\texc\t[4.5000, 5.0000, 3.0000]",
    "\x00\x01garbage",
    "",
)


@pytest.mark.parametrize("blanks", [True, False])
@pytest.mark.parametrize("head", HEADS)
def test_iemocap_header_that_cannot_be_read_leaves_its_raters_to_nobody(head: str, blanks: bool, iemocap: Path) -> None:
    before, rejected = read(Iemocap(), iemocap)
    told = next(line for line in EVALUATION.splitlines() if "_F001" in line)
    changed = EVALUATION.replace(told, head)
    if not blanks and head:
        changed = changed.replace("\n\n", "\n")
    text(iemocap, "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt", changed)
    after, rejects = read(Iemocap(), iemocap)
    assert set(after) == {"Ses01F_impro01_F000", "Ses01F_impro01_M000"}
    for name, sample in after.items():  # but for the place in the dialogue, what they were
        assert (sample.emotion_raw, ratings(sample)) == (before[name].emotion_raw, ratings(before[name]))
        assert sample.rater_agreement == before[name].rater_agreement
    wav = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F001.wav"
    new = {path: slug for path, slug in rejects.items() if path not in rejected}
    if "F001" in head:
        assert new == {wav: "bad-header"}
    else:
        assert (new.pop(wav), list(new.values())) == ("no-label", ["bad-header"])


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw.replace(b"\n", b"\r"),
        lambda raw: raw.decode().encode("utf-16"),
        lambda raw: raw.replace(b"[6.2901 - 8.2357]\t", b"  [ 6.2901 -  8.2357 ] \t "),
        lambda raw: raw.partition(b"\n\n")[2],  # no comment above
        lambda raw: raw.replace(b"(curious)", b"(well \x85 curious)"),
        lambda raw: raw.replace(b"C-E2:", b" C-E2 :").replace(b"dom  3;", b"dom 3 ;"),
    ],
)
def test_iemocap_spellings_that_mean_the_same_are_read_alike(change: Callable[[bytes], bytes], iemocap: Path) -> None:
    before = read(Iemocap(), iemocap)
    path = iemocap / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    path.write_bytes(change(path.read_bytes()))
    assert read(Iemocap(), iemocap) == before


def test_iemocap_rater_who_cannot_be_read_is_left_out_and_named(iemocap: Path) -> None:
    lines = {
        "A-E3:\tval 3; act 2; dom  2;\t()": "A-E3:\tval -3; act 2; dom NaN;\t()",
        "A-E4:\tval 2; act 3;": "A-E4:\tval 2,5; act 33;",
        "C-E3:\tNeutral;\t()\nC-E4": "C-E3:\tNeutral ()\nC-E4",
        "C-E4:\tNeutral;\t()\n": "C-E4:\tNeutral;\t()\nC-E4:\tNeutral;\t()\nC-E2:\tAnger;\t()\nC-E2:\tNeutral;\t()\n",
    }
    changed = EVALUATION
    for told, other in lines.items():
        assert told in changed
        changed = changed.replace(told, other, 1)
    text(iemocap, "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt", changed)
    first = read(Iemocap(), iemocap)[0]["Ses01F_impro01_F000"]
    assert ratings(first) == {
        ("E4", "category:Neutral", 1.0),
        ("F1", "category:Neutral", 1.0),
        ("E3", "arousal", 2.0),
        ("E4", "valence", 2.5),
        ("E4", "dominance", 3.0),
        ("F1", "valence", 3.0),
        ("F1", "arousal", 2.0),
        ("F1", "dominance", 1.0),
    }
    assert first.extra["unread_ratings"] == "E3, E2, E4"
    assert (first.emotion_raw, first.rater_agreement) == ("neu", 1.0)


def test_iemocap_turn_that_is_rated_twice_or_has_two_sounds_is_a_reject(iemocap: Path) -> None:
    copy = "Session1/dialog/EmoEvaluation/Ses01F_impro01 copy.txt"
    before = read(Iemocap(), iemocap)
    text(iemocap, copy, EVALUATION)
    assert read(Iemocap(), iemocap) == before  # the same once more
    text(iemocap, copy, EVALUATION.replace("_F000\tneu", "_F000\tang"))
    write(iemocap, "Session2/sentences/wav/x/Ses01F_impro01_M000.wav", payload=encode_wav(TONE / 2, 16000))
    samples, rejects = read(Iemocap(), iemocap)
    assert set(samples) == {"Ses01F_impro01_F001"}
    slugs = {Path(path).name: slug for path, slug in rejects.items()}
    assert slugs["Ses01F_impro01_F000.wav"] == slugs["Ses01F_impro01_M000.wav"] == "conflicting-entries"


def test_iemocap_without_evaluations_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav")
    with pytest.raises(CorpusError, match="EmoEvaluation"):
        Iemocap().read(tmp_path, "c")


def test_iemocap_counts_of_the_four_classes_are_those_of_the_field() -> None:
    counts = Iemocap.card.counts or {}
    assert sum(counts.values()) == 10039
    assert sum(counts[label] for label in ("neu", "hap", "sad", "ang", "exc")) == 5531


def test_fake_iemocap_speakers_of_a_session_share_its_dialogues(tmp_path: Path) -> None:
    Iemocap().fake(tmp_path, subjects=4, per_class={"anger": 8, "neutral": 8}, seed=0)
    samples, rejects = read(Iemocap(), tmp_path)
    assert not rejects and Counter(s.emotion for s in samples.values()) == {"anger": 8, "neutral": 8, None: 1}
    groups = {
        s.group_id: {t.subject_id for t in samples.values() if t.group_id == s.group_id} for s in samples.values()
    }
    assert groups == {"c:Ses01": {"c:Ses01F", "c:Ses01M"}, "c:Ses02": {"c:Ses02F", "c:Ses02M"}}
    assert all(s.t_end_s - s.t_start_s == pytest.approx(s.duration_s, abs=1e-3) for s in samples.values())  # type: ignore[operator]


# -- MSP-IMPROV

IMPROV = """UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:1.000000; V:3.500000; D:3.000000 ; N:4.200000;
P01-A1; Neutral; Concerned, Other (no; idea?); A:1.000000; V:3.000000; D:3.000000; N:4.000000;
P02-A2; Neutral; Neutral; A:1.000000; V:4.000000; D:NaN; N:NaN;
P03-A3; Sad; ; A:1.000000; V:4.000000; D:3.000000; N:4.000000;
P01-A1; Sad; Concerned; A:2.000000; V:3.000000; D:3.000000; N:4.000000;

UTD-IMPROV-S20H-M06-S-MF12.avi; X; A:5.000000; V:3.000000; D:NaN ; N:NaN;
P01-A1; Happy; Happy; A:5.000000; V:3.000000; D:NaN; N:NaN;

UTD-IMPROV-S20H-M06-S-MF13.avi; Q; A:5.000000; V:3.000000; D:3.000000 ; N:3.000000;
UTD-IMPROV-S20H-M06-S-MF14.avi; H; A:5.000000; V:7.000000; D:3.000000 ; N:3.000000;
UTD-IMPROV-S20H-M06-S-MF15.avi; H; A:five; V:3.000000; D:3.000000 ; N:3.000000;
UTD-IMPROV-S20H-M06-S-MF16.avi; H; A:3.000000; V:3.000000; D:3.000000 ; N:3.000000;
"""


def test_msp_improv_turn_its_raters_and_activation_turned_round(tmp_path: Path) -> None:
    folder = "Audio/session6/S20H/S/MSP-IMPROV-S20H-M06-S-MF"
    write(tmp_path, "Audio/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav")
    write(tmp_path, *(f"{folder}{turn}.wav" for turn in (12, 13, 14, 15)))
    text(tmp_path, "Evalution.txt", IMPROV)
    samples, rejects = read(MspImprov(), tmp_path)
    first = samples["MSP-IMPROV-S01A-F01-P-FM01"]
    assert (first.emotion, first.emotion_raw) == ("neutral", "N")
    assert (first.subject_id, first.gender, first.group_id, first.turn) == ("c:F01", "female", "c:session1", 1)
    assert (first.valence, first.arousal, first.dominance) == (0.25, 1.0, 0.0)  # activation 1: the most active
    assert first.rater_agreement == pytest.approx(1 / 2)  # P01-A1 stands twice with different things: neither counts
    assert first.extra["unread_ratings"] == "1"
    assert (first.extra["intended"], first.extra["scenario"]) == ("A", "P")
    assert ratings(first) == {
        ("P02-A2", "category:Neutral", 1.0),
        ("P02-A2", "activation", 1.0),
        ("P02-A2", "valence", 4.0),
        ("P03-A3", "category:Sad", 1.0),
        ("P03-A3", "activation", 1.0),
        ("P03-A3", "valence", 4.0),
        ("P03-A3", "dominance", 3.0),
        ("P03-A3", "naturalness", 4.0),
    }
    second = samples["MSP-IMPROV-S20H-M06-S-MF12"]
    assert (second.emotion, second.emotion_raw, second.arousal, second.dominance) == (None, "X", -1.0, None)
    assert (second.gender, second.session_id, second.rater_agreement) == ("male", "c:session6", None)
    assert rejects == {
        f"{folder}13.wav": "bad-label",
        f"{folder}14.wav": "rating-out-of-range",
        f"{folder}15.wav": "bad-header",
        "MSP-IMPROV-S20H-M06-S-MF16": "missing-file",
    }


@pytest.mark.parametrize(
    "head",
    [
        "UTD-IMPROV-S20H-M06-S-MF12.avi; X; A:five; V:3.000000; D:NaN ; N:NaN;",
        "UTD-IMPROV-S20H-M06-S-MF12.avi; X; A:5,0; V:3,0; D:3,0 ; N:3,0;",
        "IMPROV-S20H-M06-S-MF12.avi; X; A:-5.0; V:3.000000; D:NaN ; N:NaN;",
        "S20H.avi; X; A:5.000000; V:3.000000; D:NaN ; N:NaN;",
        "",
    ],
)
def test_msp_improv_header_that_cannot_be_read_leaves_its_raters_to_nobody(head: str, tmp_path: Path) -> None:
    write(tmp_path, "Audio/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav")
    write(tmp_path, "Audio/session6/S20H/S/MSP-IMPROV-S20H-M06-S-MF12.wav")
    text(tmp_path, "Evalution.txt", IMPROV)
    before = read(MspImprov(), tmp_path)[0]["MSP-IMPROV-S01A-F01-P-FM01"]
    told = next(line for line in IMPROV.splitlines() if "MF12" in line)
    text(tmp_path, "Evalution.txt", "\ufeff" + IMPROV.replace(told, head))
    samples, rejects = read(MspImprov(), tmp_path)
    assert samples == {"MSP-IMPROV-S01A-F01-P-FM01": before}
    wav = "Audio/session6/S20H/S/MSP-IMPROV-S20H-M06-S-MF12.wav"
    assert rejects[wav] == ("bad-header" if "MF12" in head else "no-label")
    assert ("bad-header" in [slug for path, slug in rejects.items() if path.startswith("Evalution.txt#")]) == (
        "MF12" not in head
    )


def test_msp_improv_turn_that_is_rated_twice_is_a_reject(tmp_path: Path) -> None:
    write(tmp_path, "Audio/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav")
    text(tmp_path, "Evalution.txt", IMPROV + "\nUTD-IMPROV-S01A-F01-P-FM01.avi; A; A:1.0; V:3.5; D:3.0 ; N:4.2;\n")
    samples, rejects = read(MspImprov(), tmp_path)
    assert not samples
    assert rejects["Audio/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav"] == "conflicting-entries"


def test_msp_improv_counts_and_a_file_that_rates_nothing(tmp_path: Path) -> None:
    counts = MspImprov.card.counts or {}
    assert sum(counts.values()) == MspImprov.card.n_samples == 8438
    assert sum(counts[label] for label in "ASHN") == 7798  # as users of the four classes count
    write(tmp_path, "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav")
    with pytest.raises(CorpusError, match=r"Evalution\.txt"):
        MspImprov().read(tmp_path, "c")
    text(tmp_path, "Evaluation.txt", "nothing\n")
    with pytest.raises(CorpusError, match="UTD-IMPROV"):
        MspImprov().read(tmp_path, "c")

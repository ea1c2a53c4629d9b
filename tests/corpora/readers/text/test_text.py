"""Text corpora: native codes, dialogues, votes and odd cases; expectations come from the cited pages and files."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from corpora.errors import CorpusError, UnknownNameError
from corpora.labels import CANONICAL, SCHEMES, assign
from corpora.readers import make_corpus
from corpora.readers.text.goemotions import LABELS as LABELS_OF_GOEMOTIONS
from corpora.readers.text.goemotions import _comment_id
from corpora.schema import Reject, Sample

# Dataset Distribution in README.md of declare-lab/MELD
MELD = {
    "train": (9989, {"anger": 1109, "disgust": 271, "fear": 268, "joy": 1743, "neutral": 4710, "sadness": 683}),
    "dev": (1109, {"anger": 153, "disgust": 22, "fear": 40, "joy": 163, "neutral": 470, "sadness": 111}),
    "test": (2610, {"anger": 345, "disgust": 68, "fear": 50, "joy": 402, "neutral": 1256, "sadness": 208}),
}
# lines of train.tsv that carry each label; neutral and grief as its authors state them
GOEMOTIONS_TRAIN = {
    "admiration": 4130,
    "amusement": 2328,
    "anger": 1567,
    "annoyance": 2470,
    "approval": 2939,
    "caring": 1087,
    "confusion": 1368,
    "curiosity": 2191,
    "desire": 641,
    "disappointment": 1269,
    "disapproval": 2022,
    "disgust": 793,
    "embarrassment": 303,
    "excitement": 853,
    "fear": 596,
    "gratitude": 2662,
    "grief": 77,
    "joy": 1452,
    "love": 2086,
    "nervousness": 164,
    "optimism": 1581,
    "pride": 111,
    "realization": 1110,
    "relief": 153,
    "remorse": 545,
    "sadness": 1326,
    "surprise": 1060,
    "neutral": 14219,
}


def read(name: str, root: Path, **options: str) -> tuple[list[Sample], list[Reject]]:
    found = list(make_corpus(name, options).read(root, "c"))
    return [x for x in found if isinstance(x, Sample)], [x for x in found if isinstance(x, Reject)]


def text(sample: Sample) -> str:
    return sample.payload.decode()


def record(sample: Sample) -> dict[str, object]:
    return {"emotion": sample.emotion, "labels": sample.labels}


def native(sample: Sample) -> dict[str, float]:
    return {str(e["label"]): float(e["weight"]) for e in sample.labels if e["scheme"] != CANONICAL}  # type: ignore[arg-type]


# -- GoEmotions ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def goemotions(shared_data: Path) -> list[Sample]:
    samples, rejects = read("goemotions", shared_data / "goemotions")
    assert rejects == []
    return samples


def test_goemotions_has_its_published_comments_and_labels(goemotions: list[Sample]) -> None:
    assert Counter(s.extra["official_split"] for s in goemotions) == {"train": 43410, "dev": 5426, "test": 5427}
    train = Counter(label for s in goemotions if s.extra["official_split"] == "train" for label in native(s))
    assert train == GOEMOTIONS_TRAIN
    assert Counter(label for s in goemotions for label in native(s)) == make_corpus("goemotions").card.counts
    single = [s for s in goemotions if len(native(s)) == 1]
    assert len(single) == 36308 + 4548 + 4590
    assert all((s.emotion is not None) == (len(native(s)) == 1) for s in goemotions)
    assert text(goemotions[0]) == "My favourite food is anything I didn't have to cook myself."
    assert (goemotions[0].emotion_raw, goemotions[0].sample_id) == ("neutral", "c/eebbqej")


def test_goemotions_groups_as_the_mapping_beside_it(goemotions: list[Sample], shared_data: Path) -> None:
    """assign() against the published mapping, applied by hand: most labels win, a tie is nobody's."""
    mapping = json.loads((shared_data / "goemotions" / "ekman_mapping.json").read_text())
    ekman = {label: "happiness" if group == "joy" else group for group, labels in mapping.items() for label in labels}
    ekman["neutral"] = "neutral"
    assert SCHEMES["goemotions_ekman"].mapping == {"happiness" if k == "joy" else k: v for k, v in ekman.items()}
    wanted: Counter[str | None] = Counter()
    names = (shared_data / "goemotions" / "emotions.txt").read_text().split()
    for line in (shared_data / "goemotions" / "train.tsv").read_text(encoding="utf-8").splitlines():
        groups = Counter(ekman[names[int(code)]] for code in line.split("\t")[1].split(","))
        (best, most), *rest = groups.most_common()
        wanted[best if not rest or rest[0][1] < most else None] += 1
    train = [record(s) for s in goemotions if s.extra["official_split"] == "train"]
    assert Counter(assign(r, "goemotions_ekman") for r in train) == wanted
    assert wanted["neutral"] == 12823  # comments that are neutral and nothing else
    sentiment = Counter(assign(r, "goemotions_sentiment") for r in train)
    assert sum(sentiment.values()) == 43410
    assert sentiment["neutral"] == wanted["neutral"]


def test_goemotions_votes_become_weights(tmp_path: Path) -> None:
    labels = [*GOEMOTIONS_TRAIN]
    head = "text,id,author,subreddit,link_id,parent_id,created_utc,rater_id,example_very_unclear," + ",".join(labels)

    def row(key: str, rater: int, *chosen: str, unclear: bool = False, said: str = "That game hurt.") -> str:
        marks = ",".join(str(int(label in chosen)) for label in labels)
        return f'"{said}",{key},someone,nrl,t3_a,t1_b,1548381039.0,{rater},{unclear},{marks}'

    files = {
        1: [row("eew5j0j", 1, "sadness"), row("eemcysk", 37, unclear=True, said='a "" b')],
        2: [row("eew5j0j", 18, "sadness", "joy"), row("eew5j0j", 9, "anger"), row("eew5j0j", 3, said="Another")],
        3: [row("eew5j0j", 44, unclear=True), row("eew5j0j", 5, "anger").replace(",1,", ",2,", 1)],
    }
    for number, lines in files.items():
        (tmp_path / f"goemotions_{number}.csv").write_text("\n".join([head, *lines]) + "\n")
    samples, rejects = read("goemotions", tmp_path)
    assert [r.reason for r in rejects] == ["texts-differ", "bad-label"]
    hurt, unclear = samples
    assert native(hurt) == pytest.approx({"sadness": 2 / 3, "joy": 1 / 3, "anger": 1 / 3})
    assert (hurt.emotion, hurt.emotion_raw, hurt.rater_agreement) == ("sadness", "sadness", pytest.approx(2 / 3))
    assert {"scheme": "joy", "rater": "18", "value": 1.0} in hurt.ratings
    assert (unclear.labels, unclear.emotion, text(unclear)) == ([], None, 'a " b')
    assert "someone" not in repr(samples)
    with pytest.raises(CorpusError, match=r"train\.tsv"):
        read("goemotions", tmp_path, form="splits")
    with pytest.raises(UnknownNameError, match="raters"):
        make_corpus("goemotions", {"form": "rater"})


def test_goemotions_bad_lines(tmp_path: Path) -> None:
    lines = [
        'ok "\t27,3\teebbqej',
        "no\t28\teebbqe1",
        "no\t-1\teebbqe2",
        "no\t\teebbqe3",
        "no\t27\tx",
        "a\tb",
        "ok\t0\teebbqej",
    ]
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines if name == "train" else []))
    samples, rejects = read("goemotions", tmp_path)
    assert [native(s) for s in samples] == [{"neutral": 1.0, "annoyance": 1.0}]
    assert [r.reason for r in rejects] == ["bad-label"] * 3 + ["bad-id", "bad-row", "repeated-name"]
    names = LABELS_OF_GOEMOTIONS
    (tmp_path / "emotions.txt").write_text("\n".join([names[1], names[0], *names[2:]]))
    with pytest.raises(CorpusError, match="in their order"):
        make_corpus("goemotions").read(tmp_path, "c")
    (tmp_path / "emotions.txt").write_text("\ufeff" + "\r\n".join(names))
    assert read("goemotions", tmp_path)[0] == samples
    (tmp_path / "emotions.txt").write_text("joy\nsadness")
    with pytest.raises(CorpusError, match="28 published labels"):
        make_corpus("goemotions").read(tmp_path, "c")


def test_goemotions_both_made_up_forms_agree(tmp_path: Path) -> None:
    for form in ("splits", "raters"):
        make_corpus("goemotions", {"form": form}).fake(tmp_path / form, subjects=2, per_class=2, seed=4)
    by_split = {s.sample_id: s for s in read("goemotions", tmp_path / "splits")[0]}
    by_rater = {s.sample_id: s for s in read("goemotions", tmp_path / "raters")[0]}
    assert {key: s.emotion for key, s in by_rater.items()} == {key: s.emotion for key, s in by_split.items()}
    assert {key: set(native(s)) for key, s in by_rater.items()} == {key: set(native(s)) for key, s in by_split.items()}


# -- MELD ----------------------------------------------------------------------------------------------------------


def test_meld_has_its_published_lines(shared_data: Path) -> None:
    samples, rejects = read("meld", shared_data / "meld")
    assert rejects == []
    for split, (count, emotions) in MELD.items():
        found = [s for s in samples if s.extra["official_split"] == split]
        assert len(found) == count
        counts = Counter(s.emotion_raw for s in found)
        assert {word: counts[word] for word in emotions} == emotions
    assert Counter(s.emotion_raw for s in samples) == make_corpus("meld").card.counts
    speakers: dict[str, set[str | None]] = {split: set() for split in MELD}
    for sample in samples:  # names as published; those of several people are no subject
        assert (sample.subject_id is None) == ("speakers" in sample.extra)
        speakers[sample.extra["official_split"]].add(sample.extra.get("speakers", sample.subject_id))
    assert {split: len(names) for split, names in speakers.items()} == {"train": 260, "dev": 47, "test": 100}
    assert len(set().union(*speakers.values())) == 304
    assert len({s.subject_id for s in samples} - {None}) == make_corpus("meld").card.n_subjects == 288
    several = Counter(s.extra["speakers"] for s in samples if s.subject_id is None)
    assert several["All"] == 51 and sum(several.values()) == 69
    assert all(" and " in name for name in set(several) - {"All", "Both", "The Guys", "Her-Friends"})
    dialogues = Counter(group.partition("_")[0] for group in {s.group_id for s in samples})
    assert dialogues == {"c:train": 1038, "c:dev": 114, "c:test": 280}  # 1,039 are published for train
    assert "c:train_dia60" not in {s.group_id for s in samples}
    assert Counter(s.extra["sentiment"] for s in samples if s.extra["official_split"] == "dev")["negative"] == 406
    first = next(s for s in samples if s.sample_id == "c/dev_dia0_utt1")  # the second line of dev_sent_emo.csv
    assert (text(first), first.subject_id, first.turn, first.emotion) == ("What?", "c:Monica", 1, "surprise")
    assert (first.t_start_s, first.t_end_s) == (20 * 60 + 61.927, 20 * 60 + 63.261)
    assert sum(s.t_end_s is None for s in samples) == 1
    assert sum("’" in text(s) for s in samples) > 3000


def test_meld_speakers_with_commas_and_bad_lines(tmp_path: Path) -> None:
    head = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
    good = '1,"Oh, ‘my’ ""God""","Frank, Jr.",joy,positive,0,0,4,7,"00:20:57,256","00:21:00,49"'
    bad = [
        good.replace("joy", "joyous").replace(",0,0,", ",0,1,"),
        good.replace("positive", "mixed").replace(",0,0,", ",0,2,"),
        good.replace(",0,0,", ",0,x,"),
        good.replace("00:20:57", "midnight").replace(",0,0,", ",0,3,"),
        good.replace('"Oh, ‘my’ ""God"""', '" "').replace(",0,0,", ",0,4,"),
        good,
    ]
    for split in ("train", "dev", "test"):
        lines = [head, good, *(bad if split == "dev" else [])]
        (tmp_path / f"{split}_sent_emo.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    samples, rejects = read("meld", tmp_path)
    assert [s.sample_id for s in samples] == ["c/train_dia0_utt0", "c/dev_dia0_utt0", "c/test_dia0_utt0"]
    assert len({s.group_id for s in samples}) == 3  # Dialogue_ID 0 is another dialogue in each file
    assert {s.subject_id for s in samples} == {"c:Frank, Jr."}
    assert text(samples[0]) == 'Oh, ‘my’ "God"'
    assert samples[0].t_end_s == pytest.approx(1260.049)
    assert [r.reason for r in rejects] == [
        "bad-label",
        "bad-label",
        "not-a-number",
        "bad-time",
        "empty",
        "repeated-name",
    ]
    (tmp_path / "dev_sent_emo.csv").unlink()
    with pytest.raises(CorpusError, match=r"holds no dev_sent_emo\.csv"):
        make_corpus("meld").read(tmp_path, "c")


# -- EmpatheticDialogues -------------------------------------------------------------------------------------------

# lines of the published train.csv, shortened
EMPATHETIC = """\
conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags
hit:0_conv:1,1,sentimental,There was a lot of people_comma_ but,1,I remember "fireworks.,5|5|5_2|2|5,
hit:0_conv:1,2,sentimental,There was a lot of people_comma_ but,0,Was this_comma_ or just a best friend?,5|5|5_2|2|5,
hit:1_conv:3,1,terrified,I was home,3,Hi how are you doing today,3|5|5_4|3|4,<HI>
hit:1_conv:3,x,terrified,I was home,3,Hi how are you doing today,3|5|5_4|3|4,
hit:1_conv:3,3,merry,I was home,3,Hi how are you doing today,3|5|5_4|3|4,
hit:1_conv:3,5,terrified,cut
"""


def test_empathetic_dialogues_turns_and_escapes(tmp_path: Path) -> None:
    head = EMPATHETIC.partition("\n")[0]
    for name, body in (("train", EMPATHETIC), ("valid", head), ("test", head + "\n" + EMPATHETIC.splitlines()[3])):
        (tmp_path / f"{name}.csv").write_text(body)
    samples, rejects = read("empathetic_dialogues", tmp_path)
    teller, listener, terrified = samples
    assert [r.reason for r in rejects] == ["not-a-number", "bad-label", "bad-row", "repeated-name"]
    assert text(teller) == 'I remember "fireworks.'  # a quote opens nothing here
    assert text(listener) == "Was this, or just a best friend?"
    assert (teller.emotion, teller.emotion_raw, native(teller)) == (None, "sentimental", {"sentimental": 1.0})
    assert (listener.emotion, listener.emotion_raw, listener.labels) == (None, None, ())
    assert listener.extra["context"] == "sentimental"
    assert listener.extra["prompt"] == "There was a lot of people, but"
    assert (teller.group_id, teller.session_id, listener.turn) == ("c:hit:0_conv:1",) * 2 + (2,)
    assert (teller.subject_id, listener.subject_id, terrified.subject_id) == ("c:1", "c:0", "c:3")
    assert (terrified.emotion, terrified.extra["tags"]) == ("fear", "<HI>")
    assert assign(record(terrified), "labels:empathetic_dialogues") == "terrified"
    assert len(make_corpus("empathetic_dialogues").card.label_map) == 32


# -- DailyDialog ---------------------------------------------------------------------------------------------------

DAILY = {
    "": "Good morning . __eou__ How ’ s it ? __eou__\nNo __eou__ way __eou__\nCut __eou__\nOh __eou__\nHm __eou__\n",
    "emotion_": "4 0\n6\n1 \n0 \n9 \n",
    "act_": "1 2 \n1 1\n3\n7\n1\n",
}


def write_daily(root: Path, split: str, lines: dict[str, str], *, packed: bool = False) -> None:
    files = {f"{split}/dialogues_{kind}{split}.txt": body for kind, body in lines.items()}
    if packed:
        with zipfile.ZipFile(root / f"{split}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, body in files.items():
                archive.writestr(name, body)
                archive.writestr("__MACOSX/" + name, "x")
        return
    for name, body in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(body, encoding="utf-8")


def test_dailydialog_folders_zips_and_whole_read_alike(tmp_path: Path) -> None:
    for packed in (False, True):
        folder = tmp_path / str(packed)
        folder.mkdir()
        for split in ("train", "validation", "test"):
            write_daily(folder, split, DAILY if split == "validation" else dict.fromkeys(DAILY, ""), packed=packed)
        samples, rejects = read("dailydialog", folder)
        assert [(s.sample_id, s.emotion, s.extra["act"]) for s in samples] == [
            ("c/dev_00000_00", "happiness", "inform"),
            ("c/dev_00000_01", "neutral", "question"),
            ("c/dev_00002_00", "anger", "directive"),
        ]
        assert text(samples[1]) == "How ’ s it ?"
        assert {s.extra["official_split"] for s in samples} == {"dev"}
        assert {s.subject_id for s in samples} == {None}  # nobody is named
        assert [s.group_id for s in samples] == ["c:dev_00000", "c:dev_00000", "c:dev_00002"]
        assert [(r.path, r.reason) for r in rejects] == [
            ("dev_00001", "turns-differ"),
            ("dev_00003_00", "bad-label"),
            ("dev_00004_00", "bad-label"),
        ]
    whole = tmp_path / "whole"
    whole.mkdir()
    names = {"": "text", "emotion_": "emotion", "act_": "act"}
    for kind, body in DAILY.items():
        (whole / f"dialogues_{names[kind]}.txt").write_text(body, encoding="utf-8")
    (whole / "dialogues_topic.txt").write_text("1\n2\n8\n9\n10\n")
    samples, rejects = read("dailydialog", whole)
    assert [(s.sample_id, s.extra["topic"]) for s in samples][-1] == ("c/all_00002_00", "Work")
    assert not any("official_split" in s.extra for s in samples)
    assert len(rejects) == 3


def daily(n: int) -> dict[str, list[str]]:
    """The three files of n dialogues of one to three turns, lines as lists; each word of a text is its emotion."""
    draw = np.random.default_rng(3)
    turns = [[int(draw.integers(7)) for _ in range(int(draw.integers(1, 4)))] for _ in range(n)]
    return {
        "": ["".join(f"word{emotion} __eou__ " for emotion in said) for said in turns],
        "emotion_": [" ".join(map(str, said)) for said in turns],
        "act_": [" ".join("1" for _ in said) for said in turns],
    }


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["", "emotion_", "act_"])
@pytest.mark.parametrize("change", ["less", "more", "moved", "swapped"])
def test_dailydialog_lines_that_have_moved_are_refused(change: str, kind: str, packed: bool, tmp_path: Path) -> None:
    lines = daily(60)
    if change == "less":
        del lines[kind][20]
    elif change == "more":
        lines[kind].insert(20, lines[kind][20])
    elif change == "moved":
        lines[kind].insert(50, lines[kind].pop(10))
    else:
        one, other = next(
            (i, i + 1) for i in range(60) if len(lines[kind][i].split()) != len(lines[kind][i + 1].split())
        )
        lines[kind][one], lines[kind][other] = lines[kind][other], lines[kind][one]
    for split in ("train", "validation", "test"):
        whole = lines if split == "train" else daily(5)
        write_daily(tmp_path, split, {k: "\n".join(v) + "\n\n" for k, v in whole.items()}, packed=packed)
    names = {"": "texts", "emotion_": "emotions", "act_": "acts"}
    told = {"less": f"{names[kind]} 59", "more": f"{names[kind]} 61"}.get(change, "lines have moved")
    with pytest.raises(CorpusError, match=told):
        make_corpus("dailydialog").read(tmp_path, "c")


def test_dailydialog_topics_of_another_length_are_refused(tmp_path: Path) -> None:
    names = {"": "text", "emotion_": "emotion", "act_": "act"}
    for kind, body in DAILY.items():
        (tmp_path / f"dialogues_{names[kind]}.txt").write_text(body, encoding="utf-8")
    (tmp_path / "dialogues_topic.txt").write_text("1\n2\n8\n9\n")
    with pytest.raises(CorpusError, match="topics 4"):
        make_corpus("dailydialog").read(tmp_path, "c")


def test_dailydialog_zips_that_cannot_be_read(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        write_daily(tmp_path, split, DAILY, packed=True)
    train = tmp_path / "train.zip"
    packed = bytearray(train.read_bytes())
    at = packed.index(b"train/dialogues_train.txt") + len("train/dialogues_train.txt")
    packed[at + 8 : at + 40] = b"\xff" * 32  # the compressed text of the first file
    train.write_bytes(packed)
    samples, rejects = read("dailydialog", tmp_path)
    assert rejects[0].reason == "unreadable"
    assert {s.extra["official_split"] for s in samples} >= {"dev", "test"}
    train.write_bytes(b"no zip")
    with pytest.raises(CorpusError, match="no zip file"):
        make_corpus("dailydialog").read(tmp_path, "c")
    with zipfile.ZipFile(train, "w") as archive:
        archive.writestr("other.txt", "x")
    with pytest.raises(CorpusError, match=r"exactly one plain file dialogues_train\.txt"):
        make_corpus("dailydialog").read(tmp_path, "c")


def test_dailydialog_counts_are_the_papers() -> None:
    counts = make_corpus("dailydialog").card.counts
    assert counts is not None
    assert sum(counts.values()) == 102_979  # Li et al. (2017): utterances in all


# -- SemEval-2018 E-c ----------------------------------------------------------------------------------------------

# header and lines of 2018-E-c-En-train.txt
SEMEVAL = (
    "ID\tTweet\tanger\tanticipation\tdisgust\tfear\tjoy\tlove\toptimism\tpessimism\tsadness\tsurprise\ttrust\n"
    "2017-En-21441\t“Worry is a down payment on a problem'. #worry\t0\t1\t0\t0\t0\t0\t1\t0\t0\t0\t1\n"
    "2017-En-22190\tNo but that's so \"cute. Atsu was probably shy\t0\t0\t0\t0\t1\t0\t0\t0\t0\t0\t0\n"
    "2017-En-21744\tAnd it's hard to dance with a devil on your back\\nSo shake\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0\n"
)


def test_semeval_labels_neutral_and_missing_gold(tmp_path: Path) -> None:
    head, *lines = SEMEVAL.splitlines()
    (tmp_path / "2018-E-c-En-train.txt").write_text(SEMEVAL, encoding="utf-8")
    (tmp_path / "2018-E-c-En-dev.txt").write_text(f"{head}\n{lines[0].replace('21441', '1')[:-1]}2\n")
    blind = "2018-En-1\tHm\t" + "\t".join(["NONE"] * 11)
    (tmp_path / "2018-E-c-En-test.txt").write_text(f"{head}\n{blind}\n")
    samples, rejects = read("semeval2018_ec", tmp_path)
    worry, cute, devil, unknown = samples
    assert [r.reason for r in rejects] == ["bad-label"]
    assert native(worry) == {"anticipation": 1.0, "optimism": 1.0, "trust": 1.0}
    assert (worry.emotion, cute.emotion, cute.emotion_raw) == (None, "happiness", "joy")
    assert (devil.emotion, native(devil), "\\n" in text(devil)) == ("neutral", {"neutral": 1.0}, True)
    assert (unknown.emotion, unknown.labels, unknown.extra["official_split"]) == (None, [], "test")
    (tmp_path / "2018-E-c-En-test-gold.txt").write_text(f"{head}\n{lines[1].replace('22190', '2')}\n")
    assert read("semeval2018_ec", tmp_path)[0][-1].emotion == "happiness"  # the gold file is preferred
    with pytest.raises(CorpusError, match=r"2018-E-c-Es-train\.txt"):
        make_corpus("semeval2018_ec", {"language": "es"}).read(tmp_path, "c")
    assert make_corpus("semeval2018_ec", {"language": "ar"}).card.language == "ar"
    with pytest.raises(UnknownNameError, match="language"):
        make_corpus("semeval2018_ec", {"language": "de"})


def test_ids_of_a_large_fake_of_goemotions_are_seven_letters_and_digits_and_differ() -> None:
    numbers = [*range(0, 5000, 7), 4095, 4096, 99_999, 100_000, 36**6 - 1]
    ids = [_comment_id(7, number) for number in numbers]
    assert all(re.fullmatch("[a-z0-9]{7}", one) for one in ids) and len(set(ids)) == len(set(numbers))

"""EmoryNLP, the tweets of dair-ai and the made-up sentences; expectations come from the cited pages and files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora.errors import CorpusError
from corpora.labels import assign
from corpora.readers import make_corpus
from corpora.readers.fakes.text import write_sentence
from corpora.readers.text.emorynlp import split_of
from corpora.schema import Reject, Sample


def read(name: str, root: Path, **options: str) -> tuple[list[Sample], list[Reject]]:
    found = list(make_corpus(name, options).read(root, "c"))
    return [x for x in found if isinstance(x, Sample)], [x for x in found if isinstance(x, Reject)]


def text(sample: Sample) -> str:
    return sample.payload.decode()


def record(sample: Sample) -> dict[str, object]:
    return {"emotion": sample.emotion, "labels": sample.labels}


# -- EmoryNLP ------------------------------------------------------------------------------------------------------


def test_emorynlp_csv_lines(tmp_path: Path) -> None:
    # emorynlp_dev_final.csv of declare-lab/MELD
    head = "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time"
    lines = [
        "Thank you.,['Joey Tribbiani'],Neutral,1,2,1,15,00:00:05.171,00:00:07.423",
        "\"Aww, thank you. Uh Rach?\",['Monica Geller'],Scared,1,6,1,15,00:01:29.798,00:01:33.383",
        "Done.,\"['Ross Geller', 'Rachel Green']\",Powerful,2,1,1,15,00:01:29.798,00:01:33.383",
        "Eeeee!,['Steve (drug addict)'],Peaceful,14,2,1,15,,",
        "x,__import__('os'),Mad,14,3,1,15,,",
        "x,['A'],Happy,14,4,1,15,,",
        r"x,['\ud800'],Mad,14,6,1,15,,",
        "x,['A'],Mad,14,5,1,15,late,",
    ]
    for split in ("train", "dev", "test"):
        body = lines if split == "dev" else []
        (tmp_path / f"emorynlp_{split}_final.csv").write_text("\n".join([head, *body]) + "\n")
    samples, rejects = read("emorynlp", tmp_path)
    thanks, scared, both, steve = samples
    assert [r.reason for r in rejects] == ["bad-speaker", "bad-label", "bad-speaker", "bad-time"]
    assert (thanks.sample_id, thanks.group_id, thanks.turn) == ("c/s01_e15_c01_u002", "c:s01_e15_c01", 2)
    assert (thanks.t_start_s, scared.emotion, steve.emotion) == (5.171, "fear", "calm")
    assert (both.subject_id, both.extra["speakers"], both.emotion) == (None, "Ross Geller; Rachel Green", None)
    assert assign(record(both), "labels:emorynlp") == "Powerful"
    assert (steve.subject_id, steve.t_start_s) == ("c:Steve (drug addict)", None)


def test_emorynlp_json_and_its_splits(tmp_path: Path) -> None:
    # README.md of emorynlp/emotion-detection: the example utterance, and 77, 11 and 9 episodes
    assert Counter(split_of().values()) == {"train": 77, "dev": 11, "test": 9}
    assert (split_of()[1, 15], split_of()[4, 20], split_of()[2, 24]) == ("dev", "test", "train")
    said = {
        "utterance_id": "s01_e02_c01_u002",
        "speakers": ["Joey Tribbiani"],
        "transcript": "Yeah, right!.......Y'serious?",
        "emotion": "Neutral",
    }
    scene = {"scene_id": "s01_e02_c01", "utterances": [said, {"utterance_id": 7}, said | {"transcript": None}]}
    episodes = [
        {"episode_id": "s01_e02", "scenes": [scene, 3]},
        {"episode_id": "s05_e01", "scenes": [scene]},
        {"episode_id": "pilot", "scenes": []},
        7,
    ]
    (tmp_path / "emotion-detection-trn.json").write_text(json.dumps({"season_id": "s01", "episodes": episodes}))
    (tmp_path / "package.json").write_text("{}")
    samples, rejects = read("emorynlp", tmp_path)
    assert [(s.sample_id, s.emotion, s.extra["official_split"]) for s in samples] == [
        ("c/s01_e02_c01_u002", "neutral", "train")
    ]
    assert samples[0].subject_id == "c:Joey Tribbiani"
    assert [r.reason for r in rejects] == ["bad-id", "bad-row", "bad-row", "not-annotated", "bad-row", "bad-row"]


# -- dair-ai -------------------------------------------------------------------------------------------------------


def test_dair_emotion_three_forms_read_alike(tmp_path: Path) -> None:
    rows = {"train": [("i didnt feel humiliated", 0)], "validation": [("im grabbing a minute", 3)], "test": [("ok", 5)]}
    names = ("sadness", "joy", "love", "anger", "fear", "surprise")  # dataset card: sadness (0) ... surprise (5)
    short = {"validation": "val"}
    found = []
    for form in ("txt", "jsonl", "parquet"):
        folder = tmp_path / form / "split"
        folder.mkdir(parents=True)
        for split, lines in rows.items():
            if form == "txt":
                body = "".join(f"{said};{names[label]}\n" for said, label in lines)
                (folder / f"{short.get(split, split)}.txt").write_text(body)
            elif form == "jsonl":
                body = "".join(json.dumps({"text": said, "label": label}) + "\n" for said, label in lines)
                (folder / f"{split}.jsonl").write_text(body)
            else:
                table = pa.table({"text": [said for said, _ in lines], "label": [label for _, label in lines]})
                pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
        samples, rejects = read("dair_emotion", tmp_path / form)
        assert rejects == []
        found.append([(s.sample_id, text(s), s.emotion, s.emotion_raw, s.extra["official_split"]) for s in samples])
    assert found[0] == found[1] == found[2]
    assert found[0][1] == ("c/dev_000000", "im grabbing a minute", "anger", "anger", "dev")
    broken = tmp_path / "parquet" / "split" / "train-00000-of-00001.parquet"
    broken.write_bytes(b"PAR1" + b"\0" * 50)
    with pytest.raises(CorpusError, match="no parquet file"):
        make_corpus("dair_emotion").read(tmp_path / "parquet", "c")
    pq.write_table(pa.table({"words": ["x"]}), broken)
    with pytest.raises(CorpusError, match="no columns text and label"):
        make_corpus("dair_emotion").read(tmp_path / "parquet", "c")


def test_dair_emotion_bad_lines(tmp_path: Path) -> None:
    for name in ("val", "test"):
        (tmp_path / f"{name}.txt").write_text("")
    (tmp_path / "train.txt").write_text("one;joy\ntwo\nthree;bliss\n;joy\nfour;with;joy\n")
    samples, rejects = read("dair_emotion", tmp_path)
    assert [text(s) for s in samples] == ["one"]
    assert [r.reason for r in rejects] == ["bad-row", "bad-label", "empty", "bad-row"]


# -- made-up sentences ---------------------------------------------------------------------------------------------


def test_made_up_sentences_tell_classes_apart_and_overlap() -> None:
    """A naive count of words on other sentences is right often, and not always."""
    import numpy as np

    classes = ("anger", "happiness", "sadness", "annoyance")
    words: dict[str, Counter[str]] = {name: Counter() for name in classes}
    for i, name in enumerate(classes):
        for j in range(200):
            words[name].update(write_sentence(name, np.random.default_rng([1, i, j]), person=j % 5).lower().split())

    def guess(sentence: str) -> str:
        scores = {
            name: sum(np.log((seen[word] + 0.5) / (seen.total() + 300)) for word in sentence.lower().split())
            for name, seen in words.items()
        }
        return max(scores, key=lambda name: scores[name])

    right = [
        guess(write_sentence(name, np.random.default_rng([2, i, j]), person=j % 5)) == name
        for i, name in enumerate(classes)
        for j in range(60)
    ]
    assert 0.6 < np.mean(right) < 0.97
    assert write_sentence("fear", np.random.default_rng(5)) == write_sentence("fear", np.random.default_rng(5))

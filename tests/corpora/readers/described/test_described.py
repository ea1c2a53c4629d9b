"""Corpora that a card describes: what a card may say, and the four layouts."""

from __future__ import annotations

import builtins
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from corpora.codecs import decode_image, decode_wav, encode_png, encode_wav
from corpora.errors import CorpusError, ResourceError, UnknownNameError
from corpora.readers import GENERIC, card_names, make_corpus, reader_names
from corpora.readers.described.corpus import Described
from corpora.schema import Reject, Sample

FACTS = {
    "title": "Lab",
    "modality": "speech",
    "license": "CC0-1.0",
    "label_map": {"glad": "happiness", "cross": "anger"},
}


def describe(folder: Path, files: dict[str, Any], **facts: Any) -> Described:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lab.yaml"
    with path.open("wb") as file:
        YAML(typ="safe").dump({**FACTS, **facts, "files": files}, file)
    return Described.of(path)


def tone(seconds: float = 0.5, hz: float = 220.0) -> bytes:
    t = np.arange(round(seconds * 8000)) / 8000
    return encode_wav((0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32), 8000)


def face(value: int = 0) -> bytes:
    return encode_png(np.random.default_rng(value).integers(0, 255, (8, 8), dtype=np.uint8))


def put(root: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def read(corpus: Any, root: Path) -> tuple[dict[str, Sample], list[Reject]]:
    found = list(corpus.read(root, "c"))
    samples = {s.sample_id.removeprefix("c/"): s for s in found if isinstance(s, Sample)}
    return samples, [r for r in found if isinstance(r, Reject)]


# -- cards


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("titel: x", r"unknown key 'titel'. Did you mean 'title'"),
        ("files: {layout: foldr}", "files.layout is 'foldr'; known: folder, table, audformat, datasets"),
        ("files: {layout: folder, patern: x}", "unknown key 'files.patern'. Did you mean 'pattern'"),
        ("files: {layout: folder, pattern: '(?P<label>'}", "not a regular expression"),
        (r"files: {layout: folder, pattern: '(?P<lable>\w+)\.wav'}", "unknown name 'lable'. Did you mean 'label'"),
        (r"files: {layout: folder, pattern: '(?P<label>\d+)\.wav', example: a.wav}", "does not fit the pattern"),
        ("files: {layout: folder, values: {label: {01: glad}}}", "put it in quotes"),
        ("files: {layout: folder, values: {label: {a: gladd}}}", "unknown name 'gladd'. Did you mean 'glad'"),
        ("label_map: {glad: happy}", "label_map.glad: unknown name 'happy'. Did you mean 'happiness'"),
        ("label_map: {}", "give label_map .* or dimensions"),
        ("counts: {gald: 3}", "unknown name 'gald'. Did you mean 'glad'"),
        ("sources: {licence: x}", "unknown name 'licence'. Did you mean 'license'"),
        ("split_unit: subject", "split_unit is 'subject', and files names no field 'subject', only label"),
        ("split_unit: speaker", "'split_unit' is 'speaker'"),
        ("dimensions: {valence: [5, 1]}", "the lowest value comes first"),
        ("modality: smell", "'modality' is 'smell'"),
        ("modality: physio", "needs files.signals"),
        ("files: {layout: table, tables: a.csv, columns: {valence: v, label: l}}", "gives no scale"),
        ("files: {layout: table, tables: a.csv, columns: {text: t}}", "files says nowhere where the label stands"),
        ("files: [1", "not valid YAML"),
    ],
)
def test_a_card_that_does_not_fit_says_why(text: str, says: str, tmp_path: Path) -> None:
    card = {**FACTS, "files": {"layout": "folder"}}
    path = tmp_path / "lab.yaml"
    out = io.BytesIO()
    key = text.partition(":")[0]
    YAML(typ="safe").dump({k: v for k, v in card.items() if k != key}, out)
    path.write_bytes(out.getvalue() + text.encode())
    with pytest.raises(CorpusError, match=says) as raised:
        Described.of(path)
    assert "lab.yaml" in str(raised.value)


def test_facts_without_a_source_are_said_to_have_none(tmp_path: Path) -> None:
    card = describe(tmp_path, {"layout": "folder"}, sources={"license": "the paper, page 3"}).card
    assert card.name == "lab" and card.split_unit == "payload" and not card.knows_subjects
    assert set(card.unverified) == {"layout", "labels", "subjects", "counts", "splits"}


def test_the_card_s_content_has_a_name(tmp_path: Path) -> None:
    one = describe(tmp_path / "a", {"layout": "folder"}).card_sha256
    assert one == describe(tmp_path / "b", {"layout": "folder"}).card_sha256
    assert one != describe(tmp_path / "b", {"layout": "folder"}, license="MIT").card_sha256


# -- registry


def test_generic_readers_take_a_card(tmp_path: Path) -> None:
    describe(tmp_path / "data" / "cards", {"layout": "folder"})
    made = make_corpus("folder", {"card": "data/cards/lab.yaml"}, base=tmp_path)
    assert made.card == make_corpus("data/cards/lab.yaml", base=tmp_path).card
    with pytest.raises(CorpusError, match="its reader is 'folder', not 'table'"):
        make_corpus("table", {"card": "data/cards/lab.yaml"}, base=tmp_path)
    with pytest.raises(CorpusError, match="needs a card"):
        make_corpus("folder")
    with pytest.raises(UnknownNameError, match=r"'crad'.*Did you mean 'card'"):
        make_corpus("folder", {"crad": "x"})
    with pytest.raises(CorpusError, match="cannot be read"):
        make_corpus("data/cards/no.yaml", base=tmp_path)
    assert not set(GENERIC) & set(reader_names()) and set(card_names()) <= set(reader_names())
    with pytest.raises(UnknownNameError, match=r"option of reader 'corpora/readers/described/cards/xed\.yaml'"):
        make_corpus("xed", {"card": "x"})


# -- folder


def test_class_folders_need_no_pattern(tmp_path: Path) -> None:
    root = put(tmp_path / "r", {"x/glad/1.png": face(1), "x/cross/1.png": face(2), "x/cross/2.png": face(2)})
    put(root, {"x/dull/1.png": face(4), "x/glad/notes.wav": b"?", "README.txt": "no sample"})
    samples, rejects = read(describe(tmp_path, {"layout": "folder"}, modality="face"), root)
    assert {key: s.emotion for key, s in samples.items()} == {
        "x/cross/1": "anger",
        "x/cross/2": "anger",
        "x/glad/1": "happiness",
    }
    assert samples["x/cross/1"].group_id == samples["x/cross/2"].group_id != samples["x/glad/1"].group_id
    assert {(r.path, r.reason) for r in rejects} == {
        ("x/dull/1.png", "bad-label"),
        ("x/glad/notes.wav", "not-of-this-corpus"),
    }


PATTERN = {
    "layout": "folder",
    "pattern": r"(?P<split>\w+)/(?P<gender>[fm])(?P<subject>\d+)_(?P<label>[A-Z])_(?P<intensity>\d)_(?P<sentence>\d+)"
    r"\.(?:wav|flac)",
    "example": "test/f1_A_1_7.wav",
    "compose": {"subject": "{gender}{subject}"},
    "values": {"label": {"A": "cross", "F": "glad"}, "intensity": {"1": 0.5, "2": 1.0, "9": None}},
    "ignore": ["*.lab"],
}


def test_a_pattern_fills_the_record(tmp_path: Path) -> None:
    root = put(tmp_path / "r", {"train/f1_A_1_7.wav": tone(), "test/m1_F_9_8.wav": tone(), "test/m1_F_9_8.lab": "x"})
    samples, rejects = read(describe(tmp_path, PATTERN), root)
    assert not rejects and set(samples) == {"train/f1_A_1_7", "test/m1_F_9_8"}
    first, second = samples["train/f1_A_1_7"], samples["test/m1_F_9_8"]
    assert (first.subject_id, first.group_id, first.gender, first.intensity) == ("c:f1", "c:f1", "female", 0.5)
    assert (first.emotion, first.emotion_raw, first.sentence_id) == ("anger", "cross", "c:7")
    assert first.extra == {"path": "train/f1_A_1_7.wav", "official_split": "train"}
    assert (second.subject_id, second.intensity, second.extra["official_split"]) == ("c:m1", None, "test")


def test_a_pattern_rejects_what_it_does_not_know(tmp_path: Path) -> None:
    files = {"train/f1_A_1_7.wav": tone(), "train/f1_X_1_7.wav": tone(), "train/f1_A_3_7.wav": tone()}
    root = put(tmp_path / "r", {**files, "late/f1_A_1_7.wav": tone(), "train/f1_A_1_8.wav": tone()[:60], "x.wav": b""})
    samples, rejects = read(describe(tmp_path, PATTERN), root)
    assert set(samples) == {"train/f1_A_1_7"}
    assert {(r.path, r.reason) for r in rejects} == {
        ("late/f1_A_1_7.wav", "bad-split"),
        ("train/f1_X_1_7.wav", "bad-label"),
        ("train/f1_A_3_7.wav", "bad-label"),
        ("train/f1_A_1_8.wav", "truncated"),
        ("x.wav", "not-of-this-corpus"),
    }
    assert "known: A, F" in next(r.detail for r in rejects if "_X_" in r.path)


def test_a_folder_with_other_labels_or_names_lists_what_it_found(tmp_path: Path) -> None:
    corpus = describe(tmp_path, {"layout": "folder"}, modality="face")
    with pytest.raises(CorpusError, match=r"Found: happy, sad. .*lab.yaml knows: cross, glad"):
        corpus.read(put(tmp_path / "r", {"happy/1.png": face(), "sad/1.png": face()}), "c")
    with pytest.raises(CorpusError, match=r"named like test/f1_A_1_7.wav.*found e.g. 'happy/1.png'"):
        describe(tmp_path, PATTERN).read(tmp_path / "r", "c")


def test_flac_becomes_wav(tmp_path: Path) -> None:
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, np.random.default_rng(0).normal(0, 0.1, (8000, 2)), 16000, format="FLAC")
    root = put(tmp_path / "r", {"train/f1_A_1_7.flac": out.getvalue(), "train/f1_A_1_8.flac": out.getvalue()[:99]})
    samples, rejects = read(describe(tmp_path, PATTERN), root)
    (sample,) = samples.values()
    signal, rate_hz = decode_wav(sample.payload)
    assert signal.shape == (8000, 1) and rate_hz == 16000 and sample.extra["decoded_from"] == "flac"
    assert [r.reason for r in rejects] == ["not-audio"] or [r.reason for r in rejects] == ["truncated"]


def test_texts_and_signals_lie_in_folders_too(tmp_path: Path) -> None:
    root = put(tmp_path / "t", {"glad/1.txt": "What a day", "cross/1.txt": b"\xff\xfe\xfa", "README.txt": "about"})
    samples, rejects = read(describe(tmp_path, {"layout": "folder"}, modality="text"), root)
    assert samples["glad/1"].payload == b"What a day" and [r.reason for r in rejects] == ["not-utf8"]
    files = {
        "layout": "folder",
        "pattern": r"(?P<subject>s\d+)/(?P<label>\w+)\.csv",
        "signals": {"ecg": {"unit": "mV", "rate_hz": 4}, "eda": {"column": "E", "unit": "µS", "rate_hz": 2}},
    }
    good = "ecg,E\n1,5\n2,6\n3,\n4,\n"
    root = put(tmp_path / "p", {"s1/glad.csv": good, "s1/cross.csv": "ecg,X\n1,2\n", "s2/glad.csv": "ecg,E\na,b\n"})
    samples, rejects = read(describe(tmp_path, files, modality="physio"), root)
    assert {str(s["name"]): s["shape"] for s in samples["s1/glad"].signals} == {"ecg": [4], "eda": [2]}
    assert {(r.path, r.reason) for r in rejects} == {("s1/cross.csv", "missing-signal"), ("s2/glad.csv", "not-numbers")}


# -- table


def test_a_table_of_paths(tmp_path: Path) -> None:
    files = {
        "layout": "table",
        "tables": "meta/*.csv",
        "media": "clips",
        "suffix": ".wav",
        "name_pattern": r"(?P<split>train|valid)\.csv",
        "columns": {"path": "clip", "label": "emo", "subject": "who", "age": "age"},
        "extra": ["note"],
    }
    rows = "who,clip,emo,age,note\nann, a,glad,30,hi\nbob,b,cross,,\nbob,../../x,cross,,\nbob,no,cross,,\n,a,glad,,\n"
    root = put(tmp_path / "r", {"meta/train.csv": rows, "clips/a.wav": tone(), "clips/b.wav": tone(), "x.wav": tone()})
    put(root, {"meta/valid.csv": "who,clip,emo,age,note\ncy,c,glad,x,\n", "clips/c.wav": tone()})
    samples, rejects = read(describe(tmp_path, files), root)
    assert {key: (s.emotion, s.subject_id, s.age, s.extra.get("note")) for key, s in samples.items()} == {
        "a": ("happiness", "c:ann", 30.0, "hi"),
        "b": ("anger", "c:bob", None, ""),
    }
    assert {s.extra["official_split"] for s in samples.values()} == {"train"}
    assert [(r.path, r.reason) for r in rejects] == [
        ("train.csv#000002", "outside-corpus"),
        ("train.csv#000003", "missing-file"),
        ("train.csv#000004", "no-subject"),
        ("valid.csv#000000", "not-a-number"),
    ]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_a_column_that_is_not_there_lists_those_that_are(kind: str, tmp_path: Path) -> None:
    rows = [{"path": "a.wav", "emotion": "glad", "speaker": 1}]
    text = {"csv": "path,emotion,speaker\na.wav,glad,1\n", "tsv": "path\temotion\tspeaker\na.wav\tglad\t1\n"}
    text["jsonl"] = "".join(json.dumps(row) + "\n" for row in rows)
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    root = put(tmp_path / "r", {f"t.{kind}": out.getvalue() if kind == "parquet" else text[kind], "a.wav": tone()})
    wrong = {"layout": "table", "tables": f"*.{kind}", "columns": {"path": "path", "label": "emo"}}
    with pytest.raises(CorpusError, match=r"'emo' not in table\..*Found: path, emotion, speaker"):
        describe(tmp_path, wrong).read(root, "c")
    right = wrong | {"columns": {"path": "path", "label": "emotion", "subject": "speaker"}}
    samples, rejects = read(describe(tmp_path, right), root)
    assert [(s.sample_id, s.emotion, s.subject_id) for s in samples.values()] == [("c/a", "happiness", "c:1")]
    assert not rejects
    with pytest.raises(CorpusError, match=r"no table x\.csv \(found a\.wav"):
        describe(tmp_path, right | {"tables": "x.csv"}).read(root, "c")


def test_several_labels_in_a_cell_or_a_column_each(tmp_path: Path) -> None:
    cell = {"layout": "table", "tables": "t.tsv", "columns": {"text": "text", "label": "l"}, "separator": "|"}
    root = put(tmp_path / "r", {"t.tsv": "text\tl\none\tglad\nboth\tglad | cross\nnone\t\nother\tglad|odd\n"})
    samples, rejects = read(describe(tmp_path, cell, modality="text"), root)
    assert [(s.emotion, s.emotion_raw, len(s.labels)) for s in samples.values()] == [
        ("happiness", "glad", 0),
        (None, None, 4),
        (None, None, 0),
    ]
    assert [r.reason for r in rejects] == ["bad-label"]
    votes = {
        "layout": "table",
        "tables": "v.csv",
        "columns": {"text": "text"},
        "label_columns": {"n_glad": "glad", "n_cross": "cross"},
    }
    root = put(tmp_path / "v", {"v.csv": "text,n_glad,n_cross\none,7,3\ntie,5,5\nsure,0,10\nbad,x,1\nless,-1,2\n"})
    samples, rejects = read(describe(tmp_path, votes, modality="text"), root)
    assert [s.emotion for s in samples.values()] == ["happiness", None, "anger"]
    weights = {(e["scheme"], e["label"]): e["weight"] for e in samples["000000"].labels}
    assert weights == {
        ("lab", "glad"): 7.0,
        ("lab", "cross"): 3.0,
        ("canonical", "happiness"): 7.0,
        ("canonical", "anger"): 3.0,
    }
    assert [r.reason for r in rejects] == ["not-a-number", "bad-label"]


def test_ratings_keep_their_scale_and_their_raters(tmp_path: Path) -> None:
    files = {
        "layout": "table",
        "tables": "t.csv",
        "columns": {"text": "text", "arousal": "aro"},
        "rater_columns": {"valence": ["v1", "v2"]},
        "missing": ["", "NA"],
    }
    root = put(tmp_path / "r", {"t.csv": "text,v1,v2,aro\nlow,1,1,9\nmiddle,1,5,NA\nhalf,NA,5,5\nbeyond,6,1,1\n"})
    corpus = describe(tmp_path, files, modality="text", label_map={}, dimensions={"valence": [1, 5], "arousal": [1, 9]})
    samples, rejects = read(corpus, root)
    assert [(s.valence, s.arousal) for s in samples.values()] == [(-1.0, 1.0), (0.0, None), (1.0, 0.0)]
    assert samples["000001"].ratings == [
        {"scheme": "valence", "rater": "v1", "value": 1.0},
        {"scheme": "valence", "rater": "v2", "value": 5.0},
    ]
    assert [r.reason for r in rejects] == ["rating-out-of-range"]


def test_pixels_in_a_column(tmp_path: Path) -> None:
    files = {"layout": "table", "tables": "t.csv", "columns": {"pixels": "px", "label": "l"}}
    rows = ["l,px", "glad,0 10 20 255", "glad,1 2 3", "cross,1 2 3 256", "cross,1 2 3 x"]
    samples, rejects = read(
        describe(tmp_path, files, modality="face"), put(tmp_path / "r", {"t.csv": "\n".join(rows) + "\n"})
    )
    assert decode_image(samples["000000"].payload).tolist() == [[0, 10], [20, 255]]
    assert [r.reason for r in rejects] == ["wrong-number-of-pixels", "value-out-of-range", "not-numbers"]


# -- audformat


def audformat_database(root: Path, *, storage: str = "csv") -> None:
    """Written by the library itself: two tables with splits, speakers with a gender, one table of segments."""
    audformat = pytest.importorskip("audformat")
    put(root, {f"wav/{i}.wav": tone(2.0, 200 + 50 * i) for i in range(4)})
    db = audformat.Database("lab", source="here", usage="research")
    db.schemes["emotion"] = audformat.Scheme(labels=["glad", "cross"])
    db.schemes["speaker"] = audformat.Scheme(labels={"a": {"gender": "female", "age": 31}, "b": {"gender": "male"}})
    for name, files in {"train": [0, 1], "test": [2]}.items():
        db.splits[name] = audformat.Split(type=name)
        index = audformat.filewise_index([f"wav/{i}.wav" for i in files])
        table = db[f"emotion.{name}"] = audformat.Table(index, split_id=name)
        table["emotion"] = audformat.Column(scheme_id="emotion")
        table["emotion"].set(["glad", "cross"][: len(files)])
    files = db["files"] = audformat.Table(audformat.filewise_index([f"wav/{i}.wav" for i in range(4)]))
    files["speaker"] = audformat.Column(scheme_id="speaker")
    files["speaker"].set(["a", "b", "b", "a"])
    parts = audformat.segmented_index(["wav/3.wav"] * 3, [0, "0.5s", "1.5s"], ["0.5s", "1.5s", "9s"])
    table = db["parts"] = audformat.Table(parts)
    table["emotion"] = audformat.Column(scheme_id="emotion")
    table["emotion"].set(["glad", "cross", "glad"])
    db.save(str(root), storage_format=storage)


AUDFORMAT = {
    "layout": "audformat",
    "tables": ["emotion.train", "emotion.test"],
    "join": "files",
    "columns": {"label": "emotion", "subject": "speaker", "gender": "speaker/gender", "age": "speaker/age"},
}


@pytest.mark.parametrize("storage", ["csv", "parquet"])
def test_audformat_with_its_splits_and_speakers(storage: str, tmp_path: Path) -> None:
    audformat_database(tmp_path / "db", storage=storage)
    samples, rejects = read(describe(tmp_path, AUDFORMAT), tmp_path / "db")
    assert not rejects
    found = {key: (s.emotion, s.subject_id, s.gender, s.age, s.extra["official_split"]) for key, s in samples.items()}
    assert found == {
        "wav/0": ("happiness", "c:a", "female", 31.0, "train"),
        "wav/1": ("anger", "c:b", "male", None, "train"),
        "wav/2": ("happiness", "c:b", "male", None, "test"),
    }


@pytest.mark.parametrize("storage", ["csv", "parquet"])
def test_audformat_segments_are_cut(storage: str, tmp_path: Path) -> None:
    audformat_database(tmp_path / "db", storage=storage)
    files = {"layout": "audformat", "tables": "parts", "columns": {"label": "emotion"}}
    samples, rejects = read(describe(tmp_path, files), tmp_path / "db")
    assert {key: round(float(s.duration_s or 0), 3) for key, s in samples.items()} == {
        "wav/3-0-0.5": 0.5,
        "wav/3-0.5-1.5": 1.0,
    }
    whole = decode_wav((tmp_path / "db" / "wav" / "3.wav").read_bytes())[0]
    assert np.abs(decode_wav(samples["wav/3-0.5-1.5"].payload)[0] - whole[4000:12000]).max() < 1e-3
    assert [(r.reason, r.detail) for r in rejects] == [("bad-segment", "it ends at 9 s, the file at 2.000 s")]


def test_audformat_says_what_is_there_and_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audformat_database(tmp_path / "db")
    with pytest.raises(CorpusError, match=r"table 'emotions' is not in .*Found: .*emotion.test"):
        describe(tmp_path, AUDFORMAT | {"tables": "emotions"}).read(tmp_path / "db", "c")
    with pytest.raises(CorpusError, match=r"column 'emo' not in table. Did you mean 'emotion'"):
        describe(tmp_path, AUDFORMAT | {"columns": {"label": "emo"}}).read(tmp_path / "db", "c")
    with pytest.raises(CorpusError, match=r"column 'sex' not in table.*Found: age, gender"):
        describe(tmp_path, AUDFORMAT | {"columns": {"label": "emotion", "gender": "speaker/sex"}}).read(
            tmp_path / "db", "c"
        )
    (tmp_path / "db" / "db.emotion.test.csv").rename(tmp_path / "db" / "db.emotion.test.pkl")
    with pytest.raises(CorpusError, match="pickles are not read"):
        describe(tmp_path, AUDFORMAT).read(tmp_path / "db", "c")
    put(tmp_path / "evil", {"db.yaml": f"name: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n"})
    with pytest.raises(CorpusError, match="no header of audformat"):
        describe(tmp_path, AUDFORMAT).read(tmp_path / "evil", "c")
    assert not (tmp_path / "made").exists()
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name == "audformat":
            raise ModuleNotFoundError("No module named 'audformat'")
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ResourceError, match=r"emoforge\[audformat\]"):
        describe(tmp_path, AUDFORMAT).read(tmp_path / "db", "c")


# -- datasets


def test_a_saved_data_set_with_sound_and_class_labels(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "audio": datasets.Audio(decode=False),
            "label": datasets.ClassLabel(names=["cross", "glad"]),
            "who": datasets.Value("string"),
        }
    )
    rows = [{"audio": {"bytes": tone(hz=99 + i), "path": None}, "label": i % 2, "who": f"p{i}"} for i in range(4)]
    rows[3]["label"] = -1
    parts = {"train": rows[:3], "validation": rows[3:]}
    saved = {name: datasets.Dataset.from_list(part).cast(features) for name, part in parts.items()}
    datasets.DatasetDict(saved).save_to_disk(tmp_path / "saved")
    for name, part in saved.items():
        (tmp_path / "pages").mkdir(exist_ok=True)
        part.to_parquet(tmp_path / "pages" / f"{name}-00000-of-00001.parquet")
    files = {"layout": "datasets", "columns": {"media": "audio", "label": "label", "subject": "who"}}
    for folder in ("saved", "pages"):
        samples, rejects = read(describe(tmp_path, files), tmp_path / folder)
        told = [(s.emotion, s.subject_id, s.extra["official_split"]) for s in samples.values()]
        assert told == [
            ("anger", "c:p0", "train"),
            ("happiness", "c:p1", "train"),
            ("anger", "c:p2", "train"),
            (None, "c:p3", "dev"),
        ]
        assert [s.payload for s in samples.values()] == [row["audio"]["bytes"] for row in rows]
        assert not rejects
    with pytest.raises(CorpusError, match=r"column 'emotion' not in table.*Found: audio, label, who"):
        describe(tmp_path, files | {"columns": {"media": "audio", "label": "emotion"}}).read(tmp_path / "saved", "c")


def test_another_data_set_of_the_same_columns_is_not_taken_for_it(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    classes = datasets.ClassLabel(names=["sadness", "joy", "love", "anger"])
    rows = [{"text": "one", "label": 1}, {"text": "two", "label": 3}]
    saved = datasets.Dataset.from_list(rows).cast(
        datasets.Features({"text": datasets.Value("string"), "label": classes})
    )
    saved.to_parquet(tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(CorpusError, match=r"does not know: love. Found: sadness, joy, love, anger"):
        make_corpus("tweeteval_emotion").read(tmp_path, "c")


def test_a_saved_data_set_with_lists_of_labels_and_one_broken_file(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    labels = datasets.Features(
        {"text": datasets.Value("string"), "l": datasets.List(datasets.ClassLabel(names=["glad", "cross"]))}
    )
    rows = [{"text": "one", "l": [0]}, {"text": "two", "l": [1, 0]}, {"text": "three", "l": []}]
    datasets.Dataset.from_list(rows, features=labels).save_to_disk(tmp_path / "saved")
    put(tmp_path / "saved", {"data-00001-of-00002.arrow": b"cut short"})
    files = {"layout": "datasets", "columns": {"text": "text", "label": "l"}}
    samples, rejects = read(describe(tmp_path, files, modality="text"), tmp_path / "saved")
    assert [(s.payload.decode(), s.emotion, len(s.labels)) for s in samples.values()] == [
        ("one", "happiness", 0),
        ("two", None, 4),
        ("three", None, 0),
    ]
    assert [(r.path, r.reason) for r in rejects] == [("data-00001-of-00002.arrow", "not-a-dataset")]
    assert all("official_split" not in s.extra for s in samples.values())


@pytest.mark.parametrize("layout", ["audformat", "datasets"])
def test_layouts_without_a_shipped_card_of_sound_are_made_up_too(layout: str, tmp_path: Path) -> None:
    saved = {"layout": "datasets", "columns": {"media": "audio", "label": "l", "subject": "who"}}
    corpus = describe(tmp_path, AUDFORMAT | {"join": []} if layout == "audformat" else saved)
    corpus.fake(tmp_path / "r", subjects=2, per_class={"happiness": 4, "anger": 3}, seed=1)
    samples, rejects = read(corpus, tmp_path / "r")
    assert Counter(s.emotion for s in samples.values()) == {"happiness": 4, "anger": 3} and not rejects
    assert len({s.subject_id for s in samples.values()}) == 2

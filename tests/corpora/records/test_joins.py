"""Joins of labels and payloads: the shared rules, and each kind of table in which an entry may stand twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import encode_png
from corpora.errors import CorpusError, PayloadError
from corpora.formats.pickles import dump_python2, load_array_file
from corpora.formats.tables import read_json, read_jsonl
from corpora.readers import make_corpus
from corpora.readers.described.corpus import Described
from corpora.records.ids import one_person
from corpora.records.joins import Entries, doubled, doubled_files, same_counts, settled
from corpora.schema import Reject, Sample


def read(name: str, root: Path, **options: object) -> tuple[dict[str, Sample], list[Reject]]:
    found = list(make_corpus(name, options).read(root, "c"))
    samples = {s.sample_id.removeprefix("c/"): s for s in found if isinstance(s, Sample)}
    return samples, [r for r in found if isinstance(r, Reject)]


def fake(name: str, root: Path, per_class: int = 2, subjects: int = 2, **options: object) -> Path:
    make_corpus(name, options).fake(root, subjects=subjects, per_class=per_class, seed=0)
    return root


def change(path: Path, how: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(how(path.read_text(encoding="utf-8").splitlines(keepends=True))), encoding="utf-8")


# -- the shared rules


def test_entries_that_say_the_same_are_one_and_others_are_none() -> None:
    told: Entries[str, int] = Entries()
    for key, value, where in (("a", 1, "t#0"), ("b", 1, "t#1"), ("a", 1, "t#2"), ("b", 2, "t#3"), ("b", 1, "t#4")):
        told.add(key, value, where)
    assert (told.get("a"), told.get("z"), len(told), list(told)) == (1, None, 2, ["a", "b"])
    assert told.doubled == {"b": ["t#1", "t#3", "t#4"]}
    with pytest.raises(PayloadError, match=r"'b' stands in several places that differ \(t#1, t#3, t#4\)") as caught:
        told.get("b")
    assert caught.value.reason == "conflicting-entries"


def test_settled_items_are_errors_wherever_the_other_stands() -> None:
    rows = [("a", 1), ("b", 1), (None, 9), ("b", 2), ("a", 1), (None, 8)]
    named = [(row, f"t#{i}") for i, row in enumerate(rows)]
    items = list(settled(lambda: iter(named), lambda row: row[0], lambda row: row[1]))
    assert [isinstance(item, PayloadError) for item, _ in items] == [False, True, False, True, False, False]
    assert [name for _, name in items] == [name for _, name in named]
    assert doubled(named, lambda row: row[0], lambda row: row[1]) == {"b": ("t#1", "t#3")}


def test_files_of_one_name_are_doubled_if_their_bytes_differ(tmp_path: Path) -> None:
    files = []
    for name, content in (
        ("a/x.wav", b"1"),
        ("b/x.wav", b"1"),
        ("a/y.wav", b"1"),
        ("b/y.wav", b"2"),
        ("a/z.wav", b"3"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        files.append((tmp_path / name, name))
    assert doubled_files(files, lambda path: path.stem) == {"y": ("a/y.wav", "b/y.wav")}


def test_counts_that_differ_are_an_error_that_names_them() -> None:
    same_counts("T", {"a.txt": 3, "b.txt": 3}, "line")
    with pytest.raises(CorpusError, match=r"a\.txt 3, b\.txt 4"):
        same_counts("T", {"a.txt": 3, "b.txt": 4}, "line")


@pytest.mark.parametrize("name", ["All", "both", " Ross and Rachel ", "A & B", "#ALL#", "", "The Guys"])
def test_several_people_are_no_subject(name: str) -> None:
    assert one_person(name) is None


@pytest.mark.parametrize("name", ["Ross", "Sandy", "Frank, Jr.", "The Interviewer", "Allan", "Phoebe/Waitress"])
def test_one_person_is_a_subject(name: str) -> None:
    assert one_person(name) == name


def test_a_key_that_stands_twice_in_a_json_object_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"x": {"a": 1, "a": 1}}')
    assert read_json(path, "T") == {"x": {"a": 1}}
    path.write_text('{"x": {"a": 1, "b": 2, "a": 3}}')
    with pytest.raises(CorpusError, match="several values of 'a'"):
        read_json(path, "T")
    path.write_text('{"a": 1}\n{"a": 1, "a": 2}\n{"a": 2}\n')
    rows = [row for row, _ in read_jsonl(path, "T")]
    assert rows[0] == {"a": 1} and rows[2] == {"a": 2}
    assert isinstance(rows[1], PayloadError) and rows[1].reason == "repeated-key"


# -- tables of single corpora


def test_shemo_list_that_names_a_file_twice_is_refused(tmp_path: Path) -> None:
    fake("shemo", tmp_path)
    path = tmp_path / "shemo.json"
    told = json.loads(path.read_text())
    key = next(iter(told))
    path.write_text(path.read_text().replace("{", f'{{"{key}": {{"transcript": "other"}}, ', 1))
    with pytest.raises(CorpusError, match=f"several values of '{key}'"):
        make_corpus("shemo").read(tmp_path, "c")


def test_crema_d_votes_and_people_that_stand_twice_are_used_by_nobody(tmp_path: Path) -> None:
    fake("crema_d", tmp_path)
    change(tmp_path / "VideoDemographics.csv", lambda rows: [*rows, rows[1].replace('"Male"', '"Female"')])
    votes = tmp_path / "processedResults" / "tabulatedVotes.csv"
    clip = next(line for line in votes.read_text().splitlines() if line.startswith('"1')).split(",")[7].strip('"')
    row = f'"100099",0,0,0,0,0,10,"{clip}",10,-1,-1,-1,-1,-1,50\n'
    before = {name: (s.emotion, s.labels) for name, s in read("crema_d", tmp_path)[0].items()}
    change(votes, lambda rows: [*rows, row])
    samples, rejects = read("crema_d", tmp_path)
    name = clip if clip in samples else clip[:-1]
    assert samples[name].labels == () and samples[name].emotion == before[name][0]
    assert {key: (s.emotion, s.labels) for key, s in samples.items() if key != name} == {
        key: told for key, told in before.items() if key != name
    }
    assert [r.reason for r in rejects] == ["conflicting-entries"] * 4
    assert {s.gender for key, s in samples.items() if key.startswith("1001")} == {None}
    perceived, rejects = read("crema_d", tmp_path, label="perceived")
    assert name not in perceived and [r.reason for r in rejects].count("conflicting-entries") == 5


def test_msp_podcast_file_with_two_rows_or_two_sounds_is_a_reject(tmp_path: Path) -> None:
    fake("msp_podcast", tmp_path)
    before, _ = read("msp_podcast", tmp_path)
    one, two, *_ = sorted(before)
    table = tmp_path / "Labels" / "labels_consensus.csv"

    def again(rows: list[str]) -> list[str]:
        told = next(row for row in rows if row.startswith(one)).split(",")
        told[1] = "S" if told[1] != "S" else "A"
        return [rows[0], ",".join(told), *rows[1:]]

    change(table, again)
    (tmp_path / "Audios" / "more").mkdir()
    shutil.copy(tmp_path / "Audios" / f"{one}.wav", tmp_path / "Audios" / "more" / f"{two}.wav")
    samples, rejects = read("msp_podcast", tmp_path)
    assert set(samples) == set(before) - {one, two}
    assert [r.reason for r in rejects] == ["conflicting-entries"] * 3
    assert {key: s.emotion for key, s in samples.items()} == {key: before[key].emotion for key in samples}


def test_goemotions_rater_who_stands_twice_has_one_voice_or_none(tmp_path: Path) -> None:
    fake("goemotions", tmp_path, form="raters")
    before, _ = read("goemotions", tmp_path, form="raters")
    path = next(p for p in sorted((tmp_path / "full_dataset").glob("*.csv")) if len(p.read_text().splitlines()) > 1)
    change(path, lambda rows: [*rows, rows[1]])
    samples, rejects = read("goemotions", tmp_path, form="raters")
    assert [r.reason for r in rejects] == ["repeated-row"]
    assert {k: (s.emotion, s.labels) for k, s in samples.items()} == {
        k: (s.emotion, s.labels) for k, s in before.items()
    }

    def other(rows: list[str]) -> list[str]:
        *head, last = rows[1].rstrip("\n").split(",")
        return [*rows[:-1], ",".join([*head, str(1 - int(last))]) + "\n"]

    change(path, other)
    samples, rejects = read("goemotions", tmp_path, form="raters")
    assert [r.reason for r in rejects] == ["conflicting-entries"] * 2
    (fewer,) = [k for k, s in samples.items() if s.extra["raters"] != before[k].extra["raters"]]
    assert int(samples[fewer].extra["raters"]) == int(before[fewer].extra["raters"]) - 1


def test_esd_list_does_not_overrule_folders_and_conflicts_in_it_decide_nothing(tmp_path: Path) -> None:
    fake("esd", tmp_path)
    before, _ = read("esd", tmp_path)
    lists = [path for path in sorted(tmp_path.rglob("*.txt")) if path.name == "0011.txt"]
    key = next(line.split("\t")[0] for line in lists[0].read_text("utf-8").splitlines() if line.count("\t") == 2)
    native = before[key].emotion_raw
    wrong = "Sad" if native != "Sad" else "Angry"
    change(
        lists[0],
        lambda rows: [row.replace(f"\t{native}", f"\t{wrong}") if row.startswith(key) else row for row in rows],
    )
    sample = read("esd", tmp_path)[0][key]
    assert (sample.emotion_raw, sample.extra["listed_emotion"]) == (native, wrong)
    change(lists[0], lambda rows: [*rows, f"{key}\tother words\t{native}\n"])
    samples, rejects = read("esd", tmp_path)
    assert "transcript" not in samples[key].extra and not rejects
    assert {k: s.emotion for k, s in samples.items()} == {k: s.emotion for k, s in before.items()}
    wav = next(tmp_path.rglob(f"{key}.wav"))
    shutil.move(wav, tmp_path / "0011" / wav.name)  # a flat form: the list alone says the emotion
    assert [r.reason for r in read("esd", tmp_path)[1]] == ["conflicting-entries"]


def test_stress_predict_seconds_are_joined_by_their_time(tmp_path: Path) -> None:
    fake("stress_predict", tmp_path, per_class=2, subjects=1)
    before, _ = read("stress_predict", tmp_path)
    table = next(tmp_path.rglob("Improved*.csv"))
    whole = table.read_text()
    change(table, lambda rows: [rows[0], *rows[:0:-1]])
    assert read("stress_predict", tmp_path)[0] == before  # rows in another order
    change(table, lambda rows: [*rows, *rows[5:9]])
    assert read("stress_predict", tmp_path)[0] == before  # the same once more
    table.write_text(whole)
    change(
        table, lambda rows: [*rows, rows[10].replace(",0\n", ",9\n").replace(",1\n", ",0\n").replace(",9\n", ",1\n")]
    )
    samples, rejects = read("stress_predict", tmp_path)
    assert [r.reason for r in rejects] == ["conflicting-entries"] * 2
    assert sum(s.duration_s or 0 for s in samples.values()) == sum(s.duration_s or 0 for s in before.values()) - 1
    (tmp_path / "copy").mkdir()
    shutil.copytree(tmp_path / "Raw_data" / "S02", tmp_path / "copy" / "S02")
    with pytest.raises(CorpusError, match="both of one participant"):
        make_corpus("stress_predict").read(tmp_path, "c")


@pytest.mark.parametrize("what", ["wrist", "chest", "label"])
def test_wesad_whose_signals_and_labels_do_not_last_as_long_is_a_reject(what: str, tmp_path: Path) -> None:
    fake("wesad", tmp_path, per_class=1, subjects=1)
    path = next(tmp_path.rglob("*.pkl"))
    found = load_array_file(path, max_bytes=1 << 30)
    if what == "label":
        found["label"] = found["label"][2100:]  # 3 s: which ones they are nobody knows
    else:
        key, rate = {"wrist": ("BVP", 64), "chest": ("ECG", 700)}[what]
        found["signal"][what][key] = found["signal"][what][key][3 * rate :]
    path.write_bytes(dump_python2(found))
    samples, (reject,) = read("wesad", tmp_path)
    assert not samples and (reject.path, reject.reason) == (
        f"S2/{path.name}",
        "unequal-duration" if what == "label" else "truncated",
    )


@pytest.mark.parametrize("name", ["ck_plus", "oulu_casia"])
def test_first_frames_that_are_gone_are_no_neutral_faces(name: str, tmp_path: Path) -> None:
    fake(name, tmp_path, per_class=1, frames="apex_neutral")
    before, _ = read(name, tmp_path, frames="apex_neutral")
    neutral = next(s for s in before.values() if s.extra["frame_role"] == "neutral")
    path = tmp_path / neutral.extra["path"]
    path.unlink()
    for other in sorted(path.parent.glob("*00001.*")) + sorted(path.parent.glob("001.*")):
        other.unlink()
    samples, rejects = read(name, tmp_path, frames="apex_neutral")
    assert set(before) - set(samples) == {key for key, s in before.items() if s is neutral}
    assert [r.reason for r in rejects] == ["missing-frame"]


def test_ck_plus_peak_that_is_gone_is_a_reject_and_its_label_nobody_elses(tmp_path: Path) -> None:
    fake("ck_plus", tmp_path, per_class=1)
    before, _ = read("ck_plus", tmp_path)
    apex = next(key for key, s in before.items() if s.extra["frame_role"] == "apex" and s.emotion)
    (tmp_path / before[apex].extra["path"]).unlink()
    samples, rejects = read("ck_plus", tmp_path)
    assert set(samples) == set(before) - {apex}
    assert [r.reason for r in rejects] == ["missing-frame"]
    label = next(iter(sorted((tmp_path / "Emotion").rglob(f"{apex}_emotion.txt"))))
    label.rename(label.with_name("S999_001_00000004_emotion.txt"))
    assert {r.reason for r in read("ck_plus", tmp_path)[1]} == {"bad-annotation"}


# -- tables that a card describes


def card(root: Path, files: str, **facts: str) -> Described:
    told = {"title": "T", "modality": "text", "license": "CC0-1.0", "split_unit": "payload"} | facts
    lines = [f"{key}: {value}" for key, value in told.items()]
    path = root / "t.yaml"
    path.write_text("\n".join([*lines, "label_map: {joy: happiness, sad: sadness}", f"files: {files}"]))
    return Described.of(path)


def outcome(corpus: Described, root: Path) -> tuple[dict[str, str | None], list[str]]:
    found = list(corpus.read(root, "c"))
    samples = {s.sample_id.removeprefix("c/"): s.emotion for s in found if isinstance(s, Sample)}
    return samples, [r.reason for r in found if isinstance(r, Reject)]


def test_a_table_that_gives_a_file_two_labels_gives_it_none(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    root.mkdir()
    for name in "abc":
        (root / f"{name}.png").write_bytes(encode_png(np.full((8, 8), ord(name), np.uint8)))
    (root / "t.csv").write_text("file,label\na.png,joy\nb.png,sad\na.png,sad\nc.png,joy\nc.png,joy\n")
    files = "{layout: table, tables: t.csv, columns: {path: file, label: label}}"
    samples, rejects = outcome(card(tmp_path, files, modality="face"), root)
    assert samples == {"b": "sadness", "c": "happiness"}
    assert sorted(rejects) == ["conflicting-entries", "conflicting-entries", "repeated-name"]


def test_a_table_that_gives_an_id_and_text_two_labels_gives_it_none(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    root.mkdir()
    (root / "t.csv").write_text("id,text,label\n1,fine,joy\n2,bad,sad\n1,fine,sad\n3,fine,sad\n")
    samples, rejects = outcome(
        card(tmp_path, "{layout: table, tables: t.csv, columns: {id: id, text: text, label: label}}"), root
    )
    assert samples == {"2": "sadness", "3": "sadness"}  # 3 is another text with the same words
    assert rejects == ["conflicting-entries", "conflicting-entries"]


def test_audformat_table_that_joins_two_speakers_to_a_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("audformat")
    told = tmp_path / "db.yaml"
    files = "{layout: audformat, tables: [emotion], join: [files], columns: {label: emotion, subject: speaker}}"
    corpus = card(tmp_path, files, modality="speech", split_unit="subject")
    root = tmp_path / "raw"
    corpus.fake(root, subjects=2, per_class=2, seed=0)
    assert not told.exists()
    header = (root / "db.yaml").read_text()
    assert "emotion" in header
    lines = [line.split(",") for line in (root / "db.emotion.csv").read_text().splitlines()]
    at = lines[0].index("speaker")
    (root / "db.files.csv").write_text("".join(f"{line[0]},{line[at]}\n" for line in lines))
    (root / "db.emotion.csv").write_text("".join(",".join(line[:at] + line[at + 1 :]) + "\n" for line in lines))
    from ruamel.yaml import YAML

    db = YAML(typ="safe").load(header)
    speaker = db["tables"]["emotion"]["columns"].pop("speaker")
    db["tables"]["files"] = {"type": "filewise", "columns": {"speaker": speaker}}
    with (root / "db.yaml").open("w") as file:
        YAML(typ="safe").dump(db, file)
    before, rejects = outcome(corpus, root)
    assert len(before) == 4 and not rejects
    change(root / "db.files.csv", lambda rows: [*rows, rows[1].replace(lines[1][at], "somebody")])
    with pytest.raises(
        CorpusError, match=r"'speaker' of .* is 'somebody' and '.*'; a table of files.join says one thing"
    ):
        outcome(corpus, root)

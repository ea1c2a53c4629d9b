"""The stage `prepare`, and runs of several corpora or without a generator, on tiny made-up corpora."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from corpora.errors import CorpusError, ParamsError
from corpora.signals import decode_signals
from corpora.store.release import open_release
from corpora.store.shards import read_payload
from emoforge.summary import inspect_release
from flows.params import load_params
from flows.paths import Layout
from flows.stages.plan.feasible import foreseen
from flows.stages.run import run_stage

Project = Callable[[Path, dict[str, Any]], Path]
LATER = ("plan", "prepare", "fit", "augment", "evaluate", "release", "report")


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "data/runs/tiny/prepared/summary.json").read_text())


def rows_of(folder: Path, name: str = "prepared/index") -> list[dict[str, Any]]:
    return pq.read_table(folder / f"data/runs/tiny/{name}.parquet").to_pylist()


def stages(folder: Path, *verbs: str) -> None:
    for verb in verbs:
        run_stage(verb, "tiny", repo=folder)


def ingest(folder: Path, *corpora: str) -> None:
    for name in corpora:
        run_stage("fake", name, repo=folder)
        run_stage("ingest", name, repo=folder)


@pytest.fixture
def two_corpora(tiny_params: Any, project: Project) -> Callable[..., Path]:
    """RAVDESS at 48 kHz (stereo files among them) and EmoDB at 16 kHz, both made up; the second one has boredom too."""

    def make(folder: Path, **run: Any) -> Path:
        params = tiny_params("speech")
        params["demo"] = {
            "rav": {"reader": "ravdess", "subjects": 6, "seed": 1, "per_class": {"anger": 12, "neutral": 6}},
            "emo": {
                "reader": "emodb",
                "subjects": 6,
                "seed": 2,
                "per_class": {"anger": 8, "neutral": 12, "boredom": 7},
            },
        }
        params["corpora"] = {name: {"reader": d["reader"], "shards": 2} for name, d in params["demo"].items()}
        params["runs"]["tiny"] |= {"corpora": ["rav", "emo"]} | run
        made = project(folder, params)
        for name in ("rav", "emo"):
            run_stage("fake", name, repo=made)
        for file in (made / "data/raw/rav").rglob("*.wav"):  # the made-up ones are 16 kHz mono, the published 48 kHz
            signal = soundfile.read(file, always_2d=True)[0].mean(axis=1)
            soundfile.write(file, np.repeat(np.stack([signal, signal], 1), 3, axis=0), 48000, subtype="PCM_16")
        for name in ("rav", "emo"):
            run_stage("ingest", name, repo=made)
        return made

    return make


def test_two_corpora_of_two_rates_become_one_release(tmp_path: Path, two_corpora: Callable[..., Path]) -> None:
    folder = two_corpora(
        tmp_path / "p", generator={"name": "transfer"}, target={"policy": "majority", "within": "corpus"}
    )
    stages(folder, *LATER)
    they_are_made_alike_and_counted_each(folder)
    each_is_balanced_on_its_own_from_its_own_sources(folder)
    open_release(folder / "data/runs/tiny/release").verify()


def they_are_made_alike_and_counted_each(folder: Path) -> None:
    rows, told = rows_of(folder), summary_of(folder)
    assert {r["sample_id"].partition("/")[0] for r in rows} == {"rav", "emo"} == {r["corpus"] for r in rows}
    prepared = folder / "data/runs/tiny/prepared"
    for row in rows:
        info = soundfile.info(io.BytesIO(read_payload(prepared, row)))
        assert (info.samplerate, info.channels) == (16000, 1)
        assert row["signals"][0]["rate_hz"] == 16000 and row["duration_s"] == info.frames / 16000
    rates = {
        c: {
            s["rate_hz"]
            for r in pq.read_table(folder / f"data/corpora/{c}/index.parquet").to_pylist()
            for s in r["signals"]
        }
        for c in ("rav", "emo")
    }
    assert rates == {"rav": {48000.0}, "emo": {16000.0}}, "and they did not come alike"
    assert told["classes"] == ["neutral", "anger", "boredom"]
    found = Counter((r["corpus"], r["emotion"]) for r in rows)
    for corpus, facts in told["by_corpus"].items():
        for emotion in told["classes"]:
            assert sum(facts["counts"][s][emotion] for s in ("train", "dev", "test")) == found[corpus, emotion]
        assert facts["prepared"] + sum(facts["rejected"].values()) == facts["samples"]
    assert [told["by_corpus"][c]["reader"] for c in ("rav", "emo")] == ["ravdess", "emodb"]
    assert [s["step"] for s in told["prepared"]["steps"]] == ["resample-1", "trim-1", "length-1"]
    before = rows_of(folder, "prepared/before")
    assert Counter(r["corpus"] for r in before) == {"rav": 3, "emo": 3}
    splits = {r["sample_id"]: r["split"] for r in rows_of(folder, "prepared/splits")}
    assert all(splits[r["sample_id"]] == "train" for r in before), "nothing of test is shown"


def each_is_balanced_on_its_own_from_its_own_sources(folder: Path) -> None:
    balance = json.loads((folder / "data/runs/tiny/augmented/balance.json").read_text())
    train = {c: t["counts"]["train"] for c, t in summary_of(folder)["by_corpus"].items()}
    cells = {(c["corpus"], c["emotion"]): c for c in balance["cells"]}
    assert ("rav", "boredom") not in cells, "RAVDESS has no boredom, and nothing of it shows how that would sound"
    assert {c["target"] for c in balance["cells"] if c["corpus"] == "emo"} == {max(train["emo"].values())}
    assert {c["target"] for c in balance["cells"] if c["corpus"] == "rav"} == {max(train["rav"].values())}
    real = {r["sample_id"]: r for r in rows_of(folder)}
    made = rows_of(folder, "augmented/index")
    assert Counter((dict(r["extra"])["corpus"], r["emotion"]) for r in made) == {
        k: c["accepted"] for k, c in cells.items() if c["accepted"]
    }
    for row in made:
        (source,) = row["source_ids"]
        assert real[source]["corpus"] == row["corpus"] == dict(row["extra"])["corpus"]
        assert real[source]["emotion"] != row["emotion"] and row["subject_id"] == real[source]["subject_id"]
    for row in balance["classes"]:
        own = [c for c in balance["cells"] if c["emotion"] == row["emotion"]]
        assert row["accepted"] == sum(c["accepted"] for c in own) > 0
        assert row["filled"] == all(c["filled"] for c in own)
    page = (folder / "data/runs/tiny/report.html").read_text()
    assert "rav" in page and "emo" in page and "Each corpus on its own" in page


def test_nothing_of_train_depends_on_another_split(tmp_path: Path, tiny_params: Any, project: Project) -> None:
    """The recordings of dev and test are replaced; every byte that was prepared of train stays."""
    params = tiny_params("speech")
    params["demo"]["tiny"]["per_class"] = {"anger": 10, "neutral": 8}
    params["runs"]["tiny"]["prepare"] = {"speech": {"loudness": {}, "clipping": {}, "noise": {"min_db": 0.0}}}
    folder = project(tmp_path / "p", params)
    ingest(folder, "tiny")
    stages(folder, "plan", "prepare")
    prepared = folder / "data/runs/tiny/prepared"

    def bytes_of(*patterns: str) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for pattern in patterns for p in prepared.glob(pattern)}

    of_train = ("shards/train-*", "coded/train-*", "arrays.*", "before/*")
    train, others = bytes_of(*of_train), bytes_of("shards/test-*", "shards/dev-*")
    splits = {r["sample_id"]: r["split"] for r in rows_of(folder, "prepared/splits")}
    for row in pq.read_table(folder / "data/corpora/tiny/index.parquet").to_pylist():
        if splits[row["sample_id"]] != "train":
            file = folder / "data/raw/tiny" / dict(row["extra"])["path"]
            signal, rate = soundfile.read(file)
            soundfile.write(file, 0.3 * np.concatenate([signal, signal[::-1]]), rate, subtype="PCM_16")
    stages(folder, "ingest", "plan", "prepare")
    assert splits == {r["sample_id"]: r["split"] for r in rows_of(folder, "prepared/splits")}
    assert len(train) >= 5 and bytes_of(*of_train) == train
    again = bytes_of("shards/test-*", "shards/dev-*")
    assert again.keys() == others.keys() and all(again[n] != others[n] for n in others), "the others did change"


def test_long_utterances_become_pieces_that_stay_in_one_split(
    tmp_path: Path, tiny_params: Any, project: Project
) -> None:
    params = tiny_params("speech")
    steps = {"segment": {"max_s": 0.9, "min_s": 0.3, "pause_db": 6}, "trim": {"below_db": 30}}
    params["runs"]["tiny"]["prepare"] = {"speech": steps, "max_reject_share": 1.0}
    folder = project(tmp_path / "p", params)
    ingest(folder, "tiny")
    stages(folder, "plan", "prepare")
    rows, told = rows_of(folder), summary_of(folder)
    pieces = [r for r in rows if "#s" in r["sample_id"]]
    assert pieces and told["noted"]["cut-into-pieces"] == len({r["recording_id"] for r in pieces})
    splits = {r["sample_id"]: r["split"] for r in rows_of(folder, "prepared/splits")}
    assert set(splits) == {r["sample_id"] for r in rows}
    raw = {r["sample_id"]: r for r in pq.read_table(folder / "data/corpora/tiny/index.parquet").to_pylist()}
    by_parent: dict[str, list[dict[str, Any]]] = {}
    for row in pieces:
        by_parent.setdefault(row["sample_id"].partition("#")[0], []).append(row)
    for parent, own in by_parent.items():
        own.sort(key=lambda r: r["sample_id"])
        assert [r["sample_id"] for r in own] == [f"{parent}#s{i:04d}" for i in range(1, len(own) + 1)]
        assert {(r["group_id"], r["emotion"], splits[r["sample_id"]]) for r in own} == {
            (raw[parent]["group_id"], raw[parent]["emotion"], splits[own[0]["sample_id"]])
        }
        for row in own:
            assert row["t_end_s"] - row["t_start_s"] == pytest.approx(row["duration_s"])
            assert row["duration_s"] <= 0.9
    ids = pq.read_table(folder / "data/runs/tiny/prepared/arrays.parquet")["sample_id"].to_pylist()
    assert len(ids) == len(np.load(folder / "data/runs/tiny/prepared/arrays.npy")) == len(set(ids))
    assert {splits[i] for i in ids} == {"train"}


def real_only(tiny_params: Any, reader: str, **changes: Any) -> dict[str, Any]:
    params = tiny_params("faces")
    params["demo"]["tiny"] = {"reader": reader, "subjects": 8, "seed": 1, "per_class": {"anger": 14, "sadness": 9}}
    params["demo"]["tiny"] |= changes
    params["corpora"]["tiny"]["reader"] = reader
    params["runs"]["tiny"] = {"corpora": ["tiny"], "shards": 2}
    return params


def test_a_text_corpus_is_released_without_a_generator(tmp_path: Path, tiny_params: Any, project: Project) -> None:
    folder = project(tmp_path / "p", real_only(tiny_params, "goemotions", subjects=0))
    ingest(folder, "tiny")
    stages(folder, *LATER)
    release = open_release(folder / "data/runs/tiny/release")
    release.verify()
    index = pq.read_table(release.path / "index.parquet").to_pylist()
    told = summary_of(folder)
    assert len(index) == sum(sum(by.values()) for by in told["counts"].values()) > 0
    assert {r["codec"] for r in index} == {"txt"} and all(r["generator_id"] is None for r in index)
    manifest = json.loads((release.path / "manifest.json").read_text())
    assert any("real samples alone" in note for note in manifest["notes"])
    assert not any(n["synthetic"] for by in manifest["counts"].values() for n in by.values())
    steps = json.loads((release.path / "prepared.json").read_text())
    assert steps["version"] == "text-1" and "placeholders-1" in [s["step"] for s in steps["steps"]]
    assert not (folder / "data/runs/tiny/prepared/arrays.npy").exists()
    page = (folder / "data/runs/tiny/report.html").read_text()
    assert "placeholders-1" in page and "real samples alone" in page
    assert (release.path / "README.md").read_text().count("- all samples are real") == 1
    assert not any("placeholders" in dict(r["extra"] or ()) for r in index), "what was masked stays out"
    for row in index[:3]:
        assert read_payload(release.path, row).decode().strip()


def test_what_leaks_take_is_told_and_formulas_stay(
    tmp_path: Path, tiny_params: Any, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    params = real_only(tiny_params, "goemotions", subjects=0)
    params["runs"]["tiny"]["view"] = "official"
    folder = project(tmp_path / "p", params)
    run_stage("fake", "tiny", repo=folder)
    for split in ("train", "test"):
        (path,) = (folder / "data/raw/tiny").rglob(f"{split}.tsv")
        said = ("Thank you.", "A long line that somebody copied to the other file.")
        lines = "".join(f"{text}\t2\tzz{split[:4]}{i}\n" for i, text in enumerate(said))
        path.write_text(path.read_text(encoding="utf-8") + lines, encoding="utf-8")
    run_stage("ingest", "tiny", repo=folder)
    stages(folder, "plan", "prepare", "fit", "augment", "evaluate", "release")
    told = summary_of(folder)
    n = told["leaks"]["train"]["of"]
    assert told["leaks"] == {"train": {"of": n, "dropped": {"repeats": 1}}} and told["dropped"] == 1
    assert n > sum(told["counts"]["train"].values()), "what went, and what the scheme has no class for, count"
    (short,) = [f for f in told["audit"] if f["kind"] == "short_texts"]
    assert short["action"] == "waive" and short["counts"] == {"keys": 1, "train": 1, "test": 1}
    release = folder / "data/runs/tiny/release"
    manifest = json.loads((release / "manifest.json").read_text())
    assert any(note.startswith("audit: short texts in train and test, 1 found") for note in manifest["notes"])
    capsys.readouterr()
    inspect_release(release, as_json=True)
    assert json.loads(capsys.readouterr().out)["manifest"]["leaks"] == told["leaks"]
    looked = foreseen(load_params(folder / "params.yaml"), Layout(folder), "tiny")
    assert looked is not None and looked.as_dict()["leaks"] == told["leaks"] and not looked.problems


def test_signals_are_cut_into_windows_and_standardised_by_train(
    tmp_path: Path, tiny_params: Any, project: Project
) -> None:
    params = real_only(tiny_params, "wesad", subjects=6, per_class={"neutral": 6, "stress": 6})
    steps = {"keep": ["chest_EDA", "chest_ECG"], "windows": {"length_s": 5.0}, "artefacts": None, "population": {}}
    params["runs"]["tiny"]["prepare"] = {"physio": steps}
    folder = project(tmp_path / "p", params)
    ingest(folder, "tiny")
    stages(folder, *LATER)
    release = open_release(folder / "data/runs/tiny/release")
    release.verify()
    splits = {r["sample_id"]: r["split"] for r in pq.read_table(release.path / "splits.parquet").to_pylist()}
    pooled: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    groups: dict[str, set[str]] = {}
    for row in pq.read_table(release.path / "index.parquet").to_pylist():
        split = splits[row["sample_id"]]
        groups.setdefault(row["group_id"], set()).add(split)
        assert "#w" in row["sample_id"] and row["t_end_s"] - row["t_start_s"] == pytest.approx(5.0)
        assert {(s["name"], s["unit"]) for s in row["signals"]} == {("chest_EDA", "z"), ("chest_ECG", "z")}
        arrays = decode_signals(read_payload(release.path, row))
        assert {s["name"]: s["shape"] for s in row["signals"]} == {n: list(a.shape) for n, a in arrays.items()}
        pooled.setdefault(split, []).append(arrays["chest_EDA"])
    assert all(len(s) == 1 for s in groups.values())
    train = np.concatenate(pooled["train"])
    assert train.mean() == pytest.approx(0.0, abs=1e-3) and train.std() == pytest.approx(1.0, abs=1e-3)
    assert abs(np.concatenate(pooled["test"]).mean()) > 1e-3, "test was not centred on itself"
    told = json.loads((release.path / "statistics.json").read_text())
    assert told["samples"] == len(pooled["train"])
    page = (folder / "data/runs/tiny/report.html").read_text()
    assert "windows-1" in page and "population-1" in page and "chest_ECG" in page


def test_published_boxes_are_used_and_told(tmp_path: Path, tiny_params: Any, project: Project) -> None:
    folder = project(tmp_path / "p", real_only(tiny_params, "expw"))
    ingest(folder, "tiny")
    stages(folder, "plan", "prepare")
    rows = rows_of(folder)
    assert len(rows) > 10 and all(r["signals"][0]["shape"] == [48, 48] for r in rows)
    for row in rows:
        extra = dict(row["extra"])
        given, used = ([float(v) for v in extra[k].split(",")] for k in ("face_box", "prepared_box"))
        assert used == pytest.approx(given, abs=0.06)
    before = rows_of(folder, "prepared/before")
    assert len(before) == 3 and all(dict(r["extra"])["face_box"] for r in before)


def test_too_many_refused_pictures_stop_the_stage_with_a_hint(
    tmp_path: Path, tiny_params: Any, project: Project
) -> None:
    params = real_only(tiny_params, "fer2013", subjects=0)
    params["runs"]["tiny"]["prepare"] = {"face": {"find": {"by": "corpus"}}}
    folder = project(tmp_path / "p", params)
    ingest(folder, "tiny")
    with pytest.raises(
        CorpusError, match=r"refused (\d+) of \1 samples of 'tiny' \(no-face \1\).*find\.by: none"
    ) as caught:
        stages(folder, "plan", "prepare")
    assert not (folder / "data/runs/tiny/prepared").exists()
    left = folder / ".emoforge/rejects/prepare@tiny.csv"
    assert f"are listed in {left}." in str(caught.value)
    rows = list(csv.DictReader(left.open(encoding="utf-8", newline="")))
    assert rows and {row["reason"] for row in rows} == {"no-face"}
    assert any(f"First: {row['path']} (no-face" in str(caught.value) for row in rows)


def test_samples_that_cannot_be_encoded_are_told_with_the_reason(
    tmp_path: Path, tiny_params: Any, project: Project
) -> None:
    params = tiny_params("speech")
    params["runs"]["tiny"]["representation"]["max_s"] = 0.3
    folder = project(tmp_path / "p", params)
    ingest(folder, "tiny")
    with pytest.raises(CorpusError, match=r"none of the \d+ train samples .* as \S+: too-long \d+; first: "):
        stages(folder, "plan", "prepare")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gates": {"copies": {}}}, "without a `generator` there are none"),
        ({"representation": {"name": "pixels"}}, "`generator` is not"),
        ({"generator": {"name": "cvae"}}, "`representation` is not"),
        ({"prepare": {"face": {"croop": {}}}}, "croop.*Did you mean 'crop'"),
        (
            {
                "prepare": {"face": {"size": {"px": 64}}},
                "representation": {"name": "pixels", "size": 32},
                "generator": {"name": "cvae"},
            },
            "px is 64, the representation's 32",
        ),
        (
            {
                "prepare": {"face": {"colour": {"mode": "rgb"}}},
                "representation": {"name": "pixels", "size": 32},
                "generator": {"name": "cvae"},
            },
            "takes grey",
        ),
        ({"representation": {"name": "world"}, "generator": {"name": "cvae"}}, "'world' is for speech.*are face"),
    ],
)
def test_what_does_not_fit_is_named_at_plan(
    change: dict[str, Any], message: str, tmp_path: Path, tiny_params: Any, project: Project
) -> None:
    params = real_only(tiny_params, "fer2013", subjects=0)
    params["runs"]["tiny"] |= change
    folder = project(tmp_path / "p", params)
    (folder / "data/corpora/tiny").mkdir(parents=True)
    (folder / "data/corpora/tiny/manifest.json").write_text('{"content_hash": "00"}')
    (folder / "data/corpora/tiny/card.json").write_text('{"card": {"modality": "face"}}')
    with pytest.raises(ParamsError, match=message):
        stages(folder, "plan")


def test_the_plan_holds_the_steps_of_its_modality_alone(tmp_path: Path, tiny_params: Any, project: Project) -> None:
    folder = project(tmp_path / "p", tiny_params("faces"))
    ingest(folder, "tiny")
    stages(folder, "plan")
    before = (folder / "data/runs/tiny/plan/prepare.json").read_bytes()
    plan = json.loads(before)
    assert plan["params"]["steps"]["size"] == {"px": 32}, "the representation's"
    assert "features.faces.prepare" in plan["code"] and "features.speech.prepare" not in plan["code"]
    params = tiny_params("faces")
    params["runs"]["tiny"]["prepare"] = {"speech": {"loudness": {}}}
    project(folder, params)
    stages(folder, "plan")
    assert (folder / "data/runs/tiny/plan/prepare.json").read_bytes() == before

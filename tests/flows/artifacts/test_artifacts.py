"""Artifacts: what is written is read back, typed; a file that is damaged is named, with the key."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpora.errors import IntegrityError
from corpora.schema import REJECTS, SCORES, SPLITS, Sample
from corpora.store.atomic import write_json
from corpora.store.release import describe_files
from corpora.store.shards import write_shards, write_table
from flows.artifacts.augmented import ACCEPTED, Augmented, Balance, Chosen, RoundTally
from flows.artifacts.base import Described
from flows.artifacts.evaluated import ClassConditions, Evaluated, uplift_of
from flows.artifacts.fitted import FitSummary, Fitted
from flows.artifacts.prepared import Prepared, Summary
from flows.artifacts.released import ClassCount, Manifest, Released
from flows.params import Target
from flows.records import ARRAYS
from tests.flows.typed import SUMMARY, tally, verdict
from validators.trials.selftest import Outcome, SelfTest

COUNTS = {split: {"fear": 1, "anger": 1} for split in ("train", "dev", "test")}
CORPUS = {
    "reader": "r",
    "counts": COUNTS,
    "samples": 6,
    "prepared": 6,
    "rejected": {},
    "rejected_of_class": {},
    "unlabelled": 0,
    "noted": {},
}
FINDING = {
    "kind": "near",
    "action": "drop",
    "splits": ["train"],
    "counts": {"keys": 1},
    "members": {"k": {"train": []}},
}
WHOLE = SUMMARY | {
    "counts": COUNTS,
    "audit": [FINDING],
    "by_corpus": {"a": CORPUS},
    "leaks": {"train": {"of": 3, "dropped": {"near": 1}}},
    "prepared": {"version": "speech-3", "steps": [{"step": "trim-1", "params": {"below_db": 35.0}}]},
}
INTERVAL = {"value": 0.1, "low": None, "high": None}
SCORE = {"f1": 0.5, "low": None, "high": None, "recall": None, "n": 3}
ARM = {"arm": "real", "uar": 0.5, "low": None, "high": None, "per_class": {"fear": SCORE}, "n_train": 3}
UPLIFT = {
    "classifier": "SVM",
    "classes": ["fear"],
    "n_train": 3,
    "n_synthetic": 1,
    "synthetic_weight": None,
    "n_test": 2,
    "test_groups": 1,
    "arms": [ARM],
    "difference": INTERVAL,
    "against_weighted": INTERVAL,
    "outcome": "undecided",
}
CONDITIONS = ClassConditions(
    recall_synthetic=0.5, low=0.1, high=0.9, n=4, recall_real=None, n_real=0, cannot_be_judged=""
)
MANIFEST = Manifest(
    name="r",
    modality="text",
    rate_hz=None,
    classes=("fear",),
    corpora=({"id": "a", "card": {}},),
    view="group",
    scheme="corpus",
    counts={"train": {"fear": ClassCount(real=1, synthetic=2)}},
    licenses=("CC0-1.0",),
    publishable=True,
    reasons=(),
    restrictions=(),
    notes=(),
    leaks={},
    cannot_be_judged={},
)


def samples(split: str) -> Iterator[Sample]:
    for i, emotion in enumerate(("fear", "anger")):
        payload = f"{split}{i}".encode()
        yield Sample(f"a/{split}{i}", "a", "text", payload, "txt", "CC0-1.0", f"{split}{i}", emotion=emotion)


def balance() -> Balance:
    return Balance(
        within="run",
        target=Target(),
        classes=(tally("fear", True, gates={"x": {"refused": 1, "alone": 0, "draws_per_accepted": None}}),),
        cells=({**dict(tally("fear", False)), "corpus": None, "subject": "a:1"},),  # type: ignore[arg-type]
        rounds=(RoundTally(round=1, emotion="fear", candidates=4, accepted=2, subject="a:1"),),
        chosen=Chosen(by="diverse", cells_with_a_choice=1, spread="coverage", embedding="e"),
        limits={"x": {"fear": None}},
        undecided={"x": {"fear": "why"}},
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folders of a run, as its stages write them."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    tables = [write_shards(samples(s), folder, 1, f"shards/{s}-real") for s in COUNTS]
    index = pa.concat_tables(tables)
    write_table(folder / "index.parquet", index)
    write_table(folder / "coded.parquet", write_shards(samples("train"), folder, 1, "coded/train-coded"))
    ids = index["sample_id"].to_pylist()
    splits = {"view": ["group"] * 6, "sample_id": ids, "split": [i[2:-1] for i in ids]}
    write_table(folder / "splits.parquet", pa.table(splits, schema=SPLITS))
    write_table(folder / "rejects.parquet", REJECTS.empty_table())
    write_table(folder / "arrays.parquet", pa.table({"sample_id": ["a/train1"], "row": [0]}, schema=ARRAYS))
    np.save(folder / "arrays.npy", np.ones((1, 2), np.float32))
    write_json(folder / "summary.json", WHOLE)
    with Fitted.written(tmp_path / "fit") as fit:
        fit.write(
            FitSummary(generator="g", params={"w": 1}, steps=2, steps_done=2, trains=True), [{"step": 1, "x": 0.5}]
        )
    with Augmented.written(tmp_path / "augmented") as out:
        out.write_samples(samples("train"), 1)
        out.write_tables(SCORES.empty_table(), ACCEPTED.empty_table())
        out.write_reference({"x": {"fear": [1.0, None]}})
        out.write_balance(balance())
    with Evaluated.written(tmp_path / "evaluation") as judged:
        judged.write_verdicts([verdict("kid", "pass")])
        judged.write_conditions({"fear": CONDITIONS})
        judged.write_trials(SelfTest((Outcome("d", 3, True, ("x",), (), 0.9),)), uplift_of(UPLIFT))
    with Released.written(tmp_path / "release") as release:
        release.link_shards([folder / "shards", tmp_path / "augmented" / "shards"])
        release.copy([out.path.parent / "augmented" / "scores.parquet", None])
        release.write_settings({"run": {}}, Described(version="v", steps=()))
        release.write_audit([], 0)
        release.seal(MANIFEST, describe_files(release.path, [p.name for p in release.path.iterdir() if p.is_file()]))
    return tmp_path


def test_what_stages_write_is_read_back(run: Path) -> None:
    prepared = Prepared.open(run / "prepared")
    assert prepared.summary() == Summary.model_validate(WHOLE) and prepared.summary().to_json() == json.loads(
        json.dumps(WHOLE)
    )
    assert prepared.is_coded and prepared.has_arrays and prepared.statistics is None
    assert prepared.encoded_ids() == ["a/train1"] and prepared.arrays().shape == (1, 2)
    assert sorted(prepared.of_split("dev")["sample_id"].to_pylist()) == ["a/dev0", "a/dev1"]
    assert sorted(prepared.seen_by_gates()) == ["a/train0", "a/train1"] and prepared.reference("dev").num_rows == 0
    assert len(prepared.payload_hashes()) == 6 and prepared.rejects().num_rows == 0
    augmented = Augmented.open(run / "augmented")
    assert augmented.balance() == balance() and augmented.reference() == {"x": {"fear": [1.0, None]}}
    assert augmented.index().num_rows == 2 and augmented.rejected() is None and augmented.accepted().num_rows == 0
    evaluated = Evaluated.open(run / "evaluation")
    assert evaluated.verdicts() == [verdict("kid", "pass")] and evaluated.conditions() == {"fear": CONDITIONS}
    uplift, selftest = evaluated.uplift(), evaluated.selftest()
    assert uplift is not None and uplift.to_json() == UPLIFT
    assert selftest is not None and selftest.outcomes[0].by == ("x",)
    manifest = Released.open(run / "release").manifest()
    assert manifest.counts == MANIFEST.counts and "audit.json" in manifest.files and manifest.has_synthetic
    assert Fitted.open(run / "fit").summary().steps_done == 2
    assert (run / "fit" / "loss.csv").read_text() == "step,x\n1,0.5\n"


READERS: dict[str, Any] = {
    "prepared/summary.json": lambda run: Prepared.open(run / "prepared").summary(),
    "fit/fit.json": lambda run: Fitted.open(run / "fit").summary(),
    "augmented/balance.json": lambda run: Augmented.open(run / "augmented").balance(),
    "augmented/reference.json": lambda run: Augmented.open(run / "augmented").reference(),
    "evaluation/conditions.json": lambda run: Evaluated.open(run / "evaluation").conditions(),
    "evaluation/uplift.json": lambda run: Evaluated.open(run / "evaluation").uplift(),
    "evaluation/selftest.json": lambda run: Evaluated.open(run / "evaluation").selftest(),
    "release/manifest.json": lambda run: Released.open(run / "release").manifest(),
}
BY_NAME = ("augmented/reference.json", "evaluation/conditions.json")  # class or gate -> ...
MAY_LACK = {"fit/fit.json": {"params"}, "evaluation/selftest.json": {"why_not", "left_out"}}
DEEP: dict[str, list[tuple[str | int, ...]]] = {
    "prepared/summary.json": [
        *(("by_corpus", "a", key) for key in CORPUS),
        *(("audit", 0, key) for key in FINDING),
        *(("prepared", "steps", 0, key) for key in ("step", "params")),
        ("prepared", "version"),
        ("leaks", "train", "of"),
        ("leaks", "train", "dropped"),
    ],
    "augmented/balance.json": [
        *(("classes", 0, key) for key in dict(tally("fear", True))),
        *(("cells", 0, key) for key in ("corpus", "subject", "target")),
        *(("rounds", 0, key) for key in ("round", "class", "candidates", "accepted")),
        *(("classes", 0, "gates", "x", key) for key in ("refused", "alone", "draws_per_accepted")),
    ],
    "evaluation/conditions.json": [("fear", key) for key in dict(CONDITIONS)],
    "evaluation/uplift.json": [
        *(("arms", 0, key) for key in ARM),
        *(("arms", 0, "per_class", "fear", key) for key in SCORE),
        *(("difference", key) for key in INTERVAL),
    ],
    "evaluation/selftest.json": [
        ("outcomes", 0, key) for key in ("defect", "n", "caught", "by", "undecided", "rejected")
    ],
    "release/manifest.json": [("counts", "train", "fear", key) for key in ("real", "synthetic")],
}


@pytest.mark.parametrize("name", [name for name in READERS if name != "augmented/reference.json"])
def test_each_key_that_is_missing_is_named(name: str, run: Path) -> None:
    path, read = run / name, READERS[name]
    whole = json.loads(path.read_text())
    lost: list[tuple[str | int, ...]] = [(k,) for k in whole if name not in BY_NAME and k not in MAY_LACK.get(name, ())]
    lost += DEEP.get(name, [])
    assert lost
    for place in lost:
        damaged = copy.deepcopy(whole)
        inner: Any = damaged
        for key in place[:-1]:
            inner = inner[key]
        del inner[place[-1]]
        write_json(path, damaged)
        with pytest.raises(IntegrityError, match=rf"{path.name} .*{place[-1]} is missing"):
            read(run)
    write_json(path, whole if name in BY_NAME else whole | {"of another version": 1})
    read(run)


@pytest.mark.parametrize("name", list(READERS))
def test_a_file_of_another_kind_is_named(name: str, run: Path) -> None:
    path, read = run / name, READERS[name]
    whole = path.read_text()
    first = next(iter(json.loads(whole)))
    write_json(path, json.loads(whole) | {first: {"x": [[]]}})
    with pytest.raises(IntegrityError, match=rf"{path.name}.*{first}"):
        read(run)
    for text in ("[]", "{", whole[: len(whole) // 2], "\udcff"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(IntegrityError, match=path.name):
            read(run)
    path.unlink()
    if path.name in ("selftest.json", "uplift.json"):
        assert read(run) is None, "nothing synthetic"
    else:
        with pytest.raises(IntegrityError, match=path.name):
            read(run)


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("prepared/index.parquet", lambda run: Prepared.open(run / "prepared").index()),
        ("prepared/coded.parquet", lambda run: Prepared.open(run / "prepared").reference("train")),
        ("prepared/splits.parquet", lambda run: Prepared.open(run / "prepared").split_of()),
        ("prepared/rejects.parquet", lambda run: Prepared.open(run / "prepared").rejects()),
        ("prepared/arrays.parquet", lambda run: Prepared.open(run / "prepared").encoded_ids()),
        ("prepared/arrays.npy", lambda run: Prepared.open(run / "prepared").arrays()),
        ("augmented/index.parquet", lambda run: Augmented.open(run / "augmented").index()),
        ("augmented/scores.parquet", lambda run: Augmented.open(run / "augmented").scores()),
        ("augmented/accepted.parquet", lambda run: Augmented.open(run / "augmented").accepted()),
        ("evaluation/verdicts.parquet", lambda run: Evaluated.open(run / "evaluation").verdicts()),
    ],
)
def test_a_damaged_table_is_named(file: str, read: Any, run: Path) -> None:
    read(run)
    (run / file).write_bytes(b"PAR1 and nothing of it")
    with pytest.raises(IntegrityError, match=Path(file).name):
        read(run)


def test_a_folder_that_is_not_there_and_one_that_is_not_finished(tmp_path: Path) -> None:
    for kind in (Prepared, Augmented, Evaluated, Released, Fitted):
        with pytest.raises(IntegrityError, match="the stage that writes it did not end"):
            kind.open(tmp_path / "none")
    with pytest.raises(RuntimeError), Augmented.written(tmp_path / "augmented") as out:
        out.write_balance(balance())
        raise RuntimeError("killed")
    assert not (tmp_path / "augmented").exists()


def test_a_number_that_is_none_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Augmented(tmp_path).write_reference({"x": {"fear": [math.nan]}})
    with pytest.raises(ValueError, match="finite"):
        ClassConditions(recall_synthetic=math.nan, low=0, high=1, n=1, recall_real=None, n_real=0, cannot_be_judged="")


def test_a_run_of_real_samples_has_no_choice_and_no_owner() -> None:
    assert Chosen().to_json() == {}
    assert RoundTally(round=1, emotion="a", candidates=1, accepted=0).to_json() == {
        "round": 1,
        "class": "a",
        "candidates": 1,
        "accepted": 0,
    }
    assert FitSummary(generator=None, steps=0, steps_done=0, trains=False).to_json() == {
        "generator": None,
        "steps": 0,
        "steps_done": 0,
        "trains": False,
    }

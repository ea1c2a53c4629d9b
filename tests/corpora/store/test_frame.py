"""A release as a pandas frame."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import emoforge
from corpora.errors import IntegrityError, UnknownNameError
from corpora.schema import SAMPLES, SCORES, SPLITS, Sample
from corpora.store.atomic import write_json
from corpora.store.release import MANIFEST, describe_files, sealed
from corpora.store.shards import write_shards, write_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    def sample(name: str, emotion: str, **fields: object) -> Sample:
        return Sample(name, "c", "speech", name.encode(), "wav", "CC0-1.0", "c:1", emotion=emotion, **fields)  # type: ignore[arg-type]

    real = [
        sample("c/1", "anger", turn=3, age=21.0, subject_id="c:a", extra={"path": "a.wav"}),
        sample("c/2", "joy", subject_id="c:b", valence=-0.5),
        sample("c/3", "anger"),
    ]
    made = [
        sample(f"syn/g/{i}", "anger", generator_id="g", seed=2**62 + i, sources={"from": "c/1"}, intensity=1.0)
        for i in range(2)
    ]
    index = write_shards([*real, *made], tmp_path, 1, "shards/x")
    write_table(tmp_path / "index.parquet", index)
    ids, names = [s.sample_id for s in (*real, *made)], ["train", "dev", "test", "train", "train"]
    both = {"view": ["group"] * 5, "sample_id": ids, "split": names}
    write_table(tmp_path / "splits.parquet", pa.table(both, schema=SPLITS))
    scores = [
        {"sample_id": "syn/g/0", "emotion": "anger", "round": n, "gate": gate, "value": value, "passed": True}
        for n, gate, value in ((2, "copies", 0.25), (1, "copies", 9.0), (1, "agreement", math.nan))
    ]
    scores.append({**scores[0], "sample_id": "syn/g/refused"})
    write_table(tmp_path / "scores.parquet", pa.Table.from_pylist(scores, schema=SCORES))
    seal(tmp_path)
    return tmp_path


def seal(folder: Path) -> None:
    paths = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST]
    write_json(folder / MANIFEST, sealed({"files": describe_files(folder, paths)}))


def test_a_frame_of_all_rows(folder: Path) -> None:
    release = emoforge.open_release(folder)
    frame = release.to_pandas()
    assert list(frame.columns) == ["split", "synthetic", *[name for name in SAMPLES.names if name != "sample_id"]]
    assert list(frame.index) == release.index["sample_id"].to_pylist() and frame.index.name == "sample_id"
    assert frame["synthetic"].dtype == bool and frame["synthetic"].sum() == 2
    assert list(frame["split"].cat.categories) == ["train", "dev", "test"] and frame["split"].cat.ordered
    for name in ("emotion", "corpus", "subject_id", "part", "license", "gender"):
        assert isinstance(frame[name].dtype, pd.CategoricalDtype), name
    assert (str(frame["turn"].dtype), str(frame["seed"].dtype)) == ("Int32", "Int64")
    assert frame.loc["c/1", "turn"] == 3 and frame.loc["c/2", "turn"] is pd.NA
    assert frame.loc["syn/g/1", "seed"] == 2**62 + 1, "no seed passes through a float"
    assert (frame["valence"].dtype, frame["offset"].dtype) == (np.float32, np.int64)
    assert frame.loc["c/2", "valence"] == -0.5 and math.isnan(frame.loc["c/1", "valence"])
    assert frame.loc["c/1", "extra"] == {"path": "a.wav"} and frame.loc["c/2", "extra"] == {}
    assert frame.loc["syn/g/0", "sources"] == [{"role": "from", "id": "c/1"}] and frame.loc["c/1", "sources"] is None
    assert frame.groupby(["split", "synthetic"], observed=True).size().to_dict() == {
        ("train", False): 1,
        ("train", True): 2,
        ("dev", False): 1,
        ("test", False): 1,
    }


def test_a_split_and_its_scores(folder: Path) -> None:
    frame = emoforge.open_release(folder).to_pandas("train", scores=True)
    assert sorted(frame.index) == ["c/1", "syn/g/0", "syn/g/1"]
    assert list(frame.columns[-2:]) == ["score.agreement", "score.copies"]
    assert frame.loc["syn/g/0", "score.copies"] == 0.25, "of the last round"
    assert frame["score.agreement"].isna().all() and frame["score.copies"].isna().sum() == 2
    with pytest.raises(UnknownNameError, match="train"):
        emoforge.open_release(folder).to_pandas("trian")
    with pytest.raises(UnknownNameError, match="group"):
        emoforge.open_release(folder).to_pandas(view="official")


def test_scores_that_were_changed_are_found(folder: Path) -> None:
    (folder / "scores.parquet").write_bytes(b"x")
    with pytest.raises(IntegrityError, match=r"scores\.parquet"):
        emoforge.open_release(folder).to_pandas(scores=True)
    (folder / "scores.parquet").unlink()
    seal(folder)
    assert "score.copies" not in emoforge.open_release(folder).to_pandas(scores=True)

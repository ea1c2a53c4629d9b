"""Classical augmentation as a generator: from fake corpora to releases of edited payloads and of rows of features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.codecs import decode_wav
from corpora.errors import ParamsError
from corpora.signals import decode_signals
from corpora.store.release import open_release
from flows.artifacts.augmented import Augmented
from flows.artifacts.prepared import Prepared
from flows.stages.run import run_stage
from tests.flows.made_of import LENIENT, ingested, released

pytestmark = pytest.mark.timeout(120)
TARGET = {"target": {"policy": "majority"}}


def augmentation(*methods: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "augmentation", "params": {"methods": list(methods), **more}}


def rows_of(release: Path, synthetic: bool) -> list[dict[str, Any]]:
    return list(open_release(release).samples("train", synthetic=synthetic))


def test_noisy_speech_is_released_with_the_ratings_and_people_of_its_sources(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    # validity as a run has it; noise is what mcd and variance are there to refuse
    strict = LENIENT | {"validity": {}, "mcd": {"enabled": False}, "variance": {"enabled": False}}
    run = {"representation": {"name": "audio"}, "gates": strict, **TARGET}
    run["generator"] = augmentation({"method": "noise", "params": {"snr_db": [5, 8]}}, {"method": "pitch"})
    folder = ingested(
        tmp_path / "p", "speech", {"noisy": run, "wrong": run | {"generator": augmentation({"method": "flip"})}}
    )
    release = released(folder, "noisy")
    real, made = ({r["sample_id"]: r for r in rows_of(release, kind)} for kind in (False, True))
    assert made and {r["emotion"] for r in made.values()} == {"neutral"}, "the class that lacked some"
    for row in made.values():
        source = real[row["source_ids"][0]]
        assert source["emotion"] == row["emotion"] and source["subject_id"] == row["subject_id"]
        assert row["intensity"] == source["intensity"] and row["duration_s"] == source["duration_s"]
        (new, rate), (old, _) = decode_wav(row["payload"]), decode_wav(source["payload"])
        assert new.shape == old.shape and rate == 16000 and not np.array_equal(new, old)
    with pytest.raises(ParamsError, match=r"'flip' changes face, and audio are speech. Methods of speech: noise"):
        run_stage("plan", "wrong", repo=folder)


def test_smote_rows_of_band_powers_are_released(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    run = {"representation": {"name": "bands"}, "generator": {"name": "resampling"}, **TARGET}
    weighted = run | {"target": {"policy": "majority", "by": "weight"}}
    adasyn = weighted | {"generator": {"name": "resampling", "params": {"method": "adasyn"}}}
    one_rate = {"physio": {"resample": {"all_hz": 32}}}
    signals = run | {"representation": {"name": "signals"}, "prepare": one_rate}
    folder = ingested(tmp_path / "p", "physio", {"smote": run, "adasyn": adasyn, "signals": signals})
    release = released(folder, "smote")
    real, made = rows_of(release, False), rows_of(release, True)
    assert made and {r["emotion"] for r in made} == {"stress"}
    prepared = Prepared.open(folder / "data/runs/smote/prepared")
    stress = {r["sample_id"] for r in real if r["emotion"] == "stress"}
    own = prepared.arrays()[[i in stress for i in prepared.encoded_ids()]]
    for row in made:
        (source,) = row["source_ids"]
        assert next(r for r in real if r["sample_id"] == source)["emotion"] == "stress"
        assert row["intensity"] is None, "a row between two is of no known intensity"
        x = decode_signals(row["payload"])["features"]
        assert (x >= own.min(axis=0) - 1e-3).all() and (x <= own.max(axis=0) + 1e-3).all()
    for verb in ("plan", "prepare", "fit", "augment"):
        run_stage(verb, "adasyn", repo=folder)
    drawn = Augmented.open(folder / "data/runs/adasyn/augmented").index().to_pylist()
    used = [row["source_ids"][0] for row in drawn]
    assert len(used) == len(set(used)), "each row that ADASYN starts from, once"
    with pytest.raises(ParamsError, match="generator resampling models layouts vector; representation signals"):
        run_stage("plan", "signals", repo=folder)


def test_edited_texts_are_released(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("EMOFORGE_ACTORS", "0")
    run = {"representation": {"name": "texts"}, **TARGET}
    run["generator"] = augmentation({"method": "eda", "params": {"alpha": 0.3}})
    mixed = run | {"ask": {"mixtures": [{"of": {"happiness": 0.5, "anger": 0.5}, "number": 2}]}}
    other = run | {"generator": {"name": "transfer"}}
    folder = ingested(tmp_path / "p", "text", {"eda": run, "mixed": mixed, "other": other})
    release = released(folder, "eda")
    texts = {r["sample_id"]: r["payload"] for r in rows_of(release, False)}
    made = rows_of(release, True)
    assert made and all(r["payload"] not in texts.values() for r in made)
    assert all(set(r["payload"].lower().split()) & set(texts[r["source_ids"][0]].lower().split()) for r in made)
    with pytest.raises(ParamsError, match="draws no mixtures"):
        run_stage("plan", "mixed", repo=folder)
    with pytest.raises(ParamsError, match=r"transfer models layouts .*; representation texts has layout payload"):
        run_stage("plan", "other", repo=folder)

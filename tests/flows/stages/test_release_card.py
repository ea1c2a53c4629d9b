"""What a release's card says of reading it is run as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import encode_png, encode_wav
from corpora.schema import Sample
from corpora.store.shards import write_shards
from flows.stages.release import streaming

PAYLOADS = {
    "wav": [encode_wav(np.full(800, i / 10, np.float32), 16_000) for i in range(6)],
    "png": [encode_png(np.full((8, 8), i, np.uint8)) for i in range(6)],
}
MODALITY = {"wav": "speech", "png": "face"}


@pytest.mark.parametrize("ending", PAYLOADS)
def test_datasets_streams_the_shards_by_the_lines_of_the_card(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("datasets")
    monkeypatch.setitem(sys.modules, "torchcodec", None)  # as where it is not installed
    monkeypatch.setitem(sys.modules, "torchcodec.encoders", None)
    for split, own in (("train-real", 0), ("dev-real", 4), ("test-real", 5), ("train-synthetic", 2)):
        samples = [
            Sample(
                sample_id=f"c/{i}",
                corpus="c",
                modality=MODALITY[ending],
                payload=PAYLOADS[ending][i],
                codec=ending,
                license="CC0-1.0",
                group_id=f"c:{i}",
                emotion="fear",
                generator_id="g" if split == "train-synthetic" else None,
            )
            for i in ((own, own + 1) if split.startswith("train") else (own,))
        ]
        write_shards(samples, tmp_path, 1, f"shards/{split}")
    (code,) = re.findall(r"```python\n(.*?)```", "\n".join(streaming(ending, ["train", "dev", "test"])), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    rows = list(names["data"])  # type: ignore[call-overload]
    assert sorted(row[ending]["bytes"] for row in rows) == sorted(PAYLOADS[ending][:4])
    assert {row["json"]["sample_id"]: row["json"]["synthetic"] for row in rows} == {
        "c/0": False,
        "c/1": False,
        "c/2": True,
        "c/3": True,
    }


@pytest.mark.parametrize("ending", ["txt", "npz"])
def test_a_card_says_nothing_that_was_not_run(ending: str) -> None:
    assert streaming(ending, ["train"]) == []

"""Who is heard or seen in pairs, and how near synthetic faces are to real ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from corpora.codecs import encode_wav
from corpora.errors import UserError
from emoforge.cli import app
from tests.validators.gates.test_identity import RATE, people, voice
from validators.embeddings.people import fit_identity
from validators.measures.registry import measure


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = tmp_path_factory.mktemp("people")
    fit_identity(people(range(3), 3, 0)).save(made)
    return str(made)


def test_the_same_voice_is_more_alike(folder: str) -> None:
    real = [(voice(p, 0, 500 + p), RATE) for p in range(3)]
    same = measure("speaker-similarity", real, [(voice(p, 2, 600 + p), RATE) for p in range(3)], embedding=folder)
    other = measure("speaker-similarity", real, real[1:] + real[:1], embedding=folder)
    assert same.value > other.value + 0.5 and "identity-speech/" in same.convention
    assert measure("speaker-similarity", real, real, embedding=folder).value == pytest.approx(1.0)


def test_bad_pairs(folder: str, tmp_path: Path) -> None:
    good = (voice(0, 0, 1), RATE)
    found = measure("speaker-similarity", [good] * 2, [good, (np.zeros(4000, np.float32), RATE)], embedding=folder)
    assert found.value == pytest.approx(1.0) and found.details["left out"] == {"nobody to recognise": 1}
    with pytest.raises(UserError, match="name the embedding"):
        measure("speaker-similarity", [good], [good])
    with pytest.raises(UserError, match="resample"):
        measure("speaker-similarity", [good], [(good[0], 8000)], embedding=folder)
    with pytest.raises(UserError, match="is needed"):
        measure("speaker-similarity", [good], [good], embedding=str(tmp_path / "gone"))
    with pytest.raises(UserError, match="knows speech"):
        measure(
            "identity-similarity", [np.eye(24, dtype=np.uint8) * 9], [np.eye(24, dtype=np.uint8) * 9], embedding=folder
        )


def test_on_the_command_line(folder: str, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / f"{name}.wav").write_bytes(encode_wav(voice(1, 0, seed), RATE))
    done = CliRunner().invoke(
        app,
        [
            "measure",
            "speaker-similarity",
            str(tmp_path / "a.wav"),
            str(tmp_path / "b.wav"),
            "--embedding",
            folder,
            "--json",
        ],
    )
    assert json.loads(done.stdout)["value"] > 0.3


def test_faces_like_others_score_one_and_far_ones_more() -> None:
    rng = np.random.default_rng(0)
    real, like = rng.normal(size=(200, 8)), rng.normal(size=(150, 8))
    found = measure("face-likeness", real, like)
    assert found.value == pytest.approx(1.0, abs=0.1) and found.low < found.value < found.high
    assert found.floor == pytest.approx(1.0, abs=0.1) and found.details["farther than 95 % of real"] < 0.2
    values = [measure("face-likeness", real, like + shift).value for shift in (0.0, 1.0, 3.0)]
    assert values == sorted(values) and values[2] > 2.5
    scaled = measure("face-likeness", 10 * real, 10 * like)
    assert scaled.value == pytest.approx(found.value)


def test_faces_without_a_number() -> None:
    rng = np.random.default_rng(1)
    real = rng.normal(size=(20, 3))
    for x, y, why in (
        (real[:7], real, "too few"),
        (np.full((20, 3), np.nan), real, "NaN"),
        (np.zeros((20, 3)), real, "equals"),
        (real, real[:0], "too few"),
    ):
        found = measure("face-likeness", x, y)
        assert math.isnan(found.value) and why in found.reason
    one = measure("face-likeness", real, real[:1])
    assert math.isfinite(one.value) and math.isnan(one.low)
    with pytest.raises(UserError, match="k is 0"):
        measure("face-likeness", real, real, k=0)

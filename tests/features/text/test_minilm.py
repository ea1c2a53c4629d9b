"""Sentences as points: the tiny encoder of a package against the one from a path, and the genuine one where it is."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import encode_text
from corpora.errors import PayloadError, UserError
from corpora.schema import Payload
from features.pretrained.packages import ENCODERS, packaged
from features.representation import make_representation
from features.text.minilm import minilm
from tests.features.pretrained.carried import carry, tiny_minilm
from validators.embeddings.encoders import load_encoder

TEXTS = ["so happy!", "sad", "the dog ran", "", "so happy " * 20 + "sad", "sadness!", "the dog"]


def texts(*given: str) -> list[Payload]:
    return [Payload(encode_text(text), "txt") for text in given]


def test_it_is_the_encoder_that_its_files_describe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tiny_minilm()
    carry(tmp_path / "site", "minilm", archive, monkeypatch)
    points = minilm().encode(TEXTS)
    assert points.shape == (len(TEXTS), 384) and points.dtype == np.float32 and not points[3].any()
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path / "unpacked")
    oracle = load_encoder(tmp_path / "unpacked", reads="text").encode(TEXTS)
    some = np.isfinite(oracle).all(axis=1)
    assert some.sum() == len(TEXTS) - 1 and np.linalg.norm(points[some], axis=1) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(points[some], oracle[some], atol=2e-6)
    alone = np.concatenate([minilm().encode([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, points, atol=2e-6)
    assert minilm().encode([]).shape == (0, 384)


def test_other_weights_are_another_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path, "minilm", tiny_minilm(0), monkeypatch)
    first = minilm()
    carry(tmp_path, "minilm", tiny_minilm(1), monkeypatch)
    second = minilm()
    assert first.title != second.title and not np.allclose(first.encode(TEXTS[:1]), second.encode(TEXTS[:1]))


@pytest.mark.parametrize("damage", ["no zip", "no weights", "half the weights"])
def test_a_damaged_package_is_said(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tiny_minilm() if damage != "half the weights" else tiny_minilm(num_hidden_layers=2)
    if damage == "no zip":
        archive = b"PK but no zip"
    else:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
            for name in old.namelist():
                if damage == "no weights" and name == "model.safetensors":
                    continue
                data = zipfile.ZipFile(io.BytesIO(tiny_minilm())).read(name) if name.endswith("tensors") else None
                new.writestr(name, old.read(name) if data is None else data)
        archive = out.getvalue()
    carry(tmp_path, "minilm", archive, monkeypatch)
    with pytest.raises(UserError, match="install it again"):
        minilm()


def test_representation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = make_representation("minilm", {})
    assert features.spec.shape == (384,) and features.encoders == ("minilm",)  # type: ignore[attr-defined]
    carry(tmp_path, "minilm", tiny_minilm(), monkeypatch)
    happy, blank = texts("so happy!", "\u200d")
    np.testing.assert_array_equal(features.encode(happy), minilm().encode(["so happy!"])[0])
    for payload, slug in ((blank, "no-words"), (Payload(b"", "wav"), "wrong-codec")):
        with pytest.raises(PayloadError) as caught:
            features.encode(payload)
        assert caught.value.reason == slug
    monkeypatch.setitem(ENCODERS, "minilm", replace(ENCODERS["minilm"], distribution="no-such-package"))
    with pytest.raises(UserError, match=r"minilm needs the package .*emoforge\[pretrained\]"):
        features.encode(happy)


def test_the_published_one_knows_what_is_alike(tmp_path: Path) -> None:
    try:
        packaged("minilm").require()
    except UserError as absent:
        pytest.skip(str(absent))
    said = ["I am so happy today!", "This makes me very glad.", "The train leaves at nine.", "  "]
    points = minilm().encode(said)
    likeness = points @ points.T
    assert likeness[0, 1] > 0.3 > 0.15 > likeness[0, 2] and not points[3].any()
    with zipfile.ZipFile(packaged("minilm").paths()[0]) as archive:
        archive.extractall(tmp_path)
    np.testing.assert_allclose(points[:3], load_encoder(tmp_path, reads="text").encode(said[:3]), atol=2e-6)

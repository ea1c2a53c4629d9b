"""dlib's network of faces: a stand-in for what runs it, its absence, and the published one where it is installed."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import encode_png
from corpora.errors import PayloadError, UserError
from corpora.schema import Payload
from features.faces.identity import face_points
from features.pretrained.packages import ENCODERS, packaged
from features.representation import make_representation
from tests.features.pretrained.carried import carry
from validators.embeddings.people import IdentityEmbedding, fit_identity


class Network:
    """In place of dlib's: the means of 128 stripes of the picture."""

    def __init__(self, path: str) -> None:
        if Path(path).read_bytes() != b"weights":
            raise RuntimeError("Unexpected version")

    def compute_face_descriptor(self, chip: np.ndarray) -> list[float]:
        assert chip.shape == (150, 150, 3) and chip.dtype == np.uint8 and (chip[:, :, 0] == chip[:, :, 2]).all()
        stripes = np.array_split(chip[:, :, 0].astype(float).ravel(), 128)
        return [float(part.mean()) / 255.0 for part in stripes]


@pytest.fixture
def _dlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("dlib")
    module.__spec__ = types.SimpleNamespace(name="dlib")  # type: ignore[assignment]
    module.face_recognition_model_v1 = Network  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dlib", module)
    carry(tmp_path / "site", "face_dlib", b"weights", monkeypatch)


@pytest.mark.usefixtures("_dlib")
def test_faces_are_brought_to_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey = np.full((2, 48, 48), 51, np.uint8)
    grey[1] = 255
    points = face_points(grey)
    assert points.shape == (2, 128) and points.dtype == np.float32
    np.testing.assert_allclose(points, [[0.2] * 128, [1.0] * 128], atol=1e-6)
    assert face_points(grey[:0]).shape == (0, 128)
    carry(tmp_path / "site", "face_dlib", b"damaged", monkeypatch)
    with pytest.raises(UserError, match="no network that dlib reads"):
        face_points(grey)


@pytest.mark.usefixtures("_dlib")
def test_an_identity_embedding_of_faces(tmp_path: Path) -> None:
    from tests.validators.conftest import made

    train = made("face", groups=range(4), per_cell=2)
    embedding = fit_identity(train, kind="statistics+face_dlib")
    assert packaged("face_dlib").title() in embedding.name
    embedding.save(tmp_path / "e")
    points = IdentityEmbedding.load(tmp_path / "e").embed(train)
    np.testing.assert_allclose(points, embedding.embed(train), atol=1e-6)
    with pytest.raises(UserError, match="looks at face, not at speech"):
        fit_identity(made("speech", groups=range(3), per_cell=1), kind="face_dlib")


def test_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "face_dlib", replace(ENCODERS["face_dlib"], distribution="no-such-package"))
    with pytest.raises(UserError, match="face_dlib needs the package no-such-package"):
        face_points(np.zeros((1, 48, 48), np.uint8))


def test_the_published_one_knows_a_face_again(shared_data: Path) -> None:
    """Moved by two pixels and made brighter, a face is nearer to itself than to others."""
    try:
        packaged("face_dlib").require()
    except UserError as absent:
        pytest.skip(str(absent))
    rows = (shared_data / "fer2013" / "fer2013.csv").read_text().splitlines()[1:5]
    assert all(row.endswith("Training") for row in rows)
    faces = np.stack([np.array(row.split(",")[1].split(), np.uint8).reshape(48, 48) for row in rows])
    moved = np.clip(np.roll(faces[:1], 2, axis=2).astype(int) + 20, 0, 255).astype(np.uint8)
    points = face_points(np.concatenate([faces, moved]))
    distances = np.linalg.norm(points[:4] - points[4], axis=1)
    assert distances.argmin() == 0 and distances[0] < 0.6


def test_a_face_is_a_payload_of_numbers(_dlib: None) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    built = make_representation("face_dlib", {})
    point = built.encode(Payload(encode_png(picture), "png"))
    assert point.shape == built.spec.shape == (128,) and built.spec.rows[127] == "face_dlib_127"
    np.testing.assert_array_equal(point, face_points(picture[None])[0])
    with pytest.raises(PayloadError, match="not-grey"):
        built.encode(Payload(encode_png(np.zeros((64, 64, 3), np.uint8)), "png"))

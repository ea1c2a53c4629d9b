from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import IntegrityError
from flows.stages.fit.model_file import read_model, seal_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "deep").mkdir()
    for name in ("model.safetensors", "config.json", "deep/more.bin"):
        (folder / name).write_bytes(name.encode() * 5)
    seal_model(folder, {"generator": "cvae", "params": {"width": 8}, "classes": ["a"]})
    return folder


def test_what_was_sealed_is_read(model: Path) -> None:
    told = read_model(model)
    assert told["generator"] == "cvae" and sorted(told["files"]) == [
        "config.json",
        "deep/more.bin",
        "model.safetensors",
    ]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_changed_byte_is_found(model: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(p for p in model.rglob("*") if p.is_file())))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    path.write_bytes(damaged)
    try:
        with pytest.raises(IntegrityError, match=path.name):
            read_model(model)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("how", ["gone", "new"])
def test_files_that_are_gone_or_new(model: Path, tmp_path: Path, how: str) -> None:
    (tmp_path / "a").write_text("a")
    seal_model(tmp_path, {})
    if how == "gone":
        (tmp_path / "a").unlink()
    else:
        (tmp_path / "b").write_text("b")
    with pytest.raises(IntegrityError, match="rm -r"):
        read_model(tmp_path)

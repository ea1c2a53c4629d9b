"""Fingerprints that are taken while samples come are those that a look at the finished shards gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import encode_png, encode_text, encode_wav
from corpora.near import prints as taking
from corpora.near.pairs import FINGERPRINTS, write_fingerprints
from corpora.near.prints import Prints
from corpora.schema import Sample
from corpora.store.shards import read_table, write_shards


def mixed() -> list[Sample]:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (48, 48)).astype(np.uint8) for _ in range(7)]
    colour = [rng.integers(0, 255, (40, 130, 3)).astype(np.uint8) for _ in range(3)]
    payloads = [*map(encode_png, noise), b"no picture", *map(encode_png, colour), encode_png(np.full_like(noise[0], 9))]
    faces = [Sample(f"c/f{i}", "c", "face", data, "png", "CC0-1.0", f"c:{i}") for i, data in enumerate(payloads)]
    text = encode_text("what is said here is said here once and never said anywhere else again")
    lines = [Sample(f"c/t{i}", "c", "text", text, "txt", "CC0-1.0", f"c:t{i}") for i in range(3)]
    waves = [encode_wav(rng.normal(0, 0.1, 24_000).astype(np.float32), 16_000) for _ in range(3)]
    voices = [Sample(f"c/v{i}", "c", "speech", data, "wav", "CC0-1.0", "c:v") for i, data in enumerate(waves)]
    # modalities in turn: a picture that waits for others must not lose its place
    return [*faces[:2], lines[0], *faces[2:6], lines[1], *voices, *faces[6:], lines[2]]


@pytest.mark.parametrize("together", [1, 3, 256])
def test_they_are_those_of_the_finished_shards(together: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "PICTURES", together)
    samples = mixed()
    index = write_shards(samples, tmp_path, 3, "x")
    write_fingerprints(tmp_path, index, tmp_path / "near.parquet")
    with Prints(tmp_path) as prints:
        for one in samples[::-1]:  # forgotten
            prints.add(one)
        prints.clear()
        for one in samples:
            prints.add(one)
        taken = prints.write(index, tmp_path / "taken.parquet")
    assert (tmp_path / "taken.parquet").read_bytes() == (tmp_path / "near.parquet").read_bytes()
    assert taken is not None and taken.equals(read_table(tmp_path / "near.parquet", FINGERPRINTS))
    assert sum(data == b"" for data in taken["data"].to_pylist()) == 2


def test_nothing_is_written_where_one_did_not_come(tmp_path: Path) -> None:
    samples = mixed()
    index = write_shards(samples, tmp_path, 3, "x")
    with Prints(tmp_path) as prints:
        for one in samples[:-1]:
            prints.add(one)
        assert prints.write(index, tmp_path / "taken.parquet") is None
        assert not (tmp_path / "taken.parquet").exists()
        prints.add(samples[-1])
        assert prints.write(index, tmp_path / "taken.parquet") is not None

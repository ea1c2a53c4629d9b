"""`emoforge export --format audformat`: a database that audformat loads, whole and with nothing of ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from corpora.errors import IntegrityError, ResourceError, UserError
from corpora.reading.audformat_folder import export_audformat
from corpora.store.release import open_release
from emoforge.cli import main
from tests.readers.readable import RATE_HZ, SPLIT, content, number_of, readable, samples


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return readable(tmp_path_factory.mktemp("speech"), "speech")


def test_audformat_loads_what_the_release_holds(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import audformat

    folder = tmp_path / "database"
    with pytest.raises(SystemExit) as done:
        main(["export", str(release), str(folder), "--format", "audformat", "--json"])
    assert done.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    db = audformat.Database.load(str(folder))
    sizes = {"emotion.train.real": 16, "emotion.train.synthetic": 10, "emotion.dev.real": 3, "emotion.test.real": 3}
    assert told["tables"] == {**sizes, "files": 32} == {name: len(db[name]) for name in db.tables}
    assert {name: db[name].split_id for name in sizes} == {name: name.split(".")[1] for name in sizes}
    assert db.schemes["emotion"].labels == ["anger", "fear"] and db.media["audio"].sampling_rate == RATE_HZ
    files = db["files"].get(map={"speaker": ["speaker", "gender"]})
    truth = {sample.sample_id: sample for sample in samples("speech")}
    assert set(files["sample_id"]) == set(truth) and set(files["gender"].dropna()) == {"female"}
    for path, row in files.iterrows():
        sample = truth[row["sample_id"]]
        made = sample.generator_id is not None
        assert (row["emotion"], row["synthetic"], row["weight"]) == (sample.emotion, made, 0.5 if made else 1.0)
        assert row["speaker"] == sample.subject_id and row["license"] == "CC0-1.0"
        sound, rate_hz = soundfile.read(folder / str(path), dtype="float32")
        assert rate_hz == RATE_HZ and np.array_equal(sound, content("speech", number_of(sample.sample_id)))
        assert row["duration"].total_seconds() == pytest.approx(len(sound) / RATE_HZ, abs=1e-6)
        kind = f"emotion.{SPLIT.get(sample.sample_id, 'train')}.{'synthetic' if made else 'real'}"
        assert db[kind].get().loc[path, "emotion"] == sample.emotion
    assert sorted(db.files) == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.wav"))


def test_nothing_half_written(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, folder = open_release(release), tmp_path / "database"
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="is there already"):
        export_audformat(opened, tmp_path / "there")
    with pytest.raises(UserError, match=r"holds png; .* payloads are wav"):
        export_audformat(open_release(readable(tmp_path / "faces", "face")), folder)
    damaged = readable(tmp_path / "damaged", "speech")
    row = open_release(damaged).index.to_pylist()[-1]
    data = bytearray((damaged / row["shard"]).read_bytes())
    data[row["offset"] + 60] ^= 1
    (damaged / row["shard"]).write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match=row["sample_id"]):
        export_audformat(open_release(damaged), folder)
    monkeypatch.setitem(sys.modules, "audformat", None)
    with pytest.raises(ResourceError, match=r'pip install "emoforge\[audformat\]"'):
        export_audformat(opened, folder)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["damaged", "faces", "there"]


def test_another_format_is_refused_with_those_there_are(release: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as done:
        main(["export", str(release), str(tmp_path / "x"), "--format", "audb"])
    assert done.value.code == 2 and not (tmp_path / "x").exists()

"""What is one moment, and what only looks like one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpora.moment import Moment, moments
from corpora.schema import Sample
from corpora.store.shards import write_shards


def of(tmp_path: Path, *samples: Sample) -> list[tuple[float | None, dict[str, str]]]:
    index = write_shards(samples, tmp_path, 3, "x")
    found = list(moments(index))
    assert sorted(i for moment in found for i in moment.sample_ids) == sorted(index["sample_id"].to_pylist())
    assert [m.recording_id for m in found] == sorted(m.recording_id for m in found)
    assert list(moments(index.sort_by([("sample_id", "descending")]))) == found, "whatever the order of the rows"
    return [(m.t_start_s, {part: str(row["sample_id"])[2:] for part, row in m.parts.items()}) for m in found]


def sample(name: str, modality: str, **fields: Any) -> Sample:
    return Sample(f"c/{name}", "c", modality, name.encode(), "wav", "CC0-1.0", "c:1", **fields)


def test_parts_of_one_recording_are_one_moment_and_a_missing_part_is_absent(tmp_path: Path) -> None:
    both = {"recording_id": "c/clip1"}
    assert of(
        tmp_path,
        sample("1v", "speech", **both),
        sample("1f", "face", **both),
        sample("1l", "text", **both),
        sample("2v", "speech", recording_id="c/clip2"),
        sample("alone", "face"),
    ) == [(None, {"face": "alone"}), (None, {"face": "1f", "line": "1l", "voice": "1v"}), (None, {"voice": "2v"})]


def test_two_parts_of_one_modality(tmp_path: Path) -> None:
    trial = {"recording_id": "c/trial", "t_start_s": 4.0}
    found = of(tmp_path, sample("a", "physio", part="eeg", **trial), sample("b", "physio", part="eye", **trial))
    assert found == [(4.0, {"eeg": "a", "eye": "b"})]


def test_windows_are_moments_of_their_own_by_their_time(tmp_path: Path) -> None:
    windows = [
        sample(f"{part}{i}", "physio", part=part, recording_id="c/trial", t_start_s=start)
        for part, starts in (("eeg", (0.0, 0.3, 0.6)), ("eye", (0.0, 0.1 + 0.2, 0.9)))
        for i, start in enumerate(starts)
    ]
    whole = sample("film", "face", recording_id="c/trial")
    assert of(tmp_path, *windows, whole) == [
        (None, {"face": "film"}),  # no time of its own: it is not the face of a window
        (0.0, {"eeg": "eeg0", "eye": "eye0"}),
        (0.3, {"eeg": "eeg1", "eye": "eye1"}),
        (0.6, {"eeg": "eeg2"}),
        (0.9, {"eye": "eye2"}),
    ]


def test_nothing_says_which_frame_belongs_to_the_voice(tmp_path: Path) -> None:
    clip = {"recording_id": "c/clip"}
    frames = [sample(f"f{i}", "face", **clip) for i in (2, 1)]
    found = of(tmp_path, sample("v", "speech", **clip), *frames)
    assert found == [(None, {"voice": "v"}), (None, {"face": "f1"}), (None, {"face": "f2"})]


def test_a_moment_is_not_changed(tmp_path: Path) -> None:
    (moment,) = moments(write_shards([sample("v", "speech")], tmp_path, 1, "x"))
    with pytest.raises(TypeError):
        moment.parts["face"] = {}  # type: ignore[index]
    assert isinstance(moment, Moment) and "face" not in moment.parts
    assert list(moments(pa.Table.from_pylist([], schema=pa.schema(write_shards([], tmp_path, 1, "y").schema)))) == []

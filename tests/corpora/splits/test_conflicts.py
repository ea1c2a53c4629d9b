"""What equal payloads say: speaker ids that are perhaps one person, labels of which one is wrong."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpora.schema import SAMPLES
from corpora.splits.conflicts import Conflict, conflict_notes, conflicts_to_json, find_conflicts

NAMES = ("sample_id", "modality", "subject_id", "emotion", "emotion_raw", "labels", "extra", "sha256")
SCHEMA = pa.schema([SAMPLES.field(name) for name in NAMES])


def index(*rows: tuple[str, str, str | None, str | None], modality: str = "speech", **more: Any) -> pa.Table:
    """(sample id, sha256, subject, label) -> index"""
    made = [
        {"sample_id": i, "sha256": sha, "subject_id": who, "emotion_raw": label, "modality": modality} | more
        for i, sha, who, label in rows
    ]
    return pa.Table.from_pylist(made, schema=SCHEMA)


def test_speaker_ids_that_share_recordings_are_one_entry_however_they_hang_together() -> None:
    table = index(
        ("c/1", "h1", "c:F2", "A"),
        ("c/2", "h1", "c:F1", "A"),
        ("c/3", "h2", "c:F2", "A"),
        ("c/4", "h2", "c:F9", "A"),
        ("c/5", "h3", "c:M1", "A"),
        ("c/6", "h3", "c:M1", "A"),  # the same speaker twice: a repeat and no hint
        ("c/7", "h4", None, "A"),
        ("c/8", "h4", "c:M1", "A"),  # unknown: no hint
        ("c/9", "h5", "c:M3", "A"),
        ("c/10", "h5", "c:M2", "A"),
    )
    assert find_conflicts(table) == [
        Conflict("same_recording", {"c:F1": ("c/2",), "c:F2": ("c/1", "c/3"), "c:F9": ("c/4",)}),
        Conflict("same_recording", {"c:M2": ("c/10",), "c:M3": ("c/9",)}),
    ]
    assert find_conflicts(index(("c/1", "h", "c:a", "A"), ("c/2", "h", "c:b", "A"), modality="text")) == []


def test_equal_payloads_under_several_labels_are_listed() -> None:
    table = index(
        ("c/1", "h1", "c:a", "joy"),
        ("c/2", "h1", "c:a", "sad"),
        ("c/3", "h1", "c:a", "joy"),
        ("c/4", "h2", "c:a", "joy"),
        ("c/5", "h2", "c:a", "joy"),
        ("c/6", "h3", "c:a", None),
        ("c/7", "h3", "c:a", "sad"),
        modality="text",
    )
    assert find_conflicts(table) == [Conflict("conflicting_labels", {"joy": ("c/1", "c/3"), "sad": ("c/2",)})]
    own = [{"scheme": "own", "label": "fear", "weight": 1.0}, {"scheme": "own", "label": "awe", "weight": 1.0}]
    rows = index(("c/1", "h", None, None), labels=own).to_pylist() + index(("c/2", "h", None, "joy")).to_pylist()
    (found,) = find_conflicts(pa.Table.from_pylist(rows, schema=SCHEMA))
    assert found.what == {"awe, fear": ("c/1",), "joy": ("c/2",)}


def test_faces_of_one_picture_are_no_conflict_unless_their_box_is_one() -> None:
    rows = []
    for i, label, box in ((1, "joy", "0,0,9,9"), (2, "fear", "9,0,9,9"), (3, "sad", "9,0,9,9")):
        extra = [("face_box", box)]
        rows += index((f"c/{i}", "h", None, label), modality="face", extra=extra).to_pylist()
    assert find_conflicts(pa.Table.from_pylist(rows, schema=SCHEMA)) == [
        Conflict("conflicting_labels", {"fear": ("c/2",), "sad": ("c/3",)})
    ]


@pytest.mark.parametrize("seed", range(20))
def test_conflicts_are_those_of_all_pairs_in_any_order_of_rows(seed: int) -> None:
    """Against every pair of rows, one by one."""
    draw = random.Random(seed)
    rows = [
        (f"c/{i}", f"h{draw.randrange(12)}", draw.choice([None, "c:a", "c:b", "c:d"]), draw.choice([None, "x", "y"]))
        for i in range(25)
    ]
    found = find_conflicts(index(*rows))
    draw.shuffle(rows)
    assert find_conflicts(index(*rows)) == found
    pairs = [(a, b) for a in rows for b in rows if a[1] == b[1] and a[0] < b[0]]
    speakers = {i for a, b in pairs if a[2] and b[2] and a[2] != b[2] for i in (a[2], b[2])}
    labelled = {i for a, b in pairs if a[3] and b[3] and a[3] != b[3] for i in (a[0], b[0])}
    assert {who for c in found if c.kind == "same_recording" for who in c.what} == speakers
    listed = {i for c in found if c.kind == "conflicting_labels" for ids in c.what.values() for i in ids}
    assert listed >= labelled
    assert all(len(c.what) > 1 for c in found)


def test_notes_and_json_count_all_and_name_the_first() -> None:
    many = [
        row for n in range(5) for row in ((f"c/{n}a", f"h{n}", f"c:A{n}", "x"), (f"c/{n}b", f"h{n}", f"c:B{n}", "y"))
    ]
    found = find_conflicts(index(*many))
    one, other = conflict_notes(found)
    assert one.startswith("10 speaker ids share recordings, so some are perhaps one person")
    assert "c:A0 and c:B0 in c/0a and c/0b;" in one and one.endswith("; and 2 more in audit.json")
    assert other.startswith("5 payloads stand under several labels: x and y in c/0a and c/0b")
    told = conflicts_to_json(found)
    assert told["same_recording"]["counts"] == {"entries": 5, "samples": 10}
    assert told["conflicting_labels"]["entries"][0] == {"x": ["c/0a"], "y": ["c/0b"]}
    assert conflict_notes([]) == [] and conflicts_to_json([])["same_recording"]["counts"]["entries"] == 0


def test_urdu_recording_of_two_speakers_is_found_by_its_bytes(tmp_path: Path) -> None:
    """As in the published corpus: one file under the names of two speakers."""
    from dataclasses import asdict
    from hashlib import sha256

    from corpora.readers import make_corpus
    from corpora.schema import Sample

    make_corpus("urdu").fake(tmp_path, subjects=2, per_class={"anger": 4}, seed=0)
    first = min(tmp_path.rglob("SM1_*.wav"))
    shutil.copy(first, first.with_name(first.name.replace("SM1_", "SM7_").replace("_F1_", "_F9_")))
    rows = [
        {name: value for name, value in asdict(item).items() if name in NAMES}
        | {"sha256": sha256(item.payload).hexdigest(), "extra": list(item.extra.items())}
        for item in make_corpus("urdu").read(tmp_path, "u")
        if isinstance(item, Sample)
    ]
    (found,) = find_conflicts(pa.Table.from_pylist(rows, schema=SCHEMA))
    assert (found.kind, list(found.what), found.samples) == ("same_recording", ["u:M1", "u:M7"], 2)

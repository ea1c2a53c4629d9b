"""A journal that was cut anywhere is gone on with from the last line that is whole, whatever form its records have."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corpora.schema import Reject, Sample
from corpora.store import spill as spilling
from corpora.store.shards import assemble
from corpora.store.spill import JOURNAL, ROWS, Spill


def sample(i: int) -> Sample:
    return Sample(
        sample_id=f"c/{i}",
        corpus="c",
        modality="text",
        payload=b"%d" % i * (20_000 if i % 50 == 7 else 3),  # some are big, and wait for no other
        codec="txt",
        license="CC0-1.0",
        group_id=f"c:{i % 9}",
        labels=[{"scheme": "c", "label": "joy", "weight": 0.5}] if i % 2 else [],
        extra={"path": f"é{i}"},
        valence=i / 500,
    )


ITEMS: list[Sample | Reject] = [Reject("c", f"r{i}", "bad-row") if i % 29 == 3 else sample(i) for i in range(300)]


def fill(spill: Spill) -> Spill:
    for number, item in enumerate(ITEMS):
        if number in spill.done:
            continue
        if isinstance(item, Reject):
            spill.refuse(item, number, f"n{number}", "s")
        else:
            spill.add(item, number, f"n{number}", "s")
    return spill


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "spill"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spilling, "_WAITING", 400)
        fill(Spill(folder, 3, "one")).close()
    return folder


def table_of(spill: Spill, folder: Path) -> tuple[object, bytes]:
    folder.mkdir()
    table = assemble([spill], folder, "x")
    return table, b"".join(path.read_bytes() for path in sorted(folder.glob("*.tar")))


def test_records_stand_as_json_and_as_batches(kept: Path) -> None:
    lines = [json.loads(line) for line in (kept / JOURNAL).read_bytes().splitlines()[1:]]
    few = [line for line in lines if line["rows"] is not None]
    assert few and len(few) < len(lines), "both forms are looked at here"
    assert sum(len(line["items"]) for line in lines) == len(ITEMS)
    assert lines[-1]["rows_end"] == (kept / ROWS).stat().st_size


def test_what_was_cut_is_added_again_and_nothing_else(kept: Path, tmp_path: Path) -> None:
    whole = table_of(fill(Spill(tmp_path / "whole", 3)), tmp_path / "w")
    lines = (kept / JOURNAL).read_bytes().splitlines(keepends=True)
    for cut in range(1, len(lines) + 1):
        folder = tmp_path / f"cut{cut}"
        shutil.copytree(kept, folder)
        (folder / JOURNAL).write_bytes(b"".join(lines[:cut]) + b'{"items": [[')
        with (folder / ROWS).open("ab") as file:
            file.write(b"what no line promises")
        spill = Spill(folder, 3, "one")
        items = [item for line in lines[1:cut] for item in json.loads(line)["items"]]
        assert sorted(spill.done) == [item[0] for item in items]
        of = {number: done.sample_id for number, done in spill.done.items()}
        assert of == {n: None if isinstance(ITEMS[n], Reject) else f"c/{n}" for n in of}
        again = table_of(fill(spill), tmp_path / f"t{cut}")
        assert again[0] == whole[0] and again[1] == whole[1]
        assert [reject.path for reject in spill.rejects] == [r.path for r in ITEMS if isinstance(r, Reject)]


@pytest.mark.parametrize("file", [ROWS, "0", "2"])
def test_a_line_that_promises_more_than_is_there_counts_for_nothing(kept: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(kept, tmp_path / "torn")
    whole = (tmp_path / "torn" / file).read_bytes()
    (tmp_path / "torn" / file).write_bytes(whole[: len(whole) // 2])
    spill = Spill(tmp_path / "torn", 3, "one")
    assert 0 < len(spill.done) < len(ITEMS)
    assert table_of(fill(spill), tmp_path / "a") == table_of(fill(Spill(tmp_path / "new", 3)), tmp_path / "b")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"emotion": "joy", "emotion_raw": 'ju"y', "language": "é\u2028", "subject_id": "c:\x07\\", "part": "line"},
        {"generator_id": "1f2e", "session_id": "s", "gender": "f", "sentence_id": "x"},
        {"modality": "smell", "recording_id": "c/1"},
        {"recording_id": "c/other", "emotion": "joy"},
        {"turn": 0, "duration_s": 1.5, "age": 30.0, "seed": 7, "weight": 0.5},
        {"sources": {"from": "c/2"}, "generator_id": "1f2e"},
    ],
)
def test_what_stands_beside_a_payload_is_json_of_what_is_known(more: dict[str, Any]) -> None:
    one = replace(sample(1), valence=None, **more)
    for sample_id, group_id in (("c/1", "c:1"), ('c/"é', "c:\n")):
        own = replace(one, sample_id=sample_id, group_id=group_id)
        facts = {name: getattr(own, name) for name in spilling._BESIDE if getattr(own, name) is not None}
        facts |= {"sample_id": sample_id, "emotion": own.emotion, "synthetic": own.generator_id is not None}
        facts |= {"part": own.part or "line"} if own.modality == "text" else {}
        facts |= {"recording_id": own.recording_id} if own.recording_id not in (None, sample_id) else {}
        facts |= {"sources": dict(own.sources), "source_ids": list(own.sources.values())} if own.sources else {}
        assert spilling._json(own) == json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()

"""What is major, minor and patch: each on two releases that differ in that alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import UserError
from corpora.schema import Sample
from corpora.store.release import open_release
from corpora.store.shards import write_table
from flows.releases.bumps import Needed, needed_bump, settled_bump
from tests.small_release import FACTS, made, real, seal, write_release

BEFORE = [*map(real, range(8)), *map(made, range(4))]
DEV = {"c/6": "dev", "c/7": "test"}


def released(place: Path, samples: list[Sample] = BEFORE, split: dict[str, str] | None = None, **facts: Any) -> Path:
    return write_release(place, samples, DEV if split is None else split, **facts)


def renamed(field: str) -> list[dict[str, Any]]:
    return [{"id": "c", "card": {"label_map": {"a": field, "f": "fear"}, "may_redistribute": True}}]


def without(folder: Path, column: str) -> None:
    """The index without one of its columns."""
    index = open_release(folder).index
    write_table(folder / "index.parquet", index.drop_columns([column]))
    seal(folder, BEFORE, [DEV.get(s.sample_id, "train") for s in BEFORE])


@pytest.mark.parametrize(
    ("samples", "split", "facts", "bump", "says"),
    [
        (BEFORE, DEV, {"classes": ["anger", "fear", "joy"]}, "major", "label map: classes"),
        (BEFORE, DEV, {"scheme": "basic"}, "major", "label map: scheme"),
        (BEFORE, DEV, {"corpora": renamed("joy")}, "major", "native labels of c"),
        ([real(0, emotion="fear"), *BEFORE[1:]], DEV, {}, "major", r"1 sample \(c/0\) have another class"),
        (BEFORE, DEV, {"view": "fold0"}, "major", "the view was 'group' and is 'fold0'"),
        (BEFORE, DEV | {"c/5": "test"}, {}, "major", r"1 sample \(c/5\) moved"),
        (BEFORE, DEV, {"rate_hz": 16000}, "major", "rate_hz"),
        (BEFORE, DEV, {"modality": "text"}, "major", "modality"),
        ([real(i, codec="jpg") for i in range(8)] + BEFORE[8:], DEV, {}, "major", "payloads were png and are jpg, png"),
        ([*BEFORE, real(9)], DEV, {}, "minor", "1 real and 0 synthetic came"),
        (BEFORE[:-1], DEV, {}, "minor", "0 real and 1 synthetic went"),
        ([real(0, payload=b"other"), *BEFORE[1:]], DEV, {}, "minor", "another payload"),
        ([*BEFORE[:-1], made(3, weight=0.5)], DEV, {}, "minor", "another weight"),
        ([*BEFORE[:8], *(made(i, "aaaa") for i in range(4))], DEV, {}, "minor", "4 synthetic came; .*4 synthetic went"),
        (BEFORE, DEV, {"notes": ["more is known"]}, "patch", "metadata: manifest"),
        (BEFORE, DEV, {"licenses": ["MIT"]}, "patch", "metadata"),
        (BEFORE, DEV, {"verdicts": [{"verdict": "undecided"}]}, "patch", "verdicts.parquet"),
        (BEFORE, DEV, {}, None, ""),
    ],
)
def test_each_change_asks_for_its_bump(
    tmp_path: Path, samples: list[Sample], split: dict[str, str], facts: dict[str, Any], bump: str | None, says: str
) -> None:
    needed = needed_bump(released(tmp_path / "a"), released(tmp_path / "b", samples, split, **facts))
    assert needed.bump == bump, needed.because
    assert re.search(says, "; ".join(needed.because))


@pytest.mark.parametrize(("way", "bump", "says"), [("goes", "major", "no consent"), ("comes", "minor", "schema grew")])
def test_a_column_that_goes_breaks_and_one_that_comes_does_not(tmp_path: Path, way: str, bump: str, says: str) -> None:
    whole, less = released(tmp_path / "whole"), released(tmp_path / "less")
    without(less, "consent")
    needed = needed_bump(whole, less) if way == "goes" else needed_bump(less, whole)
    assert needed.bump == bump and any(says in reason for reason in needed.because)


def test_a_file_that_nobody_knows_counts_as_samples(tmp_path: Path) -> None:
    first, second = released(tmp_path / "a"), released(tmp_path / "b")
    (second / "embeddings.npy").write_bytes(b"x")
    seal(second, BEFORE, [DEV.get(s.sample_id, "train") for s in BEFORE], **FACTS)
    needed = needed_bump(first, second)
    assert needed == Needed("minor", ("files: embeddings.npy changed",))


@pytest.mark.parametrize("needed", ["patch", "minor", "major"])
def test_auto_takes_what_is_needed_and_lower_is_refused(needed: str) -> None:
    order = ["patch", "minor", "major"]
    asked: Callable[[str], str] = lambda bump: settled_bump(bump, Needed(needed, ("so",)), "tiny@v1.0.0")  # type: ignore[arg-type] # noqa: E731
    assert asked("auto") == needed
    for bump in order:
        if order.index(bump) < order.index(needed):
            with pytest.raises(UserError, match=f"too low: since tiny@v1.0.0 so. That is {needed}"):
                asked(bump)
        else:
            assert asked(bump) == bump


def test_what_describes_a_release_is_metadata(tmp_path: Path) -> None:
    first, second = released(tmp_path / "a"), released(tmp_path / "b")
    (second / "LICENSES").mkdir()
    for name in ("LICENSE.md", "LICENSES/MIT.txt", "croissant.json", "SHA256SUMS"):
        (second / name).write_text("x\n")
    seal(second, BEFORE, [DEV.get(s.sample_id, "train") for s in BEFORE], **FACTS)
    needed = needed_bump(first, second)
    assert needed.bump == "patch" and "LICENSE.md, LICENSES/MIT.txt" in needed.because[0]

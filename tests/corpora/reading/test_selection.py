"""Which samples are read, against the same choice made row by row."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpora.errors import UnknownNameError, UserError
from corpora.reading.conditions import Condition, scores_of
from corpora.reading.selection import selected
from corpora.schema import SCORES
from corpora.store.release import Release, open_release
from corpora.store.shards import write_table
from tests.small_release import made, real, seal, write_release

SAMPLES = [*(real(i) for i in range(20)), *(made(i) for i in range(12))]
SPLIT = {f"c/{i}": "test" for i in range(16, 20)}
VALUES = {f"syn/9e1d/{i}": float(i) if i % 3 else float("nan") for i in range(12)}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """20 real samples (4 in test) and 12 synthetic ones; gate `mcd` gave number i to sample i, NaN to every third; in
    a round before it gave all of them 100."""
    path = write_release(tmp_path_factory.mktemp("release"), SAMPLES, SPLIT)
    row = {"emotion": "fear", "gate": "mcd", "limit": None, "passed": True, "reason": None, "judge": None}
    rows = [row | {"sample_id": name, "round": 2, "value": value} for name, value in VALUES.items()]
    rows += [row | {"sample_id": name, "round": 1, "value": 100.0} for name in VALUES]
    rows.append(row | {"sample_id": "syn/9e1d/refused", "round": 1, "value": 0.0, "gate": "kid"})
    write_table(path / "scores.parquet", pa.Table.from_pylist(rows, schema=SCORES))
    seal(path, SAMPLES, [SPLIT.get(s.sample_id, "train") for s in SAMPLES])
    return open_release(path)


def ids(release: Release, split: str | None = "train", kind: Any = "both", seed: int = 0, **which: Any) -> list[str]:
    return sorted(selected(release, split, kind, which, seed)["sample_id"].to_pylist())


def test_split_and_kind(release: Release) -> None:
    assert ids(release) == sorted({*(f"c/{i}" for i in range(16)), *VALUES})
    assert ids(release, kind="real") == sorted(f"c/{i}" for i in range(16))
    assert ids(release, kind="synthetic") == sorted(VALUES)
    assert ids(release, "test") == sorted(SPLIT)
    assert ids(release, None, "real") == sorted(f"c/{i}" for i in range(20))
    assert ids(release, classes=["fear"], kind="real") == sorted(f"c/{i}" for i in range(1, 16, 2))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("<= 6", lambda v: v <= 6),
        ("<4", lambda v: v < 4),
        (">= 5e0", lambda v: v >= 5),
        ("> 1, <= 7.0", lambda v: 1 < v <= 7),
    ],
)
def test_scores_filter_what_is_synthetic(release: Release, text: str, holds: Any) -> None:
    wanted = sorted(name for name, value in VALUES.items() if holds(value))  # NaN holds nowhere
    assert ids(release, kind="synthetic", where={"mcd": text}) == wanted
    assert ids(release, where={"mcd": text}) == sorted([*(f"c/{i}" for i in range(16)), *wanted])


def test_the_last_round_counts(release: Release) -> None:
    values = scores_of(release.index["sample_id"], release.scores(), "mcd")
    told = dict(zip(release.index["sample_id"].to_pylist(), values, strict=True))
    assert all(np.isnan(told[f"c/{i}"]) for i in range(20))
    assert np.array_equal([told[name] for name in VALUES], list(VALUES.values()), equal_nan=True)


@pytest.mark.parametrize("text", ["6", "<= six", "== 6", "", "<= 6;", "<= 6,", 6, None, "<= nan"])
def test_what_is_no_condition_says_what_is(text: Any) -> None:
    with pytest.raises(UserError, match=r"where: mcd: .*'<= 6'"):
        Condition.parsed("mcd", text)


@pytest.mark.parametrize("share", [0.0, 0.2, 1 / 3, 0.5, 0.9, 1.0])
def test_a_share_of_synthetic_samples(release: Release, share: float) -> None:
    rows = ids(release, synthetic_share=share)
    n = sum(name.startswith("syn") for name in rows)
    assert len(rows) == len(set(rows)) and abs(n - share * len(rows)) <= 1
    wanted = 16 if share == 0 else 12 if share == 1 else min(16 / (1 - share), 12 / share)
    assert abs(len(rows) - wanted) <= 1  # none is left out without need
    assert rows == ids(release, synthetic_share=share)


def test_a_share_keeps_classes_in_proportion(release: Release) -> None:
    rows = selected(release, "train", "both", {"synthetic_share": 0.25}, 3)
    of_class = Counter(row["emotion"] for row in rows.to_pylist() if row["generator_id"])
    assert set(of_class.values()) in ({2, 3}, {3}, {2})


@pytest.mark.parametrize(
    ("which", "kind", "says"),
    [
        ({"where": {"mdc": "<= 6"}}, UnknownNameError, "gate that scored samples .*'mdc'.*mean 'mcd'.*copies|kid, mcd"),
        ({"where": "mcd <= 6"}, UserError, "a mapping of a gate"),
        ({"synthetic_share": 1.5}, UserError, r"\[0, 1\]"),
        ({"synthetic_share": True}, UserError, r"\[0, 1\]"),
        ({"classes": ["feer"]}, UnknownNameError, "'feer'.*mean 'fear'"),
        ({"classes": "fear"}, UserError, r"classes=\['fear'\]"),
        ({"view": "officiel"}, UnknownNameError, "group"),
        ({"wher": {}}, UnknownNameError, "keyword 'wher'.*'where'"),
    ],
)
def test_a_wrong_wish_is_named(release: Release, which: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        selected(release, "train", "both", which)


def test_wishes_that_cannot_be_fulfilled(release: Release) -> None:
    with pytest.raises(UnknownNameError, match="kind of samples 'fake'"):
        selected(release, "train", "fake", {})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no sample with split='train', kind='synthetic'"):
        selected(release, "train", "synthetic", {"where": {"mcd": "> 50"}})
    with pytest.raises(UserError, match="needs synthetic samples"):
        selected(release, "test", "both", {"synthetic_share": 0.5})
    with pytest.raises(UserError, match="Leave one of them out"):
        selected(release, "train", "real", {"synthetic_share": 0.5})

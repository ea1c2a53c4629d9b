from __future__ import annotations

import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import SplitError
from corpora.readers.ravdess import Ravdess
from corpora.schema import SAMPLES, SPLITS, Sample
from corpora.shards import write_shards
from corpora.splits import group_view, loso_views, official_view

RATIOS = {"train": 0.6, "dev": 0.2, "test": 0.2}


def index_of(groups: list[str], emotions: list[str | None], **columns: list[object]) -> pa.Table:
    n = len(groups)
    given_ = {"group_id": groups, "emotion": emotions, "sample_id": [f"c/{i:06d}" for i in range(n)]} | columns
    empty: dict[object, object] = {pa.string(): "", pa.int64(): 0}
    return pa.Table.from_pydict(
        {f.name: given_.get(f.name, [None if f.nullable else empty[f.type]] * n) for f in SAMPLES},
        schema=SAMPLES,
    )


def splits_of(view: pa.Table) -> dict[str, str]:
    assert view.schema == SPLITS
    return dict(zip(view["sample_id"].to_pylist(), view["split"].to_pylist(), strict=True))


@settings(max_examples=25, deadline=None)
@given(st.integers(6, 25), st.integers(2, 5), st.integers(0, 2**31))
def test_no_group_is_parted_and_every_possible_class_is_everywhere(n_groups: int, n_classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, emotions = [], []
    for g in range(n_groups):
        for k in range(n_classes):
            n = int(rng.integers(1, 6))
            groups += [f"g{g}"] * n
            emotions += [f"e{k}"] * n
    index = index_of(groups, list(emotions))
    split = splits_of(group_view(index, RATIOS, seed=1))
    assert len(split) == len(groups)
    held: dict[str, set[str]] = defaultdict(set)
    reached: dict[str, set[str]] = defaultdict(set)
    for i, (group, emotion) in enumerate(zip(groups, emotions, strict=True)):
        held[group].add(split[f"c/{i:06d}"])
        reached[emotion].add(split[f"c/{i:06d}"])
    assert all(len(where) == 1 for where in held.values())
    assert all(where == set(RATIOS) for where in reached.values())


def test_search_finds_the_perfect_split_where_there_is_one() -> None:
    # 10 groups in 5 kinds of two; only a stratified split gives each class its shares
    groups = [f"g{g}" for g in range(10) for _ in range(12)]
    emotions: list[str | None] = [f"e{(g + i) % 3}" if i < 9 else "rare" for g in range(10) for i in range(12)]
    split = splits_of(group_view(index_of(groups, emotions), RATIOS, seed=0))
    counts = Counter((emotions[i], split[f"c/{i:06d}"]) for i in range(120))
    for emotion in {"e0", "e1", "e2", "rare"}:
        assert [counts[emotion, s] for s in RATIOS] == [18, 6, 6]


def test_greedy_keeps_shares_of_many_tiny_groups_in_seconds() -> None:
    rng = np.random.default_rng(0)
    n = 36_000
    groups = [f"g{g}" for g in rng.integers(0, 35_500, n)]
    emotions: list[str | None] = [f"e{k}" for k in rng.choice(7, n, p=[0.25, 0.2, 0.17, 0.15, 0.14, 0.075, 0.015])]
    index = index_of(groups, emotions)
    begun = time.perf_counter()
    split = splits_of(group_view(index, RATIOS, seed=0))
    assert time.perf_counter() - begun < 10  # below 1 s on an idle core
    counts = Counter((emotions[i], split[f"c/{i:06d}"]) for i in range(n))
    for k in range(7):
        total = sum(counts[f"e{k}", s] for s in RATIOS)
        for s, share in RATIOS.items():
            assert abs(counts[f"e{k}", s] / total - share) < 0.01


def test_view_depends_on_the_seed_and_not_on_the_order(tmp_path: Path) -> None:
    Ravdess().fake(tmp_path, subjects=8, per_class={"neutral": 16, "anger": 24}, seed=0)
    read = [s for s in Ravdess().read(tmp_path, "c") if isinstance(s, Sample)]
    index = write_shards(read, tmp_path / "x", 4, "x")
    view = group_view(index, RATIOS, seed=3)
    shuffled = index.take(np.random.default_rng(0).permutation(index.num_rows))
    assert view.equals(group_view(shuffled, RATIOS, seed=3))
    assert any(not view.equals(group_view(index, RATIOS, seed=s)) for s in range(4, 8))


def test_both_genders_are_in_every_split() -> None:
    groups = [f"g{g:02d}" for g in range(10) for _ in range(4)]
    genders = ["female" if g % 2 else "male" for g in range(10) for _ in range(4)]
    index = index_of(groups, ["a", "b", "a", "b"] * 10, gender=list(genders))
    for seed in range(5):
        split = splits_of(group_view(index, RATIOS, seed=seed))
        assert len({(genders[i], split[f"c/{i:06d}"]) for i in range(40)}) == 6


def test_a_ratio_of_zero_makes_two_splits() -> None:
    view = group_view(index_of(["a", "a", "b", "b"], ["x", "y"] * 2), {"train": 0.5, "dev": 0.0, "test": 0.5}, 0)
    assert set(view["split"].to_pylist()) == {"train", "test"}


@pytest.mark.parametrize(
    ("groups", "emotions", "why"),
    [
        ([], [], "no samples"),
        (["a"] * 6, ["x", "y"] * 3, r"1 group\(s\) cannot fill 3 splits"),
        (["a", "b"] * 3, ["x"] * 6, r"2 group\(s\)"),
        (["a", "b", "c", "d"], ["x", "x", "x", "rare"], "'rare' has one sample"),
        (["a", "b", "c", "d", "d"], ["x", "x", "x", "rare", "rare"], r"'rare' has 2 samples, all in one group \(d\)"),
    ],
)
def test_view_that_cannot_be_says_why(groups: list[str], emotions: list[str | None], why: str) -> None:
    with pytest.raises(SplitError, match=why):
        group_view(index_of(groups, emotions), RATIOS, 0)


def test_samples_without_a_class_are_split_too() -> None:
    index = index_of([f"g{i % 5}" for i in range(20)], ["x", None] * 10)
    assert len(splits_of(group_view(index, RATIOS, 0))) == 20


def test_official_view() -> None:
    extra = [[("official_split", s)] for s in ("train", "dev", "test")]
    index = index_of(["a", "b", "c"], ["x"] * 3, extra=list(extra))
    view = official_view(index)
    assert view is not None and view["split"].to_pylist() == ["train", "dev", "test"]
    assert set(view["view"].to_pylist()) == {"official"}
    assert official_view(index_of(["a"], ["x"])) is None
    with pytest.raises(SplitError, match="1 of 2"):
        official_view(index_of(["a", "b"], ["x"] * 2, extra=[extra[0], None]))


def test_loso_leaves_each_group_out_once() -> None:
    views = loso_views(index_of(["c:a", "c:b", "c:c"] * 2, ["x"] * 6))
    assert Counter(zip(views["view"].to_pylist(), views["split"].to_pylist(), strict=True)) == {
        (f"loso-c:{g}", s): n for g in "abc" for s, n in (("train", 4), ("test", 2))
    }
    with pytest.raises(SplitError, match="at least 2"):
        loso_views(index_of(["a"], ["x"]))


@pytest.mark.parametrize("n_groups", [12, 3000])
@pytest.mark.parametrize("seed", range(4))
def test_class_in_just_three_groups_is_in_every_split(n_groups: int, seed: int) -> None:
    groups = [f"g{g:04d}" for g in range(n_groups) for _ in range(2)]
    emotions: list[str | None] = ["common", "other"] * n_groups
    for g in np.random.default_rng(seed).choice(n_groups, 3, replace=False):
        emotions[2 * g] = "rare"  # deviation alone would rather have 2, 1 and 0 of them
    split = splits_of(group_view(index_of(groups, emotions), RATIOS, seed))
    assert {split[f"c/{i:06d}"] for i, emotion in enumerate(emotions) if emotion == "rare"} == set(RATIOS)

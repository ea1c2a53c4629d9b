"""What samples count: checked weights, and the draw for trainers that know none."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import IntegrityError, UnknownNameError
from corpora.schema import SAMPLES, SPLITS, Sample
from corpora.store.atomic import write_json
from corpora.store.release import MANIFEST, describe_files, open_release, sealed
from corpora.store.shards import read_table, write_shards, write_table
from corpora.store.weights import ClassBalance, class_balance, drawn, systematic, with_weights

weights = st.lists(st.floats(0, 1, width=32), max_size=60)
bits = st.integers(0, 2**64 - 1)


@given(weights, bits)
def test_a_systematic_draw_takes_exactly_the_rounded_sum_and_each_row_once(w: list[float], chance: int) -> None:
    taken = systematic(np.array(w), chance)
    assert taken.shape == (len(w),)
    # a sum within rounding of a half may go either way
    total = float(np.sum(np.array(w, np.float64)))
    assert abs(taken.sum() - total) <= 0.5 + 1e-6
    assert not taken[[i for i, one in enumerate(w) if one == 0.0]].any(), "what counts nothing is never drawn"


def test_a_half_is_rounded_up() -> None:
    assert systematic(np.array([0.5]), 2**63).sum() == 1 and systematic(np.array([0.5, 0.75, 0.25]), 7).sum() == 2
    assert systematic(np.array([0.25, 0.125]), 7).sum() == 0 and systematic(np.zeros(0), 7).shape == (0,)


def test_each_row_is_drawn_as_often_as_it_weighs() -> None:
    w = np.array([0.125] * 8 + [0.5, 0.5, 1.0, 0.75, 0.25])  # sums to 4
    rng = np.random.default_rng(0)
    often = np.mean([systematic(w, int(rng.integers(2**63)) * 2) for _ in range(4000)], axis=0)
    assert np.abs(often - w).max() < 0.03


def test_a_sum_of_equal_float32_shares_is_a_whole_number_of_rows() -> None:
    for lacking, accepted in ((7, 50), (10, 30), (1, 7), (33, 100), (500, 3001)):
        w = np.full(accepted, lacking / accepted, np.float32)
        assert all(systematic(w, chance).sum() == lacking for chance in (0, 1, 2**63, 2**64 - 1))


def rows(*given: dict[str, Any]) -> pa.Table:
    """Synthetic rows of SAMPLES with only what matters here."""
    base = {f.name: "" if pa.types.is_string(f.type) else 0 for f in SAMPLES if not f.nullable}
    table = [base | {"sample_id": f"syn/g/{i}", "generator_id": "g"} | row for i, row in enumerate(given)]
    return with_weights(pa.Table.from_pylist(table, schema=SAMPLES), Path("index.parquet"))


def test_real_rows_stay_and_the_order_of_the_rows_makes_no_difference() -> None:
    table = rows(
        *({"emotion": "fear", "weight": 0.25, "subject_id": f"s:{i % 3}"} for i in range(24)),
        *({"emotion": "joy", "weight": 0.5} for _ in range(10)),
        *({"emotion": "joy", "generator_id": None, "sample_id": f"c/{i}"} for i in range(5)),
    )
    ids = np.array(table["sample_id"].to_pylist())
    kept = drawn(table, 3)
    assert Counter(e for e, k in zip(table["emotion"].to_pylist(), kept, strict=True) if k) == {"fear": 6, "joy": 10}
    assert kept[34:].all()
    mixed = np.random.default_rng(1).permutation(len(ids))
    assert {*ids[mixed][drawn(table.take(pa.array(mixed)), 3)]} == {*ids[kept]}
    assert {*ids[drawn(table, 4)]} != {*ids[kept]} and {*ids[drawn(table, 3)]} == {*ids[kept]}
    assert class_balance(table) == {"fear": ClassBalance(0, 24, 6.0), "joy": ClassBalance(5, 10, 10.0)}


def test_each_cell_of_a_class_is_drawn_by_its_own_sum() -> None:
    """Cells of corpora and of subjects have weights of their own within a class."""
    of_corpus = [{"emotion": "fear", "weight": 2 / n, "extra": [("corpus", c)]} for c, n in CELLS for _ in range(n)]
    of_subject = [{"emotion": "fear", "weight": 2 / n, "subject_id": c} for c, n in CELLS for _ in range(n)]
    for table in (rows(*of_corpus), rows(*of_subject)):
        for seed in range(20):
            kept = np.flatnonzero(drawn(table, seed))
            assert Counter(int(np.searchsorted([9, 21], i, side="right")) for i in kept) == {0: 2, 1: 2, 2: 2}


CELLS = (("a", 9), ("b", 12), ("c", 5))


def test_a_mixture_is_drawn_by_its_soft_label() -> None:
    soft = [
        [{"scheme": "x", "label": "fear", "weight": w}, {"scheme": "x", "label": "joy", "weight": 1 - w}]
        for w in (0.5, 0.25)
    ]
    table = rows(*({"labels": soft[i % 2], "weight": 0.5 if i % 2 else 0.25} for i in range(16)))
    kept = np.flatnonzero(drawn(table, 0))
    assert Counter(i % 2 for i in kept) == {0: 2, 1: 4} and class_balance(table) == {}


@pytest.mark.parametrize("odd", [float("nan"), -0.1, 1.5, float("inf")])
def test_a_weight_that_is_none_is_an_error_that_names_the_sample(odd: float) -> None:
    with pytest.raises(IntegrityError, match=r"index.parquet: sample 'syn/g/1' has weight .*\[0, 1\]"):
        rows({"weight": 0.5}, {"weight": odd})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two real samples of fear, four of joy; six synthetic ones of fear, of weight 1/3."""
    made = [
        Sample(
            sample_id=f"syn/g/{i}" if i > 5 else f"c/{i}",
            corpus="c",
            modality="face",
            payload=bytes([i] * 9),
            codec="png",
            license="CC0-1.0",
            group_id=f"c:{i}",
            emotion="fear" if i < 2 or i > 5 else "joy",
            generator_id="g" if i > 5 else None,
            weight=float(np.float32(1 / 3)) if i > 5 else None,
        )
        for i in range(12)
    ]
    write_table(tmp_path / "index.parquet", write_shards(made, tmp_path, 2, "shards/x"))
    seal(tmp_path)
    return tmp_path


def seal(folder: Path) -> None:
    ids = read_table(folder / "index.parquet", SAMPLES)["sample_id"].to_pylist()
    splits = {"view": ["group"] * len(ids), "sample_id": ids, "split": ["train"] * len(ids)}
    write_table(folder / "splits.parquet", pa.Table.from_pydict(splits, schema=SPLITS))
    paths = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST]
    write_json(folder / MANIFEST, sealed({"files": describe_files(folder, paths)}))


def test_a_release_tells_the_weight_of_every_sample(folder: Path) -> None:
    release = open_release(folder)
    assert {s["weight"] for s in release.samples(synthetic=False)} == {1.0}
    assert {s["weight"] for s in release.samples(synthetic=True)} == {float(np.float32(1 / 3))}
    assert release.to_pandas()["weight"].sum() == pytest.approx(8)
    balance = release.balance()
    assert (balance["fear"].real, balance["fear"].synthetic, balance["joy"]) == (2, 6, ClassBalance(4, 0, 4.0))
    assert balance["fear"].weight == pytest.approx(4)
    beside: dict[bool, set[Any]] = {True: set(), False: set()}
    for tar in (folder / "shards").iterdir():
        with tarfile.open(tar) as file:
            for member in file:
                if member.name.endswith(".json"):
                    about = json.loads(file.extractfile(member).read())  # type: ignore[union-attr]
                    beside[about["synthetic"]].add(about.get("weight", 1.0))
    assert beside == {True: {float(np.float32(1 / 3))}, False: {1.0}}


def test_a_trainer_without_weights_draws_as_many_as_they_come_to(folder: Path) -> None:
    release = open_release(folder, weights="draw", seed=5)
    release.verify()  # of the whole folder, whatever was drawn
    assert release.balance() == {"fear": ClassBalance(2, 2, 4.0), "joy": ClassBalance(4, 0, 4.0)}
    rows = list(release.samples("train"))
    assert len(rows) == 8 and {s["weight"] for s in rows} == {1.0} and (release.to_pandas()["weight"] == 1.0).all()
    again = open_release(folder, weights="draw", seed=5)
    assert again.index.equals(release.index)
    seen = {
        i for seed in range(30) for i in open_release(folder, weights="draw", seed=seed).index["sample_id"].to_pylist()
    }
    assert len(seen) == 12, "another seed, another draw: in time all of them"
    with pytest.raises(UnknownNameError, match="draw"):
        open_release(folder, weights="darw")  # type: ignore[arg-type]


def test_feature_rows_have_weights_too(folder: Path) -> None:
    index = read_table(folder / "index.parquet", SAMPLES).select(["sample_id", "weight", "generator_id"])
    for table in (index, index.drop_columns(["weight"])):
        write_table(folder / "features.parquet", table.append_column("level", pa.array(range(12), pa.float32())))
        seal(folder)
        whole, drawn_ones = (open_release(folder, weights=way) for way in ("keep", "draw"))  # type: ignore[arg-type]
        rows = whole.features()
        assert rows.num_rows == 12 and rows.column_names == ["sample_id", "weight", "generator_id", "level"]
        total = 4 + 2 + 6 / 3 if table is index else 12
        assert sum(rows["weight"].to_pylist()) == pytest.approx(total)
        some = drawn_ones.features()
        assert set(some["sample_id"].to_pylist()) == set(drawn_ones.index["sample_id"].to_pylist())
        assert some.num_rows == 8 and set(some["weight"].to_pylist()) == {1.0}


def test_an_index_without_weights_weighs_one_and_a_damaged_one_is_refused(folder: Path) -> None:
    index = read_table(folder / "index.parquet", SAMPLES)
    write_table(folder / "index.parquet", index.drop_columns(["weight"]))
    seal(folder)
    assert set(open_release(folder).index["weight"].to_pylist()) == {1.0}
    assert open_release(folder, weights="draw").index.num_rows == 12, "nothing is left out of an older release"
    at = SAMPLES.get_field_index("weight")
    odd = pa.array([-1.0, *[None] * 11], pa.float32())
    write_table(folder / "index.parquet", index.set_column(at, SAMPLES.field(at), odd))
    seal(folder)
    with pytest.raises(IntegrityError, match="weight -1"):
        open_release(folder)

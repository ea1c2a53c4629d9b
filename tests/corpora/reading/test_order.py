"""Who reads which samples, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import UserError
from corpora.reading.order import STRETCH, Shuffle, part

SHARDS = st.lists(st.integers(0, 90), max_size=8).map(lambda sizes: np.repeat(np.arange(len(sizes)), sizes))
SHUFFLES = st.none() | st.builds(Shuffle, seed=st.integers(0, 3), epoch=st.integers(0, 3))


@given(shards=SHARDS, readers=st.integers(1, 40), shuffle=SHUFFLES, again=st.integers(0, 2))
def test_each_sample_comes_exactly_once_over_all_readers(
    shards: np.ndarray, readers: int, shuffle: Shuffle | None, again: int
) -> None:
    parts = [part(shards, reader, readers, shuffle, again) for reader in range(readers)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(shards)))
    sizes = [len(one) for one in parts]
    assert max(sizes) - min(sizes) <= 1


def test_an_order_is_one_of_seed_and_epoch() -> None:
    shards = np.repeat([0, 1, 2], 20 * STRETCH)
    orders = [part(shards, 0, 2, Shuffle(*names)).tolist() for names in ((1, 0), (1, 1), (2, 0), (1, 0))]
    assert orders[0] == orders[3] and len(set(map(tuple, orders))) == 3


def test_another_pass_reads_the_same_in_another_order() -> None:
    shards = np.repeat([0, 1], 40 * STRETCH)
    passes = [part(shards, 1, 3, Shuffle(), again).tolist() for again in range(3)]
    assert sorted(passes[0]) == sorted(passes[1]) == sorted(passes[2])
    assert passes[0] != passes[1] != passes[2]


@pytest.mark.parametrize("name", ["seed", "epoch", "buffer"])
def test_numbers_of_an_order_begin_at_0(name: str) -> None:
    with pytest.raises(UserError, match=f"Shuffle: {name} is -1"):
        Shuffle(**{name: -1})


@pytest.mark.parametrize("shuffle", [None, Shuffle(3)])
def test_neighbours_are_read_together(shuffle: Shuffle | None) -> None:
    rows = part(np.repeat([0, 1, 2], 10 * STRETCH), 1, 4, shuffle)
    seeks = int((np.diff(rows) != 1).sum())
    assert seeks <= len(rows) // STRETCH + 1

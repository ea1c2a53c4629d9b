"""Orders of an epoch: complete, balanced, in proportion to weights, and gone on with after a stop."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import UnknownNameError, UserError
from tests.small_release import made, real, write_release
from training.reading.dataset import ReleaseDataset, torch_dataset
from training.reading.samplers import BalancedSampler, ReleaseSampler

WEIGHTS = [0.25, 0.5, 1.0, 0.0, 0.75, 0.5]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 anger, 5 fear, 2 of no class; 6 synthetic ones of fear with `WEIGHTS`."""
    samples = [real(2 * i) for i in range(20)] + [real(2 * i + 1) for i in range(5)]
    samples += [real(100 + i, emotion=None) for i in range(2)]
    samples += [made(2 * i, weight=weight) for i, weight in enumerate(WEIGHTS)]
    return write_release(tmp_path_factory.mktemp("r"), samples)


@pytest.fixture(scope="module")
def dataset(release: Path) -> ReleaseDataset:
    return torch_dataset(release, decode=False)


@pytest.mark.parametrize("ranks", [1, 2, 3, 50])
def test_each_sample_once_in_an_epoch_over_all_ranks(dataset: ReleaseDataset, ranks: int) -> None:
    parts = [list(ReleaseSampler(dataset, seed=3, rank=rank, ranks=ranks)) for rank in range(ranks)]
    assert sorted(chain(*parts)) == list(range(33))
    assert [len(part) for part in parts] == [
        len(ReleaseSampler(dataset, rank=rank, ranks=ranks)) for rank in range(ranks)
    ]
    for ends, wanted in (("drop", 33 // ranks), ("repeat", -(-33 // ranks))):
        parts = [list(ReleaseSampler(dataset, ends=ends, rank=rank, ranks=ranks)) for rank in range(ranks)]  # type: ignore[arg-type]
        assert {len(part) for part in parts} == {wanted}
        assert len(set(chain(*parts))) == min(33, ranks * wanted)


def test_seed_and_epoch_name_the_order(dataset: ReleaseDataset) -> None:
    sampler = ReleaseSampler(dataset, seed=1)
    first, second = list(sampler), list(sampler)  # the next epoch, without `set_epoch`
    assert first != second
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(ReleaseSampler(dataset, seed=2)) != first


@given(used=st.integers(0, 33), ranks=st.sampled_from([1, 2, 3]), later=st.sampled_from([1, 2, 5]))
def test_a_stopped_epoch_goes_on_also_on_other_ranks(
    dataset: ReleaseDataset, used: int, ranks: int, later: int
) -> None:
    used = min(used, 33 // ranks)
    seen: list[int] = []
    state: dict[str, int] = {}
    for rank in range(ranks):
        sampler = ReleaseSampler(dataset, seed=5, rank=rank, ranks=ranks)
        sampler.set_epoch(4)
        numbers = list(sampler)  # a loader with workers reads ahead
        seen += numbers[:used]
        state = sampler.state_dict(used=used) if rank == 0 else state
    for rank in range(later):
        sampler = ReleaseSampler(dataset, seed=5, rank=rank, ranks=later)
        sampler.load_state_dict(state)
        seen += list(sampler)
    once = Counter(seen)
    whole = 33 if state["epoch"] == 4 else 66  # an epoch that was done: the next one begins
    assert sum(once.values()) == whole and set(once.values()) == {whole // 33}


LOOP = """
import sys

from torch.utils.data import DataLoader

from training.reading.dataset import torch_dataset
from training.reading.samplers import ReleaseSampler


def ids(items):
    return [item["sample_id"] for item in items]


def loader(sampler):
    return DataLoader(dataset, batch_size=4, sampler=sampler, num_workers=1, collate_fn=ids)


dataset = torch_dataset(sys.argv[1], decode=False)
whole = list(loader(ReleaseSampler(dataset)))
sampler = ReleaseSampler(dataset)
for step, batch in enumerate(loader(sampler)):
    assert batch == whole[step]
    if step == 2:
        break
again = ReleaseSampler(dataset)
again.load_state_dict(sampler.state_dict(used=3 * 4))
assert list(loader(again)) == whole[3:]
print(len(whole), "lists")
"""


@pytest.mark.slow
def test_a_loop_stops_and_goes_on_with_workers(release: Path) -> None:
    """In a process of its own, as loaders fork: one that runs tests has the threads and handlers of all before."""
    done = subprocess.run([sys.executable, "-c", LOOP, str(release)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "9 lists\n"), done.stderr


def test_weights_are_drawn(dataset: ReleaseDataset) -> None:
    sampler = ReleaseSampler(dataset, weights="draw")
    counts: Counter[int] = Counter()
    for epoch in range(400):
        numbers = sampler.order(epoch).tolist()
        assert len(numbers) == len(set(numbers)) == 27 + 3  # the weights come to 3
        counts.update(numbers)
    often = np.array([counts[i] for i in range(33)]) / 400
    assert np.abs(often - dataset.weights).max() < 0.12 and (often[dataset.weights == 1] == 1).all()
    assert (often[dataset.weights == 0] == 0).all()


@pytest.mark.parametrize("weights", ["draw", "keep"])
def test_classes_come_equally_often(dataset: ReleaseDataset, weights: Any) -> None:
    sampler = BalancedSampler(dataset, n=41, weights=weights)
    total: Counter[int] = Counter()
    for epoch in range(300):
        numbers = sampler.order(epoch)
        of_class = Counter(dataset.labels[numbers].tolist())
        assert set(of_class) == {0, 1} and set(of_class.values()) == {20, 21}
        total.update(numbers.tolist())
    mean = np.array([total[i] for i in range(33)]) / 300
    own = dataset.weights.astype(float) if weights == "draw" else np.ones(33)
    for label in (0, 1):
        members = dataset.labels == label
        expected = 20.5 * own[members] / own[members].sum()
        assert np.abs(mean[members] - expected).max() < 0.12
    once = Counter(sampler.order(0).tolist())
    for label in (0, 1):  # systematic: the expected number, rounded down or up
        members = np.flatnonzero(dataset.labels == label)
        n = sum(once[int(i)] for i in members)
        expected = n * own[members] / own[members].sum()
        assert all(
            np.floor(e - 1e-9) <= once[int(i)] <= np.ceil(e + 1e-9) for i, e in zip(members, expected, strict=True)
        )


def test_balanced_ranks_and_states(dataset: ReleaseDataset) -> None:
    whole = BalancedSampler(dataset, seed=2).order(0).tolist()
    assert len(whole) == 31  # samples of a class
    parts = [list(BalancedSampler(dataset, seed=2, rank=rank, ranks=2)) for rank in (0, 1)]
    assert parts == [whole[::2], whole[1::2]]
    sampler = BalancedSampler(dataset, seed=2)
    numbers = iter(sampler)
    begun = [next(numbers) for _ in range(7)]
    other = BalancedSampler(dataset, seed=2)
    other.load_state_dict(sampler.state_dict())
    assert begun + list(other) == whole


def test_what_cannot_be_is_said(tmp_path: Path, dataset: ReleaseDataset) -> None:
    with pytest.raises(UnknownNameError, match=r"treatment of weights 'drawn'.*keep"):
        ReleaseSampler(dataset, weights="drawn")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match=r"end 'pad'.*repeat"):
        ReleaseSampler(dataset, ends="pad")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="seed is -1"):
        ReleaseSampler(dataset, seed=-1)
    with pytest.raises(UserError, match="rank 2 of 2"):
        ReleaseSampler(dataset, rank=2, ranks=2)
    sampler = ReleaseSampler(dataset)
    with pytest.raises(UserError, match="used=5 of 0"):
        sampler.state_dict(used=5)
    state = sampler.state_dict()
    with pytest.raises(UserError, match="has seed 0, this sampler 1"):
        ReleaseSampler(dataset, seed=1).load_state_dict(state)
    with pytest.raises(UserError, match="lacks position"):
        sampler.load_state_dict({k: v for k, v in state.items() if k != "position"})
    path = write_release(tmp_path / "zero", [real(0), made(0, weight=0.0), made(2, weight=0.0)])
    with pytest.raises(UserError, match="weights of class 'fear' are 0"):
        BalancedSampler(torch_dataset(path, decode=False))
    path = write_release(tmp_path / "soft", [real(0, emotion=None)])
    with pytest.raises(UserError, match="nothing to balance"):
        BalancedSampler(torch_dataset(path, decode=False))

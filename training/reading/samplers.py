"""In which order a training loop sees a `ReleaseDataset`: over ranks, balanced by class, gone on with after a stop.

Orders come of seed and epoch alone, on every machine. An epoch is one order of all ranks; rank r of R takes places
r, r + R, ..., so "the first k samples of every rank" are the first k * R places, and a loop that stopped there goes on
with the rest, also on another number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

import numpy as np
from torch.utils.data import Sampler

from corpora.errors import UnknownNameError, UserError
from corpora.store.weights import ONE, systematic
from training import ddp
from training.reading.dataset import ReleaseDataset

Weights = Literal["keep", "draw"]
Ends = Literal["keep", "drop", "repeat"]
_FIELDS = ("seed", "epoch", "position", "n")


class ReleaseSampler(Sampler[int]):
    """Numbers of a `ReleaseDataset`'s samples, for one rank.

    weights: "keep": every sample comes, and the loop multiplies its loss with the item's `weight`. "draw": for loops
    that know no weights; a sample comes with its weight as the probability, others in the next epoch.
    ends: where the ranks do not divide an epoch. "keep": each sample exactly once, a rank may have one more than
    another; "drop": the last ones are left out; "repeat": the first ones come again (as `DistributedSampler`), so that
    every rank has as many steps.
    rank, ranks: None: those of torch.distributed, alone where there is none.
    """

    def __init__(
        self,
        dataset: ReleaseDataset,
        *,
        seed: int = 0,
        weights: Weights = "keep",
        ends: Ends = "keep",
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        if weights not in get_args(Weights):
            raise UnknownNameError.of("treatment of weights", str(weights), get_args(Weights))
        if ends not in get_args(Ends):
            raise UnknownNameError.of("treatment of an epoch's end", str(ends), get_args(Ends))
        self.rank = ddp.rank() if rank is None else rank
        self.ranks = ddp.world_size() if ranks is None else ranks
        if not 0 <= self.rank < self.ranks:
            raise UserError(f"rank {self.rank} of {self.ranks} ranks; 0 to {self.ranks - 1} are there.")
        if seed < 0:
            raise UserError(f"seed is {seed}; a whole number from 0 on is wanted.")
        self.dataset, self.seed, self.weights, self.ends = dataset, seed, weights, ends
        self.epoch, self._start, self._handed, self._ended = 0, 0, 0, False
        self._total = 0  # places of the epoch, known once it has begun
        self._weights = np.asarray(dataset.weights, np.float64)

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is this epoch, from its beginning."""
        self.epoch, self._start, self._handed, self._ended = int(epoch), 0, 0, False

    def order(self, epoch: int) -> np.ndarray:
        """int64: the whole epoch, of all ranks."""
        rng = np.random.default_rng([self.seed, epoch])
        rows = self._drawn(rng)
        return rows[rng.permutation(len(rows))]

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        if self.weights == "keep":
            return np.arange(len(self._weights))
        rows = rng.permutation(len(self._weights))
        rows = rows[np.argsort(self.dataset.labels[rows], kind="stable")]  # of each class in proportion
        return rows[systematic(self._weights[rows], _bits(rng))]

    def _rest(self) -> np.ndarray:
        """What this rank has still to hand out of the epoch."""
        order = self.order(self.epoch)
        if self.ends == "drop":
            order = order[: len(order) - len(order) % self.ranks]
        elif self.ends == "repeat" and len(order):
            order = np.resize(order, len(order) + -len(order) % self.ranks)
        self._total = len(order)
        return order[self._start + self.rank :: self.ranks]

    def __iter__(self) -> Iterator[int]:
        if self._ended:  # a loop without `set_epoch`
            self.set_epoch(self.epoch + 1)
        self._handed = 0
        for number in self._rest().tolist():
            self._handed += 1
            yield number
        self._ended = True

    def __len__(self) -> int:
        return len(self._rest())

    def state_dict(self, used: int | None = None) -> dict[str, int]:
        """Where the loop stands. `used`: how many samples of this iteration this rank has trained on; None: all that
        were handed out, which is right for a DataLoader without workers. Workers read ahead: say
        `used=steps * batch_size`. Of several ranks, that of rank 0 is the one to keep: all go on from it.
        Raises `UserError` for more than were handed out."""
        done = self._handed if used is None else int(used)
        if not 0 <= done <= self._handed:
            raise UserError(f"used={done} of {self._handed} samples that were handed out in this iteration.")
        epoch, position = self.epoch, self._start + done * self.ranks
        if 0 < self._total <= position:
            epoch, position = epoch + 1, 0
        return {"seed": self.seed, "epoch": epoch, "position": position, "n": len(self.dataset)}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """The next iteration goes on from there. Raises `UserError` where the state is of another dataset or seed."""
        if missing := [name for name in _FIELDS if name not in state]:
            raise UserError(f"the sampler's state lacks {', '.join(missing)}; wanted is what state_dict() gave.")
        for name, own in (("seed", self.seed), ("n", len(self.dataset))):
            if state[name] != own:
                raise UserError(
                    f"the sampler's state has {name} {state[name]}, this sampler {own}: another epoch order."
                )
        self.set_epoch(state["epoch"])
        self._start = int(state["position"])


class BalancedSampler(ReleaseSampler):
    """Every class as often as any other: an epoch of `n` draws has n over the number of classes of each.

    Within a class a sample comes in proportion to its weight (`weights="draw"`, the default: do not multiply the loss
    with `weight` again), or all alike ("keep": multiply). Which is systematic: a sample that should come 2.3 times
    comes two or three times, never none. Samples of no class (soft labels) do not come.

    n: draws in an epoch; None: as many as the dataset has samples of a class. Raises `UserError`: no class, or one
    whose weights are all 0.
    """

    def __init__(
        self,
        dataset: ReleaseDataset,
        *,
        n: int | None = None,
        seed: int = 0,
        weights: Weights = "draw",
        ends: Ends = "keep",
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        super().__init__(dataset, seed=seed, weights=weights, ends=ends, rank=rank, ranks=ranks)
        self._members = [np.flatnonzero(dataset.labels == label) for label in range(len(dataset.classes))]
        self._members = [members for members in self._members if len(members)]
        total = sum(len(members) for members in self._members)
        if not total:
            raise UserError("no sample of the dataset has a class: there is nothing to balance.")
        self.n = total if n is None else n
        if self.n < 1:
            raise UserError(f"n is {self.n}; at least one draw an epoch is wanted.")
        if weights == "keep":
            self._weights = np.ones_like(self._weights)
        for members in self._members:
            if not self._weights[members].sum() > 0:
                name = dataset.classes[dataset.labels[members[0]]]
                raise UserError(f"all weights of class {name!r} are 0: no sample of it can be drawn.")

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        """Classes that get one draw more, where they do not divide `n`, change from epoch to epoch."""
        counts = np.full(len(self._members), self.n // len(self._members))
        counts[rng.permutation(len(counts))[: self.n % len(counts)]] += 1
        return np.concatenate(
            [_times(rng.permutation(m), self._weights, int(c), rng) for m, c in zip(self._members, counts, strict=True)]
        )


def _times(rows: np.ndarray, weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` draws of rows in proportion to their weights, each its expected times rounded down or up."""
    expected = weights[rows] * (n / weights[rows].sum())
    often = np.floor(expected).astype(np.int64)
    rest = expected - often
    missing = n - int(often.sum())
    if missing > 0:
        rest *= missing / rest.sum()
        often += _chosen(np.minimum(rest, 1.0), missing, rng)
    return np.repeat(rows, often)


def _chosen(chances: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """[N] chances that sum to `n` but for rounding -> [N] bool, exactly n of them; one of chance 0 never."""
    whole = np.round(chances * ONE).astype(np.int64)
    rounded = n * ONE - int(whole.sum())
    whole[np.argmax(np.where(whole <= ONE - max(rounded, 0), whole, -1))] += rounded
    return systematic(whole / ONE, _bits(rng))


def _bits(rng: np.random.Generator) -> int:
    """64 of them."""
    return int(rng.integers(0, 2**64, dtype=np.uint64))

"""Which of more candidates than are needed are kept: pure functions over embeddings, the same answer every time.

Distances are Euclidean and summed element by element, not by a matrix product, so that the number of threads does not
touch their last digits; ties go to the lower row.

- `k_centre`: farthest-first traversal (Gonzalez 1985, Theoretical Computer Science 38:293-306); as a core-set that
  begins with the samples at hand: Sener & Savarese 2018 (ICLR, algorithm 1). The largest distance of any row to its
  nearest kept one is at most twice the best possible. It goes for the edges, and so for oddities as well.
- `coverage`: facility location, the kept rows that leave the smallest sum of distances from every row to its nearest
  kept one; greedy, within 1 - 1/e of the best possible reduction (Nemhauser, Wolsey & Fisher 1978, Mathematical
  Programming 14:265-294), evaluated lazily (Minoux 1978). It goes for the middle of what is there and not yet covered.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from training.seeds import derive_seed

BLOCK_VALUES = 4_000_000  # float64 values of one block of differences: 32 MB


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[n, D], [m, D] -> [n, m] Euclidean distances."""
    return np.sqrt(((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2))


def _blocks(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Distances of all rows of x to y, a few rows at a time: (first row, [rows, m])."""
    rows = max(1, BLOCK_VALUES // max(1, y.size))
    for start in range(0, len(x), rows):
        yield start, distances(x[start : start + rows], y)


def _nearest(x: np.ndarray, given: np.ndarray | None) -> np.ndarray | None:
    """[n] distance of each row to the nearest of `given`; None where there are none."""
    if given is None or len(given) == 0:
        return None
    return np.concatenate([block.min(axis=1) for _, block in _blocks(x, given)])


def k_centre(x: np.ndarray, n: int, given: np.ndarray | None = None) -> list[int]:
    """[N, D] -> rows to keep, at most n, in the order of their choice: each is the farthest from what is kept and
    `given` ([M, D], what is there already). Without `given` the first row comes first."""
    x, given = _checked(x, given)
    nearest = _nearest(x, given)
    if nearest is None:
        nearest = np.full(len(x), np.inf)
    chosen: list[int] = []
    for _ in range(min(n, len(x))):
        j = int(np.argmax(nearest))
        chosen.append(j)
        nearest = np.minimum(nearest, distances(x, x[j : j + 1])[:, 0])
        nearest[chosen] = -1.0  # a twin of a kept row is at 0 and still comes before it
    return chosen


def coverage(x: np.ndarray, n: int, given: np.ndarray | None = None) -> list[int]:
    """[N, D] -> rows to keep, at most n, in the order of their choice: each takes most off the sum over all rows of the
    distance to the nearest kept row or row of `given` ([M, D]). Without `given` the medoid comes first."""
    x, given = _checked(x, given)
    n = min(n, len(x))
    if n == 0:
        return []
    cover = _nearest(x, given)
    chosen: list[int] = []
    if cover is None:
        chosen = [int(np.argmin(np.concatenate([block.sum(axis=1) for _, block in _blocks(x, x)])))]
        cover = distances(x[chosen], x)[0]
    # a gain only gets smaller as more is covered: an old one is an upper bound, and most need no second look
    gains = np.concatenate([np.maximum(cover - block, 0.0).sum(axis=1) for _, block in _blocks(x, x)])
    heap = [(_key(gain), j, len(chosen)) for j, gain in enumerate(gains) if j not in chosen]
    heapq.heapify(heap)
    while len(chosen) < n:
        _, j, seen = heapq.heappop(heap)
        reach = distances(x[j : j + 1], x)[0]
        if seen < len(chosen):
            heapq.heappush(heap, (_key(np.maximum(cover - reach, 0.0).sum()), j, len(chosen)))
            continue
        chosen.append(j)
        cover = np.minimum(cover, reach)
    return chosen


def _key(gain: float) -> float:
    """Gains that differ by the order of a sum alone are a tie, which the row's number decides."""
    return -round(float(gain), 9)


def _checked(x: np.ndarray, given: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Raises `ValueError` for what is no table of finite numbers, or two of different widths."""
    for name, table in (("x", x), ("given", given)):
        if table is not None and (table.ndim != 2 or not np.isfinite(table).all()):
            raise ValueError(f"{name} has shape {table.shape}; wanted: finite numbers of shape [rows, D]")
    if given is not None and len(given) and len(x) and given.shape[1] != x.shape[1]:
        raise ValueError(f"given has {given.shape[1]} columns, x has {x.shape[1]}")
    return np.asarray(x, np.float64), None if given is None else np.asarray(given, np.float64)


def at_random(ids: Sequence[str], n: int, seed: int) -> list[int]:
    """Rows to keep, at most n, in an order that `seed` and each row's own id fix: one more candidate moves no other."""
    return sorted(range(len(ids)), key=lambda i: (derive_seed("choose", seed, ids[i]), i))[:n]


SPREADS: dict[str, Callable[[np.ndarray, int, np.ndarray | None], list[int]]] = {
    "coverage": coverage,
    "k-centre": k_centre,
}


def spread_out(x: np.ndarray, n: int, given: np.ndarray | None, by: str) -> list[int]:
    """`coverage` or `k-centre` over the rows of x that are finite; rows that could not be embedded come last, in their
    order. `given`: rows that are not finite are left out."""
    fine = np.flatnonzero(np.isfinite(x).all(axis=1))
    rest = [i for i in range(len(x)) if i not in set(fine.tolist())]
    there = None if given is None else given[np.isfinite(given).all(axis=1)]
    kept = SPREADS[by](x[fine], n, there) if fine.size else []
    return [*(int(fine[i]) for i in kept), *rest][:n]

"""Which group goes to which split, so that every class has its share everywhere: a search, or greedily."""

from __future__ import annotations

import numpy as np

_TRIES = 400  # random assignments of which the best are improved
_IMPROVED = 6
_SEARCH_GROUPS = 1500  # above this many groups the search gives way to a stratified greedy
_SEARCH_GROUPS_FOLDS = 150  # ... with more than 3 splits, where a search looks at many more swaps


def stratified(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples [G, K] of groups and strata, shares [S] that sum to 1 -> [G] split of each group, near the shares.

    Few groups: the best of some hundred random assignments by deviation of the strata's shares, then improved by moves
    and swaps until none helps. Many: each goes, rare strata first, where its strata are missing most (Sechidis et al.
    2011, iterative stratification). A stratum with enough groups is in every split.
    """
    most = _SEARCH_GROUPS if len(shares) <= 3 else _SEARCH_GROUPS_FOLDS
    return (_search if len(counts) <= most else _greedy)(counts, shares, rng)


def _deviation(held: np.ndarray, shares: np.ndarray, total: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """[..., S, K] counts held by splits -> [...] deviation of shares, plus a penalty for each avoidable empty cell."""
    part = held / total  # share of each class
    off = np.abs(part - shares[:, None]).sum(axis=(-2, -1)) / held.shape[-1]
    size = held.sum(axis=-1) / total.sum()
    empty = ((held == 0) & reach).sum(axis=(-2, -1))
    return off + np.abs(size - shares).sum(axis=-1) + 10.0 * empty


def _reach(counts: np.ndarray, n_splits: int) -> np.ndarray:
    """[K]: classes that are in enough groups to be in every split."""
    return (counts > 0).sum(axis=0) >= n_splits


def _search(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[G, K] -> [G] split index."""
    g, s = len(counts), len(shares)
    total, reach = counts.sum(axis=0), _reach(counts, s)
    sizes = np.maximum(np.round(shares * g).astype(int), 1)
    while sizes.sum() > g:
        sizes[np.argmax(sizes)] -= 1
    sizes[0] += g - sizes.sum()
    base = np.repeat(np.arange(s), sizes)
    tries = np.stack([rng.permutation(base) for _ in range(_TRIES)])
    held = np.stack([(tries == k).astype(np.float64) @ counts for k in range(s)], axis=1)
    scores = _deviation(held, shares, total, reach)
    best, best_score = tries[0], np.inf
    for i in np.argsort(scores, kind="stable")[:_IMPROVED]:
        where, score = _improve(tries[i].copy(), held[i].copy(), counts, shares, total, reach)
        if score < best_score - 1e-12:
            best, best_score = where, score
    return best


def _improve(
    where: np.ndarray,
    held: np.ndarray,
    counts: np.ndarray,
    shares: np.ndarray,
    total: np.ndarray,
    reach: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Moves one group, or swaps two of different splits, as long as the deviation falls."""
    g, s = len(counts), len(shares)
    score = float(_deviation(held, shares, total, reach))
    for _ in range(4 * g):
        best: tuple[float, tuple[int, int, int, int | None] | None] = (score - 1e-12, None)
        for a in range(s):
            mine = np.flatnonzero(where == a)
            for b in range(s):
                if a == b or len(mine) == 0:
                    continue
                moved = np.repeat(held[None], len(mine), axis=0)
                moved[:, a] -= counts[mine]
                moved[:, b] += counts[mine]
                if len(mine) > 1:  # never empties a split
                    off = _deviation(moved, shares, total, reach)
                    k = int(off.argmin())
                    if off[k] < best[0]:
                        best = (float(off[k]), (a, b, int(mine[k]), None))
                theirs = np.flatnonzero(where == b)
                if b < a or len(mine) * len(theirs) > 40_000:
                    continue
                change = (counts[theirs][None] - counts[mine][:, None]).reshape(-1, counts.shape[1])
                swapped = np.repeat(held[None], len(change), axis=0)
                swapped[:, a] += change
                swapped[:, b] -= change
                if len(change):
                    off = _deviation(swapped, shares, total, reach)
                    k = int(off.argmin())
                    if off[k] < best[0]:
                        best = (float(off[k]), (a, b, int(mine[k // len(theirs)]), int(theirs[k % len(theirs)])))
        if best[1] is None:
            break
        a, b, first, second = best[1]
        where[first] = b
        held[a] -= counts[first]
        held[b] += counts[first]
        if second is not None:
            where[second] = a
            held[b] -= counts[second]
            held[a] += counts[second]
        score = best[0]
    return where, score


def _greedy(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Iterative stratification over groups: rare classes and big groups first. [G, K] -> [G]"""
    total = counts.sum(axis=0)
    weight = 1.0 / total
    rarest = np.where(counts > 0, total, np.inf).min(axis=1)
    order = np.lexsort((rng.random(len(counts)), -counts.sum(axis=1), rarest))
    missing = (shares[:, None] * total[None]).tolist()  # [S][K], plain lists: 10 x faster than tiny arrays
    sparse = [[(int(k), float(counts[i, k])) for k in np.flatnonzero(counts[i])] for i in range(len(counts))]
    tie = rng.random(len(counts)).tolist()
    where = np.zeros(len(counts), dtype=np.int64)
    n_splits, target = len(shares), [float(s) for s in shares]
    w = weight.tolist()
    for i in order.tolist():
        need = [
            sum(n * w[k] * missing[s][k] for k, n in sparse[i]) / target[s] + 1e-12 * ((tie[i] * (s + 1)) % 1.0)
            for s in range(n_splits)
        ]
        chosen = max(range(n_splits), key=need.__getitem__)
        where[i] = chosen
        for k, n in sparse[i]:
            missing[chosen][k] -= n
    return where

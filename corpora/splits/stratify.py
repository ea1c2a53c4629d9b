"""Which group goes to which split, so that every class has its share everywhere: a search, or greedily."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_TRIES = 400  # random assignments of which the best are improved
_IMPROVED = 6
_SEARCH_GROUPS = 1500  # above this many groups the search gives way to a stratified greedy
_MENDED_GROUPS = 200  # a class in more groups than this never lacks one after the greedy
_SEARCH_GROUPS_FOLDS = 150  # ... with more than 3 splits, where a search looks at many more swaps


@dataclass(frozen=True)
class Learners:
    """Who learns from which splits, and of which strata: whoever learns a class must meet two of its groups, or nobody
    can be asked how well it was learned.

    learn [L, S] bool: the splits that each of L learners reads. learned [K] bool: the strata that are classes.
    """

    learn: np.ndarray
    learned: np.ndarray

    @classmethod
    def of_train(cls, splits: Sequence[str], learned: np.ndarray) -> Learners:
        """One learner, who reads the split `train` alone; splits [S] names, learned [K] bool."""
        return cls(np.array([[name == "train" for name in splits]]), learned)

    @classmethod
    def of_folds(cls, k: int, learned: np.ndarray) -> Learners:
        """One for each fold, who learns from all the others."""
        return cls(~np.eye(k, dtype=bool), learned)

    def needs(self, groups: np.ndarray) -> np.ndarray:
        """groups [K] of each stratum -> [L, K] groups that each learner should meet: two where that leaves one for each
        split that it does not read, one where there are two groups at all, else none."""
        beside = (~self.learn).sum(axis=1)[:, None]
        needs: np.ndarray = np.where(groups >= 2 + beside, 2, np.where(groups >= 2, 1, 0)) * self.learned
        return needs


def stratified(
    counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator, learners: Learners | None = None
) -> np.ndarray:
    """Samples [G, K] of groups and strata, shares [S] that sum to 1 -> [G] split of each group, near the shares.

    Few groups: the best of some hundred random assignments by deviation of the strata's shares, then improved by moves
    and swaps until none helps. Many: each goes, rare strata first, where its strata are missing most (Sechidis et al.
    2011, iterative stratification). A stratum with enough groups is in every split, and with one group more than that
    its `learners` meet two of its groups. What they need is only looked for where the first answer lacks it, so it
    moves no view that can be learned from.
    """
    most = _SEARCH_GROUPS if len(shares) <= 3 else _SEARCH_GROUPS_FOLDS
    if len(counts) > most:
        where = _greedy(counts, shares, rng)
        return where if learners is None else _mended(where, counts, shares, learners)
    tries = _tries(len(counts), shares, rng)
    where = _search(counts, shares, tries, None)
    if learners is None or not _shortage(_held(where, counts > 0, len(shares)), counts, learners):
        return where
    again = _mended(_search(counts, shares, tries, learners), counts, shares, learners)
    short = [int(_shortage(_held(w, counts > 0, len(shares)), counts, learners)) for w in (where, again)]
    return again if short[1] < short[0] else where


def _held(where: np.ndarray, counts: np.ndarray, n_splits: int) -> np.ndarray:
    """[G] splits, [G, K] -> [S, K] what each split holds."""
    return np.stack([(where == k).astype(np.float64) @ counts for k in range(n_splits)])


def _shortage(groups: np.ndarray, counts: np.ndarray, learners: Learners) -> np.ndarray:
    """[..., S, K] groups held -> [...] groups that learners lack, over all classes."""
    needs = learners.needs((counts > 0).sum(axis=0))
    met = np.einsum("ls,...sk->...lk", learners.learn.astype(np.float64), groups)
    missing: np.ndarray = np.maximum(needs - met, 0.0).sum(axis=(-2, -1))
    return missing


def _deviation(
    held: np.ndarray, shares: np.ndarray, counts: np.ndarray, reach: np.ndarray, learners: Learners | None
) -> np.ndarray:
    """[..., S, K] counts held by splits (with learners [..., S, 2 K]: and groups) -> [...] deviation of shares, plus a
    penalty for each avoidable empty cell, and for each group that a learner lacks."""
    k = counts.shape[1]
    held, groups = held[..., :k], held[..., k:]
    total = counts.sum(axis=0)
    part = held / total  # share of each class
    off = np.abs(part - shares[:, None]).sum(axis=(-2, -1)) / k
    size = held.sum(axis=-1) / total.sum()
    empty = ((held == 0) & reach).sum(axis=(-2, -1))
    if learners is not None:
        empty = empty + _shortage(groups, counts, learners)
    return off + np.abs(size - shares).sum(axis=-1) + 10.0 * empty


def _reach(counts: np.ndarray, n_splits: int) -> np.ndarray:
    """[K]: classes that are in enough groups to be in every split."""
    return (counts > 0).sum(axis=0) >= n_splits


def _tries(g: int, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[tries, G] random assignments of the sizes that the shares ask for."""
    s = len(shares)
    sizes = np.maximum(np.round(shares * g).astype(int), 1)
    while sizes.sum() > g:
        sizes[np.argmax(sizes)] -= 1
    sizes[0] += g - sizes.sum()
    base = np.repeat(np.arange(s), sizes)
    return np.stack([rng.permutation(base) for _ in range(_TRIES)])


def _search(counts: np.ndarray, shares: np.ndarray, tries: np.ndarray, learners: Learners | None) -> np.ndarray:
    """[G, K] -> [G] split index."""
    wide = counts if learners is None else np.hstack([counts, counts > 0])
    held = np.stack([(tries == k).astype(np.float64) @ wide for k in range(len(shares))], axis=1)
    scores = _deviation(held, shares, counts, _reach(counts, len(shares)), learners)
    best, best_score = tries[0], np.inf
    for i in np.argsort(scores, kind="stable")[:_IMPROVED]:
        where, score = _improve(tries[i].copy(), held[i].copy(), counts, shares, learners)
        if score < best_score - 1e-12:
            best, best_score = where, score
    return best


def _improve(
    where: np.ndarray,
    held: np.ndarray,
    counts: np.ndarray,
    shares: np.ndarray,
    learners: Learners | None,
) -> tuple[np.ndarray, float]:
    """Moves one group, or swaps two of different splits, as long as the deviation falls."""
    g, s = len(counts), len(shares)
    reach = _reach(counts, s)
    wide = counts if learners is None else np.hstack([counts, counts > 0])

    def deviation(held: np.ndarray) -> np.ndarray:
        return _deviation(held, shares, counts, reach, learners)

    score = float(deviation(held))
    for _ in range(4 * g):
        best: tuple[float, tuple[int, int, int, int | None] | None] = (score - 1e-12, None)
        for a in range(s):
            mine = np.flatnonzero(where == a)
            for b in range(s):
                if a == b or len(mine) == 0:
                    continue
                moved = np.repeat(held[None], len(mine), axis=0)
                moved[:, a] -= wide[mine]
                moved[:, b] += wide[mine]
                if len(mine) > 1:  # never empties a split
                    off = deviation(moved)
                    k = int(off.argmin())
                    if off[k] < best[0]:
                        best = (float(off[k]), (a, b, int(mine[k]), None))
                theirs = np.flatnonzero(where == b)
                if b < a or len(mine) * len(theirs) > 40_000:
                    continue
                change = (wide[theirs][None] - wide[mine][:, None]).reshape(-1, wide.shape[1])
                swapped = np.repeat(held[None], len(change), axis=0)
                swapped[:, a] += change
                swapped[:, b] -= change
                if len(change):
                    off = deviation(swapped)
                    k = int(off.argmin())
                    if off[k] < best[0]:
                        best = (float(off[k]), (a, b, int(mine[k // len(theirs)]), int(theirs[k % len(theirs)])))
        if best[1] is None:
            break
        a, b, first, second = best[1]
        where[first] = b
        held[a] -= wide[first]
        held[b] += wide[first]
        if second is not None:
            where[second] = a
            held[b] -= wide[second]
            held[a] += wide[second]
        score = best[0]
    return where, score


def _greedy(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Iterative stratification over groups: rare classes and big groups first. [G, K] -> [G]"""
    total = counts.sum(axis=0)
    weight = 1.0 / total
    rarest = np.where(counts > 0, total, np.inf).min(axis=1)
    order = np.lexsort((rng.random(len(counts)), -counts.sum(axis=1), rarest))
    missing = (shares[:, None] * total[None]).tolist()  # [S][K], plain lists: 10 x faster than tiny arrays
    at, strata = np.nonzero(counts)
    held = counts[at, strata]
    triples = list(zip(strata.tolist(), held.tolist(), (held * weight[strata]).tolist(), strict=True))
    ends = np.searchsorted(at, np.arange(len(counts)), "right").tolist()
    tie = rng.random(len(counts)).tolist()
    where = np.zeros(len(counts), dtype=np.int64)
    n_splits, target = len(shares), [float(s) for s in shares]
    every = range(n_splits)
    for i in order.tolist():
        own = triples[ends[i - 1] if i else 0 : ends[i]]
        if len(own) == 1:  # most groups; as the sum below, which is of one term then
            k, _, weighed = own[0]
            wanted = [weighed * missing[s][k] for s in every]
        else:
            wanted = [sum([weighed * missing[s][k] for k, _, weighed in own]) for s in every]
        need = [wanted[s] / target[s] + 1e-12 * ((tie[i] * (s + 1)) % 1.0) for s in every]
        chosen = need.index(max(need))
        where[i] = chosen
        for k, n, _ in own:
            missing[chosen][k] -= n
    return where


def _mended(where: np.ndarray, counts: np.ndarray, shares: np.ndarray, learners: Learners) -> np.ndarray:
    """[G] -> [G]: where a class is missing in a split, or learners lack its groups, the group whose move costs the
    shares least goes there, as long as that leaves fewer gaps."""
    n_splits, reach = len(shares), _reach(counts, len(shares))
    wide = np.hstack([counts, counts > 0])
    where, held = where.copy(), _held(where, wide, n_splits)

    def gaps(held: np.ndarray) -> np.ndarray:
        """[..., S, 2 K] -> [...]"""
        k = counts.shape[1]
        empty = ((held[..., :k] == 0) & reach).sum(axis=(-2, -1))
        return empty + _shortage(held[..., k:], counts, learners)

    rare = np.flatnonzero((counts > 0).sum(axis=0) <= _MENDED_GROUPS)
    movable = np.flatnonzero((counts[:, rare] > 0).any(axis=1))  # what lacks a group is rare
    left = float(gaps(held))
    while left > 0:
        best: tuple[float, float, int, int] | None = None
        for a in range(n_splits):
            mine = movable[where[movable] == a]
            for b in range(n_splits):
                if a == b or not len(mine):
                    continue
                moved = np.repeat(held[None], len(mine), axis=0)
                moved[:, a] -= wide[mine]
                moved[:, b] += wide[mine]
                gap = gaps(moved)
                off = _deviation(moved, shares, counts, reach, learners)
                k = int(np.lexsort((off, gap))[0])
                if gap[k] < left and (best is None or (gap[k], off[k]) < best[:2]):
                    best = (float(gap[k]), float(off[k]), int(mine[k]), b)
        if best is None:
            return where
        left, _, group, to = best
        held[where[group]] -= wide[group]
        held[to] += wide[group]
        where[group] = to
    return where

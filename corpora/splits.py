"""Split views: which sample is train, dev or test. A group (speaker, dialogue, picture) is never parted.

A view that cannot exist is an error that says why; there is no silent second best.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from corpora.errors import SplitError
from corpora.schema import SPLIT_NAMES, SPLITS

_TRIES = 400  # random assignments of which the best are improved
_IMPROVED = 6
_SEARCH_GROUPS = 1500  # above this many groups the search gives way to a stratified greedy


def group_view(index: pa.Table, ratios: Mapping[str, float], seed: int, view: str = "group") -> pa.Table:
    """Group-disjoint, stratified splits (schema SPLITS): shares of samples near `ratios`, of each class and in all.

    Few groups: the best of some hundred random assignments by deviation of class shares, then improved by moves and
    swaps until none helps. Many groups: each goes, rare classes first, where its classes are missing most (Sechidis et
    al. 2011, iterative stratification). A class with enough groups is in every split; genders count like classes, where
    they are known. Deterministic in (index, ratios, seed).

    Raises `SplitError`: no samples, fewer groups than splits, or a class with one sample or in one group only.
    """
    wanted = {name: float(ratios.get(name, 0.0)) for name in SPLIT_NAMES if ratios.get(name, 0.0) > 0}
    ids = np.array(index["sample_id"].to_pylist(), dtype=object)
    if len(ids) == 0:
        raise SplitError("the index holds no samples, there is nothing to split")
    groups, group_of = np.unique(np.array(index["group_id"].to_pylist(), dtype=str), return_inverse=True)
    emotions = np.array([e if e is not None else "" for e in index["emotion"].to_pylist()], dtype=str)
    classes, class_of = np.unique(emotions, return_inverse=True)
    counts = _count(group_of, class_of, len(groups), len(classes))
    _feasible(view, groups, classes, counts, list(wanted))
    genders, gender_of = np.unique(
        np.array([g if g is not None else "" for g in index["gender"].to_pylist()], dtype=str), return_inverse=True
    )
    if len(genders) > 1:
        counts = np.hstack([counts, _count(group_of, gender_of, len(groups), len(genders))])
    shares = np.array(list(wanted.values())) / sum(wanted.values())
    rng = np.random.default_rng([seed, len(groups)])
    assign = _search if len(groups) <= _SEARCH_GROUPS else _greedy
    where = assign(counts, shares, rng)
    names = np.array(list(wanted), dtype=object)[where][group_of]
    return _table(view, ids, names)


def _count(group_of: np.ndarray, stratum_of: np.ndarray, n_groups: int, n_strata: int) -> np.ndarray:
    """[N], [N] -> [G, K] samples."""
    counts = np.zeros((n_groups, n_strata))
    np.add.at(counts, (group_of, stratum_of), 1.0)
    return counts


def _feasible(view: str, groups: np.ndarray, classes: np.ndarray, counts: np.ndarray, splits: list[str]) -> None:
    if len(groups) < len(splits):
        raise SplitError(
            f"view {view!r}: {len(groups)} group(s) cannot fill {len(splits)} splits ({', '.join(splits)}) without "
            "parting one. Add subjects, set a ratio to 0, or name another view."
        )
    for k, name in enumerate(classes):
        total, spread = int(counts[:, k].sum()), int((counts[:, k] > 0).sum())
        if name and (total == 1 or spread == 1):
            what = "one sample" if total == 1 else f"{total} samples, all in one group ({groups[counts[:, k] > 0][0]})"
            raise SplitError(
                f"view {view!r}: class {str(name)!r} has {what}; it cannot be in train and in test. Add samples "
                "of other subjects, or leave the class out by the label scheme."
            )


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


def official_view(index: pa.Table) -> pa.Table | None:
    """The corpus' own split, view `official` (from `extra["official_split"]`), or None where it publishes none.

    Raises `SplitError` if only some samples have one.
    """
    ids = index["sample_id"].to_pylist()
    splits = [dict(extra or ()).get("official_split") for extra in index["extra"].to_pylist()]
    known = sum(split is not None for split in splits)
    if known == 0:
        return None
    if known < len(ids):
        raise SplitError(f"view 'official': {len(ids) - known} of {len(ids)} samples have no official split")
    return _table("official", np.array(ids, dtype=object), np.array(splits, dtype=object))


def loso_views(index: pa.Table) -> pa.Table:
    """Leave one group out: for each group a view `loso-<group id>` with that group as test and all others as train.

    Raises `SplitError` for fewer than two groups.
    """
    ids = np.array(index["sample_id"].to_pylist(), dtype=object)
    group_of = np.array(index["group_id"].to_pylist(), dtype=object)
    groups = sorted(set(group_of))
    if len(groups) < 2:
        raise SplitError(f"leave-one-group-out needs at least 2 groups, the corpus has {len(groups)}")
    views = [
        _table(f"loso-{group}", ids, np.where(group_of == group, "test", "train").astype(object)) for group in groups
    ]
    return pa.concat_tables(views).combine_chunks()


def _table(view: str, ids: np.ndarray, splits: np.ndarray) -> pa.Table:
    """Rows sorted by sample id, so that a view does not depend on the order of the index."""
    order = np.argsort(ids.astype(str), kind="stable")
    columns = [
        pa.array([view] * len(ids), pa.string()),
        pa.array(ids[order].tolist(), pa.string()),
        pa.array(splits[order].tolist(), pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=SPLITS)

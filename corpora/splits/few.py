"""Few people in train: which n of its groups stay, so that every class that n groups can hold is held."""

from __future__ import annotations

import numpy as np

_AT_A_TIME = 3  # groups drawn at each step, of which the most fitting stays


def few_groups(counts: np.ndarray, learned: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """[G, K] samples of each group and stratum, [K] bool of the strata that are classes (others: genders, corpora),
    1 <= n <= G -> [n] the groups that stay, sorted.

    As many classes as any n groups hold are kept. Beyond that, groups are drawn one after another: of three drawn at
    random among those that add most classes, the one that brings shares of strata nearest to those of all groups. So n
    groups are a part of n + 1 from the same numbers of `rng`, unless a class can only be kept by others.
    """
    chosen = np.sort(_in_turn(counts.astype(np.float64), learned, n, rng))
    has = (counts > 0)[:, learned]
    reach = min(int(has.any(axis=0).sum()), int(np.sort(has.sum(axis=1))[::-1][:n].sum()))
    return chosen if has[chosen].any(axis=0).sum() == reach else _most_classes(has, n, chosen)


def _in_turn(counts: np.ndarray, learned: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """[n] groups in the order in which they are drawn."""
    wanted = counts.sum(axis=0) / max(counts.sum(), 1.0)
    held, left = np.zeros(counts.shape[1]), np.arange(len(counts))
    order: list[int] = []
    while len(order) < n:
        adds = ((counts[left] > 0) & (held == 0) & learned).sum(axis=1)
        best = left[adds == adds.max()]
        drawn = rng.permutation(best)[:_AT_A_TIME]
        after = held + counts[drawn]
        off = np.abs(after / np.maximum(after.sum(axis=1, keepdims=True), 1.0) - wanted).sum(axis=1)
        taken = int(drawn[off.argmin()])
        order.append(taken)
        held = held + counts[taken]
        left = left[left != taken]
    return np.array(order, np.int64)


def _most_classes(has: np.ndarray, n: int, chosen: np.ndarray) -> np.ndarray:
    """[G, K] bool, the n groups that were drawn -> the n groups that hold most classes, with as many of the drawn ones
    as can be: a maximum coverage problem, solved exactly."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    g, k = has.shape
    bonus = np.zeros(g)
    bonus[chosen] = 1.0 / (n + 1)  # all of them together weigh less than one class
    whole = np.concatenate([np.ones(g), np.zeros(k)])
    covered = np.hstack([has.T.astype(np.float64), -np.eye(k)])  # a class counts where a group that holds it stays
    done = milp(
        -np.concatenate([bonus, np.ones(k)]),
        constraints=[LinearConstraint(whole[None], n, n), LinearConstraint(covered, 0, np.inf)],
        bounds=Bounds(0, 1),
        integrality=np.ones(g + k),
    )
    if not done.success:
        raise RuntimeError(f"maximum coverage of {g} groups was not solved: {done.message}")
    return np.flatnonzero(done.x[:g] > 0.5)

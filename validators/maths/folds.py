"""Cross-fitting by group: who may judge whom, and halves of real data that share nobody.

A fold or a half never parts a group (a subject, a dialogue, a pixel hash): a judge that has heard a speaker knows more
about that speaker's other utterances than it will know about a stranger's.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from corpora.errors import UserError

Names = Sequence[str] | np.ndarray
_ATTEMPTS = 20  # shuffles tried until every class stands on both sides of every fold


def group_folds(groups: Names, labels: Names, k: int, seed: int) -> np.ndarray:
    """N groups and labels -> [N] int64 index of the fold that holds each sample out.

    Group-disjoint and class-stratified (scikit-learn's StratifiedGroupKFold, shuffled). Every class lies in at least
    two folds, so that whoever learns without one fold still meets every class. Fewer folds than `k` are made where
    there are not enough groups for more. An empty `groups` means that each sample is its own group.

    Raises `UserError` where there are fewer than 2 groups, or a class whose samples all lie in one group.
    """
    labels_ = np.asarray(labels, dtype=str)
    groups_ = _groups(groups, len(labels_))
    if k < 2:
        raise UserError(f"cross-fitting needs at least 2 folds, not {k}")
    n_groups = len(np.unique(groups_))
    if n_groups < 2:
        raise UserError(
            f"cross-fitting needs at least 2 groups in train; there are {n_groups} ({len(labels_)} samples). "
            "Add subjects, or choose a split view with more of them in train."
        )
    for name in np.unique(labels_):
        of_class = groups_[labels_ == name]
        if len(np.unique(of_class)) < 2:
            what = "one sample" if of_class.size == 1 else f"{of_class.size} samples of one group"
            raise UserError(
                f"class {str(name)!r} has only {what} in train ({of_class[0]}): no judge can learn it without them. "
                "Add samples of other groups, map the class to another label, or leave it out of the run."
            )
    for folds in range(min(k, n_groups), 1, -1):
        for attempt in range(_ATTEMPTS):
            folds_of_rows = _stratified(groups_, labels_, folds, seed + attempt)
            if folds_of_rows is not None:
                return folds_of_rows
    raise UserError(
        f"{n_groups} groups cannot be cut into 2 folds that both hold every class; add subjects, or leave out the "
        f"classes that few of them show: {', '.join(_rarest(groups_, labels_))}."
    )


def group_halves(groups: Names, labels: Names, repeats: int, seed: int) -> Iterator[np.ndarray]:
    """Yields `repeats` boolean masks [N]: a random half of the groups, stratified by each group's commonest class.

    The two halves (mask, ~mask) share no group; they differ by at most one group within each class. Raises `UserError`
    where there are fewer than 2 groups.
    """
    labels_ = np.asarray(labels, dtype=str)
    names, of_sample = np.unique(_groups(groups, len(labels_)), return_inverse=True)
    if len(names) < 2:
        raise UserError(f"two halves that share no group need at least 2 groups; there are {len(names)}.")
    classes, of_label = np.unique(labels_, return_inverse=True)
    counts = np.zeros((len(names), len(classes)), dtype=np.int64)
    np.add.at(counts, (of_sample, of_label), 1)
    commonest = counts.argmax(axis=1)
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        order = np.lexsort((rng.random(len(names)), commonest))
        in_a = np.zeros(len(names), dtype=bool)
        # Groups of one class stand together in `order`: every second one is a stratified half of them.
        in_a[order[rng.integers(2) :: 2]] = True
        yield in_a[of_sample]


def _groups(groups: Names, n: int) -> np.ndarray:
    if not len(groups):
        return np.asarray([f"#{i}" for i in range(n)], dtype=str)
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} samples")
    return np.asarray(groups, dtype=str)


def _stratified(groups: np.ndarray, labels: np.ndarray, k: int, seed: int) -> np.ndarray | None:
    """One attempt; None where a fold is empty or a class lies in a single fold."""
    from sklearn.model_selection import StratifiedGroupKFold

    fold = np.full(len(labels), -1, dtype=np.int64)
    if k > np.unique(labels, return_counts=True)[1].max():
        return None  # scikit-learn refuses more folds than the largest class has samples
    splitter = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # It warns where a class has fewer samples than folds; the check below asks what really matters.
        warnings.simplefilter("ignore", UserWarning)
        parts = list(splitter.split(labels, labels, groups))
    for index, (_, held_out) in enumerate(parts):
        if held_out.size == 0:
            return None
        fold[held_out] = index
    if any(len(np.unique(fold[labels == name])) < 2 for name in np.unique(labels)):
        return None
    return fold


def _rarest(groups: np.ndarray, labels: np.ndarray) -> list[str]:
    spread = {str(name): len(np.unique(groups[labels == name])) for name in np.unique(labels)}
    return [f"{name} ({n} groups)" for name, n in sorted(spread.items(), key=lambda item: (item[1], item[0]))[:3]]

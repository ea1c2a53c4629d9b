"""Long-tailed train sets: class sizes that fall exponentially, as prunes of one view."""

from __future__ import annotations

import math
from collections.abc import Mapping

from corpora.errors import SplitError
from corpora.splits.views import Prune

_DECIMALS = 5  # of a percentage in the name of a view


def long_tail(classes_by_count: Mapping[str, int], ratio: float, *, groups: bool = False) -> tuple[Prune, ...]:
    """Class -> samples in train -> prunes, after which the K classes, from the largest to the smallest (equal ones by
    name), have n, n / r, ... n / ratio samples, r = ratio^(1 / (K - 1)): the long-tailed protocol of Cui et al. 2019
    (arXiv:1901.05555, section 5.1), with the largest n that the classes as they are allow. What stays whole is not
    listed. `groups`: whole groups lose a class (then sizes are near, not exact).

    Raises `SplitError`: fewer than two classes, a class without samples, a ratio below 1 or so high that the smallest
    class would vanish.
    """
    if len(classes_by_count) < 2 or min(classes_by_count.values()) < 1:
        raise SplitError(f"a long tail needs two classes that have samples; train has {dict(classes_by_count)}")
    if not (math.isfinite(ratio) and ratio >= 1):
        raise SplitError(f"the imbalance ratio of a long tail is {ratio}; it must be a number of at least 1")
    ordered = sorted(classes_by_count, key=lambda name: (-classes_by_count[name], name))
    fall = [ratio ** (i / (len(ordered) - 1)) for i in range(len(ordered))]
    most = min(classes_by_count[name] * by for name, by in zip(ordered, fall, strict=True))
    if round(most / ratio) < 1:
        raise SplitError(
            f"a long tail of ratio {ratio:g} from {most:g} samples leaves {most / ratio:.2g} of {ordered[-1]!r}; "
            "take a lower ratio"
        )
    prunes = []
    for name, by in zip(ordered, fall, strict=True):
        have = classes_by_count[name]
        wanted = round(most / by)
        if wanted < have:
            prunes.append(Prune(name, _percent(wanted, have), groups))
    return tuple(prunes)


def _percent(wanted: int, have: int) -> float:
    """The shortest percentage that leaves `wanted` of `have` samples."""
    for decimals in range(_DECIMALS):
        percent = round(100 * wanted / have, decimals)
        if percent > 0 and max(1, round(have * percent / 100)) == wanted:
            return percent
    return round(100 * wanted / have, _DECIMALS)

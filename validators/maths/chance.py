"""Do judges tell the classes of real people better than chance? Where they do not, they have no say in candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from validators.maths.intervals import wilson_interval

UNJUDGED = "cannot be judged"  # how the reason of a class begins that judges do not tell on real people


def unheard(real: Mapping[str, np.ndarray]) -> dict[str, str]:
    """class -> [n] bool, whether judges that had not met the person name the class of a real sample -> class -> why
    candidates of it cannot be judged: recall of real people that is not above chance (1 / number of classes) by its
    95 % interval (Wilson); every class, where that holds for all together, as of judges who always say the same.
    """
    if not real:
        return {}
    chance = 1.0 / len(real)
    known = {name: np.asarray(v, dtype=bool) for name, v in real.items() if len(v)}
    whys = {name: f"{UNJUDGED}: no real sample of {name} was heard by judges" for name in real if name not in known}
    if not known:
        return whys
    if not above_chance(known, chance):
        floor, n = float(np.mean([v.mean() for v in known.values()])), sum(map(len, known.values()))
        why = f"{UNJUDGED}: judges find {floor:.2f} of {n} real samples of all classes, chance is {chance:.2f}"
        return dict.fromkeys(real, why)
    for name, v in known.items():
        if wilson_interval(float(v.sum()), len(v))[0] <= chance:
            whys[name] = (
                f"{UNJUDGED}: judges name {name} in {int(v.sum())} of {len(v)} real samples of it "
                f"({v.mean():.2f}, chance is {chance:.2f})"
            )
    return whys


def above_chance(real: Mapping[str, np.ndarray], chance: float) -> bool:
    """class -> [n] bool, n >= 1 -> whether the 95 % interval of the mean recall lies above `chance`."""
    mean = float(np.mean([np.mean(v) for v in real.values()]))
    return interval_of_mean(mean, [len(v) for v in real.values()])[0] > chance


def interval_of_mean(mean: float, sizes: Sequence[int]) -> tuple[float, float]:
    """95 % interval (Wilson) of a mean of K proportions of samples of these sizes, at the effective size
    K^2 / sum of 1 / n: the variance of such a mean, with the mean in place of each proportion."""
    effective = len(sizes) ** 2 / sum(1.0 / n for n in sizes)
    return wilson_interval(min(mean, 1.0) * effective, effective)

"""Arms that were tried on the way (docs/experiments/effects.md), kept or not. By name: `--arms "spread 1"`."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np

from benchmarks.effects.arms import ARMS, Arm, Cell, TrainSet, fill, with_real
from generators.effects import class_effects
from training.seeds import derive_seed

LOGISTIC = ("logistic",)


def amounts(cell: Cell, *, amount: float = 1.0, extra: float = 0.0, tau: float = 0.0) -> TrainSet:
    """Another weight of the added rows, and an adjustment by the prior that results."""
    kinds = LOGISTIC if tau else ("svm", "logistic")
    return with_real(cell, fill(cell, cell.effects(), amount=amount, extra=extra), tau=tau, kinds=kinds)


def total(cell: Cell, *, arm: Arm, share: float) -> TrainSet:
    """All weights times one number, so that they sum to `share` of the real rows: more or less regularisation."""
    train = arm(cell)
    train.w = train.w * (share * len(cell.y) / train.w.sum())
    train.kinds = LOGISTIC
    return train


def real_share(cell: Cell, *, share: float) -> TrainSet:
    """A share of the weight that is missing goes to the real rows of short classes, the rest to converted ones."""
    train = amounts(cell, amount=1.0 - share)
    lacks = (cell.counts.max() - cell.counts) * share / np.maximum(cell.counts, 1)
    train.w[: len(cell.y)] += lacks[cell.y]
    return train


def spread(cell: Cell, *, by: float, amount: float = 1.0, tau: float = 0.0) -> TrainSet:
    """Converted rows with noise of `by` posterior deviations."""
    effects = cell.effects()
    added = fill(cell, effects, amount=amount)
    rng = np.random.default_rng(derive_seed("spread", cell.seed))
    added.x = added.x + by * rng.normal(size=added.x.shape) * np.sqrt(effects.variance[added.y])
    return with_real(cell, added, tau=tau, kinds=LOGISTIC if tau else ("svm", "logistic"))


def normal_people(cell: Cell, *, by: float, extra: float = 0.0) -> TrainSet:
    """Copies whose subject's level is drawn from a normal of the spread of levels, times `by`."""
    effects = cell.effects()
    added = fill(cell, effects, extra=extra)
    plain = with_real(cell, added)
    level_of = np.concatenate([effects.level_of, effects.level_of[added.source]])
    centre = effects.levels.mean(axis=0)
    rng = np.random.default_rng(derive_seed("normal people", cell.seed))
    factors = rng.normal(size=(len(plain.y), len(effects.levels))) / np.sqrt(len(effects.levels) - 1)
    copies = plain.x - effects.levels[level_of] + centre + by * factors @ (effects.levels - centre)
    return TrainSet(np.concatenate([plain.x, copies]), np.tile(plain.y, 2), np.tile(plain.w / 2, 2))


def known_people(cell: Cell, *, least: int) -> TrainSet:
    """Subjects with fewer than `least` rows count as one, who is not known."""
    rows = Counter(cell.subjects)
    subjects = [s if s and rows[s] >= least else None for s in cell.subjects]
    return with_real(cell, fill(cell, class_effects(cell.x, cell.y, subjects, cell.n_classes)))


ATTEMPTS: dict[str, Arm] = {
    **{f"weight {a}": partial(amounts, amount=a) for a in (0.25, 0.5, 0.75)},
    **{f"weight {a}, tau 1": partial(amounts, amount=a, tau=1.0) for a in (0.05, 0.1, 0.25, 0.5, 0.75)},
    **{f"weight {a}, tau 0.5": partial(amounts, amount=a, tau=0.5) for a in (0.1, 0.25, 0.5)},
    **{f"extra {e}": partial(amounts, extra=e) for e in (0.3, 1.0, 3.0)},
    **{f"real share {s}": partial(real_share, share=s) for s in (0.1, 0.3, 0.6)},
    **{f"spread {s}": partial(spread, by=s) for s in (0.5, 1.0, 1.5)},
    "spread 1, weight 0.1, tau 1": partial(spread, by=1.0, amount=0.1, tau=1.0),
    **{f"normal people {s}": partial(normal_people, by=s) for s in (1.0, 1.5, 2.0)},
    "extra 0.5, normal people 1.5": partial(normal_people, by=1.5, extra=0.5),
    **{f"people with {n} rows": partial(known_people, least=n) for n in (5, 15, 1_000_000)},
    **{
        f"{name}, total {share}": partial(total, arm=ARMS[name], share=share)
        for name in ("fill", "oracle + fill", "class weights", "logit adjustment", "shared, all")
        for share in (1.0, 0.5, 0.25)
    },
    **{
        f"extra {e}, total {share}": partial(total, arm=partial(amounts, extra=e), share=share)
        for e, share in ((1.0, 1.0), (1.0, 0.5), (3.0, 1.0), (3.0, 0.5))
    },
    **{
        f"weight {a} + {e}, tau 1, total 1": partial(total, arm=partial(amounts, amount=a, extra=e, tau=1.0), share=1.0)
        for a, e in ((0.25, 1.0), (0.1, 3.0))
    },
    **{
        f"a tenth + 0.3, adjusted, total {share}": partial(
            total, arm=partial(amounts, amount=0.1, extra=0.3, tau=1.0), share=share
        )
        for share in (0.5, 0.25)
    },
}

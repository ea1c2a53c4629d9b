"""Arms that add nothing but real rows: what was pruned given back, and the two ends of the clean gap.

Where other classes are short too, an arm that fills every class gains from them, and that would count as skill at the
pruned one. So both ends of the gap have them filled, by `transfer` on features with one light row of every source:
`fill` and `oracle + fill`.
"""

from __future__ import annotations

import numpy as np

from corpora.errors import UserError
from flows.stages.study.generated import Generated
from flows.stages.study.train import Added, TrainView, joined, nothing
from flows.studying import Arm
from generators.draws.balance import Budget, share

WEIGHTED = Arm(method="transfer", by="weight")  # here, because the code of this file names the cells of `fill`


def oracle(view: TrainView) -> Added:
    """The real rows that the condition took from train."""
    if not len(view.gone):
        raise UserError("nothing was taken from train, so nothing can be given back")
    return Added(view.scaled(view.rows.x[view.gone]), view.labels(view.gone))


def fill(view: TrainView, generated: Generated) -> Added:
    """Short classes but the pruned one, filled up to the largest."""
    lacks = {k: n for k, n in view.lacks().items() if k != view.pruned}
    return generated.added(WEIGHTED, lacks) if lacks else nothing(view)


def oracle_fill(view: TrainView, generated: Generated) -> Added:
    """What was pruned given back, and the other short classes filled as `fill` does."""
    return joined([oracle(view), fill(view, generated)])


def true_effect(view: TrainView, lacks: dict[int, int]) -> Added:
    """`transfer` whose class means are those of all real rows, pruned ones too: one light row of every sample of other
    classes, moved by the difference of the two class means after each subject's own level was taken out. A bound on
    what a better estimate of the effect could bring, and no method: it has seen what was taken away."""
    from generators.effects import centre_by_subject

    if not len(view.gone):
        raise UserError("nothing was taken from train, so its true effect is the one that is there")
    rows = np.concatenate([view.train, view.gone])
    x, y = view.scaled(view.rows.x[rows]), view.labels(rows)
    subjects = [view.rows.facts[i].subject for i in rows]
    present = np.unique(y)
    place = {int(k): n for n, k in enumerate(present)}
    centred = centre_by_subject(x, np.array([place[int(k)] for k in y]), subjects, len(present))
    means = {int(k): centred[y == k].mean(axis=0) for k in present}
    parts, labels, weights = [], [], []
    for k, n in sorted(lacks.items()):
        sources = view.rng("true effect", k).permutation(np.flatnonzero(view.y != k))
        chosen = sources[: Budget(spread=WEIGHTED.spread).served(n, len(sources))]
        parts.append(np.stack([view.x[i] + means[k] - means[int(view.y[i])] for i in chosen]))
        labels.append(np.full(len(chosen), k, np.int64))
        weights.append(np.full(len(chosen), share(n, len(chosen))))
    if not parts:
        return nothing(view)
    return Added(np.concatenate(parts), np.concatenate(labels), weights=np.concatenate(weights))

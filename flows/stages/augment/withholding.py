"""Classes that are given up once everything is drawn: judges who know real people do not recognise their candidates.

What passed the gate agrees with the judges by construction, so a class that is hardly ever hit still fills up in time,
with what the judges happened to take for it. `evaluate` says `conditions` fails of such a class, and the whole release
is refused for it. With `rounds.not_honoured: withhold` the class keeps its real samples alone, and the others, which
are what was asked for, are released.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from corpora.errors import ParamsError
from flows.engine.progress import progress
from flows.stages.augment.candidates import Candidate
from flows.stages.augment.gating import FittedGate
from flows.stages.augment.sampler import asked_emotion
from generators.draws.balance import Stop
from generators.draws.targets import Cell
from validators.gate import telling_gate
from validators.trials.conditions import agrees, not_honoured


def withhold(
    seen: Mapping[Cell, Sequence[Candidate]],
    gates: Mapping[str, FittedGate],
    classes: Sequence[str],
) -> dict[Cell, Stop]:
    """Marks what passed of such classes as not released; -> their cells, each with how it ended.

    The same judgement, from the same numbers, as the verdict `conditions` of `evaluate`: every candidate of a class
    whatever its corpus or subject, before any gate. Mixtures are of no class and stay. Raises `ParamsError` where no
    gate tells classes.
    """
    name = telling_gate(gates)
    if name is None:  # planning has refused it
        raise ParamsError("rounds.not_honoured is withhold, and no gate of the run tells classes")
    asked: dict[str, list[bool]] = {}
    for candidates in seen.values():
        for c in candidates:
            if emotion := asked_emotion(c.draw):
                asked.setdefault(emotion, []).append(agrees(c.values[name]))
    real = gates[name].gate.reference()
    heard = {c: np.array([agrees(float(v)) for v in real.get(c, ())], bool) for c in classes}
    failed = not_honoured({c: np.array(v, bool) for c, v in asked.items()}, heard)
    for emotion, estimate in failed.items():
        progress(
            f"augment: {emotion} is withheld: judges name {estimate.value:.0%} of {estimate.n_synthetic} candidates by "
            f"it, and {estimate.floor:.0%} of {estimate.n_real} real samples of people whom they had not met"
        )
    stops: dict[Cell, Stop] = {}
    for cell, candidates in seen.items():
        if cell.mixture or cell.emotion not in failed or not candidates:
            continue
        stops[cell] = "withheld"
        for c in candidates:
            if c.failed is None:
                c.surplus, c.place, c.weight = True, None, None
    return stops

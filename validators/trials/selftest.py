"""The gates test themselves: real people who were held out must get through, planted defects must not.

The quick form runs at every evaluation, on a few defects at the size of the held-out part, with the run's own data and
limits. Power and false alarms over many sets and sizes are measured by benchmarks/gate_power.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, rows_of, usable
from validators.embeddings.features import PLAIN
from validators.gate import Limit, admit, class_limits, gate_class, judge, measured_groups
from validators.maths.folds import group_folds
from validators.reference import MatchedGate
from validators.trials.defects import DEFECTS, Defect, Planted, as_candidates

QUICK = {  # one of each kind, at a strength that nobody would publish
    "speech": ("one class collapsed", "low-passed 1 kHz", "noisy 10 dB", "copies 5%", "not a number 5 %"),
    "face": ("one class collapsed", "blurred 2 px", "noisy 32 levels", "copies 5%", "constant 5 %"),
    "text": ("one class collapsed", "words repeated 5 %", "copies 5%", "not UTF-8 5 %"),
    "physio": ("one class collapsed", "noisy 0 dB", "copies 5%", "flat channel 5 %", "not a number 5 %"),
}
QUICK_SAMPLE_GATES = ("validity", "copies", "support")  # those that are fitted in no time
HELD_OUT = "none (real people held out)"
REJECTED = 0.8  # of planted rows: the sample gates have caught it
MOST, MOST_REST = 250, 3000  # samples that are held out and spoiled; that the gates learn from


@dataclass(frozen=True)
class Outcome:
    """What one set came to. caught: a set gate fails it, or the sample gates together reject at least 80 % of what is
    planted.

    rejected: share of the planted rows that the sample gates reject (of all rows where nothing is planted).
    """

    defect: str
    n: int
    caught: bool
    by: tuple[str, ...]  # gates that caught it
    undecided: tuple[str, ...]  # set gates that could not tell
    rejected: float

    def to_json(self) -> dict[str, Any]:
        """The fields, as evaluation.json holds them."""
        return asdict(self)


def outcome(
    name: str,
    planted: Planted,
    sample_gates: Mapping[str, tuple[Any, Mapping[str, float]]],
    set_gates: Mapping[str, tuple[Any, Limit]],
    *,
    seed: int,
) -> Outcome:
    """sample_gates: name -> (gate, class -> limit); set_gates: name -> (gate, limit). As in a run, of candidates that
    repeat each other the first is kept, and set gates measure what the sample gates let through; where they let nothing
    through, there is nothing to publish."""
    batch, rows = planted.batch, planted.planted
    passed = np.ones(len(batch), bool)
    by: list[str] = []
    for gate_name, (gate, limits) in sample_gates.items():
        at = np.asarray([limits.get(e, np.nan) for e in batch.emotions])
        own = np.array(
            [bool(admit(np.array([v]), x, gate.better)[0]) for v, x in zip(gate.score(batch), at, strict=True)]
        )
        if rows.any() and (~own[rows]).mean() >= REJECTED:
            by.append(gate_name)
        passed &= own
    if "copies" in sample_gates:
        gate, limits = sample_gates["copies"]
        repeats = np.zeros(len(batch), bool)
        for i, j in gate.near_pairs(batch, max(limits.values())):
            repeats[j] |= not repeats[i]
        if rows.any() and repeats[rows].mean() >= REJECTED and "copies" not in by:
            by.append("copies")
        passed &= ~repeats
    rejected = float((~passed[rows]).mean()) if rows.any() else float((~passed).mean())
    undecided = []
    kept = rows_of(batch, passed)
    for gate_name, (gate, limit) in set_gates.items():
        verdicts = {
            judge(estimate, limit=limit.resolve_floor(estimate), min_n=gate.min_n, better=gate.better)[0]
            for estimate in measured_groups(gate, kept, seed=seed).values()
        }
        if "fail" in verdicts:
            by.append(gate_name)
        elif "pass" not in verdicts:
            undecided.append(gate_name)
    caught = bool(by) or (bool(rows.any()) and rejected >= REJECTED)
    return Outcome(name, len(batch), caught, tuple(by), tuple(undecided), rejected)


@dataclass(frozen=True)
class SelfTest:
    """What came of planted defects; none, and the reason, where there is nobody to hold out. left_out: sample gates
    that could not be fitted on what is left of train, and why."""

    outcomes: tuple[Outcome, ...]
    why_not: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As evaluation.json holds it: outcomes, why_not, left_out."""
        outcomes = [o.to_json() for o in self.outcomes]
        return {"outcomes": outcomes, "why_not": self.why_not, "left_out": dict(self.left_out)}


def quick(
    train: Batch,
    *,
    classes: Sequence[str],
    sample_gates: Mapping[str, tuple[Mapping[str, Any], Limit]],
    set_gates: Mapping[str, tuple[Mapping[str, Any], Limit]],
    seed: int,
) -> SelfTest:
    """A quarter of the train groups is held out, spoiled, and judged by gates fitted on the rest.

    sample_gates, set_gates: name -> (params, limit) as the run has them. Of sample gates only those of
    `QUICK_SAMPLE_GATES` take part; set gates compare in hand-made features: no network is trained.
    """
    train = rows_of(train, usable(train) & np.isin(np.asarray(train.emotions, dtype=str), classes))
    rng = np.random.default_rng(seed)
    try:
        fold = group_folds(train.groups, train.emotions, 4, seed)
        rest, held_out = (_some(rows_of(train, m), n, rng) for m, n in ((fold != 0, MOST_REST), (fold == 0, MOST)))
        sample: dict[str, tuple[Any, Mapping[str, float]]] = {}
        left_out: dict[str, str] = {}
        for name in (n for n in QUICK_SAMPLE_GATES if n in sample_gates):
            params, limit = sample_gates[name]
            try:
                gate = gate_class(name).fit(
                    rest, classes=classes, known_sha256=frozenset(rest.sha256), params=params, seed=seed
                )
            except UserError as error:  # three quarters of a small train may be too few for folds of their own
                left_out[name] = str(error)
                continue
            sample[name] = (gate, class_limits(gate, limit, classes)[0])
        sets: dict[str, tuple[Any, Limit]] = {}
        for name, (params, limit) in set_gates.items():
            kind = gate_class(name)
            plain = {**params, "embedding": PLAIN[train.modality]} if issubclass(kind, MatchedGate) else params
            sets[name] = (kind.fit(rest, None, classes=classes, params=plain, seed=seed), limit)
    except UserError as error:
        return SelfTest((), str(error))
    chosen = [d for d in DEFECTS[train.modality] if d.name in QUICK[train.modality]]
    none = Defect(HELD_OUT, "set", lambda real, _, __: Planted(as_candidates(real), np.zeros(len(real), bool)))
    return SelfTest(
        tuple(outcome(d.name, d.plant(held_out, rest, rng), sample, sets, seed=seed) for d in (none, *chosen)),
        left_out=left_out,
    )


def _some(batch: Batch, n: int, rng: np.random.Generator) -> Batch:
    return batch if len(batch) <= n else rows_of(batch, np.sort(rng.permutation(len(batch))[:n]))

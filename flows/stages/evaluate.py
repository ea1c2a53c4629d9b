"""The stage `evaluate`: verdicts on the whole set, whether conditions were honoured, what it is worth to a classifier.

A verdict fails nothing here: only `release` acts on it. Writes data/runs/<run>/evaluation/ (verdicts.parquet,
conditions.json, uplift.json, alarms.json, curves.json) and data/runs/<run>/metrics.json for `dvc metrics`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.store.atomic import write_json
from flows.artifacts.augmented import Augmented, Balance
from flows.artifacts.evaluated import ClassConditions, Conditions, Evaluated, Uplift, VerdictRow, uplift_of
from flows.artifacts.prepared import Prepared, Summary
from flows.engine.progress import progress
from flows.params import Machine
from flows.paths import Layout
from flows.stages.augment.batches import batch_from_table
from flows.stages.augment.gating import form_of, gate_seed, reference_batch
from flows.stages.plan.plans import EvaluatePlan
from flows.stages.plan.weights import require_planned
from flows.stages.truth import copy_distances, truth_of
from validators.gate import Batch, Better, Estimate, Limit, gate_class, judge, measured_groups
from validators.maths.intervals import wilson_interval
from validators.reference import no_number
from validators.trials.alarms import Alarm, batch_alarms
from validators.trials.conditions import MIN_N, MIN_N_CLASS, agrees, honoured, honoured_by_class, unheard
from validators.trials.curves import Truth
from validators.trials.downstream import uplift
from validators.trials.selftest import SelfTest, quick

CONDITIONS = "conditions"  # the name under which verdicts say whether conditions were honoured
RealScores = Mapping[str, Sequence[float | None]]  # class -> scores of real samples


class Measured(NamedTuple):
    """Who measured a number, and how it is judged."""

    name: str
    unit: str
    judge: str
    min_n: int
    better: Better


def run(plan: EvaluatePlan, layout: Layout, machine: Machine) -> None:
    """Raises `IntegrityError` (weights that are not those of the plan, a damaged file), `UserError` (data of which
    nothing can be measured)."""
    folder = layout.run(plan.run)
    prepared, augmented = Prepared.open(folder / "prepared"), Augmented.open(folder / "augmented")
    summary, balance = prepared.summary(), augmented.balance()
    verdicts: list[VerdictRow] = []
    by_class: Conditions = {}
    trials: tuple[SelfTest, Uplift] | None = None
    alarms: tuple[Alarm, ...] | None = None
    truth: Truth | None = None
    if summary.representation is not None:  # else: nothing synthetic to judge
        drawn = augmented.index()
        of_a_class = drawn.filter(pc.is_valid(drawn.column("emotion")))  # a mixture is compared with no class
        synthetic = batch_from_table(augmented.path, of_a_class, form_of(summary))
        train, dev = (reference_batch(prepared, summary, split) for split in ("train", "dev"))
        if of_a_class.num_rows:  # of nothing there is nothing to say
            verdicts += set_verdicts(plan, train, dev, synthetic, summary.classes)
        tested = self_test(plan, train, summary.classes)
        scores = augmented.scores()
        if plan.class_gate is not None:
            of_gate = scores.filter(pc.equal(scores.column("gate"), plan.class_gate))
            real = augmented.reference().get(plan.class_gate, {})
            by_class = conditions_honoured(of_gate, summary.classes, real)
            verdicts += conditions_verdict(of_gate, summary.classes, real, withheld=withheld(balance))
        verdicts += unsaid(balance, scores)
        trials = tested, _uplift(plan, prepared, summary, train, synthetic)
        progress("evaluate: alarms, and what was asked for against what is judged")
        if of_a_class.num_rows:
            alarms = batch_alarms(
                train,
                synthetic,
                classes=summary.classes,
                seed=gate_seed(plan, "alarms"),
                distances=copy_distances(scores, augmented.reference(), plan.sample_gates),
            )
        truth = truth_of(plan, augmented, train, form_of(summary), summary.classes, gate_seed(plan, "truth"))
    with Evaluated.written(folder / "evaluation") as out:
        out.write_verdicts(verdicts)
        out.write_conditions(by_class)
        if trials is not None:
            out.write_trials(*trials)
        if alarms is not None:
            out.write_alarms(alarms)
        if truth is not None:
            out.write_truth(truth)
    write_json(folder / "metrics.json", metrics(balance, verdicts, None if trials is None else trials[1]))


def _uplift(plan: EvaluatePlan, prepared: Prepared, summary: Summary, train: Batch, synthetic: Batch) -> Uplift:
    """`train`: what gates compare with, which of vectors is what a training loop reads."""
    progress("evaluate: training classifiers on real, weighted and augmented data")
    measured = uplift(
        train if form_of(summary).layout == "vector" else split_batch(prepared, summary, "train"),
        synthetic,
        split_batch(prepared, summary, "test"),
        classes=summary.classes,
        seed=gate_seed(plan, "uplift"),
        n_bootstrap=plan.evaluation.bootstrap,
    )
    return uplift_of(measured)


def split_batch(prepared: Prepared, summary: Summary, split: str) -> Batch:
    """Real samples of a split, harmonised, as a training loop would read them from the release: of features without a
    way back, the vectors."""
    form = form_of(summary)
    if form.layout == "vector":
        return reference_batch(prepared, summary, split)
    return batch_from_table(prepared.path, prepared.of_split(split), form)


def set_verdicts(
    plan: EvaluatePlan, train: Batch, dev: Batch, synthetic: Batch, classes: Sequence[str]
) -> list[VerdictRow]:
    """One row for each set gate over all classes pooled, and one for each class that it looks at."""
    rows: list[VerdictRow] = []
    require_planned(plan.gates)
    shared = gate_seed(plan, "reference")  # one seed: gates of one embedding share it, and the folds it was fitted on
    for name, planned in plan.gates.items():
        progress(f"evaluate: measuring {name}")
        gate = gate_class(name).fit(train, dev, classes=classes, params=planned.params, seed=shared)
        about = Measured(name, gate.unit, gate.judge, gate.min_n, gate.better)
        groups = measured_groups(gate, synthetic, seed=gate_seed(plan, name))
        rows += [_verdict(about, group, estimate, planned.limit) for group, estimate in groups.items()]
    return rows


def self_test(plan: EvaluatePlan, train: Batch, classes: Sequence[str]) -> SelfTest:
    """Can the gates of this run see planted defects in this corpus, and do real people pass them?"""
    progress("evaluate: testing the gates themselves on held-out people and planted defects")
    sample, sets = (
        {name: (gate.params, gate.limit) for name, gate in gates.items()} for gates in (plan.sample_gates, plan.gates)
    )
    return quick(train, classes=classes, sample_gates=sample, set_gates=sets, seed=gate_seed(plan, "selftest"))


def withheld(balance: Balance) -> frozenset[str]:
    """Classes of which nothing is released, since their candidates were not what was asked for."""
    return frozenset(tally.emotion for tally in balance.classes if tally.stopped == "withheld")


def conditions_verdict(
    scores: pa.Table, classes: Sequence[str], real: RealScores, *, withheld: Container[str] = ()
) -> list[VerdictRow]:
    """The judges' recall over every candidate drawn: of all classes together, and one row for each that was drawn.

    scores: SCORES of the gate that tells classes; real: what it gives real samples, by judges that never saw their
    group. withheld: classes that are not in the release; a verdict is on what is, so they have no row and no share in
    that of all. Their intervals count in Bonferroni's number all the same: nobody else fails because they are gone.
    Empty where nothing was scored or everything is withheld.
    """
    asked = _asked(scores, classes)
    every = {c: v for c, v in asked.items() if v.size}
    drawn = {c: v for c, v in every.items() if c not in withheld}
    if not drawn:
        return []
    judged = str(scores["judge"][0].as_py())
    heard = {c: np.array([agrees(v) for v in real.get(c, [])], bool) for c in classes}
    estimate, limit = honoured(drawn, heard)
    deaf = [c for c in unheard(heard) if c in drawn] if not estimate.reason else []
    more = f"; {', '.join(deaf)} cannot be judged" if deaf else ""
    together = Measured(CONDITIONS, "UAR", judged, MIN_N, "higher")
    of_class = Measured(CONDITIONS, "recall", judged, MIN_N_CLASS, "higher")
    return [
        _verdict(together, "all", estimate, limit, more),
        *(_verdict(of_class, c, own, at) for c, (own, at) in honoured_by_class(every, heard).items() if c in drawn),
    ]


def _asked(scores: pa.Table, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Class -> [n] bool, whether judges name each candidate by it."""
    emotions, values = scores["emotion"].to_pylist(), scores["value"].to_pylist()
    return {c: np.array([agrees(v) for e, v in zip(emotions, values, strict=True) if e == c], bool) for c in classes}


def unsaid(balance: Balance, scores: pa.Table) -> list[VerdictRow]:
    """A row for each sample gate and class in which the gate had no say, of classes that were drawn:
    it accepted whatever it could score, and the release has to say so."""
    rows, gone = [], withheld(balance)
    for name, by_class in balance.undecided.items():
        of_gate = scores.filter(pc.equal(scores.column("gate"), name))
        for emotion, why in by_class.items():
            if emotion in gone:
                continue
            own = of_gate.filter(pc.equal(of_gate.column("emotion"), emotion))
            if not own.num_rows:
                continue
            kind = gate_class(name)
            about = Measured(name, kind.unit, own["judge"][0].as_py(), 0, kind.better)
            estimate = no_number(0, own.num_rows, why, "reference")
            rows.append(_verdict(about, emotion, estimate, Limit(absolute=math.nan)))
    return rows


def _verdict(about: Measured, group: str, estimate: Estimate, limit: Limit, more: str = "") -> VerdictRow:
    """`more`: is added to the reason."""
    at = limit.resolve_floor(estimate)
    verdict, reason = judge(estimate, limit=at, min_n=about.min_n, better=about.better)
    return VerdictRow(
        gate=about.name,
        group=group,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        floor=estimate.floor,
        limit=at,
        n_real=estimate.n_real,
        n_synthetic=estimate.n_synthetic,
        unit=about.unit,
        judge=about.judge,
        verdict=verdict,
        reason=reason + more,
    )


def conditions_honoured(scores: pa.Table, classes: Sequence[str], real: RealScores) -> Conditions:
    """Class -> how often judges that saw only real data name the class that was asked for, over every candidate drawn.

    Before any gate: what passed the gate agrees by construction. scores, real: as `conditions_verdict`; `real` is the
    yardstick.
    """
    by_class: Conditions = {}
    deaf = unheard({c: np.array([agrees(v) for v in real.get(c, [])], bool) for c in classes})
    for emotion, values in _asked(scores, classes).items():
        yardstick = [agrees(v) for v in real.get(emotion, [])]
        if values.size:
            hits = int(values.sum())
            low, high = wilson_interval(hits, values.size)
            by_class[emotion] = ClassConditions(
                recall_synthetic=hits / values.size,
                low=low,
                high=high,
                n=values.size,
                recall_real=sum(yardstick) / len(yardstick) if yardstick else None,
                n_real=len(yardstick),
                cannot_be_judged=deaf.get(emotion, ""),
            )
    return by_class


def metrics(balance: Balance, verdicts: Sequence[VerdictRow], worth: Uplift | None) -> dict[str, int | float | None]:
    """Flat numbers for `dvc metrics show` and `diff`."""
    rows = balance.classes
    candidates, passed = sum(r.candidates for r in rows), sum(r.passed for r in rows)
    flat: dict[str, int | float | None] = {
        "accepted": sum(r.accepted for r in rows),
        "effective": sum(r.effective for r in rows),
        "acceptance": round(passed / candidates, 6) if candidates else None,
        "classes_unfilled": sum(not r.filled for r in rows),
    }
    for row in verdicts:
        if row.group == "all":
            flat[row.gate] = round(row.value, 6) if math.isfinite(row.value) else None
            flat[f"{row.gate}_floor"] = round(row.floor, 6) if math.isfinite(row.floor) else None
    if worth is not None:
        for arm in worth.arms:
            flat["uar_" + re.sub(r"[^a-z]+", "_", arm.arm.replace("+", "and"))] = round(arm.uar, 6)
        flat["uar_difference"] = round(worth.difference.value, 6)
    return flat

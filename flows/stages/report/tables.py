"""Tables, figures and sentences of the report about what was drawn, and how it was judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flows.artifacts.augmented import Balance, Chosen, ClassTally, GateCost
from flows.artifacts.evaluated import Arm, ClassConditions, Conditions, Interval, Uplift, VerdictRow
from flows.stages.report import figures
from flows.stages.report.data import RunFolder
from generators.draws.balance import STOPS
from validators.trials.selftest import HELD_OUT, Outcome, SelfTest

HONOURED_RATIO = 0.7  # lower bound of the recall on synthetic samples, as a share of the recall on real ones


def gate_table(verdicts: Sequence[VerdictRow] | None) -> list[VerdictRow]:
    """Verdicts ordered by gate, the pooled group first."""
    return sorted(verdicts or [], key=lambda v: (v.gate, v.group != "all", v.group))


@dataclass(frozen=True, slots=True)
class PlantedRow:
    """One set of the self-test. good: a defect was caught, or real people were not."""

    outcome: Outcome
    good: bool


@dataclass(frozen=True, slots=True)
class SelfTestTable:
    """why_not: why nothing was tested, "" where it was. left_out: gates that could not be, in a sentence."""

    rows: tuple[PlantedRow, ...]
    why_not: str
    left_out: str
    held_out: str = HELD_OUT


def selftest_table(selftest: SelfTest | None) -> SelfTestTable | None:
    """What the gates said of real people who were held out and of planted defects; None where nothing is synthetic."""
    if selftest is None:
        return None
    rows = tuple(PlantedRow(o, o.caught != (o.defect == HELD_OUT)) for o in selftest.outcomes)
    left_out = "; ".join(f"{gate} was left out: {why}" for gate, why in selftest.left_out.items())
    return SelfTestTable(rows, selftest.why_not, left_out)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """Candidates of one class and what a gate said of them. share: passed of all; unscored: without a number."""

    emotion: str
    candidates: int
    passed: int
    share: float
    unscored: int
    median: float
    limit: float | None


@dataclass(frozen=True, slots=True)
class GateScores:
    """One sample gate. side: which side of the limit passes, in words. figure: SVG."""

    gate: str
    rows: tuple[ScoreRow, ...]
    judges: tuple[str, ...]
    side: str
    figure: str


def histograms(data: RunFolder) -> list[GateScores]:
    """One entry a sample gate: a figure, and a row for each class with candidates, passed and limit."""
    if data.scores is None or data.scores.num_rows == 0:
        return []
    columns = {name: np.asarray(data.scores[name].to_pylist(), dtype=object) for name in ("gate", "emotion", "judge")}
    values, limits = (_numbers(data.scores[name].to_pylist()) for name in ("value", "limit"))
    passed = np.array(data.scores["passed"].to_pylist(), dtype=bool)
    entries = []
    for gate in dict.fromkeys(columns["gate"]):
        of_gate = columns["gate"] == gate
        chosen = {c: of_gate & (columns["emotion"] == c) for c in data.classes}
        chosen = {c: rows for c, rows in chosen.items() if rows.any()}
        if not chosen:
            continue
        limit_of = {c: _last_finite(limits[rows]) for c, rows in chosen.items()}
        scores = {c: (values[rows], passed[rows]) for c, rows in chosen.items()}
        figure = figures.score_histograms(str(gate), scores, limit_of, _real_scores(data, str(gate)))
        entries.append(
            GateScores(
                gate=str(gate),
                rows=tuple(_score_row(c, *scores[c], limit_of[c]) for c in chosen),
                judges=tuple(sorted({str(j) for j in columns["judge"][of_gate] if j is not None})),
                side=_side(values[of_gate], limits[of_gate], passed[of_gate]),
                figure=figure,
            )
        )
    return entries


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)


def _score_row(emotion: str, values: np.ndarray, passed: np.ndarray, limit: float | None) -> ScoreRow:
    finite = values[np.isfinite(values)]
    return ScoreRow(
        emotion=emotion,
        candidates=int(values.size),
        passed=int(passed.sum()),
        share=float(passed.mean()),
        unscored=int(values.size - finite.size),
        median=float(np.median(finite)) if finite.size else math.nan,
        limit=limit,
    )


@dataclass(frozen=True, slots=True)
class GateShare:
    """rejected: share of the draws that one gate rejects, whatever the others say. draws: how many more draws an
    accepted sample takes because of it alone; None where it is not known."""

    rejected: float | None = None
    draws: float | None = None


@dataclass(frozen=True, slots=True)
class CostRow:
    """What an accepted sample of a class costs. of_gates: one entry for each of the table's gates."""

    emotion: str
    acceptance: float | None
    draws: float | None
    stopped: str
    of_gates: tuple[GateShare, ...]


@dataclass(frozen=True, slots=True)
class CostTable:
    """chosen: how released samples were chosen among those that passed."""

    gates: tuple[str, ...]
    rows: tuple[CostRow, ...]
    chosen: Chosen


def cost_table(balance: Balance | None) -> CostTable | None:
    """What an accepted sample of each class and mixture costs in draws, and how much of that is due to each gate; None
    where nothing was drawn."""
    tallies = [tally for tally in (balance.every if balance else ()) if tally.gates]
    if balance is None or not tallies:
        return None
    gates = tuple(dict.fromkeys(gate for tally in tallies for gate in tally.gates))
    rows = tuple(
        CostRow(
            emotion=tally.named,
            acceptance=tally.acceptance,
            draws=tally.draws_per_accepted,
            stopped=STOPS.get(tally.stopped, tally.stopped),
            of_gates=tuple(_gate_share(tally.gates.get(gate), tally) for gate in gates),
        )
        for tally in tallies
    )
    return CostTable(gates, rows, balance.chosen)


def _gate_share(cost: GateCost | None, tally: ClassTally) -> GateShare:
    if cost is None or not tally.candidates:
        return GateShare()
    return GateShare(cost.refused / tally.candidates, cost.draws_per_accepted)


def _real_scores(data: RunFolder, gate: str) -> dict[str, np.ndarray]:
    """Class -> finite scores of real samples by judges that never saw them; empty where the gate keeps none."""
    by_class = data.reference.get(gate) or {}
    return {c: np.array([v for v in values if v is not None], dtype=np.float64) for c, values in by_class.items()}


def _side(values: np.ndarray, limits: np.ndarray, passed: np.ndarray) -> str:
    """Which side of the limit passes, as the scores themselves show it; "" where they do not."""
    both = np.isfinite(values) & np.isfinite(limits) & (values != limits)
    below, above = passed[both & (values < limits)], passed[both & (values > limits)]
    if below.any() and not above.any():
        return "smaller is better: at most the limit"
    if above.any() and not below.any():
        return "larger is better: at least the limit"
    return ""


def _last_finite(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else None


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """One class. ratio: lower bound of the recall on synthetic samples over the recall on real ones, NaN where there is
    none. honoured: None where it cannot be said."""

    emotion: str
    measured: ClassConditions
    ratio: float
    honoured: bool | None


@dataclass(frozen=True, slots=True)
class ConditionsTable:
    """Recall of a judge by class, as rows and as a figure (SVG)."""

    rows: tuple[ConditionRow, ...]
    figure: str


def conditions_table(conditions: Conditions | None, classes: Sequence[str]) -> ConditionsTable | None:
    """Recall of a judge on synthetic samples of each class beside its recall on real ones."""
    if not conditions:
        return None
    rows, dots = [], []
    for emotion in [c for c in classes if c in conditions]:
        measured = conditions[emotion]
        real = measured.recall_real
        ratio = measured.low / real if real is not None and real > 0 else math.nan
        sayable = not measured.cannot_be_judged and math.isfinite(ratio)
        rows.append(ConditionRow(emotion, measured, ratio, ratio >= HONOURED_RATIO if sayable else None))
        dots.append(figures.Dot(emotion, "real, held out", real))
        dots.append(figures.Dot(emotion, "synthetic", measured.recall_synthetic, low=measured.low, high=measured.high))
    figure = figures.dot_plot(dots, label="recall of a classifier trained on real data", name="conditions")
    return ConditionsTable(tuple(rows), figure)


@dataclass(frozen=True, slots=True)
class UpliftTable:
    """The arms, and figures (SVG) of their UAR and of F1 by class; f1_figure: None where no class has one."""

    classifier: str
    n_test: int
    test_groups: int
    arms: tuple[Arm, ...]
    classes: tuple[str, ...]
    uar_figure: str
    f1_figure: str | None


def uplift_table(uplift: Uplift | None) -> UpliftTable | None:
    """How a plain classifier does with each arm; None where nothing was measured."""
    if uplift is None or not uplift.arms:
        return None
    uar = [
        figures.Dot(arm.arm, "UAR", arm.uar, arm.low, arm.high, highlight="synthetic" in arm.arm) for arm in uplift.arms
    ]
    by_class = [
        figures.Dot(emotion, arm.arm, score.f1, score.low, score.high)
        for arm in uplift.arms
        for emotion in uplift.classes
        if (score := arm.per_class.get(emotion)) is not None
    ]
    return UpliftTable(
        classifier=uplift.classifier,
        n_test=uplift.n_test,
        test_groups=uplift.test_groups,
        arms=uplift.arms,
        classes=tuple(sorted({c for arm in uplift.arms for c in arm.per_class})),
        uar_figure=figures.dot_plot(uar, label="UAR on real test groups, 95 % interval", name="uar"),
        f1_figure=figures.dot_plot(by_class, label="F1 on real test groups", name="f1") if by_class else None,
    )


def uplift_words(uplift: Uplift | None) -> str | None:
    """Win, loss or no difference, in one sentence with the numbers."""
    if uplift is None:
        return None
    if not uplift.n_synthetic:
        return "No synthetic sample of a class is in it, so there is nothing whose worth could be measured."
    against = _points(uplift.against_weighted)
    weighted = f" Against class weights: {against}." if against else ""
    gain, points = uplift.difference, _points(uplift.difference)
    if points is None or gain.low is None or gain.high is None or uplift.outcome == "undecided":
        return f"Whether it helps cannot be said from one test group.{weighted}"
    trained = "trained with the synthetic samples, the classifier does"
    if gain.low > 0:
        return f"Win: {trained} better on real test groups ({points}).{weighted}"
    if gain.high < 0:
        return f"Loss: {trained} worse on real test groups ({points}).{weighted}"
    return f"No difference that these test groups can show ({points}; the interval holds zero).{weighted}"


def _points(d: Interval) -> str | None:
    """A difference of UARs in points; None where its interval is not known."""
    if d.low is None or d.high is None:
        return None
    return f"{100 * d.value:+.1f} points of UAR, 95 % interval {100 * d.low:+.1f} to {100 * d.high:+.1f}"

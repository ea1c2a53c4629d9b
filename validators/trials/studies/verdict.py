"""The sentence of a study. In honest order: what it cannot tell, then what nothing beats, then what wins.

A win is a win over doing nothing, over class weights *and* over logit adjustment, each with an interval above 0 and
Holm's p below 0.05.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from validators.trials.studies.compare import Difference, Line
from validators.trials.studies.gap import Gap, Share, points
from validators.trials.studies.grid import Grid, Group
from validators.trials.studies.resampling import LEVEL
from validators.trials.studies.roles import Roles

# The signs of n people's differences reach p = 0.05 (two-sided) with 6 of 6, not with 5 of 5: with fewer, every claim
# rests on the shape of a distribution of which nothing is known.
FEWEST_PEOPLE = 6
METRIC = "uar"
SHOWN = 3  # arms without a rank that the sentence names
Outcome = Literal["win", "no win", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one group of conditions. arm: the winner, or the best candidate; "" where there is none. wins: classifiers
    with which it wins, of `classifiers`."""

    group: str
    outcome: Outcome
    sentence: str
    arm: str = ""
    wins: tuple[str, ...] = ()
    classifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What verdicts are drawn from; n_bootstrap: resamples behind it."""

    lines: Sequence[Line]
    differences: Sequence[Difference]
    gaps: Sequence[Gap]
    shares: Sequence[Share]
    n_bootstrap: int


def verdicts(grid: Grid, roles: Roles, evidence: Evidence) -> tuple[Verdict, ...]:
    """One a group, in the order of `Grid.groups`: the first is the study's."""
    return tuple(_of_group(grid, roles, evidence, group) for group in grid.groups)


def is_win(difference: Difference) -> bool:
    """Whether one difference is one: complete, interval above 0, Holm's p below 0.05."""
    return difference.complete and difference.difference.above and difference.p_holm < LEVEL


def applicable(grid: Grid, roles: Roles, classifier: int, group: Group) -> dict[str, str]:
    """baseline -> "" where it can be beaten, else why it cannot be compared. One whose cells are all impossible with
    this classifier ("no class weights") is left out: nobody can do better with it."""
    rows = {}
    for baseline in roles.baselines:
        if baseline not in grid.arms:
            rows[baseline] = f"no arm {baseline!r}"
            continue
        own = [int(p) for c in group.conditions for p in grid.place[grid.arms.index(baseline), classifier, c].ravel()]
        statuses = {grid.study.cells[p].status for p in own if p >= 0}
        if statuses == {"impossible"}:
            continue
        missing = grid.missing((baseline,), classifier, group.conditions)
        rows[baseline] = f"{baseline} lacks {missing.n} of {missing.expected} cells" if missing.n else ""
    return rows


def _of_group(grid: Grid, roles: Roles, evidence: Evidence, group: Group) -> Verdict:
    classifiers = grid.classifiers
    open_questions = _cannot_tell(grid, roles, evidence, group)
    if open_questions:
        return Verdict(group.name, "cannot tell", f"This study cannot tell: {open_questions}.", classifiers=classifiers)
    table = {
        (d.arm, d.classifier, d.baseline): d
        for d in evidence.differences
        if d.group == group.name and d.metric == METRIC
    }
    of = {name: list(applicable(grid, roles, n, group)) for n, name in enumerate(classifiers)}
    candidates = roles.candidates(grid.arms)
    margins = {
        (arm, name): min((table[arm, name, b] for b in of[name]), key=value_of)
        for arm in candidates
        for name in classifiers
    }
    complete = [arm for arm in candidates if all(margins[arm, name].complete for name in classifiers)]
    if not complete:
        why = "every arm that could win lacks cells" if candidates else "it has no arm beside baselines and oracles"
        return Verdict(group.name, "cannot tell", f"This study cannot tell: {why}.", classifiers=classifiers)
    wins = {
        arm: tuple(name for name in classifiers if all(is_win(table[arm, name, b]) for b in of[name]))
        for arm in complete
    }
    mean = {arm: sum(value_of(margins[arm, name]) for name in classifiers) / len(classifiers) for arm in complete}
    best = max(complete, key=lambda arm: (len(wins[arm]), mean[arm], arm))
    note = not_ranked(candidates, complete)
    if wins[best]:
        weakest = min((margins[best, name] for name in wins[best]), key=value_of)
        text = (
            f"{best} beats {named(weakest.baseline, roles)} by {points(weakest.difference)} points of UAR "
            f"({weakest.classifier}, Holm p {p_words(weakest.p_holm)}, {len(wins[best])} of {len(classifiers)} "
            "classifiers)"
            f"{_recovered(evidence.shares, best, weakest.classifier, group)}"
        )
        return Verdict(group.name, "win", f"{_upper(text)}.{note}", best, wins[best], classifiers)
    closed = _oracle_closed(evidence.gaps, roles, classifiers, group)
    if closed:
        return Verdict(group.name, "cannot tell", f"This study cannot tell: {closed}.{note}", best, (), classifiers)
    best = max(complete, key=lambda arm: (mean[arm], arm))
    nearest = max((margins[best, name] for name in classifiers), key=value_of)
    text = (
        f"Nothing beats {named(nearest.baseline, roles)}: the best arm, {best}, differs by "
        f"{points(nearest.difference)} points of UAR ({nearest.classifier}, Holm p {p_words(nearest.p_holm)})"
    )
    return Verdict(
        group.name, "no win", f"{text}.{_of_class(roles, complete, of, evidence, group)}{note}", best, (), classifiers
    )


def _cannot_tell(grid: Grid, roles: Roles, evidence: Evidence, group: Group) -> str:
    whole = grid.confusion
    n = len(whole.subjects)
    if n < FEWEST_PEOPLE:
        word = ("person" if n == 1 else "people") if whole.people_known else "split units"
        return f"{n} test {word}; fewer than {FEWEST_PEOPLE} cannot reach p = 0.05 by the signs of their differences"
    for classifier, name in enumerate(grid.classifiers):
        rows = applicable(grid, roles, classifier, group)
        if not rows:
            return f"every baseline is impossible with {name}"
        if reason := next((why for why in rows.values() if why), ""):
            return f"{reason} ({name})"
    family = sum(arm not in roles.yardsticks for arm in grid.arms) - 1
    if 2.0 / (evidence.n_bootstrap + 1) * family >= LEVEL:  # the smallest p of a bootstrap, corrected
        needed = int(2.0 * family / LEVEL)
        return (
            f"{evidence.n_bootstrap} resamples give no p below 0.05 with {family} arms; more than {needed} are needed"
        )
    for line in evidence.lines:
        own = line.group == group.name and line.metric == METRIC and line.arm == roles.nothing
        if own and not math.isfinite(line.score.low):
            return f"UAR of {line.arm} with {line.classifier} has no interval, {line.score.reason}"
    return ""


def _oracle_closed(gaps: Sequence[Gap], roles: Roles, classifiers: Sequence[str], group: Group) -> str:
    """What is said where even the oracle shows nothing with any classifier; "" where it does, or there is none."""
    own = [g for g in gaps if not g.clean and g.group == group.name and g.metric == METRIC]
    if not own or any(g.whole.above for g in own):
        return ""
    said = ", ".join(f"{points(g.whole)} with {g.classifier}" for g in own)
    return f"even {roles.oracle} differs from {roles.nothing} by no more than {said} points of UAR"


def _recovered(shares: Sequence[Share], arm: str, classifier: str, group: Group) -> str:
    own = {
        share.clean: share
        for share in shares
        if (share.arm, share.classifier, share.group, share.metric) == (arm, classifier, group.name, METRIC)
    }
    if not own:
        return ""
    clean = True in own
    share = own[clean].share
    word = "clean oracle gap" if clean else "oracle gap (plain: no arm fills the other classes)"
    if not math.isfinite(share.value):
        return f"; its share of the {word} is undefined ({share.reason})"
    low, high = share.low, share.high
    ends = f" [{100 * low:.0f}, {100 * high:.0f}]" if math.isfinite(low) else f" ({share.reason})"
    return f" and recovers {100 * share.value:.0f} %{ends} of the {word}"


def _of_class(
    roles: Roles, complete: Sequence[str], of: Mapping[str, Sequence[str]], evidence: Evidence, group: Group
) -> str:
    """What is won for the pruned class where UAR shows nothing: the arm and classifier with the largest difference in
    F1 that is a win over every baseline; "" where there is none."""
    if not group.of_class:
        return ""
    table = {
        (d.arm, d.classifier, d.baseline): d
        for d in evidence.differences
        if d.group == group.name and d.metric == "f1_pruned"
    }
    won = []
    for name in of:
        for arm in complete:
            own = [table[arm, name, baseline] for baseline in of[name]]
            if own and all(is_win(d) for d in own):
                won.append(min(own, key=value_of))
    if not won:
        return ""
    most = max(won, key=value_of)
    return (
        f" In F1 of the pruned class {most.arm} beats {named(most.baseline, roles)} by {points(most.difference)} "
        f"({most.classifier}, Holm p {p_words(most.p_holm)})."
    )


def not_ranked(candidates: Sequence[str], complete: Sequence[str]) -> str:
    """A sentence about the arms that lack cells, "" where none does."""
    lacking = [arm for arm in candidates if arm not in complete]
    if len(lacking) > SHOWN:
        return f" {len(lacking)} of {len(candidates)} arms are not ranked, since they lack cells."
    return f" Not ranked, since cells are missing: {', '.join(lacking)}." if lacking else ""


def value_of(difference: Difference) -> float:
    """By which differences are ranked: undefined ones last."""
    value = difference.difference.value
    return value if math.isfinite(value) else -math.inf


def named(baseline: str, roles: Roles) -> str:
    """A baseline as a sentence names it."""
    return "the train set as it is" if baseline == roles.nothing else baseline


def p_words(p: float) -> str:
    """Three digits below 0.1, else two."""
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]

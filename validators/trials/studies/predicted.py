"""Everything that a study of dimensions or labels says, from its tables alone.

The order of the sentence is that of classes (`verdict`): what it cannot tell, what wins, that nothing beats what is
there. A win is one over the train set as it is and, of labels, over class weights too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from validators.trials.studies.compare import Difference, Effect, Line, Record, effect_of, holm
from validators.trials.studies.gap import points
from validators.trials.studies.grid import Group
from validators.trials.studies.power import unit_word
from validators.trials.studies.predictions import Predictions, Scored, Task, in_words
from validators.trials.studies.resampling import LEVEL, NAN, Interval, interval_of, p_value
from validators.trials.studies.roles import Roles
from validators.trials.studies.summary import Unusable, unusable
from validators.trials.studies.verdict import (
    FEWEST_PEOPLE,
    Verdict,
    is_win,
    named,
    not_ranked,
    p_words,
    value_of,
)

_TIE = 1e-12


@dataclass(frozen=True, slots=True)
class PredictedAbout:
    """What the numbers are of. names: dimensions or labels; counted: those that the mean is of; left_out: name -> why
    it is no part of it. The rest as in `summary.About`."""

    task: Task
    names: tuple[str, ...]
    counted: tuple[str, ...]
    metrics: tuple[str, ...]
    arms: tuple[str, ...]
    classifiers: tuple[str, ...]
    groups: tuple[str, ...]
    n_subjects: int
    people_known: bool
    n_units: int
    units: str
    n_samples: int
    n_cells: int
    n_expected: int
    n_seeds: int
    n_folds: int
    n_bootstrap: int
    seed: int
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PredictedSummary:
    """All statistics. Of plain types, as `StudySummary`. verdicts: one a group of conditions, the first is the
    study's; they are about the first of `about.metrics`."""

    about: PredictedAbout
    roles: Roles
    verdicts: tuple[Verdict, ...]
    lines: tuple[Line, ...]
    differences: tuple[Difference, ...]
    unusable: tuple[Unusable, ...]

    @property
    def verdict(self) -> Verdict:
        """The study's own."""
        return self.verdicts[0]


def predicted_summary(
    predictions: Predictions, roles: Roles, *, n_bootstrap: int, seed: int, left_out: Mapping[str, str] | None = None
) -> PredictedSummary:
    """All statistics. n_bootstrap: resamples; `seed` of them. The same tables give the same numbers, in whatever order.

    Raises `UnknownNameError` where no arm is `roles.nothing`, `ValueError` for a study without predictions.
    """
    study = predictions.study
    roles.checked(study)
    if not len(study.sample):
        raise ValueError(f"a study of {len(study.cells)} cells without a prediction: no cell has status ok")
    scored = Scored.of(predictions, n_bootstrap, np.random.default_rng(seed))
    grid, whole = scored.grid, scored.grid.confusion
    lines, differences = lines_of(scored), differences_of(scored, baselines_of(scored, roles), roles)
    counted = tuple(n for n, counts in zip(predictions.names, predictions.counted, strict=True) if counts)
    about = PredictedAbout(
        task=predictions.task,
        names=predictions.names,
        counted=counted,
        metrics=predictions.metrics,
        arms=grid.arms,
        classifiers=grid.classifiers,
        groups=tuple(group.name for group in grid.groups),
        n_subjects=len(whole.subjects),
        people_known=whole.people_known,
        n_units=whole.n_units,
        units=unit_word(scored.draws),
        n_samples=len(np.unique(study.sample)),
        n_cells=int(grid.ok.sum()),
        n_expected=len(grid.arms) * int(grid.expected.sum()),
        n_seeds=len(grid.seeds),
        n_folds=len(grid.folds),
        n_bootstrap=n_bootstrap,
        seed=seed,
        left_out=dict(left_out or {}),
    )
    said = tuple(_of_group(scored, roles, lines, differences, group) for group in grid.groups)
    return PredictedSummary(about, roles, said, lines, differences, unusable(study))


def baselines_of(scored: Scored, roles: Roles) -> tuple[str, ...]:
    """What a win has to beat: `nothing`, and class weights where the study has them."""
    return tuple(name for name in (roles.nothing, roles.weights) if name in scored.grid.arms)


def lines_of(scored: Scored) -> tuple[Line, ...]:
    """Every arm x classifier x group x metric."""
    grid, rows = scored.grid, []
    for classifier, name in enumerate(grid.classifiers):
        for group in grid.groups:
            for arm in grid.arms:
                missing = grid.missing((arm,), classifier, group.conditions)
                draws = scored.mean_over((arm,), classifier, group)[0]
                reasons = scored.reasons((arm,), classifier, group)
                rows += [
                    Line(arm, name, group.name, metric, _interval(scored, draws[:, m], reasons[m]), missing)
                    for m, metric in enumerate(scored.predictions.metrics)
                ]
    return tuple(rows)


def differences_of(scored: Scored, baselines: Sequence[str], roles: Roles) -> tuple[Difference, ...]:
    """Every arm against every baseline x classifier x group x metric; p corrected over arms (Holm 1979)."""
    grid, rows = scored.grid, []
    for classifier in range(len(grid.classifiers)):
        for group in grid.groups:
            for baseline in baselines:
                others = [arm for arm in grid.arms if arm != baseline]
                family = [d for arm in others for d in _pair(scored, (arm, baseline), classifier, group)]
                for metric in scored.predictions.metrics:
                    own = [n for n, d in enumerate(family) if d.metric == metric and math.isfinite(d.p)]
                    for n, p in zip(own, holm([family[n].p for n in own]), strict=True):
                        family[n] = replace(family[n], p_holm=float(p))
                rows += family
    return tuple(rows)


def _pair(scored: Scored, arms: tuple[str, str], classifier: int, group: Group) -> list[Difference]:
    grid, units = scored.grid, scored.draws.n_units
    ours, theirs = scored.mean_over(arms, classifier, group)
    people, cells = scored.of_people(arms, classifier, group), scored.of_cells(arms, classifier, group)
    reasons, missing = scored.reasons(arms, classifier, group), grid.missing(arms, classifier, group.conditions)
    rows = []
    for m, metric in enumerate(scored.predictions.metrics):
        draws, own = ours[:, m] - theirs[:, m], cells[:, m]
        won, lost = int((own > _TIE).sum()), int((own < -_TIE).sum())
        tied, undefined = int((np.abs(own) <= _TIE).sum()), int((~np.isfinite(own)).sum())
        rows.append(
            Difference(
                *arms,
                grid.classifiers[classifier],
                group.name,
                metric,
                _interval(scored, draws, reasons[m]),
                p_value(draws, units),
                NAN,
                _effect(people[:, m]),
                Record(won, lost, tied, undefined),
                missing,
            )
        )
    return rows


def _interval(scored: Scored, draws: np.ndarray, why: str) -> Interval:
    interval = interval_of(draws, scored.draws.n_units, why)
    lack = "lack a label" if scored.predictions.task == "labels" else "hold too few different ratings"
    return replace(interval, reason=interval.reason.replace("lack a class", lack))


def _effect(people: np.ndarray) -> Effect:
    own = effect_of(people)
    if own.n < 2:
        return replace(own, reason=f"{own.n} of {len(people)} people can be scored alone")
    return own


def _of_group(
    scored: Scored, roles: Roles, lines: Sequence[Line], differences: Sequence[Difference], group: Group
) -> Verdict:
    grid, metric = scored.grid, scored.predictions.metrics[0]
    names, baselines = grid.classifiers, baselines_of(scored, roles)
    if why := _cannot_tell(scored, roles, lines, group):
        return Verdict(group.name, "cannot tell", f"This study cannot tell: {why}.", classifiers=names)
    table = {(d.arm, d.classifier, d.baseline): d for d in differences if (d.group, d.metric) == (group.name, metric)}
    candidates = [arm for arm in grid.arms if arm not in baselines]
    margins = {
        (arm, name): min((table[arm, name, b] for b in baselines), key=value_of) for arm in candidates for name in names
    }
    complete = [arm for arm in candidates if all(margins[arm, name].complete for name in names)]
    if not complete:
        why = "every arm that could win lacks cells" if candidates else "it has no arm beside baselines"
        return Verdict(group.name, "cannot tell", f"This study cannot tell: {why}.", classifiers=names)
    wins = {arm: tuple(n for n in names if all(is_win(table[arm, n, b]) for b in baselines)) for arm in complete}
    mean = {arm: sum(value_of(margins[arm, name]) for name in names) / len(names) for arm in complete}
    note = not_ranked(candidates, complete)
    best = max(complete, key=lambda arm: (len(wins[arm]), mean[arm], arm))
    word = in_words(metric)
    if wins[best]:
        weakest = min((margins[best, name] for name in wins[best]), key=value_of)
        text = (
            f"{best[:1].upper()}{best[1:]} beats {named(weakest.baseline, roles)} by {points(weakest.difference)} "
            f"points of {word} ({weakest.classifier}, Holm p {p_words(weakest.p_holm)}, {len(wins[best])} of "
            f"{len(names)} classifiers).{note}"
        )
        return Verdict(group.name, "win", text, best, wins[best], names)
    nearest = max((margins[best, name] for name in names), key=value_of)
    text = (
        f"Nothing beats {named(nearest.baseline, roles)}: the best arm, {best}, differs by "
        f"{points(nearest.difference)} points of {word} ({nearest.classifier}, Holm p {p_words(nearest.p_holm)}).{note}"
    )
    return Verdict(group.name, "no win", text, best, (), names)


def _cannot_tell(scored: Scored, roles: Roles, lines: Sequence[Line], group: Group) -> str:
    grid, metric = scored.grid, scored.predictions.metrics[0]
    whole, n = grid.confusion, len(grid.confusion.subjects)
    if n < FEWEST_PEOPLE:
        word = ("person" if n == 1 else "people") if whole.people_known else "split units"
        return f"{n} test {word}; fewer than {FEWEST_PEOPLE} cannot reach p = 0.05 by the signs of their differences"
    for classifier, name in enumerate(grid.classifiers):
        for baseline in baselines_of(scored, roles):
            missing = grid.missing((baseline,), classifier, group.conditions)
            if missing.n:
                return f"{baseline} lacks {missing.n} of {missing.expected} cells ({name})"
    family, resamples = len(grid.arms) - 1, len(scored.draws.people) - 1
    if 2.0 / (resamples + 1) * family >= LEVEL:  # the smallest p of a bootstrap, corrected
        needed = int(2.0 * family / LEVEL)
        return f"{resamples} resamples give no p below 0.05 with {family} arms; more than {needed} are needed"
    for line in lines:
        own = (line.group, line.metric, line.arm) == (group.name, metric, roles.nothing)
        if own and not math.isfinite(line.score.low):
            word = in_words(metric)
            return f"{word} of {line.arm} with {line.classifier} has no interval, {line.score.reason}"
    return ""

"""Answers of several raters, checked against the key and laid out as tables of raters and items.

Answers that do not belong to the key, that are damaged, or that come twice are refused with the file's name: a study
that counted them would say something that nobody answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpora.errors import UserError
from flows.raters.records import RATED, Answers, Key, KeyItem, KeyTrial, Task, read_answers


@dataclass(frozen=True, slots=True)
class Rater:
    """answers: trial -> answer. checks: attention checks that were answered, and as they asked. left_out: why the
    rater does not count, "" where they do."""

    number: int
    file: str
    answers: Mapping[str, str]
    checks: int
    checks_passed: int
    finished: bool
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Answers of one task. values [R, I] object: None where not answered; trials: of the columns."""

    task: Task
    raters: Sequence[int]
    trials: Sequence[KeyTrial]
    values: np.ndarray

    @property
    def answered(self) -> np.ndarray:
        """[R, I] bool."""
        return np.array([[value is not None for value in row] for row in self.values.tolist()], bool)

    def coded(self, codes: Mapping[str, float]) -> np.ndarray:
        """[R, I] float64 by answer; NaN where not answered."""
        numbers = [[np.nan if value is None else codes[value] for value in row] for row in self.values.tolist()]
        return np.asarray(numbers, np.float64).reshape(self.values.shape)


@dataclass(frozen=True, slots=True)
class Collected:
    """Everybody who answered, those who are left out too, and the tables of those who count."""

    key: Key
    raters: Sequence[Rater]
    items: Mapping[str, KeyItem]

    @property
    def counted(self) -> list[Rater]:
        """Raters who count."""
        return [rater for rater in self.raters if not rater.left_out]

    def table(self, task: Task) -> Table | None:
        """None where the kit has no such task, or nobody answered it."""
        trials = [trial for trial in self.key.trials if trial.task == task and trial.counts]
        own = [rater for rater in self.counted if any(trial.code in rater.answers for trial in trials)]
        if not trials or not own:
            return None
        values = np.array([[rater.answers.get(trial.code) for trial in trials] for rater in own], dtype=object)
        return Table(task, [rater.number for rater in own], trials, values)


def collect(key: Key, files: Sequence[Path], *, keep_inattentive: bool = False) -> Collected:
    """Raters who missed more than half of their attention checks are left out, unless `keep_inattentive`.

    Raises `UserError`: no file, one that is not there, of another kit, without consent, twice the same rater, a trial
    that the kit does not have or that is answered twice, an answer that the task does not have; `IntegrityError` for a
    file that is not what the page gave.
    """
    if not files:
        raise UserError("no answers: name the files that raters sent back")
    trials = {trial.code: trial for trial in key.trials}
    options = {task: _options(task, key) for task in {trial.task for trial in key.trials}}
    raters: dict[int, Rater] = {}
    for path in files:
        answers = read_answers(path)
        _belongs(answers, key, path)
        if answers.rater in raters:
            raise UserError(
                f"{path} and {raters[answers.rater].file} are both by rater {answers.rater}: keep one of them, or give "
                "one rater another number"
            )
        raters[answers.rater] = _rater(answers, path, trials, options, keep_inattentive=keep_inattentive)
    ordered = [raters[number] for number in sorted(raters)]
    return Collected(key, ordered, {item.code: item for item in key.items})


def _options(task: Task, key: Key) -> tuple[str, ...]:
    if task in ("quality", "similarity"):
        return tuple(map(str, RATED))
    return {"real": ("real", "synthetic"), "emotion": key.classes}.get(task, ())


def _belongs(answers: Answers, key: Key, path: Path) -> None:
    if answers.kit != key.kit:
        raise UserError(f"{path} answers kit {answers.kit}; the key is of kit {key.kit} ({key.release})")
    if not answers.consent:
        raise UserError(f"{path}: rater {answers.rater} did not consent; their answers may not be used")


def _rater(
    answers: Answers,
    path: Path,
    trials: Mapping[str, KeyTrial],
    options: Mapping[Task, Sequence[str]],
    *,
    keep_inattentive: bool,
) -> Rater:
    said: dict[str, str] = {}
    for answer in answers.answers:
        trial = trials.get(answer.trial)
        if trial is None:
            raise UserError(f"{path}: the kit has no trial {answer.trial!r}")
        if answer.trial in said:
            raise UserError(f"{path}: trial {answer.trial} is answered twice; the page answers each once")
        allowed = options[trial.task] if trial.task != "pairs" else (trial.item, str(trial.other))
        if answer.answer not in allowed:
            raise UserError(
                f"{path}: {answer.answer!r} is no answer of trial {answer.trial} ({trial.task}); those are "
                f"{', '.join(allowed)}"
            )
        said[answer.trial] = answer.answer
    checks = [trial for trial in trials.values() if trial.expected is not None and trial.code in said]
    passed = sum(said[trial.code] == trial.expected for trial in checks)
    missed = len(checks) - passed
    why = f"missed {missed} of {len(checks)} attention checks" if 2 * missed > len(checks) else ""
    counted = "" if keep_inattentive else why
    return Rater(answers.rater, str(path), said, len(checks), passed, answers.finished, counted)

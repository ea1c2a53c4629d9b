"""Studies with a known truth: people differ, seeds differ, and an arm is right with a known probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from validators.trials.studies.answers import AS_IS, Cell, Study

CLASSES = ("anger", "fear", "joy", "neutral")


@dataclass(frozen=True)
class Plan:
    """What is simulated. skill: of arm `nothing`, probability of a right answer; gain: what an arm adds to it. between:
    sd between people of each arm's own effect."""

    arms: Mapping[str, float]
    people: int = 12
    per_class: int = 6  # samples of each class a person
    conditions: Sequence[str] = ("anger to 10 %", "fear to 10 %")
    classifiers: Sequence[str] = ("LR",)
    seeds: int = 2
    folds: int = 3
    skill: float = 0.55
    between: float = 0.0
    classes: Sequence[str] = CLASSES


def simulated(plan: Plan, seed: int) -> Study:
    """An answer is right if a uniform number is below the arm's skill for that person. The number is the sample's own,
    and changes in a part of the cells: seeds and arms go together, as those of real studies do."""
    rng = np.random.default_rng(seed)
    k, s = len(plan.classes), plan.people
    target = np.tile(np.repeat(np.arange(k), plan.per_class), s)
    person = np.repeat(np.arange(s), k * plan.per_class)
    n = len(target)
    ability = rng.normal(0, 0.08, s)
    effects = {arm: gain + plan.between * rng.normal(size=s) * (gain != 0) for arm, gain in plan.arms.items()}
    noise = {arm: rng.normal(0, 0.01, s) for arm in plan.arms}
    hard = rng.uniform(size=n)  # a sample is as hard for every arm, condition and seed
    cells: list[Cell] = []
    columns: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for classifier in plan.classifiers:
        for condition in plan.conditions:
            pruned = next((c for c in plan.classes if condition.startswith(f"{c} to")), None)
            for fold_seed in range(plan.seeds):
                fold_of = rng.permutation(s) % plan.folds
                luck = np.where(
                    rng.uniform(size=n) < 0.3, rng.uniform(size=n), hard
                )  # another seed, some other answers
                slips = rng.uniform(size=n)
                wrong = (target + 1 + rng.integers(0, k - 1, n)) % k
                for arm in plan.arms:
                    own_luck = np.where(slips < 0.3, rng.uniform(size=n), luck)  # arms are paired, not equal
                    p = np.clip(plan.skill + (ability + effects[arm] + noise[arm])[person], 0.02, 0.98)
                    answer = np.where(own_luck < p, target, wrong)
                    for fold in range(plan.folds):
                        at = np.flatnonzero(fold_of[person] == fold)
                        name = f"{len(cells):040x}"
                        cells.append(Cell(name, arm, classifier, condition, pruned, fold, fold_seed, n_real=99))
                        columns.append((np.full(len(at), len(cells) - 1), at, answer[at]))
    cell, sample, answer = (np.concatenate(part) for part in zip(*columns, strict=True))
    scores = np.full((len(cell), k), 0.4 / (k - 1), np.float32)
    scores[np.arange(len(cell)), answer] = 0.6
    return Study(
        classes=tuple(plan.classes),
        cells=tuple(cells),
        cell=cell,
        sample=sample,
        target=target[sample],
        answer=answer,
        scores=scores,
        sample_ids=tuple(f"sample-{i:06d}" for i in range(n)),
        subjects=tuple(f"person-{i:04d}" for i in person),
        corpora=("simulated",) * n,
        genders=tuple("female" if i % 2 else "male" for i in person),
        ages=np.array([20.0 + 3 * i for i in person]),
        languages=("en",) * n,
    )


def without(study: Study, lost: Mapping[int, tuple[str, str]]) -> Study:
    """The same study with cells (by index) of another status and reason, and without their answers."""
    cells = tuple(
        replace(c, status=lost[n][0], reason=lost[n][1]) if n in lost else c  # type: ignore[arg-type]
        for n, c in enumerate(study.cells)
    )
    kept = ~np.isin(study.cell, list(lost))
    return replace(
        study, cells=cells, **{f: getattr(study, f)[kept] for f in ("cell", "sample", "target", "answer", "scores")}
    )


def keep_answers(study: Study, kept: np.ndarray) -> Study:
    """The same study with the answers of a mask [M]."""
    return replace(study, **{f: getattr(study, f)[kept] for f in ("cell", "sample", "target", "answer", "scores")})


BASELINES = {"nothing": 0.0, "class weights": 0.0, "logit adjustment": 0.0}
__all__ = ["AS_IS", "BASELINES", "CLASSES", "Plan", "keep_answers", "simulated", "without"]

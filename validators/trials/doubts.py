"""Labels that judges doubt: judges who learned from other people (`agreement`), asked about every sample of a corpus.

Their held-out probabilities go to cleanlab (Northcutt, Jiang & Chuang 2021, Confident Learning, JAIR 70). The quality
of a label is the probability that the judges give it ("self-confidence"), and an issue is a label that confident
learning would prune. Issues come first, then the lowest quality. Nothing is dropped: a doubt is a reason to look, and
hard samples look like wrong ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, rows_of, usable
from validators.gates.agreement import Agreement, JudgeParams

MIN_SAMPLES = 5  # of a class; confident learning estimates a threshold for each class from them
MIN_GROUPS = 2


@dataclass(frozen=True, slots=True)
class Doubt:
    """One sample's label. row: of the batch. rank: 1 is the label that is doubted most. answer: the judges' first
    choice, with probability `answer_p`; quality: the probability of the given label, in [0, 1]. issue: whether
    confident learning takes the label for wrong."""

    row: int
    rank: int
    sample_id: str
    given: str
    answer: str
    quality: float
    answer_p: float
    issue: bool


@dataclass(frozen=True, slots=True)
class Doubts:
    """Every judged sample, the most doubted label first. judges: who was asked. groups: of the judged samples, as folds
    keep them apart. not_judged: class -> why no sample of it was judged. unsure: class -> why the judges' doubts about
    it are worth little: they do not know it in people whom they have not met. skipped: samples that cannot be used or
    have no label."""

    rows: tuple[Doubt, ...]
    judges: str
    groups: int
    classes: tuple[str, ...]
    not_judged: dict[str, str]
    unsure: dict[str, str]
    skipped: int

    @property
    def agreed(self) -> float:
        """Share of labels that are the judges' first choice: of judges who seldom agree, doubts are worth little."""
        return sum(doubt.answer == doubt.given for doubt in self.rows) / len(self.rows)


def doubted_labels(batch: Batch, classes: Sequence[str], *, seed: int, params: JudgeParams | None = None) -> Doubts:
    """Every usable sample of these classes, ranked. Judges never saw the sample's group (subject).

    Raises `UserError` where fewer than two classes have enough samples and groups, or folds of groups cannot hold each
    class.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    good = usable(batch) & np.isin(np.asarray(batch.emotions, str), list(classes))
    whole = rows_of(batch, good)
    why = _too_few(whole, classes)
    judged = [name for name in classes if name not in why]
    if len(judged) < 2:
        reasons = "; ".join(f"{name} {reason}" for name, reason in why.items())
        raise UserError(f"judges tell classes apart, and {len(judged)} of {len(classes)} can be judged: {reasons}")
    inside = np.flatnonzero(good & np.isin(np.asarray(batch.emotions, str), judged))
    part = rows_of(batch, inside)
    judge = Agreement.fit(part, classes=judged, params=params or JudgeParams(), seed=seed)
    p = judge.predict(part)  # of judges that have not seen the sample's fold
    target = np.asarray([judged.index(name) for name in part.emotions])
    quality = get_label_quality_scores(target, p, method="self_confidence")
    issue = find_label_issues(target, p, n_jobs=1)
    order = np.lexsort((np.asarray(part.ids, str), np.round(quality, 9), ~issue))
    answers = p.argmax(axis=1)
    rows = [
        Doubt(
            row=int(inside[i]),
            rank=rank,
            sample_id=part.ids[i],
            given=part.emotions[i],
            answer=judged[answers[i]],
            quality=float(quality[i]),
            answer_p=float(p[i, answers[i]]),
            issue=bool(issue[i]),
        )
        for rank, i in enumerate(order, start=1)
    ]
    return Doubts(
        tuple(rows),
        judge.judge,
        len(set(part.groups or part.ids)),
        tuple(judged),
        why,
        judge.cannot_judge(Agreement.default_limit),
        len(batch) - int(good.sum()),
    )


def _too_few(batch: Batch, classes: Sequence[str]) -> dict[str, str]:
    labels, groups = np.asarray(batch.emotions, str), np.asarray(batch.groups or batch.ids, str)
    why = {}
    for name in classes:
        own = labels == name
        n, of = int(own.sum()), len(np.unique(groups[own]))
        if n < MIN_SAMPLES:
            why[name] = f"has {n} samples; {MIN_SAMPLES} are needed"
        elif of < MIN_GROUPS:
            why[name] = f"has all its {n} samples in one group ({groups[own][0]}): nobody else shows it"
    return why

"""Measures of answers against truth: classes (UAR, F1, AUC, calibration) and dimensions (CCC). Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import UserError
from corpora.labels import nearest_label


@dataclass(frozen=True, slots=True)
class ClassScores:
    """All in [0, 1]. `uar`: mean recall over classes that occur; `macro_f1`: over those that occur or are answered."""

    accuracy: float
    uar: float
    macro_f1: float
    confusion: np.ndarray  # [k, k] counts: row the truth, column the answer
    classes: tuple[str, ...]


def class_scores(truth: Sequence[str], answer: Sequence[str], classes: Sequence[str] | None = None) -> ClassScores:
    """n answers against n truths. UAR is the unweighted average recall (Schuller et al. 2009, Interspeech challenge).

    macro_f1 is the unweighted F1 (UF1) of the micro-expression challenges (See et al. 2019): the mean over classes of
    2 TP / (2 TP + FP + FN). A class that neither occurs nor is answered has none and is left out.
    classes: the order; None: sorted. Raises `UserError`: no rows, other lengths, a label outside `classes`.
    """
    if len(truth) != len(answer) or len(truth) == 0:
        raise UserError(f"{len(truth)} truths and {len(answer)} answers; need as many of both, and at least one")
    if classes is not None:
        _refuse_string(classes)
    names = tuple(classes) if classes is not None else tuple(sorted({*truth, *answer}))
    place = {name: number for number, name in enumerate(names)}
    for labels, what in ((truth, "the truth"), (answer, "the answers")):
        refuse_unknown(labels, names, what)
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, ([place[t] for t in truth], [place[a] for a in answer]), 1)
    hits, of_truth, of_answer = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    there = of_truth > 0
    named = (of_truth + of_answer) > 0
    return ClassScores(
        accuracy=float(hits.sum() / len(truth)),
        uar=float((hits[there] / of_truth[there]).mean()),
        macro_f1=float((2 * hits[named] / (of_truth + of_answer)[named]).mean()),
        confusion=confusion,
        classes=names,
    )


def macro_auc(truth: Sequence[str], scores: np.ndarray, classes: Sequence[str]) -> float:
    """scores [n, k], one column a class -> mean area under the ROC curve of each class against the rest.

    Ties count half (Mann-Whitney). Classes that have no positive or no negative row are left out; NaN if none is left.
    Raises `UserError`: other shapes, a truth outside `classes` (it would count as negative in all of them).
    """
    from scipy.stats import rankdata

    _refuse_string(classes)
    scores = np.asarray(scores, np.float64)
    if scores.shape != (len(truth), len(classes)):
        raise UserError(f"scores {scores.shape}, need [{len(truth)}, {len(classes)}]")
    refuse_unknown(truth, classes, "the truth")
    if not np.isfinite(scores).all():
        return float("nan")
    names = np.asarray(truth, dtype=str)
    found = []
    for column, name in enumerate(classes):
        positive = names == name
        n, m = int(positive.sum()), int((~positive).sum())
        if n and m:
            ranks = rankdata(scores[:, column])
            found.append((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))
    return float(np.mean(found)) if found else float("nan")


def refuse_unknown(labels: Sequence[str], classes: Sequence[str], what: str) -> None:
    """Raises `UserError` for the first label outside `classes`: how many, its row, what is allowed, the nearest."""
    known = set(classes)
    if known.issuperset(labels):
        return
    rows = [row for row, label in enumerate(labels, start=1) if label not in known]
    label = labels[rows[0] - 1]
    near = nearest_label(label, classes)
    hint = f" Did you mean {near!r}?" if near else ""
    if near and near.casefold() == label.casefold():
        hint += " ignore_case=true takes letters of either case as one."
    others = sorted({labels[row - 1] for row in rows} - {label})
    more = f" (and {', '.join(others[:5])})" if others else ""
    raise UserError(
        f"{what}, row {rows[0]}: {label!r}{more} is not among the classes {', '.join(classes)}; {len(rows)} of "
        f"{len(labels)} rows.{hint}"
    )


def _refuse_string(classes: Sequence[str]) -> None:
    """A string is a sequence of letters: as classes it would pass for as many classes as it has letters."""
    if isinstance(classes, str):
        raise UserError(f"classes are the one string {classes!r}; a sequence of names is needed")


def ccc(truth: np.ndarray, answer: np.ndarray, *, ddof: int = 0) -> float:
    """Concordance correlation of [n] and [n], in [-1, 1] (Lin 1989): 2 s_xy / (s_x^2 + s_y^2 + (mean_x - mean_y)^2).

    ddof 0 is Lin's and that of the AVEC challenges; ddof 1 uses unbiased (co)variances and is slightly larger in size.
    Two constant rows that are equal: 1; NaN for fewer than 2 values or values that are not finite.
    """
    x, y = np.asarray(truth, np.float64).ravel(), np.asarray(answer, np.float64).ravel()
    if x.shape != y.shape:
        raise UserError(f"{x.size} truths and {y.size} answers; need as many of both")
    if x.size < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    covariance = np.cov(x, y, ddof=ddof)
    below = covariance[0, 0] + covariance[1, 1] + (x.mean() - y.mean()) ** 2
    return 1.0 if below == 0 else float(2 * covariance[0, 1] / below)


def expected_calibration_error(
    truth: Sequence[str], scores: np.ndarray, classes: Sequence[str], *, bins: int = 15
) -> float:
    """scores [n, k], rows that sum to 1 -> weighted mean of |accuracy - confidence| over equal bins, in [0, 1].

    Guo et al. 2017, "On calibration of modern neural networks", eq. 3. A bin holds its upper edge. NaN: no rows, or
    scores that are not finite. Raises `UserError`: other shapes, `classes` that are one string, a truth outside them.
    """
    scores = np.asarray(scores, np.float64)
    _refuse_string(classes)
    if scores.shape != (len(truth), len(classes)):
        raise UserError(f"scores {scores.shape}, need [{len(truth)}, {len(classes)}]")
    refuse_unknown(truth, classes, "the truth")
    if len(truth) == 0 or not np.isfinite(scores).all():
        return float("nan")
    confidence = scores.max(axis=1)
    right = np.asarray(classes, dtype=str)[scores.argmax(axis=1)] == np.asarray(truth, dtype=str)
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    n = np.bincount(which, minlength=bins)
    gap = np.bincount(which, right - confidence, minlength=bins)
    return float(np.abs(gap[n > 0]).sum() / len(truth))

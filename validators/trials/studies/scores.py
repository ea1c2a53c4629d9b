"""From answers to scores: counts of each cell and person, and what is computed from (weighted) counts.

Counts are linear in people: a resample of people is a weighted sum of their counts. So every score is a function of
counts alone, and no bootstrap touches an answer twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from validators.trials.studies.answers import Study

MOST_UNITS = 200  # resampling units; more people or split units than these are grouped
METRICS = ("uar", "macro_f1", "f1_pruned", "recall_pruned")
HITS, TARGETS, ANSWERS = range(3)  # places of a tally
CALIBRATION_BINS = 15
_SUM_TOLERANCE = 1e-3  # float32 probabilities of a row add up to 1 within this


@dataclass(frozen=True, slots=True)
class Confusions:
    """counts [C, U, K, K] (cell, resampling unit, true class, answered class), the smallest unsigned integer type that
    holds them. n_subjects: people (or split units) of the study that answers are about; `grouped`: a unit is several of
    them. unit_of_subject: [n_subjects] for `subjects`, sorted by name.

    people_known: False where the split units are so many (more than half of the samples) that they are no people who
    were recorded repeatedly, but samples (or groups of near copies) of whom nobody knows whose they are.
    """

    counts: np.ndarray
    subjects: tuple[str, ...]
    unit_of_subject: np.ndarray
    people_known: bool

    @property
    def n_units(self) -> int:
        """Resampling units U."""
        return self.counts.shape[1]

    @property
    def grouped(self) -> bool:
        """Whether a unit is several people or split units."""
        return self.n_units < len(self.subjects)


def confusions(study: Study, kept: np.ndarray | None = None, *, most_units: int = MOST_UNITS) -> Confusions:
    """Counts of every cell and resampling unit. kept: bool [N] of the study's samples; None: all of them.

    A unit is one person. Where there are more than `most_units` (a corpus without known people has thousands of split
    units), they are grouped: in the order of their names they are dealt out to `most_units` units in turn, whole, so
    that memory stays at C x 200 x K x K small integers. An interval over 200 units is about that over 3,000.
    Units are those of the whole study, whatever is `kept`.
    """
    subject, names = study.subject_of_answer()
    units = min(len(names), most_units)
    unit_of_subject = np.arange(len(names)) % max(units, 1)
    chosen = slice(None) if kept is None else np.flatnonzero(kept[study.sample])
    k = len(study.classes)
    shape = (len(study.cells), units, k, k)
    place = (study.cell, unit_of_subject[subject] if len(names) else subject, study.target, study.answer)
    flat = np.ravel_multi_index(tuple(axis[chosen] for axis in place), shape)
    where, n = np.unique(flat, return_counts=True)
    counts = np.zeros(shape, np.min_scalar_type(int(n.max()) if n.size else 0))
    counts.reshape(-1)[where] = n
    n_samples = len(np.unique(study.sample))
    return Confusions(counts, names, unit_of_subject, people_known=2 * len(names) <= n_samples)


def tallies(confusion: np.ndarray) -> np.ndarray:
    """[..., K, K] counts -> [..., 3, K] float64: hits, targets and answers of each class. They add up as counts do, and
    recall, precision and F1 need no more."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([hits, confusion.sum(-1), confusion.sum(-2)], axis=-2).astype(np.float64)


def recalls(tally: np.ndarray) -> np.ndarray:
    """[..., 3, K] -> [..., K] in [0, 1]; NaN for a class of which there is no target."""
    return _over(tally[..., HITS, :], tally[..., TARGETS, :], tally[..., TARGETS, :])


def f1s(tally: np.ndarray) -> np.ndarray:
    """[..., 3, K] -> [..., K]: 2 hits / (targets + answers), in [0, 1]; NaN for a class of which there is no target,
    also where it was answered."""
    both = tally[..., TARGETS, :] + tally[..., ANSWERS, :]
    return _over(2.0 * tally[..., HITS, :], both, tally[..., TARGETS, :])


def uar(tally: np.ndarray) -> np.ndarray:
    """[..., 3, K] -> [...]: mean recall of all K classes; NaN where one of them has no target."""
    return recalls(tally).mean(-1)


def macro_f1(tally: np.ndarray) -> np.ndarray:
    """[..., 3, K] -> [...]: mean F1 of all K classes; NaN where one of them has no target."""
    return f1s(tally).mean(-1)


def metrics_of(tally: np.ndarray, pruned: int | None) -> np.ndarray:
    """[..., 3, K] -> [..., 4]: METRICS, the last two of class `pruned` (NaN for None)."""
    recall, f1 = recalls(tally), f1s(tally)
    none = np.full(recall.shape[:-1], np.nan)
    of_class = [none, none] if pruned is None else [f1[..., pruned], recall[..., pruned]]
    return np.stack([recall.mean(-1), f1.mean(-1), *of_class], axis=-1)


def absent(tally: np.ndarray, classes: Sequence[str]) -> str:
    """What is to be said of classes that test does not hold; "" where it holds all. tally: [3, K]."""
    lacking = [name for name, n in zip(classes, tally[TARGETS], strict=True) if n == 0]
    return f"test holds no sample of {', '.join(lacking)}" if lacking else ""


def are_probabilities(scores: np.ndarray) -> bool:
    """Whether all of [M, K] are finite, in [0, 1], and add up to 1 in each row."""
    finite = bool(len(scores)) and bool(np.isfinite(scores).all())
    return finite and bool(scores.min() >= 0) and bool((np.abs(scores.sum(-1) - 1.0) < _SUM_TOLERANCE).all())


def calibration_error(probabilities: np.ndarray, answers: np.ndarray, targets: np.ndarray) -> float:
    """Expected calibration error with 15 bins of equal width (Guo et al. 2017, eq. 3), in [0, 1]; NaN of no samples.

    probabilities [M, K], answers [M], targets [M] indices. Confidence is the probability of the *answer*, which need
    not be the largest one (logit adjustment, class thresholds).
    """
    m = len(targets)
    if not m:
        return float("nan")
    confidence = probabilities[np.arange(m), answers].astype(np.float64)
    # bins hold their upper end, as in the paper; 0 belongs to the first
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=(answers == targets) - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / m)


def brier(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean squared distance to the one-hot target (Brier 1950: the sum over classes), in [0, 2]; NaN of no samples."""
    if not len(targets):
        return float("nan")
    p = probabilities.astype(np.float64)
    own = p[np.arange(len(targets)), targets]
    return float(((p**2).sum(-1) - 2.0 * own + 1.0).mean())


def ccc(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Concordance correlation (Lin 1989, eq. 1, with 1 / n), [M, D] and [M, D] -> [D] in [-1, 1]. NaN for fewer than
    two samples, for values that are not finite, and where both sides are the same constant."""
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if predicted.shape != true.shape:
        raise ValueError(f"predicted {predicted.shape} and true {true.shape} differ in shape")
    if len(true) < 2:
        return np.full(true.shape[1:], np.nan)
    mp, mt = predicted.mean(0), true.mean(0)
    covariance = ((predicted - mp) * (true - mt)).mean(0)
    below = predicted.var(0) + true.var(0) + (mp - mt) ** 2
    return _over(2.0 * covariance, below, below)


def multilabel_macro_f1(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean over K labels of F1, of bool [M, K] each; in [0, 1]. NaN where a label has no true sample."""
    predicted, true = np.asarray(predicted, bool), np.asarray(true, bool)
    if predicted.shape != true.shape:
        raise ValueError(f"predicted {predicted.shape} and true {true.shape} differ in shape")
    return float(macro_f1(np.stack([(predicted & true).sum(0), true.sum(0), predicted.sum(0)]).astype(np.float64)))


def _over(above: np.ndarray, below: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """above / below; NaN where `needed` is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(needed > 0, above / below, np.nan)

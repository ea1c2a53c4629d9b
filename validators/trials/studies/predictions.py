"""Studies of numbers (valence, arousal, dominance) and of several labels a sample: predictions, and what they score.

As with classes, a score is a function of sums over people: of six moments a dimension (concordance), or of hits,
targets and answers a label (F1). So a resample of people is a weighted sum, and cells are listed, paired and resampled
by the same code (`grid`, `resampling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa

from validators.trials.studies.answers import Study
from validators.trials.studies.grid import Grid, Group, grid_of
from validators.trials.studies.resampling import Resampling
from validators.trials.studies.scores import ANSWERS, HITS, TARGETS, f1s
from validators.trials.studies.summary import ordered

Task = Literal["dimensions", "labels"]
# one row a test sample of a cell
PREDICTIONS = pa.schema(
    [
        pa.field("cell", pa.string(), nullable=False),
        pa.field("sample_id", pa.string(), nullable=False),
        # [K]: predicted ratings (null: train of the cell knows none), or probabilities of labels
        pa.field("values", pa.list_(pa.float32()), nullable=False),
        pa.field("answers", pa.list_(pa.bool_())),  # [K] labels that are answered; null for dimensions
    ]
)
# one row a sample of the study
TRUTHS = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("values", pa.list_(pa.float32()), nullable=False),  # [K]: rating, null: not known; label 1 or 0
    ]
)
MEAN = {"dimensions": "ccc", "labels": "macro_f1"}  # task -> the metric of all names together
_ONE = {"dimensions": "ccc", "labels": "f1"}
NUMBER, P, T, PP, TT, PT = range(6)  # places of the moments of a dimension
_CONSTANT = 1e-10  # of the mean square: what is left of a variance of float32 numbers that are the same


@dataclass(frozen=True)
class Predictions:
    """All of such a study in memory. study: its cells, samples and people, each answer about the one class "all"; of
    its M answers `values` [M, K] float64 (NaN: none) and of labels `answers` [M, K] bool; truths: [N, K] float64 of
    its N samples, NaN where not known."""

    task: Task
    names: tuple[str, ...]
    study: Study
    values: np.ndarray
    answers: np.ndarray
    truths: np.ndarray

    @classmethod
    def of_tables(
        cls,
        task: Task,
        names: Sequence[str],
        cells: pa.Table,
        predictions: pa.Table,
        truths: pa.Table,
        people: pa.Table,
    ) -> Predictions:
        """Of CELLS, PREDICTIONS, TRUTHS and PEOPLE, in whatever order. Raises `ValueError` for a prediction of a cell
        or sample that is not there, a sample without a truth, or rows that are not K wide."""
        m, k = predictions.num_rows, len(names)
        values = _wide(predictions["values"], m, k)
        answers = _wide(predictions["answers"], m, k) if task == "labels" else np.full((m, 0), np.nan)
        if task == "labels" and np.isnan(answers).any():
            raise ValueError("a prediction of labels without answers")
        none = pa.array(np.zeros(m, np.int16))
        scores = pa.array(list(np.hstack([values, answers]).astype(np.float32)), pa.list_(pa.float32()))
        columns = {"cell": predictions["cell"], "sample_id": predictions["sample_id"], "target": none, "answer": none}
        study = ordered(Study.of_tables(("all",), cells, pa.table({**columns, "scores": scores}), people))
        known = dict(zip(truths["sample_id"].to_pylist(), _wide(truths["values"], truths.num_rows, k), strict=True))
        if lacking := [i for i in study.sample_ids if i not in known]:
            raise ValueError(f"{len(lacking)} samples without a truth, the first is {lacking[0]}")
        own = np.array([known[i] for i in study.sample_ids]).reshape(len(study.sample_ids), k)
        both = study.scores.astype(np.float64).reshape(m, -1)
        return cls(task, tuple(names), study, both[:, :k], both[:, k:] > 0, own)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The mean first, then one for each name: "ccc", "ccc valence" ... or "macro_f1", "f1 anger" ..."""
        return MEAN[self.task], *(f"{_ONE[self.task]} {name}" for name in self.names)

    @property
    def counted(self) -> np.ndarray:
        """[K] bool: names that the mean is of. A dimension that nobody in the study rated is no part of it."""
        return np.isfinite(self.truths).any(0)


def _wide(column: pa.ChunkedArray, rows: int, k: int) -> np.ndarray:
    """[rows, k] float64, NaN for null."""
    whole = column.combine_chunks()
    flat = whole.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False).astype(np.float64)
    if len(flat) != rows * k or whole.null_count:
        raise ValueError(f"{len(flat)} values in {rows} rows of {k}")
    return flat.reshape(rows, k)


@dataclass(frozen=True)
class Scored:
    """grid: where the cells lie; draws: of people and seeds. Scores that were computed once are kept."""

    predictions: Predictions
    draws: Resampling
    _kept: dict[tuple[int, int, int, bytes], np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, predictions: Predictions, n_bootstrap: int, rng: np.random.Generator) -> Scored:
        """Raises `ValueError` as `grid_of` does."""
        return cls(predictions, Resampling.of(grid_of(predictions.study), n_bootstrap, rng))

    @property
    def grid(self) -> Grid:
        """Arms x classifiers x conditions x seeds x folds."""
        return self.draws.grid

    @cached_property
    def tally(self) -> np.ndarray:
        """[C, U, T, K] float64: sums of each cell and unit; T of the moments, or of hits, targets and answers."""
        own, grid = self.predictions, self.grid
        study, whole = own.study, grid.confusion
        subject, _ = study.subject_of_answer()
        truth = own.truths[study.sample]
        known = np.isfinite(truth)
        if own.task == "labels":
            has = truth > 0
            parts = {HITS: own.answers & has, TARGETS: has, ANSWERS: own.answers}
        else:
            # the score does not change with the origin, and sums of small numbers keep their digits
            origin = np.where(known, truth, 0.0).sum(0) / np.maximum(known.sum(0), 1)
            p, t = np.where(known, own.values - origin, 0.0), np.where(known, truth - origin, 0.0)
            parts = {NUMBER: known, P: p, T: t, PP: p * p, TT: t * t, PT: p * t}
        out = np.zeros((len(study.cells), whole.n_units, len(parts), len(own.names)))
        place = (study.cell, whole.unit_of_subject[subject] if len(subject) else subject)
        for part, values in parts.items():
            np.add.at(out[:, :, part], place, values.astype(np.float64))
        return out

    def metrics_of(self, tally: np.ndarray) -> np.ndarray:
        """[..., T, K] -> [..., 1 + K]: the mean over the names that count, then each name; NaN: undefined."""
        each = f1s(tally) if self.predictions.task == "labels" else concordance(tally)
        counted = self.predictions.counted
        return np.concatenate([each[..., counted].mean(-1, keepdims=True), each], axis=-1)

    def pooled(self, arm: int, classifier: int, condition: int, mask: np.ndarray) -> np.ndarray:
        """[S', U, T, K]: sums of each seed that has cells, folds added up, where `mask` [S, O] is true."""
        own = self.grid.place[arm, classifier, condition]
        return np.stack([self.tally[own[s][mask[s]]].sum(0) for s in np.flatnonzero(mask.any(1))])

    def scores(self, arm: int, classifier: int, condition: int, mask: np.ndarray) -> np.ndarray:
        """[R + 1, 1 + K]: folds pooled, averaged over the drawn seeds; the first row is the estimate."""
        key = (arm, classifier, condition, mask.tobytes())
        if key not in self._kept:
            pooled = self.pooled(arm, classifier, condition, mask)
            s, u, t, k = pooled.shape
            summed = self.draws.people @ pooled.transpose(1, 0, 2, 3).reshape(u, s * t * k)
            values = self.metrics_of(summed.reshape(-1, s, t, k))
            weights = self.draws.seeds[:, mask.any(1), None]
            with np.errstate(invalid="ignore", divide="ignore"):
                self._kept[key] = np.where(weights > 0, values * weights, 0.0).sum(1) / weights.sum(1)
        return self._kept[key]

    def mean_over(self, arms: Sequence[str], classifier: int, group: Group) -> np.ndarray:
        """[len(arms), R + 1, 1 + K] over the cells that all of `arms` have, averaged over conditions; NaN of none."""
        places = [self.grid.arms.index(arm) for arm in arms]
        lines = []
        for condition in group.conditions:
            mask = self.grid.shared(arms, classifier, condition)
            if mask.any():
                lines.append(np.stack([self.scores(place, classifier, condition, mask) for place in places]))
        shape = (len(arms), len(self.draws.people), len(self.predictions.metrics))
        return np.mean(lines, axis=0) if lines else np.full(shape, np.nan)

    def of_people(self, arms: Sequence[str], classifier: int, group: Group) -> np.ndarray:
        """[U, 1 + K] first minus second arm of each unit alone, over seeds and conditions; NaN where undefined."""
        a, b = (self.grid.arms.index(arm) for arm in arms)
        own = []
        for condition in group.conditions:
            mask = self.grid.shared(arms, classifier, condition)
            if mask.any():
                ours, theirs = (self.metrics_of(self.pooled(arm, classifier, condition, mask)) for arm in (a, b))
                own.append((ours - theirs).mean(0))
        shape = (self.draws.n_units, len(self.predictions.metrics))
        return np.mean(own, axis=0) if own else np.full(shape, np.nan)

    def of_cells(self, arms: Sequence[str], classifier: int, group: Group) -> np.ndarray:
        """[n, 1 + K] first minus second arm of each pair of cells."""
        a, b = (self.grid.arms.index(arm) for arm in arms)
        own = [np.zeros((0, len(self.predictions.metrics)))]
        for condition in group.conditions:
            mask = self.grid.shared(arms, classifier, condition)
            ours, theirs = (
                self.metrics_of(self.tally[self.grid.place[arm, classifier, condition][mask]].sum(1)) for arm in (a, b)
            )
            own.append(ours - theirs)
        return np.concatenate(own)

    def reasons(self, arms: Sequence[str], classifier: int, group: Group) -> list[str]:
        """Why each metric over the cells that `arms` share is undefined; "" where nothing speaks against it."""
        masks = {c: self.grid.shared(arms, classifier, c) for c in group.conditions}
        own = self.predictions
        if not any(mask.any() for mask in masks.values()):
            missing = self.grid.missing(arms, classifier, group.conditions)
            why = "no cells: " + ("; ".join(f"{reason} ({n})" for reason, n in missing.reasons) or "not in the study")
            return [why] * len(own.metrics)
        each = []
        for k, name in enumerate(own.names):
            found = ""
            for arm in arms:
                for condition, mask in masks.items():
                    if mask.any() and not found:
                        tallies = self.pooled(self.grid.arms.index(arm), classifier, condition, mask).sum(1)[..., k]
                        found = next((why for tally in tallies if (why := self._why(tally, name, k))), "")
            each.append(found)
        first = next((why for why, counts in zip(each, own.counted, strict=True) if why and counts), "")
        return [first, *each]

    def _why(self, tally: np.ndarray, name: str, k: int) -> str:
        own = self.predictions
        if own.task == "labels":
            return "" if tally[TARGETS] > 0 else f"test holds no sample of {name}"
        if not own.counted[k]:
            return f"nobody rated {name}"
        if tally[NUMBER] < 2:
            return f"fewer than two tested samples have a rating of {name}"
        if not np.isfinite(tally[P]):
            return f"train of a fold knows fewer than two values of {name}"
        if _variance(tally[NUMBER], tally[T], tally[TT]) == 0:
            return f"all tested samples have the same {name}"
        if _variance(tally[NUMBER], tally[P], tally[PP]) == 0:
            return f"the predictions of {name} are constant"
        return ""


def concordance(moments: np.ndarray) -> np.ndarray:
    """[..., 6, K] sums -> [..., K] concordance correlation in [-1, 1] (Lin 1989, eq. 1, with 1 / n). NaN for fewer than
    two samples, and where predictions or ratings do not vary: Lin's formula says 0 there whatever the constant is, and
    no more of agreement can be said."""
    n, p, t, pp, tt, pt = np.moveaxis(moments, -2, 0)
    vp, vt = _variance(n, p, pp), _variance(n, t, tt)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 2.0 * (pt / n - p / n * t / n) / (vp + vt + (p / n - t / n) ** 2)
        return np.where((n > 1) & (vp > 0) & (vt > 0), value, np.nan)


def _variance(n: np.ndarray, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Of sums; 0 where nothing is left of it but rounding."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_square = squares / n
        own = mean_square - (total / n) ** 2
    return np.where(own > _CONSTANT * mean_square, own, np.where(np.isfinite(own), 0.0, np.nan))


def in_words(metric: str) -> str:
    """ "ccc" -> "mean CCC", "ccc valence" -> "CCC of valence"; "macro_f1" -> "macro-F1", "f1 love" -> "F1 of love"."""
    kind, _, name = metric.partition(" ")
    if not name:
        return {"ccc": "mean CCC", "macro_f1": "macro-F1"}[kind]
    return f"{kind.upper()} of {name}"

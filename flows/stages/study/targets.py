"""Targets of a study of dimensions or of several labels a sample, and the rows that arms of it add.

Every row that is added comes from one real train row and has that row's targets: nothing is known of any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import CorpusError, UserError
from corpora.fingerprint import hash_json
from corpora.labels import EMOTIONS
from flows.stages.study.changed import BLOCK, Changed
from flows.stages.study.rows import DIMENSIONS, RowFacts
from flows.stages.study.train import TrainView
from flows.studying import Arm, Task
from generators.classical.method import Unfitted, payload_method, vector_method
from validators.trials.classifiers.priors import class_weights
from validators.trials.studies.predictions import Task as TargetTask

FEWEST_SAMPLES = 10  # of a label that is recognised; fewer lie in no more than a few people


@dataclass(frozen=True)
class Targets:
    """names: K dimensions or labels; values: [N, K] float32 of every row of the study: ratings in [-1, 1], NaN where
    not rated; of labels 1 where the row has it, else 0. left_out: names that are no targets -> why."""

    task: TargetTask
    names: tuple[str, ...]
    values: np.ndarray
    left_out: dict[str, str]

    def hashed(self, rows: np.ndarray) -> str:
        """64 hex digits over the targets of some rows."""
        return hash_json([self.task, list(self.names), np.ascontiguousarray(self.values[rows]).tobytes().hex()])


@dataclass(frozen=True, slots=True)
class AddedTargets:
    """What an arm adds. x: [M, D] in the scaled space; source: [M] the row of the study that each comes from; values:
    [M, K] its targets; notes: what the arm did otherwise than asked."""

    x: np.ndarray
    source: np.ndarray
    values: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.source)


def targets_of(task: Task, facts: Sequence[RowFacts], hidden: Container[str] = ()) -> Targets:
    """Targets of rows. Of labels, those with at least `FEWEST_SAMPLES` samples beside the ones that are `hidden` (ids
    of the vault: what it holds chooses nothing), in the order of `EMOTIONS`.

    Raises `CorpusError` where nothing is left to recognise.
    """
    if task == "classes":
        raise ValueError("a study of classes has one class a row, and no other targets")
    if task == "dimensions":
        values = values_of(task, facts, DIMENSIONS)
        rated = [bool(np.isfinite(column).any()) for column in values.T]
        if not any(rated):
            raise CorpusError(f"no prepared sample has a rating of {', '.join(DIMENSIONS)}")
        unrated = [name for name, known in zip(DIMENSIONS, rated, strict=True) if not known]
        return Targets(task, DIMENSIONS, values, dict.fromkeys(unrated, "nobody rated it"))
    samples = {f.sample_id: f.labels for f in facts if f.sample_id not in hidden}
    counts = Counter(name for labels in samples.values() for name in labels)
    every = {name for fact in facts for name in fact.labels}
    ranked = sorted(every, key=lambda name: (EMOTIONS.index(name) if name in EMOTIONS else len(EMOTIONS), name))
    names = tuple(name for name in ranked if counts[name] >= FEWEST_SAMPLES)
    if not names:
        raise CorpusError(f"no label has {FEWEST_SAMPLES} samples; there is nothing to recognise")
    rare = {n: f"{counts[n]} samples, fewer than {FEWEST_SAMPLES}" for n in ranked if n not in names}
    return Targets(task, names, values_of(task, facts, names), rare)


def values_of(task: TargetTask, facts: Sequence[RowFacts], names: Sequence[str]) -> np.ndarray:
    """[N, K] float32: ratings, NaN where there is none; or 1 where a row has the label, else 0."""
    if task == "labels":
        own = [[float(name in f.labels) for name in names] for f in facts]
    else:
        own = [[np.nan if (v := getattr(f, name)) is None else v for name in names] for f in facts]
    return np.array(own, np.float32).reshape(len(facts), len(names))


def rarity(labels: np.ndarray) -> np.ndarray:
    """[N, K] 0 or 1 -> [N] probabilities to be drawn, in proportion to 1 / (rows of the row's rarest label); 0 for a
    row without any label. Raises `UserError` where no row has one."""
    counts = labels.sum(0)
    share = np.divide(1.0, counts, out=np.zeros(len(counts)), where=counts > 0)
    weights = (labels * share).max(1)
    if not weights.sum() > 0:
        raise UserError("train has no row with any of the labels; there is nothing to draw from")
    return np.asarray(weights / weights.sum(), np.float64)


def label_weights(labels: np.ndarray, power: float) -> np.ndarray:
    """[N, K] 0 or 1 -> [N, K] weights > 0: of each label by itself, rows with and without it weigh the same in all at
    power 1 (`class_weights` of two classes)."""
    return np.stack([class_weights(has.astype(np.int64), 2, power) for has in labels.T], axis=1)


@dataclass(frozen=True)
class TargetRows:
    """Arms on one view. train: [N, K] targets of its train rows."""

    view: TrainView
    targets: Targets
    changed: Changed

    @property
    def train(self) -> np.ndarray:
        """[N, K]"""
        return self.targets.values[self.view.train]

    def added(self, arm: Arm) -> AddedTargets:
        """`amount` times as many rows as train has. Sources are drawn evenly for dimensions; for labels by how rare
        their rarest label is."""
        view, method = self.view, arm.method
        if method in ("nothing", "class_weights"):
            return AddedTargets(view.x[:0], view.train[:0], self.train[:0])
        places = self._sources(arm)
        if method in ("oversample", "jitter"):
            # each of the drawn rows once; the unit of noise is their spread, for there are no classes to pool over
            x, y = view.x[places], np.zeros(len(places), np.int64)
            subjects = [view.subjects[i] for i in places]
            drawn = vector_method(method, arm.params).rows(
                x, y, subjects, {0: len(places)}, view.rng("targets", method)
            )
            return self._from(drawn.x, places[drawn.source], drawn.notes)
        return self._changed(arm, places)

    def _sources(self, arm: Arm) -> np.ndarray:
        """[M] places in train."""
        n = len(self.view.train)
        m, rng = max(1, round(arm.amount * n)), self.view.rng("targets", "sources", arm.method)
        if self.targets.task == "labels":
            return rng.choice(n, size=m, p=rarity(self.train))
        return np.concatenate([rng.permutation(n) for _ in range(-(-m // n))])[:m]

    def _changed(self, arm: Arm, places: np.ndarray) -> AddedTargets:
        method = payload_method(self.changed.modality, arm.method, arm.params)
        learns = not isinstance(method, Unfitted)
        if learns:
            method.fit([self.changed.payloads.of(int(i)) for i in self.view.train])
        wanted = Counter(places.tolist())
        rows, kept = [], []
        for place, n in sorted(wanted.items()):
            variants = range(n if method.varies else 1)  # methods whose result does not vary give one row a source
            for block in sorted({v // BLOCK for v in variants}):
                x, good = self.changed.block(arm, method, learns, int(self.view.train[place]), block)
                own = [v % BLOCK for v in variants if v // BLOCK == block and good[v % BLOCK]]
                rows += [x[v] for v in own]
                kept += [place] * len(own)
        short = len(kept) < len(places)
        notes = (f"{len(kept)} of {len(places)}: the method could change no more",) if short else ()
        raw = np.stack(rows) if rows else np.zeros((0, *self.changed.features.spec.shape), np.float32)
        return self._from(self.view.scaled(raw), np.array(kept, np.int64), notes)

    def _from(self, x: np.ndarray, places: np.ndarray, notes: tuple[str, ...]) -> AddedTargets:
        return AddedTargets(x, self.view.train[places], self.train[places], notes)

"""What is a rare class worth when its effect is estimated from three to twenty samples? Arms in feature space.

    python -m benchmarks.effects --data FOLDER [--corpora ravdess fer2013 goemotions meld] [--arms NAME ...] [--seeds 5]

Each class in turn is pruned to 10 % (three samples at least) in the train part of each fold; folds hold whole people
(RAVDESS: pairs of actors; every pair is tested once in five seeds) or dialogues (MELD). Classifiers are those of a
study: SVC(C = 1, RBF of the real rows' width) and LogisticRegression(C = 0.1), on normal scores (speech) or 100
principal components (faces, texts). Printed of each arm: UAR and F1 of the pruned class, their share of the clean gap
(`fill` to `oracle + fill`: the other short classes filled at both ends), and the difference to class weights and logit
adjustment. Intervals: bootstrap over fold x class.

Only development people are read: RAVDESS actors 01 to 06, FER2013 Training without copies, train of GoEmotions, MELD.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import corpora.quiet  # noqa: F401  (before anything heavy)
from generators.effects import PERSON_WEIGHT, EffectParams, Effects, class_effects, interpolated_people
from training.seeds import derive_seed
from validators.trials.classifiers.priors import class_weights, logit_adjusted, train_prior
from validators.trials.classifiers.scaling import Scaler, ScalingParams

SHARE, LEAST = 0.1, 3
CORPORA = ("ravdess", "fer2013", "goemotions", "goemotions lsa", "meld", "meld lsa")


# -- corpora


@dataclass(frozen=True)
class Rows:
    """x: [N, D] features, or N texts; folds: seed -> test rows of each; pruned: classes to prune in turn."""

    name: str
    x: Any
    y: np.ndarray
    subjects: list[str | None]
    classes: tuple[str, ...]
    pruned: tuple[int, ...]
    folds: Callable[[int], list[np.ndarray]]


@lru_cache
def ravdess(data: Path) -> Rows:
    from corpora.codecs import decode_wav
    from features.speech.functionals import speech_functionals

    files = sorted(p for a in range(1, 7) for p in (data / "ravdess" / f"Actor_{a:02d}").glob("*.wav"))
    rows = []
    for path in files:
        channels, rate = decode_wav(path.read_bytes())
        rows.append(speech_functionals(channels.mean(axis=1), int(rate)))
    y = np.array([int(p.name.split("-")[2]) - 1 for p in files])
    actors = np.array([int(p.parent.name[-2:]) - 1 for p in files])
    names = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    return Rows("ravdess", np.stack(rows), y, [str(a) for a in actors], names, tuple(range(8)), partial(_pairs, actors))


def _pairs(actors: np.ndarray, seed: int) -> list[np.ndarray]:
    """Round `seed` of a tournament of six: every pair of actors is tested once in five rounds."""
    ring = [(seed + i) % 5 for i in range(5)]
    pairs = [(5, ring[0]), (ring[1], ring[4]), (ring[2], ring[3])]
    return [np.flatnonzero(np.isin(actors, pair)) for pair in pairs]


def _halves(groups: np.ndarray, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng([7, seed])
    units = rng.permutation(np.unique(groups))
    first = np.isin(groups, units[: len(units) // 2])
    return [np.flatnonzero(first), np.flatnonzero(~first)]


@lru_cache
def fer2013(data: Path, most: int = 1100) -> Rows:
    from features.faces.hog import hog_features

    images, labels, seen = [], [], set()
    with (data / "fer2013" / "fer2013.csv").open() as file:
        for row in csv.DictReader(file):
            if row["Usage"] == "Training" and row["pixels"] not in seen:
                seen.add(row["pixels"])
                images.append(np.array(row["pixels"].split(), np.uint8).reshape(48, 48))
                labels.append(int(row["emotion"]))
    chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:most])
    x, y = hog_features(np.stack(images)[chosen]).astype(np.float64), np.array(labels)[chosen]
    names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    return Rows(
        "fer2013", x, y, [None] * len(y), names, (0, 2, 3, 4, 5, 6), partial(_halves, np.arange(len(y)))
    )  # of disgust a tenth is no sample


EKMAN = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")


@lru_cache
def goemotions(data: Path, most: int = 1400, *, lsa: bool = False) -> Rows:
    names = (data / "goemotions" / "emotions.txt").read_text("utf-8").split()
    mapping = json.loads((data / "goemotions" / "ekman_mapping.json").read_text("utf-8"))
    of = {label: EKMAN.index(kind) for kind, labels in mapping.items() for label in labels} | {"neutral": 6}
    texts, y = [], []
    for line in (data / "goemotions" / "train.tsv").read_text("utf-8").splitlines():
        text, ids, _ = line.split("\t")
        kinds = {of[names[int(i)]] for i in ids.split(",")}
        if len(kinds) == 1:
            texts.append(text)
            y.append(kinds.pop())
    return _texts("goemotions", texts, np.array(y), [None] * len(y), np.arange(len(y)), most, lsa)


@lru_cache
def meld(data: Path, most: int = 1400, *, lsa: bool = False) -> Rows:
    with (data / "meld" / "train_sent_emo.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    y = np.array([EKMAN.index(row["Emotion"]) for row in rows])
    groups = np.array([int(row["Dialogue_ID"]) for row in rows])
    return _texts("meld", [r["Utterance"] for r in rows], y, [r["Speaker"] for r in rows], groups, most, lsa)


def _texts(
    name: str, texts: list[str], y: np.ndarray, subjects: list[str | None], groups: np.ndarray, most: int, lsa: bool
) -> Rows:
    from features.text.ngrams import hashed_ngrams

    chosen = np.sort(np.random.default_rng(0).permutation(len(y))[:most])
    texts, y = [texts[i] for i in chosen], y[chosen]
    x: Any = np.array(texts, object) if lsa else hashed_ngrams(texts)
    few = np.bincount(y, minlength=7) * SHARE / 2 < LEAST  # of half of them a tenth is not three
    pruned = tuple(int(k) for k in np.flatnonzero(~few))
    label = f"{name} lsa" if lsa else name
    return Rows(label, x, y, [subjects[i] for i in chosen], EKMAN, pruned, partial(_halves, groups[chosen]))


def rows_of(name: str, data: Path) -> Rows:
    """Features of one corpus of `CORPORA`."""
    kind, _, lsa = name.partition(" ")
    if kind in ("goemotions", "meld"):
        return {"goemotions": goemotions, "meld": meld}[kind](data, lsa=bool(lsa))
    return {"ravdess": ravdess, "fer2013": fer2013}[kind](data)


# -- cells and arms


@dataclass
class Cell:
    """One train part with class k pruned, in the scaled space of its real rows; gone: [G, D] of what was pruned."""

    x: np.ndarray
    y: np.ndarray
    subjects: list[str | None]
    gone: np.ndarray
    gone_subjects: list[str | None]
    test: np.ndarray
    y_test: np.ndarray
    k: int
    n_classes: int
    seed: int

    @cached_property
    def counts(self) -> np.ndarray:
        return np.bincount(self.y, minlength=self.n_classes)

    @cached_property
    def _effects(self) -> dict[Any, Effects]:
        return {}

    def effects(self, estimator: str = "shared", **more: Any) -> Effects:
        key = (estimator, *sorted(more.items()))
        if key not in self._effects:
            params = EffectParams(estimator=estimator, **more)
            self._effects[key] = class_effects(self.x, self.y, self.subjects, self.n_classes, params=params)
        return self._effects[key]

    @cached_property
    def true_effects(self) -> Effects:
        """With the samples that were pruned: a bound, no method."""
        x, y = np.concatenate([self.x, self.gone]), np.append(self.y, np.full(len(self.gone), self.k))
        params = EffectParams(estimator="naive")
        return class_effects(x, y, self.subjects + self.gone_subjects, self.n_classes, params=params)


@dataclass
class Added:
    """Rows beside the real ones. source: [M] place of the real row that each comes from, -1 where it is real itself."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray
    source: np.ndarray


def none(cell: Cell) -> Added:
    return Added(cell.x[:0], cell.y[:0], np.zeros(0), np.zeros(0, int))


def joined(*parts: Added) -> Added:
    return Added(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("x", "y", "w", "source")))


def oracle(cell: Cell) -> Added:
    n = len(cell.gone)
    return Added(cell.gone, np.full(n, cell.k), np.ones(n), np.full(n, -1))


def fill(
    cell: Cell, effects: Effects, classes: list[int] | None = None, *, sources: str = "all", amount: float = 1.0
) -> Added:
    """Rows of every short class, or of `classes`: all samples of other classes moved, at the weight that is missing
    (`all`), or as many at random as are missing (`many`)."""
    parts = [none(cell)]
    for k in range(cell.n_classes) if classes is None else classes:
        lacks = amount * float(cell.counts.max() - cell.counts[k])
        usable = np.isfinite(effects.offsets[k]).all(axis=1) & (cell.counts >= 8)
        rows = np.flatnonzero(usable[cell.y] & (cell.y != k))
        if lacks <= 0 or not len(rows) or not effects.usable(k):
            continue
        weight = np.full(len(rows), lacks / len(rows))
        if sources == "many":
            rng = np.random.default_rng(derive_seed("effects", cell.seed, k))
            rows = rng.permutation(rows)[: round(lacks)]
            weight = np.ones(len(rows))
        parts.append(Added(cell.x[rows] + effects.offsets[k, cell.y[rows]], np.full(len(rows), k), weight, rows))
    return joined(*parts)


def others(cell: Cell) -> list[int]:
    return [k for k in range(cell.n_classes) if k != cell.k]


@dataclass
class TrainSet:
    """What a classifier is trained on. tau: of the logit adjustment of its answers, by its effective prior."""

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray
    tau: float = 0.0
    kinds: tuple[str, ...] = ("svm", "logistic")


def with_real(cell: Cell, added: Added, **more: Any) -> TrainSet:
    x, y = np.concatenate([cell.x, added.x]), np.concatenate([cell.y, added.y])
    return TrainSet(x, y, np.concatenate([np.ones(len(cell.y)), added.w]), **more)


def people(cell: Cell, added: Added, effects: Effects) -> TrainSet:
    """Every row once more as an interpolated person; both at half weight."""
    plain = with_real(cell, added)
    if len(effects.subjects) < 2:
        return plain
    level_of = np.concatenate([effects.level_of, effects.level_of[added.source]])
    copies, _, _ = interpolated_people(plain.x, level_of, effects.levels, seed=derive_seed("people", cell.seed))
    w = PERSON_WEIGHT * np.concatenate([plain.w, plain.w])
    return TrainSet(np.concatenate([plain.x, copies]), np.tile(plain.y, 2), w)


def weighted(cell: Cell) -> TrainSet:
    return TrainSet(cell.x, cell.y, class_weights(cell.y, cell.n_classes))


Arm = Callable[[Cell], TrainSet]
ARMS: dict[str, Arm] = {
    "nothing": lambda c: with_real(c, none(c)),
    "class weights": weighted,
    "logit adjustment": lambda c: with_real(c, none(c), tau=1.0, kinds=("logistic",)),
    "fill": lambda c: with_real(c, fill(c, c.effects(), others(c))),
    "oracle + fill": lambda c: with_real(c, joined(oracle(c), fill(c, c.effects(), others(c)))),
    "oracle": lambda c: with_real(c, oracle(c)),
    "shrunk, as many": lambda c: with_real(c, fill(c, c.effects("shrunk"), sources="many")),
    "naive, all": lambda c: with_real(c, fill(c, c.effects("naive"))),
    "shrunk, all": lambda c: with_real(c, fill(c, c.effects("shrunk"))),
    "shared, as many": lambda c: with_real(c, fill(c, c.effects(), sources="many")),
    "shared, all": lambda c: with_real(c, fill(c, c.effects())),
    "shared, all, people": lambda c: people(c, fill(c, c.effects()), c.effects()),
    "true mean, all": lambda c: with_real(c, joined(fill(c, c.true_effects, [c.k]), fill(c, c.effects(), others(c)))),
}


def cells(rows: Rows, seeds: int) -> Iterator[tuple[tuple[int, int, int], Cell]]:
    """(seed, fold, class) and the cell."""
    for seed in range(seeds):
        for f, test in enumerate(rows.folds(seed)):
            rest = np.setdiff1d(np.arange(len(rows.y)), test)
            for k in rows.pruned:
                mine = rest[rows.y[rest] == k]
                rng = np.random.default_rng([11, seed, f, k])
                gone = rng.permutation(mine)[max(LEAST, round(SHARE * len(mine))) :]
                train = np.setdiff1d(rest, gone)
                x, x_gone, x_test = features(rows, train, gone, test)
                yield (
                    (seed, f, k),
                    Cell(
                        x,
                        rows.y[train],
                        [rows.subjects[i] for i in train],
                        x_gone,
                        [rows.subjects[i] for i in gone],
                        x_test,
                        rows.y[test],
                        k,
                        len(rows.classes),
                        derive_seed(rows.name, seed, f, k),
                    ),
                )


def features(rows: Rows, *parts: np.ndarray) -> list[np.ndarray]:
    """Scaled by the first part."""
    if rows.name.endswith("lsa"):
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        counts = TfidfVectorizer(sublinear_tf=True, min_df=2)
        first = counts.fit_transform(rows.x[parts[0]])
        svd = TruncatedSVD(100, random_state=0).fit(first)
        z = [svd.transform(counts.transform(rows.x[p])) for p in parts]
        scaler = Scaler.fit(z[0], ScalingParams(scaling="standard"))
        return [scaler.apply(part) for part in z]
    params = ScalingParams() if rows.name == "ravdess" else ScalingParams(scaling="standard", components=100)
    scaler = Scaler.fit(rows.x[parts[0]], params)
    return [scaler.apply(rows.x[p]) for p in parts]


def answers(train: TrainSet, cell: Cell, kind: str) -> np.ndarray:
    """[T] answers to the test rows."""
    if kind == "svm":
        from sklearn.svm import SVC

        gamma = 1.0 / (cell.x.shape[1] * float(cell.x.var()))
        model = SVC(C=1.0, gamma=gamma, decision_function_shape="ovr", break_ties=True, cache_size=500)
        return model.fit(train.x, train.y, sample_weight=train.w).predict(cell.test)
    from sklearn.linear_model import LogisticRegression

    logistic = LogisticRegression(C=0.1, max_iter=1000, tol=1e-4).fit(train.x, train.y, sample_weight=train.w)
    p = np.full((len(cell.test), cell.n_classes), -np.inf)
    p[:, logistic.classes_] = logistic.predict_log_proba(cell.test)
    return logit_adjusted(p, train_prior(train.y, cell.n_classes, train.w), train.tau)


def scores(y: np.ndarray, said: np.ndarray, k: int) -> tuple[float, float]:
    """UAR over the classes of test, and F1 of class k."""
    uar = float(np.mean([(said[y == c] == c).mean() for c in np.unique(y)]))
    both = float(((y == k) & (said == k)).sum())
    return uar, 2.0 * both / max(1.0, float((y == k).sum() + (said == k).sum()))


@dataclass
class Results:
    """(arm, classifier) -> unit (fold of a seed, class) -> UAR and F1."""

    values: dict[tuple[str, str], dict[tuple[int, int, int], tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def table(self, arm: str, kind: str) -> np.ndarray:
        """[units, 2] in a fixed order."""
        mine = self.values[arm, kind]
        return np.array([mine[unit] for unit in sorted(mine)])


def one_cell(
    arms: dict[str, Arm], kinds: tuple[str, ...], item: tuple[tuple[int, int, int], Cell]
) -> list[tuple[str, str, tuple[int, int, int], tuple[float, float]]]:
    unit, cell = item
    out = []
    for name, arm in arms.items():
        train = arm(cell)
        for kind in (kind for kind in kinds if kind in train.kinds):
            out.append((name, kind, unit, scores(cell.y_test, answers(train, cell, kind), cell.k)))
    return out


_CELLS: list[Any] = []  # of the corpus that is measured: a worker inherits them when it is forked
_ARMS: dict[str, Arm] = {}


def _work(i: int, kinds: tuple[str, ...]) -> list[Any]:
    return one_cell(_ARMS, kinds, _CELLS[i])


def measure(rows: Rows, arms: dict[str, Arm], seeds: int, kinds: tuple[str, ...], workers: int) -> Results:
    import multiprocessing

    _CELLS[:] = cells(rows, seeds)
    _ARMS.clear()
    _ARMS.update(arms)
    results = Results()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        for part in pool.map(partial(_work, kinds=kinds), range(len(_CELLS))):
            for arm, kind, unit, value in part:
                results.values[arm, kind][unit] = value
    return results


def interval(values: np.ndarray) -> str:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:.0f} [{low:.0f}, {high:.0f}]"


def report(results: Results, kinds: tuple[str, ...], draws: int = 2000) -> None:
    """Prints one table a classifier; the first draw is the estimate itself."""
    for kind in kinds:
        names = [arm for arm, k in results.values if k == kind]
        n = len(results.table("fill", kind))
        rng = np.random.default_rng(0)
        weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1.0 / n), draws)]) / n
        mean = {arm: 100.0 * weights @ results.table(arm, kind) for arm in names}  # [draws + 1, 2]
        gap = mean["oracle + fill"] - mean["fill"]
        print(f"\n| {kind} ({n} units) | UAR | F1 | share of the clean gap: UAR | F1 | UAR - weights | UAR - logit |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        for arm in names:
            share = 100.0 * (mean[arm] - mean["fill"]) / np.where(gap == 0, np.nan, gap)
            against = []
            for base in ("class weights", "logit adjustment"):
                against.append(_points(mean[arm][:, 0] - mean[base][:, 0]) if base in mean and base != arm else "")
            print(
                f"| {arm} | {mean[arm][0, 0]:.1f} | {mean[arm][0, 1]:.1f} | {interval(share[:, 0])} "
                f"| {interval(share[:, 1])} | {' | '.join(against)} |"
            )


def _points(values: np.ndarray) -> str:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:+.1f} [{low:.1f}, {high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=list(CORPORA))
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    kinds = ("svm", "logistic")
    needed = dict.fromkeys(["fill", "oracle + fill", *options.arms])
    for name in options.corpora:
        results = measure(
            rows_of(name, options.data), {a: ARMS[a] for a in needed}, options.seeds, kinds, options.workers
        )
        print(f"\n## {name}")
        report(results, kinds)


if __name__ == "__main__":
    main()

"""What is a rare class worth when its effect is estimated from three to twenty samples? Arms in feature space.

    python -m benchmarks.effects --data FOLDER [--corpora ravdess fer2013 goemotions meld] [--arms NAME ...] [--seeds 5]
        [--classifiers svm logistic]

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
import multiprocessing
import os
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import corpora.quiet  # noqa: F401  (before anything heavy)
from benchmarks.effects.arms import ARMS, Arm, Cell, TrainSet, cells
from benchmarks.effects.attempts import ATTEMPTS
from benchmarks.effects.corpora import CORPORA, Rows, rows_of
from validators.trials.classifiers.priors import logit_adjusted, train_prior


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
            share: list[str] = []
            for m in (0, 1):
                above = np.quantile(gap[1:, m], 0.025) > 0  # else it is no yardstick
                ratio = 100.0 * (mean[arm] - mean["fill"])[:, m] / np.where(gap[:, m] == 0, np.nan, gap[:, m])
                share.append(interval(ratio) if above else "the gap touches 0")
            against = []
            for base in ("class weights", "logit adjustment"):
                against.append(_points(mean[arm][:, 0] - mean[base][:, 0]) if base in mean and base != arm else "")
            values = f"{mean[arm][0, 0]:.1f} | {mean[arm][0, 1]:.1f}"
            print(f"| {arm} | {values} | {' | '.join(share)} | {' | '.join(against)} |")


def _points(values: np.ndarray) -> str:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{values[0]:+.1f} [{low:.1f}, {high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=list(CORPORA))
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--classifiers", nargs="+", choices=("svm", "logistic"), default=["svm", "logistic"])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    kinds = tuple(options.classifiers)
    known = ARMS | ATTEMPTS
    if unknown := [arm for arm in options.arms if arm not in known]:
        parser.error(f"unknown arms {unknown}; known: {'; '.join(known)}")
    needed = dict.fromkeys(["fill", "oracle + fill", *options.arms])
    for name in options.corpora:
        results = measure(
            rows_of(name, options.data), {a: known[a] for a in needed}, options.seeds, kinds, options.workers
        )
        print(f"\n## {name}")
        report(results, kinds)


if __name__ == "__main__":
    main()

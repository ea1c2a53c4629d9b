"""What two arms differ by before anything is known of them: the prior of validators/trials/studies/power.py.

    python benchmarks/study_power_prior.py --data /path/to/shared/data [--seeds 5] [--folds 5] [--out prior.json]

RAVDESS, all actors that are there, functionals, logistic regression (C = 0.1) on standardised features. Each class in
turn is pruned to 10 % of train, and three arms are compared with that train set: class weights, random oversampling and
the oracle. For each pair: the discordance of one run, that of the average over seeds and classes (mean square over test
samples of the mean difference in being right), the sd between people of their UAR difference, and the part of it that
samples do not explain. Averages are what a study quotes, so they are the prior; the larger of the arms' is taken.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import corpora.quiet  # noqa: F401  (before anything heavy)

ARMS = ("class weights", "oversampling", "oracle")
KEPT = 0.1  # of the pruned class


def rows(data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> features [N, D], class [N] and actor [N], both as the name of a file has them: parts 3 and 7."""
    import soundfile

    from features.speech.functionals import functionals_matrix

    files = sorted((data / "ravdess").glob("Actor_*/*.wav"))
    signals = []
    for file in files:
        signal, rate = soundfile.read(file, dtype="float32", always_2d=True)
        signals.append(signal.mean(1))
    parts = [file.stem.split("-") for file in files]
    return functionals_matrix(signals, rate), *(np.array([int(p[i]) for p in parts]) for i in (2, 6))


def right(
    x: np.ndarray, y: np.ndarray, actor: np.ndarray, split: tuple[np.ndarray, np.ndarray], c: int, seed: int
) -> Any:
    """Of one fold: being right [1 + len(ARMS), n_test] of the pruned train set and of each arm."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = split
    rng = np.random.default_rng([seed, c, int(test[0])])
    own = rng.permutation(train[y[train] == c])
    kept = np.concatenate([train[y[train] != c], own[: max(round(KEPT * len(own)), 3)]])
    n = np.bincount(y[kept], minlength=y.max() + 1)
    more = [rng.choice(kept[y[kept] == k], n.max() - n[k]) for k in np.unique(y)]
    sets = [(kept, None), (kept, "balanced"), (np.concatenate([kept, *more]), None), (train, None)]
    answers = []
    for at, weight in sets:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight=weight, max_iter=300))
        answers.append(model.fit(x[at], y[at]).predict(x[test]) == y[test])
    return np.array(answers)


def measured(x: np.ndarray, y: np.ndarray, actor: np.ndarray, seeds: int, folds: int) -> np.ndarray:
    """[seeds, K, 1 + len(ARMS), N] bool: being right of every sample, once a seed."""
    classes, people = np.unique(y), np.unique(actor)
    out = np.zeros((seeds, len(classes), 1 + len(ARMS), len(y)), bool)
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(people)
        for some in np.array_split(order, folds):
            inside = np.isin(actor, some)
            for n, c in enumerate(classes):
                test = np.flatnonzero(inside)
                out[seed, n][:, test] = right(x, y, actor, (np.flatnonzero(~inside), test), int(c), seed)
    return out


def prior(correct: np.ndarray, y: np.ndarray, actor: np.ndarray, arm: int) -> dict[str, float]:
    """Discordance and spread of one arm against the pruned train set."""
    each = correct[:, :, arm].astype(float) - correct[:, :, 0]  # [seeds, K, N]
    mean = each.mean((0, 1))
    people, classes = np.unique(actor), np.unique(y)
    of_people = [np.mean([mean[(actor == p) & (y == c)].mean() for c in classes]) for p in people]
    counts = np.array([[int(((actor == p) & (y == c)).sum()) for c in classes] for p in people])
    averaged = float((mean**2).mean())
    within = averaged / len(classes) ** 2 * float((1.0 / counts).sum(1).mean())
    sd = float(np.std(of_people, ddof=1))
    return {
        "difference in UAR": float(np.mean(of_people)),
        "discordance, one run": float((each**2).mean()),
        "discordance, averaged": averaged,
        "sd between people": sd,
        "of samples": math.sqrt(within),
        "between_sd": math.sqrt(max(sd**2 - within, 0.0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    started = time.perf_counter()
    x, y, actor = rows(args.data)
    print(f"{len(y)} samples of {len(np.unique(actor))} actors, {x.shape[1]} features")
    correct = measured(x, y, actor, args.seeds, args.folds)
    table = {name: prior(correct, y, actor, n + 1) for n, name in enumerate(ARMS)}
    for name, row in table.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.4f}" for key, value in row.items()))
    print(f"{time.perf_counter() - started:.0f} s")
    if args.out:
        args.out.write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

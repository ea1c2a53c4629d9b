"""How long the classifiers of a study take to train, in milliseconds a fit.

    OMP_NUM_THREADS=1 python -m benchmarks.bench_classifiers [--repeats 5]

Correlated Gaussian features that overlap between classes, at the sizes of one fold of RAVDESS' functionals and of HOG
or n-grams; pictures of FER2013's size for the network. The fastest of the repeats, so that a busy machine shows least.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

VECTORS = ((480, 88, 8), (3000, 100, 7), (3000, 400, 7))  # rows, features, classes
PICTURES = (2000, 48, 7)  # rows, side, classes
NEAR = 0.15  # distance of class means, in standard deviations of a feature


def vectors(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """[n, d] features with correlations of their own, [n] classes."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    noise = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) / np.sqrt(d)
    return NEAR * rng.normal(size=(k, d))[y] + noise, y


def main() -> None:
    from validators.trials.classifiers.registry import classifier, classifiers_for

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    n, side, k = PICTURES
    pictures = np.random.default_rng(0).normal(size=(n, 1, side, side)).astype(np.float32), np.arange(n) % k
    for name in classifiers_for("fit"):
        chosen = classifier(name)
        reads_vectors = "vector" in chosen.layouts
        for x, y in [vectors(*size) for size in VECTORS] if reads_vectors else [pictures]:
            seconds = []
            for _ in range(repeats if reads_vectors else 1):
                start = time.perf_counter()
                chosen.fit(x, y, n_classes=int(y.max()) + 1, seed=0)
                seconds.append(time.perf_counter() - start)
            shape = " x ".join(str(side) for side in x.shape)
            print(f"{name:12s} {shape:20s} {y.max() + 1} classes  {1000 * min(seconds):10.1f} ms")


if __name__ == "__main__":
    main()

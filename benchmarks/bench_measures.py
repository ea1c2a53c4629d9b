"""Speed of the set measures against the forms that others use, in one run, one thread each.

    OMP_NUM_THREADS=1 python benchmarks/bench_measures.py [--n 10000] [--d 2048] [--repeats 3] [--quick]

Frechet:  ours (symmetric eigenvalues) | scipy.linalg.sqrtm of C1 C2 (pytorch-fid's form) | sqrt of eigvals of C1 C2
          (torch-fidelity's and torchmetrics' form, in numpy); the same with 200 synthetic rows (our low-rank form).
KID:      ours, value and jackknife interval over all rows, nothing drawn.
PRDC:     ours in blocks | the full matrices and argpartition of the package `prdc` (its formula, in numpy).

Every contender gets features that are there already; means and covariances are part of the time. Prints JSON: seconds
(median, range) and ratios. Values are compared too: a faster wrong number is no win.
"""

# ruff: noqa: E402  (threads are set before numpy is imported)
from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import scipy
import sklearn

from validators.frechet import features_frechet
from validators.kernel import kid
from validators.prdc import prdc


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(axis=0), np.cov(x, rowvar=False)


def by_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    (m1, c1), (m2, c2) = moments(x), moments(y)
    root = scipy.linalg.sqrtm(c1 @ c2)
    return float((m1 - m2) @ (m1 - m2) + np.trace(c1) + np.trace(c2) - 2 * np.trace(np.real(root)))


def by_eigenvalues(x: np.ndarray, y: np.ndarray) -> float:
    (m1, c1), (m2, c2) = moments(x), moments(y)
    roots = np.sqrt(np.linalg.eigvals(c1 @ c2).astype(complex)).real.sum()
    return float((m1 - m2) @ (m1 - m2) + np.trace(c1) + np.trace(c2) - 2 * roots)


def prdc_whole(real: np.ndarray, synthetic: np.ndarray, k: int = 5) -> dict[str, float]:
    """The published package's steps: whole distance matrices by scikit-learn, one after the other."""
    from sklearn.metrics import pairwise_distances

    def reach(x: np.ndarray) -> np.ndarray:
        far = pairwise_distances(x, x, metric="euclidean", n_jobs=1)
        near = np.take_along_axis(far, np.argpartition(far, k + 1, axis=-1)[..., : k + 1], axis=-1)
        return near.max(axis=-1)

    of_real, of_synthetic = reach(real), reach(synthetic)
    far = pairwise_distances(real, synthetic, metric="euclidean", n_jobs=1)
    inside = far < of_real[:, None]
    return {
        "precision": float(inside.any(axis=0).mean()),
        "recall": float((far < of_synthetic[None]).any(axis=1).mean()),
        "density": float(inside.sum(axis=0).mean() / k),
        "coverage": float((far.min(axis=1) < of_real).mean()),
    }


def timed(work: Callable[[], Any], repeats: int) -> dict[str, Any]:
    seconds, value = [], None
    for _ in range(repeats):
        begun = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - begun)
    shown = value if isinstance(value, float | dict) else getattr(value, "value", str(value))
    return {
        "seconds": round(statistics.median(seconds), 3),
        "range": [round(min(seconds), 3), round(max(seconds), 3)],
        "value": shown,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--d", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="leave out sqrtm, which takes a minute a time")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(asked.d, asked.d)) / np.sqrt(asked.d)
    x, y = rng.normal(size=(asked.n, asked.d)) @ mix, rng.normal(size=(asked.n, asked.d)) @ mix + 0.05
    few = y[:200]
    found: dict[str, Any] = {
        "machine": {"cpu": platform.processor() or platform.machine(), "load": os.getloadavg()},
        "versions": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
        "n": asked.n,
        "d": asked.d,
        "repeats": asked.repeats,
    }
    found["frechet"] = {
        "ours": timed(lambda: features_frechet(x, y), asked.repeats),
        "eigvals": timed(lambda: by_eigenvalues(x, y), 1),
    }
    found["frechet 200"] = {
        "ours": timed(lambda: features_frechet(x, few), asked.repeats),
        "eigvals": timed(lambda: by_eigenvalues(x, few), 1),
    }
    if not asked.quick:
        found["frechet"]["sqrtm"] = timed(lambda: by_sqrtm(x, y), 1)
        found["frechet 200"]["sqrtm"] = timed(lambda: by_sqrtm(x, few), 1)
    found["kid"] = {"ours": timed(lambda: kid(x, y), 1)}
    a, b = x[:5000, :64], y[:5000, :64]
    found["prdc 5000 x 64"] = {
        "ours": timed(lambda: vars_of(prdc(a, b)), asked.repeats),
        "whole matrices": timed(lambda: prdc_whole(a, b), asked.repeats),
    }
    for part in found.values():
        if isinstance(part, dict) and "ours" in part:
            part["times faster"] = {
                name: round(one["seconds"] / part["ours"]["seconds"], 2) for name, one in part.items() if name != "ours"
            }
    print(json.dumps(found, indent=2))


def vars_of(found: Any) -> dict[str, float]:
    return {name: getattr(found, name) for name in found.__slots__}


if __name__ == "__main__":
    main()

"""Speed of the set measures against the forms and packages that others use, in one run, one thread each.

    OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/bench_measures.py [--n 10000] [--d 2048] [--repeats 3] [--quick]
        [--peers FOLDER]

Frechet:  ours | scipy.linalg.sqrtm of C1 C2 (pytorch-fid's form) | sqrt of eigvals of C1 C2, in numpy; where installed
          the maths of torch-fidelity and torchmetrics (eigvals) and of clean-fid (sqrtm). Twice: n synthetic rows, and
          200 of them (our low-rank form).
KID:      ours, value and jackknife interval over all rows, nothing drawn; torch-fidelity's kernel_mmd (a value alone).
PRDC:     ours in blocks | the package `prdc`, and its steps in numpy where it is missing. 5,000 rows.

Every contender gets features that are there already; means and covariances are part of the time. Peers are optional:

    pip install --no-deps --target FOLDER prdc torch-fidelity torchmetrics clean-fid lightning-utilities

Prints JSON: wall seconds (median, range), seconds of the processor (median), and how many times faster ours is by
either. On a machine that does other work the second is the fairer one. Values stand beside the times: a faster wrong
number is no win.
"""

# ruff: noqa: E402  (threads are set before numpy is imported)
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import scipy

from validators.maths.frechet import features_frechet
from validators.maths.kernel import kid
from validators.maths.prdc import prdc

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torch-fidelity", "torchmetrics", "clean-fid", "prdc")
Work = Callable[[], Any]
Others = dict[str, tuple[Work, int]]
K = 5  # nearest neighbours of PRDC


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


def by_torch_fidelity(x: np.ndarray, y: np.ndarray) -> float:
    import torch
    from torch_fidelity import metric_fid as peer

    first, second = (peer.fid_features_to_statistics(torch.from_numpy(a)) for a in (x, y))
    return float(peer.fid_statistics_to_metric(first, second, False)[peer.KEY_METRIC_FID])


def by_torchmetrics(x: np.ndarray, y: np.ndarray) -> float:
    import torch
    from torchmetrics.image.fid import _compute_fid

    parts = [part for a in (x, y) for part in (torch.from_numpy(a).mean(dim=0), torch.cov(torch.from_numpy(a).T))]
    return float(_compute_fid(*parts))


def by_clean_fid(x: np.ndarray, y: np.ndarray) -> float:
    from cleanfid.fid import fid_from_feats

    return float(fid_from_feats(x, y))


def kid_torch_fidelity(x: np.ndarray, y: np.ndarray) -> float:
    from torch_fidelity.metric_kid import kernel_mmd

    options = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1.0}
    return float(kernel_mmd(x, y, kid_kernel="poly", **options))


def prdc_package(real: np.ndarray, synthetic: np.ndarray) -> dict[str, float]:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(sys.stderr):  # it prints
        return {name: float(value) for name, value in compute_prdc(real, synthetic, nearest_k=K).items()}


def prdc_whole(real: np.ndarray, synthetic: np.ndarray) -> dict[str, float]:
    """The package's steps: whole distance matrices by scikit-learn, one after the other."""
    from sklearn.metrics import pairwise_distances

    def reach(x: np.ndarray) -> np.ndarray:
        far = pairwise_distances(x, x, metric="euclidean", n_jobs=1)
        near = np.take_along_axis(far, np.argpartition(far, K + 1, axis=-1)[..., : K + 1], axis=-1)
        return near.max(axis=-1)

    of_real, of_synthetic = reach(real), reach(synthetic)
    far = pairwise_distances(real, synthetic, metric="euclidean", n_jobs=1)
    inside = far < of_real[:, None]
    return {
        "precision": float(inside.any(axis=0).mean()),
        "recall": float((far < of_synthetic[None]).any(axis=1).mean()),
        "density": float(inside.sum(axis=0).mean() / K),
        "coverage": float((far.min(axis=1) < of_real).mean()),
    }


def stand_in() -> None:
    """Three peers import torchvision for networks that are not used here; an empty module takes its place."""
    for name in ("", ".datasets", ".models", ".models.feature_extraction", ".transforms", ".transforms.functional"):
        module = MagicMock()
        module.__spec__, module.__path__, module.__version__ = ModuleSpec("torchvision" + name, None), [], "0.0"
        sys.modules.setdefault("torchvision" + name, module)


def there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def timed(work: Work, repeats: int) -> dict[str, Any]:
    wall, cpu, value = [], [], None
    for _ in range(repeats):
        begun, used = time.perf_counter(), time.process_time()
        value = work()
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
    shown = value if isinstance(value, float | dict) else getattr(value, "value", str(value))
    return {
        "seconds": round(statistics.median(wall), 3),
        "range": [round(min(wall), 3), round(max(wall), 3)],
        "cpu": round(statistics.median(cpu), 3),
        "value": shown,
    }


def contest(ours: Work, others: Others, repeats: int) -> dict[str, Any]:
    """Ours before and after the others, so that a machine that warms up or gets busy favours nobody."""
    first = timed(ours, repeats)
    found: dict[str, Any] = {name: timed(work, times) for name, (work, times) in others.items()}
    last = timed(ours, repeats)
    mean = {key: (first[key] + last[key]) / 2 for key in ("seconds", "cpu")}
    found["ours"] = {
        **{key: round(value, 3) for key, value in mean.items()},
        "range": [min(first["range"][0], last["range"][0]), max(first["range"][1], last["range"][1])],
        "value": first["value"],
    }
    found["times faster"] = {
        name: {key: round(one[key] / mean[key], 2) for key in mean} for name, one in found.items() if name in others
    }
    return found


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def frechet_contest(x: np.ndarray, y: np.ndarray, *, quick: bool, repeats: int) -> dict[str, Any]:
    forms: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"eigvals": by_eigenvalues}
    if there("torch_fidelity"):
        forms["torch-fidelity"] = by_torch_fidelity
    if there("torchmetrics"):
        forms["torchmetrics"] = by_torchmetrics
    if not quick:
        forms["sqrtm"] = by_sqrtm
        if there("cleanfid"):
            forms["clean-fid"] = by_clean_fid
    others: Others = {name: (partial(form, x, y), 1) for name, form in forms.items()}
    return contest(lambda: features_frechet(x, y), others, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--d", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="leave out the forms by sqrtm, the slowest")
    parser.add_argument("--peers", type=Path, help="a folder of packages to measure against")
    asked = parser.parse_args()
    if asked.peers:
        sys.path.append(str(asked.peers))
    stand_in()
    if there("torch"):
        import torch

        torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(asked.d, asked.d)) / np.sqrt(asked.d)
    x, y = rng.normal(size=(asked.n, asked.d)) @ mix, rng.normal(size=(asked.n, asked.d)) @ mix + 0.05
    found: dict[str, Any] = {
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
        },
        "versions": versions(),
        "n": asked.n,
        "d": asked.d,
        "repeats": asked.repeats,
    }
    found["frechet"] = frechet_contest(x, y, quick=asked.quick, repeats=asked.repeats)
    found["frechet 200"] = frechet_contest(x, y[:200], quick=asked.quick, repeats=asked.repeats)
    peers: Others = {}
    if there("torch_fidelity"):
        peers = {"torch-fidelity, no interval": (partial(kid_torch_fidelity, x, y), 1)}
    found["kid"] = contest(lambda: kid(x, y), peers, 1)
    name, form = ("prdc", prdc_package) if there("prdc") else ("whole matrices", prdc_whole)
    for d in (64, asked.d):
        a, b = x[:5000, :d].copy(), y[:5000, :d].copy()
        found[f"prdc {len(a)} x {d}"] = contest(
            partial(prdc_ours, a, b), {name: (partial(form, a, b), asked.repeats)}, asked.repeats
        )
    found["machine"]["load at the end"] = os.getloadavg()
    print(json.dumps(found, indent=2))


def prdc_ours(real: np.ndarray, synthetic: np.ndarray) -> dict[str, float]:
    return dataclasses.asdict(prdc(real, synthetic, k=K))


if __name__ == "__main__":
    main()

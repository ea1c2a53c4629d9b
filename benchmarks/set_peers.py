"""What the set measures are timed against: other packages' maths on ready features, and the machine's own limit.

A limit is what no way around is known for, on buffers that are there already: the multiplications at the rate of a
plain matrix product, and for Frechet the LAPACK routines that the eigenvalues need.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from unittest.mock import MagicMock

import numpy as np
import scipy
from scipy.linalg.lapack import dpotrf, dsterf, dsygst, dsytrd, dsytrd_lwork

K = 5  # nearest neighbours of PRDC
_BLOCK = 1024  # rows of a product of a limit


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(axis=0), np.cov(x, rowvar=False)


def by_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    """pytorch-fid's form."""
    (m1, c1), (m2, c2) = moments(x), moments(y)
    root = scipy.linalg.sqrtm(c1 @ c2)
    return float((m1 - m2) @ (m1 - m2) + np.trace(c1) + np.trace(c2) - 2 * np.trace(np.real(root)))


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


def eigenvalues_of_torch(cov: np.ndarray) -> object:
    import torch

    return torch.linalg.eigvalsh(torch.from_numpy(cov))


def kid_torch_fidelity(x: np.ndarray, y: np.ndarray) -> float:
    """All rows, a value without an interval."""
    from torch_fidelity.metric_kid import kernel_mmd

    options = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1.0}
    return float(kernel_mmd(x, y, kid_kernel="poly", **options))


def density_of_prdc(real: np.ndarray, synthetic: np.ndarray) -> float:
    """All four of the package `prdc`, of which density is returned."""
    from prdc import compute_prdc

    with contextlib.redirect_stdout(sys.stderr):  # it prints
        return float(compute_prdc(real, synthetic, nearest_k=K)["density"])


def frechet_limit(n: int, d: int, products: type[np.floating]) -> Callable[[], object]:
    """Half of X^T X for two sets of n x d in `products`, then Cholesky, reduction and eigenvalues in float64."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d)).astype(products)
    out = np.empty((d, d // 2), products)
    cov = np.asfortranarray(np.cov(rng.standard_normal((2 * d, d)), rowvar=False))
    size = int(dsytrd_lwork(d, lower=1)[0])

    def work() -> object:
        for _ in range(2):
            np.matmul(x.T, x[:, : d // 2], out=out)
        return _spectrum(cov, size)

    return work


def wide_limit(n: int, m: int, d: int) -> Callable[[], object]:
    """[n, d] times [d, m] in float64, in blocks."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((d, m))
    out = np.empty((_BLOCK, m))

    def work() -> object:
        for start in range(0, n, _BLOCK):
            rows = x[start : start + _BLOCK]
            np.matmul(rows, y, out=out[: len(rows)])
        return out

    return work


def pairs_limit(n: int, d: int) -> Callable[[], object]:
    """2 n^2 products of rows in float32: n^2 of two sets, half of n^2 within each."""
    x = np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)
    out = np.empty((_BLOCK, _BLOCK), np.float32)

    def work() -> object:
        for columns in (n, n // 2, n // 2):
            for i in range(0, n, _BLOCK):
                for j in range(0, columns, _BLOCK):
                    rows, others = x[i : i + _BLOCK], x[j : min(j + _BLOCK, columns)]
                    np.matmul(rows, others.T, out=out[: len(rows), : len(others)])
        return out

    return work


def _spectrum(cov: np.ndarray, size: int) -> np.ndarray:
    lower = dpotrf(cov, lower=1, clean=0)[0]
    product = dsygst(cov, lower, itype=2, lower=1)[0]
    _, diagonal, beside, _, _ = dsytrd(product, lower=1, lwork=size, overwrite_a=1)
    spectrum: np.ndarray = dsterf(diagonal, beside)[0]
    return spectrum


def stand_in() -> None:
    """Two peers import torchvision for networks that are not used here; an empty module takes its place."""
    for name in ("", ".datasets", ".models", ".models.feature_extraction", ".transforms", ".transforms.functional"):
        module = MagicMock()
        module.__spec__, module.__path__, module.__version__ = ModuleSpec("torchvision" + name, None), [], "0.0"
        sys.modules.setdefault("torchvision" + name, module)


def there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None

"""Speed of the set measures against other packages and the machine's limit, turn by turn in one run, one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.bench_measures [frechet|wide|kid|kid-large|prdc ...] [--repeats 3]
        [--peers FOLDER] [--long] [--out rows.json]

frechet    10,000 against 10,000, d = 2048. Limit: products in float32 (float64 as well, for the eye)
wide       10,000 against 200. Limit: the product of the two sets
kid        5,000 against 5,000, value and jackknife interval; the peer gives a value alone. Limit: products in float32
kid-large  10,000 against 10,000: under 10 seconds
prdc       5,000 against 5,000, d = 64 and 2048. Limit: products in float32
spectrum   the eigenvalues that Frechet needs, d = 2048, as other libraries compute them. Limit: as many products

Every contender gets features that are there already (float64, as our readers give them); means and covariances are part
of the time. --long: also the peers that take more than 10 s a round. Peers are optional:

    pip install --no-deps --target FOLDER prdc torch-fidelity torchmetrics lightning-utilities

Prints a line a row (benchmarks/rows.py): seconds of the processor, median of rounds; how many times faster ours is,
median over rounds with the smallest and the largest; the share of the limit. And how far the values lie apart: a
faster wrong number is no win. `rows` returns what --out writes.
"""

# ruff: noqa: E402  (threads are set before numpy is imported)
from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

from benchmarks import set_peers as peers
from benchmarks.rows import OURS, Row, Work, interleaved, row, table, write_rows
from validators.maths.frechet import _distance as distance_of_spectrum
from validators.maths.frechet import features_frechet
from validators.maths.kernel import kid
from validators.maths.prdc import prdc

D = 2048
SINGLE, DOUBLE = "limit, float32 products", "limit, float64 products"


def features(n: int, d: int = D, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two sets [n, d] of one covariance of full rank (condition about d^2), means 0 and 0.05."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d)) / np.sqrt(d)
    return rng.normal(size=(n, d)) @ mix, rng.normal(size=(n, d)) @ mix + 0.05


def frechet(repeats: int, long: bool) -> list[Row]:
    work = "Frechet, 10,000 against 10,000, d = 2048"
    x, y = features(10_000)
    contenders: dict[str, Work] = {
        OURS: partial(features_frechet, x, y),
        SINGLE: peers.frechet_limit(len(x), D, np.float32),
        DOUBLE: peers.frechet_limit(len(x), D, np.float64),
        **_if_there("torch_fidelity", "torch-fidelity", partial(peers.by_torch_fidelity, x, y)),
    }
    goals = {"torch-fidelity": 2.5, SINGLE: 0.85}
    found = _rows(work, contenders, repeats, goals, SINGLE)
    if long:
        slow: dict[str, Work] = {
            OURS: contenders[OURS],
            "sqrtm (scipy)": partial(peers.by_sqrtm, x, y),
            **_if_there("torchmetrics", "torchmetrics", partial(peers.by_torchmetrics, x, y)),
        }
        found += _rows(work, slow, 1, {}, None)
    return found


def wide(repeats: int, long: bool) -> list[Row]:
    work = "Frechet, 10,000 against 200, d = 2048"
    x, y = features(10_000)
    y = y[:200].copy()
    limit = "limit, float64 product"
    ours = partial(features_frechet, x, y)
    found = _rows(work, {OURS: ours, limit: peers.wide_limit(len(x), len(y), D)}, 3 * repeats, {limit: 0.8}, limit)
    slow: dict[str, Work] = {OURS: ours, "sqrtm (scipy)": partial(peers.by_sqrtm, x, y)}
    if long:
        slow |= _if_there("torch_fidelity", "torch-fidelity", partial(peers.by_torch_fidelity, x, y))
    return found + _rows(work, slow, max(repeats // 2, 1), {"sqrtm (scipy)": 60.0}, None)


def spectrum(repeats: int, long: bool) -> list[Row]:
    """Half of the reduction to a tridiagonal matrix is products of a matrix and a vector, which memory bounds: no
    library is near the rate of products."""
    x, _ = features(2 * D)
    cov = np.asfortranarray(np.cov(x, rowvar=False))
    zero, out = np.zeros(D), np.empty((D, 2 * D // 3))
    contenders: dict[str, Work] = {
        OURS: lambda: distance_of_spectrum(zero, 0.0, cov.copy(order="F")),
        "numpy's eigvalsh": lambda: np.linalg.eigvalsh(cov),
        **_if_there("torch", "torch's eigvalsh", partial(peers.eigenvalues_of_torch, cov)),
        DOUBLE: lambda: np.matmul(cov, cov[:, : 2 * D // 3], out=out),
    }
    return _rows(f"eigenvalues of a symmetric matrix, d = {D}", contenders, repeats, {}, DOUBLE)


def kid_contest(repeats: int, long: bool) -> list[Row]:
    x, y = features(5_000)
    contenders: dict[str, Work] = {
        OURS: lambda: kid(x, y).value,
        SINGLE: peers.pairs_limit(len(x), D),
        **_if_there("torch_fidelity", "torch-fidelity, no interval", partial(peers.kid_torch_fidelity, x, y)),
    }
    if long:
        singles = partial(peers.kid_torch_fidelity, x.astype(np.float32), y.astype(np.float32))
        contenders |= _if_there("torch_fidelity", "torch-fidelity on float32 features, no interval", singles)
    goals = {"torch-fidelity, no interval": 3.0}
    return _rows("KID with interval, 5,000 against 5,000, d = 2048", contenders, repeats, goals, SINGLE)


def kid_large(repeats: int, long: bool) -> list[Row]:
    x, y = features(10_000)
    times = {**interleaved({OURS: lambda: kid(x, y).value, SINGLE: peers.pairs_limit(len(x), D)}, repeats=repeats - 1)}
    times["10 seconds"] = [10.0] * len(times[OURS])
    work = "KID with interval, 10,000 against 10,000, d = 2048"
    return [row(work, times, "10 seconds", goal=1.0, limit=SINGLE)]


def prdc_contest(repeats: int, long: bool) -> list[Row]:
    found = []
    for d, goal in ((64, 4.0), (D, 3.0)):
        x, y = features(5_000, d)
        contenders: dict[str, Work] = {
            OURS: partial(_density, x, y),
            SINGLE: peers.pairs_limit(len(x), d),
            **_if_there("prdc", "prdc", partial(peers.density_of_prdc, x, y)),
        }
        work = f"PRDC, 5,000 against 5,000, d = {d}"
        found += _rows(work, contenders, repeats + 4 * (d < D), {"prdc": goal}, SINGLE)
    return found


def _density(real: np.ndarray, synthetic: np.ndarray) -> float:
    return prdc(real, synthetic, k=peers.K).density


def _if_there(module: str, label: str, work: Work) -> dict[str, Work]:
    return {label: work} if peers.there(module) else {}


def _rows(
    work: str, contenders: dict[str, Work], repeats: int, goals: dict[str, float], limit: str | None
) -> list[Row]:
    values: dict[str, float] = {}

    def kept(label: str, one: Work) -> None:
        value = one()
        if isinstance(value, float):
            values[label] = value

    times = interleaved({label: partial(kept, label, one) for label, one in contenders.items()}, repeats=repeats)
    for label, value in values.items():
        print(f"{work}: {label} {value:.10g}, ours {values[OURS]:.10g}", file=sys.stderr)
    return [row(work, times, peer, goal=goals.get(peer), limit=limit) for peer in contenders if peer != OURS]


PARTS: dict[str, Callable[[int, bool], list[Row]]] = {
    "frechet": frechet,
    "wide": wide,
    "kid": kid_contest,
    "kid-large": kid_large,
    "prdc": prdc_contest,
    "spectrum": spectrum,
}


def rows(parts: list[str] | None = None, *, repeats: int = 3, long: bool = False) -> list[Row]:
    """Rows of the named parts of the table, all by default. About four minutes; `long`: five."""
    peers.stand_in()
    if peers.there("torch"):
        import torch

        torch.set_num_threads(1)
    return [one for part in parts or PARTS for one in PARTS[part](repeats, long)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--long", action="store_true", help="the slowest peers as well")
    parser.add_argument("--peers", type=Path, help="a folder of packages to measure against")
    parser.add_argument("--out", type=Path, help="JSON of the rows")
    asked = parser.parse_args()
    if asked.peers:
        sys.path.append(str(asked.peers))
    found = rows(asked.parts, repeats=asked.repeats, long=asked.long)
    print(table(found))
    if asked.out:
        machine = {"cpu": platform.processor() or platform.machine(), "load": str(os.getloadavg())}
        write_rows(asked.out, found, machine=machine)


if __name__ == "__main__":
    main()

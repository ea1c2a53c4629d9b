"""Every generator and preset on features of real corpora, under one protocol: docs/generators.md and the table that
`emoforge generators --for` ranks by.

    python -m benchmarks.generators --data FOLDER [--corpora ravdess ...] [--only NAME ...] [--steps 600] [--seeds 3]
        [--write [--missing]]

One class of each fold is pruned to a tenth (in rotation); folds hold whole people, dialogues, or halves. A system is
fitted on the real rows of the cell, in the scaled space of the study (88 normal scores; 100 principal components), and
fills every short class to the largest; SVC and LogisticRegression are those of a study. Steps: of the preset, at most
--steps. Baselines, and `transfer` with every source at a low weight, are in the same cells. Intervals: bootstrap over
cells. Development people alone. Without --write nothing is changed; with it rows of other corpora
are kept; --missing measures what the table does not have.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import multiprocessing
import os
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import corpora.quiet  # noqa: F401  (before anything heavy)
from benchmarks.effects.__main__ import answers, scores
from benchmarks.effects.arms import Cell, with_real
from benchmarks.generators.arms import BASELINES, System, system, tried
from benchmarks.generators.corpora import CORPORA, cells, load
from benchmarks.generators.page import page
from corpora.errors import UserError
from corpora.store.atomic import write_bytes
from generators.measured import TABLE, Measured, Need, candidates, measurements

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("svm", "logistic")
_CELLS: list[tuple[tuple[int, int, int], Cell]] = []
_CLASSES: list[str] = []


def one(item: tuple[int, str], most_steps: int) -> tuple[str, dict[str, float] | str]:
    """(cell, baseline or system) -> its numbers in the cell, or why there are none."""
    at, what = item
    cell = _CELLS[at][1]
    if what in BASELINES:
        train, numbers = BASELINES[what](cell), {}
    else:
        of: System = system(what, most_steps)
        try:
            result = tried(cell, of, _CLASSES)
        except UserError as error:
            return what, f"{type(error).__name__}: {error}"
        train, numbers = with_real(cell, result.added), dict(result.quality)
    own = [scores(cell.y_test, answers(train, cell, kind), cell.k) for kind in KINDS if kind in train.kinds]
    return what, {**numbers, "uar": float(np.mean([s[0] for s in own])), "f1": float(np.mean([s[1] for s in own]))}


def measure(name: str, data: Path, left_out: set[str], options: argparse.Namespace) -> Iterator[Measured]:
    """All systems on one corpus, each as soon as its cells are there; none of `left_out`."""
    rows = load(name, data)
    _CELLS[:] = cells(rows, options.seeds)
    _CLASSES[:] = rows.classes
    known = candidates(Need(CORPORA[name].modality, "vector", 10, 100))
    systems = [
        what for what in known if what not in {*left_out, *BASELINES} and (not options.only or what in options.only)
    ]
    every = [*BASELINES, *systems]
    work = [(i, what) for what in every for i in range(len(_CELLS))]
    nothing: list[dict[str, float]] = []
    with ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("fork")) as pool:
        answers_of = pool.map(partial(one, most_steps=options.steps), work)
        for what in every:
            got = [next(answers_of)[1] for _ in _CELLS]
            refused = {numbers for numbers in got if isinstance(numbers, str)}
            if refused:
                print(f"{name}: {what}: {'; '.join(sorted(refused))}", file=sys.stderr)
                continue
            values = [numbers for numbers in got if not isinstance(numbers, str)]
            nothing = values if what == "nothing" else nothing
            yield _row(name, what, values, nothing, options.steps)


def _row(
    corpus: str, what: str, values: list[dict[str, float]], nothing: list[dict[str, float]], steps: int
) -> Measured:
    n = len(values)
    weights = np.vstack([np.ones(n), np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), 2000)]) / n

    def against(measure: str) -> tuple[float, float, float]:
        gain = 100.0 * weights @ np.array([a[measure] - b[measure] for a, b in zip(values, nothing, strict=True)])
        low, high = np.quantile(gain[1:], [0.025, 0.975])
        return float(gain[0]), float(low), float(high)

    def mean(measure: str) -> float:
        own = np.array([v.get(measure, np.nan) for v in values])
        return float(np.nanmean(own)) if np.isfinite(own).any() else float("nan")

    f1, uar, of = against("f1"), against("uar"), CORPORA[corpus]
    sizes = [(len(c.y), int((c.y == c.k).sum())) for _, c in _CELLS]
    quality = ("kid_ratio", "precision", "recall", "agreement", "copies", "fit_s", "sample_s")
    n_train, smallest = (int(v) for v in np.median(sizes, axis=0))
    row = Measured(
        what, corpus, of.modality, of.representation, n_train, smallest, n,
        0 if what in BASELINES else system(what, steps).steps, *f1, *uar, *(mean(name) for name in quality),
    )  # fmt: skip
    rounded: dict[str, Any] = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(row).items()}
    return Measured(**rounded)


def table(rows: list[Measured]) -> str:
    """As CSV, in a fixed order."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [f.name for f in fields(Measured)], lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=lambda r: (list(CORPORA).index(r.corpus), r.what)):
        writer.writerow(asdict(row))
    return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", nargs="+", choices=list(CORPORA), default=list(CORPORA))
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--missing", action="store_true")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    kept: dict[tuple[str, str], Measured] = {(r.corpus, r.what): r for r in measurements()}
    for name in options.corpora:
        before = {what for corpus, what in kept if corpus == name} - set(BASELINES)
        for row in measure(name, options.data, before if options.missing else set(), options):
            kept[row.corpus, row.what] = row
            print(
                f"{name}: {row.what}: F1 {row.f1:+.1f} [{row.f1_low:.1f}, {row.f1_high:.1f}], UAR {row.uar:+.1f}",
                flush=True,
            )
            if options.write:  # at once: an interrupted run has what it measured
                _write(list(kept.values()), options.steps)


def _write(rows: list[Measured], steps: int) -> None:
    import torch

    write_bytes(ROOT / "generators" / TABLE, table(rows).encode())
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, one thread a fit"
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_bytes(ROOT / "docs" / "generators.md", page(rows, f"{day}; {machine}; at most {steps} steps"))


if __name__ == "__main__":
    main()

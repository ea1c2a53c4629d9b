"""What a generator or preset adds to a cell, and how good what it adds is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.effects.arms import Added, Cell, TrainSet, fill, none, weighted, with_real
from features.representation import Spec
from generators.draws.sources import SourceTable, choose_sources
from generators.generator import (
    Condition,
    Device,
    Draw,
    TrainData,
    generator_class,
    refused,
    source_class,
    turns_of,
)
from generators.preset import load_preset
from training.seeds import derive_seed
from validators.maths.kernel import kid, squared_distances
from validators.maths.prdc import prdc

CPU = Device()
JUDGED = 200  # samples of the pruned class of which quality is measured


@dataclass(frozen=True)
class System:
    """A generator with its parameters. takes: whether it starts from real samples."""

    what: str
    generator: str
    params: dict[str, object]
    steps: int


def system(what: str, most_steps: int) -> System:
    """A registered generator at its defaults, or a preset; no more than `most_steps`."""
    if "/" not in what:
        return System(what, what, {}, most_steps)
    preset = load_preset(what)
    return System(what, preset.generator, dict(preset.params), min(most_steps, preset.steps or most_steps))


@dataclass
class Tried:
    """One system in one cell: what it adds, and measures of it (docs/generators.md)."""

    added: Added
    quality: dict[str, float]


BASELINES: dict[str, Callable[[Cell], TrainSet]] = {
    "nothing": lambda c: with_real(c, none(c)),
    "class weights": weighted,
    "logit adjustment": lambda c: with_real(c, none(c), tau=1.0, kinds=("logistic",)),
    "transfer, weighted": lambda c: with_real(c, fill(c, c.effects())),
}


def train_data(cell: Cell, classes: Sequence[str]) -> TrainData:
    """The real rows of a cell, classes that it lacks left out."""
    present = np.unique(cell.y)
    names = tuple(classes[k] for k in present)
    width = cell.x.shape[1]
    return TrainData(
        spec=Spec("scaled features", (width,), layout="vector", rows=tuple(f"column {i}" for i in range(width))),
        classes=names,
        arrays=cell.x.astype(np.float32),
        emotions=tuple(classes[k] for k in cell.y),
        ids=tuple(f"corpus/{i}" for i in range(len(cell.y))),
        groups=tuple(str(s) for s in cell.subjects),
        subjects=tuple(cell.subjects),
        held_out=np.zeros(len(cell.y), bool),
    )


def tried(cell: Cell, of: System, classes: Sequence[str]) -> Tried:
    """Fits in the cell and fills every short class up to the largest. Raises `UserError` where it cannot."""
    data = train_data(cell, classes)
    start = time.process_time()
    model = generator_class(of.generator)(data.spec, data.classes, **of.params)
    for _ in model.fit(data, steps=of.steps, seed=cell.seed, device=CPU):
        pass
    fit_s = time.process_time() - start
    of_class = source_class(model, of.params)
    table = SourceTable(data.ids, data.emotions, data.subjects, of_class).with_turns(turns_of(model))
    most, barred = int(cell.counts.max()), refused(model)

    def drawn(k: int, n: int, purpose: str) -> np.ndarray:
        name = classes[k]
        if name in barred or n < 1:
            return cell.x[:0]
        seeds = [derive_seed(purpose, cell.seed, k, i) for i in range(n)]
        chosen = choose_sources(range(n), table.without(set(barred)), name, cell.seed) if model.takes else [{}] * n
        draws = [Draw(Condition(name), s, c) for s, c in zip(seeds, chosen, strict=True)]
        rows = [[int(i.partition("/")[2]) for i in d.sources.values()] for d in draws]
        sources = data.arrays[[r[0] for r in rows]] if model.takes else None
        return np.asarray(model.sample(draws, sources, device=CPU), np.float64)

    start = time.process_time()
    parts = {k: drawn(k, most - int(cell.counts[k]), "fill") for k in np.unique(cell.y).tolist()}
    n = sum(map(len, parts.values()))
    sample_s = (time.process_time() - start) * 1000 / max(n, 1)
    x = np.concatenate([*parts.values(), cell.x[:0]])
    y = np.concatenate([np.full(len(v), k) for k, v in parts.items()]).astype(int)
    added = Added(x, y, np.ones(len(y)), np.full(len(y), -1))
    judged = parts.get(cell.k, cell.x[:0])[:JUDGED]
    return Tried(added, {**quality(cell, judged), "fit_s": fit_s, "sample_s": sample_s})


def quality(cell: Cell, x: np.ndarray) -> dict[str, float]:
    """Of samples of the pruned class, against real ones that the generator never saw: those pruned away, and the rows
    of test. NaN where there are too few."""
    real = np.concatenate([cell.gone, cell.test[cell.y_test == cell.k]])
    if len(x) < 8 or len(real) < 16:
        return dict.fromkeys(("kid_ratio", "precision", "recall", "agreement", "copies"), float("nan"))
    from sklearn.linear_model import LogisticRegression

    # of people of test against people of train: what a generator that were real people would get
    floor = max(kid(cell.gone, cell.test[cell.y_test == cell.k]).value, 1e-3) if len(cell.gone) > 7 else float("nan")
    judge_x = np.concatenate([cell.test, cell.gone])
    judge_y = np.concatenate([cell.y_test, np.full(len(cell.gone), cell.k)])
    judge = LogisticRegression(C=0.1, max_iter=1000).fit(judge_x, judge_y)
    shape = prdc(real, x)
    near = np.sqrt(squared_distances(x, cell.x).min(axis=1).clip(min=0))
    usual = np.sqrt(squared_distances(real, cell.x).min(axis=1).clip(min=0))
    return {
        "kid_ratio": kid(real, x).value / floor,
        "precision": shape.precision,
        "recall": shape.recall,
        "agreement": float((judge.predict(x) == cell.k).mean()),
        "copies": float((near < np.quantile(usual, 0.01)).mean()),
    }

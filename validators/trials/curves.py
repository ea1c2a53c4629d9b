"""Truth curves: what was asked for against what judges who learned from real people alone make of it.

A dial (intensity, valence, arousal, dominance) is followed where more asked is more judged, within each class: the
rank correlation of Spearman over samples, ranks taken within the class, so that no difference between classes counts
for it. A mixture is heard where judges give each of its classes more mass than they give it in real samples of classes
that are not mixed: a batch that shows one of the two alone does not pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, rows_of, usable
from validators.gates.agreement import Agreement
from validators.gates.dimensions import Dimensions

MOST_POINTS = 8  # of a curve: more values are put together
FEWEST = 20  # samples of a curve
FEWEST_MIXED = 10  # of a mixture
FLAT = 0.2  # a rank correlation below this is called none
BOOTSTRAP = 400
Z = 1.959963984540054

Verdict = Literal["followed", "not followed", "undecided"]


@dataclass(frozen=True, slots=True)
class Point:
    """Samples of one asked value: mean of what judges say, with its 95 % interval, and how many samples they are."""

    asked: float
    judged: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One dial. measure: what judges give; judge: who; of: whom they judged. rho: Spearman's correlation within
    classes with its 95 % interval (bootstrap); None: no number, `reason` says why."""

    name: str
    measure: str
    judge: str
    of: str
    points: tuple[Point, ...]
    rho: float | None
    low: float | None
    high: float | None
    n: int
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One class of a mixture. asked: its share; judged: mean probability with its 95 % interval; floor: the same of
    real samples of classes that are not mixed, None where there is none."""

    emotion: str
    asked: float
    judged: float
    low: float
    high: float
    floor: float | None

    @property
    def heard(self) -> bool:
        """The whole interval lies above the floor."""
        return self.floor is not None and self.low > self.floor


@dataclass(frozen=True, slots=True)
class Mixed:
    """One mixture. name: "0.25 anger + 0.75 sadness"; verdict: followed where every part is heard."""

    name: str
    parts: tuple[Part, ...]
    n: int
    judge: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Truth:
    """All curves and mixtures of a run."""

    curves: tuple[Curve, ...] = ()
    mixtures: tuple[Mixed, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As evaluation/curves.json holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Dial:
    """What draws asked for, row by row, and what judges said. strata: [n] the class, which both are compared within."""

    asked: np.ndarray
    judged: np.ndarray
    strata: np.ndarray
    about: Mapping[str, str] = field(default_factory=dict)  # name, measure, judge, of: as in Curve


def curve(dial: Dial, *, seed: int) -> Curve:
    """asked, judged: [n] (NaN: not asked, or not judged) -> the curve and whether it is followed."""
    known = np.isfinite(dial.asked) & np.isfinite(dial.judged)
    asked, judged, strata = dial.asked[known], dial.judged[known], dial.strata[known]
    varied = [name for name in np.unique(strata) if len(np.unique(asked[strata == name])) > 1]
    points = _points(asked, judged)
    inside = np.isin(strata, varied)
    n = int(inside.sum())
    if not varied or n < FEWEST:
        why = f"{n} samples of classes with several asked values; {FEWEST} are needed"
        return Curve(**dial.about, points=points, rho=None, low=None, high=None, n=n, verdict="undecided", reason=why)
    x, y = (_ranks(v[inside], strata[inside]) for v in (asked, judged))
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=BOOTSTRAP)
    rho = _correlations(x, y, np.ones((1, n)))[0]
    if not math.isfinite(rho):
        why = "judges say the same of all samples"
        return Curve(**dial.about, points=points, rho=0.0, low=0.0, high=0.0, n=n, verdict="not followed", reason=why)
    low, high = (float(v) for v in np.nanquantile(_correlations(x, y, counts), [0.025, 0.975]))
    verdict: Verdict = "followed" if low > 0 else "not followed" if high < FLAT else "undecided"
    why = "" if verdict != "undecided" else "the interval holds 0 and more than a weak correlation"
    return Curve(**dial.about, points=points, rho=float(rho), low=low, high=high, n=n, verdict=verdict, reason=why)


def _ranks(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """[n] -> ranks within the stratum, in [-0.5, 0.5]; of a stratum of one value 0."""
    from scipy.stats import rankdata

    out = np.zeros(len(values))
    for name in np.unique(strata):
        own = strata == name
        out[own] = (rankdata(values[own]) - 0.5) / own.sum() - 0.5
    return out


def _correlations(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[n], [n], weights [R, n] -> [R] weighted correlations; NaN where a side does not vary."""
    total = weights.sum(axis=1)
    mean_x, mean_y = weights @ x / total, weights @ y / total
    cov = weights @ (x * y) / total - mean_x * mean_y
    var = (weights @ (x * x) / total - mean_x**2) * (weights @ (y * y) / total - mean_y**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: np.ndarray = np.where(var > 1e-18, cov / np.sqrt(np.maximum(var, 1e-300)), np.nan)
    return rho


def _points(asked: np.ndarray, judged: np.ndarray) -> tuple[Point, ...]:
    values = np.unique(asked)
    groups = [asked == v for v in values]
    if len(values) > MOST_POINTS:
        edges = np.quantile(asked, np.linspace(0, 1, MOST_POINTS + 1)[1:-1])
        place = np.searchsorted(edges, asked, side="right")
        groups = [place == b for b in range(MOST_POINTS) if (place == b).any()]
    return tuple(Point(round(float(asked[g].mean()), 6), *_mean(judged[g]), int(g.sum())) for g in groups)


def _mean(values: np.ndarray) -> tuple[float, float, float]:
    """[n] -> mean and the ends of its 95 % interval (normal)."""
    mean = float(values.mean())
    half = Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    low, high = (mean - half, mean + half) if math.isfinite(half) else (mean, mean)
    return mean, low, high


def dimension_curves(train: Batch, synthetic: Batch, *, classes: Sequence[str], seed: int) -> list[Curve]:
    """Of valence, arousal and dominance that synthetic samples were asked for (`Batch.dimensions`), by the regressions
    of the gate `dimensions`, which is fitted here. [] where nothing was asked for; undecided, with the reason, where
    no judge can tell a dimension of people it has not met."""
    names = [n for n, values in synthetic.dimensions.items() if np.isfinite(values).any()]
    if not names:
        return []
    strata = np.asarray(synthetic.emotions, dtype=str)
    about = {n: {"name": n, "measure": f"{n} by regression", "judge": "none", "of": "released samples"} for n in names}
    nothing = {"points": (), "rho": None, "low": None, "high": None, "n": len(synthetic), "verdict": "undecided"}
    try:
        judges = Dimensions.fit(train, classes=classes, params={"dimensions": tuple(names)}, seed=seed)
        with np.errstate(invalid="ignore"):
            heard = judges.predict(synthetic)
    except UserError as error:
        return [Curve(**about[n], **nothing, reason=str(error)) for n in names]  # type: ignore[arg-type]
    judged = np.isfinite(heard)
    mean = np.where(judged.any(axis=1), np.nansum(heard, axis=1) / np.maximum(judged.sum(axis=1), 1), np.nan)
    curves = []
    for name in names:
        about[name]["judge"] = judges.judge
        if name not in judges.judged:
            why = f"judges do not tell {name} of people whom they have not met (CCC {judges.ccc[name]:.2f})"
            curves.append(Curve(**about[name], **nothing, reason=why))  # type: ignore[arg-type]
            continue
        column = mean[:, judges.judged.index(name)]
        curves.append(curve(Dial(synthetic.dimensions[name], column, strata, about[name]), seed=seed))
    return curves


def mixtures_heard(
    train: Batch,
    mixed: Batch,
    shares: Sequence[Mapping[str, float]],
    *,
    classes: Sequence[str],
    seed: int,
) -> list[Mixed]:
    """Of samples that were asked for a mixture; shares[i]: class -> share of row i. Judges: those of the gate
    `agreement`, fitted here; a real sample is judged by those alone that have not met its group."""
    kinds = {tuple(sorted(of.items())) for of in shares}
    try:
        judges = Agreement.fit(train, classes=classes, params={}, seed=seed)
    except UserError as error:
        return [_unjudged(dict(kind), len(mixed), str(error)) for kind in sorted(kinds)]
    p, of_train = judges.predict(mixed), rows_of(train, usable(train))
    real, emotions = judges.predict(of_train), np.asarray(of_train.emotions, dtype=str)
    out = []
    for kind in sorted(kinds):
        own = p[[tuple(sorted(of.items())) == kind for of in shares]]
        own = own[np.isfinite(own).all(axis=1)]
        if len(own) < FEWEST_MIXED:
            out.append(_unjudged(dict(kind), len(own), f"{len(own)} judged samples; {FEWEST_MIXED} are needed"))
            continue
        others = real[~np.isin(emotions, [name for name, _ in kind])]
        others = others[np.isfinite(others).all(axis=1)]
        parts = []
        for name, share in kind:
            k = list(judges.classes).index(name)
            floor = float(others[:, k].mean()) if len(others) else 1.0 / len(judges.classes)
            parts.append(Part(name, share, *_mean(own[:, k]), floor))
        deaf = [part.emotion for part in parts if not part.heard]
        gone = [part.emotion for part in parts if part.floor is not None and part.high <= part.floor]
        verdict: Verdict = "followed" if not deaf else "not followed" if gone else "undecided"
        why = "" if not deaf else f"{' and '.join(gone or deaf)} no more than in real samples of other classes"
        out.append(Mixed(mixture_name(dict(kind)), tuple(parts), len(own), judges.judge, verdict, why))
    return out


def mixture_name(shares: Mapping[str, float]) -> str:
    """ "0.25 anger + 0.75 sadness"."""
    return " + ".join(f"{share:g} {name}" for name, share in shares.items())


def _unjudged(shares: Mapping[str, float], n: int, why: str) -> Mixed:
    return Mixed(mixture_name(shares), (), n, "none", "undecided", why)

"""Rows of features, without neighbours: repeats, noise, and mixtures of two rows of a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field

from corpora.errors import UserError
from generators.classical.method import Among, Drawn, MethodParams


@dataclass(frozen=True, slots=True)
class Wanted:
    """One class that lacks rows. members: [n] their indices in train, ascending, n >= 1; lack: new rows, >= 1."""

    label: int
    members: np.ndarray
    lack: int

    def require_two(self, method: str, why: str) -> None:
        """Raises `UserError` where the class has one row alone."""
        if len(self.members) < 2:
            raise UserError(
                f"{method}: class {self.label} has 1 row, and {why}. Give it at least 2 rows, or take oversample or "
                "jitter for it"
            )


def wanted(method: str, x: np.ndarray, y: np.ndarray, lacks: Mapping[int, int]) -> list[Wanted]:
    """The classes that lack rows, ascending. Raises `UserError`: a class without rows, values that are no numbers.
    Raises ValueError: shapes that do not fit, a negative lack."""
    if x.ndim != 2 or y.shape != (len(x),):
        raise ValueError(f"need x [N, D] and y [N], got {x.shape} and {y.shape}")
    if not np.isfinite(x).all():
        raise UserError(f"{method}: {int((~np.isfinite(x)).sum())} values of the train rows are NaN or infinite")
    result = []
    for label in sorted(lacks):
        if lacks[label] < 0:
            raise ValueError(f"{method}: class {label} lacks {lacks[label]} rows; 0 or more are allowed")
        if lacks[label] == 0:
            continue
        members = np.flatnonzero(y == label)
        if not len(members):
            raise UserError(
                f"{method}: class {label} has no row in train, so nothing can be drawn for it. Leave it out of the "
                "classes that are filled, or choose folds in which it has rows"
            )
        result.append(Wanted(int(label), members, int(lacks[label])))
    return result


class EachOnce:
    """A method that starts from every row of a class equally often."""

    def turns(self, scaled: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `VectorMethod.turns`."""
        return np.ones(len(y), np.int64)


def joined(parts: Sequence[Drawn], columns: int) -> Drawn:
    """Parts one after the other; no part: no rows of that many columns."""
    if not parts:
        none = np.zeros(0, np.int64)
        return Drawn(np.zeros((0, columns)), none, none, none)
    return Drawn(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.source for part in parts]),
        np.concatenate([part.second for part in parts]),
        tuple(note for part in parts for note in part.notes),
    )


def taken_evenly(members: np.ndarray, lack: int, rng: np.random.Generator) -> np.ndarray:
    """[lack] of `members` [n] in random order: each lack // n times, and a random lack % n of them once more."""
    rounds = [rng.permutation(members) for _ in range(-(-lack // len(members)))]
    return np.concatenate(rounds)[:lack]


class OversampleParams(MethodParams):
    """Repeats have nothing to set."""


class Oversample(EachOnce):
    """Train rows once more. Every row of a class is repeated as often as every other, to within one: drawing with
    replacement would add noise for nothing."""

    Params: ClassVar = OversampleParams
    partners: ClassVar = 0

    def __init__(self, params: OversampleParams | None = None) -> None:
        self.params = params or OversampleParams()

    def rows(
        self,
        x: np.ndarray,
        y: np.ndarray,
        subjects: Sequence[str | None],
        lacks: Mapping[int, int],
        rng: np.random.Generator,
    ) -> Drawn:
        """See `VectorMethod.rows`; a class with 1 row can be repeated."""
        return joined([_copies(x, each, rng) for each in wanted("oversample", x, y, lacks)], x.shape[1])

    def one(self, row: np.ndarray, scaled: np.ndarray, among: Among, rng: np.random.Generator) -> np.ndarray:
        """See `VectorMethod.one`: the row itself."""
        return row.copy()


def _copies(x: np.ndarray, each: Wanted, rng: np.random.Generator) -> Drawn:
    source = taken_evenly(each.members, each.lack, rng)
    return Drawn(x[source], np.full(each.lack, each.label), source, np.full(each.lack, -1))


class JitterParams(MethodParams):
    """Parameters of noise on rows."""

    sd: float = Field(
        0.25, ge=0, le=10, description="standard deviation of the noise in units of each column's sd within classes"
    )


class Jitter(EachOnce):
    """Repeats (`Oversample`) with Gaussian noise on every column, in units of its standard deviation within classes,
    pooled over all classes: so a class with 1 row has noise too, and a constant column has none."""

    Params: ClassVar = JitterParams
    partners: ClassVar = 0

    def __init__(self, params: JitterParams | None = None) -> None:
        self.params = params or JitterParams()

    def rows(
        self,
        x: np.ndarray,
        y: np.ndarray,
        subjects: Sequence[str | None],
        lacks: Mapping[int, int],
        rng: np.random.Generator,
    ) -> Drawn:
        """See `VectorMethod.rows`. Raises `UserError` also where no class has two rows: the unit is undefined then."""
        asked = wanted("jitter", x, y, lacks)
        if not asked:
            return joined([], x.shape[1])
        parts, unit = [], within_sd(x, y)
        for each in asked:
            copies = _copies(x, each, rng)
            noise = self._noise(unit, copies.x.shape, rng)
            parts.append(Drawn(copies.x + noise, copies.y, copies.source, copies.second))
        return joined(parts, x.shape[1])

    def one(self, row: np.ndarray, scaled: np.ndarray, among: Among, rng: np.random.Generator) -> np.ndarray:
        """See `VectorMethod.one`."""
        varied: np.ndarray = row + self._noise(among.unit, row.shape, rng)
        return varied

    def _noise(self, unit: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        noise: np.ndarray = self.params.sd * unit * rng.standard_normal(shape)
        return noise


def within_sd(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[D] standard deviation of each column of x [N, D] about its class' mean, with N - K degrees of freedom.

    Raises `UserError` where N = K.
    """
    labels, index = np.unique(y, return_inverse=True)
    if len(labels) == len(y):
        raise UserError(
            "jitter: no class has two rows, so how far rows of a class lie apart is not known. Take oversample"
        )
    residual = np.array(x, dtype=np.float64)
    for k in range(len(labels)):
        rows = index == k
        low = residual[rows].min(axis=0)  # the mean of equal values may miss them by a rounding
        residual[rows] -= low
        residual[rows] -= residual[rows].mean(axis=0)
    sd: np.ndarray = np.sqrt((residual**2).sum(axis=0) / (len(y) - len(labels)))
    return sd


class MixupParams(MethodParams):
    """Parameters of mixup."""

    alpha: float = Field(
        0.4, ge=0, le=100, description="both parameters of the Beta distribution of the weight; 0: repeats"
    )


class Mixup(EachOnce):
    """lambda x_i + (1 - lambda) x_j of two rows of one class, lambda ~ Beta(alpha, alpha).

    Zhang et al. 2018 (mixup: beyond empirical risk minimization, ICLR) mix any two rows, and their labels by the same
    lambda. Here both rows are of one class, so that the label stays a class and the number of rows of each can be
    chosen. That is the variant of which the paper says (end of section 2) that it did not bring what mixup of all
    classes brings: it fills a class inside of its own convex hull, as SMOTE does without neighbours.
    """

    Params: ClassVar = MixupParams
    partners: ClassVar = 1

    def __init__(self, params: MixupParams | None = None) -> None:
        self.params = params or MixupParams()

    def rows(
        self,
        x: np.ndarray,
        y: np.ndarray,
        subjects: Sequence[str | None],
        lacks: Mapping[int, int],
        rng: np.random.Generator,
    ) -> Drawn:
        """See `VectorMethod.rows`. The first row is the one that weighs more: lambda and 1 - lambda are alike."""
        return joined(list(self._parts(x, wanted("mixup", x, y, lacks), rng)), x.shape[1])

    def _parts(self, x: np.ndarray, asked: Sequence[Wanted], rng: np.random.Generator) -> Iterator[Drawn]:
        for each in asked:
            each.require_two("mixup", "there is no second one to mix it with")
            n = len(each.members)
            first = taken_evenly(np.arange(n), each.lack, rng)
            second = (first + rng.integers(1, n, size=each.lack)) % n
            weight = self._weight((each.lack, 1), rng)
            first, second = each.members[first], each.members[second]
            yield Drawn(between(x[first], x[second], 1 - weight), np.full(each.lack, each.label), first, second)

    def one(self, row: np.ndarray, scaled: np.ndarray, among: Among, rng: np.random.Generator) -> np.ndarray:
        """See `VectorMethod.one`: `row` is the one that weighs more."""
        second = among.x[int(rng.integers(len(among.x)))]
        return between(row, second, 1 - self._weight((1,), rng))

    def _weight(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Of the row that weighs more, in [0.5, 1]."""
        alpha = self.params.alpha
        weight = rng.beta(alpha, alpha, size=shape) if alpha > 0 else np.ones(shape)
        return np.maximum(weight, 1 - weight)


def between(first: np.ndarray, second: np.ndarray, step: np.ndarray | float) -> np.ndarray:
    """[..., D] at `step` of the way from one row to another. As a step from one row: columns in which both are equal
    stay exactly as they are."""
    mixed: np.ndarray = first + step * (second - first)
    return mixed

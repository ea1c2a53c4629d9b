"""SMOTE and its family by imbalanced-learn: new rows on the segments between a row and its neighbours of the class.

Chawla et al. 2002 (SMOTE, JAIR 16:321-357), Han et al. 2005 (Borderline-SMOTE, ICIC), He et al. 2008 (ADASYN, IJCNN).

imbalanced-learn does not say between which rows a new one lies. So every row of the class carries its own number in
columns that the neighbour search does not see: two digits to the base sqrt(n), one column a value of each. What stands
there in a new row are both parents' digits with their weights, which tells them even where rows are equal or lie on one
line.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from imblearn import over_sampling
from pydantic import Field
from sklearn.neighbors import NearestNeighbors

from corpora.errors import UserError
from generators.classical.method import Drawn, MethodParams
from generators.classical.nearest import Towards, others_near
from generators.classical.vectors import EachOnce, Wanted, joined, wanted

_TOLERANCE = 1e-9  # of a new row's distance from its segment, in units of the largest value
_SEEDS = 2**31


class FirstColumns(NearestNeighbors):
    """Nearest neighbours by Euclidean distance in the first `columns` columns."""

    def __init__(self, n_neighbors: int = 5, columns: int = 1) -> None:
        super().__init__(n_neighbors=n_neighbors)
        self.columns = columns

    def fit(self, X: np.ndarray, y: Any = None) -> FirstColumns:
        """X: [N, columns or more]."""
        super().fit(X[:, : self.columns])
        return self

    def kneighbors(self, X: np.ndarray, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """As scikit-learn's."""
        return super().kneighbors(X[:, : self.columns], n_neighbors, return_distance)


class SmoteParams(MethodParams):
    """Parameters of SMOTE."""

    k: int = Field(5, ge=1, le=1000, description="neighbours of its class towards which a row is moved")


class Smote(Towards, EachOnce):
    """Between a random row of the class and one of its k nearest neighbours of the class, anywhere on the segment.

    A class with fewer than k + 1 rows has as many neighbours as there are; notes say so.
    """

    Params: ClassVar = SmoteParams

    def __init__(self, params: SmoteParams | None = None) -> None:
        self.params = params or SmoteParams()

    def rows(
        self,
        x: np.ndarray,
        y: np.ndarray,
        subjects: Sequence[str | None],
        lacks: Mapping[int, int],
        rng: np.random.Generator,
    ) -> Drawn:
        """See `VectorMethod.rows`."""
        parts = []
        for each in wanted("smote", x, y, lacks):
            k, notes = _neighbours("smote", each, self.params.k)
            # only rows of the class are looked at; the library wants a second class, which one row of zeros is
            table = np.concatenate([x[each.members], np.zeros((1, x.shape[1]))])
            label = np.r_[np.ones(len(each.members), int), 0]
            new = _sampled("SMOTE", table, label, k, each.lack, rng, {})
            parts.append(_placed(x, each, new, notes))
        return joined(parts, x.shape[1])


class BorderlineParams(MethodParams):
    """Parameters of Borderline-SMOTE."""

    k: int = Field(5, ge=1, le=1000, description="neighbours of its class towards which a row is moved")
    m: int = Field(10, ge=1, le=1000, description="neighbours of any class that say whether a row is in danger")


class Borderline(Towards):
    """Borderline-SMOTE 1: SMOTE from rows in danger alone, of whose m nearest neighbours at least half, but not all,
    are of other classes.

    Not defined for a class without such rows (it lies apart, or every row of it lies among others): `UserError`, for
    adding nothing would be another method.
    """

    Params: ClassVar = BorderlineParams

    def __init__(self, params: BorderlineParams | None = None) -> None:
        self.params = params or BorderlineParams()

    def rows(
        self,
        x: np.ndarray,
        y: np.ndarray,
        subjects: Sequence[str | None],
        lacks: Mapping[int, int],
        rng: np.random.Generator,
    ) -> Drawn:
        """See `VectorMethod.rows`."""
        parts = []
        for each in wanted("borderline", x, y, lacks):
            k, notes = _neighbours("borderline", each, self.params.k)
            _require_others("borderline", each, y)
            m = min(self.params.m, len(y) - 1)
            if m < self.params.m:
                notes.append(f"borderline: train has {len(y)} rows, so {m} neighbours instead of {self.params.m}")
            more = {"m_neighbors": FirstColumns(m + 1, x.shape[1]), "kind": "borderline-1"}
            new = _sampled("BorderlineSMOTE", x, (y == each.label).astype(int), k, each.lack, rng, more)
            if len(new) == 0:
                raise UserError(
                    f"borderline: no row of class {each.label} is in danger: of the {m} nearest neighbours of each, "
                    "fewer than half or all are of other classes. The method is not defined there; take smote, or "
                    "another m"
                )
            parts.append(_placed(x, each, new, notes))
        return joined(parts, x.shape[1])

    def turns(self, scaled: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `VectorMethod.turns`: one for each row in danger."""
        others, m = others_near(scaled, y, self.params.m)
        return ((2 * others >= m) & (others < m)).astype(np.int64)


class AdasynParams(MethodParams):
    """Parameters of ADASYN."""

    k: int = Field(5, ge=1, le=1000, description="neighbours: of any class to weigh a row, of its own to move it")


class Adasyn(Towards):
    """SMOTE that starts the more often from a row, the larger the share of other classes among its k neighbours.

    ADASYN rounds the number of each row by itself, so that their sum misses what was asked for, and is 0 where many
    rows share a small number. Here as many more are drawn as rounding can take away (half a row each), and as many as
    are lacked are kept of them at random: closer to the shares of the paper, and the exact number.

    Not defined for a class that has no row with a neighbour of another class: `UserError`.
    """

    Params: ClassVar = AdasynParams

    def __init__(self, params: AdasynParams | None = None) -> None:
        self.params = params or AdasynParams()

    def rows(
        self,
        x: np.ndarray,
        y: np.ndarray,
        subjects: Sequence[str | None],
        lacks: Mapping[int, int],
        rng: np.random.Generator,
    ) -> Drawn:
        """See `VectorMethod.rows`."""
        parts = []
        for each in wanted("adasyn", x, y, lacks):
            k, notes = _neighbours("adasyn", each, self.params.k)
            _require_others("adasyn", each, y)
            asked = each.lack + len(each.members) // 2 + 1
            try:
                new = _sampled("ADASYN", x, (y == each.label).astype(int), k, asked, rng, {})
            except RuntimeError as error:  # the library's word for it: every weight would be 0 / 0
                raise UserError(
                    f"adasyn: no row of class {each.label} has one of another class among its {k} nearest neighbours, "
                    "so all weights are 0. The method is not defined there; take smote, or a larger k"
                ) from error
            kept = np.sort(rng.permutation(len(new))[: each.lack])
            notes.append(f"adasyn: class {each.label}, {each.lack} rows kept at random of {len(new)} drawn")
            parts.append(_placed(x, each, new[kept], notes))
        return joined(parts, x.shape[1])

    def turns(self, scaled: np.ndarray, y: np.ndarray) -> np.ndarray:
        """See `VectorMethod.turns`: as many as neighbours of other classes, k times the paper's r_i: in every
        cycle of draws its shares are kept exactly."""
        return others_near(scaled, y, self.params.k)[0]


def _neighbours(method: str, each: Wanted, k: int) -> tuple[int, list[str]]:
    """Neighbours that the class can have, and the note that they are fewer. Raises `UserError` for 1 row."""
    each.require_two(method, "there is no neighbour to move it towards")
    n = len(each.members)
    if n > k:
        return k, []
    return n - 1, [f"{method}: class {each.label} has {n} rows, so {n - 1} neighbours instead of {k}"]


def _require_others(method: str, each: Wanted, y: np.ndarray) -> None:
    if len(each.members) == len(y):
        raise UserError(f"{method}: all rows are of class {each.label}, so it has no border. Take smote")


def _sampled(
    sampler: str,
    x: np.ndarray,
    is_class: np.ndarray,
    k: int,
    lack: int,
    rng: np.random.Generator,
    more: Mapping[str, Any],
) -> np.ndarray:
    """x [N, D], is_class [N] 1 or 0 -> new rows [about lack, D + 2 base] of the class 1, with their numbers."""
    rows = np.flatnonzero(is_class)
    base = _base(len(rows))
    numbered = np.concatenate([x, np.zeros((len(x), 2 * base))], axis=1)
    high, low = np.divmod(np.arange(len(rows)), base)
    numbered[rows, x.shape[1] + high] = 1.0
    numbered[rows, x.shape[1] + base + low] = 1.0
    argument = "n_neighbors" if sampler == "ADASYN" else "k_neighbors"
    method = getattr(over_sampling, sampler)(
        sampling_strategy={1: len(rows) + lack},
        random_state=int(rng.integers(_SEEDS)),
        **{argument: FirstColumns(k + 1, x.shape[1])},
        **more,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a class becomes the largest one, which is asked for
        new, _ = method.fit_resample(numbered, is_class)
    return np.asarray(new)[len(x) :]


def _base(n: int) -> int:
    """Of the two digits of numbers below n."""
    return math.isqrt(n - 1) + 1


def _placed(x: np.ndarray, each: Wanted, new: np.ndarray, notes: Sequence[str]) -> Drawn:
    """New rows with numbers [M, D + 2 base] -> the same with their parents. Raises RuntimeError where a row is not what
    its parents and their weights make."""
    base, d = _base(len(each.members)), x.shape[1]
    rows, high, low = new[:, :d], new[:, d : d + base], new[:, d + base :]
    source = each.members[high.argmax(axis=1) * base + low.argmax(axis=1)]
    second = each.members[_lesser(high) * base + _lesser(low)]
    weight = np.maximum(*(_second_largest(digits) for digits in (high, low)))[:, None]
    miss = np.abs(x[source] + weight * (x[second] - x[source]) - rows).max(initial=0.0)
    if miss > _TOLERANCE * np.abs(x).max(initial=1.0):
        raise RuntimeError("imbalanced-learn placed a row on no segment between rows of its class")
    return Drawn(rows, np.full(len(new), each.label), source, second, tuple(notes))


def _lesser(digits: np.ndarray) -> np.ndarray:
    """[M, base] weights -> [M] the digit of the parent that weighs less: where both have the same, that one."""
    rest = digits.copy()
    largest = digits.argmax(axis=1)
    rest[np.arange(len(rest)), largest] = 0.0
    return np.where(rest.max(axis=1) > 0, rest.argmax(axis=1), largest)


def _second_largest(digits: np.ndarray) -> np.ndarray:
    """[M, base] weights -> [M] the lesser of both; 0 where both parents have the same digit."""
    if digits.shape[1] == 1:
        return np.zeros(len(digits))
    lesser: np.ndarray = np.partition(digits, -2, axis=1)[:, -2]
    return lesser

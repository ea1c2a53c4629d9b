"""What a classifier of a study is: trained on the rows of one cell, asked about people whom it has never met.

Train rows may be real or synthetic, with weights. What a classifier learns of scale (means, ranks, components, the
width of a kernel) it learns from the `reference` rows alone, which are the real ones: so every arm of a study sees test
people through the same glass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from corpora.errors import UserError

Layout = Literal["vector", "image", "rows"]


class Fitted(Protocol):
    """A trained classifier."""

    def answers(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[n, ...] finite rows as those of train -> [n] int64 class indices, [n, n_classes] float32 scores, whose
        largest is the answer. A class that train lacks is never answered: probability 0, or a margin of -inf.

        Raises `UserError` for NaN or infinite values.
        """
        ...


class Classifier(Protocol):
    """Trained to tell one class of several."""

    @property
    def name(self) -> str:
        """As in the registry."""
        ...

    @property
    def probabilities(self) -> bool:
        """Whether scores are probabilities that sum to 1; else they are margins."""
        ...

    @property
    def layouts(self) -> frozenset[Layout]:
        """Of the arrays that it reads: vector [D], image [C, H, W], rows [R, T]."""
        ...

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        n_classes: int,
        seed: int,
        reference: np.ndarray | None = None,
    ) -> Fitted:
        """x: [N, ...] float, y: [N] int in 0 ... n_classes - 1, weights: [N] > 0 (None: all 1), reference: [N] bool,
        rows from which scales are learned (None: all). Deterministic in all of them, whatever the order of the rows.

        Raises `UserError`: values or weights that are not finite, weights of 0 or less, no reference row, or fewer
        than two classes in train.
        """
        ...


class FittedDimensions(Protocol):
    """A trained regression."""

    def predictions(self, x: np.ndarray) -> np.ndarray:
        """[n, D] finite rows -> [n, M] float32; a column is NaN where train knows fewer than two values of it.

        Raises `UserError` for NaN or infinite values.
        """
        ...


class DimensionsClassifier(Protocol):
    """Several numbers a row, such as valence, arousal and dominance."""

    @property
    def name(self) -> str:
        """As in the registry."""
        ...

    def fit_dimensions(
        self,
        x: np.ndarray,
        targets: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        seed: int,
        reference: np.ndarray | None = None,
    ) -> FittedDimensions:
        """targets: [N, M] float, NaN where a row's value is not known; the rest as in `Classifier.fit`.

        Raises `UserError` as `Classifier.fit` does, and where no target is known.
        """
        ...


class FittedLabels(Protocol):
    """A trained classifier of several labels a row."""

    def answers(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[n, D] finite rows -> [n, K] bool, [n, K] float32 probabilities. A label that no train row has is never
        answered and has probability 0. Raises `UserError` for NaN or infinite values."""
        ...


class LabelsClassifier(Protocol):
    """Any number of labels a row, each decided for itself."""

    @property
    def name(self) -> str:
        """As in the registry."""
        ...

    def fit_labels(
        self,
        x: np.ndarray,
        targets: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        seed: int,
        reference: np.ndarray | None = None,
    ) -> FittedLabels:
        """targets: [N, K] bool; weights: [N], or [N, K] where they differ by label; the rest as in `Classifier.fit`.

        Raises `UserError` as `Classifier.fit` does, and where no label has rows with and without it.
        """
        ...


@dataclass(frozen=True, slots=True)
class TrainRows:
    """Checked train rows in an order of their own. x: [N, ...] float64 or float32, targets: [N, ...], weights: [N, ...]
    or None, reference: [N] bool."""

    x: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    reference: np.ndarray

    @classmethod
    def of(
        cls,
        name: str,
        x: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None,
        reference: np.ndarray | None,
    ) -> TrainRows:
        """Sorted by content, so that solvers that visit rows in turn give the same result for any order of them.

        name: the classifier, for messages. Raises `UserError` as `Classifier.fit` says, `ValueError` for lengths that
        differ.
        """
        n = len(x)
        given = np.ones(n, bool) if reference is None else np.asarray(reference)
        lengths = {"targets": len(targets), "reference": len(given)} | (
            {} if weights is None else {"weights": len(weights)}
        )
        if any(length != n for length in lengths.values()) or given.dtype != bool:
            raise ValueError(f"{name}: {n} rows, but {lengths}; reference is {given.dtype}, expected bool")
        finite_rows(name, "train", x)
        if not given.any():
            raise UserError(f"{name}: none of {n} train rows is a real one, so there is nothing to learn scales from.")
        if weights is not None and not (np.isfinite(weights).all() and (np.asarray(weights) > 0).all()):
            wrong = int((~(np.isfinite(weights) & (np.asarray(weights) > 0))).sum())
            raise UserError(f"{name}: {wrong} weights are not finite numbers above 0; leave such rows out of train.")
        parts = [x, targets, given] + ([] if weights is None else [weights])
        # + 0.0: minus zero is zero and must not sort elsewhere
        flat = [np.ascontiguousarray(part).reshape(n, -1) for part in parts]
        flat[0] = flat[0] + 0.0
        keys = np.ascontiguousarray(np.hstack([part.view(np.uint8).reshape(n, -1) for part in flat]))
        order = np.argsort(keys.view(np.dtype((np.void, keys.shape[1]))).ravel(), kind="stable")
        return cls(
            x=np.ascontiguousarray(x)[order],
            targets=np.asarray(targets)[order],
            weights=None if weights is None else np.asarray(weights, np.float64)[order],
            reference=given[order],
        )


def finite_rows(name: str, what: str, x: np.ndarray) -> None:
    """Raises `UserError` where `x` [N, ...] holds NaN or infinities: how many rows, and the first of them."""
    bad = ~np.isfinite(x).all(axis=tuple(range(1, np.ndim(x))))
    if bad.any():
        raise UserError(
            f"{name}: {int(bad.sum())} of {len(x)} {what} rows hold NaN or infinite values (the first is row "
            f"{int(np.flatnonzero(bad)[0])}); leave them out or fill them before a classifier sees them."
        )


def known_classes(name: str, y: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """[N] class indices -> [P] the classes that are there, sorted; [N] each row's place in them.

    Raises `UserError` for fewer than two of them, `ValueError` for an index outside 0 ... n_classes - 1.
    """
    present, places = np.unique(y, return_inverse=True)
    if present.size and (present[0] < 0 or present[-1] >= n_classes):
        raise ValueError(f"{name}: class indices {present[0]} ... {present[-1]} of {n_classes} classes")
    if present.size < 2:
        raise UserError(
            f"{name}: train holds {present.size} of {n_classes} classes; a classifier needs at least two to tell apart."
        )
    return present, places


def over_all_classes(
    scores: np.ndarray, present: np.ndarray, n_classes: int, *, absent: float
) -> tuple[np.ndarray, np.ndarray]:
    """[n, P] scores of the classes `present` [P] -> [n] answers (the largest), [n, n_classes] float32 scores, `absent`
    where a class is not there."""
    full = np.full((len(scores), n_classes), absent, np.float32)
    full[:, present] = scores
    return present[np.argmax(scores, axis=1)].astype(np.int64), full

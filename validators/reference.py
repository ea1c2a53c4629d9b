"""What set gates compare with: real samples of people that neither generator nor embedding has learned from.

The reference is dev where it has at least `MIN_GROUPS` groups and 2 samples for each of `dims`, else held-out folds of
train, each in an embedding that was fitted without it (their numbers are averaged, never compared).

Every set gate here works by the same repeats. Each cuts the reference into halves A and B that share no group, and
draws S from half of the synthetic set. With a statistic t:

    value = mean t(S, A)        floor = mean t(B, A): what real people get against other real people at these sizes

The interval is that of the excess t(S, A) - t(B, A) over the repeats, around the value: A is in both, so its
peculiarity cancels. Half-samples vary about their mean as much as the full sample does about the truth (McCarthy 1969,
Pseudo-replication: half samples), so no bootstrap is needed, whose repeated rows would lower ranks and distances.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.stats import norm

from corpora.errors import UserError
from corpora.fingerprint import hash_json
from validators.embeddings import Embedding, fit_embedding, rows_of, usable, weights_named
from validators.folds import group_folds, group_halves
from validators.gate import Batch, Better, Estimate, Limit

DEFAULTS: dict[str, Any] = {
    "embedding": "both",  # trained | hand-made (functionals, hog ...) | both side by side | path:FOLDER (docs/gates.md)
    "dims": 16,  # principal components of the embedding; of each, where there are two
    "whiten": True,  # components of unit variance, or as they are
    "folds": 2,  # of train, where it serves as reference
    "repeats": 100,  # group-disjoint halves
    "min_n": None,  # of real and of synthetic samples; None: the gate's own
    "steps": None,  # of the embedding's training
}
MIN_GROUPS = 4  # of a reference: two halves of at least two groups each
LEVEL = 0.05  # of the intervals of a gate, all its groups together
Rows = tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]  # by class: rows of S, of A and of B


@dataclass(frozen=True)
class Part:
    """Reference samples in an embedding that never saw them."""

    embedding: Embedding
    points: np.ndarray  # [n, d]
    emotions: np.ndarray  # [n] str
    groups: np.ndarray  # [n] str


@dataclass(frozen=True)
class Reference:
    """One part (dev), several (folds of train), or none and the reason."""

    parts: tuple[Part, ...]
    why_not: str = ""

    @property
    def judge(self) -> str:
        return "+".join(part.embedding.name for part in self.parts) or "none"


_FITTED: OrderedDict[str, Reference] = OrderedDict()  # the gates of one run share a reference: it takes seconds to fit
_KEPT = 4


def remembered(key: str, make: Callable[[], Reference]) -> Reference:
    """`make()`, or what it gave for the same key; the last `_KEPT` are kept."""
    if key not in _FITTED:
        _FITTED[key] = make()
        while len(_FITTED) > _KEPT:
            _FITTED.popitem(last=False)
    _FITTED.move_to_end(key)
    return _FITTED[key]


def fit_reference(
    train: Batch, dev: Batch | None, *, classes: Sequence[str], options: Mapping[str, Any], seed: int
) -> Reference:
    """The reference of `options` (embedding, dims, folds, steps). Never raises for too little data: `why_not` then
    says why there is none. Raises `UserError` for an unknown embedding."""
    chosen = {name: options[name] for name in ("embedding", "dims", "whiten", "folds", "steps")}
    seen = [[list(b.ids), list(b.sha256), list(b.emotions), list(b.groups)] if b is not None else None
            for b in (train, dev)]  # fmt: skip
    key = hash_json([chosen, weights_named(str(chosen["embedding"])), seed, list(classes), train.modality, seen])
    return remembered(key, lambda: _fitted(train, dev, classes, chosen, seed))


def _fitted(
    train: Batch, dev: Batch | None, classes: Sequence[str], options: Mapping[str, Any], seed: int
) -> Reference:  # fmt: skip
    train = _of_classes(train, classes)
    if dev is not None:
        dev = _of_classes(dev, classes)
        if len(set(dev.groups)) >= MIN_GROUPS and len(dev) >= 2 * int(options["dims"]):
            return Reference((_part(train, dev, classes, options, seed),))
    n_groups = len(set(train.groups) or train.ids)
    if n_groups < MIN_GROUPS:
        why = f"neither dev nor train has the {MIN_GROUPS} groups that a reference needs (train has {n_groups})"
        return Reference((), why)
    try:
        fold = group_folds(train.groups, train.emotions, min(int(options["folds"]), n_groups // 2), seed)
    except UserError as error:
        return Reference((), str(error))
    return Reference(
        tuple(
            _part(rows_of(train, fold != k), rows_of(train, fold == k), classes, options, seed + int(k))
            for k in np.unique(fold)
        )
    )


def _of_classes(batch: Batch, classes: Sequence[str]) -> Batch:
    return rows_of(batch, usable(batch) & np.isin(np.asarray(batch.emotions, dtype=str), classes))


def _part(
    train: Batch, reference: Batch, classes: Sequence[str], options: Mapping[str, Any], seed: int
) -> Part:  # fmt: skip
    embedding = fit_embedding(
        str(options["embedding"]),
        train,
        classes=classes,
        seed=seed,
        dims=int(options["dims"]),
        whiten=bool(options["whiten"]),
        options={"steps": options["steps"]},
    )
    groups = np.asarray(reference.groups or reference.ids, dtype=str)
    return Part(embedding, embedding.embed(reference), np.asarray(reference.emotions, dtype=str), groups)


def matched_rows(part: Part, emotions: np.ndarray, *, repeats: int, seed: int) -> Iterator[Rows]:
    """Rows of S (of the synthetic set), A and B (of the part) for each repeat; all three have equally many of a class.

    Synthetic sets are balanced otherwise than real ones, and usually lack the majority class; classes that the
    synthetic set lacks are left out of A and B. Nothing is yielded where fewer than 2 groups have those classes.
    """
    classes = np.unique(emotions)
    kept = np.flatnonzero(np.isin(part.emotions, classes))
    if len(np.unique(part.groups[kept])) < 2:
        return
    labels = part.emotions[kept]
    of_s = [np.flatnonzero(emotions == name) for name in classes]
    of_class = [labels == name for name in classes]
    rng = np.random.default_rng(seed)
    for half in group_halves(part.groups[kept], labels, repeats, seed):
        chosen: Rows = ([], [], [])
        for own, members in zip(of_s, of_class, strict=True):
            of_a, of_b = kept[half & members], kept[~half & members]
            m = min(of_a.size, of_b.size, (own.size + 1) // 2)
            for pool, rows in zip((own, of_a, of_b), chosen, strict=True):
                rows.append(rng.choice(pool, m, replace=False))
        yield chosen


class MatchedGate:
    """A set gate made of a statistic of two matched sets. Subclasses say what they measure; see the module's docstring.

    params: see `DEFAULTS`. Unit: the embedding's columns have unit variance on train.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    better: ClassVar[Better] = "lower"
    modalities: ClassVar[tuple[str, ...]] = ("speech", "face", "text", "physio")
    default_limit: ClassVar[Limit]
    defaults: ClassVar[Mapping[str, Any]] = DEFAULTS
    by_class: ClassVar[bool] = False  # one estimate for each class beside the pooled one

    def __init__(self, reference: Reference, classes: Sequence[str], options: Mapping[str, Any]) -> None:
        self._reference, self._classes, self._options = reference, tuple(classes), dict(options)
        self.min_n = self.minimum_n(options)
        self.judge = reference.judge

    @classmethod
    def minimum_n(cls, options: Mapping[str, Any]) -> int:
        """2 for each dimension unless params say otherwise: with fewer, a covariance is mostly noise."""
        return int(options["min_n"] or 2 * int(options["dims"]))

    @classmethod
    def fit(
        cls, train: Batch, dev: Batch | None, *, classes: Sequence[str], params: Mapping[str, Any], seed: int
    ) -> Self:
        """Never raises for too little data: `measure` then says why there is no number. Raises `UserError` for an
        unknown embedding."""
        options = {**cls.defaults, **params}
        found = fit_reference(train, dev, classes=classes, options=options, seed=seed)
        return cls(found, classes, options)

    def measure(self, synthetic: Batch, *, seed: int) -> Estimate:
        """Over the whole batch; an Estimate with NaN and a reason where there is no number. One unusable row is
        enough for that: a set that holds NaN or undecodable samples is not fit to be measured, nor to be released."""
        return self._measure(synthetic, seed, 1)

    def measure_groups(self, synthetic: Batch, *, seed: int) -> dict[str, Estimate]:
        """ "all" and, where the gate looks at classes, each class of the synthetic set. The intervals of all groups
        hold together (Bonferroni): with ten classes, one would else be beyond its limit by chance in no time."""
        names = sorted(set(synthetic.emotions)) if self.by_class else []
        found = {"all": self._measure(synthetic, seed, len(names) + 1)}
        labels = np.asarray(synthetic.emotions, dtype=str)
        for name in names:
            found[name] = self._measure(rows_of(synthetic, labels == name), seed, len(names) + 1)
        return found

    def compare(self, s: list[np.ndarray], a: list[np.ndarray]) -> float:
        """Statistic of two matched sets, each by class: [m_c, d] arrays. NaN where there is no number."""
        raise NotImplementedError

    def pairs(self, part: Part, synthetic: Batch, seed: int) -> np.ndarray:
        """-> [R, 2]: t(S, A) and t(B, A) of each repeat; NaN in repeats that have no number, (1, 2) of it for none."""
        points = part.embedding.embed(synthetic)
        found = []
        for s, a, b in matched_rows(
            part, np.asarray(synthetic.emotions, dtype=str), repeats=int(self._options["repeats"]), seed=seed
        ):
            x_a = [part.points[rows] for rows in a]
            found.append((
                self.compare([points[rows] for rows in s], x_a),
                self.compare([part.points[rows] for rows in b], x_a),
            ))  # fmt: skip
        return np.asarray(found or [(np.nan, np.nan)])

    def _measure(self, synthetic: Batch, seed: int, comparisons: int) -> Estimate:
        parts = self._reference.parts
        unusable = int((~usable(synthetic)).sum())
        n_real = sum(int(np.isin(part.emotions, synthetic.emotions).sum()) for part in parts)
        n = len(synthetic)
        if not parts:
            return no_number(n_real, n, self._reference.why_not)
        if unusable:
            return no_number(n_real, n, f"{unusable} of {n} synthetic samples cannot be decoded or are not finite")
        if min(n, n_real) < 4:
            return no_number(n_real, n, f"{n} synthetic and {n_real} real samples of their classes are too few")
        try:
            by_part = [self.pairs(part, synthetic, seed) for part in parts]
        except UserError as error:
            return no_number(n_real, n, str(error))
        pairs = self._mean_of_parts(by_part)
        if not len(pairs):
            return no_number(n_real, n, "a half of the reference holds fewer than 2 samples of the synthetic classes")
        return self.estimate(pairs, n_real, n, comparisons)

    def _mean_of_parts(self, by_part: list[np.ndarray]) -> np.ndarray:
        """[R, 2] of each part -> the repeats of which every part has a number, averaged over parts; none at all where
        they are fewer than half, or a part has no repeats."""
        if len({len(pairs) for pairs in by_part}) > 1:
            return np.zeros((0, 2))
        mean: np.ndarray = np.mean(by_part, axis=0)
        ok = np.isfinite(mean).all(axis=1)
        return mean[ok] if ok.mean() >= 0.5 else np.zeros((0, 2))

    def estimate(self, pairs: np.ndarray, n_real: int, n_synthetic: int, comparisons: int) -> Estimate:
        """[R, 2] of t(S, A), t(B, A), all finite -> the estimate; its interval holds with `comparisons` - 1 others."""
        return estimate_of(pairs, n_real, n_synthetic, comparisons)


def estimate_of(pairs: np.ndarray, n_real: int, n_synthetic: int, comparisons: int = 1) -> Estimate:
    """[R, 2] of t(S, A), t(B, A) -> value, floor and the interval of the excess, `comparisons` of them together at
    95 %. One: the quantiles over the repeats. Several: the normal quantile, for repeats are too few to hold it."""
    value, floor = (float(v) for v in pairs.mean(axis=0))
    excess = pairs[:, 0] - pairs[:, 1]
    if comparisons == 1:
        low, high = value + np.quantile(excess, [LEVEL / 2, 1 - LEVEL / 2]) - excess.mean()
    else:
        half = float(norm.ppf(1 - LEVEL / (2 * comparisons))) * excess.std()
        low, high = value - half, value + half
    return Estimate(value, float(low), float(high), floor, n_real, n_synthetic)


def no_number(n_real: int, n_synthetic: int, reason: str) -> Estimate:
    nan = float("nan")
    return Estimate(nan, nan, nan, nan, n_real, n_synthetic, reason)

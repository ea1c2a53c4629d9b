"""What set gates compare with: real samples of people that neither generator nor embedding has learned from.

The reference is dev where it has at least `MIN_GROUPS` groups and 2 samples for each of `dims`, else held-out folds of
train, each in an embedding that was fitted without it (their numbers are averaged, never compared).

Every set gate here works by the same repeats. Each cuts the reference into halves A and B that share no group, and
draws S from half of the synthetic set. With a statistic t:

    value = mean t(S, A)        floor = mean t(B, A): what real people get against other real people at these sizes

The interval is that of the excess t(S, A) - t(B, A) over the repeats, around the value: A is in both, so its
peculiarity cancels. Half-samples vary about their mean as much as the full sample does about the truth (McCarthy 1969,
Pseudo-replication: half samples), so no bootstrap is needed, whose repeated rows would lower ranks and distances.

Samples with weights stand in S in their shares: as many of a class as its weights give it beside the other classes
(`relative_weights`), and within a class each with a chance in proportion to its weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, field_validator
from scipy.stats import norm

from corpora.errors import UnknownNameError, UserError
from corpora.fingerprint import hash_json
from validators.batch import Batch, relative_weights, rows_of, usable
from validators.embeddings.embedding import FROM_PATH, Embedding, fit_embedding, weights_named
from validators.embeddings.features import FEATURES, PLAIN, encoders_in
from validators.gate import AnyParams, Better, Estimate, Fault, Foreseen, GateParams, Limit, SetGate
from validators.maths.folds import group_folds, group_halves
from validators.memo import Memo
from validators.roster import CERTAIN, Roster, counted, lacks_groups

FOLD = "a held-out fold of train"
MIN_GROUPS = 4  # of a reference: two halves of at least two groups each
ROUNDING = 1e-6  # of weights, which are stored in 24 bits
LEVEL = 0.05  # of the intervals of a gate, all its groups together
Rows = tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]  # by class: rows of S, of A and of B


class SetParams(GateParams):
    """Parameters of every set gate that compares in an embedding."""

    embedding: str = Field(
        "both",
        description="trained, hand-made (functionals, hog ...), both side by side, an encoder of an installed package "
        "(minilm, speaker_ge2e; docs/encoders.md), or path:FOLDER (docs/gates.md)",
    )
    dims: int = Field(16, ge=1, description="principal components of the embedding; of each, where there are two")
    whiten: bool = Field(True, description="components of unit variance, or as they are")
    folds: int = Field(2, ge=2, le=1000, description="of train, where it serves as reference")
    repeats: int = Field(100, ge=2, le=1_000_000, description="group-disjoint halves")
    min_n: int | None = Field(None, ge=1, description="of real and of synthetic samples; none: 2 for each of `dims`")
    steps: int | None = Field(None, ge=1, description="of the embedding's training; none: by the size of train")

    @field_validator("embedding")
    @classmethod
    def _known(cls, embedding: str) -> str:
        packed = [name for of_kind in FEATURES.values() for name in of_kind if encoders_in(name)]
        known = ("trained", "both", *PLAIN.values(), *packed)
        if embedding not in known and not embedding.startswith(FROM_PATH):
            raise ValueError(str(UnknownNameError.of("embedding", embedding, (*known, f"{FROM_PATH}FOLDER"))))
        return embedding


@dataclass(frozen=True)
class Part:
    """Reference samples in an embedding that never saw them."""

    embedding: Embedding
    points: np.ndarray  # [n, d]
    emotions: np.ndarray  # [n] str
    groups: np.ndarray  # [n] str
    where: str = "the reference"  # dev, or a fold of train
    unit: str = "group"  # what a group is: speaker, person ...

    def why_not(self, classes: Sequence[str]) -> str:
        """Why samples of these classes cannot be compared with this part, "" where they can."""
        of_classes = np.isin(self.emotions, list(classes))
        why = too_few(self.emotions, self.groups, classes, self.unit, self.where)
        points = self.points[of_classes]
        if not why and np.ptp(points, axis=0).max(initial=0.0) <= 1e-12 * np.abs(points).max(initial=1.0):
            why = f"all {len(points)} real samples of {', '.join(classes)} in {self.where} are alike"
        return why


@dataclass(frozen=True)
class Reference:
    """One part (dev), several (folds of train), or none and the reason."""

    parts: tuple[Part, ...]
    why_not: str = ""

    @property
    def judge(self) -> str:
        """Names of the embeddings, with hashes of their weights; "none" where there is no reference."""
        return "+".join(part.embedding.name for part in self.parts) or "none"


_FITTED: Memo[str, Reference] = Memo(4)  # the gates of one run share a reference: it takes seconds to fit


def fit_reference(
    train: Batch, dev: Batch | None, *, classes: Sequence[str], options: SetParams, seed: int
) -> Reference:
    """The reference of `options` (embedding, dims, folds, steps). Never raises for too little data: `why_not` then
    says why there is none. Raises `UserError` for an unknown embedding."""
    chosen = options.model_dump(include={"embedding", "dims", "whiten", "folds", "steps"})
    seen = [
        [list(b.ids), list(b.sha256), list(b.emotions), list(b.groups)] if b is not None else None for b in (train, dev)
    ]
    weights, kind = weights_named(options.embedding), [train.modality, train.layout]
    key = hash_json([chosen, weights, seed, list(classes), kind, seen])
    reference = _FITTED.get(key)
    if reference is None:
        reference = _fitted(train, dev, classes, options, seed)
        _FITTED.put(key, reference)
    return reference


def too_few(emotions: np.ndarray, groups: np.ndarray, classes: Sequence[str], unit: str, where: str) -> str:
    """[n] classes and groups of a reference -> why two halves of these classes that share no group cannot be made."""
    n = len(np.unique(groups[np.isin(emotions, list(classes))]))
    return "" if n >= 2 else lacks_groups(" and ".join(classes) or "nothing", n, unit, where)


@dataclass(frozen=True)
class Source:
    """Where the reference comes from. fold: of each train sample, where train stands in for dev; None: dev itself."""

    fold: np.ndarray | None = None
    why_not: str = ""


def choose_source(train: Roster, dev: Roster | None, options: SetParams, seed: int) -> Source:
    """dev where it is big enough, else held-out folds of train, else the reason. By labels and groups alone."""
    if dev is not None and len(set(dev.groups)) >= MIN_GROUPS and len(dev) >= 2 * options.dims:
        return Source()
    n_groups = len(set(train.groups) or train.ids)
    if n_groups < MIN_GROUPS:
        n_dev = 0 if dev is None else len(set(dev.groups))
        why = (
            f"dev has {counted(n_dev, dev.unit if dev is not None else train.unit)} and train "
            f"{counted(n_groups, train.unit)}; one of them needs {MIN_GROUPS} groups"
        )
        return Source(why_not=why)
    try:
        folds = min(options.folds, n_groups // 2)
        return Source(group_folds(train.groups, train.emotions, folds, seed))
    except UserError as error:
        return Source(why_not=str(error))


def _fitted(train: Batch, dev: Batch | None, classes: Sequence[str], options: SetParams, seed: int) -> Reference:
    train = _of_classes(train, classes)
    dev = None if dev is None else _of_classes(dev, classes)
    source = choose_source(Roster.of(train), None if dev is None else Roster.of(dev), options, seed)
    if source.why_not:
        return Reference((), source.why_not)
    if source.fold is None:
        assert dev is not None
        return Reference((_part(train, dev, classes, options, seed, "dev"),))
    fold = source.fold
    return Reference(
        tuple(
            _part(rows_of(train, fold != k), rows_of(train, fold == k), classes, options, seed + int(k), FOLD)
            for k in np.unique(fold)
        )
    )


def _of_classes(batch: Batch, classes: Sequence[str]) -> Batch:
    return rows_of(batch, usable(batch) & np.isin(np.asarray(batch.emotions, dtype=str), classes))


def _part(train: Batch, reference: Batch, classes: Sequence[str], options: SetParams, seed: int, where: str) -> Part:
    embedding = fit_embedding(
        options.embedding,
        train,
        classes=classes,
        seed=seed,
        dims=options.dims,
        whiten=options.whiten,
        options={"steps": options.steps},
    )
    groups = np.asarray(reference.groups or reference.ids, dtype=str)
    emotions, unit = np.asarray(reference.emotions, dtype=str), Roster.of(reference).unit
    return Part(embedding, embedding.embed(reference), emotions, groups, where, unit)


def minimum_n(options: SetParams) -> int:
    """2 for each dimension unless params say otherwise: with fewer, a covariance is mostly noise."""
    return options.min_n or 2 * options.dims


def matched_rows(part: Part, synthetic: Batch, *, repeats: int, seed: int) -> Iterator[Rows]:
    """Rows of S (of the synthetic set), A and B (of the part) for each repeat; all three have equally many of a class.

    Synthetic sets are balanced otherwise than real ones, and usually lack the majority class; classes that the
    synthetic set lacks are left out of A and B. Nothing is yielded where fewer than 2 groups have those classes.
    Weighted samples: a class takes part with the share that its weights give it, and its rows are drawn by weight.
    """
    emotions, weights = np.asarray(synthetic.emotions, dtype=str), relative_weights(synthetic)
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
            m = min(of_a.size, of_b.size, (int(weights[own].sum() + ROUNDING) + 1) // 2)
            chosen[0].append(by_weight(own, weights[own], m, rng))
            for pool, rows in zip((of_a, of_b), chosen[1:], strict=True):
                rows.append(rng.choice(pool, m, replace=False))
        yield chosen


def by_weight(rows: np.ndarray, weights: np.ndarray, m: int, rng: np.random.Generator) -> np.ndarray:
    """m of [n] rows, each at most once, the chance of each in proportion to its weight; m <= sum(weights) / largest.

    Equal weights: simple random sampling. Else a systematic draw from a random order (Madow 1949).
    """
    if np.ptp(weights) <= ROUNDING:
        chosen: np.ndarray = rng.choice(rows, m, replace=False)
        return chosen
    order = rng.permutation(len(rows))
    ends = np.cumsum(weights[order])
    points = (rng.random() + np.arange(m)) * (ends[-1] / max(m, 1))
    return rows[order[np.minimum(np.searchsorted(ends, points, side="right"), len(rows) - 1)]]


class MatchedGate(SetGate):
    """A set gate made of a statistic of two matched sets, in which samples stand as often as they weigh. Subclasses say
    what they measure; see the module's docstring.

    Unit: the embedding's columns have unit variance on train.
    """

    better: ClassVar[Better] = "lower"
    modalities = ("speech", "face", "text", "physio")
    layouts = ("signal", "vector")
    Params: ClassVar[type[SetParams]] = SetParams

    def __init__(self, reference: Reference, classes: Sequence[str], options: SetParams) -> None:
        self._reference, self._classes, self._options = reference, tuple(classes), options
        self.min_n = minimum_n(options)
        self.judge = reference.judge

    @classmethod
    def fit(
        cls,
        train: Batch,
        dev: Batch | None,
        *,
        classes: Sequence[str],
        params: AnyParams,
        seed: int,
    ) -> Self:
        """Never raises for too little data: `measure` then says why there is no number. Raises `UserError` for an
        unknown embedding."""
        options = cls.Params.of(params, cls.name)
        reference = fit_reference(train, dev, classes=classes, options=options, seed=seed)
        return cls(reference, classes, options)

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: AnyParams,
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        """What has too few groups, or samples, to be compared with, whatever is drawn."""
        options = cls.Params.of(params, cls.name)
        least = minimum_n(options)
        named = {"all": list(classes)} | ({name: [name] for name in classes} if cls.measures_groups else {})
        big = min((len(set(train.of_classes([c]).group_names)) for c in classes), default=0) >= CERTAIN * 4
        enough = dev is not None and len(set(dev.groups)) >= MIN_GROUPS and len(dev) >= 2 * options.dims
        if big and not enough:
            return Foreseen()  # every fold holds many groups of each class
        source = choose_source(train, dev, options, seed)
        if source.why_not:
            return Foreseen(undecided={"all": source.why_not})
        if source.fold is None:
            assert dev is not None
            parts = [("dev", dev)]
        else:
            parts = [(FOLD, train.rows(source.fold == k)) for k in np.unique(source.fold)]
        undecided: dict[str, str] = {}
        for group, members in named.items():
            whys = [
                too_few(np.asarray(part.emotions, dtype=str), part.group_names, members, part.unit, where)
                for where, part in parts
            ]
            n = sum(len(part.of_classes(members)) for _, part in parts)
            if n < least:
                whys.append(f"{group} has {n} real samples in {parts[0][0].rpartition(' ')[2]}; the gate needs {least}")
            if why := next((w for w in whys if w), ""):
                undecided[group] = why
        return Foreseen(undecided=undecided)

    @classmethod
    def encoders(cls, params: AnyParams) -> tuple[str, ...]:
        """The embedding, where an installed package carries it."""
        return encoders_in(cls.Params.of(params, cls.name).embedding)

    def measure(self, synthetic: Batch, *, seed: int) -> Estimate:
        """Over the whole batch; an Estimate with NaN and a reason where there is no number. One unusable row is
        enough for that: a set that holds NaN or undecodable samples is not fit to be measured, nor to be released."""
        return self._measure(synthetic, seed, 1)

    def measure_groups(self, synthetic: Batch, *, seed: int) -> dict[str, Estimate]:
        """ "all" and, where the gate looks at classes, each class of the synthetic set. The intervals of all groups
        hold together (Bonferroni): with ten classes, one would else be beyond its limit by chance in no time."""
        names = sorted(set(synthetic.emotions)) if self.measures_groups else []
        estimates = {"all": self._measure(synthetic, seed, len(names) + 1)}
        labels = np.asarray(synthetic.emotions, dtype=str)
        for name in names:
            estimates[name] = self._measure(rows_of(synthetic, labels == name), seed, len(names) + 1)
        return estimates

    def compare(self, s: list[np.ndarray], a: list[np.ndarray]) -> float:
        """Statistic of two matched sets, each by class: [m_c, d] arrays. NaN where there is no number."""
        raise NotImplementedError

    def pairs(self, part: Part, synthetic: Batch, seed: int) -> np.ndarray:
        """-> [R, 2]: t(S, A) and t(B, A) of each repeat; NaN in repeats that have no number, (1, 2) of it for none."""
        points = part.embedding.embed(synthetic)
        pairs = []
        for s, a, b in matched_rows(part, synthetic, repeats=self._options.repeats, seed=seed):
            x_a = [part.points[rows] for rows in a]
            pairs.append(
                (
                    self.compare([points[rows] for rows in s], x_a),
                    self.compare([part.points[rows] for rows in b], x_a),
                )
            )
        return np.asarray(pairs or [(np.nan, np.nan)])

    def _measure(self, synthetic: Batch, seed: int, comparisons: int) -> Estimate:
        parts = self._reference.parts
        unusable = int((~usable(synthetic)).sum())
        n_real = sum(int(np.isin(part.emotions, synthetic.emotions).sum()) for part in parts)
        n = int(relative_weights(synthetic).sum() + ROUNDING)
        if unusable:
            why = f"{unusable} of {len(synthetic)} synthetic samples cannot be decoded or are not finite"
            return no_number(n_real, n, why, "synthetic")
        if not parts:
            return no_number(n_real, n, self._reference.why_not, "reference")
        if len(synthetic) == 0:
            return no_number(n_real, n, "there is no synthetic sample")
        classes = sorted(set(synthetic.emotions))
        if why := next(filter(None, (part.why_not(classes) for part in parts)), ""):
            return no_number(n_real, n, why, "reference")
        if min(n, n_real) < 4:
            return no_number(n_real, n, f"{n} synthetic and {n_real} real samples of their classes are too few")
        try:
            by_part = [self.pairs(part, synthetic, seed) for part in parts]
        except UserError as error:  # other channels, another rate than real samples have
            return no_number(n_real, n, str(error), "synthetic")
        pairs = self._mean_of_parts(by_part)
        if not len(pairs):
            floors = [self._mean_of_parts([of_part[:, [1, 1]]]) for of_part in by_part]
            if all(map(len, floors)):  # real halves have a number, so it is what was made that has none
                return no_number(n_real, n, f"{n} synthetic samples are too few, or hold what has no number")
            halves = f"halves of {parts[0].where} that share no {parts[0].unit}"
            why = f"{' and '.join(classes)}: {halves} hold fewer samples than the gate compares"
            return no_number(n_real, n, why, "reference")
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


def no_number(n_real: int, n_synthetic: int, reason: str, fault: Fault = "") -> Estimate:
    """An estimate of NaN, with its reason and whose doing it is (`Estimate.fault`)."""
    nan = float("nan")
    return Estimate(nan, nan, nan, nan, n_real, n_synthetic, reason, fault)

"""`class_effects`: what turns a sample of one class into one of another, and how sure that is.

Rows follow x = level of the subject + effect of the class + rest. A class with `enough` samples has the mean that it
shows; of a rarer one that mean is mostly noise, and the other classes say what effects look like: the estimate of a
rare class is the mean of two posterior means (`shared`). The fit that a class' estimate stands on leaves the class
out, so that its few rows do not bend the levels that they are measured from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from pydantic import Field

from corpora.errors import UserError
from generators.effects.plain import shrunk_means
from generators.effects.shared import FLOOR, diagonal, from_elsewhere, low_rank
from generators.effects.twoway import Sums, TwoWay, centre_by_subject, subject_index
from generators.params import GeneratorParams

LEAST = 3  # samples of a class; of fewer no effect is estimated
_ROWS = 1024  # looked at at once
SPREAD_OF = 3  # classes from which directions of effects can be taken


class EffectParams(GeneratorParams):
    """How effects of classes are estimated."""

    estimator: Literal["shared", "shrunk", "naive"] = Field(
        "shared",
        description="shared: a rare class borrows from what the other classes do; shrunk: each class towards no "
        "difference; naive: the means as they are",
    )
    enough: int = Field(29, ge=3, le=1_000_000, description="classes with as many samples use their naive effect")
    well_known: int = Field(8, ge=3, le=1_000_000, description="samples with which a class says something of others")
    prior_weight: float = Field(
        0.5, ge=0, le=1, description="how much of another corpus' effect is the prior mean of a rare class"
    )


@dataclass(frozen=True)
class Effects:
    """Effects of K classes on D features, from S subjects; float64, in units of the features.

    offsets: [K, K, D], offsets[k, j] added to a sample of class j makes it one of class k; 0 on the diagonal, NaN from
    and to a class that is refused. variance: [K, D] posterior variance of each class' effect, squared units. counts:
    [K] samples of each class. how: of each class, "naive", "shared", "diagonal", "shrunk" or "refused: ...", with the
    reason for what is not the estimator that was asked for.

    effects: [K, D] each class' own effect, in the gauge in which the effects of the other well-known classes have mean
    0 (a prior of a class embedding). levels: [S, D] of the `subjects`; level_of: [N] the row of it that stands for each
    row's subject. by_corpus: the same of each corpus alone, where several were handed in; what they add up to does not
    know of their differences.
    """

    offsets: np.ndarray
    variance: np.ndarray
    counts: np.ndarray
    how: tuple[str, ...]
    effects: np.ndarray
    levels: np.ndarray
    subjects: tuple[str, ...]
    level_of: np.ndarray
    by_corpus: Mapping[str, Effects] = field(default_factory=dict)

    def usable(self, k: int) -> bool:
        """Whether class k has an effect."""
        return not self.how[k].startswith("refused")


def class_effects(
    x: np.ndarray,
    y: np.ndarray,
    subjects: Sequence[str | None],
    n_classes: int,
    *,
    corpora: Sequence[str] | None = None,
    others: Mapping[int, np.ndarray] | None = None,
    params: EffectParams | None = None,
) -> Effects:
    """x: [N, D] finite train rows, best in normal scores or whitened; y: [N] class indices; subjects: N, None where
    not known (they count as one); n_classes: K.

    corpora: N names. Where there are several, a subject is one of its corpus, and each corpus is estimated for itself
    too (`Effects.by_corpus`), with the effects of the others as prior of its rare classes, in units of each corpus' own
    standard deviation of a feature. others: class index -> effect [D] in corpora that are not handed in, in units of
    x (normal scores: each corpus' own).

    Raises `ValueError` for shapes, labels or values that do not fit, `UserError` where there is no row.
    """
    params = params or EffectParams()
    x, y = np.asarray(x, np.float64), np.asarray(y, np.int64)
    others = {int(k): np.asarray(v, np.float64) for k, v in (others or {}).items()}
    _check(x, y, subjects, n_classes, corpora, others)
    if corpora is None or len(set(corpora)) == 1:
        return _one_corpus(x, y, subjects, n_classes, others, params)
    names, place = sorted(set(corpora)), np.asarray(corpora)
    rows = {name: np.flatnonzero(place == name) for name in names}
    scales = {name: _spread(x[rows[name]]) for name in names}
    known = {name: _known_effects(x[r], y[r], _of(subjects, r), n_classes, params) for name, r in rows.items()}
    parts = {}
    for name in names:
        scaled = [{k: e / scales[o] * scales[name] for k, e in known[o].items()} for o in names if o != name]
        prior = _mean_of([*scaled, others])
        parts[name] = _one_corpus(x[rows[name]], y[rows[name]], _of(subjects, rows[name]), n_classes, prior, params)
    within = [f"{c}/{s or ''}" for c, s in zip(corpora, subjects, strict=True)]
    return replace(_one_corpus(x, y, within, n_classes, others, params), by_corpus=parts)


def _check(
    x: np.ndarray,
    y: np.ndarray,
    subjects: Sequence[str | None],
    n_classes: int,
    corpora: Sequence[str] | None,
    others: Mapping[int, np.ndarray],
) -> None:
    if x.ndim != 2 or y.shape != (len(x),) or len(subjects) != len(x):
        raise ValueError(f"rows {x.shape}, labels {y.shape} and {len(subjects)} subjects do not fit together")
    if corpora is not None and len(corpora) != len(x):
        raise ValueError(f"{len(corpora)} names of corpora for {len(x)} rows")
    if not len(x):
        raise UserError("effects of classes need train samples; there is none")
    if not np.isfinite(x).all():
        raise ValueError(f"{int((~np.isfinite(x)).any(axis=1).sum())} rows hold values that are not finite")
    if y.min() < 0 or y.max() >= n_classes:
        raise ValueError(f"labels lie in [{y.min()}, {y.max()}]; allowed are 0 to {n_classes - 1}")
    for k, effect in others.items():
        if not 0 <= k < n_classes or effect.shape != (x.shape[1],) or not np.isfinite(effect).all():
            raise ValueError(
                f"the effect of class {k} elsewhere has shape {effect.shape}; wanted: finite [{x.shape[1]}]"
            )


def _one_corpus(
    x: np.ndarray,
    y: np.ndarray,
    subjects: Sequence[str | None],
    n_classes: int,
    others: Mapping[int, np.ndarray],
    params: EffectParams,
) -> Effects:
    counts = np.bincount(y, minlength=n_classes)
    names, level_of = subject_index(subjects)
    sums = Sums.of(x, y, level_of, len(names), n_classes)
    known = _well_known(counts, params)
    whole = sums.fit(known if known.any() else counts > 0)
    blank = np.full((n_classes, x.shape[1]), np.nan)
    effects, variance, offsets = blank.copy(), blank.copy(), np.full((n_classes, *blank.shape), np.nan)
    how = [_refusal(counts, known, k) for k in range(n_classes)]
    if params.estimator == "shrunk":
        kept = [k for k in range(n_classes) if not how[k]]
        if kept:
            effects[kept], variance[kept] = _shrunk(x, y, subjects, kept)
            offsets = effects[:, None, :] - effects[None, :, :]
        how = [reason or "shrunk" for reason in how]
    else:
        for k in (k for k in range(n_classes) if not how[k]):
            mine = np.flatnonzero(y == k)
            sources = known & (np.arange(n_classes) != k)
            fit = sums.without(k, x[mine], level_of[mine]).fit(sources)
            spread = _variance(x[y != k])
            rest = _rest(x, fit, level_of, y)
            seen = _Without(k, y, rest, fit.effects, np.flatnonzero(sources), spread)
            effects[k], variance[k], how[k] = _estimate(seen, others, params)
            offsets[k, sources] = effects[k] - fit.effects[sources]
        _between_rare_ones(offsets, effects, known)
    for k in range(n_classes):
        offsets[k, k] = 0.0
    return Effects(offsets, variance, counts, tuple(how), effects, whole.levels, names, level_of)


def _rest(x: np.ndarray, fit: TwoWay, level_of: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x [N, D] less levels and effects, a few rows at a time: a level for each row would be as large as x."""
    rest = np.empty_like(x)
    for start in range(0, len(x), _ROWS):
        some = slice(start, start + _ROWS)
        rest[some] = x[some] - fit.levels[level_of[some]] - fit.effects[y[some]]
    return rest


def _variance(own: np.ndarray, ddof: int = 0) -> np.ndarray:
    """[n, D], which is overwritten -> [D], as `np.var` computes it beside another array of the size."""
    own -= own.mean(axis=0)
    np.multiply(own, own, out=own)
    variance: np.ndarray = own.sum(axis=0) / max(len(own) - ddof, 0)
    return variance


@dataclass(frozen=True)
class _Without:
    """The fit without class k: y [N] labels; rest [N, D] of rows, of those of k with its effect; effects [K, D]; known
    [J], the classes that k borrows from; spread [D], variance of all rows but those of k."""

    k: int
    y: np.ndarray
    rest: np.ndarray
    effects: np.ndarray
    known: np.ndarray
    spread: np.ndarray


def _estimate(
    fit: _Without, others: Mapping[int, np.ndarray], params: EffectParams
) -> tuple[np.ndarray, np.ndarray, str]:
    """Effect and posterior variance [D] of the class that was left out, and how they came about."""
    mine, known, theirs = fit.y == fit.k, fit.known, fit.effects[fit.known]
    n, u = int(mine.sum()), fit.rest[mine].mean(axis=0)
    within = np.mean([_variance(fit.rest[fit.y == j], ddof=1) for j in known], axis=0)
    if params.estimator == "naive" or n >= params.enough:
        return u, within / n, "naive"
    one, one_variance = diagonal(u, n, theirs, within, FLOOR * fit.spread)
    if len(known) < SPREAD_OF:
        others_are = "1 other class has" if len(known) == 1 else f"{len(known)} other classes have"
        return one, one_variance, f"diagonal: {others_are} {params.well_known} samples; directions need {SPREAD_OF}"
    elsewhere = from_elsewhere(fit.k, known, others, params.prior_weight)
    two, two_variance = low_rank(u, n, theirs, fit.rest[np.isin(fit.y, known)], elsewhere)
    return (one + two) / 2.0, (one_variance + two_variance) / 2.0, "shared"


def _shrunk(
    x: np.ndarray, y: np.ndarray, subjects: Sequence[str | None], kept: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    rows = np.flatnonzero(np.isin(y, kept))
    labels = np.searchsorted(kept, y[rows])
    centred = centre_by_subject(x[rows], labels, _of(subjects, rows), len(kept))
    means, share = shrunk_means(centred, labels, len(kept))
    naive = np.stack([centred[labels == k].mean(axis=0) for k in range(len(kept))])
    within = ((centred - naive[labels]) ** 2).sum(axis=0) / max(1, len(rows) - len(kept))
    return means, share * within / np.bincount(labels)[:, None]


def _between_rare_ones(offsets: np.ndarray, effects: np.ndarray, known: np.ndarray) -> None:
    """From a class that is not well known: the way back where there is one, else the difference of two estimates,
    which share their gauge."""
    for j in np.flatnonzero(~known):
        for k in range(len(effects)):
            offsets[k, j] = -offsets[j, k] if known[k] else effects[k] - effects[j]


def _well_known(counts: np.ndarray, params: EffectParams) -> np.ndarray:
    """[K] bool: classes that say something of others. Where fewer than two do, those that have an effect at all: of a
    corpus of a few samples a class, nothing better is known."""
    known: np.ndarray = counts >= params.well_known
    return known if known.sum() > 1 else counts >= LEAST


def _refusal(counts: np.ndarray, known: np.ndarray, k: int) -> str:
    """Why class k has no effect; "" where it has."""
    if counts[k] < LEAST:
        return f"refused: {counts[k]} {'sample' if counts[k] == 1 else 'samples'}; at least {LEAST} are needed"
    return "" if known.sum() > known[k] else "refused: no other class has samples enough to be converted"


def _spread(x: np.ndarray) -> np.ndarray:
    spread = x.std(axis=0)
    return np.where(spread > 0, spread, 1.0)


def _known_effects(
    x: np.ndarray, y: np.ndarray, subjects: Sequence[str | None], n_classes: int, params: EffectParams
) -> dict[int, np.ndarray]:
    """Well-known class -> its effect in one corpus."""
    counts = np.bincount(y, minlength=n_classes)
    known = _well_known(counts, params)
    if not known.any():
        return {}
    names, level_of = subject_index(subjects)
    effects = Sums.of(x, y, level_of, len(names), n_classes).fit(known).effects
    return {int(k): effects[k] for k in np.flatnonzero(known)}


def _mean_of(corpora: Sequence[Mapping[int, np.ndarray]]) -> dict[int, np.ndarray]:
    """Class -> mean effect over the corpora that know it, each in the gauge of its own classes."""
    merged: dict[int, list[np.ndarray]] = {}
    for effects in (e for e in corpora if e):
        zero = np.mean(list(effects.values()), axis=0)
        for k, effect in effects.items():
            merged.setdefault(k, []).append(effect - zero)
    return {k: np.mean(parts, axis=0) for k, parts in merged.items()}


def _of(subjects: Sequence[str | None], rows: np.ndarray) -> list[str | None]:
    return [subjects[i] for i in rows.tolist()]

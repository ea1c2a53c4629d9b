"""Do judges that learned from other people put a candidate at the rank that was asked for?

Some classes have an order: sadness < neutral < happiness, low < middle < high arousal. A judge of classes calls
happiness for neutral and happiness for sadness equally wrong; a judge of ranks does not.

The judges are proportional-odds regressions (McCullagh 1980, J. R. Statist. Soc. B 42, eq. 2.3), cross-fitted over
folds that share no group:

    P(rank <= k | x) = sigmoid(theta_k - w.x),   theta_0 < theta_1 < ...

on principal components of hand-made features, classes weighted equally, w with a ridge penalty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from scipy.stats import spearmanr

from corpora.errors import ParamsError, UserError
from validators.batch import Batch, rows_of, usable
from validators.crossfit import conformal_p, own_p, rounded, too_few_to_refuse, unseen
from validators.embeddings.features import PLAIN, features_of
from validators.embeddings.projection import Projection, plain_components
from validators.gate import AnyParams, Foreseen, GateParams, Limit, SampleGate
from validators.maths.auc import auc, auc_interval
from validators.maths.chance import UNJUDGED
from validators.maths.folds import group_folds
from validators.maths.judges import components_of
from validators.roster import Roster, why_no_judges
from validators.state import arrays_hash, load_state, save_state


class OrdinalParams(GateParams):
    """Parameters of the gate `ordinal`."""

    order: tuple[str | tuple[str, ...], ...] | None = Field(
        None,
        description="every class of the run once, from lowest to highest; a list in the list: classes of one rank. It "
        "must be given",
    )
    folds: int = Field(4, ge=2, le=1000, description="of train")
    components: int | None = Field(
        None, ge=1, description="principal components of hand-made features; none: 100, of texts 1000"
    )
    inverse_penalty: float = Field(0.03, gt=0, description="as scikit-learn's C")


class Ordinal(SampleGate):
    """score = p-value of "a real sample of the asked class" by how far the judges place it from the asked rank.

    How unusual a sample is: |E[rank] - asked rank| under the judges' probabilities; p compares it with real held-out
    samples of the same class (Mondrian conformal; validators/crossfit.py tells what is guaranteed). Within
    1 / alpha - 1 real samples a class rejects nobody. A conversion is judged only by judges that never saw its source.
    """

    name = "ordinal"
    unit = "p-value"
    question = "do judges put a sample at the rank that was asked for?"
    better = "higher"
    modalities = ("speech", "face", "text", "physio")
    layouts = ("signal", "vector")
    judges_class = True
    default_limit = Limit(absolute=0.05)
    Params = OrdinalParams

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays, self._facts = dict(arrays), dict(facts)
        self._rank: dict[str, int] = facts["rank"]
        self._fold_of: dict[str, int] = facts["fold_of"]
        self._n_folds = int(facts["folds"])
        self.judge = f"proportional-odds-{self._n_folds}folds/{arrays_hash(arrays)}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str] = frozenset(),
        params: AnyParams,
        seed: int,
    ) -> Self:
        """Raises `ParamsError` for an order that does not name each class once, `UserError` where a class has no usable
        train sample, lies in one group, or there are fewer than 2 groups."""
        options = OrdinalParams.of(params, cls.name)
        rank = ranks_of(options.order, classes)
        batch = rows_of(train, usable(train) & np.isin(np.asarray(train.emotions, str), list(classes)))
        labels = np.asarray(batch.emotions, dtype=str)
        for name in classes:
            if not (labels == name).any():
                raise UserError(f"class {name!r} has no usable sample in train: no judge can learn its rank.")
        fold = group_folds(batch.groups, batch.emotions, options.folds, seed)
        target = np.asarray([rank[name] for name in batch.emotions])
        features = features_of(batch, PLAIN[batch.kind])
        arrays: dict[str, np.ndarray] = {}
        expected = np.full(len(batch), np.nan)
        for f in range(int(fold.max()) + 1):
            learn = fold != f
            projection = Projection.fit(features[learn], components_of(batch.kind, options.components))
            judge = fit_proportional_odds(
                projection.apply(features[learn]), target[learn], labels[learn], options.inverse_penalty
            )
            arrays |= projection.arrays(f"{f}.") | {f"{f}.{key}": value for key, value in judge.items()}
            expected[~learn] = expected_rank(projection.apply(features[~learn]), **judge)
        arrays |= {"strange": np.abs(expected - target), "expected": expected, "fold": fold}
        facts = {
            "rank": rank,
            "classes": list(classes),
            "emotions": list(batch.emotions),
            "folds": int(fold.max()) + 1,
            "fold_of": dict(zip(batch.ids, fold.tolist(), strict=True)),
            "kind": train.kind,
            # of held-out real people: what the judges are worth
            "mean_absolute_rank_error": float(np.abs(expected - target).mean()),
            "rank_correlation": float(spearmanr(expected, target).statistic) if np.ptp(expected) else 0.0,
        }
        return cls(arrays, facts)

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
        """An order that does not name each class once, and what `conformal` cannot do either."""
        options = OrdinalParams.of(params, cls.name)
        try:
            ranks_of(options.order, classes)
        except ParamsError as error:
            return Foreseen(str(error))
        counts = {name: len(train.of_classes([name])) for name in classes}
        return Foreseen(why_no_judges(train, classes, options.folds, seed), too_few_to_refuse(counts, limit))

    def cannot_judge(self, limit: Limit) -> dict[str, str]:
        """Classes with too few real samples for any p-value to be under the limit, and those whose real samples the
        judges place no nearer to their rank than other ranks' samples: AUC of the distance, not above 0.5 by its
        interval."""
        own = np.asarray(self._facts["emotions"], dtype=str)
        rank = np.asarray([self._rank[name] for name in own])
        unable = too_few_to_refuse({name: int((own == name).sum()) for name in self._facts["classes"]}, limit)
        for name in self._facts["classes"]:
            away = np.abs(self._arrays["expected"] - self._rank[name])
            low, value = lowest_auc(away[own == name], away[rank != self._rank[name]])
            if low <= 0.5:
                unable[name] = (
                    f"{UNJUDGED}: judges place {int((own == name).sum())} real samples of {name} hardly nearer "
                    f"to its rank than samples of other ranks (AUC {value:.2f}, chance is 0.50)"
                )
        return unable

    def expect(self, batch: Batch) -> np.ndarray:
        """-> [B, F] expected rank by the judges of each fold; NaN: the row is not usable, or they have seen it."""
        allowed = unseen(batch, self._fold_of, self._n_folds) & usable(batch)[:, None]
        out = np.full(allowed.shape, np.nan)
        for f in range(self._n_folds):
            rows = np.flatnonzero(allowed[:, f])
            if rows.size:
                x = plain_components(rows_of(batch, rows), Projection.of_arrays(self._arrays, f"{f}."))
                out[rows, f] = expected_rank(x, self._arrays[f"{f}.weights"], self._arrays[f"{f}.cuts"])
        return out

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 in (0, 1]. NaN: not decodable, not finite, a class without a rank, or a conversion whose
        sources lie in several folds, so that every judge has seen one of them."""
        emotions = np.asarray(batch.emotions, dtype=str)
        asked = np.asarray([self._rank.get(name, np.nan) for name in batch.emotions], dtype=np.float64)
        strange = np.abs(self.expect(batch) - asked[:, None])
        own = np.asarray(self._facts["emotions"], dtype=str)
        out = np.full(len(batch), np.nan)
        for name in self._facts["classes"]:
            rows, real = np.flatnonzero(emotions == name), own == name
            out[rows] = conformal_p(strange[rows], self._arrays["strange"][real], self._arrays["fold"][real])
        return rounded(out)

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> p-values of its real train samples by judges that never saw their group."""
        own = np.asarray(self._facts["emotions"], dtype=str)
        return {name: rounded(own_p(self._arrays["strange"][own == name])) for name in self._facts["classes"]}

    def save(self, folder: Path) -> None:
        """Writes gate.safetensors and gate.json."""
        save_state(folder, self._arrays, self._facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises `IntegrityError` where the two files do not belong together."""
        return cls(*load_state(folder))


def lowest_auc(near: np.ndarray, far: np.ndarray) -> tuple[float, float]:
    """[n], [m] distances -> (lower end of the 95 % interval, value) of the AUC of "smaller is the first kind"; (0, NaN)
    where there is nothing on a side."""
    if not near.size or not far.size:
        return 0.0, float("nan")
    value = auc(-near, -far)
    return auc_interval(value, near.size, far.size)[0], value


def ranks_of(order: Sequence[str | Sequence[str]] | None, classes: Sequence[str]) -> dict[str, int]:
    """[class, [class, class], ...] from lowest to highest -> rank of each class. Raises `ParamsError`."""
    example = f"gates.ordinal.params.order: [{', '.join(classes)}], from lowest to highest"
    if not order:
        raise ParamsError(f"gate ordinal needs the order of the classes: {example}; classes of one rank in a list.")
    levels = [[level] if isinstance(level, str) else list(level) for level in order]
    named = [name for level in levels for name in level]
    missing, unknown = [c for c in classes if c not in named], [str(c) for c in named if c not in classes]
    if missing or unknown or len(named) != len(set(named)) or len(levels) < 2:
        wrong = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"unknown: {', '.join(unknown)}"] * bool(unknown)
        raise ParamsError(
            f"an order names each class of the run once, at 2 ranks or more ({'; '.join(wrong) or order}): {example}."
        )
    return {name: rank for rank, level in enumerate(levels) for name in level}


def fit_proportional_odds(
    x: np.ndarray, target: np.ndarray, labels: np.ndarray, inverse_penalty: float
) -> dict[str, np.ndarray]:
    """x [n, d], target [n] ranks 0..K-1 (each occurs), labels [n] classes, which weigh equally -> weights [d],
    cuts [K - 1], increasing.

    Minimises |w|^2 / 2 + C * weighted negative log-likelihood by L-BFGS with the exact gradient. Cuts are the first one
    and logarithms of the steps between them, so that they cannot change places.
    """
    k, (n, d) = int(target.max()) + 1, x.shape
    _, of_class, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weight = inverse_penalty * n / (len(counts) * counts[of_class])
    share = np.bincount(target, weights=weight, minlength=k)
    start = np.log(np.cumsum(share)[:-1] / np.cumsum(share[::-1])[:-1][::-1])
    steps = np.log(np.maximum(np.diff(start), 1e-3))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w, cuts, widths = flat[:d], _cuts(flat[d:]), np.exp(flat[d + 1 :])
        eta = np.concatenate([cuts, [np.inf]])[target] - x @ w  # upper edge of the rank, and below its lower one
        below = np.concatenate([[-np.inf], cuts])[target] - x @ w
        with np.errstate(over="ignore", divide="ignore"):
            ratio = np.exp(below - eta)  # in [0, 1): sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b-a))
        log_p = log_expit(eta) + log_expit(-below) + np.log1p(-ratio)
        of_upper = weight * (expit(-eta) + ratio / (1.0 - ratio))  # d log p / d upper edge
        of_lower = -weight * (expit(below) + ratio / (1.0 - ratio))
        of_cuts = np.bincount(target, of_upper, k)[:-1] + np.bincount(target, of_lower, k)[1:]
        later = np.cumsum(of_cuts[::-1])[::-1]  # a step moves its own cut and all above it
        gradient = np.concatenate([w + x.T @ (of_upper + of_lower), -later[:1], -later[1:] * widths])
        return float(w @ w / 2 - weight @ log_p), gradient

    begin = np.concatenate([np.zeros(d), start[:1], steps])
    bounds = [(None, None)] * (d + 1) + [(-12.0, 12.0)] * (k - 2)  # e^-12 apart is no step at all
    solution = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000}).x
    return {"weights": solution[:d], "cuts": _cuts(solution[d:])}


def _cuts(free: np.ndarray) -> np.ndarray:
    """[first, log steps] -> increasing cuts."""
    return np.asarray(free[0] + np.concatenate([[0.0], np.cumsum(np.exp(free[1:]))]))


def expected_rank(x: np.ndarray, weights: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """[n, d] -> [n] float64 in [0, K - 1]: the sum over k of P(rank > k)."""
    above: np.ndarray = expit((x @ weights)[:, None] - cuts[None]).sum(axis=1)
    return above

"""Do judges that learned from other people hear the valence, arousal or dominance that was asked for?

The judges are ridge regressions on principal components of hand-made features, one for each dimension, cross-fitted
over folds that share no group; each penalty is chosen by leave-one-out within the judge's own learning samples.

Regressions lean to the mean: what is rated extreme is missed by more. A candidate is therefore compared with real
samples that were rated like what it was asked for (a third of the ratings, by default), not with all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field

from corpora.errors import UserError
from validators.batch import Batch, rows_of, usable
from validators.crossfit import conformal_p, own_p, rounded, unseen
from validators.embeddings.features import PLAIN, features_of
from validators.embeddings.projection import Projection, plain_components
from validators.gate import AnyParams, GateParams, Limit, SampleGate
from validators.maths.folds import group_folds
from validators.maths.judges import components_of
from validators.maths.labels import ccc
from validators.state import arrays_hash, load_state, save_state

DIMENSIONS = ("valence", "arousal", "dominance")
_PENALTIES = np.logspace(0, 6, 13)
_FEWEST = 20  # rated samples


class DimensionsParams(GateParams):
    """Parameters of the gate `dimensions`."""

    dimensions: tuple[Literal["valence", "arousal", "dominance"], ...] | None = Field(
        None, description="which to judge; none: all that train has ratings of"
    )
    bins: int = Field(
        3,
        ge=1,
        le=1000,
        description="parts of the ratings, equally large, within which candidates are compared",
    )
    min_ccc: float = Field(
        0.1, ge=-1, le=1, description="judges that agree less with held-out real people's ratings may not judge"
    )
    folds: int = Field(4, ge=2, le=1000, description="of train")
    components: int | None = Field(
        None, ge=1, description="principal components of hand-made features; none: 100, of texts 1000"
    )


class Dimensions(SampleGate):
    """score = p-value of "a real sample with these ratings", in (0, 1]: the smallest over the dimensions that were
    asked for, times their number (Bonferroni), at most 1.

    How unusual a sample is in a dimension: |asked - predicted|, compared with real held-out samples whose rating lies
    in the same bin (Mondrian conformal by bin; validators/crossfit.py tells what is guaranteed). The edges of the bins
    are quantiles of train's ratings. With fewer than m / alpha - 1 real samples in its bin, m dimensions asked, a
    dimension rejects nobody. A conversion is judged only by judges that never saw its source.

    A dimension whose judges reach no `min_ccc` on held-out real people is left out: it neither rejects nor counts. The
    fact `ccc` keeps the number, and `judge` names the dimensions that do judge. Where none is left the gate cannot be
    fitted, and says so: a gate that lets everything in would look like a check.
    """

    name = "dimensions"
    unit = "p-value"
    question = "do judges hear or see the valence, arousal and dominance that were asked for?"
    better = "higher"
    modalities = ("speech", "face", "text", "physio")
    layouts = ("signal", "vector")
    default_limit = Limit(absolute=0.05)
    Params = DimensionsParams
    asks = DIMENSIONS

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays, self._facts = dict(arrays), dict(facts)
        self.judged: tuple[str, ...] = tuple(facts["judged"])
        self.ccc: dict[str, float] = facts["ccc"]
        self._fold_of: dict[str, int] = facts["fold_of"]
        self._n_folds = int(facts["folds"])
        self.judge = f"ridge-{self._n_folds}folds-{'+'.join(self.judged)}/{arrays_hash(arrays)}"

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
        """Raises `ParamsError` for a dimension that is none, `UserError` where train has too few ratings or
        groups, or where no judge can tell any dimension of people that it has not met."""
        options = DimensionsParams.of(params, cls.name)
        batch = rows_of(train, usable(train) & _rated(train))
        wanted = _wanted(options.dimensions, batch)
        fold = group_folds(batch.groups, ["rated"] * len(batch), options.folds, seed)
        features = features_of(batch, PLAIN[batch.kind])
        predicted = np.full((len(batch), len(wanted)), np.nan)
        arrays: dict[str, np.ndarray] = {}
        for f in range(int(fold.max()) + 1):
            learn = fold != f
            projection = Projection.fit(features[learn], components_of(batch.kind, options.components))
            arrays |= projection.arrays(f"{f}.")
            x, held_out = projection.apply(features[learn]), projection.apply(features[~learn])
            for d, name in enumerate(wanted):
                arrays[f"{f}.{name}"] = fit_ridge(x, batch.dimensions[name][learn])
                predicted[~learn, d] = predict_ridge(held_out, arrays[f"{f}.{name}"])
        known = np.stack([batch.dimensions[name] for name in wanted], axis=1)
        worth = {name: _held_out_ccc(known[:, d], predicted[:, d]) for d, name in enumerate(wanted)}
        judged = [name for name in wanted if worth[name] >= options.min_ccc]
        if not judged:
            numbers = ", ".join(f"{name} {value:.2f}" for name, value in worth.items())
            raise UserError(
                f"dimensions: no judge can tell the ratings of people that it has not met (CCC: {numbers}; min_ccc is "
                f"{options.min_ccc}). Leave the gate out, or give it more rated train samples."
            )
        kept = [wanted.index(name) for name in judged]
        inner = np.linspace(0, 1, options.bins + 1)[1:-1]
        arrays = {key: value for key, value in arrays.items() if key.split(".")[1] not in set(wanted) - set(judged)}
        arrays |= {
            "known": known[:, kept],
            "strange": np.abs(known - predicted)[:, kept],
            "edges": np.stack([np.nanquantile(known[:, d], inner) for d in kept]),
            "fold": fold,
        }
        facts = {
            "judged": judged,
            "ccc": worth,
            "classes": list(classes),
            "emotions": list(batch.emotions),
            "folds": int(fold.max()) + 1,
            "fold_of": dict(zip(batch.ids, fold.tolist(), strict=True)),
            "kind": train.kind,
        }
        return cls(arrays, facts)

    def predict(self, batch: Batch) -> np.ndarray:
        """-> [B, F, D] what the judges of each fold hear, D as in `judged`; NaN: not usable, or they have seen it."""
        allowed = unseen(batch, self._fold_of, self._n_folds) & usable(batch)[:, None]
        out = np.full((*allowed.shape, len(self.judged)), np.nan)
        for f in range(self._n_folds):
            rows = np.flatnonzero(allowed[:, f])
            if rows.size:
                x = plain_components(rows_of(batch, rows), Projection.of_arrays(self._arrays, f"{f}."))
                for d, name in enumerate(self.judged):
                    out[rows, f, d] = predict_ridge(x, self._arrays[f"{f}.{name}"])
        return out

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 in (0, 1]. 1 where only dimensions were asked for that cannot be judged. NaN: nothing was
        asked for, or outside of [-1, 1]; not decodable, not finite; every judge has seen one of its sources."""
        predicted, asked = self.predict(batch), _asked(batch, DIMENSIONS)
        p = np.full((len(batch), len(self.judged)), np.nan)
        for d, name in enumerate(self.judged):
            wanted = asked[:, DIMENSIONS.index(name)]
            place, real_place = self._bins(wanted, d), self._bins(self._arrays["known"][:, d], d)
            for b in np.unique(place[place >= 0]):
                rows, real = np.flatnonzero(place == b), real_place == b
                strange = np.abs(wanted[rows, None] - predicted[rows, :, d])
                p[rows, d] = conformal_p(strange, self._arrays["strange"][real, d], self._arrays["fold"][real])
        heard = np.isfinite(predicted).any(axis=(1, 2))
        known = np.isfinite(asked).any(axis=1) & ~(np.abs(asked) > 1.0).any(axis=1)
        return np.where(heard & known, _bonferroni(p), np.nan)

    def reasons(self, batch: Batch) -> list[str | None]:
        """nothing-asked: the row names no valence, arousal or dominance; outside-scale: one beyond [-1, 1]."""
        asked = _asked(batch, DIMENSIONS)
        nothing, beyond = ~np.isfinite(asked).any(axis=1), (np.abs(asked) > 1.0).any(axis=1)
        return ["nothing-asked" if n else "outside-scale" if b else None for n, b in zip(nothing, beyond, strict=True)]

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> p-values of its real train samples by judges that never saw their group, among all real ones."""
        known, strange = self._arrays["known"], self._arrays["strange"]
        p = np.full(known.shape, np.nan)
        for d in range(len(self.judged)):
            place = self._bins(known[:, d], d)
            for b in np.unique(place[place >= 0]):
                p[place == b, d] = own_p(strange[place == b, d])
        score, emotions = _bonferroni(p), np.asarray(self._facts["emotions"], dtype=str)
        return {name: score[emotions == name] for name in self._facts["classes"]}

    def _bins(self, values: np.ndarray, d: int) -> np.ndarray:
        """[n] ratings of dimension d -> [n] index of the bin; -1: not known."""
        return np.where(np.isfinite(values), np.searchsorted(self._arrays["edges"][d], values, side="right"), -1)

    def save(self, folder: Path) -> None:
        """Writes gate.safetensors and gate.json."""
        save_state(folder, self._arrays, self._facts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises `IntegrityError` where the two files do not belong together."""
        return cls(*load_state(folder))


def fit_ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x [n, d], y [n] (NaN: not rated, left out) -> [d + 1] coefficients and the intercept."""
    from sklearn.linear_model import RidgeCV

    rated = np.isfinite(y)
    if rated.sum() < 3:
        raise UserError("dimensions: nearly all rated samples lie in one fold; add rated samples of other groups.")
    model = RidgeCV(alphas=_PENALTIES).fit(x[rated], y[rated])
    return np.append(model.coef_, model.intercept_)


def predict_ridge(x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """-> [n], within the scale [-1, 1]."""
    predicted: np.ndarray = np.clip(x @ coefficients[:-1] + coefficients[-1], -1.0, 1.0)
    return predicted


def _asked(batch: Batch, names: Sequence[str]) -> np.ndarray:
    """-> [B, D] float64; NaN where not known."""
    nothing = np.full(len(batch), np.nan)
    columns = [np.asarray(batch.dimensions.get(name, nothing), np.float64) for name in names]
    return np.stack(columns, axis=1) if columns else np.zeros((len(batch), 0))


def _rated(batch: Batch) -> np.ndarray:
    known: np.ndarray = np.isfinite(_asked(batch, DIMENSIONS)).any(axis=1)
    return known


def _wanted(names: Sequence[str] | None, batch: Batch) -> list[str]:
    """The dimensions to judge. Raises `UserError` where one has too few ratings or groups to be learned and held
    out."""
    groups, enough, why = np.asarray(batch.groups or batch.ids, dtype=str), [], []
    for name in dict.fromkeys(names or DIMENSIONS):
        rated = np.isfinite(batch.dimensions.get(name, np.full(len(batch), np.nan)))
        if rated.sum() >= _FEWEST and len(np.unique(groups[rated])) >= 4:
            enough.append(name)
        else:
            why.append(f"{name}: {int(rated.sum())} rated samples of {len(np.unique(groups[rated]))} groups")
    if not enough or (names and why):
        raise UserError(
            f"dimensions needs at least {_FEWEST} rated train samples of 4 groups; there are {'; '.join(why)}."
        )
    return enough


def _held_out_ccc(known: np.ndarray, predicted: np.ndarray) -> float:
    """Of the rated rows; 0 where ratings do not vary (there is nothing to agree about)."""
    rated = np.isfinite(known)
    return ccc(known[rated], predicted[rated]) if np.ptp(known[rated]) > 0 else 0.0


def _bonferroni(p: np.ndarray) -> np.ndarray:
    """[B, D] p-values, NaN: no test -> [B] min(1, smallest * number of tests); 1 where there is no test."""
    tests = np.isfinite(p).sum(axis=1)
    smallest = np.min(np.where(np.isfinite(p), p, 1.0), axis=1, initial=1.0)
    return rounded(np.minimum(1.0, smallest * np.maximum(tests, 1)))

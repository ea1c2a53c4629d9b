"""Is a candidate anywhere near real samples of its class, or out of distribution?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from corpora.errors import UserError
from validators.batch import Batch, rows_of, usable
from validators.crossfit import rounded, unseen
from validators.embeddings.features import PLAIN, features_of
from validators.embeddings.projection import Projection
from validators.gate import AnyParams, Foreseen, GateParams, Limit, SampleGate
from validators.maths.folds import group_folds
from validators.maths.privacy import Near
from validators.roster import CERTAIN, Roster, lacks_groups, why_no_folds
from validators.state import arrays_hash, load_state, save_state


class SupportParams(GateParams):
    """Parameters of the gate `support`."""

    k: int = Field(3, ge=1, description="the k-th nearest real sample of the class")
    dims: int = Field(24, ge=1, description="whitened principal components of the hand-made features")
    folds: int = Field(4, ge=2, le=1000, description="of train")


class Support(SampleGate):
    """score = distance to the k-th nearest real sample of the asked class / typical such distance of real samples.

    About 1: as near to real samples of the class as real samples of other people are (Sun et al. 2022,
    Out-of-distribution detection with deep nearest neighbors, with a hand-made space). Cross-fitted: train is cut into
    group folds; fold f has a space and neighbours of its own, fitted and taken from all other folds. A synthetic sample
    gets the mean of all folds, a conversion that of the fold that holds its sources, a real train sample that of its
    own fold. One-sided: what is duller than real samples lies among them.
    """

    name = "support"
    unit = "x typical real distance"
    question = "is a sample anywhere near real ones of its class?"
    better = "lower"
    judges_class = True
    modalities = ("speech", "face", "text", "physio")
    layouts = ("signal", "vector")
    default_limit = Limit(quantile=0.99, times=1.1)
    Params = SupportParams
    fits_at_once = True

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays, self._facts = dict(arrays), dict(facts)
        self._fold_of: dict[str, int] = facts["fold_of"]
        self._n_folds, self._k = int(facts["folds"]), int(facts["k"])
        self._laid_out: dict[tuple[int, int], Near | None] = {}
        self.judge = f"{PLAIN[facts['kind']]}-knn{self._k}/{arrays_hash(arrays)}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str] = frozenset(),
        params: AnyParams,
        seed: int,
    ) -> Support:
        """Raises `UserError` where train cannot be cut into group folds that leave each class some neighbours."""
        options = SupportParams.of(params, cls.name)
        batch = rows_of(train, usable(train) & np.isin(np.asarray(train.emotions, str), classes))
        fold = group_folds(batch.groups, batch.emotions, options.folds, seed)
        features = features_of(batch, PLAIN[train.kind])
        arrays: dict[str, np.ndarray] = {}
        target = np.asarray([list(classes).index(name) for name in batch.emotions])
        for f in np.unique(fold):
            others = features[fold != f]
            projection = Projection.fit(others, options.dims, whiten=True)
            arrays |= projection.arrays(f"{f}.")
            arrays |= {f"{f}.points": projection.apply(others), f"{f}.class": target[fold != f]}
            del others  # before the next fold's
        facts: dict[str, Any] = {
            "classes": list(classes),
            "kind": train.kind,
            "k": options.k,
            "folds": int(fold.max()) + 1,
            "fold_of": dict(zip(batch.ids, fold.tolist(), strict=True)),
            "emotions": list(batch.emotions),
        }
        ones = {"scale": np.ones((facts["folds"], len(classes)))}
        distance = cls(arrays | ones, facts)._by_fold(batch)[np.arange(len(batch)), fold]
        scale = ones["scale"]
        for f in range(facts["folds"]):
            for k in range(len(classes)):
                own = distance[(fold == f) & (target == k)]
                scale[f, k] = np.median(own) if own.size >= 5 else np.median(distance[target == k])
        if not (scale > 0).all():
            raise UserError(
                "support: at least half of a class' samples equal one of another group; drop repeats first."
            )
        reference = rounded(distance / scale[fold, target])
        return cls(arrays | {"scale": scale, "reference": reference}, facts)

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
        """Classes of one group, and why train cannot be cut into folds."""
        spread = {name: len(set(train.of_classes([name]).group_names)) for name in classes}
        few = [lacks_groups(name, n, train.unit, "train") for name, n in spread.items() if n < 2]
        if few:
            return Foreseen("; ".join(few) + ": a real sample is compared with those of others")
        certain = min(spread.values(), default=0) >= CERTAIN
        return Foreseen("" if certain else why_no_folds(train, SupportParams.of(params, cls.name).folds, seed))

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 > 0. NaN: not usable, a class that train lacks, or sources in several folds."""
        by_fold = self._by_fold(batch)
        judged = np.isfinite(by_fold)
        with np.errstate(invalid="ignore"):
            mean = np.nansum(by_fold, axis=1) / np.where(judged.any(axis=1), judged.sum(axis=1), np.nan)
        return rounded(mean)

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> scores of real train samples by the fold that holds them out."""
        of_row = np.asarray(self._facts["emotions"], dtype=str)
        return {name: self._arrays["reference"][of_row == name] for name in self._facts["classes"]}

    def _by_fold(self, batch: Batch) -> np.ndarray:
        """-> [B, F] scores by the folds that never saw the row or its sources; NaN elsewhere."""
        known = {name: i for i, name in enumerate(self._facts["classes"])}
        asked = np.asarray([known.get(name, -1) for name in batch.emotions], dtype=int)
        ok = usable(batch) & (asked >= 0)
        allowed = unseen(batch, self._fold_of, self._n_folds) & ok[:, None]
        out = np.full((len(batch), self._n_folds), np.nan)
        features = features_of(batch, PLAIN[self._facts["kind"]])
        for f in range(self._n_folds):
            projection = Projection.of_arrays(self._arrays, f"{f}.")
            for k in np.unique(asked[allowed[:, f]]):
                rows = np.flatnonzero(allowed[:, f] & (asked == k))
                near = self._near(f, int(k))
                if near is not None:
                    distance = near.distances(projection.apply(features[rows]), min(self._k, len(near)))[:, -1]
                    out[rows, f] = distance / self._arrays["scale"][f, k]
        return out

    def _near(self, f: int, k: int) -> Near | None:
        """Samples of class k in the space of fold f; None where it holds none."""
        if (f, k) not in self._laid_out:
            points = self._arrays[f"{f}.points"][self._arrays[f"{f}.class"] == k]
            self._laid_out[f, k] = Near(points) if len(points) else None
        return self._laid_out[f, k]

    def save(self, folder: Path) -> None:
        """Writes gate.safetensors and gate.json."""
        save_state(folder, self._arrays, self._facts)

    @classmethod
    def load(cls, folder: Path) -> Support:
        """What `save` wrote. Raises `IntegrityError` where the two files do not belong together."""
        return cls(*load_state(folder))

"""Is a candidate anywhere near real samples of its class, or out of distribution?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators.embeddings.embedding import (
    PLAIN,
    Projection,
    arrays_hash,
    features_of,
    load_state,
    rows_of,
    save_state,
    usable,
)
from validators.gate import Batch, Better, Limit
from validators.maths.folds import group_folds
from validators.maths.privacy import nearest
from validators.roster import CERTAIN, Foreseen, Roster, lacks_groups, why_no_folds

DEFAULTS: dict[str, Any] = {
    "k": 3,  # the k-th nearest real sample of the class
    "dims": 24,  # whitened principal components of the hand-made features
    "folds": 4,  # of train
}
_DIGITS = 9  # scores are rounded: their last bits depend on how BLAS cuts a product


class Support:
    """score = distance to the k-th nearest real sample of the asked class / typical such distance of real samples.

    About 1: as near to real samples of the class as real samples of other people are (Sun et al. 2022,
    Out-of-distribution detection with deep nearest neighbors, with a hand-made space). Cross-fitted: train is cut into
    group folds; fold f has a space and neighbours of its own, fitted and taken from all other folds. A synthetic sample
    gets the mean of all folds, a conversion that of the fold that holds its sources, a real train sample that of its
    own fold. One-sided: what is duller than real samples lies among them. params: see `DEFAULTS`.
    """

    name = "support"
    unit = "x typical real distance"
    judges_class = True
    better: Better = "lower"
    modalities = ("speech", "face", "text", "physio")
    default_limit = Limit(quantile=0.99, times=1.1)

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays, self._facts = dict(arrays), dict(facts)
        self._fold_of: dict[str, int] = facts["fold_of"]
        self._n_folds, self._k = int(facts["folds"]), int(facts["k"])
        self.judge = f"{PLAIN[facts['modality']]}-knn{self._k}/{arrays_hash(arrays)}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str] = frozenset(),
        params: Mapping[str, Any],
        seed: int,
    ) -> Support:
        """Raises `UserError` where train cannot be cut into group folds that leave each class some neighbours."""
        options = {**DEFAULTS, **params}
        if int(options["k"]) < 1:
            raise UserError(f"support: k is {options['k']}; at least 1 neighbour is needed")
        batch = rows_of(train, usable(train) & np.isin(np.asarray(train.emotions, str), classes))
        fold = group_folds(batch.groups, batch.emotions, int(options["folds"]), seed)
        features = features_of(batch, PLAIN[train.modality])
        arrays: dict[str, np.ndarray] = {}
        target = np.asarray([list(classes).index(name) for name in batch.emotions])
        for f in np.unique(fold):
            projection = Projection.fit(features[fold != f], int(options["dims"]), whiten=True)
            arrays |= projection.arrays(f"{f}.")
            arrays |= {f"{f}.points": projection.apply(features[fold != f]), f"{f}.class": target[fold != f]}
        facts: dict[str, Any] = {
            "classes": list(classes),
            "modality": train.modality,
            "k": int(options["k"]),
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
        reference = np.round(distance / scale[fold, target], _DIGITS)
        return cls(arrays | {"scale": scale, "reference": reference}, facts)

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: Mapping[str, Any],
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        spread = {name: len(set(train.of_classes([name]).group_names)) for name in classes}
        few = [lacks_groups(name, n, train.unit, "train") for name, n in spread.items() if n < 2]
        if few:
            return Foreseen("; ".join(few) + ": a real sample is compared with those of others")
        certain = min(spread.values(), default=0) >= CERTAIN
        return Foreseen("" if certain else why_no_folds(train, int({**DEFAULTS, **params}["folds"]), seed))

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 > 0. NaN: not usable, a class that train lacks, or sources in several folds."""
        found = self._by_fold(batch)
        judged = np.isfinite(found)
        with np.errstate(invalid="ignore"):
            mean = np.nansum(found, axis=1) / np.where(judged.any(axis=1), judged.sum(axis=1), np.nan)
        return np.round(mean, _DIGITS)

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> scores of real train samples by the fold that holds them out."""
        of_row = np.asarray(self._facts["emotions"], dtype=str)
        return {name: self._arrays["reference"][of_row == name] for name in self._facts["classes"]}

    def _by_fold(self, batch: Batch) -> np.ndarray:
        """-> [B, F] scores by the folds that never saw the row or its sources; NaN elsewhere."""
        known = {name: i for i, name in enumerate(self._facts["classes"])}
        asked = np.asarray([known.get(name, -1) for name in batch.emotions], dtype=int)
        ok = usable(batch) & (asked >= 0)
        allowed = np.tile(ok[:, None], (1, self._n_folds))
        for i, own in enumerate(batch.ids):
            for seen in (own, *(batch.source_ids[i] if batch.source_ids else ())):
                if seen in self._fold_of:
                    allowed[i] &= np.arange(self._n_folds) == self._fold_of[seen]
        out = np.full((len(batch), self._n_folds), np.nan)
        features = features_of(batch, PLAIN[self._facts["modality"]])
        for f in range(self._n_folds):
            projection = Projection.of_arrays(self._arrays, f"{f}.")
            for k in np.unique(asked[allowed[:, f]]):
                rows = np.flatnonzero(allowed[:, f] & (asked == k))
                near = self._arrays[f"{f}.points"][self._arrays[f"{f}.class"] == k]
                if len(near):
                    found = nearest(projection.apply(features[rows]), near, min(self._k, len(near)))[:, -1]
                    out[rows, f] = found / self._arrays["scale"][f, k]
        return out

    def save(self, folder: Path) -> None:
        save_state(folder, self._arrays, self._facts)

    @classmethod
    def load(cls, folder: Path) -> Support:
        return cls(*load_state(folder))

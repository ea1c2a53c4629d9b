"""Does the synthetic set give away who was in train?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from pydantic import Field

from validators.batch import Batch, rows_of, usable
from validators.embeddings.embedding import fit_embedding
from validators.embeddings.features import PLAIN
from validators.gate import AnyParams, Estimate, Foreseen, GateParams, Limit, SetGate
from validators.maths.auc import auc
from validators.maths.folds import group_halves
from validators.maths.kernel import squared_distances
from validators.reference import MIN_GROUPS, estimate_of, no_number
from validators.roster import Roster, counted

MOST = 3000  # rows of a set that are compared: 72 MB of distances


class MembershipParams(GateParams):
    """Parameters of the gate `mia`."""

    dims: int = Field(32, ge=1, description="whitened principal components of the hand-made features")
    repeats: int = Field(100, ge=2, le=1_000_000, description="group-disjoint halves of dev, and halves of train")
    min_n: int = Field(30, ge=1, description="of real and of synthetic samples")


class MembershipGate(SetGate):
    """AUC of the attack "a real sample that is near a synthetic one was in train" (Chen et al. 2020, GAN-Leaks, full
    black box). 0.5: it learns nothing; 1: every train sample is given away.

    Train against dev, which no generator saw, in whitened principal components of hand-made features: a space that was
    not taught what train looks like beyond its mean and spread. Each repeat takes half of the train groups, halves A
    and B of dev and half of the synthetic samples: value = mean AUC(train, A; synthetic), floor = mean
    AUC(train, A; B), what real people give away. Without a dev of 4 groups nobody is known to be outside: undecided.
    """

    name = "mia"
    unit = "AUC"
    question = "does the set give away who was in train?"
    better = "lower"
    modalities = ("speech", "face", "text", "physio")
    layouts = ("signal", "vector")
    default_limit = Limit(floor=1.0, margin=0.1)
    Params = MembershipParams

    def __init__(self, sides: Mapping[str, Any] | None, options: MembershipParams, why_not: str = "") -> None:
        self._sides, self._options, self._why_not = sides, options, why_not
        self.min_n = options.min_n
        self.judge = sides["embedding"].name if sides else "none"

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
        """Never raises for too little data: `measure` then says why there is no number."""
        options = MembershipParams.of(params, cls.name)
        if dev is not None:
            train, dev = (rows_of(b, usable(b) & np.isin(np.asarray(b.emotions, str), classes)) for b in (train, dev))
        if why := _why_not(Roster.of(train), None if dev is None else Roster.of(dev)):
            return cls(None, options, why)
        assert dev is not None
        rng = np.random.default_rng(seed)
        train, dev = (rows_of(b, np.sort(rng.permutation(len(b))[:MOST])) for b in (train, dev))
        embedding = fit_embedding(
            PLAIN[train.kind], train, classes=classes, seed=seed, dims=options.dims, whiten=True, options={}
        )
        sides = {"embedding": embedding, "train": train, "dev": dev}
        return cls(sides, options)

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
        """Too few people to stand for those outside, or in train."""
        why = _why_not(train, dev)
        return Foreseen(undecided={"all": why} if why else {})

    def measure(self, synthetic: Batch, *, seed: int) -> Estimate:
        """Over the whole batch; an Estimate with NaN and a reason where there is no number."""
        n = len(synthetic)
        unusable = int((~usable(synthetic)).sum())
        if unusable:
            why = f"{unusable} of {n} synthetic samples cannot be decoded or are not finite"
            return no_number(0, n, why, "synthetic")
        if self._sides is None:
            return no_number(0, n, self._why_not, "reference")
        train, dev, embedding = (self._sides[name] for name in ("train", "dev", "embedding"))
        n_real = min(len(train), len(dev))
        if n < 4:
            return no_number(n_real, n, f"{n} synthetic samples are too few")
        rng = np.random.default_rng(seed)
        s = embedding.embed(synthetic)[rng.permutation(n)[:MOST]]
        x, y = embedding.embed(train), embedding.embed(dev)
        x_s, y_s, x_y, y_y = (squared_distances(p, q) for p, q in ((x, s), (y, s), (x, y), (y, y)))
        for points, where in ((x, "train"), (y, "dev")):
            if np.ptp(points, axis=0).max() <= 1e-12:
                return no_number(n_real, n, f"all {len(points)} real samples of {where} are alike", "reference")
        groups = [np.asarray(b.groups or b.ids, dtype=str) for b in (train, dev)]
        repeats = self._options.repeats
        halves = zip(*(group_halves(g, ["all"] * len(g), repeats, seed + i) for i, g in enumerate(groups)), strict=True)
        pairs = []
        for of_train, of_dev in halves:
            of_synthetic = rng.permutation(len(s))[: (len(s) + 1) // 2]
            b = np.flatnonzero(~of_dev)
            b = rng.permutation(b)[: min(b.size, of_synthetic.size)]
            pairs.append(
                (
                    _auc(x_s[np.ix_(of_train, of_synthetic)], y_s[np.ix_(of_dev, of_synthetic)]),
                    _auc(x_y[np.ix_(of_train, b)], y_y[np.ix_(of_dev, b)]),
                )
            )
        return estimate_of(np.asarray(pairs), n_real, n)


def _why_not(train: Roster, dev: Roster | None) -> str:
    """Why nobody is known to be outside."""
    n = 0 if dev is None else len(set(dev.group_names))
    if n < MIN_GROUPS:
        return f"dev has {counted(n, (dev or train).unit)}; {MIN_GROUPS} groups are needed, to stand for people outside"
    if (n := len(set(train.group_names))) < 2:
        return f"train has {counted(n, train.unit)}; 2 groups are needed"
    return "train or dev holds fewer than 4 usable samples" if min(len(train), len(dev or ())) < 4 else ""


def _auc(inside: np.ndarray, outside: np.ndarray) -> float:
    """Distances [n, s] of train and [m, s] of outsiders to the synthetic rows -> AUC of "nearer means inside"."""
    return auc(-inside.min(axis=1), -outside.min(axis=1))

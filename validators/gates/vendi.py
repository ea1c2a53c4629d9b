"""Are synthetic samples as different from each other as real people's are?"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from validators.batch import Batch
from validators.gate import Estimate, Limit
from validators.maths.diversity import vendi_score
from validators.reference import MatchedGate, Part, SetParams, matched_rows


class VendiParams(SetParams):
    """Parameters of the gate `vendi`."""

    min_n: int | None = Field(6, ge=1, description="of real and of synthetic samples; none: 2 for each of `dims`")


class VendiGate(MatchedGate):
    """Vendi score (Friedman & Dieng 2023) of synthetic samples over that of as many real ones, for each class.

    1: as varied as real; 1/n: one sample over and over. The score grows with n, hence the ratio at equal n. Pooled: the
    mean of the classes' log ratios, weighted by size, so that a collapsed class does not hide behind others.

    The real side is the mean over all halves (of the log), so the interval is that of S alone: a collapsed class is a
    point, and no doubt about who was in the reference can excuse it. floor: the same of halves, 1 by construction.
    """

    name = "vendi"
    unit = "ratio"
    question = "are samples as different from each other as real people's are?"
    better = "higher"
    default_limit = Limit(floor=0.8)
    Params = VendiParams
    measures_groups = True

    def pairs(self, part: Part, synthetic: Batch, seed: int) -> np.ndarray:
        """-> [R, 2]: mean log Vendi score of S over classes, and of A and B, for each repeat."""
        points = part.embedding.embed(synthetic)
        pairs = [
            (_mean_log([points[r] for r in s]), _mean_log([part.points[r] for r in (*a, *b)]))
            for s, a, b in matched_rows(part, synthetic, repeats=self._options.repeats, seed=seed)
        ]
        return np.asarray(pairs or [(np.nan, np.nan)])

    def estimate(self, pairs: np.ndarray, n_real: int, n_synthetic: int, comparisons: int) -> Estimate:
        """The ratio of the two scores; its interval is that of the synthetic side."""
        real = float(pairs[:, 1].mean())
        against = np.stack([pairs[:, 0] - real, np.zeros(len(pairs))], axis=1)
        of_logs = super().estimate(against, n_real, n_synthetic, comparisons)
        value, low, high, floor = (float(np.exp(v)) for v in (of_logs.value, of_logs.low, of_logs.high, of_logs.floor))
        return Estimate(value, low, high, floor, n_real, n_synthetic)


def _mean_log(sets: list[np.ndarray]) -> float:
    """Mean over sets of the log Vendi score, weighted by size; sets of one row have no say. NaN: none has two."""
    sizes = np.array([len(x) for x in sets])
    if not (sizes >= 2).any():
        return float("nan")
    logs = [np.log(vendi_score(x)) for x in sets if len(x) >= 2]
    return float(np.average(logs, weights=sizes[sizes >= 2]))

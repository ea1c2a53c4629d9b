"""Is every kind of real sample there? The share of real samples that have a synthetic one in their neighbourhood."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from validators.gate import Limit
from validators.maths.prdc import prdc
from validators.reference import MatchedGate, SetParams


class CoverageParams(SetParams):
    """Parameters of the gate `coverage`."""

    k: int = Field(5, ge=1, description="a real sample is covered nearer than its k-th nearest real neighbour")


class CoverageGate(MatchedGate):
    """Coverage (Naeem et al. 2020, eq. 5) of real people by synthetic samples, at equal sizes and class counts.

    A real sample is covered if a synthetic one is nearer than its k-th nearest real neighbour. It falls where a mode is
    dropped, and where samples leave the real manifold.
    """

    name = "coverage"
    unit = "share"
    question = "is every kind of real sample there?"
    better = "higher"
    default_limit = Limit(floor=0.7)
    Params = CoverageParams
    _options: CoverageParams

    def compare(self, s: list[np.ndarray], a: list[np.ndarray]) -> float:
        """Coverage of the real set by the other."""
        return prdc(np.concatenate(a), np.concatenate(s), k=self._options.k).coverage

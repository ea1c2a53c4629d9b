"""Is every kind of real sample there? The share of real samples that have a synthetic one in their neighbourhood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from validators.gate import Better, Limit
from validators.maths.prdc import prdc
from validators.reference import DEFAULTS, MatchedGate


class CoverageGate(MatchedGate):
    """Coverage (Naeem et al. 2020, eq. 5) of real people by synthetic samples, at equal sizes and class counts.

    A real sample is covered if a synthetic one is nearer than its k-th nearest real neighbour. It falls where a mode is
    dropped, and where samples leave the real manifold. params: `k`, and those of every set gate.
    """

    name = "coverage"
    unit = "share"
    better: ClassVar[Better] = "higher"
    default_limit = Limit(floor=0.7)
    defaults: ClassVar[Mapping[str, Any]] = {**DEFAULTS, "k": 5}

    def compare(self, s: list[np.ndarray], a: list[np.ndarray]) -> float:
        return prdc(np.concatenate(a), np.concatenate(s), k=int(self._options["k"])).coverage

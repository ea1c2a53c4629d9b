"""Can a classifier tell synthetic samples from real people, better than it tells real people from other real people?"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from validators.gate import Limit
from validators.maths.c2st import discriminant_auc
from validators.reference import MatchedGate, SetParams


class C2stParams(SetParams):
    """Parameters of the gate `c2st`."""

    repeats: int = Field(50, ge=2, le=1_000_000, description="group-disjoint halves")
    min_n: int | None = Field(20, ge=1, description="of real and of synthetic samples; none: 2 for each of `dims`")


class C2stGate(MatchedGate):
    """AUC of a cross-validated classifier two-sample test (Lopez-Paz & Oquab 2017); 0.5: it cannot tell.

    The classifier is Fisher's discriminant with a shrunk covariance, in closed form: it is fitted many times. Two sets
    of real people can be told apart too, by their voices and faces; the floor says how well.
    """

    name = "c2st"
    unit = "AUC"
    question = "can a classifier tell synthetic samples from real people?"
    default_limit = Limit(floor=1.0, margin=0.12)
    Params = C2stParams

    def compare(self, s: list[np.ndarray], a: list[np.ndarray]) -> float:
        """AUC of the discriminant of the two pooled sets."""
        return discriminant_auc(np.concatenate(a), np.concatenate(s))

"""How far is the synthetic set from real people, in mean and covariance?"""

from __future__ import annotations

import numpy as np

from validators.gate import Limit
from validators.maths.frechet import features_frechet
from validators.reference import MatchedGate


class FrechetGate(MatchedGate):
    """Pooled Frechet distance of synthetic samples to real ones of other people, beside its real-against-real floor.

    The distance is biased upwards at finite n, so all three sets of a repeat have the same size and class counts.
    """

    name = "frechet"
    unit = "squared standard deviations"
    question = "how far is the set from real people, in mean and covariance?"
    default_limit = Limit(floor=1.25)

    def compare(self, s: list[np.ndarray], a: list[np.ndarray]) -> float:
        """Frechet distance of the two pooled sets."""
        return features_frechet(np.concatenate(s), np.concatenate(a))

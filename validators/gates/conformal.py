"""How unusual would what judges hear be for a real sample of the class that was asked for?

The judges are those of `agreement`, cross-fitted over folds that share no group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from validators.batch import Batch
from validators.crossfit import conformal_p, own_p, rounded, too_few_to_refuse
from validators.gate import AnyParams, Foreseen, Limit
from validators.gates.agreement import Agreement
from validators.roster import Roster


class Conformal(Agreement):
    """score = p-value of "a real sample of the asked class", in (0, 1]: Mondrian conformal prediction, per class.

        p = (1 + #{real samples i of the class : p_i(class) <= p(class)}) / (1 + n)        (Vovk et al. 2005, eq. 4.5)

    p_i is what judges say that never saw i's group. With judges of F folds the counts are added over folds, each
    candidate compared with held-out samples of fold f by the very judges of fold f (cross-conformal: Vovk 2015). A
    limit of alpha then rejects at most alpha of what is exchangeable with the real samples of the class. For each fold
    on its own that is a theorem; for their sum the proven bound is 2 alpha (Vovk et al. 2018, for cross-conformal
    predictors), and what is measured stays below alpha (tests/validators/gates/test_conformal.py). With fewer than
    1 / alpha - 1 samples a class rejects nobody: that is the price of the guarantee. A conversion is compared with the
    one fold that holds its source. Samples of one unseen person are less exchangeable than strangers are.
    """

    name = "conformal"
    unit = "p-value"
    question = "is what judges say of a sample usual for real ones of its class?"
    default_limit = Limit(absolute=0.05)
    tells_class = False  # a p-value says nothing of a first choice

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 in (0, 1]; NaN as in `Agreement.score`."""
        by_fold, asked = self.predict_folds(batch), self._asked(batch)
        out = np.full(len(batch), np.nan)
        for k in range(len(self.classes)):
            rows = np.flatnonzero(asked == k)
            own, fold = self._own_p(k)
            out[rows] = conformal_p(-by_fold[rows, :, k], -own, fold)
        return out

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> p-values of its real train samples, each against the others of its own fold and all other folds."""
        return {name: own_p(-self._own_p(k)[0]) for k, name in enumerate(self.classes)}

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
        """What `agreement` foresees, and classes with too few real samples for a p-value under the limit."""
        error = super().foresee(train, dev, classes=classes, params=params, limit=limit, seed=seed).error
        counts = {name: len(train.of_classes([name])) for name in classes}
        return Foreseen(error, too_few_to_refuse(counts, limit))

    def cannot_judge(self, limit: Limit) -> dict[str, str]:
        """Those of `Agreement`, and classes with too few real samples for any p-value to be under the limit."""
        counts = {name: int((self._arrays["oof_target"] == k).sum()) for k, name in enumerate(self.classes)}
        return too_few_to_refuse(counts, limit) | super().cannot_judge(limit)

    def _own_p(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Held-out probabilities of class k of its real samples [n], and their folds [n]."""
        of_class = self._arrays["oof_target"] == k
        return rounded(self._arrays["oof_p"][of_class, k]), self._arrays["oof_fold"][of_class]

"""What cross-fitted gates share: who has seen whom, and p-values against real samples that judges had not seen.

The p-value of one fold is that of split conformal prediction (Vovk et al. 2005, eq. 4.5); over folds the counts are
added (cross-conformal: Vovk 2015). For each fold on its own, a limit of alpha rejects at most alpha of what is
exchangeable with the real samples: a theorem. For the sum the proven bound is 2 alpha (Vovk et al. 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from validators.batch import Batch
from validators.gate import Limit

_DIGITS = (
    9  # scores are rounded: their last bits depend on how BLAS cuts a product, and a release is named by its bytes
)


def rounded(values: np.ndarray) -> np.ndarray:
    """To the digits that do not depend on the machine; what is compared with `<=` must have gone through this."""
    found: np.ndarray = np.round(values, _DIGITS)
    return found


def unseen(batch: Batch, fold_of: Mapping[str, int], n_folds: int) -> np.ndarray:
    """-> [B, F] bool: the judges of fold f, who learned without fold f, have seen neither the sample nor its sources.

    fold_of: id of each sample that judges learned from -> the fold that held it out.
    """
    allowed = np.ones((len(batch), n_folds), dtype=bool)
    for i, own in enumerate(batch.ids):
        for seen in (own, *(batch.source_ids[i] if batch.source_ids else ())):
            fold = fold_of.get(seen)
            if fold is not None:  # only the judges that left this fold out have not seen it
                allowed[i] &= np.arange(n_folds) == fold
    return allowed


def conformal_p(strange: np.ndarray, real: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Cross-conformal p-values (1 + #{i: real_i >= strange}) / (1 + n), in (0, 1].

    strange [B, F]: how unusual a candidate looks to the judges of each fold; NaN: they may not say. real [n]: the same
    of real held-out samples, by the judges of their fold [n]. -> [B] float64; NaN where no judge says anything.
    """
    strange, real = rounded(strange), rounded(real)
    above, against = np.zeros(len(strange)), np.zeros(len(strange))
    for f in range(strange.shape[1]):
        rows = np.isfinite(strange[:, f])
        own = np.sort(real[fold == f])
        above[rows] += own.size - np.searchsorted(own, strange[rows, f], side="left")
        against[rows] += own.size
    p: np.ndarray = np.where(np.isfinite(strange).any(axis=1), (1.0 + above) / (1.0 + against), np.nan)
    return p


def too_few_to_refuse(counts: Mapping[str, int], limit: Limit) -> dict[str, str]:
    """Class -> why no candidate of it can have a p-value under the limit: the smallest is 1 / (1 + real samples)."""
    alpha = limit.absolute
    if alpha is None or not 0.0 < alpha < 1.0:
        return {}
    least = math.floor(1.0 / alpha - 1.0 + 1e-9) + 1
    return {
        name: f"{name} has {n} real sample{'' if n == 1 else 's'} in train; a limit of {alpha:g} needs {least}"
        for name, n in counts.items()
        if n < least
    }


def own_p(real: np.ndarray) -> np.ndarray:
    """[n] -> [n] p-values of the real samples themselves, each among all of them (itself is the 1 of the formula)."""
    real = rounded(real)
    above: np.ndarray = real.size - np.searchsorted(np.sort(real), real, side="left")
    return above / max(real.size, 1)

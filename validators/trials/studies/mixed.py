"""A mixed model of paired differences: the second opinion beside the bootstrap."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

# tried in turn until one converges; those with gradients give up where a variance is 0, which is common here
_OPTIMISERS = ["powell", "bfgs"]


@dataclass(frozen=True, slots=True)
class Mixed:
    """Mean difference with its 95 % (Wald) interval, and the variances of condition, split and rest, in the unit of the
    differences squared. converged: False, with a reason, where the numbers are those of an optimiser that gave up, or
    NaN where there are none."""

    value: float
    low: float
    high: float
    converged: bool
    reason: str = ""
    of_condition: float = math.nan
    of_split: float = math.nan
    of_rest: float = math.nan


def mixed_model(values: np.ndarray, conditions: np.ndarray, splits: np.ndarray) -> Mixed:
    """difference ~ 1 + (1 | condition) + (1 | split), crossed, by REML (statsmodels MixedLM). All [n]: values float64,
    conditions (or classes) and splits (fold x seed) any labels.

    A random effect of which there is one level only is left out, and said so. It knows nothing of people: those of two
    seeds are the same, so that its interval is too narrow where people differ; the bootstrap's is the one to quote.
    """
    if len(values) < 3 or float(np.std(values)) == 0.0:
        n = len(values)
        why = f"{n} differences" if n < 3 else f"all {n} differences are the same"
        return Mixed(math.nan, math.nan, math.nan, False, f"not fitted: {why}")
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    effects = {
        name: np.eye(len(levels))[index]
        for name, (levels, index) in {
            "condition": np.unique(conditions, return_inverse=True),
            "split": np.unique(splits, return_inverse=True),
        }.items()
        if 1 < len(levels) < len(values)
    }
    left_out = [name for name in ("condition", "split") if name not in effects]
    said = f"without random intercepts of {' and '.join(left_out)}: nothing repeats over them" if left_out else ""
    if not effects:
        half = 1.959963984540054 * float(values.std(ddof=1)) / math.sqrt(len(values))
        mean = float(values.mean())
        return Mixed(mean, mean - half, mean + half, True, said, of_rest=float(values.var(ddof=1)))
    names = [[[f"{name}{i}" for i in range(z.shape[1])]] for name, z in effects.items()]
    spec = VCSpec(list(effects), names, [[z] for z in effects.values()])
    unit = float(values.std())  # the optimiser likes numbers near 1
    model = MixedLM(values / unit, np.ones((len(values), 1)), groups=np.zeros(len(values)), exog_vc=spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of is `converged`
        try:
            fit = model.fit(reml=True, method=_OPTIMISERS)
        except (np.linalg.LinAlgError, ValueError) as error:
            why = f"not fitted: {type(error).__name__} in the optimiser"
            return Mixed(math.nan, math.nan, math.nan, False, why)
        mean, error_of_mean = float(fit.fe_params[0]), float(fit.bse_fe[0])
    half = 1.959963984540054 * error_of_mean
    variance = dict(zip(effects, (float(v) for v in fit.vcomp), strict=True))
    reasons = [] if fit.converged else [f"did not converge ({', '.join(_OPTIMISERS)}): not to be relied on"]
    return Mixed(
        mean * unit,
        (mean - half) * unit,
        (mean + half) * unit,
        bool(fit.converged),
        "; ".join([*reasons, *([said] if said else [])]),
        variance.get("condition", math.nan) * unit**2,
        variance.get("split", math.nan) * unit**2,
        float(fit.scale) * unit**2,
    )

"""What a smaller network and batch cost and lose with as few train samples as a run has, by what was measured.

Said by `emoforge check` of runs that leave them at the defaults; nothing is changed. `link` proposes no generator
that is trained. Numbers: docs/performance.md, `python -m benchmarks.fit_sizes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from features.representation import Spec
from flows.params import RunParams

FEW = 600  # train samples: twice as many as it was measured with
MEASURED = ("cvae", "vae_edit")  # whose networks are those that were measured


@dataclass(frozen=True, slots=True)
class Size:
    """params: of the generator, for params.yaml; why: what a step costs with them and what was lost, for people."""

    params: Mapping[str, int | str]
    why: str


SMALL = Size(
    {"width": 24, "batch_size": 16, "padding": "cut"},
    "a step costs half; of 285 utterances of RAVDESS reconstructions were 0.5 dB closer after as many steps, and "
    "samples 8 % further off (docs/performance.md, Fits)",
)


def sized(run: RunParams, spec: Spec | None, n_train: int) -> Size | None:
    """What a run with `n_train` train samples can save; None where nothing was measured, it is that small already, or
    says itself how large it is to be."""
    if run.generator is None or spec is None or not 0 < n_train <= FEW:
        return None
    if spec.layout != "rows" or spec.mask_row is None or run.generator.name not in MEASURED:
        return None
    own = run.generator.params
    return None if own.get("critics", "none") != "none" or SMALL.params.keys() & own.keys() else SMALL


def says_size(run: RunParams, spec: Spec | None, n_train: int) -> str:
    """ "285 train samples are few for ...", or ""."""
    size = sized(run, spec, n_train)
    if size is None or run.generator is None:
        return ""
    params = ", ".join(f"{name}: {value}" for name, value in sorted(size.params.items()))
    return (
        f"{n_train} train samples are few for {run.generator.name} at its defaults: with params {{{params}}} {size.why}"
    )

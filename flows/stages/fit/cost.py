"""What a fit is going to cost, for who plans a run: steps at most, and seconds of each. Decides nothing.

Seconds of a step are those of the run's own last fit with these parameters (.emoforge/timings/<run>/steps.json, no part
of any out). Before one they are what was measured elsewhere: for vectors generators/presets/measured.csv, for networks
of convolutions `REFERENCES`, scaled to the run's arrays, batch and width.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from pydantic import JsonValue

from corpora.errors import EmoforgeError
from features.representation import Spec, make_representation
from flows.engine.progress import duration
from flows.params import Numerics, RunParams
from flows.paths import Layout
from flows.stages.fit.took import TIMINGS, last_fit, step_of
from generators.generator import generator_class
from generators.measured import measurements

# Processor seconds of a step at the defaults, one thread, and the cells of an array: `python -m benchmarks.bench_fit
# costs`; noise in the shapes of RAVDESS as `world` and of FER2013.
REFERENCES: Mapping[tuple[str, str], tuple[float, int]] = {
    ("cvae", "rows"): (0.28, 32 * 320),
    ("cvae", "image"): (1.2, 48 * 48),
    ("diffusion", "rows"): (0.82, 32 * 320),
    ("diffusion", "image"): (0.39, 48 * 48),
    ("cgan", "rows"): (0.60, 32 * 320),
    ("cgan", "image"): (2.5, 48 * 48),
}
LIKE = {"vae_edit": "cvae", "diffusion_edit": "diffusion"}  # the same networks, trained alike
# Powers of the ratios to the defaults, between those measured of cvae (1.5 and 0.84) and of diffusion (1.0 and 0.92).
WIDTH_POWER, BATCH_POWER = 1.2, 0.9


def cost_of(name: str, run: RunParams, numerics: Numerics, layout: Layout) -> str:
    """ "about 9 min at most: 2,000 steps of 0.28 s, as in its last fit"; "" of a run without a fit in steps."""
    if run.generator is None or not generator_class(run.generator.name).trains:
        return ""
    steps = run.generator.steps
    own = last_fit(layout.timing_file(TIMINGS, name))
    if own is not None and own.steps and _alike(own.of, step_of(run.generator, run.representation, numerics)):
        return _line(steps, own.seconds / own.steps, "as in its last fit")
    if numerics.device == "cpu" and (each := _measured(run)) is not None:
        return _line(steps, each, "on one core, as measured elsewhere; its first fit will tell")
    return f"the fit takes {steps:,} steps at most; what one costs its first fit will tell"


def _alike(fitted: Mapping[str, JsonValue], asked: Mapping[str, JsonValue]) -> bool:
    """Whether a step of the one costs what one of the other does. A plan settles what parameters leave open of a
    representation, so the fitted one may say more."""
    theirs, ours = fitted.get("representation"), asked["representation"]
    if isinstance(theirs, dict) and isinstance(ours, dict) and ours.items() <= theirs.items():
        theirs = ours
    return {**fitted, "representation": theirs} == asked


def _line(steps: int, each: float, known_from: str) -> str:
    return f"the fit takes about {duration(steps * each)} at most: {steps:,} steps of {each:.2g} s, {known_from}"


def _measured(run: RunParams) -> float | None:
    """Seconds of a step of such a generator over such arrays; None where nothing like it was measured."""
    assert run.generator is not None
    spec = spec_of(run)
    if spec is None:
        return None
    name = LIKE.get(run.generator.name, run.generator.name)
    if spec.layout == "vector":
        each = [row.fit_s / row.steps for row in measurements() if row.what == run.generator.name and row.steps]
        return median(each) if each else None
    known = REFERENCES.get((name, spec.layout))
    if known is None:
        return None
    seconds, cells = known
    fields = generator_class(run.generator.name).Params.model_fields
    for field, power in (("width", WIDTH_POWER), ("batch_size", BATCH_POWER)):
        usual = fields[field].default
        seconds *= (float(run.generator.params.get(field, usual)) / usual) ** power
    c, h, w = spec.grid
    return seconds * c * h * w / cells


def spec_of(run: RunParams) -> Spec | None:
    """Of what a run's generator models; None where there is nothing, or the corpora have to be asked first."""
    if run.representation is None:
        return None
    try:
        return make_representation(run.representation.name, run.representation.params).spec
    except EmoforgeError:
        return None

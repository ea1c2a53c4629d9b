"""What a new run of a corpus starts from, by what was measured to help; and what its classes are large enough for.

The choices are those of docs/evidence.md and docs/experiments: editing real samples of the other classes, one light
sample of every source, helped most where a class has few samples. Nothing here decides: a run says what it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpora.schema import FROM, CorpusCard, Sample
from flows.conduct.sizes import says_size
from flows.params import RunParams
from flows.stages.augment.forecast import ClassForecast, RunForecast
from flows.stages.fit.cost import spec_of
from flows.stages.fit.stopping import says_when
from generators.effects.estimate import LEAST, EffectParams
from generators.generator import generator_class, source_class

MOST_HZ = 64.0  # what pulse, skin and breath need; faster signals of the same sample are brought down to it
WINDOW_S = 8.0
WEIGHTED: Mapping[str, object] = {"policy": "majority", "by": "weight"}
# one class that cannot be brought about is no reason to withhold the others from somebody who has just begun
ROUNDS: Mapping[str, object] = {"not_honoured": "withhold"}


@dataclass(frozen=True, slots=True)
class Proposal:
    """run: what a run of the modality says beside its corpora; because: why, for people."""

    run: Mapping[str, Mapping[str, object]]
    because: str


PROPOSALS: Mapping[str, Proposal] = {
    "speech": Proposal(
        {
            "representation": {"name": "differential"},
            "generator": {"name": "transfer", "params": {"scale": "scores"}},
            "target": WEIGHTED,
            "rounds": ROUNDS,
        },
        "recordings of the other classes are filtered, re-pitched and re-timed towards the class that lacks samples",
    ),
    "face": Proposal(
        {
            "representation": {"name": "oriented_energy"},
            "generator": {"name": "transfer", "params": {"strength": 2.0}},
            "target": WEIGHTED,
            "rounds": ROUNDS,
        },
        "edges of pictures of the other classes are raised and lowered towards the class that lacks samples",
    ),
    "text": Proposal(
        {
            "representation": {"name": "sentence"},
            "generator": {"name": "transfer"},
            "target": WEIGHTED,
            "rounds": ROUNDS,
        },
        "lines stay as they are, and feature vectors of the other classes are moved towards the class that lacks lines",
    ),
    "physio": Proposal(
        {
            "representation": {"name": "band_power"},
            "generator": {"name": "transfer"},
            "target": WEIGHTED,
            "rounds": ROUNDS,
        },
        "power and level of signals of the other classes are moved towards the class that lacks windows",
    ),
}

VECTORS = Proposal(
    {
        "representation": {"name": "features"},
        "generator": {"name": "transfer", "params": {"scale": "scores"}},
        "target": WEIGHTED,
        "rounds": ROUNDS,
    },
    "rows of features of the other classes are moved towards the class that lacks rows",
)


def with_steps(proposal: Proposal, first: Sample) -> Proposal:
    """With what preparation has to do with signals like those of a corpus' first sample: gates see all signals of a
    sample in one array, so those of several rates get one, and long ones are cut."""
    rates: dict[float, float] = {}  # Hz -> seconds
    for one in first.signals:
        rate, shape = one["rate_hz"], one["shape"]
        if isinstance(rate, int | float) and isinstance(shape, Sequence):
            rates[float(rate)] = shape[0] / rate
    if first.modality != "physio" or len(rates) < 2:
        return proposal
    all_hz = min(max(rates), MOST_HZ)
    steps: dict[str, object] = {"resample": {"all_hz": all_hz}}
    said = f"signals of {', '.join(f'{hz:g}' for hz in sorted(rates))} Hz are brought to {all_hz:g} Hz"
    if max(rates.values()) >= 2 * WINDOW_S:
        steps, said = {"windows": {"length_s": WINDOW_S}, **steps}, f"{said}, in windows of {WINDOW_S:g} s"
    return Proposal({"prepare": {"physio": steps}, **proposal.run}, f"{proposal.because}; {said}")


def proposal_of(card: CorpusCard) -> Proposal | None:
    """None where nothing is known to help: the run then releases real samples alone."""
    return VECTORS if card.is_vector else PROPOSALS.get(card.modality)


def advised(run: RunParams, forecast: RunForecast, cost: str = "") -> list[str]:
    """What to know of each class that lacks samples, the smallest first; then when the fit ends, what it costs (`cost`,
    of flows/stages/fit/cost.py), and what a smaller network would save."""
    lines = [(c.real, c.emotion, advice(run, c)) for c in forecast.classes]
    end = "" if run.generator is None else says_when(run.generator)
    size = says_size(run, spec_of(run), sum(c.real for c in forecast.classes))
    of_fit = (line for line in (end, cost, size) if line)
    return [*(f"{emotion}: {line}" for _, emotion, line in sorted(lines) if line), *of_fit]


def advice(run: RunParams, c: ClassForecast) -> str:
    """What a class of a run that lacks samples is large enough for; "" where there is nothing to say. Of conversions
    the size of the class decides how its effect is known."""
    if run.generator is None or c.missing <= 0:
        return ""
    people = "" if c.people is None else f" of {c.people} {'person' if c.people == 1 else 'people'}"
    has = f"{c.real} real {'sample' if c.real == 1 else 'samples'}{people}"
    if FROM not in generator_class(run.generator.name).takes:
        return f"{has}: compare with `transfer` and target.by: weight, which needs no training (docs/evidence.md)"
    if source_class(generator_class(run.generator.name), run.generator.params) == "same":
        return f"{has}: each is varied; nothing comes that no sample of the class has"
    if c.real < LEAST:
        return f"{has}: nothing is converted to it; {LEAST} are needed"
    if c.real < EffectParams(**_own(run.generator.params)).enough:
        return f"{has}: what the class does is estimated with the help of the other classes"
    return f"{has}: what the class does is estimated from its own samples"


def _own(params: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in params.items() if name in EffectParams.model_fields}

"""`emoforge generators --for RUN`: which generators suit a run, by what was measured on classes of a like size."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pydantic import JsonValue

from corpora.errors import UserError
from corpora.readers import make_corpus
from features.representation import make_representation
from flows.conduct.proposals import proposal_of
from flows.machine import Machine
from flows.params import Params, RunParams
from flows.paths import Layout
from flows.stages.augment.forecast import forecast_run
from flows.stages.plan.representation import settled_run
from generators.measured import Need, Rank, ranked


@dataclass(frozen=True, slots=True)
class Advice:
    """need: what the run lacks. representation: what is modelled (of a run without a generator: what `link` would
    propose). rarest: the class with the fewest samples. now: the run's own generator or preset, "" for none."""

    run: str
    need: Need
    representation: str
    rarest: str
    now: str
    ranks: tuple[Rank, ...]

    def as_dict(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        return asdict(self)


def advise(name: str, params: Params, machine: Machine, layout: Layout) -> Advice:
    """Raises `UserError` where the classes of the run are not counted yet, and for a run whose modality has no
    generator."""
    run, modality = _with_generator(name, params.run(name), params, layout)
    assert run.generator is not None and run.representation is not None  # _with_generator
    forecast = forecast_run(name, run, params.numerics, machine, layout)
    if forecast is None or not forecast.classes:
        reason = "" if forecast is None else forecast.reason
        raise UserError(f"run {name!r}: what generators suit it depends on its classes; {reason}")
    known = [c for c in forecast.classes if c.real > 0]
    rarest = min(known, key=lambda c: c.real)
    settled = settled_run(name, run, modality, layout).representation  # what the corpora say of it
    assert settled is not None
    spec = make_representation(settled.name, settled.params).spec
    need = Need(modality, spec.layout, rarest.real, sum(c.missing for c in forecast.classes))
    own = params.run(name).generator
    now = "" if own is None else own.preset or own.name
    return Advice(name, need, run.representation.name, rarest.emotion, now, tuple(ranked(need)))


def _with_generator(name: str, run: RunParams, params: Params, layout: Layout) -> tuple[RunParams, str]:
    """The run as `link` would propose it, where it has no generator; and its modality."""
    corpus = params.corpora[run.corpora[0]]
    card = make_corpus(corpus.reader, corpus.options, base=layout.repo).card
    if run.generator is not None:
        return run, card.modality
    proposal = proposal_of(card)
    if proposal is None:
        raise UserError(f"run {name!r} is of {card.modality}, for which no generator is known")
    return RunParams.model_validate({**run.model_dump(), **proposal.run}), card.modality

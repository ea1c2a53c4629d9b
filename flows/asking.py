"""What a run asks its generator for beside the class: `runs.<name>.ask` of params.yaml, and what is refused of it.

```yaml
ask:
  intensity: 0.7                    # every draw
  arousal: [0.2, 0.6, 1.0]          # draws take these in turn
  classes:
    fear: {arousal: 0.6}            # in place of the above, for one class
  mixtures:
    - {of: {fear: 0.5, sadness: 0.5}, number: 20}   # soft labels, as further cells
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from corpora.errors import ParamsError, UnknownNameError
from corpora.params import StrictParams
from flows.generating import GeneratorParams
from flows.given import require_vectors
from generators.draws.asked import Asked, Mixture, Values
from generators.generator import RATED


def _one_or_several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _several_vectors(value: Any) -> Any:
    """One text or one vector is a list of one."""
    if isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value)):
        return (value,)
    return value


Level = Annotated[float, Field(ge=0, le=1)]
Rating = Annotated[float, Field(ge=-1, le=1)]
Levels = Annotated[tuple[Level, ...], BeforeValidator(_one_or_several), Field(min_length=1)]
Ratings = Annotated[tuple[Rating, ...], BeforeValidator(_one_or_several), Field(min_length=1)]
Vector = Annotated[tuple[float, ...], Field(min_length=1)]
Named = Annotated[tuple[str | Vector, ...], BeforeValidator(_several_vectors), Field(min_length=1)]
Subjects = Annotated[tuple[str, ...], BeforeValidator(_one_or_several), Field(min_length=1)]
_ASKED = (*RATED, "subject")


class AskedOf(StrictParams):
    """One value, or several that draws take in turn. What is not given is not asked for."""

    intensity: Levels | None = Field(None, description="From 0 to 1 = full. Not asked for: full.")
    valence: Ratings | None = Field(None, description="From -1, unpleasant, to 1.")
    arousal: Ratings | None = Field(None, description="From -1, calm, to 1.")
    dominance: Ratings | None = Field(None, description="From -1, submissive, to 1.")
    subject: Subjects | None = Field(
        None,
        description="Subjects of train by their ids, such as `ravdess:01`; `new:NAME` is nobody of them, and the same "
        "person for ever (docs/conditions.md).",
    )

    given: dict[str, Named] = Field(
        default_factory=dict,
        description="Named vectors of `generator.given`: name: a list of vectors, or of texts where texts are "
        "embedded. Not asked for: those of train samples of the class.",
    )

    def values(self) -> Values:
        """Name -> values, of what is given."""
        rated = {name: values for name in _ASKED if (values := getattr(self, name)) is not None}
        return {**rated, **self.given}

    @model_serializer(mode="wrap")
    def _without_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Most runs name no vector."""
        return {k: v for k, v in dump(self).items() if k != "given" or v}


class AskedMixture(AskedOf):
    """A soft label as a cell of its own. Its samples have no class: `emotion` is null, `labels` holds the weights."""

    of: dict[str, Annotated[float, Field(gt=0)]] = Field(
        description="Class: weight, of two classes or more; shares are taken of the sum."
    )
    number: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(description="Samples of it to release.")

    @field_validator("of")
    @classmethod
    def _mixed(cls, of: dict[str, float]) -> dict[str, float]:
        if len(of) < 2:
            raise ValueError("a mixture has two classes or more")
        return of


class Ask(AskedOf):
    """What draws are asked for beside their class; the generator must honour it (docs/conditions.md)."""

    classes: dict[str, AskedOf] = Field(
        default_factory=dict, description="Class: what is asked for of it, in place of what stands above."
    )
    mixtures: tuple[AskedMixture, ...] = Field((), description="Soft labels, as further cells beside the classes.")

    @field_validator("mixtures")
    @classmethod
    def _no_repeats(cls, mixtures: tuple[AskedMixture, ...]) -> tuple[AskedMixture, ...]:
        shares = [Mixture(m.of, m.number).shares for m in mixtures]
        if len(set(shares)) < len(shares):
            raise ValueError("two mixtures are the same; give one and the sum of their numbers")
        return mixtures

    def asked(self) -> Asked:
        """As sequences of draws carry it."""
        return Asked(
            self.values(),
            {name: asked.values() for name, asked in self.classes.items()},
            tuple(Mixture(m.of, m.number, m.values()) for m in self.mixtures),
        )


def require_honoured(where: str, asked: Asked, generator: Any, params: GeneratorParams, *, by_subject: bool) -> None:
    """Raises `ParamsError` where the run (`where`: its key in params.yaml) asks for what a generator (its class) with
    these parameters does not honour, or for subjects twice (`by_subject`: its cells are subjects)."""
    honoured = generator.can_honour(params.params) | frozenset(params.given)
    require_vectors(f"{where}.ask", asked, params.given)
    for name in sorted(asked.names):
        if name not in honoured and name not in _ASKED:
            raise ParamsError(
                f"{where}.ask.given.{name}: the run names no such vector; say under generator.given.{name} where train "
                "has it, or leave it out"
            )
        if name not in honoured:
            can = "honours" in generator.Params.model_fields
            add = f", or add {name} to generator.params.honours" if can else ", or choose a generator that is trained"
            known = ", ".join(["the class", *sorted(honoured)])
            raise ParamsError(
                f"{where}.ask.{name}: generator {generator.name} honours {known} as it is set up; leave {name} out{add}"
            )
    if by_subject and "subject" in asked.names:
        raise ParamsError(
            f"{where}.ask.subject: target.cells is 'subject', so every draw has its subject already; drop one of them"
        )


def require_asked(where: str, gate: str, wanted: Sequence[str], asked: Asked) -> None:
    """Raises `ParamsError` where a gate judges what draws were asked for (`wanted`: one of these is enough) and the run
    asks for none of it: the gate would reject one and all."""
    if not asked.names & set(wanted):
        raise ParamsError(
            f"{where}.gates.{gate}: it judges candidates that were asked for {' or '.join(wanted)}, and this run asks "
            f"for none of them. Give {where}.ask a value for one, or leave the gate out"
        )


def problems_of_ask(asked: Asked, classes: Sequence[str], gates: Mapping[str, Sequence[str]]) -> list[str]:
    """What is wrong with it once the classes of the run are known: classes that are none, and cells of which a gate
    would reject everything. gates: name -> what it judges, one of which every draw must be asked for."""
    problems = [f"ask: {UnknownNameError.of('class', c, classes)}" for c in asked.classes if c not in classes]
    for gate, wanted in gates.items():
        bare = [c for c in classes if not {*asked.everywhere, *asked.by_class.get(c, {})} & set(wanted)]
        bare += [" + ".join(m.weights) for m in asked.mixtures if not {*asked.everywhere, *m.given} & set(wanted)]
        if bare:
            problems.append(
                f"gate {gate} judges candidates that were asked for {' or '.join(wanted)}, and {', '.join(bare)} are "
                "asked for none of them: ask for one there too, or leave the gate out"
            )
    return problems

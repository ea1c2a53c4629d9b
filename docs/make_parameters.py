"""Writes docs/parameters.md from the models that check params.yaml, so that the page cannot say anything else.

    python docs/make_parameters.py

tests/test_docs.py fails while the page differs from what this prints.
"""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from corpora.store.atomic import write_text
from features.representation import REPRESENTATIONS, make_representation
from flows.params import DEFAULT_GATES, Machine, Params
from generators.classical.method import PAYLOAD_METHODS, VECTOR_METHODS
from generators.generator import GENERATORS, generator_class
from validators.gate import SAMPLE_GATES, SET_GATES, Limit, default_limit, gate_class
from validators.trials.classifiers.registry import CLASSIFIERS

PAGE = Path(__file__).parent / "parameters.md"
HEAD = """\
<!-- Written by docs/make_parameters.py; edit the models, not this page. -->
# Parameters

`params.yaml` holds what changes the bytes of a release; `machine.yaml` (untracked, may be absent) holds what does not.
An unknown or misspelt key is an error that names the nearest valid one. `emoforge check` says what a change would do;
a stage runs again exactly when a parameter that it uses changed.
"""
HEADER = "| key | default | allowed | what it is |\n|---|---|---|---|"


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD, "## params.yaml", *sections(Params, "")]
    parts.append("## Representations\n\nKeys beside `name` under `runs.<name>.representation`.")
    parts += [part for name in REPRESENTATIONS for part in representation(name)]
    parts.append("## Generators\n\nKeys under `runs.<name>.generator.params`.")
    parts += [part for name in GENERATORS for part in generator(name)]
    parts.append(
        "## Gates\n\nKeys under `runs.<name>.gates.<gate>.params`, and the limit that holds where none is given. "
        f"Every run has {', '.join(f'`{g}`' for g in DEFAULT_GATES)} unless it sets `enabled: false`; "
        "a gate that does not know the run's modality, or rows of features where these are generated, is left out. "
        "What each one measures: [gates.md](gates.md)."
    )
    parts += [part for name in (*SAMPLE_GATES, *SET_GATES) for part in gate(name)]
    parts.append("## Methods of arms\n\nKeys under `studies.<name>.arms.<arm>.params` ([studies](studies.md)).")
    parts += [part for name, place in VECTOR_METHODS.items() for part in method(f"`{name}` on features", place)]
    parts += [
        part
        for modality, own in PAYLOAD_METHODS.items()
        for name, place in own.items()
        for part in method(f"`{name}` on {modality}", place)
    ]
    parts.append("## Classifiers of studies\n\nKeys under `studies.<name>.classifiers.<classifier>`.")
    parts += [part for name, place in CLASSIFIERS.items() for part in method(f"classifier `{name}`", place)]
    parts += ["## machine.yaml", *sections(Machine, "")]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def sections(model: type[BaseModel], path: str) -> Iterator[str]:
    """A table of the model's own keys, then a section for each model inside it."""
    inner: list[tuple[type[BaseModel], str]] = []
    rows = []
    for name, field in model.model_fields.items():
        key = f"{path}.{name}" if path else name
        below, many = _model_in(field.annotation)
        if below is not None:
            inner.append((below, f"{key}.<name>" if many else key))
            if path:  # of a whole file, its parts are the headings that follow
                rows.append(f"| `{name}` | {_default(field)} | see `{inner[-1][1]}` | {_cell(field.description)} |")
        else:
            rows.append(f"| `{name}` | {_default(field)} | {_allowed(field)} | {_cell(field.description)} |")
    if path:
        yield f"### `{path}`\n\n{inspect.getdoc(model) or ''}"
    if rows:
        yield "\n".join([HEADER, *rows])
    for below, key in inner:
        yield from sections(below, key)


def representation(name: str) -> Iterator[str]:
    """Keyword parameters of the representation's constructor; it checks their ranges itself."""
    made = type(make_representation(name, {}))
    yield f"### representation `{name}`\n\n{inspect.getdoc(made) or ''}"
    rows = []
    for parameter in inspect.signature(made).parameters.values():
        annotation = parameter.annotation
        kind = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
        rows.append(f"| `{parameter.name}` | {_value(parameter.default)} | {_cell(kind)} |")
    yield "\n".join(["| key | default | type |\n|---|---|---|", *rows])


def generator(name: str) -> Iterator[str]:
    """The pydantic model `Params` of a generator."""
    made = generator_class(name)
    yield f"### generator `{name}`\n\n{_first(inspect.getmodule(made))}"
    yield "\n".join([HEADER, *_rows(made.Params)])


def method(title: str, place: str) -> Iterator[str]:
    """What a method or a classifier says of itself, and the model of its parameters."""
    module, _, attribute = place.partition(":")
    made = getattr(importlib.import_module(module), attribute)
    yield f"### {title}\n\n{_first(made)}"
    if made.Params.model_fields:
        yield "\n".join([HEADER, *_rows(made.Params)])


def gate(name: str) -> Iterator[str]:
    """What a gate says of itself: modalities, layouts, unit, default limit, and the model of its parameters."""
    made = gate_class(name)
    rows = ", rows of features too" if "vector" in made.layouts else ""
    side = "at most" if made.better == "lower" else "at least"
    yield (
        f"### gate `{name}`\n\n{_first(made)}\n\n"
        f"{'Set gate' if name in SET_GATES else 'Sample gate'} for {' and '.join(made.modalities)}{rows}; "
        f"unit: {made.unit}; "
        f"passes {side} the limit. Default limit: {_limit(default_limit(made))}."
    )
    if made.Params.model_fields:
        yield "\n".join([HEADER, *_rows(made.Params)])


def _rows(model: type[BaseModel]) -> list[str]:
    """A row for each field of a flat model."""
    return [
        f"| `{key}` | {_default(field)} | {_allowed(field)} | {_cell(field.description)} |"
        for key, field in model.model_fields.items()
    ]


def _first(thing: Any) -> str:
    """First paragraph of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n\n")[0]


def _limit(limit: Limit) -> str:
    if limit.absolute is not None:
        return f"`{{absolute: {limit.absolute:g}}}`"
    if limit.quantile is not None:
        times = f", times: {limit.times:g}" if limit.times != 1 else ""
        return f"`{{quantile: {limit.quantile:g}{times}}}` of real held-out scores of the class"
    margin = f", margin: {limit.margin:g}" if limit.margin else ""
    return f"`{{floor: {limit.floor:g}{margin}}}`, in multiples of what real data gets against real data"


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model inside Optional, Annotated or dict annotations, and whether there is one for each name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is dict:
        return _model_in(arguments[1])[0], True
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        return next((found for a in arguments if (found := _model_in(a))[0] is not None), (None, False))
    return None, False


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        made = field.default_factory()  # type: ignore[call-arg]
        # a number that is made on the spot depends on where it is made, and this page must not
        return "" if isinstance(made, BaseModel | dict | list) else "depends on the machine"
    return "**required**" if field.default is PydanticUndefined else _value(field.default)


def _value(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "**required**"
    if value is None:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(field: FieldInfo) -> str:
    options = _literals(field.annotation)
    if options:
        return ", ".join(f"`{o}`" for o in options)
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [*_metadata(field.annotation), *field.metadata]
    found = [f"{sign} {getattr(b, k):g}" for k, sign in signs.items() for b in bounds if hasattr(b, k)]
    return _cell(", ".join([_type(field.annotation), *dict.fromkeys(found)]))


def _metadata(annotation: Any) -> list[Any]:
    """Bounds of Annotated types, in Optional and unions too."""
    if typing.get_origin(annotation) is typing.Annotated:
        first, *rest = typing.get_args(annotation)
        parts = [p for item in rest for p in (getattr(item, "metadata", None) or [item])]
        return [*parts, *_metadata(first)]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [found for a in typing.get_args(annotation) for found in _metadata(a)]
    return []


def _literals(annotation: Any) -> list[Any]:
    return list(typing.get_args(annotation)) if typing.get_origin(annotation) is Literal else []


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(a) for a in arguments)
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}" if arguments else "list"
    if origin is dict:
        return "mapping"
    return {int: "integer", float: "number", str: "text", bool: "true or false", type(None): "none"}.get(
        annotation, str(getattr(annotation, "__name__", annotation))
    )


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    write_text(PAGE, page())

"""Strict models of parameters, and the one way in which their errors read.

Whatever takes parameters (a run, a generator, a gate) declares a pydantic model. An unknown key is an error that names
the nearest valid one, a wrong value one that says what is allowed.
"""

from __future__ import annotations

import reprlib
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from corpora.errors import ParamsError, did_you_mean


class StrictParams(BaseModel):
    """Frozen, without unknown keys, NaN and infinities. Descriptions and ranges of fields feed docs/parameters.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], given: Mapping[str, Any] | BaseModel, owner: str) -> M:
    """`given` as the model, as it is where it is one already. Raises `ParamsError` that begins with `owner` and names
    each wrong key with its value and what is allowed."""
    if isinstance(given, model):
        return given
    try:
        return model.model_validate(given if isinstance(given, BaseModel) else dict(given))
    except ValidationError as error:
        raise ParamsError(f"{owner}: " + "; ".join(problems(model, error))) from None


def problems(model: type[BaseModel], error: ValidationError) -> list[str]:
    """One line for each wrong key."""
    return [_problem(model, item) for item in error.errors(include_url=False)]


def _problem(model: type[BaseModel], item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        valid = sorted(_fields_at(model, item["loc"][:-1]))
        hint = did_you_mean(str(item["loc"][-1]), valid)
        return f"unknown parameter {where!r}.{hint} Valid here: {', '.join(valid) or 'none'}"
    if item["type"] == "missing":
        return f"parameter {where!r} is missing"
    message = item["msg"].removeprefix("Value error, ")
    if not where:  # of several keys together
        return str(message)
    return f"parameter {where!r} is {reprlib.repr(item['input'])}: {message}"


def _fields_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Names of the fields of the model that `location` leads to; dict levels pass through."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            current = field.annotation if field else None
        else:
            args = [a for a in typing.get_args(current) if a is not type(None)]
            current = args[-1] if args else None
        while typing.get_origin(current) is not None and typing.get_origin(current) is not dict:
            args = [a for a in typing.get_args(current) if a is not type(None)]
            current = args[0] if args else None
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []

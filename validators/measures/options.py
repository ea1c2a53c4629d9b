"""Options of measures: texts or values -> what the measure's signature asks for, or an error that says what is allowed.

The type stands in the signature: `Literal[...]` is a choice (case does not matter), bool, int and float are what they
say, within `LIMITS`. A name that no option has names the nearest one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from corpora.errors import UnknownNameError, UserError
from corpora.labels import clean_label, folded

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
# Lowest and highest value that means something, ends included; what is not here may be any finite number.
LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),  # what every generator of random numbers takes
    "k": (1, 10**6),
    "folds": (2, 100),
    "directions": (1, 10**5),
    "p": (1, 100),
    "cap": (2, 10**6),
    "n": (1, 100),
    "order": (1, 20),
    "bins": (1, 10**6),
    "clusters": (0, 10**6),
    "channel": (0, 10**6),
    "ddof": (0, 1),
    "sigma": (1e-12, 1e12),
    "rate_hz": (0, 1e9),  # 0: not given
    "longest_s": (1e-9, 1e9),
    "low_hz": (0, 1e9),
    "high_hz": (0, 1e9),
}


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Option -> default of a measure: all parameters behind the two inputs."""
    return {p.name: p.default for p in list(inspect.signature(function).parameters.values())[2:]}


def choices_of(function: Callable[..., Any]) -> dict[str, tuple[str, ...]]:
    """Option -> the values that it may have, for those that are a choice."""
    hints = get_type_hints(function)
    return {key: get_args(hints[key]) for key in defaults_of(function) if get_origin(hints[key]) is Literal}


def resolved(metric: str, function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as given (texts of a command line, or values) -> {option: value of its type}.

    Raises `UnknownNameError` for a name or choice that is none, `UserError` for a value of another type or size and for
    one option given twice.
    """
    defaults, choices = defaults_of(function), choices_of(function)
    values: dict[str, Any] = {}
    for name, value in given.items():
        key = option_name(metric, name, defaults)
        if key in values:
            raise UserError(f"option {key} of {metric} is given twice")
        if key in choices:
            values[key] = chosen(f"value of {metric}'s option {key}", value, choices[key])
        else:
            values[key] = _typed(key, value, defaults[key])
    return values


def option_name(metric: str, name: str, valid: Iterable[str], also: Iterable[str] = ()) -> str:
    """The option that `name` is a spelling of: `Rate-Hz` is `rate_hz`. `also`: further names for the message. Raises
    `UnknownNameError`."""
    plain = name.strip().lstrip("-").replace("-", "_").lower()
    names = list(valid)
    if plain not in names:
        raise UnknownNameError.of(f"option of {metric}", plain, [*names, *also])
    return plain


def chosen(what: str, value: Any, allowed: Iterable[str]) -> str:
    """The one of `allowed` that `value` is a spelling of, case aside. Raises `UnknownNameError`."""
    names = list(allowed)
    plain = clean_label(str(value))
    if plain in names:
        return plain
    fitting = [name for name in names if folded(name) == folded(plain)]
    if len(fitting) != 1:
        raise UnknownNameError.of(what, plain, names)
    return fitting[0]


def names_in(value: Any) -> list[str]:
    """ "alpha, beta" or a sequence of texts -> the names; empty parts are none."""
    parts = value.split(",") if isinstance(value, str) else [str(part) for part in value]
    return [name for part in parts if (name := clean_label(part))]


def _typed(key: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        return _truth(key, value)
    if isinstance(default, int | float):
        return _number(key, value, whole=isinstance(default, int))
    if isinstance(default, str):
        if isinstance(value, str | Path):
            return str(value).strip()
        if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
            return list(value)
        raise UserError(f"option {key} is {value!r:.60}; a text is needed")
    return value  # a holdout: rows, which the measure checks


def _truth(key: str, value: Any) -> bool:
    plain = str(value).strip().lower()
    if plain in _TRUE or plain in _FALSE:
        return plain in _TRUE
    raise UserError(f"option {key} is {value!r:.60}; true or false is needed")


def _number(key: str, value: Any, *, whole: bool) -> int | float:
    kind = "a number is needed" + (", without a fraction" if whole else "")
    low, high = LIMITS.get(key, (-math.inf, math.inf))
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or (whole and not number.is_integer()):
        raise UserError(f"option {key} is {str(value)[:60]!r}; {kind}")
    if not low <= number <= high:
        raise UserError(f"option {key} is {number:g}; a number from {low:g} to {high:g} is needed")
    return int(number) if whole else number

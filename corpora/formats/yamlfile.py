"""YAML that a person wrote: read with limits; every fault is reported with its key."""

from __future__ import annotations

import copy
import math
import reprlib
from datetime import date
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from corpora.errors import UserError

MAX_BYTES = 1 << 20
MAX_VALUES = 200_000  # counted as often as they are referred to: nine lines of references can stand for a billion
MAX_DEPTH = 40
MAX_BRACKETS = 400
LARGEST = 2**63 - 1  # what int64 columns, JSON of other languages and seeds of libraries hold


class _Number:
    """An integer of more digits than Python converts."""

    def __init__(self, text: str) -> None:
        self.digits = sum(c.isalnum() for c in text)


def read_yaml(path: Path, kind: type[UserError], *, shown: str | None = None, max_bytes: int = MAX_BYTES) -> dict:
    """`parse_yaml` of a file. Raises `kind` where it cannot be read too (a folder, no right to), FileNotFoundError."""
    shown = shown or str(path)
    try:
        if path.stat().st_size > max_bytes:
            raise kind(f"{shown}: more than {max_bytes} bytes; it has a page or two")
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise kind(f"{shown} cannot be read ({error.strerror}); a file of UTF-8 text is wanted") from None
    return parse_yaml(content, kind, shown=shown)


def parse_yaml(content: bytes, kind: type[UserError], *, shown: str) -> dict:
    """The mapping at the top; {} for no text. Raises `kind` naming `shown`, the key, the value and what is allowed: for
    other encodings and broken YAML, another type at the top, integers beyond 64 bits, numbers that are not finite,
    values that are no text, number, yes or no, date, list or mapping, and for nesting or references beyond reason."""
    from ruamel.yaml.error import YAMLError

    try:
        raw = copy.deepcopy(_loaded(content))
    except UnicodeDecodeError as error:
        raise kind(f"{shown}: not UTF-8 ({error.reason} at byte {error.start})") from None
    except YAMLError as error:
        raise kind(f"{shown}: not valid YAML: {error}") from None
    except RecursionError:
        raise kind(f"{shown}: nested too deep; {MAX_DEPTH} levels are allowed") from None
    except (ValueError, TypeError, AttributeError) as error:  # a date of month 13, a tag that fits no value
        raise kind(f"{shown}: not valid YAML: {error}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise kind(f"{shown}: expected a mapping at the top, found {type(raw).__name__}")
    if fault := _fault(raw):
        raise kind(f"{shown}: {fault}")
    return raw


@lru_cache(maxsize=4)
def _loaded(content: bytes) -> Any:
    """What the parser makes of it; a command reads the same file several times, and parsing is in Python."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor

    class Constructor(SafeConstructor):
        def construct_yaml_int(self, node: Any) -> Any:
            try:
                return super().construct_yaml_int(node)
            except ValueError:
                return _Number(str(node.value))

    Constructor.add_constructor("tag:yaml.org,2002:int", Constructor.construct_yaml_int)
    loader = YAML(typ="safe", pure=True)
    loader.Constructor = Constructor
    text = content.decode("utf-8")
    if _brackets(text) > MAX_BRACKETS:  # the parser would take minutes to say so
        raise RecursionError
    return loader.load(text)


def _brackets(text: str) -> int:
    """How many more brackets are open than closed, at most; those in texts and comments counted as well."""
    steps = (1 if c in "[{" else -1 for c in text if c in "[]{}")
    return max(accumulate(steps), default=0)


def _fault(raw: dict) -> str | None:
    """The first value that cannot be, with its key; None: all can."""
    waiting: list[tuple[str, Any, int]] = [("", raw, 0)]
    n = 0
    while waiting:
        where, value, depth = waiting.pop()
        n += 1
        if depth > MAX_DEPTH:
            return f"{where[:80]} is nested too deep; {MAX_DEPTH} levels are allowed"
        if n > MAX_VALUES:
            return f"more than {MAX_VALUES} values, references counted each time; a page or two is wanted"
        if isinstance(value, dict):
            for key, item in value.items():
                if isinstance(key, str) and (fault := _scalar(key)):
                    return f"the key {reprlib.repr(key)} {fault}"
                waiting.append((f"{where}.{key}" if where else f"{key}", item, depth + 1))
        elif isinstance(value, list):
            waiting += [(f"{where}.{i}", item, depth + 1) for i, item in enumerate(value)]
        elif fault := _scalar(value):
            return f"parameter {where!r} {fault}"
    return None


def _scalar(value: Any) -> str | None:
    if isinstance(value, _Number):
        return f"is an integer of {value.digits} digits; at most {LARGEST} is allowed"
    if isinstance(value, bool) or value is None or isinstance(value, date):
        return None
    if isinstance(value, int):
        return None if abs(value) <= LARGEST else f"is {reprlib.repr(value)}; at most {LARGEST} is allowed"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}; a finite number is wanted"
    if isinstance(value, str):
        if any(0xD800 <= ord(c) < 0xE000 for c in value):
            return "holds half a character (a surrogate); write the character itself"
        return None
    return f"is a {type(value).__name__}; text, a number, true or false, a list or a mapping is wanted"

"""What is wrong with a card, in words: the key, its value, what is allowed, and the nearest name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from corpora.errors import CorpusError, did_you_mean

M = TypeVar("M", bound=BaseModel)


def known_name(where: str, name: str, valid: Iterable[str]) -> None:
    """Raises `CorpusError` for a name that is none of `valid`."""
    known = sorted(valid)
    if name not in known:
        hint = did_you_mean(name, known)
        raise CorpusError(f"{where}: unknown name {name!r}.{hint} Known: {', '.join(known) or 'none'}")


def validated(model: type[M], raw: Mapping[str, Any], shown: str, where: str) -> M:
    """The model of a mapping. Raises `CorpusError`; `where` stands before the names of keys: "files."."""
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        lines = [_explain(model, item, where) for item in error.errors(include_url=False)]
        raise CorpusError(f"{shown}: " + "; ".join(dict.fromkeys(lines))) from None


def _explain(model: type[BaseModel], item: Any, where: str) -> str:
    name = where + ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
        valid = sorted(model.model_fields)
        hint = did_you_mean(str(item["loc"][0]), valid)
        return f"unknown key {name!r}.{hint} Valid here: {', '.join(valid)}"
    if item["type"] == "extra_forbidden":
        return f"unknown key {name!r}"
    if item["type"] == "missing":
        return f"{name!r} is missing"
    if not item["loc"]:
        return f"{where.rstrip('.') or 'the card'}: {item['msg'].removeprefix('Value error, ')}"
    return f"{name!r} is {str(item['input'])[:80]!r}: {item['msg'].removeprefix('Value error, ')}"

"""JSON files that were written by emoforge and may have been damaged or edited since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from corpora.errors import IntegrityError
from corpora.store.atomic import canonical_json

MAX_BYTES = 1 << 28


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in the file.

    Raises `IntegrityError` for anything else: no file, a folder, no UTF-8, no JSON, two values for one key, NaN,
    nesting beyond reason, another type at the top.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise IntegrityError(f"{path} has more than {MAX_BYTES} bytes: it is no file of emoforge.")
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except OSError as error:
        raise IntegrityError(f"{path} cannot be read ({error.strerror}).") from None
    except RecursionError:
        raise IntegrityError(f"{path} is no JSON of emoforge: it is nested too deep.") from None
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path} is not UTF-8 (byte {error.start}): it is damaged.") from None
    except json.JSONDecodeError as error:
        raise IntegrityError(f"{path} is no JSON (line {error.lineno}, {error.msg}): it is damaged.") from None
    except ValueError as error:
        raise IntegrityError(f"{path} is no JSON of emoforge: {error}.") from None
    if not isinstance(value, dict):
        raise IntegrityError(f"{path} holds a {type(value).__name__} where a mapping was written: it was changed.")
    return value


def as_written(path: Path, value: Any) -> bool:
    """Whether the file holds what `write_json` makes of `value`, to the byte."""
    try:
        return canonical_json(value) == path.read_bytes()
    except (ValueError, RecursionError):  # half a character, or nesting that can be read and not written
        return False


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} stands there twice")
    return mapping


def _no_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}")

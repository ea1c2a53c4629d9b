"""SPDX licence expressions -> terms. Parsed and spelled by `license-expression`, which carries SPDX's list.

A AND B     both hold: their meet
A OR B      one may choose: the first of those that let most be passed on
A WITH x    an exception to a licence of code; read as A
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from corpora.terms.table import LICENCES, Licence
from corpora.terms.terms import Terms, meet

UNKNOWN = Terms()  # of what the table does not have: nothing may be passed on


@dataclass(frozen=True, slots=True)
class Expression:
    """text: as SPDX spells it. chosen: the licences that hold, in their order, of an OR the one that was chosen.
    unknown: those among them that the table does not have."""

    text: str
    chosen: tuple[str, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Ids that the table does not have: what they allow, their own text alone says."""
        return tuple(name for name in self.chosen if name not in LICENCES)

    @property
    def licences(self) -> tuple[Licence, ...]:
        """Rows of the table."""
        return tuple(LICENCES[name] for name in self.chosen if name in LICENCES)

    @property
    def terms(self) -> Terms:
        """Of all that hold together; of an unknown one: nothing may be passed on."""
        return meet(LICENCES[name].terms if name in LICENCES else UNKNOWN for name in self.chosen)


@cache
def parsed(text: str) -> Expression:
    """A card's `license`, spelled as SPDX does. A text that is no expression ("free for research") is one licence that
    nobody knows, under the name `LicenseRef-` and its words."""
    if text in LICENCES:  # as SPDX spells it, alone: nearly every card, and SPDX's list takes its time to load
        return Expression(text, (text,))
    from license_expression import ExpressionError

    try:
        tree = _spdx().parse(text.strip())
    except ExpressionError:
        tree = None
    if tree is None:
        own = _own(text)
        return Expression(own, (own,))
    spelled = str(tree)
    names = {key: _identifier(key) for key in _keys(tree)}
    for key, name in sorted(names.items(), key=lambda pair: -len(pair[0])):
        spelled = spelled.replace(key, name) if key != name else spelled
    return Expression(spelled, tuple(dict.fromkeys(names[key] for key in _chosen(tree))))


@cache
def _spdx() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def _identifier(key: str) -> str:
    """As SPDX spells it: "CC BY 4.0" is CC-BY-4.0; what it does not know is a LicenseRef."""
    known = _spdx().known_symbols
    if key.startswith("LicenseRef-") or key in known:
        return key
    joined = "-".join(key.split()).casefold()
    return next((name for name in known if name.casefold() == joined), _own(key))


def _own(text: str) -> str:
    words = "".join(c if c.isascii() and (c.isalnum() or c == ".") else "-" for c in text.strip())
    return f"LicenseRef-{'-'.join(part for part in words.split('-') if part) or 'none'}"


def _keys(tree: Any) -> list[str]:
    return [symbol.key for symbol in tree.symbols if hasattr(symbol, "key")] + [
        symbol.license_symbol.key for symbol in tree.symbols if hasattr(symbol, "license_symbol")
    ]


def _chosen(tree: Any) -> list[str]:
    """Licences that hold together: all of an AND, of an OR the first of those that let most be passed on."""
    operator = getattr(tree, "operator", "").strip()
    if operator == "AND":
        return [key for part in tree.args for key in _chosen(part)]
    if operator == "OR":
        return max((_chosen(part) for part in tree.args), key=_width)  # the first of equals
    return [tree.license_symbol.key if hasattr(tree, "license_symbol") else tree.key]


def _width(keys: list[str]) -> tuple[int, int]:
    names = map(_identifier, keys)
    terms = meet(LICENCES[name].terms if name in LICENCES else UNKNOWN for name in names)
    return len(terms.may), -len(terms.must) - len(terms.alike)

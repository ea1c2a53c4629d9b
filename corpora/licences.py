"""What the licences of its corpora let a release do: whether it may be passed on, and why not.

A card's `license` is an SPDX expression; what it lets be done stands in the table (corpora/terms/table.py), and what
all of a release's corpora let be done is the meet of theirs. A card's `may_redistribute` comes on top: it holds back
what its licence would let go (a television series' lines under MIT; share-alike and non-commercial data, which are
never pushed unasked), and of a licence that the table does not have it is the owner's own word. It does not give what a
known licence withholds.

Three things of a release stand apart: real samples, synthetic ones, which are as restricted as what they were learned
from, and features alone. docs/licences.md
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, get_args

from corpora.terms.expression import Expression, parsed
from corpora.terms.table import LICENCES
from corpora.terms.terms import PERMISSIONS, WIDEST, Terms, meet

Kind = Literal["real", "synthetic", "features"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_OF_KIND = {"real": "passing on", "synthetic": "passing on what is made after it", "features": "passing on features"}


@dataclass(frozen=True, slots=True)
class Held:
    """The licence of one corpus of a release. passes: the card's `may_redistribute`. free: a reader's `fake()` wrote
    it."""

    corpus: str
    expression: Expression
    passes: bool
    free: bool = False

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Held:
        """An entry of `corpora` of a manifest. A card that names no licence has one that nobody knows."""
        card = entry["card"]
        named = str(card.get("license") or "LicenseRef-unknown")
        return cls(str(entry["id"]), parsed(named), bool(card.get("may_redistribute")), bool(entry.get("made_up")))

    @property
    def terms(self) -> Terms:
        """Of its licence; of one that the table does not have, what its card says."""
        if self.free:
            return WIDEST
        if self.expression.unknown and self.passes:
            known = meet(row.terms for row in self.expression.licences)
            return meet([known, Terms(frozenset(PERMISSIONS) - {"commercial"}, frozenset({"credit"}))])
        return self.expression.terms

    def why_not(self, kind: Kind) -> str | None:
        """Why this corpus keeps that kind of thing from being passed on; None: it does not."""
        if self.free or (self.passes and kind in self.terms.may):
            return None
        return why_restricted(self.corpus, self.expression.text, kind)


def why_restricted(corpus: str, license: str, kind: Kind = "real") -> str:
    """Why what was made of a corpus may not be passed on: its licence, or its card."""
    expression = parsed(license)
    if kind in expression.terms.may:
        return f"licence {license} of {corpus} allows {_OF_KIND[kind]}, its card does not (may_redistribute)"
    return f"licence {license} of {corpus} does not allow {_OF_KIND[kind]}"


@dataclass(frozen=True, slots=True)
class Use:
    """What may be done with one kind of thing in a release. because: why it may not be passed on; (): it may."""

    terms: Terms
    because: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        """Whether it may be passed on."""
        return not self.because

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "may_be_passed_on": self.allowed,
            "because": list(self.because),
            "commercial": self.allowed and "commercial" in self.terms.may,
            "duties": list(self.terms.duties()),
        }


def uses(corpora: Iterable[Mapping[str, Any]]) -> dict[Kind, Use]:
    """`corpora` of a release's manifest -> what may be done with its real samples, its synthetic ones, its features.

    Real samples and features are each of one corpus, so they go under what each corpus allows. A generator was fitted
    on all of them: what it made is adapted material of every one, and where no licence is there under which that could
    be handed on, it may not be (`conflicts`).
    """
    held = [Held.of(entry) for entry in corpora]
    terms = meet(one.terms for one in held)
    clash = conflicts(held)
    return {
        kind: Use(
            terms,
            tuple(why for one in held if (why := one.why_not(kind)) is not None)
            + (clash if kind == "synthetic" else ()),
        )
        for kind in KINDS
    }


def conflicts(held: Iterable[Held]) -> tuple[str, ...]:
    """Why no licence is there under which what a generator made of all of these could be handed on; (): one is.

    Share-alike names the licences that adapted material may have. Two that name no common one exclude each other, and
    one that allows commercial use excludes what forbids it: it lets no further restriction be added.
    """
    bound = [(one, name) for one in held if not one.free for name in one.expression.chosen]
    alike = [(one, LICENCES[name]) for one, name in bound if name in LICENCES and LICENCES[name].adapted_under]
    lines = [
        f"what is made of {one.corpus} and {other.corpus} would have to be handed on under {a.id} and under {b.id}, "
        "which exclude each other"
        for (one, a), (other, b) in combinations(alike, 2)
        if one.corpus != other.corpus and not a.adapted_under & b.adapted_under
    ]
    lines += [
        f"what is made of {one.corpus} and {other.corpus} would have to be handed on under {row.id}, which lets "
        f"commerce use it, and {other.expression.text} does not"
        for one, row in alike
        if "commercial" in row.terms.may
        for other in dict.fromkeys(other for other, _ in bound)
        if "commercial" not in other.terms.may and "synthetic" in other.terms.may
    ]
    return tuple(dict.fromkeys(lines))


def restrictions(corpora: Iterable[Mapping[str, Any]], *, synthetic: bool = False) -> list[str]:
    """`corpora` of a release's manifest -> why it may not be passed on; []: it may. One line a corpus that forbids it,
    and, with synthetic samples in it, one for each licence that keeps what a generator made here and each two that
    exclude each other.

    What a reader's `fake()` wrote is free. A card that does not say so does not allow it.
    """
    every = list(corpora)
    told = uses(every)
    lines = list(told["real"].because)
    if synthetic:
        silent = {one.corpus for one in map(Held.of, every) if one.why_not("real") is None}
        own = [why for one in map(Held.of, every) if one.corpus in silent and (why := one.why_not("synthetic"))]
        lines += [*own, *conflicts(map(Held.of, every))]
    return lines

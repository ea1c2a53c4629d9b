"""What a licence lets be done, as sets: what may be done, what must be done for it, and which licence is handed down.

The *meet* of two licences is what both let be done: fewer permissions, more duties. It is the largest set of terms that
is as narrow as either, so it is commutative, associative and idempotent, and never wider than one of them
(tests/corpora/terms/test_terms.py). A release of several corpora stands under the meet of their licences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

# what may be passed on: copies of the samples, what a generator made after them, numbers computed from them; and
# whether anything of it may serve commerce. To hold and to study what one has is in all of them.
Permission = Literal["real", "synthetic", "features", "commercial"]
Duty = Literal["credit", "notice", "agreement", "research"]
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
DUTIES: dict[Duty, str] = {
    "credit": "name the authors, the licence, and what was changed",
    "notice": "keep the copyright notice and the text of the licence with it",
    "agreement": "only who has an agreement with the owner may hold it",
    "research": "use it for research alone",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """may: what may be done. must: what has to be done for it. alike: ids of licences that what is made of it has to be
    handed on under ("share-alike", "copyleft")."""

    may: frozenset[Permission] = frozenset()
    must: frozenset[Duty] = frozenset()
    alike: frozenset[str] = frozenset()

    def within(self, other: Terms) -> bool:
        """Whether these are as narrow as `other` or narrower: no permission more, no duty less."""
        return self.may <= other.may and self.must >= other.must and self.alike >= other.alike

    @property
    def wants_agreement(self) -> bool:
        """Whether its owner has to agree with each who holds it."""
        return "agreement" in self.must

    @property
    def not_for_everybody(self) -> bool:
        """Whether only some may hold it: who has an agreement, who does research."""
        return self.wants_agreement or "research" in self.must

    def duties(self) -> tuple[str, ...]:
        """Sentences for people, in the order of `DUTIES`."""
        told = [said for duty, said in DUTIES.items() if duty in self.must]
        if "commercial" not in self.may:
            told.append("no commercial use")
        if self.alike:
            told.append(f"hand on what is made of it under {' and '.join(sorted(self.alike))}")
        return tuple(told)


WIDEST = Terms(frozenset(PERMISSIONS))


def meet(every: Iterable[Terms]) -> Terms:
    """What all of them let be done; of none at all: everything."""
    found = WIDEST
    for one in every:
        found = Terms(found.may & one.may, found.must | one.must, found.alike | one.alike)
    return found

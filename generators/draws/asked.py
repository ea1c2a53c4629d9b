"""What draws are asked for beside their class: values that the draws of a cell cycle through in their fixed order.

Draw k of a cell asks for the same for ever, so lists may be cut anywhere and rounds go on where they stood. A run that
asks for nothing has the draws that it always had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from generators.draws.targets import Cell
from generators.generator import Given
from training.seeds import derive_seed

Values = Mapping[str, tuple[Given, ...]]  # name of a condition -> the values that are asked for in turn


@dataclass(frozen=True, slots=True)
class Mixture:
    """A soft label to draw: class -> weight (shares are taken of their sum), how many samples of it, and what they ask
    for beside it."""

    weights: Mapping[str, float]
    number: int
    given: Values = field(default_factory=dict)

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """Class and share, by name; shares sum to 1."""
        whole = sum(self.weights.values())
        return tuple((name, weight / whole) for name, weight in sorted(self.weights.items()))


@dataclass(frozen=True, slots=True)
class Pools:
    """Named vectors of train samples, for draws that are asked for none of their own. of: name -> class -> vectors."""

    seed: int
    of: Mapping[str, Mapping[str, tuple[tuple[float, ...], ...]]]

    def given(self, cell: Cell, index: int) -> dict[str, Given]:
        """What draw `index` of the cell takes: of each name the vector of a train sample of the cell's class (of a
        mixture: of one of its classes), by the seed; the same for ever."""
        chosen: dict[str, Given] = {}
        for name, by_class in self.of.items():
            pool = [vector for c in cell.classes for vector in by_class.get(c, ())]
            if pool:
                chosen[name] = pool[derive_seed("given", self.seed, name, cell.named, index) % len(pool)]
        return chosen


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run asks for. `everywhere`: of every draw; `by_class`: of a class, in place of what `everywhere` has under
    the same name; `mixtures`: soft labels, as cells of their own; `pools`: named vectors that are asked for where
    nothing else says which."""

    everywhere: Values = field(default_factory=dict)
    by_class: Mapping[str, Values] = field(default_factory=dict)
    mixtures: tuple[Mixture, ...] = ()
    pools: Pools | None = None

    @property
    def names(self) -> frozenset[str]:
        """Names of `Condition.given` that some draw sets."""
        groups = [self.everywhere, *self.by_class.values(), *(m.given for m in self.mixtures)]
        return frozenset(name for group in groups for name in group)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that are named, in order."""
        named = [*self.by_class, *(name for m in self.mixtures for name in m.weights)]
        return tuple(dict.fromkeys(named))

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects that are asked for, in order."""
        groups = [self.everywhere, *self.by_class.values(), *(m.given for m in self.mixtures)]
        return tuple(dict.fromkeys(str(s) for group in groups for s in group.get("subject", ())))

    def given(self, cell: Cell, index: int) -> dict[str, Given]:
        """What draw `index` of the cell asks for. Of several lists of values every combination comes in its turn, the
        values of the name that is first in the alphabet changing fastest."""
        own: Values = self.by_class.get(cell.emotion, {})
        if cell.mixture:
            own = next((m.given for m in self.mixtures if m.shares == cell.mixture), {})
        values = {**self.everywhere, **own}
        chosen: dict[str, Given] = {} if self.pools is None else self.pools.given(cell, index)
        for name in sorted(values):
            index, place = divmod(index, len(values[name]))
            chosen[name] = values[name][place]
        return chosen

    def cells(self) -> list[Cell]:
        """One for each mixture: nothing of it is there, and `number` samples are wanted."""
        return [Cell("", None, 0, m.number, mixture=m.shares) for m in self.mixtures]


NOTHING = Asked()

"""Named things that params.yaml may choose: a literal table of ours, and what others add by entry points."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from corpora.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Registry:
    """kind: what it holds, for messages ("generator"); own: name -> "module:attribute"; group: the entry points that
    add to it ("emoforge.generators"). A name of ours wins over an entry point's. Nothing is imported before it is
    asked for."""

    kind: str
    group: str
    own: Mapping[str, str]

    def places(self) -> dict[str, str]:
        """Name -> "module:attribute" of everything registered."""
        return _added_by_others(self.group) | dict(self.own)

    def names(self) -> list[str]:
        """Every registered name: ours in the order of the table, then those of entry points, sorted."""
        return [*self.own, *sorted(self.places().keys() - self.own.keys())]

    def load(self, name: str) -> Any:
        """What is registered under `name`. Raises `UnknownNameError` that names the nearest one."""
        places = self.places()
        if name not in places:
            raise UnknownNameError.of(self.kind, name, places)
        module, _, attribute = places[name].partition(":")
        return getattr(importlib.import_module(module), attribute)


@cache
def _added_by_others(group: str) -> dict[str, str]:
    """Name -> "module:attribute" of an entry point group: what is installed stays so while a process runs, and looking
    reads a file of every package."""
    return {entry.name: entry.value for entry in entry_points(group=group)}

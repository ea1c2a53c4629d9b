"""references.bib: whom a paper about a release has to cite.

Entries of corpora are those of their cards, word for word. A preset names its paper in a line of text, and that line is
kept as it is: an entry that took it apart would guess. The papers of gates are in papers.bib, each with its gates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

from flows.describing.facts import Facts
from flows.packing.latex import escaped
from generators.preset import load_preset

_KEY = re.compile(r"@\s*\w+\s*\{\s*([^,\s]+)\s*,")
_GATES = re.compile(r"^\s*gates = \{([^}]*)\}", re.MULTILINE)
ALWAYS = ("emoforge", "gebru2021datasheets", "bender2018data")


@dataclass(frozen=True, slots=True)
class References:
    """entries: key -> BibTeX. corpora: a corpus' id -> its keys, () where its card names none. preset: key of the
    generator's paper. gates: gate -> keys of what it measures by."""

    entries: Mapping[str, str]
    corpora: Mapping[str, tuple[str, ...]]
    preset: str | None
    gates: Mapping[str, tuple[str, ...]]

    def text(self) -> str:
        """references.bib, entries by key."""
        return "\n\n".join(self.entries[key] for key in sorted(self.entries)) + "\n"


def references(facts: Facts, gates: Iterable[str]) -> References:
    """gates: names of sample and set gates that judged the release."""
    entries: dict[str, str] = {}
    corpora: dict[str, tuple[str, ...]] = {}
    for source in facts.sources:
        found = _entries(source.bibtex)
        entries |= found
        corpora[source.id] = tuple(found)
    preset = None
    if facts.made is not None and facts.made.preset is not None:
        preset = facts.made.preset.rpartition("/")[2]
        entries[preset] = _paper(preset, " ".join(load_preset(facts.made.preset).source.split()))
    used = {gate: keys for gate in dict.fromkeys(gates) if (keys := papers_of(gate))}
    for key in [*(key for keys in used.values() for key in keys), *ALWAYS]:
        entries[key] = papers()[key]
    return References(entries, corpora, preset, used)


@cache
def papers() -> dict[str, str]:
    """Key -> entry of papers.bib."""
    return _entries((files("flows.packing") / "papers.bib").read_text(encoding="utf-8"))


def papers_of(gate: str) -> tuple[str, ...]:
    """Keys of the papers that a gate's number is of; () where papers.bib knows none."""
    return tuple(key for key, entry in papers().items() if gate in gates_of(entry))


def gates_of(entry: str) -> tuple[str, ...]:
    """Gates that an entry of papers.bib names; BibTeX passes the field over."""
    named = _GATES.search(entry)
    return () if named is None else tuple(name.strip() for name in named.group(1).split(","))


def _entries(bibtex: str) -> dict[str, str]:
    """Key -> entry of a card's text, which may hold several; {} of one that holds none."""
    starts = [match.start() for match in re.finditer(r"@\s*\w+\s*\{", bibtex)]
    parts = [bibtex[a:b].strip() for a, b in pairwise([*starts, len(bibtex)])]
    return {match.group(1): part for part in parts if (match := _KEY.match(part)) is not None}


def _paper(key: str, source: str) -> str:
    """An entry of a line of text."""
    return f"@misc{{{key}, note={{{escaped(source)}}}}}"

"""The stage `reader`: what reading a corpus depends on, in one small JSON: its own card and the code that reads it.

As with `plan` (ADR 1): DVC cannot template a list of dependencies, so `ingest` depends on this JSON. Another corpus'
card or reader may come, go or change: this stage looks, writes the same bytes, and nothing is read again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from corpora.readers import make_corpus
from corpora.store.atomic import write_json
from flows.params import CorpusParams, load_params
from flows.paths import Layout
from flows.stages.ingest.parts import reader_modules
from flows.stages.ingest.retracted import keys_of, retractions
from flows.stages.plan.code import INERT_FOR_READING, code_of


@dataclass(frozen=True, slots=True)
class Reader:
    """`options`: the reader's own. `card_sha256`: of the card that describes the corpus; None for a reader in code.
    `code`: module -> sha256 of what it does, of the stage ingest and of this one reader. `retracted`: what of
    data/retractions concerns this corpus."""

    reader: str
    options: dict[str, Any]
    card_sha256: str | None
    code: dict[str, str] = field(default_factory=dict)
    retracted: list[str] = field(default_factory=list)


def reader_of(name: str, params: CorpusParams, layout: Layout) -> Reader:
    """Of the corpus `name`. Raises `UnknownNameError` (reader, option), `CorpusError` (a card that does not fit)."""
    corpus = make_corpus(params.reader, params.options, base=layout.repo)
    code = code_of(["flows.stages.ingest.ingest", *reader_modules(corpus)], without=INERT_FOR_READING)
    taken_out = keys_of(name, retractions(layout))
    return Reader(params.reader, params.options, getattr(corpus, "card_sha256", None), code, taken_out)


def write_reader(layout: Layout, name: str) -> None:
    """Writes data/readers/<corpus>.json. Raises what `reader_of` raises, and `UnknownNameError` (corpus)."""
    reader = reader_of(name, load_params(layout.params).corpus(name), layout)
    path = layout.reader(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(reader))


def is_unchanged(layout: Layout, name: str) -> bool:
    """Whether the stage would write what is there already."""
    try:
        there = json.loads(layout.reader(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(there == asdict(reader_of(name, load_params(layout.params).corpus(name), layout)))

"""Readers of corpora, by name. Each module is a data card that runs."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

from corpora.errors import UnknownNameError
from corpora.schema import Corpus

CORPORA: dict[str, str] = {
    "ravdess": "corpora.readers.ravdess:Ravdess",
    "emodb": "corpora.readers.emodb:EmoDB",
    "fer2013": "corpora.readers.fer2013:Fer2013",
}


def reader_names() -> list[str]:
    """All names that `make_corpus` knows, those of entry points `emoforge.corpora` included."""
    return sorted({e.name for e in entry_points(group="emoforge.corpora")} | set(CORPORA))


def make_corpus(name: str) -> Corpus:
    """The reader registered under `name` (literal registry first, then entry points `emoforge.corpora`).

    Raises `UnknownNameError` with the valid names.
    """
    found = {e.name: e.value for e in entry_points(group="emoforge.corpora")} | CORPORA
    if name not in found:
        raise UnknownNameError.of("corpus reader", name, found)
    module, _, attribute = found[name].partition(":")
    made: Corpus = getattr(importlib.import_module(module), attribute)()
    return made

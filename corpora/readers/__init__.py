"""Readers of corpora, by name. Each module is a data card that runs."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from corpora.errors import UnknownNameError
from corpora.schema import Corpus

CORPORA: dict[str, str] = {
    "ravdess": "corpora.readers.ravdess:Ravdess",
    "emodb": "corpora.readers.emodb:EmoDB",
    "iemocap": "corpora.readers.iemocap:Iemocap",
    # faces
    "fer2013": "corpora.readers.fer2013:Fer2013",
    "ferplus": "corpora.readers.ferplus:FerPlus",
    "expw": "corpora.readers.expw:ExpW",
    # text
    "goemotions": "corpora.readers.goemotions:GoEmotions",
    "meld": "corpora.readers.meld:Meld",
    "isear": "corpora.readers.isear:Isear",
    "empathetic_dialogues": "corpora.readers.empathetic_dialogues:EmpatheticDialogues",
    "dailydialog": "corpora.readers.dailydialog:DailyDialog",
    "semeval2018_ec": "corpora.readers.semeval2018_ec:SemEval2018Ec",
    "dair_emotion": "corpora.readers.dair_emotion:DairEmotion",
    # physiological
    "seed": "corpora.readers.seed:Seed",
    "seed_iv": "corpora.readers.seed_iv:SeedIV",
    "seed_v": "corpora.readers.seed_v:SeedV",
    "dreamer": "corpora.readers.dreamer:Dreamer",
    "amigos": "corpora.readers.amigos:Amigos",
    "stress_predict": "corpora.readers.stress_predict:StressPredict",
}


def reader_names() -> list[str]:
    """All names that `make_corpus` knows, those of entry points `emoforge.corpora` included."""
    return sorted({e.name for e in entry_points(group="emoforge.corpora")} | set(CORPORA))


def make_corpus(name: str, options: Mapping[str, Any] | None = None) -> Corpus:
    """The reader registered under `name` (literal registry first, then entry points `emoforge.corpora`).

    `options` are the reader's own keyword arguments (params: corpora.NAME.options). Raises `UnknownNameError` with the
    valid names of readers or options.
    """
    found = {e.name: e.value for e in entry_points(group="emoforge.corpora")} | CORPORA
    if name not in found:
        raise UnknownNameError.of("corpus reader", name, found)
    module, _, attribute = found[name].partition(":")
    reader = getattr(importlib.import_module(module), attribute)
    given = dict(options or {})
    valid = [p for p in inspect.signature(reader).parameters if not p.startswith("_")]
    for key in given:
        if key not in valid:
            raise UnknownNameError.of(f"option of reader {name!r}", key, valid)
    made: Corpus = reader(**given)
    return made

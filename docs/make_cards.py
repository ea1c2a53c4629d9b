"""Writes docs/cards.md from the models that check a card, so that the page cannot say anything else.

    python docs/make_cards.py

tests/test_docs.py fails while the page differs from what this prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from make_parameters import HEADER, _allowed, _cell, _default
from pydantic import BaseModel

from corpora.labels import EMOTIONS
from corpora.readers.described.cardfile import CardFile
from corpora.readers.described.corpus import _GENDERS, _SPLITS
from corpora.readers.described.filekeys import FIELDS, LAYOUTS, PAYLOADS, Files, SignalSpec, _Columns
from corpora.records.unknown import _NAMES, _NOT_KNOWN, NOT_A_VALUE
from corpora.store.atomic import write_text

PAGE = Path(__file__).parent / "cards.md"
HEAD = """\
<!-- Written by docs/make_cards.py; edit the models, not this page. -->
# Keys of a card

A card describes a corpus whose files follow a rule; [describe a corpus](describe-a-corpus.md) walks through one. An
unknown or misspelt key is an error that names the nearest valid one, and so is a key twice.
"""
FIELD_SAYS = {
    "id": "the sample's own id; default: its path without the ending, or its row's number",
    "label": "a key of `label_map`, or a text that `values.label` leads to one; several with `separator`",
    "subject": "who it is; ids of one person must be one text",
    "group": "dialogue, trial or video: the split unit, where `split_unit` says so",
    "session": "a recording session",
    "sentence": "what is said or shown",
    "turn": "whole number: the place in a dialogue",
    "start": "s, where the sample begins in its recording; cuts nothing (audformat's own `start` does)",
    "end": "s, where it ends",
    "intensity": "0 to 1",
    "split": "the published split, see below",
    "gender": "see below",
    "age": "years",
    "language": "BCP 47: en, de, pt-BR",
    "agreement": "0 to 1: the share of raters who agree",
    "valence": "on the scale that `dimensions.valence` gives; the record holds it in [-1, 1]",
    "arousal": "likewise",
    "dominance": "likewise",
}
PAYLOAD_SAYS = {
    "path": "the file that holds the sample, relative to `media`",
    "text": "the text itself",
    "pixels": "numbers from 0 to 255 separated by blanks: a square grey picture, row by row",
    "media": "bytes, or a structure {bytes, path}: an Audio or Image column of layout `datasets`",
}
LAYOUT_SAYS = {
    "folder": "One file a sample; its path holds all that is known of it.",
    "table": "One row a sample: csv, tsv, jsonl or parquet.",
    "audformat": "A database in audEERING's format.",
    "datasets": "What Hugging Face `datasets` saved.",
}


def page() -> str:
    """The whole page as Markdown."""
    assert set(FIELD_SAYS) == set(FIELDS) and set(PAYLOAD_SAYS) == set(PAYLOADS) and set(LAYOUT_SAYS) == set(LAYOUTS)
    parts = [HEAD, "## Facts", table(CardFile, CardFile.model_fields)]
    parts += ["## `files`: what all layouts know", table(Files, Files.model_fields)]
    parts += ["### `files.signals.<name>`", table(SignalSpec, SignalSpec.model_fields)]
    shared = [name for name in _Columns.model_fields if name not in Files.model_fields]
    parts += ["## `files`: tables, audformat and saved data sets", table(_Columns, shared)]
    for name, model in LAYOUTS.items():
        above = _Columns if issubclass(model, _Columns) else Files
        own = [key for key in model.model_fields if key not in above.model_fields]
        parts.append(f"## `files` with `layout: {name}`\n\n{LAYOUT_SAYS[name]}")
        parts.append(table(model, own) if own else "No further keys.")
    parts += ["## Fields", _two("field", "what it is", FIELD_SAYS)]
    parts += ["Columns that hold the sample, or say where it lies:", _two("column", "what it holds", PAYLOAD_SAYS)]
    parts += ["## Texts that are known", *_known()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def table(model: type[BaseModel], names: Iterable[str]) -> str:
    rows = []
    for name in names:
        field = model.model_fields[name]
        default = "the file's name" if (model, name) == (CardFile, "name") else _default(field).replace("``", "empty")
        rows.append(f"| `{name}` | {default} | {_allowed(field)} | {_cell(field.description)} |")
    return "\n".join([HEADER, *rows])


def _two(first: str, second: str, says: dict[str, str]) -> str:
    return "\n".join([f"| {first} | {second} |\n|---|---|", *(f"| `{k}` | {_cell(v)} |" for k, v in says.items())])


def _known() -> list[str]:
    def listed(texts: Iterable[str]) -> str:
        return ", ".join(f"`{text}`" for text in texts if text)

    splits = [f"{split}: {listed(k for k, v in _SPLITS.items() if v == split)}" for split in ("train", "dev", "test")]
    genders = [f"{word}: {listed(k for k, v in _GENDERS.items() if v == word)}" for word in ("female", "male")]
    return [
        f"**`split`** ({'; '.join(splits)}), **`gender`** ({'; '.join(genders)}), in any case; `values` say others.",
        "**Not known**, hence null, in every field: an empty text, NaN, NaT, "
        f"{listed(sorted(NOT_A_VALUE))}; in every field but `label` also, in any case, "
        f"{listed(sorted(_NOT_KNOWN - {text.lower() for text in NOT_A_VALUE}))} "
        f"(but {listed(sorted(_NAMES))}, which are names). `missing` adds texts, `not_missing` takes texts off the "
        "list, and what `values` or `label_map` name has the meaning that they give it. In ids, 1.0 is 1.",
        "**Labels and texts of `values`** are looked up as they stand, then without blanks, quotes and invisible marks "
        "around them, then without the .0 of a number, then, with `ignore_case`, in any case.",
        f"**Emotions** of `label_map`: {listed(EMOTIONS)}.",
    ]


if __name__ == "__main__":
    write_text(PAGE, page())

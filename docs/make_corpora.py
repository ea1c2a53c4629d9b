"""Writes docs/corpora.md from the cards of the readers: `python docs/make_corpora.py`. A test checks the page."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from corpora.readers import CARDS, make_corpus, reader_names
from corpora.schema import FACTS, MODALITIES, CorpusCard
from emoforge.listings import first_paragraph

PAGE = Path(__file__).with_name("corpora.md")
TITLES = {"speech": "Speech", "face": "Faces", "text": "Text", "physio": "Physiological signals"}
INTRODUCTION = """<!-- Written by `python docs/make_corpora.py` from the cards of the readers: do not edit. -->
# The corpora that can be read

Get a corpus from its owners under their terms, then `emoforge link NAME PATH` and `emoforge run NAME`.
`emoforge corpora show NAME` prints a card: every fact with the place where it stands, the label map, the schemes that
fit. A corpus that is not here takes ten minutes and no code: [describe a corpus](describe-a-corpus.md).

**Tested on.** *real*: the tests read published files of the corpus, with exact counts. *fake*: the tests read files
that the reader itself writes in the published layout. A fake proves that reader and cited layout agree, not that the
citation is complete: the first person who links such a corpus may meet a file that nobody has tried. It becomes a
counted reject with a reason; please open an issue with its name and reason.

**Not verified.** Facts for which no source is known. They are left empty in the card; nothing is guessed.

"Samples" and "subjects" are the published numbers. "–": not published, or not verified.
"""

HEADER = (
    "| reader | corpus | classes | subjects | samples | split unit | licence | how to get it | tested on "
    "| not verified |"
)


def page() -> str:
    """The whole page as Markdown."""
    cards = [make_corpus(name).card for name in reader_names()]
    parts = [INTRODUCTION]
    for modality in MODALITIES:
        of = sorted((card for card in cards if card.modality == modality), key=lambda card: card.title.lower())
        parts.append(f"\n## {TITLES[modality]} ({len(of)})\n")
        parts.append(HEADER)
        parts.append("|---|---|---:|---:|---:|---|---|---|---|---|")
        parts += [row(card) for card in of]
        parts.append("\n### What the readers read\n")
        parts += [notes(card) for card in of]
    return "\n".join(parts) + "\n"


def row(card: CorpusCard) -> str:
    """The corpus' line of the table."""
    classes = len(card.label_map) or ", ".join(card.dimensions)
    missing = ", ".join(fact for fact in FACTS if fact in card.unverified)
    cells = [
        f"`{card.name}`",
        f"[{card.title}]({card.url})",
        classes,
        number(card.n_subjects),
        number(card.n_samples),
        card.split_unit,
        card.license,
        card.access,
        card.tested_on,
        missing or "–",
    ]
    return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |"


def notes(card: CorpusCard) -> str:
    """What is worth knowing of the corpus: its published split and its oddities, as an item of a list."""
    file = CARDS / f"{card.name}.yaml"
    if file.is_file():
        about = file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    else:
        about = first_paragraph(sys.modules[type(make_corpus(card.name)).__module__])
    parts = [f"- **`{card.name}`** {about}"]
    if card.official_split:
        parts.append(f"Published split: {card.official_split}.")
    if card.quirks:
        parts.append("Known oddities: " + "; ".join(card.quirks) + ".")
    return " ".join(part.replace("..", ".") for part in parts)


def number(value: int | None) -> str:
    """1234 -> "1,234"; "–" where there is none."""
    return f"{value:,}" if value is not None else "–"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

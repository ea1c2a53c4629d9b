"""Readers of corpora, by name. Each module is a data card that runs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from corpora.errors import CorpusError, UnknownNameError
from corpora.registry import Registry
from corpora.schema import Corpus

CORPORA: dict[str, str] = {
    # speech
    "ravdess": "corpora.readers.speech.ravdess:Ravdess",
    "iemocap": "corpora.readers.speech.iemocap:Iemocap",
    "msp_improv": "corpora.readers.speech.msp_improv:MspImprov",
    "msp_podcast": "corpora.readers.speech.msp_podcast:MspPodcast",
    "esd": "corpora.readers.speech.esd:Esd",
    "emov_db": "corpora.readers.speech.emov_db:EmovDb",
    "mead": "corpora.readers.speech.mead:Mead",
    "crema_d": "corpora.readers.speech.crema_d:CremaD",
    "cafe": "corpora.readers.speech.cafe:Cafe",
    "shemo": "corpora.readers.speech.shemo:Shemo",
    "enterface05": "corpora.readers.speech.enterface05:Enterface05",
    # faces
    "fer2013": "corpora.readers.faces.fer2013:Fer2013",
    "ferplus": "corpora.readers.faces.ferplus:FerPlus",
    "expw": "corpora.readers.faces.expw:ExpW",
    "raf_db": "corpora.readers.faces.raf_db:RafDB",
    "affectnet": "corpora.readers.faces.affectnet:AffectNet",
    "sfew": "corpora.readers.faces.sfew:Sfew",
    "ck_plus": "corpora.readers.faces.ck_plus:CKPlus",
    "jaffe": "corpora.readers.faces.jaffe:Jaffe",
    "kdef": "corpora.readers.faces.kdef:Kdef",
    "rafd": "corpora.readers.faces.rafd:Rafd",
    "cfee": "corpora.readers.faces.cfee:Cfee",
    "oulu_casia": "corpora.readers.faces.oulu_casia:OuluCasia",
    # text
    "goemotions": "corpora.readers.text.goemotions:GoEmotions",
    "meld": "corpora.readers.text.meld:Meld",
    "isear": "corpora.readers.text.isear:Isear",
    "empathetic_dialogues": "corpora.readers.text.empathetic_dialogues:EmpatheticDialogues",
    "dailydialog": "corpora.readers.text.dailydialog:DailyDialog",
    "semeval2018_ec": "corpora.readers.text.semeval2018_ec:SemEval2018Ec",
    "dair_emotion": "corpora.readers.text.dair_emotion:DairEmotion",
    "emorynlp": "corpora.readers.text.emorynlp:EmoryNLP",
    # physiological
    "seed": "corpora.readers.physio.seed:Seed",
    "seed_iv": "corpora.readers.physio.seed_iv:SeedIV",
    "seed_v": "corpora.readers.physio.seed_v:SeedV",
    "dreamer": "corpora.readers.physio.dreamer:Dreamer",
    "amigos": "corpora.readers.physio.amigos:Amigos",
    "deap": "corpora.readers.physio.deap:Deap",
    "wesad": "corpora.readers.physio.wesad:Wesad",
    "ecg200": "corpora.readers.physio.ecg200:Ecg200",
    "stress_predict": "corpora.readers.physio.stress_predict:StressPredict",
}
READERS = Registry("corpus reader", "emoforge.corpora", CORPORA)


# They read any corpus of their layout, by a card of the user's: options {card: data/cards/NAME.yaml}.
GENERIC = ("folder", "table", "audformat", "datasets")
CARDS = Path(__file__).resolve().parent / "described" / "cards"  # corpora that need no code: one card file each


def card_names() -> list[str]:
    """Names of the shipped cards."""
    return sorted(path.stem for path in CARDS.glob("*.yaml"))


def reader_names() -> list[str]:
    """All names that `make_corpus` makes a corpus of without options: readers, entry points `emoforge.corpora`, shipped
    cards. `GENERIC` ones need a card and are not among them."""
    return sorted({*READERS.names(), *card_names()})


def is_card_path(name: str) -> bool:
    """Whether a reader's name is the path of a user's card."""
    return PurePosixPath(name).suffix in (".yaml", ".yml")


def make_corpus(name: str, options: Mapping[str, Any] | None = None, *, base: Path | None = None) -> Corpus:
    """The reader registered under `name`: literal registry, then entry points `emoforge.corpora`, then shipped cards. A
    name that ends in .yaml is the path of a card.

    `options` are the reader's own keyword arguments (params: corpora.NAME.options); those of a generic reader are
    {"card": path}. Paths of cards are relative to `base`, the project's folder (default: the current one). Raises
    `UnknownNameError` with the valid names of readers or options, `CorpusError` for a card that does not fit.
    """
    given = dict(options or {})
    if is_card_path(name) or name in GENERIC:
        return _described(name, given, base)
    if name not in READERS.places():
        if name in card_names():
            return _described(
                str(CARDS / f"{name}.yaml"), given, base, shown=f"corpora/readers/described/cards/{name}.yaml"
            )
        raise UnknownNameError.of("corpus reader", name, [*reader_names(), *GENERIC])
    reader = READERS.load(name)
    valid = [p for p in inspect.signature(reader).parameters if not p.startswith("_")]
    for key in given:
        if key not in valid:
            raise UnknownNameError.of(f"option of reader {name!r}", key, valid)
    corpus: Corpus = reader(**given)
    return corpus


def _described(name: str, options: dict[str, Any], base: Path | None, shown: str | None = None) -> Corpus:
    from corpora.readers.described.corpus import Described

    generic = name in GENERIC
    for key in options:
        if not generic or key != "card":
            raise UnknownNameError.of(f"option of reader {shown or name!r}", key, ["card"] if generic else [])
    if generic and not options.get("card"):
        raise CorpusError(
            f"reader {name!r} needs a card that describes the corpus: options: {{card: data/cards/NAME.yaml}}, or the "
            "card's path as the reader (docs/describe-a-corpus.md)"
        )
    path = str(options["card"]) if generic else name
    corpus = Described.of((base or Path()) / path, shown or path)
    layout = corpus.description.files.layout
    if generic and layout != name:
        raise CorpusError(f"{path} describes the layout {layout!r}; its reader is {layout!r}, not {name!r}")
    return corpus

"""The vocabulary of emotions that all corpora share, and the named lists of classes that a run may target.

Readers map native labels to `EMOTIONS` or to None; a `Scheme` maps what a record holds to the classes of a run. Nothing
is dropped: what has no place in a scheme is None there, is counted, and stays in the record's `labels`.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from corpora.errors import CorpusError, PayloadError, UnknownLabelError, UnknownNameError

# Canonical names; the order is the order of tables and reports. The first twelve are what speech and face corpora ask
# for; the rest are words of text corpora (GoEmotions' 27, SemEval-2018 E-c, EmpatheticDialogues) and induced states.
EMOTIONS = (
    "neutral",
    "calm",
    "happiness",
    "sadness",
    "anger",
    "fear",
    "disgust",
    "surprise",
    "boredom",
    "contempt",
    "excitement",
    "frustration",
    "admiration",
    "amusement",
    "annoyance",
    "anticipation",
    "anxiety",
    "approval",
    "caring",
    "confidence",
    "confusion",
    "contentment",
    "curiosity",
    "desire",
    "disappointment",
    "disapproval",
    "embarrassment",
    "gratitude",
    "grief",
    "guilt",
    "hope",
    "jealousy",
    "loneliness",
    "love",
    "nervousness",
    "nostalgia",
    "optimism",
    "pessimism",
    "pride",
    "realization",
    "relief",
    "remorse",
    "shame",
    "trust",
    "sleepiness",
    "stress",
    "relaxation",
)
CANONICAL = "canonical"  # scheme of those entries of `labels` whose words are `EMOTIONS`
# what editors and spreadsheets leave at the ends of a text and nobody sees: byte-order mark, zero-width characters,
# soft hyphen, marks of direction. Within a word they stay: Persian and emojis need joiners.
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00ad\u200e\u200f"
_QUOTES = {
    '"': '"',
    "'": "'",
    "`": "`\u00b4'",
    "\u201c": "\u201d",
    "\u201e": "\u201c\u201d",
    "\u2018": "\u2019",
    "\u201a": "\u2018\u2019",
    "\u00ab": "\u00bb",
    "\u00bb": "\u00ab",
}
_SEPARATORS = re.compile(r"(?<=[^\W\d_])[\s_-]+(?=[^\W\d_])")  # between letters; -1 and 1 are two


@dataclass(frozen=True, slots=True)
class Scheme:
    """An ordered list of classes, and where each canonical emotion goes; one that is not a key has no place in it.

    `source`: "emotion" (the canonical vocabulary), "labels:<scheme>" (native labels of that scheme) or the name of
    dimensions joined by "+" ("valence", "valence+arousal"), which are cut at `edges`: a value above an edge lies in the
    upper class. No classes: those that samples have.
    """

    classes: tuple[str, ...]
    mapping: Mapping[str, str]
    source: str = "emotion"
    edges: tuple[float, ...] = ()


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _groups(groups: Mapping[str, str]) -> dict[str, str]:
    """{class: "word word ..."} -> {word: class}"""
    return {word: name for name, words in groups.items() for word in words.split()}


_EKMAN = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
_RAVDESS = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
_IEMOCAP4 = ("neutral", "happiness", "sadness", "anger")
_IEMOCAP6 = ("neutral", "happiness", "sadness", "anger", "excitement", "frustration")
_GO28 = (
    "admiration",
    "amusement",
    "anger",
    "annoyance",
    "approval",
    "caring",
    "confusion",
    "curiosity",
    "desire",
    "disappointment",
    "disapproval",
    "disgust",
    "embarrassment",
    "excitement",
    "fear",
    "gratitude",
    "grief",
    "happiness",
    "love",
    "nervousness",
    "optimism",
    "pride",
    "realization",
    "relief",
    "remorse",
    "sadness",
    "surprise",
    "neutral",
)
# data/ekman_mapping.json and data/sentiment_mapping.json of GoEmotions (Demszky et al. 2020); its joy is happiness here
_GO_EKMAN = _groups(
    {
        "anger": "anger annoyance disapproval",
        "disgust": "disgust",
        "fear": "fear nervousness",
        "happiness": "happiness amusement approval excitement gratitude love optimism relief pride admiration desire "
        "caring",
        "sadness": "sadness disappointment embarrassment grief remorse",
        "surprise": "surprise realization confusion curiosity",
        "neutral": "neutral",
    }
)
_GO_SENTIMENT = _groups(
    {
        "positive": "amusement excitement happiness love desire optimism caring pride admiration gratitude relief "
        "approval",
        "negative": "fear nervousness remorse embarrassment disappointment sadness grief disgust anger annoyance "
        "disapproval",
        "ambiguous": "realization surprise curiosity confusion",
        "neutral": "neutral",
    }
)

# calm is not merged into neutral anywhere: RAVDESS asks its actors for both, and listeners tell them apart.
# excitement is happiness in Ekman's classes, as in GoEmotions' mapping; in IEMOCAP's only where the name says so.
SCHEMES: dict[str, Scheme] = {
    "ekman6": Scheme(_EKMAN, {**_same(*_EKMAN), "excitement": "happiness"}),
    "ekman7": Scheme(("neutral", *_EKMAN), {**_same("neutral", *_EKMAN), "excitement": "happiness"}),
    "ravdess8": Scheme(_RAVDESS, _same(*_RAVDESS)),
    "iemocap4": Scheme(_IEMOCAP4, _same(*_IEMOCAP4)),
    "iemocap4_excited": Scheme(_IEMOCAP4, {**_same(*_IEMOCAP4), "excitement": "happiness"}),
    "iemocap6": Scheme(_IEMOCAP6, _same(*_IEMOCAP6)),
    "goemotions28": Scheme(_GO28, _same(*_GO28)),
    "goemotions_ekman": Scheme(("neutral", *_EKMAN), _GO_EKMAN),
    "goemotions_sentiment": Scheme(("positive", "negative", "ambiguous", "neutral"), _GO_SENTIMENT),
    "stress2": Scheme(
        ("no stress", "stress"),  # WESAD's two-class task: amusement counts as not stressed (Schmidt et al. 2018, 4.2)
        {"neutral": "no stress", "amusement": "no stress", "relaxation": "no stress", "stress": "stress"},
    ),
    # DEAP's two-class tasks: a rating above the middle of the scale is high (Koelstra et al. 2012, section 7)
    "valence2": Scheme(("low", "high"), {}, "valence", (0.0,)),
    "arousal2": Scheme(("low", "high"), {}, "arousal", (0.0,)),
    "dominance2": Scheme(("low", "high"), {}, "dominance", (0.0,)),
    "valence3": Scheme(("negative", "neutral", "positive"), {}, "valence", (-1 / 3, 1 / 3)),
    "arousal3": Scheme(("low", "medium", "high"), {}, "arousal", (-1 / 3, 1 / 3)),
    "quadrants": Scheme(("LALV", "HALV", "LAHV", "HAHV"), {}, "valence+arousal", (0.0,)),  # high/low arousal, valence
    "corpus": Scheme(EMOTIONS, _same(*EMOTIONS)),  # every class that the corpora of the run have, see classes_of
}


def find_scheme(name: str) -> Scheme:
    """The scheme of that name; "labels:<scheme>" takes the native labels as they are. Raises `UnknownNameError`."""
    if name.startswith("labels:") and len(name) > len("labels:"):
        return Scheme((), {}, name)
    if name not in SCHEMES:
        raise UnknownNameError.of("label scheme", name, [*SCHEMES, "labels:<scheme of a corpus>"])
    return SCHEMES[name]


def to_scheme(emotion: str | None, scheme: str) -> str | None:
    """Canonical emotion -> class of the scheme, or None where the scheme has no place for it.

    Raises `UnknownNameError` for a scheme or an emotion that the vocabulary does not hold.
    """
    target = find_scheme(scheme)
    if emotion is None:
        return None
    if emotion not in EMOTIONS:
        raise UnknownNameError.of("emotion", emotion, EMOTIONS)
    return target.mapping.get(emotion)


def assign(record: Mapping[str, Any], scheme: str) -> str | None:
    """One record (its keys emotion, labels, valence, arousal, dominance) -> its class in the scheme, or None.

    Several labels: the weights of those that share a class are added, and the heaviest class wins; a tie is None, for
    no rule of ours says which of two emotions a person meant more. Raises `UnknownNameError`.
    """
    target = find_scheme(scheme)
    if target.edges:
        return _binned(record, target)
    wanted = target.source.partition(":")[2] if target.source.startswith("labels:") else CANONICAL
    weights: dict[str, float] = {}
    entries = [entry for entry in record.get("labels") or () if entry["scheme"] == wanted]
    for entry in entries:
        word = entry["label"]
        place = target.mapping.get(word) if wanted == CANONICAL else word
        if place is not None:
            weight = entry.get("weight")
            weights[place] = weights.get(place, 0.0) + (1.0 if weight is None else float(weight))
    if not entries and wanted == CANONICAL:
        return to_scheme(record.get("emotion"), scheme)
    best = max(weights.values(), default=0.0)
    winners = [name for name, weight in weights.items() if math.isclose(weight, best)]
    return winners[0] if len(winners) == 1 and best > 0 else None


def _binned(record: Mapping[str, Any], scheme: Scheme) -> str | None:
    place = 0
    for name in scheme.source.split("+"):
        value = record.get(name)
        if value is None or not math.isfinite(value):
            return None
        place = place * (len(scheme.edges) + 1) + sum(value > edge for edge in scheme.edges)
    return scheme.classes[place]


def classes_of(scheme: str, names: Iterable[str | None]) -> tuple[str, ...]:
    """The classes of a scheme that `names` (classes as `assign` gives them) hold, in the scheme's order.

    Raises `CorpusError` if fewer than two are left: there is nothing to balance.
    """
    target = find_scheme(scheme)
    present = {name for name in names if name is not None}
    classes = tuple(name for name in target.classes if name in present) if target.classes else tuple(sorted(present))
    if len(classes) < 2:
        raise CorpusError(
            f"label scheme {scheme!r} ({', '.join(target.classes) or 'as the corpus labels'}) leaves {len(classes)} "
            f"class(es) of these corpora: {', '.join(classes) or 'none'}. At least 2 are needed; choose another scheme "
            "or add a corpus."
        )
    return classes


def native_labels(
    scheme: str, weights: Mapping[str, float], label_map: Mapping[str, str | None]
) -> list[dict[str, object]]:
    """{native label: weight} -> entries of the column `labels`: the native words, and the canonical ones they map to.

    For multi-label, soft (votes) and compound labels. Raises `PayloadError` bad-label for a word that the map does not
    know.
    """
    entries: list[dict[str, object]] = []
    canonical: dict[str, float] = {}
    for word, weight in weights.items():
        if word not in label_map:
            raise UnknownLabelError(word, label_map)
        entries.append({"scheme": scheme, "label": word, "weight": float(weight)})
        emotion = label_map[word]
        if emotion is not None:
            canonical[emotion] = canonical.get(emotion, 0.0) + float(weight)
    return entries + [{"scheme": CANONICAL, "label": name, "weight": weight} for name, weight in canonical.items()]


def clean_label(text: str) -> str:
    """A label as it was meant: NFC, each run of white space (no-break ones too) one blank, and none at the ends; nor
    byte-order marks, zero-width characters and pairs of quotes there. Upper and lower case stay. Idempotent."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    while True:
        bare = text.strip(_INVISIBLE + " ")
        if len(bare) > 1 and bare[-1] in _QUOTES.get(bare[0], ""):
            bare = bare[1:-1]
        if bare == text:
            return text
        text = bare


def folded(label: str) -> str:
    """What labels share that differ in case, width of letters, or in blank, hyphen and underscore between letters."""
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", clean_label(label)).casefold())


def nearest_label(label: str, known: Iterable[str]) -> str | None:
    """The known label that `label` is a spelling of: equal but for case and separators, else near by letters; None."""
    return _nearest(label, tuple(known))


@lru_cache(maxsize=4096)
def _nearest(label: str, known: tuple[str, ...]) -> str | None:
    wanted = folded(label)
    by_form: dict[str, str] = {}
    for name in known:
        by_form.setdefault(folded(name), name)
    if wanted in by_form:
        return by_form[wanted]
    if not any(letter.isalpha() for letter in wanted):
        return None  # of numbers, none is a spelling of another
    near = difflib.get_close_matches(wanted, list(by_form), n=1, cutoff=0.6)
    return by_form[near[0]] if near else None


def rescale(value: float, scale: Sequence[float], what: str) -> float:
    """A rating on the corpus' own scale (lowest, highest) -> [-1, 1].

    Raises `PayloadError` rating-out-of-range (NaN too); `what` names the dimension.
    """
    low, high = scale
    if not low <= value <= high:
        raise PayloadError("rating-out-of-range", f"{what} is {value:g}, the scale is {low:g} to {high:g}")
    return 2.0 * (value - low) / (high - low) - 1.0

"""The vocabulary of emotions that all corpora share, and the named lists of classes that a run may target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from corpora.errors import CorpusError, UnknownNameError

# Canonical names; readers map their native labels to these, or to None. The order is the order of tables and reports.
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
)


@dataclass(frozen=True, slots=True)
class Scheme:
    """An ordered list of classes, and where each canonical emotion goes; one that is not a key has no place in it."""

    classes: tuple[str, ...]
    mapping: Mapping[str, str]


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_EKMAN = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
_RAVDESS = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
_IEMOCAP = ("neutral", "happiness", "sadness", "anger")

# calm is not merged into neutral anywhere: RAVDESS asks its actors for both, and listeners tell them apart.
# excitement counts as happiness, as in GoEmotions' Ekman mapping and in the four-class use of IEMOCAP.
SCHEMES: dict[str, Scheme] = {
    "ekman6": Scheme(_EKMAN, {**_same(*_EKMAN), "excitement": "happiness"}),
    "ekman7": Scheme(("neutral", *_EKMAN), {**_same("neutral", *_EKMAN), "excitement": "happiness"}),
    "ravdess8": Scheme(_RAVDESS, _same(*_RAVDESS)),
    "iemocap4": Scheme(_IEMOCAP, {**_same(*_IEMOCAP), "excitement": "happiness"}),
    "corpus": Scheme(EMOTIONS, _same(*EMOTIONS)),  # every class that the corpora of the run have, see scheme_classes
}


def _scheme(name: str) -> Scheme:
    if name not in SCHEMES:
        raise UnknownNameError.of("label scheme", name, SCHEMES)
    return SCHEMES[name]


def to_scheme(emotion: str | None, scheme: str) -> str | None:
    """Canonical emotion -> class of the scheme, or None where the scheme has no place for it.

    Raises `UnknownNameError` for a scheme or an emotion that the vocabulary does not hold.
    """
    target = _scheme(scheme)
    if emotion is None:
        return None
    if emotion not in EMOTIONS:
        raise UnknownNameError.of("emotion", emotion, EMOTIONS)
    return target.mapping.get(emotion)


def scheme_classes(scheme: str, present: Iterable[str | None]) -> tuple[str, ...]:
    """The classes of a scheme that `present` (canonical emotions) fills, in the scheme's order.

    Raises `CorpusError` if fewer than two are left: there is nothing to balance.
    """
    target = _scheme(scheme)
    found = {to_scheme(emotion, scheme) for emotion in set(present)}
    classes = tuple(name for name in target.classes if name in found)
    if len(classes) < 2:
        raise CorpusError(
            f"label scheme {scheme!r} ({', '.join(target.classes)}) leaves {len(classes)} class(es) of these corpora: "
            f"{', '.join(classes) or 'none'}. At least 2 are needed; choose another scheme or add a corpus."
        )
    return classes

"""Texts of ISEAR's tables, mended where one reading alone is possible, and answers that say that there is none.

The published tables went through three mishaps. Latin-1 was read as code page 437, so that a blank that does not break
became 'á' and 'ö' became '÷' (a degree sign '¦', by way of a shaded block). An export turned the line ends of a text in
quotes into the bar that parts the fields. And its quotes became a backslash, a backslash and a quote, and one quote at
the end that nobody opened.
"""

from __future__ import annotations

import re
from itertools import pairwise

_CONTROL = re.compile(r"[\x80-\x9f]")
_LETTER_A = re.compile(r"á(?=\w)")
_DEGREE = re.compile(r"(?<=\d)¦|(?<=\bn)¦(?=\d)")
_FAMILY = {  # words for the emotion that was asked for: "I never felt sad" is no answer to sadness, and one to joy
    "joy": "joy joyful happy happiness",
    "fear": "fear afraid scared frightened fearful",
    "anger": "anger angry",
    "sadness": "sadness sad",
    "disgust": "disgust disgusted",
    "shame": "shame ashamed shameful",
    "guilt": "guilt guilty",
}
# What an answer without an answer is made of. Nouns are those of the question; any other word is an answer.
_AUXILIARY = "i have has had do does did can could am was be been being would will"
_DENIAL = "not never no none nothing cannot nor hardly nowhere neither"
_VERBS = (
    "remember recall recollect think know describe name mention find feel feeling felt experience experienced having "
    "happened occurred apply applies"
)
_NOUNS = (
    "response reponse answer reply comment description data entry example incident situation occasion event episode "
    "instance case emotion feelings emotions situations experiences experience anything something one kind sort time "
    "moment memory recollection life past force ages question"
)
_SMALL = (
    "a an the any such this that these it its of in at to for from with about on when ever yet so far now just here "
    "either all really honestly normally usually sorry exact particular specific certain real strong near me my myself "
    "personally also and or before as"
)
_WORDS = frozenset(" ".join((_AUXILIARY, _DENIAL, _VERBS, _NOUNS, _SMALL)).split())
_START = "i have has had do does did can could am was really honestly normally sorry think of"
_OPENING = frozenset(_START.split())
_BARE = frozenset(
    (
        "blank",
        "empty",
        "missing",
        "na",
        "n a",
        "nil",
        "nan",
        "null",
        "none",
        "nothing",
        "never",
        "no",
        "no one",
        "inapplicable",
        "not applicable",
        "non applicable",
        "unanswered",
        "not included",
        "not included on questionnaire",
    )
)


def mended(text: str) -> tuple[str, tuple[str, ...]]:
    """A text of the table -> (what it was, what was mended: of bars, quotes, characters). Blanks are single then.

    A text that is sound stays as it is, blanks and all; so does one with a character that code page 437 has not.
    """
    repairs: list[str] = []
    if "\\" in text:
        text, repairs = _quotes(text), ["quotes"]
    if "|" in text:
        text, repairs = " ".join(text.replace("|", " ").split()), [*repairs, "bars"]
    if not text.isascii():
        once = _twice_encoded(text)
        was = _characters(once)
        if was is not None or once != text:
            text, repairs = (once if was is None else was), [*repairs, "characters"]
    return text, tuple(sorted(repairs))


def _quotes(text: str) -> str:
    r"""\terror ringing\", i.e. ... telephoning." -> "terror ringing", i.e. ... telephoning."""
    whole = text.rstrip()
    return whole.removesuffix('"').replace('\\"', '"').replace("\\", '"')


def _twice_encoded(text: str) -> str:
    """UTF-8 that was read as Latin-1 or Windows-1252 and encoded again -> what it was; other text as it is."""
    for encoding in ("cp1252", "latin-1"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return text


def _characters(text: str) -> str | None:
    """Latin-1 read as code page 437 -> what it was, blanks that do not break as blanks; None: it was not that.

    No 'á' of the published file stands before a letter; one that does is a letter, and such a text is left alone.
    """
    if text.isascii() or _LETTER_A.search(text):
        return None
    try:
        was = _DEGREE.sub("░", text).encode("cp437").decode("latin-1")
    except UnicodeEncodeError:
        return None
    return None if _CONTROL.search(was) else " ".join(was.replace("\xa0", " ").split())


def is_no_answer(text: str, asked: str) -> bool:
    """Whether a text only states that there is no answer: "[ No response.]", "Never experienced.", "Can't
    remember any episode of disgust.", "I have not felt this emotion in my life."

    `asked`: the emotion that the question was about. A text is one if it denies within its first words and holds
    nothing but small words, words of the question and the emotion asked for. What goes on, or speaks of another
    emotion, is an answer: "I have never experienced such fear as when the car turned over."
    """
    words = _plain(text)
    if not words or " ".join(words) in _BARE:
        return True
    if words[-1] in ("na", "applicable"):  # "I am quite shameless, not applicable"
        return len(words) > 1 and words[-2] in ("not", "non") and len(words) <= 7
    if words[0] == "not" and words[1:2] == ["applicable"] and len(words) <= 5:
        return True
    own = frozenset(_FAMILY.get(asked, asked).split())
    if not set(words) <= _WORDS | own:
        return False
    if _such_an_emotion(words, own):
        return False
    head = next((i for i, word in enumerate(words) if word not in _OPENING), len(words))
    return head < len(words) and words[head] in _DENIAL


def _plain(text: str) -> list[str]:
    """Small words without brackets, stops and quotes; n't is not."""
    lower = text.lower().replace("’", "'").replace("`", "'").replace("n/a", "na").replace("can't", "can not")
    lower = re.sub(r"'ve\b", " have", re.sub(r"n't\b", " not", lower)).replace("cannot", "can not")
    return re.sub(r"[^a-z0-9' ]+", " ", lower).replace("'", "").split()


def _such_an_emotion(words: list[str], own: frozenset[str]) -> bool:
    """ "never felt such fear": a fear that was felt."""
    return any(first in ("such", "so") and second in own for first, second in pairwise(words))

"""Texts made alike: markup, Unicode form, control characters, placeholders, white space, length.

Case, punctuation, emoji and spelling are left alone: they carry emotion. Names that a corpus has masked already
("[NAME]" in GoEmotions) and what points at a person or a place ("@anna", a link, a mail address) come to one form,
"[USER]", "[URL]", ...; what stood there is kept beside the text only on request, for a release holds the record as it
is, and then `restore` gives it back.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from corpora.codecs import decode_text, encode_text
from corpora.errors import PayloadError
from features.steps import Piece, Reads, Source, Step, Steps

Limit = Annotated[int, Field(ge=1, le=1_000_000_000)]

# Elements that are found in scraped text; "<sigh>" or "<user>" is none of them and says something.
_ELEMENTS = (
    "a|abbr|b|big|blockquote|body|br|center|cite|code|del|div|em|font|h[1-6]|head|hr|html|i|img|ins|li|ol|p|pre|q|s|"
    "script|small|span|strike|strong|style|sub|sup|table|tbody|td|th|tr|tt|u|ul|video"
)
_TAG = re.compile(rf"</?(?:{_ELEMENTS})(?:\s[^<>]*)?/?>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|p|div|li|tr)\b[^<>]*>", re.IGNORECASE)
# What is looked for, in this order. A mask of the corpus comes first, so that "[URL]" stays one thing.
_KINDS: dict[str, str] = {
    "mask": r"\[(?P<mask_word>[A-Z][A-Z_ ]{1,30})\]|<(?P<mask_tag>user|url|number|email|name)>",
    "url": r"(?:https?://|www\.)[^\s<>\"]+[^\s<>\"'.,;:!?)\]]",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "user": r"(?<![\w@])@\w{1,50}",
}
_ANY = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()))
NOTE = "placeholders"  # key of `extra` under which the originals stand, a JSON list in their order
# A C1 control is a Windows-1252 character that was decoded as Latin-1 (WHATWG HTML, numeric character references);
# MELD's csv files are full of them.
_C1 = {code: bytes([code]).decode("cp1252", errors="ignore") or None for code in range(0x80, 0xA0)}


class Markup(Step):
    """Tags out (a line break becomes a space), character references (&amp;, &#39;) to what they stand for."""


class Unicode(Step):
    """One form for what looks the same."""

    form: Literal["NFC", "NFKC"] = Field(
        "NFC", description="NFKC also folds ligatures, full-width letters and superscripts: it cannot be undone."
    )


class Controls(Step):
    """Control and invisible characters out; C1 controls, which are Windows-1252 read as Latin-1, put right."""


class Placeholders(Step):
    """Links, mail addresses, @users and the corpus' own masks to one form: [URL], [EMAIL], [USER], [NAME], ..."""

    keep: bool = Field(
        False,
        description="Keep the originals in the record's `extra`, so that `restore` undoes it; a release has them.",
    )


class Whitespace(Step):
    """Every run of white space one space, none at the ends."""


class Words(Step):
    """Rejects what is left too short or too long (`too-short`, `too-long`); never cuts."""

    min_characters: Limit = Field(1, description="Fewer are a reject.")
    max_characters: Limit | None = Field(5000, description="More are a reject.")
    min_words: Limit = Field(1, description="Fewer are a reject. Words are what white space parts.")
    max_words: Limit | None = Field(None, description="More are a reject; leave it off where words are not spaced.")


class TextSteps(Steps):
    """Steps for text, in their order."""

    VERSION: ClassVar[str] = "text-1"

    markup: Markup | None = Field(default_factory=Markup, description="Tags and character references.")
    controls: Controls | None = Field(default_factory=Controls, description="Control characters.")
    unicode: Unicode | None = Field(default_factory=Unicode, description="Unicode normal form.")
    whitespace: Whitespace | None = Field(default_factory=Whitespace, description="White space.")
    placeholders: Placeholders | None = Field(default_factory=Placeholders, description="One form of masks.")
    length: Words = Field(default_factory=Words, description="Reject what is too short or too long.")


class PrepareText:
    """The `Preparation` of text: UTF-8 -> UTF-8."""

    codec = "txt"
    reads = Reads()

    def __init__(self, steps: TextSteps) -> None:
        self.steps = steps

    def __call__(self, source: Source) -> list[Piece]:
        """Raises `PayloadError`: empty, too-short, too-long, or what the decoder says."""
        steps, notes, counted = self.steps, {}, []
        text = decode_text(source.payload)
        if steps.markup is not None:
            text = without_markup(text)
        if steps.controls is not None:
            text = without_controls(text)
        if steps.unicode is not None:
            text = unicodedata.normalize(steps.unicode.form, text)
        if steps.whitespace is not None:
            text = " ".join(text.split())
        if steps.placeholders is not None:
            text, originals = with_placeholders(text)
            if originals:
                counted.append("placeholders")
                # where all were in our form already there is nothing to restore
                if steps.placeholders.keep and any(o not in text for o in originals):
                    notes[NOTE] = json.dumps(originals, ensure_ascii=False)
        _require_length(text, steps.length)
        facts = {"name": "text", "unit": "character", "rate_hz": None, "shape": [len(text)]}
        return [Piece(encode_text(text), signals=(facts,), notes=notes, counted=tuple(counted))]


def without_markup(text: str) -> str:
    """Tags out, then character references resolved once: "&lt;b&gt;" is the text "<b>" and stays.

    >>> without_markup("so <b>happy</b>!<br/>you &amp; me")
    'so happy! you & me'
    """
    return html.unescape(_TAG.sub(lambda tag: " " if _BREAK.match(tag.group()) else "", text))


def without_controls(text: str) -> str:
    """Cc (but tab and line ends), surrogates, byte-order marks and invisible format characters out, C1 put right.

    Joiners (U+200C, U+200D) stay: emoji, Persian and Indic scripts are built with them.
    """
    text = text.translate(_C1)
    return "".join(c for c in text if c in "\t\n\r\u200c\u200d" or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def with_placeholders(text: str) -> tuple[str, list[str]]:
    """-> (text with "[URL]", "[USER]", ... for what points at somebody, what stood at each of them in order).

    >>> with_placeholders("thanks @ann, see https://x.org/a. [NAME] too")
    ('thanks [USER], see [URL]. [NAME] too', ['@ann', 'https://x.org/a', '[NAME]'])
    """
    originals: list[str] = []

    def put(match: re.Match[str]) -> str:
        originals.append(match.group())
        if match.lastgroup and match["mask"]:
            return f"[{(match['mask_word'] or match['mask_tag']).strip().upper().replace(' ', '_')}]"
        return f"[{next(k for k in ('url', 'email', 'user') if match[k]).upper()}]"

    return _ANY.sub(put, text), originals


def restore(text: str, extra: Mapping[str, str]) -> str:
    """Undoes `with_placeholders` by the record's `extra`. Text without a note is returned as it is."""
    originals = iter(json.loads(extra[NOTE]) if NOTE in extra else [])
    return re.sub(r"\[[A-Z][A-Z_]{1,30}\]", lambda match: next(originals, match.group()), text)


def _require_length(text: str, limits: Words) -> None:
    words, characters = len(text.split()), len(text)
    if words < limits.min_words or characters < limits.min_characters:
        wanted = f"at least {limits.min_words} and {limits.min_characters}"
        raise PayloadError("too-short", f"{words} words, {characters} characters; {wanted}")
    for n, most, unit in ((words, limits.max_words, "words"), (characters, limits.max_characters, "characters")):
        if most is not None and n > most:
            raise PayloadError("too-long", f"{n} {unit}; at most {most}")

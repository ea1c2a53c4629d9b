"""Native ids, from file names and cells of tables, as the second part of a sample's id.

Nearly all stay as they are. An id names a sample for ever and everywhere, so it holds no blanks, control characters,
halves of surrogate pairs or path tricks, is spelled one way (NFC; macOS parts accents from letters), and is short.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from corpora.errors import PayloadError
from corpora.records.unknown import known_text

MAX_ID = 200  # bytes in UTF-8; longer ones end in 16 hex digits of their sha256
_PLAIN = re.compile(r"[!-$&-.0-~]+(?:/[!-$&-.0-~]+)*")  # ASCII that can be seen, but for %
_ODD_PARTS = re.compile(r"^/|(?<=/)/|/$|(?:(?<=/)|^)\.\.?(?=/|$)")
_SEVERAL = {"all", "both", "everyone", "everybody", "crowd", "audience", "the guys", "the girls", "her-friends"}
_JOINED = re.compile(r"\s(?:and|&)\s", re.IGNORECASE)
_ODD_KINDS = ("Z", "Cc", "Cf", "Cs")  # blanks, control and formatting characters, surrogates


def valid_id(native: str) -> str:
    """`native` with what an id may not hold as %XX of its UTF-8 (and % itself): "my file" -> "my%20file".

    Two ids stay two, upper and lower case as well, unless they differ in the spelling of accents only. Raises
    `PayloadError` bad-name: an empty one.
    """
    if not native:
        raise PayloadError("bad-name", "an empty id")
    if len(native) <= MAX_ID and _PLAIN.fullmatch(native) and not _ODD_PARTS.search(native):
        return native
    text = unicodedata.normalize("NFC", native)
    safe = "".join(
        _escaped(letter) if letter == "%" or unicodedata.category(letter).startswith(_ODD_KINDS) else letter
        for letter in text
    )
    safe = _ODD_PARTS.sub(lambda match: _escaped(match[0]), safe)
    whole = safe.encode("utf-8")
    if len(whole) <= MAX_ID:
        return safe
    return whole[: MAX_ID - 17].decode("utf-8", "ignore") + "~" + hashlib.sha256(whole).hexdigest()[:16]


def one_person(name: str) -> str | None:
    """A speaker's name, or None for what is no single person: nothing, "All", "Both", "Ross and Rachel", "#ALL#"."""
    name = known_text(name) or ""
    if not name or name.lower() in _SEVERAL or _JOINED.search(name) or (name.startswith("#") and name.endswith("#")):
        return None
    return name


def _escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def check_text(texts: Iterable[str]) -> None:
    """Raises `PayloadError` not-utf8 for halves of surrogate pairs, which JSON can hold and no table can."""
    text = "".join(texts)
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PayloadError("not-utf8", f"{text[max(0, error.start - 9) : error.start + 9]!r} is not Unicode") from None

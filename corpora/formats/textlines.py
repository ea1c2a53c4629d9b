"""Text files as lines that end in a line feed, in an encoding whose delimiters are single bytes.

UTF-16 and UTF-32 (by their mark, or by their zeros), code pages and the line ends of old Macs are turned while the file
is read, a chunk at a time. What cannot be decoded becomes a byte that no UTF-8 has, so that it costs its own row.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO

from corpora.errors import CorpusError

_CHUNK = 1 << 16
_PLAIN = ("utf-8", "utf-8-sig", "ascii", "iso8859-1")  # a quote, a delimiter or a line end is one byte and no other's
# the mark of UTF-32 begins with that of UTF-16, so it is looked for first
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_CHARACTER = "emoforge.no-character"
codecs.register_error(_NO_CHARACTER, lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]


def known_encoding(name: str) -> str:
    """Python's name of a text encoding. Raises ValueError for one that there is not."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, UnicodeError, ValueError):
        codec = None
    if codec is None or not getattr(codec, "_is_text_encoding", True):
        raise ValueError(f"no encoding {name[:40]!r}; known are utf-8, utf-16, latin-1, cp1252 and others of Python's")
    return codec.name


def open_lines(path: Path, title: str, encoding: str = "utf-8") -> tuple[IO[bytes], str]:
    """-> (the file, the encoding of what it yields). Raises `CorpusError`: cannot be read, no such encoding."""
    try:
        return as_lines(path.open("rb", buffering=_CHUNK), known_encoding(encoding))
    except OSError as error:
        raise CorpusError(f"{title}: {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CorpusError(f"{title}: {path}: {error}") from None


def as_lines(file: IO[bytes], encoding: str = "utf-8") -> tuple[IO[bytes], str]:
    """An open file, or a member of a zip -> the same or one that turns it, and the encoding of what it yields."""
    head = _peek(file)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if marked is not None:
        encoding = marked
    elif encoding in _PLAIN:
        encoding = _by_zeros(head) or encoding
    if encoding not in _PLAIN:
        decoder = codecs.getincrementaldecoder(encoding)(_NO_CHARACTER)
        file = _turned(file, lambda data, last: decoder.decode(data, last).encode("utf-8", "surrogateescape"))
        encoding, head = "utf-8", _peek(file)
    if b"\n" not in head and b"\r" in (head if len(head) < 1 << 12 else head[:-1]):
        file = _turned(file, lambda data, last: data.replace(b"\r", b"\n"))
    return file, "utf-8" if encoding == "utf-8-sig" else encoding


def _by_zeros(head: bytes) -> str | None:
    """UTF-16 without a mark: blanks, digits and delimiters have a zero, always on the same side."""
    low, high = head[::2].count(0), head[1::2].count(0)
    if low + high < max(4, len(head) // 20):
        return None
    return "utf-16-le" if high > 20 * low else "utf-16-be" if low > 20 * high else None


def _peek(file: IO[bytes]) -> bytes:
    peek = getattr(file, "peek", None)
    if peek is not None:
        head: bytes = peek(_CHUNK)
        return head[:_CHUNK]
    place = file.tell()
    head = file.read(_CHUNK)
    file.seek(place)
    return head


def _turned(file: IO[bytes], turn: Callable[[bytes, bool], bytes]) -> IO[bytes]:
    return io.BufferedReader(_Turned(file, turn), _CHUNK)  # type: ignore[type-var]


class _Turned(io.RawIOBase):
    """What `turn(chunk, is the last)` makes of a file, as a stream."""

    def __init__(self, source: IO[bytes], turn: Callable[[bytes, bool], bytes]) -> None:
        self._source, self._turn = source, turn
        self._left, self._ended = b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._left and not self._ended:
            chunk = self._source.read(_CHUNK)
            self._ended = not chunk
            self._left = self._turn(chunk, self._ended)
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

    def close(self) -> None:
        self._source.close()
        super().close()

"""What a file that is not what its name says looks like, by its first bytes, in words for a person."""

from __future__ import annotations

import re

LOOK_BYTES = 512  # of a file's beginning; more is not looked at

_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself with `git lfs pull`"),
    (b"/annex/objects", "a git-annex pointer: fetch the file itself with `git annex get`"),
    (b"\x89PNG\r\n\x1a\n", "a png picture"),
    (b"\xff\xd8\xff", "a jpeg picture"),
    (b"GIF8", "a gif picture"),
    (b"BM", "a bmp picture"),
    (b"II*\0", "a tiff picture"),
    (b"MM\0*", "a tiff picture"),
    (b"fLaC", "a flac file"),
    (b"OggS", "an ogg file"),
    (b"FORM", "an aiff file"),
    (b"ID3", "an mp3 file, or another sound behind an ID3 tag"),
    (b"#!AMR", "an amr file"),
    (b"NIST_1A", "a NIST sphere file"),
    (b"\x1aE\xdf\xa3", "a matroska or webm file"),
    (b"caff", "a Core Audio file"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "a PostScript file"),
    (b"PK\3\4", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"SQLite format 3", "a database"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
)
_PAGE = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype|html|head|body|script|title|meta|h1|p|div)\b", re.I | re.S)
_MARKUP = re.compile(rb"\s*<(?:\?xml|[A-Za-z][\w:]*[\s>/])")


def looks_like(head: bytes) -> str:
    """The first bytes of a file -> "a web page", "an mp3 file", ...; else "unknown: it begins with b'...'".

    The same bytes give the same words everywhere. Nothing is decoded.
    """
    if not head:
        return "empty"
    start = head[:LOOK_BYTES].removeprefix(b"\xef\xbb\xbf")
    if start[:4] == b"RIFF":
        return {b"WAVE": "a wav file", b"AVI ": "an avi film", b"WEBP": "a webp picture"}.get(
            start[8:12], f"a RIFF file of the kind {start[8:12]!r}"
        )
    if start[4:8] == b"ftyp":
        return "an mp4 or m4a file"
    for mark, words in _KINDS:
        if start.startswith(mark):
            return words
    if len(start) > 1 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0 and start[1] & 0x06:
        return "an mp3 file"
    if _PAGE.match(start):
        return "a web page: a download that failed, or asked for a login"
    if _MARKUP.match(start):
        return "an XML file"
    if start.lstrip()[:1] in (b"{", b"[") and start.isascii():
        return f"JSON: it begins with {start[:40]!r}"
    if not start.strip(b"\0"):
        return "nothing but zeros: a download or copy that was not finished"
    if all(byte in (9, 10, 13) or 32 <= byte < 127 for byte in start):
        return f"text: it begins with {start[:40]!r}"
    return f"unknown: it begins with {start[:12]!r}"

"""A tag in a payload's own bytes that says it is synthetic, and whose: what is left when a file leaves its release.

| codec | where | read by |
|---|---|---|
| wav | a chunk LIST INFO behind the samples: ISFT (software), ICMT (the tag) | ffprobe, exiftool, soundfile |
| png | two chunks tEXt before IEND: Software, Comment (the tag) | exiftool, Pillow's `info` |
| npz | the archive's comment (the tag) | `zipfile.ZipFile(...).comment`; `numpy.load` has the same arrays as before |
| txt | nowhere: a line of plain text has no place that is not text | the json beside it |

The tag is JSON: software, synthetic, generator_id, sample_id; nothing of time or machine, so the same sample has the
same bytes. Samples, pixels and arrays are those of before, and `without_tag` gives the bytes of before.
Sources: Microsoft & IBM, "Multimedia Programming Interface and Data Specifications 1.0" (1991), INFO list; PNG (W3C,
third edition), 11.3.3.2 tEXt; APPNOTE.TXT 4.3.16 (PKWARE), end of central directory.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from corpora.codecs import plain_wav, wav_header
from corpora.errors import PayloadError
from corpora.fingerprint import hash_bytes

SOFTWARE = "emoforge"
# codec -> where its tag stands, for a manifest; None: it has no place for one
PLACES: Mapping[str, str | None] = {
    "wav": "LIST INFO: ISFT, ICMT",
    "png": "tEXt: Software, Comment",
    "npz": "comment of the zip archive",
    "txt": None,
}
_IEND = b"\0\0\0\0IEND\xaeB`\x82"
_PNG = b"\x89PNG\r\n\x1a\n"
_EOCD = struct.Struct("<4s4H2IH")
_MOST = 1024  # bytes of a tag in any of its places


@dataclass(frozen=True, slots=True)
class Tag:
    """Whose a synthetic payload is."""

    generator_id: str
    sample_id: str

    @property
    def text(self) -> str:
        """ASCII, one text for one tag."""
        facts = {"generator_id": self.generator_id, "sample_id": self.sample_id}
        return json.dumps({"software": SOFTWARE, "synthetic": True, **facts}, sort_keys=True)


def with_tag(payload: bytes, codec: str, tag: Tag) -> bytes:
    """The payload with its tag; as it is where the codec has no place for one. One that has a tag gets another.

    Raises `PayloadError` where the bytes are none of their codec, ValueError for a codec that nobody has thought of.
    """
    if codec not in PLACES:
        raise ValueError(f"codec {codec!r}: say in corpora/tagged.py where its tag stands, or that it has none")
    if PLACES[codec] is None:
        return payload
    return _WRITE[codec](without_tag(payload), tag.text.encode("ascii"))


def tag_of(payload: bytes) -> Tag | None:
    """The tag in a payload of any codec; None where there is none of ours."""
    cut = _split(payload)
    return None if cut is None else cut[1]


def without_tag(payload: bytes) -> bytes:
    """The payload as it was before `with_tag`, to the byte (of a wav whose header was no plain one: its samples behind
    a plain header)."""
    cut = _split(payload)
    return payload if cut is None else cut[0]


def content_sha256(payload: bytes, sha256: str) -> str:
    """64 hex digits of what a payload holds, whoever it is tagged for: equal content has equal ones. `sha256`: of the
    payload as it is."""
    cut = _split(payload)
    return sha256 if cut is None else hash_bytes(cut[0])


def _split(payload: bytes) -> tuple[bytes, Tag] | None:
    """-> (the payload without its tag, the tag)."""
    if SOFTWARE.encode("ascii") not in payload[-_MOST:]:
        return None
    if payload[:4] == b"RIFF":
        cut = _split_wav(payload)
    elif payload[:8] == _PNG:
        cut = _split_png(payload)
    else:
        cut = _split_zip(payload) if payload[:2] == b"PK" else None
    tag = None if cut is None else _parsed(cut[1])
    return None if cut is None or tag is None else (cut[0], tag)


def _parsed(text: bytes) -> Tag | None:
    try:
        facts = json.loads(text)
    except ValueError:
        return None
    if not isinstance(facts, dict) or facts.get("software") != SOFTWARE or facts.get("synthetic") is not True:
        return None
    return Tag(str(facts.get("generator_id")), str(facts.get("sample_id")))


def _riff(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def _wav(payload: bytes, text: bytes) -> bytes:
    if payload[:4] != b"RIFF" or len(payload) & 1 or struct.unpack_from("<I", payload, 4)[0] != len(payload) - 8:
        payload, _ = plain_wav(payload, replace(wav_header(payload), plain=False))
    info = b"INFO" + _riff(b"ISFT", SOFTWARE.encode("ascii") + b"\0") + _riff(b"ICMT", text + b"\0")
    whole = payload + _riff(b"LIST", info)
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


def _split_wav(payload: bytes) -> tuple[bytes, bytes] | None:
    at = payload.rfind(b"LIST", max(0, len(payload) - _MOST))
    if at < 0 or at & 1 or payload[at + 8 : at + 12] != b"INFO":
        return None
    if at + 8 + struct.unpack_from("<I", payload, at + 4)[0] != len(payload):
        return None  # what ends the file is no list
    texts, place = {}, at + 12
    while place + 8 <= len(payload):
        name, size = struct.unpack_from("<4sI", payload, place)
        texts[name] = payload[place + 8 : place + 8 + size].rstrip(b"\0")
        place += 8 + size + (size & 1)
    if texts.get(b"ISFT") != SOFTWARE.encode("ascii"):
        return None
    return payload[:4] + struct.pack("<I", at - 8) + payload[8:at], texts.get(b"ICMT", b"")


def _text_chunk(keyword: str, text: bytes) -> bytes:
    body = b"tEXt" + keyword.encode("ascii") + b"\0" + text
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


_SOFTWARE_CHUNK = _text_chunk("Software", SOFTWARE.encode("ascii"))


def _png(payload: bytes, text: bytes) -> bytes:
    if payload[:8] != _PNG or payload[-12:] != _IEND:
        raise PayloadError("not-an-image", "no png that ends as one")
    return payload[:-12] + _SOFTWARE_CHUNK + _text_chunk("Comment", text) + _IEND


def _split_png(payload: bytes) -> tuple[bytes, bytes] | None:
    at = payload.rfind(_SOFTWARE_CHUNK, max(0, len(payload) - _MOST))
    behind = at + len(_SOFTWARE_CHUNK)
    if at < 0 or payload[behind + 4 : behind + 16] != b"tEXtComment\0" or payload[-12:] != _IEND:
        return None
    size = struct.unpack_from(">I", payload, behind)[0]
    if behind + 12 + size + 12 != len(payload):
        return None
    return payload[:at] + _IEND, payload[behind + 16 : behind + 8 + size]


def _npz(payload: bytes, text: bytes) -> bytes:
    if len(payload) < _EOCD.size or payload[-_EOCD.size :][:4] != b"PK\5\6" or payload[-2:] != b"\0\0":
        raise PayloadError("not-an-npz", "no zip archive that ends as one, without a comment")
    return payload[:-2] + struct.pack("<H", len(text)) + text


def _split_zip(payload: bytes) -> tuple[bytes, bytes] | None:
    at = payload.rfind(b"PK\5\6", max(0, len(payload) - _MOST))
    if at < 0 or at + _EOCD.size > len(payload):
        return None
    text = payload[at + _EOCD.size :]
    if struct.unpack_from("<H", payload, at + _EOCD.size - 2)[0] != len(text):
        return None
    return payload[: at + _EOCD.size - 2] + b"\0\0", text


_WRITE: Mapping[str, Callable[[bytes, bytes], bytes]] = {"wav": _wav, "png": _png, "npz": _npz}

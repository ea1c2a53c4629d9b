"""The header of a wav: which bytes are samples, and what they mean. Nothing is decoded here.

Read are RIFF, RIFX (big-endian), RF64 and BW64, also behind an ID3 tag. Programs that write to a pipe cannot know sizes
and leave 0, 0x7FFFF000, 0xFFFFFFFF or the like: such samples reach to the end of the file, or to the chunks and tags
that follow them (LIST, id3, bext, ...; ID3v1, APE), which never become samples. What could be read in two ways is
refused.
Sources: Microsoft & IBM, "Multimedia Programming Interface and Data Specifications 1.0" (1991); WAVEFORMATEXTENSIBLE
(Microsoft, mmreg.h); EBU Tech 3306 (RF64); id3.org.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from corpora.errors import PayloadError
from corpora.formats.looks import looks_like

PCM, FLOAT, ALAW, ULAW = 1, 3, 6, 7
_EXTENSIBLE = 0xFFFE
_NAMES = {
    PCM: "PCM",
    2: "MS ADPCM",
    FLOAT: "float",
    ALAW: "A-law",
    ULAW: "mu-law",
    0x11: "IMA ADPCM",
    0x31: "GSM 6.10",
    0x50: "MPEG",
    0x55: "MP3",
    0x161: "WMA",
    0xFF: "AAC",
}
_WIDTHS = {PCM: (1, 2, 3, 4), FLOAT: (4, 8), ALAW: (1,), ULAW: (1,)}  # bytes of one sample
_GUID = (0, 0x10, bytes.fromhex("800000aa00389b71"))  # of all sub-formats that are named by an old format tag
_UNKNOWN = 0xFFFFFFFF
_STREAMED = 0x7FFF0000  # a promise of 2 GiB and more is what writers to a pipe leave; such files are not read at all
_CHUNK_NAME = re.compile(rb"[ -~]{4}")
# what programs put behind the samples
_BEHIND = re.compile(
    rb"LIST|id3 |ID3 |bext|cue |fact|smpl|inst|JUNK|junk|PAD |FLLR|PEAK|iXML|_PMX|cart|DISP|afsp|acid|plst|note|labl|"
    rb"minf|elm1|regn|umid|axml|chna|SAUR|LGWV|levl|link|strc|Cr8r"
)
_MOST_TAGS = 8
_MOST_TRIALS = 4096  # places that look like the name of a chunk behind the samples


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What a wav says of itself. `data`: where its samples lie in the payload, in bytes.

    `bits`: of the place that a sample takes; `valid_bits`: how many of them say something, the highest ones.
    `order`: "<" or ">". `plain`: every program reads these bytes alike; else `codecs.plain_wav` writes them so.
    """

    encoding: int
    channels: int
    rate_hz: int
    bits: int
    data: slice
    valid_bits: int = 0
    order: str = "<"
    plain: bool = True

    @property
    def is_integer(self) -> bool:
        """Whether samples are whole numbers (PCM, A-law, mu-law), not floats."""
        return self.encoding != FLOAT

    @property
    def proof_bits(self) -> int | None:
        """How many bits of each place may be all that is used, where the samples must show at which end they stand:
        those that the header calls valid; 24 of 32, which nobody records in full. None: all bits are used."""
        if self.encoding != PCM:
            return None
        if self.valid_bits not in (0, self.bits):
            return self.valid_bits
        return 24 if self.bits == 32 else None

    @property
    def n_frames(self) -> int:
        """Sample frames: one sample of every channel each."""
        return (self.data.stop - self.data.start) // (self.channels * (self.bits // 8))

    @property
    def duration_s(self) -> float:
        """Length in seconds, from the bytes that are there."""
        return self.n_frames / self.rate_hz


@dataclass(frozen=True, slots=True)
class _Format:
    encoding: int
    channels: int
    rate_hz: int
    width: int  # bytes of one sample
    valid_bits: int
    plain: bool


def wav_header(payload: bytes) -> WavHeader:
    """Reads the chunks and checks that the samples which they promise are there; decodes nothing.

    Raises `PayloadError`: empty, not-a-wav, truncated, unsupported-encoding, several-data-chunks.
    """
    if not payload:
        raise PayloadError("empty", "0 bytes")
    start = _behind_id3(payload)
    kind = payload[start : start + 4]
    if kind not in (b"RIFF", b"RIFX", b"RF64", b"BW64") or payload[start + 8 : start + 12] != b"WAVE":
        raise PayloadError("not-a-wav", f"no RIFF/WAVE header; it looks like {looks_like(payload)}")
    order = ">" if kind == b"RIFX" else "<"
    plain = start == 0 and kind == b"RIFF"
    position, form, long_size = start + 12, None, 0
    chunks: list[slice] = []
    while position + 8 <= len(payload):
        name, size = struct.unpack_from(f"{order}4sI", payload, position)
        body = position + 8
        if chunks and not _CHUNK_NAME.fullmatch(name):
            break  # whatever it is, it lies behind the samples
        if name == b"fmt ":
            here = _format(payload, body, size, order)
            if form not in (None, here):
                raise PayloadError("not-a-wav", "two format chunks that differ")
            plain = plain and form is None
            form = here
        elif name == b"ds64" and size >= 16 and body + 16 <= len(payload):
            long_size = struct.unpack_from(f"{order}Q", payload, body + 8)[0]
        elif name == b"LIST" and payload[body : body + 4] == b"wavl":
            raise PayloadError("unsupported-encoding", "a list of waves and silences (wavl); save it as one wave")
        elif name == b"data":
            if form is None:
                raise PayloadError("not-a-wav", "samples before the format chunk")
            promised = long_size if size == _UNKNOWN and kind in (b"RF64", b"BW64") else size
            end = _end_of_samples(payload, body, promised, order, form.channels * form.width)
            chunks.append(slice(body, end))
            plain = plain and size == end - body
            size = end - body
        position, padded = _next(payload, body, size)
        plain = plain and (padded or bool(chunks))
    if form is None or not chunks:
        raise PayloadError("truncated", "the file ends before its samples begin")
    return _whole(form, chunks, order, plain and struct.unpack_from("<I", payload, 4)[0] + 8 >= chunks[0].stop)


def _whole(form: _Format, chunks: list[slice], order: str, plain: bool) -> WavHeader:
    full = [part for part in chunks if part.stop > part.start]
    if len(full) > 1:
        sizes = ", ".join(str(part.stop - part.start) for part in full[:9])
        raise PayloadError(
            "several-data-chunks",
            f"{len(full)} of {sizes} bytes; a wav has one, and it is not known which is the sound",
        )
    data = (full or chunks)[0]
    header = WavHeader(
        form.encoding,
        form.channels,
        form.rate_hz,
        8 * form.width,
        data,
        form.valid_bits,
        order,
        plain and form.plain and len(chunks) == 1,
    )
    if header.n_frames == 0:
        raise PayloadError("empty", "a header without samples")
    return header


def _format(payload: bytes, body: int, size: int, order: str) -> _Format:
    """The format chunk. Raises `PayloadError`."""
    if size < 16 or body + 16 > len(payload):
        raise PayloadError("truncated", "the format chunk is cut off")
    tag, channels, rate_hz, _, align, bits = struct.unpack_from(f"{order}HHIIHH", payload, body)
    valid, extended = bits, tag == _EXTENSIBLE and size >= 40 and body + 40 <= len(payload)
    if extended:
        valid = struct.unpack_from(f"{order}H", payload, body + 18)[0] or bits
        tag, *rest = struct.unpack_from(f"{order}IHH8s", payload, body + 24)
        if tuple(rest) != _GUID:
            raise PayloadError(
                "unsupported-encoding", f"extensible sub-format {payload[body + 24 : body + 40].hex()} is not known"
            )
    if channels == 0 or rate_hz == 0:
        raise PayloadError("not-a-wav", f"{channels} channels at {rate_hz} Hz")
    width = (bits + 7) // 8
    whole = bits % 8 == 0 or (tag == PCM and not extended)  # "12 bits" stand in two bytes
    if width not in _WIDTHS.get(tag, ()) or not whole or not 8 <= valid <= bits:
        raise PayloadError(
            "unsupported-encoding",
            f"wav format tag {tag} ({_NAMES.get(tag, 'unknown')}) with {bits} bits, {valid} of them valid; "
            "read are PCM, float, A-law and mu-law",
        )
    if align not in (0, channels * width):
        raise PayloadError(
            "not-a-wav",
            f"frames of {align} bytes (block align); {channels} channel(s) of {bits} bits need {channels * width}",
        )
    return _Format(tag, channels, rate_hz, width, valid, align != 0 and bits % 8 == 0)


def _behind_id3(payload: bytes) -> int:
    """Where the file begins behind ID3v2 tags (id3.org, ID3v2.4 3.1: four times seven bits of size), else 0."""
    at = 0
    while payload[at : at + 3] == b"ID3" and at + 10 <= len(payload) and max(payload[at + 6 : at + 10]) < 128:
        a, b, c, d = payload[at + 6 : at + 10]
        at += 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if payload[at + 5] & 0x10 else 0)
    return at if payload[at : at + 4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") else 0


def _next(payload: bytes, body: int, size: int) -> tuple[int, bool]:
    """Where the next chunk begins, and whether an odd one was padded, as it must be and is not always."""
    after = body + size
    if size & 1 == 0:
        return after, True
    bare = payload[after : after + 1] not in (b"", b"\0") and _CHUNK_NAME.fullmatch(payload[after : after + 4])
    return (after, False) if bare else (after + 1, True)


def _end_of_samples(payload: bytes, body: int, promised: int, order: str, frame: int) -> int:
    """Raises `PayloadError` truncated where fewer bytes follow than the header promises."""
    left = len(payload) - body
    if 0 < promised <= left:
        return body + promised
    if 0 < promised < _STREAMED:
        raise PayloadError("truncated", f"the header promises {promised} bytes of samples, {left} follow")
    ends = list(_ends(payload, body))
    if promised == 0 and any(_fits(payload, body, end, order, set()) for end in ends):
        return body  # an empty chunk, and others behind it
    for end in ends:
        failed: set[int] = set()
        for match in islice(_BEHIND.finditer(payload, body, end), _MOST_TRIALS):
            if _fits(payload, match.start(), end, order, failed):
                begin = match.start()
                padded = frame == 1 and begin > body and payload[begin - 1] == 0  # of 8 bits, 0 is no level but -1
                return begin - 1 if padded else begin
    return ends[-1]


def _ends(payload: bytes, body: int) -> Iterator[int]:
    """The end of the file, and the beginnings of the ID3v1, APEv2 and ID3v2 tags before it, from the last one on."""
    end = len(payload)
    for _ in range(_MOST_TAGS):
        yield end
        if end - body >= 128 and payload[end - 128 : end - 125] == b"TAG":
            end -= 128
        elif end - body >= 32 and payload[end - 32 : end - 24] == b"APETAGEX":
            size, _, flags = struct.unpack_from("<III", payload, end - 20)
            size += 32 if flags >> 31 else 0
            if not 32 <= size <= end - body:
                return
            end -= size
        else:
            at = payload.rfind(b"ID3", max(body, end - (1 << 20)), end)
            sizes = payload[at + 6 : at + 10] if at >= 0 else b""
            if len(sizes) < 4 or max(sizes) > 127 or at + 10 + int("".join(f"{b:07b}" for b in sizes), 2) != end:
                return
            end = at


def _fits(payload: bytes, at: int, end: int, order: str, failed: set[int]) -> bool:
    """Whether chunks follow one another from `at` and end at `end`. `failed`: places from which they do not."""
    seen = []
    while at + 8 <= end and at not in failed and _CHUNK_NAME.fullmatch(payload, at, at + 4):
        seen.append(at)
        size = struct.unpack_from(f"{order}I", payload, at + 4)[0]
        at = _next(payload, at + 8, size)[0]
        if at in (end, end + 1):
            return True
    failed.update(seen)
    return False

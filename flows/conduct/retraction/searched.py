"""The audit after a purge: whether any file of a place still holds a payload, its hash, or a hashed id, by content.

Tars are searched member by member, tables by their columns, everything else as a file and for hashes in its text. What
a file says is believed, not its name. The lists of data/readers hold the hashes on purpose, and are passed over.
"""

from __future__ import annotations

import html
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from corpora.fingerprint import hash_bytes
from flows.stages.ingest.retracted import Of, retraction_key

_HEX = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_IDS: Mapping[str, Of] = {
    "sample_id": "sample",
    "recording_id": "sample",
    "used": "sample",
    "thing": "sample",
    "subject_id": "subject",
}
# what stands in quotes, or between tags, and may be an id; looked at from every quote, since what is open is not known
_QUOTED = re.compile(rb'"(?=((?:[^"\\\x00-\x1f]|\\.){3,300})")')
_BETWEEN_TAGS = re.compile(rb">(?=([^<>\x00-\x1f]{3,300})<)")
_ITEM = b"emoforge-item-1 "  # flows/engine/store.py: a header line, then the bytes
_HEAD = 512


@dataclass(frozen=True, slots=True)
class Sought:
    """hashes: sha256 of payloads; keys: hashed ids (`retraction_key`)."""

    hashes: frozenset[str]
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Hit:
    """Where something is left. how: "payload", "hash" or "id"."""

    place: str
    file: str
    how: str


def hits(place: str, file: str, data: bytes, sought: Sought) -> Iterator[Hit]:
    """What a file still holds, each kind once."""
    for how in sorted(set(_found(data, sought))):
        yield Hit(place, file, how)


def _found(data: bytes, sought: Sought) -> Iterator[str]:
    if hash_bytes(data) in sought.hashes:
        yield "payload"
    if data.startswith(_ITEM):
        data = data[data.find(b"\n") + 1 :]
    if data[:4] == b"PAR1":
        yield from _in_table(data, sought)
    elif len(data) >= _HEAD and data[257:262] == b"ustar":
        yield from _in_tar(data, sought)
    elif not _is_reader(data):
        if any(m.group().decode() in sought.hashes for m in _HEX.finditer(data)):
            yield "hash"
        if data[:512].lstrip()[:1] in (b"{", b"[", b"<") and _names_one(data, sought):
            yield "id"


def _names_one(data: bytes, sought: Sought) -> bool:
    """Whether a page or JSON names a retracted sample or subject: a copy of a report shows them, with no hash of it."""
    quoted = {m.group(1) for m in _QUOTED.finditer(data)}
    between = {m.group(1) for m in _BETWEEN_TAGS.finditer(data)} if data[:512].lstrip()[:1] == b"<" else set()
    names = {html.unescape(text.decode("utf-8", "replace")).strip() for text in between}
    for text in quoted:
        with suppress(ValueError):
            names.add(json.loads(b'"' + text + b'"'))
    kinds: tuple[Of, ...] = ("sample", "subject")
    asked = (name for name in names if ":" in name or "/" in name)  # as every id has it, behind its corpus
    return any(retraction_key(of, name) in sought.keys for name in asked for of in kinds)


def _is_reader(data: bytes) -> bool:
    """Whether it is a file of data/readers, whose list of what never comes in is how a retraction holds."""
    if data[:1] != b"{" or b'"retracted"' not in data:
        return False
    try:
        content = json.loads(data)
    except ValueError:
        return False
    return isinstance(content, dict) and {"reader", "code", "retracted"} <= content.keys()


def _in_tar(data: bytes, sought: Sought) -> Iterator[str]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    yield from _found(file.read(), sought)
    except tarfile.TarError:  # cut short: its first members were looked at
        if any(m.group().decode() in sought.hashes for m in _HEX.finditer(data)):
            yield "hash"


def _in_table(data: bytes, sought: Sought) -> Iterator[str]:
    try:
        table = pq.read_table(pa.BufferReader(data))
    except pa.ArrowInvalid:
        return
    texts = {f.name: table[f.name].unique().to_pylist() for f in table.schema if pa.types.is_string(f.type)}
    if any(sought.hashes & set(texts.get(name, ())) for name in ("sha256", "first", "second")):
        yield "hash"
    for name, of in _IDS.items():
        if any(v is not None and retraction_key(of, v) in sought.keys for v in texts.get(name, ())):
            yield "id"

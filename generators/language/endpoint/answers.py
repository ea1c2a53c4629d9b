"""What an answer must be: JSON of the schema, with one line or one class in it.

Schemas are kept to what strict servers know: objects, strings, enums, no further keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from corpora.errors import PayloadError
from generators.language.endpoint.cache import Reply

TEXT_SCHEMA: dict[str, Any] = {
    "title": "line",
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)


def label_schema(classes: Sequence[str]) -> dict[str, Any]:
    """Of the annotator's answer: one of the classes."""
    return {
        "title": "annotation",
        "type": "object",
        "properties": {"label": {"type": "string", "enum": list(classes)}},
        "required": ["label"],
        "additionalProperties": False,
    }


def text_of(reply: Reply, longest: int) -> str:
    """The line of a writer's answer, white space at its ends and line breaks removed.

    longest: bytes of UTF-8 that it may have. Raises `PayloadError` (reason): refused, cut-off, not-json, wrong-schema,
    empty, too-long.
    """
    text = _field(reply, "text")
    line = " ".join(text.split())
    if not line or not any(c.isprintable() and not c.isspace() for c in line):
        raise PayloadError("empty", "the answer holds no line")
    size = len(line.encode("utf-8", "surrogatepass"))
    if size > longest:
        raise PayloadError("too-long", f"{size} bytes of UTF-8; the representation holds {longest}")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in line):
        raise PayloadError("wrong-schema", "half of a surrogate pair is no character")
    return line


def label_of(reply: Reply, classes: Sequence[str]) -> str:
    """The class of an annotator's answer. Raises `PayloadError` as `text_of` does; wrong-schema for no class."""
    label = _field(reply, "label")
    if label not in classes:
        raise PayloadError("wrong-schema", f"label {label[:40]!r} is none of the classes")
    return label


def _field(reply: Reply, name: str) -> str:
    if reply.finish in ("refusal", "content_filter"):
        raise PayloadError("refused", f"the model does not answer ({reply.finish})")
    if reply.finish == "length":
        raise PayloadError("cut-off", "the answer is longer than max_tokens")
    text = reply.content.strip()
    fenced = _FENCE.match(text)
    try:
        whole = json.loads(fenced[1] if fenced else text)
    except ValueError:
        raise PayloadError("not-json", f"the answer of {len(text)} characters is no JSON") from None
    if not isinstance(whole, dict) or set(whole) != {name} or not isinstance(whole[name], str):
        raise PayloadError("wrong-schema", f'the answer is not {{"{name}": a string}}')
    return str(whole[name])

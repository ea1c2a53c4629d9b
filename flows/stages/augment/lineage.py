"""What a generator that asks somebody else says of its samples, as a table: from the work store to the release."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from corpora.schema import LINEAGE
from flows.stages.augment.candidates import Candidate

_AS_THEY_ARE = ("url", "model", "answered_by", "requests", "attempts", "tokens_in", "tokens_out", "money")
_BESIDE = ("prompts", "annotator")


def lineage_table(candidates: Sequence[Candidate]) -> pa.Table | None:
    """LINEAGE, a row for each candidate of a generator that has something to say; None of the other generators."""
    rows = [row_of(c.sample_id, c.lineage) for c in candidates if c.lineage is not None]
    return pa.Table.from_pylist(rows, schema=LINEAGE) if rows else None


def row_of(sample_id: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`Lineage.facts` -> a row of LINEAGE; names without a column of their own are kept together in `facts`."""
    annotator = facts.get("annotator") or {}
    others = {name: value for name, value in facts.items() if name not in (*_AS_THEY_ARE, *_BESIDE)}
    return {
        "sample_id": sample_id,
        **{name: facts.get(name) for name in _AS_THEY_ARE},
        "prompts": [_json(messages) for messages in facts.get("prompts", ())],
        "annotator": annotator.get("model"),
        "label": annotator.get("label") or None,
        "facts": _json(others) if others else None,
    }


def _json(value: Any) -> str:
    """One line, one text for one value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)

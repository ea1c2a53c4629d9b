"""What a birth certificate says of a sample, whoever writes it: `emoforge trace` from a release, the report from a run.

Rows of SAMPLES and SCORES in, typed facts out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

# columns of SAMPLES that a certificate tells, where they are not null
FACTS = (
    *("corpus", "modality", "part", "recording_id", "subject_id", "group_id", "emotion", "intensity", "language"),
    *("sha256", "seed", "weight", "license", "consent", "shard", "offset", "n_bytes"),
)


@dataclass(frozen=True, slots=True)
class Passed:
    """What a gate said of a sample. margin: how far within its limit, negative beyond it; None where there is none."""

    gate: str
    value: float | None
    limit: float | None
    margin: float | None
    passed: bool
    reason: str | None
    judge: str | None


def facts_of(row: Mapping[str, Any]) -> dict[str, JsonValue]:
    """A row of SAMPLES -> what of it a certificate tells."""
    return {name: row[name] for name in FACTS if row[name] is not None}


def passed_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Passed, ...]:
    """Rows of SCORES of one sample -> what each gate said, in their order."""
    return tuple(
        Passed(row["gate"], row["value"], row["limit"], margin(row), row["passed"], row["reason"], row["judge"])
        for row in rows
    )


def margin(row: Mapping[str, Any]) -> float | None:
    """How far the value of a row of SCORES is within its limit (positive) or beyond it; None where either is missing
    or not a number."""
    value, limit = row["value"], row["limit"]
    if value is None or limit is None or value != value or limit != limit:
        return None
    return abs(value - limit) if row["passed"] else -abs(value - limit)

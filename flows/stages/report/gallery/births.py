"""Birth certificates of the samples on the page, from the run's folder: what `emoforge trace` tells of a release.

Rejected candidates have one too, which are in no release.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from flows.artifacts.certified import Passed, facts_of, passed_of
from flows.stages.report.data import RunFolder
from flows.stages.report.gallery.space import Near
from flows.stages.report.samples import Kind

_PLACES = ("shard", "offset", "n_bytes", "modality", "part")  # facts that the page has no use for


@dataclass(frozen=True, slots=True)
class Parent:
    """A real sample that a synthetic one started from; subject, emotion: None where they are not known."""

    role: str
    sample_id: str
    subject: str | None
    emotion: str | None


@dataclass(frozen=True, slots=True)
class Birth:
    """facts: of the index. generator_id: None of a real sample. draw: what was asked for as JSON, list_key: the draws
    that were made in one batch with it; None where they were not kept. near: the nearest real train samples."""

    sample_id: str
    kind: Kind
    emotion: str | None
    facts: Mapping[str, JsonValue]
    generator_id: str | None
    generator: str | None
    draw: str | None
    list_key: str | None
    parents: Sequence[Parent]
    gates: Sequence[Passed]
    near: Sequence[Near]

    @property
    def passed(self) -> bool:
        """No gate rejects it."""
        return all(gate.passed for gate in self.gates)


def births(data: RunFolder, kinds: Mapping[str, Kind], near: Mapping[str, Sequence[Near]]) -> dict[str, Birth]:
    """kinds: id of a sample on the page -> what it is. -> its certificate by id."""
    tables = {"real": data.samples, "synthetic": data.synthetic, "rejected": data.rejected}
    rows = {
        kind: _by_id(table, [i for i, of in kinds.items() if of == kind]) if table is not None else {}
        for kind, table in tables.items()
    }
    drawn = {"synthetic", "rejected"}
    parents = {one["id"] for kind in drawn for row in rows[kind].values() for one in row["sources"] or ()}
    parents |= {i for kind in drawn for row in rows[kind].values() for i in row["source_ids"] or ()}
    real = _by_id(data.samples, parents)
    wanted = [i for i, kind in kinds.items() if kind in drawn]
    scores = _grouped(data.scores, wanted)
    draws = _grouped(data.draws, wanted)
    name = data.drawn_by.generator if data.drawn_by else None
    return {
        sample: _birth(rows[kind][sample], kind, real, scores.get(sample, []), draws.get(sample, []), name, near)
        for sample, kind in kinds.items()
        if sample in rows[kind]
    }


def _birth(
    row: Mapping[str, Any],
    kind: Kind,
    real: Mapping[str, Mapping[str, Any]],
    scores: Sequence[Mapping[str, Any]],
    draws: Sequence[Mapping[str, Any]],
    generator: str | None,
    near: Mapping[str, Sequence[Near]],
) -> Birth:
    started = [(one["role"], one["id"]) for one in row["sources"] or ()]
    started = started or [("from", i) for i in row["source_ids"] or ()]
    return Birth(
        sample_id=row["sample_id"],
        kind=kind,
        emotion=row["emotion"],
        facts={k: v for k, v in facts_of(row).items() if k not in _PLACES},
        generator_id=row["generator_id"],
        generator=generator if row["generator_id"] else None,
        draw=draws[0]["draw"] if draws else None,
        list_key=draws[0]["list"] if draws else None,
        parents=tuple(
            Parent(role, i, real.get(i, {}).get("subject_id"), real.get(i, {}).get("emotion")) for role, i in started
        ),
        gates=passed_of(scores),
        near=near.get(row["sample_id"], ()),
    )


def _by_id(table: pa.Table, ids: Collection[str]) -> dict[str, Mapping[str, Any]]:
    return {row["sample_id"]: row for row in _of(table, ids).to_pylist()}


def _grouped(table: pa.Table | None, ids: Collection[str]) -> dict[str, list[Mapping[str, Any]]]:
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for row in _of(table, ids).to_pylist() if table is not None else ():
        grouped.setdefault(row["sample_id"], []).append(row)
    return grouped


def _of(table: pa.Table, ids: Collection[str]) -> pa.Table:
    return table.filter(pc.is_in(table["sample_id"], value_set=pa.array(sorted(ids), pa.string())))

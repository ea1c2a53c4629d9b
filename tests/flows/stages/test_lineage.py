"""The edges that the release stage writes, of stand-ins of known content: every fact once, and none made up."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from corpora.schema import LINEAGE, SAMPLES, SCORES, VERDICTS
from flows.artifacts.augmented import DRAWS, DrawnBy
from flows.stages.lineage import lineage_table


def table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


def sample(name: str, **facts: Any) -> dict[str, Any]:
    return {"sample_id": name, "subject_id": None, "generator_id": None, "sources": None} | facts


def stand_ins() -> tuple[Any, Any]:
    loose = pa.schema([field.with_nullable(True) for field in SAMPLES])
    real = [sample("c/1", subject_id="c:s1"), sample("c/2")]
    made = [sample("syn/g/k", generator_id="g", subject_id="c:s1", sources=[{"role": "from", "id": "c/1"}])]
    draws = [
        {"list": "ab", "row": at, "sample_id": name, "draw": json.dumps({"seed": at})}
        for at, name in enumerate(("syn/g/j", "syn/g/k"))
    ]
    score = {
        "sample_id": "syn/g/k",
        "emotion": "fear",
        "round": 1,
        "gate": "agreement",
        "passed": True,
        "judge": "hog:1",
    }
    by = DrawnBy(generator_id="g", generator="transfer", weights="aa", params="bb", code="cc", loads={"/m": "dd"})
    prepared = SimpleNamespace(
        index=lambda: table(real, loose), encoded_ids=lambda: ["c/1"], seen_by_gates=lambda: ["c/1", "c/2"]
    )
    augmented = SimpleNamespace(
        index=lambda: table(made, loose),
        draws=lambda: table(draws, DRAWS),
        drawn_by=lambda: by,
        scores=lambda: table([score, score], SCORES),
    )
    return prepared, augmented


def test_every_edge_once_and_none_made_up() -> None:
    found = lineage_table(*stand_ins(), VERDICTS.empty_table())
    assert found.schema == LINEAGE
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("c/1", "subject:c:s1", "subject"),
        ("syn/g/k", "subject:c:s1", "subject"),
        ("syn/g/k", "generator:g", "generator"),
        ("syn/g/k", "c/1", "source:from"),
        ("syn/g/k", "list:ab", "list"),
        ("list:ab", '{"seed": 0}', "draw:0"),
        ("list:ab", '{"seed": 1}', "draw:1"),
        ("generator:g", "transfer", "name"),
        ("generator:g", "weights:aa", "weights"),
        ("generator:g", "params:bb", "params"),
        ("generator:g", "code:cc", "code"),
        ("generator:g", "dd /m", "loads"),
        ("generator:g", "c/1", "fitted on"),
        ("judges", "c/1", "learned from"),
        ("judges", "c/2", "learned from"),
        ("gate:agreement", "hog:1", "judge"),
    ]


def test_of_real_samples_alone_people_and_judges_are_all_there_is() -> None:
    prepared, augmented = stand_ins()
    nothing = SimpleNamespace(
        index=lambda: augmented.index().slice(0, 0),
        draws=lambda: DRAWS.empty_table(),
        drawn_by=lambda: None,
        scores=lambda: SCORES.empty_table(),
    )
    found = lineage_table(prepared, nothing, VERDICTS.empty_table())
    assert set(found["role"].to_pylist()) == {"subject", "learned from"}

"""Where candidates are accepted: known counts, by rounds and by whom they started from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpora.schema import SAMPLES, SCORES
from flows.artifacts.augmented import DRAWS, RoundTally
from flows.stages.report import acceptance as page
from flows.stages.report.acceptance import acceptance, rounds_figure
from flows.stages.report.data import RunFolder, read_run
from tests.flows.stages.report.report_run import make_run
from validators.maths.intervals import wilson_interval

PEOPLE = [("r0", "female", "c:1"), ("r1", "female", "c:2"), ("r2", "male", "c:3")]
CANDIDATES = [  # source, passes agreement, passes copies
    *(("r0", True, True),) * 3,
    *(("r1", False, True),) * 2,
    *(("r2", True, False),) * 4,
    ("r2", True, True),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = make_run(tmp_path_factory.mktemp("faces"))
    whole = read_run(run, run.parent.parent / "corpora")
    base = whole.samples.slice(0, 1).to_pylist()[0]
    real = [base | {"sample_id": s, "gender": gender, "subject_id": who} for s, gender, who in PEOPLE]
    scores: list[dict[str, Any]] = []
    draws: list[dict[str, Any]] = []
    for i, (source, agreed, apart) in enumerate(CANDIDATES):
        for gate, passed in (("agreement", agreed), ("copies", apart)):
            row = {"sample_id": f"s{i}", "emotion": "fear", "round": 1, "gate": gate, "passed": passed}
            scores.append(row)
        draw = json.dumps({"emotion": "fear", "seed": i, "sources": {"from": source}, "v": 1})
        draws.append({"list": "l", "row": i, "sample_id": f"s{i}", "draw": draw})
    draws.append({**draws[-1], "sample_id": "never scored"})
    return dataclasses.replace(
        whole,
        samples=pa.Table.from_pylist(real, schema=SAMPLES),
        scores=pa.Table.from_pylist(scores, schema=SCORES),
        draws=pa.Table.from_pylist(draws, schema=DRAWS),
    )


def test_slices_count_candidates_by_their_source(data: RunFolder) -> None:
    said = acceptance(data)
    assert (said.known, said.candidates) == (10, 10)
    by = {slices.by: {row.name: row for row in slices.rows} for slices in said.slices}
    assert set(by) == {"gender", "subject"}, "corpus and language are the same of all"
    female, male = by["gender"]["female"], by["gender"]["male"]
    assert (female.candidates, female.accepted, female.agreed) == (5, 3, pytest.approx(0.6))
    assert (male.candidates, male.accepted, male.agreed) == (5, 1, 1.0)
    assert (female.low, female.high) == wilson_interval(3, 5)
    assert {name: row.accepted for name, row in by["subject"].items()} == {"c:1": 3, "c:2": 0, "c:3": 1}


def test_nothing_is_sliced_where_nobody_is_known(data: RunFolder) -> None:
    said = acceptance(dataclasses.replace(data, draws=None))
    assert not said.slices and said.known == 0 and said.candidates == 10
    none = acceptance(dataclasses.replace(data, draws=None, scores=None, balance=None))
    assert not none.slices and none.candidates == 0 and none.figure is None


def test_rounds_are_a_figure_where_there_are_several(tmp_path: Path) -> None:
    def tally(number: int, emotion: str, accepted: int) -> RoundTally:
        return RoundTally(round=number, emotion=emotion, candidates=10, accepted=accepted)

    assert rounds_figure([tally(1, "fear", 3)]) is None
    figure = rounds_figure([tally(1, "fear", 3), tally(2, "fear", 1), tally(1, "anger", 9)])
    assert figure is not None and "fear" in figure and "anger" in figure and "rounds" in figure


def test_sources_are_gathered_once_whatever_the_corpus_holds(data: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gathered for each real sample, they took half a minute of the page of 40,000."""
    gathered: list[int] = []

    def counted(values: Iterable[str]) -> set[str]:
        gathered.append(1)
        return set(values)

    monkeypatch.setattr(page, "set", counted, raising=False)
    acceptance(data)
    once = len(gathered)
    acceptance(dataclasses.replace(data, samples=pa.concat_tables([data.samples] * 50)))
    assert len(gathered) == 2 * once

"""Labels of a prepared run that judges doubt, with the samples behind them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from corpora.params import parse
from corpora.schema import Signal
from corpora.store.shards import read_payload
from flows.artifacts.prepared import Prepared, Summary
from flows.audits.page import Budget, page_of, shown_sample
from flows.stages.augment.batches import batch_from_table
from flows.stages.augment.gating import form_of
from flows.stages.report.report import MAX_MEDIA_CHARACTERS, SHEETS
from flows.stages.report.samples import Shown
from validators.gates.agreement import JudgeParams
from validators.trials.doubts import Doubt, Doubts, doubted_labels

MAX_SHOWN = 100  # of the most doubted labels


@dataclass(frozen=True, slots=True)
class RunDoubts:
    """Doubts over every split of a run. split_of: sample id -> split."""

    run: str
    doubts: Doubts
    prepared: Prepared
    summary: Summary
    split_of: dict[str, str]


@dataclass(frozen=True, slots=True)
class ShownDoubt:
    """A row of the page."""

    doubt: Doubt
    split: str
    shown: Shown


def run_doubts(run: str, prepared: Prepared, *, judge: str, seed: int) -> RunDoubts:
    """All real samples of a prepared run, whatever their split: judges of each learned from other groups of it. Of rows
    of features, the rows. `judge`: as of the gate `agreement`.

    Raises `ParamsError` for another judge, `UserError` (validators/trials/doubts.py), `IntegrityError`.
    """
    summary = prepared.summary()
    form = form_of(summary)
    table = prepared.coded() if form.layout == "vector" else prepared.index()
    batch = batch_from_table(prepared.path, table, form)
    params = parse(JudgeParams, {"judge": judge}, "judges")
    doubts = doubted_labels(batch, summary.classes, seed=seed, params=params)
    return RunDoubts(run, doubts, prepared, summary, prepared.split_of())


def doubts_page(of: RunDoubts) -> str:
    """The most doubted labels, each beside its picture, sound, text or curve: one HTML page."""
    index: pa.Table = of.prepared.index()
    row_of = {own: i for i, own in enumerate(index["sample_id"].to_pylist())}
    budget = Budget(MAX_MEDIA_CHARACTERS)
    shown: list[ShownDoubt] = []
    for doubt in of.doubts.rows[:MAX_SHOWN]:
        row = index.slice(row_of[doubt.sample_id], 1).to_pylist()[0]
        signals = [Signal.from_row(one) for one in row["signals"] or ()]
        sample = shown_sample(read_payload(Path(of.prepared.path), row), row["codec"], signals, doubt.sample_id)
        if not budget.takes(sample.medium):
            break
        shown.append(ShownDoubt(doubt, of.split_of.get(doubt.sample_id, ""), sample))
    return page_of(
        "labels.html.j2",
        run=of.run,
        doubts=of.doubts,
        issues=sum(doubt.issue for doubt in of.doubts.rows),
        shown=shown,
        kind=SHEETS[of.summary.modality],
    )

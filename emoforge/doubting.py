"""`emoforge labels`: the labels of a run that judges doubt, as a table, CSV, JSON and a page."""

from __future__ import annotations

import csv as tables
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from corpora.errors import UserError
from corpora.store.atomic import write_text
from emoforge import console
from flows.artifacts.prepared import Prepared
from flows.audits.labels import RunDoubts, doubts_page, run_doubts
from flows.paths import Layout

_SHOWN = 20  # that the terminal shows
_COLUMNS = ("rank", "sample_id", "split", "given", "answer", "quality", "answer_p", "issue")


def show_doubts(
    run: str, repo: Path, *, judge: str, csv: Path | None, html: Path | None, seed: int, as_json: bool
) -> None:
    """Prints the most doubted labels of a prepared run; `csv` and `html` are written whole. Raises `UserError`
    where the run has not been prepared or nothing can be judged, `ParamsError` for a judge that there is not."""
    folder = Layout(repo).run(run) / "prepared"
    if not folder.is_dir():
        raise UserError(f"run {run} has not been prepared: emoforge run {run}")
    of = run_doubts(run, Prepared.open(folder), judge=judge, seed=seed)
    rows = _rows(of)
    if csv is not None:
        write_text(csv, _csv(rows))
    if html is not None:
        write_text(html, doubts_page(of))
    if as_json:
        console.print_json(_json(of, rows))
        return
    issues = sum(doubt.issue for doubt in of.doubts.rows)
    title = f"{run}: {issues} of {len(rows)} labels look wrong to judges who learned from other groups"
    shown = [[_cell(row[name]) for name in _COLUMNS] for row in rows[:_SHOWN]]
    console.table(title, _COLUMNS, shown, right=("rank", "quality", "answer_p"))
    for name, why in of.doubts.not_judged.items():
        console.out.print(f"Not judged: {name} {why}", markup=False)
    for name, why in of.doubts.unsure.items():
        console.out.print(f"Doubts about {name} are worth little: {why}", markup=False)
    if of.doubts.skipped:
        console.out.print(f"Left out: {of.doubts.skipped} samples without a label of the run, or not usable")
    console.out.print(
        f"Judges: {of.doubts.judges}; {of.doubts.groups} groups; their first choice is the given label in "
        f"{100 * of.doubts.agreed:.0f} % of samples. The less they agree, the less a doubt says. Nothing was dropped.",
        markup=False,
    )
    for path in (csv, html):
        if path is not None:
            console.out.print(f"Written: {path}", markup=False)


def _rows(of: RunDoubts) -> list[dict[str, Any]]:
    rows = []
    for doubt in of.doubts.rows:
        row = asdict(doubt) | {"split": of.split_of.get(doubt.sample_id, "")}
        row |= {name: round(row[name], 6) for name in ("quality", "answer_p")}
        rows.append({name: row[name] for name in _COLUMNS})
    return rows


def _csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = tables.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _json(of: RunDoubts, rows: list[dict[str, Any]]) -> dict[str, Any]:
    doubts = of.doubts
    facts: dict[str, Any] = {
        "run": of.run,
        "judges": doubts.judges,
        "groups": doubts.groups,
        "agreed": round(doubts.agreed, 6),
    }
    facts |= {"classes": list(doubts.classes)}
    left_out = {"not_judged": doubts.not_judged, "unsure": doubts.unsure, "skipped": doubts.skipped}
    return facts | left_out | {"labels": rows}


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "looks wrong" if value else ""
    return f"{value:.3f}" if isinstance(value, float) else value

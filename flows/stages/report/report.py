"""The stage `report`: one HTML page that shows what a run made, and how far to trust it.

The page is self-contained (no network, works without JavaScript, light and dark) and the same for the same run folder.
It reads files only, decides nothing, and nothing depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from corpora.store.atomic import write_json, write_text
from flows.params import Machine
from flows.paths import Layout
from flows.stages.plan.plans import Plan
from flows.stages.report import figures
from flows.stages.report.data import CorpusFolder, RunFolder, read_run
from flows.stages.report.profiles import profile_corpus
from flows.stages.report.provenance import provenance
from flows.stages.report.samples import before_and_after, chosen_media
from flows.stages.report.tables import (
    conditions_table,
    conflict_tables,
    cost_table,
    findings_table,
    gate_table,
    histograms,
    preparation,
    provenance_rows,
    quality_summary,
    rejects_by_reason,
    selftest_table,
    unknown_labels,
    uplift_rows,
    uplift_words,
)
from flows.stages.report.text import interval, number, percent, short

SHEETS = {"speech": "voices", "face": "faces", "text": "texts", "physio": "curves"}  # modality -> class in report.css
TEMPLATES = Path(__file__).parent / "templates"
MAX_MEDIA_CHARACTERS = 10_000_000  # pictures and sounds; the page as a whole stays below 15 MB
FEW_GROUPS = 10  # below, an interval over groups is said to be rough
LISTED_SAMPLES = 200  # rows of the table of provenance


def run(plan: Plan, layout: Layout, machine: Machine) -> None:
    """Writes data/runs/<run>/report.html, and provenance.json beside it."""
    folder = layout.run(plan.run)
    write_json(folder / "provenance.json", provenance(plan, layout))
    write_report(folder, layout.corpus(plan.run).parent, folder / "report.html", generated=None)


def write_report(run_folder: Path, corpora_folder: Path, target: Path, *, generated: str | None) -> None:
    """Writes the report of data/runs/<run> to the file `target`, whole or not at all.

    `corpora_folder`: data/corpora. `generated`: a time to print, or None for a page that depends on the run alone.
    Stages that have not run yet are named as missing. Raises `IntegrityError` if a stage's folder is incomplete.
    """
    data = read_run(run_folder, corpora_folder)
    write_text(target, render(data, generated=generated))


def render(data: RunFolder, *, generated: str | None) -> str:
    """The page as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "interval": interval, "percent": percent, "short": short}
    page: str = environment.get_template("report.html.j2").render(**view(data), generated=generated)
    return page


def view(data: RunFolder) -> dict[str, Any]:
    """What the template shows: plain numbers, texts and rows; None for what is not there."""
    return {
        "name": data.manifest["name"] if data.manifest else data.name,
        "manifest": data.manifest,
        "summary": data.summary,
        "kind": SHEETS[data.summary["modality"]],
        "real_only": data.real_only,
        "totals": _totals(data),
        "balance": _balance(data),
        "media": chosen_media(data, MAX_MEDIA_CHARACTERS),
        "gates": gate_table(data.verdicts),
        "selftest": selftest_table(data.selftest),
        "sample_gates": histograms(data),
        "conditions": conditions_table(data.conditions, data.classes),
        "uplift": uplift_rows(data.uplift),
        "few_groups": FEW_GROUPS,
        "uplift_words": uplift_words(data.uplift),
        "fit": data.fit,
        "loss_figure": figures.loss_curves(*data.losses) if data.losses and len(data.losses[0]) > 1 else None,
        "preparation": preparation(data),
        "before_after": before_and_after(data),
        "audit": findings_table(data.summary.get("audit")),
        "rejects": rejects_by_reason(data),
        "unknown_labels": unknown_labels(data),
        "corpora": [_corpus(c) for c in data.corpora],
        "provenance": provenance_rows(data, LISTED_SAMPLES),
        "metrics": sorted((data.metrics or {}).items()),
    }


def _totals(data: RunFolder) -> dict[str, Any]:
    verdicts = [str(v["verdict"]) for v in data.verdicts or []]
    classes = (data.balance or {}).get("classes", [])
    return {
        "real": data.samples.num_rows,
        "train": data.train.num_rows,
        "synthetic": data.synthetic.num_rows if data.synthetic is not None else None,
        "candidates": sum(int(c["candidates"]) for c in classes) if classes else None,
        "verdicts": {v: verdicts.count(v) for v in ("pass", "undecided", "fail")} if verdicts else None,
        "unfilled": [c["emotion"] for c in classes if not c["filled"]],
    }


def _balance(data: RunFolder) -> dict[str, Any]:
    """Counts of each class before and after; before alone while nothing has been sampled."""
    counts = data.summary["counts"]
    before = [int(counts["train"].get(c, 0)) for c in data.classes]
    rows = (data.balance or {}).get("classes") or [
        {"emotion": c, "real_train": n, "accepted": 0, "target": None}
        for c, n in zip(data.classes, before, strict=True)
    ]
    after = [int(r["real_train"]) + int(r["accepted"]) for r in rows]
    return {
        "figure": figures.balance_chart(rows),
        "rows": rows if data.balance else [],
        "cells": (data.balance or {}).get("cells") or [],
        "gates": list(dict.fromkeys(g for r in rows for g in (r.get("rejected") or {}))),
        "rounds": (data.balance or {}).get("rounds") or [],
        "subjects": any(r.get("subject") for r in (data.balance or {}).get("cells") or []),
        "cost": cost_table(data.balance),
        "ratio_before": _ratio(before),
        "ratio_after": _ratio(after) if data.balance else None,
        "splits": [(s, [counts[s].get(c, 0) for c in data.classes]) for s in counts],
    }


def _ratio(counts: Iterable[int]) -> float:
    numbers = list(counts)
    return max(numbers) / min(numbers) if numbers and min(numbers) > 0 else math.nan


def _corpus(corpus: CorpusFolder) -> dict[str, Any]:
    card = corpus.card
    return {
        "name": corpus.name,
        "card": card,
        "url": card.get("url") if str(card.get("url", "")).startswith(("https://", "http://")) else None,
        "counts": corpus.told.get("counts") or [],
        "n_subjects": (card.get("n_subjects"), corpus.told.get("n_subjects")),
        "difference": corpus.told.get("difference"),
        "n_without_class": corpus.told.get("n_without_class", 0),
        "profile": _profile(corpus.folder),
        "quality": quality_summary(corpus.quality),
        "views": [
            {"name": name, **view, "table": findings_table(view.get("findings"))}
            for name, view in sorted(corpus.views.items())
        ],
        "conflicts": conflict_tables(corpus.conflicts),
    }


def _profile(folder: Path) -> dict[str, Any] | None:
    """None where the corpus itself is not on this machine (a release that was pulled without it)."""
    if not (folder / "index.parquet").exists() or not (folder / "shards").is_dir():
        return None
    return profile_corpus(folder)

"""`emoforge study-kit`: a page that asks raters blindly, and what their answers say."""

from __future__ import annotations

import math
from pathlib import Path

from emoforge import console
from flows.raters.analysis import Findings, analyse
from flows.raters.collected import Collected, collect
from flows.raters.kit import Asked, make_kit, write_kit
from flows.raters.records import TASKS, read_key
from flows.raters.wording import read_wording
from validators.maths.raters.crossed import Estimate


def make(
    given: str,
    page: Path | None,
    key: Path | None,
    text: Path | None,
    asked: Asked,
    repo: Path | None,
    *,
    as_json: bool,
) -> None:
    """Writes the page and its key. Raises as `find_release`, `make_kit`, `write_kit` and `read_wording`."""
    from corpora.store.release import open_release
    from flows.releases.places import find_release

    place = find_release(given, repo)
    console.warn_retracted(place.release)
    wording = read_wording(text)
    release = open_release(place.release)
    page = page if page is not None else Path(f"study-{release.manifest['name']}.html")
    key = key if key is not None else page.with_name(f"{page.stem}-KEY.json")
    kit = make_kit(release, asked, wording)
    write_kit(kit, page, key)
    tasks = sorted({trial.task for trial in kit.key.trials}, key=list(TASKS).index)
    if as_json:
        console.print_json(
            {
                "kit": kit.key.kit,
                "page": str(page),
                "key": str(key),
                "n_bytes": kit.n_bytes,
                "tasks": tasks,
                "trials": kit.trials,
                "items": len(kit.key.items),
                "left_out": dict(kit.left_out),
            }
        )
        return
    out = console.out
    out.print(f"{page}: for raters ({kit.n_bytes / 1e6:.1f} MB, {kit.trials} trials each, works without a network)")
    out.print(f"{key}: what the codes mean. Keep it; raters must not see it", markup=False)
    for task in tasks:
        n = sum(trial.task == task and trial.counts for trial in kit.key.trials)
        out.print(f"  {TASKS[task]}: {n} trials")
    for task, why in kit.left_out.items():
        out.print(f"  left out: {TASKS[task]}: {why}", markup=False)
    out.print(
        f"Give each rater a number from 1 to {kit.key.raters}; afterwards: emoforge study-kit analyse {key} ANSWERS..."
    )


def analysed(key: Path, answers: list[Path], *, keep_inattentive: bool, as_json: bool) -> None:
    """Prints what the answers say. Raises as `read_key` and `collect`."""
    collected = collect(read_key(key), answers, keep_inattentive=keep_inattentive)
    findings = analyse(collected)
    if as_json:
        raters = [
            {
                "rater": rater.number,
                "file": rater.file,
                "answered": len(rater.answers),
                "of": len(collected.key.trials),
                "checks_passed": rater.checks_passed,
                "checks": rater.checks,
                "left_out": rater.left_out or None,
            }
            for rater in collected.raters
        ]
        head = {"release": collected.key.release, "release_hash": collected.key.release_hash, "kit": collected.key.kit}
        console.print_json({**head, "raters": raters, **findings.to_json()})
        return
    _print_raters(collected)
    _print_findings(findings)


def _print_raters(collected: Collected) -> None:
    out, counted = console.out, collected.counted
    out.print(f"{collected.key.release}: {len(counted)} of {len(collected.raters)} raters count", markup=False)
    for rater in collected.raters:
        if rater.left_out:
            out.print(f"  rater {rater.number} is left out: {rater.left_out} (--keep-inattentive counts them)")
        elif len(rater.answers) < len(collected.key.trials):
            out.print(f"  rater {rater.number} answered {len(rater.answers)} of {len(collected.key.trials)} trials")
    if len(counted) < 3:
        out.print("  with fewer than three raters the intervals say little of others")


def _print_findings(findings: Findings) -> None:
    rows = [
        [
            TASKS[m.task].partition(",")[0],
            m.name,
            m.of,
            _shown(m.estimate),
            "" if m.chance is None else f"{m.chance:.2g}",
            m.estimate.n,
        ]
        for m in findings.measured
    ]
    columns = ["task", "measure", "of", "value [95 %]", "no effect", "answers"]
    console.table("What raters say", columns, rows, right=["no effect", "answers"])
    agreed = [
        [TASKS[a.task].partition(",")[0], _number(a.alpha), a.level, _number(a.kappa), a.raters, a.items]
        for a in findings.agreement
    ]
    columns = ["task", "Krippendorff's alpha", "level", "Fleiss' kappa", "raters", "items"]
    console.table("How far raters agree", columns, agreed, right=["raters", "items"])
    for confusion in findings.confusions:
        title = f"Emotions of {confusion.kind} items (rows: labelled, columns: perceived)"
        lines = [[name, *row] for name, row in zip(confusion.classes, confusion.counts, strict=True) if any(row)]
        console.table(title, ["", *confusion.classes], lines, right=list(confusion.classes))
    if findings.relations:
        lines = [[r.gate, r.said, _shown(r.estimate), r.estimate.n] for r in findings.relations]
        console.table(
            "Gates and raters over synthetic items (Spearman)",
            ["gate", "raters", "rho [95 %]", "items"],
            lines,
            right=["items"],
        )


def _shown(one: Estimate) -> str:
    if math.isfinite(one.low) and math.isfinite(one.high):
        return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"
    return _number(one.value)


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"

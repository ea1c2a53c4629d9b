"""A project with two published versions and a run that differs, with the whole report of a made-up run beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from corpora.store.release import open_release
from flows.stages.report.report import write_report
from tests.flows.releases.published import Published
from tests.flows.releases.test_compared import LIMIT, SAMPLES, run_of, set_in
from tests.flows.stages.report.report_run import HOSTILE, make_run
from tests.small_release import VERDICT, made, real

SPLIT = {"c/9": "test"}


def changed_project(folder: Path) -> Published:
    """tiny@v1.0.0 lacks c/9 and passes; what is built has another limit, lost a sample, and a verdict turned."""
    project = Published(folder / "project")
    shown = make_run(folder / "shown", classes=["anger", "fear", HOSTILE, "neutral"], conversions=True)
    first = run_of(folder / "first", verdicts=[VERDICT, VERDICT | {"gate": "kid", "group": "fear", "value": 0.1}])

    def change(told: dict[str, object]) -> None:
        set_in("augment", *LIMIT, value=0.3)(told)
        set_in("prepare", "corpora", HOSTILE, value="bb")(told)

    worse = VERDICT | {"verdict": "fail", "value": 9.0, "reason": HOSTILE}
    moved = VERDICT | {"gate": "kid", "group": "fear", "value": 0.2}
    samples = [*SAMPLES[:-1], real(9, emotion=HOSTILE), made(7)]
    second = run_of(folder / "second", samples, change, split=SPLIT, verdicts=[worse, moved], uplift=-0.02)
    for run in (first, second):
        write_report(shown, shown.parent.parent / "corpora", run / "report.html", generated=None)
        page = (run / "report.html").read_text("utf-8")
        page = page.replace("fe" * 32, open_release(run / "release").release_hash)
        (run / "report.html").write_text(page, "utf-8")
    project.version(first, "v1.0.0")
    built = project.folder / "data/runs/tiny"
    shutil.copytree(second, built)
    project.built(built)
    return project

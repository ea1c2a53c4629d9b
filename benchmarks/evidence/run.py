"""The studies behind docs/evidence.md, from a folder of corpora to the page.

    python -m benchmarks.evidence.run --data FOLDER [--work FOLDER] [--only NAME ...] [--vault]

`--data` holds the corpora by the names of benchmarks/evidence/params.yaml. Everything is computed in `--work`, which
keeps finished cells: interrupted, the same command goes on. With `--vault` the people whom development never sees are
tested too, once for each version of the defaults; every look is logged in benchmarks/evidence/vault_looks.csv.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from corpora.store.atomic import write_bytes
from flows.artifacts.studied import Studied
from flows.conduct.studies import log_look, looks
from flows.params import load_machine, load_params
from flows.paths import Layout
from flows.stages.run import run_stage
from flows.stages.study.design import design_of
from flows.stages.study.study import run

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "evidence.md"
TABLES = PAGE.parent / "evidence"
LOG = HERE / "vault_looks.csv"
READING = HERE / "reading.md"  # what people make of the tables
WRITTEN = "<!-- Written by benchmarks/evidence/run.py (make evidence); edit that, not this. -->"
HEAD = f"""{WRITTEN}
# Evidence

What makes a recogniser better on people whom it has never met: every arm, wins and losses alike, from one command
(`make evidence DATA=<folder of corpora>`), with the studies of
[benchmarks/evidence/params.yaml](../benchmarks/evidence/params.yaml). How to read the tables, what the arms are, and
what the words mean: [studies](studies.md). A sentence counts as a win only if an arm beats doing nothing, class weights
*and* logit adjustment, with an interval above 0 after correction for the number of arms.

| study | verdict |
|---|---|
"""


def project(work: Path, data: Path) -> Path:
    """A project whose corpora are links into `data`; missing ones are left out by name later."""
    raw = work / "data" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "params.yaml", work / "params.yaml")
    for name in load_params(work / "params.yaml").corpora:
        link = raw / name
        if not link.is_symlink() and (data / name).is_dir():
            link.symlink_to((data / name).resolve())
    return work


def brought_up_to_date(name: str, layout: Layout) -> Studied:
    """Ingests what is not there, answers what is not answered."""
    params = load_params(layout.params)
    for corpus in params.study(name).corpora:
        if not layout.corpus(corpus).is_dir():
            run_stage("ingest", corpus, repo=layout.repo)
    for verb in ("design", "study"):
        run_stage(verb, name, repo=layout.repo)
    return Studied.open(layout.study(name) / "result")


def look(name: str, layout: Layout) -> Studied | None:
    """The vault of a study; None where it has none. The same question again is no new look."""
    params = load_params(layout.params)
    if params.study(name).vault.empty:
        return None
    plan, into = design_of(name, params.study(name), layout), layout.study(name) / "vault"
    run(plan, layout, load_machine(layout.machine), into=into, mode="vault")
    studied = Studied.open(into)
    if plan.asked[:16] not in {row["asked"] for row in looks(LOG)}:
        import datetime

        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        log_look(LOG, [today, name, plan.asked[:16], studied.verdict()])
    return studied


def page(studies: dict[str, Studied]) -> str:
    """docs/evidence.md: what each study says, and every look at a vault. The tables stand on pages of their own."""
    rows = [f"| [{name}](evidence/{name}.md) | {studied.verdict()} |" for name, studied in studies.items()]
    seen = looks(LOG)
    vault = ["", "## Looks at the vault", ""]
    if seen:
        vault += ["| date | study | asked | what it said |", "|---|---|---|---|"]
        vault += [f"| {r['date']} | {r['study']} | `{r['asked']}` | {r['sentence']} |" for r in seen]
    else:
        vault.append("Nobody has looked yet.")
    return HEAD + "\n".join([*rows, "", *READING.read_text(encoding="utf-8").splitlines(), *vault, ""])


def write_pages(studies: dict[str, Studied]) -> None:
    """docs/evidence.md and docs/evidence/<study>.md."""
    for name, studied in studies.items():
        tables = studied.tables.read_text(encoding="utf-8").replace(f"## {name}", f"# {name}", 1)
        TABLES.mkdir(exist_ok=True)
        write_bytes(TABLES / f"{name}.md", f"{WRITTEN}\n{tables}".encode())
    write_bytes(PAGE, page(studies).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of corpora")
    parser.add_argument("--work", type=Path, default=Path(".emoforge/evidence"), help="where it is computed and kept")
    parser.add_argument("--only", nargs="*", default=[], help="names of studies")
    parser.add_argument("--vault", action="store_true", help="test the vaults, too")
    options = parser.parse_args()
    layout = Layout(project(options.work.resolve(), options.data))
    names = options.only or list(load_params(layout.params).studies)
    studies: dict[str, Studied] = {}
    for name in names:
        missing = [c for c in load_params(layout.params).study(name).corpora if not layout.raw(c).exists()]
        if missing:
            print(f"{name}: left out, {options.data} has no {', '.join(missing)}")
            continue
        studies[name] = brought_up_to_date(name, layout)
        print(f"{name}: {studies[name].verdict()}", flush=True)
        if options.vault:
            looked = look(name, layout)
            print(f"{name}, vault: {'it has none' if looked is None else looked.verdict()}", flush=True)
    for name in load_params(layout.params).studies:  # what was not asked for stands on the page as it is
        folder = layout.study(name) / "result"
        if name not in studies and folder.is_dir():
            studies[name] = Studied.open(folder)
    write_pages({name: studies[name] for name in load_params(layout.params).studies if name in studies})
    print(f"wrote {PAGE} and {TABLES}")


if __name__ == "__main__":
    main()

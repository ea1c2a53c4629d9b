"""Studies brought up to date through DVC, quick first answers, and looks at the vault, each of which is logged."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from corpora.errors import UserError
from corpora.store.atomic import write_bytes
from flows.artifacts.studied import Studied
from flows.conduct.dvcrun import reasons, repro
from flows.conduct.processes import run_locks
from flows.params import Params, load_machine, load_params
from flows.paths import Layout

LOOKS = ("date", "study", "asked", "sentence")  # columns of the log of looks at the vault
LOG = Path("data") / "vault_looks.csv"  # tracked: who looks leaves a trace


def stages_of_study(params: Params, name: str) -> list[str]:
    """DVC names of the stages of a study, in an order in which they can be walked. Raises `UnknownNameError`."""
    corpora = params.study(name).corpora
    fakes = [f"fake@{corpus}" for corpus in corpora if corpus in params.demo]
    taken_in = [f"{stage}@{corpus}" for corpus in corpora for stage in ("reader", "ingest")]
    return [*fakes, *taken_in, f"design@{name}", f"study@{name}"]


def bring_study_up_to_date(name: str, repo: Path, on_line: Callable[[str], None]) -> list[str]:
    """Runs the stages that DVC would run; -> their names. Raises what they raise."""
    return _walk(stages_of_study(load_params(repo / "params.yaml"), name), name, repo, on_line)


def quick_study(name: str, repo: Path, on_line: Callable[[str], None]) -> Studied:
    """A first answer, in .emoforge/quick: one seed, fewer folds, nothing that is trained or rendered. It says so."""
    from flows.stages.study.design import design_of
    from flows.stages.study.study import quick, run

    layout = Layout(repo)
    params = load_params(layout.params)
    _taken_in(params, name, repo, on_line)
    whole = design_of(name, params.study(name), layout)
    plan = design_of(name, quick(whole.params, whole.arms, whole.modality), layout)
    into = layout.scratch / "quick" / name
    run(plan, layout, load_machine(layout.machine), into=into, mode="quick")
    return Studied.open(into)


def vault_study(name: str, repo: Path, on_line: Callable[[str], None]) -> tuple[Studied, bool]:
    """The people of the vault, tested once by what was learned from all others; -> the result, and whether this was a
    new look. A look is logged before it is shown; the same question again shows the answers that are there.

    Raises `UserError` where the study names no vault.
    """
    from flows.stages.study.design import design_of
    from flows.stages.study.study import run

    layout = Layout(repo)
    params = load_params(layout.params)
    if params.study(name).vault.empty:
        raise UserError(f"studies.{name} names no vault: nobody was kept from development (docs/studies.md)")
    _taken_in(params, name, repo, on_line)
    plan = design_of(name, params.study(name), layout)
    into = layout.study(name) / "vault"
    if into.is_dir() and Studied.open(into).about().asked == plan.asked:
        return Studied.open(into), False
    run(plan, layout, load_machine(layout.machine), into=into, mode="vault")
    studied = Studied.open(into)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    log_look(repo / LOG, [today, name, plan.asked[:16], studied.verdict()])
    return studied, True


def log_look(path: Path, row: Sequence[str]) -> None:
    """Adds a line to the log of looks at the vault."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    before = path.read_text(encoding="utf-8") if path.exists() else ",".join(LOOKS) + "\n"
    write_bytes(path, (before + line.getvalue()).encode())


def looks(path: Path) -> list[dict[str, str]]:
    """Every look at the vault, oldest first."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _taken_in(params: Params, name: str, repo: Path, on_line: Callable[[str], None]) -> None:
    stages = [s for s in stages_of_study(params, name) if not s.startswith(("design@", "study@"))]
    _walk(stages, name, repo, on_line)


def _walk(stages: list[str], name: str, repo: Path, on_line: Callable[[str], None]) -> list[str]:
    done = []
    with run_locks(Layout(repo).scratch / "locks", [f"study_{name}"]):
        for stage in stages:  # what one stage writes may make the next one necessary
            if reasons([stage], repo=repo):
                repro(stage, repo=repo, on_line=on_line)
                done.append(stage)
    return done

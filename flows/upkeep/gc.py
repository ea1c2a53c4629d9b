"""`emoforge gc`: what a year of nightly runs leaves behind and nothing needs, with a dry run that says bytes.

Each kind of thing is a `Part` of its own; one that cannot be asked says so and does not keep the others. What a git
tag, a branch, an experiment or the workspace needs is never removed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from corpora.errors import EmoforgeError, LockedError, UserError
from flows.conduct.dvcrun import free_dead_locks
from flows.conduct.processes import run_locks
from flows.engine.store import WorkStore
from flows.params import load_machine, load_params
from flows.paths import Layout
from flows.publishing.pages import FOLDER as PAGES
from flows.publishing.pages import page_order
from flows.upkeep.cached import unused_objects
from flows.upkeep.flowruns import old_flow_runs

DAY_S = 86400.0
KEEP_DAYS = 30.0
STAGED = (
    "fits",
    "ingest",
    "quick",
    "cache",
    "errors",
    "rejects",
    "watch",
)  # folders of .emoforge whose entries go by age


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of thing. n: how many; n_bytes: that go or went, None where only another machine knows; note: what is
    kept and why, or what kept this part from being looked at (`failed`)."""

    name: str
    n: int
    n_bytes: int | None
    note: str = ""
    failed: bool = False

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def collect_garbage(repo: Path, *, keep_days: float = KEEP_DAYS, dry: bool) -> list[Part]:
    """Removes, or with `dry` only weighs. keep_days: what was used since stays.

    Raises `UserError` for a negative number of days, `LockedError` while a run or DVC is at work in the project: what
    it is about to need is not yet in dvc.lock.
    """
    if not 0 <= keep_days < 1e6:
        raise UserError(f"keep-days is {keep_days:g}; allowed: 0 and more")
    age_s = keep_days * DAY_S
    asks: dict[str, Callable[[], Part]] = {
        "work store": lambda: _store(repo, age_s, dry=dry),
        "staging": lambda: _staging(repo, age_s, dry=dry),
        "fetched versions": lambda: _versions(repo, age_s, dry=dry),
        "pages of versions": lambda: _pages(repo, age_s, dry=dry),
        "DVC cache": lambda: _cache(repo, dry=dry),
        "Prefect": lambda: _prefect(repo, keep_days, dry=dry),
    }
    with _nobody_else(repo):
        return [_asked(name, ask) for name, ask in asks.items()]


def _asked(name: str, ask: Callable[[], Part]) -> Part:
    try:
        return ask()
    except LockedError:
        raise
    except (EmoforgeError, OSError) as error:
        return Part(name, 0, 0, str(error), failed=True)


@contextmanager
def _nobody_else(repo: Path) -> Iterator[None]:
    params = load_params(repo / "params.yaml")
    names = [*params.runs, *(f"study_{name}" for name in params.studies)]
    with run_locks(Layout(repo).scratch / "locks", names):
        free_dead_locks(repo)
        try:
            writing = json.loads((repo / ".dvc" / "tmp" / "rwlock").read_text(encoding="utf-8")).get("write", {})
        except (OSError, ValueError):
            writing = {}
        if writing:
            raise LockedError(f"DVC is writing {', '.join(sorted(writing))[:200]}. Wait for it, then run gc again.")
        yield


def _store(repo: Path, age_s: float, *, dry: bool) -> Part:
    """Finished work that nobody took for so long; it can all be done again."""
    store = WorkStore(load_machine(repo / "machine.yaml").store or Layout(repo).store)
    before = store.size()
    freed = store.prune(age_s, dry=dry)
    return Part("work store", 0, freed, f"{store.url}: {_shown(max(before - freed, 0))} stay")


def _staging(repo: Path, age_s: float, *, dry: bool) -> Part:
    """What stages left under way, and archives that were unpacked and are no corpus of the project any more."""
    layout = Layout(repo)
    places = [path for name in STAGED for path in _entries(layout.scratch / name)]
    linked = {path.resolve() for path in _entries(repo / "data" / "raw")}
    extracted = _entries(layout.scratch / "extracted")
    places += [path for path in extracted if not any(one.is_relative_to(path.resolve()) for one in linked)]
    raw = repo / "data" / "raw"  # its owner's, whatever its files are called
    places += [p for p in (repo / "data").rglob(".*.tmp") if not p.is_symlink() and not p.is_relative_to(raw)]
    n, n_bytes = _removed([path for path in places if _is_old(path, age_s)], dry=dry)
    kept = len(extracted) - sum(path in places for path in extracted)
    return Part("staging", n, n_bytes, f"{kept} unpacked archives are linked and stay" if kept else "")


def _versions(repo: Path, age_s: float, *, dry: bool) -> Part:
    """Copies of published versions that were fetched to be looked at; what DVC's cache no longer has stays."""
    from flows.upkeep.cached import version_is_cached

    places = [path for path in _entries(Layout(repo).scratch / "versions") if _is_old(path, age_s)]
    gone = [path for path in places if not _entries(path) or version_is_cached(path.name, repo)]
    n, n_bytes = _removed(gone, dry=dry)
    kept = len(places) - len(gone)
    return Part("fetched versions", n, n_bytes, f"{kept} stay: DVC's cache lacks what they hold" if kept else "")


def _pages(repo: Path, age_s: float, *, dry: bool) -> Part:
    """Reports of versions with what changed, but for each run's newest; `emoforge report VERSION` writes them again."""
    from flows.upkeep.cached import report_is_cached

    pages = [sorted(folder.glob("*.html"), key=page_order)[:-1] for folder in Layout(repo).runs.glob(f"*/{PAGES}")]
    places = [path for of_run in pages for path in of_run if _is_old(path, age_s)]
    gone = [path for path in places if report_is_cached(path.stem, repo)]
    n, n_bytes = _removed(gone, dry=dry)
    kept = len(places) - len(gone)
    return Part("pages of versions", n, n_bytes, f"{kept} stay: DVC's cache lacks their reports" if kept else "")


def _cache(repo: Path, *, dry: bool) -> Part:
    """Objects that no tag, branch, experiment or workspace names (`dvc gc -w -a -T --all-experiments`)."""
    n, n_bytes, note = unused_objects(repo, dry=dry)
    return Part("DVC cache", n, n_bytes, note)


def _prefect(repo: Path, keep_days: float, *, dry: bool) -> Part:
    """Flow runs that ended so long ago, with their logs."""
    n, n_bytes, note = old_flow_runs(repo, keep_days, dry=dry)
    return Part("Prefect", n, n_bytes, note)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_old(path: Path, age_s: float) -> bool:
    """Whether nothing in it was written for so long."""
    times = [path.lstat().st_mtime]
    if path.is_dir() and not path.is_symlink():
        times += [below.lstat().st_mtime for below in path.rglob("*")]
    return time.time() - max(times) >= age_s


def _removed(places: list[Path], *, dry: bool) -> tuple[int, int]:
    """-> (places, bytes in them) that went, or would."""
    n_bytes = 0
    for path in places:
        whole = path.is_dir() and not path.is_symlink()
        n_bytes += sum(p.lstat().st_size for p in (path.rglob("*") if whole else [path]) if not p.is_dir())
        if not dry:
            shutil.rmtree(path) if whole else path.unlink()
    return len(places), n_bytes


def _shown(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"

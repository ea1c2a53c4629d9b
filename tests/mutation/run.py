"""Runs mutants against the tests of their module: `python -m tests.mutation.run [MODULE ...] [--seed N] [--jobs N]`.

Each mutant lives in a forked child in which the module's source is the changed one and everything from elsewhere
(numpy, torch, pytest) is loaded already; files are never touched. A child that fails or hangs has noticed the change.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import psutil

from tests.mutation.operators import Mutant, mutants_of, sample
from tests.mutation.targets import SEED, TARGETS, Target

REPO = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.json")
# Loaded once before forking: what the tests of TARGETS would each import again.
_PRELOADED = (
    "numpy",
    "scipy.stats",
    "scipy.linalg",
    "scipy.optimize",
    "scipy.signal",
    "scipy.spatial",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.compute",
    "sklearn.linear_model",
    "sklearn.ensemble",
    "sklearn.model_selection",
    "sklearn.metrics",
    "pydantic",
    "hypothesis",
    "hypothesis.extra.numpy",
    "pytest",
    "_pytest.assertion.rewrite",
    "safetensors.numpy",
    "yaml",
    "ruamel.yaml",
    "soundfile",
    "fsspec",
    "PIL.Image",
    "torch",
)
_PATIENCE = 10.0  # times the seconds that the tests take unchanged; a mutant that takes longer hangs
_LEAST_S = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    mutant: Mutant
    killed: bool
    seconds: float
    how: str  # "failed", "hung" or "survived"


class _Changed(importlib.machinery.SourceFileLoader):
    """Compiles other source than the file's; `__file__` and what reads the file stay as they are."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType | None:
        return compile(self.source, self.path, "exec", dont_inherit=True)


class _Finder:
    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(
            name, self.path, loader=_Changed(name, str(self.path), self.source)
        )


def source_path(module: str) -> Path:
    return REPO / f"{module.replace('.', '/')}.py"


def chosen(target: Target, seed: int = SEED) -> list[Mutant]:
    """The mutants of a target that a run with `seed` tries."""
    text = source_path(target.module).read_text(encoding="utf-8")
    return sample(mutants_of(target.module, text), target.n, seed)


def equivalents() -> dict[str, str]:
    """Name of a mutant that behaves like the original -> why."""
    found: dict[str, str] = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    return found


def preload() -> None:
    for name in _PRELOADED:
        importlib.import_module(name)


def _in_child(mutant: Mutant | None, tests: Sequence[str], log: Path) -> int:
    """pid of a child that ends with pytest's exit code."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        os.setsid()
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        # numba knows a compiled function by its bytecode, which holds no constants: a shared cache would mix mutants up
        os.environ["NUMBA_CACHE_DIR"] = str(log.with_suffix(".numba"))
        if mutant is not None:
            sys.meta_path.insert(0, _Finder(mutant.module, source_path(mutant.module), mutant.source))  # type: ignore[arg-type]
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "--import-mode=importlib", "-m", "not slow"]
        code = int(pytest.main([*options, f"--basetemp={log.with_suffix('')}", *tests]))
    finally:
        os._exit(code)


def _end(pid: int) -> None:
    """Ends a child that hangs, with all that it started."""
    below = psutil.Process(pid).children(recursive=True)
    os.killpg(pid, signal.SIGKILL)
    for child in below:
        if child.is_running():
            child.kill()
    os.waitpid(pid, 0)


def _results(
    mutants: Sequence[Mutant | None], tests: Sequence[str], work: Path, limit_s: float, jobs: int
) -> Iterator[tuple[Mutant | None, int | None, float]]:
    """(mutant, exit code or None for one that hung, seconds) as they end; None for a mutant: nothing is changed."""
    waiting = list(enumerate(mutants))[::-1]
    running: dict[int, tuple[Mutant | None, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            number, mutant = waiting.pop()
            running[_in_child(mutant, tests, work / f"{number}.log")] = mutant, time.monotonic()
        time.sleep(0.02)
        for pid, (mutant, begun) in list(running.items()):
            seconds = time.monotonic() - begun
            done, status = os.waitpid(pid, os.WNOHANG)
            if done or seconds > limit_s:
                del running[pid]
                if not done:
                    _end(pid)
                yield mutant, os.waitstatus_to_exitcode(status) if done else None, seconds


def try_target(
    target: Target, work: Path, *, seed: int = SEED, jobs: int = 1, tell: Callable[[str], None] = lambda line: None
) -> list[Outcome]:
    """Outcomes of the mutants of one module, equivalent ones left out. `work`: an empty folder for logs.

    Raises RuntimeError if the tests fail without a change. Call `preload` first: a child imports what is not there yet.
    """
    ((_, code, seconds),) = _results([None], target.tests, work, 1800.0, 1)
    if code != 0:
        raise RuntimeError(f"{target.module}: its tests fail without a change:\n{(work / '0.log').read_text()[-2000:]}")
    tell(f"{target.module}: its tests take {seconds:.1f} s")
    skipped = equivalents()
    wanted = [mutant for mutant in chosen(target, seed) if mutant.name not in skipped]
    found = []
    for mutant, code, spent in _results(wanted, target.tests, work, max(_LEAST_S, _PATIENCE * seconds), jobs):
        assert mutant is not None
        how = "hung" if code is None else "survived" if code == 0 else "failed"
        found.append(Outcome(mutant, how != "survived", spent, how))
        if how == "survived":
            tell(f"  survived: {mutant.name}")
    return found


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", nargs="*", help="of targets.py; none: all")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--n", type=int, help="mutants of each module instead of the target's own number")
    asked = parser.parse_args()
    preload()
    killed = tried = 0
    begun = time.monotonic()
    for target in TARGETS:
        if asked.module and target.module not in asked.module:
            continue
        if asked.n is not None:
            target = Target(target.module, target.tests, asked.n)
        with tempfile.TemporaryDirectory(prefix="mutants-") as work:
            outcomes = try_target(target, Path(work), seed=asked.seed, jobs=asked.jobs, tell=_print)
        killed += sum(o.killed for o in outcomes)
        tried += len(outcomes)
        _print(f"{target.module}: {sum(o.killed for o in outcomes)} of {len(outcomes)} mutants noticed")
    _print(f"{killed} of {tried} noticed ({killed / max(tried, 1):.1%}) in {(time.monotonic() - begun) / 60:.1f} min")


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

"""A seeded fuzzer of all that reads files: mutants of good files must be read, rejected or refused, nothing else.

`python -P tests/fuzz.py FAMILY[,FAMILY] COUNT [FIRST]`, a process with bounded memory, prints a JSON line for each;
mutant n of a family is the same bytes everywhere, so a finding is repeated by its number. Any exception but
`PayloadError` and `CorpusError`, a warning, a started process, a write outside the scratch folder, a mutant that takes
too long or too much memory: all end it with an error.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import sys
import tempfile
import types
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import corpora.quiet  # noqa: F401  (sets the environment)

MIB = 2**20
MAX_GROWTH = 384 * MIB  # of the resident memory, over all mutants of a family: a progressive jpeg of 16 million pixels
_ADDRESS_SPACE = 1024 * MIB  # beyond what the process has when the first mutant comes; malloc fails above
_HANGS_S = 30.0
_FORBIDDEN = (
    "os.system",
    "subprocess.",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "socket.",
    "pickle.find_class",
)


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Warnings are errors, processes and writes outside `folder` are noticed, memory is bounded."""
    active = True

    def look(event: str, args: tuple[Any, ...]) -> None:
        if not active:
            return
        if event.startswith(_FORBIDDEN):
            raise AssertionError(f"{event} {args}")
        if event == "open" and isinstance(args[0], str | bytes) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            path = os.path.abspath(os.fsdecode(args[0]))  # noqa: PTH100 (nothing is followed)
            if not path.startswith(f"{folder}/"):
                raise AssertionError(f"a write to {path}")

    sys.addaudithook(look)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + _ADDRESS_SPACE, resource.RLIM_INFINITY))
    faulthandler.enable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        active = False


def run(name: str, count: int, first: int = 0) -> dict[str, Any]:
    """Reads `count` mutants of a family. Raises what must not be raised, with the mutant's number as a note."""
    from tests.fuzz_families import FAMILIES, mutant
    from tests.work import counted

    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        folder = Path(place).resolve()
        seeds, parse = FAMILIES[name](folder)
        outcomes = Counter(
            outcome for seed in seeds for outcome in parse(seed.dress(seed.data))
        )  # imports what is imported lazily
        good = dict(outcomes)
        outcomes.clear()
        before, most, worst = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0, 0
        with guarded(folder):
            for number in range(first, first + count):
                data = mutant(seeds, number)
                faulthandler.dump_traceback_later(_HANGS_S, exit=True)
                try:
                    with counted() as work:
                        outcomes.update(parse(data))
                except BaseException as error:
                    error.add_note(f"mutant {number} of {name}, {len(data)} bytes: {data[:200]!r}")
                    raise
                if work.calls > most:
                    most, worst = work.calls, number
        faulthandler.cancel_dump_traceback_later()
        growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        return {
            "family": name,
            "mutants": count,
            "most_calls": most,
            "most_calls_of": worst,
            "growth": growth,
            "seeds": good,
            "outcomes": dict(outcomes.most_common()),
        }


if __name__ == "__main__":
    package = types.ModuleType("tests")  # another distribution's package of that name may be installed
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules["tests"] = package
    for family in sys.argv[1].split(","):
        found = run(family, int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
        sys.stdout.write(json.dumps(found) + "\n")

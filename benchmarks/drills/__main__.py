"""Drills: what is killed, moved and damaged on purpose. docs/reliability.md has what came of it.

    python -m benchmarks.drills kills --kills 100 [--seed 1] [--stages release,report,publish] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.drills import kills
from benchmarks.drills.project import STAGES


def stages_named(text: str) -> list[str]:
    """STAGE,STAGE in the order of stages. Raises `argparse.ArgumentTypeError`."""
    asked = text.split(",")
    if unknown := [name for name in asked if name not in STAGES]:
        raise argparse.ArgumentTypeError(f"no stage {', '.join(unknown)}; there are {', '.join(STAGES)}")
    return [name for name in STAGES if name in asked]


def run_kills(options: argparse.Namespace, work: Path) -> tuple[Sequence[Any], str]:
    every = kills.drill(options.kills, options.seed, work, options.stages, lambda one: print(one, flush=True))
    return every, kills.table(every)


DRILLS: dict[str, Callable[[argparse.Namespace, Path], tuple[Sequence[Any], str]]] = {"kills": run_kills}


def parser() -> argparse.ArgumentParser:
    """Of all drills."""
    top = argparse.ArgumentParser(
        prog="python -m benchmarks.drills", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    below = top.add_subparsers(dest="drill", required=True)
    one = below.add_parser("kills", help="stages are killed at random moments")
    one.add_argument("--kills", type=int, default=100)
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--stages", type=stages_named, default=list(STAGES), help="STAGE,STAGE; default: all")
    for each in below.choices.values():
        each.add_argument("--out", type=Path, help="JSON of every single one")
    return top


def main(words: Sequence[str]) -> int:
    """-> exit code: 1 where anything came out differently."""
    options = parser().parse_args(words)
    with tempfile.TemporaryDirectory() as work:
        results, said = DRILLS[options.drill](options, Path(work).resolve())
    print(said)
    if options.out is not None:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        options.out.write_text(json.dumps({"machine": machine, options.drill: [asdict(r) for r in results]}, indent=1))
    return 0 if all(result.same for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

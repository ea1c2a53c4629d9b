"""Drills: what is killed, moved and damaged on purpose. docs/reliability.md has what came of it.

    python -m benchmarks.drills kills --kills 100 [--seed 1] [--stages release,report,publish]
    python -m benchmarks.drills clock [--seed 1]        needs libfaketime
    python -m benchmarks.drills disk                    needs the right to mount (unshare -m)
    python -m benchmarks.drills twice
    python -m benchmarks.drills losses [--kills 20] [--seed 1] [--kinds actor,node,server,worker,database]
    python -m benchmarks.drills cluster [--databases sqlite,postgresql]     the same, moto and PostgreSQL

Each takes --out FILE.json. The exit code is 1 where anything came out differently.
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

from benchmarks.drills import clock, cluster, disk, kills, losses, twice
from benchmarks.drills.project import STAGES, DrillError


def one_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """-> reads NAME,NAME, in the order of `known`. That raises `argparse.ArgumentTypeError`."""

    def read(text: str) -> list[str]:
        asked = text.split(",")
        if unknown := [name for name in asked if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
        return [name for name in known if name in asked]

    return read


def tell(one: Any) -> None:
    print(one, flush=True)


DRILLS: dict[str, Callable[[argparse.Namespace, Path], Sequence[Any]]] = {
    "kills": lambda asked, work: kills.drill(asked.kills, asked.seed, work, asked.stages, tell),
    "clock": lambda asked, work: clock.drill(asked.seed, work, tell),
    "disk": lambda asked, work: disk.drill(work, tell),
    "twice": lambda asked, work: twice.drill(work, tell),
    "losses": lambda asked, work: losses.drill(asked.kills, asked.seed, work, asked.kinds, tell),
    "cluster": lambda asked, work: cluster.drill(work, asked.databases, tell),
}


def parser() -> argparse.ArgumentParser:
    """Of all drills."""
    top = argparse.ArgumentParser(
        prog="python -m benchmarks.drills", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    below = top.add_subparsers(dest="drill", required=True)
    each = {name: below.add_parser(name) for name in DRILLS}
    each["kills"].add_argument("--kills", type=int, default=100)
    each["losses"].add_argument("--kills", type=int, default=20)
    each["losses"].add_argument("--kinds", type=one_of(losses.KINDS), default=list(losses.ON_SQLITE), help="KIND,KIND")
    for name in ("kills", "clock", "losses"):
        each[name].add_argument("--seed", type=int, default=1)
    each["kills"].add_argument("--stages", type=one_of(STAGES), default=list(STAGES), help="STAGE,STAGE; default: all")
    databases = list(cluster.DATABASES)
    each["cluster"].add_argument("--databases", type=one_of(databases), default=databases, help="of Prefect's server")
    for one in each.values():
        one.add_argument("--out", type=Path, help="JSON of every single one")
    return top


def main(words: Sequence[str]) -> int:
    """-> exit code: 1 where anything came out differently, 2 where the drill cannot be done here."""
    options = parser().parse_args(words)
    try:
        with tempfile.TemporaryDirectory() as work:
            results = DRILLS[options.drill](options, Path(work).resolve())
    except DrillError as error:
        print(error, file=sys.stderr)
        return 2
    if options.drill == "kills":
        print(kills.table(results))
    print(f"{options.drill}: {sum(result.same for result in results)} of {len(results)} came out the same")
    if options.out is not None:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        options.out.write_text(json.dumps({"machine": machine, options.drill: [asdict(r) for r in results]}, indent=1))
    return 0 if all(result.same for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m benchmarks.drills disk`: every stage on a disk that is full, and on one that may not be written to.

data/ of a tiny run is copied to a small disk of its own, in a mount namespace that ends with the stage; the disk is
filled to the last byte, or mounted read-only; for augment, also the work store is, with room for a few items, while two
actors write to it. The stage has to fail and say why in a sentence, its outs must not be
there, half or whole, and the same stage with room gives the hash of the undisturbed build. reader and plan may have
less to write than the disk has in odd ends: then they succeed, and that is counted.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.drills.project import EMOFORGE, OUTS, PUBLISH, STAGES, DrillError, Project
from benchmarks.drills.servers import may_hide

KINDS = ("full", "read-only")
# what judges and gates leave there fits, what actors draw and score does not
STORE = "store"
ROOM_KB = 1440
# $1: full | read-only | store; the rest: the stage
ON_A_SMALL_DISK = """
set -e
kept=$(mktemp -d); kind=$1; shift
place=data; more="* 2 + 4096"
if [ "$kind" = store ]; then place=.emoforge/store; more="+ ROOM_KB"; mkdir -p $place; fi
cp -a $place/. "$kept"
mount --make-rprivate /
eval "size=\$((\$(du -sk "$kept" | cut -f1) $more))k"
mount -t tmpfs -o size=$size tmpfs $place
cp -a "$kept"/. $place
rm -r "$kept"
if [ "$kind" = full ]; then cat /dev/zero > data/filler 2>/dev/null || true; fi
if [ "$kind" = read-only ]; then mount -o remount,ro data; fi
code=0
"$@" || code=$?
echo "LEFT: $(cd data && find . | sort | tr '\\n' ' ')"
exit $code
""".replace("ROOM_KB", str(ROOM_KB))
SAYS = {
    "full": re.compile(r"disk is full|No space left|no room", re.IGNORECASE),
    STORE: re.compile(r"disk is full|No space left|no room", re.IGNORECASE),
    "read-only": re.compile(r"not writable|read-only|may not be written|Permission denied", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One stage on such a disk. code: of its exit; said: its last line; plain: in words of ours, no traceback, and it
    names the cause; left: outs that were there afterwards; same: nothing was left, and with room the hash is that of
    the undisturbed build."""

    stage: str
    kind: str
    code: int
    said: str
    plain: bool
    left: tuple[str, ...]
    same: bool


def why_not() -> str:
    """ "" where the drill can be done."""
    return "" if may_hide() else "this user may not mount a small disk (unshare -m, mount)"


def drill(work: Path, done: Callable[[Refusal], None] = print) -> list[Refusal]:
    """Every stage but publish, which writes to git and to the remote (tests/flows/publishing/test_remotes.py)."""
    if why := why_not():
        raise DrillError(why)
    project = Project(work / "place")
    project.begin()
    every = []
    for stage in [stage for stage in STAGES if stage != PUBLISH]:
        project.keep(work / "state")
        project.finish(stage)
        wanted = project.hashes(stage)
        for kind in (*KINDS, STORE) if stage == "augment" else KINDS:
            project.put_back(work / "state", store=False)
            every.append(_tried(project, stage, kind, wanted))
            done(every[-1])
        subprocess.run(["rm", "-rf", str(work / "state")], check=True)
    return every


def _tried(project: Project, stage: str, kind: str, wanted: list[str]) -> Refusal:
    command = ["unshare", "-m", "sh", "-c", ON_A_SMALL_DISK, "sh", kind, *EMOFORGE, "stage", stage, "tiny"]
    ended = subprocess.run(
        command,
        cwd=project.folder,
        env=project.env | ({"EMOFORGE_ACTORS": "2"} if kind == STORE else {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    printed, _, there = ended.stdout.rpartition("LEFT: ")
    names = {f"data/{name.removeprefix('./')}" for name in there.split()}
    left = tuple(out for out in OUTS[stage] if out in names) if ended.returncode else ()
    lines = printed.strip().splitlines() or [""]
    plain = "Traceback" not in printed and bool(SAYS[kind].search(lines[-1])) if ended.returncode else True
    project.finish(stage)
    same = not left and plain and project.hashes(stage) == wanted
    return Refusal(stage, kind, ended.returncode, lines[-1][-300:], plain, left, same)

"""The first stage of a rebuilt version that is not what it was, and why: pure comparison, nothing is run.

A stage behind one that differs differs for that reason, so only the first is asked about. Its own inputs are what its
plan holds (flows/releases/plans.py): parameters, code, corpora, weights. Where none of them differs, libraries are
compared, and where those are the same, it is the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from flows.rebuilding.lock import Outs
from flows.releases.causes import said_of
from flows.releases.plans import Change, Planned, changes

NUMERIC = ("numpy", "scipy", "torch", "scikit-learn", "pyarrow", "numba", "soxr", "pyworld", "pillow", "libsndfile")
MACHINE = (
    "its plan, its inputs and the libraries are the same: arithmetic of another processor or BLAS can do that "
    "(docs/architecture.md, what makes the same release)"
)
NOT_KNOWN = "the version has no plans or library versions that can be had here, so why cannot be told"
RAW = "the raw corpus is another, or the code that reads it"


@dataclass(frozen=True, slots=True)
class Difference:
    """stage: "fit@demo_text"; what: "made another prepared", "was planned otherwise"; why: sentences; changes: what
    its plan or the libraries differ in."""

    stage: str
    what: str
    why: tuple[str, ...]
    changes: tuple[Change, ...] = ()

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.stage} {self.what}: {'; '.join(self.why)}"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def first_difference(
    run: str, corpora: Sequence[str], wanted: tuple[Outs, Planned], there: tuple[Outs, Planned]
) -> Difference | None:
    """None where every stage that is compared made what it made. wanted: of the version; there: as it was rebuilt."""
    moved = changes(wanted[1], there[1], run)
    for stage in Outs.compared(run, corpora):
        before, after = wanted[0].made(stage), there[0].made(stage)
        if before and before != after:
            return Difference(stage, _what(before, after), *_why(stage, wanted[1], there[1], moved))
    return None


def first_plan(run: str, wanted: Planned, there: Planned) -> Difference | None:
    """The first stage that was planned otherwise; None where all plans are the same. Plans alone, nothing built."""
    moved = [change for change in changes(wanted, there, run) if change.kind != "library"]
    for verb in ("prepare", "fit", "augment", "evaluate", "release"):
        if own := [change for change in moved if verb in change.stages]:
            return Difference(f"{verb}@{run}", "was planned otherwise", tuple(map(said_of, own)), tuple(own))
    return None


def _what(before: dict[str, str], after: dict[str, str]) -> str:
    names = [path.rpartition("/")[2] for path in before if before[path] != after.get(path)]
    return f"made {'another' if after else 'no'} {', '.join(names)}"


def _why(
    stage: str, wanted: Planned, there: Planned, moved: Sequence[Change]
) -> tuple[tuple[str, ...], tuple[Change, ...]]:
    verb = stage.partition("@")[0]
    if verb == "ingest":
        libraries = _libraries(moved)
        return (RAW, *map(said_of, libraries)), libraries
    own = tuple(change for change in moved if change.kind != "library" and verb in change.stages)
    if own:
        return tuple(map(said_of, own)), own
    if libraries := _libraries(moved):
        return tuple(map(said_of, libraries)), libraries
    if not wanted.stages or not wanted.libraries or not there.libraries:
        return (NOT_KNOWN,), ()
    return (MACHINE,), ()


def _libraries(moved: Sequence[Change]) -> tuple[Change, ...]:
    """Those that count first; of the others, which mostly have nothing to do with it, none where one of those moved."""
    found = [replace(change) for change in moved if change.kind == "library"]
    numeric = [change for change in found if change.what.lower() in NUMERIC]
    return tuple(numeric or found)

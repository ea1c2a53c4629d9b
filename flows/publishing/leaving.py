"""What of a run leaves, and where to: outs for the open remote, for the private one, and those that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpora.licences import Held, restrictions
from flows.conduct.dvcrun import loaded_stages, opened, plain_errors
from flows.licensing import licence_entries
from flows.params import Machine, Params

# Numbers and hashes alone: these leave even where the corpus may not.
OPEN_STAGES = frozenset({"reader", "plan", "evaluate"})


@dataclass(frozen=True, slots=True)
class Out:
    """An out of a stage, as dvc.yaml has it. cached: kept by DVC (else by git); pushable: not `push: false`."""

    path: str
    stage: str
    cached: bool
    pushable: bool


@dataclass(frozen=True, slots=True)
class Leaving:
    """Paths of outs. open: for the default remote; private: for that of machine.yaml; withheld: out -> why it stays;
    in_git: small files of numbers, which the commit holds."""

    open: list[str] = field(default_factory=list)
    private: list[str] = field(default_factory=list)
    withheld: dict[str, str] = field(default_factory=dict)
    in_git: list[str] = field(default_factory=list)


def outs_of(stages: Sequence[str], repo: Path) -> list[Out]:
    """Raises what `plain_errors` raises."""
    with plain_errors(repo), opened(repo) as dvc:
        return [
            Out(Path(out.def_path).as_posix(), stage, bool(out.use_cache), bool(out.can_push))
            for stage, loaded in loaded_stages(dvc, stages, repo).items()
            for out in loaded.outs
        ]


@dataclass(frozen=True, slots=True)
class Restricted:
    """corpora: corpus -> why its real samples may not be passed on, "" where they may; made: why what was made of
    all of them may not."""

    corpora: dict[str, str]
    made: str


def restricted(run: str, params: Params, repo: Path) -> Restricted:
    """What licences say; what a reader's `fake()` wrote is free. Raises as `make_corpus`."""
    entries = licence_entries(params, run, repo)
    made = restrictions(entries, synthetic=params.run(run).generator is not None)
    return Restricted({one.corpus: one.why_not("real") or "" for one in map(Held.of, entries)}, "; ".join(made))


def leaving(outs: Sequence[Out], held: Restricted, machine: Machine) -> Leaving:
    """What was drawn from a restricted corpus, synthetic samples included, is as restricted as the corpus: a generator
    may have learned a recording by heart."""
    found = Leaving(in_git=[out.path for out in outs if not out.cached])
    for out in outs:
        verb, _, name = out.stage.partition("@")
        why = held.corpora.get(name) if verb in ("fake", "ingest") else held.made
        if not out.cached:
            continue
        if not out.pushable:
            found.withheld[out.path] = "dvc.yaml says push: false"
        elif not why or verb in OPEN_STAGES:
            found.open.append(out.path)
        elif machine.private_remote:
            found.private.append(out.path)
        else:
            found.withheld[out.path] = why
    return found

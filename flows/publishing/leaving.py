"""What of a run leaves, and where to: outs for the open remote, for the private one, and those that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpora.licences import why_restricted
from corpora.readers import make_corpus
from flows.conduct.dvcrun import opened, plain_errors, stage_of
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
            for stage in stages
            for out in stage_of(dvc, stage, repo).outs
        ]


def restricted_corpora(run: str, params: Params, repo: Path) -> dict[str, str]:
    """Corpus of the run -> why it may not be passed on; what a reader's `fake()` wrote is free."""
    restricted = {}
    for corpus in params.run(run).corpora:
        entry = params.corpus(corpus)
        card = make_corpus(entry.reader, entry.options, base=repo).card
        if corpus not in params.demo and not card.may_redistribute:
            restricted[corpus] = why_restricted(corpus, card.license)
    return restricted


def leaving(outs: Sequence[Out], restricted: dict[str, str], machine: Machine) -> Leaving:
    """What was drawn from a restricted corpus, synthetic samples included, is as restricted as the corpus: a generator
    may have learned a recording by heart."""
    found = Leaving(in_git=[out.path for out in outs if not out.cached])
    for out in outs:
        verb, _, name = out.stage.partition("@")
        why = restricted.get(name) if verb in ("fake", "ingest") else "; ".join(restricted.values())
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

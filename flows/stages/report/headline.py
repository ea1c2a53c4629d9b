"""The first line of the report: whether the release may be published, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flows.artifacts.evaluated import VerdictRow
from flows.stages.report.data import RunFolder
from flows.stages.report.text import joined
from generators.draws.balance import STOPS
from validators.gate import SAMPLE_GATES, SET_GATES, gate_class

_FAILS, _UNDECIDED, _UNJUDGED = range(3)  # in the order in which they are said
_ALL = "all classes together"
FIRST = 2  # reasons that the page gives at once
_WORD = re.compile(r"\w+")
# what the verdict on conditions asks, which is no gate (flows/stages/evaluate.py); gates say it themselves
_CONDITIONS = {"conditions": "do candidates show the emotion that was asked for, before any gate?"}


@dataclass(frozen=True, slots=True)
class Headline:
    """verdict: may it be published; reasons: why not, or what is missing, the gravest first; joint: what joins both in
    one sentence. state: yes (nothing is missing), no (not to be published), waits (something is missing)."""

    verdict: str
    state: Literal["yes", "no", "waits"]
    reasons: Sequence[str] = ()
    joint: str = ": "

    @property
    def text(self) -> str:
        """All of it as one plain sentence."""
        return f"{self.verdict}{self.joint}{'; '.join(self.reasons)}" if self.reasons else self.verdict

    @property
    def gates(self) -> dict[str, str]:
        """Gates that the first reasons name -> what each asks, in plain words."""
        named = {word for reason in self.reasons[:FIRST] for word in _WORD.findall(reason)}
        gates = {name: gate_class(name).question for name in sorted({*SAMPLE_GATES, *SET_GATES} & named)}
        return gates | {name: asked for name, asked in _CONDITIONS.items() if name in named}


def headline(data: RunFolder) -> Headline:
    """Names the gates that failed, were undecided or cannot judge a class, and the classes that are not filled."""
    missing, manifest = [*said_by(data.verdicts or ()), *_unfilled(data)], data.manifest
    if manifest is None:
        if data.verdicts is not None and missing:
            return Headline("Not released", "no", missing)
        stages = {"fit": data.fit, "augment": data.balance, "evaluate": data.verdicts}
        stage = next((name for name, left in stages.items() if left is None), "release")
        return Headline("Not released yet", "waits", [f"stage {stage} has not ended"])
    if not manifest.publishable:
        why = missing if any(row.verdict == "fail" for row in data.verdicts or ()) else [*manifest.reasons, *missing]
        return Headline("Not to be published", "no", list(dict.fromkeys(why)) or ["its manifest says so"])
    if manifest.restrictions:
        return Headline("May be published privately alone", "waits", [*manifest.restrictions, *missing])
    if missing:
        return Headline("May be published", "waits", missing, ", but ")
    if data.real_only:
        return Headline("Real samples alone, which no gate judges; may be published", "yes")
    return Headline("Every gate passed; may be published", "yes")


def said_by(verdicts: Sequence[VerdictRow]) -> list[str]:
    """ "kid fails for fear", "frechet and vendi are undecided", "agreement cannot judge disgust": failures first. Gates
    that say the same of the same classes stand together; nothing is said of those that passed."""
    groups: dict[tuple[int, str], list[str]] = {}  # (what it says, gate) -> classes
    for row in verdicts:
        if row.verdict != "pass":
            said = _FAILS if row.verdict == "fail" else _UNJUDGED if row.unjudged else _UNDECIDED
            groups.setdefault((said, row.gate), []).append(_ALL if row.group == "all" else row.group)
    gates: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for (said, gate), names in groups.items():
        gates.setdefault((said, tuple(names)), []).append(gate)
    return [_sentence(said, names, own) for (said, names), own in sorted(gates.items(), key=lambda item: item[0][0])]


def _sentence(said: int, classes: Sequence[str], gates: Sequence[str]) -> str:
    many = len(gates) > 1
    if said == _UNJUDGED:
        return f"{joined(gates)} cannot judge {joined(classes)}"
    verb = ("fail" if many else "fails") if said == _FAILS else ("are undecided" if many else "is undecided")
    of = "" if tuple(classes) == (_ALL,) else f" for {joined(classes)}"
    return f"{joined(gates)} {verb}{of}"


def _unfilled(data: RunFolder) -> list[str]:
    return [
        f"{tally.named} is not filled ({tally.real_train + tally.effective} of {tally.target}; {STOPS[tally.stopped]})"
        for tally in (data.balance.every if data.balance else ())
        if not tally.filled
    ]

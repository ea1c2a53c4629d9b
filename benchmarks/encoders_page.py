"""docs/experiments/encoders.md from what benchmarks/encoders.py measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "experiments" / "encoders.md"
HEAD = """\
<!-- Written by benchmarks/encoders.py page; edit that, not this. -->
# What encoders of installed packages gain, and what they cost

`python benchmarks/encoders.py` on development people alone: RAVDESS actors 01-06, FER2013 Training, GoEmotions and MELD
train. What the encoders are, and how they are installed: [encoders](../encoders.md).
"""
JUDGES = """\
## Judges: mean recall over classes, real samples that they had not met

The judges of the gate `agreement` (linear and forest, cross-fitted over group folds, mean of 3 seeds), at their own
defaults. Groups: speakers of RAVDESS, dialogues of MELD, single comments and pictures of GoEmotions and FER2013, which
name nobody. [95 %: groups resampled 2,000 times]; the gain is against the first line of each corpus, resampled
together. ms: to encode one item, on one core of a machine that did other things beside.
"""
PEOPLE = """\
## Identity: RAVDESS 01-06, 360 recordings

Equal error rates. Strangers: pairs of recordings of two actors whom the embedding never met, mean over all 15 pairs of
actors [lowest, highest]. Known: recordings in held-out emotions against the six people of train, as the gate
`identity` compares them; nearest: how many of them are nearest to their own person.
"""
NATURAL = """\
## Naturalness

{n} recordings of RAVDESS 01-06, and what was done to them. Opinion: mean, and difference to the same recordings as they
are; worse: share of recordings whose opinion fell. Let in: by the gate `mos` at its default limit, fitted on one half
of the recordings, real or after a round trip through WORLD, of the other half.
"""


def written(parts: Sequence[Mapping[str, Any]]) -> None:
    """Writes the page from the files of the measurements, in any order."""
    found: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            found.setdefault(key, {}).update(value)
    lines = [HEAD, *_judges(found.get("judges", {})), *_people(found.get("people", {}))]
    lines += _natural(found.get("natural", {}))
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _judges(corpora: Mapping[str, Any]) -> list[str]:
    lines = [JUDGES, "| corpus | features | recall | gain, points | ms | fit, s |", "|---|---|---|---|---:|---:|"]
    for name, told in corpora.items():
        what = f"{name}: {told['n']} of {told['classes']} classes, {told['groups']} groups"
        for i, own in enumerate(told["sets"].values()):
            gain = "" if i == 0 else f"{_points(own['gain'])} {_span(own['gain_interval'])}"
            recall = f"{100 * own['uar']:.1f} {_span(own['interval'])}"
            lines.append(
                f"| {what if i == 0 else ''} | {own['title']} | {recall} | {gain} | {own['ms']:.0f} | "
                f"{own['fit_s']:.0f} |"
            )
    return [*lines, ""] if corpora else []


def _people(kinds: Mapping[str, Any]) -> list[str]:
    lines = [PEOPLE, "| embedding | strangers, % | known, % | nearest, % |", "|---|---|---:|---:|"]
    for kind, own in kinds.items():
        low, high = own["strangers_low_high"]
        strangers = f"{100 * own['strangers']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        known = "".join(f" {100 * own[k]:.1f} |" if k in own else " |" for k in ("known", "nearest"))
        lines.append(f"| {kind} | {strangers} |{known}")
    return [*lines, ""] if kinds else []


def _natural(models: Mapping[str, Any]) -> list[str]:
    if not models:
        return []
    lines = [NATURAL.format(n=next(iter(models.values()))["n"])]
    lines += ["| model | speech | opinion | difference | worse, % | let in, real, % | let in, WORLD, % |"]
    lines += ["|---|---|---:|---:|---:|---:|---:|"]
    for name, told in models.items():
        for what, own in told["versions"].items():
            if not isinstance(own, dict):
                continue
            let = [100 * own[f"let in, limit from {of}"] for of in ("real", "WORLD round trip")]
            worse = "" if what == "real" else f"{100 * own['worse']:.0f}"
            lines.append(
                f"| {name} | {what} | {own['mean']:.2f} | {own['difference']:+.2f} | {worse} | {let[0]:.0f} | "
                f"{let[1]:.0f} |"
            )
        lines += [
            f"| {name} | classes undecided: {', '.join(names) or 'none'} ({what.rpartition(' from ')[2]}) | | | | | |"
            for what, names in told["versions"].items()
            if isinstance(names, list)
        ]
    seconds = ", ".join(f"{name} {told['s_each']:.2f}" for name, told in models.items())
    return [*lines, "", f"Seconds a recording: {seconds}.", ""]


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _span(pair: Sequence[float]) -> str:
    return f"[{100 * pair[0]:.1f}, {100 * pair[1]:.1f}]"

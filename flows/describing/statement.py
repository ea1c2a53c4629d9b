"""The data statement of a release: who is in it, how it was made, what its gates said, what is known to be wrong.

Plain sentences under titles, which README.md and the reviewer pack put in their own forms. A thing that no table or
card tells is said to be unknown, never left out. Questions: Bender & Friedman 2018 (data statements), Gebru et al. 2021
(datasheets).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from flows.artifacts.evaluated import VerdictRow
from flows.describing.facts import Facts, Made, Source
from generators.preset import load_preset


@dataclass(frozen=True, slots=True)
class Section:
    """title; lines: sentences, one a line of a list; rows: a table below them, its head first, () for none."""

    title: str
    lines: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()


def statement(facts: Facts) -> list[Section]:
    """In the order in which a reader asks. How to read it and licences stand apart."""
    return [
        what(facts),
        Section("Who is in it", tuple(who(facts))),
        Section("How it was made", tuple(how(facts))),
        gates(facts),
        Section("Known limits", tuple(limits(facts))),
    ]


def what(facts: Facts) -> Section:
    """Counts of each split and class."""
    manifest = facts.manifest
    weighted = manifest.is_weighted
    head = ("split", "class", "real", "synthetic", *(["which count for"] if weighted else []))
    rows = [
        (
            *(split, c, str(n.real), str(n.synthetic)),
            *([str(n.synthetic if n.effective is None else n.effective)] if weighted else []),
        )
        for split, by_class in manifest.counts.items()
        for c, n in by_class.items()
    ]
    lines = [
        f"{counted(facts)} of modality {manifest.modality}, in {len(manifest.classes)} classes: "
        f"{', '.join(manifest.classes)}",
        "synthetic samples are in train alone, never in dev or test"
        if manifest.has_synthetic
        else "all samples are real",
        f"splits by the view `{manifest.view}`, labels in the scheme `{manifest.scheme}`",
    ]
    if facts.hours is not None:
        lines.append(f"real samples last {facts.hours:.2f} h together")
    if manifest.rate_hz is not None:
        lines.append(f"sampled at {manifest.rate_hz:g} Hz")
    return Section("What is in it", tuple(lines), (head, *rows))


def counted(facts: Facts) -> str:
    """ "12 real and 3 synthetic samples"; of a part, what of them is in it."""
    if facts.part is None:
        return f"{facts.n_real} real and {facts.n_synthetic} synthetic samples"
    if facts.part.only == "synthetic":
        return f"{facts.n_synthetic} synthetic samples, without real ones,"
    real = "real " if facts.manifest.has_payloads else ""
    return f"features of {facts.n_real} real and {facts.n_synthetic} synthetic samples, without {real}payloads,"


def who(facts: Facts) -> list[str]:
    """People, languages, ages, as far as samples tell; then each corpus."""
    if facts.part is not None:
        return [*_who_of_part(facts), *(_corpus(source) for source in facts.sources)]
    people = facts.people
    lines = []
    if people.subjects:
        gender = ", ".join(f"{n} {name}" for name, n in people.genders.items())
        lines.append(f"people that real samples name: {people.subjects}" + (f" ({gender})" if gender else ""))
    if people.unknown:
        lines.append(f"real samples of which nobody knows whose they are: {people.unknown}")
    if not people.genders:
        lines.append("genders are unknown")
    ages = people.ages
    lines.append("ages are unknown" if ages is None else f"ages, where told: {ages[0]:g} to {ages[1]:g} years")
    lines.append(f"languages: {', '.join(people.languages)}" if people.languages else "languages are not told")
    for source in facts.sources:
        about = f", version {source.version}" if source.version != "unknown" else ""
        known = f"{source.samples} samples of {source.subjects} known people" if source.subjects else ""
        lines.append(
            f"corpus {source.id}: {source.title}{about}, {known or f'{source.samples} samples'}; licence "
            f"{source.licence.expression.text}{f'; {source.url}' if source.url and not source.licence.free else ''}"
        )
        if source.licence.free:
            lines.append(f"corpus {source.id} is made up by a reader's fake(): nobody recorded it, nobody is in it")
        elif source.unverified:
            lines.append(f"of corpus {source.id} no source is known for: {', '.join(source.unverified)}")
    return lines


def _who_of_part(facts: Facts) -> list[str]:
    if facts.part is not None and facts.part.only == "features":
        unknown = f", and {facts.people.unknown} vectors of nobody knows whom" if facts.people.unknown else ""
        return [f"features of {facts.people.subjects} people by their ids{unknown}; no recording of anybody"]
    return ["no recording of anybody: synthetic samples alone; people that they stand on are ids in lineage.parquet"]


def _corpus(source: Source) -> str:
    """One on which a part stands and of which no sample is in it."""
    where = f"; {source.url}" if source.url and not source.licence.free else ""
    about = f", version {source.version}" if source.version != "unknown" else ""
    made_up = ", made up by a reader's fake()" if source.licence.free else ""
    return f"corpus {source.id}: {source.title}{about}{made_up}; licence {source.licence.expression.text}{where}"


def how(facts: Facts) -> list[str]:
    """Preparation of payloads, then where synthetic samples come from."""
    steps = [f"{step.step} ({_params(step.params)})" if step.params else step.step for step in facts.prepared.steps]
    lines = [f"payloads went through {', '.join(steps)}" if steps else "payloads are as the corpora have them"]
    if facts.made is None:
        return [*lines, "no generator: every sample is a recording of its corpus"]
    lines += made_lines(facts.made)
    lines.append(
        "each synthetic sample's generator, draw and sources stand in lineage.parquet, its scores in scores.parquet"
    )
    return lines


def made_lines(made: Made) -> list[str]:
    """The generator, its preset, and how it learned."""
    model = f"; it models {made.representation}" if made.representation else ""
    lines = [f"generator `{made.generator}` ({_params(made.params) or 'its defaults'}){model}"]
    if made.preset:
        preset = load_preset(made.preset)
        lines.append(f"preset `{made.preset}`, after {' '.join(preset.source.split())}")
        lines += [f"as in the paper: {same}" for same in preset.equal]
        lines += [f"not as in the paper: {other.what} ({other.why})" for other in preset.differs]
    if made.steps is not None:
        lines.append(f"fitted on the train split alone, {made.steps} steps at most, seed {made.seed}")
    return lines


def gates(facts: Facts) -> Section:
    """Verdicts on the whole set."""
    rows = facts.verdicts
    if not rows:
        return Section("Gates", ("no gate has judged it: there is nothing synthetic in it",))
    counts = {said: sum(row.verdict == said for row in rows) for said in ("pass", "fail", "undecided")}
    told = ", ".join(f"{n} {said}" for said, n in counts.items())
    lines = (
        f"{len(rows)} verdicts: {told}. `real vs real` is the same number between real samples; what each gate "
        "measures and cannot see: emoforge's docs/gates.md",
    )
    head = ("gate", "group", "value", "95 % interval", "real vs real", "limit", "n", "verdict")
    return Section("Gates", lines, (head, *(_verdict(row) for row in rows)))


def _verdict(row: VerdictRow) -> tuple[str, ...]:
    interval = f"{number(row.low)} .. {number(row.high)}" if math.isfinite(row.low) else "-"
    return (
        *(row.gate, row.group, number(row.value), interval, number(row.floor), number(row.limit)),
        *(str(row.n_synthetic), row.verdict),
    )


def limits(facts: Facts) -> list[str]:
    """What a user must know, word for word as the manifest has it."""
    manifest = facts.manifest
    lines = [
        *manifest.notes,
        *(f"class {name} cannot be judged: {why}" for name, why in manifest.cannot_be_judged.items()),
        *(f"Not for publishing: {reason}" for reason in manifest.reasons),
        *(f"Not to be passed on: {reason}" for reason in manifest.restrictions),
    ]
    return lines or ["none that gates, audit or ingest came upon"]


def number(value: float | None) -> str:
    """4 significant digits; "-" where there is no finite number."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def _params(params: object) -> str:
    """ "scale: scores, width: 64"."""
    if not isinstance(params, dict):
        return ""
    return ", ".join(f"{name}: {_plain(value)}" for name, value in sorted(params.items()))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def markdown(sections: Sequence[Section]) -> list[str]:
    """Sections as Markdown of level 2."""
    lines: list[str] = []
    for section in sections:
        lines += [f"## {section.title}", "", *(f"- {line}" for line in section.lines), ""]
        if section.rows:
            head, *rows = section.rows
            lines += [_cells(head), "|" + "---|" * len(head), *map(_cells, rows), ""]
    return lines


def _cells(row: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"

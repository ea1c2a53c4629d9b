"""Questions that reviewers of data sets ask, with the answers that a release can give of itself.

The questions follow Gebru et al. 2021 (datasheets) and what NeurIPS' track of data sets asks for, in words of our own.
An answer is made of the release's tables and cards; where they tell nothing the author has to answer, and the pack says
so: nothing is made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from corpora.licences import Use
from flows.artifacts.prepared import FindingRecord
from flows.describing.facts import KINDS, Facts
from flows.describing.licence_files import NAMES
from flows.describing.statement import how, limits, what, who

AUTHOR = "To be answered by the author."


@dataclass(frozen=True, slots=True)
class Question:
    """answer: sentences; (): the release cannot tell, the author has to."""

    part: str
    text: str
    answer: tuple[str, ...] = ()


def checklist(facts: Facts, audit: tuple[FindingRecord, ...], missing: Mapping[str, int]) -> list[Question]:
    """audit: findings of audit.json. missing: column of the index -> real samples of which it says nothing."""
    return [*_why(), *_composition(facts, audit, missing), *_making(facts), *_use(facts), *_passing_on(facts)]


def _why() -> list[Question]:
    return [
        Question("Motivation", "For what purpose was the data set made?"),
        Question("Motivation", "Who made it, on behalf of whom, and who paid for it?"),
    ]


def _composition(facts: Facts, audit: tuple[FindingRecord, ...], missing: Mapping[str, int]) -> list[Question]:
    part, manifest = "Composition", facts.manifest
    lacks = [f"{name}: {n} of {facts.n_real} real samples" for name, n in missing.items() if n]
    found = [f"{f.kind.replace('_', ' ')} in {' and '.join(f.splits)}: {f.counts['keys']}, {f.action}" for f in audit]
    sensitive = {"speech": "voices", "face": "faces", "text": "words", "physio": "signals of the body"}
    free = all(source.licence.free for source in facts.sources)
    return [
        Question(part, "What do instances represent, and how many of each kind are there?", what(facts).lines),
        Question(
            part,
            "Does it hold all possible instances or a sample of them?",
            tuple(f"{s.samples} samples of {s.title}, version {s.version}" for s in facts.sources)
            if facts.part is None
            else (
                f"a part ({facts.part.only}) of the release {facts.part.release}: its "
                f"{sum(facts.part.left_out.values())} real samples are left out",
            ),
        ),
        Question(
            part,
            "What does each instance consist of, and is there a label?",
            (
                f"{_payload(facts)} and a row of index.parquet; labels of {len(manifest.classes)} classes in the "
                f"scheme {manifest.scheme}",
            ),
        ),
        Question(part, "Is anything missing from individual instances?", tuple(lacks) or ("nothing that is declared",)),
        Question(
            part,
            "Are relations between instances made explicit?",
            ("columns subject_id, group_id, recording_id and sources of index.parquet, and lineage.parquet",),
        ),
        Question(
            part,
            "Are there recommended splits?",
            (
                f"view {manifest.view}: "
                + ", ".join(
                    f"{split} {sum(n.real for n in by.values())} real" for split, by in manifest.counts.items()
                ),
            ),
        ),
        Question(
            part,
            "Are there errors, sources of noise, or redundancies?",
            (*(found or ("the audit of splits came upon no leak that was kept",)), *limits(facts)),
        ),
        Question(
            part,
            "Is it self-contained?",
            ("yes: shards hold every payload, manifest.json and SHA256SUMS the hash of every file",),
        ),
        Question(part, "Is anything in it confidential, or may it offend or frighten?"),
        Question(part, "Does it tell apart groups of people?", tuple(who(facts))),
        Question(
            part,
            "Can persons be identified from it?",
            ("no: every sample is made up, of nobody",)
            if free
            else (
                f"it holds no {sensitive[manifest.modality]} that were recorded; synthetic ones may resemble those "
                "that they were made from, and features those that they were computed from",
            )
            if facts.part is not None
            else (f"it holds {sensitive[manifest.modality]} of people; whom they belong to, its corpora say",),
        ),
        Question(part, "Does it hold data that are sensitive?", (f"emotion labels: {', '.join(manifest.classes)}",)),
    ]


def _payload(facts: Facts) -> str:
    real, synthetic = (facts.endings((kind,)) for kind in KINDS)
    if not facts.endings():
        return "a row of features"
    if real and synthetic and real != synthetic:
        return f"a payload ({' or '.join(real)}; {' or '.join(synthetic)} of a synthetic one)"
    return f"a payload ({' or '.join(facts.endings())})"


def _making(facts: Facts) -> list[Question]:
    part = "Collection and preparation"
    return [
        Question(
            part,
            "How were the data acquired?",
            tuple(f"{s.id}: {s.title}{f', {s.url}' if s.url and not s.licence.free else ''}" for s in facts.sources),
        ),
        Question(part, "Over what time frame were they collected?"),
        Question(part, "Were there ethical reviews, and did the people consent?"),
        Question(part, "What was done to them, and can it be done again?", tuple(how(facts))),
        Question(
            part,
            "Are any data synthetic, and how were they made?",
            (f"{facts.n_synthetic} of {facts.n_real + facts.n_synthetic} samples, in train alone",)
            if facts.n_synthetic
            else ("none",),
        ),
    ]


def _use(facts: Facts) -> list[Question]:
    return [
        Question("Uses", "Has it been used for something already?"),
        Question("Uses", "What else could it be used for, and what should it not be used for?"),
        Question("Uses", "What must a user know?", tuple(limits(facts))),
    ]


def _passing_on(facts: Facts) -> list[Question]:
    part = "Distribution and maintenance"
    uses = {kind: use for kind, use in facts.uses.items() if kind != "synthetic" or facts.n_synthetic}
    return [
        Question(part, "Under which licence does it stand?", (f"SPDX: {facts.expression}",)),
        Question(part, "May it be given to others?", tuple(f"{NAMES[k]}: {_may(use)}" for k, use in uses.items())),
        Question(part, "Where and when will it be distributed, and under which DOI?"),
        Question(part, "Do export controls or other rules apply?"),
        Question(
            part,
            "Is there metadata that machines read?",
            ("croissant.json: Croissant 1.1 with RAI and PROV; README.md has the metadata of the Hugging Face hub",),
        ),
        Question(part, "Who maintains it, and how can one reach them?"),
        Question(
            part,
            "Will there be updates, and do older versions stay?",
            ("each published version is a tag whose number says what changed; `emoforge log` lists them",),
        ),
        Question(part, "Can others add to it?"),
    ]


def _may(use: Use) -> str:
    return f"yes ({'; '.join(use.terms.duties()) or 'without conditions'})" if use.allowed else "; ".join(use.because)

"""README.md of a release: the hub's YAML, then the data statement, licences, how to read it, and whom to cite."""

from __future__ import annotations

from flows.artifacts.released import Manifest
from flows.describing.facts import Facts
from flows.describing.front_matter import front_matter
from flows.describing.licence_files import FOLDER, TERMS, use_lines
from flows.describing.reading import reading_lines
from flows.describing.statement import markdown, statement


def release_card(facts: Facts) -> str:
    """README.md. Nothing of time or machine is in it: it lies under `release_hash`."""
    manifest = facts.manifest
    lines = [
        f"# {manifest.name}",
        "",
        _what_it_is(manifest),
        "",
        *markdown(statement(facts)),
        "## What may be done with it",
        "",
        *use_lines(facts),
        "",
        f"[{TERMS}]({TERMS}) has it by corpus, `{FOLDER}/` a file for each licence.",
        "",
        "## How to read it",
        "",
        *reading_lines(facts),
        *_citations(facts),
    ]
    return front_matter(facts) + "\n" + "\n".join(lines).rstrip() + "\n"


def _what_it_is(manifest: Manifest) -> str:
    sums = "`manifest.json` lists its files with hashes; `sha256sum -c SHA256SUMS` checks them."
    part = manifest.part_of
    if part is not None:
        holds = {
            "synthetic": "the synthetic samples of emotion corpora, in train alone, each through quality gates",
            "features": "features of emotion corpora as vectors, of real samples"
            + (" and, in train, of synthetic ones" if manifest.has_synthetic else ""),
        }[part.only]
        none = "no payload of theirs is here" if manifest.has_payloads else "no payload of any sample is here"
        out = ", ".join(f"{n} of {split}" for split, n in part.left_out.items()) or "none"
        return (
            f"A part of a release of emoforge: {holds}. **Real samples are left out** ({out}): ids of them stand in "
            f"lineage.parquet, {none}. Taken from the release {part.release}, hash "
            f"`{part.release_hash}`. {sums}"
        )
    if manifest.has_synthetic:
        return (
            "A release of emoforge: real samples of emotion corpora, and, in train alone, synthetic ones of classes "
            "that lack samples, each through quality gates. " + sums
        )
    return (
        "A release of emoforge: samples of emotion corpora, split, prepared and audited; all of them are real. " + sums
    )


def _citations(facts: Facts) -> list[str]:
    entries = [source.bibtex.strip() for source in facts.sources if source.bibtex.strip()]
    if not entries:
        return []
    return ["## Whom to cite", "", "The corpora that it is made of:", "", "```bibtex", *entries, "```", ""]

"""README.md of a release: the hub's YAML, then the data statement, licences, how to read it, and whom to cite."""

from __future__ import annotations

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
        "A release of emoforge: real samples of emotion corpora, and, in train alone, synthetic ones of classes that "
        "lack samples, each through quality gates. `manifest.json` lists its files with hashes; `sha256sum -c "
        "SHA256SUMS` checks them."
        if manifest.has_synthetic
        else "A release of emoforge: samples of emotion corpora, split, prepared and audited; all of them are real. "
        "`manifest.json` lists its files with hashes; `sha256sum -c SHA256SUMS` checks them.",
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


def _citations(facts: Facts) -> list[str]:
    entries = [source.bibtex.strip() for source in facts.sources if source.bibtex.strip()]
    if not entries:
        return []
    return ["## Whom to cite", "", "The corpora that it is made of:", "", "```bibtex", *entries, "```", ""]

"""LICENSE.md and LICENSES/<id>.txt of a release: which licences hold, and what they let be done with what.

Each file names the licence, the address where its text stands and its terms in short, and, of licences in SPDX's list,
holds the text itself (corpora/terms/texts); named as REUSE names such files (reuse.software/spec-3.3). A `LicenseRef-`
is terms of a corpus' own, whose text is its owner's.
"""

from __future__ import annotations

from corpora.licences import Held, Kind, Use
from corpora.permits import PARTS, Part, verdict
from corpora.terms.table import LICENCES
from corpora.terms.terms import PERMISSIONS
from corpora.terms.texts import text_of
from flows.describing.facts import Facts, Source

TERMS = "LICENSE.md"
FOLDER = "LICENSES"
NAMES: dict[Kind, str] = {
    "real": "real samples (also resampled, trimmed, cropped)",
    "synthetic": "synthetic samples",
    "features": "features alone, computed from real samples",
}
_MAY = {  # what is said where it is in, and where it is not
    "real": ("copies of samples may be passed on", "copies of samples may not be passed on"),
    "synthetic": ("what is made after them may be passed on", "what is made after them may not be passed on"),
    "features": ("features computed from them may be passed on", "features computed from them may not be passed on"),
    "commercial": ("commercial use is allowed", "commercial use is not allowed"),
}
TEXT = "The text of the licence, word for word:"
ADVICE = "This sums up what corpora.terms.table of emoforge has read in the licences; their own texts go before it."


def licence_files(facts: Facts) -> dict[str, str]:
    """Path in the release -> its text."""
    files = {TERMS: terms_page(facts)}
    for name in dict.fromkeys(name for source in facts.sources for name in source.licence.expression.chosen):
        files[f"{FOLDER}/{name}.txt"] = licence_text(name, facts)
    return files


def licence_text(name: str, facts: Facts) -> str:
    """What LICENSES/<name>.txt says."""
    holders = [source for source in facts.sources if name in source.licence.expression.chosen]
    row = LICENCES.get(name)
    head = [f"SPDX-License-Identifier: {name}", ""]
    if row is None:
        head += ["Terms of the corpus' own, which no list knows: ask who owns it."]
    else:
        head += [f"Name: {row.name}", f"Text: {row.url}", "", "In short:"]
        head += [f"- {_MAY[may][may not in row.terms.may]}" for may in PERMISSIONS]
        head += [f"- {duty}" for duty in row.terms.duties() if duty != "no commercial use"]
    told = [
        f"- {source.id} ({source.title}){': ' + source.url if source.url else ''}{_where(source)}" for source in holders
    ]
    text = text_of(name)
    whole = ["", TEXT, "", text.rstrip("\n")] if text is not None else []
    return "\n".join([*head, "", "Corpora of this release under it:", *told, "", ADVICE, *whole]) + "\n"


def _where(source: Source) -> str:
    if source.licence.free:
        return " (made up: none of its samples is of a person)"
    return f"\n  said by: {source.licence_source}" if source.licence_source else "\n  no source for it is known"


def terms_page(facts: Facts) -> str:
    """LICENSE.md."""
    lines = [
        f"# Terms of {facts.manifest.name}",
        "",
        f"SPDX: `{facts.expression}`. A release stands under what the licences of all of its corpora let be done.",
        "",
        *use_lines(facts),
        "",
        "| corpus | licence | its text |",
        "|---|---|---|",
        *(_row(source.licence) for source in facts.sources),
        "",
        ADVICE,
    ]
    return "\n".join(lines) + "\n"


def use_lines(facts: Facts) -> list[str]:
    """A list of Markdown: what may be done with each kind of thing, why not, and what is left."""
    kinds: list[Kind] = [kind for kind in facts.uses if kind != "synthetic" or facts.manifest.has_synthetic]
    lines = [line for kind in kinds for line in _use_lines(kind, facts.uses[kind])]
    if facts.part is not None:
        because = dict.fromkeys(f"  - {one.licence} of {one.corpus}: {one.because}" for one in facts.part.allowed)
        return [*lines, "- real samples are left out; that the rest may stand alone is said by:", *because]
    allowed = [kind for kind in kinds if facts.uses[kind].allowed]
    alone = _alone(facts)
    if alone and len(allowed) < len(kinds):
        said = " and of ".join(f"its {part} (`emoforge publish {facts.manifest.name} --only {part}`)" for part in alone)
        lines.append(f"- a part without its real samples may be published: of {said}")
    elif not allowed:
        lines.append("- no part of it may be passed on alone: what is made of samples is as restricted as they are")
    elif "synthetic" in kinds and "synthetic" not in allowed and "real" in allowed:
        lines.append("- its real samples alone may be passed on: a run without a generator releases them")
    return lines


def _alone(facts: Facts) -> list[Part]:
    """Parts that may stand without the real samples, whatever their owners were asked (corpora/permits.py)."""
    manifest, held = facts.manifest, [source.licence for source in facts.sources]
    features = manifest.features is not None or bool(manifest.feature_tables)
    there = {"synthetic": manifest.has_synthetic, "features": features}
    said = {part: verdict(held, part, {}, synthetic=manifest.has_synthetic) for part in PARTS if there[part]}
    return [part for part, one in said.items() if not one.because]


def _use_lines(kind: Kind, use: Use) -> list[str]:
    if use.allowed:
        duties = "; ".join(use.terms.duties())
        return [f"- **{NAMES[kind]}** may be passed on{': ' + duties if duties else ''}"]
    return [f"- **{NAMES[kind]}** may not be passed on: {'; '.join(use.because)}"]


def _row(held: Held) -> str:
    texts = ", ".join(f"[{FOLDER}/{name}.txt]({FOLDER}/{name}.txt)" for name in held.expression.chosen)
    return f"| {held.corpus} | {held.expression.text}{' (made up)' if held.free else ''} | {texts} |"

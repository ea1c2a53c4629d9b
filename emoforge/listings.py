"""What can be named in params.yaml: corpora, generators, gates, with a line about each."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import asdict
from importlib.metadata import entry_points
from typing import Any

from corpora.errors import UnknownNameError
from corpora.labels import SCHEMES, to_scheme
from corpora.readers import make_corpus, reader_names
from corpora.schema import MODALITIES, CorpusCard
from emoforge import console


def list_corpora(*, as_json: bool, modality: str | None = None) -> None:
    """All readers, or those of one modality. Raises `UnknownNameError`."""
    if modality is not None and modality not in MODALITIES:
        raise UnknownNameError.of("modality", modality, MODALITIES)
    cards = [make_corpus(name).card for name in reader_names()]
    cards = [card for card in cards if modality in (None, card.modality)]
    cards.sort(key=lambda card: (MODALITIES.index(card.modality), card.name))
    if as_json:
        console.print_json([asdict(card) for card in cards])
        return
    rows = [
        [
            c.name,
            c.modality,
            len({e for e in c.label_map.values() if e}) or None,
            c.n_subjects,
            c.n_samples,
            c.license,
            c.tested_on,
            c.title,
        ]
        for c in cards
    ]
    console.table(
        "Corpora that can be read (`emoforge corpora show NAME` tells more)",
        ["reader", "modality", "classes", "subjects", "samples", "licence", "tested on", "title"],
        rows,
        right=["classes", "subjects", "samples"],
    )
    console.out.print(
        "Tested on real: the tests read published files of it. Fake: made-up files in the published layout. A corpus "
        "that is not here: describe it in a YAML card (docs/describe-a-corpus.md)."
    )


def show_corpus(name: str, *, as_json: bool) -> None:
    """The card of one reader: facts with their sources, the label map, and where labels go in each scheme.

    Raises `UnknownNameError`.
    """
    corpus = make_corpus(name)
    card = corpus.card
    if as_json:
        console.print_json(asdict(card))
        return
    unknown = "not verified" if card.unverified else None
    facts: list[list[Any]] = [
        ["title", card.title, None],
        ["modality", card.modality, None],
        ["version", card.version, None],
        ["licence", card.license, card.sources.get("license", unknown)],
        ["may be passed on", "yes" if card.may_redistribute else "no", None],
        ["how to get it", card.access, card.url],
        ["language", card.language, None],
        ["subjects", card.n_subjects, card.sources.get("subjects", unknown)],
        ["samples", card.n_samples, card.sources.get("counts", unknown)],
        ["no split parts", card.split_unit, None],
        ["published split", card.official_split, card.sources.get("splits", unknown)],
        ["ratings", "; ".join(f"{d} {lo:g} to {hi:g}" for d, (lo, hi) in card.dimensions.items()) or None, None],
        ["files and labels", None, card.sources.get("layout", unknown)],
        [
            "our tests read",
            {"real": "published files", "fake": "made-up files in the published layout"}[card.tested_on],
            None,
        ],
        *[["known oddity", quirk, None] for quirk in card.quirks],
        *[["option", option, None] for option in _options(corpus)],
    ]
    console.table(name, ["fact", "value", "stands in"], facts)
    if card.label_map:
        _show_labels(card)
    console.out.print(first_paragraph(importlib.import_module(type(corpus).__module__)))
    console.out.print(card.bibtex)


def _options(corpus: Any) -> list[str]:
    parameters = inspect.signature(type(corpus)).parameters.values()
    return [f"{p.name} (default {p.default!r})" for p in parameters if not p.name.startswith("_")]


def _show_labels(card: CorpusCard) -> None:
    """Native label -> canonical emotion -> class in each scheme that fits."""
    schemes = _fitting({e for e in card.label_map.values() if e is not None})
    rows = []
    for native, emotion in card.label_map.items():
        places = [to_scheme(emotion, scheme) or "-" for scheme in schemes]
        rows.append([native, emotion or "no word for it", (card.counts or {}).get(native), *places])
    console.table("Labels", ["label", "read as", "published", *schemes], rows, right=["published"])


def _fitting(emotions: set[str]) -> list[str]:
    """Schemes of which the emotions fill at least half, one of those that come to the same."""
    found: dict[tuple[tuple[str, str | None], ...], str] = {}
    for name, scheme in SCHEMES.items():
        filled = {scheme.mapping[e] for e in emotions if e in scheme.mapping}
        if name != "corpus" and len(filled) >= max(2, len(scheme.classes) / 2):
            found.setdefault(tuple((e, scheme.mapping.get(e)) for e in sorted(emotions)), name)
    return list(found.values())


def list_generators(*, as_json: bool) -> None:
    from generators.generator import GENERATORS, generator_class

    names = sorted({e.name for e in entry_points(group="emoforge.generators")} | set(GENERATORS))
    found = [{"name": name, **_about(generator_class(name), ("takes", "trains"))} for name in names]
    if as_json:
        console.print_json(found)
        return
    rows = [
        [g["name"], "yes" if g.get("trains") else "no", "yes" if g.get("takes") else "no", g["about"]] for g in found
    ]
    console.table("Generators", ["name", "trains", "wants sources", "what it is"], rows)


def list_gates(*, as_json: bool) -> None:
    from validators.gate import SAMPLE_GATES, SET_GATES, gate_class

    names = [*SAMPLE_GATES, *SET_GATES]
    names += sorted({e.name for e in entry_points(group="emoforge.gates")} - set(names))
    found: list[dict[str, Any]] = []
    for name in names:
        kind = "set" if name in SET_GATES else "sample"
        told = getattr(gate_class(name), "default_limit", None)
        limit = (
            {k: v for k, v in asdict(told).items() if v not in (None, 0.0) and (k, v) != ("times", 1.0)} if told else {}
        )
        about = _about(gate_class(name), ("unit", "better", "modalities", "layouts", "min_n"))
        about["params"] = {key: field.default for key, field in gate_class(name).Params.model_fields.items()}
        found.append({"name": name, "looks_at": kind, "default_limit": limit, **about})
    if as_json:
        console.print_json(found)
        return
    rows = [
        [
            g["name"],
            g["looks_at"],
            ", ".join(g["modalities"]) + (", vectors" if "vector" in g["layouts"] else ""),
            g.get("better"),
            g.get("unit"),
            console.flat(g["default_limit"]),
            g["about"],
        ]
        for g in found
    ]
    console.table("Gates", ["name", "looks at", "modalities", "better", "unit", "limit", "what it asks"], rows)


def _about(kind: Any, facts: tuple[str, ...]) -> dict[str, Any]:
    known = {fact: value for fact in facts if not _is_slot(value := getattr(kind, fact, None)) and value is not None}
    module = importlib.import_module(kind.__module__)
    about = first_paragraph(kind)
    return {**known, "about": first_paragraph(module) if "see the module" in about or not about else about}


def _is_slot(value: Any) -> bool:
    return isinstance(value, property) or inspect.isdatadescriptor(value)


def first_paragraph(thing: Any) -> str:
    """First paragraph of the docstring as one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())

"""What can be named in params.yaml: corpora, generators, gates, with a line about each."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import asdict
from importlib.metadata import entry_points
from typing import Any

from corpora.readers import make_corpus, reader_names
from emoforge import console


def list_corpora(*, as_json: bool) -> None:
    cards = [make_corpus(name).card for name in reader_names()]
    if as_json:
        console.print_json([asdict(card) for card in cards])
        return
    rows = [[c.name, c.modality, c.n_subjects, sum(c.counts.values()) if c.counts else None, c.license,
             "yes" if c.may_redistribute else "no", c.title] for c in cards]  # fmt: skip
    console.table(
        "Corpora that can be read",
        ["reader", "modality", "subjects", "samples", "licence", "may be passed on", "title"],
        rows,
        right=["subjects", "samples"],
    )


def show_corpus(name: str, *, as_json: bool) -> None:
    """The card of one reader. Raises `UnknownNameError`."""
    corpus = make_corpus(name)
    card = corpus.card
    if as_json:
        console.print_json(asdict(card))
        return
    facts: list[list[Any]] = [
        ["title", card.title], ["modality", card.modality], ["version", card.version], ["licence", card.license],
        ["may be passed on", "yes" if card.may_redistribute else "no"], ["language", card.language],
        ["subjects", card.n_subjects], ["no split parts", card.split_unit], ["url", card.url],
        ["labels", ", ".join(f"{native} -> {ours}" for native, ours in card.label_map.items())],
        ["published counts", console.flat(card.counts) if card.counts else None], ["counts from", card.counts_source],
    ]  # fmt: skip
    console.table(name, ["fact", "value"], facts)
    console.out.print(first_paragraph(importlib.import_module(type(corpus).__module__)))
    console.out.print(card.bibtex)


def list_generators(*, as_json: bool) -> None:
    from generators.generator import GENERATORS, generator_class

    names = sorted({e.name for e in entry_points(group="emoforge.generators")} | set(GENERATORS))
    found = [{"name": name, **_about(generator_class(name), ("needs_sources", "trains"))} for name in names]
    if as_json:
        console.print_json(found)
        return
    rows = [
        [g["name"], "yes" if g.get("trains") else "no", "yes" if g.get("needs_sources") else "no", g["about"]]
        for g in found
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
        about = _about(gate_class(name), ("unit", "better", "modalities", "min_n"))
        found.append({"name": name, "looks_at": kind, "default_limit": limit, **about})
    if as_json:
        console.print_json(found)
        return
    rows = [[g["name"], g["looks_at"], ", ".join(g.get("modalities") or ()), g.get("better"), g.get("unit"),
             console.flat(g["default_limit"]), g["about"]] for g in found]  # fmt: skip
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

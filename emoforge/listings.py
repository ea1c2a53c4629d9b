"""What can be named in params.yaml: corpora, generators, gates, with a line about each."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from corpora.errors import UnknownNameError
from corpora.labels import SCHEMES, to_scheme
from corpora.readers import make_corpus, reader_names
from corpora.schema import MODALITIES, CorpusCard
from emoforge import console

if TYPE_CHECKING:
    from validators.gate import Limit, SampleGate, SetGate


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
        "Corpora that can be read (details: `emoforge corpora show NAME`)",
        ["reader", "modality", "classes", "subjects", "samples", "licence", "tested on", "title"],
        rows,
        right=["classes", "subjects", "samples"],
    )
    console.out.print(
        "Tested on real: the tests read published files of it. Fake: files that the reader itself writes in that "
        "layout. A corpus that is not here: describe it in a YAML card (docs/describe-a-corpus.md)."
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
        ["split unit", card.split_unit, None],
        ["published split", card.official_split, card.sources.get("splits", unknown)],
        ["ratings", "; ".join(f"{d} {lo:g} to {hi:g}" for d, (lo, hi) in card.dimensions.items()) or None, None],
        ["files and labels", None, card.sources.get("layout", unknown)],
        [
            "our tests read",
            {"real": "published files", "fake": "files that the reader itself writes in the published layout"}[
                card.tested_on
            ],
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
    schemes: dict[tuple[tuple[str, str | None], ...], str] = {}
    for name, scheme in SCHEMES.items():
        filled = {scheme.mapping[e] for e in emotions if e in scheme.mapping}
        if name != "corpus" and len(filled) >= max(2, len(scheme.classes) / 2):
            schemes.setdefault(tuple((e, scheme.mapping.get(e)) for e in sorted(emotions)), name)
    return list(schemes.values())


def list_generators(*, as_json: bool) -> None:
    """Prints every registered generator: whether it trains, whether it needs source samples, and what it is."""
    from generators.generator import generator_class, generator_names

    kinds = {name: generator_class(name) for name in generator_names()}
    if as_json:
        console.print_json(
            [
                {"name": name, **_facts(k, ("takes", "trains")), "about": _of_generator(name, k)}
                for name, k in kinds.items()
            ]
        )
        return
    rows = [
        [name, _yes(getattr(k, "trains", False)), _yes(_facts(k, ("takes",)).get("takes")), _of_generator(name, k)]
        for name, k in kinds.items()
    ]
    console.table("Generators", ["name", "trains", "wants sources", "what it is"], rows)


def _of_generator(name: str, kind: type) -> str:
    own = about(kind).removeprefix(f"{name}: ")
    return own[0].upper() + own[1:]


def list_gates(*, as_json: bool) -> None:
    """Prints every registered gate: what it scores, its unit, direction, default limit and what it is."""
    from validators.gate import gate_class, gate_names

    gates = [_gate(name, gate_class(name)) for name in gate_names()]
    if as_json:
        console.print_json([gate.as_dict() for gate in gates])
        return
    rows = [
        [
            g.name,
            g.looks_at,
            ", ".join(g.facts["modalities"]) + (", vectors" if "vector" in g.facts["layouts"] else ""),
            g.facts.get("better"),
            g.facts.get("unit"),
            console.flat(g.limit),
            g.about,
        ]
        for g in gates
    ]
    console.table("Gates", ["name", "looks at", "modalities", "better", "unit", "limit", "what it asks"], rows)


@dataclass(frozen=True, slots=True)
class GateListing:
    """One gate. looks_at: sample or set. limit: what differs from the neutral form of the default one, {} where it has
    none. params: name -> default. facts: unit, better, modalities, layouts, min_n, where the class says them."""

    name: str
    looks_at: Literal["sample", "set"]
    limit: Mapping[str, float]
    params: Mapping[str, object]
    facts: Mapping[str, Any]
    about: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        own = {"name": self.name, "looks_at": self.looks_at, "default_limit": dict(self.limit)}
        return {**own, **self.facts, "about": self.about, "params": dict(self.params)}


def _gate(name: str, kind: type[SampleGate | SetGate]) -> GateListing:
    from validators.gate import SetGate

    return GateListing(
        name=name,
        looks_at="set" if issubclass(kind, SetGate) else "sample",
        limit={} if kind.default_limit is None else _limit(kind.default_limit),
        params={key: field.default for key, field in kind.Params.model_fields.items()},
        facts=_facts(kind, ("unit", "better", "modalities", "layouts", "min_n")),
        about=about(kind),
    )


def _limit(limit: Limit) -> dict[str, float]:
    """Its form, and `times` and `margin` where they do something."""
    return {k: v for k, v in asdict(limit).items() if v not in (None, 0.0) and (k, v) != ("times", 1.0)}


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _facts(kind: type, names: Sequence[str]) -> Mapping[str, Any]:
    """Attributes of a class that have a value."""
    values = {name: getattr(kind, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None and not _is_slot(value)}


def about(kind: type) -> str:
    """What a class is, in a paragraph: of its docstring, or of its module's where that says more."""
    own = first_paragraph(kind)
    return (
        first_paragraph(importlib.import_module(kind.__module__)) if "see the module" in own.lower() or not own else own
    )


def _is_slot(value: Any) -> bool:
    return isinstance(value, property) or inspect.isdatadescriptor(value)


def first_paragraph(thing: Any) -> str:
    """First paragraph of the docstring as one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())

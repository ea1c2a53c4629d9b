"""The gallery: every sample that the page shows, numbered, with its certificate, its place on the map and its scores.

What filters and selection need stands in one JSON island; the page shows the same samples without any script.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from corpora.codecs import decode_text
from corpora.errors import PayloadError
from flows.stages.report.data import RunFolder, listed
from flows.stages.report.gallery.births import Birth, births
from flows.stages.report.gallery.island import island
from flows.stages.report.gallery.space import Point, Space, space_of
from flows.stages.report.gallery.words import Words, changed_words
from flows.stages.report.media import MAX_CHARACTERS
from flows.stages.report.samples import Kind, Media

WIDTH, HEIGHT, EDGE = 640, 420, 14  # of the map's drawing
KINDS: dict[Kind, str] = {"real": "real", "synthetic": "synthetic, accepted", "rejected": "rejected"}


@dataclass(frozen=True, slots=True)
class Dot:
    """A sample on the map. card: its number in the gallery, None where the gallery does not show it. x, y: in the
    drawing, y downwards."""

    card: int | None
    kind: Kind
    title: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Gallery:
    """numbers: sample -> its card, as the page numbers them. changed: text -> its words against its source's. gates:
    those with a score to filter by; refusals: reasons that shown candidates were rejected for."""

    numbers: Mapping[str, int]
    births: Sequence[Birth]
    kinds: Mapping[str, str]
    classes: Sequence[str]
    gates: Sequence[str]
    refusals: Sequence[str]
    changed: Mapping[str, Sequence[Words]]
    space: Space | None
    dots: Sequence[Dot]
    data: str


def gallery(data: RunFolder, media: Media) -> Gallery:
    """Everything about the samples in `media`. Raises `IntegrityError`."""
    kinds = dict(_kinds(media))
    space = space_of(data, set(kinds)) if kinds else None
    certified = births(data, kinds, space.near if space else {})
    numbers = {sample: n for n, sample in enumerate(certified)}
    scored = [gate for birth in certified.values() for gate in birth.gates]
    return Gallery(
        numbers=numbers,
        births=list(certified.values()),
        kinds={kind: word for kind, word in KINDS.items() if kind in kinds.values()},
        classes=sorted({birth.emotion for birth in certified.values() if birth.emotion is not None}),
        gates=sorted({gate.gate for gate in scored if _number(gate.value) is not None}),
        refusals=sorted({_refusal(gate.gate, gate.reason) for gate in scored if not gate.passed}),
        changed=_changed(data, certified) if data.summary.modality == "text" else {},
        space=space,
        dots=[_dot(point, numbers) for point in space.points] if space else [],
        data=island([_facts(birth) for birth in certified.values()]),
    )


def _kinds(media: Media) -> Iterator[tuple[str, Kind]]:
    for sheet in media.classes:
        for shown in sheet.real:
            yield shown.sample_id, "real"
        for shown in sheet.synthetic:
            yield shown.sample_id, "synthetic"
    for shown in media.rejected:
        yield shown.sample_id, "rejected"


def _facts(birth: Birth) -> JsonValue:
    """What the page's script knows of a card."""
    return {
        "id": birth.sample_id,
        "kind": birth.kind,
        "class": birth.emotion or "",
        "scores": {gate.gate: _number(gate.value) for gate in birth.gates},
        "refusals": [_refusal(gate.gate, gate.reason) for gate in birth.gates if not gate.passed],
    }


def _refusal(gate: str, reason: str | None) -> str:
    return reason if reason and reason.startswith(gate) else f"{gate}: {reason or 'beyond its limit'}"


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _dot(point: Point, numbers: Mapping[str, int]) -> Dot:
    return Dot(
        numbers.get(point.sample_id),
        point.kind,
        f"{KINDS[point.kind]} · {point.emotion or 'mixture'} · {point.sample_id}",
        round(EDGE + point.x * (WIDTH - 2 * EDGE), 1),
        round(EDGE + (1 - point.y) * (HEIGHT - 2 * EDGE), 1),
    )


def _changed(data: RunFolder, certified: Mapping[str, Birth]) -> dict[str, Sequence[Words]]:
    """Of texts that started from another one; the first `MAX_CHARACTERS` of both."""
    started = {s: birth.parents[0].sample_id for s, birth in certified.items() if birth.parents}
    sources = _texts(data.folder / "prepared", data.samples, set(started.values()))
    own: dict[str, str] = {}
    for table in (data.synthetic, data.rejected):
        own |= _texts(data.folder / "augmented", table, set(started))
    return {s: changed_words(sources[i], own[s]) for s, i in started.items() if s in own and i in sources}


def _texts(folder: Path, table: pa.Table | None, ids: set[str]) -> dict[str, str]:
    if table is None or not ids:
        return {}
    texts: dict[str, str] = {}
    for row in listed(table.filter(pc.is_in(table["sample_id"], value_set=pa.array(sorted(ids), pa.string())))):
        try:
            texts[row.sample_id] = decode_text(row.payload(folder))[:MAX_CHARACTERS]
        except PayloadError:  # a rejected candidate may be no text; its card says so
            continue
    return texts

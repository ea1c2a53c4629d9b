"""Which samples the report shows: real beside synthetic for each class, and a few that a gate rejected."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import pyarrow as pa

from corpora.errors import PayloadError
from flows.stages.feature_rows import vector_representation
from flows.stages.report.data import Listed, RunFolder, listed
from flows.stages.report.media import Medium, to_medium
from flows.stages.report.text import number

PER_CLASS = 12
REJECTED = 24  # of all classes together, the gates in turns
PIECE = re.compile(r"#[sw]\d{4,}$")  # what the ids of pieces (utterances, windows) have after their sample's
PIECES = 3  # shown of one sample
CHOICE_SEED = 0  # which samples are shown; never which are released

Kind = Literal["real", "synthetic", "rejected"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One sample on the page. `caption`: what is printed below it; `title`: what hovering tells."""

    medium: Medium
    caption: str
    title: str
    sample_id: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Samples of one class, or of mixtures of classes (`MIXTURES`), real and synthetic."""

    emotion: str
    real: Sequence[Shown]
    synthetic: Sequence[Shown]


@dataclass(frozen=True, slots=True)
class Media:
    """All samples of the page. cut: some were left out to keep the page small."""

    classes: Sequence[Sheet]
    rejected: Sequence[Shown]
    cut: bool


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """One train sample as it came and as it was prepared: the first few of its `pieces`. notes: what
    preparation wrote into the record."""

    sample_id: str
    corpus: str
    emotion: str | None
    before: Shown
    after: Sequence[Shown]
    pieces: int
    notes: str


MIXTURES = "mixtures of classes"


def chosen_media(data: RunFolder, max_characters: int) -> Media:
    """Samples of each class and kind, and a few rejected candidates.

    The choice depends on sample ids alone, never on how good a sample is. It is filled class by class in turns until
    the page has `max_characters` of pictures and sounds. Raises `IntegrityError`.
    """
    prepared, augmented = data.folder / "prepared", data.folder / "augmented"
    picks: dict[tuple[Kind, str], tuple[Path, list[Listed]]] = {}
    for emotion in data.classes:
        picks["real", emotion] = (prepared, pick(data.train, emotion, PER_CLASS))
        if data.synthetic is not None:
            picks["synthetic", emotion] = (augmented, pick(data.synthetic, emotion, PER_CLASS))
    if data.synthetic is not None and data.synthetic["emotion"].null_count:
        picks["synthetic", MIXTURES] = (augmented, pick(data.synthetic, None, PER_CLASS))
    if data.rejected is not None:
        picks["rejected", ""] = (augmented, _refused(listed(data.rejected), REJECTED))
    reasons, features = _reasons(data), feature_names(data)
    shown: dict[tuple[Kind, str], list[Shown]] = {key: [] for key in picks}
    used, cut = 0, False
    for i in range(max(PER_CLASS, REJECTED)):
        for key, (folder, rows) in picks.items():
            if i >= len(rows):
                continue
            medium = medium_of(folder, rows[i], features, may_be_broken=key[0] == "rejected")
            if used + medium.n_bytes > max_characters:
                cut = True
                continue
            used += medium.n_bytes
            shown[key].append(_caption(key[0], rows[i], medium, reasons))
    names = [*data.classes, *([MIXTURES] if ("synthetic", MIXTURES) in picks else [])]
    sheets = [Sheet(name, shown.get(("real", name), []), shown.get(("synthetic", name), [])) for name in names]
    return Media(sheets, shown.get(("rejected", ""), []), cut)


def before_and_after(data: RunFolder) -> list[BeforeAfter]:
    """The samples that prepare kept as they came, beside what came of them; of one that was cut into pieces the first
    ones. Raises `IntegrityError`."""
    if data.before is None:
        return []
    prepared, features = data.folder / "prepared", feature_names(data)
    pieces: dict[str, list[tuple[str, int]]] = {}  # sample -> (piece, its row)
    wanted = set(data.before["sample_id"].to_pylist())
    for i, sample_id in enumerate(data.samples["sample_id"].to_pylist()):
        whole = sample_id if sample_id in wanted else PIECE.sub("", sample_id)
        if whole in wanted:
            pieces.setdefault(whole, []).append((sample_id, i))
    entries = []
    for row in sorted(listed(data.before), key=lambda r: (r.corpus, r.sample_id)):
        own = sorted(pieces.get(row.sample_id, []))
        after = listed(data.samples, [i for _, i in own[:PIECES]])
        entries.append(
            BeforeAfter(
                sample_id=row.sample_id,
                corpus=row.corpus,
                emotion=row.emotion,
                before=_as_it_is(prepared, row, features),
                after=[_as_it_is(prepared, piece, features) for piece in after],
                pieces=len(own),
                notes=_new_notes(row, after[0]) if after else "",
            )
        )
    return entries


def pick(table: pa.Table, emotion: str | None, n: int) -> list[Listed]:
    """At most n rows of the class (None: of mixtures, which have none), in an order that only ids and CHOICE_SEED
    decide."""
    ids, emotions = table["sample_id"].to_pylist(), table["emotion"].to_pylist()
    of_class = [(order_of(s), i) for i, (s, e) in enumerate(zip(ids, emotions, strict=True)) if e == emotion]
    return listed(table, [i for _, i in sorted(of_class)[:n]])


def _refused(rows: Sequence[Listed], n: int) -> list[Listed]:
    """The first of each gate that rejected, then the second of each, and so on."""
    by_gate: dict[str, list[Listed]] = {}
    for row in sorted(rows, key=lambda row: order_of(row.sample_id)):
        by_gate.setdefault(row.extra.get("gate", ""), []).append(row)
    turns = zip_longest(*(by_gate[gate] for gate in sorted(by_gate)))
    return [row for turn in turns for row in turn if row is not None][:n]


def order_of(sample_id: str) -> str:
    """What samples are sorted by before the first few are shown: nothing that they hold."""
    return hashlib.sha256(f"{CHOICE_SEED}:{sample_id}".encode()).hexdigest()


def feature_names(data: RunFolder) -> tuple[str, ...]:
    """Columns of a run whose representation has no way back; () elsewhere."""
    spec = vector_representation(data.summary.representation)
    return () if spec is None else spec.rows


def medium_of(folder: Path, row: Listed, features: Sequence[str], *, may_be_broken: bool) -> Medium:
    """What the page can hold of a sample. `may_be_broken`: a candidate may be rejected because nothing can decode it;
    then the reason stands there."""
    try:
        return to_medium(row.payload(folder), row.codec, row.signals, features=features)
    except PayloadError as error:
        if not may_be_broken:
            raise
        return Medium("", None, error.reason)


def _as_it_is(folder: Path, row: Listed, features: Sequence[str]) -> Shown:
    medium = medium_of(folder, row, features, may_be_broken=False)
    rate = next((s.rate_hz for s in row.signals if s.name == "audio" and s.rate_hz), None)
    return Shown(medium, f"{medium.note}, {rate:g} Hz" if rate else medium.note, row.sample_id)


def _new_notes(before: Listed, after: Listed) -> str:
    """What preparation wrote into the record."""
    return ", ".join(f"{k}: {v}" for k, v in after.extra.items() if before.extra.get(k) != v)


def _reasons(data: RunFolder) -> dict[str, str]:
    """sample_id -> gate and reason, for rejected candidates that have a payload (`extra` names the gate)."""
    if data.rejected is None or data.scores is None:
        return {}
    gates = {row.sample_id: row.extra.get("gate") for row in listed(data.rejected)}
    reasons: dict[str, str] = {}
    for row in data.scores.select(["sample_id", "gate", "value", "limit", "reason"]).to_pylist():
        if row["sample_id"] in gates and row["gate"] == gates[row["sample_id"]]:
            said = row["reason"] or ""
            beyond = not said or said.endswith("-beyond-limit")  # the numbers say more
            why = f"{number(row['value'])}, limit {number(row['limit'])}" if beyond else said
            reasons[row["sample_id"]] = f"{row['gate']} {why}"
    return reasons


def _caption(kind: Kind, row: Listed, medium: Medium, reasons: Mapping[str, str]) -> Shown:
    parts = [row.sample_id, medium.note]
    if row.seed is not None:
        parts.append(f"seed {row.seed}")
    if row.source_ids:
        parts.append("from " + ", ".join(row.source_ids))
    title = " · ".join(parts)
    if kind == "rejected":
        why = f"{row.emotion or 'mixture'}: {reasons.get(row.sample_id, 'no reason left')}"
        return Shown(medium, why, title, row.sample_id)
    return Shown(medium, medium.note if medium.sound or medium.figure else "", title, row.sample_id)

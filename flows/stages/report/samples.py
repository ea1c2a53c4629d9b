"""Which samples the report shows: real beside synthetic for each class, and a few that a gate turned away."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpora.errors import PayloadError
from flows.stages.report.data import Row, RunFolder, payload_of
from flows.stages.report.media import Medium, to_medium
from flows.stages.report.text import number

PER_CLASS = 8
REFUSED = 8  # of all classes together
PIECE = re.compile(r"#[sw]\d{4,}$")  # what the ids of pieces (utterances, windows) have after their sample's
PIECES = 3  # shown of one sample
CHOICE_SEED = 0  # which samples are shown; never which are released


@dataclass(frozen=True, slots=True)
class Shown:
    """One sample on the page. `caption`: what is printed below it; `title`: what hovering tells."""

    medium: Medium
    caption: str
    title: str


def chosen_media(data: RunFolder, max_characters: int) -> dict[str, Any]:
    """-> {"classes": [{"emotion", "real": [Shown], "synthetic": [Shown]}], "refused": [Shown], "cut": bool}.

    The choice depends on sample ids alone, never on how good a sample is. It is filled class by class in turns until
    the page has `max_characters` of pictures and sounds; "cut" tells that this happened. Raises `IntegrityError`.
    """
    queue: list[tuple[tuple[str, str], Path, Row]] = []
    prepared, augmented = data.folder / "prepared", data.folder / "augmented"
    wanted = {("real", c): (prepared, data.train, c) for c in data.classes}
    if data.synthetic is not None:
        wanted |= {("synthetic", c): (augmented, data.synthetic, c) for c in data.classes}
    picks = {key: (folder, pick(table, emotion, PER_CLASS)) for key, (folder, table, emotion) in wanted.items()}
    if data.refused is not None:
        picks["refused", ""] = (augmented, pick(data.refused, None, REFUSED))
    for i in range(max(PER_CLASS, REFUSED)):
        queue += [(key, folder, rows[i]) for key, (folder, rows) in picks.items() if i < len(rows)]
    reasons = _reasons(data)
    shown: dict[tuple[str, str], list[Shown]] = {key: [] for key in picks}
    used, cut = 0, False
    for key, folder, row in queue:
        try:
            medium = to_medium(payload_of(folder, row), str(row["codec"]), row.get("signals"))
        except PayloadError as error:
            if key[0] != "refused":
                raise
            medium = Medium("", None, error.reason)  # a candidate may be refused because nothing can decode it
        if used + medium.n_bytes > max_characters:
            cut = True
            continue
        used += medium.n_bytes
        shown[key].append(_caption(key[0], row, medium, reasons))
    classes = [
        {"emotion": c, "real": shown["real", c], "synthetic": shown.get(("synthetic", c), [])} for c in data.classes
    ]
    return {"classes": classes, "refused": shown.get(("refused", ""), []), "cut": cut}


def before_and_after(data: RunFolder) -> list[dict[str, Any]]:
    """-> [{"sample_id", "corpus", "emotion", "before": Shown, "after": [Shown], "notes"}] of the samples that prepare
    kept as they came; of one that was cut into pieces the first ones. Raises `IntegrityError`."""
    if data.before is None:
        return []
    prepared = data.folder / "prepared"
    pieces: dict[str, list[Row]] = {}
    wanted = set(data.before["sample_id"].to_pylist())
    for i, sample_id in enumerate(data.samples["sample_id"].to_pylist()):
        whole = sample_id if sample_id in wanted else PIECE.sub("", sample_id)
        if whole in wanted:
            pieces.setdefault(whole, []).append({"at": i, "sample_id": sample_id})
    found = []
    for row in sorted(data.before.to_pylist(), key=lambda r: (r["corpus"], r["sample_id"])):
        own = sorted(pieces.get(row["sample_id"], []), key=lambda p: p["sample_id"])
        after = [data.samples.slice(p["at"], 1).to_pylist()[0] for p in own[:PIECES]]
        found.append(
            {
                "sample_id": row["sample_id"],
                "corpus": row["corpus"],
                "emotion": row["emotion"],
                "before": _as_it_is(prepared, row),
                "after": [_as_it_is(prepared, r) for r in after],
                "pieces": len(own),
                "notes": _new_notes(row, after[0]) if after else "",
            }
        )
    return found


def _as_it_is(folder: Path, row: Row) -> Shown:
    medium = to_medium(payload_of(folder, row), str(row["codec"]), row.get("signals"))
    rate = next((s["rate_hz"] for s in row["signals"] or () if s["name"] == "audio" and s["rate_hz"]), None)
    note = f"{medium.note}, {rate:g} Hz" if rate else medium.note
    return Shown(medium, note, str(row["sample_id"]))


def _new_notes(before: Row, after: Row) -> str:
    """What preparation wrote into the record."""
    known = dict(before["extra"] or ())
    return ", ".join(f"{k}: {v}" for k, v in dict(after.get("extra") or ()).items() if known.get(k) != v)


def pick(table: pa.Table, emotion: str | None, n: int) -> list[Row]:
    """At most n rows of the class, in an order that only ids and CHOICE_SEED decide."""
    ids, emotions = table["sample_id"].to_pylist(), table["emotion"].to_pylist()
    found = [
        (_order(s), i) for i, (s, e) in enumerate(zip(ids, emotions, strict=True)) if emotion is None or e == emotion
    ]
    rows: list[Row] = table.take(pa.array([i for _, i in sorted(found)[:n]], pa.int64())).to_pylist()
    return rows


def _order(sample_id: str) -> str:
    return hashlib.sha256(f"{CHOICE_SEED}:{sample_id}".encode()).hexdigest()


def _reasons(data: RunFolder) -> dict[str, str]:
    """sample_id -> gate and reason, for refused candidates that have a payload (`extra` names the gate)."""
    if data.refused is None or data.scores is None:
        return {}
    gates = {r["sample_id"]: dict(r["extra"] or ()).get("gate") for r in data.refused.to_pylist()}
    found: dict[str, str] = {}
    for row in data.scores.select(["sample_id", "gate", "value", "limit", "reason"]).to_pylist():
        if row["sample_id"] in gates and row["gate"] == gates[row["sample_id"]]:
            said = row["reason"] or ""
            beyond = not said or said.endswith("-beyond-limit")  # the numbers say more
            why = f"{number(row['value'])}, limit {number(row['limit'])}" if beyond else said
            found[row["sample_id"]] = f"{row['gate']} {why}"
    return found


def _caption(kind: str, row: Row, medium: Medium, reasons: dict[str, str]) -> Shown:
    parts = [str(row["sample_id"]), medium.note]
    if row.get("seed") is not None:
        parts.append(f"seed {row['seed']}")
    if row.get("source_ids"):
        parts.append("from " + ", ".join(row["source_ids"]))
    if kind == "refused":
        return Shown(
            medium,
            f"{row['emotion'] or 'mixture'}: {reasons.get(row['sample_id'], 'no reason left')}",
            " · ".join(parts),
        )
    return Shown(medium, medium.note if medium.sound or medium.figure else "", " · ".join(parts))

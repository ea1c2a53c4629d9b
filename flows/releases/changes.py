"""What a report shows of a comparison with an earlier version: samples, verdicts, uplift, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from corpora.store.removed import notice_of
from flows.releases.causes import Cause
from flows.releases.compared import Comparison, VerdictMove
from flows.releases.diff_page import UPLIFT, Rows, tables_of

MOST_ROWS = 200  # of one table of the section; the page stays small beside its samples
NOTHING_MOVED = "nothing moved"
NONE = "–"
FOLDED = {"samples": "Kinds of change, with examples", "fates": "What became of them"}  # table -> title


@dataclass(frozen=True, slots=True)
class ShownRows:
    """A table. words: columns from the left that hold words; badges: columns of verdicts; folded: opened by a click."""

    title: str
    why: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int
    badges: Sequence[int] = ()
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Things of one kind. said: what moved; reasons: what made it, () where nothing moved."""

    title: str
    said: str
    reasons: Sequence[str] = ()
    tables: Sequence[ShownRows] = ()


@dataclass(frozen=True, slots=True)
class More:
    """Where rows are that the page leaves out. most: rows of a table that it shows."""

    command: str
    most: int = MOST_ROWS


@dataclass(frozen=True, slots=True)
class Changes:
    """The section. said: all of it in one line; bump: which number goes up; blocks: () where there is nothing to
    compare with, or both are one."""

    title: str
    said: str
    because: str
    bump: str = ""
    retracted: Sequence[str] = ()
    blocks: Sequence[Block] = ()
    notes: Sequence[str] = ()
    more: More = More("emoforge diff")


def first_version(name: str) -> Changes:
    """Of a run without a published version before it."""
    return Changes(
        f"What changed in {name}",
        "no version was published before",
        "No version was published before, so there is nothing to compare with",
    )


def not_compared(before: str, why: str) -> Changes:
    """Of a version before that cannot be read. why: what reading it said."""
    return Changes(
        f"What changed since {before}", f"{before} cannot be read", f"{before} cannot be read: {why.rstrip('.')}"
    )


def changes_of(compared: Comparison) -> Changes:
    """Everything is text; the page escapes it."""
    title = f"What changed since {compared.before.shown}"
    retracted = notice_of(compared.before.release)
    if compared.same:
        same = f"this is the same release as {compared.before.shown} ({compared.hashes[0][:16]})"
        return Changes(title, same, same[0].upper() + same[1:], retracted=retracted)
    causes = {cause.moved: cause for cause in compared.causes}
    shown = {table.id: table for table in tables_of(compared)}
    blocks = [_samples(causes, shown), _verdicts(compared, causes), _uplift(compared, causes, shown)]
    if publication := causes.get("publication"):
        blocks.append(Block("Publication", _text(publication.how), _reasons(publication)))
    if plans := shown.get("changes"):
        blocks.append(Block("Plans", f"They differ in {len(plans.rows)} {_things(plans)}", (), [_folded(plans)]))
    return Changes(
        title,
        "; ".join(_said(compared, causes)) or NOTHING_MOVED,
        _text("; ".join(compared.needed.because)),
        bump=compared.needed.bump or "",
        retracted=retracted,
        blocks=blocks,
        notes=compared.notes,
        more=More(f"emoforge diff {compared.before.given} {compared.after.given}"),
    )


def _said(compared: Comparison, causes: dict[str, Cause]) -> Iterable[str]:
    for kind in ("real", "synthetic"):
        if cause := causes.get(f"{kind} samples"):
            yield f"{kind} samples: {cause.how}"
    if turned := sum(move.turned for move in compared.verdicts):
        yield f"{turned} {'verdict' if turned == 1 else 'verdicts'} turned"
    if cause := causes.get("uplift"):
        yield f"uplift {_arrows(cause.how)}"


def _text(how: str) -> str:
    """As a sentence begins."""
    return _arrows(how[:1].upper() + how[1:])


def _arrows(how: str) -> str:
    return how.replace(" -> ", " → ")


def _reasons(*causes: Cause | None) -> list[str]:
    """One has its reason alone; of several it is said whose it is."""
    own = [cause for cause in causes if cause is not None]
    return [_arrows(one.sentence if len(own) == 1 else f"{one.moved}: {one.sentence}") for one in own]


def _things(table: Rows) -> str:
    return "thing" if len(table.rows) == 1 else "things"


def _samples(causes: dict[str, Cause], shown: dict[str, Rows]) -> Block:
    own = [cause for kind in ("real", "synthetic") if (cause := causes.get(f"{kind} samples"))]
    said = _text("; ".join(f"{cause.moved}: {cause.how}" for cause in own))
    tables = [
        *_unfolded(shown.get("exchanged"), "In and out, by split and class"),
        *(_folded(table, title) for name, title in FOLDED.items() if (table := shown.get(name))),
    ]
    return Block("Samples", said or "None came, went or changed", _reasons(*own), tables)


def _verdicts(compared: Comparison, causes: dict[str, Cause]) -> Block:
    turned = [move for move in compared.verdicts if move.turned]
    moved = [move for move in compared.verdicts if not move.turned and move.value[0] != move.value[1]]
    tables = []
    columns = ("gate", "group", "was", "is", "value was", "value is", "reason")
    for moves, title, folded in ((turned, "", False), (moved, "Values that moved, and no verdict", True)):
        rows = [_verdict(move) for move in moves]
        if rows:
            tables.append(ShownRows(title, "", columns, rows, len(columns), (2, 3), folded))
    said = f"{len(turned)} turned, {len(moved)} more moved in value" if turned or moved else "None moved"
    return Block("Verdicts", said, _reasons(causes.get("verdicts")), tables)


def _verdict(move: VerdictMove) -> tuple[str, ...]:
    values = [NONE if value is None else f"{value:.4g}" for value in move.value]
    return (
        move.gate,
        "all classes" if move.group == "all" else move.group,
        *(one or NONE for one in move.verdict),
        *values,
        move.reason[1] or move.reason[0],
    )


def _uplift(compared: Comparison, causes: dict[str, Cause], shown: dict[str, Rows]) -> Block:
    cause, known = causes.get("uplift"), compared.uplift.difference
    tables = [ShownRows("", UPLIFT, table.columns, table.rows, 1) for table in [shown.get("uplift")] if table]
    places = (compared.before.shown, compared.after.shown)
    unknown = [place for place, one in zip(places, known, strict=True) if one is None]
    if unknown:
        said = f"Not known of {' and '.join(unknown)}: no evaluation of it lies beside the release"
    else:
        said = _text(cause.how) if cause else "It did not move"
    return Block("Uplift", said, _reasons(cause), tables)


def _unfolded(table: Rows | None, title: str) -> list[ShownRows]:
    return [] if table is None else [ShownRows(title, table.why, table.columns, table.rows, table.words)]


def _folded(table: Rows, title: str | None = None) -> ShownRows:
    return ShownRows(title or table.title, table.why, table.columns, table.rows, table.words, folded=True)

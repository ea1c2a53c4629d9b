"""`emoforge diff`: two releases in; what moved and why as tables, JSON or a page out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from corpora.errors import UserError
from corpora.store.atomic import write_text
from corpora.store.removed import notice_of
from emoforge import console
from flows.releases.compared import Comparison, compare
from flows.releases.places import find_release

ROWS = 40  # of a table on the terminal


def diff(before: str, after: str, repo: Path | None, *, html: Path | None, as_json: bool) -> None:
    """Prints the comparison; html: writes a page as well. Raises `UserError` for another file's name, and what
    `find_release` and `open_release` raise."""
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--html {html}: the page's name ends in .html")
    places = [find_release(given, repo, whole=False) for given in (before, after)]
    compared = compare(places[0], places[1], repo)
    if html is not None:
        from flows.releases.diff_page import diff_page

        write_text(html, diff_page(compared))
    if as_json:
        console.print_json(diff_json(compared))
        return
    _print(compared)
    if html is not None:
        console.out.print(f"Page: {html}", markup=False)


def diff_json(compared: Comparison) -> dict[str, Any]:
    """All of it, as plain JSON."""
    return {
        "before": {"release": compared.before.shown, "release_hash": compared.hashes[0]},
        "after": {"release": compared.after.shown, "release_hash": compared.hashes[1]},
        "same": compared.same,
        "bump": compared.needed.bump,
        "because": list(compared.needed.because),
        "moved": [{**asdict(one), "n": one.n} for one in compared.moved],
        "exchanged": [asdict(one) for one in compared.exchanged],
        "fates": [asdict(one) for one in compared.fates],
        "balance": [{**asdict(one), "moved": one.moved} for one in compared.balance],
        "verdicts": [{**asdict(one), "turned": one.turned} for one in compared.verdicts],
        "uplift": {
            "difference": [None if one is None else one.to_json() for one in compared.uplift.difference],
            "outcome": list(compared.uplift.outcome),
        },
        "changes": [asdict(one) for one in compared.changes],
        "why": [{**asdict(one), "sentence": one.sentence} for one in compared.causes],
        "notes": list(compared.notes),
        "removed": {
            side: list(notice_of(place.release))
            for side, place in (("before", compared.before), ("after", compared.after))
        },
    }


def _print(compared: Comparison) -> None:
    from flows.releases.diff_page import tables_of

    for place in (compared.before, compared.after):
        for line in notice_of(place.release):
            console.out.print(f"{place.shown}: RETRACTED: {line}", markup=False)
    if compared.same:
        console.out.print(f"{compared.before.shown} and {compared.after.shown} are the same: {compared.hashes[0]}")
        return
    for table in tables_of(compared):
        rows = table.rows
        if table.id == "balance":
            rows = tuple(r for r, row in zip(rows, compared.balance, strict=True) if row.moved)
        elif table.id == "verdicts":
            rows = rows[: sum(move.turned or move.value[0] != move.value[1] for move in compared.verdicts)]
        if rows:
            console.table(table.title, table.columns, rows[:ROWS])
        if len(rows) > ROWS:
            console.out.print(f"and {len(rows) - ROWS} more: --json or --html has them all")
    for note in compared.notes:
        console.out.print(note, markup=False)
    console.out.print(f"bump: {compared.needed.bump} ({'; '.join(compared.needed.because)})", markup=False)

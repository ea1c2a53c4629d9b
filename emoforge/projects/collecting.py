"""`emoforge gc`: what goes, in bytes."""

from __future__ import annotations

from pathlib import Path

from emoforge import console
from flows.upkeep.gc import collect_garbage


def collect(repo: Path, *, keep_days: float, dry: bool, as_json: bool) -> bool:
    """Removes or weighs, and prints; -> whether every part could be looked at. Raises `UserError`, `LockedError`."""
    parts = collect_garbage(repo, keep_days=keep_days, dry=dry)
    total = sum(part.n_bytes or 0 for part in parts)
    if as_json:
        console.print_json({"dry_run": dry, "n_bytes": total, "parts": [part.as_dict() for part in parts]})
        return not any(part.failed for part in parts)
    rows = [
        [
            part.name,
            part.n or "",
            "?" if part.n_bytes is None else f"{part.n_bytes / 1e6:.1f}",
            _note(part.note, part.failed),
        ]
        for part in parts
    ]
    title = f"{'Would go' if dry else 'Gone'}: {total / 1e6:.1f} MB (unused for {keep_days:g} days)"
    console.table(title, ["what", "things", "MB", ""], rows, right=["things", "MB"])
    if dry:
        console.out.print("Nothing was removed. Without --dry-run it is.")
    return not any(part.failed for part in parts)


def _note(note: str, failed: bool) -> str:
    return f"NOT DONE: {note}" if failed else note

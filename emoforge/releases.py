"""`emoforge log` and `emoforge checkout`: the versions of a release, and one of them as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emoforge import console
from flows.releases.history import Entry, history

NUMBERS = ("real", "synthetic")


def show_log(name: str, repo: Path, *, as_json: bool) -> None:
    """Prints every version of `name`, newest first. Raises `UnknownNameError` where nobody has published it."""
    entries = history(name, repo)
    if as_json:
        console.print_json([entry_json(entry) for entry in entries])
        return
    rows = [
        [
            entry.version.tag,
            entry.version.date[:19].replace("T", " "),
            entry.version.commit[:10],
            entry.facts.release_hash[:12] if entry.facts else "-",
            entry.facts.real if entry.facts else "-",
            entry.facts.synthetic if entry.facts else "-",
            console.flat(entry.facts.verdicts) or "-" if entry.facts else "-",
            entry.bump,
            "; ".join(entry.facts.because) if entry.facts else "",
        ]
        for entry in entries
    ]
    columns = ["version", "published", "commit", "release hash", *NUMBERS, "verdicts", "bump", "because"]
    console.table(f"{name}: versions", columns, rows, right=NUMBERS)
    if any(entry.facts is None for entry in entries):
        console.out.print("-: published before tags held facts, and its data is not in DVC's cache here")


def entry_json(entry: Entry) -> dict[str, Any]:
    """A version as JSON; facts that nobody knows are null."""
    facts = entry.facts
    return {
        "tag": entry.version.tag,
        "date": entry.version.date,
        "commit": entry.version.commit,
        "bump": entry.bump,
        "release_hash": facts.release_hash if facts else None,
        "real": facts.real if facts else None,
        "synthetic": facts.synthetic if facts else None,
        "verdicts": facts.verdicts if facts else None,
        "because": list(facts.because) if facts else None,
    }

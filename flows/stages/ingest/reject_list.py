"""The list of what was rejected, for a person to open, where a stage ends with an error: its own folder does not stay.

`.emoforge/rejects/<stage>@<name>.csv`; a stage that ends well removes it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from corpora.schema import Reject
from corpora.store.atomic import write_bytes


def leave_rejects(path: Path | None, rejects: Iterable[Reject]) -> str:
    """Writes corpus, path, reason and detail of each, sorted. -> the end of a message that says where, "" for none."""
    rows = sorted((r.corpus, r.path, r.reason, r.detail) for r in rejects)
    if path is None or not rows:
        return ""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("corpus", "path", "reason", "detail"))
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode("utf-8", "replace"))
    return f" All {len(rows)} are listed in {path}."

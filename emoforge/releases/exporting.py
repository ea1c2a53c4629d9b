"""`emoforge export`: a release in another format, for tools that do not read tars."""

from __future__ import annotations

from pathlib import Path

from corpora.errors import UnknownNameError
from corpora.store.release import open_release
from emoforge import console
from emoforge.releases.verifying import release_folder

FORMATS = ("audformat",)


def export(given: str, folder: Path, form: str, repo: Path | None, *, as_json: bool) -> None:
    """Writes it and prints what there is. Raises what `find_release` and the format's own function raise."""
    if form not in FORMATS:
        raise UnknownNameError.of("format", form, FORMATS)
    from corpora.reading.audformat_folder import export_audformat

    release = release_folder(given, repo)
    console.warn_retracted(release)
    done = export_audformat(open_release(release), folder)
    if as_json:
        console.print_json({"folder": str(done.folder), "tables": dict(done.tables), "n_bytes": done.n_bytes})
        return
    console.table(
        f"{done.folder}: audformat database", ["table", "files"], [[k, str(n)] for k, n in done.tables.items()]
    )
    console.out.print(
        f'{done.n_bytes / 1e6:.1f} MB of sound. Read it: audformat.Database.load("{done.folder}")', markup=False
    )

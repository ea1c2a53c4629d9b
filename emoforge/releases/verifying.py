"""`emoforge verify`: every byte of a release against its hashes, and what `emoforge inspect` says of the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corpora.errors import CorpusError
from corpora.store.verify import Checked, check_release
from emoforge import console

SHOWN = 20  # samples of one shard that the terminal names


def verify(given: str, repo: Path | None, *, as_json: bool) -> bool:
    """Prints what differs; -> whether the release is what it was. Raises what `find_release` raises."""
    checked = check_release(release_folder(given, repo))
    if as_json:
        console.print_json(checked_json(checked))
    else:
        print_checked(checked)
    return checked.intact


def release_folder(given: str, repo: Path | None) -> Path:
    """Of what people name; a folder stands for itself, so that verifying needs neither project, git nor DVC."""
    if Path(given).is_dir():
        for folder in (Path(given), Path(given) / "release"):
            if (folder / "manifest.json").is_file():
                return folder
    try:
        from flows.releases.places import find_release

        return find_release(given, repo).release
    except CorpusError:
        if Path(given).is_dir():
            raise CorpusError(f"{given} is no release: it holds no manifest.json") from None
        raise


def checked_json(checked: Checked) -> dict[str, Any]:
    """All that differs, whole."""
    return {
        "release": str(checked.path),
        "release_hash": checked.release_hash,
        "intact": checked.intact,
        "files": checked.n_files,
        "n_bytes": checked.n_bytes,
        "problems": [
            {
                "file": problem.file,
                "kind": problem.kind,
                "problem": problem.sentence,
                "samples": [{"sample_id": one.sample_id, "part": one.part} for one in problem.samples],
            }
            for problem in checked.problems
        ],
        "unlisted": list(checked.extra),
        "removed": list(checked.removed),
    }


def print_checked(checked: Checked) -> None:
    """One line where it is intact; else a row for each file, and one for each sample that it touches."""
    rows: list[list[str]] = []
    for problem in checked.problems:
        rows.append([problem.file, problem.kind, problem.sentence])
        rows += [["", one.part, one.sample_id] for one in problem.samples[:SHOWN]]
        if len(problem.samples) > SHOWN:
            rows.append(["", "", f"and {len(problem.samples) - SHOWN} samples more (--json names them)"])
    if rows:
        console.table(f"{checked.path}: damaged", ["file", "what", "which"], rows)
    for line in checked.removed:
        console.out.print(f"RETRACTED: {line}", markup=False)
    for name in checked.extra:
        console.out.print(f"not of the release: {name}", markup=False)
    if checked.intact:
        console.out.print(
            f"intact: the manifest and all {checked.n_files} files match their hashes "
            f"({checked.n_bytes / 1e6:.1f} MB, {checked.release_hash})",
            markup=False,
        )

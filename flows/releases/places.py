"""What people name when they mean a release: a folder, a run of the project, or a version NAME@vX.Y.Z."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import CorpusError, ResourceError, UnknownNameError, UserError
from corpora.store.release import MANIFEST
from flows.paths import PRODUCT, Layout
from flows.releases.fetched import fetched
from flows.releases.tombstones import mark_release, purged
from flows.releases.versions import Version, is_tag, version_of


@dataclass(frozen=True, slots=True)
class Place:
    """One release. given: as it was named. run: the folder that holds it with its plans and numbers, None where it
    stands alone. version: of a tag."""

    given: str
    release: Path
    run: Path | None = None
    version: Version | None = None

    @property
    def shown(self) -> str:
        """What people read."""
        return self.version.tag if self.version else self.given


def find_release(given: str, repo: Path | None, *, whole: bool = True) -> Place:
    """`given`: a folder with a manifest, a folder of a run, a run of the project in `repo` (None: there is no project),
    or a tag, which is fetched; whole: with payloads.

    Raises `UnknownNameError` (version), `CorpusError` (nothing of that name), and what `fetched` raises.
    """
    folder = Path(given)
    if (folder / MANIFEST).is_file():
        beside = folder.absolute().parent
        return Place(given, folder, beside if (beside / "plan").is_dir() else None)
    if (folder / "release" / MANIFEST).is_file():
        return Place(given, folder / "release", folder)
    if is_tag(given):
        version = version_of(given, _required(repo, given))
        try:
            run = fetched(version, _required(repo, given), whole=whole)
        except ResourceError as error:
            raise ResourceError(" ".join([str(error), *purged(version.tag, _required(repo, given))])) from None
        mark_release(run / "release", version.tag, _required(repo, given))
        return Place(given, run / "release", run, version)
    if repo is not None and re.fullmatch(PRODUCT, given):
        run = Layout(repo).product(given)
        if (run / "release" / MANIFEST).is_file():
            return Place(given, run / "release", run)
        if known := built_runs(repo):
            raise UnknownNameError.of("release", given, known)
    raise CorpusError(
        f"{given} is no release: no folder with a {MANIFEST}, no run that has been built, no version NAME@vX.Y.Z"
    )


def built_runs(repo: Path) -> list[str]:
    """Runs of the project that have a release, and parts that were taken from them, by name."""
    data = Layout(repo).repo / "data"
    built = [path for folder in ("runs", "parts") for path in (data / folder).glob("*")]
    return sorted(path.name for path in built if (path / "release" / MANIFEST).is_file())


def _required(repo: Path | None, given: str) -> Path:
    if repo is None:
        raise UserError(f"{given} is a version: run emoforge in the project's folder, whose git has its tag")
    return repo

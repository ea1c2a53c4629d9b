"""A published version as folders: what dvc.lock of its tag names, out of DVC's cache or a remote, below .emoforge.

    .emoforge/versions/RUN@vX.Y.Z-COMMIT/tables/{release,plan,evaluation}   all but payloads: to compare and to trace
    .emoforge/versions/RUN@vX.Y.Z-COMMIT/whole/{release,plan,evaluation}    with them

Each file is read against its name, the md5 that dvc.lock gives. Safe to delete.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from corpora.errors import IntegrityError, ResourceError, UserError
from corpora.store.atomic import atomic_folder
from flows.params import load_machine
from flows.paths import PART, Layout
from flows.releases.git import asked
from flows.releases.versions import Version

if TYPE_CHECKING:
    from dvc.repo import Repo

PARTS = {"release": "release", "plan": "plan", "evaluate": "evaluation"}  # verb of a stage -> the folder that it writes
PROVENANCE = "provenance.json"  # a file that the report writes beside them
REPORT = "report.html"
PAYLOADS = "shards/"
POINTER = "release.dvc"  # beside the release of a part: what DVC calls its content


@dataclass(frozen=True, slots=True)
class Outs:
    """What dvc.lock says of a run: folder of `PARTS` -> DVC's name of its content. provenance, report: of those files,
    None without."""

    run: str
    folders: Mapping[str, str] = field(default_factory=dict)
    provenance: str | None = None
    report: str | None = None

    def path(self, part: str) -> str:
        """Relative to the project."""
        return (Layout(Path()).product(self.run) / part).as_posix()


def outs_in(run: str, lock: str) -> Outs:
    """Folders of `run` that dvc.lock (its text) knows."""
    from ruamel.yaml import YAML

    stages = (YAML(typ="safe").load(lock) or {}).get("stages", {})
    found = {}
    for verb, part in PARTS.items():
        for out in stages.get(f"{verb}@{run}", {}).get("outs", []):
            if out.get("path") == f"data/runs/{run}/{part}" and str(out.get("md5", "")).endswith(".dir"):
                found[part] = str(out["md5"])
    beside = stages.get(f"report@{run}", {}).get("outs", [])
    named = {str(out.get("path")): str(out["md5"]) for out in beside}
    return Outs(run, found, *(named.get(f"data/runs/{run}/{file}") for file in (PROVENANCE, REPORT)))


def outs_of(version: Version, repo: Path) -> Outs:
    """Folders of a version, of a run or of a part. Raises `UserError` where its commit knows nothing of it."""
    if PART.fullmatch(version.run) is None:
        return outs_in(version.run, lock_of(version, repo))
    path = (Layout(Path()).part(version.run) / POINTER).as_posix()
    found = pointer_in(_file_of(version, path, repo))
    return Outs(version.run, {} if found is None else {"release": found.oid})


@dataclass(frozen=True, slots=True)
class Pointer:
    """What release.dvc of a part says. oid: DVC's name of its content; whole: of the release that it was taken from."""

    oid: str
    whole: str


def pointer_in(text: str) -> Pointer | None:
    """Of the text of a release.dvc; None where it names no folder."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(text)
        outs, meta = content["outs"], content.get("meta") or {}
        oid = str(outs[0]["md5"])
    except (YAMLError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return Pointer(oid, str(meta.get("taken_from", ""))) if oid.endswith(".dir") else None


def lock_of(version: Version, repo: Path) -> str:
    """dvc.lock as the tag has it. Raises as `_file_of`."""
    return _file_of(version, "dvc.lock", repo)


def _file_of(version: Version, path: str, repo: Path) -> str:
    """A file of the project as the tag has it. Raises `UserError`: the tag is of another project in the same git."""
    text = asked(repo, "show", f"{version.commit}:./{path}")
    if text is None:
        raise UserError(
            f"the commit of {version.tag} ({version.commit[:10]}) has no {path} in {repo}: it was published from "
            "another folder of this git repository, or is in no history that is here (git fetch --unshallow). Tags are "
            f"of the whole repository, so two projects in it cannot publish runs of one name: rename the run "
            f"{version.run!r} in params.yaml"
        )
    return text


def fetched(version: Version, repo: Path, *, whole: bool, ask_remotes: bool = True) -> Path:
    """The folder that holds release/ and, where they can be had, plan/ and evaluation/ of a version. whole: with its
    payloads. ask_remotes: False takes what the cache has.

    Raises `UserError` (its lock names no release), `ResourceError` (neither the cache nor a remote has it),
    `IntegrityError` (an object of the cache is damaged).
    """
    place = Layout(repo).scratch / "versions" / f"{version.tag}-{version.commit[:12]}"
    target = place / ("whole" if whole else "tables")
    if target.is_dir():
        return target
    outs = outs_of(version, repo)
    if "release" not in outs.folders:
        raise UserError(f"{version.tag}: its commit names no release of {version.run!r}")
    with opened_to_read(repo) as dvc, atomic_folder(target) as folder:
        store = Objects(dvc, repo, version, ask_remotes)
        for part, oid in outs.folders.items():
            try:
                copy_out(store, outs.path(part), oid, folder / part, lambda name: whole or not is_payload(name))
            except ResourceError:
                if part == "release":
                    raise
                shutil.rmtree(folder / part, ignore_errors=True)  # plans and numbers say why: a version without is one
        if outs.provenance is not None:
            with contextlib.suppress(ResourceError):
                shutil.copyfile(store.path(outs.provenance, outs.path(PROVENANCE)), folder / PROVENANCE)
    return target


def report_of(version: Version, repo: Path) -> str:
    """report.html of a version. Raises as `fetched`; `UserError` where its lock names none."""
    outs = outs_of(version, repo)
    if outs.report is None:
        raise UserError(f"{version.tag}: its commit names no {REPORT} of {version.run!r}")
    with opened_to_read(repo) as dvc:
        return Objects(dvc, repo, version).path(outs.report, outs.path(REPORT)).read_text("utf-8")


def is_payload(name: str) -> bool:
    """Whether a file of a release holds payloads, which neither comparing nor tracing needs."""
    return name.startswith(PAYLOADS)


@contextlib.contextmanager
def opened_to_read(repo: Path) -> Iterator[Repo]:
    """DVC's repository, not locked: objects are looked up by their names alone. Raises `UserError`."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(repo)) as dvc:
            yield dvc
    except DvcException as error:
        raise UserError(f"DVC cannot read the project in {repo}: {error}") from None


@dataclass
class Objects:
    """DVC's objects of one version: out of the cache, else fetched into it."""

    dvc: Repo
    repo: Path
    version: Version
    ask_remotes: bool = True

    def path(self, oid: str, out: str) -> Path:
        """Where the cache has the object, whole. `out`: the path that needs it. Raises `ResourceError` where nobody has
        it, `IntegrityError` where it is damaged."""
        from dvc_data.hashfile.hash import file_md5

        place = self._place(oid)
        if not place.is_file():
            self.fetch([oid])
        if not place.is_file():
            raise ResourceError(
                f"{self.version.tag}: neither DVC's cache nor a remote has {out}. What a licence holds back was never "
                "pushed: ask for it where the version was published. Remotes: `dvc remote list`."
            )
        if file_md5(str(place), name="md5") != oid.partition(".")[0]:
            raise IntegrityError(f"{place}, which DVC keeps of {out}, is damaged: remove it and ask again.")
        return place

    def fetch(self, oids: Sequence[str]) -> None:
        """Takes objects that the cache lacks from the default remote and the private one. Whether they had them, the
        cache says afterwards."""
        from dvc.exceptions import DvcException

        private = load_machine(self.repo / "machine.yaml").private_remote
        for remote in (self.dvc.config["core"].get("remote"), private) if self.ask_remotes else ():
            missing = [oid for oid in oids if not self._place(oid).is_file()]
            if remote is None or not missing:
                continue
            with contextlib.suppress(DvcException, OSError):
                source = self.dvc.cloud.get_remote_odb(remote, "pull")
                paths = [source.oid_to_path(oid) for oid in missing]
                self.dvc.cache.local.add(paths, source.fs, missing, on_error=lambda *_: None)

    def _place(self, oid: str) -> Path:
        return Path(self.dvc.cache.local.oid_to_path(oid))


def copy_out(store: Objects, out: str, oid: str, target: Path, wanted: Callable[[str], bool]) -> None:
    """Files of a folder that DVC calls `oid`, those that are `wanted`, into `target`. out: its path, for messages.
    Raises as `Objects.path`."""
    listing = json.loads(store.path(oid, out).read_bytes())
    files = {str(entry["relpath"]): str(entry["md5"]) for entry in listing if wanted(str(entry["relpath"]))}
    store.fetch(sorted(set(files.values())))
    for name, md5 in sorted(files.items()):
        path = target / name
        if not path.resolve().is_relative_to(target.resolve()):
            raise IntegrityError(f"{out}: its list names {name!r}, which is no path below it.")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store.path(md5, f"{out}/{name}"), path)

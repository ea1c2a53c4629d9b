"""Where DVC keeps objects: the cache here, and every remote, through DVC's own view of them (folders, S3, ...)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import ResourceError

if TYPE_CHECKING:
    from dvc.repo import Repo

CACHE = "DVC's cache"


@dataclass
class Place:
    """One object store. name: for people. odb: DVC's."""

    name: str
    odb: Any

    @property
    def folder(self) -> str:
        """Of a store on a disk; "" of any other."""
        return str(self.odb.path) if self.odb.fs.protocol == "local" else ""

    def path(self, oid: str) -> str:
        """Where it keeps the object."""
        return str(self.odb.oid_to_path(oid))

    def has(self, oid: str) -> bool:
        """Raises `ResourceError` where the place cannot be reached."""
        with reaching(self.name):
            return bool(self.odb.fs.exists(self.path(oid)))

    def read(self, path: str) -> bytes:
        """A file of it, whole. Raises `ResourceError`."""
        with reaching(self.name), self.odb.fs.open(path, "rb") as file:
            return bytes(file.read())

    def remove(self, path: str) -> None:
        """A file of it, with every older version of its name where the storage keeps them; none is no error.

        Raises `ResourceError`."""
        with reaching(self.name):
            with suppress(FileNotFoundError):
                if self.odb.fs.exists(path):
                    if self.odb.fs.protocol == "local":
                        Path(path).chmod(0o644)  # DVC keeps objects read-only
                    self.odb.fs.remove(path)
            _remove_versions(self.odb.fs, path)

    def drop(self, oid: str) -> None:
        """The object, wherever it lies in here; none is no error. Raises `ResourceError`."""
        self.remove(self.path(oid))

    def oid_of(self, path: str) -> str:
        """DVC's name of what a file holds, as the store says by where it lies."""
        return "".join(Path(path).parts[-2:])

    def run_cache(self) -> Iterator[str]:
        """Files of the run cache in it. Raises `ResourceError`."""
        yield from (path for path in self.files() if "/runs/" in path)

    def files(self) -> Iterator[str]:
        """Every file below it, objects and the run cache. Raises `ResourceError`."""
        with reaching(self.name):
            root = str(self.odb.path).removesuffix("/files/md5")
            paths = list(self.odb.fs.find(root)) if self.odb.fs.exists(root) else []
        yield from sorted(str(path) for path in paths)


class reaching:  # noqa: N801  # reads as a word: with reaching("the remote")
    """Turns what a storage raises into a `ResourceError` that names it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, ResourceError | FileNotFoundError):
            return
        if isinstance(error, _failures()):
            raise ResourceError(f"{self.name} cannot be reached: {type(error).__name__}: {error}") from error


def _failures() -> tuple[type[BaseException], ...]:
    from dvc.exceptions import DvcException

    kinds: list[type[BaseException]] = [DvcException, OSError]
    with suppress(ImportError):
        from botocore.exceptions import BotoCoreError, ClientError

        kinds += [BotoCoreError, ClientError]
    return tuple(kinds)


def _remove_versions(fs: Any, path: str) -> None:
    """Older versions of a name in a bucket that keeps them: a plain delete only hides these."""
    storage: Any = getattr(fs, "fs", None)
    if not hasattr(storage, "object_version_info"):
        return
    bucket, key, _ = storage.split_path(path)
    if not storage.is_bucket_versioned(bucket):
        return
    from flows.conduct.retraction.versioned import versions_below

    for one in list(versions_below(storage, bucket, key, ("Versions", "DeleteMarkers"))):
        if one["Key"] == key:
            storage.call_s3("delete_object", Bucket=bucket, Key=key, VersionId=one["VersionId"])
    storage.invalidate_cache(path)


def _versioned(shown: str, remote: Any, url: str) -> Place:
    """A remote whose files have their own names. Raises `ResourceError` where no version can be deleted by its id."""
    from flows.conduct.retraction.versioned import VersionedPlace

    if not hasattr(getattr(remote.fs, "fs", None), "object_version_info"):
        raise ResourceError(
            f"it keeps files under their own names (version_aware), and only on S3 can their versions be removed from "
            f"here. By hand, below {url}: delete every version, overwritten and deleted ones too, of the outs that the "
            "certificate lists (data/certificates), or the whole folder; nothing here reads it"
        )
    return VersionedPlace(shown, remote.fs, root=str(remote.path))


@dataclass
class Places:
    """The cache and the remotes that can be reached. unreached: name -> why not."""

    cache: Place
    remotes: list[Place] = field(default_factory=list)
    unreached: dict[str, str] = field(default_factory=dict)
    _read: dict[str, bytes | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, dvc: Repo, *, pushed: bool) -> Places:
        """Every remote of DVC's configuration is looked at once, so that one that is down is known before anything is
        removed. pushed: whether anything was ever published, so that a folder that is not there is one that is
        missing."""
        places = cls(Place(CACHE, dvc.cache.local))
        for name in sorted(dvc.config["remote"]):
            settings = dvc.config["remote"][name]
            shown = f"remote {name}"
            try:
                with reaching(shown):
                    if settings.get("worktree") or settings.get("version_aware"):
                        place = _versioned(shown, dvc.cloud.get_remote(name), str(settings["url"]))
                    else:
                        place = Place(shown, dvc.cloud.get_remote_odb(name, "pull"))
                place.has("0" * 32)
                if pushed and (root := place.folder) and not Path(root).is_dir():
                    raise ResourceError(f"{root} is not there: nothing was pushed to it, or its disk is not mounted")
            except ResourceError as error:
                places.unreached[shown] = str(error)
                continue
            places.remotes.append(place)
        return places

    @property
    def all(self) -> list[Place]:
        """The cache first."""
        return [self.cache, *self.remotes]

    def read(self, oid: str) -> bytes | None:
        """An object, from the first place that has it; None where nobody has."""
        if oid not in self._read:
            self._read[oid] = next(
                (place.read(place.path(oid)) for place in self.all if place.has(oid)),
                None,
            )
        return self._read[oid]

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
    pages = storage.call_s3("list_object_versions", Bucket=bucket, Prefix=key)
    for one in [*pages.get("Versions", ()), *pages.get("DeleteMarkers", ())]:
        if one["Key"] == key:
            storage.call_s3("delete_object", Bucket=bucket, Key=key, VersionId=one["VersionId"])
    storage.invalidate_cache(path)


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
            if settings.get("worktree") or settings.get("version_aware"):
                places.unreached[shown] = "it keeps files under their own names (version_aware): remove them there"
                continue
            try:
                with reaching(shown):
                    place = Place(shown, dvc.cloud.get_remote_odb(name, "pull"))
                place.has("0" * 32)
                root = str(place.odb.path)
                if pushed and place.odb.fs.protocol == "local" and not Path(root).is_dir():
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

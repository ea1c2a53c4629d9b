"""A remote that keeps files under their own names and every version of each (`version_aware`, `worktree`): on S3.

An object there is a version of a file, named by key and version id; what it is to DVC is the md5 of its content. All
versions are read to know that, overwritten and deleted ones as well; what goes is deleted by its version id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flows.conduct.retraction.objects import Place, reaching

MARK = "?versionId="


@dataclass
class VersionedPlace(Place):
    """`odb`: DVC's file system of the remote; root: BUCKET/FOLDER. Paths are KEY?versionId=ID."""

    root: str = ""
    _by_oid: dict[str, list[str]] | None = None
    _of_path: dict[str, str] = field(default_factory=dict)

    def path(self, oid: str) -> str:
        """The first version with that content. Raises `FileNotFoundError` where it has none."""
        versions = self._versions().get(oid)
        if not versions:
            raise FileNotFoundError(f"{self.name} has no version of {oid}")
        return versions[0]

    def has(self, oid: str) -> bool:
        """Reads every version the first time. Raises `ResourceError`."""
        return bool(self._versions().get(oid))

    def read(self, path: str) -> bytes:
        """One version, whole. Raises `ResourceError`."""
        key, _, version = path.rpartition(MARK)
        with reaching(self.name), self._storage.open(key, "rb", version_id=version) as file:
            return bytes(file.read())

    def drop(self, oid: str) -> None:
        """Every version of every name with that content. Raises `ResourceError`."""
        for path in self._versions().get(oid, ()):
            self.remove(path)
        self._versions().pop(oid, None)

    def remove(self, path: str) -> None:
        """One version; none is no error. Raises `ResourceError`."""
        key, _, version = path.rpartition(MARK)
        bucket, name, _ = self._storage.split_path(key)
        with reaching(self.name):
            self._storage.call_s3("delete_object", Bucket=bucket, Key=name, VersionId=version)
            self._storage.invalidate_cache(key)

    def files(self) -> Iterator[str]:
        """Every version of every name below it, as it is now. Raises `ResourceError`."""
        self._by_oid = None
        yield from sorted(path for versions in self._versions().values() for path in versions)

    def run_cache(self) -> Iterator[str]:
        """DVC keeps none in such a remote."""
        yield from ()

    def oid_of(self, path: str) -> str:
        """DVC's name of what a version holds."""
        self._versions()
        return self._of_path[path]

    @property
    def _storage(self) -> Any:
        return self.odb.fs

    def _versions(self) -> dict[str, list[str]]:
        """md5 -> versions with that content."""
        if self._by_oid is None:
            found: dict[str, list[str]] = {}
            bucket, prefix, _ = self._storage.split_path(self.root)
            with reaching(self.name):
                for one in versions_below(self._storage, bucket, f"{prefix}/" if prefix else ""):
                    path = f"{bucket}/{one['Key']}{MARK}{one['VersionId']}"
                    oid = hashlib.md5(self.read(path), usedforsecurity=False).hexdigest()
                    found.setdefault(oid, []).append(path)
            self._by_oid, self._of_path = found, {path: oid for oid, paths in found.items() for path in paths}
        return self._by_oid


def versions_below(storage: Any, bucket: str, prefix: str, kinds: tuple[str, ...] = ("Versions",)) -> Iterator[Any]:
    """Entries of list_object_versions, page by page. kinds: "DeleteMarkers" are listed where they are named."""
    after: dict[str, str] = {}
    while True:
        page = storage.call_s3("list_object_versions", Bucket=bucket, Prefix=prefix, **after)
        for kind in kinds:
            yield from page.get(kind, ())
        if not page.get("IsTruncated"):
            return
        after = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

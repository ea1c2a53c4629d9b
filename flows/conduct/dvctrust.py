"""What DVC believes of its cache without reading it, and does not where this was called.

DVC takes an object that is read-only for whole. The methods replaced here are DVC's own checks; what it does with an
object that fails them (run a stage instead of checking out, save what is committed) stays DVC's.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any


def is_whole(path: Path, oid: str, hash_name: str) -> bool:
    """Whether the file's bytes hash to `oid`, DVC's name of an object."""
    from dvc_data.hashfile.hash import file_md5

    return file_md5(str(path), name=hash_name) == oid.partition(".")[0]


@cache
def read_listings_whole() -> None:
    """From now on the list of a folder's files is one only if it hashes to its name; else it is not in the cache."""
    from dvc_data.hashfile.db.local import LocalHashFileDB
    from dvc_data.hashfile.tree import Tree
    from dvc_objects.errors import ObjectFormatError

    plain = Tree.load.__func__  # type: ignore[attr-defined]

    def load(cls: Any, odb: Any, hash_info: Any, *args: Any, **more: Any) -> Any:
        path = Path(odb.oid_to_path(hash_info.value))
        if isinstance(odb, LocalHashFileDB) and path.is_file() and not is_whole(path, hash_info.value, odb.hash_name):
            raise ObjectFormatError(f"{path} is damaged")
        return plain(cls, odb, hash_info, *args, **more)

    Tree.load = classmethod(load)  # type: ignore[method-assign, assignment]


@cache
def read_objects_whole() -> None:
    """From now on an object is whole only if it hashes to its name. A damaged one is named on stderr, and removed."""
    from dvc_data.hashfile.db.local import LocalHashFileDB
    from dvc_objects.errors import ObjectFormatError

    plain = LocalHashFileDB.check
    whole: set[tuple[str, int, int, int]] = set()

    def check(self: Any, oid: str, *args: Any, **more: Any) -> Any:
        path = Path(self.oid_to_path(oid))
        if not path.is_file():
            return plain(self, oid, *args, **more)
        stat = path.stat()
        seen = (str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen not in whole:
            if not is_whole(path, oid, self.hash_name):
                sys.stderr.write(f"{path}, which DVC keeps, is damaged; it is dropped, and built again where needed\n")
                path.unlink()
                raise ObjectFormatError(f"{path} is damaged")
            whole.add(seen)
        return plain(self, oid, *args, **more)

    LocalHashFileDB.check = check  # type: ignore[method-assign]

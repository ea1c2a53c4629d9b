"""Whether files are what dvc.lock says, by their hashes.

DVC knows a file again by inode, time and size, and takes a read-only object of its cache for whole, so a byte that
flipped passes it: checked out, built upon and pushed. Here everything is read. That takes seconds, so it is done where
DVC is about to take something out of its cache, before a stage builds on what is there, and before a publish.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import IntegrityError, ResourceError
from flows.conduct.dvcrun import loaded_stages, opened, plain_errors
from flows.conduct.dvctrust import is_whole

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc_data.hashfile.obj import HashFile

SHOWN = 5  # names in a message


@dataclass(frozen=True, slots=True)
class Damage:
    """An out that is not what its stage wrote, though DVC takes it for that. `files`: of it, where known."""

    stage: str
    out: str
    files: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Which out of which stage, and the first few files."""
        more = f" and {len(self.files) - SHOWN} more" if len(self.files) > SHOWN else ""
        named = f": {', '.join(self.files[:SHOWN])}{more}" if self.files else ""
        return f"{self.out} (of {self.stage}) is damaged{named}"


@dataclass
class Known:
    """What need not be read again: stages that ran in this process, and outs that were hashed in it (path, hash)."""

    stages: set[str] = field(default_factory=set)
    outs: set[tuple[str, str]] = field(default_factory=set)


def damaged_inputs(stage: str, others: Sequence[str], *, repo: Path, known: Known) -> list[Damage]:
    """Outs of `others` that `stage` reads and that are not what dvc.lock says; what is `known` is not read again.

    Beside its dependencies `prepare` reads the corpora. `plan` takes their hashes alone. Raises what `opened` raises.
    """
    others = [other for other in others if other not in known.stages]
    if not others or stage.startswith("plan@"):
        return []
    with plain_errors(repo), opened(repo) as dvc:
        own = loaded_stages(dvc, [stage], repo)[stage]
        read = [dep.fs_path for dep in own.deps if dep.protocol == "local"]
        if stage.startswith("prepare@"):
            read.append(str(repo.resolve() / "data" / "corpora"))
        damages = []
        for name, out in _outs(dvc, others, repo):
            if (out.fs_path, out.hash_info.value) in known.outs or not out.exists:
                continue
            if any(_overlap(out.fs_path, path) for path in read):
                there = _hashed(out)
                if there.hash_info.value == out.hash_info.value:
                    known.outs.add((out.fs_path, out.hash_info.value))
                else:
                    damages.append(_damage(name, out, there))
        return damages


def drop(damage: Damage, *, repo: Path) -> None:
    """Removes a damaged out, so that DVC takes it from its cache, or makes it, again."""
    path = repo / damage.out
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_intact(stages: Sequence[str], pushed: Collection[str], *, repo: Path) -> list[str]:
    """Hashes every out of `stages`, and of those in `pushed` (paths) every object of the cache as well.

    An object that is damaged or missing is written anew from the intact file; -> their paths. Raises `IntegrityError`
    where a file is damaged; it names that and what to do.
    """
    damaged, mended = _read(stages, pushed, repo)
    if damaged:
        named = "; ".join(damage.sentence for damage in damaged)
        gone = " ".join(damage.out for damage in damaged)
        run = damaged[-1].stage.partition("@")[2]  # the last is of the run itself, or its corpus has the run's name
        raise IntegrityError(
            f"{named}. Nothing was published. Remove it and build it again: rm -r {gone}; emoforge run {run}"
        )
    return mended


def mend_cache(stages: Sequence[str], *, repo: Path) -> list[str]:
    """Makes damaged or missing objects of the cache again, of outs of `stages` that are intact; -> their paths."""
    return _read(stages, None, repo)[1]


def named(folder: Path, *, repo: Path) -> tuple[str, int, int]:
    """What DVC calls the content of a folder, its bytes and its files, every byte read. Raises what `opened` raises."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db.local import LocalHashFileDB

    with plain_errors(repo), opened(repo) as dvc:
        cache = dvc.cache.local
        forgetful = LocalHashFileDB(cache.fs, cache.path, hash_name="md5")
        _, meta, tree = build(forgetful, str(folder), cache.fs, "md5", ignore=dvc.dvcignore, dry_run=True)
        return str(tree.hash_info.value), int(meta.size or 0), int(meta.nfiles or 0)


def keep(pointer: Path, *, repo: Path) -> list[str]:
    """Puts the folder that a .dvc file names into DVC's cache, each object whole; -> those that were written.

    Raises `IntegrityError` where the folder is not what the file says, `ResourceError` for a full disk.
    """
    from dvc.dvcfile import load_file

    with plain_errors(repo), opened(repo) as dvc:
        out = load_file(dvc, str(pointer)).stage.outs[0]
        there = _hashed(out)
        if there.hash_info.value != out.hash_info.value:
            raise IntegrityError(f"{out.def_path} is not what {pointer} says: it changed while it was published")
        return _mend(out, there)


def _read(stages: Sequence[str], mend: Collection[str] | None, repo: Path) -> tuple[list[Damage], list[str]]:
    """-> damaged or missing outs, and objects of the cache that were written anew: of the outs in `mend`, None: all."""
    damaged: list[Damage] = []
    mended: list[str] = []
    with plain_errors(repo), opened(repo) as dvc:
        for stage, out in _outs(dvc, stages, repo):
            there = _hashed(out) if out.exists else None
            if there is None or there.hash_info.value != out.hash_info.value:
                damaged.append(_damage(stage, out, there))
            elif out.use_cache and (mend is None or Path(out.def_path).as_posix() in mend):
                mended += _mend(out, there)
    return damaged, mended


def _outs(dvc: Repo, stages: Sequence[str], repo: Path) -> Iterator[tuple[str, Output]]:
    for name, stage in loaded_stages(dvc, stages, repo).items():
        for out in stage.outs:
            if out.hash_info and out.protocol == "local":
                yield name, out


def _overlap(one: str, other: str) -> bool:
    return os.path.commonpath([one, other]) in (one, other)


def _damage(stage: str, out: Output, there: HashFile | None) -> Damage:
    return Damage(stage, Path(out.def_path).as_posix(), _differing(out, there) if there is not None else ())


def _hashed(out: Output) -> HashFile:
    """The out in the workspace as DVC names it, every byte read: an object store without a memory of files."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db.local import LocalHashFileDB

    forgetful = LocalHashFileDB(out.cache.fs, out.cache.path, hash_name=out.hash_name)
    _, _, tree = build(forgetful, out.fs_path, out.fs, out.hash_name, ignore=out.dvcignore, dry_run=True)
    return tree


def _members(tree: Any) -> dict[str, str]:
    """Relative path -> hash of a folder's files; {} for a file."""
    from dvc_data.hashfile.tree import Tree

    if not isinstance(tree, Tree):
        return {}
    return {"/".join(key): oid.value for key, _, oid in tree}


def _differing(out: Output, tree: HashFile) -> tuple[str, ...]:
    """Which files differ from what the cache's list of the folder says; () where there is no such list any more."""
    path = Path(out.cache.oid_to_path(out.hash_info.value))
    if not out.hash_info.isdir or not path.is_file() or not is_whole(path, out.hash_info.value, out.hash_name):
        return ()
    wanted, there = _members(out.get_obj()), _members(tree)
    return tuple(sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name)))


def _mend(out: Output, there: HashFile) -> list[str]:
    """Objects of the cache that are damaged or missing, written anew from the out, which is intact; -> their paths."""
    root = Path(out.fs_path)
    files = {oid: root / name for name, oid in _members(there).items()}
    if not out.hash_info.isdir:
        files = {out.hash_info.value: root}
    mended = [oid for oid, path in files.items() if not _kept(out, oid) and _write(out, oid, path)]
    if out.hash_info.isdir and not _kept(out, out.hash_info.value):
        with tempfile.TemporaryDirectory() as place:
            listing = Path(place) / "listing"
            listing.write_bytes(there.as_bytes())  # type: ignore[attr-defined]  # a folder's is a Tree
            _write(out, out.hash_info.value, listing)
        mended.append(out.hash_info.value)
    return [os.path.relpath(out.cache.oid_to_path(oid), out.repo.root_dir) for oid in mended]


def _kept(out: Output, oid: str) -> bool:
    path = Path(out.cache.oid_to_path(oid))
    return path.is_file() and is_whole(path, oid, out.hash_name)


def _write(out: Output, oid: str, source: Path) -> bool:
    """`source` as the object `oid`, whole or not at all. Raises `ResourceError`."""
    path = Path(out.cache.oid_to_path(oid))
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(source, fresh)
        if not is_whole(fresh, oid, out.hash_name):
            raise ResourceError(f"{path} cannot be written as it should be: look at the disk of DVC's cache.")
        fresh.chmod(0o444)  # as DVC keeps them
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return True

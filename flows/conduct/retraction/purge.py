"""`emoforge forget --purge`: the bytes of what was retracted, and of all that stood on it, out of every place.

What goes is looked up first and written down (.emoforge/forget/<id>.json), because the tables that tell it go as well;
then each step can be cut short and repeated, and comes to the same. Never removed is an object that a state of a stage
needs which does not hold it. The last step searches everything again and writes the certificate.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import EmoforgeError, IntegrityError, ResourceError, UnknownNameError
from corpora.schema import SAMPLES
from corpora.store.atomic import write_json
from corpora.store.shards import read_table
from flows.conduct.dvcrun import opened, plain_errors
from flows.conduct.processes import run_locks
from flows.conduct.retraction.certificate import (
    Certificate,
    certificate_file,
    certificate_of,
    merged,
    read_certificate,
    write_certificate,
)
from flows.conduct.retraction.everywhere import searched
from flows.conduct.retraction.forget import standing_on
from flows.conduct.retraction.objects import Place, Places
from flows.conduct.retraction.searched import Sought
from flows.conduct.retraction.states import (
    DIR,
    RAW,
    Held,
    held,
    note_rows,
    run_entries,
    states,
    states_in_entry,
)
from flows.engine.store import WorkStore
from flows.params import load_machine, load_params
from flows.paths import Layout
from flows.publishing.pages import FOLDER as PAGES
from flows.releases.history import published
from flows.releases.lineage import Lineage
from flows.releases.places import find_release
from flows.stages.ingest.retracted import Retraction, retractions

# of .emoforge, all of it safe to delete: what may have been made of anybody
SCRATCH = ("cache", "errors", "fits", "ingest", "quick", "rejects", "versions")
Tell = Callable[[str], None]


@dataclass(frozen=True)
class _At:
    """What all steps need."""

    layout: Layout
    one: Retraction
    places: Places
    run_cache: Path
    gone: Held


def retraction_of(layout: Layout, name: str) -> Retraction:
    """By its id. Raises `UnknownNameError`."""
    every = {one.id: one for one in retractions(layout)}
    if name not in every:
        raise UnknownNameError.of("retraction", name, every)
    return every[name]


def purge(one: Retraction, *, repo: Path, tell: Tell = lambda line: None) -> Certificate:
    """Removes, searches, and writes the certificate. Runs of the project are held meanwhile.

    Raises `LockedError` where one of them is being built, `UserError` where DVC cannot read the project,
    `ResourceError` where a place fails under way: repeat it.
    """
    layout = Layout(repo)
    names, again = sorted(load_params(layout.params).runs), _rebuilt(layout)
    with (
        run_locks(layout.scratch / "locks", names),
        run_locks(layout.scratch / "rebuilt", sorted({path.name.partition("@")[0] for path in again})),
        plain_errors(repo),
        opened(repo) as dvc,
    ):
        places = Places.of(dvc, pushed=bool(published(repo)))
        run_cache = Path(dvc.cache.local.path).parent.parent / "runs"
        at = _At(layout, one, places, run_cache, _looked_up(layout, one, places, run_cache))
        for step in (_workspace, _run_cache, _cache, _scratch, _remotes):
            step(at)
            tell(f"{step.__name__.strip('_').replace('_', ' ')}: done")
        certificate = _audited(at)
        write_certificate(layout, certificate)
        return certificate


def audit(one: Retraction, *, repo: Path) -> Certificate:
    """Searches again for what an earlier purge took out, and says what is left; removes and writes nothing.

    Raises `UnknownNameError` where there was no purge.
    """
    layout = Layout(repo)
    before = read_certificate(certificate_file(layout, one.id))
    if before is None:
        raise UnknownNameError(f"nothing of retraction {one.id} was purged yet: emoforge forget ... --purge")
    with plain_errors(repo), opened(repo) as dvc:
        places = Places.of(dvc, pushed=bool(published(repo)))
        run_cache = Path(dvc.cache.local.path).parent.parent / "runs"
        now = held(states(repo, run_cache), one, places, before.holding)
        # what was built since may come to the same bytes without them: an edit of somebody else's line does
        since = Held(raw=now.raw, kept=now.kept)
        return _audited(_At(layout, one, places, run_cache, merged(since, before)))


def _looked_up(layout: Layout, one: Retraction, places: Places, run_cache: Path) -> Held:
    """What goes; written down before anything does."""
    draft = layout.scratch / "forget" / f"{one.id}.json"
    earlier = [read_certificate(path) for path in (certificate_file(layout, one.id), draft)]
    known = {oid for certificate in earlier if certificate is not None for oid in certificate.holding}
    gone = held(states(layout.repo, run_cache), one, places, known)
    _folders_of(layout, one, gone)  # notes their payloads
    for certificate in earlier:
        gone = merged(gone, certificate)
    draft.parent.mkdir(parents=True, exist_ok=True)
    write_json(draft, certificate_of(one, gone, {}, _raw(layout, one)).to_json())
    return gone


def _folders_of(layout: Layout, one: Retraction, gone: Held) -> list[Path]:
    """Corpora, runs and parts in data/ with a table that has it, in no lock perhaps: what was killed, or run by hand.
    A run goes whole: what of it is of the new state, DVC's cache has. Their payloads are noted."""
    folders = []
    for path in sorted(
        [*layout.repo.glob("data/corpora/*/index.parquet"), *layout.repo.glob("data/runs/*/*/index.parquet")]
    ):
        try:
            holds = note_rows(read_table(path, SAMPLES), one, gone)
        except IntegrityError:  # damaged: the audit reads its bytes
            continue
        if holds:
            folders.append(path.parent if path.parent.parent.name == "corpora" else path.parent.parent)
    for name in (path.parent.parent.name for path in layout.repo.glob("data/parts/*/release/manifest.json")):
        # features of people stand in no table of SAMPLES; what learned from them says so itself
        try:
            standing = standing_on(Lineage.of(find_release(name, layout.repo)), one)
        except EmoforgeError:
            continue
        if standing.touched:
            folders.append(layout.part(name) / "release")
    return list(dict.fromkeys(folders))


def _raw(layout: Layout, one: Retraction) -> str:
    return ", ".join(f"{RAW}{corpus}" for corpus in sorted({one.corpus, *one.near}))


def _workspace(at: _At) -> None:
    """Outs in data/ that hold it, and what killed writers left beside them."""
    for out in sorted(at.gone.outs):
        path, _, oid = out.rpartition(" ")
        place = at.layout.repo / path
        if place.exists() and _is(place, oid, at):
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    for folder in _folders_of(at.layout, at.one, Held()):
        shutil.rmtree(folder)
    for pages in at.layout.runs.glob(f"*/{PAGES}"):  # of published versions, which show samples
        shutil.rmtree(pages)
    for left in sorted((at.layout.repo / "data").rglob(".*.tmp")):
        if RAW not in left.relative_to(at.layout.repo).as_posix():
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _is(place: Path, oid: str, at: _At) -> bool:
    """Whether what lies there is that out: by its content, as DVC names it."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db.local import LocalHashFileDB

    cache = at.places.cache.odb
    forgetful = LocalHashFileDB(cache.fs, cache.path, hash_name=cache.hash_name)  # which reads, and remembers no file
    _, _, there = build(forgetful, str(place), cache.fs, cache.hash_name, dry_run=True)
    return bool(there.hash_info.value == oid)


def _run_cache(at: _At) -> None:
    """Entries of DVC's run cache that would bring an out back, or name one."""
    oids = {out.rpartition(" ")[2] for out in at.gone.outs}
    for path in run_entries(at.run_cache):
        named = {oid for state in states_in_entry(path) for oid in (*state.deps.values(), *state.outs.values())}
        if named & (oids - at.gone.valid):
            path.unlink()


def _cache(at: _At) -> None:
    """Objects of DVC's cache; lists of folders last: they say what belongs together."""
    _remove(at.places.cache, at.gone)


def _remove(place: Place, gone: Held) -> None:
    for oid in sorted(gone.objects, key=lambda oid: (oid.endswith(DIR), oid)):
        place.drop(oid)


def _rebuilt(layout: Layout) -> list[Path]:
    """Clones in which versions were built again, each with a cache of its own (flows/rebuilding/clone.py)."""
    return sorted((layout.scratch / "rebuilt").glob("*@*"))


def _scratch(at: _At) -> None:
    """The work store, which names things by hashes alone, and all of .emoforge that is made of samples."""
    for folder in (*(at.layout.scratch / name for name in SCRATCH), *_rebuilt(at.layout)):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(ResourceError):  # one that is down is named by the audit
        WorkStore(load_machine(at.layout.machine).store or at.layout.store).prune(0.0)


def _remotes(at: _At) -> None:
    """Objects of every remote that can be reached, and entries of run caches there."""
    oids = {out.rpartition(" ")[2] for out in at.gone.outs} - at.gone.valid
    for remote in at.places.remotes:
        try:
            _remove(remote, at.gone)
            for path in list(remote.run_cache()):
                if any(oid.encode() in remote.read(path) for oid in oids):
                    remote.remove(path)
        except ResourceError as error:
            at.places.unreached[remote.name] = str(error)


def _audited(at: _At) -> Certificate:
    """Everything that is there, searched by content."""
    gone = at.gone
    hashes = gone.payloads | gone.conversions | gone.generated | set(at.one.payloads)
    wanted = Sought(frozenset(hashes - gone.kept), at.one.keys)
    return certificate_of(at.one, gone, searched(at.layout, at.places, gone, wanted), _raw(at.layout, at.one))

"""Every state of a stage that DVC knows of here: dvc.lock now and in every commit, and the run cache; whose outs hold
what was retracted, and which objects only such outs need.

An out holds it if its index has rows of it, or rows that were made from them, or if its stage read an out that does:
a generator, its judges and what they made go with the samples that they learned from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpora.errors import IntegrityError, UserError
from corpora.schema import LINEAGE, SAMPLES
from corpora.store.evolve import evolved
from flows.conduct.retraction.objects import Places
from flows.paths import PART
from flows.releases.fetched import POINTER, pointer_in
from flows.releases.git import git
from flows.stages.ingest.retracted import Retraction, rows_covered

DIR = ".dir"
RAW = "data/raw/"  # the raw corpus is its owner's: what was written there is not what was made of it here
INDEX, LINEAGE_FILE = "index.parquet", "lineage.parquet"


@dataclass(frozen=True, slots=True)
class State:
    """One run of a stage: path -> DVC's name of the content, of what it read and of what it wrote."""

    stage: str
    deps: Mapping[str, str]
    outs: Mapping[str, str]


@dataclass
class Held:
    """What outs that hold it are made of. outs: "path md5" of each; holding: DVC's names of those whose own index has
    it; oids: these, and what stands on them; objects: that nothing else needs; the hashes are sha256 of payloads: of
    the retracted samples, made from them, drawn by generators that were fitted on them."""

    outs: set[str] = field(default_factory=set)
    holding: set[str] = field(default_factory=set)
    oids: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)
    payloads: set[str] = field(default_factory=set)
    conversions: set[str] = field(default_factory=set)
    generated: set[str] = field(default_factory=set)
    generators: set[str] = field(default_factory=set)
    judges: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    raw: set[str] = field(default_factory=set)  # objects of raw corpora, which are their owner's
    valid: set[str] = field(default_factory=set)  # objects that something else needs
    kept: set[str] = field(default_factory=set)  # payloads in the indices of everything else


def states(repo: Path, run_cache: Path) -> list[State]:
    """Of the lock that is there, of every commit's, and of the run cache; each once."""
    found: dict[str, State] = {}
    for state in _parts(repo):
        found[json.dumps([state.stage, dict(state.deps), dict(state.outs)], sort_keys=True)] = state
    for text in [*_locks(repo), *(path.read_text("utf-8") for path in run_entries(run_cache))]:
        for state in _states_in(text):
            found[json.dumps([state.stage, dict(state.deps), dict(state.outs)], sort_keys=True)] = state
    return [found[key] for key in sorted(found)]


def run_entries(run_cache: Path) -> Iterator[Path]:
    """Files of DVC's run cache: what a stage wrote for which inputs."""
    yield from sorted(path for path in run_cache.glob("*/*/*") if path.is_file())


def _locks(repo: Path) -> Iterator[str]:
    if (repo / "dvc.lock").is_file():
        yield (repo / "dvc.lock").read_text("utf-8")
    try:
        commits = git(repo, "log", "--all", "--format=%H", "--", "dvc.lock").split()
    except UserError:  # no git, or no commit yet
        return
    for commit in commits:
        try:
            yield git(repo, "show", f"{commit}:./dvc.lock")
        except UserError:  # the commit that removed it
            continue


def _parts(repo: Path) -> Iterator[State]:
    """Parts of releases that are published alone, now and in every commit: each was read from a release, and stands on
    whatever that stands on."""
    texts = {}
    for path in sorted((repo / "data" / "parts").glob(f"*/{POINTER}")):
        texts[path.parent.name, path.read_text("utf-8")] = True
    try:
        commits = git(repo, "log", "--all", "--format=%H", "--", "data/parts").split()
        listed = [(c, git(repo, "ls-tree", "-r", "--name-only", c, "--", "data/parts").splitlines()) for c in commits]
    except UserError:  # no git, or no commit yet
        listed = []
    for commit, names in listed:
        for name in (n for n in names if n.endswith(f"/{POINTER}")):
            texts[Path(name).parent.name, git(repo, "show", f"{commit}:./{name}")] = True
    for name, text in texts:
        match, pointer = PART.fullmatch(name), pointer_in(text)
        if match is not None and pointer is not None:
            deps = {f"data/runs/{match['run']}/release": pointer.whole} if pointer.whole else {}
            yield State(f"part@{name}", deps, {f"data/parts/{name}/release": pointer.oid})


def states_in_entry(path: Path) -> list[State]:
    """Of one file of the run cache."""
    return list(_states_in(path.read_text("utf-8")))


def _states_in(text: str) -> Iterator[State]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(text) or {}
    except YAMLError:
        return
    stages = content.get("stages") if "stages" in content else {"": content}
    for name, stage in (stages or {}).items():
        if isinstance(stage, dict):
            yield State(str(name), _named(stage.get("deps")), _named(stage.get("outs")))


def _named(entries: Any) -> dict[str, str]:
    named = {}
    for entry in entries or ():
        if (
            isinstance(entry, dict)
            and entry.get("path")
            and (oid := entry.get("md5") or _folder_of(entry.get("files")))
        ):
            named[str(entry["path"])] = str(oid)
    return named


def _folder_of(files: Any) -> str:
    """DVC's name of a folder whose files the lock lists, as it does after a push to a `version_aware` remote."""
    if not files:
        return ""
    listing = [{"md5": str(one["md5"]), "relpath": str(one["relpath"])} for one in files]
    text = json.dumps(sorted(listing, key=lambda one: tuple(one["relpath"].split("/"))))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + DIR


def held(known: Iterable[State], one: Retraction, places: Places, before: Iterable[str]) -> Held:
    """What of all states holds the retraction, or stands on it. Reads tables alone, out of whichever place has them.
    before: `holding` of earlier purges, whose tables are gone."""
    every, result = list(known), Held(holding=set(before))
    tables = {oid: _tables(oid, places) for state in every for path, oid in _outs(state) if oid.endswith(DIR)}
    for oid, (index, _) in tables.items():
        if index is not None and note_rows(index, one, result):
            result.holding.add(oid)
    result.oids = set(result.holding)
    tainted = _tainted(every, result)
    for state in every:
        for path, oid in _outs(state, raw=True):
            if path.startswith(RAW):
                result.raw |= {oid, *_members(oid, places).values()}
            if oid in result.oids:
                result.outs.add(f"{path} {oid}")
                result.objects |= {oid, *_members(oid, places).values()}
            elif state not in tainted:
                result.valid |= {oid, *_members(oid, places).values()}
    for oid in result.oids:
        _note_drawn(*tables.get(oid, (None, None)), one, result)
    for oid, (index, _) in tables.items():
        if oid not in result.oids and index is not None:
            result.kept |= set(index["sha256"].to_pylist())
    return result


def _tainted(every: Sequence[State], result: Held) -> list[State]:
    """States that wrote what holds it, or read what does; result.oids grows to all that only such states wrote."""
    while True:
        tainted = [s for s in every if result.holding & {*s.outs.values()} or result.oids & {*s.deps.values()}]
        others = {oid for s in every if s not in tainted for _, oid in _outs(s, raw=True)}
        more = {oid for s in tainted for _, oid in _outs(s)} - others - result.oids
        if not more:
            return tainted
        result.oids |= more


def _outs(state: State, *, raw: bool = False) -> Iterator[tuple[str, str]]:
    return ((path, oid) for path, oid in state.outs.items() if raw or not path.startswith(RAW))


def _members(oid: str, places: Places) -> dict[str, str]:
    """Relative path -> object of a folder; {} of a file, and of a folder whose list nobody has."""
    data = places.read(oid) if oid.endswith(DIR) else None
    if data is None:
        return {}
    return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(data)}


def _tables(oid: str, places: Places) -> tuple[pa.Table | None, pa.Table | None]:
    """Index and lineage of a folder; None of what it has not, or nobody has."""
    members = _members(oid, places)
    return _table(members.get(INDEX), SAMPLES, places), _table(members.get(LINEAGE_FILE), LINEAGE, places)


def _table(oid: str | None, schema: pa.Schema, places: Places) -> pa.Table | None:
    import pyarrow.parquet as pq

    data = places.read(oid) if oid is not None else None
    if data is None:
        return None
    try:
        return evolved(pq.read_table(pa.BufferReader(data)), schema, Path(str(oid)))
    except (pa.ArrowInvalid, IntegrityError):  # a table of something else
        return None


def note_rows(index: pa.Table, one: Retraction, into: Held) -> bool:
    """Whether a table has rows of the retraction, or made from them; notes their payloads."""
    names = ("sample_id", "subject_id", "corpus", "generator_id", "sha256", "sources")
    rows = index.select(names).to_pylist()
    samples, _ = rows_covered((row for row in rows if row["generator_id"] is None), one)
    _, people = rows_covered(rows, one)  # a conversion has its source's subject
    # a source's own row may lie in another table
    asked = sorted({s["id"] for row in rows for s in row["sources"] or ()})
    ghosts = ({"sample_id": s, "subject_id": None, "corpus": s.partition("/")[0]} for s in asked)
    samples |= rows_covered(ghosts, one)[0]
    found = False
    for row in rows:
        if row["generator_id"] is None and (row["sample_id"] in samples or row["sha256"] in one.payloads):
            into.payloads.add(row["sha256"])
            found = True
        elif row["generator_id"] is not None and (
            row["subject_id"] in people or any(s["id"] in samples for s in row["sources"] or ())
        ):
            into.conversions.add(row["sha256"])
            found = True
    return found


def _note_drawn(index: pa.Table | None, lineage: pa.Table | None, one: Retraction, into: Held) -> None:
    """What a folder that goes has of generators and judges."""
    if index is not None:
        for generator, sha in zip(index["generator_id"].to_pylist(), index["sha256"].to_pylist(), strict=True):
            if generator is not None:
                into.generators.add(generator)
                into.generated.add(sha)
    if lineage is not None:
        edges = zip(*(lineage[name].to_pylist() for name in ("thing", "used", "role")), strict=True)
        for thing, used, role in edges:
            if role == "judge":
                into.judges.add(f"{thing.removeprefix('gate:')}: {used}")
            elif role == "loads":
                into.loads.add(used)

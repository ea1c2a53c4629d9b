"""`emoforge publish RUN --only synthetic|features`: a part of a release leaves the house, and the real samples stay.

The part is a release of its own (flows/parts/taken.py) in data/parts/RUN-synthetic/release, with versions of its own,
RUN-synthetic@vX.Y.Z. The terms of every corpus must let it stand alone; where they do not, or are silent, nothing is
taken and nothing leaves. DVC knows it by release.dvc beside it, which also says which release it was taken from.

All or nothing as the whole release is, in the same order: what has to hold, the part, push, commit, tag.
"""

from __future__ import annotations

from pathlib import Path

from corpora.errors import UnknownNameError
from corpora.permits import PARTS, Part
from corpora.store.atomic import write_text
from flows.artifacts.released import Released
from flows.conduct.intact import keep, named, require_intact
from flows.conduct.processes import run_locks
from flows.conduct.publish import NewVersion, Outcome, begin, commit_and_tag, texts_of
from flows.parts.taken import require_allowed, require_there, take_part
from flows.paths import Layout
from flows.publishing import checks, commits, remotes
from flows.publishing.facts import AUTO, facts_now, next_number
from flows.releases.fetched import POINTER, outs_in, outs_of
from flows.releases.versions import latest_tag, version_of

IGNORED = "/release\n"  # git's: the bytes are DVC's


def publish_part(run: str, only: str, *, repo: Path, bump: str = AUTO) -> Outcome:
    """Takes the part `only` of the release of `run`, pushes it to the default remote, commits and tags it. Idempotent.

    Raises `UnknownNameError` (run, part), `GateError` (terms of a corpus, gates or audit do not allow it), `UserError`
    (the release has no such part, and what `publish` refuses), `IntegrityError`, `LockedError`, `ResourceError`.
    """
    part = part_named(only)
    name = f"{run}-{part}"
    with run_locks(Layout(repo).scratch / "locks", [run]):
        begun = begin(run, name, bump, repo)
        source = Layout(repo).run(run) / "release"
        whole = Released(source).manifest()
        require_there(whole, part)
        require_allowed(whole, part, begun.params.publish.permits)
        require_intact(begun.stages, (), repo=repo)
        place, latest = Layout(repo).part(name), latest_tag(name, repo)
        place.mkdir(parents=True, exist_ok=True)
        write_text(place / ".gitignore", IGNORED)
        take_part(source, place / "release", part, begun.params.publish.permits)
        text, oid = pointer_text(name, run, repo)
        if latest and outs_of(version_of(latest, repo), repo).folders.get("release") == oid:
            return begun.nothing_new(name, latest)
        checks.ready_for_a_version(name, repo)
        remote = remotes.remote_of(None, repo)
        facts = facts_now(name, latest, bump, repo)
        taken_from = f"taken from the release {run}, hash {whole.release_hash}"
        facts = facts.model_copy(update={"why": (taken_from, *facts.why)})
        new = NewVersion(name, next_number(latest, facts.bump), facts, begun.params.publish)
        texts_of(new, repo)  # what cannot be written is said before anything leaves
        with commits.written({place / POINTER: text}, repo):
            keep(place / POINTER, repo=repo)
            released = (place / "release").relative_to(repo).as_posix()
            remotes.push([released], remote, repo)
            beside = [(place / one).relative_to(repo).as_posix() for one in (POINTER, ".gitignore")]
            tag = commit_and_tag(new, beside, repo)
        return Outcome(name, tag, latest, [released], {}, begun.mended, facts.bump, facts.because, begun.resumed)


def part_named(only: str) -> Part:
    """Raises `UnknownNameError`."""
    for part in PARTS:
        if part == only:
            return part
    raise UnknownNameError.of("part of a release", only, PARTS)


def pointer_text(name: str, run: str, repo: Path) -> tuple[str, str]:
    """-> release.dvc of the part that lies there, and DVC's name of it. The file says, too, which release of `run` it
    was taken from, as dvc.lock names that."""
    oid, size, files = named(Layout(repo).part(name) / "release", repo=repo)
    whole = outs_in(run, (repo / "dvc.lock").read_text("utf-8")).folders["release"]
    lines = ["meta:", f"  taken_from: {whole}", "outs:", f"- md5: {oid}", f"  size: {size}", f"  nfiles: {files}"]
    return "\n".join([*lines, "  hash: md5", "  path: release"]) + "\n", oid

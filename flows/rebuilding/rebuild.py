"""`emoforge rebuild NAME@v`: a version built again from its commit, here or in another clone. The same hash, or where
it first differs and why (flows/rebuilding/difference.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from corpora.errors import GateError, UserError
from flows.artifacts.base import Folder
from flows.conduct.dvcrun import needed, repro, stages_of
from flows.conduct.machine import require_disk
from flows.conduct.processes import run_locks
from flows.params import load_machine, load_params
from flows.paths import PART, Layout
from flows.rebuilding.clone import cloned, given, removed
from flows.rebuilding.difference import Difference, first_difference, first_plan
from flows.rebuilding.lock import Outs
from flows.releases.fetched import fetched, lock_of
from flows.releases.history import facts_of
from flows.releases.plans import Planned, planned
from flows.releases.tombstones import removals
from flows.releases.versions import Version, version_of

TO_PLAN = ("fake", "reader", "ingest", "plan")  # stages that a plan needs, and it


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What `rebuild` did. wanted: release_hash of the version; got: of what was built, None where plans alone were
    compared; difference: the first stage that differs; fetched: corpora that were taken as they were read, their raw
    files are not here; folder: where it was built, None where that is gone."""

    version: str
    wanted: str
    got: str | None
    difference: Difference | None
    fetched: tuple[str, ...]
    folder: str | None

    @property
    def same(self) -> bool:
        """Whether it is the version, or would be planned as it was."""
        return self.difference is None and self.got in (None, self.wanted)

    @property
    def sentence(self) -> str:
        """For people."""
        if self.same and self.got is None:
            return f"{self.version}: every stage is planned as it was. Nothing was built: leave --plans out for that"
        if self.same:
            return f"{self.version} is the same again: release hash {self.wanted}"
        if self.difference is None:
            return f"{self.version} has another release hash ({self.got}, not {self.wanted}), of the same outs"
        return f"{self.version} is not the same. First that differs: {self.difference.sentence}"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"same": self.same}


def rebuild(
    tag: str, *, repo: Path, plans: bool = False, keep: bool = False, on_line: Callable[[str], None] = lambda _: None
) -> Rebuilt:
    """Builds the version `tag` (RUN@vX.Y.Z or RUN@latest) again, in a clone of its own below .emoforge; a rebuild that
    was cut short goes on. plans: ends after its plans, and compares those. keep: the clone stays, whatever comes of it.

    Raises `UnknownNameError` (no such version), `UserError` (its data is not known any more, or it holds what was
    retracted since), `CorpusError` (raw data
    that is nowhere), `LockedError`, `ResourceError` (disk), `StageFailedError` and what else a stage raises.
    """
    version = version_of(tag, repo)
    if (part := PART.fullmatch(version.run)) is not None:
        raise UserError(
            f"{version.tag} is a part of a release, which is built again from the whole one: emoforge rebuild "
            f"{part['run']}@VERSION, then emoforge publish {part['run']} --only {part['part']} gives the same bytes"
        )
    if held := removals(version.tag, repo):  # its commit knows nothing of it, and would read it again
        raise UserError(
            f"{version.tag} is not built again, which would read and learn from what was taken out since: "
            f"{'; '.join(removal.sentence for removal in held)}. Build and publish the version without: emoforge run "
            f"{version.run}; emoforge publish {version.run}"
        )
    require_disk(repo, load_machine(repo / "machine.yaml"))
    with run_locks(Layout(repo).scratch / "rebuilt", [version.run]):
        before = fetched(version, repo, whole=False)
        wanted = facts_of(Folder(before / "release")).release_hash
        project = cloned(version, repo)
        params = load_params(project / "params.yaml")
        taken = given(version, project, repo)
        for stage in stages_of(params, [version.run]):
            if stage in taken or (plans and stage.partition("@")[0] not in TO_PLAN):
                continue
            if needed([stage], repo=project):
                _built(stage, version, project, on_line)
        corpora = params.run(version.run).corpora
        was, now = _made(version, before, repo), _now(version, project, planned_only=plans)
        if plans:
            if not was[1].stages:
                raise UserError(f"{version.tag} has no plans that can be had here; leave --plans out to build it")
            difference, got = first_plan(version.run, was[1], now[1]), None
        else:
            got = facts_of(Folder(Layout(project).run(version.run) / "release")).release_hash
            difference = first_difference(version.run, corpora, was, now) if got != wanted else None
        done = Rebuilt(version.tag, wanted, got, difference, tuple(taken), str(project))
        if done.same and not keep:
            removed(version, repo)
            done = Rebuilt(version.tag, wanted, got, None, tuple(taken), None)
        return done


def _built(stage: str, version: Version, project: Path, on_line: Callable[[str], None]) -> None:
    try:
        repro(stage, repo=project, on_line=on_line)
    except GateError as error:
        raise GateError(f"{version.tag}, built again, does not pass the gates that it passed: {error}") from None


def _made(version: Version, before: Path, repo: Path) -> tuple[Outs, Planned]:
    return Outs.of(lock_of(version, repo)), planned(before / "release", before)


def _now(version: Version, project: Path, *, planned_only: bool) -> tuple[Outs, Planned]:
    lock, run = project / "dvc.lock", Layout(project).run(version.run)
    outs = Outs.of(lock.read_text("utf-8") if lock.is_file() else "")
    return outs, (_plans_of(run) if planned_only else planned(run / "release", run))


def _plans_of(run: Path) -> Planned:
    """Plans beside no release."""
    from corpora.formats.jsonfile import read_json
    from flows.releases.plans import STAGES

    paths = {stage: run / "plan" / f"{stage}.json" for stage in STAGES}
    return Planned({stage: read_json(path) for stage, path in paths.items() if path.is_file()}, {})

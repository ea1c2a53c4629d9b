"""`emoforge publish`: a release leaves the house, as bytes in a DVC remote and a gto tag `RUN@vX.Y.Z` in git.

Everything that would leave is read and hashed first, and nothing leaves if any of it is damaged. Then, in this order:

1. push: bytes, which nobody knows of yet; what is there is not sent again;
2. commit: lock, params, dvc.yaml with the run's artifact entry, CHANGELOG.md, croissant.json of the version, small
   files of numbers. Alone, whatever else is staged; a hook that refuses it leaves everything as it was;
3. tag: last, so what has one is whole.

Then the page of the version is written for people (flows/publishing/pages.py), which nothing depends on.

Cut short anywhere, the same command goes on (flows/publishing/commits.py says from what). A release whose content is
that of the latest tag is not published again. Which number goes up is computed from the last version, and a lower one
is refused (flows/releases/bumps.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from corpora.errors import UserError
from corpora.formats.jsonfile import read_json
from corpora.store.release import MANIFEST, open_release
from flows.conduct.dvcrun import stages_of
from flows.conduct.intact import require_intact
from flows.conduct.processes import run_locks
from flows.describing.croissant import CROISSANT
from flows.params import Params, load_machine, load_params
from flows.paths import Layout
from flows.projects.code import CODE, depends_on_installed
from flows.publisher import PublishParams
from flows.publishing import artifacts, changelog, checks, commits, pages, remotes
from flows.publishing.announced import Announced, announced
from flows.publishing.facts import AUTO, facts_now, next_number
from flows.publishing.leaving import Leaving, leaving, outs_of, restricted
from flows.releases.bumps import BUMPS
from flows.releases.fetched import lock_of
from flows.releases.versions import Facts, latest_tag, version_of, versions_of

IN_COMMIT = ("dvc.lock", "dvc.yaml", "params.yaml")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `publish` did. `tag`: None where nothing had changed since `latest`. withheld: out -> why it stayed here.
    mended: objects of DVC's cache that were damaged and have been written anew from the intact files. bump: which
    number went up ("first": there was none); because: why. resumed: a version whose publishing was cut short after its
    commit, and which has its tag now. page: the version's report, with what changed since the one before."""

    run: str
    tag: str | None
    latest: str | None
    pushed: list[str] = field(default_factory=list)
    withheld: dict[str, str] = field(default_factory=dict)
    mended: list[str] = field(default_factory=list)
    bump: str | None = None
    because: tuple[str, ...] = ()
    resumed: str | None = None
    page: str | None = None

    @property
    def sentence(self) -> str:
        """What was done, for people."""
        if self.tag is None:
            return f"nothing to publish: {self.run} has not changed since {self.latest}"
        why = f" ({self.bump}: {'; '.join(self.because)})" if self.because else ""
        if self.tag == self.resumed:
            return f"published {self.tag}{why}: it was pushed and committed before, and has its tag now"
        return f"published {self.tag}{why}: {len(self.pushed)} outputs pushed, {len(self.withheld)} kept here"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Begun:
    """A publish before anything leaves: the run is built and up to date, and gates let it out. left: a version whose
    publishing was cut short after its commit, resumed: its tag, which it has now; both None where there was none.
    mended: as `Outcome` has it."""

    params: Params
    stages: list[str]
    mended: list[str]
    left: commits.Unfinished | None
    resumed: str | None

    def nothing_new(self, name: str, latest: str, page: str | None = None) -> Outcome:
        """The outcome where `latest` is what would be published; its facts are known where it was cut short."""
        known = self.left.facts if self.left else None
        bump, because = (known.bump, known.because) if known else (None, ())
        tag, mended = self.resumed, self.mended
        return Outcome(name, tag, latest, mended=mended, bump=bump, because=because, resumed=tag, page=page)


def begin(run: str, name: str, bump: str, repo: Path) -> Begun:
    """How every publish of the run, or of a part of it (`name`: of what gets the version), begins; the caller holds the
    run's lock. Ends a version that was cut short. Raises as `publish_held` says of a run that cannot be published."""
    if bump not in (AUTO, *BUMPS):
        raise UserError(f"bump is {bump!r}; allowed: {', '.join((AUTO, *BUMPS))}")
    params = load_params(repo / "params.yaml")
    params.run(run)
    checks.require_branch(repo)
    left = commits.unfinished(name, repo)
    resumed = commits.tag(left, repo) if left else None
    stages = stages_of(params, [run])
    mended = checks.whole(run, stages, repo)
    checks.may_leave(run, repo)
    return Begun(params, stages, mended, left, resumed)


def publish(run: str, *, repo: Path, bump: str = AUTO) -> Outcome:
    """`publish_held` under the lock of the run. Raises what that raises, and `LockedError`."""
    with run_locks(Layout(repo).scratch / "locks", [run]):
        return publish_held(run, repo=repo, bump=bump)


def publish_held(run: str, *, repo: Path, bump: str = AUTO) -> Outcome:
    """Pushes, commits and tags the release of `run`, whose lock the caller holds. Idempotent. bump: "auto", or one that
    is not lower than what changed since the last version asks for.

    Raises `UnknownNameError` (run), `UserError` (not built, not up to date, no git, no branch, no remote, uncommitted
    code, a hook that refused the commit, a bump that is too low, or a last version that cannot be read),
    `GateError` (gates or audit do not allow it), `IntegrityError` (something is damaged, and nothing was pushed),
    `LockedError`, `ResourceError` (the remote failed, or the disk is full).
    """
    machine = load_machine(repo / "machine.yaml")
    begun = begin(run, run, bump, repo)
    params, stages = begun.params, begun.stages
    pages.require_report(run, repo)
    latest = latest_tag(run, repo)
    if latest and _released(run, lock_of(version_of(latest, repo), repo)) == _released(
        run, (repo / "dvc.lock").read_text("utf-8")
    ):
        return begun.nothing_new(run, latest, page=_page(latest, repo, anew=begun.resumed is not None))
    checks.ready_for_a_version(run, repo)
    outs = leaving(outs_of(stages, repo), restricted(run, params, repo), machine)
    destinations = _destinations(outs, machine.private_remote, repo)
    mended = begun.mended + require_intact(stages, {*outs.open, *outs.private}, repo=repo)
    open_release(Layout(repo).run(run) / "release").verify()
    facts = facts_now(run, latest, bump, repo)
    new = NewVersion(run, next_number(latest, facts.bump), facts, params.publish)
    texts_of(new, repo)  # what cannot be written is said before anything leaves
    for remote, paths in destinations:
        remotes.push(paths, remote, repo)
    tag = commit_and_tag(new, outs.in_git, repo)
    pushed, page = outs.open + outs.private, _page(tag, repo, anew=True)
    return Outcome(run, tag, latest, pushed, outs.withheld, mended, facts.bump, facts.because, begun.resumed, page)


def _page(tag: str, repo: Path, *, anew: bool) -> str:
    """Where the page of a version lies, relative to the project."""
    return pages.write_page(tag, repo, anew=anew).relative_to(repo).as_posix()


def _destinations(outs: Leaving, private: str | None, repo: Path) -> list[tuple[remotes.Remote, list[str]]]:
    """Remotes with the outs that go there; one that is not configured is an error before anything was read."""
    pairs = [(None, outs.open), (private, outs.private)]
    return [(remotes.remote_of(name, repo), paths) for name, paths in pairs if paths]


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that is about to be: of a run or of a part of one (`name`), whose bytes lie in remotes already."""

    name: str
    number: str
    facts: Facts
    publish: PublishParams

    @property
    def tag(self) -> str:
        """NAME@vX.Y.Z."""
        return f"{self.name}@{self.number}"


def commit_and_tag(new: NewVersion, in_git: Sequence[str], repo: Path) -> str:
    """The commit of a version with what it holds beside `in_git` (paths), and its tag; -> the tag. Raises `UserError`
    with what git, or a hook, said."""
    with commits.alone(repo):  # dvc.yaml and git's index are those of other runs, too
        texts = texts_of(new, repo)
        names = [
            *IN_COMMIT,
            *([CODE] if depends_on_installed(repo) else []),
            *(place.relative_to(repo).as_posix() for place in _kept_by_git(repo) if place.is_dir()),
            *in_git,
            *(path.relative_to(repo).as_posix() for path in texts),
        ]
        with commits.written(texts, repo):
            commit = commits.commit(new.tag, new.facts, list(dict.fromkeys(names)), repo)
        return commits.tag(commits.Unfinished(new.tag, commit, new.facts), repo)


def texts_of(new: NewVersion, repo: Path) -> Mapping[Path, str]:
    """Files that the commit holds beside the lock, as they will be."""
    place = Layout(repo).product(new.name)
    modality = str(read_json(place / "release" / MANIFEST).get("modality"))
    log, stages, today = changelog.changelog_of(new.name, repo), repo / "dvc.yaml", _today()
    section = changelog.section_of(new.tag, today, new.facts)
    tags = [known.tag for known in versions_of(new.name, repo)]
    copy = announced(place / "release", Announced(new.name, new.publish, new.number, today))
    return {
        stages: artifacts.with_artifact(stages.read_text("utf-8"), new.name, modality, new.publish),
        log: changelog.with_version(changelog.text_of(new.name, repo), new.name, new.tag, section, tags),
        **({place / CROISSANT: copy} if copy is not None else {}),
    }


def _kept_by_git(repo: Path) -> tuple[Path, ...]:
    """What holds for every version from here on: retractions, and what was left of them."""
    return Layout(repo).retractions, Layout(repo).certificates


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _released(run: str, lock: str) -> list[tuple[str, str]] | None:
    """Path and content hash of the outs of `release@run`, as dvc.lock has them."""
    from ruamel.yaml import YAML

    stages = (YAML(typ="safe").load(lock) or {}).get("stages", {})
    outs = stages.get(f"release@{run}", {}).get("outs")
    return sorted((out["path"], out["md5"]) for out in outs) if outs else None

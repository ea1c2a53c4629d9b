"""`emoforge publish`: a release leaves the house, as bytes in a DVC remote and a gto tag `RUN@vX.Y.Z` in git.

Everything that would leave is read and hashed first, and nothing leaves if any of it is damaged. Order: push, commit,
tag; the tag comes last, so what has one is whole, and a publish that was cut short is simply repeated. A release whose
content is that of the latest tag is not published again. Which number goes up is computed from the last version, and a
lower one is refused (flows/releases/bumps.py).
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from corpora.errors import EmoforgeError, GateError, ResourceError, UserError
from corpora.formats.jsonfile import read_json
from corpora.licences import why_restricted
from corpora.readers import make_corpus
from corpora.store.release import MANIFEST, open_release
from flows.artifacts.base import Folder
from flows.conduct.dvcrun import DVC, environment, opened, plain_errors, reasons, stage_of, stages_of
from flows.conduct.intact import mend_cache, require_intact
from flows.conduct.processes import run_locks
from flows.params import Machine, Params, load_machine, load_params
from flows.paths import PACKAGES, Layout
from flows.releases.bumps import BUMPS, needed_bump, settled_bump
from flows.releases.fetched import fetched
from flows.releases.git import IDENTITY, git, git_root, identity
from flows.releases.history import facts_of
from flows.releases.versions import latest_tag, message_of, numbers, version_of

AUTO = "auto"
FIRST = "v1.0.0"
# Numbers and hashes alone: these leave even where the corpus may not.
OPEN_STAGES = frozenset({"reader", "plan", "evaluate"})
NOT_IN_CACHE = "is not in cache"  # how DVC's reason ends where an object of its cache is missing or cannot be read


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `publish` did. `tag`: None where nothing had changed since `latest`. withheld: out -> why it stayed here.
    mended: objects of DVC's cache that were damaged and have been written anew from the intact files. bump: which
    number went up ("first": there was none); because: why."""

    run: str
    tag: str | None
    latest: str | None
    pushed: list[str] = field(default_factory=list)
    withheld: dict[str, str] = field(default_factory=dict)
    mended: list[str] = field(default_factory=list)
    bump: str | None = None
    because: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What was done, for people."""
        if self.tag is None:
            return f"nothing to publish: {self.run} has not changed since {self.latest}"
        why = f" ({self.bump}: {'; '.join(self.because)})" if self.because else ""
        return f"published {self.tag}{why}: {len(self.pushed)} outputs pushed, {len(self.withheld)} kept here"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Out:
    path: str
    stage: str
    cached: bool
    pushable: bool


def publish(run: str, *, repo: Path, bump: str = AUTO) -> Outcome:
    """`publish_held` under the lock of the run. Raises what that raises, and `LockedError`."""
    with run_locks(Layout(repo).scratch / "locks", [run]):
        return publish_held(run, repo=repo, bump=bump)


def publish_held(run: str, *, repo: Path, bump: str = AUTO) -> Outcome:
    """Pushes, commits and tags the release of `run`, whose lock the caller holds. Idempotent. bump: "auto", or one that
    is not lower than what changed since the last version asks for.

    Raises `UnknownNameError` (run), `UserError` (not built, not up to date, no git, no remote, uncommitted code,
    a bump that is too low, or a last version that cannot be read),
    `GateError` (gates or audit do not allow it), `IntegrityError` (something is damaged, and nothing was pushed),
    `LockedError`, `ResourceError` (the remote failed).
    """
    if bump not in (AUTO, *BUMPS):
        raise UserError(f"bump is {bump!r}; allowed: {', '.join((AUTO, *BUMPS))}")
    params, machine = load_params(repo / "params.yaml"), load_machine(repo / "machine.yaml")
    params.run(run)
    stages = stages_of(params, [run])
    mended = _is_whole(run, stages, repo)
    _may_leave(run, repo)
    latest = latest_tag(run, repo)
    if latest and _released(run, git(repo, "show", f"{latest}:./dvc.lock")) == _released(
        run, (repo / "dvc.lock").read_text("utf-8")
    ):
        return Outcome(run, None, latest)
    _code_is_committed(repo)
    outs = _outs(stages, repo)
    free, private, withheld = _sorted_by_licence(outs, run, params, machine, repo)
    mended += require_intact(stages, {*free, *private}, repo=repo)
    open_release(Layout(repo).run(run) / "release").verify()
    raised, because = _bump(run, latest, bump, repo)
    _push(free, None, repo)
    _push(private, machine.private_remote, repo)
    _commit(run, [out.path for out in outs if not out.cached], repo)
    message = _message(run, raised, because, repo)
    tag = _tag(run, _next(latest, raised), message, repo)
    return Outcome(run, tag, latest, free + private, withheld, mended, raised, because)


def _bump(run: str, latest: str | None, asked: str, repo: Path) -> tuple[str, tuple[str, ...]]:
    """-> which number goes up, and why. Raises `UserError`."""
    if latest is None:
        return "first", ()
    try:
        before = fetched(version_of(latest, repo), repo, whole=False) / "release"
        needed = needed_bump(before, Layout(repo).run(run) / "release")
    except EmoforgeError as error:
        if asked == BUMPS[-1]:
            return asked, (f"{latest} could not be read",)
        raise UserError(
            f"what changed since {latest} cannot be told, so no bump can be checked: {error} "
            f"--bump {BUMPS[-1]} is never too low."
        ) from None
    return settled_bump(asked, needed, latest), needed.because


def _message(run: str, raised: str, because: tuple[str, ...], repo: Path) -> str:
    """Of the tag, with what `emoforge log` says of the version where its data is not at hand."""
    facts = facts_of(Folder(Layout(repo).run(run) / "release"))
    return message_of(run, facts.model_copy(update={"bump": raised, "because": because}))


def _is_whole(run: str, stages: Sequence[str], repo: Path) -> list[str]:
    """-> objects of DVC's cache that were written anew for it to be whole. Raises `UserError` for a run not built."""
    if not (Layout(repo).run(run) / "release" / MANIFEST).exists():
        raise UserError(f"run {run!r} has no release yet. Build it: emoforge run {run}")
    stale, mended = reasons(stages, repo=repo), []
    if any(why.endswith(NOT_IN_CACHE) for sentences in stale.values() for why in sentences):
        mended = mend_cache(stages, repo=repo)
        stale = reasons(stages, repo=repo)
    if stale:
        first, why = next(iter(stale.items()))
        raise UserError(f"run {run!r} is not up to date ({first}: {'; '.join(why)}). Build it: emoforge run {run}")
    return mended


def _may_leave(run: str, repo: Path) -> None:
    manifest = read_json(Layout(repo).run(run) / "release" / MANIFEST)
    if manifest.get("publishable") is not True:
        reasons = manifest.get("reasons")
        reasons_against = [str(reason) for reason in reasons] if isinstance(reasons, list) else []
        raise GateError(f"{run} may not be published: " + ("; ".join(reasons_against) or "a gate or the audit said no"))


def _outs(stages: Sequence[str], repo: Path) -> list[_Out]:
    with plain_errors(repo), opened(repo) as dvc:
        return [
            _Out(Path(out.def_path).as_posix(), stage, bool(out.use_cache), bool(out.can_push))
            for stage in stages
            for out in stage_of(dvc, stage, repo).outs
        ]


def _sorted_by_licence(
    outs: Sequence[_Out], run: str, params: Params, machine: Machine, repo: Path
) -> tuple[list[str], list[str], dict[str, str]]:
    """-> (outs for the default remote, outs for the private one, out -> why it stays).

    What a reader's `fake()` wrote is free. What was drawn from a restricted corpus, synthetic samples included, is as
    restricted as the corpus: a generator may have learned a recording by heart.
    """
    restricted = {}
    for corpus in params.run(run).corpora:
        entry = params.corpus(corpus)
        card = make_corpus(entry.reader, entry.options, base=repo).card
        if corpus not in params.demo and not card.may_redistribute:
            restricted[corpus] = why_restricted(corpus, card.license)
    free: list[str] = []
    private: list[str] = []
    withheld: dict[str, str] = {}
    for out in outs:
        verb, _, name = out.stage.partition("@")
        why = restricted.get(name) if verb in ("fake", "ingest") else "; ".join(restricted.values())
        if not out.cached:
            continue
        if not out.pushable:
            withheld[out.path] = "dvc.yaml says push: false"
        elif not why or verb in OPEN_STAGES:
            free.append(out.path)
        elif machine.private_remote:
            private.append(out.path)
        else:
            withheld[out.path] = why
    return free, private, withheld


def _push(paths: Sequence[str], remote: str | None, repo: Path) -> None:
    if not paths:
        return
    chosen = ["--remote", remote] if remote else []
    done = subprocess.run(
        [*DVC, "push", *chosen, "--", *paths],
        cwd=repo,
        env=environment(),
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        output = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("ERROR")]
        name = f"remote {remote!r}" if remote else "the default DVC remote"
        raise ResourceError(
            f"pushing to {name} failed: {' '.join(output) or done.stderr[-400:].strip()}. "
            "See `dvc remote list`; nothing was tagged, the same command goes on."
        )


def _code_is_committed(repo: Path) -> None:
    folders = [name for name in PACKAGES if (repo / name).is_dir()]
    changed = git(repo, "status", "--porcelain", "--", *folders) if folders else ""
    if changed:
        files = ", ".join(line[3:] for line in changed.splitlines()[:5])
        raise UserError(f"code has changes that git does not hold ({files}); commit them: a tag names what ran")


def _commit(run: str, numbers: Sequence[str], repo: Path) -> None:
    """dvc.lock, dvc.yaml, params.yaml, the small files of numbers and retractions; nothing else that may be staged or
    changed."""
    paths = [name for name in ("dvc.lock", "dvc.yaml", "params.yaml") if (repo / name).exists()]
    paths += [path for path in numbers if (repo / path).exists()]
    paths += [str(place.relative_to(repo)) for place in _kept_by_git(repo) if place.is_dir()]
    git(repo, "add", "--force", "--", *paths)
    if git(repo, "status", "--porcelain", "--untracked-files=no", "--", *paths):
        git(repo, *identity(repo), "commit", "--quiet", "-m", f"Publish {run}", "--", *paths)


def _kept_by_git(repo: Path) -> tuple[Path, ...]:
    """What holds for every version from here on: retractions, and what was left of them."""
    return Layout(repo).retractions, Layout(repo).certificates


def _tag(run: str, version: str, message: str, repo: Path) -> str:
    import gto.api

    name, email = IDENTITY if identity(repo) else (None, None)
    gto.api.register(
        str(git_root(repo)),
        name=run,
        ref="HEAD",
        version=version,
        message=message,
        author=name,
        author_email=email,
    )
    return version_of(f"{run}@{version}", repo).tag


def _next(latest: str | None, bump: str) -> str:
    if latest is None:
        return FIRST
    major, minor, patch = numbers(latest.rpartition("@")[2])
    raised = {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}[bump]
    return "v" + ".".join(map(str, raised))


def _released(run: str, lock: str) -> list[tuple[str, str]] | None:
    """Path and content hash of the outs of `release@run`, as dvc.lock has them."""
    from ruamel.yaml import YAML

    stages = (YAML(typ="safe").load(lock) or {}).get("stages", {})
    outs = stages.get(f"release@{run}", {}).get("outs")
    return sorted((out["path"], out["md5"]) for out in outs) if outs else None

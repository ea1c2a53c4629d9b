"""Which number of a version goes up, and what moved since the one before: what its tag and its changelog say."""

from __future__ import annotations

from pathlib import Path

from corpora.errors import EmoforgeError, UserError
from flows.artifacts.base import Folder
from flows.paths import PART, Layout
from flows.projects.code import code_in, depends_on_installed
from flows.releases.bumps import BUMPS, settled_bump
from flows.releases.compared import Comparison, compare
from flows.releases.history import facts_of
from flows.releases.places import Place, find_release
from flows.releases.versions import Facts, MovedSamples, numbers

AUTO = "auto"
FIRST = "v1.0.0"


def facts_now(run: str, latest: str | None, asked: str, repo: Path) -> Facts:
    """Facts of the release of `run` (of a run, or of a part of one) that is built, against the version `latest`. asked:
    `AUTO`, or one of `BUMPS`.

    Raises `UserError`: a bump that is too low, or a last version that cannot be read, where none is guessed.
    """
    place, part = Layout(repo).product(run), PART.fullmatch(run)
    plans = place if part is None else Layout(repo).run(part["run"])
    code = code_in(repo) if depends_on_installed(repo) else None
    ran = {} if code is None else {"emoforge": code.version, "code": code.hash}
    facts = facts_of(Folder(place / "release")).model_copy(update=ran)
    if latest is None:
        return facts.model_copy(update={"bump": "first"})
    try:
        comparison = _against(latest, Place(run, place / "release", plans), repo)
    except EmoforgeError as error:
        if asked == BUMPS[-1]:
            return facts.model_copy(update={"bump": asked, "because": (f"{latest} could not be read",)})
        raise UserError(
            f"what changed since {latest} cannot be told, so no bump can be checked: {error} "
            f"--bump {BUMPS[-1]} is never too low."
        ) from None
    bump = settled_bump(asked, comparison.needed, latest)
    return facts.model_copy(update={"bump": bump, "because": comparison.needed.because, **_moved(comparison)})


def next_number(latest: str | None, bump: str) -> str:
    """ "v1.2.0" after the version `latest`; bump: "major", "minor", "patch"."""
    if latest is None:
        return FIRST
    major, minor, patch = numbers(latest.rpartition("@")[2])
    raised = {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}[bump]
    return "v" + ".".join(map(str, raised))


def _against(latest: str, now: Place, repo: Path) -> Comparison:
    return compare(find_release(latest, repo, whole=False), now, repo)


def _moved(comparison: Comparison) -> dict[str, object]:
    return {
        "moved": tuple(
            MovedSamples(what=one.what, kind=one.kind, by_class=dict(one.by_class)) for one in comparison.moved
        ),
        "turned": tuple(
            f"{one.gate} ({one.group}) {one.verdict[0] or 'none'} -> {one.verdict[1] or 'none'}"
            for one in comparison.verdicts
            if one.turned
        ),
        "why": tuple(f"{cause.moved}: {cause.how}. Why: {cause.sentence}" for cause in comparison.causes),
    }

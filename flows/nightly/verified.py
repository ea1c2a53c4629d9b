"""Every release of a project read against its hashes: of each run what lies here, and the latest published version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from corpora.errors import EmoforgeError, IntegrityError, UserError
from corpora.store.verify import check_release
from flows.releases.history import published
from flows.releases.places import built_runs, find_release
from flows.releases.versions import LATEST, version_of

Outcome = Literal["intact", "damaged", "not at hand"]


@dataclass(frozen=True, slots=True)
class Verified:
    """One release. detail: what is damaged, or why its bytes are not to be had here; bytes: that were read."""

    release: str
    outcome: Outcome
    detail: str = ""
    n_bytes: int = 0

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def verify_all(repo: Path, on_line: Callable[[str], object] = lambda _: None) -> list[Verified]:
    """Every release of the project, one after the other; `on_line` hears of each. Raises nothing for damage."""
    verified = []
    for name in _names(repo):
        one = _verified(name, repo)
        on_line(f"{one.release}: {one.outcome}{': ' + one.detail if one.detail else ''}")
        verified.append(one)
    return verified


def damage_in(verified: list[Verified]) -> str:
    """One line a damaged release; "" where there is none."""
    return "\n".join(f"{one.release}: {one.detail}" for one in verified if one.outcome == "damaged")


def _names(repo: Path) -> list[str]:
    try:
        tags = [version_of(f"{run}@{LATEST}", repo).tag for run in published(repo)]
    except UserError:  # no git here: nothing is published
        tags = []
    return [*built_runs(repo), *tags]


def _verified(name: str, repo: Path) -> Verified:
    try:
        checked = check_release(find_release(name, repo).release)
    except IntegrityError as error:
        return Verified(name, "damaged", str(error))
    except EmoforgeError as error:
        return Verified(name, "not at hand", str(error))
    problems = "; ".join(f"{problem.file}: {problem.sentence}" for problem in checked.problems)
    return Verified(name, "intact" if checked.intact else "damaged", problems, checked.n_bytes)

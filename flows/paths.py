"""Where things lie in a repository of emoforge. The one place that knows folder names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import UnknownNameError

PACKAGES = ("emoforge", "flows", "generators", "validators", "training", "features", "corpora")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # of runs, corpora and stages: what may become a part of a path
# of what is published: a run, or a part of its release, RUN-synthetic or RUN-features. No run has a hyphen
PART = re.compile(rf"(?P<run>{NAME.pattern})-(?P<part>synthetic|features)")
PRODUCT = rf"{NAME.pattern}(?:-synthetic|-features)?"


def checked(kind: str, name: str) -> str:
    """`name`, before it becomes a part of a path. Raises `UnknownNameError` where it can be none of a `kind`."""
    if not NAME.fullmatch(name):
        raise UnknownNameError(
            f"{name!r} is no name of a {kind}: small letters, digits and _, 1 to 40, beginning with a letter"
        )
    return name


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below the repository's root `repo` (absolute)."""

    repo: Path

    @property
    def params(self) -> Path:
        """The tracked parameters of all runs."""
        return self.repo / "params.yaml"

    @property
    def machine(self) -> Path:
        """The settings of this machine, untracked; need not exist."""
        return self.repo / "machine.yaml"

    @property
    def scratch(self) -> Path:
        """Untracked, safe to delete: work store, fits under way, timings, errors, unpacked archives (link again)."""
        return self.repo / ".emoforge"

    @property
    def store(self) -> Path:
        """The work store, where machine.yaml names no other."""
        return self.scratch / "store"

    def extracted(self, corpus: str, sha256: str) -> Path:
        """What the archive of that content was unpacked as."""
        return self.scratch / "extracted" / f"{checked('corpus', corpus)}-{sha256[:12]}"

    def raw(self, corpus: str) -> Path:
        """The raw corpus, a link. Raises `UnknownNameError`, as every method that takes a name."""
        return self.repo / "data" / "raw" / checked("corpus", corpus)

    @property
    def code(self) -> Path:
        """Outside of the clone, what is installed: flows/projects/code.py."""
        return self.repo / "data" / "code.json"

    def reader(self, corpus: str) -> Path:
        """What reading the corpus depends on: flows/stages/ingest/reader.py."""
        return self.repo / "data" / "readers" / f"{corpus}.json"

    @property
    def retractions(self) -> Path:
        """What was taken out for ever, kept by git: flows/stages/ingest/retracted.py."""
        return self.repo / "data" / "retractions"

    @property
    def certificates(self) -> Path:
        """What `emoforge forget --purge` left of each, kept by git: flows/conduct/retraction/certificate.py."""
        return self.repo / "data" / "certificates"

    def corpus(self, corpus: str) -> Path:
        """The folder that `ingest` writes."""
        return self.repo / "data" / "corpora" / checked("corpus", corpus)

    @property
    def runs(self) -> Path:
        """The folders of all runs."""
        return self.repo / "data" / "runs"

    def run(self, run: str) -> Path:
        """The folder of a run."""
        return self.runs / checked("run", run)

    def part(self, name: str) -> Path:
        """The folder of a part of a run's release that is published alone: flows/conduct/publish_part.py."""
        if not PART.fullmatch(name):
            raise UnknownNameError(f"{name!r} is no part of a release: RUN-synthetic or RUN-features")
        return self.repo / "data" / "parts" / name

    def product(self, name: str) -> Path:
        """The folder that holds release/ of what is published under that name: of a run, or of a part."""
        return self.part(name) if PART.fullmatch(name) else self.run(name)

    def plan(self, run: str, stage: str) -> Path:
        """The plan of one stage of the run."""
        return self.run(run) / "plan" / f"{checked('stage', stage)}.json"

    @property
    def studies(self) -> Path:
        """The folders of all studies."""
        return self.repo / "data" / "studies"

    def study(self, study: str) -> Path:
        """The folder of a study: design.json, result."""
        return self.studies / checked("study", study)

    def design(self, study: str) -> Path:
        """What the study depends on: flows/stages/study/design.py."""
        return self.study(study) / "design.json"

    def error_file(self, stage: str, name: str) -> Path:
        """The error that ended a stage of a run or corpus, for the process that started it."""
        return self.scratch / "errors" / f"{checked('stage', stage)}@{checked('run or corpus', name)}.json"

    def rejects_file(self, stage: str, name: str) -> Path:
        """What a stage that ended with an error rejected (flows/stages/ingest/reject_list.py)."""
        return self.scratch / "rejects" / f"{stage}@{name}.csv"

    def timing_file(self, stage: str, name: str) -> Path:
        """The seconds that a stage of a run or corpus took."""
        return self.scratch / "timings" / checked("run or corpus", name) / f"{checked('stage', stage)}.json"

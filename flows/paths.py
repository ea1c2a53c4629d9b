"""Where things lie in a repository of emoforge. The one place that knows folder names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below the repository's root `repo` (absolute)."""

    repo: Path

    @property
    def params(self) -> Path:
        return self.repo / "params.yaml"

    @property
    def machine(self) -> Path:
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
        return self.scratch / "extracted" / f"{corpus}-{sha256[:12]}"

    def raw(self, corpus: str) -> Path:
        return self.repo / "data" / "raw" / corpus

    def corpus(self, corpus: str) -> Path:
        return self.repo / "data" / "corpora" / corpus

    def run(self, run: str) -> Path:
        return self.repo / "data" / "runs" / run

    def plan(self, run: str, stage: str) -> Path:
        return self.run(run) / "plan" / f"{stage}.json"

    def error_file(self, stage: str, name: str) -> Path:
        return self.scratch / "errors" / f"{stage}@{name}.json"

    def rejects_file(self, stage: str, name: str) -> Path:
        """What a stage that ended with an error rejected (flows/rejectlist.py)."""
        return self.scratch / "rejects" / f"{stage}@{name}.csv"

    def timing_file(self, stage: str, name: str) -> Path:
        return self.scratch / "timings" / name / f"{stage}.json"

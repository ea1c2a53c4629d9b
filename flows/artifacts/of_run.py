"""data/runs/<run>: the folders of a run as artifacts, None for a stage that has not ended yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.artifacts.augmented import Augmented
from flows.artifacts.base import read_as
from flows.artifacts.evaluated import Evaluated
from flows.artifacts.fitted import Fitted
from flows.artifacts.prepared import Prepared
from flows.artifacts.released import Released

Metrics = dict[str, int | float | None]  # name -> number, as `dvc metrics` shows it


@dataclass(frozen=True, slots=True)
class RunArtifacts:
    """What the stages of a run left. A folder that is there is whole; its readers raise `IntegrityError`."""

    path: Path

    @property
    def prepared(self) -> Prepared:
        """Raises `IntegrityError` where the run has not been prepared."""
        return Prepared.open(self.path / "prepared")

    @property
    def fitted(self) -> Fitted | None:
        """How the fit went."""
        path = self.path / "fit"
        return Fitted(path) if path.is_dir() else None

    @property
    def augmented(self) -> Augmented | None:
        """Candidates, scores and counts."""
        path = self.path / "augmented"
        return Augmented(path) if path.is_dir() else None

    @property
    def evaluated(self) -> Evaluated | None:
        """Verdicts and trials."""
        path = self.path / "evaluation"
        return Evaluated(path) if path.is_dir() else None

    @property
    def released(self) -> Released | None:
        """The release."""
        path = self.path / "release"
        return Released(path) if path.is_dir() else None

    @property
    def report(self) -> Path:
        """report.html, whether it is there or not."""
        return self.path / "report.html"

    @property
    def provenance_file(self) -> Path:
        """provenance.json: code, machine and timings, which nothing depends on."""
        return self.path / "provenance.json"

    def metrics(self) -> Metrics:
        """Every number of the run by name; {} before it was evaluated."""
        path = self.path / "metrics.json"
        metrics: Metrics = read_as(path, Metrics) if path.exists() else {}
        return metrics

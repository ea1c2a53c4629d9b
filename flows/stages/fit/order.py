"""What the rankers of a run's intensities are worth, for `emoforge check`: of the fit that is there, or not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pydantic import JsonValue

from flows.artifacts.of_run import RunArtifacts
from flows.params import RunParams
from flows.paths import Layout


@dataclass(frozen=True, slots=True)
class OrderAccuracy:
    """accuracy: share of held-out pairs of an emotional and a neutral sample that the rankers order right (0.5:
    chance), over n_pairs; None where `why_not` says why it is not known. by_emotion: the same of each."""

    run: str
    neutral: str
    accuracy: float | None = None
    n_pairs: int = 0
    by_emotion: Mapping[str, float] = field(default_factory=dict)
    why_not: str = ""

    def as_dict(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        return {**asdict(self), "by_emotion": dict(self.by_emotion)}

    @property
    def line(self) -> str:
        """For people."""
        about = f"{self.run}: intensity is ranked against {self.neutral}"
        if self.accuracy is None:
            return f"{about}; {self.why_not}"
        each = ", ".join(f"{name} {value:.2f}" for name, value in sorted(self.by_emotion.items()))
        return (
            f"{about}; order accuracy {self.accuracy:.2f} over {self.n_pairs} pairs of people that the rankers had not "
            f"met ({each}); 0.5 is chance, and an emotion near it has no intensity that could be asked for"
        )


def order_accuracy(name: str, run: RunParams, layout: Layout) -> OrderAccuracy | None:
    """Of the fit that is there; None of a run whose intensities no ranker gives. Raises `IntegrityError` for a damaged
    fit.json."""
    if run.generator is None or run.generator.intensity != "ranked":
        return None
    neutral = run.generator.neutral
    fitted = RunArtifacts(layout.run(name)).fitted
    if fitted is None:
        why = f"not fitted yet: its order accuracy is known after `emoforge run {name}`"
        return OrderAccuracy(name, neutral, why_not=why)
    summary = fitted.summary()
    known = summary.intensity
    if known is None or known.neutral != neutral or summary.generator != run.generator.name:
        why = f"the fit that is there is of other params: known again after `emoforge run {name}`"
        return OrderAccuracy(name, neutral, why_not=why)
    return OrderAccuracy(name, neutral, known.order_accuracy, known.n_pairs, known.by_emotion)

"""Which arm of a study plays which part."""

from __future__ import annotations

from dataclasses import dataclass

from corpora.errors import UnknownNameError
from validators.trials.studies.answers import Study


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the arms that others are compared with. Only `nothing` has to be in the study.

    nothing: the train set as it is. weights, logit: the baselines that need no samples. oracle: the pruned real data
    given back. fill, oracle_fill: the same two ends with every other short class filled, so that between them lies the
    pruned class alone (the clean gap).
    """

    nothing: str = "nothing"
    weights: str = "class weights"
    logit: str = "logit adjustment"
    oracle: str = "oracle"
    fill: str = "fill"
    oracle_fill: str = "oracle + fill"
    bounds: tuple[str, ...] = ()  # arms that know what was taken away, beside the ends of the gap

    @property
    def baselines(self) -> tuple[str, ...]:
        """What an arm has to beat to be called a win, all of them."""
        return self.nothing, self.weights, self.logit

    @property
    def yardsticks(self) -> tuple[str, ...]:
        """Arms that know of real data which the others lack, and the lower end of the clean gap: no candidates."""
        return self.oracle, self.oracle_fill, self.fill, *self.bounds

    def candidates(self, arms: tuple[str, ...]) -> tuple[str, ...]:
        """The arms that may win: neither a baseline nor a yardstick, in their order."""
        return tuple(arm for arm in arms if arm not in (*self.baselines, *self.yardsticks))

    def checked(self, study: Study) -> Roles:
        """Itself. Raises `UnknownNameError` where the study has no arm `nothing`."""
        known = {cell.arm for cell in study.cells}
        if self.nothing not in known:
            raise UnknownNameError.of("arm of the study (role: nothing)", self.nothing, known)
        return self

"""Search for the parameters of an arm or a classifier on inner folds, with Optuna's TPE sampler (Bergstra et al. 2011).

The first trial is the parameters' own defaults, so that tuning is never worse than none on the folds it saw. What a
trial is given depends on the seed and on the trials before it alone: a search that was interrupted goes on, from the
trials that it is handed, exactly as it would have gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from corpora.errors import ParamsError, UserError, did_you_mean

if TYPE_CHECKING:
    import optuna

Value = float | int | str | bool
Kind = Literal["categorical", "float", "int"]
_KEYS = ("low", "high", "log", "default")


@dataclass(frozen=True, slots=True)
class Choice:
    """What one parameter may be. categorical: one of `options`; float, int: from `low` to `high`, both included; `log`:
    evenly over orders of magnitude. `default`: of the first trial; the first option, or `low`, where none is given.

    Raises `ParamsError` for what cannot be drawn from.
    """

    kind: Kind
    options: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    default: Value | None = None

    def __post_init__(self) -> None:
        if self.kind == "categorical":
            if not self.options or len(set(map(_typed, self.options))) < len(self.options):
                raise ParamsError(f"options are {list(self.options)}, expected at least one, and none of them twice")
            if self.default is not None and _typed(self.default) not in map(_typed, self.options):
                raise ParamsError(f"default is {self.default!r}, expected one of {list(self.options)}")
            return
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ParamsError(f"low is {self.low}, high is {self.high}; low must be a number and not above high")
        least = 1 if self.kind == "int" else 0
        if self.log and not (self.low > 0 and self.low >= least):
            raise ParamsError(f"low is {self.low}; with log it must be above 0" + (", at least 1" if least else ""))
        if self.default is not None and (
            isinstance(self.default, bool | str) or not self.low <= self.default <= self.high
        ):
            raise ParamsError(f"default is {self.default!r}, expected a number from {self.low} to {self.high}")

    @property
    def first(self) -> Value:
        """The value of the first trial."""
        if self.default is not None:
            return self.default
        return self.options[0] if self.kind == "categorical" else int(self.low) if self.kind == "int" else self.low

    @classmethod
    def of(cls, given: object) -> Choice:
        """As in params.yaml: a list is categorical; a mapping {low, high, log?, default?} is a range, of integers where
        low and high are. Raises `ParamsError`."""
        if isinstance(given, list | tuple):
            if not all(isinstance(option, Value) for option in given):
                raise ParamsError(f"options are {list(given)}, expected numbers, words or true and false")
            return cls("categorical", tuple(given))
        if not isinstance(given, Mapping):
            raise ParamsError(f"{given!r} is neither a list of options nor a range such as {{low: 0.5, high: 2}}")
        for key in given:
            if key not in _KEYS:
                raise ParamsError(f"unknown key {key!r}.{did_you_mean(str(key), _KEYS)} Valid: {', '.join(_KEYS)}")
        for key in ("low", "high"):
            if not isinstance(given.get(key), int | float) or isinstance(given.get(key), bool):
                raise ParamsError(f"{key} is {given.get(key)!r}, expected a number")
        if not isinstance(given.get("log", False), bool):
            raise ParamsError(f"log is {given['log']!r}, expected true or false")
        whole = isinstance(given["low"], int) and isinstance(given["high"], int)
        if whole and "default" in given and not isinstance(given["default"], int):
            raise ParamsError(f"default is {given['default']!r}, expected an integer as low and high are")
        return cls(
            "int" if whole else "float",
            low=given["low"],
            high=given["high"],
            log=given.get("log", False),
            default=given.get("default"),
        )

    def distribution(self) -> optuna.distributions.BaseDistribution:
        """The same for Optuna."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "categorical":
            return CategoricalDistribution(self.options)
        if self.kind == "int":
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


@dataclass(frozen=True, slots=True)
class Trial:
    """params: parameter -> value; value: of the objective, None where it failed, for `reason`."""

    params: Mapping[str, Value]
    value: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tuned:
    """params, value: of the best trial (the earliest of equals); trials: all, in their order."""

    params: Mapping[str, Value]
    value: float
    trials: tuple[Trial, ...]


def space_of(given: Mapping[str, object], owner: str) -> dict[str, Choice]:
    """Parameter -> choice, of what params.yaml says. Raises `ParamsError` that begins with owner and parameter."""
    space = {}
    for name, choice in given.items():
        try:
            space[str(name)] = Choice.of(choice)
        except ParamsError as error:
            raise ParamsError(f"{owner}: parameter {name!r}: {error}") from None
    return space


def search(
    objective: Callable[[Mapping[str, Value]], float],
    space: Mapping[str, Choice],
    *,
    trials: int,
    seed: int,
    done: Sequence[Trial] = (),
    on_trial: Callable[[Trial], None] | None = None,
) -> Tuned:
    """The parameters with the highest objective in `trials` trials, of which `done` are finished already.

    objective: parameters -> a finite number, higher is better (UAR of inner folds); where it raises `UserError`, the
    trial failed and the message is its reason. on_trial: gets each new trial, to keep it. `done` must be the first
    trials of a search with the same space and seed. Deterministic in space, seed and objective.

    Raises `UserError`: every trial failed, or `done` is of another search; `ParamsError`: an empty space, fewer than
    one trial.
    """
    if trials < 1 or not space:
        raise ParamsError(f"a search needs parameters and at least 1 trial; there are {len(space)}, and {trials}")
    names = sorted(space)
    distributions = {name: space[name].distribution() for name in names}
    kept: list[Trial] = []
    for number in range(max(trials, len(done))):
        params = _asked(names, space, distributions, kept, seed)
        if number < len(done):
            kept.append(_checked(done[number], params, number))
            continue
        try:
            value = float(objective(params))
        except UserError as error:
            trial = Trial(params, None, str(error))
        else:
            trial = Trial(params, value) if math.isfinite(value) else Trial(params, None, f"the objective is {value}")
        kept.append(trial)
        if on_trial is not None:
            on_trial(trial)
    scored = [(trial.value, trial) for trial in kept if trial.value is not None]
    if not scored:
        raise UserError(f"all {len(kept)} trials of the search failed; the first: {kept[0].reason}")
    value, best = max(scored, key=lambda pair: pair[0])  # the first of equals
    return Tuned(best.params, value, tuple(kept))


def _asked(
    names: Sequence[str],
    space: Mapping[str, Choice],
    distributions: Mapping[str, optuna.distributions.BaseDistribution],
    kept: Sequence[Trial],
    seed: int,
) -> dict[str, Value]:
    """Parameters of the next trial.

    The sampler's random numbers are derived from the seed and the number of trials so far, and the study is built anew
    from those trials: no state lives on between two trials that an interruption could lose.
    """
    import optuna

    from training.seeds import derive_seed

    if not kept:
        return {name: space[name].first for name in names}
    seen = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        sampler = optuna.samplers.TPESampler(seed=derive_seed(seed, "trial", len(kept)) % 2**32, multivariate=False)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        for trial in kept:
            state = optuna.trial.TrialState.FAIL if trial.value is None else optuna.trial.TrialState.COMPLETE
            study.add_trial(
                optuna.trial.create_trial(
                    state=state, value=trial.value, params=dict(trial.params), distributions=dict(distributions)
                )
            )
        asked = study.ask(fixed_distributions=dict(distributions))
    finally:
        optuna.logging.set_verbosity(seen)
    return {name: asked.params[name] for name in names}


def _checked(trial: Trial, asked: Mapping[str, Value], number: int) -> Trial:
    """The trial as it is. Raises `UserError` where this search would have asked for other parameters."""
    if set(trial.params) != set(asked) or not all(_same(trial.params[name], asked[name]) for name in asked):
        raise UserError(
            f"trial {number + 1} of those that are done has the parameters {dict(trial.params)}, but this search tries "
            f"{dict(asked)}: its space, defaults or seed have changed. Start the search anew."
        )
    return trial


def _same(one: Value, other: Value) -> bool:
    if isinstance(one, float) and isinstance(other, float):  # another machine's logarithm may round otherwise
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other


def _typed(option: Value) -> tuple[str, Value]:
    return type(option).__name__, option  # True and 1 are two options

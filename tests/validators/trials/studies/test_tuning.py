"""A search goes on where it was interrupted, begins with the defaults, and finds what is there."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from corpora.errors import ParamsError, UserError
from validators.trials.studies.tuning import Choice, Trial, Value, search, space_of

SPACE = space_of(
    {
        "amount": [0.25, 1.0],
        "strength": {"low": 0.5, "high": 8, "log": True, "default": 1.0},
        "neighbours": {"low": 1, "high": 20, "default": 5},
        "kind": ["plain", "borderline"],
    },
    "arm smote",
)


def bowl(params: Mapping[str, Value]) -> float:
    """Best at amount 1, strength 2, 12 neighbours, borderline."""
    assert isinstance(params["strength"], float) and isinstance(params["neighbours"], int)
    off = abs(params["strength"] - 2.0) + abs(params["neighbours"] - 12) / 10
    return (params["amount"] == 1.0) + (params["kind"] == "borderline") - off


def test_the_space_is_read_as_written() -> None:
    assert SPACE["amount"] == Choice("categorical", (0.25, 1.0))
    assert SPACE["strength"] == Choice("float", low=0.5, high=8, log=True, default=1.0)
    assert SPACE["neighbours"] == Choice("int", low=1, high=20, default=5)


def test_the_first_trial_is_the_defaults() -> None:
    tuned = search(bowl, SPACE, trials=1, seed=0)
    assert tuned.params == {"amount": 0.25, "kind": "plain", "neighbours": 5, "strength": 1.0}
    assert tuned.value == bowl(tuned.params) and len(tuned.trials) == 1


def test_interrupted_equals_uninterrupted() -> None:
    whole = search(bowl, SPACE, trials=25, seed=3)
    for cut in (1, 3, 14):
        kept: list[Trial] = []

        def stops(params: Mapping[str, Value], kept: list[Trial] = kept, cut: int = cut) -> float:
            if len(kept) == cut:
                raise KeyboardInterrupt
            return bowl(params)

        with pytest.raises(KeyboardInterrupt):
            search(stops, SPACE, trials=25, seed=3, on_trial=kept.append)
        assert len(kept) == cut
        assert search(bowl, SPACE, trials=25, seed=3, done=kept) == whole


def test_a_search_finds_what_random_draws_rarely_do_and_seeds_differ() -> None:
    tuned = search(bowl, SPACE, trials=40, seed=0)
    assert tuned.params["amount"] == 1.0 and tuned.params["kind"] == "borderline"
    assert tuned.value == max(trial.value for trial in tuned.trials if trial.value is not None) > 1.5
    again = search(bowl, SPACE, trials=40, seed=0)
    other = search(bowl, SPACE, trials=40, seed=1)
    assert again == tuned and other.trials[0] == tuned.trials[0] and other.trials[1:] != tuned.trials[1:]


def test_done_is_not_asked_again_and_more_than_enough_is_kept() -> None:
    whole = search(bowl, SPACE, trials=6, seed=0)

    def never(params: Mapping[str, Value]) -> float:
        raise AssertionError(params)

    assert search(never, SPACE, trials=6, seed=0, done=whole.trials) == whole
    assert search(never, SPACE, trials=2, seed=0, done=whole.trials) == whole


def test_failed_trials_are_kept_with_their_reason() -> None:
    def picky(params: Mapping[str, Value]) -> float:
        if params["amount"] == 0.25:
            raise UserError("too few rows")
        return float("nan") if params["kind"] == "plain" else bowl(params)

    tuned = search(picky, SPACE, trials=30, seed=0)
    reasons = {trial.reason for trial in tuned.trials if trial.value is None}
    assert reasons == {"too few rows", "the objective is nan"}
    assert tuned.params["amount"] == 1.0
    cut = search(picky, SPACE, trials=30, seed=0, done=tuned.trials[:7])
    assert cut == tuned

    def fails(params: Mapping[str, Value]) -> float:
        raise UserError("no inner fold")

    with pytest.raises(UserError, match="all 3 trials of the search failed; the first: no inner fold"):
        search(fails, SPACE, trials=3, seed=0)

    def breaks(params: Mapping[str, Value]) -> float:
        raise ZeroDivisionError  # a defect is no failed trial

    with pytest.raises(ZeroDivisionError):
        search(breaks, SPACE, trials=3, seed=0)


def test_the_earliest_of_equals_is_best() -> None:
    tuned = search(lambda params: 1.0, SPACE, trials=8, seed=0)
    assert tuned.params == tuned.trials[0].params


def test_trials_of_another_search_are_refused() -> None:
    whole = search(bowl, SPACE, trials=4, seed=0)
    narrow = SPACE | {"strength": Choice("float", low=0.9, high=1.1, default=1.0)}
    with pytest.raises(UserError, match=r"trial \d of those that are done .* Start the search anew"):
        search(bowl, narrow, trials=9, seed=0, done=whole.trials)
    with pytest.raises(UserError, match="trial 1 of those"):
        search(bowl, SPACE, trials=9, seed=0, done=whole.trials[1:])
    with pytest.raises(UserError, match="trial 2 of those"):
        search(bowl, SPACE, trials=9, seed=1, done=whole.trials)
    without = {name: choice for name, choice in SPACE.items() if name != "kind"}
    with pytest.raises(UserError, match="trial 1 of those"):
        search(bowl, without, trials=9, seed=0, done=whole.trials)


def test_nothing_is_logged(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    with caplog.at_level(logging.DEBUG):
        search(bowl, SPACE, trials=3, seed=0)
    out, err = capfd.readouterr()
    assert not out and not err
    assert optuna.logging.get_verbosity() == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "expected at least one"),
        ([1, 1], "none of them twice"),
        ([[1]], "expected numbers, words"),
        ("half", "neither a list of options nor a range"),
        ({"low": 1, "hihg": 2}, "unknown key 'hihg'. Did you mean 'high'"),
        ({"low": 1}, "high is None, expected a number"),
        ({"low": 2, "high": 1}, "not above high"),
        ({"low": 0.0, "high": 1.0, "log": True}, "with log it must be above 0"),
        ({"low": 0, "high": 4, "log": True}, "at least 1"),
        ({"low": 0.0, "high": 1.0, "log": 3}, "log is 3"),
        ({"low": 0.0, "high": 1.0, "default": 2.0}, "expected a number from 0.0 to 1.0"),
        ({"low": 0, "high": 4, "default": 1.5}, "expected an integer"),
        ({"low": 0.0, "high": float("inf")}, "low must be a number"),
    ],
)
def test_spaces_that_are_none(given: object, message: str) -> None:
    with pytest.raises(ParamsError, match=f"arm smote: parameter 'x': .*{message}"):
        space_of({"x": given}, "arm smote")


def test_a_search_of_nothing() -> None:
    with pytest.raises(ParamsError, match="at least 1 trial"):
        search(bowl, SPACE, trials=0, seed=0)
    with pytest.raises(ParamsError, match="needs parameters"):
        search(bowl, {}, trials=1, seed=0)
    assert Choice("categorical", (True, 1)).first is True

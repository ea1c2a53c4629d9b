"""Which gates a run gets by default, and what is said of its gates' parameters before anything runs."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from corpora.errors import ParamsError
from features.representation import REPRESENTATIONS, Spec
from flows.params import DEFAULT_GATES, RunParams
from flows.stages.plan.plan import _gates


class Rows:
    """A representation whose arrays are vectors of 8 columns."""

    spec = Spec("toy", (8,), layout="vector")
    modality: ClassVar[str] = "speech"
    lossless = True


@pytest.fixture(autouse=True)
def vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REPRESENTATIONS, "toy", "tests.flows.test_gates_of_a_run:Rows")


def gates(representation: str, modality: str, **given: Any) -> dict[str, dict[str, Any]]:
    run = RunParams.model_validate(
        {"corpora": ["a"], "representation": {"name": representation}, "generator": {"name": "cvae"}, "gates": given}
    )
    return _gates("a", run, modality)


def test_defaults_by_modality_and_layout() -> None:
    for representation, modality, absent in (
        ("world", "speech", set()),
        ("pixels", "face", {"mcd", "variance"}),
        ("toy", "speech", {"mcd", "variance"}),
        ("toy", "text", {"mcd", "variance"}),
    ):
        planned = gates(representation, modality)
        assert {*planned["sample"], *planned["set"]} == set(DEFAULT_GATES) - absent, (representation, modality)


def test_a_gate_of_signals_is_refused_for_vectors() -> None:
    with pytest.raises(
        ParamsError, match=r"runs\.a\.gates\.mcd: this gate knows speech as signal; .* speech as vector"
    ):
        gates("toy", "speech", mcd={})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"kid": {"params": {"dimz": 8}}},
            r"runs\.a\.gates\.kid\.params: .*'dimz'.*Did you mean 'dims'.*Valid here: dims",
        ),
        ({"support": {"params": {"foo": 1}}}, r"runs\.a\.gates\.support\.params: .*'foo'.* Valid here: dims, folds, k"),
        ({"variance": {"params": {"k": 1}}}, r"runs\.a\.gates\.variance\.params: .*'k'.* Valid here: none"),
        ({"mcd": {"params": {"k": 0}}}, r"runs\.a\.gates\.mcd\.params: .*'k' is 0: .*greater than or equal to 1"),
        ({"kid": {"params": {"dims": "many"}}}, r"'dims' is 'many': .*valid integer"),
    ],
)
def test_parameters_of_gates_are_checked_when_the_run_is_planned(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        gates("world", "speech", **given)

"""Which gates a run gets by default, and what is said of its gates' parameters before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from corpora.errors import ParamsError, UserError
from emoforge.projects.conductor import check_runs
from features.representation import REPRESENTATIONS, Spec
from flows.params import DEFAULT_GATES, RunParams, load_params
from flows.stages.plan.components import require_valid
from flows.stages.plan.plan import _gates


class Rows:
    """A representation whose arrays are vectors of 8 columns."""

    way_back = False  # features
    spec = Spec("toy", (8,), layout="vector")
    modality: ClassVar[str] = "speech"
    lossless = True


PARAMS = """
corpora:
  a: {reader: fer2013}
runs:
  fine:
    corpora: [a]
    representation: {name: pixels, size: 32}
    generator: {name: cvae, params: {latent: 16}}
    gates: {kid: {params: {dims: 8}}}
  a:
    corpora: [a]
    representation: {name: pixels}
    generator: {name: transfer}
"""


@pytest.fixture(autouse=True)
def vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REPRESENTATIONS, "toy", "tests.flows.stages.plan.test_gates_of_a_run:Rows")


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("name: transfer}", "name: transfer}\n    gates: {kid: {params: {dimz: 8}}}"),
            r"runs\.a\.gates\.kid: .*'dims'",
        ),
        (("name: transfer}", "name: transfer}\n    gates: {kidd: {}}"), r"runs\.a\.gates\.kidd: .*Did you mean 'kid'"),
        (("name: transfer}", "name: transfer, params: {nobody: 1}}"), r"runs\.a\.generator: .*'nobody'.*Valid here"),
        (("name: transfer}", "name: transferr}"), r"runs\.a\.generator: .*Did you mean 'transfer'"),
        (("{name: pixels}", "{name: pixels, size: 7}"), r"runs\.a\.representation: .*size is 7"),
        (("{name: pixels}", "{name: pixel}"), r"runs\.a\.representation: .*Did you mean 'pixels'"),
    ],
)
def test_every_key_of_every_run_is_checked(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    require_valid(load_params(tmp_path / "params.yaml"))
    (tmp_path / "params.yaml").write_text(PARAMS.replace(*change))
    with pytest.raises(UserError, match=message):
        require_valid(load_params(tmp_path / "params.yaml"))


def test_check_refuses_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all runs of params.yaml, not only of the one that is asked about."""
    wrong = PARAMS.replace("name: transfer}", "name: transfer}\n    gates: {support: {params: {foo: 1}}}")
    (tmp_path / "params.yaml").write_text(wrong)
    with pytest.raises(ParamsError, match=r"runs\.a\.gates\.support: .*'foo'"):
        check_runs(["fine"], tmp_path, as_json=False)

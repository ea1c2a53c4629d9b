"""Parameters in params.yaml of representations, generators and gates, checked by the models of their owners.

`flows.params` knows no such model: reading params.yaml would import every network.
"""

from __future__ import annotations

from corpora.errors import UserError
from features.representation import make_representation
from flows.params import Params, RunParams
from generators.generator import generator_class
from generators.params import parse_params
from validators.gate import gate_params


def require_valid(params: Params) -> None:
    """Every run of params.yaml: `require_valid_run`."""
    for name, run in params.runs.items():
        require_valid_run(name, run)


def require_valid_run(name: str, run: RunParams) -> None:
    """Raises what the owner raises (`ParamsError`: unknown key or wrong value, `UnknownNameError`: no such component),
    with the place in params.yaml before it."""
    if run.representation is not None:
        try:
            make_representation(run.representation.name, run.representation.params)
        except UserError as error:
            raise type(error)(f"runs.{name}.representation: {error}") from None
    if run.generator is not None:
        try:
            parse_params(generator_class(run.generator.name).Params, run.generator.params, run.generator.name)
        except UserError as error:
            raise type(error)(f"runs.{name}.generator: {error}") from None
    for gate, given in run.gates.items():
        try:
            gate_params(gate, given.params)
        except UserError as error:
            raise type(error)(f"runs.{name}.gates.{gate}: {error}") from None

"""What a gate stands on: its score depends on the code that it imports and on no other."""

from __future__ import annotations

from functools import cache

import grimp
import pytest

OURS = ("generators", "validators", "training", "features", "corpora")
# the most modules that a gate may stand on, itself and typed errors included; a new import that makes one fail here
# makes every change of that module measure anew whatever the gate has measured
MOST = {"copies": 27, "validity": 35, "mcd": 35, "kid": 55}


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*OURS, cache_dir=None)


def closure(gate: str) -> set[str]:
    module = f"validators.gates.{gate}"
    return {module} | graph().find_upstream_modules(module)


@pytest.mark.parametrize("gate", MOST)
def test_a_gate_stands_on_few_modules(gate: str) -> None:
    modules = closure(gate)
    assert len(modules) <= MOST[gate], sorted(modules)


@pytest.mark.parametrize("gate", ["copies", "validity", "mcd", "variance", "text"])
def test_gates_without_a_network_know_no_training(gate: str) -> None:
    assert not [name for name in closure(gate) if name.startswith("training") or name == "features.encoders"]


def test_one_file_knows_all_embeddings() -> None:
    """No module of the room imports it: what needs one kind of embedding does not stand on all of them."""
    top = "validators.embeddings.embedding"
    importers = graph().find_modules_that_directly_import(top)
    inside = {name for name in importers if name.startswith("validators.embeddings")}
    assert not inside


def test_no_module_of_validators_imports_itself_by_others() -> None:
    circles = [
        (name, imported)
        for name in graph().modules
        if name.startswith("validators.")
        for imported in graph().find_modules_directly_imported_by(name)
        if name in graph().find_upstream_modules(imported)
    ]
    assert not circles

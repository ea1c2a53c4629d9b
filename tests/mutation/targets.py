"""Which modules are mutated, with which tests, and how many mutants of each a run draws."""

from __future__ import annotations

from dataclasses import dataclass

SEED = 20  # another one tries other mutants; `equivalent.json` belongs to this one and to runs with more of them
LEAST_NOTICED = 0.9  # of the mutants that are not equivalent


@dataclass(frozen=True, slots=True)
class Target:
    module: str
    tests: tuple[str, ...]
    n: int


def _target(module: str, n: int, *tests: str) -> Target:
    """`tests`: files below tests/, without their ending; of a page that is made from code, the test that holds it."""
    return Target(module, tuple(f"tests/{test}.py" if "::" not in test else f"tests/{test}" for test in tests), n)


TARGETS = (
    # maths
    _target("validators.maths.kernel", 20, "validators/maths/test_set_measures"),
    _target("validators.maths.frechet", 20, "validators/maths/test_frechet"),
    _target("validators.maths.prdc", 15, "validators/maths/test_set_measures"),
    _target("validators.maths.transport", 15, "validators/maths/test_set_measures"),
    _target("validators.maths.intervals", 8, "validators/maths/test_intervals"),
    _target("validators.maths.speech.melcepstrum", 20, "validators/gates/test_mcd"),
    _target("validators.gates.mcd", 12, "validators/gates/test_mcd"),
    # who judges whom
    _target("validators.maths.folds", 15, "validators/maths/test_folds"),
    _target("validators.gates.agreement", 8, "validators/gates/test_agreement", "validators/gates/test_conformal"),
    _target("validators.gates.conformal", 4, "validators/gates/test_conformal"),
    # splits
    _target("corpora.splits.splits", 20, "corpora/splits/test_splits", "corpora/splits/test_split_edges"),
    _target("corpora.splits.views", 12, "corpora/splits/test_splits"),
    _target(
        "corpora.splits.stratify",
        20,
        "corpora/splits/test_splits",
        "corpora/splits/test_split_edges",
        "corpora/splits/test_stratify",
    ),
    _target("corpora.splits.audit", 20, "corpora/splits/test_audit"),
    # balance
    _target("generators.draws.balance", 20, "generators/draws/test_balance"),
    _target("generators.draws.targets", 20, "generators/draws/test_balance"),
    _target("generators.draws.selection", 10, "generators/draws/test_selection"),
    # store and shards
    _target("flows.engine.store", 20, "flows/engine/test_store"),
    _target("corpora.store.shards", 15, "corpora/store/test_shards", "corpora/store/test_release"),
    _target("corpora.store.release", 10, "corpora/store/test_release"),
    _target("corpora.store.weights", 12, "corpora/store/test_weights"),
    # verdicts and parameters
    _target("validators.gate", 15, "validators/test_gate", "validators/test_verdicts"),
    _target("flows.stages.release", 10, "flows/stages/test_decide"),
    _target("flows.params", 15, "flows/test_params", "test_docs.py::test_made_page_is_up_to_date[parameters]"),
)

"""Weights and word lists that a run's params name by a path: their hashes stand in its plan, so that others there mean
other results.

DVC does not look into those folders. The plan records what was there; a stage refuses weights that its plan does not
know; and `emoforge run` plans anew where they have changed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpora.errors import IntegrityError, UserError
from corpora.fingerprint import hash_file
from corpora.formats.jsonfile import read_json
from flows.paths import Layout

GATED = ("augment", "evaluate")  # the stages whose plans name gates
LISTS = ("word_list",)  # parameters whose value is the path of a file


def weights_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters of one gate -> path -> hash: each "path:FOLDER" of weights, and each file of `LISTS`. Raises
    `UserError` for a path that holds no encoder, or no file."""
    from validators.embeddings.embedding import FROM_PATH

    weights = {v for v in params.values() if isinstance(v, str) and v.startswith(FROM_PATH)}
    files = {str(params[name]) for name in LISTS if params.get(name)}
    return {value: _hash_of(value, Path()) for value in sorted(weights | files)}


def _hash_of(named: str, below: Path) -> str:
    from validators.embeddings.embedding import FROM_PATH
    from validators.embeddings.encoders import weights_hash

    path = below / Path(named.removeprefix(FROM_PATH)).expanduser()
    if named.startswith(FROM_PATH):
        return weights_hash(str(path))
    if not path.is_file():
        raise UserError(f"{path} is no file; a gate's params name it")
    return hash_file(path)


def require_planned(gates: Mapping[str, Mapping[str, Any]]) -> None:
    """`gates` of a plan. Raises `IntegrityError` where a path holds other weights than when the plan was made."""
    for name, gate in gates.items():
        planned = gate.get("weights", {})
        found = weights_of(gate["params"]) if planned else {}
        for path, digest in planned.items():
            if found.get(path) != digest:
                raise IntegrityError(
                    f"gate {name}: {path} holds weights {found.get(path)}, the plan was made for {digest}; plan anew: "
                    "`emoforge run` does, or `dvc repro --force --single-item plan@RUN`"
                )


def changed_weights(layout: Layout, run: str) -> list[str]:
    """What of the weights that the run's plan names is not there any more; [] where there is no plan."""
    gone: dict[str, None] = {}
    for stage in GATED:
        path = layout.plan(run, stage)
        if not path.is_file():
            continue
        try:
            gates = read_json(path).get("params", {}).get("gates", {}).values()
        except (IntegrityError, AttributeError):
            gone[f"{path.name} of its plan is damaged"] = None
            continue
        for gate in gates:
            for name, digest in gate.get("weights", {}).items():
                if _hash_below(layout.repo, name) != digest:
                    gone[f"weights of {name} are others"] = None
    return list(gone)


def _hash_below(repo: Path, name: str) -> str | None:
    """As a stage sees it, which works in `repo`; None where there are no weights."""
    try:
        return _hash_of(name, repo)
    except UserError:
        return None

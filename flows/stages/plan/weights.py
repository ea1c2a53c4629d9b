"""Weights and word lists that a run's params name by a path: their hashes stand in its plan, so that others there mean
other results. Of gates, and of what a generator or a representation loads (a language model, an encoder, a vocoder).

Encoders that installed packages carry stand beside them as "package:NAME" -> "VERSION#HASH".

DVC does not look into those folders. The plan records what was there; a stage refuses weights that its plan does not
know; and `emoforge run` plans anew where they have changed since.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from corpora.errors import IntegrityError, UserError
from corpora.fingerprint import hash_file
from corpora.formats.jsonfile import read_json
from features.pretrained.packages import PACKAGED, packaged_weights
from flows.params import RunParams
from flows.paths import Layout
from flows.stages.plan.plans import PlannedGate

NAMING = ("prepare", "fit", "augment", "evaluate", "release")  # the stages whose plans name weights
LISTS = ("word_list",)  # parameters whose value is the path of a file


def weights_of(params: Mapping[str, Any], encoders: Collection[str] = ()) -> dict[str, str]:
    """Parameters of one gate -> path -> hash: each "path:FOLDER" of weights, each file of `LISTS`, and each of the
    packaged `encoders`. Raises `UserError` for a path that holds no encoder, no file, an encoder that is not
    installed."""
    from validators.embeddings.embedding import FROM_PATH

    weights = {v for v in params.values() if isinstance(v, str) and v.startswith(FROM_PATH)}
    files = {str(params[name]) for name in LISTS if params.get(name)}
    return {value: _hash_of(value, Path()) for value in sorted(weights | files)} | packaged_weights(encoders)


def path_parameters(kind: type) -> frozenset[str]:
    """Parameters whose value is a path by their annotation (`Path`, `Path | None`): fields of a pydantic model, else
    parameters of the constructor of `kind`."""
    if issubclass(kind, BaseModel):
        hints: dict[str, object] = {name: field.annotation for name, field in kind.model_fields.items()}
    else:
        hints = typing.get_type_hints(kind.__init__)
    return frozenset(name for name, hint in hints.items() if hint is Path or Path in typing.get_args(hint))


def loaded_of(
    params: Mapping[str, Any], paths: Collection[str] = (), encoders: Collection[str] = (), *, below: Path = Path()
) -> dict[str, str]:
    """Parameters of a generator or a representation -> path -> hash of all that is there: each "path:PLACE" anywhere in
    them, each of the parameters `paths`, and each of the packaged `encoders`. Raises `UserError` for a path where
    nothing is, and for an encoder that is not installed."""
    from validators.embeddings.embedding import FROM_PATH

    named = {value for value in _strings(list(params.values())) if value.startswith(FROM_PATH)}
    named |= {str(params[name]) for name in paths if params.get(name)}
    return {value: _all_of(value, below) for value in sorted(named)} | packaged_weights(encoders)


def asked_encoders(run: RunParams) -> list[str]:
    """Names of the packaged encoders that a run's steps, representation, gates and tables of features load, sorted.
    Raises what their owners raise of parameters."""
    from features.representation import representation_class
    from validators.gate import gate_class, gate_params

    every = (run.prepare.speech, run.prepare.face, run.prepare.text, run.prepare.physio)
    names = {name for steps in every for name in steps.encoders()}
    if run.representation is not None:
        names.update(getattr(representation_class(run.representation.name), "encoders", ()))
    if run.generator is not None:
        for gate, given in run.gate_params().items():
            names.update(gate_class(gate).encoders(gate_params(gate, given.params)))
    for table in run.release.features if run.release else ():
        names.update(getattr(representation_class(table.name), "encoders", ()))
    return sorted(names)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _strings(list(value.values()))
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _strings(entry)


def _all_of(named: str, below: Path) -> str:
    """12 hex digits over a file, or over names and contents of all files of a folder."""
    from validators.embeddings.checkpoints import files_hash
    from validators.embeddings.embedding import FROM_PATH
    from validators.embeddings.encoders import split_layer

    if named.startswith(PACKAGED):
        return packaged_weights([named.removeprefix(PACKAGED)])[named]
    path, _ = split_layer(str(below / Path(named.removeprefix(FROM_PATH)).expanduser()))
    if path.is_file():
        return files_hash([path])
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else []
    if not files:
        raise UserError(f"{path} does not exist or holds no file; what is loaded from there must be there")
    return files_hash(files, path)


def _hash_of(named: str, below: Path) -> str:
    from validators.embeddings.embedding import FROM_PATH
    from validators.embeddings.encoders import weights_hash

    if named.startswith(PACKAGED):
        return packaged_weights([named.removeprefix(PACKAGED)])[named]
    path = below / Path(named.removeprefix(FROM_PATH)).expanduser()
    if named.startswith(FROM_PATH):
        return weights_hash(str(path))
    if not path.is_file():
        raise UserError(f"{path} is no file; a gate's params name it")
    return hash_file(path)


def require_planned(gates: Mapping[str, PlannedGate]) -> None:
    """`gates` of a plan. Raises `IntegrityError` where a path holds other weights than when the plan was made."""
    for name, gate in gates.items():
        _require(f"gate {name}", gate.weights, {path: _hash_of(path, Path()) for path in gate.weights})


def require_loaded(loads: Mapping[str, str]) -> None:
    """`loads` of a plan: path -> hash of what its generator and representations load from there. Raises
    `IntegrityError` where a path holds something else than when the plan was made, `UserError` where nothing is."""
    _require("generator or representation", loads, {path: _all_of(path, Path()) for path in loads})


def _require(owner: str, planned: Mapping[str, str], current: Mapping[str, str]) -> None:
    for path, digest in planned.items():
        if current.get(path) != digest:
            raise IntegrityError(
                f"{owner}: {path} holds weights {current.get(path)}, the plan was made for {digest}; plan anew: "
                "`emoforge run` does, or `dvc repro --force --single-item plan@RUN`"
            )


def changed_weights(layout: Layout, run: str) -> list[str]:
    """What of the weights that the run's plan names is not there any more; [] where there is no plan."""
    changes: dict[str, None] = {}
    for stage in NAMING:
        path = layout.plan(run, stage)
        if not path.is_file():
            continue
        try:
            params = read_json(path).get("params", {})
            gates, loads = params.get("gates", {}).values(), params.get("loads", {}).items()
        except (IntegrityError, AttributeError):
            changes[f"{path.name} of its plan is damaged"] = None
            continue
        named = [(name, digest, _hash_of) for gate in gates for name, digest in gate.get("weights", {}).items()]
        for name, digest, hash_of in [*named, *((name, digest, _all_of) for name, digest in loads)]:
            if _hash_below(hash_of, layout.repo, name) != digest:
                changes[f"weights of {name} are others"] = None
    return list(changes)


def _hash_below(hash_of: Callable[[str, Path], str], repo: Path, name: str) -> str | None:
    """As a stage sees it, which works in `repo`; None where there are no weights."""
    try:
        return hash_of(name, repo)
    except UserError:
        return None

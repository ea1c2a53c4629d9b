"""Tables of features that a run asks for beside its payloads: what they need is checked when the run is planned."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field

from corpora.errors import ParamsError, UserError
from features.faces.prepare import FaceSteps
from features.representation import REPRESENTATIONS, is_features, make_representation, representation_class
from features.speech.prepare import SpeechSteps
from features.steps import Steps
from flows.params import RepresentationParams, RunParams
from flows.paths import Layout
from flows.stages.plan.code import INERT_FOR_PREPARING, code_hash
from flows.stages.plan.plans import STEPS
from flows.stages.plan.representation import known_of
from flows.stages.plan.weights import loaded_of, path_parameters


@dataclass(frozen=True, slots=True)
class Tables:
    """What the plan of a release says of them. modules: that compute them; loads: path or "package:NAME" -> hash; code:
    name -> hash of what computes it."""

    features: tuple[RepresentationParams, ...] = ()
    modules: tuple[str, ...] = ()
    loads: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)


def settled_tables(run_name: str, run: RunParams, steps: Steps, layout: Layout, *, vectors: bool) -> RunParams:
    """The run with tables that leave nothing open; the corpora must be ingested. steps: of its modality; vectors: its
    corpora's samples are rows of features.

    Raises `UnknownNameError` (no such representation), `ParamsError` where one has a way back, is of another modality,
    does not fit the corpora, or the run's samples are features themselves.
    """
    if run.release is None:
        return run
    where = f"runs.{run_name}.release.features"
    if vectors or _models_features(run):
        raise ParamsError(
            f"{where}: samples of this run are rows of features, and nothing else can be computed from them; "
            "leave it out, their values are in features.parquet and the shards"
        )
    settled, modality = [], modality_of(steps)
    for table in run.release.features:
        kind, params = representation_class(table.name), table.params
        if kind.modality != modality or getattr(kind, "way_back", True):
            known = ", ".join(names_of(modality))
            why = f"is for {kind.modality}" if kind.modality != modality else "is no vector of features"
            raise ParamsError(f"{where}: {table.name!r} {why}; known of {modality}: {known}")
        params = {k: v for k, v in prepared_as(steps).items() if k in inspect.signature(kind).parameters} | params
        try:
            if hasattr(kind, "settled"):
                params = kind.settled(params, known_of(run, layout))
            make_representation(table.name, params)
        except ParamsError as error:
            raise ParamsError(f"{where}: {error}") from None
        settled.append(RepresentationParams(name=table.name, **params))
    return run.model_copy(update={"release": run.release.model_copy(update={"features": settled})})


def planned_tables(run_name: str, run: RunParams, steps: Steps) -> Tables:
    """Of a run whose tables are settled, and whose payloads these steps prepare. Raises `ParamsError` where a table
    wants other steps, or what it loads is not there."""
    if run.release is None:
        return Tables()
    where, loads, code = f"runs.{run_name}.release.features", dict[str, str](), dict[str, str]()
    modules = []
    for table in run.release.features:
        kind = representation_class(table.name)
        built = make_representation(table.name, table.params)
        try:
            if hasattr(built, "require") and built.require(steps).settled() != steps:
                raise ParamsError(f"{table.name} needs other steps of preparation than the run has")
            loads |= loaded_of(table.params, path_parameters(kind), getattr(kind, "encoders", ()))
        except UserError as error:
            raise ParamsError(f"{where}: {error}") from None
        modules.append(kind.__module__)
        code[table.name] = code_hash([kind.__module__], without=INERT_FOR_PREPARING)
    return Tables(tuple(run.release.features), tuple(modules), dict(sorted(loads.items())), code)


def prepared_as(steps: Steps) -> dict[str, int]:
    """Parameters of representations that say how payloads are prepared, where the steps settle it."""
    if isinstance(steps, SpeechSteps):
        return {"rate_hz": steps.resample.rate_hz}
    if isinstance(steps, FaceSteps) and steps.size.px is not None:
        return {"size": steps.size.px}
    return {}


def modality_of(steps: Steps) -> str:
    """Whose steps they are."""
    return next(name for name, kind in STEPS.items() if isinstance(steps, kind))


def names_of(modality: str) -> list[str]:
    """Representations of the project of which there can be a table, by name."""
    kinds = {name: representation_class(name) for name in REPRESENTATIONS}
    return sorted(n for n, kind in kinds.items() if kind.modality == modality and not getattr(kind, "way_back", True))


def _models_features(run: RunParams) -> bool:
    if run.representation is None:
        return False
    return is_features(make_representation(run.representation.name, run.representation.params))

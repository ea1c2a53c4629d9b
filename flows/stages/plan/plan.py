"""The stage `plan`: what each later stage of a run depends on, one small JSON each.

DVC cannot template a list of dependencies, so a stage depends on its JSON: resolved parameters, content hashes of the
corpora and of the source of every module that the stage imports (grimp's closure). The stage reruns exactly when one of
them changed. What is in each JSON: flows/stages/plan/plans.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from corpora.errors import CorpusError, IntegrityError, ParamsError, UserError
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import atomic_folder
from corpora.store.ingested import corpus_manifest
from features.prepare import preparation_module
from features.pretrained.packages import packaged_weights
from features.representation import is_features, make_representation, representation_class
from features.steps import Steps
from flows.artifacts.base import Described
from flows.asking import require_asked, require_honoured
from flows.given import require_given
from flows.params import Numerics, Params, RunParams, load_params
from flows.paths import Layout
from flows.stages.fit.ranked import require_rankable
from flows.stages.plan.code import INERT_FOR_GATES, INERT_FOR_PREPARING, code_hash, code_of, sampling_code
from flows.stages.plan.plans import (
    AugmentCompute,
    AugmentPlan,
    DrawnBy,
    EvaluateCompute,
    EvaluatePlan,
    FitCompute,
    FitPlan,
    NoCompute,
    Plan,
    PlannedGate,
    Plans,
    PreparePlan,
    ReleasePlan,
    ReportPlan,
)
from flows.stages.plan.representation import settled_run
from flows.stages.plan.tables import planned_tables, settled_tables
from flows.stages.plan.weights import loaded_of, path_parameters, weights_of
from flows.stages.run import PLANNED
from generators.draws.targets import require_sources, require_subjects
from generators.generator import generator_class, modules_of, require_layout, require_mixing, require_way_back
from generators.params import parse_params
from validators.gate import SetGate, default_limit, gate_class, gate_params, knows, telling_gate

P = TypeVar("P", bound=Plan)
C = TypeVar("C", bound=BaseModel)
STAGES = tuple(PLANNED)
PREPARER = "flows.stages.prepare.preparer"

_STEPS_IN_TIME = ("keep", "resample", "baseline", "windows")  # of prepare.physio; off unless a run asks for them


def write_plan(layout: Layout, run_name: str) -> None:
    """Writes data/runs/<run>/plan/<stage>.json for every later stage.

    Raises `UnknownNameError` (run, corpus, generator, gate), `ParamsError`, `CorpusError` (a corpus that was not
    ingested, corpora of different modalities, or labels and groups with which a later stage could not end).
    """
    from flows.stages.plan.feasible import require_feasible  # looks at what `prepare` will do, which reads plans

    plans = make_plans(load_params(layout.params), layout, run_name)
    require_feasible(plans, layout)
    with atomic_folder(layout.run(run_name) / "plan") as folder:
        for plan in plans:
            plan.write(folder)


def make_plans(params: Params, layout: Layout, run_name: str) -> Plans:
    """One for each later stage. Raises as `write_plan`, but for what labels and groups say."""
    run, modality, contents = _settled(run_name, params.run(run_name), layout)
    return _stage_plans(run_name, run, params.numerics, modality, contents)


def _settled(run_name: str, run: RunParams, layout: Layout) -> tuple[RunParams, str, dict[str, str]]:
    """The run with nothing left open, its modality, and content hashes of its corpora."""
    ingested = {name: _ingested(layout, name) for name in run.corpora}
    modalities = {corpus.modality for corpus in ingested.values()}
    if len(modalities) != 1:
        listed = ", ".join(f"{name}: {corpus.modality}" for name, corpus in ingested.items())
        raise CorpusError(f"run {run_name!r} names corpora of different modalities ({listed}); name corpora of one")
    modality = modalities.pop()
    require_steps_of_vectors(run_name, run, {name: corpus.is_vector for name, corpus in ingested.items()})
    settled = settled_run(run_name, run, modality, layout)
    if settled.release is not None:
        steps, vectors = prepare_steps(run_name, settled, modality), any(c.is_vector for c in ingested.values())
        settled = settled_tables(run_name, settled, steps, layout, vectors=vectors)
    return settled, modality, {name: corpus.content for name, corpus in ingested.items()}


@dataclass(frozen=True, slots=True)
class _Run:
    """What every plan of a run has in common."""

    name: str
    params: RunParams
    modality: str

    def of(self, kind: type[P], roots: Sequence[str] = (), *, compute: Any = None, **fields: Any) -> P:
        """The plan of a stage, which imports the modules `roots` beside its own."""
        return kind(
            run=self.name,
            modality=self.modality,
            corpora=fields.pop("corpora", {}),
            code=code_of([PLANNED[kind.STAGE], *roots]),
            compute=NoCompute() if compute is None else compute,
            **fields,
        )


def _stage_plans(name: str, run: RunParams, numerics: Numerics, modality: str, contents: dict[str, str]) -> Plans:
    values = run.model_dump(mode="json")
    steps = prepare_steps(name, run, modality)
    described = Described.model_validate({"version": steps.VERSION, "steps": steps.described()})
    values["prepare"] = {modality: steps.model_dump(mode="json"), "max_reject_share": run.prepare.max_reject_share}
    generator = _generator(name, run)
    gates = _gates(name, run, modality) if run.generator else {"sample": {}, "set": {}}
    class_gate = telling_gate(gates["sample"])
    if run.generator is not None and run.rounds.not_honoured == "withhold" and class_gate is None:
        raise ParamsError(
            f"runs.{name}.rounds.not_honoured is withhold, and no gate of the run tells classes: switch on agreement, "
            "or leave not_honoured at keep"
        )
    shape = _representation_module(run)
    used = [*([shape] if shape else []), *generator]
    shaped, loads = _loads(name, run, steps)
    drawn = None
    if run.generator is not None and generator and shape is not None:
        drawn = DrawnBy(name=run.generator.name, code=sampling_code(*generator, shape))
    tested = {n: gate for n, gate in gates["sample"].items() if gate_class(n).fits_at_once}  # evaluate's self-test
    common, corpora = _Run(name, run, modality), tuple(run.corpora)
    tables = planned_tables(name, run, steps)

    def part(kind: type[C]) -> C:
        return kind.model_validate({k: v for k, v in numerics.model_dump().items() if k in kind.model_fields})

    return Plans(
        prepare=_prepare_plan(common, contents, steps, described, shaped),
        fit=common.of(
            FitPlan,
            used,
            compute=part(FitCompute),
            generator=run.generator,
            representation=run.representation,
            seed=run.seed,
            loads=loads,
        ),
        augment=common.of(
            AugmentPlan,
            [*used, *(gate_class(n).__module__ for n in gates["sample"])],
            compute=part(AugmentCompute),
            target=run.target,
            rounds=run.rounds,
            ask=run.ask,
            seed=run.seed,
            shards=run.shards,
            representation=run.representation,
            gates=gates["sample"],
            gate_code={n: code_hash([gate_class(n).__module__], without=INERT_FOR_GATES) for n in gates["sample"]},
            generator=drawn,
            loads=loads,
        ),
        evaluate=common.of(
            EvaluatePlan,
            [gate_class(n).__module__ for n in [*gates["set"], *tested]],
            compute=part(EvaluateCompute),
            evaluation=run.evaluation,
            seed=run.seed,
            gates=gates["set"],
            sample_gates=tested,
            class_gate=class_gate,
        ),
        release=common.of(
            ReleasePlan,
            tables.modules,
            policy=run.policy,
            corpus_names=corpora,
            scheme=run.scheme,
            view=run.view,
            on_leak=run.on_leak,
            resolved=values,
            all_numerics=numerics,
            prepared=described,
            features=tables.features,
            loads=tables.loads,
            feature_code=tables.code,
        ),
        report=common.of(ReportPlan, corpora=contents),
    )


def prepare_plan(name: str, run: RunParams, layout: Layout) -> PreparePlan:
    """What preparing the corpora of `run` as its representation wants depends on, of a run that is not in params.yaml:
    a study prepares as a run would, so that both find the same samples in the work store. Raises as `make_plans`."""
    run, modality, contents = _settled(name, run, layout)
    steps = prepare_steps(name, run, modality)
    described = Described.model_validate({"version": steps.VERSION, "steps": steps.described()})
    return _prepare_plan(_Run(name, run, modality), contents, steps, described, _loads(name, run, steps)[0])


def _prepare_plan(
    common: _Run, contents: dict[str, str], steps: Steps, described: Described, shaped: dict[str, str]
) -> PreparePlan:
    run, shape = common.params, _representation_module(common.params)
    worker = [PREPARER, preparation_module(common.modality), *([shape] if shape else [])]
    plan: PreparePlan = common.of(
        PreparePlan,
        worker,
        corpora=contents,
        corpus_names=tuple(run.corpora),
        scheme=run.scheme,
        view=run.view,
        on_leak=run.on_leak,
        representation=run.representation,
        shards=run.shards,
        seed=run.seed,
        steps=steps,
        described=described,
        max_reject_share=run.prepare.max_reject_share,
        loads=shaped,
        worker_code=code_hash(worker, without=INERT_FOR_PREPARING),
    )
    return plan


def require_steps_of_vectors(run_name: str, run: RunParams, vectors: Mapping[str, bool]) -> None:
    """Raises `ParamsError` where a run mixes rows of features ({corpus: whether it is so}) with signals, or asks of
    them a step that needs time."""
    kinds = {True: [c for c, so in vectors.items() if so], False: [c for c, so in vectors.items() if not so]}
    if not kinds[True]:
        return
    if kinds[False]:
        raise ParamsError(
            f"run {run_name!r}: samples of {', '.join(kinds[True])} are rows of features, those of "
            f"{', '.join(kinds[False])} are signals; name corpora of one kind"
        )
    asked = [name for name in _STEPS_IN_TIME if getattr(run.prepare.physio, name)]
    if asked:
        raise ParamsError(
            f"runs.{run_name}.prepare.physio: {', '.join(asked)} of {', '.join(kinds[True])}, whose samples are "
            "rows of features and have no time in them; take it out (population is for features too)"
        )


def prepare_steps(run_name: str, run: RunParams, modality: str) -> Steps:
    """The steps of the run's modality, with what its representation asks for. Raises `ParamsError` if they differ."""
    steps: Steps = getattr(run.prepare, modality)
    if run.representation is not None:
        representation = make_representation(run.representation.name, run.representation.params)
        if representation.modality != modality:
            raise ParamsError(
                f"runs.{run_name}.representation: {run.representation.name!r} is for {representation.modality}, "
                f"the corpora are {modality}"
            )
        if hasattr(representation, "require"):
            try:
                steps = representation.require(steps)
            except ParamsError as error:
                raise ParamsError(f"runs.{run_name}: {error}") from None
    return steps.settled()


def _generator(run_name: str, run: RunParams) -> tuple[str, ...]:
    """The modules of the run's generator, its parameters and what the run asks of it checked; () for a run without
    one."""
    if run.generator is None or run.representation is None:
        return ()
    generator = generator_class(run.generator.name)
    parse_params(generator.Params, run.generator.params, run.generator.name)
    representation = make_representation(run.representation.name, run.representation.params)
    require_layout(run.generator.name, generator, representation.spec)
    require_way_back(run.generator.name, generator, representation)
    if hasattr(generator, "require"):
        generator.require(run.generator.params, representation.spec)
    require_mixing(run.generator.name, generator, run.ask.asked().mixtures)
    by_subject = run.target.cells == "subject"
    if run.generator.intensity == "ranked":
        require_rankable(f"runs.{run_name}", run.generator, generator, representation.spec)
    require_given(f"runs.{run_name}", run.generator.given, generator, representation.modality)
    require_honoured(f"runs.{run_name}", run.ask.asked(), generator, run.generator, by_subject=by_subject)
    if run.target.by == "weight":
        require_sources(run.generator.name, generator)
    if run.target.cells == "subject":  # known before hours of fitting
        require_subjects(run.generator.name, generator, run.generator.params)
    return modules_of(generator, run.generator.params)


def _representation_module(run: RunParams) -> str | None:
    """None for a run without one."""
    return representation_class(run.representation.name).__module__ if run.representation else None


def _loads(run_name: str, run: RunParams, steps: Steps) -> tuple[dict[str, str], dict[str, str]]:
    """What the run loads, path or "package:NAME" -> hash: its preparation and representation; representation and
    generator. Raises `ParamsError` that names the parameters where nothing is there."""
    prepared: dict[str, str] = {}
    shaped: dict[str, str] = {}
    drawn: dict[str, str] = {}
    part = "prepare"
    try:
        prepared = packaged_weights(steps.encoders())
        part = "representation"
        if run.representation is not None:
            own = run.representation.params
            shape = representation_class(run.representation.name)
            shaped = loaded_of(own, path_parameters(shape), getattr(shape, "encoders", ()))
        part = "generator.params"
        if run.generator is not None:
            kind = generator_class(run.generator.name).Params
            settled = parse_params(kind, run.generator.params, run.generator.name).model_dump(mode="json")
            drawn = loaded_of(settled, path_parameters(kind))
            part = "generator.given"
            drawn |= packaged_weights(sorted({e for own in run.generator.given.values() for e in own.encoders}))
    except UserError as error:
        raise ParamsError(f"runs.{run_name}.{part}: {error}") from None
    return dict(sorted((prepared | shaped).items())), dict(sorted((shaped | drawn).items()))


def _gates(run_name: str, run: RunParams, modality: str) -> dict[str, dict[str, PlannedGate]]:
    """-> {"sample": {gate: ...}, "set": ...}: the gates that know the modality and the layout of what is generated,
    limits resolved and parameters checked."""
    assert run.representation is not None  # a run with gates has a generator, and with it a representation
    built = make_representation(run.representation.name, run.representation.params)
    layout, seen = built.spec.layout, "vector" if is_features(built) else "signal"
    allowed = {"sample": ("absolute", "quantile"), "set": ("absolute", "floor")}
    planned: dict[str, dict[str, PlannedGate]] = {"sample": {}, "set": {}}
    for name, given in run.gate_params().items():
        gate = gate_class(name)
        if not knows(gate, modality, seen):
            if name in run.gates:
                known = f"{', '.join(gate.modalities)} as {' or '.join(gate.layouts)}"
                raise ParamsError(
                    f"runs.{run_name}.gates.{name}: this gate knows {known}; the run is {modality} as {layout}"
                )
            continue
        try:
            weights = weights_of(given.params, gate.encoders(gate_params(name, given.params)))
        except UserError as error:
            raise ParamsError(f"runs.{run_name}.gates.{name}.params: {error}") from None
        if gate.asks:  # known before hours of drawing what would all be rejected
            require_asked(f"runs.{run_name}", name, gate.asks, run.ask.asked())
        kind = "set" if issubclass(gate, SetGate) else "sample"
        limit = default_limit(gate) if given.limit is None else given.limit.limit()
        form = next(k for k in ("absolute", "quantile", "floor") if getattr(limit, k) is not None)
        if form not in allowed[kind]:
            known = " or ".join(allowed[kind])
            raise ParamsError(f"runs.{run_name}.gates.{name}.limit: {form!r} does not fit a {kind} gate; use {known}")
        planned[kind][name] = PlannedGate(limit=limit, params=given.params, weights=weights)
    return planned


@dataclass(frozen=True, slots=True)
class _Ingested:
    """What planning needs to know of an ingested corpus. content: hash of all that ingest wrote; is_vector: its samples
    are rows of features."""

    modality: str
    content: str
    is_vector: bool


def _ingested(layout: Layout, corpus: str) -> _Ingested:
    path = layout.corpus(corpus) / "manifest.json"
    if not path.exists():
        raise CorpusError(
            f"corpus {corpus!r} has not been ingested (no {path.relative_to(layout.repo)}): "
            f"run `dvc repro ingest@{corpus}` or `emoforge run`"
        )
    try:
        card = read_json(path.parent / "card.json")["card"]
        content = str(corpus_manifest(path.parent)["content_hash"])
        return _Ingested(card["modality"], content, card.get("is_vector", False))
    except (KeyError, TypeError):
        raise IntegrityError(f"{path.parent} is not as `ingest` wrote it: remove it and run again") from None

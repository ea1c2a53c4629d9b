"""The stage `plan`: what each later stage of a run depends on, one small JSON each.

DVC cannot template a list of dependencies, so a stage depends on its JSON: resolved parameters, content hashes of the
corpora and of the source of every module that the stage imports (grimp's closure). The stage reruns exactly when one of
them changed. `Plan` is how a stage reads its JSON back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from corpora.errors import CorpusError, IntegrityError, ParamsError, UserError
from corpora.fingerprint import hash_json
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import atomic_folder, write_json
from corpora.store.ingested import corpus_manifest
from features.prepare import preparation_module
from features.representation import make_representation, representation_class
from features.steps import Steps
from flows.params import Numerics, Params, RunParams, load_params
from flows.paths import Layout
from flows.stages.plan.code import INERT_FOR_GATES, INERT_FOR_PREPARING, code_hash, code_of, sampling_code
from flows.stages.plan.representation import settled_run
from flows.stages.plan.weights import loaded_of, path_parameters, weights_of
from flows.stages.run import PLANNED
from generators.draws.targets import require_subjects
from generators.generator import generator_class, require_layout
from generators.params import parse_params
from validators.gate import Limit, SetGate, default_limit, gate_class, gate_params, knows

STAGES = tuple(PLANNED)
PREPARER = "flows.stages.prepare.preparer"

_STEPS_IN_TIME = ("keep", "resample", "baseline", "windows")  # of prepare.physio; off unless a run asks for them


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stage may know. `params` are resolved; `code` maps module -> sha256 of its source."""

    stage: str
    run: str
    modality: str
    params: dict[str, Any]
    numerics: dict[str, Any]
    corpora: dict[str, str]
    code: dict[str, str]

    @property
    def key(self) -> str:
        """64 hex digits naming everything that the stage depends on, outs of earlier stages aside."""
        return hash_json({f: getattr(self, f) for f in self.__slots__})

    @classmethod
    def read(cls, layout: Layout, run: str, stage: str) -> Plan:
        path = layout.plan(run, stage)
        if not path.exists():
            raise IntegrityError(f"no {path}: run the stage plan@{run} first (`dvc repro` does it)")
        told = read_json(path)
        if told.keys() != set(cls.__slots__):
            raise IntegrityError(f"{path} is not as `plan` wrote it: remove its folder and run plan@{run} again")
        return cls(**told)


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
            write_json(folder / f"{plan.stage}.json", {f: getattr(plan, f) for f in Plan.__slots__})


def make_plans(params: Params, layout: Layout, run_name: str) -> list[Plan]:
    """One for each later stage. Raises as `write_plan`, but for what labels and groups say."""
    run = params.run(run_name)
    manifests = {name: _manifest(layout, name) for name in run.corpora}
    modalities = {m["modality"] for m in manifests.values()}
    if len(modalities) != 1:
        found = ", ".join(f"{name}: {m['modality']}" for name, m in manifests.items())
        raise CorpusError(f"run {run_name!r} names corpora of different modalities ({found}); name corpora of one")
    modality = modalities.pop()
    require_steps_of_vectors(run_name, run, {name: m["is_vector"] for name, m in manifests.items()})
    run = settled_run(run_name, run, modality, layout)
    contents = {n: m["content"] for n, m in manifests.items()}
    return _stage_plans(run_name, run, params.numerics, modality, contents)


def _stage_plans(name: str, run: RunParams, numerics: Numerics, modality: str, contents: dict[str, str]) -> list[Plan]:
    values = run.model_dump(mode="json")
    steps = prepare_steps(name, run, modality)
    described = {"version": steps.VERSION, "steps": steps.described()}
    values["prepare"] = {modality: steps.model_dump(mode="json"), "max_reject_share": run.prepare.max_reject_share}
    generator = _generator(run)
    split = _gates(name, run, modality) if run.generator else {"sample": {}, "set": {}}
    shape = _representation_module(run)
    shapes = [shape] if shape else []
    makes = [*shapes, *([generator] if generator else [])]
    shaped, loads = _loads(name, run)
    judges = {kind: [gate_class(g).__module__ for g in members] for kind, members in split.items()}
    codes = {g: code_hash([gate_class(g).__module__], without=INERT_FOR_GATES) for g in split["sample"]}
    tested = {g: planned for g, planned in split["sample"].items() if gate_class(g).fits_at_once}  # for the self-test
    number = numerics.model_dump(mode="json")
    fit_numerics = {k: number[k] for k in ("device", "dtype", "compile", "fit_threads", "ddp_world_size")}
    draw_numerics = {k: number[k] for k in ("device", "dtype", "compile", "sample_threads", "draw_list")}
    threads = {"fit_threads": number["fit_threads"]}
    prepared = {
        "steps": values["prepare"][modality],
        "described": described,
        "max_reject_share": run.prepare.max_reject_share,
    }
    worker = [PREPARER, preparation_module(modality), *shapes]
    drawn = None
    if run.generator is not None and generator is not None and shape is not None:
        drawn = {"name": run.generator.name, "code": sampling_code(generator, shape)}

    def of(stage: str, keys: tuple[str, ...], extra: dict[str, Any], numbers: dict[str, Any], roots: list[str]) -> Plan:
        chosen = {k: values[k] for k in keys} | extra
        used = contents if stage in ("prepare", "report") else {}
        return Plan(stage, name, modality, chosen, numbers, used, code_of([PLANNED[stage], *roots]))

    return [
        of(
            "prepare",
            ("corpora", "scheme", "view", "on_leak", "representation", "shards", "seed"),
            prepared | {"loads": shaped, "worker_code": code_hash(worker, without=INERT_FOR_PREPARING)},
            {},
            worker,
        ),
        of("fit", ("generator", "representation", "seed"), {"loads": loads}, fit_numerics, makes),
        of(
            "augment",
            ("target", "rounds", "seed", "shards", "representation"),
            {
                "gates": split["sample"],
                "gate_code": codes,
                "generator": drawn,
                "loads": loads,
            },
            draw_numerics | threads,
            [*makes, *judges["sample"]],
        ),
        of(
            "evaluate",
            ("evaluation", "seed"),
            {"gates": split["set"], "sample_gates": tested},
            threads,
            [*judges["set"], *(gate_class(name).__module__ for name in tested)],
        ),
        of(
            "release",
            ("policy", "corpora", "scheme", "view", "on_leak"),
            {"run": values, "numerics": number, "prepared": described},
            {},
            [],
        ),
        of("report", (), {}, {}, []),
    ]


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


def _generator(run: RunParams) -> str | None:
    """The module of the run's generator, its parameters checked; None for a run without one."""
    if run.generator is None:
        return None
    generator = generator_class(run.generator.name)
    parse_params(generator.Params, run.generator.params, run.generator.name)
    spec = make_representation(run.representation.name, run.representation.params).spec
    require_layout(run.generator.name, generator, spec)
    if run.target.cells == "subject":  # said before hours of fitting
        require_subjects(run.generator.name, generator, run.generator.params)
    module: str = generator.__module__
    return module


def _representation_module(run: RunParams) -> str | None:
    """None for a run without one."""
    return representation_class(run.representation.name).__module__ if run.representation else None


def _loads(run_name: str, run: RunParams) -> tuple[dict[str, str], dict[str, str]]:
    """What the run loads from paths, path -> hash: its representation; representation and generator. Raises
    `ParamsError` that names the parameters where nothing is there."""
    shaped: dict[str, str] = {}
    drawn: dict[str, str] = {}
    part = "representation"
    try:
        if run.representation is not None:
            own = run.representation.params
            shaped = loaded_of(own, path_parameters(representation_class(run.representation.name)))
        part = "generator.params"
        if run.generator is not None:
            kind = generator_class(run.generator.name).Params
            settled = parse_params(kind, run.generator.params, run.generator.name).model_dump(mode="json")
            drawn = loaded_of(settled, path_parameters(kind))
    except UserError as error:
        raise ParamsError(f"runs.{run_name}.{part}: {error}") from None
    return shaped, dict(sorted((shaped | drawn).items()))


def _gates(run_name: str, run: RunParams, modality: str) -> dict[str, dict[str, dict[str, Any]]]:
    """-> {"sample": {gate: {"limit", "params"}}, "set": ...} of the gates that know the modality and the layout of what
    is generated, limits resolved and parameters checked."""
    assert run.representation is not None  # a run with gates has a generator, and with it a representation
    layout = make_representation(run.representation.name, run.representation.params).spec.layout
    allowed = {"sample": ("absolute", "quantile"), "set": ("absolute", "floor")}
    found: dict[str, dict[str, dict[str, Any]]] = {"sample": {}, "set": {}}
    for name, given in run.gate_params().items():
        gate = gate_class(name)
        if not knows(gate, modality, layout):
            if name in run.gates:
                known = f"{', '.join(gate.modalities)} as {' or '.join(gate.layouts)}"
                raise ParamsError(
                    f"runs.{run_name}.gates.{name}: this gate knows {known}; the run is {modality} as {layout}"
                )
            continue
        try:
            gate_params(name, given.params)
        except ParamsError as error:
            raise ParamsError(f"runs.{run_name}.gates.{name}.params: {error}") from None
        if gate.asks:  # said before hours of drawing what would all be refused
            raise ParamsError(
                f"runs.{run_name}.gates.{name}: it judges candidates that were asked for {' or '.join(gate.asks)}; "
                "generators are asked for classes alone. Leave it out"
            )
        kind = "set" if issubclass(gate, SetGate) else "sample"
        limit = default_limit(gate) if given.limit is None else Limit(**given.limit.model_dump())
        form = next(k for k in ("absolute", "quantile", "floor") if getattr(limit, k) is not None)
        if form not in allowed[kind]:
            known = " or ".join(allowed[kind])
            raise ParamsError(f"runs.{run_name}.gates.{name}.limit: {form!r} does not fit a {kind} gate; use {known}")
        found[kind][name] = {"limit": asdict(limit), "params": given.params}
        if weights := weights_of(given.params):
            found[kind][name]["weights"] = weights
    return found


def _manifest(layout: Layout, corpus: str) -> dict[str, Any]:
    path = layout.corpus(corpus) / "manifest.json"
    if not path.exists():
        raise CorpusError(
            f"corpus {corpus!r} has not been ingested (no {path.relative_to(layout.repo)}): "
            f"run `dvc repro ingest@{corpus}` or `emoforge run`"
        )
    try:
        card = read_json(path.parent / "card.json")["card"]
        content = corpus_manifest(path.parent)["content_hash"]
        return {"modality": card["modality"], "content": content, "is_vector": card.get("is_vector", False)}
    except (KeyError, TypeError):
        raise IntegrityError(f"{path.parent} is not as `ingest` wrote it: remove it and run again") from None

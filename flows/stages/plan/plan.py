"""The stage `plan`: what each later stage of a run depends on, one small JSON each.

DVC cannot template a list of dependencies, so a stage depends on its JSON: resolved parameters, content hashes of the
corpora and of the source of every module that the stage imports (grimp's closure). The stage reruns exactly when one of
them changed. `Plan` is how a stage reads its JSON back.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from corpora.errors import CorpusError, IntegrityError, ParamsError
from corpora.fingerprint import hash_bytes, hash_json
from corpora.formats.jsonfile import read_json
from corpora.store.atomic import atomic_folder, write_json
from features.faces.prepare import DEFAULT_PX, FaceSteps
from features.prepare import preparation_module
from features.representation import REPRESENTATIONS, make_representation
from features.speech.prepare import SpeechSteps
from features.steps import Steps
from flows.asking import require_asked, require_honoured
from flows.params import Numerics, Params, RunParams, load_params
from flows.paths import PACKAGES, Layout
from flows.stages.plan.weights import weights_of
from flows.stages.run import PLANNED
from generators.draws.targets import require_subjects
from generators.generator import generator_class, require_layout
from generators.params import parse_params
from validators.gate import Limit, default_limit, gate_class
from validators.trials.selftest import QUICK_SAMPLE_GATES

STAGES = tuple(PLANNED)

# Modules that decide where and how work runs or how errors read, never what comes out. An edit there redoes nothing.
INERT = frozenset(
    {
        "corpora.errors",
        "corpora.quiet",
        "flows.stages.plan.feasible",
        "flows.asking",
        "flows.params",
        "flows.paths",
        "flows.stages.plan.plan",
        "flows.engine.pool",
        "flows.engine.progress",
        "flows.engine.store",
    }
)


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
    contents = {n: m["content"] for n, m in manifests.items()}
    return _stage_plans(run_name, run, params.numerics, modality, contents)


def _stage_plans(name: str, run: RunParams, numerics: Numerics, modality: str, contents: dict[str, str]) -> list[Plan]:
    values = run.model_dump(mode="json")
    steps = prepare_steps(name, run, modality)
    described = {"version": steps.VERSION, "steps": steps.described()}
    values["prepare"] = {modality: steps.model_dump(mode="json"), "max_reject_share": run.prepare.max_reject_share}
    made = _generator(name, run)
    split = _gates(name, run, modality) if made else {"sample": {}, "set": {}}
    makes = [m for m in made or () if m]
    shapes = [m for m in (made or ())[:1] if m]
    judges = {kind: [gate_class(g).__module__ for g in members] for kind, members in split.items()}
    codes = {g: hash_json(code_of([gate_class(g).__module__])) for g in split["sample"]}
    tested = {g: split["sample"][g] for g in QUICK_SAMPLE_GATES if g in split["sample"]}  # evaluate's self-test
    number = numerics.model_dump(mode="json")
    fit_numerics = {k: number[k] for k in ("device", "dtype", "compile", "fit_threads", "ddp_world_size")}
    draw_numerics = {k: number[k] for k in ("device", "dtype", "compile", "sample_threads", "draw_list")}
    threads = {"fit_threads": number["fit_threads"]}
    prepared = {
        "steps": values["prepare"][modality],
        "described": described,
        "max_reject_share": run.prepare.max_reject_share,
    }

    def of(stage: str, keys: tuple[str, ...], extra: dict[str, Any], numbers: dict[str, Any], roots: list[str]) -> Plan:
        chosen = {k: values[k] for k in keys} | extra
        used = contents if stage in ("prepare", "report") else {}
        return Plan(stage, name, modality, chosen, numbers, used, code_of([PLANNED[stage], *roots]))

    return [
        of(
            "prepare",
            ("corpora", "scheme", "view", "on_leak", "representation", "shards", "seed"),
            prepared,
            {"sample_threads": number["sample_threads"]},
            [preparation_module(modality), *shapes],
        ),
        of("fit", ("generator", "representation", "seed"), {}, fit_numerics, makes),
        of(
            "augment",
            ("target", "rounds", "ask", "seed", "shards", "representation"),
            {
                "gates": split["sample"],
                "gate_code": codes,
                "generator": {"name": run.generator.name} if run.generator else None,
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
    steps = getattr(run.prepare, modality)
    if run.representation is None:
        made = None
    else:
        made = make_representation(run.representation.name, run.representation.params)
        if made.modality != modality:
            raise ParamsError(
                f"runs.{run_name}.representation: {run.representation.name!r} is for {made.modality}, "
                f"the corpora are {modality}"
            )
    if isinstance(steps, FaceSteps):
        wanted = getattr(made, "size", None)
        if wanted is not None and (steps.size.px or wanted) != wanted:
            raise ParamsError(
                f"runs.{run_name}: prepare.face.size.px is {steps.size.px}, the representation's {wanted}"
            )
        if made is not None and made.spec.shape[0] == 1 and steps.colour.mode != "grey":
            raise ParamsError(f"runs.{run_name}: prepare.face.colour.mode is rgb, the representation takes grey")
        px = steps.size.px or wanted or DEFAULT_PX
        return steps.model_copy(update={"size": steps.size.model_copy(update={"px": px})})
    if isinstance(steps, SpeechSteps):
        wanted = getattr(made, "rate_hz", None)
        if wanted is not None and int(wanted) != steps.resample.rate_hz:
            raise ParamsError(
                f"runs.{run_name}: prepare.speech.resample.rate_hz is {steps.resample.rate_hz}, "
                f"the representation's {int(wanted)}"
            )
    checked: Steps = steps
    return checked


def _generator(run_name: str, run: RunParams) -> tuple[str | None, str] | None:
    """-> modules of the representation (None: not one of ours) and the generator; None for a run without one."""
    if run.generator is None or run.representation is None:
        return None
    generator = generator_class(run.generator.name)
    parse_params(generator.Params, run.generator.params, run.generator.name)
    spec = make_representation(run.representation.name, run.representation.params).spec
    require_layout(run.generator.name, generator, spec)
    by_subject = run.target.cells == "subject"
    require_honoured(f"runs.{run_name}", run.ask.asked(), generator, run.generator.params, by_subject=by_subject)
    if run.target.cells == "subject":  # said before hours of fitting
        require_subjects(run.generator.name, generator, run.generator.params)
    shape = REPRESENTATIONS.get(run.representation.name)
    return (shape.partition(":")[0] if shape else None), generator.__module__


def _gates(run_name: str, run: RunParams, modality: str) -> dict[str, dict[str, dict[str, Any]]]:
    """-> {"sample": {gate: {"limit", "params"}}, "set": ...} of the gates that know the modality, limits resolved."""
    allowed = {"sample": ("absolute", "quantile"), "set": ("absolute", "floor")}
    found: dict[str, dict[str, dict[str, Any]]] = {"sample": {}, "set": {}}
    for name, given in run.gate_params().items():
        gate = gate_class(name)
        if modality not in gate.modalities:
            if name in run.gates:
                known = ", ".join(gate.modalities)
                raise ParamsError(f"runs.{run_name}.gates.{name}: this gate knows {known}; the run is {modality}")
            continue
        if wanted := getattr(gate, "asks", ()):  # said before hours of drawing what would all be refused
            require_asked(f"runs.{run_name}", name, wanted, run.ask.asked())
        kind = "set" if hasattr(gate, "measure") else "sample"
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
        content = read_json(path)["content_hash"]
        return {"modality": card["modality"], "content": content, "is_vector": card.get("is_vector", False)}
    except (KeyError, TypeError):
        raise IntegrityError(f"{path.parent} is not as `ingest` wrote it: remove it and run again") from None


def code_of(roots: list[str]) -> dict[str, str]:
    """Modules of this project that `roots` import, directly or not -> sha256 of their source; INERT ones left out,
    and with them what only they import: the models of every modality's parameters are no part of a stage's work.

    A root outside the project (an entry point) stands with its own source only.
    """
    graph = _graph()
    modules: set[str] = set()
    for root in roots:
        modules.add(root)
        if root in graph.modules:
            modules |= graph.find_upstream_modules(root)
    return {name: _source_hash(name) for name in sorted(modules - INERT)}


@cache
def _graph() -> Any:
    import grimp

    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    for module in INERT & graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            graph.remove_import(importer=module, imported=imported)
    return graph


@cache
def _source_hash(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise IntegrityError(f"module {module!r} has no source file")
    return hash_bytes(Path(spec.origin).read_bytes())

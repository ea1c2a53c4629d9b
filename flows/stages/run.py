"""The stages as plain functions, by the verb that DVC calls them with. No Prefect in here.

Imports happen inside, so that the door opens quickly and `plan` does not load torch for nothing.
"""

from __future__ import annotations

import time
from pathlib import Path

from corpora.errors import UnknownNameError
from corpora.store.atomic import write_json
from flows.paths import Layout

# those that read a plan: verb -> module with `run(plan, layout, machine)`
PLANNED = {
    "prepare": "flows.stages.prepare.prepare",
    "fit": "flows.stages.fit.fit",
    "augment": "flows.stages.augment.augment",
    "evaluate": "flows.stages.evaluate",
    "release": "flows.stages.release",
    "report": "flows.stages.report.report",
}
VERBS = ("code", "fake", "reader", "ingest", "plan", *PLANNED, "design", "study")


def run_stage(verb: str, name: str, *, repo: Path) -> None:
    """Runs one stage to its end, or raises; outs appear whole or not at all."""
    layout = Layout(repo.resolve())
    begun = time.perf_counter()
    if verb == "code":
        from flows.projects.code import write_code

        write_code(layout.repo)
    elif verb == "fake":
        _fake(layout, name)
    elif verb == "reader":
        from flows.stages.ingest.reader import write_reader

        write_reader(layout, name)
    elif verb == "ingest":
        _ingest(layout, name)
    elif verb == "plan":
        from flows.stages.plan.plan import write_plan

        write_plan(layout, name)
    elif verb == "design":
        from flows.stages.study.design import write_design

        write_design(layout, name)
    elif verb == "study":
        _study(layout, name)
    elif verb in PLANNED:
        import importlib

        from flows.engine.worker import limited_threads
        from flows.params import load_machine
        from flows.stages.plan.plans import PLANS

        plan = PLANS[verb].read(layout, name)
        # threads change the order of sums, hence bytes: the number in params holds in every library
        with limited_threads(plan.threads):
            importlib.import_module(PLANNED[verb]).run(plan, layout, load_machine(layout.machine))
    else:
        raise UnknownNameError.of("stage", verb, VERBS)
    timing = layout.timing_file(verb, name)
    timing.parent.mkdir(parents=True, exist_ok=True)
    write_json(timing, {"seconds": round(time.perf_counter() - begun, 3)})


def _fake(layout: Layout, name: str) -> None:
    from corpora.readers import make_corpus
    from corpora.store.atomic import atomic_folder
    from flows.params import load_params

    demo = load_params(layout.params).demo
    if name not in demo:
        raise UnknownNameError.of("demo corpus", name, demo)
    wanted = demo[name]
    reader = make_corpus(wanted.reader, wanted.options, base=layout.repo)
    with atomic_folder(layout.raw(name)) as folder:
        reader.fake(folder, subjects=wanted.subjects, per_class=wanted.per_class, seed=wanted.seed)


def _study(layout: Layout, name: str) -> None:
    from flows.engine.worker import limited_threads
    from flows.params import load_machine
    from flows.stages.study.design import StudyPlan
    from flows.stages.study.dispatch import THREADS
    from flows.stages.study.study import run

    plan = StudyPlan.read(layout, name)
    with limited_threads(THREADS):
        run(plan, layout, load_machine(layout.machine), into=layout.study(name) / "result")


def _ingest(layout: Layout, name: str) -> None:
    from flows.engine.progress import progress
    from flows.params import load_machine, load_params
    from flows.stages.ingest.ingest import IngestPlaces, IngestSettings, ingest_corpus
    from flows.stages.ingest.parts import SHARED_FROM_BYTES, bytes_below, shared_out
    from flows.stages.ingest.retracted import keys_of, require_not_retracted, retractions

    params, machine, root = load_params(layout.params), load_machine(layout.machine), layout.raw(name)
    corpus, keys = params.corpus(name), keys_of(name, retractions(layout))
    require_not_retracted(name, keys, layout)
    settings = IngestSettings(
        reader=corpus.reader,
        shards=corpus.shards,
        ratios=corpus.ratios.model_dump(),
        split_seed=corpus.split_seed,
        max_reject_share=corpus.max_reject_share,
        on_unknown_label=corpus.on_unknown_label,
        options=corpus.options,
        base=layout.repo,
        fake=name in params.demo,
        retracted=tuple(keys),
    )
    places = IngestPlaces(
        root,
        layout.corpus(name),
        work=layout.scratch / "ingest" / name,
        rejects_to=layout.rejects_file("ingest", name),
    )
    share = shared_out(machine) if machine.actors > 1 and bytes_below(root) >= SHARED_FROM_BYTES else None
    ingest_corpus(name, settings, places, share=share, tell=progress)

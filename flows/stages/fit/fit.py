"""The stage `fit`: the generator learns from the train split, and from nothing else.

Writes data/runs/<run>/model (the generator's own files and emoforge.json, which says how to load it), and beside it
fit/loss.csv and fit/fit.json. A killed fit goes on from its last checkpoint in the scratch folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

from corpora.codecs import decode_text
from corpora.errors import UserError
from corpora.fingerprint import hash_folder, hash_json
from corpora.formats.jsonfile import read_json
from corpora.schema import Payload, Signal
from corpora.store.atomic import atomic_folder, write_bytes, write_json
from corpora.store.shards import iter_payloads
from features.representation import Spec, make_representation
from flows.artifacts.fitted import FitSummary, Fitted
from flows.artifacts.prepared import Prepared
from flows.engine.executor import Resources
from flows.engine.progress import Pace, progress
from flows.given import NEEDED, given_vectors
from flows.params import GeneratorParams, Machine, RepresentationParams
from flows.paths import Layout
from flows.stages.fit.given_file import keep_given
from flows.stages.fit.model_file import seal_model
from flows.stages.fit.monitor import held_out_score
from flows.stages.fit.ranked import with_ranked_intensity
from flows.stages.fit.stopping import Stopping, ended, stopping_of
from flows.stages.fit.took import TIMINGS, keep_timing
from flows.stages.plan.plans import FitPlan
from flows.stages.plan.weights import require_loaded
from generators.generator import (
    RATED,
    Generator,
    Progress,
    TrainData,
    generator_class,
    refused,
    turns_of,
)
from training.seeds import derive_seed

TOOK = "took.json"  # beside the checkpoints: no part of any out
TELL_EVERY_S = 30.0  # a fit takes hours, and its curve is in loss.csv
Row = dict[str, float]  # of the curve of losses: "step", and a mean of each loss


def run(plan: FitPlan, layout: Layout, machine: Machine) -> None:
    """Raises `ParamsError` (a parameter that the generator does not have), `UserError` (data it cannot learn from)."""
    if plan.generator is None:
        _nothing_to_fit(layout.run(plan.run))
        return
    require_loaded(plan.loads)
    prepared = layout.run(plan.run) / "prepared"
    # what a checkpoint belongs to: everything that the stage depends on
    state = layout.scratch / "fits" / hash_json([plan.key, hash_folder(prepared)])[:40]
    arguments: dict[str, Any] = {"plan": plan.to_json(), "prepared": str(prepared), "state": str(state)}
    if plan.compute.ddp_world_size > 1:
        from flows.engine.train import fit_in_group

        needs = Resources(
            actors=plan.compute.ddp_world_size,
            threads=plan.compute.fit_threads,
            device=plan.compute.device,
            address=machine.ray_address,
        )
        fit_in_group("flows.stages.fit.fit:fit_worker", arguments, needs, machine.patience())
    else:
        fit_worker(**arguments)
    result = state / "result"
    took = read_json(state / TOOK)
    keep_timing(layout.timing_file(TIMINGS, plan.run), plan, int(took["steps"]), float(took["seconds"]))
    run_folder = layout.run(plan.run)
    with atomic_folder(run_folder / "model") as folder:
        shutil.copytree(result / "model", folder, dirs_exist_ok=True)
    with Fitted.written(run_folder / "fit") as fitted:
        shutil.copytree(result / "fit", fitted.path, dirs_exist_ok=True)


def _nothing_to_fit(run_folder: Path) -> None:
    """The outs of a run without a generator, which say so."""
    with atomic_folder(run_folder / "model") as folder:
        seal_model(folder, {"generator": None})
    with Fitted.written(run_folder / "fit") as fitted:
        fitted.write(FitSummary(generator=None, steps=0, steps_done=0, trains=False), [])


def fit_worker(plan: dict[str, JsonValue], prepared: str, state: str) -> None:
    """Fits in this process (or in every process of a torch process group); rank 0 writes <state>/result.

    plan: `FitPlan.to_json()`, with a generator; prepared, state: folders. JSON-able, for another process.
    """
    import torch.distributed as dist

    settings = FitPlan.from_json(plan)
    generator, representation = settings.generator, settings.representation
    if generator is None or representation is None:
        raise UserError(f"run {settings.run!r} has no generator, so there is nothing to fit")
    folder = Path(state)
    data, ranked = load_train(Prepared.open(Path(prepared)), settings), None
    if generator.intensity == "ranked":
        data, ranked = with_ranked_intensity(data, generator.neutral)
    model: Generator = generator_class(generator.name)(data.spec, data.classes, **generator.params)
    curve = folder / "loss.jsonl"
    stopping = stopping_of(generator, data.groups, data.emotions, settings.seed)
    reports = _reports(model, data, stopping, settings, folder / "checkpoints")
    losses, seconds = _curve(generator, reports, curve, model.trains)
    if dist.is_available() and dist.is_initialized() and dist.get_rank() != 0:
        return
    rows = _merge_curve(curve, losses)
    scores = [(int(row["step"]), row["monitor"]) for row in rows if "monitor" in row]
    done = int(rows[-1]["step"]) if rows else 0
    why = ended(generator, stopping, scores, done) if model.trains else None
    if why is not None:
        progress(f"fit: ended {why}")
    write_json(folder / TOOK, {"steps": done, "seconds": seconds})
    with atomic_folder(folder / "result") as result:
        model.save(result / "model")
        keep_given(result / "model", data)
        seal_model(
            result / "model",
            {
                "generator": generator.name,
                "params": generator.params,
                "representation": representation.model_dump(mode="json"),
                "classes": list(data.classes),
                "refuses": refused(model),
                **({"given": own} if (own := generator.model_dump(mode="json").get("given")) else {}),
                **({"turns": turns} if (turns := turns_of(model)) else {}),
            },
        )
        summary = FitSummary(
            generator=generator.name,
            params=generator.params,
            steps=generator.steps,
            steps_done=done,
            ended=why,
            n_train=int((~data.held_out).sum()),
            n_held_out=int(data.held_out.sum()),
            intensity=ranked,
            trains=bool(model.trains),
        )
        Fitted(result / "fit").write(summary, rows)


def _reports(
    model: Generator, data: TrainData, stopping: Stopping, plan: FitPlan, checkpoints: Path
) -> Iterator[Progress]:
    """The fit itself, as it goes on."""
    assert plan.generator is not None
    params, device = plan.generator, plan.compute.place()
    return model.fit(
        data,
        steps=params.steps,
        seed=derive_seed("fit", plan.seed),
        device=device,
        checkpoints=checkpoints,
        checkpoint_every=params.checkpoint_every,
        monitor=held_out_score(model, data, device, plan.seed) if stopping.every else None,
        monitor_every=stopping.every,
        patience=params.early_stop.patience,
    )


def _curve(params: GeneratorParams, reports: Iterator[Progress], kept: Path, trains: bool) -> tuple[list[Row], float]:
    """Runs the fit to its end; -> its curve, and the seconds that its steps took, over interruptions. `kept`: where the
    curve lies beside the checkpoints. Raises `UserError` where a loss is no finite number."""
    losses: list[Row] = []
    seconds = 0.0
    pace = Pace("fit", "steps", params.steps, every_s=TELL_EVERY_S)
    for report in reports:
        row: Row = {"step": report.step, **{k: float(v) for k, v in report.losses.items()}}
        if not all(np.isfinite(list(row.values()))):
            raise UserError(
                f"the loss of {params.name!r} is not finite at step {report.step} ({row}); "
                "lower its learning rate or look for bad values in the corpus"
            )
        losses.append(row)
        seconds = report.seconds
        if report.step % params.checkpoint_every == 0:
            _merge_curve(kept, losses)
        shown = ", ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "step")
        pace.add(report.step - pace.done, shown, seconds=report.seconds)
    if trains:
        pace.end()
    return losses, seconds


def load_train(prepared: Prepared, plan: FitPlan) -> TrainData:
    """The train split as memory-mapped arrays with their labels. Raises `UserError` where the plan has no
    representation, or too few groups to hold some out."""
    if plan.representation is None:
        raise UserError(f"run {plan.run!r} has no representation, so there are no arrays to learn from")
    ids = prepared.encoded_ids()
    given = {} if plan.generator is None else plan.generator.given
    columns = dict.fromkeys(["sample_id", "emotion", "subject_id", "group_id", *RATED, *(NEEDED if given else ())])
    by_id = {row["sample_id"]: row for row in prepared.index().select(list(columns)).to_pylist()}
    rows = [by_id[i] for i in ids]
    groups = tuple(r["group_id"] for r in rows)
    emotions = tuple(r["emotion"] for r in rows)
    nobody = np.zeros(len(rows), bool)
    held = nobody if plan.generator is None else stopping_of(plan.generator, groups, emotions, plan.seed).held_out
    spec = _spec_of(plan.representation)
    return TrainData(
        spec=spec,
        classes=prepared.summary().classes,
        arrays=prepared.arrays(),
        emotions=emotions,
        ids=tuple(ids),
        groups=groups,
        subjects=tuple(r["subject_id"] for r in rows),
        held_out=held,
        ratings={
            name: np.array([np.nan if r[name] is None else r[name] for r in rows], dtype=np.float64) for name in RATED
        },
        vectors=given_vectors(given, rows, texts_of(prepared)),
        payloads=_payloads_of(prepared) if spec.layout == "payload" else None,
    )


def _payloads_of(prepared: Prepared) -> Callable[[Sequence[str]], Iterator[tuple[str, Payload]]]:
    """Reads payloads of prepared samples, in the order of the shards."""

    def read(ids: Sequence[str]) -> Iterator[tuple[str, Payload]]:
        wanted, index = set(ids), prepared.index()
        own = index.filter(pa.array([i in wanted for i in index.column("sample_id").to_pylist()], pa.bool_()))
        for row, data in iter_payloads(prepared.path, own):
            signals = tuple(Signal.from_row(signal) for signal in row["signals"] or ())
            yield row["sample_id"], Payload(data, row["codec"], signals, row["duration_s"])

    return read


def texts_of(prepared: Prepared) -> Callable[[Sequence[str]], dict[str, str]]:
    """Reads what prepared lines say: ids -> id -> text."""

    def read(ids: Sequence[str]) -> dict[str, str]:
        return {sample_id: decode_text(payload.data) for sample_id, payload in _payloads_of(prepared)(ids)}

    return read


def _spec_of(representation: RepresentationParams) -> Spec:
    return make_representation(representation.name, representation.params).spec


def _merge_curve(path: Path, new: list[Row]) -> list[Row]:
    """A resumed fit reports its own steps only; what was reported before is kept beside the checkpoints."""
    old = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    first = new[0]["step"] if new else float("inf")
    rows = [r for r in old if r["step"] < first] + new
    write_bytes(path, "".join(json.dumps(r) + "\n" for r in rows).encode())
    return rows

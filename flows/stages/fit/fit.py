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
from corpora.schema import Payload, Signal
from corpora.store.atomic import atomic_folder, write_bytes
from corpora.store.shards import iter_payloads
from features.representation import Spec, make_representation
from flows.artifacts.fitted import FitSummary, Fitted
from flows.artifacts.prepared import Prepared
from flows.engine.executor import Resources
from flows.engine.progress import Pace
from flows.given import NEEDED, given_vectors
from flows.params import GeneratorParams, Machine, RepresentationParams
from flows.paths import Layout
from flows.stages.fit.given_file import keep_given
from flows.stages.fit.model_file import seal_model
from flows.stages.fit.monitor import held_out_distance
from flows.stages.fit.ranked import with_ranked_intensity
from flows.stages.plan.plans import FitPlan
from flows.stages.plan.weights import require_loaded
from generators.generator import (
    RATED,
    Generator,
    Progress,
    TrainData,
    generator_class,
    refused,
    source_class,
    turns_of,
)
from training.seeds import derive_seed

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
    losses = _curve(generator, _reports(model, data, generator, settings, folder / "checkpoints"), curve, model.trains)
    if dist.is_available() and dist.is_initialized() and dist.get_rank() != 0:
        return
    rows = _merge_curve(curve, losses)
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
            steps_done=int(rows[-1]["step"]) if rows else 0,
            n_train=int((~data.held_out).sum()),
            n_held_out=int(data.held_out.sum()),
            intensity=ranked,
            trains=bool(model.trains),
        )
        Fitted(result / "fit").write(summary, rows)


def _reports(
    model: Generator, data: TrainData, params: GeneratorParams, plan: FitPlan, checkpoints: Path
) -> Iterator[Progress]:
    """The fit itself, as it goes on."""
    stop, device = params.early_stop, plan.compute.place()
    of = source_class(model, params.params)
    return model.fit(
        data,
        steps=params.steps,
        seed=derive_seed("fit", plan.seed),
        device=device,
        checkpoints=checkpoints,
        checkpoint_every=params.checkpoint_every,
        monitor=held_out_distance(data, device, plan.seed, of) if stop.every and model.trains else None,
        monitor_every=stop.every,
        patience=stop.patience,
    )


def _curve(params: GeneratorParams, reports: Iterator[Progress], kept: Path, trains: bool) -> list[Row]:
    """Runs the fit to its end; -> its curve. `kept`: where the curve lies beside the checkpoints. Raises `UserError`
    where a loss is no finite number."""
    losses: list[Row] = []
    pace = Pace("fit", "steps", params.steps, every_s=TELL_EVERY_S)
    for report in reports:
        row: Row = {"step": report.step, **{k: float(v) for k, v in report.losses.items()}}
        if not all(np.isfinite(list(row.values()))):
            raise UserError(
                f"the loss of {params.name!r} is not finite at step {report.step} ({row}); "
                "lower its learning rate or look for bad values in the corpus"
            )
        losses.append(row)
        if report.step % params.checkpoint_every == 0:
            _merge_curve(kept, losses)
        shown = ", ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "step")
        pace.add(report.step - pace.done, shown, seconds=report.seconds)
    if trains:
        pace.end()
    return losses


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
    stop = plan.generator.early_stop if plan.generator is not None else None
    held = held_out_groups(groups, stop.share, plan.seed) if stop is not None and stop.every else frozenset()
    spec = _spec_of(plan.representation)
    return TrainData(
        spec=spec,
        classes=prepared.summary().classes,
        arrays=prepared.arrays(),
        emotions=tuple(r["emotion"] for r in rows),
        ids=tuple(ids),
        groups=groups,
        subjects=tuple(r["subject_id"] for r in rows),
        held_out=np.array([g in held for g in groups], dtype=bool),
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


def held_out_groups(groups: tuple[str, ...], share: float, seed: int) -> frozenset[str]:
    """At least one group and never all; the same for the same seed."""
    unique = sorted(set(groups))
    if len(unique) < 3:
        raise UserError(
            f"early stopping needs at least 3 train groups to hold some out; there are {len(unique)}. "
            "Set generator.early_stop.every to 0."
        )
    n = min(max(1, round(share * len(unique))), len(unique) - 2)
    chosen = np.random.default_rng(derive_seed("held-out", seed)).choice(len(unique), n, replace=False)
    return frozenset(unique[i] for i in chosen)


def _merge_curve(path: Path, new: list[Row]) -> list[Row]:
    """A resumed fit reports its own steps only; what was reported before is kept beside the checkpoints."""
    old = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    first = new[0]["step"] if new else float("inf")
    rows = [r for r in old if r["step"] < first] + new
    write_bytes(path, "".join(json.dumps(r) + "\n" for r in rows).encode())
    return rows

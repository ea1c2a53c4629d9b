"""The stage `fit`: the generator learns from the train split, and from nothing else.

Writes data/runs/<run>/model (the generator's own files and emoforge.json, which says how to load it), and beside it
fit/loss.csv and fit/fit.json. A killed fit goes on from its last checkpoint in the scratch folder.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import UserError
from corpora.fingerprint import hash_folder, hash_json
from corpora.schema import SAMPLES
from corpora.store.atomic import atomic_folder, write_bytes, write_json
from corpora.store.shards import read_table
from features.representation import make_representation
from flows.engine.executor import Resources
from flows.engine.progress import Pace
from flows.params import Machine
from flows.paths import Layout
from flows.records import ARRAYS
from flows.stages.fit.model_file import seal_model
from flows.stages.fit.monitor import held_out_distance
from flows.stages.plan.plan import Plan
from flows.stages.plan.weights import require_loaded
from generators.generator import RATED, Device, Generator, TrainData, generator_class
from training.seeds import derive_seed

TELL_EVERY_S = 30.0  # a fit takes hours, and its curve is in loss.csv


def run(plan: Plan, layout: Layout, machine: Machine) -> None:
    """Raises `ParamsError` (a parameter that the generator does not have), `UserError` (data it cannot learn from)."""
    if plan.params["generator"] is None:
        _nothing_to_fit(layout.run(plan.run))
        return
    require_loaded(plan.params["loads"])
    prepared = layout.run(plan.run) / "prepared"
    # what a checkpoint belongs to: everything that the stage depends on
    state = layout.scratch / "fits" / hash_json([plan.key, hash_folder(prepared)])[:40]
    workers = int(plan.numerics["ddp_world_size"])
    arguments: dict[str, Any] = {
        "plan": {f: getattr(plan, f) for f in plan.__slots__},
        "prepared": str(prepared),
        "state": str(state),
    }
    if workers > 1:
        from flows.engine.train import fit_in_group

        needs = Resources(
            actors=workers,
            threads=int(plan.numerics["fit_threads"]),
            device=plan.numerics["device"],
            address=machine.ray_address,
        )
        fit_in_group("flows.stages.fit.fit:fit_worker", arguments, needs, machine.patience())
    else:
        fit_worker(**arguments)
    result = state / "result"
    run_folder = layout.run(plan.run)
    with atomic_folder(run_folder / "model") as folder:
        shutil.copytree(result / "model", folder, dirs_exist_ok=True)
    with atomic_folder(run_folder / "fit") as folder:
        for name in ("loss.csv", "fit.json"):
            shutil.copy(result / name, folder / name)


def _nothing_to_fit(run_folder: Path) -> None:
    """The outs of a run without a generator, which say so."""
    with atomic_folder(run_folder / "model") as folder:
        seal_model(folder, {"generator": None})
    with atomic_folder(run_folder / "fit") as folder:
        write_json(folder / "fit.json", {"generator": None, "steps": 0, "steps_done": 0, "trains": False})
        write_bytes(folder / "loss.csv", _csv([]))


def fit_worker(plan: dict[str, Any], prepared: str, state: str) -> None:
    """Fits in this process (or in every process of a torch process group); rank 0 writes <state>/result."""
    import torch.distributed as dist

    settings = Plan(**plan)
    folder = Path(state)
    params = settings.params["generator"]
    data = load_train(Path(prepared), settings)
    model: Generator = generator_class(params["name"])(data.spec, data.classes, **params["params"])
    numerics = settings.numerics
    device = Device(numerics["device"], numerics["dtype"], numerics["compile"])
    stop = params["early_stop"]
    monitor = held_out_distance(data, device, settings.params["seed"]) if stop["every"] and model.trains else None
    losses: list[dict[str, float]] = []
    curve = folder / "loss.jsonl"
    pace = Pace("fit", "steps", params["steps"], every_s=TELL_EVERY_S)
    for report in model.fit(
        data,
        steps=params["steps"],
        seed=derive_seed("fit", settings.params["seed"]),
        device=device,
        checkpoints=folder / "checkpoints",
        checkpoint_every=params["checkpoint_every"],
        monitor=monitor,
        monitor_every=stop["every"],
        patience=stop["patience"],
    ):
        row = {"step": report.step, **{k: float(v) for k, v in report.losses.items()}}
        if not all(np.isfinite(list(row.values()))):
            raise UserError(
                f"the loss of {params['name']!r} is not finite at step {report.step} ({row}); "
                "lower its learning rate or look for bad values in the corpus"
            )
        losses.append(row)
        if report.step % params["checkpoint_every"] == 0:
            _merge_curve(curve, losses)
        shown = ", ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "step")
        pace.add(report.step - pace.done, shown, seconds=report.seconds)
    if model.trains:
        pace.end()
    if dist.is_available() and dist.is_initialized() and dist.get_rank() != 0:
        return
    rows = _merge_curve(curve, losses)
    with atomic_folder(folder / "result") as result:
        model.save(result / "model")
        seal_model(
            result / "model",
            {
                "generator": params["name"],
                "params": params["params"],
                "representation": settings.params["representation"],
                "classes": list(data.classes),
            },
        )
        write_bytes(result / "loss.csv", _csv(rows))
        write_json(
            result / "fit.json",
            {
                "generator": params["name"],
                "params": params["params"],
                "steps": params["steps"],
                "steps_done": rows[-1]["step"] if rows else 0,
                "n_train": int((~data.held_out).sum()),
                "n_held_out": int(data.held_out.sum()),
                "trains": bool(model.trains),
            },
        )


def load_train(prepared: Path, plan: Plan) -> TrainData:
    """The train split as memory-mapped arrays with their labels."""
    summary = json.loads((prepared / "summary.json").read_text(encoding="utf-8"))
    representation = plan.params["representation"]
    spec = make_representation(representation["name"], {k: v for k, v in representation.items() if k != "name"}).spec
    arrays = np.load(prepared / "arrays.npy", mmap_mode="r", allow_pickle=False)
    ids = read_table(prepared / "arrays.parquet", ARRAYS).column("sample_id").to_pylist()
    columns = ["sample_id", "emotion", "subject_id", "group_id", *RATED]
    table = read_table(prepared / "index.parquet", SAMPLES).select(columns).to_pylist()
    by_id = {row["sample_id"]: row for row in table}
    rows = [by_id[i] for i in ids]
    groups = tuple(r["group_id"] for r in rows)
    stop = plan.params["generator"].get("early_stop", {"every": 0})
    held = held_out_groups(groups, stop["share"], plan.params["seed"]) if stop["every"] else frozenset()
    return TrainData(
        spec=spec,
        classes=tuple(summary["classes"]),
        arrays=arrays,
        emotions=tuple(r["emotion"] for r in rows),
        ids=tuple(ids),
        groups=groups,
        subjects=tuple(r["subject_id"] for r in rows),
        held_out=np.array([g in held for g in groups], dtype=bool),
        ratings={
            name: np.array([np.nan if r[name] is None else r[name] for r in rows], dtype=np.float64) for name in RATED
        },
    )


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


def _merge_curve(path: Path, new: list[dict[str, float]]) -> list[dict[str, float]]:
    """A resumed fit reports its own steps only; what was reported before is kept beside the checkpoints."""
    old = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    first = new[0]["step"] if new else float("inf")
    rows = [r for r in old if r["step"] < first] + new
    write_bytes(path, "".join(json.dumps(r) + "\n" for r in rows).encode())
    return rows


def _csv(rows: list[dict[str, float]]) -> bytes:
    import io

    names = list(dict.fromkeys(k for r in rows for k in r)) or ["step"]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: (v if k == "step" else f"{v:.6g}") for k, v in r.items()} for r in rows)
    return out.getvalue().encode()

"""Functions that the workers of a process group run in the tests of flows/engine/train.py."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import PayloadError
from features.representation import Spec
from generators.generator import Device, TrainData, generator_class


def toy_data() -> TrainData:
    """24 images of 8 x 8 in two classes that differ in brightness."""
    rng = np.random.default_rng(5)
    emotions = tuple(("anger", "neutral")[i % 2] for i in range(24))
    base = np.array([0.5 if e == "anger" else -0.5 for e in emotions], np.float32)
    arrays = np.clip(base[:, None, None, None] + 0.2 * rng.normal(size=(24, 1, 8, 8)), -1, 1).astype(np.float32)
    return TrainData(
        spec=Spec("pixels", (1, 8, 8), bounds=(-1.0, 1.0)),
        classes=("anger", "neutral"),
        arrays=arrays,
        emotions=emotions,
        ids=tuple(f"toy/{i}" for i in range(24)),
        groups=tuple(f"toy:{i}" for i in range(24)),
        subjects=(None,) * 24,
        held_out=np.zeros(24, bool),
    )


def fit_toy(folder: str, kill_at: int = 0) -> None:
    """Fits a small CVAE; each rank writes its losses, rank 0 the model. kill_at: rank 1 is killed there, once."""
    import torch
    import torch.distributed as dist

    rank, out = dist.get_rank(), Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    data = toy_data()
    model = generator_class("cvae")(data.spec, data.classes, width=8, latent=4, batch_size=8)
    losses = []
    for report in model.fit(
        data, steps=12, seed=3, device=Device(), checkpoints=out / "checkpoints", checkpoint_every=4
    ):
        losses.append([report.step, dict(report.losses)])
        if report.step == kill_at and rank == 1 and not (out / "killed").exists():
            (out / "killed").touch()
            os.kill(os.getpid(), 9)
    (out / f"rank-{rank}.json").write_text(
        json.dumps(
            {
                "losses": losses,
                "world": dist.get_world_size(),
                "threads": torch.get_num_threads(),
                "waits": os.environ.get("OMP_WAIT_POLICY"),
            }
        )
    )
    if rank == 0:
        model.save(out / "model")


def fit_twice(folder: str) -> None:
    fit_toy(f"{folder}/a")
    fit_toy(f"{folder}/b")


def fail_on_one(folder: str) -> None:
    """Rank 1 raises while rank 0 waits for it."""
    import torch.distributed as dist

    if dist.get_rank() == 1:
        with (Path(folder) / "calls").open("a") as file:
            file.write("x")
        raise PayloadError("too-short", "12 samples")
    dist.barrier()


def die(folder: str) -> None:
    os.kill(os.getpid(), 9)


def wait_long(folder: str) -> None:
    sys.stdout.write("waits\n")
    sys.stdout.flush()
    time.sleep(120)


def registered() -> list[str]:
    """Every generator that trains from arrays alone; what starts from weights that params name has the same loop."""
    from tests.generators.tiny import KINDS, LINES, TRAINED

    return [*TRAINED, *(name for name in LINES if KINDS[name].trains and name not in TRAINED)]


def registered_case(name: str) -> tuple[Any, TrainData]:
    """A new, tiny one and its train data."""
    from tests.generators.language.grammar import toy_lines
    from tests.generators.tiny import KINDS, TINY
    from tests.generators.toy import IMAGES, SPEECH, toy_data

    kind = KINDS[name]
    array = SPEECH if "rows" in kind.layouts else IMAGES
    data = toy_lines(48) if "tokens" in kind.layouts else toy_data(array, n=48)
    return kind(data.spec, data.classes, **TINY[name].params), data


def fit_registered(folder: str, names: list[str], cut: bool = False, kill: Sequence[str] = ()) -> None:
    """Fits each for a few steps; each rank writes its losses and a digest of its weights. cut: each fit is broken off
    after a checkpoint and begun again; kill: in those, once, rank 1 is killed there."""
    import torch.distributed as dist

    rank = dist.get_rank()
    for name in names:
        out = Path(folder) / name
        out.mkdir(parents=True, exist_ok=True)
        options = {"steps": 6, "seed": 3, "device": Device(), "checkpoints": out / "checkpoints", "checkpoint_every": 2}
        if cut:
            model, data = registered_case(name)
            for report in model.fit(data, **options):
                if report.step == 5:
                    if name in kill and rank == 1 and not (out / "killed").exists():
                        (out / "killed").touch()
                        os.kill(os.getpid(), 9)
                    break
        model, data = registered_case(name)
        losses = [[report.step, dict(report.losses)] for report in model.fit(data, **options)]
        digest = hashlib.sha256()
        for key, tensor in sorted(model.network.state_dict().items()):
            digest.update(key.encode() + tensor.numpy().tobytes())
        written = {"losses": losses, "weights": digest.hexdigest(), "world": dist.get_world_size()}
        (out / f"rank-{rank}.json").write_text(json.dumps(written))

"""One fit in several processes: a torch process group whose workers Ray Train starts, watches and places.

A function "module:function" runs in each worker of an initialised group (gloo on CPU, nccl on GPUs). What it computes
together is torch.distributed's business (training/ddp.py); what it keeps it writes itself, rank 0 alone, atomically.
The number of workers is part of `numerics`: it changes the order of sums, hence bytes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import corpora.quiet  # noqa: F401  (first in every worker)
from corpora.errors import EmoforgeError, ResourceError
from flows.engine.cluster import connected, places, term_interrupts
from flows.engine.executor import Patience, Resources
from flows.engine.worker import describe_error, environment, load_object, rebuild_error, set_torch_threads

log = logging.getLogger(__name__)

GROUP_TIMEOUT_S = 1800  # of one collective: the slowest step, or a monitor that only rank 0 computes


class WorkerLostError(EmoforgeError):
    """Workers of a group died as often as they were tried; what was checkpointed is kept."""


class _FitError(Exception):
    """Carries a worker's exception as JSON: many cannot be unpickled, and none should be."""


def fit_in_group(fit: str, kwargs: Mapping[str, Any], resources: Resources, patience: Patience | None = None) -> None:
    """Runs `fit` ("module:function") with `kwargs` (JSON-able) in `resources.actors` workers of one process group.

    device "cuda": one GPU a worker, made current before `fit` runs. Paths in kwargs must mean the same folder on every
    node. Only rank 0's output is shown. If a worker dies, all are started again, and `fit` goes on from its own
    checkpoints. Raises what a worker raised (of its own type where possible, the lowest rank's), `WorkerLostError`
    after `patience.attempts` groups, `ResourceError` where the cluster does not answer or has no place for the group.
    """
    world_size, attempts = resources.actors, (patience or Patience()).attempts
    if world_size < 1:
        raise ValueError(f"a group has at least one worker, not {world_size}")
    env = {**environment(resources.threads), "RAY_COLOR_PREFIX": "0"}
    with ExitStack() as stack:
        connection = stack.enter_context(connected(resources.address, cpus=world_size, env=env, show_output=True))
        cpus = 1 if connection.local else resources.threads
        free = places(connection.ray.nodes(), cpus, resources.gpus, None)
        if free < world_size:
            raise ResourceError(
                f"numerics.ddp_world_size asks for {world_size} workers with {cpus} CPU and {resources.gpus:g} GPU "
                f"each; the cluster has place for {free}. Ask for fewer (this changes the result), or use a larger "
                "cluster."
            )
        storage = stack.enter_context(tempfile.TemporaryDirectory(prefix="emoforge-train-"))
        config = {"fit": fit, "kwargs": dict(kwargs), "device": resources.device, "threads": resources.threads}
        for attempt in range(1, attempts + 1):
            lost = _attempt(config, world_size, cpus, resources.gpus, {} if connection.local else env, storage)
            if lost is None:
                return
            log.warning("a worker of the fit was lost (attempt %d of %d): %s", attempt, attempts, lost)
        raise WorkerLostError(
            f"the fit {fit} lost a worker {attempts} times (last: {lost}). Look for too little memory; run the "
            "same command again to go on from the last checkpoint, or set numerics.ddp_world_size to 1."
        )


def _attempt(
    config: dict[str, Any], world_size: int, cpus: int, gpus: float, env: dict[str, str], storage: str
) -> str | None:
    """One group. -> None, or why a worker was lost. Raises the error that a worker raised."""
    import ray.train
    from ray.train import ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig

    run_config: Any = ray.train.RunConfig  # typed as the first version's, which has no worker_runtime_env

    resources = {"CPU": float(cpus), **({"GPU": gpus} if gpus else {})}
    trainer = _trainer_class()(
        _run_in_worker,
        train_loop_config=config,
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo", timeout_s=GROUP_TIMEOUT_S),
        scaling_config=ScalingConfig(num_workers=world_size, use_gpu=bool(gpus), resources_per_worker=resources),
        run_config=run_config(name="fit", storage_path=storage, worker_runtime_env={"env_vars": env} if env else None),
    )
    try:
        with term_interrupts():
            trainer.fit()
    except TrainingFailedError as error:
        failures: Mapping[int, BaseException] = getattr(error, "worker_failures", {})
        for rank in sorted(failures):
            described = json.loads(str(failures[rank])) if isinstance(failures[rank], _FitError) else None
            if described is not None and not described["peer_lost"]:
                raised = rebuild_error(described)
                raised.add_note(f"Worker of rank {rank} of {world_size}")
                raise raised from None
        return str(error).strip()[:1000]
    return None


def _trainer_class() -> Any:
    from ray.train.torch import TorchTrainer

    class Trainer(TorchTrainer):
        """Leaves SIGINT alone: Ray Train's handler ends the process with code 0, as if the fit were done."""

        def _register_sigint_handler(self, controller: Any) -> None:
            return

    return Trainer


def _run_in_worker(config: dict[str, Any]) -> None:
    import torch
    import torch.distributed as dist

    set_torch_threads(config["threads"])
    if config["device"].startswith("cuda"):
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())
    try:
        with _silent(dist.get_rank() != 0):
            load_object(config["fit"])(**config["kwargs"])
    except Exception as error:  # noqa: BLE001  (raised again in the driver's process)
        raise _FitError(json.dumps({**describe_error(error), "peer_lost": _tells_of_a_peer(error)})) from None


def _tells_of_a_peer(error: Exception) -> bool:
    """Whether this worker only noticed that another one is gone. gloo tells so in a plain RuntimeError."""
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


@contextmanager
def _silent(really: bool) -> Iterator[None]:
    if not really:
        yield
        return
    with Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        yield
    sys.stdout.flush()

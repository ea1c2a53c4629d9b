"""What the loop needs of torch.distributed; with one process every function is the identity.

Gradients are averaged by one all-reduce of the flattened gradient, not through DistributedDataParallel: the module
keeps its names and its state, and a state written by any number of workers has one form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist


def active() -> bool:
    """Whether this process is one of several ranks of an open process group."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """This process' rank, from 0; 0 where it is alone."""
    return dist.get_rank() if active() else 0


def world_size() -> int:
    """Number of ranks; 1 where the process is alone."""
    return dist.get_world_size() if active() else 1


def wait() -> None:
    """Returns once every rank is here; at once where the process is alone."""
    if active():
        dist.barrier()


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


@torch.no_grad()
def average_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Every rank's gradient becomes the mean over ranks. parameters: the same on every rank; one that only some of
    them have a gradient for (its class is in their share of the batch alone) counts 0 on the others."""
    if not active():
        return
    there = torch.tensor([float(p.grad is not None) for p in parameters], device=_device())
    dist.all_reduce(there)
    for parameter, count in zip(parameters, there.tolist(), strict=True):
        if count and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def average(values: torch.Tensor) -> torch.Tensor:
    """Mean over ranks."""
    if active():
        values = values.clone()
        dist.all_reduce(values)
        values /= world_size()
    return values


def from_first(measure: Callable[[], float]) -> float:
    """The number that rank 0 measures, on every rank; the others do not measure."""
    if not active():
        return float(measure())
    value = torch.zeros((), dtype=torch.float64, device=_device())
    if rank() == 0:
        value.fill_(float(measure()))
    dist.broadcast(value, 0)
    return float(value)


def broadcast_json(value: Any) -> Any:
    """Rank 0's value on every rank."""
    if not active():
        return value
    text = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8).to(_device())
    size = torch.tensor(text.numel(), device=_device())
    dist.broadcast(size, 0)
    payload = text if rank() == 0 else torch.empty(int(size), dtype=torch.uint8, device=_device())
    dist.broadcast(payload, 0)
    return json.loads(bytes(payload.cpu().tolist()))


@torch.no_grad()
def broadcast_tensors(tensors: Mapping[str, torch.Tensor]) -> None:
    """Rank 0's values, in place, on every rank."""
    if active():
        for tensor in tensors.values():
            moved = tensor.detach().to(_device())
            dist.broadcast(moved, 0)
            tensor.copy_(moved)

"""Where tensors live and in which precision they are multiplied."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from corpora.errors import ParamsError, ResourceError

DTYPES = ("float32", "bfloat16")


def resolve_device(kind: str) -> torch.device:
    """ "cpu" | "cuda" | "cuda:1" -> device. Raises `ResourceError` where the accelerator is not there."""
    try:
        device = torch.device(kind)
    except RuntimeError as error:
        raise ParamsError(f"numerics.device {kind!r} is not a device; use cpu, cuda or cuda:<index>") from error
    if device.type not in ("cpu", "cuda"):
        raise ParamsError(f"numerics.device {kind!r} is not supported; use cpu, cuda or cuda:<index>")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ResourceError(
                f"numerics.device is {kind!r}, but torch {torch.__version__} sees {count} CUDA device(s); "
                "set numerics.device to cpu or install a CUDA build of torch on a machine with a GPU"
            )
    return device


def autocast(device: torch.device, dtype: str) -> AbstractContextManager[Any]:
    """Mixed precision for "bfloat16", nothing for "float32"; weights stay float32 in both."""
    if dtype not in DTYPES:
        raise ParamsError(f"numerics.dtype {dtype!r} is not supported; use one of {', '.join(DTYPES)}")
    if dtype == "float32":
        return nullcontext()
    return torch.autocast(device_type=device.type, dtype=torch.bfloat16)


def compiled(module: torch.nn.Module, on: bool) -> Any:
    """`torch.compile(module)` where asked for. The returned callable shares weights with `module`, whose names stay."""
    return torch.compile(module) if on else module

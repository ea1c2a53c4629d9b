"""Weights in torch's own files: tensors alone are read, and no code in them is run."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from corpora.errors import UserError
from features.pretrained.packages import Packaged


def filled(network: nn.Module, encoder: Packaged, part: str, *, beside: frozenset[str] = frozenset()) -> Any:
    """`network` in eval mode with the tensors under `part` of the encoder's first file; `beside`: names of tensors of
    the file that it has no place for.

    Raises `UserError`: not installed, no file of tensors, other tensors than those of the network.
    """
    encoder.require()
    try:
        tensors = torch.load(encoder.paths()[0], map_location="cpu", weights_only=True)[part]
        network.load_state_dict({name: tensor for name, tensor in tensors.items() if name not in beside})
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError, EOFError, UnpicklingError) as error:
        raise UserError(f"{encoder.title()}: its file holds no such network ({error}); install it again") from error
    return network.eval()

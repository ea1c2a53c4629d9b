"""The spaces that a denoiser may run in, and what the diffusion asks of them: never which one it is.

`patches.Patches` and `generators.vectors.Columns` rearrange and scale; `latent.OwnLatent` is trained together with the
denoiser; `latent.PretrainedLatent` stays as it came.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from generators.autoencoders.networks import VaeNetwork
from generators.condition import Conditions


class Space(Protocol):
    """[B, C, H, W] normalised arrays <-> [B, channels, *grid] of mean 0 and spread 1 over train.

    keeps: folding is costly, and after the phase of its `autoencoder` nothing changes what comes of it, so that train
    is folded once, when the denoiser first needs it; else it is folded batch by batch, and `fit` is called first.
    """

    channels: int
    grid: tuple[int, int]
    keeps: bool

    @property
    def autoencoder(self) -> VaeNetwork | None:
        """What a phase of its own has to train before the denoiser; None where there is nothing to train."""
        ...

    def take_autoencoder(self, trained: nn.Module) -> None:
        """Puts a trained (averaged) one in its place. Called only where there is one."""
        ...

    def bands(self) -> torch.Tensor | None:
        """[channels] spread of each channel over train, of mean 1, by which errors may be weighed; None where channels
        have no units that would say which counts more. Known once it was fitted."""
        ...

    def fit(self, x: torch.Tensor, conditions: Conditions) -> None:
        """Mean and spread of each channel over train arrays x [N, C, H, W]."""
        ...

    def fold(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, C, H, W] and the conditions under which they stand -> [B, channels, *grid]."""
        ...

    def unfold(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, channels, *grid] -> [B, C, H, W]."""
        ...


class Rearranged(nn.Module):
    """Base of the spaces without anything to train. Subclasses bring what `Space` has beside this, and fold alike under
    all conditions."""

    std: torch.Tensor  # [channels, 1, 1]
    keeps: bool = False

    @property
    def autoencoder(self) -> VaeNetwork | None:
        """Nothing is trained."""
        return None

    def take_autoencoder(self, trained: nn.Module) -> None:
        """Never called."""
        raise TypeError(f"{type(self).__name__} has no autoencoder")

    def bands(self) -> torch.Tensor | None:
        """Spread of each channel, of mean 1."""
        return self.std.flatten() / self.std.mean()

"""The terms of a variational autoencoder's loss: likelihood of the reconstruction, KL of the code, its schedule."""

from __future__ import annotations

import torch

from features.representation import Spec
from generators.autoencoders.params import ElboParams

VARIANCE_FLOOR = 0.01  # normalised units squared; an easy row (the mask) must not own the loss


def residual_nats(x: torch.Tensor, rebuilt: torch.Tensor, spec: Spec) -> torch.Tensor:
    """[B, C, H, W] twice -> scalar: -log likelihood of a sample in nats (without constants) under the best variance of
    each row (rows and columns with units of their own) or of all pixels (images); padding does not count. Rybkin et al.
    2021, eq. 9."""
    squares = (x - rebuilt).square()
    if spec.layout == "image":
        n = squares[0].numel()
        return 0.5 * n * torch.log(squares.mean() + VARIANCE_FLOOR * 0.1)
    if spec.mask_row is None:
        valid = torch.ones_like(x)
    else:
        row = slice(spec.mask_row, spec.mask_row + 1)
        valid = (x[:, :1, row, :] > 0).expand_as(x).to(x.dtype).clone()
        valid[:, :, row, :] = 1.0  # length is modelled like everything else
    counts = valid.sum(dim=(0, 3))
    variance = (squares * valid).sum(dim=(0, 3)) / counts.clamp(min=1.0)
    return 0.5 * (counts * torch.log(variance + VARIANCE_FLOOR)).sum() / x.shape[0]


def rebuilt_nats(x: torch.Tensor, judged: torch.Tensor, length: torch.Tensor | None, spec: Spec) -> torch.Tensor:
    """`residual_nats` of what was rebuilt of x, and the nats `length` that the code leaves unsaid of how many spans a
    sample has, where padding is cut: columns beyond them are padding for certain, and their error is 0."""
    nats = residual_nats(x, judged, spec)
    return nats if length is None else nats + length


def kl_nats(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) averaged over the batch -> [latent] nats."""
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean(dim=0)


def annealed(params: ElboParams, progress: float) -> float:
    """Weight of the KL term where the share `progress` in [0, 1) of the steps is done: rises from 0 in each cycle over
    its share `kl_warmup`, then stays (Bowman et al. 2016; several cycles: Fu et al. 2019, eq. 6)."""
    if params.kl_warmup <= 0:
        return params.beta
    return params.beta * min(1.0, (progress * params.kl_cycles % 1.0) / params.kl_warmup)


def steady_from(params: ElboParams) -> float:
    """Share of the steps after which `annealed` gives the whole weight, for good."""
    return (params.kl_cycles - 1 + params.kl_warmup) / params.kl_cycles if params.kl_warmup > 0 else 0.0

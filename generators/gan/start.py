"""BAGAN's start (Mariani et al. 2018): generator and critic begin as the halves of an autoencoder, and the latent of
each class is drawn from a Gaussian fitted to its codes.

Here the two are trained as decoder and encoder in place, within the same loop: nothing is copied from one network to
another, and a fit that is interrupted in either part goes on as any other.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from generators.gan.critics import Critic
from generators.gan.networks import GanNetwork
from generators.trained import TrainSet
from training.loop import Minibatch

CHUNK = 256  # samples encoded at once
FLOOR = 1e-4  # added to a class' variances: codes of one sample have none


class Start(nn.Module):
    """Where the start is. `over`: 1 once the Gaussians are fitted; kept with the critic's weights."""

    over: torch.Tensor

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("over", torch.zeros(()))

    def running(self, batch: Minibatch) -> bool:
        """Whether this step is one of the autoencoder."""
        return batch.progress < self.share

    def end(self, network: GanNetwork, critic: Critic, train: TrainSet) -> None:
        """Fits the Gaussians, once."""
        if not bool(self.over):
            fit_latents(network, critic, train)
            self.over.fill_(1.0)


def rebuilding_loss(network: GanNetwork, critic: Critic, train: TrainSet, batch: Minibatch) -> dict[str, torch.Tensor]:
    """Mean squared error of the critic's code, decoded by the generator."""
    x, conditions = train.take(batch.rows)
    error = (x - network.decode(critic.encode(x), conditions)).square().mean()
    return {"loss": error, "rebuilt": error.detach()}


@torch.no_grad()
def fit_latents(network: GanNetwork, critic: Critic, train: TrainSet) -> None:
    """Mean and covariance of the codes of each class' train rows into the network's buffers, covariances shrunk as far
    as so few samples need (Ledoit & Wolf 2004). A class of one sample gets the covariance within all classes."""
    labels = train.conditions["emotion"].argmax(dim=1).cpu().numpy()[train.rows]
    parts = [train.take(train.rows[i : i + CHUNK])[0] for i in range(0, len(train.rows), CHUNK)]
    codes = np.concatenate([critic.encode(part).double().cpu().numpy() for part in parts])
    means, factors = gaussians(codes, labels, len(network.class_mean))
    network.class_mean.copy_(torch.from_numpy(means))
    network.class_factor.copy_(torch.from_numpy(factors))


def gaussians(codes: np.ndarray, labels: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """codes [N, d] and class indices [N], each class at least once -> means [K, d], Cholesky factors [K, d, d]."""
    from sklearn.covariance import ledoit_wolf

    means = np.stack([codes[labels == k].mean(axis=0) for k in range(n_classes)])
    within = codes - means[labels]
    factors = []
    for k in range(n_classes):
        own = within[labels == k]
        covariance, _ = ledoit_wolf(own if len(own) > 1 else within, assume_centered=True)
        factors.append(np.linalg.cholesky(covariance + FLOOR * np.eye(codes.shape[1])))
    return means, np.stack(factors)

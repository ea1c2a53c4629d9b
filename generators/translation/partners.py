"""What each sample of a batch is to become: the conditions of a train sample of another class."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from generators.condition import Conditions
from generators.trained import TrainSet
from generators.translation.params import TranslationParams
from training.ema import Ema
from training.loop import Minibatch, Phase

Loss = Callable[[Minibatch], Mapping[str, torch.Tensor]]


class Partners:
    """Draws, for each sample of a batch, a train sample that gradients may see, of a class that is equally likely to be
    any of the others. `kept`: share of the batch whose partner is of its own class (the label is kept)."""

    def __init__(self, train: TrainSet, kept: float = 0.0) -> None:
        self.train, self.kept = train, kept
        self.labels = train.conditions["emotion"].argmax(dim=1).cpu().numpy()
        self.classes = train.conditions["emotion"].shape[1]
        self.rows = [train.rows[self.labels[train.rows] == k] for k in range(self.classes)]

    def draw(self, batch: Minibatch, among: list[np.ndarray] | None = None) -> np.ndarray:
        """-> [b] int64 rows of the partners. `among`: for each sample, the rows that its partner may be one of (None:
        all that gradients see); where these hold none of the class, the partner is any of them."""
        share = batch.rand(3, len(batch.rows)).cpu().numpy()
        own = self.labels[batch.rows]
        other = (own + 1 + np.floor(share[0] * (self.classes - 1)).astype(np.int64)) % self.classes
        wanted = np.where(share[1] < self.kept, own, other)
        chosen = np.empty(len(own), np.int64)
        for i, k in enumerate(wanted):
            rows = self.rows[k] if among is None else among[i][self.labels[among[i]] == k]
            if not len(rows):
                assert among is not None
                rows = among[i]
            chosen[i] = rows[int(share[2, i] * len(rows))]
        return chosen

    def take(self, batch: Minibatch) -> tuple[torch.Tensor, Conditions, np.ndarray, Conditions]:
        """-> sources [b, C, H, W], the conditions they stand under, rows of their partners, what is asked for."""
        x, own = self.train.take(batch.rows)
        partners = self.draw(batch)
        return x, own, partners, self.conditions(partners, own)

    def conditions(self, partners: np.ndarray, own: Conditions) -> Conditions:
        """Under which the translations of samples under `own` stand: class and ratings of the partners, but the subject
        of the samples themselves, who stay who they are."""
        _, target = self.train.take(partners)
        return {**target, **({"subject": own["subject"]} if "subject" in own else {})}


def stacked(*each: Conditions) -> Conditions:
    """Conditions of several batches, one below the other."""
    return {name: torch.cat([some[name] for some in each]) for name in each[0]}


def varied(x: torch.Tensor, y: torch.Tensor, normal: torch.Tensor, share: float) -> torch.Tensor:
    """Source x, translation y [B, C, H, W] -> x + s (y - x): the strength s of each is uniform in [1 - share, 1 +
    share], by its own standard normal number [B, 1]."""
    turn = 2.0 * torch.special.ndtr(normal) - 1.0
    return x + (1.0 + share * turn)[:, :, None, None] * (y - x)


def players(
    network: nn.Module, loss_g: Loss, critic: nn.Module, loss_d: Loss, params: TranslationParams
) -> list[Phase]:
    """The phases of a translator against its critic."""
    p, betas = params, (0.5, 0.999)
    g = Phase("translator", network, loss_g, p.lr, betas, p.weight_decay, p.clip, ema=Ema(network, p.ema_std))
    d = Phase("critic", critic, loss_d, p.lr_critic, betas, p.weight_decay, p.clip, repeats=p.critic_steps)
    return [g, d]

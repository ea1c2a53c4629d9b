"""Several writers, one for each class, and a critic that names the class of a line or says that a writer wrote it.

After SentiGAN (Wang & Wan 2018, IJCAI): each writer pays for its own lines as far as the critic does not take them for
real ones of its class. The penalty multiplies the probability of each piece that was drawn, not its logarithm: what is
unlikely anyway costs next to nothing, so that a writer need not give up variety to please.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from generators.condition import ConditionFields, Conditions
from generators.language.drawing import drawn
from generators.language.pieces import END, PAD, Pieces
from generators.language.transformer import Cache, PieceTransformer, Size

Caches = list[tuple[torch.Tensor, Cache]]  # of each writer: the rows that it has a share in, and its cache for them
SPAN = 3  # pieces that the critic reads at once


class Experts(nn.Module):
    """A transformer for each class, with the signature of one. A soft label mixes what its writers would say next, in
    its shares; a pure one is written by its own alone."""

    def __init__(self, size: Size, n_classes: int, fields: ConditionFields) -> None:
        super().__init__()
        self.size = size
        self.experts = nn.ModuleList(PieceTransformer(size, n_classes, fields) for _ in range(n_classes))

    def causal(self, ids: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """As of `PieceTransformer`; log probabilities."""
        whole = torch.full((len(ids), ids.shape[1] + 1, self.size.pieces), -torch.inf, device=ids.device)
        for rows, expert, some in self._shared(conditions):
            whole = _mixed(whole, rows, some, expert.causal(ids[rows], _of(conditions, rows)))
        return whole

    def begin(self, conditions: Conditions) -> tuple[torch.Tensor, Caches]:
        """As of `PieceTransformer`; log probabilities."""
        shares, caches = conditions["emotion"], []
        whole = torch.full((len(shares), self.size.pieces), -torch.inf, device=shares.device)
        for rows, expert, some in self._shared(conditions):
            logits, cache = expert.begin(_of(conditions, rows))
            whole = _mixed(whole, rows, some, logits)
            caches.append((rows, cache))
        return whole, caches

    def go_on(
        self, ids: torch.Tensor, conditions: Conditions, caches: Caches, place: int
    ) -> tuple[torch.Tensor, Caches]:
        """As of `PieceTransformer`; log probabilities."""
        whole = torch.full((len(ids), self.size.pieces), -torch.inf, device=ids.device)
        kept: Caches = []
        for (rows, expert, some), (_, cache) in zip(self._shared(conditions), caches, strict=True):
            logits, now = expert.go_on(ids[rows], _of(conditions, rows), cache, place)
            whole = _mixed(whole, rows, some, logits)
            kept.append((rows, now))
        return whole, kept

    def _shared(self, conditions: Conditions) -> list[tuple[torch.Tensor, PieceTransformer, torch.Tensor]]:
        """Of each writer that has a share: the rows [m], itself, and its shares [m]."""
        parts = []
        for k, expert in enumerate(self.experts):
            share = conditions["emotion"][:, k]
            rows = torch.nonzero(share > 0)[:, 0]
            if len(rows):
                assert isinstance(expert, PieceTransformer)
                parts.append((rows, expert, share[rows]))
        return parts


def _of(conditions: Conditions, rows: torch.Tensor) -> Conditions:
    return {name: values[rows] for name, values in conditions.items()}


def _mixed(whole: torch.Tensor, rows: torch.Tensor, share: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Log probabilities [n, ..., pieces] with those of some rows mixed in by their shares [m]."""
    own = F.log_softmax(logits.float(), dim=-1) + share.log().reshape(-1, *(1,) * (logits.dim() - 1))
    return whole.index_copy(0, rows, torch.logaddexp(whole[rows], own))


class LineCritic(nn.Module):
    """Pieces [n, t] (PAD: nothing) -> [n, K + 1] logits: a real line of each class, or one that was written."""

    def __init__(self, pieces: int, n_classes: int, width: int) -> None:
        super().__init__()
        self.pieces = nn.Embedding(pieces, width)
        self.read = nn.Conv1d(width, width, SPAN, padding=SPAN // 2)
        self.answer = nn.Linear(width, n_classes + 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """See the class."""
        inside = (ids != PAD)[:, None]
        h = self.read(self.pieces(ids).transpose(1, 2) * inside)
        h = F.leaky_relu(h, 0.2).masked_fill(~inside, -torch.inf).amax(dim=2)
        out: torch.Tensor = self.answer(h).float()
        return out


@torch.no_grad()
def written(network: Experts | PieceTransformer, conditions: Conditions, chance: torch.Tensor) -> torch.Tensor:
    """Lines as they are learned, no piece made likelier or forbidden. chance: [n, places] uniform -> [n, t] pieces,
    each line with END where it has one and PAD behind it."""
    step: object
    logits, step = network.begin(conditions)
    rows: list[torch.Tensor] = []
    done = torch.zeros(len(chance), dtype=torch.bool, device=logits.device)
    for place in range(chance.shape[1]):
        marks = torch.arange(logits.shape[1], device=logits.device)
        logits = logits.float().masked_fill((marks < Pieces.first) & (marks != END), -torch.inf)
        ids = drawn(logits, chance[:, place], 1.0, 1.0)
        rows.append(ids.masked_fill(done, PAD))
        done = done | (ids == END)
        if bool(done.all()) or place + 1 == chance.shape[1]:
            break
        logits, step = network.go_on(ids, conditions, step, place)  # type: ignore[arg-type]
    return torch.stack(rows, dim=1)


def penalty_loss(
    network: Experts | PieceTransformer, critic: nn.Module, conditions: Conditions, ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lines ids [n, t] that the network has written under conditions -> the objective to be minimised, the mean over
    pieces of their probability times the penalty of their line; and the mean penalty. A penalty is 1 less the
    probability that the critic gives a real line of the class that was asked for. Wang & Wan 2018, eqs. 3 and 4."""
    inside = ids != PAD
    logs = F.log_softmax(network.causal(ids[:, :-1], conditions).float(), dim=-1)
    chance = logs.gather(2, ids[:, :, None])[:, :, 0].exp()
    with torch.no_grad():
        shares = F.softmax(critic(ids), dim=1)[:, : conditions["emotion"].shape[1]]
        penalty = 1.0 - (shares * conditions["emotion"]).sum(dim=1)
    return (chance * penalty[:, None] * inside).sum() / inside.sum(), penalty.mean()


def critic_loss(critic: nn.Module, real: torch.Tensor, classes: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Cross entropy of real lines [n, t] of classes [n] and of written ones [m, t], which are the last answer. Wang &
    Wan 2018, eq. 5."""
    said = critic(real), critic(fake)
    last = torch.full((len(fake),), said[1].shape[1] - 1, device=fake.device)
    return F.cross_entropy(said[0], classes) + F.cross_entropy(said[1], last)

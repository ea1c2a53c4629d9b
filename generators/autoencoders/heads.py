"""Classifiers that read the code, so that it tells the emotion (or who it is), in parts that are kept apart if asked.

Supervised autoencoders: reconstruction and classification on one code. With `split` the emotion and the subject have
dimensions of their own, and `orthogonality` keeps the two uncorrelated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from generators.condition import Conditions

if TYPE_CHECKING:
    from generators.autoencoders.params import HeadParams

CERTAIN = 0.5  # share of one subject above which a row's subject is known


class CodeHeads(nn.Module):
    """Linear classifiers of the code [B, latent]; those whose weight is 0 are not there."""

    def __init__(self, params: HeadParams, n_classes: int, n_subjects: int) -> None:
        super().__init__()
        self.weights = {"emotion": params.emotion_head, "subject": params.subject_head}
        self.orthogonal = params.orthogonal
        self.parts = parts_of(params.latent, params.split)
        self.readers = nn.ModuleDict()
        for name, answers in (("emotion", n_classes), ("subject", n_subjects)):
            if self.weights[name] > 0:
                part = self.parts[name]
                self.readers[name] = nn.Linear(part.stop - part.start, answers)

    def forward(self, code: torch.Tensor, conditions: Conditions) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Codes [B, latent] and what they stand under -> weighted sum of all terms, and each of them (nats)."""
        total, terms = code.new_zeros(()), {}
        for name, reader in self.readers.items():
            truth = conditions[name]
            known = truth.max(dim=1).values > CERTAIN
            logits = reader(code[:, self.parts[name]]).float()
            each = F.cross_entropy(logits, truth, reduction="none") * known
            terms[f"{name}_head"] = each.sum() / known.sum().clamp(min=1)
            total = total + self.weights[name] * terms[f"{name}_head"]
        if self.orthogonal > 0:
            terms["orthogonal"] = orthogonality(code[:, self.parts["emotion"]], code[:, self.parts["subject"]])
            total = total + self.orthogonal * terms["orthogonal"]
        return total, terms


def parts_of(latent: int, split: float | None) -> dict[str, slice]:
    """Which dimensions of a code each head reads: all, or the first and the last ones (at least one each)."""
    if split is None:
        return {"emotion": slice(0, latent), "subject": slice(0, latent)}
    first = min(max(1, round(split * latent)), latent - 1)
    return {"emotion": slice(0, first), "subject": slice(first, latent)}


def orthogonality(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """[B, m] and [B, n] codes -> mean squared correlation over the batch between a dimension of one and of the other,
    in [0, 1]."""

    def standardised(codes: torch.Tensor) -> torch.Tensor:
        centred = codes.float() - codes.float().mean(dim=0)
        return centred / centred.square().sum(dim=0).clamp(min=1e-8).sqrt()

    return (standardised(first).T @ standardised(second)).square().mean()

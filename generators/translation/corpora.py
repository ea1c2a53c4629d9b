"""Several corpora: which of them stands nearest to the one that is translated to, and by how much it counts."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from features.representation import Spec

SIDE = 4  # images are described by this many places along each side
SPACE = 16  # dimensions in which corpora are compared


def pooled(x: torch.Tensor, spec: Spec) -> torch.Tensor:
    """[B, C, H, W] normalised -> [B, D]: columns of vectors, means of rows, 4 x 4 places of images."""
    if spec.layout == "image":
        return F.adaptive_avg_pool2d(x, (min(SIDE, x.shape[2]), min(SIDE, x.shape[3]))).flatten(1)
    return x.mean(dim=3).flatten(1)


class CorpusAttention(nn.Module):
    """Weights of the source corpora for a target corpus and an emotion; they sum to 1.

    After the corpus-aware attention of Su & Lee 2023: a corpus weighs more the nearer what it has of the emotion lies
    to what the target has of it, in a space that is learned with the translation.
    """

    means: torch.Tensor  # [corpora, K, D]

    def __init__(self, spec: Spec, n_classes: int, n_corpora: int) -> None:
        super().__init__()
        size = pooled(torch.zeros(1, *spec.grid), spec).shape[1]
        self.spec = spec
        self.project = nn.Linear(size, min(SPACE, size), bias=False)
        nn.init.orthogonal_(self.project.weight)
        self.temperature = nn.Parameter(torch.zeros(()))
        self.register_buffer("means", torch.zeros(n_corpora, n_classes, size))

    @torch.no_grad()
    def fit(self, x: torch.Tensor, labels: np.ndarray, corpora: np.ndarray, rows: np.ndarray) -> None:
        """Means of x [N, C, H, W] over the given rows, per corpus and class; of a class that a corpus lacks, that of
        the corpus."""
        for c in range(self.means.shape[0]):
            own = rows[corpora[rows] == c]
            for k in range(self.means.shape[1]):
                of_class = own[labels[own] == k]
                chosen = torch.from_numpy(of_class if len(of_class) else own).to(x.device)
                self.means[c, k] = pooled(x[chosen], self.spec).mean(dim=0)

    def forward(self, emotion: torch.Tensor, target: int) -> torch.Tensor:
        """emotion [B, K] shares -> [B, corpora]; 0 for the target itself."""
        described = self.project(torch.einsum("bk,ckd->bcd", emotion, self.means))
        distance = (described - described[:, target : target + 1]).square().sum(dim=2)
        scores = -distance * torch.exp(self.temperature)
        scores = scores.masked_fill(torch.arange(scores.shape[1], device=scores.device) == target, -torch.inf)
        return torch.softmax(scores, dim=1)

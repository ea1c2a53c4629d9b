"""Encoders and decoders over the layouts: convolutions over images and rows, perceptrons over vectors.

What stands on a fitted autoencoder (latent diffusion, edits) needs `VaeNetwork.encode` and `decode`, each under an
embedding of the conditions that `read_under` and `write_under` give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from features.representation import Spec
from generators.autoencoders.density import CodeDensity, correlated
from generators.autoencoders.heads import CodeHeads
from generators.autoencoders.params import CodeParams
from generators.condition import ConditionFields, Conditions, emotion_alone, without_emotion
from generators.layers import Grid, ResBlock, groups, level_widths
from generators.spans import by_span, padded_to, spans_of
from generators.trained import Network
from generators.vectors import HIDDEN, Mlp

CORRELATED_COLUMNS = 2048  # of longer vectors the residual is drawn column by column: a factor takes their square
LOGVAR_RANGE = (-8.0, 4.0)
# Where padding is cut, a group of one channel would lose the level of its sample to normalisation: there is no padding
# whose constant value would still tell it.
TOGETHER = 8
COARSEST_CUT = 16  # columns at the coarsest level: twice as many as where padding is kept, so spans are half as long
Sees = Literal["all", "emotion", "given", "nothing"]  # of the conditions; "given": those beside the emotion


@dataclass(frozen=True, slots=True)
class Views:
    """What encoder and decoder see of the conditions. points: a code is a point, without a spread of its own."""

    encoder: Sees = "all"
    decoder: Sees = "all"
    points: bool = False


BOTH_SEE_ALL = Views()


class Rebuilt(NamedTuple):
    """x: [B, C, H, W]; mean, logvar: of the posterior, [B, latent]; length: nats a sample that the code leaves unsaid
    of how many spans it has, a scalar, or None where padding is kept."""

    x: torch.Tensor
    mean: torch.Tensor
    logvar: torch.Tensor
    length: torch.Tensor | None


class VaeNetwork(Network):
    """The fitted density of the codes, and what encoder and decoder share. Subclasses bring the two.

    `views`: which conditions steer each of them, and whether a code is a point or has a spread.
    """

    residual_std: torch.Tensor  # [K, C, H], 0 for rows that are decisions (mask, voicing) and for images
    residual_lag: torch.Tensor  # [C, H], correlation of neighbours in time of the residual

    def __init__(
        self,
        spec: Spec,
        n_classes: int,
        fields: ConditionFields,
        params: CodeParams,
        views: Views = BOTH_SEE_ALL,
    ) -> None:
        super().__init__(spec, n_classes, fields, 4 * params.width)
        self.views, self.outputs = views, params.latent * (1 if views.points else 2)
        self.heads: CodeHeads | None = None
        self.density = CodeDensity(n_classes, params.latent, params.components)
        self.register_buffer("residual_std", torch.zeros(n_classes, *spec.grid[:2]))
        self.register_buffer("residual_lag", torch.zeros(spec.grid[:2]))

    def read_under(self, conditions: Conditions) -> torch.Tensor:
        """Conditions -> [B, E] the embedding that the encoder gets."""
        return self._seen(conditions, self.views.encoder)

    def write_under(self, conditions: Conditions) -> torch.Tensor:
        """Conditions -> [B, E] the embedding that the decoder gets."""
        return self._seen(conditions, self.views.decoder)

    def _seen(self, conditions: Conditions, sees: Sees) -> torch.Tensor:
        if sees == "all":
            return self.condition(conditions)
        if sees == "given":
            return self.condition(without_emotion(conditions))
        if sees == "emotion":
            return self.condition(emotion_alone(conditions))
        emotion = conditions["emotion"]
        return torch.zeros(len(emotion), self.condition.null.numel(), device=emotion.device)

    def posterior(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the encoder says [B, outputs] -> mean and log variance [B, latent]; of points -inf."""
        if self.views.points:
            return flat, torch.full_like(flat, -math.inf)
        mean, logvar = flat.chunk(2, dim=1)
        return mean, logvar.clamp(*LOGVAR_RANGE)

    def encode(self, x: torch.Tensor, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, C, H, W] -> mean and log variance, [B, latent] each."""
        raise NotImplementedError

    def decode(self, z: torch.Tensor, embedding: torch.Tensor, spans: torch.Tensor | None = None) -> torch.Tensor:
        """[B, latent] -> [B, C, H, W]. spans: [B] int64, of `spans_in` or `drawn_spans`; None where padding is kept."""
        raise NotImplementedError

    def spans_in(self, x: torch.Tensor) -> torch.Tensor | None:
        """[B, C, H, W] -> [B] int64, spans that the arrays have; None where padding is kept."""
        return None

    def drawn_spans(self, z: torch.Tensor, embedding: torch.Tensor, turn: torch.Tensor) -> torch.Tensor | None:
        """Codes [B, latent] and uniform numbers [B] in [0, 1] -> [B] int64, spans drawn from p(spans | code); None
        where padding is kept."""
        return None

    def length_nats(self, z: torch.Tensor, embedding: torch.Tensor, x: torch.Tensor) -> torch.Tensor | None:
        """-log p(spans of x | code), averaged over the batch; None where padding is kept."""
        return None

    def forward(self, x: torch.Tensor, conditions: Conditions, eps: torch.Tensor) -> Rebuilt:
        """[B, C, H, W], what they stand under, and noise [B, latent]."""
        mean, logvar = self.encode(x, self.read_under(conditions))
        z = mean + torch.exp(0.5 * logvar) * eps
        embedding = self.write_under(conditions)
        return Rebuilt(self.decode(z, embedding, self.spans_in(x)), mean, logvar, self.length_nats(z, embedding, x))

    def coloured(self, white: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] white noise -> noise of spread 1 that hangs together as the residual does."""
        return correlated(white, self.residual_lag)


class GridVae(VaeNetwork):
    """Convolutions over images and rows. Where padding is cut, those over a sample's own spans alone: normalisation
    within a layer sees no column beyond them, and a classifier of the code says how many a sample has."""

    def __init__(
        self,
        spec: Spec,
        n_classes: int,
        fields: ConditionFields,
        params: CodeParams,
        views: Views = BOTH_SEE_ALL,
    ) -> None:
        super().__init__(spec, n_classes, fields, params, views)
        embedding = 4 * params.width
        cut = params.padding == "cut"
        least = TOGETHER if cut else 1
        self.grid = grid = Grid(spec, COARSEST_CUT) if cut else Grid(spec)
        widths = level_widths(params.width, grid.levels)
        self.into = grid.conv(grid.channels, widths[0])
        self.encoder = nn.ModuleList(
            ResBlock(grid, widths[i], widths[i + 1], embedding, least) for i in range(grid.levels)
        )
        flat = widths[-1] * grid.seed[0] * grid.seed[1]
        self.to_latent = nn.Linear(flat, self.outputs)
        self.from_latent = nn.Linear(params.latent + embedding, flat)
        self.decoder = nn.ModuleList(
            ResBlock(grid, widths[i + 1], widths[i], embedding, least) for i in reversed(range(grid.levels))
        )
        self.out_norm = nn.GroupNorm(groups(widths[0], least), widths[0])
        self.out = grid.conv(widths[0], grid.channels)
        self.unit = 2**grid.levels  # columns of a span
        self.spans = nn.Linear(params.latent + embedding, grid.seed[1]) if cut else None

    def encode(self, x: torch.Tensor, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        folded, spans = self.grid.fold(x), self.spans_in(x)
        if spans is None:
            h = self._down(folded, embedding)
        else:

            def compute(rows: torch.Tensor, n: int) -> torch.Tensor:
                h = self._down(folded[rows, ..., : n * self.unit], embedding[rows])
                return F.pad(h, (0, self.grid.seed[1] - n))

            h = by_span(spans, compute)
        return self.posterior(self.to_latent(h.flatten(1)).float())

    def decode(self, z: torch.Tensor, embedding: torch.Tensor, spans: torch.Tensor | None = None) -> torch.Tensor:
        h = self.from_latent(torch.cat([z, embedding], dim=1))
        h = h.reshape(z.shape[0], -1, *self.grid.seed)
        if spans is None:
            return self.grid.unfold(self._up(h, embedding)).float()
        spec, (c, rows_of_x, _) = self.grid.spec, self.grid.spec.grid

        def compute(rows: torch.Tensor, n: int) -> torch.Tensor:
            x = self._up(h[rows, ..., :n], embedding[rows]).float()
            return padded_to(x.reshape(len(rows), c, rows_of_x, -1), n, self.unit, spec)

        return by_span(spans, compute)

    def spans_in(self, x: torch.Tensor) -> torch.Tensor | None:
        """x [b, *spec.shape] -> how many spans each sample reaches [b] int64; None where padding is kept."""
        return None if self.spans is None else spans_of(x, self.grid.spec, self.unit)

    def drawn_spans(self, z: torch.Tensor, embedding: torch.Tensor, turn: torch.Tensor) -> torch.Tensor | None:
        """Of codes z [b, latent] a number of spans [b] int64, drawn by `turn` [b], uniform in [0, 1); None where
        padding is kept."""
        if self.spans is None:
            return None
        shares = self.spans(torch.cat([z, embedding], dim=1)).float().softmax(dim=1).cumsum(dim=1)
        return (shares[:, :-1] <= turn[:, None]).sum(dim=1) + 1

    def length_nats(self, z: torch.Tensor, embedding: torch.Tensor, x: torch.Tensor) -> torch.Tensor | None:
        """-log of the probability that each code gives to the spans that x reaches [b], nats; None where padding is
        kept."""
        if self.spans is None:
            return None
        logits = self.spans(torch.cat([z, embedding], dim=1)).float()
        return F.cross_entropy(logits, spans_of(x, self.grid.spec, self.unit) - 1)

    def _down(self, h: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """[b, channels, *sides] -> the coarsest level."""
        h = self.into(h)
        for block in self.encoder:
            h = self.grid.down(block(h, embedding))
        return h

    def _up(self, h: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """The coarsest level -> [b, channels, *sides]."""
        for block in self.decoder:
            h = block(self.grid.up(h), embedding)
        out: torch.Tensor = self.out(F.silu(self.out_norm(h)))
        return out


class VectorVae(VaeNetwork):
    """Perceptrons over the columns of a vector."""

    residual_factor: torch.Tensor  # [D, D]

    def __init__(
        self,
        spec: Spec,
        n_classes: int,
        fields: ConditionFields,
        params: CodeParams,
        views: Views = BOTH_SEE_ALL,
    ) -> None:
        super().__init__(spec, n_classes, fields, params, views)
        columns, hidden, embedding = spec.shape[0], HIDDEN * params.width, 4 * params.width
        self.encoder = Mlp(columns, self.outputs, hidden, embedding)
        self.decoder = Mlp(params.latent + embedding, columns, hidden, embedding)
        self.together = columns if columns <= CORRELATED_COLUMNS else 0
        self.register_buffer("residual_factor", torch.eye(self.together))  # Cholesky factor of its correlations

    def encode(self, x: torch.Tensor, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.posterior(self.encoder(x.flatten(1), embedding).float())

    def decode(self, z: torch.Tensor, embedding: torch.Tensor, spans: torch.Tensor | None = None) -> torch.Tensor:
        out: torch.Tensor = self.decoder(torch.cat([z, embedding], dim=1), embedding).float()
        return out[:, None, :, None]

    def coloured(self, white: torch.Tensor) -> torch.Tensor:
        """White noise [B, C, D, W] -> with the correlations of the residuals; as it is above `CORRELATED_COLUMNS`."""
        if not self.together:
            return white
        return torch.einsum("ij,bcjw->bciw", self.residual_factor, white)


def vae_network(
    spec: Spec, n_classes: int, fields: ConditionFields, params: CodeParams, views: Views = BOTH_SEE_ALL
) -> VaeNetwork:
    """The network for the layout of a representation."""
    kind = VectorVae if spec.layout == "vector" else GridVae
    return kind(spec, n_classes, fields, params, views)

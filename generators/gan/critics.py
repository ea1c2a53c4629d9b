"""Critics of arrays: features, then what a kind of critic says about them.

- projection: realness, and how well the condition fits the features (Miyato & Koyama 2018);
- ac: realness, and which class it is (auxiliary classifier, Odena et al. 2017);
- k+1: which class it is, or "generated" (Salimans et al. 2016, Mariani et al. 2018);
- plain: realness alone, of samples without a condition;
- `TwoCritics`: two of one kind, for D2GAN (Nguyen et al. 2017);
- `AutoencoderCritic`: an autoencoder, whose error is the score (BEGAN, Berthelot et al. 2017).

Residual, with spectral norm where asked for (Miyato et al. 2018); nothing is normalised over a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from features.representation import Spec
from generators.condition import ConditionEncoder, ConditionFields, Conditions, without_emotion
from generators.gan.decoders import make_decoder
from generators.gan.losses import TwoScores
from generators.layers import Grid, level_widths
from generators.vectors import HIDDEN, CriticMlp, Wrap

EMBEDDED = 16  # dimensions of the space that the triplet term measures in


class Verdict(NamedTuple):
    """What a critic says: realness [B], class logits ([B, K], of k+1 [B, K + 1], else None), features [B, size]."""

    score: torch.Tensor
    logits: torch.Tensor | None
    features: torch.Tensor


@dataclass(frozen=True, slots=True)
class CriticOptions:
    """`width`: channels at full resolution, of vectors an eighth of the hidden units. `spectral`: spectral norm.
    `dropout`: share of hidden units left out. `recurrent`: rows are read by an LSTM. `code`: dimensions of what
    `Critic.encode` gives, 0 for none. `embeds`: whether `Critic.embed` is there, for the triplet term."""

    kind: Literal["projection", "ac", "k+1", "plain"] = "projection"
    width: int = 32
    spectral: bool = True
    dropout: float = 0.0
    recurrent: bool = False
    code: int = 0
    embeds: bool = False


class Features(nn.Module):
    """Arrays [B, C, H, W] -> features [B, size]; `maps`: what they are the mean of, `flat` numbers each."""

    size: int
    flat: int

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, size, places]."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, size]."""
        return self.maps(x).mean(dim=2)


class VectorFeatures(Features):
    """Of the columns of a vector."""

    def __init__(self, spec: Spec, width: int, wrap: Wrap, dropout: float) -> None:
        super().__init__()
        self.size = self.flat = HIDDEN * width
        self.mlp = CriticMlp(spec.shape[0], self.size, wrap, dropout=dropout)

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """See `Features`; one place."""
        out: torch.Tensor = self.mlp(x.flatten(1))
        return out[:, :, None]


class _Block(nn.Module):
    def __init__(self, grid: Grid, inputs: int, outputs: int, wrap: Wrap, dropout: float) -> None:
        super().__init__()
        self.grid = grid
        self.conv1 = wrap(grid.conv(inputs, outputs))
        self.conv2 = wrap(grid.conv(outputs, outputs))
        self.shortcut = wrap(nn.Conv2d(inputs, outputs, 1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv2(self.dropout(F.leaky_relu(self.conv1(F.leaky_relu(x, 0.2)), 0.2)))
        out: torch.Tensor = self.grid.down(h) + self.shortcut(self.grid.down(x))
        return out


class GridFeatures(Features):
    """Of images and rows: residual blocks, each halving the sides."""

    def __init__(self, spec: Spec, width: int, wrap: Wrap, dropout: float) -> None:
        super().__init__()
        self.grid = grid = Grid(spec)
        widths = level_widths(width, grid.levels)
        self.size, self.flat = widths[-1], widths[-1] * grid.seed[0] * grid.seed[1]
        self.into = wrap(grid.conv(grid.channels, widths[0]))
        self.blocks = nn.ModuleList(_Block(grid, widths[i], widths[i + 1], wrap, dropout) for i in range(grid.levels))

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """See `Features`."""
        h = self.into(self.grid.fold(x))
        for block in self.blocks:
            h = block(h)
        return F.leaky_relu(h, 0.2).flatten(2)


class RecurrentFeatures(Features):
    """Of rows: an LSTM reads them column by column, both ways (its states, averaged over time)."""

    def __init__(self, spec: Spec, width: int, dropout: float) -> None:
        super().__init__()
        c, h, _ = spec.grid
        self.size = self.flat = 2 * width
        self.lstm = nn.LSTM(c * h, width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """See `Features`; one place, as the states of all times are averaged."""
        steps = x.flatten(1, 2).transpose(1, 2)  # [B, T, rows]
        with torch.backends.cudnn.flags(enabled=False):  # its LSTM has no second derivative, which penalties take
            states, _ = self.lstm(steps)
        out: torch.Tensor = self.dropout(states.mean(dim=1))
        return out[:, :, None]


def make_features(spec: Spec, options: CriticOptions) -> Features:
    """The features that suit the layout."""
    wrap: Any = spectral_norm if options.spectral else (lambda layer: layer)
    if spec.layout == "vector":
        return VectorFeatures(spec, options.width, wrap, options.dropout)
    if options.recurrent:
        return RecurrentFeatures(spec, options.width, options.dropout)
    return GridFeatures(spec, options.width, wrap, options.dropout)


class Critic(nn.Module):
    """A critic of one `kind` (see the module)."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, options: CriticOptions) -> None:
        super().__init__()
        wrap: Any = spectral_norm if options.spectral else (lambda layer: layer)
        self.features = make_features(spec, options)
        size = self.features.size
        self.score = wrap(nn.Linear(size, 1)) if options.kind != "k+1" else None
        # An auxiliary classifier answers the emotion; whether the rest fits, it has to be asked.
        asked = options.kind == "projection" or (options.kind == "ac" and bool(fields.names))
        self.condition = ConditionEncoder(n_classes, fields, size) if asked else None
        self.emotion_too = options.kind == "projection"
        answers = {"ac": n_classes, "k+1": n_classes + 1}.get(options.kind, 0)
        self.classify = nn.Linear(size, answers) if answers else None
        self.code = nn.Linear(self.features.flat, options.code) if options.code else None
        self.embedding = nn.Linear(size, EMBEDDED) if options.embeds else None

    def forward(self, x: torch.Tensor, conditions: Conditions) -> Verdict:
        """[B, C, H, W] and the conditions that it stands under -> what the critic says, float32."""
        h: torch.Tensor = self.features(x)
        logits = None if self.classify is None else self.classify(h).float()
        if self.score is None:
            assert logits is not None
            return Verdict(torch.logsumexp(logits[:, :-1], dim=1) - logits[:, -1], logits, h)
        score = self.score(h)[:, 0]
        if self.condition is not None:
            seen = conditions if self.emotion_too else without_emotion(conditions)
            score = score + (self.condition(seen) * h).sum(dim=1) / h.shape[1] ** 0.5
        return Verdict(score.float(), logits, h)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, code], of the same layers that tell real from generated."""
        assert self.code is not None
        out: torch.Tensor = self.code(self.features.maps(x).flatten(1)).float()
        return out

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """[B, size] -> [B, EMBEDDED] of length 1."""
        assert self.embedding is not None
        return F.normalize(self.embedding(features).float(), dim=1)


class TwoCritics(nn.Module):
    """Two critics of one form: the first is to like real arrays, the second generated ones."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, options: CriticOptions) -> None:
        super().__init__()
        self.first = Critic(spec, n_classes, fields, options)
        self.second = Critic(spec, n_classes, fields, options)

    def forward(self, x: torch.Tensor, conditions: Conditions) -> TwoScores:
        """[B, C, H, W] -> [B] twice."""
        return TwoScores(self.first(x, conditions).score, self.second(x, conditions).score)


class AutoencoderCritic(nn.Module):
    """BEGAN's critic: how badly it rebuilds an array. `balance`: k_t, which the loop keeps with the weights."""

    balance: torch.Tensor

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, options: CriticOptions) -> None:
        """`options.code`: dimensions of the code, at least 1; its kind is not looked at."""
        super().__init__()
        self.features = make_features(spec, options)
        embedding = 4 * options.width
        self.code = nn.Linear(self.features.flat, options.code)
        self.condition = ConditionEncoder(n_classes, fields, embedding)
        self.decoder = make_decoder(spec, options.code + embedding, embedding, options.width)
        self.register_buffer("balance", torch.zeros(()))

    def rebuild(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, C, H, W] -> the same through the code, under its condition."""
        embedding = self.condition(conditions)
        joint = torch.cat([self.code(self.features.maps(x).flatten(1)), embedding], dim=1)
        out: torch.Tensor = self.decoder(joint, embedding)
        return out

    def forward(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, C, H, W] -> mean absolute error of each, [B]. Berthelot et al. 2017, section 3.1 (eta = 1)."""
        return (x - self.rebuild(x, conditions)).abs().flatten(1).mean(dim=1).float()

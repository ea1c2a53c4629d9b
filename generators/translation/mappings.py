"""The mappings of `cycle` and the critics of its pairs."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from corpora.errors import ParamsError
from features.representation import Spec
from features.speech.cwt import SCALES
from generators.condition import ConditionFields, Conditions
from generators.gan.critics import Critic, CriticOptions
from generators.trained import Network
from generators.translation.corpora import CorpusAttention
from generators.translation.networks import Translator, TranslatorOptions
from generators.translation.params import CycleParams
from generators.translation.prosody import ScaleRows, TwoMappings


class CycleNetwork(Network):
    """One mapping that conditions steer, or one for each pair; arrays go through as they are, with F0 in scales, or
    with 0 in the columns that are not translated (`selected` [1, 1, D, 1]: 1 in those that are)."""

    selected: torch.Tensor | None

    def __init__(
        self, spec: Spec, n_classes: int, fields: ConditionFields, params: CycleParams, n_corpora: int
    ) -> None:
        embedding = 4 * params.width
        super().__init__(spec, n_classes, fields, embedding)
        self.scales = ScaleRows(spec, SCALES) if params.prosody == "cwt" else None
        self.inner = spec if self.scales is None else self.scales.spec
        if params.selects and spec.layout != "vector":
            raise ParamsError(
                f"fisher and lda choose among the columns of a vector; {spec.name} has layout {spec.layout}. "
                "Leave both at 1"
            )
        self.register_buffer("selected", torch.ones(1, 1, spec.grid[1], 1) if params.selects else None)
        options = TranslatorOptions(params.width, params.blocks, skip=params.skip)
        pairs = [(a, b) for a in range(n_classes) for b in range(n_classes) if a != b]
        names = [f"{a}-{b}" for a, b in pairs] if params.networks == "pairs" else ["one"]
        self.mappings = nn.ModuleDict({name: self._mapping(embedding, options) for name in names})
        self.pairs = params.networks == "pairs"
        self.n_corpora = n_corpora
        self.attention = CorpusAttention(spec, n_classes, n_corpora) if params.corpora == "attention" else None

    def _mapping(self, embedding: int, options: TranslatorOptions) -> nn.Module:
        if self.scales is not None:
            return TwoMappings(self.scales, embedding, options)
        return Translator(self.inner, embedding, options)

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] normalised -> the arrays that are translated, of Spec `inner`."""
        if self.selected is not None:
            return x * self.selected
        return x if self.scales is None else self.scales.expand(x)

    def leave(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The way back of `enter`; y of Spec `inner`, translated from x [B, C, H, W]."""
        if self.selected is not None:
            return torch.where(self.selected > 0, y, x)
        return y if self.scales is None else self.scales.collapse(y)

    def forward(self, x: torch.Tensor, conditions: Conditions, own: torch.Tensor, target: int) -> torch.Tensor:
        """x of Spec `inner`, what is asked for, own [B, K] shares of the classes that x is of, `target`: index of the
        corpus that attention translates to -> y of the same shape."""
        y = self._moved(x, conditions, own, target)
        return y if self.selected is None else y * self.selected

    def _moved(self, x: torch.Tensor, conditions: Conditions, own: torch.Tensor, target: int) -> torch.Tensor:
        if self.pairs:
            return self._by_pairs(x, conditions, own)
        if self.attention is None:
            y: torch.Tensor = self.mappings["one"](x, self.condition(conditions)).y
            return y
        return self._by_corpora(x, conditions, target)

    def _by_pairs(self, x: torch.Tensor, conditions: Conditions, own: torch.Tensor) -> torch.Tensor:
        """A mixture is the mixture of its translations; the share of its own class is the source itself."""
        shares, here = conditions["emotion"], own.argmax(dim=1)
        y = x * shares.gather(1, here[:, None])[:, :, None, None]
        for name, mapping in self.mappings.items():
            a, b = (int(k) for k in name.split("-"))
            rows = torch.nonzero((here == a) & (shares[:, b] > 0))[:, 0]
            if len(rows):
                asked = {name: values[rows] for name, values in conditions.items()}
                asked["emotion"] = F.one_hot(torch.full_like(rows, b), shares.shape[1]).to(shares.dtype)
                part = mapping(x[rows], self.condition(asked)).y * shares[rows, b][:, None, None, None]
                y = y.index_add(0, rows, part.to(y.dtype))
        return y

    def _by_corpora(self, x: torch.Tensor, conditions: Conditions, target: int) -> torch.Tensor:
        """To the target: every source corpus' mapping, weighted. From it: the one to the corpus that is asked for."""
        assert self.attention is not None
        n, asked = self.n_corpora, conditions["vector"]
        to_target = asked.argmax(dim=1) == target
        here = F.one_hot(torch.full((len(x),), target, device=x.device), n).to(x.dtype)
        back = {**conditions, "vector": torch.cat([asked, here], dim=1)}
        y: torch.Tensor = self.mappings["one"](x, self.condition(back)).y
        weights = self.attention(conditions["emotion"], target)
        mixed = torch.zeros_like(y)
        for c in range(n):
            if c != target:
                source = F.one_hot(torch.full((len(x),), c, device=x.device), n).to(x.dtype)
                through = {**conditions, "vector": torch.cat([asked, source], dim=1)}
                mixed = mixed + weights[:, c, None, None, None] * self.mappings["one"](x, self.condition(through)).y
        return torch.where(to_target[:, None, None, None], mixed, y)


class ClassCritics(nn.Module):
    """A critic of its own for each class, each of which knows nothing but its class."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, options: CriticOptions) -> None:
        super().__init__()
        each = replace(options, kind="plain")
        self.critics = nn.ModuleList(Critic(spec, n_classes, fields, each) for _ in range(n_classes))

    def forward(self, x: torch.Tensor, conditions: Conditions) -> tuple[torch.Tensor, None]:
        """[B, C, H, W] -> realness [B] by the critic of each one's class."""
        label = conditions["emotion"].argmax(dim=1)
        score = torch.zeros(len(x), device=x.device)
        for k, critic in enumerate(self.critics):
            rows = torch.nonzero(label == k)[:, 0]
            if len(rows):
                some = {name: values[rows] for name, values in conditions.items()}
                score = score.index_add(0, rows, critic(x[rows], some).score)
        return score, None

"""Denoising networks: diffusers' U-Net and DiT over patches, a U-Net over time alone, a perceptron over columns, a
transformer along the sides of a table (axial.py).

All have one signature, (x, time, embedding of the condition) -> output of x's shape (twice the channels where the
variance is learned). The embedding is worked out once for a batch of draws, not at each step.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from corpora.errors import ParamsError
from features.representation import Spec
from generators.condition import ConditionEncoder, ConditionFields, Conditions
from generators.diffusion.axial import AxialDiT
from generators.diffusion.params import DiffusionParams
from generators.layers import Grid, TimeEmbedding, TimeUNet, groups
from generators.vectors import HIDDEN, Mlp, VectorDenoiser


class Small(nn.Module):
    """A network of our own, steered by the sum of the embeddings of time and condition: over the columns of a vector,
    or over time where patches span all rows."""

    def __init__(self, denoiser: VectorDenoiser | TimeUNet, embedding: int) -> None:
        super().__init__()
        self.time = TimeEmbedding(embedding)
        self.denoiser = denoiser

    def forward(self, x: torch.Tensor, t: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """x [b, channels, *grid], t [b] float, embedding [b, E]."""
        out: torch.Tensor = self.denoiser(x, self.time(t) + embedding)
        return out


class UNet(nn.Module):
    """diffusers' UNet2DModel, to whose time embedding the condition is added."""

    def __init__(self, channels: int, outputs: int, grid: tuple[int, int], params: DiffusionParams) -> None:
        super().__init__()
        from diffusers import UNet2DModel  # ten seconds: only where such a model is built

        plain = params.levels - 1
        widths = [params.width] + [2 * params.width] * plain
        down, up = ("AttnDownBlock2D", "AttnUpBlock2D") if params.attention else ("DownBlock2D", "UpBlock2D")
        self.unet: Any = UNet2DModel(
            sample_size=grid,
            in_channels=channels,
            out_channels=outputs,
            block_out_channels=tuple(widths),
            layers_per_block=params.layers,
            down_block_types=("DownBlock2D",) * plain + (down,),
            up_block_types=(up,) + ("UpBlock2D",) * plain,
            norm_num_groups=groups(params.width),
            attention_head_dim=groups(params.width),
            add_attention=params.attention,
            class_embed_type="identity",
        )

    def forward(self, x: torch.Tensor, t: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """As of `Small`."""
        out: torch.Tensor = self.unet(x, t, class_labels=embedding).sample
        return out


class Given(nn.Module):
    """In place of a DiT block's table of classes: the embedding of time and condition comes from outside."""

    def forward(self, timestep: Any, embedding: torch.Tensor, hidden_dtype: Any = None) -> torch.Tensor:
        """[b, E] -> the same."""
        return embedding if hidden_dtype is None else embedding.to(hidden_dtype)


class DiT(nn.Module):
    """diffusers' DiTTransformer2DModel (Peebles & Xie 2023, adaLN-Zero) over patches of any grid, of a vector over its
    columns; conditions may be soft, for they come as an embedding.

    A token is a position of `grid`, of a vector one column: attention is over rows (channels, bands) as over time.
    """

    def __init__(self, channels: int, outputs: int, grid: tuple[int, int], params: DiffusionParams) -> None:
        super().__init__()
        from diffusers import DiTTransformer2DModel
        from diffusers.models.embeddings import get_2d_sincos_pos_embed

        self.columns = grid == (1, 1)  # a vector: its channels are the places
        self.sides = (channels, 1) if self.columns else grid
        self.outputs = outputs // channels if self.columns else outputs
        size = 4 * params.width
        heads = groups(params.width)
        self.time = TimeEmbedding(size)
        dit: Any = DiTTransformer2DModel(
            num_attention_heads=heads,
            attention_head_dim=size // heads,
            in_channels=1 if self.columns else channels,
            out_channels=self.outputs,
            num_layers=params.levels * params.layers,
            sample_size=max(self.sides),
            patch_size=1,
            num_embeds_ada_norm=1,
        )
        for block in dit.transformer_blocks:
            block.norm1.emb = Given()
            nn.init.zeros_(block.norm1.linear.weight)
            nn.init.zeros_(block.norm1.linear.bias)
        for last in (dit.proj_out_1, dit.proj_out_2):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        places = dit.pos_embed
        places.height, places.width = self.sides
        table = get_2d_sincos_pos_embed(size, self.sides, base_size=max(self.sides), output_type="pt")
        places.register_buffer("pos_embed", table.float()[None], persistent=False)
        self.dit: Any = dit

    def forward(self, x: torch.Tensor, t: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """As of `Small`."""
        dit, steer = self.dit, self.time(t) + embedding
        h = dit.pos_embed(x.reshape(len(x), -1, *self.sides))
        for block in dit.transformer_blocks:
            h = block(h, timestep=None, class_labels=steer)
        shift, scale = dit.proj_out_1(F.silu(steer)).chunk(2, dim=1)
        h = dit.proj_out_2(dit.norm_out(h) * (1 + scale[:, None]) + shift[:, None])  # [b, places, outputs]
        h = h.transpose(1, 2)
        return h.reshape(len(x), -1, 1, 1) if self.columns else h.reshape(len(x), -1, *self.sides)


def build_denoiser(spec: Spec, channels: int, grid: tuple[int, int], params: DiffusionParams) -> nn.Module:
    """The network that params ask for over [b, channels, *grid]. Raises `ParamsError` for one that does not fit."""
    kind, vector = params.network, grid == (1, 1)
    over_time = spec.layout == "rows" and grid[0] == 1
    if kind == "auto":
        kind = "mlp" if vector else "time" if over_time else "unet"
    fits = {"mlp": vector, "time": over_time and not vector, "unet": not vector, "dit": True, "axial": True}
    if not fits[kind]:
        able = ", ".join(name for name, fit in fits.items() if fit)
        raise ParamsError(
            f"network {kind} does not fit {spec.name} as {channels} channels of {grid[0]} x {grid[1]}; use auto or one "
            f"of {able} (time: a patch that spans all rows)"
        )
    embedding = 4 * params.width
    outputs = channels * (2 if params.learned_variance else 1)
    if kind == "mlp":
        hidden, depth = HIDDEN * params.width, params.levels * params.layers
        return Small(VectorDenoiser(channels, hidden, embedding, depth, outputs), embedding)
    if kind == "time":
        widths = [params.width] + [2 * params.width] * (params.levels - 1)
        unet = TimeUNet(
            Grid(spec), channels, widths, params.layers, embedding, attention=params.attention, outputs=outputs
        )
        return Small(unet, embedding)
    if kind == "axial":
        names = spec.rows if spec.layout == "vector" else ()
        return AxialDiT(channels, outputs, grid, names, params.width, params.levels * params.layers)
    return (UNet if kind == "unet" else DiT)(channels, outputs, grid, params)


class Steered(nn.Module):
    """What one phase trains: a denoiser and the encoder of its conditions."""

    def __init__(self, denoiser: nn.Module, n_classes: int, fields: ConditionFields, embedding: int) -> None:
        super().__init__()
        self.condition = ConditionEncoder(n_classes, fields, embedding)
        self.denoiser = denoiser

    def forward(
        self, x: torch.Tensor, t: torch.Tensor, conditions: Conditions, drop: torch.Tensor | None = None
    ) -> torch.Tensor:
        """x [b, channels, *grid] of spread 1, t [b] -> float32. drop: [b] bool, rows whose condition is left out."""
        return self.predict(x, t, self.condition(conditions, drop))

    def predict(self, x: torch.Tensor, t: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """As `forward`, with the embedding [b, E] of the condition at hand."""
        out: torch.Tensor = self.denoiser(x, t, embedding)
        return out.float()


class NoisyClassifier(nn.Module):
    """log p(class | noisy array): x of spread 1 and the network's time -> [b, K]. Guides as Guo et al. 2023 (EmoDiff)
    and Dhariwal & Nichol 2021 do."""

    def __init__(self, channels: int, grid: tuple[int, int], n_classes: int, width: int) -> None:
        super().__init__()
        embedding = 4 * width
        self.time = TimeEmbedding(embedding)
        self.vector = grid == (1, 1)
        hidden = HIDDEN * width if self.vector else 2 * width
        if not self.vector:
            self.into = nn.Conv2d(channels, hidden, 3, padding=1)
            self.convolutions = nn.ModuleList(nn.Conv2d(hidden, hidden, 3, padding=1) for _ in range(2))
            self.norms = nn.ModuleList(nn.GroupNorm(groups(hidden), hidden) for _ in range(2))
            self.films = nn.ModuleList(nn.Linear(embedding, 2 * hidden) for _ in range(2))
        self.head = Mlp(channels if self.vector else 2 * hidden, n_classes, hidden, embedding, depth=2)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x [b, channels, *grid], t [b] -> [b, K] log probabilities, float32."""
        time = self.time(t)
        if self.vector:
            h = x.flatten(1)
        else:
            h = self.into(x)
            for conv, norm, film in zip(self.convolutions, self.norms, self.films, strict=True):
                scale, shift = film(F.silu(time))[:, :, None, None].chunk(2, dim=1)
                h = h + conv(F.silu(norm(h) * (1 + scale) + shift))
            h = torch.cat([h.mean(dim=(2, 3)), h.amax(dim=(2, 3))], dim=1)
        return F.log_softmax(self.head(h, time).float(), dim=1)

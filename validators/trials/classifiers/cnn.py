"""A small convolutional network: over images in two dimensions, over rows of time in one (a TCN: Bai et al. 2018,
arXiv:1803.01271, without the causality, since a recording is whole when it is judged).

The number of steps does not depend on the number of rows, so that arms which add samples get no more training. Classes
are as frequent as in train unless weights say otherwise: rows are drawn in proportion to them. Arrays are scaled by
reference rows; what batch normalisation learns after that, it learns as the weights do, from all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from corpora.errors import UserError
from corpora.params import StrictParams
from validators.trials.classifiers.protocol import Layout, TrainRows, finite_rows, known_classes, over_all_classes

if TYPE_CHECKING:
    import torch
    from torch import nn

    from training.loop import Minibatch

_ASKED_AT_ONCE = 256
_PLACES = 3  # along each side of an image, kept apart by the last pooling


class CnnParams(StrictParams):
    """Of `cnn`."""

    steps: int = Field(300, ge=1, le=1_000_000, description="steps of the optimiser, whatever the number of rows")
    batch_size: int = Field(64, ge=2, le=65536, description="rows in a step")
    width: int = Field(16, ge=4, le=1024, multiple_of=4, description="channels of the first layer")
    lr: float = Field(3e-3, gt=0, le=1, description="largest learning rate; it falls along a cosine")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's decay of weights")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of pooled channels that a step does not see")
    mask_row: int | None = Field(
        None, ge=0, description="rows: index of the one that is > 0 in valid columns, over which alone is pooled"
    )


@dataclass(frozen=True, slots=True)
class ChannelScales:
    """mean, scale: [C] of channels or rows, of the reference rows; scale 0: constant, and 0 everywhere."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, reference: np.ndarray, kept: int | None = None) -> ChannelScales:
        """reference: [n, C, ...]; `kept`: a channel that stays as it is."""
        flat = np.moveaxis(np.asarray(reference, np.float64), 1, 0).reshape(reference.shape[1], -1)
        mean, scale = flat.mean(axis=1), flat.std(axis=1)
        scale[np.ptp(flat, axis=1) == 0] = 0.0
        if kept is not None:
            mean[kept], scale[kept] = 0.0, 1.0
        return cls(mean, scale)

    def apply(self, x: np.ndarray) -> torch.Tensor:
        """[n, C, ...] -> the same shape, float32."""
        import torch

        sides = (1, -1) + (1,) * (x.ndim - 2)
        factor = np.divide(1.0, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0)
        scaled = (np.asarray(x, np.float32) - self.mean.reshape(sides)) * factor.reshape(sides)
        return torch.from_numpy(scaled.astype(np.float32))


@dataclass(frozen=True, slots=True)
class FittedCnn:
    """present: [P] the classes that train has; network: [n, ...] scaled -> [n, P] logits."""

    scales: ChannelScales
    network: nn.Module
    shape: tuple[int, ...]
    present: np.ndarray
    n_classes: int

    def answers(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        if x.shape[1:] != self.shape:
            raise ValueError(f"rows of shape {x.shape[1:]}, but the network was trained on {self.shape}")
        finite_rows("cnn", "test", x)
        parts = [np.zeros((0, len(self.present)))]
        with torch.no_grad():
            for start in range(0, len(x), _ASKED_AT_ONCE):
                logits = self.network(self.scales.apply(x[start : start + _ASKED_AT_ONCE]))
                parts.append(torch.softmax(logits.double(), dim=1).numpy())
        return over_all_classes(np.concatenate(parts), self.present, self.n_classes, absent=0.0)


@dataclass(frozen=True, slots=True)
class Cnn:
    """Trained by the project's one loop, on the CPU threads that the process has."""

    params: CnnParams
    name: str = "cnn"
    probabilities: bool = True
    layouts: frozenset[Layout] = frozenset({"image", "rows"})
    Params: ClassVar = CnnParams

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        n_classes: int,
        seed: int,
        reference: np.ndarray | None = None,
    ) -> FittedCnn:
        import torch
        from torch.nn.functional import cross_entropy

        from training.loop import LoopParams, Order, Phase, run
        from training.seeds import derive_seed

        p = self.params
        if x.ndim not in (3, 4):
            raise UserError(
                f"cnn reads images [C, H, W] or rows [R, T], not arrays of shape {list(x.shape[1:])}; choose a "
                "classifier of vectors for them (logistic, linear_svm, svm, boosting)."
            )
        if p.mask_row is not None and (x.ndim != 3 or p.mask_row >= x.shape[1]):
            raise UserError(f"cnn: mask_row is {p.mask_row}, but arrays are of shape {list(x.shape[1:])}.")
        rows = TrainRows.of(self.name, x, y, weights, reference)
        present, places = known_classes(self.name, rows.targets, n_classes)
        scales = ChannelScales.fit(rows.x[rows.reference], p.mask_row)
        seen, target = scales.apply(rows.x), torch.from_numpy(places.astype(np.int64))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "cnn"))
            network = _image_network(x.shape[1], len(present), p) if x.ndim == 4 else _tcn(x.shape[1], len(present), p)

        def loss(batch: Minibatch) -> dict[str, torch.Tensor]:
            chosen = torch.from_numpy(batch.rows)
            return {"loss": cross_entropy(network(seen[chosen]), target[chosen])}

        loop = LoopParams(
            steps=p.steps, batch_size=p.batch_size, seed=seed, warmup=20, decay=True, report_every=p.steps
        )
        order = Order(np.arange(len(places)), derive_seed(seed, "cnn rows"), rows.weights)
        network.train()
        phase = Phase("cnn", network, loss, lr=p.lr, weight_decay=p.weight_decay)
        for _ in run([phase], order, loop, device=torch.device("cpu"), identity="cnn"):
            pass
        network.eval()
        return FittedCnn(scales, network, x.shape[1:], present, n_classes)


def _image_network(channels: int, n_out: int, p: CnnParams) -> nn.Module:
    from torch import nn

    widths = (p.width, 2 * p.width, 4 * p.width)
    layers: list[nn.Module] = [nn.Conv2d(channels, p.width, 5, stride=2, padding=2)]
    for before, after in pairwise(widths):
        layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, after, 3, padding=1)]
        layers += [nn.MaxPool2d(2, ceil_mode=True)]
    # where in an aligned face something is matters: nine places are kept apart
    layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(_PLACES), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(p.dropout), nn.Linear(widths[-1] * _PLACES**2, n_out))


def _tcn(rows: int, n_out: int, p: CnnParams) -> nn.Module:
    import torch
    from torch import nn
    from torch.nn.utils.parametrizations import weight_norm

    class Block(nn.Module):
        """Two dilated convolutions beside the identity."""

        def __init__(self, width: int, dilation: int) -> None:
            super().__init__()
            # norms of weights and not of activations: statistics over time would mix padding in
            first, second = (
                weight_norm(nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)) for _ in range(2)
            )
            self.body = nn.Sequential(first, nn.ReLU(), second)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x + self.body(x))

    class Tcn(nn.Module):
        """Blocks of dilation 1, 2, 4, 8, then the mean over the valid columns."""

        def __init__(self) -> None:
            super().__init__()
            width = 2 * p.width
            # a quarter of the columns: the blocks then see 61 of them at once, 2.4 s at a hop of 10 ms
            self.entry = nn.Sequential(nn.Conv1d(rows, width, 5, stride=2, padding=2), nn.AvgPool1d(2, ceil_mode=True))
            self.blocks = nn.Sequential(*(Block(width, dilation) for dilation in (1, 2, 4, 8)))
            self.exit = nn.Sequential(nn.Dropout(p.dropout), nn.Linear(width, n_out))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = self.blocks(self.entry(x))
            if p.mask_row is None:
                return self.exit(out.mean(dim=2))
            valid = (x[:, p.mask_row, ::4] > 0).to(out.dtype)[:, None]
            return self.exit((out * valid).sum(dim=2) / valid.sum(dim=2).clamp(min=1.0))

    return Tcn()

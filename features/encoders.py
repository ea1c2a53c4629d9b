"""A small convolutional network as feature extractor: trained on a corpus' own train split, small enough for a CPU.

The network classifies emotion; the outputs of its last but one layer (linear, no ReLU, so that they spread like a
Gaussian rather than half of one) are the embedding. Training is the caller's
(validators.embeddings.network.fit_encoder): this module knows the network, what goes into it, and how it is kept.
Encoders from a hub or a path take the same methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import nn

from corpora.errors import IntegrityError, UserError
from corpora.fingerprint import hash_bytes
from corpora.store.atomic import write_bytes, write_json

EMBEDDING_DIM = 32
WEIGHTS_FILE = "encoder.safetensors"
CONFIG_FILE = "encoder.json"


class ConvNet(nn.Module):
    """[B, 1, H, W] float32 -> logits [B, K]; `embed` gives the [B, 32] before them. Four stages, each halves the
    image."""

    def __init__(self, n_classes: int, width: int, shape: tuple[int, int]) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        channels = 1
        for stage, out in enumerate((width, 2 * width, 4 * width, 4 * width)):
            stride = 2 if stage == 0 else 1  # full resolution would cost more than all other stages together
            stages += [nn.Conv2d(channels, out, 5 - 2 * (stage > 0), stride, padding=2 - (stage > 0), bias=False)]
            stages += [nn.BatchNorm2d(out), nn.ReLU()] + [nn.MaxPool2d(2)] * (stage > 0)
            channels = out
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(0.3)
        # Flattened, not pooled: where in a face or a word something happens is half of the information.
        self.embedding = nn.Linear(channels * (shape[0] // 16) * (shape[1] // 16), EMBEDDING_DIM)
        self.head = nn.Linear(EMBEDDING_DIM, n_classes)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.embedding(self.dropout(self.stages(x).flatten(1)))
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.embed(x))
        return out


class TrainedEncoder:
    """`ConvNet` with the standardisation of its inputs: embeddings and class probabilities of images [H, W].

    Inputs are float32 [B, H, W]: time-normalised log-mel (dB) or gray levels; `mean` and `scale` are over all of train.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        shape: Sequence[int],
        mean: float,
        scale: float,
        width: int = 16,
        kind: str = "",
    ) -> None:
        self.classes = tuple(classes)
        self.shape = (int(shape[0]), int(shape[1]))
        if min(self.shape) < 16:
            raise UserError(f"the encoder wants images of at least 16 x 16, not {self.shape}")
        self.mean, self.scale, self.width, self.kind = float(mean), float(scale), int(width), kind
        self.network = ConvNet(len(self.classes), self.width, self.shape)

    @property
    def name(self) -> str:
        """Kind and 12 digits of the weights' hash."""
        return f"trained-{self.kind}/{hash_bytes(self._weights())[:12]}"

    def standardised(self, images: np.ndarray) -> torch.Tensor:
        """[B, H, W] -> [B, 1, H, W] float32."""
        return torch.from_numpy(np.ascontiguousarray((images - self.mean) / self.scale, dtype=np.float32))[:, None]

    def embed(self, images: np.ndarray) -> np.ndarray:
        """[B, H, W] -> [B, 32] float64."""
        return self._apply(images, self.network.embed, EMBEDDING_DIM)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """[B, H, W] -> [B, K] float64."""
        return self._apply(images, self.network, len(self.classes))

    @torch.inference_mode()
    def _apply(self, images: np.ndarray, function: nn.Module | object, columns: int) -> np.ndarray:
        if images.shape[1:] != self.shape:
            raise UserError(f"this encoder wants images [B, {self.shape[0]}, {self.shape[1]}], not {images.shape}")
        self.network.eval()
        parts = [function(self.standardised(images[i : i + 256])).numpy() for i in range(0, len(images), 256)]  # type: ignore[operator]
        return np.concatenate(parts).astype(np.float64) if parts else np.zeros((0, columns))

    def _weights(self) -> bytes:
        state = self.network.state_dict()
        return save({key: state[key].detach().cpu().contiguous() for key in sorted(state)})

    def save(self, folder: Path) -> None:
        """Writes encoder.safetensors and encoder.json."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = self._weights()
        write_bytes(folder / WEIGHTS_FILE, weights)
        facts = {"classes": list(self.classes), "shape": list(self.shape), "mean": self.mean, "scale": self.scale}
        facts |= {"width": self.width, "kind": self.kind, "weights": hash_bytes(weights)}
        write_json(folder / CONFIG_FILE, facts)

    @classmethod
    def load(cls, folder: Path) -> TrainedEncoder:
        import json

        facts = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        weights = (folder / WEIGHTS_FILE).read_bytes()
        if hash_bytes(weights) != facts.pop("weights"):
            raise IntegrityError(f"{folder / WEIGHTS_FILE} is not the file that {CONFIG_FILE} was written with")
        made = cls(facts.pop("classes"), **facts)
        made.network.load_state_dict(load(weights))
        return made

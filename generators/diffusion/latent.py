"""Latent spaces that a diffusion runs in (Rombach et al. 2022): of our own VAE, or of a diffusers AutoencoderKL.

Each is a `space.Space`; conditions count, for our own decoder is steered by them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import nn

from corpora.errors import IntegrityError, ParamsError
from corpora.fingerprint import hash_bytes
from features.representation import Spec
from generators.autoencoders.networks import CodeParams, VaeNetwork, vae_network
from generators.condition import ConditionFields, Conditions

SPREAD_FLOOR = 1e-3  # a latent that is the same for all of train must not be blown up
ENCODE_BATCH = 64
WEIGHTS = "diffusion_pytorch_model.safetensors"  # as diffusers' save_pretrained writes them


class LatentSpace(nn.Module):
    """Standardised latents. Subclasses bring `_encode` and `_decode`, `channels` and `grid`."""

    mean: torch.Tensor  # [channels, 1, 1]
    std: torch.Tensor
    keeps: bool = True

    def __init__(self, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.channels, self.grid = channels, grid
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def _encode(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        raise NotImplementedError

    def _decode(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        raise NotImplementedError

    @property
    def autoencoder(self) -> VaeNetwork | None:
        """None of what came trained."""
        return None

    def take_autoencoder(self, trained: nn.Module) -> None:
        """Never called of what came trained."""
        raise TypeError(f"{type(self).__name__} keeps the autoencoder that it came with")

    def bands(self) -> torch.Tensor | None:
        """None: a latent has no units."""
        return None

    @torch.no_grad()
    def fit(self, x: torch.Tensor, conditions: Conditions) -> None:
        """Mean and spread of each channel over x [N, C, H, W], normalised train arrays."""
        z = self._in_parts(x, conditions)
        self.mean.copy_(z.mean(dim=(0, 2, 3))[:, None, None])
        self.std.copy_(z.std(dim=(0, 2, 3), correction=0)[:, None, None].clamp(min=SPREAD_FLOOR))

    def fold(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, C, H, W] normalised and their conditions -> [B, channels, *grid]."""
        return (self._in_parts(x, conditions) - self.mean) / self.std

    def unfold(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        """[B, channels, *grid] -> [B, C, H, W]."""
        return self._decode(z * self.std + self.mean, conditions)

    def _in_parts(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        parts = []
        for start in range(0, len(x), ENCODE_BATCH):
            rows = slice(start, start + ENCODE_BATCH)
            parts.append(self._encode(x[rows], {name: values[rows] for name, values in conditions.items()}))
        return torch.cat(parts)


class OwnLatent(LatentSpace):
    """Posterior means of our own VAE, a vector for each array."""

    def __init__(self, spec: Spec, n_classes: int, fields: ConditionFields, params: CodeParams) -> None:
        super().__init__(params.latent, (1, 1))
        self.vae = vae_network(spec, n_classes, fields, params)

    @property
    def autoencoder(self) -> VaeNetwork | None:
        """Our own VAE."""
        return self.vae

    def take_autoencoder(self, trained: nn.Module) -> None:
        """What encodes from then on is what will decode."""
        assert isinstance(trained, VaeNetwork)
        self.vae = trained

    def _encode(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        return self.vae.encode(x, self.vae.read_under(conditions))[0][:, :, None, None]

    def _decode(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        return self.vae.decode(z.flatten(1), self.vae.write_under(conditions))


class Frozen:
    """A pretrained module that no state dict, copy or optimiser of ours holds. It follows tensors to their device."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module.eval().requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def on(self, device: torch.device) -> Any:
        """The module, on a device."""
        return self.module.to(device)


class PretrainedLatent(LatentSpace):
    """Latents of a diffusers AutoencoderKL in a local folder, which stays as it is: a saved model names its weights by
    their sha256 and wants the same ones at its path."""

    digest: torch.Tensor  # [32] uint8

    def __init__(self, spec: Spec, folder: str) -> None:
        if spec.layout != "image" or spec.bounds != (-1.0, 1.0):
            raise ParamsError(f"an AutoencoderKL is of images in [-1, 1]; {spec.name} has layout {spec.layout}")
        kl, digest = read_autoencoder(Path(folder))
        c, h, w = spec.grid
        config = kl.config
        if config.in_channels not in (c, 3) or c not in (1, 3):
            raise ParamsError(f"{folder} takes images of {config.in_channels} channels; {spec.name} has {c}")
        self_factor = 2 ** (len(config.block_out_channels) - 1)
        sides = tuple(-(-side // self_factor) for side in (h, w))
        super().__init__(config.latent_channels, (sides[0], sides[1]))
        self.spec, self.folder, self.factor = spec, folder, self_factor
        self.wanted_channels = int(config.in_channels)
        self.kl = Frozen(kl)
        self.register_buffer("digest", torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8))

    def _encode(self, x: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        h, w = x.shape[2:]
        padded = (self.grid[0] * self.factor - h, self.grid[1] * self.factor - w)
        x = F.pad(x, (0, padded[1], 0, padded[0]), mode="replicate").expand(-1, self.wanted_channels, -1, -1)
        latents: torch.Tensor = self.kl.on(x.device).encode(x).latent_dist.mode()
        return latents.float()

    def _decode(self, z: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        c, h, w = self.spec.grid
        x: torch.Tensor = self.kl.on(z.device).decode(z).sample.float()
        if c != self.wanted_channels:
            x = x.mean(dim=1, keepdim=True)
        return x[:, :, :h, :w]

    def _load_from_state_dict(self, state_dict: dict[str, torch.Tensor], prefix: str, *more: Any) -> None:
        saved = state_dict.get(f"{prefix}digest")
        if saved is not None and saved.cpu().tolist() != self.digest.cpu().tolist():
            raise IntegrityError(
                f"the model was fitted with other weights than those in {self.folder}; put back the autoencoder with "
                f"sha256 {bytes(saved.cpu().tolist()).hex()}, or fit it again"
            )
        super()._load_from_state_dict(state_dict, prefix, *more)


def read_autoencoder(folder: Path) -> tuple[Any, str]:
    """The AutoencoderKL of a folder in diffusers' format, and the sha256 of its weights. Raises `ParamsError`."""
    from diffusers import AutoencoderKL

    if not (folder / "config.json").is_file() or not (folder / WEIGHTS).is_file():
        raise ParamsError(
            f"autoencoder {str(folder)!r} is no folder with config.json and {WEIGHTS}; give the folder that "
            "AutoencoderKL.save_pretrained wrote (of a pipeline: its vae)"
        )
    try:
        config = AutoencoderKL.load_config(folder, local_files_only=True)
        if config.get("_class_name") != "AutoencoderKL":
            raise ParamsError(f"autoencoder {str(folder)!r} holds a {config.get('_class_name')}, not an AutoencoderKL")
        kl = AutoencoderKL.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ParamsError(f"autoencoder {str(folder)!r} cannot be read: {error}") from error
    return kl, hash_bytes((folder / WEIGHTS).read_bytes())

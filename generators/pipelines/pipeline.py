"""A pretrained pipeline of diffusers from "path:PLACE": a U-Net with what turns images and prompts into its terms.

Two kinds are known: DDPMPipeline (pixels, no condition: it gets one) and StableDiffusionPipeline (latents of its
autoencoder, prompts through its text encoder). Nothing of a pipeline but its parts is run, and pickled weights are
refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional

from corpora.errors import ParamsError, ResourceError
from corpora.fingerprint import hash_folder

FROM_PATH = "path:"
PARTS = {
    "DDPMPipeline": ("unet", "scheduler"),
    "StableDiffusionPipeline": ("unet", "scheduler", "vae", "text_encoder", "tokenizer"),
}
BATCH = 16  # images that go through the autoencoder at once


@dataclass(slots=True)
class Pipeline:
    """kind: name of the pipeline's class; unet, vae, text_encoder: modules (None: the kind has none); scheduler: config
    of its noise schedule; identity: hash of the files."""

    kind: str
    unet: Any
    scheduler: dict[str, Any]
    vae: Any
    text_encoder: Any
    tokenizer: Any
    identity: str

    @property
    def side(self) -> int:
        """Pixels of a side of the images that it was trained on."""
        size = self.unet.config.sample_size
        return int(size if isinstance(size, int) else size[0]) * self.shrinks

    @property
    def shrinks(self) -> int:
        """By how much the autoencoder makes a side shorter; 1 without one."""
        return 1 if self.vae is None else int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of what the U-Net denoises: [channels, height, width]."""
        side = self.side // self.shrinks
        return int(self.unet.config.in_channels), side, side

    def from_images(self, x: torch.Tensor) -> torch.Tensor:
        """[n, C, H, W] in [-1, 1] -> [n, *shape]: resized, grey repeated as colours, encoded where it has latents."""
        channels = int(self.unet.config.in_channels if self.vae is None else self.vae.config.in_channels)
        if x.shape[1] == 1:
            x = x.expand(-1, channels, -1, -1)
        size = (self.side, self.side)
        x = functional.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
        if self.vae is None:
            return x
        parts = [self.vae.encode(part).latent_dist.mode() for part in x.split(BATCH)]
        return torch.cat(parts) * float(self.vae.config.scaling_factor)

    def to_images(self, z: torch.Tensor, grid: tuple[int, int, int]) -> torch.Tensor:
        """The way back, to the channels and size of `grid`: colours are averaged where grey is wanted."""
        if self.vae is not None:
            z = z / float(self.vae.config.scaling_factor)
            z = torch.cat([self.vae.decode(part).sample for part in z.split(BATCH)])
        if grid[0] == 1:
            z = z.mean(dim=1, keepdim=True)
        z = functional.interpolate(z.float(), grid[1:], mode="bilinear", antialias=True, align_corners=False)
        return z.clamp(-1.0, 1.0)

    def encode_prompts(self, prompts: list[str]) -> torch.Tensor:
        """-> [n, L, D] hidden states of its text encoder. Raises `ParamsError` for a prompt that is longer than what it
        reads: the rest, and with it the class, would be cut off."""
        room = int(self.tokenizer.model_max_length)
        for prompt in prompts:
            n = len(self.tokenizer(prompt).input_ids)
            if n > room:
                raise ParamsError(f"the prompt {prompt!r} has {n} tokens, the text encoder reads {room}; shorten it")
        given = self.tokenizer(prompts, padding="max_length", max_length=room, return_tensors="pt")
        ids = given.input_ids.to(next(self.text_encoder.parameters()).device)
        with torch.no_grad():
            states: torch.Tensor = self.text_encoder(ids)[0]
        return states

    def modules(self) -> list[Any]:
        """Its networks."""
        return [part for part in (self.unet, self.vae, self.text_encoder) if part is not None]


def load_pipeline(place: str) -> Pipeline:
    """Raises `ParamsError` that says what is there instead of a pipeline, `ResourceError` where a text encoder needs
    transformers and it is not installed."""
    folder = Path(place.removeprefix(FROM_PATH)).expanduser()
    kind = _kind(place, folder)
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel, UNet2DModel

    def part(load: Any, name: str, **options: Any) -> Any:
        try:
            return load.from_pretrained(folder, subfolder=name, local_files_only=True, **options)
        except (OSError, ValueError, KeyError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise ParamsError(_said(place, f"its {name} cannot be loaded: {first}")) from None

    own = {"use_safetensors": True, "low_cpu_mem_usage": False}
    vae = text_encoder = tokenizer = None
    if kind == "StableDiffusionPipeline":
        clip_model, clip_tokenizer = _clip()
        vae = part(AutoencoderKL, "vae", **own)
        text_encoder = part(clip_model, "text_encoder", use_safetensors=True)
        tokenizer = part(clip_tokenizer, "tokenizer")
    unet = part(UNet2DModel if vae is None else UNet2DConditionModel, "unet", **own)
    scheduler = dict(part(DDIMScheduler, "scheduler").config)
    opened = Pipeline(kind, unet, scheduler, vae, text_encoder, tokenizer, hash_folder(folder)[:20])
    for module in opened.modules():
        module.float().eval().requires_grad_(False)
    if unet.config.sample_size is None:
        raise ParamsError(_said(place, "its U-Net names no sample_size, so it is not known what images it wants"))
    return opened


def _kind(place: str, folder: Path) -> str:
    """Raises `ParamsError` for what is not a pipeline of a known kind, with all its parts as safetensors."""
    if not folder.is_dir():
        raise ParamsError(_said(place, "it is a file, not a folder" if folder.exists() else "nothing is there"))
    index = folder / "model_index.json"
    if not index.is_file():
        instead = "no model_index.json"
        if (folder / "config.json").is_file():
            instead += ", but a config.json: a single model, not a whole pipeline"
        elif any(path.suffix in (".ckpt", ".safetensors") for path in folder.iterdir()):
            instead += ", but a single file of weights: convert it with diffusers' from_single_file and save_pretrained"
        raise ParamsError(_said(place, f"it holds {instead}"))
    try:
        kind = str(json.loads(index.read_text(encoding="utf-8"))["_class_name"])
    except (ValueError, KeyError, TypeError):
        raise ParamsError(_said(place, "its model_index.json names no pipeline")) from None
    if kind not in PARTS:
        raise ParamsError(_said(place, f"it holds a {kind}; known are {', '.join(PARTS)}"))
    for name in PARTS[kind]:
        if not (folder / name).is_dir():
            raise ParamsError(_said(place, f"its part {name!r} is missing"))
        files = [path.name for path in (folder / name).iterdir()]
        weights = name not in ("scheduler", "tokenizer")
        if weights and not any(file.endswith(".safetensors") for file in files):
            raise ParamsError(
                _said(place, f"its part {name!r} has no weights as safetensors ({', '.join(sorted(files))})")
            )
    return kind


def _said(place: str, what: str) -> str:
    return f"{place}: {what}. Wanted is a folder as diffusers' save_pretrained writes it"


def _clip() -> tuple[Any, Any]:
    try:
        from transformers import CLIPTextModel, CLIPTokenizer
    except ImportError:
        raise ResourceError("a text encoder needs transformers: pip install 'emoforge[lm]'") from None
    return CLIPTextModel, CLIPTokenizer

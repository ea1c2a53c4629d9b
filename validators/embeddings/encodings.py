"""What encoders do with their samples: prepare, batch, pool. validators/embeddings/encoders.py loads them.

Row i of what they give depends on sample i only: pictures have one size, recordings of different length are never
padded (some of these models have no mask for it), and nothing is drawn at random (CLAP's own cropping is replaced by
consecutive windows). Texts: validators/embeddings/sentences.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soxr

from corpora.errors import UserError
from validators.embeddings.checkpoints import plain_errors
from validators.maths.images import is_picture
from validators.memo import Memo

Reads = Literal["images", "speech", "text"]
LONGEST_S = 300.0  # of a recording: attention grows with the square of it
REMEMBERED = 10_000  # samples; 60 MB at 768 columns
BATCH = 32  # pictures, texts, or recordings of one length


class Encoder:
    """What `load_encoder` gives. `name` belongs to every number: numbers of different names do not compare."""

    reads: Reads

    def __init__(self, model: Any, name: str, device: str) -> None:
        self._model, self.name, self._device = model, name, device
        self.dim = 0
        self.memory: Memo[bytes, np.ndarray] = Memo(REMEMBERED)  # features by content of a sample, for who asks often

    def encode(self, samples: Sequence[Any], *, rate_hz: float | Sequence[float] | None = None) -> np.ndarray:
        """-> [n, dim] float64; NaN rows for samples that cannot be encoded (empty, not finite, shorter than a frame).

        images: uint8 [H, W] or [H, W, 3]. speech: floats [T] in [-1, 1] at `rate_hz` (one for all, or one each),
        brought to the model's rate by soxr. text: str. Raises `UserError` for other shapes and dtypes.
        """
        rates = list(rate_hz) if isinstance(rate_hz, Sequence) else [rate_hz] * len(samples)
        if len(rates) != len(samples):
            raise UserError(f"{len(samples)} samples and {len(rates)} rates")
        out = np.full((len(samples), self.dim), np.nan)
        rows, ready = [], []
        for row, (sample, rate) in enumerate(zip(samples, rates, strict=True)):
            prepared = self._prepared(sample, rate)
            if prepared is not None:
                rows.append(row)
                ready.append(prepared)
        if rows:
            out[rows] = self._all(ready)
        return out

    def _prepared(self, sample: Any, rate_hz: float | None) -> Any:
        """-> what `_batch` takes, or None for a sample that cannot be encoded."""
        raise NotImplementedError

    def _batch(self, ready: list[Any]) -> Any:
        """Prepared samples -> tensor [n, d]."""
        raise NotImplementedError

    def _groups(self, ready: list[Any]) -> Iterator[list[int]]:
        """Rows that go through the model together."""
        for first in range(0, len(ready), BATCH):
            yield list(range(first, min(first + BATCH, len(ready))))

    def _all(self, ready: list[Any]) -> np.ndarray:
        import torch

        of_row: dict[int, np.ndarray] = {}
        with torch.inference_mode(), torch.autocast(torch.device(self._device).type, enabled=False):
            for rows in self._groups(ready):
                features = self._batch([ready[i] for i in rows])
                of_row.update(zip(rows, features.double().cpu().numpy(), strict=True))
        return np.stack([of_row[i] for i in range(len(ready))])

    def _measured(self, sample: Any, where: Path) -> None:
        """Sets `dim` by encoding a fake sample: a folder whose parts do not fit together fails here, by name."""
        with plain_errors(where, type(self._model).__name__):
            features = self._all([sample])
        self.dim = features.shape[1]


class ImageEncoder(Encoder):
    """Pictures through the model's own processor: projected features where it has them (CLIP), else the class token."""

    reads: Reads = "images"

    def __init__(self, model: Any, name: str, device: str, folder: Path, processor: Any) -> None:
        super().__init__(model, name, device)
        self._processor = processor
        self._measured(np.zeros((32, 32, 3), np.uint8), folder)

    def _prepared(self, sample: Any, rate_hz: float | None) -> Any:
        return rgb(sample)

    def _batch(self, ready: list[Any]) -> Any:
        from PIL import Image

        pixels = self._processor(images=[Image.fromarray(one) for one in ready], return_tensors="pt")["pixel_values"]
        pixels = pixels.to(self._device)
        if hasattr(self._model, "get_image_features"):
            return self._model.get_image_features(pixels).pooler_output
        output = self._model(pixel_values=pixels)
        return output.image_embeds if hasattr(output, "image_embeds") else output.last_hidden_state[:, 0]


class ScriptedEncoder(Encoder):
    """A TorchScript module that is called with uint8 [n, 3, H, W] and return_features=True, as the InceptionV3 is that
    StyleGAN2-ADA and clean-fid distribute for FID (it resizes pictures to 299 x 299 itself)."""

    reads: Reads = "images"

    def __init__(self, model: Any, name: str, device: str, path: Path) -> None:
        super().__init__(model, name, device)
        self._measured(np.zeros((32, 32, 3), np.uint8), path)

    def _prepared(self, sample: Any, rate_hz: float | None) -> Any:
        return rgb(sample)

    def _groups(self, ready: list[Any]) -> Iterator[list[int]]:
        return _alike([one.shape for one in ready])

    def _batch(self, ready: list[Any]) -> Any:
        import torch

        pixels = torch.from_numpy(np.stack(ready)).permute(0, 3, 1, 2).contiguous().to(self._device)
        with torch.jit.optimized_execution(False):  # else the second call runs other kernels than the first
            output = self._model(pixels, return_features=True)
        if not isinstance(output, torch.Tensor) or len(output) != len(ready):
            raise ValueError(f"return_features=True gave {type(output).__name__}, not a tensor [n, d]")
        return output.flatten(1)


class SpeechEncoder(Encoder):
    """Mean over time of hidden layer `layer` (0: what goes into the transformer; None: the last)."""

    reads: Reads = "speech"

    def __init__(self, model: Any, name: str, device: str, folder: Path, processor: Any, layer: int | None) -> None:
        super().__init__(model, name, device)
        self._processor, self._layer, self.rate_hz = processor, layer, int(processor.sampling_rate)
        n_layers = int(model.config.num_hidden_layers)
        if layer is not None and not 0 <= layer <= n_layers:
            raise UserError(f"{folder} has hidden layers 0 to {n_layers}; layer is {layer}")
        self._measured(np.sin(np.arange(self.rate_hz) / 9.0).astype(np.float32), folder)

    def _prepared(self, sample: Any, rate_hz: float | None) -> Any:
        signal = _speech(sample, rate_hz, self.rate_hz)
        if signal is None or int(self._model._get_feat_extract_output_lengths(signal.size)) < 1:
            return None
        return signal

    def _groups(self, ready: list[Any]) -> Iterator[list[int]]:
        return _alike([one.shape for one in ready])

    def _batch(self, ready: list[Any]) -> Any:
        inputs = self._processor(ready, sampling_rate=self.rate_hz, return_tensors="pt", padding=False)
        values = inputs["input_values"].to(self._device)
        output = self._model(values, output_hidden_states=self._layer is not None)
        hidden = output.last_hidden_state if self._layer is None else output.hidden_states[self._layer]
        return hidden.float().mean(dim=1)


class ClapEncoder(Encoder):
    """Mean of the audio features of equal consecutive windows, each at most as long as the model looks."""

    reads: Reads = "speech"

    def __init__(self, model: Any, name: str, device: str, folder: Path, processor: Any) -> None:
        super().__init__(model, name, device)
        self._processor, self.rate_hz = processor, int(processor.sampling_rate)
        self._measured(np.sin(np.arange(self.rate_hz) / 9.0).astype(np.float32), folder)

    def _prepared(self, sample: Any, rate_hz: float | None) -> Any:
        return _speech(sample, rate_hz, self.rate_hz)

    def _groups(self, ready: list[Any]) -> Iterator[list[int]]:
        for row in range(len(ready)):
            yield [row]

    def _batch(self, ready: list[Any]) -> Any:
        import torch

        pieces = np.array_split(ready[0], math.ceil(ready[0].size / self._processor.nb_max_samples))
        inputs = self._processor([np.asarray(p) for p in pieces], sampling_rate=self.rate_hz, return_tensors="pt")
        mels = inputs["input_features"].float().to(self._device)
        longer = torch.zeros(len(pieces), 1, dtype=torch.bool, device=self._device)  # the processor sets one at random
        return self._model.get_audio_features(mels, is_longer=longer).pooler_output.mean(dim=0, keepdim=True)


def rgb(sample: Any) -> np.ndarray | None:
    """uint8 [H, W], [H, W, 1] or [H, W, 3] -> uint8 [H, W, 3]; None where it is empty. Raises `UserError`."""
    picture = np.asarray(sample)
    if picture.size == 0:
        return None
    if not is_picture(picture):
        raise UserError(f"a picture is uint8 [H, W] or [H, W, 3]; this one is {picture.dtype} {picture.shape}")
    if picture.ndim == 2:
        picture = picture[:, :, None]
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


def _speech(sample: Any, rate_hz: float | None, to_hz: int) -> np.ndarray | None:
    """[T] floats -> float32 at `to_hz`; None where it is empty or not finite. Raises `UserError`."""
    signal = np.asarray(sample, dtype=np.float32)
    if signal.ndim != 1:
        raise UserError(f"a recording is [T], one channel; this one is {signal.shape}")
    if not rate_hz or not math.isfinite(rate_hz) or rate_hz <= 0:
        raise UserError(f"recordings need their sampling rate in Hz; it is {rate_hz}")
    if signal.size == 0 or not np.isfinite(signal).all():
        return None
    if signal.size / rate_hz > LONGEST_S:
        raise UserError(
            f"a recording of {signal.size / rate_hz:.0f} s is too long for an encoder; cut it ({LONGEST_S:g} s)"
        )
    if rate_hz != to_hz:
        signal = soxr.resample(signal, rate_hz, to_hz, quality="HQ")
    return signal if signal.size else None


def _alike(shapes: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
    """Rows of one shape, at most `BATCH` at a time."""
    places: dict[tuple[int, ...], list[int]] = {}
    for row, shape in enumerate(shapes):
        places.setdefault(shape, []).append(row)
    for rows in places.values():
        for first in range(0, len(rows), BATCH):
            yield rows[first : first + BATCH]

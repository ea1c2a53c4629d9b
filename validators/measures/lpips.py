"""LPIPS: how different two pictures look to a network trained on pictures (Zhang et al. 2018, arXiv 1801.03924, eq. 1).

    d(x, y) = sum over 5 layers l of  mean over positions of  sum over channels c of  w_lc (x_lc - y_lc)^2

x_l, y_l: outputs of layer l, each position scaled to length 1 over its channels; w_l >= 0, learned from people's
judgements. Version 0.1 of the authors: pictures in [-1, 1], shifted and scaled per channel to ImageNet's statistics.
AlexNet and VGG16 are written out here; their weights come from a path, as torchvision and the authors name them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators.embeddings.checkpoints import files_hash
from validators.embeddings.encodings import rgb
from validators.measures.measured import Measured
from validators.measures.pairs import mean_of_pairs

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of the channels R, G, B, in units of [-1, 1]
TINY = 1e-10  # added to lengths: a position without any activation stays 0
# A layer: the places of its convolutions in torchvision's `features`, and (kernel, stride) of the max pooling before
# it. The output of its last ReLU is compared.
LAYERS: dict[str, list[tuple[tuple[int, ...], tuple[int, int] | None]]] = {
    "alex": [((0,), None), ((3,), (3, 2)), ((6,), (3, 2)), ((8,), None), ((10,), None)],
    "vgg": [((0, 2), None), ((5, 7), (2, 2)), ((10, 12, 14), (2, 2)), ((17, 19, 21), (2, 2)), ((24, 26, 28), (2, 2))],
}
STEPS = {11: (4, 2), 5: (1, 2), 3: (1, 1)}  # kernel -> stride, padding, in both networks


class Lpips:
    """`weights`: file with `features.N.weight` and `.bias` (torchvision's AlexNet or VGG16; which one, the first kernel
    tells). `linear`: file with `lin0.model.1.weight` to `lin4.model.1.weight`, [1, C, 1, 1]. Both .safetensors, or .pth
    read without unpickling objects. `name`: network and hash of both files; it belongs to every number."""

    def __init__(self, weights: Path | str, linear: Path | str, *, device: str = "cpu") -> None:
        """Raises `UserError`: a file is missing, holds something else, or weights that do not fit together."""
        weights, linear = Path(weights).expanduser(), Path(linear).expanduser()
        features, lines = _tensors(weights), _tensors(linear)
        first = features.get("features.0.weight")
        kernel = int(first.shape[-1]) if first is not None and first.ndim == 4 else 0
        if kernel not in (3, 11):
            raise UserError(f"{weights} is neither AlexNet nor VGG16: no features.0.weight of 11 x 11 or 3 x 3 pixels")
        self.net = "alex" if kernel == 11 else "vgg"
        self._device = device
        self._convolutions, self._lines = _checked(self.net, features, lines, weights, linear)
        self._convolutions = {k: (w.to(device), b.to(device)) for k, (w, b) in self._convolutions.items()}
        self._lines = [line.to(device) for line in self._lines]
        self.name = f"LPIPS-{self.net}/{files_hash([weights, linear])}"
        self.smallest_px = next(px for px in range(1, 512) if self._fits(px))

    def distance(self, real: np.ndarray, synthetic: np.ndarray) -> float:
        """uint8 [H, W] or [H, W, 3], both of one size, each side at least `smallest_px` -> distance >= 0.

        Gray pictures have three equal channels. Raises `UserError` for other shapes.
        """
        import torch

        a, b = rgb(real), rgb(synthetic)
        if a is None or b is None or a.shape != b.shape:
            raise UserError(
                f"pictures {np.shape(real)} and {np.shape(synthetic)}: a pair has one size, and is not empty"
            )
        if min(a.shape[:2]) < self.smallest_px:
            raise UserError(
                f"pictures are {a.shape[0]} x {a.shape[1]}; LPIPS-{self.net} needs at least "
                f"{self.smallest_px} pixels each way"
            )
        x = torch.from_numpy(np.stack([a, b])).permute(0, 3, 1, 2).to(self._device, torch.float32) / 127.5 - 1.0
        shift, scale = (torch.tensor(v, device=self._device).view(1, 3, 1, 1) for v in (SHIFT, SCALE))
        total = 0.0
        with torch.inference_mode(), torch.autocast(torch.device(self._device).type, enabled=False):
            for layer, outputs in enumerate(self._layers((x - shift) / scale)):
                unit = outputs / (outputs.square().sum(dim=1, keepdim=True).sqrt() + TINY)
                squares = (unit[0] - unit[1]).double().square()  # [C, h, w]
                total += float((squares * self._lines[layer]).sum(dim=0).mean())
        return total

    def _layers(self, x: Any) -> Any:
        """[n, 3, H, W] -> the five outputs [n, C, h, w], one after the other."""
        from torch.nn.functional import conv2d, max_pool2d

        for places, pool in LAYERS[self.net]:
            x = x if pool is None else max_pool2d(x, *pool)
            for place in places:
                weight, bias = self._convolutions[place]
                stride, padding = STEPS[weight.shape[-1]]
                x = conv2d(x, weight, bias, stride=stride, padding=padding).relu()
            yield x

    def _fits(self, px: int) -> bool:
        """Every layer has at least one position in pictures of `px` x `px`."""
        size = px
        for places, pool in LAYERS[self.net]:
            if pool is not None:
                size = (size - pool[0]) // pool[1] + 1 if size >= pool[0] else 0
            for place in places:
                kernel = int(self._convolutions[place][0].shape[-1])
                stride, padding = STEPS[kernel]
                size = (size + 2 * padding - kernel) // stride + 1 if size + 2 * padding >= kernel and size > 0 else 0
        return size > 0


def lpips(
    real: Sequence[np.ndarray], synthetic: Sequence[np.ndarray], *, weights: str = "", linear: str = ""
) -> Measured:
    """The metric: mean over pairs. `weights`, `linear`: files as `Lpips` reads them. Raises `UserError`."""
    if not weights or not linear:
        raise UserError(
            "lpips needs weights and linear: files of AlexNet's or VGG16's features (torchvision's names) and of the "
            "authors' linear layers"
        )
    if len(real) != len(synthetic) or len(real) == 0:
        raise UserError(f"{len(real)} real and {len(synthetic)} synthetic pictures; pairs need as many of both")
    model = Lpips(weights, linear)
    pairs: list[tuple[float, str | None]] = [(model.distance(a, b), None) for a, b in zip(real, synthetic, strict=True)]
    return mean_of_pairs(pairs, "1", f"version 0.1, pictures in [-1, 1], as large as they are, {model.name}")


def _tensors(path: Path) -> dict[str, Any]:
    """Name -> float32 tensor. Raises `UserError` where it is no file of tensors alone."""
    from pickle import UnpicklingError  # what torch raises where a .pth holds more than tensors: it reads no objects

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"{path} does not exist; a .safetensors or .pth file of weights is needed")
    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, SafetensorError, UnpicklingError) as error:
        raise UserError(f"{path} holds no weights that are read here (tensors by name): {error}") from error
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise UserError(f"{path} holds {type(found).__name__}, not tensors by name")
    return {str(key): value.to(torch.float32) for key, value in found.items()}


def _checked(
    net: str, features: Mapping[str, Any], lines: Mapping[str, Any], weights: Path, linear: Path
) -> tuple[dict[int, Any], list[Any]]:
    """-> place -> (weight, bias) of the convolutions; weights [C, 1, 1] float64 of each layer. Raises `UserError`."""
    convolutions: dict[int, Any] = {}
    of_layers: list[Any] = []
    channels = 3
    for layer, (places, _) in enumerate(LAYERS[net]):
        for place in places:
            weight, bias = (features.get(f"features.{place}.{part}") for part in ("weight", "bias"))
            kernel = {("alex", 0): 11, ("alex", 3): 5}.get((net, place), 3)
            if weight is None or bias is None or weight.shape[1:] != (channels, kernel, kernel):
                got = "nothing" if weight is None or bias is None else tuple(weight.shape)
                raise UserError(
                    f"{weights}: features.{place}.weight of {net} is [C, {channels}, {kernel}, {kernel}] with a bias "
                    f"beside it; there is {got}"
                )
            channels = int(weight.shape[0])
            convolutions[place] = (_finite(weight, weights), _finite(bias, weights))
        line = lines.get(f"lin{layer}.model.1.weight")
        if line is None or tuple(line.shape) != (1, channels, 1, 1):
            got = "nothing" if line is None else tuple(line.shape)
            raise UserError(f"{linear}: lin{layer}.model.1.weight of {net} is [1, {channels}, 1, 1]; there is {got}")
        if float(_finite(line, linear).min()) < 0:
            raise UserError(f"{linear}: lin{layer}.model.1.weight has negative weights; a distance needs none")
        of_layers.append(line[0].double())
    return convolutions, of_layers


def _finite(tensor: Any, path: Path) -> Any:
    if not bool(tensor.isfinite().all()):
        raise UserError(f"{path} holds weights that are not finite")
    return tensor

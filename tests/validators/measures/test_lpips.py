"""LPIPS against a computation of its own in numpy and scipy, on tiny random weights; and what it must be."""

from __future__ import annotations

import json
import math
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import correlate
from typer.testing import CliRunner

from corpora.codecs import encode_png
from corpora.errors import UserError
from emoforge.cli import app
from validators.measures.lpips import Lpips
from validators.measures.registry import measure

torch = pytest.importorskip("torch")
WIDTHS = (4, 5, 6, 5, 4)
BLOCKS = {"alex": [[0], [3], [6], [8], [10]], "vgg": [[0, 2], [5, 7], [10, 12, 14], [17, 19, 21], [24, 26, 28]]}
_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def random_weights(net: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """-> what torchvision's and the authors' files hold, with fewer channels."""
    draw, features, lines, before = torch.Generator().manual_seed(3), {}, {}, 3
    for layer, (places, width) in enumerate(zip(BLOCKS[net], WIDTHS, strict=True)):
        for place in places:
            k = {("alex", 0): 11, ("alex", 3): 5}.get((net, place), 3)
            features[f"features.{place}.weight"] = torch.randn(width, before, k, k, generator=draw) / k
            features[f"features.{place}.bias"] = 0.1 * torch.randn(width, generator=draw)
            before = width
        lines[f"lin{layer}.model.1.weight"] = torch.rand(1, width, 1, 1, generator=draw)
    features["classifier.6.weight"] = torch.ones(2, 2)  # is in the genuine files, and not used
    return features, lines


@cache
def weight_files(net: str) -> tuple[str, str]:
    """Written once, removed when the tests end."""
    from safetensors.torch import save_file

    _KEPT.append(tempfile.TemporaryDirectory())
    folder = Path(_KEPT[-1].name)
    features, lines = random_weights(net)
    save_file(features, folder / f"{net}.safetensors")
    torch.save(lines, folder / f"{net}.pth")
    return str(folder / f"{net}.safetensors"), str(folder / f"{net}.pth")


def picture(seed: int, shape: tuple[int, ...] = (40, 36, 3)) -> np.ndarray:
    rough = np.random.default_rng(seed).normal(size=shape)
    smooth = gaussian_filter(rough, [2, 2, 0][: len(shape)])
    return np.clip(128 + 200 * smooth, 0, 255).astype(np.uint8)


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    out = [correlate(x, kernel, mode="valid")[0] + b for kernel, b in zip(weight, bias, strict=True)]
    return np.maximum(np.stack(out)[:, ::stride, ::stride], 0)


def pooled(x: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(1, 2))
    return windows[:, ::stride, ::stride].max(axis=(3, 4))


def by_hand(net: str, a: np.ndarray, b: np.ndarray) -> float:
    features, lines = ({k: v.numpy().astype(np.float64) for k, v in d.items()} for d in random_weights(net))
    pair = []
    for one in (a, b):
        one = np.repeat(one[:, :, None], 3, axis=2) if one.ndim == 2 else one
        x = ((one / 127.5 - 1) - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
        pair.append(x.transpose(2, 0, 1))
    total = 0.0
    for layer, places in enumerate(BLOCKS[net]):
        if layer and not (net == "alex" and layer > 2):
            pair = [pooled(x, *((3, 2) if net == "alex" else (2, 2))) for x in pair]
        for place in places:
            w, bias = features[f"features.{place}.weight"], features[f"features.{place}.bias"]
            stride, padding = {11: (4, 2), 5: (1, 2), 3: (1, 1)}[w.shape[-1]]
            pair = [convolved(x, w, bias, stride, padding) for x in pair]
        unit = [x / (np.sqrt((x**2).sum(axis=0)) + 1e-10) for x in pair]
        difference = (unit[0] - unit[1]) ** 2
        total += (lines[f"lin{layer}.model.1.weight"][0] * difference).sum(axis=0).mean()
    return float(total)


@pytest.mark.parametrize("net", ["alex", "vgg"])
@pytest.mark.parametrize("shape", [(40, 36, 3), (35, 63)])
def test_the_same_as_by_hand(net: str, shape: tuple[int, ...]) -> None:
    model = Lpips(*weight_files(net))
    a, b = picture(0, shape), picture(1, shape)
    assert model.distance(a, b) == pytest.approx(by_hand(net, a, b), rel=1e-4) != 0
    assert model.distance(a, a) == 0
    assert model.distance(a, b) == pytest.approx(model.distance(b, a), rel=1e-6)
    assert model.net == net and model.name.startswith(f"LPIPS-{net}/") and len(model.name.partition("/")[2]) == 12


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_more_blur_is_more_distance(net: str) -> None:
    model, sharp = Lpips(*weight_files(net)), np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blurred = [gaussian_filter(sharp.astype(float), [s, s, 0]).round().astype(np.uint8) for s in (0.3, 0.5, 0.8, 1.2)]
    found = [model.distance(sharp, one) for one in blurred]
    assert found == sorted(found) and found[0] > 0 and found[-1] > 1.2 * found[0]


def test_the_smallest_picture() -> None:
    for net, px in (("alex", 31), ("vgg", 16)):
        model = Lpips(*weight_files(net))
        assert model.smallest_px == px
        assert math.isfinite(model.distance(picture(0, (px, px)), picture(1, (px, px))))
        with pytest.raises(UserError, match=f"at least {px} pixels"):
            model.distance(picture(0, (px - 1, 99)), picture(1, (px - 1, 99)))
    for a, b in ((picture(0), picture(1, (36, 40, 3))), (picture(0)[:0], picture(0)[:0]), (picture(0) / 2, picture(0))):
        with pytest.raises(UserError, match=r"one size|uint8"):
            model.distance(a, b)


def test_as_a_metric_and_on_the_command_line(tmp_path: Path) -> None:
    weights, linear = weight_files("alex")
    real, synthetic = [picture(0), picture(1)], [picture(2), picture(3)]
    found = measure("lpips", real, synthetic, weights=weights, linear=linear)
    model = Lpips(weights, linear)
    each = [model.distance(a, b) for a, b in zip(real, synthetic, strict=True)]
    assert found.value == pytest.approx(np.mean(each)) and found.low < found.value < found.high
    assert model.name in found.convention and "0.1" in found.convention
    for side, pair in (("a", real), ("b", synthetic)):
        (tmp_path / side).mkdir()
        for name, one in zip("xy", pair, strict=True):
            (tmp_path / side / f"{name}.png").write_bytes(encode_png(one))
    for flags in (["--weights", weights, f"--linear={linear}"], ["-o", f"weights={weights}", "-o", f"linear={linear}"]):
        done = CliRunner().invoke(app, ["measure", "lpips", str(tmp_path / "a"), str(tmp_path / "b"), *flags, "--json"])
        assert json.loads(done.stdout)["value"] == pytest.approx(found.value), done.output
    with pytest.raises(UserError, match="needs weights and linear"):
        measure("lpips", real, synthetic)


def test_files_that_are_no_weights_are_errors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights, linear = weight_files("alex")
    features, lines = random_weights("alex")

    def saved(tensors: dict[str, Any], **changed: Any) -> Path:
        save_file({k: v for k, v in {**tensors, **changed}.items() if v is not None}, tmp_path / "x.safetensors")
        return tmp_path / "x.safetensors"

    with pytest.raises(UserError, match="does not exist"):
        Lpips(tmp_path / "gone.pth", linear)
    (tmp_path / "text.pth").write_text("no weights")
    torch.save({"a": 1}, tmp_path / "other.pth")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "object.pth")
    for name in ("text.pth", "other.pth", "object.pth"):
        with pytest.raises(UserError, match="tensors by name"):
            Lpips(tmp_path / name, linear)
    with pytest.raises(UserError, match="neither AlexNet nor VGG16"):
        Lpips(linear, linear)
    with pytest.raises(UserError, match=r"features.6.weight of alex .* there is nothing"):
        Lpips(saved(features, **{"features.6.weight": None}), linear)
    with pytest.raises(UserError, match=r"lin2.model.1.weight of alex"):
        Lpips(weights, saved(lines, **{"lin2.model.1.weight": torch.ones(1, 7, 1, 1)}))
    with pytest.raises(UserError, match="negative"):
        Lpips(weights, saved(lines, **{"lin1.model.1.weight": -lines["lin1.model.1.weight"]}))
    with pytest.raises(UserError, match="not finite"):
        Lpips(weights, saved(lines, **{"lin1.model.1.weight": math.nan * lines["lin1.model.1.weight"]}))
    renamed = tmp_path / "renamed.pth"
    renamed.write_bytes(Path(linear).read_bytes())
    assert Lpips(weights, renamed).name == Lpips(weights, linear).name  # of the content
    assert Lpips(weights, saved(lines, **{"lin1.model.1.weight": 2 * lines["lin1.model.1.weight"]})).name != (
        Lpips(weights, linear).name
    )

"""Opinions on speech: a tiny network whose answer is known, and the published ones where they are installed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soxr

from corpora.errors import UnknownNameError, UserError
from features.pretrained.packages import ENCODERS, packaged
from features.speech.mos import listener
from tests.features.pretrained.carried import carry
from tests.features.pretrained.tiny_onnx import tiny_dnsmos

RATE = 16000
needs_onnx = pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")


def tone(seconds: float, level: float = 0.1, rate: int = RATE) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def calibrated(sig: float, bak: float, ovrl: float) -> dict[str, float]:
    """As published with the model."""
    return {
        "ovrl": -0.06766283 * ovrl**2 + 1.11546468 * ovrl + 0.04602535,
        "sig": -0.08397278 * sig**2 + 1.22083953 * sig + 0.0052439,
        "bak": -0.13166888 * bak**2 + 1.60915514 * bak - 0.39604546,
    }


@needs_onnx
def test_short_recordings_are_repeated_and_long_ones_heard_in_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry(tmp_path, "dnsmos", tiny_dnsmos(), monkeypatch)
    network = listener("dnsmos")
    level = 0.1 * 2 / np.pi  # mean of |x| of a sine

    def expected(*levels: float) -> dict[str, float]:
        raw = np.mean([[4 - 6 * a, 4 - 4 * a, 4 - 8 * a] for a in levels], axis=0)
        return calibrated(*raw)

    assert network.opinions(tone(2.0), RATE) == pytest.approx(expected(level), abs=5e-4)
    # 11 s, of which the last second is four times as loud: windows of 9.01 s begin at 0 and 1 s, and miss it but 0.01 s
    loud = np.concatenate([tone(10.0), tone(1.0, 0.4)])
    later = level * (9.0 + 0.01 * 4) / 9.01
    assert network.opinions(loud, RATE) == pytest.approx(expected(level, later), abs=5e-4)
    up = soxr.resample(tone(2.0), RATE, 48000)
    assert network.opinions(up, 48000) == pytest.approx(network.opinions(tone(2.0), RATE), abs=2e-3)
    assert network.opinions(tone(2.0, 3.0), RATE) == pytest.approx(network.opinions(tone(2.0, 1.0), RATE), abs=1e-6)


@needs_onnx
def test_bad_input_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path, "dnsmos", tiny_dnsmos(), monkeypatch)
    network = listener("dnsmos")
    for bad in (np.zeros(0, np.float32), np.full(9, np.nan, np.float32), np.zeros((9, 2), np.float32)):
        with pytest.raises(UserError, match="finite"):
            network.opinions(bad, RATE)
    with pytest.raises(UserError, match="sampling rate"):
        network.opinions(tone(1.0), 0.0)
    carry(tmp_path, "dnsmos", b"no network", monkeypatch)
    with pytest.raises(UserError, match="no network that onnxruntime reads"):
        listener("dnsmos")


def test_absent_and_unknown_listeners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'dnsmos'"):
        listener("dnsmo")
    for name in ("dnsmos", "distillmos"):
        monkeypatch.setitem(ENCODERS, name, replace(ENCODERS[name], distribution="no-such-package"))
        with pytest.raises(UserError, match=f"{name} needs the package no-such-package"):
            listener(name)


def test_distillmos_reads_weights_of_its_form_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from features.speech.distillmos import Network, compressed

    torch.manual_seed(0)
    state = Network().state_dict()
    file = tmp_path / "weights.pt"
    torch.save({"model": state, "step": 1}, file)
    carry(tmp_path / "site", "distillmos", file.read_bytes(), monkeypatch)
    short, long = tone(1.0), tone(9.0)
    network = listener("distillmos")
    opinion = network.opinions(short, RATE)["ovrl"]
    assert 1.0 <= opinion <= 5.0 and network.opinions(0.5 * short, RATE)["ovrl"] == pytest.approx(opinion, abs=1e-4)
    parts = [network.opinions(long[start : start + 122_880], RATE)["ovrl"] for start in (0, 10_560, 21_120)]
    assert network.opinions(long, RATE)["ovrl"] == pytest.approx(np.mean(parts), abs=1e-4)
    spectrum = compressed(torch.from_numpy(tone(0.1, 1.0)[None]))
    assert spectrum.shape == (1, 2, 161, 10)
    energy = (spectrum**2).sum(dim=1).sqrt()[0, :, 5]  # a full-scale sine at bin 4: half the window's sum, to 0.3
    assert int(energy.argmax()) == 4 and float(energy.max()) == pytest.approx((160 / 2) ** 0.3, rel=1e-3)
    del state["transformer_pool_attn.pool.linear3.bias"]
    torch.save({"model": state}, file)
    carry(tmp_path / "site", "distillmos", file.read_bytes(), monkeypatch)
    with pytest.raises(UserError, match="holds no such network"):
        listener("distillmos")


@pytest.mark.parametrize("name", ["dnsmos", "distillmos"])
def test_the_published_ones_hear_noise(name: str, shared_data: Path) -> None:
    """And, to the digit, what the packages' own code makes of the same files (10 s: no difference of windows)."""
    try:
        packaged(name).require()
    except UserError as absent:
        pytest.skip(str(absent))
    from corpora.codecs import decode_wav

    files = sorted((shared_data / "ravdess" / "Actor_01").glob("03-01-01-*.wav"))[:3]
    voices = [decode_wav(file.read_bytes())[0].mean(axis=1).astype(np.float32) for file in files]
    joined = np.concatenate(voices)[: 10 * RATE]
    noise = np.random.default_rng(0).normal(0, 0.02, joined.size).astype(np.float32)
    clean, noisy = (listener(name).opinions(x, RATE)["ovrl"] for x in (joined, joined + noise))
    assert 1 <= noisy < clean - 0.3 and clean <= 5

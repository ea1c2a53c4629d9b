"""The speaker encoder: its mel energies against librosa's, its windows, and the published weights where they are."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from corpora.codecs import decode_wav, encode_wav
from corpora.errors import PayloadError, UserError
from corpora.schema import Payload
from features.pretrained.packages import ENCODERS, packaged
from features.representation import make_representation
from features.speech.speaker import COLUMNS, Network, mel_energies, speaker_encoder
from tests.features.pretrained.carried import carry, tiny_speaker

RATE = 16000


@pytest.mark.slow  # librosa's first use compiles for ten seconds
def test_mel_energies_are_those_that_it_was_trained_on() -> None:
    librosa = pytest.importorskip("librosa")
    signal = np.random.default_rng(0).normal(0, 0.1, 9001).astype(np.float32)
    theirs = librosa.feature.melspectrogram(y=signal, sr=RATE, n_fft=400, hop_length=160, n_mels=40).T
    np.testing.assert_allclose(mel_energies(signal), theirs, rtol=1e-4, atol=1e-6 * theirs.max())


def weights_of(file: bytes) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = torch.load(io.BytesIO(file), weights_only=True)["model_state"]
    return tensors


def test_a_voice_is_the_mean_of_its_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path, "speaker_ge2e", tiny_speaker(), monkeypatch)
    encoder = speaker_encoder()
    rng = np.random.default_rng(1)
    signal = rng.normal(0, 0.05, 2 * RATE).astype(np.float32)
    point = encoder.encode(signal, RATE)
    assert point.shape == (256,) and point.dtype == np.float32 and (point >= 0).all()
    assert np.linalg.norm(point) == pytest.approx(1, abs=1e-4)
    # 201 frames: a window from 0; the next would begin at 77 and hold 124 of 160, more than three quarters
    mels = torch.from_numpy(mel_energies(signal * (10 ** (-26 / 20) / np.sqrt(np.mean(signal.astype(float) ** 2)))))
    padded = torch.nn.functional.pad(mels, (0, 0, 0, 36))
    network = Network().eval()
    network.load_state_dict(
        {k: v for k, v in weights_of(tiny_speaker()).items() if k.partition("_")[0] != "similarity"}
    )
    with torch.inference_mode():
        each = [network(padded[a : a + 160][None])[0].double().numpy() for a in (0, 77)]
    mean = np.mean(each, axis=0)
    np.testing.assert_allclose(point, mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(encoder.encode(0.1 * signal, RATE), point, atol=1e-4)
    silence = np.zeros(RATE, np.float32)
    quiet = np.concatenate([silence, signal, silence])
    assert encoder.encode(quiet, RATE) @ point > 0.98, "silence holds no voice"
    short = encoder.encode(signal[:2000], RATE)
    assert np.isfinite(short).all() and np.isfinite(encoder.encode(silence, RATE)).all()


def test_other_weights_and_absent_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path, "speaker_ge2e", b"nothing of the kind", monkeypatch)
    with pytest.raises(UserError, match="holds no such network"):
        speaker_encoder()
    monkeypatch.setitem(ENCODERS, "speaker_ge2e", replace(ENCODERS["speaker_ge2e"], distribution="no-such-package"))
    with pytest.raises(UserError, match="pip install --no-deps resemblyzer"):
        speaker_encoder()


def test_the_published_one_tells_voices_apart(shared_data: Path) -> None:
    try:
        packaged("speaker_ge2e").require()
    except UserError as absent:
        pytest.skip(str(absent))
    from corpora.codecs import decode_wav

    files = [shared_data / "ravdess" / f"Actor_0{a}" / f"03-01-01-01-0{s}-01-0{a}.wav" for a in (1, 2) for s in (1, 2)]
    voices = [speaker_encoder().encode(decode_wav(f.read_bytes())[0].mean(axis=1), RATE) for f in files]
    likeness = np.asarray(voices) @ np.asarray(voices).T
    assert min(likeness[0, 1], likeness[2, 3]) > likeness[:2, 2:].max() + 0.05


def test_a_voice_is_a_payload_of_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carry(tmp_path, "speaker_ge2e", tiny_speaker(), monkeypatch)
    built = make_representation("speaker_ge2e", {})
    heard = np.random.default_rng(0).normal(0, 0.1, 20_000).astype(np.float32)
    point = built.encode(Payload(encode_wav(heard, 16000), "wav"))
    assert point.shape == built.spec.shape == (COLUMNS,) and built.spec.rows[0] == "speaker_ge2e_0"
    signal = decode_wav(encode_wav(heard, 16000))[0].mean(axis=1)
    np.testing.assert_array_equal(point, speaker_encoder().encode(signal, 16000))
    with pytest.raises(PayloadError, match="wrong-codec"):
        built.encode(Payload(b"{}", "json"))

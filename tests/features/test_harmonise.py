"""Harmonised payloads: one rate, one channel, one size; loudness and identity kept; bad ones named."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from corpora.codecs import decode_image, decode_wav, encode_png, encode_wav
from corpora.errors import PayloadError
from features.harmonise import active_span, frame_rms, harmonise_face, harmonise_speech

SPEECH = {"rate_hz": 16000, "trim_db": 30.0, "margin_s": 0.05, "min_s": 0.2, "max_s": 5.0}


def wav(signal: np.ndarray, rate: int, subtype: str = "PCM_16") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, signal, rate, format="WAV", subtype=subtype)
    return out.getvalue()


def burst(rate: int, before: float = 0.5, seconds: float = 1.0, after: float = 0.7, f: float = 440.0) -> np.ndarray:
    tone = 0.4 * np.sin(2 * np.pi * f * np.arange(int(seconds * rate)) / rate)
    return np.concatenate([np.zeros(int(before * rate)), tone, np.zeros(int(after * rate))])


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
def test_any_wav_becomes_mono_pcm16_at_the_asked_rate(rate: int, subtype: str) -> None:
    tone = burst(rate)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(tone))
    signal, payload = harmonise_speech(wav(np.stack([tone + noise, tone - noise], 1), rate, subtype), "wav", **SPEECH)
    info = soundfile.info(io.BytesIO(payload))
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    assert signal.dtype == np.float32 and (decode_wav(payload)[0][:, 0] == signal).all()
    assert len(signal) / 16000 == pytest.approx(1.1, abs=0.05)  # the tone and both margins
    spectrum = np.abs(np.fft.rfft(signal))
    assert np.fft.rfftfreq(len(signal), 1 / 16000)[spectrum.argmax()] == pytest.approx(440.0, abs=2.0)
    assert signal[2000:-2000].std() == pytest.approx(0.4 / np.sqrt(2), rel=0.03)


def test_relative_loudness_and_dc() -> None:
    loud, _ = harmonise_speech(wav(burst(16000), 16000, "FLOAT"), "wav", **SPEECH)
    soft, _ = harmonise_speech(wav(0.1 * burst(16000) + 0.2, 16000, "FLOAT"), "wav", **SPEECH)
    assert soft.std() / loud.std() == pytest.approx(0.1, rel=0.01)
    over, _ = harmonise_speech(wav(5.0 * burst(16000), 16000, "FLOAT"), "wav", **SPEECH)
    assert 0.99 < np.abs(over).max() <= 1.0
    assert np.abs(np.diff(over)).max() == pytest.approx(2.5 * np.abs(np.diff(loud)).max(), rel=0.01)  # scaled, not cut


def test_harmonising_twice_changes_little_and_no_trim_keeps_all() -> None:
    _, once = harmonise_speech(wav(burst(48000), 48000), "wav", **SPEECH)
    again, twice = harmonise_speech(once, "wav", **SPEECH)
    assert abs(len(once) - len(twice)) <= 2 * 160
    untrimmed, _ = harmonise_speech(
        encode_wav(burst(16000).astype(np.float32), 16000), "wav", **SPEECH | {"trim_db": None}
    )
    assert len(untrimmed) == 16000 * 2.2
    assert len(again) < len(untrimmed)


@pytest.mark.parametrize(
    ("payload", "slug"),
    [
        (wav(np.zeros(16000), 16000), "silent"),
        (wav(np.full(16000, 0.5), 16000), "silent"),  # only DC
        (wav(np.zeros(100), 16000), "silent"),
        (wav(burst(16000, seconds=0.05), 16000), "too-short"),
        (wav(burst(16000, seconds=6.0), 16000), "too-long"),
        (wav(burst(16000), 16000)[:2000], "truncated"),
        (b"", "empty"),
        (b"RIFFxxxx", "not-a-wav"),
    ],
)
def test_bad_wavs_are_named(payload: bytes, slug: str) -> None:
    with pytest.raises(PayloadError) as error:
        harmonise_speech(payload, "wav", **SPEECH)
    assert error.value.reason == slug


def test_active_span_and_frame_rms() -> None:
    x = burst(16000, 0.5, 1.0, 0.7)
    start, stop = active_span(x, 16000, trim_db=30.0, margin_s=0.0)
    assert start == pytest.approx(8000, abs=400) and stop == pytest.approx(24000, abs=400)
    assert active_span(x, 16000, trim_db=30.0, margin_s=9.0) == (0, len(x))
    assert frame_rms(np.ones(1000), 16000) == pytest.approx(np.ones(8))
    assert len(frame_rms(np.ones(1), 16000)) == 1


def test_a_grey_png_of_the_size_passes_through() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="png", compress_level=9)  # other bytes than our own encoder's
    pixels, payload = harmonise_face(out.getvalue(), "png", size=48)
    assert payload == out.getvalue() != encode_png(image)
    assert (pixels == image).all()


@pytest.mark.parametrize("shape", [(96, 96, 3), (96, 128), (24, 24), (48, 48, 3), (49, 47)])
def test_any_image_becomes_a_grey_square(shape: tuple[int, ...]) -> None:
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) * (255.0 / (shape[0] + shape[1]))
    image = (ramp if len(shape) == 2 else np.repeat(ramp[..., None], 3, axis=2)).astype(np.uint8)
    pixels, payload = harmonise_face(encode_png(image), "png", size=48)
    assert pixels.shape == (48, 48) and pixels.dtype == np.uint8 and (decode_image(payload) == pixels).all()
    assert pixels[0, 0] < pixels[24, 24] < pixels[-1, -1]
    assert pixels.mean() == pytest.approx(float(image.mean()), abs=3.0)


def test_shrinking_takes_the_mean_over_area() -> None:
    board = (np.indices((96, 96)).sum(axis=0) % 2 * 255).astype(np.uint8)
    board[:48] //= 2  # else it would be flat
    pixels, _ = harmonise_face(encode_png(board), "png", size=48)
    assert np.abs(pixels[30:].astype(int) - 128).max() <= 1 and np.abs(pixels[:20].astype(int) - 64).max() <= 1


@pytest.mark.parametrize(
    ("payload", "slug"),
    [
        (encode_png(np.full((48, 48), 77, dtype=np.uint8)), "flat"),
        (encode_png(np.full((90, 90, 3), 12, dtype=np.uint8)), "flat"),
        (b"no image", "not-an-image"),
        (encode_png(np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8))[:300], "truncated"),
    ],
)
def test_bad_images_are_named(payload: bytes, slug: str) -> None:
    with pytest.raises(PayloadError) as error:
        harmonise_face(payload, "png", size=48)
    assert error.value.reason == slug

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from corpora.codecs import decode_image, decode_wav, encode_png, encode_wav, wav_header
from corpora.errors import PayloadError

TONE = (np.sin(np.arange(4410) / 9) * 0.5).astype(np.float32)


def wav(subtype: str, channels: int = 1, container: str = "WAV", rate_hz: int = 44100) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.stack([TONE] * channels, 1), rate_hz, format=container, subtype=subtype)
    return out.getvalue()


def slug(payload: bytes) -> str:
    with pytest.raises(PayloadError) as caught:
        decode_wav(payload)
    return caught.value.reason


@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize(
    ("subtype", "error"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-22), ("PCM_32", 2**-24), ("FLOAT", 0), ("ULAW", 0.02)],
)
def test_every_encoding_decodes_to_the_signal(subtype: str, error: float, container: str) -> None:
    signal, rate_hz = decode_wav(wav(subtype, channels=2, container=container))
    assert (signal.dtype, signal.shape, rate_hz) == (np.float32, (4410, 2), 44100)
    assert abs(signal - TONE[:, None]).max() <= error


def test_our_own_path_agrees_with_soundfile() -> None:
    payload = wav("PCM_16", channels=2)
    oracle, _ = soundfile.read(io.BytesIO(payload), dtype="float32", always_2d=True)
    np.testing.assert_array_equal(decode_wav(payload)[0], oracle)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
def test_a_file_cut_anywhere_is_truncated(subtype: str) -> None:
    payload = wav(subtype)
    for keep in (13, 30, 44, len(payload) // 2, len(payload) - 1):
        assert slug(payload[:keep]) == "truncated"


def test_slugs() -> None:
    assert slug(b"") == "empty"
    assert slug(b"not a wav at all") == "not-a-wav"
    assert slug(wav("PCM_16")[:44][:40] + struct.pack("<I", 0)) == "empty"
    assert slug(wav("MS_ADPCM")) == "unsupported-encoding"
    assert slug(wav("PCM_16", rate_hz=8000)[:40] + struct.pack("<I", 61 * 16000) + bytes(61 * 16000)) == "too-long"
    broken = io.BytesIO()
    soundfile.write(broken, np.array([0.0, np.nan, np.inf], np.float32), 8000, format="WAV", subtype="FLOAT")
    assert slug(broken.getvalue()) == "non-finite"


def test_length_that_a_pipe_could_not_know() -> None:
    payload = bytearray(encode_wav(TONE, 16000))
    payload[40:44] = b"\xff" * 4
    assert decode_wav(bytes(payload))[0].shape == (4410, 1)


def test_header_tells_without_decoding() -> None:
    header = wav_header(wav("PCM_24", channels=2))
    assert (header.channels, header.rate_hz, header.bits, header.n_frames) == (2, 44100, 24, 4410)
    assert header.duration_s == pytest.approx(0.1)


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=50), st.sampled_from([8000, 16000, 48000]))
def test_wav_round_trip_within_half_a_step(values: list[float], rate_hz: int) -> None:
    signal = np.array(values, np.float32)
    payload = encode_wav(signal, rate_hz)
    back, rate = decode_wav(payload)
    assert rate == rate_hz and payload == encode_wav(signal, rate_hz)
    assert abs(back[:, 0] - np.clip(signal, -1, 32767 / 32768)).max() <= 0.5 / 32768 + 1e-9


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_decoders(payload: bytes) -> None:
    for head in (b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0", b"\x89PNG\r\n\x1a\n"):
        for decode in (decode_wav, decode_image):
            try:
                decode(head + payload)
            except PayloadError as error:
                assert error.reason


def test_encode_wav_refuses_what_is_no_sound() -> None:
    for bad, why in ((np.zeros(0, np.float32), "empty"), (np.array([np.nan], np.float32), "non-finite")):
        with pytest.raises(PayloadError, match=why):
            encode_wav(bad, 16000)
    with pytest.raises(ValueError, match="one channel"):
        encode_wav(np.zeros((2, 2), np.float32), 16000)


@settings(max_examples=50)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=20) | st.just((7, 5, 3))))
def test_png_round_trip_and_pillow_agrees(image: np.ndarray) -> None:
    payload = encode_png(image)
    np.testing.assert_array_equal(decode_image(payload), image)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(payload))), image)
    assert payload == encode_png(image.copy(order="F"))


def saved(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format=str(options.pop("format", "png")), **options)  # type: ignore[arg-type]
    return out.getvalue()


def test_other_modes_become_grey_or_colour() -> None:
    colour = Image.new("RGBA", (6, 4), (10, 20, 30, 0))
    np.testing.assert_array_equal(decode_image(saved(colour))[0, 0], [10, 20, 30])
    assert decode_image(saved(Image.new("1", (6, 4), 1))).tolist() == [[255] * 6] * 4
    assert decode_image(saved(Image.fromarray(np.full((4, 6), 0xAB34, np.uint16)))).tolist() == [[0xAB] * 6] * 4
    assert decode_image(saved(Image.new("P", (6, 4)))).shape == (4, 6, 3)
    turned = Image.new("L", (6, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    assert decode_image(saved(turned, format="jpeg", exif=exif)).shape == (6, 4)


def image_slug(payload: bytes) -> str:
    with pytest.raises(PayloadError) as caught:
        decode_image(payload)
    return caught.value.reason


def test_image_slugs() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    assert image_slug(b"") == "empty"
    assert image_slug(b"GIF99 nonsense") == "not-an-image"
    assert image_slug(encode_png(noise)[:-500]) == "truncated"
    assert image_slug(saved(Image.fromarray(noise), format="jpeg")[:-300]) == "truncated"


def test_bomb_is_refused_by_its_header() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (5000, 50_000):
        head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        assert image_slug(bomb) == "too-large"


def test_encode_png_refuses_other_arrays() -> None:
    for bad in (np.zeros((2, 2), np.float32), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 2), np.uint8)):
        with pytest.raises(ValueError, match="need uint8"):
            encode_png(bad)


def test_pixels_of_a_picture_just_written_are_its_own() -> None:
    pixels = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48).astype(np.uint8)
    wanted = pixels.copy()
    payload = encode_png(pixels)
    pixels[:] = 7  # what its writer does with them afterwards
    first = decode_image(payload)
    first[:] = 9  # or a reader with what it got
    assert (decode_image(payload) == wanted).all() and (decode_image(bytes(bytearray(payload))) == wanted).all()
    with pytest.raises(PayloadError, match="too-large"):
        decode_image(payload, max_pixels=100)
    encode_png(np.zeros((2, 2), np.uint8))
    assert (decode_image(payload) == wanted).all()

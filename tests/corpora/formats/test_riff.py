"""Headers of wav as programs write them: the right samples, or a refusal that says why."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.codecs import decode_wav, encode_wav, plain_wav, wav_header
from corpora.errors import PayloadError
from corpora.records.files import read_wav

RATE = 8000
TONE = 0.5 * np.sin(2 * np.pi * 220 * np.arange(1601) / RATE)  # an odd number of samples
PCM = np.rint(TONE * 32767).astype("<i2").tobytes()
LIST = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.29.100\0"
ID3 = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)
TAG = b"TAG" + bytes(125)
APE = struct.pack("<8sIIIIQ", b"APETAGEX", 2000, 32, 0, 0, 0)
STREAM_SIZES = (0, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x7FFFF000, 0x80000000, 0xFFFFF000)
GUID = "000000001000800000aa00389b71"


def form(
    tag: int = 1,
    channels: int = 1,
    rate: int = RATE,
    bits: int = 16,
    align: int | None = None,
    more: bytes = b"",
    order: str = "<",
) -> bytes:
    align = channels * ((bits + 7) // 8) if align is None else align
    body = struct.pack(f"{order}HHIIHH", tag, channels, rate, rate * align, align, bits) + more
    return chunk(b"fmt ", body, order=order)


def extensible(valid: int, tag: int, tail: str = GUID) -> bytes:
    return struct.pack("<HHIH", 22, valid, 4, tag) + bytes.fromhex(tail)


def chunk(name: bytes, data: bytes, size: int | None = None, pad: bool = True, order: str = "<") -> bytes:
    size = len(data) if size is None else size
    return name + struct.pack(f"{order}I", size) + data + (b"\0" if pad and len(data) & 1 else b"")


def riff(*chunks: bytes, size: int | None = None, kind: bytes = b"RIFF", order: str = "<") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return kind + struct.pack(f"{order}I", len(body) if size is None else size) + body


def rf64(promised: int) -> bytes:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, promised, 0, 0))
    return riff(ds64, form(), chunk(b"data", PCM, 0xFFFFFFFF), size=0xFFFFFFFF, kind=b"RF64")


def wide(bits: int, order: str = "<") -> bytes:
    """TONE in 24 or 32 bits."""
    values = np.rint(TONE * (2 ** (bits - 1) - 1)).astype(f"{order}i4")
    if bits == 32:
        return values.tobytes()
    bytes_of = values.view("u1").reshape(-1, 4)
    return (bytes_of[:, :3] if order == "<" else bytes_of[:, 1:]).tobytes()


DATA = chunk(b"data", PCM)
READ: dict[str, bytes] = {
    "plain": riff(form(), DATA),
    "chunks in front": riff(chunk(b"JUNK", bytes(28)), chunk(b"bext", bytes(602)), form(), LIST, DATA),
    "chunks behind": riff(form(), DATA, LIST, chunk(b"id3 ", ID3)),
    "an odd chunk without its pad": riff(form(), chunk(b"LIST", b"INFOx", pad=False), DATA),
    "an odd chunk with its pad": riff(form(), chunk(b"LIST", b"INFOx"), DATA),
    "big-endian": riff(
        form(order=">"),
        chunk(b"data", np.frombuffer(PCM, "<i2").astype(">i2").tobytes(), order=">"),
        kind=b"RIFX",
        order=">",
    ),
    "big-endian 24": riff(form(bits=24, order=">"), chunk(b"data", wide(24, ">"), order=">"), kind=b"RIFX", order=">"),
    "RF64": rf64(len(PCM)),
    "RF64 of a stream": rf64(0),
    "BW64": b"BW64" + rf64(len(PCM))[4:],
    "an ID3 tag in front": ID3 + riff(form(), DATA),
    "two ID3 tags in front": ID3 + ID3 + riff(form(), DATA),
    "an ID3v1 tag behind": riff(form(), DATA) + TAG,
    "bytes behind": riff(form(), DATA) + b"\xff" * 77,
    "a short RIFF size": riff(form(), DATA, size=36),
    "no block align": riff(form(align=0), DATA),
    "two equal format chunks": riff(form(), form(), DATA),
    "an empty data chunk in front": riff(form(), chunk(b"data", b"") + LIST, DATA),
    "24 bits": riff(form(bits=24), chunk(b"data", wide(24))),
    "32 bits": riff(form(bits=32), chunk(b"data", wide(32))),
    "24 valid bits in 32": riff(form(0xFFFE, bits=32, more=extensible(24, 1)), chunk(b"data", wide(32))),
    "20 valid bits in 24, all used": riff(form(0xFFFE, bits=24, more=extensible(20, 1)), chunk(b"data", wide(24))),
    "12 bits in 16": riff(form(bits=12), chunk(b"data", (np.frombuffer(PCM, "<i2") & ~15).tobytes())),
    "12 bits in 16, all used": riff(form(bits=12), DATA),
    "float": riff(form(3, bits=32), chunk(b"data", TONE.astype("<f4").tobytes())),
    "double": riff(form(3, bits=64), chunk(b"data", TONE.astype("<f8").tobytes())),
    "extensible float": riff(
        form(0xFFFE, bits=32, more=extensible(32, 3)), chunk(b"data", TONE.astype("<f4").tobytes())
    ),
}
for size in STREAM_SIZES:
    for name, tail in {
        "": b"",
        " and a list": LIST,
        " and lists": LIST + chunk(b"id3 ", ID3),
        " and tags": LIST + TAG,
        " and an APE tag": APE,
        " and an ID3 tag": ID3,
    }.items():
        READ[f"a stream of {size:#x}{name}"] = riff(form(), chunk(b"data", PCM, size), tail, size=size and 0xFFFFFFFF)
READ["a recorder that crashed"] = riff(form(), chunk(b"data", PCM, 0), size=36)

REFUSED: dict[str, tuple[str, str, bytes]] = {
    "two data chunks": (
        "several-data-chunks",
        "2 of",
        riff(form(), chunk(b"data", PCM[:800]), chunk(b"data", PCM[800:])),
    ),
    "a wave list": ("unsupported-encoding", "wavl", riff(form(), chunk(b"LIST", b"wavl" + DATA))),
    "a wrong block align": ("not-a-wav", "frames of 4 bytes", riff(form(align=4), DATA)),
    "24 bits in 4 bytes": ("not-a-wav", "frames of 4 bytes", riff(form(bits=24, align=4), DATA)),
    "no rate": ("not-a-wav", "0 Hz", riff(form(rate=0), DATA)),
    "ADPCM": ("unsupported-encoding", "IMA ADPCM", riff(form(0x11, bits=4, align=256), DATA)),
    "mp3 in a wav": ("unsupported-encoding", "MP3", riff(form(0x55, bits=0, align=1), DATA)),
    "ambisonics": (
        "unsupported-encoding",
        "sub-format",
        riff(form(0xFFFE, bits=16, more=extensible(16, 1, "000000002107d3118644c8c1ca000000")), DATA),
    ),
    "two formats": ("not-a-wav", "differ", riff(form(), form(bits=8), DATA)),
    "samples before the format": ("not-a-wav", "before", riff(DATA, form())),
    "an honest promise that is not held": ("truncated", "follow", riff(form(), DATA)[:-9]),
    "a format chunk cut off": ("truncated", "cut off", riff(chunk(b"fmt ", bytes(8)), DATA)),
    "12 bits at the wrong end": (
        "unknown-scale",
        "full scale is 2048 or 32768",
        riff(form(bits=12), chunk(b"data", (np.frombuffer(PCM, "<i2") >> 4).tobytes())),
    ),
    "24 bits at the lower end of 32": (
        "unknown-scale",
        "full scale is 8388608 or 2147483648",
        riff(form(bits=32), chunk(b"data", np.rint(TONE * (2**23 - 1)).astype("<i4").tobytes())),
    ),
    "a stream of tags alone": ("empty", "without samples", riff(form(), chunk(b"data", b"", 0xFFFFFFFF), LIST)),
    "mp3": ("not-a-wav", "an mp3 file", b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + b"\xff\xfb\x90\x64" + bytes(99)),
    "a web page": ("not-a-wav", "a web page", b"<!DOCTYPE html><html><body>404</body></html>"),
    "floats of 16 bits": (
        "unknown-scale",
        "files.full_scale",
        riff(form(3, bits=32), chunk(b"data", (TONE * 32767).astype("<f4").tobytes())),
    ),
    "quiet floats of 16 bits": (
        "unknown-scale",
        "from -1 to 1",
        riff(
            form(3, bits=32),
            chunk(b"data", np.sign(np.rint(TONE)).astype("<f4").tobytes() + np.array([1, -1, 0], "<f4").tobytes()),
        ),
    ),
    "a double beyond float": (
        "non-finite",
        "1 samples",
        riff(form(3, bits=64), chunk(b"data", np.array([0.1, 1e300]).tobytes())),
    ),
}


@pytest.mark.parametrize("name", READ)
def test_samples_are_right_whatever_the_header(name: str, tmp_path: Path) -> None:
    payload = READ[name]
    signal, rate_hz = decode_wav(payload)
    assert rate_hz == RATE and signal.shape == (len(TONE), 1)
    np.testing.assert_allclose(signal[:, 0], TONE, atol=6e-4 if "12 bits in 16" in name else 6e-5)
    (tmp_path / "a.wav").write_bytes(payload)
    kept, header = read_wav(tmp_path / "a.wav")
    assert header == wav_header(kept) and header.plain
    oracle, rate = soundfile.read(io.BytesIO(kept), dtype="float32", always_2d=True)
    assert rate == RATE
    np.testing.assert_array_equal(oracle, signal)  # what any other program reads of what is kept
    assert (kept == payload) == wav_header(payload).plain


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(name: str) -> None:
    slug, words, payload = REFUSED[name]
    with pytest.raises(PayloadError, match=words) as caught:
        decode_wav(payload)
    assert caught.value.reason == slug


@settings(max_examples=80, deadline=None)
@given(
    subtype=st.sampled_from(["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]),
    container=st.sampled_from(["WAV", "WAVEX", "RF64"]),
    order=st.sampled_from(["FILE", "BIG"]),
    channels=st.integers(1, 5),
    n=st.integers(1, 60),
    stream=st.sampled_from([None, *STREAM_SIZES]),
    tail=st.sampled_from([b"", LIST, LIST + TAG, ID3]),
    seed=st.integers(0, 99),
)
def test_every_encoding_decodes_as_libsndfile_does(
    subtype: str, container: str, order: str, channels: int, n: int, stream: int | None, tail: bytes, seed: int
) -> None:
    if order == "BIG" and container != "WAV":
        order = "FILE"
    signal = np.random.default_rng(seed).uniform(-1, 1, (n, channels))
    signal[0, 0] = 0.9  # of 32 bits, the upper ones are used
    out = io.BytesIO()
    soundfile.write(out, signal, 16000, format=container, subtype=subtype, endian=order)
    payload = out.getvalue()
    oracle, _ = soundfile.read(io.BytesIO(payload), dtype="float32", always_2d=True)
    header = wav_header(payload)
    if stream is not None and container == "WAV":
        at = header.data.start - 4
        size = struct.pack(header.order + "I", stream)
        end = header.data.stop + (header.data.stop - header.data.start) % 2
        listed = tail if header.order == "<" else b""  # its sizes would be the other way round
        payload = payload[:at] + size + payload[at + 4 : end].ljust(end - at - 4, b"\0") + listed
        if subtype in ("PCM_U8", "ULAW", "ALAW") and channels == 1:
            return  # whether the last byte is a sample or a pad is not known
        if header.data.stop % 2 and header.channels * header.bits // 8 == 1:
            return
    decoded, rate_hz = decode_wav(payload)
    assert rate_hz == 16000
    np.testing.assert_array_equal(decoded, oracle)
    kept, _ = plain_wav(payload, wav_header(payload))
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(kept), dtype="float32", always_2d=True)[0], oracle)


@given(cut=st.integers(0, 120), junk=st.binary(max_size=40))
def test_chunks_behind_never_become_samples(cut: int, junk: bytes) -> None:
    """Of a stream, whatever the samples are: all of them, and nothing of the list."""
    data = (PCM[:cut] + junk)[: (cut + len(junk)) // 2 * 2]
    if not data:
        return
    signal, _ = decode_wav(riff(form(), chunk(b"data", data, 0xFFFFFFFF), LIST, size=0xFFFFFFFF))
    np.testing.assert_array_equal(np.rint(signal[:, 0] * 32768), np.frombuffer(data, "<i2"))


def test_peaks_beyond_full_scale_are_kept_where_that_is_asked() -> None:
    loud = np.array([0.5, -1.4, 1.25], np.float32)
    assert decode_wav(encode_wav(loud, RATE))[0].min() == -1.0
    kept = encode_wav(loud, RATE, keep_peaks=True)
    np.testing.assert_array_equal(decode_wav(kept)[0][:, 0], loud)
    assert soundfile.info(io.BytesIO(kept)).subtype == "FLOAT"
    assert encode_wav(loud / 2, RATE, keep_peaks=True) == encode_wav(loud / 2, RATE)


def test_many_names_of_chunks_among_samples_take_no_time() -> None:
    payload = riff(form(), chunk(b"data", b"LIST\x04\0\0\0abcd" * 60_000 + b"xx", 0xFFFFFFFF), size=0xFFFFFFFF)
    assert wav_header(payload).n_frames == 360_001

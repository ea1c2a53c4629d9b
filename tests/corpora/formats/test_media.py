"""Sound out of containers: what goes in comes out; a bad file is a slug, in bounded time."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from corpora.codecs import decode_wav
from corpora.errors import PayloadError, UserError
from corpora.formats.media import decode_audio, encode_m4a, read_media

av = pytest.importorskip("av")
RATE_HZ = 16000
TONE = (0.4 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)


def avi(path: Path, sound: np.ndarray | None, rate_hz: int = 44100) -> Path:
    """A film of ten grey pictures; `sound`: float32 [channels, n] as PCM 16 bit."""
    with av.open(str(path), mode="w", format="avi") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = None
        if sound is not None:
            layout = "mono" if len(sound) == 1 else "stereo"
            audio = container.add_stream("pcm_s16le", rate=rate_hz, layout=layout)
        for _ in range(10):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 128, np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio is not None and sound is not None:
            packed = np.rint(sound.T * 32767).astype(np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
            frame.sample_rate = rate_hz
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def slug(path: Path, **limits: float) -> str:
    with pytest.raises(PayloadError) as error:
        decode_audio(path, **limits)  # type: ignore[arg-type]
    return error.value.reason


def test_m4a_comes_out_as_it_went_in(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(encode_m4a(TONE, RATE_HZ))
    signal, rate_hz = decode_audio(path)
    assert (rate_hz, signal.dtype, signal.ndim) == (RATE_HZ, np.float32, 1)
    assert len(signal) == pytest.approx(RATE_HZ, abs=2048)  # AAC frames have 1024 samples, and a delay
    spectrum = np.abs(np.fft.rfft(signal[2000:14000]))
    assert np.argmax(spectrum) * RATE_HZ / 12000 == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(signal[2000:14000] ** 2)) == pytest.approx(0.4 / np.sqrt(2), rel=0.05)


def test_avi_gives_its_channels_and_read_media_their_mean(tmp_path: Path) -> None:
    both = np.stack([TONE, 0.5 * TONE])
    path = avi(tmp_path / "a.avi", both)
    signal, rate_hz = decode_audio(path)
    assert rate_hz == 44100
    np.testing.assert_allclose(signal, both.T, atol=1e-4)
    payload, header = read_media(path)
    assert (header.channels, header.rate_hz, header.n_frames) == (1, 44100, len(TONE))
    np.testing.assert_allclose(decode_wav(payload)[0][:, 0], 0.75 * TONE, atol=1e-4)
    one = avi(tmp_path / "b.avi", np.stack([np.zeros_like(TONE), TONE]))
    np.testing.assert_allclose(decode_wav(read_media(one)[0])[0][:, 0], TONE, atol=1e-4)


def test_twice_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(encode_m4a(TONE, RATE_HZ))
    assert encode_m4a(TONE, RATE_HZ) == path.read_bytes()
    assert read_media(path) == read_media(path)


def test_bad_files_are_slugs(tmp_path: Path) -> None:
    m4a = encode_m4a(TONE, RATE_HZ)
    files = {
        "empty": b"",
        "not-media": b"no sound at all" * 99,
        "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ngood.m4a\n#EXT-X-ENDLIST\n",
        "concat": b"ffconcat version 1.0\nfile good.m4a\n",
        "cut": m4a[: len(m4a) * 2 // 3],
    }
    (tmp_path / "good.m4a").write_bytes(m4a)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert slug(tmp_path / "empty") == "empty"
    assert {slug(tmp_path / name) for name in ("not-media", "playlist", "concat")} == {"not-media"}
    assert slug(tmp_path / "cut") in ("not-media", "truncated")
    assert slug(tmp_path / "nowhere") == "unreadable"
    assert slug(tmp_path / "good.m4a", max_bytes=100) == "too-large"
    assert slug(avi(tmp_path / "mute.avi", None)) == "no-audio"


def test_length_is_bounded_also_where_the_header_lies(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(encode_m4a(TONE, RATE_HZ))
    assert slug(path, max_s=0.5) == "too-long"
    # raw AAC has no header of the whole: FFmpeg guesses from the first frames, noise, how long so many bytes may last
    lying = tmp_path / "a.aac"
    noise = np.random.default_rng(0).normal(0, 0.2, RATE_HZ).astype(np.float32)
    with av.open(str(lying), mode="w", format="adts") as container:
        stream = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for part in [noise] + [np.zeros_like(noise)] * 29:
            frame = av.AudioFrame.from_ndarray(part[None], format="fltp", layout="mono")
            frame.sample_rate = RATE_HZ
            container.mux(stream.encode(frame))
    with av.open(str(lying)) as container:
        assert float(container.streams.audio[0].duration * container.streams.audio[0].time_base) < 10
    assert len(decode_audio(lying)[0]) > 29 * RATE_HZ
    assert slug(lying, max_s=10) == "too-long"


def test_promise_that_is_not_kept_is_truncated(tmp_path: Path) -> None:
    whole = tmp_path / "whole.m4a"
    with av.open(str(whole), mode="w", format="ipod", options={"movflags": "+faststart"}) as container:  # header first
        stream = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.tile(TONE, 4)[None], format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    assert len(decode_audio(whole)[0]) == pytest.approx(4 * RATE_HZ, abs=2048)
    (tmp_path / "cut.m4a").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert slug(tmp_path / "cut.m4a") == "truncated"
    film = avi(tmp_path / "whole.avi", np.tile(TONE, 4)[None], RATE_HZ).read_bytes()
    (tmp_path / "cut.avi").write_bytes(film[: len(film) // 2])
    assert slug(tmp_path / "cut.avi") == "truncated"
    with av.open(str(tmp_path / "whole.mka"), mode="w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for _ in range(8):
            part = av.AudioFrame.from_ndarray(np.zeros((1, RATE_HZ), np.int16), format="s16", layout="mono")
            part.sample_rate = RATE_HZ
            container.mux(stream.encode(part))
    (tmp_path / "cut.mka").write_bytes((tmp_path / "whole.mka").read_bytes()[: 4 * 2 * RATE_HZ])
    assert len(decode_audio(tmp_path / "whole.mka")[0]) == 8 * RATE_HZ
    assert slug(tmp_path / "cut.mka") == "truncated"  # decodes without a complaint, and too short


def test_mutated_files_end_in_a_slug_or_in_sound(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sources = [encode_m4a(TONE[:4000], RATE_HZ), avi(tmp_path / "a.avi", TONE[None, :4000]).read_bytes()]
    for i in range(60):
        content = bytearray(sources[i % 2])
        for _ in range(int(rng.integers(1, 30))):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        (tmp_path / "x").write_bytes(bytes(content))
        try:
            signal, rate_hz = decode_audio(tmp_path / "x", max_s=5)
            assert 0 < len(signal) <= 5 * rate_hz
        except PayloadError as error:
            assert error.reason and error.detail


def test_without_the_library_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.m4a").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"install emoforge\[media\]"):
        decode_audio(tmp_path / "a.m4a")

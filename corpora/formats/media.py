"""Sound out of m4a, mp4, avi and other containers, bounded in time and memory (PyAV, FFmpeg's libraries).

Some corpora come as films or in AAC. Their sound is kept as PCM 16 bit wav, mono, at the rate of the file: records of
all speech corpora are wav. Resampling belongs to `prepare`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from corpora.codecs import MAX_WAV_S, WavHeader, encode_wav, require_full_scale, wav_header
from corpora.errors import PayloadError, UserError, refused
from corpora.formats.channels import mixed_down
from corpora.formats.looks import LOOK_BYTES, looks_like
from corpora.records.files import MAX_FILE_BYTES, MIN_WAV_S

MAX_CHANNELS = 8
MAX_RATE_HZ = 192000
# Only containers that hold their own data: a playlist (hls, concat, dash) would make FFmpeg open other files or hosts.
_OPTIONS = {"format_whitelist": "mov,avi,matroska,ogg,mp3,flac,aac,wav", "protocol_whitelist": "file"}
_SHORTFALL_S = 0.5  # of what the header promises; encoders' delays are shorter


def decode_audio(path: Path, max_s: float = MAX_WAV_S, *, max_bytes: int = MAX_FILE_BYTES) -> tuple[np.ndarray, int]:
    """First sound track of a file -> (float32 [n], or [n, channels] where there are several, rate in Hz).

    Decoding stops at `max_s`, whatever the header says, so time and memory are bounded by it and by `max_bytes`.

    Raises `PayloadError`: unreadable, too-large (bytes, before reading), empty, not-media, no-audio,
    unsupported-encoding, too-long, truncated, non-finite. Raises `UserError` where PyAV is not installed.
    """
    av = need_av()
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise PayloadError("too-large", f"{size / 2**20:.0f} MiB, at most {max_bytes / 2**20:.0f} MiB are read")
        if size == 0:
            raise PayloadError("empty", "0 bytes")
        with path.open("rb") as file:
            _whole_riff(file.read(8), size)
            file.seek(0)
            return _decode(av, file, max_s)
    except av.FFmpegError as error:  # some are OSErrors, so they come first
        raise PayloadError("truncated", "the sound track is damaged or cut short: decoding stopped") from error
    except ValueError as error:  # the layout changes within the track
        raise PayloadError("unsupported-encoding", "the layout of the channels changes within the track") from error
    except OSError as error:
        raise PayloadError("unreadable", refused(error)) from error


def need_av() -> Any:
    """The library PyAV. Raises `UserError` where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise UserError("sound in m4a, mp4 or avi files needs PyAV; install emoforge[media]") from error
    return av


def _whole_riff(head: bytes, size: int) -> None:
    """Raises `PayloadError` truncated for an avi or wav file that is shorter than its first bytes say."""
    promised = int.from_bytes(head[4:8], "little")
    if head[:4] == b"RIFF" and promised != 0xFFFFFFFF and promised + 8 > size:  # all ones: written to a pipe
        raise PayloadError("truncated", f"the header promises {promised + 8} bytes, {size} are there")


def _decode(av: Any, file: Any, max_s: float) -> tuple[np.ndarray, int]:
    try:
        container = av.open(file, mode="r", options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        file.seek(0)
        head = file.read(LOOK_BYTES)
        raise PayloadError(
            "not-media", f"no film or sound that is read here; it looks like {looks_like(head)}"
        ) from error
    with container:
        if not container.streams.audio:
            raise PayloadError("no-audio", f"a {container.format.name} file without a sound track")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise PayloadError("unsupported-encoding", "FFmpeg has no decoder for the sound track")
        rate_hz, channels = int(stream.rate or 0), len(stream.layout.channels) if stream.layout else 0
        if not 0 < rate_hz <= MAX_RATE_HZ or not 0 < channels <= MAX_CHANNELS:
            raise PayloadError("unsupported-encoding", f"{channels} channels at {rate_hz} Hz")
        promised_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
        if promised_s is None and container.duration and len(container.streams) == 1:
            promised_s = container.duration / av.time_base  # of a film it would be the picture's
        if promised_s is not None and promised_s > max_s:
            raise PayloadError("too-long", f"{promised_s:.1f} s, at most {max_s:g} s are allowed")
        stream.codec_context.thread_count = 1  # the same bytes everywhere, and two cores are not ours alone
        signal = _frames(av, container, stream, rate_hz, max_s)
    if signal.size == 0:
        raise PayloadError("empty", "a sound track without samples")
    if not np.isfinite(signal).all():
        raise PayloadError("non-finite", f"{int((~np.isfinite(signal)).sum())} samples are NaN or infinite")
    if promised_s is not None and len(signal) / rate_hz < promised_s - _SHORTFALL_S:
        raise PayloadError("truncated", f"{promised_s:.2f} s promised, {len(signal) / rate_hz:.2f} s decoded")
    return (signal[:, 0] if signal.shape[1] == 1 else signal), rate_hz


def _frames(av: Any, container: Any, stream: Any, rate_hz: int, max_s: float) -> np.ndarray:
    """-> float32 [n, channels]. Raises `PayloadError` too-long, unsupported-encoding (rate or channels change)."""
    planar = av.AudioResampler(format="fltp")  # format only: the layout and rate of the first frame stay
    pieces: list[np.ndarray] = []
    n = 0
    for frame in container.decode(stream):
        if frame.sample_rate != rate_hz:
            raise PayloadError("unsupported-encoding", f"the rate changes from {rate_hz} to {frame.sample_rate} Hz")
        for part in planar.resample(frame):
            pieces.append(part.to_ndarray().T)
            n += len(pieces[-1])
        if n > max_s * rate_hz:
            raise PayloadError("too-long", f"more than {max_s:g} s")
    if len({piece.shape[1] for piece in pieces}) > 1:
        raise PayloadError("unsupported-encoding", "the number of channels changes")
    return np.concatenate(pieces).astype(np.float32) if pieces else np.zeros((0, 1), np.float32)


def read_media(path: Path) -> tuple[bytes, WavHeader]:
    """Like `files.read_wav`, for sound in a container: (PCM 16 bit wav bytes, mono, and their header).

    Several channels are averaged, see `corpora.formats.channels`; what a lossy codec overshoots is kept, as 32-bit
    float. Raises what `decode_audio` raises, too-short and unknown-scale.
    """
    signal, rate_hz = decode_audio(path)
    mono = signal if signal.ndim == 1 else mixed_down(signal, np.float32)[0]
    require_full_scale(mono)
    if len(mono) < MIN_WAV_S * rate_hz:
        raise PayloadError("too-short", f"{len(mono) / rate_hz:.3f} s, at least {MIN_WAV_S:g} s are needed")
    payload = encode_wav(mono, rate_hz, keep_peaks=True)
    return payload, wav_header(payload)


def encode_m4a(signal: np.ndarray, rate_hz: int) -> bytes:
    """float32 [n] in [-1, 1] -> AAC in an m4a file, for fake corpora. Raises `UserError` without PyAV."""
    import io

    av = need_av()
    out = io.BytesIO()
    with av.open(out, mode="w", format="ipod") as container:
        stream = container.add_stream("aac", rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(signal[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = rate_hz
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return out.getvalue()

"""What makes the payloads of one run alike: the first steps of `prepare`, each a function of one payload alone.

Nothing here looks at another sample, at a class or at a split, so nothing can leak. A change to what a step does gets a
new entry in the step's version: the version stands in a run's parameters and so in its release.
"""

from __future__ import annotations

import math

import numpy as np

from corpora.codecs import decode_image, decode_wav, encode_png, encode_wav
from corpora.errors import PayloadError

SPEECH_VERSION = "speech-1"  # mono, soxr HQ, DC removed, edges trimmed by energy, PCM16
FACE_VERSION = "face-1"  # grey (ITU-R 601), centre square, area / bicubic

SILENT_RMS = 1e-4  # -80 dBFS in the loudest 32 ms: about three steps of PCM16
FLAT_RANGE = 4  # grey levels between the darkest and the brightest pixel
_FRAME_S, _HOP_S = 0.032, 0.008


def harmonise_speech(
    payload: bytes,
    codec: str,
    *,
    rate_hz: int = 16000,
    trim_db: float | None = 30.0,
    margin_s: float = 0.05,
    min_s: float = 0.2,
    max_s: float = 10.0,
) -> tuple[np.ndarray, bytes]:
    """wav of any rate and number of channels -> (float32 [n] at `rate_hz`, the same as mono PCM16 wav bytes).

    Mean of the channels, mean (DC) removed, resampled (soxr HQ), edges more than `trim_db` under the loudest frame cut
    off but for `margin_s` (None: not trimmed). Loudness is kept: only a peak above full scale is scaled down. The
    returned signal is what the bytes decode to. Raises `PayloadError`: wrong-codec, silent, too-short (< `min_s` after
    trimming), too-long (> `max_s` after trimming; never cut: cutting could take the emotion away), or what the
    decoder says.
    """
    if codec != "wav":
        raise PayloadError("wrong-codec", f"speech is read from wav, this payload is {codec!r}")
    channels, rate = decode_wav(payload)
    signal = channels.mean(axis=1, dtype=np.float64)
    if not np.isfinite(signal).all():
        raise PayloadError("non-finite", f"{int((~np.isfinite(signal)).sum())} of {len(signal)} samples")
    signal -= signal.mean()
    if int(rate) != rate_hz:
        import soxr  # comes with librosa

        signal = soxr.resample(signal, rate, rate_hz, quality="HQ")
    if len(signal) == 0:
        raise PayloadError("too-short", "nothing left after resampling")
    loudest = float(frame_rms(signal, rate_hz).max())
    if loudest < SILENT_RMS:  # asked before the length: a file of silence is silent, not too short
        raise PayloadError("silent", f"the loudest 32 ms have RMS {loudest:.1e} of full scale")
    if trim_db is not None:
        start, stop = active_span(signal, rate_hz, trim_db=trim_db, margin_s=margin_s)
        signal = signal[start:stop]
    seconds = len(signal) / rate_hz
    if seconds < min_s:
        raise PayloadError("too-short", f"{seconds:.3f} s after trimming; at least {min_s:g} s")
    if seconds > max_s:
        raise PayloadError("too-long", f"{seconds:.3f} s after trimming; at most {max_s:g} s")
    signal = signal / max(1.0, float(np.abs(signal).max()))
    encoded = encode_wav(signal.astype(np.float32), rate_hz)
    decoded, _ = decode_wav(encoded)
    return decoded[:, 0], encoded


def frame_rms(signal: np.ndarray, rate_hz: int) -> np.ndarray:
    """[n] -> [ceil(n / hop)] float64 RMS of 32 ms centred on every 8 ms; shorter near the edges."""
    half, hop = max(1, round(_FRAME_S * rate_hz / 2)), max(1, round(_HOP_S * rate_hz))
    power = np.concatenate([[0.0], np.cumsum(np.asarray(signal, dtype=np.float64) ** 2)])
    centres = np.arange(0, len(signal), hop)
    low, high = np.maximum(centres - half, 0), np.minimum(centres + half, len(signal))
    rms: np.ndarray = np.sqrt(np.maximum(power[high] - power[low], 0.0) / (high - low))
    return rms


def active_span(signal: np.ndarray, rate_hz: int, *, trim_db: float, margin_s: float) -> tuple[int, int]:
    """[n] -> (start, stop) in samples: first to last frame within `trim_db` of the loudest, widened by `margin_s`."""
    rms = frame_rms(signal, rate_hz)
    loud = np.flatnonzero(rms >= rms.max() * 10.0 ** (-trim_db / 20.0))
    hop, margin = max(1, round(_HOP_S * rate_hz)), math.ceil(margin_s * rate_hz)
    return max(0, int(loud[0]) * hop - margin), min(len(signal), (int(loud[-1]) + 1) * hop + margin)


def harmonise_face(payload: bytes, codec: str, *, size: int) -> tuple[np.ndarray, bytes]:
    """Image of any size -> (uint8 [size, size] grey, the same as png bytes).

    Colour becomes ITU-R 601 luma, the centre square is taken, then resized: mean over area when it shrinks, bicubic
    when it grows. An 8-bit grey png of that size passes through with its bytes unchanged. Raises `PayloadError`: flat
    (at most 4 grey levels from darkest to brightest), or what the decoder says.
    """
    from PIL import Image

    pixels = decode_image(payload)
    as_it_is = codec == "png" and pixels.shape == (size, size) and _is_grey8_png(payload)
    if not as_it_is:
        image = Image.fromarray(pixels).convert("L")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
        if side != size:
            how = Image.Resampling.BOX if side > size else Image.Resampling.BICUBIC
            image = image.resize((size, size), how)
        pixels = np.asarray(image, dtype=np.uint8)
    spread = int(pixels.max()) - int(pixels.min())
    if spread <= FLAT_RANGE:
        raise PayloadError("flat", f"{spread} grey levels from darkest to brightest pixel; more than {FLAT_RANGE}")
    return pixels, payload if as_it_is else encode_png(pixels)


def _is_grey8_png(payload: bytes) -> bool:
    """True if the header (PNG specification 11.2.2) says 8 bits, greyscale, and no EXIF turns it."""
    return payload[:8] == b"\x89PNG\r\n\x1a\n" and payload[24:26] == b"\x08\x00" and b"eXIf" not in payload

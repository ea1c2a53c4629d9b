"""What a generator of voices asked its vocoder for and what came out of it, for the gallery: F0 beside F0.

Arrays of the representation `world` hold log-F0 and voicing, so what is asked for is known frame by frame; what is
produced is tracked anew in the decoded waveform, by the tracker that prepared the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from corpora.codecs import decode_wav
from corpora.errors import PayloadError
from features.representation import Representation, Spec
from features.speech.world import VOICED_ABOVE, track_f0

TOP_HZ = 500.0  # of the pictures' axis of F0


@dataclass(frozen=True)
class Voice:
    """One sample. asked, produced: F0 [T] Hz a column of the representation, 0: unvoiced. wav: None where nothing valid
    came out (`why`), and then nothing was produced. heard: the class that the judge hears."""

    asked: np.ndarray
    produced: np.ndarray
    wav: bytes | None
    heard: str = ""
    why: str = ""

    @property
    def off_semitones(self) -> float:
        """Mean distance of produced from asked, over frames that are voiced in both; NaN where there is none."""
        n = min(len(self.asked), len(self.produced))
        asked, produced = self.asked[:n], self.produced[:n]
        both = (asked > 0) & (produced > 0)
        return float(np.abs(12.0 * np.log2(produced[both] / asked[both])).mean()) if both.any() else float("nan")

    @property
    def unlike_voicing(self) -> float:
        """Share of frames that are voiced in one of the two alone; NaN where nothing was produced."""
        n = min(len(self.asked), len(self.produced))
        return float(((self.asked[:n] > 0) != (self.produced[:n] > 0)).mean()) if n else float("nan")


def asked_f0(array: np.ndarray, spec: Spec) -> np.ndarray:
    """[H, W] -> F0 [T] Hz of its valid columns, 0 where its voicing says unvoiced."""
    f0, voicing = (array[spec.rows.index(name)] for name in ("log_f0", "voicing"))
    valid = np.ones(array.shape[1], bool) if spec.mask_row is None else array[spec.mask_row] > 0
    return np.where(voicing > VOICED_ABOVE, np.exp(f0), 0.0)[valid]


def voice_of(representation: Representation, array: np.ndarray, heard: str = "") -> Voice:
    """Decodes an array of `world` and tracks what came out."""
    spec = representation.spec
    assert spec.rate_hz is not None
    asked = asked_f0(np.asarray(array, np.float64), spec)
    try:
        payload = representation.decode(array)
    except PayloadError as error:
        return Voice(asked, np.zeros(0), None, heard, error.reason)
    signal, rate_hz = decode_wav(payload.data)
    produced, _ = track_f0(signal.mean(axis=1), rate_hz, hop_s=1.0 / spec.rate_hz)
    return Voice(asked, produced, payload.data, heard)


def median_f0(voices: list[Voice]) -> float:
    """Hz over voiced frames of all that was produced; NaN where there is none."""
    voiced = np.concatenate([v.produced[v.produced > 0] for v in voices]) if voices else np.zeros(0)
    return float(np.median(voiced)) if voiced.size else float("nan")


def show(ax: Any, voice: Voice, emotion: str) -> None:
    """A log-mel picture with both tracks; what went wrong is written over it."""
    from flows.stages.report.media import spectrogram

    if voice.wav is None:
        ax.text(0.5, 0.5, f"failed: {voice.why}", ha="center", va="center", fontsize=7, color="#b3261e")
        return
    signal, rate_hz = decode_wav(voice.wav)
    picture = spectrogram(signal.mean(axis=1).astype(np.float32), rate_hz)
    height, width = picture.shape[:2]
    ax.imshow(picture, aspect="auto")
    for track, style in ((voice.asked, "--"), (voice.produced, "-")):
        at = np.linspace(0, width - 1, len(track))
        y = height - 1 - height * np.where(track > 0, track, np.nan) / TOP_HZ
        ax.plot(at, y, style, color="#ffffff" if style == "--" else "#37d0ff", linewidth=1.0)
    ax.set_xlim(0, width - 1)
    ax.set_ylim(height - 1, 0)
    if voice.heard and voice.heard != emotion:
        ax.set_xlabel(f"heard as {voice.heard}", fontsize=7, color="#b3261e", labelpad=1)

"""Where somebody speaks: Silero VAD (Silero Team 2021), a small recurrent network as the ONNX file of its package."""

from __future__ import annotations

import numpy as np

from features.pretrained.onnx import session
from features.pretrained.packages import packaged
from features.speech.rate import RATE_HZ, at_16k

NAME = "silero"
WINDOW_S = 0.032  # of a probability
_WINDOW, _BEFORE = 512, 64  # samples at 16 kHz that it hears at once, and of the ones before
_STATE = (2, 1, 128)


def speech_probabilities(signal: np.ndarray, rate_hz: float) -> np.ndarray:
    """[n] float in [-1, 1] at `rate_hz` -> [ceil(seconds / 0.032)] float32 probabilities of speech, in order.

    Each depends on what was heard before. Raises `UserError` where it is not installed, and for an empty or non-finite
    signal.
    """
    network = session(packaged(NAME))
    heard = at_16k(signal, rate_hz)
    windows = np.pad(heard, (0, -heard.size % _WINDOW)).reshape(-1, _WINDOW)
    state, before = np.zeros(_STATE, np.float32), np.zeros(_BEFORE, np.float32)
    rate = np.array(RATE_HZ, np.int64)
    out = np.zeros(len(windows), np.float32)
    for i, window in enumerate(windows):
        inputs = {"input": np.concatenate([before, window])[None], "state": state, "sr": rate}
        probability, state = network.run(None, inputs)
        out[i] = probability[0, 0]
        before = window[-_BEFORE:]
    return out


def speech_span(signal: np.ndarray, rate_hz: int, *, threshold: float, margin_s: float) -> tuple[int, int] | None:
    """[n] -> (start, stop) in samples: first to last window whose probability reaches `threshold`, widened by
    `margin_s`; None where none does."""
    spoken = np.flatnonzero(speech_probabilities(signal, rate_hz) >= threshold)
    if not spoken.size:
        return None
    start = int(spoken[0]) * WINDOW_S - margin_s
    stop = (int(spoken[-1]) + 1) * WINDOW_S + margin_s
    return max(0, int(start * rate_hz)), min(len(signal), int(np.ceil(stop * rate_hz)))

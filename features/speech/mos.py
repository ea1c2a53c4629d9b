"""How natural speech sounds: mean opinion scores from 1 to 5 that networks learned from listeners.

    dnsmos       ovrl (overall), sig (the speech), bak (the background)     Reddy et al. 2022, arXiv 2110.01763 (P.835)
    distillmos   ovrl                                                       Stahl & Gamper 2025, arXiv 2502.05356

Both are read from the files of installed packages (extra `pretrained`; docs/encoders.md). They hear one channel at 16
kHz. An opinion is relative: it says less of one recording than of the difference between two of one microphone.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from corpora.errors import UnknownNameError
from features.pretrained.onnx import session
from features.pretrained.packages import packaged
from features.speech.rate import RATE_HZ, at_16k

SCALES: dict[str, tuple[str, ...]] = {"dnsmos": ("ovrl", "sig", "bak"), "distillmos": ("ovrl",)}
_WINDOW = 144_160  # samples that DNSMOS hears at once: 9.01 s
# Raw outputs (sig, bak, ovrl) to opinions: the quadratics that its authors publish with the model, highest power first.
_CALIBRATION = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


class Listener(Protocol):
    """title: NAME@VERSION#HASH of the network; scales: names of what it gives."""

    title: str
    scales: tuple[str, ...]

    def opinions(self, signal: np.ndarray, rate_hz: float) -> dict[str, float]:
        """[n] float in [-1, 1] at `rate_hz` -> {scale: opinion}, about 1 to 5."""
        ...


def listener(name: str) -> Listener:
    """ "dnsmos" or "distillmos". Raises `UnknownNameError`, `UserError` where it is not installed."""
    if name not in SCALES:
        raise UnknownNameError.of("listener", name, SCALES)
    if name == "dnsmos":
        return Dnsmos()
    from features.speech.distillmos import DistillMos

    return DistillMos()


class Dnsmos:
    """DNSMOS P.835. A recording shorter than 9.01 s is repeated until it is that long and heard once; a longer one is
    heard in windows a second apart, and their opinions averaged. (Its authors' script hears the repetition again from
    each second; that takes seven times as long, and moves opinions by 0.06 either way: docs/encoders.md.)"""

    scales = SCALES["dnsmos"]

    def __init__(self) -> None:
        encoder = packaged("dnsmos")
        self._session = session(encoder)
        self._input = self._session.get_inputs()[0].name
        self.title = encoder.title()

    def opinions(self, signal: np.ndarray, rate_hz: float) -> dict[str, float]:
        """[n] float at `rate_hz`, n >= 1 -> ovrl, sig, bak. Peaks above 1 are brought to 1. Raises `UserError` for an
        empty or non-finite signal."""
        heard = at_16k(signal, rate_hz)
        heard = heard / max(1.0, float(np.abs(heard).max()))
        if heard.size < _WINDOW:
            heard = np.resize(heard, _WINDOW)  # repeats it
        starts = range(0, heard.size - _WINDOW + 1, RATE_HZ)
        raw = np.mean([self._raw(heard[start : start + _WINDOW]) for start in starts], axis=0)
        return dict(zip(self.scales, map(float, raw), strict=True))

    def _raw(self, window: np.ndarray) -> list[float]:
        sig, bak, ovrl = self._session.run(None, {self._input: window[None].astype(np.float32)})[0][0].astype(float)
        heard = {"sig": sig, "bak": bak, "ovrl": ovrl}
        return [float(np.polyval(_CALIBRATION[scale], heard[scale])) for scale in self.scales]

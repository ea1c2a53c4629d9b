"""A small synthesised voice: glottal pulses through moving formants, with a prosody that depends on the emotion.

For tests and the demo only. It is a source-filter synthesiser (Fant 1960; Klatt 1980): Rosenberg pulses (1971), five
resonances in cascade, noise for breath and consonants. Emotions move pitch, tempo, energy and tilt in the
directions that Scherer (2003), Speech Communication 40, sums up. People differ in pitch, vocal tract and in how much
they express, so classes overlap.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from corpora.codecs import encode_wav

RATE_HZ = 16000
_BLOCK = 80  # samples (5 ms) that share one set of formants

# F1, F2, F3 in Hz of a man's vowels (after Peterson & Barney 1952, rounded)
_VOWELS = {
    "i": (280, 2250, 2900),
    "I": (400, 1950, 2550),
    "e": (530, 1800, 2480),
    "a": (720, 1150, 2440),
    "o": (560, 880, 2410),
    "u": (320, 900, 2240),
    "@": (500, 1450, 2400),
}
# a syllable: consonant before it (p: stop, s: hiss, n: nasal, -: none), vowel at its start and end, relative length
_SENTENCES = (
    "pIIs -aar poo pIIn pai n@@ poor",
    "poos -aar sII pIIn pai n@@ poor",
    "pee n@o sai paan -ii p@s",
    "saa pIn nii poos -a@ pee",
    "nou poI saa p@n -ee sii",
    "pau s@@ noI -aas pei p@@ noo",
    "sii p@a noo -ess paI nII",
    "paa nee s@o pii -oon p@i",
    "-ai poo sen p@@ naa pIi",
    "soo -iin paa n@e pus -aa",
)


@dataclass(frozen=True, slots=True)
class Voice:
    """One person. `f0_hz`: mean pitch; `tract`: factor on formants; `expression`: factor on all that emotion moves."""

    f0_hz: float
    tract: float
    expression: float
    tempo: float
    tilt: float
    breath: float
    gain_db: float
    habits: tuple[float, ...]  # personal offsets of the eight prosodic dimensions


@dataclass(frozen=True, slots=True)
class _Prosody:
    """What an emotion moves, against neutral: semitones, factors (as logs), dB."""

    pitch_st: float = 0.0
    range_log: float = 0.0
    tempo_log: float = 0.0
    energy_db: float = 0.0
    bright: float = 0.0  # > 0: flatter glottal spectrum
    breath: float = 0.0
    slope_st: float = 0.0  # pitch at the end against the start
    shake: float = 0.0  # jitter and tremor


_EMOTIONS = {
    "neutral": _Prosody(),
    "calm": _Prosody(-1.0, -0.4, -0.12, -3.0, -0.35, 0.25, -0.5, 0.0),
    "happiness": _Prosody(4.5, 0.85, 0.02, 2.0, 0.1, 0.0, 2.5, 0.0),
    "sadness": _Prosody(-1.5, -0.7, -0.24, -6.0, -0.7, 0.5, -2.0, 0.1),
    "anger": _Prosody(2.2, 0.3, 0.14, 7.0, 0.95, -0.1, -2.0, 0.1),
    "fear": _Prosody(5.5, -0.3, 0.2, -0.5, 0.1, 0.35, 1.0, 1.0),
    "disgust": _Prosody(-1.2, 0.15, -0.18, 0.5, 0.3, 0.15, -3.0, 0.45),
    "surprise": _Prosody(5.0, 0.9, -0.02, 2.0, 0.2, 0.1, 6.0, 0.0),
    "boredom": _Prosody(-2.2, -0.9, -0.3, -3.0, -0.4, 0.1, -0.5, 0.0),
    "contempt": _Prosody(-0.8, 0.2, -0.1, 0.0, 0.2, 0.05, -2.5, 0.15),
    "excitement": _Prosody(4.8, 0.7, 0.18, 4.5, 0.45, 0.0, 1.5, 0.1),
    "frustration": _Prosody(0.8, 0.2, -0.04, 3.5, 0.55, 0.1, -2.0, 0.3),
    "amusement": _Prosody(3.0, 0.8, 0.0, 1.0, 0.0, 0.25, 1.0, 0.5),  # laughter breaks in
    "sleepiness": _Prosody(-2.0, -0.8, -0.28, -5.0, -0.6, 0.4, -1.0, 0.05),
}
_SPREAD = np.array([1.1, 0.18, 0.05, 1.5, 0.18, 0.09, 1.0, 0.09])  # of one utterance around what was meant


def make_voice(*, male: bool, rng: np.random.Generator) -> Voice:
    """A person at random."""
    return Voice(
        f0_hz=float((112 if male else 205) * np.exp(rng.normal(0, 0.09))),
        tract=float((1.0 if male else 1.16) * np.exp(rng.normal(0, 0.035))),
        expression=float(rng.uniform(0.75, 1.25)),
        tempo=float(np.exp(rng.normal(0, 0.06))),
        tilt=float(rng.normal(0, 0.2)),
        breath=float(abs(rng.normal(0, 0.08))),
        gain_db=float(rng.normal(0, 2.0)),
        habits=tuple(rng.normal(0, 0.45, 8) * _SPREAD),
    )


def speak(voice: Voice, emotion: str, strength: float, *, statement: int, rng: np.random.Generator) -> np.ndarray:
    """-> float32 [n] at `RATE_HZ`, 0.9 to 1.5 s, peak below 1. `strength` scales what the emotion moves.

    An emotion that the table does not know is spoken as neutral.
    """
    meant = np.array(_values(_EMOTIONS.get(emotion, _EMOTIONS["neutral"]))) * strength * voice.expression
    moved = _Prosody(*(meant + np.array(voice.habits) + rng.normal(0, 1, 8) * _SPREAD))
    syllables = _SENTENCES[statement % len(_SENTENCES)].split()
    tempo = np.clip(voice.tempo * np.exp(moved.tempo_log), 0.72, 1.4)
    total_s = float(np.clip(len(syllables) * 0.165 / tempo, 0.82, 1.4))
    lengths = np.array([0.85 + 0.1 * len(s) for s in syllables]) * np.exp(rng.normal(0, 0.1, len(syllables)))
    lengths[-1] *= 1.35  # phrases end slowly
    bounds = np.round(np.cumsum(np.r_[0.0, lengths / lengths.sum()]) * total_s * RATE_HZ).astype(int)
    n = int(bounds[-1])
    f0 = _pitch(voice, moved, bounds, rng)
    voicing, loudness, noise = _envelopes(syllables, bounds, rng)
    source = _glottis(f0, moved, voice, rng) * voicing * loudness
    formants = _formant_tracks(syllables, bounds, voice, moved, rng)
    signal = _through_formants(source, formants)
    hiss = rng.normal(0, 1, n) * noise
    hiss = np.diff(hiss, prepend=0.0) * 0.35  # hiss is high
    signal = signal / (np.sqrt(np.mean(signal**2)) + 1e-9) * 0.06 + hiss * 0.04
    level_db = np.clip(voice.gain_db + moved.energy_db, -14.0, 11.0)
    margin = np.zeros(int(0.06 * RATE_HZ))
    signal = np.r_[margin, signal * 10 ** (level_db / 20), margin] + rng.normal(0, 2e-4, n + 2 * len(margin))
    return (0.95 * np.tanh(signal / 0.95)).astype(np.float32)  # a loud voice saturates softly, it never clips


def _values(prosody: _Prosody) -> tuple[float, ...]:
    return (
        prosody.pitch_st,
        prosody.range_log,
        prosody.tempo_log,
        prosody.energy_db,
        prosody.bright,
        prosody.breath,
        prosody.slope_st,
        prosody.shake,
    )


def _smooth(points: np.ndarray, n: int) -> np.ndarray:
    """[k] values at equal distances -> [n], cosine between them."""
    place = np.linspace(0, len(points) - 1, n)
    left = np.minimum(place.astype(int), len(points) - 2)
    part = (1 - np.cos(np.pi * (place - left))) / 2
    return points[left] * (1 - part) + points[left + 1] * part


def _pitch(voice: Voice, moved: _Prosody, bounds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[n] Hz: declination, an accent on some syllables, the emotion's slope, tremor."""
    n, k = int(bounds[-1]), len(bounds) - 1
    width_st = 1.6 * np.exp(np.clip(moved.range_log, -1.2, 1.3))
    accents = rng.normal(0, 0.45, k + 1) + np.where(np.arange(k + 1) % 2 == 1, 1.0, -0.4)
    contour = _smooth(accents * width_st, n)
    place = np.linspace(-0.5, 0.5, n)
    t = np.arange(n) / RATE_HZ
    shake = max(moved.shake, 0.0)
    tremor = 0.45 * shake * np.sin(2 * np.pi * (rng.uniform(6.0, 8.0) * t + rng.uniform()))
    st = np.clip(moved.pitch_st, -5, 10) + contour + place * (moved.slope_st - 2.0) + tremor
    return np.clip(voice.f0_hz * 2 ** (st / 12), 65.0, 480.0)


def _envelopes(
    syllables: list[str], bounds: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> voicing, loudness, hiss, each [n] in [0, ~1.5]."""
    n = int(bounds[-1])
    voicing, loudness, hiss = np.ones(n), np.ones(n), np.zeros(n)
    for i, syllable in enumerate(syllables):
        start, end = int(bounds[i]), int(bounds[i + 1])
        length = end - start
        accent = 1.0 if i % 2 == 0 else 0.75
        place = np.linspace(0, 1, length)
        loudness[start:end] = accent * (0.25 + 0.75 * np.sin(np.pi * np.clip(place * 0.9 + 0.08, 0, 1)) ** 0.6)
        onset = int(length * {"p": 0.26, "s": 0.3, "n": 0.22, "-": 0.0}[syllable[0]])
        if syllable[0] == "p":  # closure, then a burst
            closed = int(onset * 0.75)
            voicing[start : start + closed] = 0.06
            hiss[start + closed : start + onset] = 1.3 * np.exp(-np.linspace(0, 4, onset - closed))
        elif syllable[0] == "s":
            voicing[start : start + onset] = 0.04
            hiss[start : start + onset] = 0.9 * np.sin(np.pi * np.linspace(0, 1, onset)) ** 0.5
        elif syllable[0] == "n":
            voicing[start : start + onset] = 0.45
        if syllable[-1] == "s":
            tail = int(length * 0.25)
            voicing[end - tail : end] = 0.05
            hiss[end - tail : end] = 0.7 * np.sin(np.pi * np.linspace(0, 1, tail)) ** 0.5
    kernel = np.hanning(int(0.012 * RATE_HZ))
    kernel /= kernel.sum()
    fade = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / (0.03 * RATE_HZ))
    return np.convolve(voicing, kernel, "same"), np.convolve(loudness, kernel, "same") * fade, hiss * fade


def _glottis(f0: np.ndarray, moved: _Prosody, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """[n] Hz -> flow derivative of Rosenberg pulses, tilted, with breath noise in the open phase."""
    from scipy.signal import lfilter

    n = len(f0)
    shake = max(moved.shake, 0.0)
    wobble = np.repeat(rng.normal(0, 0.004 + 0.02 * shake, n // 100 + 1), 100)[:n]  # a new jitter every 6 ms
    phase = np.cumsum(f0 * (1 + wobble)) / RATE_HZ % 1.0
    effort = np.clip(moved.bright + voice.tilt, -1.3, 1.6)
    open_part = np.clip(0.62 - 0.1 * effort, 0.4, 0.8)
    rise, fall = 0.66 * open_part, 0.34 * open_part
    flow = np.where(
        phase < rise,
        0.5 * (1 - np.cos(np.pi * phase / rise)),
        np.where(phase < rise + fall, np.cos(0.5 * np.pi * (phase - rise) / fall), 0.0),
    )
    pulses = np.diff(flow, prepend=flow[0])
    pulses /= np.sqrt(np.mean(pulses**2)) + 1e-9
    breath = np.clip(0.05 + voice.breath + 0.5 * moved.breath, 0.01, 0.6)
    pulses += breath * rng.normal(0, 1, n) * (0.3 + flow)
    pole = float(np.clip(0.55 - 0.38 * effort, -0.2, 0.95))
    tilted: np.ndarray = lfilter([1 - abs(pole)], [1, -pole], pulses)
    return tilted


def _formant_tracks(
    syllables: list[str], bounds: np.ndarray, voice: Voice, moved: _Prosody, rng: np.random.Generator
) -> np.ndarray:
    """-> [blocks, 5] Hz, gliding within and between syllables."""
    places, targets = [], []
    for i, syllable in enumerate(syllables):
        vowels = [letter for letter in syllable[1:] if letter in _VOWELS]
        for place, vowel in zip((0.35, 0.85), (vowels[0], vowels[-1]), strict=True):
            places.append(bounds[i] + place * (bounds[i + 1] - bounds[i]))
            f1, f2, f3 = _VOWELS[vowel]
            targets.append((f1, f2, f3, 3500.0, 4500.0))
    wide = np.array(targets)
    wide[:, :3] *= np.exp(rng.normal(0, 0.03, (len(wide), 3)))
    # an open, loud mouth raises the first resonance; a smile (bright and high) shortens the tract
    wide[:, 0] *= 1 + 0.08 * np.clip(moved.bright, -1, 1.3)
    wide *= voice.tract * (1 + 0.015 * np.clip(moved.bright, -1, 1))
    centres = np.arange(_BLOCK // 2, int(bounds[-1]), _BLOCK)
    return np.stack([np.interp(centres, places, wide[:, k]) for k in range(5)], axis=1)


def _through_formants(source: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """Cascade of five Klatt resonators whose centre frequencies change every `_BLOCK` samples. -> [n]"""
    from scipy.signal import sosfilt

    bandwidths = np.array([70.0, 95.0, 140.0, 220.0, 300.0])
    formants = np.minimum(formants, 0.46 * RATE_HZ)
    radius = np.exp(-np.pi * bandwidths / RATE_HZ)
    b = -2 * radius * np.cos(2 * np.pi * formants / RATE_HZ)  # [blocks, 5]
    sections = np.zeros((len(formants), 5, 6))
    sections[:, :, 3], sections[:, :, 4], sections[:, :, 5] = 1.0, b, radius**2
    sections[:, :, 0] = 1.0 + b + radius**2  # gain 1 at 0 Hz
    state = np.zeros((5, 2))
    out = np.empty_like(source)
    for i in range(len(formants)):
        # less than half a block at the end has no centre of its own and belongs to the last one
        part = slice(i * _BLOCK, (i + 1) * _BLOCK if i + 1 < len(formants) else None)
        out[part], state = sosfilt(sections[i], source[part], zi=state)
    return out


def wav(signal: np.ndarray, rate_hz: int) -> bytes:
    """float32 [n] in [-1, 1] -> wav bytes, mono, PCM 16 bit."""
    return encode_wav(signal, rate_hz)


def stereo_wav(signal: np.ndarray, rate_hz: int) -> bytes:
    """float32 [n] in [-1, 1] -> wav bytes, PCM 16 bit, the same signal in both channels, the right one 1 dB softer."""
    import soundfile

    out = io.BytesIO()
    both = np.stack([signal, signal * 0.89], axis=1)
    soundfile.write(out, both, rate_hz, format="WAV", subtype="PCM_16")
    return out.getvalue()

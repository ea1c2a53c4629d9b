"""Known defects, planted into real samples: what gates are tested with.

Each takes real held-out samples and gives a set that is wrong in one way, and which rows are. Strengths are graded, so
that a gate's answer can be seen to rise with them. Rows are new samples: new ids, new hashes, nobody's groups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from validators.batch import Batch, rows_of
from validators.maths.text.words import text_of

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]  # signal, rate in Hz (faces: 0), rng
SHARE = 0.05  # of a set that is constant, not a number or clipped


@dataclass(frozen=True)
class Planted:
    """A set with a defect; `planted` [B] bool: the rows that have it."""

    batch: Batch
    planted: np.ndarray


@dataclass(frozen=True)
class Defect:
    """`plant(real, train, rng)`: `real` the samples to spoil, `train` what a generator learned from.

    scope: "samples": a sample gate can see it in each planted row; "set": only the set as a whole is wrong. Where rows
    are changed one by one: by `change`, in this `share` of them, of train samples where `of_train`.
    """

    name: str
    scope: str
    plant: Callable[[Batch, Batch, np.random.Generator], Planted]
    share: float = 1.0
    change: Change | None = None
    of_train: bool = False


def as_candidates(batch: Batch) -> Batch:
    """Real samples under the names of synthetic ones: each its own group, from no source."""
    n = len(batch)
    hashes = tuple(hashlib.sha256(np.ascontiguousarray(s).tobytes()).hexdigest() for s in batch.signals)
    return replace(
        batch,
        ids=tuple(f"syn/planted/{i}" for i in range(n)),
        sha256=hashes,
        subjects=(None,) * n,
        groups=tuple(f"syn/planted/{i}" for i in range(n)),
        source_ids=((),) * n,
    )


def changed(batch: Batch, rows: np.ndarray, change: Change, rng: np.random.Generator) -> Batch:
    """`change` applied to the signals at integer `rows`; features of the other rows are kept."""
    signals = list(batch.signals)
    for i in rows:
        signals[i] = change(np.asarray(signals[i]), float(batch.rate_hz or 0.0), rng)
    out = as_candidates(replace(batch, signals=signals, cache={}))
    return out if rows.size else replace(out, cache=batch.cache)


def _everywhere(name: str, change: Change) -> Defect:
    def plant(real: Batch, train: Batch, rng: np.random.Generator) -> Planted:
        return Planted(changed(real, np.arange(len(real)), change, rng), np.ones(len(real), bool))

    return Defect(name, "set", plant, change=change)


def _some(name: str, change: Change, share: float = SHARE) -> Defect:
    def plant(real: Batch, train: Batch, rng: np.random.Generator) -> Planted:
        rows = rng.permutation(len(real))[: max(1, round(share * len(real)))]
        return Planted(changed(real, rows, change, rng), _mask(len(real), rows))

    return Defect(name, "samples", plant, share, change)


def _copies(name: str, share: float, change: Change | None) -> Defect:
    def plant(real: Batch, train: Batch, rng: np.random.Generator) -> Planted:
        rows = rng.permutation(len(real))[: max(1, round(share * len(real)))]
        signals, emotions, hashes = list(real.signals), list(real.emotions), {}
        for i, j in zip(rows, rng.permutation(len(train))[: rows.size], strict=False):
            copied = np.asarray(train.signals[j])
            signals[i] = copied if change is None else change(copied, float(train.rate_hz or 0.0), rng)
            emotions[i], hashes[i] = train.emotions[j], train.sha256[j]
        out = as_candidates(replace(real, signals=signals, emotions=tuple(emotions), cache={}))
        if change is None:  # the payload itself
            out = replace(out, sha256=tuple(hashes.get(i, digest) for i, digest in enumerate(out.sha256)))
        return Planted(out, _mask(len(real), rows))

    return Defect(name, "samples", plant, share, change, of_train=True)


def _mask(n: int, rows: np.ndarray) -> np.ndarray:
    mask = np.zeros(n, bool)
    mask[rows] = True
    return mask


def shuffled_labels(real: Batch, train: Batch, rng: np.random.Generator) -> Planted:
    """The asked classes in another order: a generator that ignores its condition."""
    emotions = rng.permutation(np.asarray(real.emotions, dtype=str))
    return Planted(
        replace(as_candidates(real), emotions=tuple(emotions.tolist())),
        emotions != np.asarray(real.emotions, dtype=str),
    )


def collapsed_class(real: Batch, train: Batch, rng: np.random.Generator) -> Planted:
    """The class of middling size is one sample, over and over. Planted: the repeats, not the sample."""
    names, counts = np.unique(np.asarray(real.emotions, dtype=str), return_counts=True)
    name = names[np.argsort(counts, kind="stable")[len(names) // 2]]
    rows = np.flatnonzero(np.asarray(real.emotions, dtype=str) == name)
    index = np.arange(len(real))
    index[rows] = rng.choice(rows)
    return Planted(as_candidates(rows_of(real, index)), _mask(len(real), rows[1:]))


def lacking_mode(real: Batch, train: Batch, rng: np.random.Generator) -> Planted:
    """One kind only: lower-pitched voices, darker faces, shorter texts, lower first channels; each row twice."""
    key = mode_key(real)
    kept = np.argsort(key, kind="stable")[: max(1, (len(real) + 1) // 2)]
    index = np.concatenate([kept, kept])[: len(real)]
    return Planted(as_candidates(rows_of(real, index)), np.ones(len(index), bool))


def mode_key(batch: Batch) -> np.ndarray:
    """[B] what `lacking_mode` sorts by: mean log-F0 of voices, mean gray level of faces, bytes of texts, mean of the
    first channel of signals, first column of vectors."""
    if batch.kind == "vector":
        return np.asarray([float(s.flat[0]) if s.size else 0.0 for s in batch.signals])
    if batch.modality == "face":
        return np.asarray([float(np.mean(s)) for s in batch.signals])
    if batch.modality == "text":
        return np.asarray([float(s.size) for s in batch.signals])
    if batch.modality == "physio":
        return np.asarray([float(np.mean(s.reshape(len(s), -1)[:, 0])) if s.size else 0.0 for s in batch.signals])
    from features.speech.functionals import FUNCTIONAL_NAMES
    from validators.embeddings.features import features_of

    return features_of(batch, "functionals")[:, FUNCTIONAL_NAMES.index("logf0_mean")]


def low_passed(hz: float) -> Change:
    """Butterworth, order 6, forward and backward."""

    def change(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        from scipy.signal import butter, sosfiltfilt

        return np.clip(sosfiltfilt(butter(6, hz, fs=rate, output="sos"), signal), -1, 1).astype(np.float32)

    return change


def noisy(snr_db: float) -> Change:
    """White noise at this ratio to the signal's power."""

    def change(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        level = np.sqrt(np.mean(np.square(signal, dtype=np.float64))) * 10 ** (-snr_db / 20)
        return np.clip(signal + level * rng.standard_normal(signal.shape), -1, 1).astype(np.float32)

    return change


def louder(gain: float) -> Change:
    """`gain` times as loud, cut at full scale."""
    return lambda signal, rate, rng: np.clip(signal * gain, -1, 1).astype(np.float32)


def blurred(sigma_px: float) -> Change:
    """Gaussian blur of this width in pixels."""

    def change(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        from scipy.ndimage import gaussian_filter

        return np.clip(gaussian_filter(signal.astype(np.float64), sigma_px), 0, 255).astype(np.uint8)

    return change


def grainy(gray_levels: float) -> Change:
    """White noise of this standard deviation in gray levels (0 to 255)."""
    return lambda signal, rate, rng: np.clip(signal + gray_levels * rng.standard_normal(signal.shape), 0, 255).astype(
        np.uint8
    )


def _near_voice(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    return noisy(40.0)(louder(float(rng.uniform(0.5, 0.9)))(signal, rate, rng), rate, rng)


def _near_face(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    lit = signal.astype(np.float64) * rng.uniform(0.8, 1.0) + rng.uniform(0, 20)
    turned = lit[:, ::-1] if rng.random() < 0.5 else lit
    return grainy(3.0)(turned, rate, rng)


def _constant(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    return np.full_like(signal, signal.flat[0] if signal.size else 0)


def _not_a_number(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    return np.full(signal.shape, np.nan, np.float32)


def _clipped(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    return np.clip(signal / max(float(np.abs(signal).max()), 1e-9) * 10.0, -1, 1).astype(np.float32)


def of_words(change: Callable[[list[str], np.random.Generator], list[str]]) -> Change:
    """A change of a text's words, separated by blanks; what is no UTF-8 is left alone."""

    def changed_text(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        text = text_of(signal)
        if text is None:
            return signal
        return np.frombuffer(" ".join(change(text.split(), rng)).encode("utf-8"), np.uint8)

    return changed_text


def _shuffled_words(words: list[str], rng: np.random.Generator) -> list[str]:
    return [words[i] for i in rng.permutation(len(words))]


def _repeated_words(words: list[str], rng: np.random.Generator) -> list[str]:
    """Stuck in a loop: the first third of the words, three times and at least 12 words long."""
    part = words[: max(2, len(words) // 3)]
    return part * max(3, -(-12 // max(1, len(part))))


def _near_text(words: list[str], rng: np.random.Generator) -> list[str]:
    """Case and signs other than they were, and a word in eight left out."""
    kept = rng.permutation(len(words))[len(words) // 8 :]
    return [words[i].strip(".,!?").lower() for i in np.sort(kept)] + ["!!"]


def _not_utf8(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    return np.concatenate([signal, np.frombuffer(b"\xff\xfe", np.uint8)])


def channels_noisy(snr_db: float) -> Change:
    """White noise at this ratio to the variance of each channel."""

    def change(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
        level = signal.std(axis=0, dtype=np.float64) * 10 ** (-snr_db / 20)
        return (signal + level * rng.standard_normal(signal.shape)).astype(np.float32)

    return change


def _flat_channel(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """An electrode that fell off after a tenth of the trial."""
    out = signal.copy().reshape(len(signal), -1)
    channel = rng.integers(out.shape[1])
    out[len(out) // 10 :, channel] = out[len(out) // 10, channel]
    return out.reshape(signal.shape)


def _near_trial(signal: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Another gain and noise, 30 dB down."""
    return channels_noisy(30.0)((rng.uniform(0.9, 1.1) * signal).astype(np.float32), rate, rng)


def _columns(
    name: str, change: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray], share: float = 1.0
) -> Defect:
    """Of vectors: `change(row, spread of train's columns, rng)` in this share of the rows."""

    def plant(real: Batch, train: Batch, rng: np.random.Generator) -> Planted:
        spread = np.std([np.asarray(s, np.float64) for s in train.signals], axis=0)
        rows = rng.permutation(len(real))[: max(1, round(share * len(real)))]
        out = changed(real, rows, lambda row, _, rng: change(row, spread, rng).astype(np.float32), rng)
        return Planted(out, _mask(len(real), rows))

    return Defect(name, "set" if share == 1.0 else "samples", plant, share)


def _far_column(row: np.ndarray, spread: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One column, of those that vary, a hundred standard deviations away."""
    out = row.astype(np.float64)
    varies = np.flatnonzero(spread > 0)
    column = rng.choice(varies) if varies.size else 0
    out[column] += 100.0 * (spread[column] or 1.0)
    return out


def _noise(times: float) -> Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]:
    """White noise of this many standard deviations of each column."""
    return lambda row, spread, rng: row + times * spread * rng.standard_normal(row.shape)


_COPIES = (0.01, 0.05, 0.2)
_ANY = [
    Defect("shuffled labels", "set", shuffled_labels),
    Defect("one class collapsed", "set", collapsed_class),
    Defect("mode dropped", "set", lacking_mode),
    _some("constant 5 %", _constant),
]
DEFECTS: dict[str, list[Defect]] = {
    "speech": [
        *_ANY,
        *(_everywhere(f"low-passed {hz / 1000:g} kHz", low_passed(hz)) for hz in (4000, 2000, 1000)),
        *(_everywhere(f"noisy {db} dB", noisy(db)) for db in (30, 20, 10)),
        *(_copies(f"copies {share:.0%}", share, None) for share in (0.01, 0.05, 0.2)),
        *(_copies(f"near copies {share:.0%}", share, _near_voice) for share in (0.01, 0.05, 0.2)),
        _some("not a number 5 %", _not_a_number),
        _some("clipped 5 %", _clipped),
    ],
    "face": [
        *_ANY,
        *(_everywhere(f"blurred {px:g} px", blurred(px)) for px in (0.7, 1.0, 2.0)),
        *(_everywhere(f"noisy {sd} levels", grainy(sd)) for sd in (8, 16, 32)),
        *(_copies(f"copies {share:.0%}", share, None) for share in (0.01, 0.05, 0.2)),
        *(_copies(f"near copies {share:.0%}", share, _near_face) for share in (0.01, 0.05, 0.2)),
    ],
    "text": [
        *_ANY,
        _everywhere("words shuffled", of_words(_shuffled_words)),
        _everywhere("words repeated", of_words(_repeated_words)),
        *(_copies(f"copies {share:.0%}", share, None) for share in _COPIES),
        *(_copies(f"near copies {share:.0%}", share, of_words(_near_text)) for share in _COPIES),
        _some("words repeated 5 %", of_words(_repeated_words)),
        _some("not UTF-8 5 %", _not_utf8),
    ],
    "physio": [
        *_ANY,
        *(_everywhere(f"noisy {db} dB", channels_noisy(db)) for db in (20, 10, 0)),
        *(_copies(f"copies {share:.0%}", share, None) for share in _COPIES),
        *(_copies(f"near copies {share:.0%}", share, _near_trial) for share in _COPIES),
        _some("flat channel 5 %", _flat_channel),
        _some("not a number 5 %", _not_a_number),
    ],
    "vector": [
        *_ANY,
        *(_columns(f"noisy {sd:g} sd", _noise(sd)) for sd in (0.5, 1.0, 2.0)),
        *(_copies(f"copies {share:.0%}", share, None) for share in _COPIES),
        _columns("far column 5 %", _far_column, SHARE),
        _some("not a number 5 %", _not_a_number),
    ],
}

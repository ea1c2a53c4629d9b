"""The people of benchmarks/gate_power.py: a corpus, its strangers, and all of it in every spoiled form."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

NONE = "none"
# corpus -> modality, its rare class, a corpus of other people (a reader whose fake is taken where it has a * )
CORPORA = {
    "ravdess": ("speech", "neutral", "emodb"),
    "fer2013": ("face", "disgust", "fer2013*"),
    "stress_predict": ("physio", "stress", None),
}
ADVERSARIAL = {"face": (250, 150), "speech": (60, 20)}  # samples that are tried, steps of the search
WINDOW_S, RATE_HZ = 60.0, 16.0  # of trials of minutes: a sample is a window


def load(name: str, folder: Path, modality: str) -> Any:
    from corpora.fingerprint import hash_bytes
    from corpora.readers import make_corpus
    from corpora.schema import Sample
    from flows.stages.augment.batches import batch_from_payloads

    samples = [s for s in make_corpus(name).read(folder, name) if isinstance(s, Sample) and s.emotion]
    if modality == "physio":
        samples = [window for sample in samples for window in windows_of(sample)]
    unique = {hash_bytes(s.payload): s for s in samples}  # a repeat in train and pool would be a copy by right
    return batch_from_payloads(
        modality,
        [s.sample_id for s in unique.values()],
        [str(s.emotion) for s in unique.values()],
        [s.payload for s in unique.values()],
        sha256=list(unique),
        rate_hz=16000.0 if modality == "speech" else RATE_HZ,
        groups=[s.group_id or s.sample_id for s in unique.values()],
    )


def windows_of(trial: Any) -> list[Any]:
    """Pulse, skin conductance, temperature and heart rate at one rate, cut into minutes."""
    from features.physio.prepare import PrepareSignals, SignalSteps
    from features.steps import Source

    steps = SignalSteps.model_validate(
        {
            "keep": ["BVP", "EDA", "TEMP", "HR"],
            "resample": {"all_hz": RATE_HZ},
            "windows": {"length_s": WINDOW_S},
            "bands": None,
            "clean": None,
            "artefacts": None,
        }
    )
    pieces = PrepareSignals(steps)(Source(trial.payload, "npz", signals=trial.signals))
    return [replace(trial, payload=piece.payload, sample_id=f"{trial.sample_id}#{i}") for i, piece in enumerate(pieces)]


class Pools:
    """The whole corpus in every spoiled form, with its features; made once, cut by every split."""

    def __init__(self, name: str, data: Path, scratch: Path) -> None:
        from corpora.readers import make_corpus
        from validators.embeddings.features import PLAIN
        from validators.embeddings.images import IMAGES

        self.name = name
        self.modality, self.rare, other = CORPORA[name]
        self.real = load(name, data / name, self.modality)
        self.features = (PLAIN[self.modality], *IMAGES.get(self.modality, ())[:1])
        self.classes = sorted(set(self.real.emotions))
        if other is not None and other.endswith("*"):
            folder = scratch / "other"
            folder.mkdir(parents=True)
            make_corpus(other[:-1]).fake(folder, subjects=0, per_class=60, seed=1)
            self.other = load(other[:-1], folder, self.modality)
        else:
            self.other = None if other is None else load(other, data / other, self.modality)
        self._forms: dict[str, Any] = {}

    def form(self, key: str, change: Any) -> Any:
        """The corpus with `change` made to every sample (None: as it is)."""
        from validators.embeddings.features import features_of
        from validators.trials.defects import changed

        if key not in self._forms:
            rng = np.random.default_rng(0)
            form = self.real if change is None else changed(self.real, np.arange(len(self.real)), change, rng)
            for name in self.features:
                features_of(form, name)
            self._forms[key] = form
        return self._forms[key]


def split(pools: Pools, seed: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """-> rows of train, of dev (None: too few groups), of the pool."""
    groups = np.asarray(pools.real.groups)
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    if pools.modality != "face":  # 10 people: 5 that everything learns from, 5 strangers
        half = len(names) // 2
        return np.flatnonzero(np.isin(groups, names[:half])), None, np.flatnonzero(np.isin(groups, names[half:]))
    at = [0, 3000, 4000, len(names)]
    train, dev, pool = (np.flatnonzero(np.isin(groups, names[a:b])) for a, b in pairwise(at))
    return train, dev, pool


def perturbed(pools: Pools, pool: np.ndarray, judge: Any, rng: np.random.Generator) -> Any:
    """Samples of one class changed until the judges take them for another, which then was the asked one: random search
    on the judges' probabilities (Guo et al. 2019, Simple black-box adversarial attacks, with smooth patches of light
    and bands of the spectrum as directions). Those that could not be brought that far are left out."""
    from validators.batch import rows_of
    from validators.trials.defects import as_candidates

    count, steps = ADVERSARIAL[pools.modality]
    base = pools.form(NONE, None)
    now = rows_of(base, rng.permutation(pool)[:count])
    names = np.asarray(judge.classes)
    own = np.asarray([list(names).index(e) for e in now.emotions])
    p = judge.predict(now)
    others = np.where(np.arange(len(names)) == own[:, None], -1.0, p)
    asked = others.argmax(axis=1)
    best = p[np.arange(len(own)), asked]
    for _ in range(steps):
        signals = [_nudged(np.asarray(s), pools.modality, rng) for s in now.signals]
        tried = replace(now, signals=signals, cache={})
        p = judge.predict(tried)
        gained = p[np.arange(len(own)), asked] > best
        best = np.where(gained, p[np.arange(len(own)), asked], best)
        now = join(rows_of(tried, np.flatnonzero(gained)), rows_of(now, np.flatnonzero(~gained)))
        order = np.concatenate([np.flatnonzero(gained), np.flatnonzero(~gained)])
        asked, own, best = asked[order], own[order], best[order]
    fooled = judge.predict(now).argmax(axis=1) == asked
    out = rows_of(replace(now, emotions=tuple(names[asked].tolist())), np.flatnonzero(fooled))
    return as_candidates(out)


def _nudged(signal: np.ndarray, modality: str, rng: np.random.Generator) -> np.ndarray:
    if modality == "face":
        size = int(rng.integers(6, 20))
        y, x = rng.integers(0, signal.shape[0] - size), rng.integers(0, signal.shape[1] - size)
        patch = np.outer(np.hanning(size), np.hanning(size)) * rng.choice([-24.0, 24.0])
        changed = signal.astype(np.float64)
        changed[y : y + size, x : x + size] += patch
        return np.clip(changed, 0, 255).astype(np.uint8)
    spectrum = np.fft.rfft(signal)
    hz = np.fft.rfftfreq(len(signal), 1 / 16000.0)
    centre, width = np.exp(rng.uniform(np.log(150), np.log(6000))), rng.uniform(0.3, 1.0)  # Hz, octaves
    bump = rng.choice([-4.0, 4.0]) * np.exp(-0.5 * (np.log2(np.maximum(hz, 20) / centre) / width) ** 2)
    return np.clip(np.fft.irfft(spectrum * 10 ** (bump / 20), len(signal)), -1, 1).astype(np.float32)


def join(a: Any, b: Any) -> Any:
    return replace(
        a,
        ids=a.ids + b.ids,
        emotions=a.emotions + b.emotions,
        signals=[*a.signals, *b.signals],
        sha256=a.sha256 + b.sha256,
        subjects=(),
        groups=(),
        source_ids=(),
        errors=(),
        cache={k: _stacked(v, b.cache[k]) for k, v in a.cache.items() if k in b.cache},
    )


def _stacked(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A form without a usable row has no columns: zeros, as `features_of` gives for rows that cannot be used."""
    width = max(a.shape[1], b.shape[1])
    return np.concatenate([x if x.shape[1] == width else np.zeros((len(x), width)) for x in (a, b)])

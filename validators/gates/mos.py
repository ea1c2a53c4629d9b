"""Does speech sound as natural as real speech of the same recording condition? Asked of a network that listened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from features.pretrained.packages import packaged, require_same
from features.speech.mos import SCALES, listener
from features.speech.world import SILENT_PEAK
from validators.batch import Batch, rows_of, usable
from validators.embeddings.kept import kept_features, rate_of
from validators.gate import AnyParams, GateParams, Limit, SampleGate
from validators.maths.chance import UNJUDGED
from validators.maths.intervals import wilson_interval
from validators.state import load_state, save_state

ALL = "all"  # the condition of what no other is known of
_FRAME, _HOP = 512, 128  # of the damage that is done on purpose
_DIGITS = 4


class MosParams(GateParams):
    """Parameters of the gate `mos`."""

    model: Literal["dnsmos", "distillmos"] = Field("dnsmos", description="who listens (docs/encoders.md)")
    scale: Literal["ovrl", "sig", "bak"] = Field(
        "ovrl", description="overall, the speech alone or its background; distillmos knows ovrl alone"
    )
    condition: Literal["subject", "corpus", "all"] = Field(
        "subject", description="whose real recordings a sample is held against; too few: corpus, then all"
    )
    least: int = Field(8, ge=2, description="real samples of a condition")
    heard: int = Field(
        12,
        ge=0,
        description="real samples of each class that are damaged on purpose, to ask whether it is heard; 0: not asked",
    )

    @model_validator(mode="after")
    def _has_the_scale(self) -> MosParams:
        if self.scale not in SCALES[self.model]:
            raise ValueError(f"{self.model} has no scale {self.scale!r}; known: {', '.join(SCALES[self.model])}")
        return self


class Naturalness(SampleGate):
    """score = opinion of a sample - median opinion of real train samples of its recording condition; 0: as they are.

    The opinion is a mean opinion score from 1 to 5 (features/speech/mos.py). It depends on microphone and room as much
    as on naturalness, so it is compared within a condition: the subject (of a conversion that of its sources), or,
    where that is not known or train has fewer than `least` samples of it, the corpus, or all of train. Real train
    samples are compared with the others of their condition. They came through the run's representation, so that what a
    vocoder costs is in the limit, and a limit that comes from real samples is each class' own: shouting sounds worse
    than speaking.

    A class in which the network prefers real samples to the same with their phases drawn at random no more often than
    not is undecided: it hears nothing there. NaN: not usable, silent, of another sampling rate (reasons).

    Not among the default gates: it needs the extra `pretrained`, and a default must not depend on what is installed.
    """

    name = "mos"
    unit = "MOS"
    question = "does speech sound as natural as real speech?"
    better = "higher"
    modalities = ("speech",)
    default_limit = Limit(quantile=0.05)
    Params = MosParams

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays, self._facts = dict(arrays), dict(facts)
        self._options = MosParams.model_validate(facts["options"])
        require_same(facts["listener"], packaged(self._options.model).title(), "gate mos")
        self._centre: dict[str, float] = facts["centre"]
        self._condition_of: dict[str, str] = facts["condition_of"]
        self.judge = f"{facts['listener']}-{self._options.scale}/{len(self._centre)} conditions"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str] = frozenset(),
        params: AnyParams,
        seed: int,
    ) -> Naturalness:
        """Raises `UserError` where the network is not installed, `ParamsError` for parameters."""
        options = MosParams.of(params, cls.name)
        batch = rows_of(train, audible(train) & np.isin(np.asarray(train.emotions, str), classes))
        values = opinions(batch, options)
        names = [_conditions(batch, i, options.condition) for i in range(len(batch))]
        members: dict[str, list[int]] = {}
        for i, own in enumerate(names):
            for condition in own:
                members.setdefault(condition, []).append(i)
        kept = {c: rows for c, rows in members.items() if len(rows) >= options.least or c == ALL}
        condition_of = [next(c for c in own if c in kept) for own in names]
        reference = np.full(len(batch), np.nan)
        for i, condition in enumerate(condition_of):
            others = [row for row in kept[condition] if row != i]
            reference[i] = values[i] - np.median(values[others]) if others else np.nan
        facts = {
            "options": options.model_dump(mode="json"),
            "listener": packaged(options.model).title(),
            "rate_hz": train.rate_hz,
            "classes": list(classes),
            "emotions": list(batch.emotions),
            "centre": {c: float(np.median(values[rows])) for c, rows in kept.items()},
            "condition_of": dict(zip(batch.ids, condition_of, strict=True)),
        }
        arrays = {"reference": np.round(reference, _DIGITS)} | _heard(batch, values, classes, options, seed)
        return cls(arrays, facts)

    @classmethod
    def encoders(cls, params: AnyParams) -> tuple[str, ...]:
        """The network that listens."""
        return (MosParams.of(params, cls.name).model,)

    def cannot_judge(self, limit: Limit) -> dict[str, str]:
        """Classes in which the network does not hear damage that was done on purpose."""
        unable = {}
        for name, n, heard in zip(self._facts["classes"], self._arrays["damaged"], self._arrays["heard"], strict=True):
            if n and wilson_interval(float(heard), int(n))[0] <= 0.5:
                unable[name] = (
                    f"{UNJUDGED}: the network prefers {int(heard)} of {int(n)} real samples of {name} to the same "
                    "with their phases drawn at random"
                )
        return unable

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64; NaN where `reasons` has something to say."""
        out = np.full(len(batch), np.nan)
        rows = np.asarray([i for i, reason in enumerate(self.reasons(batch)) if reason is None], np.int64)
        if rows.size:
            part = rows_of(batch, rows)
            centre = [self._centre_of(part, i) for i in range(len(part))]
            out[rows] = np.round(opinions(part, self._options) - np.asarray(centre), _DIGITS)
        return out

    def reasons(self, batch: Batch) -> list[str | None]:
        """-> [B] slugs: wrong-rate, not-usable, silent."""
        ok, clear = usable(batch), audible(batch)
        wrong = (batch.rate_hz or None) != (self._facts["rate_hz"] or None)
        return [
            "wrong-rate" if wrong else None if good else "silent" if fine else "not-usable"
            for fine, good in zip(ok, clear, strict=True)
        ]

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> scores of its real train samples, each against the others of its condition."""
        of_row = np.asarray(self._facts["emotions"], dtype=str)
        return {name: self._arrays["reference"][of_row == name] for name in self._facts["classes"]}

    def _centre_of(self, batch: Batch, i: int) -> float:
        """Of the conditions of its sources, their mean; without sources, of its own."""
        sources = batch.source_ids[i] if batch.source_ids else ()
        known = [self._condition_of[source] for source in sources if source in self._condition_of]
        own = _conditions(batch, i, self._options.condition)
        names = known or [next(c for c in own if c in self._centre)]
        return float(np.mean([self._centre[name] for name in names]))

    def save(self, folder: Path) -> None:
        """Writes gate.safetensors and gate.json."""
        save_state(folder, self._arrays, self._facts)

    @classmethod
    def load(cls, folder: Path) -> Naturalness:
        """What `save` wrote. Raises `IntegrityError` where the two files do not belong together, or the network that is
        installed is another one."""
        return cls(*load_state(folder))


def audible(batch: Batch) -> np.ndarray:
    """-> [B] bool: usable, and no silence (peak to peak under -80 dBFS)."""
    return np.asarray(
        [ok and float(np.ptp(s)) >= SILENT_PEAK for ok, s in zip(usable(batch), batch.signals, strict=True)], bool
    )


def opinions(batch: Batch, options: MosParams) -> np.ndarray:
    """-> [B] float64 opinions; every row must be audible. Each recording is heard once in a process."""
    network = listener(options.model)
    rate = rate_of(batch)

    def extract(part: Batch, rows: np.ndarray) -> np.ndarray:
        return np.asarray(
            [[network.opinions(part.signals[i], rate)[scale] for scale in network.scales] for i in rows], np.float64
        ).reshape(len(rows), len(network.scales))

    column = network.scales.index(options.scale)
    values: np.ndarray = kept_features(batch, network.title, extract)[:, column] if len(batch) else np.zeros(0)
    return values


def _conditions(batch: Batch, i: int, finest: str) -> list[str]:
    """Names of the conditions of a row, from fine to coarse; the last one is `ALL`."""
    subject = (batch.subjects[i] or "") if batch.subjects else ""
    corpus = batch.ids[i].partition("/")[0]
    names = {"subject": f"subject {subject}" if subject else "", "corpus": f"corpus {corpus}", "all": ALL}
    order = list(names)[list(names).index(finest) :]
    return [names[kind] for kind in order if names[kind]]


def _heard(
    batch: Batch, values: np.ndarray, classes: Sequence[str], options: MosParams, seed: int
) -> dict[str, np.ndarray]:
    """damaged [K]: how many real samples of each class were; heard [K]: of how many of them the opinion fell."""
    labels = np.asarray(batch.emotions, dtype=str)
    counts, heard = np.zeros(len(classes), np.int64), np.zeros(len(classes), np.int64)
    for k, name in enumerate(classes):
        rng = np.random.default_rng([seed, k])
        rows = rng.permutation(np.flatnonzero(labels == name))[: options.heard]
        if rows.size:
            part = rows_of(batch, rows)
            part = replace(part, signals=[phases_drawn(s, rng) for s in part.signals], cache={})
            counts[k] = rows.size
            heard[k] = int((opinions(part, options) < values[rows]).sum())
    return {"damaged": counts, "heard": heard}


def phases_drawn(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[n] -> [n] float32 of the same short-time magnitudes (512 samples) with phases drawn at random, as loud."""
    from scipy.signal import istft, stft

    x = np.pad(np.asarray(signal, np.float64), (0, max(0, _FRAME - signal.size)))
    spectrum = stft(x, nperseg=_FRAME, noverlap=_FRAME - _HOP)[2]
    turned = np.abs(spectrum) * np.exp(2j * np.pi * rng.random(spectrum.shape))
    y = istft(turned, nperseg=_FRAME, noverlap=_FRAME - _HOP)[1][: signal.size]
    y = np.pad(y, (0, max(0, signal.size - y.size)))
    gain = np.sqrt(np.mean(np.square(signal, dtype=np.float64)) / max(np.mean(y**2), 1e-20))
    return np.asarray(y * gain, np.float32)

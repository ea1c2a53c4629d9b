"""Is a candidate a possible recording, picture, text or row of features at all? Each check has a reason of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from corpora.codecs import MAX_PEAK
from corpora.errors import UserError
from features.physio.stretches import FLAT_S
from validators.batch import Batch, rows_of, usable
from validators.gate import AnyParams, GateParams, Limit, SampleGate
from validators.maths.folds import group_folds
from validators.maths.signal_validity import SignalRules
from validators.maths.text.validity import TextRules
from validators.maths.vector_validity import VectorRules
from validators.state import arrays_hash, load_state, save_state

_NOTHING_DB = -90.0  # dBFS: what 16 bits can hold; a train set that is silent itself allows no more


class ValidityParams(GateParams):
    """Parameters of the gate `validity`. Of speech: silent_db to full_scale; faces: flat_std, tail, brightness_margin;
    speech, texts and physiology: short_times, long_times; texts: run to language_texts; physiology: flat_share to
    channels; physiology and rows of features: reach_times."""

    silent_db: float = Field(-55.0, description="dBFS (root mean square); below, and below `quiet_db`: silent")
    quiet_db: float = Field(
        10.0, description="under the 1 % quantile of real levels: corpora that were recorded softly are not silent"
    )
    clipped_share: float = Field(0.02, ge=0, le=1, description="share of samples at full scale; above: clipped")
    full_scale: float = Field(0.999, gt=0, description="of |signal|")
    flat_std: float = Field(4.0, ge=0, description="gray levels; a picture with less contrast is flat")
    short_times: float = Field(0.5, ge=0, description="of the 1 % quantile of real durations, or lengths in characters")
    long_times: float = Field(1.5, ge=0, description="of the 99 % quantile")
    tail: float = Field(
        0.002,
        ge=0,
        lt=0.5,
        description="of real brightness; beyond it and the margin a picture is too dark or too bright",
    )
    brightness_margin: float = Field(
        25.0, ge=0, description="gray levels: people outside of train stand in other light"
    )
    run: float = Field(6.0, ge=1, description="equal characters in a row that are always allowed")
    loop_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of repeated pairs of words that is always allowed, from 8 words on",
    )
    language_tail: float = Field(
        0.01, ge=0, lt=1, description="of real lines, beyond which letters are not those of the language"
    )
    language_letters: float = Field(12.0, ge=0, description="fewer letters say nothing of a language")
    language_texts: float = Field(4000.0, ge=0, description="real lines that the letters are learned from")
    flat_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="of a trial that a channel may always stay at one value, if it is of a kind that may rest",
    )
    flat_s: float = Field(
        FLAT_S,
        gt=0,
        description="at one value: no channel stays as long that never rests, by its kind or in all real trials",
    )
    still_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="of a trial that a channel may stay so whose kind is not known and that no real one does",
    )
    limit_share: float = Field(
        0.02, ge=0, le=1, description="of a trial that a channel may always stand at its own extremes"
    )
    share_times: float = Field(1.5, ge=0, description="of the 99 % quantile of these shares in real trials")
    reach_times: float = Field(
        3.0, gt=0, description="of how far real trials (their 99 % quantile) or rows go from the median"
    )
    channels: tuple[str, ...] = Field(
        (), description='names ("EDA", "wrist_TEMP"): kinds with a range must keep it; none: not checked'
    )


class Validity(SampleGate):
    """score 1.0: every check holds; 0.0: one does not (`reasons` names the first). NaN: not decodable or not finite.

    Speech: not silent, not constant, not clipped, duration within what real train durations allow. Faces: one picture
    of [H, W] or [H, W, 3] uint8, with contrast, with a mean brightness inside the real range. Text: UTF-8 with words,
    as long as real ones, without loops, in letters of their language. Physiology: [T, C], as long as real ones, no
    channel flat, clipped or beyond what real ones reach. Rows of features: as many columns as real ones, none beyond
    what real ones reach.
    """

    name = "validity"
    unit = "valid"
    question = "can a sample be a recording, picture or text at all?"
    better = "higher"
    modalities = ("speech", "face", "text", "physio")
    layouts = ("signal", "vector")
    default_limit = Limit(absolute=1.0)
    Params = ValidityParams
    fits_at_once = True

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays, self._facts = dict(arrays), dict(facts)
        self._options = ValidityParams.model_validate(facts["options"])
        options = self._options.model_dump()
        self._bounds: tuple[float, ...] = tuple(map(float, arrays["bounds"])) if "bounds" in arrays else ()
        self._silent_db = float(arrays["silent"][0]) if "silent" in arrays else -np.inf
        self._text = TextRules(arrays, options) if facts["kind"] == "text" else None
        self._signals = SignalRules(arrays, options) if facts["kind"] == "physio" else None
        self._columns = VectorRules(arrays) if facts["kind"] == "vector" else None
        numbers = sorted(key for key, value in options.items() if isinstance(value, int | float))
        learned = {name: array for name, array in arrays.items() if name != "reference"}
        rules = learned | {"options": np.asarray([options[key] for key in numbers])}
        rules["channels"] = np.frombuffer("\n".join(self._options.channels).encode(), np.uint8)
        self.judge = f"rules/{arrays_hash(rules)}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str] = frozenset(),
        params: AnyParams,
        seed: int,
    ) -> Validity:
        """Learns what real samples allow: durations, brightness, lengths, letters, amplitudes. `UserError` without a
        usable sample."""
        options = ValidityParams.of(params, cls.name)
        batch = rows_of(train, usable(train))
        if len(batch) == 0:
            raise UserError("validity: train has no usable sample to learn from.")
        facts = {"options": options.model_dump(mode="json"), "kind": batch.kind, "classes": list(classes)}
        gate = cls(_learned(batch, options, seed), facts)
        scores = gate.score(batch)
        if len(set(batch.groups) or range(len(batch))) >= 2:
            # Real samples are judged by bounds of other groups, as candidates are.
            fold = group_folds(batch.groups, ["all"] * len(batch), 4, seed)
            for f in np.unique(fold):
                other = cls(_learned(rows_of(batch, fold != f), options, seed), facts)
                scores[fold == f] = other.score(rows_of(batch, fold == f))
        gate._arrays |= {"reference": scores}
        gate._facts["reference_emotions"] = list(batch.emotions)
        return gate

    def reasons(self, batch: Batch) -> list[str | None]:
        """The first check that each row fails, as a slug; None: valid."""
        errors = batch.errors or (None,) * len(batch)
        return [errors[i] or self._reason(batch, i) for i in range(len(batch))]

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64: 1, 0, or NaN where the payload is not decodable or not finite."""
        reasons = self.reasons(batch)
        scores = np.asarray([float(reason is None) for reason in reasons])
        scores[~usable(batch)] = np.nan
        return scores

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> scores of real train samples, by what samples of other groups allow."""
        of_row = np.asarray(self._facts["reference_emotions"], dtype=str)
        return {name: self._arrays["reference"][of_row == name] for name in self._facts["classes"]}

    def _reason(self, batch: Batch, i: int) -> str | None:
        signal = np.asarray(batch.signals[i])
        if signal.size == 0:
            return "empty" if batch.kind == "text" else "not-decodable"
        if self._text is not None:
            return self._text.reason(signal)
        if not np.isfinite(signal).all():
            return "not-finite"
        if self._columns is not None:
            return self._columns.reason(signal)
        if self._signals is not None:
            return self._signals.reason(signal, _rate(batch))
        return self._speech(batch, i, signal) if batch.modality == "speech" else self._face(batch, i, signal)

    def _speech(self, batch: Batch, i: int, signal: np.ndarray) -> str | None:
        o = self._options
        wave = signal.astype(np.float64)
        if wave.ndim != 1:
            return "not-mono"
        if np.abs(wave).max() > MAX_PEAK:
            return "out-of-range"
        if wave.std() < 1e-7:
            return "flat"
        if _level_db(wave) < self._silent_db:
            return "silent"
        if np.mean(np.abs(wave) >= o.full_scale) > o.clipped_share:
            return "clipped"
        seconds = _extent(batch, i)
        low, high = self._bounds
        return "too-short" if seconds < low else "too-long" if seconds > high else None

    def _face(self, batch: Batch, i: int, signal: np.ndarray) -> str | None:
        if signal.ndim not in (2, 3) or min(signal.shape[:2]) < 8:
            return "not-an-image"
        if signal.dtype != np.uint8:
            return "out-of-range"
        if signal.std() < self._options.flat_std:
            return "flat"
        mean = _extent(batch, i)
        low, high = self._bounds
        return "too-dark" if mean < low else "too-bright" if mean > high else None

    def save(self, folder: Path) -> None:
        """Writes gate.safetensors and gate.json."""
        save_state(folder, self._arrays, self._facts)

    @classmethod
    def load(cls, folder: Path) -> Validity:
        """What `save` wrote. Raises `IntegrityError` where the two files do not belong together."""
        return cls(*load_state(folder))


def _rate(batch: Batch) -> float:
    if not batch.rate_hz:
        raise UserError(f"a {batch.modality} batch needs its sampling rate (rate_hz in Hz)")
    return batch.rate_hz


def _extent(batch: Batch, i: int) -> float:
    """Duration in s (speech) or mean gray level in 0..255 (faces): what real samples bound."""
    if batch.modality == "speech":
        return batch.signals[i].shape[0] / _rate(batch)
    return float(batch.signals[i].mean())


def _level_db(wave: np.ndarray) -> float:
    """Root mean square in dBFS; -inf for digital silence."""
    with np.errstate(divide="ignore"):
        return float(20.0 * np.log10(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))))


def _learned(batch: Batch, options: ValidityParams, seed: int) -> dict[str, np.ndarray]:
    """What the real samples of `batch` allow."""
    if batch.kind == "vector":
        return VectorRules.learn(batch.signals, options.reach_times)
    if batch.kind == "text":
        return TextRules.learn(batch.signals, options.model_dump(), seed)
    if batch.kind == "physio":
        return SignalRules.learn(batch.signals, _rate(batch), options.model_dump())
    extent = np.asarray([_extent(batch, i) for i in range(len(batch))])
    if batch.modality == "speech":
        low, high = np.quantile(extent, [0.01, 0.99])
        softest = float(np.quantile([_level_db(signal) for signal in batch.signals], 0.01, method="higher"))
        return {
            "bounds": np.asarray([low * options.short_times, high * options.long_times]),
            "silent": np.asarray([min(options.silent_db, max(softest - options.quiet_db, _NOTHING_DB))]),
        }
    margin = options.brightness_margin
    low, high = np.quantile(extent, [options.tail, 1.0 - options.tail])
    return {"bounds": np.asarray([low - margin, high + margin])}

"""Does a voice move as real ones do, or is it an average of them?

What a model is unsure of it averages, and an average of spectral envelopes is one that changes too little over an
utterance: muffled, oversmoothed. It lies between real utterances, near to many, so distances to the nearest ones do not
see it. Its variance does: the global variance of Toda & Tokuda 2007 (A speech parameter generation algorithm
considering global variance for HMM-based speech synthesis, IEICE Trans. Inf. & Syst. E90-D, eq. 9), of the mel-cepstra
of `mcd`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora.errors import UserError
from validators.batch import Batch, rows_of
from validators.gate import AnyParams, Foreseen, Limit, SampleGate
from validators.maths.speech.melcepstrum import CONVENTION, ORDER, mel_cepstrum, refusal
from validators.roster import Roster, alone_in_class
from validators.state import arrays_hash, load_state, save_state

_DIGITS = 9  # scores are rounded: their last bits depend on how BLAS cuts a product
_CACHED = f"global variance {CONVENTION}"


class GlobalVariance(SampleGate):
    """score = geometric mean over c1 to c24 of: variance over the utterance / its median over real ones of the class.

    1: moves as much as real utterances of the class do; 0: one frame held. Variances of the mel-cepstrum each 5 ms
    (`mcd24-dtw-5ms` without the alignment). Real utterances are scored against those of other groups, candidates
    against all. What moves too much is noise, which `mcd` and `support` see.
    """

    name = "variance"
    unit = "x real variance"
    question = "does a voice move as real ones do?"
    better = "higher"
    modalities = ("speech",)
    judges_class = True
    default_limit = Limit(quantile=0.02, times=0.85)

    def __init__(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self._arrays, self._facts = dict(arrays), dict(facts)
        self._rate_hz = int(facts["rate_hz"])
        self._row_of = {name: i for i, name in enumerate(facts["classes"])}
        self.judge = f"global-variance24-5ms/{arrays_hash(arrays)}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str] = frozenset(),
        params: AnyParams,
        seed: int,
    ) -> GlobalVariance:
        """Raises `UserError` where no train utterance has a cepstrum or the batch is no speech, `ParamsError` for any
        parameter."""
        cls.Params.of(params, cls.name)
        if train.kind not in cls.modalities or not train.rate_hz:
            raise UserError(f"gate variance scores speech with a sampling rate; this batch is {train.kind!r}.")
        logs = _log_variances(train)
        kept = np.isfinite(logs).all(axis=1) & np.isin(np.asarray(train.emotions, dtype=str), list(classes))
        if not kept.any():
            raise UserError("gate variance: no train utterance of the asked classes has a spectral envelope.")
        batch, logs = rows_of(train, kept), logs[kept]
        labels, groups = np.asarray(batch.emotions, dtype=str), np.asarray(batch.groups or batch.ids, dtype=str)
        typical = np.full((len(classes), ORDER), np.nan)
        reference = np.full(len(batch), np.nan)
        for k, name in enumerate(classes):
            if (labels == name).any():
                typical[k] = np.median(logs[labels == name], axis=0)
            for group in np.unique(groups[labels == name]):
                own, others = (labels == name) & (groups == group), (labels == name) & (groups != group)
                if others.any():
                    reference[own] = _ratio(logs[own], np.median(logs[others], axis=0))
        facts = {
            "rate_hz": int(train.rate_hz),
            "classes": list(classes),
            "emotions": labels.tolist(),
            "spread": {name: len(np.unique(groups[labels == name])) for name in classes},
            "unit": Roster.of(batch).unit,
        }
        return cls({"typical": typical, "reference": np.round(reference, _DIGITS)}, facts)

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: AnyParams,
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        """Classes of one group, where the limit comes from real utterances."""
        spread = {name: len(set(train.of_classes([name]).group_names)) for name in classes}
        return Foreseen("", alone_in_class(spread, train.unit) if limit.quantile is not None else {})

    def cannot_judge(self, limit: Limit) -> dict[str, str]:
        """Classes of one group: real utterances have nobody to be compared with."""
        return alone_in_class(self._facts["spread"], self._facts["unit"]) if limit.quantile is not None else {}

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64 >= 0; NaN where `reasons` has something to say."""
        asked = np.asarray([self._row_of.get(name, -1) for name in batch.emotions], dtype=np.int64)
        ok = np.asarray([reason is None for reason in self.reasons(batch)], dtype=bool)
        out = np.full(len(batch), np.nan)
        if ok.any():
            logs = _log_variances(rows_of(batch, ok))
            out[ok] = [_ratio(row[None], self._arrays["typical"][k])[0] for row, k in zip(logs, asked[ok], strict=True)]
        return np.round(out, _DIGITS)

    def reasons(self, batch: Batch) -> list[str | None]:
        """-> [B] slugs: wrong-rate, empty, non-finite, too-short, silent, no-utterance-of-class."""
        out: list[str | None] = []
        for signal, emotion in zip(batch.signals, batch.emotions, strict=True):
            k = self._row_of.get(emotion, -1)
            if batch.rate_hz != self._rate_hz:
                out.append("wrong-rate")
            elif (refused := refusal(signal, self._rate_hz)) is not None:
                out.append(refused.reason)
            else:
                known = k >= 0 and bool(np.isfinite(self._arrays["typical"][k]).all())
                out.append(None if known else "no-utterance-of-class")
        return out

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> [n] float64: real train utterances against those of other groups; NaN where no other group has the
        class."""
        of_row = np.asarray(self._facts["emotions"], dtype=str)
        return {name: self._arrays["reference"][of_row == name] for name in self._facts["classes"]}

    def save(self, folder: Path) -> None:
        """Writes gate.safetensors and gate.json."""
        save_state(folder, self._arrays, self._facts)

    @classmethod
    def load(cls, folder: Path) -> GlobalVariance:
        """What `save` wrote. Raises `IntegrityError` where the two files do not belong together."""
        return cls(*load_state(folder))


def log_variance(cepstra: np.ndarray) -> np.ndarray:
    """[T, 24] -> [24] float64: log of the variance over time of each coefficient; -inf for one that never moves."""
    with np.errstate(divide="ignore"):
        logs: np.ndarray = np.log(cepstra.astype(np.float64).var(axis=0))
    return logs


def _log_variances(batch: Batch) -> np.ndarray:
    """-> [B, 24] float64, computed once; NaN rows for what has no cepstrum."""
    if _CACHED not in batch.cache:
        rate = int(batch.rate_hz or 0)
        rows = [
            np.full(ORDER, np.nan) if refusal(s, rate) is not None else log_variance(mel_cepstrum(s, rate))
            for s in batch.signals
        ]
        batch.cache[_CACHED] = np.stack(rows) if rows else np.zeros((0, ORDER))
    return batch.cache[_CACHED]


def _ratio(logs: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """[n, 24], [24] -> [n] geometric mean of the ratios; 0 for what never moves."""
    ratio: np.ndarray = np.exp(np.minimum((logs - typical).mean(axis=1), math.log(1e9)))
    return ratio

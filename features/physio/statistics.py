"""Means and deviations that need more than one trial: of a subject's own rest, or of the train split.

Both record what they saw. A subject's rest is chosen by time (the opening of a session) and never by label: at use
nobody knows the labels, and to take the trials called neutral as a baseline hands the answer to the classifier.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from corpora.errors import LeakError


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and variance of each channel over `count` values (Chan et al. 1979: joined without a second pass)."""

    count: int
    mean: tuple[float, ...]
    variance: tuple[float, ...]

    @classmethod
    def of(cls, array: np.ndarray) -> Moments:
        """[n] or [n, channels] -> its moments."""
        columns = np.asarray(array, dtype=np.float64).reshape(len(array), -1)
        return cls(len(columns), tuple(columns.mean(axis=0).tolist()), tuple(columns.var(axis=0).tolist()))

    def joined(self, other: Moments) -> Moments:
        """Of both together. Raises ValueError for another number of channels."""
        if len(self.mean) != len(other.mean):
            raise ValueError(f"{len(self.mean)} channels and {len(other.mean)}")
        total = self.count + other.count
        share = other.count / total
        gap = np.subtract(other.mean, self.mean)
        mean = np.asarray(self.mean) + share * gap
        variance = (1 - share) * np.asarray(self.variance) + share * np.asarray(other.variance)
        variance = variance + share * (1 - share) * gap**2
        return Moments(total, tuple(mean.tolist()), tuple(variance.tolist()))

    def applied(self, array: np.ndarray, *, scale: bool = True) -> np.ndarray:
        """[n] or [n, channels] less the mean, and over the deviation where `scale` (1 for a channel that is constant).

        Raises ValueError for another number of channels.
        """
        columns = np.asarray(array, dtype=np.float64).reshape(len(array), -1)
        if columns.shape[1] != len(self.mean):
            raise ValueError(f"{columns.shape[1]} channels; fitted on {len(self.mean)}")
        columns = columns - np.asarray(self.mean)
        if scale:
            spread = np.sqrt(self.variance)
            columns = columns / np.where(spread > 1e-12 * np.maximum(1.0, np.abs(self.mean)), spread, 1.0)
        return columns.reshape(np.shape(array))


Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class SubjectBaseline:
    """One subject's own rest: moments of each signal, and the ids of the samples that they were taken from."""

    subject_id: str
    moments: Mapping[str, Moments]
    sample_ids: tuple[str, ...]

    @classmethod
    def fit(cls, subject_id: str, rests: Iterable[tuple[str, str | None, Arrays]]) -> SubjectBaseline:
        """(sample id, subject id, arrays of rest) of one subject.

        Raises `LeakError` for a sample of another subject, ValueError for none at all.
        """
        moments: dict[str, Moments] = {}
        seen = []
        for sample_id, subject, arrays in rests:
            if subject != subject_id:
                raise LeakError(f"the baseline of {subject_id} was to be taken from {sample_id}, which is of {subject}")
            seen.append(sample_id)
            _add(moments, arrays)
        if not seen:
            raise ValueError(f"no rest of {subject_id}")
        return cls(subject_id, moments, tuple(seen))

    def apply(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """z-scores of each signal by this subject's rest. Raises KeyError for a signal that the rest did not have."""
        return {name: self.moments[name].applied(array) for name, array in arrays.items()}


def opening(arrays: Arrays, rates_hz: Mapping[str, float], rest_s: float) -> dict[str, np.ndarray]:
    """The first `rest_s` seconds of a session's first recording, by the clock and not by any label."""
    return {name: array[: max(1, round(rest_s * rates_hz[name]))] for name, array in arrays.items()}


@dataclass(frozen=True, slots=True)
class PopulationStatistics:
    """Moments of each signal over the train split. `sample_ids`: what it saw, for the audit of leaks."""

    moments: Mapping[str, Moments]
    sample_ids: tuple[str, ...] = field(repr=False)

    @classmethod
    def fit(cls, trials: Iterable[tuple[str, Arrays]], split_of: Mapping[str, str]) -> PopulationStatistics:
        """(sample id, arrays), one at a time in memory.

        Raises `LeakError` for a sample that is not in train, ValueError for none at all.
        """
        moments: dict[str, Moments] = {}
        seen = []
        for sample_id, arrays in trials:
            split = split_of.get(sample_id)
            if split != "train":
                raise LeakError(f"statistics are fitted on train only; {sample_id} is in {split or 'no split'}")
            seen.append(sample_id)
            _add(moments, arrays)
        if not seen:
            raise ValueError("no trial to take statistics from")
        return cls(moments, tuple(sorted(seen)))

    def apply(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """z-scores of each signal. Raises KeyError for a signal that train did not have."""
        return {name: self.moments[name].applied(array) for name, array in arrays.items()}

    def as_json(self) -> dict[str, Any]:
        """What a release keeps: numbers, and of what they were taken (count and sha256 of the sorted ids)."""
        ids = hashlib.sha256("\n".join(self.sample_ids).encode()).hexdigest()
        return {
            "moments": {
                name: {"count": m.count, "mean": list(m.mean), "variance": list(m.variance)}
                for name, m in sorted(self.moments.items())
            },
            "samples": len(self.sample_ids),
            "sample_ids_sha256": ids,
        }


def _add(moments: dict[str, Moments], arrays: Arrays) -> None:
    for name, array in arrays.items():
        own = Moments.of(array)
        moments[name] = moments[name].joined(own) if name in moments else own

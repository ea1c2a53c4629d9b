"""From what is asked for (a Condition) to tensors, and from those to one embedding that a network is steered by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from corpora.errors import UnknownNameError, UserError
from generators.generator import Condition, TrainData

Conditions = dict[str, torch.Tensor]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConditionFields:
    """Which fields beside the emotion a fitted model honours. subjects: the ids that it knows, in index order."""

    intensity: bool = False
    vad: bool = False
    subjects: tuple[str, ...] = ()
    vector: tuple[str, int] | None = None  # name and length


def emotion_weights(emotion: str | Mapping[str, float], classes: Sequence[str]) -> np.ndarray:
    """Class or distribution over classes -> [K] float32 that sums to 1. Raises `UserError` naming what is wrong."""
    given = {emotion: 1.0} if isinstance(emotion, str) else dict(emotion)
    weights = np.zeros(len(classes), np.float32)
    for name, weight in given.items():
        if name not in classes:
            raise UnknownNameError.of("emotion", name, classes)
        if not (math.isfinite(weight) and weight >= 0):
            raise UserError(f"emotion {name!r} has weight {weight!r}; weights are finite numbers >= 0")
        weights[list(classes).index(name)] = weight
    if weights.sum() <= 0:
        raise UserError(f"the weights of emotions {given!r} sum to 0; at least one must be positive")
    return weights / weights.sum()


def _honoured(set_: bool, field: str, fields: ConditionFields) -> None:
    if set_:
        raise UserError(
            f"the condition sets {field}, which this generator was not fitted with (it honours emotion{_also(fields)});"
            f" leave {field} out or fit a generator that uses it"
        )


def _also(fields: ConditionFields) -> str:
    names = ["intensity"] * fields.intensity + ["vad"] * fields.vad + ["subject_id"] * bool(fields.subjects)
    return "".join(f", {n}" for n in [*names, *([f"vector {fields.vector[0]!r}"] if fields.vector else [])])


def encode_conditions(conditions: Sequence[Condition], classes: Sequence[str], fields: ConditionFields) -> Conditions:
    """n conditions -> {"emotion": [n, K], "intensity": [n, 2] (value, known), "vad": [n, 3], "subject": [n] int64,
    "vector": [n, D]}, only what `fields` has. Raises `UserError` for a field that is set and not honoured, an unknown
    class or subject, or a value out of range.
    """
    for c in conditions:
        if not (math.isfinite(c.intensity) and 0.0 <= c.intensity <= 1.0):
            raise UserError(f"intensity {c.intensity!r} is outside [0, 1]")
        if c.vad is not None and not all(math.isfinite(v) and -1.0 <= v <= 1.0 for v in c.vad):
            raise UserError(f"vad {c.vad!r} is outside [-1, 1]")
        _honoured(c.intensity != 1.0 and not fields.intensity, "intensity", fields)
        _honoured(c.vad is not None and not fields.vad, "vad", fields)
        _honoured(c.subject_id is not None and not fields.subjects, "subject_id", fields)
        _honoured(c.vector is not None and fields.vector is None, "vector", fields)
    rows = [emotion_weights(c.emotion, classes) for c in conditions]
    found: Conditions = {"emotion": torch.from_numpy(np.stack(rows) if rows else np.zeros((0, len(classes)), "f4"))}
    if fields.intensity:
        found["intensity"] = torch.tensor([[c.intensity, 1.0] for c in conditions], dtype=torch.float32)
    if fields.vad:
        found["vad"] = torch.tensor([_needed(c.vad, "vad") for c in conditions], dtype=torch.float32)
    if fields.subjects:
        found["subject"] = torch.tensor([_subject(c.subject_id, fields.subjects) for c in conditions])
    if fields.vector is not None:
        found["vector"] = torch.tensor([_vector(c, fields.vector) for c in conditions], dtype=torch.float32)
    return found


def _needed(value: T | None, field: str) -> T:
    if value is None:
        raise UserError(f"this generator was fitted with {field}: every condition must set it")
    return value


def _subject(subject: str | None, known: Sequence[str]) -> int:
    if _needed(subject, "subject_id") not in known:
        raise UnknownNameError.of("subject", str(subject), known)
    return list(known).index(str(subject))


def _vector(condition: Condition, wanted: tuple[str, int]) -> tuple[float, ...]:
    name, values = _needed(condition.vector, f"vector {wanted[0]!r}")
    if name != wanted[0] or len(values) != wanted[1] or not all(map(math.isfinite, values)):
        raise UserError(
            f"the condition's vector {name!r} has {len(values)} values; "
            f"wanted: {wanted[1]} finite ones of {wanted[0]!r}"
        )
    return values


def train_conditions(data: TrainData, fields: ConditionFields) -> Conditions:
    """The conditions under which the train samples themselves stand. An intensity that is not known is marked so."""
    index = {name: i for i, name in enumerate(data.classes)}
    onehot = np.zeros((len(data.emotions), len(data.classes)), np.float32)
    onehot[np.arange(len(data.emotions)), [index[e] for e in data.emotions]] = 1.0
    found: Conditions = {"emotion": torch.from_numpy(onehot)}
    if fields.intensity:
        known = np.isfinite(data.intensity)
        if not known.any():
            raise UserError("use_intensity is true, but no train sample has an intensity; set it to false")
        value = np.where(known, data.intensity, 0.0)
        found["intensity"] = torch.from_numpy(np.stack([value, known], axis=1).astype(np.float32))
    return found


class ConditionEncoder(nn.Module):
    """Conditions -> [n, size] embedding. Soft labels mix embeddings; `null` stands for "nothing asked" (guidance)."""

    def __init__(self, n_classes: int, fields: ConditionFields, size: int) -> None:
        super().__init__()
        self.emotion = nn.Linear(n_classes, size, bias=False)
        nn.init.normal_(self.emotion.weight)
        self.parts = nn.ModuleDict()
        if fields.intensity:
            self.parts["intensity"] = nn.Linear(2, size)
        if fields.vad:
            self.parts["vad"] = nn.Linear(3, size)
        if fields.subjects:
            self.parts["subject"] = nn.Embedding(len(fields.subjects), size)
        if fields.vector is not None:
            self.parts["vector"] = nn.Linear(fields.vector[1], size)
        self.null = nn.Parameter(torch.zeros(size))

    def forward(self, conditions: Conditions, drop: torch.Tensor | None = None) -> torch.Tensor:
        """drop: [n] bool, rows that get the null embedding instead."""
        embedding: torch.Tensor = self.emotion(conditions["emotion"])
        for name, layer in self.parts.items():
            embedding = embedding + layer(conditions[name])
        if drop is not None:
            embedding = torch.where(drop[:, None], self.null.to(embedding.dtype), embedding)
        return embedding

"""From what is asked for (a Condition) to tensors, and from those to one embedding that a network is steered by."""

from __future__ import annotations

import hashlib
import math
import reprlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from corpora.errors import UnknownNameError, UserError
from features.representation import Spec
from generators.generator import NEW_SUBJECT, RATED, Condition, Draw, TrainData

MIXED = 3  # people that a new subject is mixed of: of many, all new ones would be the average
Conditions = dict[str, torch.Tensor]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VectorField:
    """A named vector that a model learned. mean, scale: [D] of train, in its own units; a column without spread has
    scale 1. Networks see (value - mean) / scale, and zeros where nothing is asked for: the mean of train."""

    name: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, name: str, values: np.ndarray) -> VectorField:
        """values: [N, D] finite, of the samples that gradients see."""
        mean, spread = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
        flat = spread <= 1e-9 * np.maximum(1.0, np.abs(mean))
        return cls(name, tuple(mean.tolist()), tuple(np.where(flat, 1.0, spread).tolist()))

    @property
    def key(self) -> str:
        """Under which it stands among the tensors of conditions."""
        return f"given_{self.name}"

    def scaled(self, values: np.ndarray) -> torch.Tensor:
        """[n, D] -> [n, D] float32."""
        scaled = (np.asarray(values, np.float64) - self.mean) / self.scale
        return torch.from_numpy(scaled.astype(np.float32))


@dataclass(frozen=True, slots=True)
class ConditionFields:
    """What beside the emotion a fitted model honours. `rated`: names of `generators.generator.RATED`; subjects: the ids
    that it learned from, in index order; `vector`: name and length of one that every condition must set; `vectors`:
    those that train had."""

    rated: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    vector: tuple[str, int] | None = None
    vectors: tuple[VectorField, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Names of `Condition.given` that may be set."""
        vector = () if self.vector is None else (self.vector[0],)
        given = (own.name for own in self.vectors)
        return frozenset((*self.rated, *(("subject",) if self.subjects else ()), *vector, *given))


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


def require_honoured(condition: Condition, names: Collection[str], owner: str) -> None:
    """Raises `UserError` for a name that is set and not honoured, or a rated value out of its bounds."""
    for name, value in condition.given.items():
        bounds = RATED.get(name)
        if bounds and not (isinstance(value, int | float) and bounds[0] <= value <= bounds[1]):
            raise UserError(f"{name} {value!r} is outside [{bounds[0]:g}, {bounds[1]:g}]")
        if name not in names:
            honoured = ", ".join(["emotion", *sorted(names)])
            raise UserError(
                f"the condition sets {name}, which {owner} was not fitted with (it honours {honoured}); "
                f"leave {name} out or fit a generator that uses it"
            )


def require_sources(
    draws: Sequence[Draw], sources: np.ndarray | None, takes: Collection[str], spec: Spec, owner: str
) -> np.ndarray:
    """-> the sources [n, *spec.shape]. Raises `UserError` where a draw names other roles than `takes` (one each), or
    the arrays are none of the spec's."""
    if sources is None or len(sources) != len(draws) or any(set(d.sources) != set(takes) for d in draws):
        raise UserError(f"{owner} starts from real samples: every draw names one source and sources has its array")
    if tuple(sources.shape[1:]) != tuple(spec.shape) or not np.isfinite(sources).all():
        raise UserError(f"sources have shape {sources.shape}; wanted: finite arrays of shape {spec.shape}")
    return sources


def encode_conditions(conditions: Sequence[Condition], classes: Sequence[str], fields: ConditionFields) -> Conditions:
    """n conditions -> {"emotion": [n, K], each rated name: [n, 2] (value, known), "subject": [n, S], "vector": [n, D],
    "given_NAME": [n, D]}, only what `fields` has. A rated name that is not asked for is 1 for intensity, else unknown;
    a subject that is not asked for is nobody in particular, an equal share of all; a named vector is the mean of train.
    Raises `UserError` for a name that is set and not
    honoured, an unknown class or subject, or a value out of range.
    """
    for condition in conditions:
        require_honoured(condition, fields.names, "this generator")
    rows = [emotion_weights(c.emotion, classes) for c in conditions]
    encoded: Conditions = {"emotion": torch.from_numpy(np.stack(rows) if rows else np.zeros((0, len(classes)), "f4"))}
    for name in fields.rated:
        values = [c.given.get(name, 1.0 if name == "intensity" else None) for c in conditions]
        pairs = [[0.0, 0.0] if v is None else [float(v), 1.0] for v in values]  # type: ignore[arg-type]
        encoded[name] = torch.tensor(pairs, dtype=torch.float32).reshape(-1, 2)
    if fields.subjects:
        for condition in conditions:
            if condition.subject is not None and not _can_be(condition.subject, fields.subjects):
                raise UnknownNameError.of("subject", condition.subject, fields.subjects)
        encoded["subject"] = _subjects([c.subject for c in conditions], fields.subjects)
    if fields.vector is not None:
        encoded["vector"] = torch.tensor([_vector(c, fields.vector) for c in conditions], dtype=torch.float32)
    for own in fields.vectors:
        length = len(own.mean)
        asked = [_vector(c, (own.name, length)) if own.name in c.given else own.mean for c in conditions]
        encoded[own.key] = own.scaled(np.array(asked, np.float64).reshape(-1, length))
    return encoded


def _needed(value: T | None, field: str) -> T:
    if value is None:
        raise UserError(f"this generator was fitted with {field}: every condition must set it")
    return value


def _can_be(subject: str, known: Sequence[str]) -> bool:
    """Whether the model knows the subject, or can mix a new one of that name. Raises `UserError` where a new one is
    asked for and there are not enough people to mix it of."""
    if subject in known or not subject.startswith(NEW_SUBJECT):
        return subject in known
    if len(known) < 2:
        raise UserError(f"subject {subject!r} is a mix of several people, and this model knows {len(known)}")
    return True


def new_subject(name: str, n: int) -> np.ndarray:
    """[n] float32 shares, which sum to 1, of a subject that is none of n known ones (n >= 2): up to `MIXED` of them, in
    nearly equal shares (Dirichlet), chosen by the name alone."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    shares = np.zeros(n, np.float32)
    people = rng.choice(n, min(MIXED, n), replace=False)
    shares[people] = rng.dirichlet(np.full(len(people), 8.0))
    return shares


def _subjects(asked: Sequence[str | None], known: Sequence[str]) -> torch.Tensor:
    """[n, S] float32 shares: 1 for the subject that is named, equal ones for None and for whom the model never saw."""
    shares = torch.full((len(asked), len(known)), 1.0 / len(known))
    place = {subject: i for i, subject in enumerate(known)}
    for row, subject in enumerate(asked):
        if subject in place:
            shares[row] = 0.0
            shares[row, place[subject]] = 1.0
        elif subject is not None and subject.startswith(NEW_SUBJECT) and len(known) > 1:
            shares[row] = torch.from_numpy(new_subject(subject, len(known)))
    return shares


def _vector(condition: Condition, wanted: tuple[str, int]) -> tuple[float, ...]:
    name, length = wanted
    values = _needed(condition.given.get(name), f"vector {name!r}")
    if not isinstance(values, tuple) or len(values) != length or not all(map(math.isfinite, values)):
        raise UserError(f"{name!r} of the condition is {reprlib.repr(values)}; wanted: {length} finite numbers")
    return values


def train_conditions(data: TrainData, fields: ConditionFields) -> Conditions:
    """The conditions under which the train samples themselves stand, in the form of `encode_conditions`. A rating that
    is not known is marked so, a subject that is not in `fields` is nobody in particular. Raises `UserError` where no
    sample has a rating that the generator is to honour."""
    index = {name: i for i, name in enumerate(data.classes)}
    onehot = np.zeros((len(data.emotions), len(data.classes)), np.float32)
    onehot[np.arange(len(data.emotions)), [index[e] for e in data.emotions]] = 1.0
    encoded: Conditions = {"emotion": torch.from_numpy(onehot)}
    for name in fields.rated:
        ratings = data.ratings.get(name)
        if ratings is None or not np.isfinite(ratings).any():
            raise UserError(f"no train sample has a rating of {name}, which the generator is to honour; leave it out")
        known = np.isfinite(ratings)
        encoded[name] = torch.from_numpy(np.stack([np.where(known, ratings, 0.0), known], axis=1).astype(np.float32))
    if fields.subjects:
        encoded["subject"] = _subjects(data.subjects, fields.subjects)
    for own in fields.vectors:
        encoded[own.key] = own.scaled(data.vectors[own.name])
    return encoded


def without_emotion(conditions: Conditions) -> Conditions:
    """The same, with an emotion [n, K] of zeros: what `ConditionEncoder` turns into nothing."""
    return {**conditions, "emotion": torch.zeros_like(conditions["emotion"])}


def emotion_alone(conditions: Conditions) -> Conditions:
    """The same, with nothing known beside the emotion: ratings not known, nobody in particular, vectors of zeros."""
    unknown = {name: torch.zeros_like(values) for name, values in conditions.items()}
    if "subject" in conditions:
        unknown["subject"] = torch.full_like(conditions["subject"], 1.0 / conditions["subject"].shape[1])
    return {**unknown, "emotion": conditions["emotion"]}


class ConditionEncoder(nn.Module):
    """Conditions -> [n, size] embedding. Soft labels mix embeddings; `null` stands for "nothing asked" (guidance)."""

    def __init__(self, n_classes: int, fields: ConditionFields, size: int) -> None:
        super().__init__()
        self.emotion = nn.Linear(n_classes, size, bias=False)
        nn.init.normal_(self.emotion.weight)
        self.parts = nn.ModuleDict()
        for name in fields.rated:
            self.parts[name] = nn.Linear(2, size)
        if fields.subjects:
            people = nn.Linear(len(fields.subjects), size, bias=False)
            nn.init.normal_(people.weight)
            self.parts["subject"] = people
        if fields.vector is not None:
            self.parts["vector"] = nn.Linear(fields.vector[1], size)
        for own in fields.vectors:
            self.parts[own.key] = nn.Linear(len(own.mean), size)
        self.null = nn.Parameter(torch.zeros(size))

    def forward(self, conditions: Conditions, drop: torch.Tensor | None = None) -> torch.Tensor:
        """drop: [n] bool, rows that get the null embedding instead."""
        embedding: torch.Tensor = self.emotion(conditions["emotion"])
        for name, layer in self.parts.items():
            embedding = embedding + layer(conditions[name])
        if drop is not None:
            embedding = torch.where(drop[:, None], self.null.to(embedding.dtype), embedding)
        return embedding

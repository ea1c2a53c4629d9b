"""What a fit is stopped by: how badly a generator knows samples that gradients never see.

Generators that maximise a likelihood, or a bound of one, know it themselves (`held_out_loss`); a game of two networks
has no such number, and its samples are compared instead (flows/stages/fit/monitor.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from corpora.errors import UserError
from generators.condition import ConditionFields, Conditions, train_conditions
from generators.generator import TrainData
from training.seeds import derive_seed

PER_CLASS = 32  # held-out rows of a class that are looked at: more cost time and change little


@dataclass(frozen=True, slots=True)
class HeldOut:
    """arrays: [n, *spec.shape] float32 in the representation's units; conditions: under which they stand; seeds: n, of
    the noise that each is looked at with: the same at every look."""

    arrays: np.ndarray
    conditions: Conditions
    seeds: tuple[int, ...]


def held_out(data: TrainData, fields: ConditionFields) -> HeldOut:
    """At most `PER_CLASS` held-out rows of each class, spread over those there are. Raises `UserError` for none."""
    held = np.flatnonzero(np.asarray(data.held_out, bool))
    if not len(held):
        raise UserError("no train sample is held out, so there is nothing to stop early by; hold out more")
    labels = np.array([data.emotions[i] for i in held])
    rows: list[int] = []
    for name in data.classes:
        own = held[labels == name]
        rows += own[np.linspace(0, len(own) - 1, min(len(own), PER_CLASS)).astype(int)].tolist()
    index = torch.tensor(rows)
    return HeldOut(
        arrays=np.asarray(data.arrays[rows], np.float32),
        conditions={name: values[index] for name, values in train_conditions(data, fields).items()},
        seeds=tuple(derive_seed("held-out", data.ids[i]) for i in rows),
    )

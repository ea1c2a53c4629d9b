"""fit/: how the fit of a generator went (flows/stages/fit/fit.py): loss.csv and fit.json. Its weights are in model/
(flows/stages/fit/model_file.py)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue, SerializerFunctionWrapHandler, model_serializer

from corpora.store.atomic import write_bytes
from flows.artifacts.base import Folder, Record, read_as, write_as

Losses = Sequence[Mapping[str, float]]  # rows: "step" and a mean of each loss since the last row


@dataclass(frozen=True, slots=True)
class Curves:
    """steps: optimiser steps at which losses were written. losses: name -> its mean at each of them."""

    steps: list[float]
    losses: dict[str, list[float]]


class RankedIntensity(Record):
    """Rankers that gave train its intensities. neutral: the class that emotions were ranked against; order_accuracy:
    share of held-out pairs of an emotional and a neutral sample, of groups that the ranker had not met, that it orders
    right (0.5: chance), over all n_pairs, and by_emotion."""

    neutral: str
    order_accuracy: float
    n_pairs: int
    by_emotion: dict[str, float]


class FitSummary(Record):
    """fit.json. generator: None in a run of real samples alone. steps, steps_done: asked for at most, and done; ended:
    why then, None of a closed form. n_train, n_held_out: samples that gradients saw, and that early stopping looked
    at. intensity: of rankers; None: as rated. trains: False for a closed form."""

    generator: str | None
    params: dict[str, JsonValue] | None = None
    steps: int
    steps_done: int
    ended: str | None = None
    n_train: int | None = None
    n_held_out: int | None = None
    intensity: RankedIntensity | None = None
    trains: bool

    @model_serializer(mode="wrap")
    def _what_there_is(self, dump: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        return {k: v for k, v in dump(self).items() if v is not None or k == "generator"}


@dataclass(frozen=True, slots=True)
class Fitted(Folder):
    """data/runs/<run>/fit."""

    def summary(self) -> FitSummary:
        """Raises `IntegrityError` that names the key."""
        summary: FitSummary = read_as(self.path / "fit.json", FitSummary)
        return summary

    def losses(self) -> Curves | None:
        """loss.csv; an empty or unreadable cell is NaN. None where there is no file or no row: a closed form."""
        path = self.path / "loss.csv"
        if not path.exists():
            return None
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            return None
        names = [name for name in rows[0] if name != "step"]
        return Curves(
            [_number(row["step"]) for row in rows], {name: [_number(row[name]) for row in rows] for name in names}
        )

    def write(self, summary: FitSummary, losses: Losses) -> None:
        """fit.json and loss.csv."""
        write_as(self.path / "fit.json", summary, FitSummary)
        write_bytes(self.path / "loss.csv", _csv(losses))


def _number(cell: str | None) -> float:
    try:
        return float(cell) if cell else math.nan
    except ValueError:
        return math.nan


def _csv(rows: Losses) -> bytes:
    names = list(dict.fromkeys(k for r in rows for k in r)) or ["step"]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: (v if k == "step" else f"{v:.6g}") for k, v in r.items()} for r in rows)
    return out.getvalue().encode()

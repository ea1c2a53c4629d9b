"""fit/: how the fit of a generator went (flows/stages/fit/fit.py): loss.csv and fit.json. Its weights are in model/
(flows/stages/fit/model_file.py)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue, SerializerFunctionWrapHandler, model_serializer

from corpora.store.atomic import write_bytes
from flows.artifacts.base import Folder, Record, read_as, write_as

Losses = Sequence[Mapping[str, float]]  # rows: "step" and a mean of each loss since the last row


class FitSummary(Record):
    """fit.json. generator: None in a run of real samples alone. steps, steps_done: asked for and done. n_train,
    n_held_out: samples that gradients saw, and that early stopping looked at. trains: False for a closed form."""

    generator: str | None
    params: dict[str, JsonValue] | None = None
    steps: int
    steps_done: int
    n_train: int | None = None
    n_held_out: int | None = None
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

    def write(self, summary: FitSummary, losses: Losses) -> None:
        """fit.json and loss.csv."""
        write_as(self.path / "fit.json", summary, FitSummary)
        write_bytes(self.path / "loss.csv", _csv(losses))


def _csv(rows: Losses) -> bytes:
    names = list(dict.fromkeys(k for r in rows for k in r)) or ["step"]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: (v if k == "step" else f"{v:.6g}") for k, v in r.items()} for r in rows)
    return out.getvalue().encode()

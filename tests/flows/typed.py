"""Small typed contents of artifacts, for tests that care for a few of their fields."""

from __future__ import annotations

from typing import Any

from flows.artifacts.augmented import Balance, ClassTally
from flows.artifacts.evaluated import VerdictRow
from flows.artifacts.prepared import Summary
from flows.params import Policy

_VERDICT = {"value": 0.0, "low": 0.0, "high": 0.0, "floor": 0.0, "limit": 0.0, "n_real": 9, "n_synthetic": 9}
_TALLY = {"real_train": 3, "target": 9, "candidates": 8, "accepted": 4, "surplus": 0, "rejected": {}, "gates": {}}
_TALLY |= {"acceptance": 0.5, "draws_per_accepted": 2.0}
SUMMARY: dict[str, Any] = {
    "modality": "speech",
    "rate_hz": 16000,
    "classes": ["fear", "anger"],
    "counts": {"train": {"fear": 3, "anger": 9}},
    "corpora": ["a"],
    "scheme": "corpus",
    "view": "group",
    "representation": {"name": "world"},
    "prepared": {"version": "speech-3", "steps": []},
    "audit": [],
    "dropped": 0,
    "leaks": {},
    "unlabelled": {},
    "rejected": {},
    "noted": {},
    "not_encoded": 0,
    "by_corpus": {},
}


def verdict(gate: str, said: str, group: str = "all", reason: str = "because") -> VerdictRow:
    """A row of verdicts.parquet."""
    return VerdictRow(**_VERDICT, gate=gate, group=group, unit="u", judge="j/1", verdict=said, reason=reason)  # type: ignore[arg-type]


def tally(emotion: str, filled: bool, **more: Any) -> ClassTally:
    """A class of balance.json."""
    stopped = "filled" if filled else "draws"
    whole = {**_TALLY, "emotion": emotion, "filled": filled, "stopped": stopped, **more}
    return ClassTally.model_validate({"effective": whole["accepted"], **whole})


def balance(*classes: ClassTally, undecided: dict[str, dict[str, str]] | None = None) -> Balance:
    """balance.json of these classes."""
    rest = {"within": None, "target": None, "cells": [], "rounds": [], "chosen": {}, "limits": {}}
    return Balance.model_validate({**rest, "classes": classes, "undecided": undecided or {}})


def summary(**fields: Any) -> Summary:
    """summary.json with these fields."""
    return Summary.model_validate({**SUMMARY, **fields})


def policy(on_fail: str, on_undecided: str, on_unfilled: str) -> Policy:
    """Of a run."""
    return Policy.model_validate({"on_fail": on_fail, "on_undecided": on_undecided, "on_unfilled": on_unfilled})

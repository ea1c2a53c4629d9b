"""Test samples made harder: features of perturbed payloads, once for a study, in the work store.

Train is never touched: the question is how answers hold when the world is noisier than the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpora.errors import PayloadError, UserError
from corpora.fingerprint import hash_json
from features.representation import Representation
from flows.engine.store import MissingItemError, WorkStore
from flows.stages.plan.code import code_hash
from flows.stages.study.rows import Payloads, Rows
from flows.stages.study.train import TrainView
from validators.trials.studies.robustness import perturbation, perturbed

SEED = 0  # of what is heard: every arm, fold and seed of a study meets the same noise
MODULE = "validators.trials.studies.robustness"


@dataclass(frozen=True, slots=True)
class Heard:
    """A change of test samples and its level. `name`: as conditions say it."""

    change: str
    level: float

    @property
    def name(self) -> str:
        """ "noise 10" """
        return f"{self.change} {self.level:g}"

    def key(self, rows: str) -> str:
        """Where the work store keeps the features of all rows (`rows`: their own key), so changed."""
        came_from = [rows, self.change, self.level, SEED, code_hash([MODULE], without=("corpora.schema",))]
        return f"studies/heard/{hash_json(came_from)[:40]}"


def heard_features(
    heard: Heard, rows_key: str, rows: Rows, wanted: Sequence[int], features: Representation, store: WorkStore
) -> tuple[np.ndarray, np.ndarray]:
    """[N, ...] float32 features of the rows `wanted`, changed (zeros in others), and [N] bool, of which there are any.
    What the store has is read; what is new is added to it."""
    key, modality = heard.key(rows_key), features.modality
    x = np.zeros((len(rows), *features.spec.shape), np.float32)
    known, good = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    try:
        kept = store.get_arrays(key)[0]
        x, known, good = kept["x"].copy(), kept["known"].astype(bool), kept["good"].astype(bool)
    except MissingItemError:
        pass
    missing = [i for i in wanted if not known[i]]
    change, payloads = perturbation(heard.change, modality), Payloads(store, rows)
    for i in missing:
        known[i] = True
        try:
            fact = rows.facts[i]
            x[i] = features.encode(perturbed(payloads.of(i), change, heard.level, seed=SEED, sample_id=fact.piece_id))
            good[i] = True
        except PayloadError:
            continue
    if missing:
        store.put_arrays(key, {"x": x, "known": known, "good": good}, {})
    return x, good


def tested_rows(
    view: TrainView, heard: Heard | None, rows_key: str, features: Representation, store: WorkStore
) -> tuple[np.ndarray, np.ndarray]:
    """[n] rows of a view that are tested, and their features, scaled; as they are heard. Rows of which nothing is left
    to describe are not in it. Raises `UserError` where none is left."""
    if heard is None:
        return view.test, view.scaled(view.rows.x[view.test])
    x, good = heard_features(heard, rows_key, view.rows, view.test.tolist(), features, store)
    rows = view.test[good[view.test]]
    if not len(rows):
        raise UserError(f"no test sample has features when heard with {heard.name}")
    return rows, view.scaled(x[rows])

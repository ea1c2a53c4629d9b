"""Arms that change real payloads: noise, pitch, flips, deletions. Features are taken of what comes out.

A changed payload depends on its source, the method and its number alone, so that other folds, seeds and conditions find
its features in the work store; methods that learn from train first are done again in each view.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from corpora.errors import PayloadError
from corpora.fingerprint import hash_json
from features.representation import Representation
from flows.engine.store import MissingItemError, WorkStore
from flows.stages.study.rows import Payloads
from flows.stages.study.train import Added, TrainView
from flows.studying import Arm
from generators.classical.method import PayloadMethod, Unfitted, payload_method
from training.seeds import derive_seed

BLOCK = 4  # variants of one source in one item of the store


@dataclass
class Changed:
    """settings: hash of what prepares and encodes, of the study's features; code: of the modules of each method."""

    view: TrainView
    payloads: Payloads
    features: Representation
    modality: str
    store: WorkStore
    settings: str
    code: Mapping[str, str]

    def added(self, arm: Arm, lacks: Mapping[int, int]) -> Added:
        """As many rows of each class as it lacks, each from a real payload of the class; sources take turns."""
        method = payload_method(self.modality, arm.method, arm.params)
        learns = not isinstance(method, Unfitted)
        if learns:
            method.fit([self.payloads.of(int(i)) for i in self.view.train])
        parts, labels, notes = [], [], []
        for k, n in sorted(lacks.items()):
            x = self._of_class(arm, method, learns, k, n)
            parts.append(x)
            labels.append(np.full(len(x), k, np.int64))
            if len(x) < n:
                notes.append(f"{len(x)} of {n} of {self.view.classes[k]}: the method could change no more")
        raw = np.concatenate(parts) if parts else np.zeros((0, *self.features.spec.shape), np.float32)
        y = np.concatenate(labels) if labels else self.view.y[:0]
        return Added(self.view.scaled(raw), y, tuple(notes))

    def _of_class(self, arm: Arm, method: PayloadMethod, learns: bool, k: int, n: int) -> np.ndarray:
        sources = self.view.train[self.view.y == k]
        order = self.view.rng("sources", arm.method, k).permutation(sources)
        asked: dict[int, list[int]] = defaultdict(list)
        # methods whose result does not vary give one row a source
        most = len(order) if not method.varies else n
        for i in range(min(n, most)):
            asked[int(order[i % len(order)])].append(i // len(order))
        rows = []
        for source, variants in asked.items():
            for block in sorted({v // BLOCK for v in variants}):
                x, good = self.block(arm, method, learns, source, block)
                rows += [x[v % BLOCK] for v in variants if v // BLOCK == block and good[v % BLOCK]]
        shape = (0, *self.features.spec.shape)
        return np.stack(rows) if rows else np.zeros(shape, np.float32)

    def block(
        self, arm: Arm, method: PayloadMethod, learns: bool, source: int, block: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """[BLOCK, D] features of the variants of one source, and which of them there are."""
        fact = self.view.rows.facts[source]
        own = [arm.method, sorted(arm.params.items()), self.code.get(arm.method, ""), self.settings]
        piece = [fact.key, fact.piece_id.removeprefix(fact.sample_id), block]
        key = f"studies/changed/{hash_json(own)[:40]}/{hash_json(piece)[:40]}"
        if not learns:
            try:
                arrays = self.store.get_arrays(key)[0]
                return arrays["x"], arrays["good"].astype(bool)
            except MissingItemError:
                pass
        x = np.zeros((BLOCK, *self.features.spec.shape), np.float32)
        good = np.zeros(BLOCK, bool)
        payload = self.payloads.of(source)
        for v in range(BLOCK):
            rng = np.random.default_rng(derive_seed("study-change", arm.method, fact.key, block * BLOCK + v))
            try:
                x[v] = self.features.encode(method.apply(payload, rng))
                good[v] = True
            except PayloadError:
                continue
        if not learns:
            self.store.put_arrays(key, {"x": x, "good": good}, {})
        return x, good

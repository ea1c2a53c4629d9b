"""Which of the accepted candidates are released, where more passed than are needed; and what is on record about it.

Nothing is drawn or judged here: another way to choose reuses every draw and score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from corpora.errors import ParamsError
from flows.artifacts.augmented import ACCEPTED, Chosen
from flows.artifacts.prepared import Prepared
from flows.engine.progress import progress
from flows.stages.augment.candidates import Candidate, Drawer
from flows.stages.augment.gating import gate_seed, reference_batch
from flows.stages.plan.plans import AugmentPlan
from generators.draws.balance import share
from generators.draws.selection import at_random, spread_out
from generators.draws.targets import Cell
from validators.embeddings.embedding import Embedding, fit_embedding
from validators.embeddings.features import PLAIN
from validators.gate import Batch


def choose(plan: AugmentPlan, prepared: Prepared, seen: Mapping[Cell, list[Candidate]], draw: Drawer) -> Chosen:
    """Marks what is not needed as `surplus`, gives the others their `place`; -> how it was done, for the record. By
    weight all are kept, and each gets its share of what its cell lacks."""
    how = plan.rounds.choose
    if plan.target.by == "weight":
        for cell, candidates in seen.items():
            passed = [c for c in candidates if c.failed is None]
            _mark(passed, list(range(len(passed))))
            weight = float(np.float32(share(cell.lacking, len(passed))))  # as it is stored
            for candidate in passed:
                candidate.weight = weight
        return Chosen(by="all", cells_with_a_choice=0)
    crowded = {}
    for cell, candidates in seen.items():
        passed = [c for c in candidates if c.failed is None]
        if len(passed) > cell.lacking > 0:
            crowded[cell] = passed
        _mark(passed, list(range(len(passed)))[: cell.lacking])
    embedding = None
    if how.by == "random":
        for cell, passed in crowded.items():
            _mark(passed, at_random([c.sample_id for c in passed], cell.lacking, plan.seed))
    elif how.by == "diverse" and crowded:
        embedding = _spread(plan, prepared, crowded, draw)
    spread = None if embedding is None else how.spread
    return Chosen(by=how.by, cells_with_a_choice=len(crowded), spread=spread, embedding=embedding)


def _mark(passed: list[Candidate], kept: list[int]) -> None:
    for candidate in passed:
        candidate.surplus, candidate.place = True, None
    for place, i in enumerate(kept):
        passed[i].surplus, passed[i].place = False, place


def _spread(plan: AugmentPlan, prepared: Prepared, crowded: Mapping[Cell, list[Candidate]], draw: Drawer) -> str:
    """Real train samples of the class are there already, in the form that candidates come in.

    -> the embedding's name."""
    how, summary = plan.rounds.choose, prepared.summary()
    progress(f"augment: choosing among accepted candidates by {how.spread}, {how.embedding} embedding")
    train = reference_batch(prepared, summary, "train")
    embedding = _embedding(plan, train, summary.classes)
    real, emotions = embedding.embed(train), np.array(train.emotions)
    for cell, passed in crowded.items():
        embedded = embedding.embed(draw.batch(passed))
        _mark(passed, spread_out(embedded, cell.lacking, real[np.isin(emotions, cell.classes)], how.spread))
    return embedding.name


def require_embedding(plan: AugmentPlan) -> None:
    """Raises `ParamsError` where the modality has no embedding to be spread out in. To be asked before anything is
    drawn."""
    if plan.rounds.choose.by == "diverse" and plan.modality not in PLAIN:
        raise ParamsError(
            f"rounds.choose.by is 'diverse', and {plan.modality} has no embedding yet (known: {', '.join(PLAIN)}); "
            "use first or random"
        )


def _embedding(plan: AugmentPlan, train: Batch, classes: Sequence[str]) -> Embedding:
    how = plan.rounds.choose
    kind = PLAIN[plan.modality] if how.embedding == "plain" else how.embedding
    seed = gate_seed(plan, "choose")
    return fit_embedding(kind, train, classes=list(classes), seed=seed, dims=how.dims, options={})


def accepted_table(seen: Mapping[Cell, list[Candidate]]) -> pa.Table:
    """ACCEPTED: every candidate that passed all gates, by cell, in the order of the draws."""
    rows = [
        {
            "sample_id": c.sample_id,
            "emotion": cell.emotion,
            "corpus": cell.corpus,
            "subject_id": cell.subject,
            "round": c.round,
            "place": c.place,
            "released": not c.surplus,
            "weight": c.weight,
        }
        for cell, candidates in seen.items()
        for c in candidates
        if c.failed is None
    ]
    return pa.Table.from_pylist(rows, schema=ACCEPTED)

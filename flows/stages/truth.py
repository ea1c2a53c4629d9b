"""Asked against judged, and the alarms: what `evaluate` finds in the batch beside the verdicts of the gates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.artifacts.augmented import Augmented, Reference
from flows.stages.augment.batches import Form, batch_from_table
from flows.stages.plan.plans import EvaluatePlan, PlannedGate
from validators.gate import Batch
from validators.gates.copies import Copies
from validators.trials.alarms import Distances
from validators.trials.curves import Curve, Dial, Truth, curve, dimension_curves, mixtures_heard

CANDIDATES = "candidates, before any gate"


def truth_of(
    plan: EvaluatePlan, augmented: Augmented, train: Batch, form: Form, classes: Sequence[str], seed: int
) -> Truth | None:
    """Curves of what the run asked for beside the class, and whether its mixtures are heard; None where it asked for
    neither.

    Intensity: the scores of the gate that tells classes, over all candidates: what passed the gate agrees by
    construction. Valence, arousal, dominance and mixtures: judges that are fitted here, over released samples.
    """
    index, asked = augmented.index(), augmented.asked()
    mixed = index.filter(pc.is_null(index["emotion"]))
    curves: list[Curve] = []
    if asked is not None:
        curves += intensity_curves(asked, augmented.scores(), plan.class_gate, seed)
        of_a_class = index.filter(pc.is_valid(index["emotion"]))
        if any(asked[name].null_count < len(asked) for name in ("valence", "arousal", "dominance")):
            drawn = batch_from_table(augmented.path, of_a_class, form)
            curves += dimension_curves(train, drawn, classes=classes, seed=seed)
    if not mixed.num_rows:
        return Truth(tuple(curves)) if curves else None
    batch = batch_from_table(augmented.path, mixed, form)
    of_id = {row["sample_id"]: _shares(row["labels"]) for row in mixed.select(["sample_id", "labels"]).to_pylist()}
    heard = mixtures_heard(train, batch, [of_id[i] for i in batch.ids], classes=classes, seed=seed)
    return Truth(tuple(curves), tuple(heard))


def _shares(labels: Sequence[Mapping[str, object]] | None) -> dict[str, float]:
    return {str(entry["label"]): round(float(str(entry["weight"])), 6) for entry in labels or ()}


def intensity_curves(asked: pa.Table, scores: pa.Table, class_gate: str | None, seed: int) -> list[Curve]:
    """Of ASKED and SCORES; [] where no candidate was asked for an intensity."""
    intensity = dict(zip(asked["sample_id"].to_pylist(), asked["intensity"].to_pylist(), strict=True))
    if all(value is None for value in intensity.values()):
        return []
    about = {"name": "intensity", "measure": "p(asked class) / max p", "judge": "none", "of": CANDIDATES}
    own = scores.filter(pc.equal(scores["gate"], class_gate or ""))
    rows = own.filter(pc.not_equal(own["emotion"], "")).select(["sample_id", "emotion", "value", "judge"]).to_pylist()
    if not rows:
        why = "the run has no gate that tells classes, so nobody judged the candidates"
        nothing = Curve(**about, points=(), rho=None, low=None, high=None, n=0, verdict="undecided", reason=why)
        return [nothing]
    about["judge"] = rows[0]["judge"] or "not named"
    # a draw that says nothing of it asks for all of it
    wanted = [1.0 if intensity.get(r["sample_id"]) is None else intensity[r["sample_id"]] for r in rows]
    judged = [math.nan if r["value"] is None else r["value"] for r in rows]
    strata = np.asarray([r["emotion"] for r in rows], dtype=str)
    return [curve(Dial(np.asarray(wanted, np.float64), np.asarray(judged, np.float64), strata, about), seed=seed)]


def copy_distances(scores: pa.Table, reference: Reference, gates: Mapping[str, PlannedGate]) -> Distances | None:
    """What the gate `copies` said of every candidate; None where the run has no such gate, or its limit is none that
    could tell a copy (0)."""
    planned = gates.get(Copies.name)
    own = scores.filter(pc.equal(scores["gate"], Copies.name))
    if planned is None or not own.num_rows or Copies.name not in reference:
        return None
    limit = planned.limit.absolute
    if limit is None or not limit > 0:
        return None
    real = [math.nan if v is None else v for of_class in reference[Copies.name].values() for v in of_class]
    values = [math.nan if v is None else v for v in own["value"].to_pylist()]
    return Distances(np.asarray(values, np.float64), np.asarray(real, np.float64), limit)

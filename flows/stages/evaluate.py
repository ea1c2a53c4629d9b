"""The stage `evaluate`: verdicts on the whole set, whether conditions were honoured, what it is worth to a classifier.

A verdict fails nothing here: only `release` acts on it. Writes data/runs/<run>/evaluation/ (verdicts.parquet,
conditions.json, uplift.json) and data/runs/<run>/metrics.json for `dvc metrics`.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.schema import SAMPLES, SCORES, SPLITS, VERDICTS
from corpora.store.atomic import atomic_folder, write_json
from corpora.store.shards import read_table, write_table
from flows.engine.progress import progress
from flows.params import Machine
from flows.paths import Layout
from flows.stages.augment.batches import batch_from_table
from flows.stages.augment.gating import gate_seed, reference_batch
from flows.stages.plan.plan import Plan
from flows.stages.plan.weights import require_planned
from validators.gate import Batch, Estimate, Limit, gate_class, judge, measured_groups
from validators.maths.intervals import wilson_interval
from validators.reference import no_number
from validators.trials.conditions import MIN_N, MIN_N_CLASS, honoured, honoured_by_class, unheard
from validators.trials.downstream import uplift
from validators.trials.selftest import SelfTest, quick


def run(plan: Plan, layout: Layout, machine: Machine) -> None:
    folder = layout.run(plan.run)
    prepared, augmented = folder / "prepared", folder / "augmented"
    summary = json.loads((prepared / "summary.json").read_text(encoding="utf-8"))
    balance = json.loads((augmented / "balance.json").read_text(encoding="utf-8"))
    if summary["representation"] is None:  # a run without a generator: nothing synthetic to judge
        _write(folder, [], {}, None, None, balance)
        return
    modality, rate = summary["modality"], summary["rate_hz"]
    released = read_table(augmented / "index.parquet", SAMPLES)
    of_a_class = released.filter(pc.is_valid(released.column("emotion")))  # a mixture is compared with no class
    synthetic = batch_from_table(augmented, of_a_class, modality, rate)
    train, dev = (reference_batch(prepared, summary, split) for split in ("train", "dev"))
    verdicts = set_verdicts(plan, train, dev, synthetic, summary["classes"])
    tested = self_test(plan, train, summary["classes"])
    scores = read_table(augmented / "scores.parquet", SCORES)
    reference = json.loads((augmented / "reference.json").read_text(encoding="utf-8"))
    by_class = conditions_honoured(scores, summary["classes"], reference.get("agreement", {}))
    verdicts += conditions_verdict(scores, summary["classes"], reference.get("agreement", {}))
    verdicts += unsaid(balance, scores)
    progress("evaluate: training classifiers on real, weighted and augmented data")
    worth = uplift(
        split_batch(prepared, summary, "train"),
        synthetic,
        split_batch(prepared, summary, "test"),
        classes=summary["classes"],
        seed=gate_seed(plan, "uplift"),
        n_bootstrap=plan.params["evaluation"]["bootstrap"],
    )
    _write(folder, verdicts, by_class, tested, worth, balance)


def _write(
    folder: Path,
    verdicts: list[dict[str, Any]],
    honoured: dict[str, Any],
    tested: SelfTest | None,
    worth: dict[str, Any] | None,
    balance: dict[str, Any],
) -> None:
    with atomic_folder(folder / "evaluation") as out:
        write_table(out / "verdicts.parquet", pa.Table.from_pylist(verdicts, schema=VERDICTS))
        write_json(out / "conditions.json", honoured)
        if tested is not None:
            write_json(out / "selftest.json", tested.to_json())
        if worth is not None:
            write_json(out / "uplift.json", worth)
    write_json(folder / "metrics.json", metrics(balance, verdicts, worth))


def split_batch(prepared: Path, summary: dict[str, Any], split: str) -> Batch:
    """Real samples of a split, harmonised, as a training loop would read them from the release."""
    table = read_table(prepared / "index.parquet", SAMPLES)
    splits = read_table(prepared / "splits.parquet", SPLITS)
    members = splits.filter(pc.equal(splits.column("split"), split)).column("sample_id")
    chosen = table.filter(pc.is_in(table.column("sample_id"), value_set=members.combine_chunks()))
    return batch_from_table(prepared, chosen, summary["modality"], summary["rate_hz"])


def set_verdicts(plan: Plan, train: Batch, dev: Batch, synthetic: Batch, classes: list[str]) -> list[dict[str, Any]]:
    """Rows of VERDICTS: one for each set gate over all classes pooled, and one for each class that it looks at."""
    rows: list[dict[str, Any]] = []
    require_planned(plan.params["gates"])
    shared = gate_seed(plan, "reference")  # one seed: gates of one embedding share it, and the folds it was fitted on
    for name, params in plan.params["gates"].items():
        progress(f"evaluate: measuring {name}")
        gate = gate_class(name).fit(train, dev, classes=classes, params=params["params"], seed=shared)
        found = measured_groups(gate, synthetic, seed=gate_seed(plan, name))
        rows += [_verdict(name, group, one, gate, Limit(**params["limit"])) for group, one in found.items()]
    return rows


def self_test(plan: Plan, train: Batch, classes: list[str]) -> SelfTest:
    """Can the gates of this run see planted defects in this corpus, and do real people pass them?"""
    progress("evaluate: testing the gates themselves on held-out people and planted defects")
    given = [
        {name: (gate["params"], Limit(**gate["limit"])) for name, gate in plan.params[kind].items()}
        for kind in ("sample_gates", "gates")
    ]
    return quick(train, classes=classes, sample_gates=given[0], set_gates=given[1], seed=gate_seed(plan, "selftest"))


def conditions_verdict(
    scores: pa.Table, classes: list[str], real: dict[str, list[float | None]]
) -> list[dict[str, Any]]:
    """The judges' recall over every candidate drawn: of all classes together, and one row for each that was drawn.
    None where the run has no agreement gate."""
    rows = scores.filter(pc.equal(scores.column("gate"), "agreement")).to_pylist()
    if not rows:
        return []
    made = {c: np.array([agrees(r["value"]) for r in rows if r["emotion"] == c], bool) for c in classes}
    drawn = {c: v for c, v in made.items() if v.size}
    heard = {c: np.array([agrees(v) for v in real.get(c, [])], bool) for c in classes}
    about = SimpleNamespace(unit="UAR", judge=rows[0]["judge"], min_n=MIN_N, better="higher")
    found, limit = honoured(drawn, heard)
    together = _verdict("conditions", "all", found, about, limit)
    if not found.reason and (deaf := [c for c in unheard(heard) if c in drawn]):
        together["reason"] += f"; {', '.join(deaf)} cannot be judged"
    about = SimpleNamespace(unit="recall", judge=rows[0]["judge"], min_n=MIN_N_CLASS, better="higher")
    by_class = honoured_by_class(drawn, heard)
    return [together, *(_verdict("conditions", c, found, about, limit) for c, (found, limit) in by_class.items())]


def unsaid(balance: dict[str, Any], scores: pa.Table) -> list[dict[str, Any]]:
    """A row for each sample gate and class in which the gate had no say, of classes that were drawn: it let in whatever
    it could score, and the release has to say so."""
    rows = []
    for gate, by_class in balance.get("undecided", {}).items():
        of_gate = scores.filter(pc.equal(scores.column("gate"), gate))
        for emotion, why in by_class.items():
            own = of_gate.filter(pc.equal(of_gate.column("emotion"), emotion))
            if not own.num_rows:
                continue
            kind = gate_class(gate)
            about = SimpleNamespace(unit=kind.unit, judge=own["judge"][0].as_py(), min_n=0, better=kind.better)
            found = no_number(0, own.num_rows, why, "reference")
            rows.append(_verdict(gate, emotion, found, about, Limit(absolute=math.nan)))
    return rows


def _verdict(name: str, group: str, found: Estimate, gate: Any, limit: Limit) -> dict[str, Any]:
    at = limit.resolve_floor(found)
    verdict, reason = judge(found, limit=at, min_n=gate.min_n, better=gate.better)
    return {
        "gate": name,
        "group": group,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "floor": found.floor,
        "limit": at,
        "n_real": found.n_real,
        "n_synthetic": found.n_synthetic,
        "unit": gate.unit,
        "judge": gate.judge,
        "verdict": verdict,
        "reason": reason,
    }


def conditions_honoured(scores: pa.Table, classes: list[str], real: dict[str, list[float | None]]) -> dict[str, Any]:
    """Class -> how often judges that saw only real data name the class that was asked for, over every candidate drawn.

    Before any gate: what passed the agreement gate agrees by construction. `real`: class -> agreement of real samples
    with judges that never saw their group, the yardstick. Empty where the run has no agreement gate.
    """
    found = {}
    deaf = unheard({c: np.array([agrees(v) for v in real.get(c, [])], bool) for c in classes})
    for emotion in classes:
        rows = scores.filter(
            pc.and_(pc.equal(scores.column("gate"), "agreement"), pc.equal(scores.column("emotion"), emotion))
        )
        values = [agrees(v) for v in rows.column("value").to_pylist()]
        yardstick = [agrees(v) for v in real.get(emotion, [])]
        if values:
            low, high = wilson_interval(sum(values), len(values))
            found[emotion] = {
                "recall_synthetic": sum(values) / len(values),
                "low": low,
                "high": high,
                "n": len(values),
                "recall_real": sum(yardstick) / len(yardstick) if yardstick else None,
                "n_real": len(yardstick),
                "cannot_be_judged": deaf.get(emotion, ""),
            }
    return found


def agrees(score: float | None) -> bool:
    """The asked class is the judges' first choice (agreement scores are shares of the top class' probability)."""
    return score is not None and math.isfinite(score) and score >= 1.0


def metrics(balance: dict[str, Any], verdicts: list[dict[str, Any]], worth: dict[str, Any] | None) -> dict[str, Any]:
    """Flat numbers for `dvc metrics show` and `diff`."""
    rows = balance["classes"]
    candidates, accepted = sum(r["candidates"] for r in rows), sum(r["accepted"] + r["surplus"] for r in rows)
    flat: dict[str, Any] = {
        "accepted": sum(r["accepted"] for r in rows),
        "acceptance": round(accepted / candidates, 6) if candidates else None,
        "classes_unfilled": sum(not r["filled"] for r in rows),
    }
    for row in verdicts:
        if row["group"] != "all":
            continue
        flat[row["gate"]] = round(row["value"], 6) if math.isfinite(row["value"]) else None
        flat[f"{row['gate']}_floor"] = round(row["floor"], 6) if math.isfinite(row["floor"]) else None
    if worth is not None:
        for arm in worth["arms"]:
            flat["uar_" + re.sub(r"[^a-z]+", "_", arm["arm"].replace("+", "and"))] = round(arm["uar"], 6)
        flat["uar_difference"] = round(worth["difference"]["value"], 6)
    return flat

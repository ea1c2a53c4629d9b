"""Tables, figures and sentences of the report: from what the stages measured to rows that the template prints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from flows.stages.report import figures
from flows.stages.report.data import Row, RunFolder
from generators.draws.balance import STOPS
from validators.trials.selftest import HELD_OUT

SHOWN = 6  # of a list, in a cell
HONOURED_RATIO = 0.7  # lower bound of the recall on synthetic samples, as a share of the recall on real ones


def gate_table(verdicts: list[Row] | None) -> list[Row]:
    """Verdicts ordered by gate, the pooled group first."""
    return sorted(verdicts or [], key=lambda v: (str(v["gate"]), v["group"] != "all", str(v["group"])))


def selftest_table(told: Row | None) -> Row | None:
    """What the gates made of real people who were held out and of planted defects; None for older runs."""
    if told is None:
        return None
    rows = [o | {"good": o["caught"] != (o["defect"] == HELD_OUT)} for o in told["outcomes"]]
    left_out = "; ".join(f"{gate} was left out: {why}" for gate, why in told.get("left_out", {}).items())
    return {"rows": rows, "why_not": told["why_not"], "left_out": left_out, "held_out": HELD_OUT}


def histograms(data: RunFolder) -> list[Row]:
    """One entry a sample gate: its name, unit, figure, and a row for each class with candidates, passed and limit."""
    if data.scores is None or data.scores.num_rows == 0:
        return []
    columns = {name: np.asarray(data.scores[name].to_pylist(), dtype=object) for name in ("gate", "emotion", "judge")}
    values = np.array([math.nan if v is None else v for v in data.scores["value"].to_pylist()], dtype=np.float64)
    limits = np.array([math.nan if v is None else v for v in data.scores["limit"].to_pylist()], dtype=np.float64)
    passed = np.array(data.scores["passed"].to_pylist(), dtype=bool)
    entries = []
    for gate in dict.fromkeys(columns["gate"]):
        of_gate = columns["gate"] == gate
        scores, limit_of, rows = {}, {}, []
        for emotion in data.classes:
            chosen = of_gate & (columns["emotion"] == emotion)
            if not chosen.any():
                continue
            scores[emotion] = (values[chosen], passed[chosen])
            limit_of[emotion] = _last_finite(limits[chosen])
            rows.append(
                {
                    "emotion": emotion,
                    "candidates": int(chosen.sum()),
                    "passed": int(passed[chosen].sum()),
                    "share": float(passed[chosen].mean()),
                    "unscored": int((~np.isfinite(values[chosen])).sum()),
                    "median": _median(values[chosen]),
                    "limit": limit_of[emotion],
                }
            )
        if not scores:
            continue
        judges = sorted({str(j) for j in columns["judge"][of_gate] if j is not None})
        entries.append(
            {
                "gate": gate,
                "rows": rows,
                "judges": judges,
                "side": _side(values[of_gate], limits[of_gate], passed[of_gate]),
                "figure": figures.score_histograms(str(gate), scores, limit_of, _real_scores(data, str(gate))),
            }
        )
    return entries


def cost_table(balance: Row | None) -> Row | None:
    """What an accepted sample of each class costs in draws, and how much of that is due to each gate; None where
    nothing was drawn (or by a version that did not count it)."""
    rows = [r for r in (balance or {}).get("classes") or [] if r.get("gates")]
    if not rows:
        return None
    gates = list(dict.fromkeys(g for r in rows for g in r["gates"]))
    return {
        "gates": gates,
        "rows": [
            {
                "emotion": r["emotion"],
                "acceptance": r["acceptance"],
                "draws": r["draws_per_accepted"],
                "stopped": STOPS.get(r.get("stopped"), r.get("stopped")),
                "of_gates": [_gate_cost(r["gates"].get(g), r["candidates"]) for g in gates],
            }
            for r in rows
        ],
        "chosen": (balance or {}).get("chosen") or {},
    }


def _gate_cost(cost: Row | None, candidates: int) -> Row:
    if cost is None:
        return {"refused": None, "draws": None}
    return {"refused": cost["refused"] / candidates, "draws": cost["draws_per_accepted"]}


def _real_scores(data: RunFolder, gate: str) -> dict[str, np.ndarray]:
    """Class -> finite scores of real samples by judges that never saw them; empty where the gate keeps none."""
    by_class = data.reference.get(gate) or {}
    return {c: np.array([v for v in values if v is not None], dtype=np.float64) for c, values in by_class.items()}


def _side(values: np.ndarray, limits: np.ndarray, passed: np.ndarray) -> str:
    """Which side of the limit passes, as the scores themselves show it; "" where they do not."""
    both = np.isfinite(values) & np.isfinite(limits) & (values != limits)
    below, above = passed[both & (values < limits)], passed[both & (values > limits)]
    if below.any() and not above.any():
        return "smaller is better: at most the limit"
    if above.any() and not below.any():
        return "larger is better: at least the limit"
    return ""


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan


def _last_finite(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else None


def conditions_table(conditions: dict[str, Row] | None, classes: list[str]) -> Row | None:
    """Recall of a judge on synthetic samples of each class beside its recall on real ones."""
    if not conditions:
        return None
    rows, points = [], []
    for emotion in [c for c in classes if c in conditions]:
        row = conditions[emotion]
        real, low = _nan(row.get("recall_real")), _nan(row.get("low"))
        ratio = low / real if real > 0 else math.nan
        deaf = row.get("cannot_be_judged")
        honoured = None if deaf or not math.isfinite(ratio) else ratio >= HONOURED_RATIO
        rows.append(
            {**row, "emotion": emotion, "value": row.get("recall_synthetic"), "ratio": ratio, "honoured": honoured}
        )
        points.append({"row": emotion, "series": "real, held out", "value": real, "low": None, "high": None})
        points.append({**row, "row": emotion, "series": "synthetic", "value": _nan(row.get("recall_synthetic"))})
    return {
        "rows": rows,
        "figure": figures.dot_plot(points, label="recall of a classifier trained on real data", name="conditions"),
    }


def uplift_rows(uplift: Row | None) -> Row | None:
    """Figures of UAR and of F1 by class for the arms, and the arms as rows."""
    if not uplift or not uplift.get("arms"):
        return None
    arms = uplift["arms"]
    classes = uplift.get("classes") or list(dict.fromkeys(c for a in arms for c in a.get("per_class", {})))
    uar = [
        {
            "row": arm["arm"],
            "series": "UAR",
            "value": _nan(arm["uar"]),
            "low": arm["low"],
            "high": arm["high"],
            "highlight": "synthetic" in arm["arm"],
        }
        for arm in arms
    ]
    by_class = []
    for arm in arms:
        for emotion in classes:
            found = arm.get("per_class", {}).get(emotion)
            if found is not None:
                interval = {"value": _nan(found.get("f1")), "low": found.get("low"), "high": found.get("high")}
                by_class.append({"row": emotion, "series": arm["arm"], **interval})
    return {
        "classifier": uplift.get("classifier"),
        "n_test": uplift.get("n_test"),
        "test_groups": uplift.get("test_groups"),
        "arms": arms,
        "classes": sorted({c for a in arms for c in a.get("per_class", {})}),
        "difference": uplift.get("difference") or {"value": None},
        "outcome": uplift.get("outcome"),
        "uar_figure": figures.dot_plot(uar, label="UAR on real test groups, 95 % interval", name="uar"),
        "f1_figure": figures.dot_plot(by_class, label="F1 on real test groups", name="f1") if by_class else None,
    }


def uplift_words(uplift: Row | None) -> str | None:
    """Win, loss or no difference, in one sentence with the numbers."""
    if not uplift or not uplift.get("difference"):
        return None
    against = _points(uplift.get("against_weighted"))
    weighted = f" Against class weights: {against}." if against else ""
    points = _points(uplift["difference"])
    if points is None or uplift.get("outcome") == "undecided":
        return f"Whether it helps cannot be told from one test group.{weighted}"
    d, trained = uplift["difference"], "trained with the synthetic samples, the classifier does"
    if d["low"] > 0:
        return f"Win: {trained} better on real test groups ({points}).{weighted}"
    if d["high"] < 0:
        return f"Loss: {trained} worse on real test groups ({points}).{weighted}"
    return f"No difference that these test groups can show ({points}; the interval holds zero).{weighted}"


def _points(d: Row | None) -> str | None:
    """A difference of UARs in points; None where it is not known with its interval."""
    if not d or not all(math.isfinite(_nan(d.get(k))) for k in ("value", "low", "high")):
        return None
    return f"{100 * d['value']:+.1f} points of UAR, 95 % interval {100 * d['low']:+.1f} to {100 * d['high']:+.1f}"


FIRST = ("kind", "splits", "action", "counts")  # columns of a finding, before any others


def findings_table(findings: Any) -> Row | None:
    """Findings (a list of mappings, or a mapping that holds one under "findings") as columns and rows.

    `members` (key -> split -> sample ids, all of them) is shown by its first few ids.
    """
    if isinstance(findings, dict):
        findings = findings.get("findings", [])
    rows = [dict(f) if isinstance(f, dict) else {"finding": f} for f in findings or []]
    if not rows:
        return None
    for row in rows:
        if isinstance(row.get("members"), dict):
            row["examples"] = [i for parts in row.pop("members").values() for ids in parts.values() for i in ids]
    present = list(dict.fromkeys(k for row in rows for k in row))
    columns = sorted(present, key=lambda c: FIRST.index(c) if c in FIRST else len(FIRST))
    return {"columns": columns, "rows": [[_flat(row.get(c)) for c in columns] for row in rows]}


CONFLICTS = {
    "same_recording": ("Speaker ids that share a recording", "perhaps one person, whom a split by subject may part"),
    "conflicting_labels": ("Equal payloads under several labels", "one of them is wrong, or there are two opinions"),
}
MOST_CONFLICTS = 50  # rows of a table; audit.json has more


def conflict_tables(conflicts: Mapping[str, Any]) -> list[Row]:
    """What equal payloads say of a corpus -> [{"title", "why", "n", "table"}], the kinds that there are."""
    made = []
    for kind, (title, why) in CONFLICTS.items():
        found = conflicts.get(kind) or {}
        entries = found.get("entries", [])[:MOST_CONFLICTS]
        rows = [[" and ".join(what), _flat([i for ids in what.values() for i in ids])] for what in entries]
        if rows:
            table = {"columns": ["what", "samples"], "rows": rows}
            made.append({"title": title, "why": why, "n": found["counts"]["entries"], "table": table})
    return made


def _flat(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_flat(v)}" for k, v in islice(value.items(), SHOWN))
    if isinstance(value, list | tuple):
        shown = ", ".join(_flat(v) for v in value[:SHOWN])
        return shown + (f" and {len(value) - SHOWN} more" if len(value) > SHOWN else "")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def quality_summary(quality: Row | None) -> Row | None:
    """Result of the table checks -> {"success", "n_rows", "checks": [{"what", "column", "ok", "asked", "found"}]}."""
    if not quality:
        return None
    checks = [
        {
            "what": str(result["type"]).removeprefix("expect_").replace("_", " "),
            "column": result.get("column") or "",
            "ok": bool(result["success"]),
            "asked": _flat(result.get("kwargs") or {}),
            "found": _flat(result.get("observed")),
            "odd": result.get("unexpected_count"),
        }
        for result in quality["results"]
    ]
    return {"success": bool(quality["success"]), "n_rows": quality.get("n_rows"), "checks": checks}


def rejects_by_reason(data: RunFolder) -> list[Row]:
    """Files and samples that were left out: where, why, how many."""
    rows = [
        {"corpus": c.name, "stage": "ingest", "reason": r, "n": n}
        for c in data.corpora
        for r, n in (c.told.get("rejects") or {}).items()
    ]
    rows += [{"corpus": c, "stage": s, "reason": r, "n": n} for (c, s, r), n in data.rejects.items()]
    return sorted(rows, key=lambda r: (r["stage"], -r["n"], r["reason"]))


def unknown_labels(data: RunFolder) -> list[Row]:
    """Labels that no card knows, whose files were left out: most frequent first."""
    rows = [{"corpus": c.name, **one} for c in data.corpora for one in c.told.get("unknown_labels") or ()]
    return sorted(rows, key=lambda r: (-r["count"], r["corpus"], r["label"]))


def preparation(data: RunFolder) -> Row | None:
    """The steps with their parameters, and what they did to each corpus."""
    told = data.summary.get("prepared")
    if not told:
        return None
    corpora = [
        {
            "corpus": name,
            **facts,
            "refused": _flat(facts["rejected"]) or "–",
            "refused_of_class": _flat(facts["rejected_of_class"]),
            "noted": _flat({k.replace("-", " "): n for k, n in facts["noted"].items()}) or "–",
            "train": [facts["counts"]["train"].get(c, 0) for c in data.classes],
        }
        for name, facts in data.summary.get("by_corpus", {}).items()
    ]
    steps = [{"step": s["step"], "params": _flat(s["params"]) or "no parameters"} for s in told["steps"]]
    return {"version": told["version"], "steps": steps, "corpora": corpora}


def provenance_rows(data: RunFolder, n: int) -> Row | None:
    """The first n accepted synthetic samples: id, class, generator, seed, sources, hash."""
    if data.synthetic is None:
        return None
    columns = ["sample_id", "emotion", "subject_id", "generator_id", "seed", "source_ids", "sha256"]
    rows = data.synthetic.select(columns).slice(0, n).to_pylist()
    generators = sorted({str(g) for g in data.synthetic["generator_id"].to_pylist() if g is not None})
    return {
        "rows": rows,
        "total": data.synthetic.num_rows,
        "generators": generators,
        "conversions": any(r["source_ids"] for r in rows),
    }


def _nan(value: Any) -> float:
    return math.nan if value is None else float(value)

"""The stage `release`: one folder that a training loop elsewhere reads with nothing of ours installed.

data/runs/<run>/release/: shards/<split>-real-*.tar, shards/train-synthetic-*.tar, index.parquet, splits.parquet,
features.parquet (where the representation has no way back), scores.parquet, verdicts.parquet, selftest.json (planted
defects), rejects.parquet, params.json, prepared.json (steps of preparation and their versions), statistics.json (of
train, where a step needs them), audit.json, README.md, manifest.json. `release_hash` is a hash of the manifest, which
holds the hash of every other file (corpora/store/release.py); time, place and versions are in none of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import GateError
from corpora.formats.jsonfile import read_json
from corpora.licences import restrictions
from corpora.schema import REJECTS, SAMPLES, SPLITS, VERDICTS
from corpora.splits.audit import apply_on_leak, audit_fitted
from corpora.store.atomic import atomic_folder, write_json, write_text
from corpora.store.release import MANIFEST, README, describe_files, sealed
from corpora.store.shards import read_table, write_table
from flows.params import Machine
from flows.paths import Layout
from flows.records import ARRAYS
from flows.stages.feature_rows import FeatureRows, vector_representation, write_feature_rows
from flows.stages.plan.plan import Plan
from generators.draws.balance import STOPS
from validators.trials.conditions import UNJUDGED
from validators.trials.selftest import HELD_OUT


def run(plan: Plan, layout: Layout, machine: Machine) -> None:
    """Raises `GateError` where a verdict says no and the policy blocks, `LeakError` if more than train was seen."""
    source = layout.run(plan.run)
    prepared, augmented, evaluation = source / "prepared", source / "augmented", source / "evaluation"
    summary = read_json(prepared / "summary.json")
    balance = read_json(augmented / "balance.json")
    verdicts = read_table(evaluation / "verdicts.parquet", VERDICTS)
    blocking, flagged = decide(plan.params["policy"], verdicts.to_pylist(), balance)
    if blocking:
        raise GateError(
            f"no release of {plan.run!r}: "
            + "; ".join(blocking)
            + f". Look at {source / 'evaluation'}; what blocks is "
            f"set in params.yaml under runs.{plan.run}.policy"
        )
    real, synthetic = read_table(prepared / "index.parquet", SAMPLES), read_table(augmented / "index.parquet", SAMPLES)
    real_splits = read_table(prepared / "splits.parquet", SPLITS)
    splits = pa.concat_tables([real_splits, synthetic_splits(synthetic, plan.params["view"])])
    fitted = audit_fitted(real_splits, what_was_seen(prepared, real, synthetic))
    apply_on_leak(real_splits, fitted, {"fitted": plan.params["on_leak"]["fitted"]})  # fails, or is waived and told
    summary["audit"] += [finding.to_json() for finding in fitted]
    with atomic_folder(source / "release") as folder:
        _link_shards([prepared / "shards", augmented / "shards"], folder / "shards")
        write_table(folder / "index.parquet", pa.concat_tables([real, synthetic]))
        write_table(folder / "splits.parquet", splits)
        shutil.copyfile(augmented / "scores.parquet", folder / "scores.parquet")
        write_table(folder / "verdicts.parquet", verdicts)
        if (evaluation / "selftest.json").exists():
            shutil.copyfile(evaluation / "selftest.json", folder / "selftest.json")
        write_table(folder / "rejects.parquet", _rejects(layout, plan, prepared))
        write_json(folder / "params.json", {"run": plan.params["run"], "numerics": plan.params["numerics"]})
        write_json(folder / "prepared.json", plan.params["prepared"])
        if (prepared / "statistics.json").exists():
            shutil.copyfile(prepared / "statistics.json", folder / "statistics.json")
        write_json(folder / "audit.json", {"findings": summary["audit"], "dropped": summary["dropped"]})
        cards = _cards(layout, plan)
        spec = vector_representation(plan.params["run"]["representation"])
        rows = None if spec is None else write_feature_rows(folder, spec, prepared, augmented)
        manifest = {
            "name": plan.run,
            "modality": summary["modality"],
            "rate_hz": summary["rate_hz"],
            "classes": summary["classes"],
            "corpora": cards,
            "view": plan.params["view"],
            "scheme": plan.params["scheme"],
            "counts": _counts(summary, synthetic),
            "licenses": sorted({*real.column("license").to_pylist()}),
            "publishable": not flagged,
            "reasons": flagged,
            "restrictions": restrictions(cards),  # of licences: gates and audit do not know them
            "notes": notes(verdicts.to_pylist(), balance, summary)
            + subject_notes(real)
            + selftest_notes(evaluation / "selftest.json")
            + corpus_notes(cards),
            "leaks": summary["leaks"],
            "cannot_be_judged": {c: "; ".join(by) for c, by in unjudged(verdicts.to_pylist()).items()},
        }
        if rows is not None:
            manifest["features"] = rows.to_json()
        write_text(folder / README, release_card(manifest, rows))
        paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        write_json(folder / MANIFEST, sealed(manifest | {"files": describe_files(folder, paths)}))


def what_was_seen(prepared: Path, real: pa.Table, synthetic: pa.Table) -> dict[str, list[str]]:
    """Who learnt from what, by the files that they read: name -> sample ids. docs/audit.md"""
    seen = {"sources of synthetic samples": [i for ids in synthetic["source_ids"].to_pylist() for i in ids or ()]}
    if (prepared / "arrays.parquet").exists():
        seen["generator"] = read_table(prepared / "arrays.parquet", ARRAYS)["sample_id"].to_pylist()
    coded = prepared / "coded.parquet"
    table, prefix = (read_table(coded, SAMPLES), "coded/train-") if coded.exists() else (real, "shards/train-")
    rows = zip(table["sample_id"].to_pylist(), table["shard"].to_pylist(), strict=True)
    seen["gates and judges"] = [sample_id for sample_id, shard in rows if shard.startswith(prefix)]
    return seen


def selftest_notes(path: Path) -> list[str]:
    """What the gates of this release have been shown not to see. [] where there is nothing synthetic."""
    if not path.exists():
        return []
    told = read_json(path)
    if told["why_not"]:
        return [f"the gates could not be tested on planted defects: {told['why_not']}"]
    found = []
    for o in told["outcomes"]:
        if o["defect"] == HELD_OUT and o["caught"]:
            found.append(f"self-test: {o['n']} real samples of held-out people failed {', '.join(o['by'])}")
        elif o["defect"] != HELD_OUT and not o["caught"]:
            found.append(f"self-test: the gates did not catch a planted defect ({o['defect']}, n = {o['n']})")
    return found


def decide(
    policy: dict[str, str], verdicts: list[dict[str, Any]], balance: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """-> what keeps the release from being made, and what lets it be made but not published."""
    blocking: list[str] = []
    flagged: list[str] = []
    said: dict[tuple[str, str], list[dict[str, Any]]] = {}  # (gate, verdict) -> its rows: one line for all classes
    for row in verdicts:
        said.setdefault((row["gate"], row["verdict"]), []).append(row)
    for (gate, verdict), rows in said.items():
        line = f"{gate} ({', '.join(r['group'] for r in rows)}): {verdict}, {_reasons(rows)}"
        if verdict == "fail":
            (blocking if policy["on_fail"] == "block" else flagged).append(line)
        elif verdict == "undecided" and policy["on_undecided"] == "block":
            blocking.append(line)
    for row in balance["classes"]:
        if not row["filled"] and policy["on_unfilled"] == "block":
            have = row["real_train"] + row["accepted"]
            blocking.append(f"class {row['emotion']!r} has {have} of {row['target']} train samples{_why(row)}")
    return blocking, flagged


def _reasons(rows: list[dict[str, Any]]) -> str:
    """One reason for all, or one for each group."""
    if len({r["reason"] for r in rows}) == 1:
        return str(rows[0]["reason"])
    told = (r["reason"] if r["reason"].startswith(r["group"]) else f"{r['group']}: {r['reason']}" for r in rows)
    return "; ".join(told)


def unjudged(verdicts: list[dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Class -> why it cannot be judged -> the gates that say so: their judges do not tell it on real people."""
    found: dict[str, dict[str, list[str]]] = {}
    for r in verdicts:
        if r["verdict"] == "undecided" and r["group"] != "all" and r["reason"].startswith(UNJUDGED):
            why = r["reason"].removeprefix(UNJUDGED + ": ")
            found.setdefault(r["group"], {}).setdefault(why, []).append(r["gate"])
    return found


def _why(row: dict[str, Any]) -> str:
    """Why sampling of a class ended."""
    return f" ({STOPS[row['stopped']]})" if row.get("stopped") in STOPS else ""


def notes(verdicts: list[dict[str, Any]], balance: dict[str, Any], summary: dict[str, Any]) -> list[str]:
    """What a user of the release must know and does not stop it."""
    found = []
    if summary["representation"] is None:
        found.append(
            "no generator: real samples alone, split, prepared and audited; classes are as unbalanced as the corpora"
        )
    let_in = {r["emotion"]: r["accepted"] for r in balance["classes"]}
    found += [
        f"class {emotion!r} cannot be judged by {' and '.join(gates)}, {let_in.get(emotion, 0)} synthetic samples of "
        f"it are released all the same: {why}"
        for emotion, by_reason in unjudged(verdicts).items()
        for why, gates in by_reason.items()
    ]
    unsure: dict[tuple[str, str], list[str]] = {}
    for r in verdicts:
        if r["verdict"] == "undecided" and not (r["reason"].startswith(UNJUDGED) and r["group"] != "all"):
            unsure.setdefault((r["gate"], r["reason"]), []).append(r["group"])
    found += [f"gate {gate} ({', '.join(groups)}) is undecided: {why}" for (gate, why), groups in unsure.items()]
    found += [
        f"class {r['emotion']!r} was not filled: {r['real_train'] + r['accepted']} of {r['target']} train samples"
        f"{_why(r)}"
        for r in balance["classes"]
        if not r["filled"]
    ]
    found += [
        f"audit: {f['kind'].replace('_', ' ')} in {' and '.join(f['splits'])}, {f['counts']['keys']} found, "
        f"by default: {f['action']}"
        for f in summary["audit"]
    ]
    return found


def subject_notes(real: pa.Table) -> list[str]:
    """Real samples of which nobody knows whose they are, by corpus: their people may be in train and in test."""
    found = []
    for corpus in sorted(set(real["corpus"].to_pylist())):
        subjects = real.filter(pc.equal(real["corpus"], corpus))["subject_id"]
        if subjects.null_count == len(subjects):
            found.append(
                f"no subjects are known in {corpus}: train and test may share people. If its files tell who it is, "
                "say so in its card (files.columns.subject; path_pattern where it stands in a file's name)"
            )
        elif subjects.null_count:
            found.append(
                f"subjects are not known of {subjects.null_count} of {len(subjects)} samples of {corpus}: their people "
                "may be in train and in test"
            )
    return found


def corpus_notes(cards: list[dict[str, Any]]) -> list[str]:
    """What ingest found in each corpus that no split mends (corpora/splits/conflicts.py)."""
    return [f"corpus {card['id']}: {note}" for card in cards for note in card.get("notes", [])]


def synthetic_splits(synthetic: pa.Table, view: str) -> pa.Table:
    """Synthetic rows are in train only."""
    ids = synthetic.column("sample_id").to_pylist()
    return pa.table({"view": [view] * len(ids), "sample_id": ids, "split": ["train"] * len(ids)}, schema=SPLITS)


def _link_shards(sources: list[Path], target: Path) -> None:
    """Copies by reflink where the file system can; content-addressed storage keeps one copy anyway."""
    target.mkdir()
    for folder in sources:
        for path in sorted(folder.glob("*.tar")):
            shutil.copyfile(path, target / path.name)
            (target / path.name).chmod(0o644)


def _rejects(layout: Layout, plan: Plan, prepared: Path) -> pa.Table:
    tables = [read_table(layout.corpus(c) / "rejects.parquet", REJECTS) for c in plan.params["corpora"]]
    return pa.concat_tables([*tables, read_table(prepared / "rejects.parquet", REJECTS)])


def _cards(layout: Layout, plan: Plan) -> list[dict[str, Any]]:
    cards = []
    for corpus in plan.params["corpora"]:
        card = read_json(layout.corpus(corpus) / "card.json")
        cards.append({"id": corpus, **card})
    return cards


def _counts(summary: dict[str, Any], synthetic: pa.Table) -> dict[str, dict[str, dict[str, int]]]:
    made = {r["values"]: r["counts"] for r in pc.value_counts(synthetic.column("emotion")).to_pylist()}
    return {
        split: {c: {"real": n, "synthetic": made.get(c, 0) if split == "train" else 0} for c, n in by.items()}
        for split, by in summary["counts"].items()
    }


def release_card(manifest: dict[str, Any], features: FeatureRows | None = None) -> str:
    """README.md of a release: what is in it, under which licence, and how to read it."""
    ending = {"speech": "wav", "face": "png", "text": "txt", "physio": "npz"}[manifest["modality"]]
    lines = [
        f"# {manifest['name']}",
        "",
        "A release of emoforge. What it holds is told, and hashed, in `manifest.json`.",
        "",
        f"Modality: {manifest['modality']}. Corpora: {', '.join(c['id'] for c in manifest['corpora'])}. "
        f"Licences of the real samples: {', '.join(manifest['licenses'])}; what is synthetic was made from them.",
        "",
        "| split | class | real | synthetic |",
        "|---|---|---:|---:|",
    ]
    for split, by_class in manifest["counts"].items():
        lines += [f"| {split} | {c} | {n['real']} | {n['synthetic']} |" for c, n in by_class.items()]
    lines += [
        "",
        f"Shards are WebDataset tars: `<key>.{ending}` and `<key>.json` (sample_id, emotion, subject_id, synthetic).",
        "Synthetic samples are in `shards/train-synthetic-*.tar` alone, never in dev or test."
        if any(n["synthetic"] for by in manifest["counts"].values() for n in by.values())
        else "All samples are real.",
        "",
        *(features.card() if features is not None else ()),
        *(f"- {note}" for note in manifest["notes"]),
        *(f"- Not for publishing: {reason}" for reason in manifest["reasons"]),
        *(f"- Not to be passed on: {reason}" for reason in manifest.get("restrictions", ())),
    ]
    return "\n".join(lines).rstrip() + "\n"

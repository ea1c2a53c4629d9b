"""The stage `release`: one folder that a training loop elsewhere reads with nothing of ours installed.

data/runs/<run>/release/: shards/<split>-real-*.tar, shards/train-synthetic-*.tar, index.parquet, splits.parquet,
features.parquet (where the representation has no way back), features-NAME.parquet (where a run asks for them),
scores.parquet, verdicts.parquet, lineage.parquet (who used what), requests.parquet (where a generator asks somebody
else: whom, with which prompt), selftest.json (planted defects), rejects.parquet, params.json, prepared.json (steps of
preparation and their versions), statistics.json (of train, where a step needs them), audit.json; what describes it to
people and machines (flows/describing): README.md, LICENSE.md, LICENSES/, croissant.json, SHA256SUMS; manifest.json.
`release_hash` is a hash of the manifest, which holds the hash of every other file (corpora/store/release.py); time,
place and versions are in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import GateError, IntegrityError
from corpora.formats.jsonfile import read_json
from corpora.licences import restrictions, uses
from corpora.schema import REJECTS, SPLITS
from corpora.splits.audit import apply_on_leak, audit_fitted
from corpora.store.shards import read_table
from corpora.tagged import PLACES
from flows.artifacts.augmented import Augmented, Balance, ClassTally
from flows.artifacts.evaluated import Evaluated, VerdictRow
from flows.artifacts.prepared import FindingRecord, Prepared, Summary
from flows.artifacts.released import Card, ClassCount, Manifest, Released
from flows.describing.describe import describe
from flows.params import Machine, Policy
from flows.paths import Layout
from flows.stages.feature_rows import vector_representation, write_feature_rows
from flows.stages.feature_tables import write_feature_tables
from flows.stages.lineage import lineage_table
from flows.stages.plan.plans import ReleasePlan
from generators.draws.balance import STOPS
from validators.maths.chance import UNJUDGED
from validators.trials.alarms import lines
from validators.trials.selftest import HELD_OUT, SelfTest


def run(plan: ReleasePlan, layout: Layout, machine: Machine) -> None:
    """Raises `GateError` where a verdict says no and the policy blocks, `LeakError` if more than train was seen."""
    source = layout.run(plan.run)
    prepared, augmented = Prepared.open(source / "prepared"), Augmented.open(source / "augmented")
    evaluated = Evaluated.open(source / "evaluation")
    balance, verdicts = augmented.balance(), evaluated.verdicts()
    blocking, flagged = decide(plan.policy, verdicts, balance)
    if blocking:
        raise GateError(
            f"no release of {plan.run!r}: "
            + "; ".join(blocking)
            + f". Look at {evaluated.path}; docs/gates.md says what each gate measures; what blocks is set in "
            f"params.yaml under runs.{plan.run}.policy"
        )
    real, synthetic, real_splits = prepared.index(), augmented.index(), prepared.splits()
    fitted = audit_fitted(real_splits, what_was_seen(prepared, synthetic))
    apply_on_leak(real_splits, fitted, {"fitted": plan.on_leak.fitted})  # fails, or is waived and shown
    summary = prepared.summary()
    audit = summary.audit + tuple(FindingRecord.model_validate(finding.to_json()) for finding in fitted)
    summary = summary.model_copy(update={"audit": audit})
    cards = _cards(layout, plan)
    with Released.written(source / "release") as release:
        release.link_shards([prepared.shards, augmented.shards])
        release.write_tables(
            {
                "index": pa.concat_tables([real, synthetic]),
                "splits": pa.concat_tables([real_splits, synthetic_splits(synthetic, plan.view)]),
                "verdicts": evaluated.verdict_table(),
                "lineage": lineage_table(prepared, augmented, evaluated.verdict_table()),
                "rejects": _rejects(layout, plan, prepared),
            }
        )
        if (requests := released_requests(augmented, synthetic)) is not None:
            release.write_tables({"requests": requests})
        release.copy([augmented.scores_file, evaluated.selftest_file, prepared.statistics])
        numerics = plan.all_numerics.model_dump(mode="json")
        release.write_settings({"run": plan.resolved, "numerics": numerics}, plan.prepared)
        release.write_audit(audit, summary.dropped)
        spec = vector_representation(summary.representation)
        rows = None if spec is None else write_feature_rows(release.path, spec, prepared, augmented)
        tables = write_feature_tables(release.path, plan, machine.store or layout.store) if plan.features else None
        manifest = Manifest(
            name=plan.run,
            modality=summary.modality,
            rate_hz=summary.rate_hz,
            classes=summary.classes,
            corpora=tuple(cards),
            view=plan.view,
            scheme=plan.scheme,
            counts=_counts(summary, synthetic, balance),
            licenses=tuple(sorted({*real.column("license").to_pylist()})),
            publishable=not flagged,
            reasons=tuple(flagged),
            # of licences: gates and audit do not know them
            restrictions=tuple(restrictions(cards, synthetic=bool(synthetic.num_rows))),
            terms={kind: use.to_json() for kind, use in uses(cards).items()},
            notes=(
                *notes(verdicts, balance, summary),
                *soft_notes(synthetic),
                *subject_notes(real),
                *selftest_notes(evaluated.selftest()),
                *lines(evaluated.alarms() or (), "rings"),
                *corpus_notes(cards),
            ),
            leaks=summary.leaks,
            cannot_be_judged={c: "; ".join(by_reason) for c, by_reason in unjudged(verdicts).items()},
            features=None if rows is None else rows.to_json(),
            payload_tags=payload_tags(synthetic),
            feature_tables=tables,
        )
        release.seal(manifest, describe(release.path, manifest))


def payload_tags(synthetic: pa.Table) -> dict[str, str | None] | None:
    """Codec -> where the tag of its payloads stands; None where nothing is synthetic."""
    codecs = sorted(set(synthetic.column("codec").to_pylist()))
    return {codec: PLACES[codec] for codec in codecs} if codecs else None


def released_requests(augmented: Augmented, synthetic: pa.Table) -> pa.Table | None:
    """REQUESTS of what is released, in the order of its index; None where nobody was asked for any of it.

    Raises `IntegrityError` where a sample of a generator that asks somebody has none.
    """
    requests = augmented.requests()
    if requests is None:
        return None
    place = {sample_id: i for i, sample_id in enumerate(requests["sample_id"].to_pylist())}
    ids = synthetic["sample_id"].to_pylist()
    if lost := [i for i in ids if i not in place]:
        raise IntegrityError(
            f"{augmented.path}: requests.parquet says nothing of {lost[0]} ({len(lost)} of {len(ids)} samples); run "
            "the stage augment again"
        )
    return requests.take(pa.array([place[i] for i in ids], pa.int64()))


def what_was_seen(prepared: Prepared, synthetic: pa.Table) -> dict[str, list[str]]:
    """Who learnt from what, by the files that they read: name -> sample ids. docs/audit.md"""
    seen = {"sources of synthetic samples": [i for ids in synthetic["source_ids"].to_pylist() for i in ids or ()]}
    if prepared.has_arrays:
        seen["generator"] = prepared.encoded_ids()
    seen["gates and judges"] = prepared.seen_by_gates()
    return seen


def selftest_notes(selftest: SelfTest | None) -> list[str]:
    """What the gates of this release have been shown not to see. [] where there is nothing synthetic."""
    if selftest is None:
        return []
    if selftest.why_not:
        return [f"the gates could not be tested on planted defects: {selftest.why_not}"]
    lines = []
    for o in selftest.outcomes:
        if o.defect == HELD_OUT and o.caught:
            lines.append(f"self-test: {o.n} real samples of held-out people failed {', '.join(o.by)}")
        elif o.defect != HELD_OUT and not o.caught:
            lines.append(f"self-test: the gates did not catch a planted defect ({o.defect}, n = {o.n})")
    return lines


def decide(policy: Policy, verdicts: Sequence[VerdictRow], balance: Balance) -> tuple[list[str], list[str]]:
    """-> what keeps the release from being made, and what lets it be made but not published."""
    blocking: list[str] = []
    flagged: list[str] = []
    alike: dict[tuple[str, str], list[VerdictRow]] = {}  # (gate, verdict) -> its rows: one line for all classes
    for row in verdicts:
        alike.setdefault((row.gate, row.verdict), []).append(row)
    for (gate, verdict), rows in alike.items():
        line = f"{gate} ({', '.join(r.group for r in rows)}): {verdict}, {_reasons(rows)}"
        if verdict == "fail":
            line += _measured(rows)
            (blocking if policy.on_fail == "block" else flagged).append(line)
        elif verdict == "undecided" and policy.on_undecided == "block":
            blocking.append(line)
    for tally in balance.classes:
        if not tally.filled and policy.on_unfilled == "block":
            have = tally.real_train + tally.effective
            blocking.append(f"class {tally.emotion!r} has {have} of {tally.target} train samples{_why(tally)}")
    return blocking, flagged


def _reasons(rows: Sequence[VerdictRow]) -> str:
    """One reason for all, or one for each group."""
    if len({r.reason for r in rows}) == 1:
        return rows[0].reason
    return "; ".join(r.reason if r.reason.startswith(r.group) else f"{r.group}: {r.reason}" for r in rows)


def _measured(rows: Sequence[VerdictRow]) -> str:
    """What was measured and what was wanted, " (0.13 [0.09, 0.19], limit 0.21)"; of each group where they differ; ""
    where nothing could be measured."""
    texts = {
        r.group: f"{r.value:.3g} [{r.low:.3g}, {r.high:.3g}], limit {r.limit:.3g}"
        for r in rows
        if all(map(isfinite, (r.value, r.low, r.high, r.limit)))
    }
    if len(set(texts.values())) > 1:
        return " (" + "; ".join(f"{group} {text}" for group, text in texts.items()) + ")"
    return "".join(f" ({text})" for text in set(texts.values()))


def unjudged(verdicts: Sequence[VerdictRow]) -> dict[str, dict[str, list[str]]]:
    """Class -> why it cannot be judged -> the gates that say so: their judges do not tell it on real people."""
    by_class: dict[str, dict[str, list[str]]] = {}
    for row in verdicts:
        if row.unjudged:
            why = row.reason.removeprefix(UNJUDGED + ": ")
            by_class.setdefault(row.group, {}).setdefault(why, []).append(row.gate)
    return by_class


def _why(tally: ClassTally) -> str:
    """Why sampling of a class that was not filled ended."""
    return f" ({STOPS[tally.stopped]})"


def notes(verdicts: Sequence[VerdictRow], balance: Balance, summary: Summary) -> list[str]:
    """What a user of the release must know and does not stop it."""
    lines = []
    if summary.representation is None:
        lines.append(
            "no generator: real samples alone, split, prepared and audited; classes are as unbalanced as the corpora"
        )
    elif not any(tally.accepted for tally in balance.every):
        drawn = sum(tally.candidates for tally in balance.every)
        lines.append(
            f"real samples alone: {f'of {drawn} candidates none is released' if drawn else 'nothing was drawn'}"
        )
    lines += weight_notes(balance)
    released = {tally.emotion: tally.accepted for tally in balance.classes}
    lines += [
        f"class {emotion!r} cannot be judged by {' and '.join(gates)}, {released.get(emotion, 0)} synthetic samples of "
        f"it are released all the same: {why}"
        for emotion, by_reason in unjudged(verdicts).items()
        for why, gates in by_reason.items()
    ]
    unsure: dict[tuple[str, str], list[str]] = {}
    for row in verdicts:
        if row.verdict == "undecided" and not row.unjudged:
            unsure.setdefault((row.gate, row.reason), []).append(row.group)
    lines += [f"gate {gate} ({', '.join(groups)}) is undecided: {why}" for (gate, why), groups in unsure.items()]
    lines += [
        f"class {tally.emotion!r} was not filled: {tally.real_train + tally.effective} of {tally.target} train samples"
        f"{_why(tally)}"
        for tally in balance.classes
        if not tally.filled
    ]
    lines += [
        f"audit: {f.kind.replace('_', ' ')} in {' and '.join(f.splits)}, {f.counts['keys']} found, "
        f"by default: {f.action}"
        for f in summary.audit
    ]
    return lines


def weight_notes(balance: Balance) -> list[str]:
    """Who reads rows alone takes a weighted class for several times as large as it is to be."""
    if balance.target is None or balance.target.by != "weight":
        return []
    rows, counted = sum(t.accepted for t in balance.every), sum(t.effective for t in balance.every)
    if not rows:
        return []
    return [
        f"synthetic samples are weighted: {rows} of them count for {counted}. Multiply each loss by `weight` (in "
        "index.parquet and in the json beside a payload; without one it is 1), or draw as many as they count for: "
        'emoforge.open_release(path, weights="draw")'
    ]


def soft_notes(synthetic: pa.Table) -> list[str]:
    """Who reads `emotion` alone takes a sample of several classes for one of a single class."""
    soft = [bool(labels) for labels in synthetic.filter(pc.is_valid(synthetic["emotion"]))["labels"].to_pylist()]
    if not any(soft):
        return []
    return [
        f"{sum(soft)} of {len(synthetic)} synthetic samples are not of their class alone: `labels` holds the share of "
        "each class, and a loss is to weigh them by it; `emotion` is the class of the largest share"
    ]


def subject_notes(real: pa.Table) -> list[str]:
    """Real samples of which nobody knows whose they are, by corpus: their people may be in train and in test."""
    lines = []
    for corpus in sorted(set(real["corpus"].to_pylist())):
        subjects = real.filter(pc.equal(real["corpus"], corpus))["subject_id"]
        if subjects.null_count == len(subjects):
            lines.append(
                f"no subjects are known in {corpus}: train and test may share people. If its files tell who it is, "
                "say so in its card (files.columns.subject; path_pattern where it stands in a file's name)"
            )
        elif subjects.null_count:
            lines.append(
                f"subjects are not known of {subjects.null_count} of {len(subjects)} samples of {corpus}: their people "
                "may be in train and in test"
            )
    return lines


def corpus_notes(cards: Sequence[Card]) -> list[str]:
    """What ingest found in each corpus that no split mends (corpora/splits/conflicts.py)."""
    return [f"corpus {card['id']}: {note}" for card in cards for note in _texts(card.get("notes"))]


def _texts(value: object) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else []


def synthetic_splits(synthetic: pa.Table, view: str) -> pa.Table:
    """SPLITS: synthetic rows are in train only."""
    ids = synthetic.column("sample_id").to_pylist()
    return pa.table({"view": [view] * len(ids), "sample_id": ids, "split": ["train"] * len(ids)}, schema=SPLITS)


def _rejects(layout: Layout, plan: ReleasePlan, prepared: Prepared) -> pa.Table:
    of_corpora = [read_table(layout.corpus(c) / "rejects.parquet", REJECTS) for c in plan.corpus_names]
    return pa.concat_tables([*of_corpora, prepared.rejects()])


def _cards(layout: Layout, plan: ReleasePlan) -> list[Card]:
    return [{"id": corpus, **read_json(layout.corpus(corpus) / "card.json")} for corpus in plan.corpus_names]


def _counts(summary: Summary, synthetic: pa.Table, balance: Balance) -> dict[str, dict[str, ClassCount]]:
    drawn: Mapping[str, int] = {
        r["values"]: r["counts"] for r in pc.value_counts(synthetic.column("emotion")).to_pylist()
    }
    weighted = balance.target is not None and balance.target.by == "weight"
    effective = {t.emotion: t.effective for t in balance.classes} if weighted else {}
    return {
        split: {
            c: ClassCount(real=n, synthetic=drawn.get(c, 0), effective=effective.get(c))
            if split == "train"
            else ClassCount(real=n, synthetic=0)
            for c, n in by_class.items()
        }
        for split, by_class in summary.counts.items()
    }

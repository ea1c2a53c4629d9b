"""What preparation came to, for summary.json: counts of the run and of each corpus, findings, what was left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from corpora.schema import SPLIT_NAMES
from corpora.splits.audit import Finding
from flows.artifacts.prepared import CorpusSummary, Counts, FindingRecord, Leak, Summary
from flows.stages.plan.plans import PreparePlan
from flows.stages.prepare.writer import Writer


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was to be prepared. view: sample id -> split. dropped: what leaks took (DROPPED). unlabelled: corpus ->
    native emotion that the scheme has no word for -> samples."""

    view: Mapping[str, str]
    findings: Sequence[Finding]
    dropped: pa.Table
    unlabelled: Mapping[str, Counter[str]]


def summarised(
    plan: PreparePlan, writer: Writer, classes: Sequence[str], chosen: Chosen, readers: Mapping[str, str]
) -> Summary:
    """After `writer.write`. `readers`: corpus -> name on its card."""
    counts, by_corpus = _counts(writer, classes, plan.corpus_names)
    noted: Counter[str] = sum(writer.noted.values(), Counter())
    return Summary(
        modality=plan.modality,
        rate_hz=plan.steps.model_dump()["resample"]["rate_hz"] if plan.modality == "speech" else None,
        classes=tuple(classes),
        counts=counts,
        corpora=plan.corpus_names,
        scheme=plan.scheme,
        view=plan.view,
        representation=writer.representation,
        prepared=plan.described,
        audit=tuple(FindingRecord.model_validate(finding.to_json()) for finding in chosen.findings),
        dropped=chosen.dropped.num_rows,
        leaks=leak_shares(chosen.view, chosen.dropped),
        unlabelled=dict(sum(chosen.unlabelled.values(), Counter[str]())),
        rejected=dict(Counter(reject.reason for reject in writer.rejects)),
        noted=dict(noted),
        not_encoded=writer.n_not_encoded,
        by_corpus={
            corpus: CorpusSummary(
                reader=readers[corpus],
                counts=by_corpus[corpus],
                samples=writer.n_samples[corpus],
                prepared=sum(sum(by_class.values()) for by_class in by_corpus[corpus].values()),
                rejected=dict(Counter(reject.reason for reject in writer.rejects if reject.corpus == corpus)),
                rejected_of_class=dict(writer.rejected_of_class[corpus]),
                unlabelled=sum(chosen.unlabelled.get(corpus, Counter()).values()),
                noted=dict(writer.noted[corpus]),
            )
            for corpus in plan.corpus_names
        },
    )


def leak_shares(view: Mapping[str, str], dropped: pa.Table) -> dict[str, Leak]:
    """Split -> samples of the view before leaks went, and kind of leak -> how many went; splits that lost none are
    left out. `view`: what is left."""
    gone: dict[str, Counter[str]] = defaultdict(Counter)
    for split, kind in zip(dropped["split"].to_pylist(), dropped["kind"].to_pylist(), strict=True):
        gone[split][kind] += 1
    left = Counter(view.values())
    return {s: Leak(of=left[s] + by.total(), dropped=dict(by)) for s, by in sorted(gone.items())}


def _counts(writer: Writer, classes: Sequence[str], corpora: Sequence[str]) -> tuple[Counts, dict[str, Counts]]:
    """Prepared samples of each split and class: of the run, and of each corpus."""
    of_run: Counts = {split: dict.fromkeys(classes, 0) for split in SPLIT_NAMES}
    by_corpus: dict[str, Counts] = {c: {split: dict.fromkeys(classes, 0) for split in SPLIT_NAMES} for c in corpora}
    for (corpus, split, emotion), n in writer.prepared.items():
        of_run[split][emotion] += n
        by_corpus[corpus][split][emotion] += n
    return of_run, by_corpus

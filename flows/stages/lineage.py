"""lineage.parquet of a release (corpora.schema.LINEAGE): what fit, augment and evaluate know of where things came from.

    thing            role            used
    a sample         subject         subject:<subject id>
    a synthetic one  generator       generator:<id>
                     source:<role>   the real sample that it started from
                     list            list:<key>: the draws that it was made with, in one batch
    list:<key>       draw:<row>      literal, a draw's canonical JSON (condition, seed, sources); its hash is a name
    generator:<id>   name            literal, the generator's name
                     weights, params, code    weights:<sha256>, params:<sha256>, code:<sha256>
                     loads           literal, "<sha256> <path>" of what a parameter names
                     fitted on       a real sample
    judges           learned from    a real sample: what gates and judges have seen
    gate:<name>      judge           literal, what measured: name and hash

Margins stand in scores.parquet. Only what makes a sample is here, nothing of how it came about (threads that made no
difference, times, plans): a release whose samples are the same stays the same (docs/adr/0014-lineage-is-identity.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from corpora.schema import LINEAGE
from flows.artifacts.augmented import Augmented
from flows.artifacts.prepared import Prepared

Edge = tuple[str, str, str]
JUDGES = "judges"


def lineage_table(prepared: Prepared, augmented: Augmented, verdicts: pa.Table) -> pa.Table:
    """LINEAGE of a run, in a fixed order. verdicts: VERDICTS of its evaluation."""
    synthetic = augmented.index()
    edges = [
        *_subjects(prepared.index()),
        *_subjects(synthetic),
        *_samples(synthetic, augmented.draws()),
        *_lists(augmented.draws()),
        *_generator(prepared, augmented),
        *((JUDGES, sample, "learned from") for sample in prepared.seen_by_gates()),
        *_judges([augmented.scores(), verdicts]),
    ]
    columns = zip(*edges, strict=True) if edges else [()] * len(LINEAGE)
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=LINEAGE)


def _subjects(index: pa.Table) -> Iterator[Edge]:
    for sample, subject in zip(index["sample_id"].to_pylist(), index["subject_id"].to_pylist(), strict=True):
        if subject is not None:
            yield sample, f"subject:{subject}", "subject"


def _samples(synthetic: pa.Table, draws: pa.Table) -> Iterator[Edge]:
    lists = dict(zip(draws["sample_id"].to_pylist(), draws["list"].to_pylist(), strict=True))
    for row in synthetic.select(["sample_id", "generator_id", "sources"]).to_pylist():
        sample = row["sample_id"]
        yield sample, f"generator:{row['generator_id']}", "generator"
        for source in row["sources"] or ():
            yield sample, source["id"], f"source:{source['role']}"
        if sample in lists:
            yield sample, f"list:{lists[sample]}", "list"


def _lists(draws: pa.Table) -> Iterator[Edge]:
    for row in draws.to_pylist():
        yield f"list:{row['list']}", row["draw"], f"draw:{row['row']}"


def _generator(prepared: Prepared, augmented: Augmented) -> Iterator[Edge]:
    by = augmented.drawn_by()
    if by is None:
        return
    thing = f"generator:{by.generator_id}"
    yield thing, by.generator, "name"
    for role, value in (("weights", by.weights), ("params", by.params), ("code", by.code)):
        yield thing, f"{role}:{value}", role
    for path, sha256 in sorted(by.loads.items()):
        yield thing, f"{sha256} {path}", "loads"
    for sample in prepared.encoded_ids():
        yield thing, sample, "fitted on"


def _judges(tables: Sequence[pa.Table]) -> Iterator[Edge]:
    pairs = {
        (str(row["gate"]), str(row["judge"]))
        for table in tables
        for row in table.group_by(["gate", "judge"]).aggregate([]).to_pylist()
        if row["judge"]
    }
    for gate, judge in sorted(pairs):
        yield f"gate:{gate}", judge, "judge"

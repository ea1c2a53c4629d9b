"""How good the list of doubted labels is: some labels of a prepared run are turned at random, and looked for in it.

    python -m benchmarks.doubted_labels data/runs/ravdess [--share 0.05] [--draws 3] [--judge linear+forest]

Printed of each draw: labels that were turned; how many of them are among the first so many of the list, among the first
twice as many, and among all issues; and the AUC of the list's order. A turned label becomes any of the others, equally
likely. What a corpus has wrong by itself counts as right, so that the figures are lower bounds. The run needs no
generator: a run of real samples alone, prepared, is enough.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from flows.artifacts.prepared import Prepared
from flows.stages.augment.batches import batch_from_table
from flows.stages.augment.gating import form_of
from validators.gates.agreement import JudgeParams
from validators.trials.doubts import doubted_labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a prepared run")
    parser.add_argument("--share", type=float, default=0.05, help="of the labels that are turned")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--judge", default="linear+forest")
    parser.add_argument("--most", type=int, default=None, help="samples, the first in the order of the shards")
    options = parser.parse_args()
    prepared = Prepared.open(options.run / "prepared")
    summary = prepared.summary()
    table = prepared.index()
    if options.most is not None:
        table = table.slice(0, options.most)
    batch = batch_from_table(prepared.path, table, form_of(summary))
    params = JudgeParams(judge=options.judge)
    print("| draw | n | turned | among the first so many | among the first twice as many | among all issues | AUC |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for draw in range(options.draws):
        rng = np.random.default_rng(draw)
        turned = rng.choice(len(batch), round(options.share * len(batch)), replace=False)
        labels = list(batch.emotions)
        for i in turned:
            labels[i] = str(rng.choice([c for c in summary.classes if c != labels[i]]))
        wrong = {batch.ids[i] for i in turned}
        changed = dataclasses.replace(batch, emotions=tuple(labels), cache={})
        rows = doubted_labels(changed, summary.classes, seed=draw, params=params).rows
        hits = np.array([row.sample_id in wrong for row in rows])
        issues = np.array([row.issue for row in rows])
        k = int(hits.sum())
        auc = roc_auc_score(hits, -np.arange(len(hits)))
        listed = f"{hits[:k].sum()} | {hits[: 2 * k].sum()} | {(hits & issues).sum()} (of {issues.sum()})"
        print(f"| {draw} | {len(rows)} | {k} | {listed} | {auc:.2f} |", flush=True)


if __name__ == "__main__":
    main()

"""A published claim re-run on a corpus: its protocols side by side, and the difference that they alone make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.model_selection import StratifiedGroupKFold

from corpora.errors import CorpusError, UserError
from corpora.near.pairs import near_pairs
from corpora.readers import make_corpus
from corpora.schema import SPLITS, Sample
from corpora.splits.audit import apply_on_leak, audit_view
from corpora.splits.sides import Side, side_of_samples
from flows.audits.decoded import side_batch
from flows.claims.claim import Claim, Protocol
from validators.batch import usable
from validators.embeddings.features import PLAIN, plain_features
from validators.trials.downstream import CLASSIFIER
from validators.trials.leakworth import Interval
from validators.trials.protocols import (
    METRICS,
    Fold,
    Metric,
    Scored,
    Task,
    interval_of,
    random_folds,
    score_after,
    score_before,
)

REPEATS = 3  # of a random split
FOLDS = 5  # of subjects
# copies go; a subject or a group on both sides of an audited split would be a fault of ours
_DROP = {"repeats": "drop", "near": "drop", "short_texts": "waive", "subject": "waive", "session": "waive"}
_DROP |= {"recording": "waive"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One protocol. real, added: accuracy and UAR without and with added rows, in [0, 1]; gain: added minus real. Rows:
    learned from in the first fold without and with added ones, answers that were tested, groups of those. dropped:
    train rows that were taken away as copies, over all folds."""

    protocol: Protocol
    real: Mapping[Metric, Interval]
    added: Mapping[Metric, Interval]
    gain: Mapping[Metric, Interval]
    n_real: int
    n_added: int
    n_test: int
    groups: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Rerun:
    """A claim re-run. measured: in the order of its protocols; the last is audited. by_protocol: the claim's quantity
    under the first protocol minus that under the last, by metric; the two are resampled apart."""

    claim: Claim
    classifier: str
    classes: tuple[str, ...]
    samples: int
    subjects: int | None
    measured: tuple[Measured, ...]
    by_protocol: Mapping[Metric, Interval]


def rerun_claim(claim: Claim, data: Path, *, seed: int = 0, n_bootstrap: int = 1000) -> Rerun:
    """Reads `data` with the claim's reader. Raises `CorpusError` for another folder, `UserError` where a protocol
    cannot be (no published split, one subject)."""
    samples = _samples(claim, data)
    side = side_of_samples(claim.rerun.reader, samples)
    batch = side_batch(side)
    good = usable(batch) & np.asarray([bool(name) for name in batch.emotions])
    classes = tuple(sorted({name for name, ok in zip(batch.emotions, good, strict=True) if ok}))
    if len(classes) < 2:
        raise UserError(f"{data} holds {len(classes)} class of {claim.rerun.reader}; a claim needs two at least")
    rows = np.flatnonzero(good)
    known = [samples[i].subject_id for i in rows]
    subjects = None if None in known else np.asarray(known, str)
    task = Task(
        x=plain_features(batch)[rows],
        y=np.asarray([classes.index(batch.emotions[i]) for i in rows]),
        groups=subjects if subjects is not None else np.asarray([samples[i].group_id for i in rows], str),
        classes=classes,
    )
    corpus = _Corpus(side, samples, rows, subjects, near_pairs(side.prints))
    scored = [_measure(protocol, claim, task, corpus, seed, n_bootstrap) for protocol in claim.rerun.protocols]
    quantity = claim.rerun.quantity
    first, last = scored[0][1], scored[-1][1]
    one_group = min(scored[0][0].groups, scored[-1][0].groups) < 2
    return Rerun(
        claim,
        CLASSIFIER + PLAIN[batch.kind],
        classes,
        len(rows),
        None if subjects is None else len(np.unique(subjects)),
        tuple(one for one, _ in scored),
        {m: _apart(_quantity(first, quantity, m), _quantity(last, quantity, m), seed, one_group) for m in METRICS},
    )


@dataclass(frozen=True, slots=True)
class _Corpus:
    """rows: which of the samples the task's rows are."""

    side: Side
    samples: Sequence[Sample]
    rows: np.ndarray
    subjects: np.ndarray | None
    near: pa.Table


def _samples(claim: Claim, data: Path) -> list[Sample]:
    if not data.is_dir():
        raise CorpusError(f"{data} is no folder; --data is the folder of {claim.rerun.reader} as it is published")
    reader = make_corpus(claim.rerun.reader, claim.rerun.options)
    samples = [one for one in reader.read(data, claim.rerun.reader) if isinstance(one, Sample)]
    if not samples:
        raise CorpusError(f"{data} holds no sample that the reader {claim.rerun.reader} can use")
    return samples


def _measure(
    protocol: Protocol, claim: Claim, task: Task, corpus: _Corpus, seed: int, n_bootstrap: int
) -> tuple[Measured, tuple[Scored, Scored]]:
    folds = _folds(protocol, task, corpus, seed)
    kept, dropped = folds, 0
    if protocol.copies == "drop":
        kept = [_without_copies(fold, corpus) for fold in folds]
        dropped = sum(len(a.train) - len(b.train) for a, b in zip(folds, kept, strict=True))
    jitter = claim.rerun.jitter
    real = score_after(task, kept, jitter=None, seed=seed, n_bootstrap=n_bootstrap)
    if protocol.augmentation == "before":
        added = score_before(task, jitter=jitter, repeats=REPEATS, seed=seed, n_bootstrap=n_bootstrap)
        gains = {m: _apart(added.of(m), real.of(m), seed, real.groups < 2) for m in METRICS}
    else:  # the same test samples: paired
        added = score_after(task, kept, jitter=jitter, seed=seed, n_bootstrap=n_bootstrap)
        gains = {m: interval_of(added.of(m) - real.of(m), real.groups < 2) for m in METRICS}
    measured = Measured(
        protocol,
        {m: real.interval(m) for m in METRICS},
        {m: added.interval(m) for m in METRICS},
        gains,
        real.n_train,
        added.n_train,
        added.n_test,
        added.groups,
        dropped,
    )
    return measured, (real, added)


def _folds(protocol: Protocol, task: Task, corpus: _Corpus, seed: int) -> list[Fold]:
    if protocol.split == "random":
        if np.bincount(task.y).min() < 2:
            raise UserError("a class of one sample cannot be split at random")
        return random_folds(task.y, REPEATS, seed)
    if protocol.split == "official":
        published = [corpus.samples[i].extra.get("official_split") for i in corpus.rows]
        train = np.asarray([name == "train" for name in published])
        test = np.asarray([name in ("dev", "test") for name in published])
        if not train.any() or not test.any():
            raise UserError("the published split lacks train or test here; give the folder as it is published")
        return [Fold(np.flatnonzero(train), np.flatnonzero(test))]
    if corpus.subjects is None or len(np.unique(corpus.subjects)) < 2:
        raise UserError("folds of subjects need two subjects at least, and every sample's to be known")
    k = min(FOLDS, len(np.unique(corpus.subjects)))
    splitter = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed)
    return [Fold(train, test) for train, test in splitter.split(task.x, task.y, corpus.subjects)]


def _without_copies(fold: Fold, corpus: _Corpus) -> Fold:
    """Train without exact and near copies of test. Raises `LeakError` where a group lies on both sides."""
    ids = corpus.side.index["sample_id"].to_pylist()
    row_of = {ids[sample]: row for row, sample in enumerate(corpus.rows)}
    of = [(row, "train") for row in fold.train] + [(row, "test") for row in fold.test]
    columns = {
        "view": ["claim"] * len(of),
        "sample_id": [ids[corpus.rows[row]] for row, _ in of],
        "split": [split for _, split in of],
    }
    view = pa.Table.from_pydict(columns, schema=SPLITS)
    new, _ = apply_on_leak(view, audit_view(corpus.side.index, view, corpus.near), _DROP)
    left = zip(new["sample_id"].to_pylist(), new["split"].to_pylist(), strict=True)
    train = sorted(row_of[i] for i, split in left if split == "train")
    return Fold(np.asarray(train, dtype=np.int64), fold.test)


def _quantity(scored: tuple[Scored, Scored], quantity: str, metric: Metric) -> np.ndarray:
    real, added = scored
    if quantity == "real":
        return real.of(metric)
    return added.of(metric) if quantity == "added" else added.of(metric) - real.of(metric)


def _apart(a: np.ndarray, b: np.ndarray, seed: int, one_group: bool) -> Interval:
    """Difference of two that were resampled apart, over other samples: the resamples of the second are shuffled."""
    order = np.random.default_rng(seed).permutation(len(b) - 1) + 1
    return interval_of(np.concatenate([a[:1] - b[:1], a[1:] - b[order]]), one_group)

"""The gate that asks whether a conversion is still the person that it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from corpora.errors import UnknownNameError
from corpora.fingerprint import hash_json
from validators.batch import Batch, rows_of, usable
from validators.embeddings.features import encoders_in
from validators.embeddings.people import (
    KINDS,
    IdentityEmbedding,
    fit_identity,
    known_subjects,
    levelled,
    recognisable,
    subjects_of,
    why_no_people,
)
from validators.gate import AnyParams, Foreseen, GateParams, Limit, SampleGate
from validators.maths.chance import UNJUDGED
from validators.maths.intervals import wilson_interval
from validators.maths.sets import unit_rows
from validators.roster import Roster
from validators.state import arrays_hash, load_state, save_state

NO_SOURCE = 2.0  # score of what has no identity to keep: the largest that a difference of two cosines can be
_DIGITS = 5  # scores are rounded: their last bits depend on how many rows went through a network together


class IdentityParams(GateParams):
    """Parameters of the gate `identity`."""

    embedding: str = Field(
        "statistics",
        description="what tells people apart: statistics, network, both; with the extra `pretrained` speaker_ge2e "
        "(speech), face_dlib (faces), alone or beside statistics: statistics+speaker_ge2e (docs/encoders.md)",
    )
    folds: int = Field(3, ge=2, le=1000, description="parts of each subject's samples, held out in turn")
    steps: int = Field(0, ge=0, description="of the network's training; 0: by the size of train")

    @field_validator("embedding")
    @classmethod
    def _known(cls, embedding: str) -> str:
        if embedding not in KINDS:
            raise ValueError(str(UnknownNameError.of("embedding", embedding, KINDS)))
        return embedding


class Identity(SampleGate):
    """score = cosine(candidate, its source's subject) - largest cosine(candidate, another subject of train).

    In [-2, 2]; above 0: the candidate is nearer to the person it was made from than to anybody else of train. A margin
    and not the bare cosine, because all converted samples move away from real ones alike, and because a cosine of one
    corpus says nothing in another. A subject is the mean of the unit vectors of its real train samples. Cross-fitted
    within subjects: a fold holds out whole emotions of each subject (single samples where a subject shows one emotion
    only), so that neither a repetition of the line nor that mood of the person was learned. A real sample is scored by
    the embedding and the means that lack its fold, a conversion by those that lack its source (sources in several
    folds: the mean of these folds, each of which lacks one). Gain does not matter.

    What was made from nothing has no identity to keep and gets 2, the largest possible value, so that any limit from
    real data admits it (`admit` refuses infinities); so do real samples given to `score`. `reference()` holds real
    margins only. NaN: not usable, silent, another sampling rate, a source that train does not know or whose subject has
    a single sample (source-unknown), sources of several subjects.

    Cannot be used, and `fit` says so: with fewer than 2 subjects of 2 samples, and where a corpus names no subjects
    (FER2013). It compares with the people of train only: a stranger may be nearer to the subject than to the others.
    Not among the default gates.
    """

    name = "identity"
    unit = "difference of cosines"
    question = "is a conversion still the same person?"
    better = "higher"
    modalities = ("speech", "face")
    default_limit = Limit(quantile=0.05)
    Params = IdentityParams

    def __init__(
        self, embeddings: Sequence[IdentityEmbedding], arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> None:
        self._embeddings, self._arrays, self._facts = list(embeddings), dict(arrays), dict(facts)
        self._fold_of: dict[str, int] = facts["fold_of"]
        self._subject_of: dict[str, int] = facts["subject_of"]
        digest = hash_json([[e.name for e in embeddings], arrays_hash(arrays), dict(facts)])
        self.judge = f"identity-{facts['kind']}/{digest[:12]}"

    @classmethod
    def fit(
        cls,
        train: Batch,
        *,
        classes: Sequence[str],
        known_sha256: frozenset[str],
        params: AnyParams,
        seed: int,
    ) -> Identity:
        """Raises `UserError` without 2 subjects of 2 samples each, `ParamsError` for parameters."""
        options = IdentityParams.of(params, cls.name)
        folds = options.folds
        batch = rows_of(train, recognisable(train) & np.isin(np.asarray(train.emotions, str), classes))
        subjects = known_subjects(batch)
        batch = rows_of(batch, np.isin(subjects_of(batch), subjects))
        who = np.asarray([subjects.index(s) for s in subjects_of(batch)])
        fold = folds_within(who, np.asarray(batch.emotions, str), folds, seed)
        embeddings, centroids = [], []
        reference = np.full(len(batch), np.nan)
        levelled(batch)  # once for all folds
        for f in range(folds):
            embedding = fit_identity(
                rows_of(batch, fold != f),
                kind=options.embedding,
                seed=seed + f,
                steps=options.steps or None,
                subjects=subjects,
            )
            points = embedding.embed(batch)
            means = unit_rows(np.stack([points[(fold != f) & (who == k)].mean(axis=0) for k in range(len(subjects))]))
            reference[fold == f] = _margin(points[fold == f], means, who[fold == f])
            embeddings.append(embedding)
            centroids.append(means)
        facts = {
            "kind": options.embedding,
            "modality": train.modality,
            "rate_hz": train.rate_hz or None,
            "classes": list(classes),
            "subjects": subjects,
            "emotions": list(batch.emotions),
            "fold_of": dict(zip(batch.ids, fold.tolist(), strict=True)),
            "subject_of": dict(zip(batch.ids, who.tolist(), strict=True)),
        }
        arrays = {f"{f}.means": means for f, means in enumerate(centroids)}
        return cls(embeddings, arrays | {"reference": np.round(reference, _DIGITS)}, facts)

    @classmethod
    def foresee(
        cls,
        train: Roster,
        dev: Roster | None,
        *,
        classes: Sequence[str],
        params: AnyParams,
        limit: Limit,
        seed: int,
    ) -> Foreseen:
        """Subjects that are not known, or too few of them."""
        return Foreseen(why_no_people(train.subjects or (None,) * len(train)))

    @classmethod
    def encoders(cls, params: AnyParams) -> tuple[str, ...]:
        """The encoder of voices or faces, where one is asked for."""
        return encoders_in(IdentityParams.of(params, cls.name).embedding)

    def cannot_judge(self, limit: Limit) -> dict[str, str]:
        """Classes in which real people are nearest to themselves no more often than chance, by its 95 % interval: with
        a margin that means nothing, another person's voice or face passes as well as the own."""
        chance, unable = 1.0 / len(self._facts["subjects"]), {}
        for name, margins in self.reference().items():
            right = margins[np.isfinite(margins)] > 0
            if right.size and wilson_interval(float(right.sum()), right.size)[0] <= chance:
                unable[name] = (
                    f"{UNJUDGED}: {int(right.sum())} of {right.size} real samples of {name} are nearest to their "
                    f"own person ({right.mean():.2f}, chance is {chance:.2f})"
                )
        return unable

    def score(self, batch: Batch) -> np.ndarray:
        """-> [B] float64; 2 without a source, NaN where `reasons` has something to say."""
        reasons = self.reasons(batch)
        out = np.asarray([np.nan if reason else NO_SOURCE for reason in reasons], dtype=np.float64)
        sources = batch.source_ids or ((),) * len(batch)
        rows = np.asarray([i for i in range(len(batch)) if reasons[i] is None and sources[i]], dtype=np.int64)
        known = [[s for s in sources[i] if s in self._fold_of] for i in rows]
        who = np.asarray([self._subject_of[ids[0]] for ids in known], dtype=np.int64)
        by_fold = np.full((len(rows), len(self._embeddings)), np.nan)
        for f, embedding in enumerate(self._embeddings):
            mine = np.asarray([f in {self._fold_of[s] for s in ids} for ids in known], dtype=bool)
            if mine.any():
                points = embedding.embed(rows_of(batch, rows[mine]))
                by_fold[mine, f] = _margin(points, self._arrays[f"{f}.means"], who[mine])
        if len(rows):
            out[rows] = np.round(np.nanmean(by_fold, axis=1), _DIGITS)
        return out

    def reasons(self, batch: Batch) -> list[str | None]:
        """-> [B] slugs: wrong-rate, not-usable, silent (or of one gray), source-unknown,
        sources-of-several-subjects."""
        ok, clear = usable(batch), recognisable(batch)
        wrong = (batch.rate_hz or None) != self._facts["rate_hz"]
        out: list[str | None] = []
        for i in range(len(batch)):
            sources = batch.source_ids[i] if batch.source_ids else ()
            subjects = {self._subject_of[s] for s in sources if s in self._subject_of}
            if wrong or not ok[i] or not clear[i]:
                out.append("wrong-rate" if wrong else "silent" if ok[i] else "not-usable")
            elif sources and not subjects:
                out.append("source-unknown")
            else:
                out.append("sources-of-several-subjects" if len(subjects) > 1 else None)
        return out

    def reference(self) -> dict[str, np.ndarray]:
        """Class -> margins of real train samples, by the fold that holds them out."""
        of_row = np.asarray(self._facts["emotions"], dtype=str)
        return {name: self._arrays["reference"][of_row == name] for name in self._facts["classes"]}

    def save(self, folder: Path) -> None:
        """The gate's own state, and each fold's embedding in a folder of its own (0, 1, ...)."""
        save_state(folder, self._arrays, self._facts)
        for f, embedding in enumerate(self._embeddings):
            embedding.save(folder / str(f))

    @classmethod
    def load(cls, folder: Path) -> Identity:
        """What `save` wrote. Raises `IntegrityError` where the two files do not belong together."""
        arrays, facts = load_state(folder)
        facts.pop("arrays")
        folds = sum(key.endswith(".means") for key in arrays)
        return cls([IdentityEmbedding.load(folder / str(f)) for f in range(folds)], arrays, facts)


def _margin(points: np.ndarray, means: np.ndarray, who: np.ndarray) -> np.ndarray:
    """[n, d], [S, d], [n] -> [n]: cosine to the own mean less the largest to another."""
    likeness = points @ means.T
    rows = np.arange(len(points))
    own = likeness[rows, who]
    likeness[rows, who] = -np.inf
    margin: np.ndarray = own - likeness.max(axis=1)
    return margin


def folds_within(who: np.ndarray, emotions: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """[n] subject indices and emotions -> [n] int64 fold that holds each sample out.

    Whole emotions of a subject go together; where a subject shows one only, its samples are dealt out singly. Every
    subject of at least 2 samples has samples outside of each fold.
    """
    fold = np.zeros(len(who), dtype=np.int64)
    for k in np.unique(who):
        rows = np.flatnonzero(who == k)
        units = emotions[rows]
        if len(np.unique(units)) < 2:
            units = np.arange(len(rows)).astype(str)
        names = np.unique(units)
        order = np.random.default_rng([seed, int(k)]).permutation(len(names))
        for place, index in enumerate(order):
            fold[rows[units == names[index]]] = (place + int(k)) % folds
    return fold

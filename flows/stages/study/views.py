"""The views of a study: who is tested, and what train lacks. Each is (condition, fold, seed) over the rows.

Leaks are looked for in each outer view before anything is pruned, and what the study's `on_leak` says is done: a copy
of a test sample that stays in train would be counted as skill.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from corpora.errors import SplitError, UnknownNameError, UserError
from corpora.schema import SPLITS
from corpora.splits.audit import SHORT_TEXT, apply_on_leak, audit_view
from corpora.splits.longtail import long_tail
from corpora.splits.splits import make_view, pruned_ids
from corpora.splits.views import Prune, ViewSpec
from flows.params import OnLeak
from flows.stages.study.heard import Heard
from flows.stages.study.rows import RowFacts
from flows.studying import Conditions, StudyParams, Vault
from validators.trials.studies.answers import AS_IS

VAULT_FOLD = 0  # the one fold of a look at the vault


@dataclass(frozen=True, slots=True)
class View:
    """train, gone, test: indices of rows, sorted. gone: what the condition took from train. heard: how test samples
    were changed, None: not at all."""

    condition: str
    pruned: str | None
    fold: int
    seed: int
    train: np.ndarray
    gone: np.ndarray
    test: np.ndarray
    heard: Heard | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """An outer view after leaks: sample id -> train or test."""

    spec: ViewSpec
    split_of: Mapping[str, str]


def in_vault(facts: RowFacts, vault: Vault) -> bool:
    """Whether a row is of people whom development must not see."""
    subject = facts.subject or ""
    named = subject in vault.subjects or subject.partition(":")[2] in vault.subjects
    return named or (facts.official in vault.official)


def require_vault(study: str, facts: Sequence[RowFacts], vault: Vault) -> None:
    """Raises `UserError` for a subject of the vault that no row is of: a name that is misspelt protects nobody."""
    known = {fact.subject for fact in facts if fact.subject}
    short = {name.partition(":")[2] for name in known}
    for name in vault.subjects:
        if name not in known | short:
            shown = ", ".join(sorted(short or known)[:12]) or "none"
            raise UserError(f"studies.{study}.vault: no subject {name!r}; the corpora have {shown}")
    if vault.official and not any(fact.official for fact in facts):
        raise UserError(f"studies.{study}.vault.official: the corpora publish no split; name subjects instead")


@dataclass(frozen=True)
class Views:
    """All views of a study, lazily. index: SAMPLES of its samples; facts: of its rows; near: pairs of near copies."""

    name: str
    study: StudyParams
    on_leak: OnLeak
    index: pa.Table
    facts: Sequence[RowFacts]
    near: pa.Table
    classes: Sequence[str]
    vault: bool = False
    lost: list[int] = field(default_factory=list)

    @property
    def dropped(self) -> int:
        """Samples that leaks took from the outer view that lost most, of those that were cut so far."""
        return max(self.lost, default=0)

    def __post_init__(self) -> None:
        for name in self.study.conditions.classes:
            if name not in self.classes:
                raise UnknownNameError.of(f"class to prune (studies.{self.name}.conditions)", name, self.classes)

    def outer(self) -> Iterator[tuple[int, int, Kept]]:
        """(seed, fold, kept) of every outer view; folds count from 1. Raises `SplitError` where folds cannot be cut."""
        for seed in range(self.study.seed, self.study.seed + self.study.seeds):
            if self.vault:
                yield seed, VAULT_FOLD, self._vault_view(seed)
                continue
            for fold, spec in self._specs(seed):
                yield seed, fold, self._kept(spec, make_view(self._development, spec))

    def __iter__(self) -> Iterator[View]:
        for seed, fold, kept in self.outer():
            yield from self._conditions(seed, fold, kept)

    @cached_property
    def _development(self) -> pa.Table:
        """The samples that are not in the vault."""
        hidden = {fact.sample_id for fact in self.facts if in_vault(fact, self.study.vault)}
        known = {fact.sample_id for fact in self.facts}
        ids = self.index["sample_id"].to_pylist()
        return self.index.filter(pa.array([i in known and i not in hidden for i in ids], pa.bool_()))

    def _specs(self, seed: int) -> Iterator[tuple[int, ViewSpec]]:
        study = self.study
        if study.split == "corpora":
            for fold, corpus in enumerate(study.corpora, 1):
                yield fold, ViewSpec("leave-corpus", held=corpus, seed=seed)
            return
        groups = {fact.group for fact in self.facts if not in_vault(fact, study.vault)}
        if len(groups) < study.folds:
            raise SplitError(
                f"studies.{self.name}.folds is {study.folds}, and there are {len(groups)} split units "
                f"({_some(groups)}); at most {len(groups)} folds can each have one"
            )
        for fold in range(1, study.folds + 1):
            yield fold, ViewSpec("kfold", units=study.units, k=study.folds, fold=fold, seed=seed)

    def _vault_view(self, seed: int) -> Kept:
        known = {fact.sample_id: in_vault(fact, self.study.vault) for fact in self.facts}
        if not any(known.values()):
            raise UserError(f"studies.{self.name}.vault names nobody; there is nothing to look at")
        spec = ViewSpec("group", seed=seed)
        rows = sorted(known)
        columns = {"view": ["vault"] * len(rows), "sample_id": rows}
        table = pa.table({**columns, "split": ["test" if known[i] else "train" for i in rows]}, schema=SPLITS)
        return self._kept(spec, table)

    def _kept(self, spec: ViewSpec, view: pa.Table) -> Kept:
        policy = self.on_leak.model_dump()
        short_text = policy.pop("short_text_letters", SHORT_TEXT)
        findings = audit_view(self.index, view, self.near, short_text=short_text)
        groups = dict(zip(self.index["sample_id"].to_pylist(), self.index["group_id"].to_pylist(), strict=True))
        kept, dropped = apply_on_leak(view, findings, policy, groups)
        split_of = dict(zip(kept["sample_id"].to_pylist(), kept["split"].to_pylist(), strict=True))
        self.lost.append(dropped.num_rows)
        return Kept(spec, split_of)

    def _conditions(self, seed: int, fold: int, kept: Kept) -> Iterator[View]:
        """The views that prune an outer one. Rows are pieces: pruning counts pieces, as training does."""
        pieces, outer = self._pieces(kept)
        place = {fact.piece_id: n for n, fact in enumerate(self.facts)}
        every = dict(zip(outer["sample_id"].to_pylist(), outer["split"].to_pylist(), strict=True))
        test = np.array(sorted(place[i] for i, split in every.items() if split == "test"), np.int64)
        whole = np.array(sorted(place[i] for i, split in every.items() if split == "train"), np.int64)
        for condition, pruned, prune, groups in self._wanted(whole):
            spec = replace(kept.spec, groups=groups)
            left = every
            if groups is not None:
                table = make_view(pieces, spec, outer=outer)
                left = dict(zip(table["sample_id"].to_pylist(), table["split"].to_pylist(), strict=True))
            out = {i for part in prune for i in pruned_ids(pieces, left, part, seed=seed, view=condition)}
            train = np.array(
                sorted(place[i] for i, split in left.items() if split == "train" and i not in out), np.int64
            )
            view = View(condition, pruned, fold, seed, train, np.setdiff1d(whole, train), test)
            yield view
            if condition == AS_IS:
                for change, levels in self.study.heard.items():
                    for level in levels:
                        heard = Heard(change, level)
                        yield replace(view, condition=f"{AS_IS}, tested with {heard.name}", heard=heard)

    def _wanted(self, train: np.ndarray) -> Iterator[tuple[str, str | None, tuple[Prune, ...], int | None]]:
        """(condition, pruned class, what is pruned, groups that stay) of each condition."""
        conditions: Conditions = self.study.conditions
        present = [c for c in self.classes if any(self.facts[i].emotion == c for i in train)]
        by_groups = conditions.by == "groups"
        if conditions.as_is:
            yield AS_IS, None, (), None
        for percent in conditions.prune:
            for name in (c for c in conditions.classes or present if c in present):
                condition = f"{name} to {percent:g} %" + (" of people" if by_groups else "")
                yield condition, name, (Prune(name, percent, by_groups),), None
        for ratio in conditions.long_tail:
            counts = {c: sum(self.facts[i].emotion == c for i in train) for c in present}
            yield f"long tail {ratio:g}:1", None, long_tail(counts, ratio), None
        for n in conditions.groups:
            yield f"{n} split units", None, (), n

    def _pieces(self, kept: Kept) -> tuple[pa.Table, pa.Table]:
        """An index of the rows of an outer view, and their split (SPLITS)."""
        own = [fact for fact in self.facts if fact.sample_id in kept.split_of]
        columns = {
            "sample_id": [fact.piece_id for fact in own],
            "corpus": [fact.corpus for fact in own],
            "group_id": [fact.group for fact in own],
            "subject_id": [fact.subject for fact in own],
            "session_id": [fact.session for fact in own],
            "recording_id": [fact.recording for fact in own],
            "gender": [fact.gender for fact in own],
            "emotion": [fact.emotion for fact in own],
        }
        order = sorted(range(len(own)), key=lambda i: own[i].piece_id)
        view = {
            "view": ["outer"] * len(own),
            "sample_id": [own[i].piece_id for i in order],
            "split": [kept.split_of[own[i].sample_id] for i in order],
        }
        fields = [(name, pa.string()) for name in columns]
        return pa.table(columns, schema=pa.schema(fields)), pa.table(view, schema=SPLITS)


def _some(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:6]) + (" ..." if len(listed) > 6 else "")

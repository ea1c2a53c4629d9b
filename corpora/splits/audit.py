"""Leaks of a split view: what stands in two splits and should not. Findings are facts; params decide what happens.

Kinds: `repeats` (the same payload, by sha256, in two splits), `near` (a near copy of it: corpora/near/pairs.py),
`split_unit` (a group in two splits), `subject`, `session` and `recording` (the same person, session or moment in two
splits where that is not the split unit), `fitted` (something was fitted to samples outside train), and
`repeats_within` and `near_within` (the same, or nearly so, twice in one split; harmless to a test, but it weighs
double). `short_texts` are repeats and near copies of texts of a few words, which people say again and nobody copied
("Thank you."). What each one can find and what it cannot: docs/audit.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import LeakError, UnknownNameError
from corpora.schema import SPLIT_NAMES

ACTIONS = ("drop", "fail", "move", "waive")
DEFAULT_POLICY: dict[str, str] = {
    "repeats": "drop",
    # A false alarm (docs/audit.md counts them) costs train one sample, a copy that stays the evaluation its worth.
    "near": "drop",
    "split_unit": "fail",
    "subject": "waive",
    "session": "waive",
    "recording": "waive",
    "short_texts": "waive",
    "repeats_within": "waive",
    "near_within": "waive",
    "fitted": "fail",
}
_COLUMNS = {"split_unit": "group_id", "subject": "subject_id", "session": "session_id", "recording": "recording_id"}
_TO_TRAIN = ("near",)  # what `move` takes to train, wherever most of it lies: an evaluation gets no new samples
_WITHIN = ("repeats_within", "near_within")
OUTSIDE = "outside"  # of `fitted`: samples that are in no split of the view
SHORT_TEXT = 20  # letters, blanks and signs; of a shorter text a second copy is language
_LISTED = 1000  # keys of a finding that its JSON holds
_OTHER = ("subject", "session", "recording")  # what params call `other`
_KEPT_FIRST = ("test", "dev", "train")  # an evaluation stays whole: train gives way

DROPPED = pa.schema(
    [
        pa.field("view", pa.string(), nullable=False),
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of leak between two splits (or within one).

    `action`: the default. `members`: key (sha256, group, subject ...) -> split -> sample ids, all of them, sorted.
    """

    kind: str
    action: str
    splits: tuple[str, ...]
    members: Mapping[str, Mapping[str, tuple[str, ...]]]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All pairs of sample ids that share a key: one of the first split, one of the second (within: neighbours)."""
        pairs = []
        for parts in self.members.values():
            if len(self.splits) == 1:
                ids = parts[self.splits[0]]
                pairs += list(pairwise(ids))
            else:
                pairs += [(a, b) for a in parts[self.splits[0]] for b in parts[self.splits[1]]]
        return pairs

    @property
    def counts(self) -> dict[str, int]:
        """Keys that are shared, and the samples of each split that have one."""
        rows = {split: sum(len(parts[split]) for parts in self.members.values()) for split in self.splits}
        return {"keys": len(self.members), **rows}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; members of the first thousand keys, so that a reader can look them up, and `counts` of all."""
        listed = list(self.members.items())[:_LISTED]
        members = {key: {split: list(ids) for split, ids in parts.items()} for key, parts in listed}
        return {
            "kind": self.kind,
            "action": self.action,
            "splits": list(self.splits),
            "counts": self.counts,
            "members": members,
        }


def audit_view(
    index: pa.Table, view: pa.Table, near: pa.Table | None = None, *, short_text: int = SHORT_TEXT
) -> list[Finding]:
    """SAMPLES index and the rows of one view (SPLITS) -> findings, repeats first. Only samples of the view count.

    `near`: pairs of payloads (NEAR) among the index (corpora/near/pairs.py); None: near copies are not audited.
    `short_text`: texts of fewer characters that stand in two splits are `short_texts`; 0 makes no difference of length.
    A group that is in two splits only because its samples are one and the same payload (FER2013, whose split unit is
    the picture) counts as `repeats`, not as `split_unit`.
    """
    split_of = dict(zip(view["sample_id"].to_pylist(), view["split"].to_pylist(), strict=True))
    ids, hashes = index["sample_id"], index["sha256"]
    findings = _between("repeats", ids, hashes, split_of)
    findings += _within(ids, hashes, split_of)
    if near is not None:
        findings += _near(ids, hashes, split_of, near)
    findings = _set_apart(findings, _short_texts(index, short_text, findings))
    for kind, column in _COLUMNS.items():
        if kind != "split_unit" and index[column].equals(index["group_id"]):
            continue  # the split unit itself, reported once
        between = _between(kind, ids, index[column], split_of)
        hash_of = dict(zip(ids.to_pylist(), hashes.to_pylist(), strict=True)) if between else {}
        for finding in between:
            members = {
                key: parts
                for key, parts in finding.members.items()
                if len({hash_of[i] for part in parts.values() for i in part}) > 1
            }
            if members:
                findings.append(Finding(kind, finding.action, finding.splits, members))
    return findings


def _short_texts(index: pa.Table, letters: int, findings: Iterable[Finding]) -> frozenset[str]:
    """Ids of the findings' texts of fewer characters; a text whose length the index does not know is none."""
    if letters <= 0 or not {"modality", "signals"} <= set(index.column_names):
        return frozenset()
    asked = pa.array(
        {i for f in findings for parts in f.members.values() for ids in parts.values() for i in ids}, pa.string()
    )
    some = index.filter(pc.is_in(index["sample_id"], value_set=asked))
    rows = zip(*(some[c].to_pylist() for c in ("sample_id", "modality", "signals")), strict=True)
    return frozenset(
        i
        for i, modality, signals in rows
        if modality == "text" and signals and signals[0]["shape"] and signals[0]["shape"][0] < letters
    )


def _set_apart(findings: list[Finding], short: frozenset[str]) -> list[Finding]:
    """Keys of repeats and near copies between splits all of whose samples are short texts become `short_texts`."""
    if not short:
        return findings
    kept: list[Finding] = []
    apart: dict[tuple[str, ...], dict[str, Mapping[str, tuple[str, ...]]]] = defaultdict(dict)
    for finding in findings:
        if finding.kind not in ("repeats", "near"):
            kept.append(finding)
            continue
        long: dict[str, Mapping[str, tuple[str, ...]]] = {}
        for key, parts in finding.members.items():
            brief = all(i in short for ids in parts.values() for i in ids)
            (apart[finding.splits] if brief else long)[key] = parts
        if long:
            kept.append(Finding(finding.kind, finding.action, finding.splits, long))
    return kept + [
        Finding("short_texts", DEFAULT_POLICY["short_texts"], splits, keys) for splits, keys in apart.items()
    ]


def _grouped(
    ids: pa.ChunkedArray, keys: pa.ChunkedArray, split_of: Mapping[str, str]
) -> dict[str, dict[str, list[str]]]:
    """key -> split -> ids, for keys that more than one sample of the view has."""
    counted = pc.value_counts(keys)
    # most keys of most columns occur once, and a row of Python's costs as much as a hundred of Arrow's
    often = counted.filter(pc.greater(counted.field("counts"), 1)).field("values").drop_null()
    several = pc.is_in(keys, value_set=often)
    rows: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for sample_id, key in zip(ids.filter(several).to_pylist(), keys.filter(several).to_pylist(), strict=True):
        if sample_id in split_of:
            rows[key][split_of[sample_id]].append(sample_id)
    return {key: parts for key, parts in sorted(rows.items()) if sum(map(len, parts.values())) > 1}


def _between(kind: str, ids: pa.ChunkedArray, keys: pa.ChunkedArray, split_of: Mapping[str, str]) -> list[Finding]:
    by_splits: dict[tuple[str, str], dict[str, dict[str, tuple[str, ...]]]] = defaultdict(dict)
    for key, parts in _grouped(ids, keys, split_of).items():
        held = [split for split in SPLIT_NAMES if split in parts]
        for i, first in enumerate(held):
            for second in held[i + 1 :]:
                pair = {split: tuple(sorted(parts[split])) for split in (first, second)}
                by_splits[first, second][key] = pair
    return [Finding(kind, DEFAULT_POLICY[kind], splits, members) for splits, members in sorted(by_splits.items())]


def _within(ids: pa.ChunkedArray, keys: pa.ChunkedArray, split_of: Mapping[str, str]) -> list[Finding]:
    by_split: dict[str, dict[str, dict[str, tuple[str, ...]]]] = defaultdict(dict)
    for key, parts in _grouped(ids, keys, split_of).items():
        for split, members in parts.items():
            if len(members) > 1:
                by_split[split][key] = {split: tuple(sorted(members))}
    return [
        Finding("repeats_within", DEFAULT_POLICY["repeats_within"], (split,), members)
        for split, members in sorted(by_split.items())
    ]


def _near(ids: pa.ChunkedArray, hashes: pa.ChunkedArray, split_of: Mapping[str, str], near: pa.Table) -> list[Finding]:
    """Keys of `near`: the payload in the more protected split; its near copies in the other stand beside it."""
    of_hash: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    paired = pa.chunked_array([*near["first"].chunks, *near["second"].chunks], pa.string())
    rows_of = pc.is_in(hashes, value_set=paired)
    for sample_id, sha in zip(ids.filter(rows_of).to_pylist(), hashes.filter(rows_of).to_pylist(), strict=True):
        if sample_id in split_of:
            of_hash[sha][split_of[sample_id]].append(sample_id)
    between: dict[tuple[str, str], dict[str, dict[str, set[str]]]] = defaultdict(dict)
    within: dict[str, dict[str, dict[str, tuple[str, ...]]]] = defaultdict(dict)
    for a, b in zip(near["first"].to_pylist(), near["second"].to_pylist(), strict=True):
        for one, two in ((a, b), (b, a)):
            for weak in of_hash.get(one, {}):
                for strong in of_hash.get(two, {}):
                    if _KEPT_FIRST.index(strong) < _KEPT_FIRST.index(weak):
                        parts = between[weak, strong].setdefault(two, {weak: set(), strong: set()})
                        parts[weak].update(of_hash[one][weak])
                        parts[strong].update(of_hash[two][strong])
        for split in set(of_hash.get(a, {})) & set(of_hash.get(b, {})):
            within[split][f"{a[:16]}~{b[:16]}"] = {split: tuple(sorted(of_hash[a][split] + of_hash[b][split]))}
    findings = []
    for splits, rows in sorted(between.items(), key=lambda item: [SPLIT_NAMES.index(s) for s in item[0]]):
        keys = {key: {split: tuple(sorted(part)) for split, part in parts.items()} for key, parts in rows.items()}
        findings.append(Finding("near", DEFAULT_POLICY["near"], splits, dict(sorted(keys.items()))))
    for split, pairs in sorted(within.items()):
        findings.append(Finding("near_within", DEFAULT_POLICY["near_within"], (split,), dict(sorted(pairs.items()))))
    return findings


def audit_fitted(view: pa.Table, saw: Mapping[str, Iterable[str]]) -> list[Finding]:
    """What a scaler, generator or judge was fitted to (name -> sample ids) -> findings where that is not train alone.

    Keys: the names. A sample that is in no split of the view (dropped as a leak, or of another corpus) is `outside`.
    """
    split_of = dict(zip(view["sample_id"].to_pylist(), view["split"].to_pylist(), strict=True))
    by_split: dict[str, dict[str, dict[str, tuple[str, ...]]]] = defaultdict(dict)
    for name, ids in sorted(saw.items()):
        where: dict[str, set[str]] = defaultdict(set)
        for sample_id in ids:
            where[split_of.get(sample_id, OUTSIDE)].add(sample_id)
        for split in set(where) - {"train"}:
            by_split[split][name] = {split: tuple(sorted(where[split]))}
    return [
        Finding("fitted", DEFAULT_POLICY["fitted"], (split,), members) for split, members in sorted(by_split.items())
    ]


def apply_on_leak(
    view: pa.Table,
    findings: Iterable[Finding],
    policy: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
) -> tuple[pa.Table, pa.Table]:
    """One view, its findings and a policy (kind -> drop | fail | move | waive) -> (new view, dropped rows as DROPPED).

    Kinds that the policy does not name keep their default; `other` names subject, session and recording.

    drop: of repeats one copy stays, in test before dev before train; of any other kind the rows outside the most
    protected split go, so an evaluation stays whole. move: all rows of the key go to the split that has most of them (a
    tie: to train), near copies always to train; with `groups` (sample id -> group) their groups go with them whole, and
    what shares a key or a group with those. fail: raises `LeakError`. waive: nothing. What was fitted to other splits
    cannot be mended by moving rows: `fitted` fails or is waived.

    Raises `UnknownNameError` for an unknown kind or action, `LeakError` also where a split would be left empty.
    """
    rules = dict(DEFAULT_POLICY)
    for kind, action in (policy or {}).items():
        if kind not in DEFAULT_POLICY and kind != "other":
            raise UnknownNameError.of("kind of leak", kind, [*DEFAULT_POLICY, "other"])
        if action not in ACTIONS:
            raise UnknownNameError.of("action on a leak", action, ACTIONS)
        rules.update(dict.fromkeys(_OTHER, action) if kind == "other" else {kind: action})
    if rules["fitted"] in ("drop", "move"):
        raise UnknownNameError.of("action on what was fitted", rules["fitted"], ("fail", "waive"))
    every = list(findings)
    _refuse(view, [finding for finding in every if rules[finding.kind] == "fail"])
    split_of = dict(zip(view["sample_id"].to_pylist(), view["split"].to_pylist(), strict=True))
    before = set(split_of.values())
    gone: dict[str, tuple[str, str]] = {}
    merged = _merged(every)
    _move({name: members for name, members in merged.items() if rules[name[0]] == "move"}, split_of, groups or {})
    for (kind, key), members in merged.items():
        if rules[kind] == "drop":
            for sample_id in _superfluous(kind, members, split_of):
                gone.setdefault(sample_id, (kind, key))
    names = view["view"].to_pylist()
    ids = view["sample_id"].to_pylist()
    kept = [i for i, sample_id in enumerate(ids) if sample_id not in gone]
    for split in sorted(before - {"train"} - {split_of[ids[i]] for i in kept}):
        policies = ", ".join(f"{kind}: {rules[kind]}" for kind in sorted({f.kind for f in every}))
        raise LeakError(
            f"on_leak ({policies}) would leave {split} empty: too many samples are connected. Choose another view."
        )
    lost = [i for i, sample_id in enumerate(ids) if sample_id in gone]
    new = pa.Table.from_pydict(
        {
            "view": [names[i] for i in kept],
            "sample_id": [ids[i] for i in kept],
            "split": [split_of[ids[i]] for i in kept],
        },
        schema=view.schema,
    )
    dropped = pa.Table.from_pydict(
        {
            "view": [names[i] for i in lost],
            "sample_id": [ids[i] for i in lost],
            "split": [split_of[ids[i]] for i in lost],
            "kind": [gone[ids[i]][0] for i in lost],
            "key": [gone[ids[i]][1] for i in lost],
        },
        schema=DROPPED,
    )
    return new, dropped


def _refuse(view: pa.Table, failing: Sequence[Finding]) -> None:
    if not failing:
        return
    first = failing[0]
    key = next(iter(first.members))
    leaks = "; ".join(f"{f.kind} in {' and '.join(f.splits)}: {f.counts['keys']}" for f in failing)
    name = view["view"][0].as_py() if len(view) else "?"
    raise LeakError(
        f"view {name!r} leaks: {leaks} (e.g. {key!r}). Choose the view `group`, or set on_leak for "
        f"{', '.join(sorted({f.kind for f in failing}))} to drop, move or waive."
    )


def _merged(findings: Sequence[Finding]) -> dict[tuple[str, str], set[str]]:
    """(kind, key) -> all sample ids: a key in three splits has three findings and is treated once."""
    merged: dict[tuple[str, str], set[str]] = defaultdict(set)
    for finding in findings:
        for key, parts in finding.members.items():
            merged[finding.kind, key].update(i for ids in parts.values() for i in ids)
    return dict(sorted(merged.items()))


def _move(keys: Mapping[tuple[str, str], set[str]], split_of: dict[str, str], groups: Mapping[str, str]) -> None:
    """Samples that keys and groups connect go to one split."""
    if not keys:
        return
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for members in keys.values():
        first, *others = sorted(members)
        for other in others:
            parent[root(other)] = root(first)
    touched = {groups[i] for members in keys.values() for i in members if i in groups}
    for sample_id, group in groups.items():
        if group in touched and sample_id in split_of:
            parent[root(sample_id)] = root("group:" + group)
    joined: dict[str, list[str]] = defaultdict(list)
    for sample_id in split_of:
        if sample_id in parent:
            joined[root(sample_id)].append(sample_id)
    to_train = {root(next(iter(members))) for (kind, _), members in keys.items() if kind in _TO_TRAIN}
    for name, rows in joined.items():
        held = [split_of[i] for i in rows]
        # SPLIT_NAMES begins with train: a tie goes there
        target = "train" if name in to_train else max(SPLIT_NAMES, key=held.count)
        split_of.update(dict.fromkeys(rows, target))


def _superfluous(kind: str, members: Iterable[str], split_of: Mapping[str, str]) -> list[str]:
    ordered = sorted(members, key=lambda i: (_KEPT_FIRST.index(split_of[i]), i))
    if kind == "repeats" or kind in _WITHIN:
        return ordered[1:]
    return [i for i in ordered if split_of[i] != split_of[ordered[0]]]

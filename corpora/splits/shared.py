"""What two sides of an audit have in common: copies, pair by pair, and people, sessions and recordings.

The first side stands where train stands and the second where test does, so that findings are those of a split view
(corpora/splits/audit.py). Short texts that people say again are listed and are no leak, as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product

import pyarrow as pa

from corpora.near.pairs import near_pairs
from corpora.schema import SPLITS
from corpora.splits.audit import Finding, audit_view
from corpora.splits.sides import Side

COPIES = ("repeats", "near")
PEOPLE = ("split_unit", "subject", "session", "recording")
LEAKS = (*COPIES, *PEOPLE)
LISTED = ("repeats", "near", "short_texts")  # kinds whose pairs can be shown beside each other
_FIRST, _SECOND = "train", "test"
_VIEW = "audit"
_PAIRS_OF_KEY = 1000  # that are listed where one payload stands on both sides very often; `rows` counts all of them


@dataclass(frozen=True, slots=True)
class CopyPair:
    """Row `first` of the one side and row `second` of the other. kind: of `LISTED`. distance: 0 for the same bytes,
    else 1 minus the similarity of the near copy, in (0, 1)."""

    kind: str
    first: int
    second: int
    distance: float


@dataclass(frozen=True, slots=True)
class Shared:
    """What sides `first` and `second` (places in the list of sides) share.

    findings: those between the two. pairs: every pair of copies, the closest first. rows: kind -> distinct samples of
    either side that have a part in it.
    """

    first: int
    second: int
    findings: tuple[Finding, ...]
    pairs: tuple[CopyPair, ...]
    rows: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @property
    def leaks(self) -> bool:
        """Whether anything but short texts is shared."""
        return any(finding.kind in LEAKS for finding in self.findings)

    def involved(self, kinds: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rows of either side in one of these kinds, sorted."""
        held = [self.rows[kind] for kind in kinds if kind in self.rows]
        left, right = ({i for pair in held for i in pair[side]} for side in (0, 1))
        return tuple(sorted(left)), tuple(sorted(right))


@dataclass(frozen=True, slots=True)
class Within:
    """Copies inside one side: they weigh double and leak nothing. samples: that have one, by kind of finding."""

    side: int
    samples: dict[str, int]


def shared_by_sides(sides: Sequence[Side]) -> tuple[list[Shared], list[Within]]:
    """Every two of the sides, and what repeats inside each. Near copies are searched once over all of them."""
    near = near_pairs(pa.concat_tables([side.prints for side in sides]))
    shared, within = [], {number: dict[str, int]() for number in range(len(sides))}
    for first, second in combinations(range(len(sides)), 2):
        findings = _findings(sides[first], sides[second], near)
        for finding in findings:
            if len(finding.splits) == 1:
                ids = {i for parts in finding.members.values() for of in parts.values() for i in of}
                within[first if finding.splits == (_FIRST,) else second][finding.kind] = len(ids)
        between = tuple(finding for finding in findings if len(finding.splits) == 2)
        shared.append(_shared(first, second, sides, between, near))
    return shared, [Within(number, samples) for number, samples in within.items() if samples]


def _findings(left: Side, right: Side, near: pa.Table) -> list[Finding]:
    index = pa.concat_tables([left.index, right.index])
    view = pa.Table.from_pydict(
        {
            "view": [_VIEW] * index.num_rows,
            "sample_id": index["sample_id"].to_pylist(),
            "split": [_FIRST] * len(left) + [_SECOND] * len(right),
        },
        schema=SPLITS,
    )
    return audit_view(index, view, near)


def _shared(first: int, second: int, sides: Sequence[Side], findings: tuple[Finding, ...], near: pa.Table) -> Shared:
    left, right = (
        {own: i for i, own in enumerate(sides[number].index["sample_id"].to_pylist())} for number in (first, second)
    )
    similarity = {
        frozenset(pair): value
        for *pair, value in zip(*(near[c].to_pylist() for c in ("first", "second", "similarity")), strict=True)
    }
    hashes = [sides[number].index["sha256"].to_pylist() for number in (first, second)]
    rows: dict[str, tuple[set[int], set[int]]] = {}
    pairs: dict[tuple[int, int], CopyPair] = {}
    for finding in findings:
        held = rows.setdefault(finding.kind, (set(), set()))
        for parts in finding.members.values():
            ours = [left[i] for i in parts[_FIRST]]
            theirs = [right[i] for i in parts[_SECOND]]
            held[0].update(ours)
            held[1].update(theirs)
            if finding.kind not in LISTED:
                continue
            for a, b in islice(product(ours, theirs), _PAIRS_OF_KEY):
                same = hashes[0][a] == hashes[1][b]
                alike = 1.0 if same else similarity.get(frozenset((hashes[0][a], hashes[1][b])))
                if alike is not None:
                    pairs[a, b] = CopyPair(finding.kind, a, b, round(1.0 - alike, 6))
    ordered = sorted(pairs.values(), key=lambda pair: (pair.distance, pair.first, pair.second))
    kinds = {kind: (tuple(sorted(a)), tuple(sorted(b))) for kind, (a, b) in rows.items()}
    return Shared(first, second, findings, tuple(ordered), kinds)

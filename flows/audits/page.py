"""Pages that stand alone: what they share, and the pairs of an audit side by side.

Everything is inlined and a page stays below 15 MB: what has no room is counted. Names of files are data and are
escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpora.errors import PayloadError
from corpora.schema import Signal
from corpora.signals import decode_signals, is_signal_name
from corpora.splits.sides import Side
from flows.audits.leaks import Audited, Priced, kind_names
from flows.stages.report.media import Medium, to_medium
from flows.stages.report.report import MAX_MEDIA_CHARACTERS, SHEETS, page_environment
from flows.stages.report.samples import Shown

MAX_PAIRS = 200  # of two sides
_LISTED = 50  # names of people, groups or unreadable files
_ONE = {"repeats": "exact repeat", "near": "near copy", "short_texts": "short text (no leak)"}


@dataclass(frozen=True, slots=True)
class ShownPair:
    """Two samples beside each other; distance: 0 for the same bytes."""

    kind: str
    distance: float
    first: Shown
    second: Shown


@dataclass(frozen=True, slots=True)
class SharedView:
    """What two sides share. counts: (kind in words, samples of the first, of the second). names: (kind in words, keys
    that are shared, cut to a few). n_pairs: of all copies; `pairs` may be fewer."""

    first: str
    second: str
    leaks: bool
    counts: Sequence[tuple[str, int, int]]
    names: Sequence[tuple[str, Sequence[str], int]]
    pairs: Sequence[ShownPair]
    n_pairs: int


@dataclass(frozen=True, slots=True)
class SideView:
    """One input: its samples, and those that cannot be decoded, as (name, reason), cut to a few."""

    name: str
    modality: str
    samples: int
    unreadable: Sequence[tuple[str, str]]
    n_unreadable: int


def audit_page(audited: Audited) -> str:
    """The audit as one HTML page, without network and scripts."""
    budget = Budget(MAX_MEDIA_CHARACTERS)
    sides = [
        SideView(
            side.shown,
            side.modality,
            len(side),
            [(one.name, one.reason) for one in side.unreadable[:_LISTED]],
            len(side.unreadable),
        )
        for side in audited.sides
    ]
    shared = [_shared_view(audited, number, budget) for number in range(len(audited.shared))]
    return page_of(
        "audit.html.j2",
        sides=sides,
        shared=shared,
        priced=[_priced_row(audited, one) for one in audited.priced],
        kind=SHEETS[audited.sides[0].modality],
        leaks=audited.leaks,
    )


def page_of(template: str, **fields: object) -> str:
    """A template of the report's folder, filled; everything is escaped."""
    page: str = page_environment().get_template(template).render(**fields)
    return page


def shown_sample(payload: bytes, codec: str, signals: Sequence[Signal], caption: str) -> Shown:
    """A payload as the page shows it; one that cannot be decoded is its caption and the reason."""
    try:
        if codec == "npz" and not all(map(is_signal_name, decode_signals(payload))):
            medium = Medium("", None, "not shown: its arrays have names of other signs than letters and digits")
        else:
            medium = to_medium(payload, codec, signals)
    except PayloadError as error:
        medium = Medium("", None, f"cannot be shown: {error.reason}")
    return Shown(medium, f"{caption} ({medium.note})", caption)


class Budget:
    """Characters of media that are left on a page."""

    def __init__(self, left: int) -> None:
        self.left = left

    def takes(self, *media: Medium) -> bool:
        """Whether these fit; if so they are counted."""
        size = sum(medium.n_bytes for medium in media)
        if size > self.left:
            return False
        self.left -= size
        return True


def _shared_view(audited: Audited, number: int, budget: Budget) -> SharedView:
    shared = audited.shared[number]
    left, right = audited.sides[shared.first], audited.sides[shared.second]
    words = kind_names(left)
    pairs: list[ShownPair] = []
    for pair in shared.pairs[:MAX_PAIRS]:
        first, second = _of_side(left, pair.first), _of_side(right, pair.second)
        if not budget.takes(first.medium, second.medium):
            break
        pairs.append(ShownPair(_ONE[pair.kind], pair.distance, first, second))
    names = [
        (words[finding.kind], list(finding.members)[:_LISTED], len(finding.members))
        for finding in shared.findings
        if finding.kind in ("split_unit", "subject", "session", "recording")
    ]
    return SharedView(
        left.shown,
        right.shown,
        shared.leaks,
        [(words[kind], len(a), len(b)) for kind, (a, b) in shared.rows.items()],
        names,
        pairs,
        len(shared.pairs),
    )


def _of_side(side: Side, row: int) -> Shown:
    about = side.index.select(["name", "codec", "signals", "emotion"]).slice(row, 1).to_pylist()[0]
    signals = [Signal.from_row(one) for one in about["signals"] or ()]
    label = f" · {about['emotion']}" if about["emotion"] else ""
    return shown_sample(side.payload(row), about["codec"], signals, about["name"] + label)


def _priced_row(audited: Audited, priced: Priced) -> tuple[str, Priced]:
    return audited.sides[priced.test].shown, priced

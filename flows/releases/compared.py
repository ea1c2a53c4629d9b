"""Two releases compared: samples, balance, verdicts and uplift, and what made each of them move (causes.py)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from corpora.errors import IntegrityError
from corpora.fingerprint import hash_file
from corpora.schema import SPLIT_NAMES
from corpora.store.release import Release
from flows.artifacts.evaluated import Evaluated, Interval, Uplift, VerdictRow
from flows.artifacts.released import Released
from flows.releases.bumps import Needed, needed_of
from flows.releases.causes import Cause, Happened, caused
from flows.releases.exchanged import Exchanged, exchanged
from flows.releases.fates import Fate, fates
from flows.releases.paired import Paired, is_real, opened_pair, paired
from flows.releases.places import Place
from flows.releases.plans import Change, changes, planned

SHOWN = 20  # ids of each kind of change


@dataclass(frozen=True, slots=True)
class Moved:
    """Samples of one kind to which one thing happened. what: came, went, payload, class, split, weight."""

    what: str
    kind: Literal["real", "synthetic"]
    by_class: Mapping[str, int]
    examples: tuple[str, ...]

    @property
    def n(self) -> int:
        """How many."""
        return sum(self.by_class.values())


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """A class in a split: samples before and after; weight: what all of them count for."""

    split: str
    emotion: str
    real: tuple[int, int]
    synthetic: tuple[int, int]
    weight: tuple[float, float]

    @property
    def moved(self) -> bool:
        """Whether any of it differs."""
        return any(a != b for a, b in (self.real, self.synthetic, self.weight))


@dataclass(frozen=True, slots=True)
class VerdictMove:
    """A verdict of a gate on a group, before and after; None where it did not judge. values: None for no number."""

    gate: str
    group: str
    verdict: tuple[str | None, str | None]
    value: tuple[float | None, float | None]
    reason: tuple[str, str]

    @property
    def turned(self) -> bool:
        """Whether the verdict is another."""
        return self.verdict[0] != self.verdict[1]


@dataclass(frozen=True, slots=True)
class UpliftMove:
    """UAR of real + synthetic minus real, before and after; None where it is not known."""

    difference: tuple[Interval | None, Interval | None]
    outcome: tuple[str | None, str | None]

    @property
    def moved(self) -> bool:
        """Whether both are known, and differ."""
        return None not in self.difference and (
            self.difference[0] != self.difference[1] or self.outcome[0] != self.outcome[1]
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` says. before, after: as they were named; changes: of plans; causes: what moved, and why."""

    before: Place
    after: Place
    hashes: tuple[str, str]
    needed: Needed
    moved: tuple[Moved, ...]
    exchanged: tuple[Exchanged, ...]
    fates: tuple[Fate, ...]
    balance: tuple[BalanceRow, ...]
    verdicts: tuple[VerdictMove, ...]
    uplift: UpliftMove
    changes: tuple[Change, ...]
    causes: tuple[Cause, ...]
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether the releases are one."""
        return self.hashes[0] == self.hashes[1]


def compare(before: Place, after: Place, repo: Path | None) -> Comparison:
    """Payloads need not be there. repo: of the project, where commits that touched code are looked up; None: nowhere.
    Raises as `open_release`."""
    old, new = opened_pair(before.release, after.release)
    pair = paired(old, new)
    moved = tuple(_moved(pair))
    verdicts = _verdicts(Released(old.path).verdicts(), Released(new.path).verdicts())
    uplift = _uplift(before, after)
    plans = planned(before.release, before.run), planned(after.release, after.run)
    differences = changes(*plans, str(new.manifest.get("name", "")))
    sides = list(zip((before, after), plans, strict=True))
    notes = [f"{place.shown}: {plan.why_not}" for place, plan in sides if plan.why_not]
    if notes:
        notes.append("code, corpora and weights cannot be compared without plans of both: parameters alone are")
    happened = _happened(old, new, moved, verdicts, uplift)
    commits = [place.version.commit if place.version else plan.commit for place, plan in sides]
    causes, differences = caused(happened, differences, repo, (commits[0], commits[1]))
    return Comparison(
        before,
        after,
        (old.release_hash, new.release_hash),
        needed_of(old, new, pair),
        moved,
        tuple(exchanged(pair)),
        tuple(fates(old, new, pair)),
        tuple(_balance(old, new)),
        tuple(verdicts),
        uplift,
        tuple(differences),
        tuple(causes),
        tuple(notes),
    )


def _moved(pair: Paired) -> Iterable[Moved]:
    changed = [
        (what, pair.new.filter(pair.changed(column)))
        for what, column in (("payload", "sha256"), ("class", "emotion"), ("split", "split"), ("weight", "weight"))
    ]
    for what, rows in (("came", pair.come), ("went", pair.gone), *changed):
        real = is_real(rows)
        for kind, of_kind in (("real", rows.filter(real)), ("synthetic", rows.filter(pc.invert(real)))):
            if of_kind.num_rows:
                ids = of_kind["sample_id"].slice(0, SHOWN).to_pylist()
                yield Moved(what, kind, _counts(of_kind["emotion"]), tuple(ids))  # type: ignore[arg-type]


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    counts = {str(row["values"] or "-"): int(row["counts"]) for row in pc.value_counts(column).to_pylist()}
    return dict(sorted(counts.items()))


def _balance(old: Release, new: Release) -> Iterable[BalanceRow]:
    sides = [_cells(release) for release in (old, new)]
    order = {name: at for at, name in enumerate(SPLIT_NAMES)}
    for split, emotion in sorted({*sides[0], *sides[1]}, key=lambda cell: (order.get(cell[0], 9), cell)):
        cells = [side.get((split, emotion), (0, 0, 0.0)) for side in sides]
        real, synthetic, weight = ((cells[0][i], cells[1][i]) for i in range(3))
        yield BalanceRow(split, emotion, real, synthetic, weight)  # type: ignore[arg-type]


def _cells(release: Release) -> dict[tuple[str, str], tuple[int, int, float]]:
    """(split, class) -> real samples, synthetic ones, and what those count for."""
    cells: dict[tuple[str, str], tuple[int, int, float]] = {}
    for split in sorted(release.splits["split"].unique().to_pylist()):
        for emotion, of_class in release.balance(split).items():
            cells[split, emotion] = (of_class.real, of_class.synthetic, round(of_class.weight, 3))
    return cells


def _verdicts(old: list[VerdictRow], new: list[VerdictRow]) -> list[VerdictMove]:
    """In the order of the second; those that are gone last."""
    first, second = ({(row.gate, row.group): row for row in rows} for rows in (old, new))
    moves = []
    for key in [*second, *(key for key in first if key not in second)]:
        a, b = first.get(key), second.get(key)
        moves.append(
            VerdictMove(
                *key,
                (a.verdict if a else None, b.verdict if b else None),
                (_finite(a), _finite(b)),
                (a.reason if a else "", b.reason if b else ""),
            )
        )
    return moves


def _finite(row: VerdictRow | None) -> float | None:
    return row.value if row is not None and math.isfinite(row.value) else None


def _uplift(before: Place, after: Place) -> UpliftMove:
    known = [_uplift_of(place) for place in (before, after)]
    return UpliftMove(
        (known[0].difference if known[0] else None, known[1].difference if known[1] else None),
        (known[0].outcome if known[0] else None, known[1].outcome if known[1] else None),
    )


def _uplift_of(place: Place) -> Uplift | None:
    """None where no evaluation lies beside the release, or one of another state: its verdicts are not the release's."""
    if place.run is None or not (place.run / "evaluation").is_dir():
        return None
    evaluated = Evaluated(place.run / "evaluation")
    own, beside = place.release / "verdicts.parquet", evaluated.path / "verdicts.parquet"
    try:
        same = own.is_file() and beside.is_file() and hash_file(own) == hash_file(beside)
        return evaluated.uplift() if same else None
    except IntegrityError:
        return None


def _happened(
    old: Release, new: Release, moved: tuple[Moved, ...], verdicts: list[VerdictMove], uplift: UpliftMove
) -> Happened:
    generators = [set(r.columns["generator_id"].unique().to_pylist()) - {None} for r in (old, new)]
    turned = [move for move in verdicts if move.turned]
    values = [move for move in verdicts if not move.turned and move.value[0] != move.value[1]]
    return Happened(
        real=_sentence([one for one in moved if one.kind == "real"]),
        synthetic=_sentence([one for one in moved if one.kind == "synthetic"]),
        redrawn=bool(generators[0] ^ generators[1]),
        verdicts="; ".join(f"{m.gate} ({m.group}) {m.verdict[0] or 'none'} -> {m.verdict[1] or 'none'}" for m in turned)
        or (f"{len(values)} values moved, no verdict turned" if values else ""),
        uplift=_uplift_sentence(uplift),
        release=_release_sentence(old, new),
    )


def _sentence(moved: list[Moved]) -> str:
    words = {"came": "came", "went": "went"}
    return ", ".join(f"{one.n} {words.get(one.what, 'with another ' + one.what)}" for one in moved)


def _uplift_sentence(uplift: UpliftMove) -> str:
    before, after = uplift.difference
    if not uplift.moved or before is None or after is None:
        return ""
    first, second = (f"{100 * one.value:+.1f} points" for one in (before, after))
    return f"{first} ({uplift.outcome[0]}) -> {second} ({uplift.outcome[1]})"


def _release_sentence(old: Release, new: Release) -> str:
    flags = [bool(release.manifest.get("publishable")) for release in (old, new)]
    names = {True: "publishable", False: "not publishable"}
    return f"{names[flags[0]]} -> {names[flags[1]]}" if flags[0] != flags[1] else ""

"""What was measured of generators on real corpora: generators/presets/measured.csv, and who comes first for a corpus.

The table is written by benchmarks/generators (docs/generators.md shows it): development people, one class pruned to a
tenth, features that classifiers see, intervals over cells. Rows are evidence and not a promise: what was never measured
says so, and is ranked after all that was.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from generators.generator import generator_class, generator_names
from generators.preset import MODALITY_OF, load_preset, preset_names

TABLE = "presets/measured.csv"
WEIGHTED = "transfer, weighted"  # every source at a low weight: a run's `target: {by: weight}`
CLOSE = 2.0  # a measurement at twice or half the size of the class counts 1/e of one at the same size
OTHER_MODALITY = 0.25  # and one on another modality so much


@dataclass(frozen=True, slots=True)
class Measured:
    """One system on one corpus.

    what: a generator, or a preset. n: train rows; smallest: of the pruned class. f1: points of F1 of the pruned class
    above doing nothing, uar: of UAR; each with the ends of its 95 % interval over `cells`. kid_ratio: KID to held-out
    real rows over that of real against real (1: as real). precision, recall: shares (Kynkaanniemi et al. 2019).
    agreement: share that a judge trained on held-out real rows hears as asked. copies: share nearer to a train row than
    99 % of real rows are. fit_s: seconds of the fit, sample_s: of 1,000 samples, one core.
    """

    what: str
    corpus: str
    modality: str
    representation: str
    n: int
    smallest: int
    cells: int
    steps: int
    f1: float
    f1_low: float
    f1_high: float
    uar: float
    uar_low: float
    uar_high: float
    kid_ratio: float
    precision: float
    recall: float
    agreement: float
    copies: float
    fit_s: float
    sample_s: float


@dataclass(frozen=True, slots=True)
class Rank:
    """One line of advice.

    f1: points of F1 of the rare class above doing nothing, expected from what was measured nearby (None: never
    measured); low: the lower end of its interval. seconds: of fitting and sampling on one core, None where not
    measured. reasons: for people. fits: False where the class is smaller than the system needs.
    """

    what: str
    generator: str
    f1: float | None
    low: float | None
    seconds: float | None
    reasons: tuple[str, ...]
    fits: bool = True


@dataclass(frozen=True, slots=True)
class Need:
    """What a run lacks. layout: of what is modelled. smallest: real samples of the rarest class; missing: samples that
    all classes lack together."""

    modality: str
    layout: str
    smallest: int
    missing: int


@cache
def measurements() -> tuple[Measured, ...]:
    """Every row of the table; none where it was not written yet."""
    place = files("generators") / TABLE
    if not place.is_file():
        return ()
    rows = csv.DictReader(io.StringIO(place.read_text("utf-8")))
    kinds = {f.name: {"str": str, "int": int, "float": float}[str(f.type)] for f in fields(Measured)}
    return tuple(Measured(**{name: kind(row[name]) for name, kind in kinds.items()}) for row in rows)


def ranked(need: Need, table: Sequence[Measured] | None = None) -> list[Rank]:
    """Every generator and preset that can model the layout, by the lower end of what was measured at classes of a like
    size: in its own modality first, others count a quarter. Never measured ones come after, and last those that need
    larger classes."""
    rows = measurements() if table is None else table
    ranks = [_rank(what, need, [row for row in rows if row.what == what]) for what in candidates(need)]
    return sorted(ranks, key=lambda r: (not r.fits, r.low is None, -(r.low or 0.0), r.what))


def candidates(need: Need) -> list[str]:
    """Generators and presets (of the modality) that can model the layout."""
    plain = [name for name in generator_names() if need.layout in generator_class(name).layouts]
    plain += [WEIGHTED] if "transfer" in plain else []
    folder = next(name for name, modality in MODALITY_OF.items() if modality == need.modality)
    return plain + [n for n in preset_names(folder) if need.layout in generator_class(load_preset(n).generator).layouts]


def _rank(what: str, need: Need, rows: Sequence[Measured]) -> Rank:
    preset = load_preset(what) if "/" in what else None
    reasons = [] if preset is None else [f"{preset.system}: {preset.source}"]
    known = any(row.smallest <= need.smallest for row in rows)  # what was measured so small needs no rule of thumb
    fits = preset is None or known or need.smallest >= preset.smallest_class
    if not fits and preset is not None:
        reasons.append(f"needs {preset.smallest_class} samples of a class, the smallest has {need.smallest}")
    reasons += ["with target: {by: weight}"] if what == WEIGHTED else []
    generator = what.partition(",")[0] if preset is None else preset.generator
    if not rows:
        return Rank(what, generator, None, None, None, (*reasons, "never measured"), fits)
    weights = [_weight(row, need) for row in rows]
    total = sum(weights)
    f1, low, fit, sample = (
        sum(w * getattr(row, name) for w, row in zip(weights, rows, strict=True)) / total
        for name in ("f1", "f1_low", "fit_s", "sample_s")
    )
    near = max(zip(weights, rows, strict=True), key=lambda pair: pair[0])[1]
    reasons.append(
        f"{near.corpus} ({near.representation}, {near.smallest} of {near.n} rows): F1 of the rare class "
        f"{near.f1:+.1f} [{near.f1_low:.1f}, {near.f1_high:.1f}], UAR {near.uar:+.1f} [{near.uar_low:.1f}, "
        f"{near.uar_high:.1f}]"
    )
    return Rank(what, generator, f1, low, fit + sample * need.missing / 1000, tuple(reasons), fits)


def _weight(row: Measured, need: Need) -> float:
    apart = abs(math.log(max(row.smallest, 1) / max(need.smallest, 1)))
    return math.exp(-apart / math.log(CLOSE)) * (1.0 if row.modality == need.modality else OTHER_MODALITY)

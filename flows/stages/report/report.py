"""The stage `report`: one HTML page that shows what a run is worth, and how far to trust it.

The page is self-contained (no network, works without JavaScript, light and dark) and the same for the same run folder.
It reads files only, decides nothing, and nothing depends on it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpora.store.atomic import write_json, write_text
from flows.artifacts.augmented import CellTally, ClassTally, RoundTally
from flows.artifacts.evaluated import VerdictRow
from flows.artifacts.fitted import FitSummary
from flows.artifacts.ingested import CorpusFacts, ViewAudit
from flows.artifacts.of_run import RunArtifacts
from flows.artifacts.prepared import Summary
from flows.artifacts.released import Sealed
from flows.params import Machine
from flows.paths import Layout
from flows.stages.plan.plans import Plan
from flows.stages.report import data_tables, figures, tables, truth_tables
from flows.stages.report.acceptance import Acceptance, acceptance
from flows.stages.report.data import CorpusFolder, RejectCount, RunFolder, StudySaid, read_run
from flows.stages.report.dials import DialRow, dial_rows
from flows.stages.report.gallery.cards import HEIGHT, WIDTH, Gallery, gallery
from flows.stages.report.headline import FIRST, Headline, headline
from flows.stages.report.profiles import Profile, profile_corpus
from flows.stages.report.provenance import provenance
from flows.stages.report.samples import PER_CLASS, REJECTED, BeforeAfter, Media, before_and_after, chosen_media
from flows.stages.report.text import interval, number, percent, short

if TYPE_CHECKING:
    from jinja2 import Environment

SHEETS = {"speech": "voices", "face": "faces", "text": "texts", "physio": "curves"}  # modality -> class in report.css
TEMPLATES = Path(__file__).parent / "templates"
MAX_MEDIA_CHARACTERS = 10_000_000  # pictures and sounds; the page as a whole stays below 15 MB
MAX_DIAL_CHARACTERS = 3_000_000  # of these, of samples along dials
FEW_GROUPS = 10  # below, an interval over groups is said to be rough
LISTED_SAMPLES = 200  # rows of the table of provenance


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of the whole run; None while nothing of it is known. verdicts: verdict -> how many."""

    real: int
    train: int
    synthetic: int | None
    candidates: int | None
    verdicts: Mapping[str, int] | None
    unfilled: Sequence[str]


@dataclass(frozen=True, slots=True)
class BalanceView:
    """rows: classes, then mixtures; [] while nothing has been drawn. gates: those that rejected something. owned: cells
    of corpora or subjects. weighted: synthetic samples count for less than one. ratio: largest to smallest class of
    train, NaN where one is empty. splits: (split, real samples of each class)."""

    figure: str
    rows: Sequence[ClassTally]
    gates: Sequence[str]
    owned: Sequence[CellTally]
    subjects: bool
    rounds: Sequence[RoundTally]
    mixtures: bool
    weighted: bool
    cost: tables.CostTable | None
    ratio_before: float
    ratio_after: float | None
    splits: Sequence[tuple[str, Sequence[int]]]


@dataclass(frozen=True, slots=True)
class ViewTable:
    """The audit of one split view of a corpus."""

    name: str
    audit: ViewAudit
    table: data_tables.TextTable | None


@dataclass(frozen=True, slots=True)
class CorpusView:
    """One corpus. url: where it comes from, None for what is no web address. profile: None where it is not here."""

    name: str
    facts: CorpusFacts
    url: str | None
    profile: Profile | None
    quality: data_tables.QualityTable | None
    views: Sequence[ViewTable]
    conflicts: Sequence[data_tables.ConflictTable]


@dataclass(frozen=True, slots=True)
class Page:
    """What the template shows; None for what is not there. kind: class of sheets of samples in report.css."""

    name: str
    headline: Headline
    studies: Sequence[StudySaid]
    manifest: Sealed | None
    summary: Summary
    kind: str
    real_only: bool
    totals: Totals
    balance: BalanceView
    media: Media
    gallery: Gallery
    acceptance: Acceptance
    per_class: int
    per_rejected: int
    map_width: int
    map_height: int
    first_reasons: int
    gates: Sequence[VerdictRow]
    selftest: tables.SelfTestTable | None
    sample_gates: Sequence[tables.GateScores]
    conditions: tables.ConditionsTable | None
    alarms: truth_tables.AlarmView | None
    truth: truth_tables.TruthView | None
    dial_rows: Sequence[DialRow]
    uplift: tables.UpliftTable | None
    uplift_words: str | None
    few_groups: int
    fit: FitSummary | None
    loss_figure: str | None
    preparation: data_tables.PreparationTable
    before_after: Sequence[BeforeAfter]
    audit: data_tables.TextTable | None
    rejects: Sequence[RejectCount]
    unknown_labels: Sequence[data_tables.UnknownRow]
    corpora: Sequence[CorpusView]
    provenance: data_tables.ProvenanceTable | None
    metrics: Sequence[tuple[str, int | float | None]]


def run(plan: Plan, layout: Layout, machine: Machine) -> None:
    """Writes data/runs/<run>/report.html, and provenance.json beside it."""
    run_of = RunArtifacts(layout.run(plan.run))
    write_json(run_of.provenance_file, provenance(plan, layout).to_json())
    write_report(run_of.path, layout.corpus(plan.run).parent, run_of.report, generated=None)


def write_report(run_folder: Path, corpora_folder: Path, target: Path, *, generated: str | None) -> None:
    """Writes the report of data/runs/<run> to the file `target`, whole or not at all.

    `corpora_folder`: data/corpora. `generated`: a time to print, or None for a page that depends on the run alone.
    Stages that have not run yet are named as missing. Raises `IntegrityError` if a stage's folder is incomplete.
    """
    data = read_run(run_folder, corpora_folder)
    write_text(target, render(data, generated=generated))


def render(data: RunFolder, *, generated: str | None) -> str:
    """The page as text."""
    shown = view(data)
    fields = {field.name: getattr(shown, field.name) for field in dataclasses.fields(shown)}
    page: str = page_environment().get_template("report.html.j2").render(**fields, generated=generated)
    return page


def page_environment() -> Environment:
    """Templates of this folder; everything is escaped, and a name that is missing is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "interval": interval, "percent": percent, "short": short}
    return environment


def view(data: RunFolder) -> Page:
    """Everything on the page: numbers, texts, rows and figures."""
    losses, dials = data.losses, dial_rows(data, MAX_DIAL_CHARACTERS)
    on_dials = sum(shown.medium.n_bytes for row in dials for shown in row.shown)
    media = chosen_media(data, MAX_MEDIA_CHARACTERS - on_dials)
    return Page(
        name=data.manifest.name if data.manifest else data.name,
        headline=headline(data),
        studies=data.studies,
        manifest=data.manifest,
        summary=data.summary,
        kind=SHEETS[data.summary.modality],
        real_only=data.real_only,
        totals=_totals(data),
        balance=_balance(data),
        media=media,
        gallery=gallery(data, media),
        acceptance=acceptance(data),
        per_class=PER_CLASS,
        per_rejected=REJECTED,
        map_width=WIDTH,
        map_height=HEIGHT,
        first_reasons=FIRST,
        gates=tables.gate_table(data.verdicts),
        selftest=tables.selftest_table(data.selftest),
        sample_gates=tables.histograms(data),
        conditions=tables.conditions_table(data.conditions, data.classes),
        alarms=truth_tables.alarm_view(data.alarms),
        truth=truth_tables.truth_view(data.truth),
        dial_rows=dials,
        uplift=tables.uplift_table(data.uplift),
        uplift_words=tables.uplift_words(data.uplift),
        few_groups=FEW_GROUPS,
        fit=data.fit,
        loss_figure=figures.loss_curves(losses.steps, losses.losses) if losses and len(losses.steps) > 1 else None,
        preparation=data_tables.preparation(data),
        before_after=before_and_after(data),
        audit=data_tables.findings_table(data.summary.audit),
        rejects=data_tables.rejects_by_reason(data),
        unknown_labels=data_tables.unknown_labels(data),
        corpora=[_corpus(c) for c in data.corpora],
        provenance=data_tables.provenance_table(data, LISTED_SAMPLES),
        metrics=sorted(data.metrics.items()),
    )


def _totals(data: RunFolder) -> Totals:
    verdicts = [v.verdict for v in data.verdicts or ()]
    tallies = data.balance.every if data.balance else ()
    return Totals(
        real=data.samples.num_rows,
        train=data.train.num_rows,
        synthetic=data.synthetic.num_rows if data.synthetic is not None else None,
        candidates=sum(tally.candidates for tally in tallies) if tallies else None,
        verdicts={v: verdicts.count(v) for v in ("pass", "undecided", "fail")} if verdicts else None,
        unfilled=[tally.named for tally in tallies if not tally.filled],
    )


def _balance(data: RunFolder) -> BalanceView:
    """Counts of each class before and after; before alone while nothing has been sampled."""
    counts, balance = data.summary.counts, data.balance
    before = [counts["train"].get(c, 0) for c in data.classes]
    if balance is None:
        bars = [figures.Bar(c, n) for c, n in zip(data.classes, before, strict=True)]
    else:
        bars = [figures.Bar(t.emotion, t.real_train, t.effective, t.target, t.accepted) for t in balance.classes]
    rows = balance.every if balance else ()
    owned = balance.owned if balance else ()
    return BalanceView(
        figure=figures.balance_chart(bars),
        rows=rows,
        gates=list(dict.fromkeys(gate for row in rows for gate in row.rejected)),
        owned=owned,
        subjects=any(cell.subject for cell in owned),
        rounds=balance.rounds if balance else (),
        mixtures=bool(balance and balance.mixtures),
        cost=tables.cost_table(balance),
        ratio_before=_ratio(before),
        weighted=bool(balance and balance.target and balance.target.by == "weight"),
        ratio_after=_ratio([bar.real + bar.accepted for bar in bars]) if balance else None,
        splits=[(s, [counts[s].get(c, 0) for c in data.classes]) for s in counts],
    )


def _ratio(counts: Sequence[int]) -> float:
    return max(counts) / min(counts) if counts and min(counts) > 0 else math.nan


def _corpus(corpus: CorpusFolder) -> CorpusView:
    url = corpus.facts.card.url
    return CorpusView(
        name=corpus.name,
        facts=corpus.facts,
        url=url if url and url.startswith(("https://", "http://")) else None,
        profile=profile_corpus(corpus.ingested) if corpus.ingested.has_samples else None,
        quality=data_tables.quality_table(corpus.quality),
        views=[
            ViewTable(name, audit, data_tables.findings_table(audit.findings))
            for name, audit in sorted(corpus.audit.views.items())
        ],
        conflicts=data_tables.conflict_tables(corpus.audit.conflicts),
    )

"""The comparison of two releases as one HTML page, without network: what moved and why first, then every table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flows.audits.page import page_of
from flows.releases.compared import Comparison

MOST_ROWS = 2000  # of one table; what is beyond is counted


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of the page. words: columns from the left that hold words, the others hold numbers."""

    id: str
    title: str
    why: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int

    @property
    def shown(self) -> tuple[tuple[str, ...], ...]:
        """Those that the page has room for."""
        return self.rows[:MOST_ROWS]


def diff_page(compared: Comparison) -> str:
    """The page; everything in it is escaped. The same comparison gives the same bytes."""
    return page_of(
        "diff.html.j2",
        compared=compared,
        before=compared.before.shown,
        after=compared.after.shown,
        tables=tables_of(compared),
    )


def tables_of(compared: Comparison) -> list[Rows]:
    """Every table of a comparison, for page and terminal alike; those without rows are left out."""
    tables = [
        Rows(
            "why",
            "What moved, and why",
            "Causes are differences of the plans that can have moved it; several cannot be told apart without a run.",
            ("what", "how", "because"),
            tuple((c.moved, c.how, c.sentence) for c in compared.causes),
            3,
        ),
        Rows(
            "changes",
            "What the plans differ in",
            "",
            ("kind", "what", "before", "after", "stages", "commits"),
            tuple(
                (c.kind, c.what, value(c.before), value(c.after), ", ".join(c.stages), "; ".join(c.commits))
                for c in compared.changes
            ),
            6,
        ),
        Rows(
            "samples",
            "Samples",
            "came, went: in one release alone. Others: the same sample with another payload, class, split or weight.",
            ("kind", "what", "n", "classes", "such as"),
            tuple(
                (m.kind, m.what, str(m.n), _flat(m.by_class.items()), ", ".join(m.examples[:3])) for m in compared.moved
            ),
            2,
        ),
        Rows(
            "exchanged",
            "Samples in and out, by split and class",
            "",
            ("split", "class", "real in", "real out", "synthetic in", "synthetic out"),
            tuple((e.split, e.emotion, *(str(n) for n in (*e.real, *e.synthetic))) for e in compared.exchanged),
            2,
        ),
        Rows(
            "fates",
            "What became of them",
            "What the release that lacks a sample says of it: every release holds the scores of all its candidates.",
            ("way", "kind", "n", "in the other release", "such as"),
            tuple((f.way, f.kind, str(f.n), f.reason, ", ".join(f.examples[:3])) for f in compared.fates),
            2,
        ),
        Rows(
            "balance",
            "Balance of the classes",
            "",
            ("split", "class", "real", "synthetic", "count for"),
            tuple(
                (row.split, row.emotion, _pair(row.real), _pair(row.synthetic), _pair(row.weight))
                for row in compared.balance
            ),
            2,
        ),
        Rows(
            "verdicts",
            "Verdicts",
            "",
            ("gate", "group", "verdict", "value", "reason"),
            tuple(
                (v.gate, v.group, _pair(v.verdict), _pair(v.value), v.reason[1] or v.reason[0])
                for v in sorted(compared.verdicts, key=lambda v: not v.turned)
            ),
            3,
        ),
        Rows("uplift", "Uplift", UPLIFT, ("measure", "before", "after"), tuple(_uplift(compared)), 3),
    ]
    return [table for table in tables if table.rows]


UPLIFT = "UAR on real test samples of a plain classifier, trained with synthetic samples minus without, in points."


def value(one: object) -> str:
    """A value of a plan; a hash is cut."""
    text = "–" if one is None else str(one)
    return text[:12] if len(text) == 64 and all(sign in "0123456789abcdef" for sign in text) else text


def _pair(both: Sequence[object]) -> str:
    before, after = ("–" if one is None else f"{one:.4g}" if isinstance(one, float) else str(one) for one in both)
    return before if before == after else f"{before} → {after}"


def _flat(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts)


def _uplift(compared: Comparison) -> Iterable[tuple[str, str, str]]:
    difference, outcome = compared.uplift.difference, compared.uplift.outcome
    if any(one is not None for one in difference):
        shown = ["–" if one is None else f"{100 * one.value:+.1f}" for one in difference]
        between = ["–" if o is None or o.low is None or o.high is None else _range(o.low, o.high) for o in difference]
        yield ("difference", *shown)  # type: ignore[misc]
        yield ("95 %", *between)  # type: ignore[misc]
        yield ("outcome", *(one or "–" for one in outcome))  # type: ignore[misc]


def _range(low: float, high: float) -> str:
    return f"{100 * low:.1f} .. {100 * high:.1f}"

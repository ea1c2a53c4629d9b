"""`emoforge audit`: folders or releases in; a table, JSON or a page out. No project is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from corpora.errors import IntegrityError, UserError
from corpora.store.atomic import write_text
from emoforge import console
from flows.audits.leaks import Audited, Priced, audit_inputs, kind_names
from validators.trials.leakworth import Interval

_LISTED = 1000  # pairs, keys and names that the JSON holds of each kind
_NAMED = 10  # that the terminal shows


def audit(given: Sequence[str], *, html: Path | None, seed: int, worth: bool, as_json: bool) -> bool:
    """Prints the audit of two or more inputs; -> whether they leak. `html`: also a page. Raises `UserError` for bad
    input, a damaged release too: exit code 1 says that there is a leak, and nothing else."""
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--html {html}: the page's name ends in .html")
    try:
        audited = audit_inputs(given, seed=seed, worth=worth)
    except IntegrityError as error:
        raise UserError(str(error)) from error
    if html is not None:
        from flows.audits.page import audit_page

        write_text(html, audit_page(audited))
    if as_json:
        console.print_json(audit_json(audited))
    else:
        _print(audited)
        if html is not None:
            console.out.print(f"Pairs side by side: {html}", markup=False)
    return audited.leaks


def audit_json(audited: Audited) -> dict[str, Any]:
    """Plain JSON; lists are cut to a thousand entries, counts are whole."""
    names = [side.index["name"].to_pylist() for side in audited.sides]
    within = {one.side: one.samples for one in audited.within}
    return {
        "leaks": audited.leaks,
        "inputs": [
            {
                "input": side.shown,
                "modality": side.modality,
                "samples": len(side),
                "labelled": len(side) - side.index["emotion"].null_count,
                "unreadable": [{"name": one.name, "reason": one.reason} for one in side.unreadable],
                "within": within.get(number, {}),
            }
            for number, side in enumerate(audited.sides)
        ],
        "shared": [
            {
                "first": audited.sides[of.first].shown,
                "second": audited.sides[of.second].shown,
                "leaks": of.leaks,
                "samples": {kind: {"first": len(a), "second": len(b)} for kind, (a, b) in of.rows.items()},
                "keys": {f.kind: list(f.members)[:_LISTED] for f in of.findings},
                "n_pairs": len(of.pairs),
                "pairs": [
                    {
                        "kind": pair.kind,
                        "first": names[of.first][pair.first],
                        "second": names[of.second][pair.second],
                        "distance": pair.distance,
                    }
                    for pair in of.pairs[:_LISTED]
                ],
            }
            for of in audited.shared
        ],
        "worth": [_worth_json(audited, one) for one in audited.priced],
    }


def _worth_json(audited: Audited, priced: Priced) -> dict[str, Any]:
    head = {"train": audited.sides[0].shown, "test": audited.sides[priced.test].shown, "leak": priced.leak}
    if priced.worth is None:
        return head | {"reason": priced.reason}
    return head | asdict(priced.worth)


def _print(audited: Audited) -> None:
    rows = []
    for side in audited.sides:
        bad = f"{len(side.unreadable)} cannot be decoded" if side.unreadable else ""
        rows.append([side.shown, side.modality, len(side), len(side) - side.index["emotion"].null_count, bad])
    console.table("Inputs", ["input", "modality", "samples", "labelled", ""], rows, right=("samples", "labelled"))
    for side in audited.sides:
        for one in side.unreadable[:_NAMED]:
            console.out.print(f"  {side.shown}/{one.name}: {one.reason}", markup=False)
        if len(side.unreadable) > _NAMED:
            console.out.print(f"  and {len(side.unreadable) - _NAMED} more", markup=False)
    found: list[list[Any]] = []
    for of in audited.shared:
        left, right = audited.sides[of.first], audited.sides[of.second]
        words = kind_names(left)
        found += [[left.shown, right.shown, words[kind], len(a), len(b)] for kind, (a, b) in of.rows.items()]
    if found:
        columns = ["first", "second", "what", "samples of the first", "of the second"]
        console.table("Shared", columns, found, right=columns[3:])
    else:
        console.out.print("Nothing is shared.")
    for within in audited.within:
        counts = ", ".join(f"{n} samples ({kind.replace('_', ' ')})" for kind, n in within.samples.items())
        console.out.print(f"Twice inside {audited.sides[within.side].shown}, no leak: {counts}", markup=False)
    for priced in audited.priced:
        _print_worth(audited, priced)


def _print_worth(audited: Audited, priced: Priced) -> None:
    train, test = audited.sides[0].shown, audited.sides[priced.test].shown
    title = f"What the leak is worth ({priced.leak}): learned from {train}, tested on {test}"
    if priced.worth is None:
        console.out.print(f"{title}: no number, because {priced.reason}", markup=False)
        return
    worth = priced.worth
    rows = [
        ["with what leaks", score(worth.with_leak)],
        [f"without it ({worth.n_leaked} of {worth.n_drawn} train samples fewer)", score(worth.without)],
        ["difference, points", points(worth.difference)],
        ["without as many others of the same classes", score(worth.others)],
        ["what the leak is worth beyond their number, points", points(worth.beyond)],
    ]
    console.table(title, ["", "UAR, %"], rows, right=("UAR, %",))
    drawn = f" (drawn of {worth.n_train})" if worth.n_drawn < worth.n_train else ""
    console.out.print(
        f"{worth.classifier}; n = {worth.n_drawn} train{drawn}, {worth.n_test} test in {worth.test_groups} groups; "
        f"95 % intervals by bootstrap of test groups; classes {', '.join(worth.classes)}",
        markup=False,
    )


def score(interval: Interval | None) -> str:
    """ "42.5 [38.8, 46.5]" in %; a dash for none."""
    return "-" if interval is None else f"{100 * interval.value:.1f}{_ends(interval)}"


def points(interval: Interval | None) -> str:
    """ "+6.3 [3.1, 9.9]" in points; a dash for none."""
    return "-" if interval is None else f"{100 * interval.value:+.1f}{_ends(interval)}"


def _ends(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return " [one group: no interval]"
    return f" [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"

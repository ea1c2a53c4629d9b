"""`emoforge claims`: published claims, and what is left of them when nothing leaks. No project is needed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from emoforge import console
from emoforge.auditing import points, score
from flows.claims.claim import Claim, claim_names, load_claim
from flows.claims.rerun import Measured, Rerun, rerun_claim

NOT_RETRAINED = (
    "The paper's own network is not trained again: a plain classifier of ours takes its place, on the corpus given, "
    "and what is measured is the difference that the protocol alone makes."
)
_UNITS = {"points": " points", "percent": " %"}
_QUANTITY = {"real": "score without added rows", "added": "score with added rows", "gain": "gain by added rows"}


def list_claims(*, as_json: bool) -> None:
    """Prints the claims that are shipped."""
    claims = {name: load_claim(name) for name in claim_names()}
    if as_json:
        console.print_json({name: claim.model_dump() for name, claim in claims.items()})
        return
    rows = [
        [name, claim.title, f"{claim.claim.value:g}{_UNITS[claim.claim.unit]} {claim.claim.metric}", claim.rerun.reader]
        for name, claim in claims.items()
    ]
    console.table("Published claims", ["name", "what", "claimed", "reader"], rows)
    console.out.print("Re-run one: emoforge claims NAME --data FOLDER", markup=False)


def run_claim(name: str, data: Path, *, seed: int, as_json: bool) -> None:
    """Re-runs a claim on the corpus in `data` and prints its protocols side by side. Raises `UnknownNameError`,
    `CorpusError`, `UserError`."""
    claim = load_claim(name)
    rerun = rerun_claim(claim, data, seed=seed)
    if as_json:
        console.print_json(_json(name, rerun))
        return
    _print(claim, rerun)


def _json(name: str, rerun: Rerun) -> dict[str, Any]:
    return {
        "name": name,
        "claim": rerun.claim.model_dump(mode="json"),
        "note": NOT_RETRAINED,
        "classifier": rerun.classifier,
        "classes": list(rerun.classes),
        "samples": rerun.samples,
        "subjects": rerun.subjects,
        "protocols": [_measured_json(one) for one in rerun.measured],
        "quantity": rerun.claim.rerun.quantity,
        "by_protocol": {metric: asdict(interval) for metric, interval in rerun.by_protocol.items()},
    }


def _measured_json(one: Measured) -> dict[str, Any]:
    numbers = {
        name: {metric: asdict(interval) for metric, interval in getattr(one, name).items()}
        for name in ("real", "added", "gain")
    }
    counts = {name: getattr(one, name) for name in ("n_real", "n_added", "n_test", "groups", "dropped")}
    return {"protocol": one.protocol.model_dump(mode="json")} | numbers | counts


def _print(claim: Claim, rerun: Rerun) -> None:
    console.table(
        claim.title,
        ["", ""],
        [
            ["source", f"{claim.source.citation} (read: {claim.source.read})"],
            ["claimed", claim.claim.words],
            *([key, value] for key, value in claim.stated.model_dump().items()),
            *(["left open", line] for line in claim.open),
            ["added rows", claim.rerun.added],
        ],
    )
    columns = ["protocol", "metric", "without added rows", "with them", "gain, points", "train", "tested"]
    rows = []
    for one in rerun.measured:
        for metric in one.real:
            counts = f"{one.n_real} / {one.n_added}", f"{one.n_test} of {one.groups} groups"
            measured = score(one.real[metric]), score(one.added[metric]), points(one.gain[metric])
            rows.append([one.protocol.name, f"{metric}, %", *measured, *counts])
    console.table("Re-run", columns, rows, right=columns[2:5])
    for one in rerun.measured:
        if one.dropped:
            console.out.print(f"{one.protocol.name}: {one.dropped} copies of test dropped from train", markup=False)
    first, last = rerun.measured[0].protocol.name, rerun.measured[-1].protocol.name
    what = _QUANTITY[claim.rerun.quantity]
    for metric, interval in rerun.by_protocol.items():
        line = f"{what}, {metric}: '{first}' minus '{last}' = {points(interval)} points, which the protocol alone makes"
        console.out.print(line, markup=False)
    people = f" of {rerun.subjects} subjects" if rerun.subjects is not None else ""
    console.out.print(
        f"{rerun.classifier}; n = {rerun.samples}{people}; classes {', '.join(rerun.classes)}; 95 % intervals by "
        f"bootstrap of subjects, or of pictures where nobody knows whose they are. {NOT_RETRAINED}",
        markup=False,
    )

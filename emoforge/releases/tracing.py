"""`emoforge trace`: the birth certificate of a sample, and what stands on a sample or a person, in which releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from corpora.errors import UnknownNameError, UserError
from emoforge import console
from emoforge.project import find_project
from flows.releases.lineage import Certificate, Lineage, Standing, every_place, readable
from flows.releases.openlineage import of_certificate, of_standing
from flows.releases.places import Place, find_release

SHOWN = 20  # samples that the terminal names


def trace(
    sample: str | None, subject: str | None, releases: list[str], repo: Path | None, *, versions: bool, form: str
) -> None:
    """form: "text", "json" or "openlineage". Raises `UnknownNameError` where no release knows the sample or subject,
    `UserError` where both or none is named."""
    if (sample is None) == (subject is None):
        raise UserError("name a sample or a subject: emoforge trace SAMPLE, or emoforge trace --subject S")
    missing: list[str] = []
    if releases:
        places = [find_release(given, repo, whole=False) for given in releases]
    else:
        places, missing = every_place(repo or find_project(), versions=versions)
    known, unread = readable(places)
    standing = [(one, one.standing(sample=sample, subject=subject)) for one in known]
    touched = [(one, of) for one, of in standing if of.touched or (sample is not None and one.has(sample))]
    if not touched:
        what = f"sample {sample!r}" if sample is not None else f"subject {subject!r}"
        looked = ", ".join(place.shown for place in places) or "none"
        raise UnknownNameError(
            f"no release here knows {what}. Looked at: {looked}. {' '.join(missing + unread)}".strip()
        )
    certificates = [one.certificate(sample) for one, _ in touched if one.has(sample)] if sample is not None else []
    if form == "openlineage":
        console.print_json(_events(touched, certificates, sample, subject))
    elif form == "json":
        console.print_json(
            {
                "sample": sample,
                "subject": subject,
                "certificates": [asdict(one) for one in certificates],
                "standing": [{**asdict(of), "n_synthetic": of.n_synthetic} for _, of in touched],
                "not_read": missing + unread,
            }
        )
    else:
        if certificates:
            _print_certificate(certificates[0])
        _print_standing([of for _, of in touched], sample or str(subject), synthetic=_is_synthetic(certificates))
        for line in missing + unread:
            console.out.print(f"not read: {line}", markup=False)


def _is_synthetic(certificates: list[Certificate]) -> bool:
    return bool(certificates) and certificates[0].generator is not None


def _events(
    touched: list[tuple[Lineage, Standing]], certificates: list[Certificate], sample: str | None, subject: str | None
) -> list[Mapping[str, object]]:
    places: dict[str, Place] = {of.release_hash: one.place for one, of in touched}
    what = sample if sample is not None else f"subject:{subject}"
    events = [of_certificate(one, places[one.release_hash]) for one in certificates]
    return events + [of_standing(of, one.place, what) for one, of in touched if of.touched]


def _print_certificate(one: Certificate) -> None:
    rows: list[list[object]] = [["release", f"{one.release} ({one.release_hash[:12]})"], ["split", one.split]]
    rows += [[name, value] for name, value in one.facts.items()]
    if one.generator is not None:
        made = one.generator
        rows += [["generator", f"{made.name or ''} {made.generator_id}".strip()]]
        rows += [[name, getattr(made, name)] for name in ("weights", "params", "code") if getattr(made, name)]
        rows += [["loads", text] for text in made.loads]
        rows += [["fitted on", f"{made.n_samples} samples of {len(made.subjects)} people"]] if made.n_samples else []
    if one.draw is not None:
        rows += [[f"asked: {name}", value] for name, value in one.draw.items() if name not in ("v", "sources")]
    rows += [[f"source: {s.role}", f"{s.sample_id} ({s.emotion or '-'}, {s.subject_id or '-'})"] for s in one.sources]
    rows += [["people", ", ".join(one.subjects) or "nobody known"]]
    rows += [[f"plan: {stage}", key] for stage, key in one.plans.items()]
    console.table(one.sample_id, ["fact", "value"], rows)
    if one.gates:
        gates = [
            [g.gate, _number(g.value), _number(g.limit), _number(g.margin), "yes" if g.passed else "NO", g.judge or ""]
            for g in one.gates
        ]
        numbers = ["value", "limit", "margin"]
        console.table("Gates", ["gate", *numbers, "passed", "judge"], gates, right=numbers)
    if not one.known:
        console.out.print("This release is older than lineage: the index alone is known.")


def _print_standing(standing: list[Standing], what: str, *, synthetic: bool) -> None:
    if synthetic:
        return  # nothing is made of a synthetic sample
    rows = [
        [
            of.release,
            len(of.real),
            len(of.direct),
            sum(of.fitted.values()) if of.known else "not known",
            ("yes" if of.judged else "no") if of.known else "not known",
        ]
        for of in standing
    ]
    numbers = ["real", "made from them", "by generators fitted on them"]
    console.table(f"What stands on {what}", ["release", *numbers, "judges learned"], rows, right=numbers)
    for of in standing:
        if of.direct:
            more = f" and {len(of.direct) - SHOWN} more" if len(of.direct) > SHOWN else ""
            console.out.print(f"{of.release}: {', '.join(of.direct[:SHOWN])}{more}", markup=False)


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4g}"

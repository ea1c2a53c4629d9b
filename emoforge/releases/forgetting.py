"""`emoforge forget`: what is taken out, what stood on it, what has to run now, and what a purge came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpora.errors import UserError
from emoforge import console
from flows.conduct.retraction.certificate import Certificate, certificate_file
from flows.conduct.retraction.covered import Thing
from flows.conduct.retraction.forget import Forgotten, forget
from flows.paths import Layout


def thing_of(subject: str | None, sample: str | None, corpus: str | None) -> Thing:
    """Raises `UserError` where none or several are named."""
    named = {"subject": subject, "sample": sample, "corpus": corpus}
    given = [(of, name) for of, name in named.items() if name is not None]
    if len(given) != 1:
        raise UserError("name one thing: emoforge forget --subject S, --sample I, or --corpus C")
    ((of, name),) = given
    return Thing(of, name)  # type: ignore[arg-type]  # the three keys are what `Of` allows


def forgotten_json(done: Forgotten) -> dict[str, Any]:
    """What was written, what is covered, what stands on it, what has to run."""
    one = done.retraction
    return {
        "retraction": one.id,
        "of": one.of,
        "corpus": one.corpus,
        "date": one.date,
        "reason": one.reason,
        "known": done.known,
        "file": None if done.written is None else str(done.written),
        "samples": len(done.covered.own),
        "near_copies": {corpus: list(ids) for corpus, ids in done.covered.near.items()},
        "versions": [touched.to_json() for touched in one.versions],
        "unread": list(one.unread),
        "releases_here": [{**asdict(of), "n_synthetic": of.n_synthetic} for of in done.here],
        "run": list(done.runs),
        "cannot_run": list(done.without),
    }


def print_forgotten(done: Forgotten, repo: Path) -> None:
    """For people."""
    one = done.retraction
    state = "would be retracted" if done.written is None else "retracted"
    state = "retracted before; looked again" if done.known and done.written is not None else state
    console.out.print(
        f"{'the corpus' if one.of == 'corpus' else f'a {one.of} of'} {one.corpus}: {state} ({one.id}); "
        f"samples: {len(done.covered.own)}, near copies: {done.covered.n_near}",
        markup=False,
    )
    for corpus, ids in done.covered.near.items():
        console.out.print(
            f"  near copies in {corpus}: {', '.join(ids[:8])}{' ...' if len(ids) > 8 else ''}", markup=False
        )
    rows: list[list[object]] = [
        [of.release, len(of.real), len(of.direct), sum(of.fitted.values()), "yes" if of.judged else "no"]
        for of in done.here
    ]
    rows += [[t.tag, t.real, t.direct, t.direct + t.fitted, "yes" if t.judged else "no"] for t in one.versions]
    numbers = ["real", "made from them", "by generators fitted on them"]
    if rows:
        console.table("What stands on it", ["release", *numbers, "judges learned"], rows, right=numbers)
    for tag in one.unread:
        console.out.print(f"could not be looked at: {tag} (neither DVC's cache nor a remote has its tables)")
    if one.versions:
        console.out.print(
            "These tags stay, and say so from now on: emoforge log, diff, verify, checkout, open_release."
        )
    if done.written is not None:
        console.out.print(
            f"written: {done.written.relative_to(repo)}; keep it: git add {done.written.parent.relative_to(repo)}"
        )
    if done.without:
        console.out.print(
            f"take {one.corpus} out of params.yaml first: runs {', '.join(done.without)} name it", markup=False
        )
    if done.runs:
        console.out.print(f"to build what is left: emoforge run {' '.join(done.runs)}", markup=False)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be done beside writing it down."""

    dry_run: bool = False
    run: bool = False
    purge: bool = False
    as_json: bool = False


def forget_it(thing: Thing, repo: Path, reason: str, wishes: Wishes) -> bool:
    """-> whether nothing is left, where it was asked for. Raises what `forget`, the stages and `purge` raise."""
    done = forget(thing, repo=repo, reason=reason, dry_run=wishes.dry_run)
    if not wishes.as_json:
        print_forgotten(done, repo)
    if wishes.run and not wishes.dry_run and done.runs:
        from emoforge.projects.conductor import bring_up_to_date

        bring_up_to_date(done.runs, repo)
    certificate = None
    if wishes.purge and not wishes.dry_run:
        from flows.conduct.retraction.purge import purge

        certificate = purge(done.retraction, repo=repo, tell=console.say)
        if not wishes.as_json:
            print_certificate(certificate, repo)
    if wishes.as_json:
        told = {} if certificate is None else {"certificate": certificate.to_json(), "complete": certificate.complete}
        console.print_json(forgotten_json(done) | told)
    return certificate is None or certificate.complete


def audit_it(retraction: str, repo: Path, *, as_json: bool) -> bool:
    """Searches again; -> whether every place was reached and is clean. Raises what `audit` raises."""
    from flows.conduct.retraction.purge import audit, retraction_of

    certificate = audit(retraction_of(Layout(repo), retraction), repo=repo)
    if as_json:
        console.print_json({"certificate": certificate.to_json(), "complete": certificate.complete})
    else:
        _print_places(certificate)
    return certificate.complete


def print_certificate(certificate: Certificate, repo: Path) -> None:
    """For people; the files say all of it."""
    n = len(certificate.payloads), len(certificate.conversions), len(certificate.generated)
    console.out.print(
        f"purged: {n[0]} payloads of it, {n[1]} made from them, {n[2]} drawn by generators that were fitted on them "
        f"({len(certificate.objects)} objects of DVC)"
    )
    _print_places(certificate)
    path = certificate_file(Layout(repo), certificate.retraction).relative_to(repo)
    console.out.print(f"certificate: {path} (and .txt); keep it: git add {path.parent}", markup=False)


def _print_places(certificate: Certificate) -> None:
    console.table("Searched, every file by its content", ["place", "state"], list(certificate.places.items()))
    for line in certificate.not_reached:
        console.out.print(f"not reached: {line}", markup=False)

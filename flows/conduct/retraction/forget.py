"""`emoforge forget`: what is taken out is written down for ever, and what stands on it is looked up in every version.

Nothing is rebuilt here: DVC sees that what `reader` reads of data/retractions has changed, for the corpora that it
concerns, and `emoforge run` does the rest. Idempotent: again, it adds what has come since (a version, a near copy).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpora.errors import EmoforgeError
from flows.conduct.retraction.covered import Covered, Thing, covered
from flows.params import Params, load_params
from flows.paths import Layout
from flows.releases.history import published
from flows.releases.lineage import Lineage, Standing
from flows.releases.places import built_runs, find_release
from flows.releases.versions import versions_of
from flows.stages.ingest.retracted import (
    Retraction,
    Touched,
    retraction_key,
    retractions,
    rows_covered,
    write_retraction,
)


@dataclass(frozen=True)
class Forgotten:
    """What `forget` wrote, or with a dry run would write. known: it was taken out before. runs: that must be built
    anew; without: runs whose only corpora were taken out whole, and which no build can bring back. here: releases of
    this project that stand on it."""

    retraction: Retraction
    covered: Covered
    known: bool
    written: Path | None
    runs: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    here: tuple[Standing, ...] = field(default=())


def forget(thing: Thing, *, repo: Path, reason: str = "", dry_run: bool = False, today: str | None = None) -> Forgotten:
    """Writes data/retractions/<id>.json. today: ISO, of a retraction that is new; None: the day it is.

    Raises `UnknownNameError` where no corpus has the thing and it was not taken out before, `UserError` for what is no
    id, `IntegrityError` for a damaged corpus or retraction.
    """
    layout, params = Layout(repo), load_params(repo / "params.yaml")
    there = {one.id: one for one in retractions(layout)}
    date = today or datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    fresh = Retraction(corpus=thing.corpus, of=thing.of, key=thing.key, date=date, reason=reason)
    before = there.get(fresh.id)
    goes = covered(thing, layout, before=before)
    one = _with(before or fresh, goes, reason)
    one, here = _with_versions(one, repo)
    path = None if dry_run else write_retraction(layout, one)
    runs, without = _concerned(one, params)
    return Forgotten(one, goes, before is not None, path, runs, without, here)


def _with(one: Retraction, goes: Covered, reason: str) -> Retraction:
    """What there was and what was looked up now: nothing is lost of what the corpus no longer has."""
    near = {corpus: set(keys) for corpus, keys in one.near.items()}
    for corpus, ids in goes.near.items():
        near.setdefault(corpus, set()).update(retraction_key("sample", name) for name in ids)
    return one.model_copy(
        update={
            "near": {corpus: tuple(sorted(keys)) for corpus, keys in sorted(near.items())},
            "payloads": tuple(sorted({*one.payloads, *goes.payloads})),
            "reason": reason or one.reason,
        }
    )


def _with_versions(one: Retraction, repo: Path) -> tuple[Retraction, tuple[Standing, ...]]:
    """-> with the versions that hold it, and the releases of this project that stand on it."""
    here = []
    for run in built_runs(repo):
        standing = standing_on(Lineage.of(find_release(run, repo)), one)
        here += [standing] if standing.touched else []
    held = {touched.tag: touched for touched in one.versions}
    unread = set(one.unread)
    for version in [version for run in published(repo) for version in versions_of(run, repo)]:
        try:
            standing = standing_on(Lineage.of(find_release(version.tag, repo, whole=False)), one)
        except EmoforgeError:  # never pushed, purged, or its remote is down: what was known of it stays
            unread |= {version.tag} - held.keys()
            continue
        unread.discard(version.tag)
        if standing.touched:
            held[version.tag] = _touched(version.tag, standing)
    versions = tuple(held[tag] for tag in sorted(held))
    return one.model_copy(update={"versions": versions, "unread": tuple(sorted(unread))}), tuple(here)


def standing_on(lineage: Lineage, one: Retraction) -> Standing:
    """What of a release stands on what was retracted."""
    rows = lineage.release.columns.select(["sample_id", "subject_id", "corpus", "generator_id"]).to_pylist()
    samples, people = rows_covered(lineage.real_rows().to_pylist(), one)
    drawn_as = {row["subject_id"] for row in rows if row["subject_id"] is not None} - people
    people |= {who for who in drawn_as if retraction_key("subject", who) in one.keys}
    # what generators and judges learned from need not be released
    edges = lineage.edges
    learned = {
        used
        for used, role in zip(edges["used"].to_pylist(), edges["role"].to_pylist(), strict=True)
        if role in ("fitted on", "learned from") or role.startswith("source:")
    }
    ghosts = ({"sample_id": used, "subject_id": None, "corpus": used.partition("/")[0]} for used in sorted(learned))
    return lineage.standing_of(samples | rows_covered(ghosts, one)[0], people)


def _touched(tag: str, standing: Standing) -> Touched:
    return Touched(
        tag=tag,
        release_hash=standing.release_hash,
        real=len(standing.real),
        direct=len(standing.direct),
        fitted=max(0, sum(standing.fitted.values()) - len(standing.direct)) if standing.fitted else 0,
        judged=standing.judged,
    )


def _concerned(one: Retraction, params: Params) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """-> runs that must be built anew, and runs that cannot be."""
    corpora = {one.corpus, *one.near}
    gone = {one.corpus} if one.of == "corpus" else set()
    named: Sequence[str] = [name for name, run in params.runs.items() if corpora & set(run.corpora)]
    without = tuple(name for name in named if gone & set(params.run(name).corpora))
    return tuple(name for name in named if name not in without), without

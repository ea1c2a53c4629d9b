"""The certificate of a purge: data/certificates/<id>.json and .txt, tracked, the same for the same purge.

It says what was removed from where, what learnt from it, what could not be reached, and how to look again. It holds
hashes of payloads, because whoever audits needs them; no id, and nothing of who asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from corpora.store.atomic import write_json, write_text
from flows.artifacts.base import Record, read_as
from flows.conduct.retraction.states import Held
from flows.paths import Layout
from flows.stages.ingest.retracted import Retraction, Touched

FORMAT = "emoforge-purge/1"
# what no command of a project reaches, whatever is in it
ALWAYS = (
    "clones of this project, and releases that others have fetched or copied: the versions above name what they hold",
    "git history: small files of numbers (metrics.json, loss tables) and messages of tags; counts, no payload",
    "backups and snapshots of these disks and buckets",
)


class Certificate(Record):
    """What a purge came to. outs: "path md5" of DVC; holding: md5 of those whose own index had it; loads: weights that
    generators started from. objects: names of DVC's objects that were removed wherever they
    lay. payloads, conversions, generated: sha256 of what is gone: the samples, what was made from them, what generators
    that were fitted on them have drawn. places: where was looked -> "clean", "left: ..." or why it was not reached."""

    format: str = FORMAT
    retraction: str
    what: str
    versions: tuple[Touched, ...] = ()
    outs: tuple[str, ...] = ()
    holding: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    payloads: tuple[str, ...] = ()
    conversions: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()
    generators: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    places: dict[str, str] = Field(default_factory=dict)
    not_reached: tuple[str, ...] = ()
    repeat: str = ""

    @property
    def complete(self) -> bool:
        """Whether every place was reached, and nothing was left in any."""
        return bool(self.places) and all(state == CLEAN for state in self.places.values())


CLEAN = "clean"


def merged(one: Held, before: Certificate | None) -> Held:
    """What was looked up now, and what an earlier purge had looked up before it removed it; without what something
    else needs by now."""
    before = before or Certificate(retraction="", what="")
    payloads = (one.payloads | set(before.payloads)) - one.kept
    conversions = (one.conversions | set(before.conversions)) - one.kept
    return Held(
        outs=one.outs | set(before.outs),
        holding=one.holding | set(before.holding),
        oids=one.oids | {out.rpartition(" ")[2] for out in before.outs},
        objects=(one.objects | set(before.objects)) - one.valid,
        payloads=payloads,
        conversions=conversions,
        generated=(one.generated | set(before.generated)) - payloads - conversions - one.kept,
        generators=one.generators | set(before.generators),
        judges=one.judges | set(before.judges),
        loads=one.loads | set(before.loads),
        raw=one.raw,
        valid=one.valid,
        kept=one.kept,
    )


def certificate_of(retraction: Retraction, gone: Held, places: Mapping[str, str], raw: str) -> Certificate:
    """raw: where the corpus' own files lie. places: of the audit; {} before it."""
    loads = tuple(f"weights that came from elsewhere and may know it: {text}" for text in sorted(gone.loads))
    return Certificate(
        retraction=retraction.id,
        what=retraction.sentence,
        versions=retraction.versions,
        outs=tuple(sorted(gone.outs)),
        holding=tuple(sorted(gone.holding)),
        objects=tuple(sorted(gone.objects)),
        payloads=tuple(sorted(gone.payloads | set(retraction.payloads))),
        conversions=tuple(sorted(gone.conversions)),
        generated=tuple(sorted(gone.generated)),
        generators=tuple(sorted(gone.generators)),
        judges=tuple(sorted(gone.judges)),
        loads=tuple(sorted(gone.loads)),
        places=dict(sorted(places.items())),
        not_reached=(f"the raw files of the corpus, which are its owner's: {raw}", *loads, *ALWAYS),
        repeat=f"emoforge forget --audit {retraction.id}",
    )


def certificate_file(layout: Layout, retraction: str) -> Path:
    """Where it lies."""
    return layout.certificates / f"{retraction}.json"


def read_certificate(path: Path) -> Certificate | None:
    """None where there is none. Raises `IntegrityError` for a damaged one."""
    if not path.is_file():
        return None
    certificate: Certificate = read_as(path, Certificate)
    return certificate


def write_certificate(layout: Layout, one: Certificate) -> Path:
    """-> the JSON; the text lies beside it."""
    path = certificate_file(layout, one.retraction)
    write_text(path.with_suffix(".txt"), text_of(one))
    write_json(path, one.to_json())
    return path


def text_of(one: Certificate) -> str:
    """For people."""
    n_outs, n_generators = len(one.outs), len(one.generators)
    lines = [
        f"Certificate of the purge of retraction {one.retraction}",
        "",
        f"{one.what[0].upper()}{one.what[1:]}.",
        f"Removed: {len(one.payloads)} payloads of it, {len(one.conversions)} made from them, {len(one.generated)} "
        f"drawn by {n_generators} generator(s) fitted on them; {len(one.objects)} objects of {n_outs} outputs "
        "of DVC. Their hashes stand in the JSON beside this.",
        "",
        "Published versions that held it (their tags stay, and say so):",
        *([f"  {touched.tag}: {touched.sentence}" for touched in one.versions] or ["  none"]),
        "Generators that had learnt from it:",
        *([f"  {name}" for name in one.generators] or ["  none"]),
        "Judges that had learnt from it:",
        *([f"  {name}" for name in one.judges] or ["  none"]),
        "Searched afterwards, every file by its content:",
        *[f"  {place}: {state}" for place, state in one.places.items()],
        "Not reached:",
        *[f"  {line}" for line in one.not_reached],
        "",
        f"To search again: {one.repeat}",
    ]
    return "\n".join(lines) + "\n"

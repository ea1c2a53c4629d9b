"""One synthetic sample drawn again from its birth certificate: the same bytes, or what differs.

The run's folder must hold the generator (model/) and what it converts (prepared/); `dvc pull` brings both. The whole
list of draws is made again, because draws of one batch have a share in each other's bytes.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from corpora.errors import IntegrityError, UserError
from corpora.fingerprint import hash_bytes
from flows.artifacts.augmented import DrawnBy
from flows.artifacts.prepared import Prepared
from flows.engine.store import WorkStore
from flows.params import Machine
from flows.paths import Layout
from flows.releases.lineage import Lineage, Origin
from flows.stages.augment.candidates import Drawer
from flows.stages.augment.sampler import read_samples
from flows.stages.plan.plans import AugmentPlan
from generators.generator import Draw


@dataclass(frozen=True, slots=True)
class Redrawn:
    """A sample, drawn again. wanted: the sha256 that the release says; sha256: of what was drawn."""

    sample_id: str
    payload: bytes
    codec: str
    sha256: str
    wanted: str

    @property
    def same(self) -> bool:
        """Whether the bytes are those of the release."""
        return self.sha256 == self.wanted


def redraw(sample: str, lineage: Lineage, run: str, layout: Layout, machine: Machine) -> Redrawn:
    """`run`: of the project, whose model and prepared samples are used.

    Raises `UnknownNameError` (no such sample), `UserError` (a real one, a release without lineage, a run without a
    generator), `IntegrityError` (the run's generator is another than the one that drew it, and in what).
    """
    certificate = lineage.certificate(sample)
    if certificate.generator is None:
        raise UserError(f"{sample} is real: nobody drew it")
    if not lineage.release.has_payloads:
        raise UserError(
            f"{lineage.place.shown} holds features alone, and no hash of what was drawn. Name the whole one: --release "
            f"{lineage.release.manifest['part_of']['release']}"
        )
    if certificate.list_key is None:
        raise UserError(f"{lineage.place.shown} does not hold the draws of {sample}: it is older than lineage (3.2)")
    drawn = [draw for _, draw in lineage.draws_of(certificate.list_key)]
    if lineage.release.manifest.get("part_of") and any(_is_hashed(draw.get("given")) for draw in drawn):
        raise UserError(
            f"{lineage.place.shown} is a part of a release: of the vectors or texts that its draws followed it holds "
            f"hashes alone. Name the whole one: --release {lineage.release.manifest['part_of']['release']}"
        )
    draws = [Draw.from_json(draw) for draw in drawn]
    at = [draw.key() for draw in draws].index(sample.rpartition("/")[2])
    plan, prepared = AugmentPlan.read(layout, run), Prepared.open(layout.run(run) / "prepared")
    with tempfile.TemporaryDirectory() as place:
        store = WorkStore(Path(place) / "store")
        alone = machine.model_copy(update={"actors": 0})  # one list: no pool is worth its start
        with Drawer(plan, layout, alone, store, prepared, {}) as drawer:
            _require_same(certificate.generator, drawer.drawn_by, run)
            candidate = drawer([draws], 0)[at]
        payloads, meta = read_samples(store, candidate.list_key)
    payload = payloads[candidate.row]
    wanted = str(certificate.facts["sha256"])
    return Redrawn(sample, payload, str(meta["codecs"][candidate.row]), hash_bytes(payload), wanted)


def _require_same(wanted: Origin, there: DrawnBy, run: str) -> None:
    if wanted.generator_id == there.generator_id:
        return
    parts = ("weights", "params", "code")
    other = [name for name in parts if getattr(wanted, name) != getattr(there, name)] or ["what its parameters load"]
    raise IntegrityError(
        f"the generator of run {run!r} here is {there.generator_id}, {wanted.generator_id} drew the sample: "
        f"{' and '.join(other)} differ. Check out the commit of its version, and `dvc pull` its model."
    )


def _is_hashed(given: JsonValue) -> bool:
    """Whether a draw's conditions stand as hashes (flows/parts/taken.py)."""
    return isinstance(given, dict) and any(isinstance(value, dict) for value in given.values())

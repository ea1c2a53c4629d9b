"""Lineage as OpenLineage events (https://openlineage.io/spec/2-0-2/OpenLineage.json), for tools that collect those.

A release is an output of the job `release.RUN`, its real samples' corpora and its generator are inputs; a sample is an
output of `augment.RUN`. Facts that the standard has no field for stand in facets named `emoforge_...`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from corpora.store.release import MANIFEST
from flows.releases.lineage import Certificate, Standing
from flows.releases.places import Place

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
PRODUCER = "urn:emoforge"  # a URI is asked for, and whoever runs it decides where the code is published
NAMESPACE = "emoforge"
Datasets = Sequence[Mapping[str, object]]
_SPACE = uuid.UUID("6f7c1c54-8a5e-5b52-9d0a-0e6d6f666f72")  # of the ids of runs: the same release has the same


def of_certificate(certificate: Certificate, place: Place) -> Mapping[str, object]:
    """The making of one sample as a RunEvent."""
    inputs = [
        _dataset(source.sample_id, {"role": source.role, "subject": source.subject_id, "emotion": source.emotion})
        for source in certificate.sources
    ]
    if certificate.generator is not None:
        inputs.append(_dataset(f"generator:{certificate.generator.generator_id}", asdict(certificate.generator)))
    facts = {
        "facts": dict(certificate.facts),
        "draw": certificate.draw,
        "gates": [asdict(gate) for gate in certificate.gates],
        "subjects": list(certificate.subjects),
    }
    job = "augment" if certificate.generator is not None else "prepare"
    output = _dataset(certificate.sample_id, facts)
    return _event(place, job, certificate.release_hash, inputs, [output])


def of_standing(standing: Standing, place: Place, what: str) -> Mapping[str, object]:
    """What a release uses of a person or sample (`what`) as a RunEvent."""
    used: Mapping[str, object] = {
        "real": list(standing.real),
        "direct": list(standing.direct),
        "fitted": dict(standing.fitted),
        "judged": standing.judged,
    }
    inputs = [_dataset(what, used)]
    output = _dataset(f"release:{standing.release_hash}", {"release": standing.release})
    return _event(place, "release", standing.release_hash, inputs, [output])


def _event(
    place: Place,
    job: str,
    release_hash: str,
    inputs: Sequence[Mapping[str, object]],
    outputs: Sequence[Mapping[str, object]],
) -> Mapping[str, object]:
    run = place.version.run if place.version else (place.run.name if place.run else place.release.name)
    written = (place.release / MANIFEST).stat().st_mtime
    time = place.version.date if place.version else datetime.fromtimestamp(written, UTC).isoformat()
    names = ",".join(str(one["name"]) for one in outputs)
    return {
        "eventType": "COMPLETE",
        "eventTime": time,
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": str(uuid.uuid5(_SPACE, f"{job} {release_hash} {names}"))},
        "job": {"namespace": NAMESPACE, "name": f"{job}.{run}"},
        "inputs": inputs,
        "outputs": outputs,
    }


def _dataset(name: str, facts: Mapping[str, object]) -> Mapping[str, object]:
    facet = {"_producer": PRODUCER, "_schemaURL": SCHEMA.partition("#")[0] + "#/$defs/DatasetFacet", **facts}
    return {"namespace": NAMESPACE, "name": name, "facets": {"emoforge_lineage": facet}}

"""What equal payloads say of a corpus: findings that no split mends, for a person to look at.

- `same_recording`: one recording under several speaker ids. The ids may be one person; then a split by subject
  puts that person into two splits, and the corpus has fewer people than its card says.
- `conflicting_labels`: one payload under several labels. One of them is wrong, or the corpus holds two opinions.

Neither stops anything. Texts are left out of the first: many people say "Thank you.".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

KINDS = ("same_recording", "conflicting_labels")
_COLUMNS = ("sample_id", "modality", "subject_id", "emotion", "emotion_raw", "labels", "extra", "sha256")
_LISTED = 1000  # entries of a finding that its JSON holds
_SHOWN = 3  # entries that a note names, and names in one of them


@dataclass(frozen=True, slots=True)
class Conflict:
    """One payload with several labels, or one recording of several speakers.

    `what`: {speaker id or label: its sample ids}.
    """

    kind: str
    what: Mapping[str, tuple[str, ...]]

    @property
    def samples(self) -> int:
        """How many sample ids it names."""
        return sum(len(ids) for ids in self.what.values())


def find_conflicts(index: pa.Table) -> list[Conflict]:
    """SAMPLES index -> conflicts of both kinds, `same_recording` first, sorted by their names.

    Speakers that share several recordings are one entry; so are three of whom each shares one with the next. A label is
    the corpus' own word where there is one, else the emotion; of several labels a sample, all of them. Samples of one
    picture with a box of their own (several faces) are not compared.
    """
    counted = pc.value_counts(index.column("sha256"))
    often = counted.filter(pc.greater(counted.field("counts"), 1)).field("values")
    rows = index.filter(pc.is_in(index.column("sha256"), value_set=often)).select(list(_COLUMNS))
    of_payload: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.to_pylist():
        of_payload[row["sha256"]].append(row)
    return [*_shared(of_payload.values()), *_labelled(of_payload.values())]


def conflicts_to_json(conflicts: Iterable[Conflict]) -> dict[str, Any]:
    """Kind -> {counts, entries}: all are counted, the first thousand are listed."""
    counts: dict[str, Any] = {}
    every = list(conflicts)
    for kind in KINDS:
        own = [conflict for conflict in every if conflict.kind == kind]
        counts[kind] = {
            "counts": {"entries": len(own), "samples": sum(conflict.samples for conflict in own)},
            "entries": [{name: list(ids) for name, ids in conflict.what.items()} for conflict in own[:_LISTED]],
        }
    return counts


def conflict_notes(conflicts: Iterable[Conflict]) -> list[str]:
    """A sentence for each kind that there is: how many, the first ones by name, and what it may mean."""
    every = list(conflicts)
    notes = []
    for kind in KINDS:
        own = [conflict for conflict in every if conflict.kind == kind]
        if not own:
            continue
        examples = "; ".join(f"{_few(conflict.what)} in {_few(_ids(conflict))}" for conflict in own[:_SHOWN])
        more = f"; and {len(own) - _SHOWN} more in audit.json" if len(own) > _SHOWN else ""
        if kind == "same_recording":
            n_subjects = sum(len(conflict.what) for conflict in own)
            notes.append(
                f"{n_subjects} speaker ids share recordings, so some are perhaps one person, whom a split by subject "
                f"may divide: {examples}{more}"
            )
        else:
            notes.append(f"{len(own)} payloads stand under several labels: {examples}{more}")
    return notes


def _ids(conflict: Conflict) -> list[str]:
    return [sample_id for ids in conflict.what.values() for sample_id in ids]


def _few(names: Iterable[str]) -> str:
    every = list(names)
    shown = " and ".join(every[:_SHOWN])
    return shown + (f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else "")


def _shared(twice: Iterable[list[dict[str, Any]]]) -> list[Conflict]:
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    members: dict[str, set[str]] = defaultdict(set)
    for rows in twice:
        spoken = [row for row in rows if row["subject_id"] is not None and row["modality"] != "text"]
        subjects = sorted({row["subject_id"] for row in spoken})
        if len(subjects) > 1:
            for row in spoken:
                members[row["subject_id"]].add(row["sample_id"])
            for other in subjects[1:]:
                parent[root(other)] = root(subjects[0])
    people: dict[str, list[str]] = defaultdict(list)
    for subject in sorted(members):
        people[root(subject)].append(subject)
    groups = [{subject: tuple(sorted(members[subject])) for subject in group} for group in people.values()]
    return [Conflict("same_recording", what) for what in sorted(groups, key=list)]


def _labelled(twice: Iterable[list[dict[str, Any]]]) -> list[Conflict]:
    conflicting = []
    for rows in twice:
        of_box: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            label = _label(row)
            if label is not None:
                of_box[dict(row["extra"] or ()).get("face_box", "")][label].append(row["sample_id"])
        for labels in of_box.values():
            if len(labels) > 1:
                conflicting.append({label: tuple(sorted(ids)) for label, ids in sorted(labels.items())})
    return [Conflict("conflicting_labels", what) for what in sorted(conflicting, key=lambda what: min(what.values()))]


def _label(row: Mapping[str, Any]) -> str | None:
    own = sorted(
        {entry["label"] for entry in row["labels"] or () if entry["scheme"] != "canonical" and entry["weight"]}
    )
    return row["emotion_raw"] or row["emotion"] or (", ".join(own) or None)

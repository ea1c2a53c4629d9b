"""What must never be ingested again: data/retractions/<id>.json, tracked by git, so that it holds in every clone.

Ids stand there as hashes (docs/adr/0015-a-retraction-is-a-tracked-file.md). `reader` puts what concerns a corpus into
the JSON that its `ingest` depends on, so another corpus' retraction reads nothing again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from corpora.errors import CorpusError, IntegrityError
from corpora.fingerprint import hash_bytes, hash_json
from corpora.schema import Reject, Sample
from corpora.store.atomic import write_json
from flows.artifacts.base import Record, read_as
from flows.paths import Layout

Of = Literal["subject", "sample", "corpus"]
FORMAT = "emoforge-retraction/1"
REASON = "retracted"  # slug of a reject, of which nothing but the number is told
NOWHERE = "-"  # its path


def retraction_key(of: Of, name: str) -> str:
    """64 hex digits that stand for an id in a tracked file. Ids begin with their corpus, so none is shared."""
    return hash_json(["emoforge retraction", of, name])


class Touched(Record):
    """A published version that holds what was retracted, or stands on it: how many real samples, synthetic ones that
    started from them, and others by generators that were fitted on them; judged: whether gates learned from them."""

    tag: str
    release_hash: str
    real: int
    direct: int
    fitted: int
    judged: bool

    @property
    def sentence(self) -> str:
        """In words."""
        parts = [
            f"{n} {what}"
            for n, what in (
                (self.real, "real samples"),
                (self.direct, "samples made from them"),
                (self.fitted, "samples of a generator fitted on them"),
            )
            if n
        ]
        return ", ".join([*parts, *(["judges that learned from them"] if self.judged else [])])


class Retraction(Record):
    """One thing that was taken out. corpus: where it was. key: its id, hashed. date: ISO, the day. reason: as given;
    who asked is not kept. near: corpus -> hashed ids of its near copies there, taken out with it. payloads: sha256 of
    what was taken out, as it was ingested, sorted; none of a whole corpus. versions: that hold it; unread: tags of
    which nobody could look."""

    format: str = FORMAT
    corpus: str
    of: Of
    key: str
    date: str
    reason: str = ""
    near: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    payloads: tuple[str, ...] = ()
    versions: tuple[Touched, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """16 hex digits: the same thing in every clone, whoever takes it out."""
        return hash_json([self.corpus, self.of, self.key])[:16]

    @property
    def keys(self) -> frozenset[str]:
        """Hashed ids of all that it takes out."""
        return frozenset([self.key, *(key for keys in self.near.values() for key in keys)])

    @property
    def sentence(self) -> str:
        """What was retracted, and why, without saying who."""
        what = f"corpus {self.corpus}" if self.of == "corpus" else f"a {self.of} of {self.corpus}"
        return f"{what} was retracted on {self.date}" + (f" ({self.reason})" if self.reason else "")


def retractions(layout: Layout) -> list[Retraction]:
    """All of them, by id. Raises `IntegrityError` for a file that is none, or has another's name."""
    found = []
    for path in sorted(layout.retractions.glob("*.json")):
        one: Retraction = read_as(path, Retraction)
        if one.format != FORMAT or path.stem != one.id:
            raise IntegrityError(f"{path} is no retraction as `emoforge forget` writes it ({FORMAT}, {one.id}.json)")
        found.append(one)
    return found


def write_retraction(layout: Layout, one: Retraction) -> Path:
    """-> its file."""
    path = layout.retractions / f"{one.id}.json"
    write_json(path, one.to_json())
    return path


def keys_of(corpus: str, all_of: Iterable[Retraction]) -> list[str]:
    """What of `all_of` concerns one corpus: hashed ids and payloads, sorted; [] where nothing does."""
    keys: set[str] = set()
    for one in all_of:
        if one.corpus == corpus or corpus in one.near:
            keys |= {*one.near.get(corpus, ()), *one.payloads, *([one.key] if one.corpus == corpus else [])}
    return sorted(keys)


def require_not_retracted(corpus: str, keys: Sequence[str], layout: Layout) -> None:
    """Raises `CorpusError` where the whole corpus was taken out."""
    if retraction_key("corpus", corpus) in keys:
        one = next(r for r in retractions(layout) if r.of == "corpus" and r.corpus == corpus)
        raise CorpusError(
            f"{one.sentence}, so it is not ingested. Take {corpus!r} out of the corpora of params.yaml and of the runs "
            f"that name it. To undo the retraction remove {layout.retractions / one.id}.json."
        )


class Filter:
    """Samples of one corpus that may not come in. `keys`: of `keys_of`."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = frozenset(keys)
        self._people: dict[str, bool] = {}

    def covers(self, sample: Sample) -> bool:
        """By its id, its subject or its payload's bytes."""
        if not self._keys:
            return False
        who = sample.subject_id
        if who is not None and who not in self._people:
            self._people[who] = retraction_key("subject", who) in self._keys
        return (
            (who is not None and self._people[who])
            or retraction_key("sample", sample.sample_id) in self._keys
            or hash_bytes(sample.payload) in self._keys
        )


def reject_of(corpus: str) -> Reject:
    """What is left of a retracted sample: that there was one."""
    return Reject(corpus, NOWHERE, REASON)


def without_retracted(rejects: Sequence[Reject]) -> Iterator[Reject]:
    """Those that are a fault of the corpus' files."""
    return (reject for reject in rejects if reject.reason != REASON)


def rows_covered(rows: Iterable[Mapping[str, Any]], one: Retraction) -> tuple[set[str], set[str]]:
    """Rows with sample_id, subject_id and corpus -> (ids of samples that it takes out, their subjects' ids that are
    taken out as a whole)."""
    samples, people, known = set(), set(), {}
    keys = one.keys
    for row in rows:
        who = row["subject_id"]
        if who is not None and who not in known:
            known[who] = retraction_key("subject", who) in keys
        whole = one.of == "corpus" and row["corpus"] == one.corpus
        if who is not None and (known[who] or whole):
            people.add(who)
        if whole or (who is not None and known[who]) or retraction_key("sample", row["sample_id"]) in keys:
            samples.add(row["sample_id"])
    return samples, people

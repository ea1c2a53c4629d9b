"""Where a sample came from, and what stands on a sample or a person: lineage.parquet of releases, both ways.

Of a release of before formats had lineage the index tells generator, sources and subjects; `known` is then False, and
what its generators were fitted on is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from corpora.errors import CorpusError, EmoforgeError, IntegrityError, UnknownNameError
from corpora.fingerprint import hash_json
from corpora.schema import SCORES
from corpora.store.release import FEATURES, SCORE_TABLE, Release, open_release
from corpora.store.shards import read_table
from flows.artifacts.certified import Passed, facts_of, passed_of
from flows.releases.places import Place
from flows.releases.plans import STAGES
from flows.stages.plan.plans import PLANS


@dataclass(frozen=True, slots=True)
class Source:
    """A real sample that a synthetic one started from."""

    role: str
    sample_id: str
    subject_id: str | None
    emotion: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """A generator by what its id is made of. n_samples, subjects: real samples and people that it was fitted on."""

    generator_id: str
    name: str | None
    weights: str | None
    params: str | None
    code: str | None
    loads: tuple[str, ...]
    n_samples: int
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """The birth certificate of a sample in one release. facts: of the index. draw: what was asked for; None where it is
    not known, or of a real sample. plans: stage -> hash, where the plans lie beside the release. subjects: everybody
    whose recording it started from or is. known: whether the release holds its lineage."""

    release: str
    release_hash: str
    sample_id: str
    split: str | None
    facts: Mapping[str, JsonValue]
    generator: Origin | None
    draw: Mapping[str, JsonValue] | None
    list_key: str | None
    sources: tuple[Source, ...]
    gates: tuple[Passed, ...]
    subjects: tuple[str, ...]
    plans: Mapping[str, str]
    known: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a release stands on a person or a sample. real: their own rows; direct: synthetic samples that started
    from one of them, or were drawn as the person; fitted: generator that was fitted on them -> how many synthetic
    samples it made; judged: whether gates and judges learned from them."""

    release: str
    release_hash: str
    real: tuple[str, ...]
    direct: tuple[str, ...]
    fitted: Mapping[str, int]
    judged: bool
    known: bool

    @property
    def n_synthetic(self) -> int:
        """Synthetic samples that stand on them, directly or through a generator."""
        return max(len(self.direct), sum(self.fitted.values()))

    @property
    def touched(self) -> bool:
        """Whether anything does."""
        return bool(self.real or self.direct or self.fitted or self.judged)


@dataclass
class Lineage:
    """One release's edges, to be asked both ways."""

    place: Place
    release: Release
    edges: pa.Table = field(repr=False)

    @classmethod
    def of(cls, place: Place) -> Lineage:
        """Raises as `open_release`; payloads need not be there."""
        release = open_release(place.release)
        return cls(place, release, release.lineage())

    @property
    def known(self) -> bool:
        """Whether the release holds lineage."""
        return self.edges.num_rows > 0

    def certificate(self, sample: str) -> Certificate:
        """Raises `UnknownNameError` for a sample that the release does not hold."""
        row = self._row(sample)
        generator = row["generator_id"]
        used = self._used(sample)
        list_key = next((u.removeprefix("list:") for u, role in used if role == "list"), None)
        sources = tuple(self._source(one["role"], one["id"]) for one in row["sources"] or ())
        people = {row["subject_id"], *(source.subject_id for source in sources)} - {None}
        return Certificate(
            self.place.shown,
            self.release.release_hash,
            sample,
            self._split(sample),
            facts_of(row),
            None if generator is None else self._generator(generator),
            self._draw(sample, list_key),
            list_key,
            sources,
            self._gates(sample),
            tuple(sorted(str(one) for one in people)),
            self._plans(),
            self.known,
        )

    def standing(self, *, sample: str | None = None, subject: str | None = None) -> Standing:
        """What stands on a real sample, or on a subject (one of both is given)."""
        return self.standing_of([sample] if sample is not None else [], [subject] if subject is not None else [])

    def standing_of(self, samples: Collection[str], subjects: Collection[str]) -> Standing:
        """What stands on any of these real samples and on any sample of these subjects."""
        index = self.release.columns.select(["sample_id", "subject_id", "generator_id", "sources"])
        real = self.real_rows()
        wanted = pa.array(sorted(samples), pa.string())
        people = pa.array(sorted(subjects), pa.string())
        theirs = pc.or_(
            pc.is_in(real["sample_id"], value_set=wanted),
            pc.is_in(real["subject_id"], value_set=people),
        )
        own = set(real.filter(theirs)["sample_id"].to_pylist())
        # a source need not be among the released: what was taken out later still stands in the edges
        things = {*own, *samples}
        synthetic = index.filter(pc.is_valid(index["generator_id"]))
        direct = [
            row["sample_id"]
            for row in synthetic.to_pylist()
            if any(one["id"] in things for one in row["sources"] or ()) or row["subject_id"] in subjects
        ]
        learned = self.edges.filter(pc.is_in(self.edges["used"], value_set=pa.array(sorted(things), pa.string())))
        fitted = {str(t).removeprefix("generator:") for t in _things(learned, "fitted on")}
        counts = {row["values"]: row["counts"] for row in pc.value_counts(synthetic["generator_id"]).to_pylist()}
        return Standing(
            self.place.shown,
            self.release.release_hash,
            tuple(sorted(own)),
            tuple(direct),
            {one: int(counts.get(one, 0)) for one in sorted(fitted)},
            bool(_things(learned, "learned from")),
            self.known,
        )

    def real_rows(self) -> pa.Table:
        """sample_id, subject_id, corpus, generator_id (null) of real samples that it holds: rows of its index, and, of
        a part that is features alone, rows of features.parquet."""
        names = ["sample_id", "subject_id", "corpus", "generator_id"]
        tables = [self.release.columns.select(names)]
        if self.release.manifest.get("part_of") and FEATURES in self.release.manifest["files"]:
            tables.append(self.release.features().select(names))
        rows = pa.concat_tables([table.cast(tables[0].schema) for table in tables])
        return rows.filter(pc.is_null(rows["generator_id"]))

    def draws_of(self, list_key: str) -> list[tuple[int, dict[str, JsonValue]]]:
        """Every draw of a list, by its place in the batch: what drawing one of its samples again takes."""
        drawn = [(int(role.removeprefix("draw:")), json.loads(u)) for u, role in self._used(f"list:{list_key}")]
        return sorted(drawn, key=lambda pair: pair[0])

    def has(self, sample: str) -> bool:
        """Whether the release holds the sample."""
        ids = self.release.columns["sample_id"]
        return pc.any(pc.equal(ids, sample)).as_py() or False

    def _row(self, sample: str) -> Mapping[str, Any]:
        rows = self.release.index.filter(pc.equal(self.release.index["sample_id"], sample)).to_pylist()
        if not rows:
            raise UnknownNameError(f"{self.place.shown} holds no sample {sample!r}; its ids stand in index.parquet")
        return rows[0]

    def _split(self, sample: str) -> str | None:
        rows = self.release.splits.filter(pc.equal(self.release.splits["sample_id"], sample))["split"].to_pylist()
        return rows[0] if rows else None

    def _used(self, thing: str) -> list[tuple[str, str]]:
        rows = self.edges.filter(pc.equal(self.edges["thing"], thing))
        return list(zip(rows["used"].to_pylist(), rows["role"].to_pylist(), strict=True))

    def _source(self, role: str, sample: str) -> Source:
        try:
            row = self._row(sample)
        except UnknownNameError:
            return Source(role, sample, None, None)
        return Source(role, sample, row["subject_id"], row["emotion"])

    def _generator(self, generator: str) -> Origin:
        used = self._used(f"generator:{generator}")
        one = {role: u.partition(":")[2] if role != "name" else u for u, role in used}
        fitted = pa.array([u for u, role in used if role == "fitted on"], pa.string())
        index = self.release.columns.select(["sample_id", "subject_id"])
        people = index.filter(pc.is_in(index["sample_id"], value_set=fitted))["subject_id"].unique().to_pylist()
        return Origin(
            generator,
            one.get("name"),
            one.get("weights"),
            one.get("params"),
            one.get("code"),
            tuple(u for u, role in used if role == "loads"),
            len(fitted),
            tuple(sorted(str(p) for p in people if p is not None)),
        )

    def _draw(self, sample: str, list_key: str | None) -> dict[str, JsonValue] | None:
        if list_key is None:
            return None
        key = sample.rpartition("/")[2]
        drawn = [draw for _, draw in self.draws_of(list_key) if hash_json(draw)[: len(key)] == key]
        if not drawn:
            raise IntegrityError(f"{self.place.shown}: list {list_key} of {sample} holds no draw of that name")
        return drawn[0]

    def _gates(self, sample: str) -> tuple[Passed, ...]:
        path = self.release.path / SCORE_TABLE
        if not path.is_file():
            return ()
        table = read_table(path, SCORES)
        rows = table.filter(pc.equal(table["sample_id"], sample)).to_pylist()
        return passed_of(rows)

    def _plans(self) -> dict[str, str]:
        if self.place.run is None:
            return {}
        from corpora.formats.jsonfile import read_json

        plans = {}
        for stage in STAGES:
            path = self.place.run / "plan" / f"{PLANS[stage].STAGE}.json"
            if path.is_file():
                plans[stage] = hash_json(read_json(path))
        return plans


def _things(edges: pa.Table, role: str) -> list[str]:
    return sorted(set(edges.filter(pc.equal(edges["role"], role))["thing"].to_pylist()))


def readable(places: Sequence[Place]) -> tuple[list[Lineage], list[str]]:
    """The lineages of `places`, and of those that cannot be read why."""
    opened, unread = [], []
    for place in places:
        try:
            opened.append(Lineage.of(place))
        except EmoforgeError as error:
            unread.append(f"{place.shown}: {error}")
    return opened, unread


def every_place(repo: Path, *, versions: bool) -> tuple[list[Place], list[str]]:
    """Every release that the project has built; versions: every published one too, fetched without payloads. -> and
    why some cannot be had."""
    from flows.releases.history import published
    from flows.releases.places import built_runs, find_release
    from flows.releases.versions import versions_of

    places, missing = [find_release(run, repo) for run in built_runs(repo)], []
    for version in [v for run in published(repo) for v in versions_of(run, repo)] if versions else []:
        try:
            places.append(find_release(version.tag, repo, whole=False))
        except EmoforgeError as error:
            missing.append(str(error))
    if not places and not missing:
        raise CorpusError(f"no release in {repo}: build one (emoforge run), or name one (--release)")
    return places, missing

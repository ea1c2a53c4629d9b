"""Where samples lie on their way into shards: payloads in one file for each bucket, the rest in a journal.

With a journal, a spill that was cut short by kill -9 is opened again and goes on behind the last finished item. Several
spills, filled by several processes, become one set of shards.

A line of the journal speaks of all items that waited for it. Few records stand in it as JSON; many go as one Arrow
batch, which the table is made of in any case, to the file `rows`, and the line says how far that file is good.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import lru_cache
from json.encoder import encode_basestring
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from corpora.errors import CorpusError
from corpora.records.turns import Done
from corpora.schema import PARTS, SAMPLES, Reject, Sample

_BATCH = 2048  # samples that become one Arrow batch
JOURNAL, ROWS = "journal.jsonl", "rows"
# What a payload's json tells besides its id: facts that no split and no run changes.
_BESIDE = (
    *("corpus", "modality", "emotion", "emotion_raw", "subject_id", "group_id", "session_id", "turn", "intensity"),
    *("valence", "arousal", "dominance", "gender", "age", "language", "sentence_id", "duration_s"),
    *("generator_id", "seed", "weight", "license"),
)
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False)
_BIG = 1 << 14  # bytes of a payload that waits for no other
_WAITING = 1 << 18  # bytes of smaller ones that a crash may cost, to be read again
_FEW = 32  # records that are quicker written as JSON than made a batch of
# Columns behind the plain ones in a row of a spill: what a sample does not hold as the table does.
_MADE = ("part", "recording_id", "sources", "extra", "n_bytes", "sha256")
_PLAIN = [name for name in SAMPLES.names if name not in ("shard", "offset", *_MADE)]
_EXTRA = len(_PLAIN) + _MADE.index("extra")

# of those: numbers, and what differs from sample to sample; the rest are few words that stand beside many payloads
_NUMBERS = ("turn", "intensity", "valence", "arousal", "dominance", "age", "duration_s", "seed", "weight")
_WORDS = tuple(name for name in (*_BESIDE, "part") if name not in (*_NUMBERS, "group_id"))
_NO_NUMBERS = (None,) * len(_NUMBERS)

_numbers, _words = attrgetter(*_NUMBERS), attrgetter(*_WORDS)
_beside, _plain = attrgetter(*_BESIDE), attrgetter(*_PLAIN)


def shard_of(group_id: str, n_shards: int) -> int:
    """The bucket of a group: first 8 bytes of its sha256 modulo `n_shards`. Stable for ever."""
    return int.from_bytes(hashlib.sha256(group_id.encode()).digest()[:8], "big") % n_shards


def key_of(sample_id: str) -> str:
    """`__key__` in the tar: 16 hex digits of the id's sha256; no dots, as WebDataset splits names at the first one."""
    return hashlib.sha256(sample_id.encode()).hexdigest()[:16]


class Spilled(NamedTuple):
    """One sample in a spill: its item's number, its row in order of arrival, and where its bytes lie."""

    number: int
    row: int
    key: str
    codec: str
    start: int
    n_payload: int
    n_about: int


class Spill:
    """A folder that takes samples in any order, memory flat but for their records.

    `journal`: a text that names what is read (corpus, reader, code). A folder that holds a journal of the same text is
    gone on with; any other content is removed. None: no journal, nothing outlives the process.
    """

    def __init__(self, folder: Path, n_shards: int, journal: str | None = None) -> None:
        if n_shards < 1:
            raise ValueError(f"n_shards must be at least 1, not {n_shards}")
        self.folder, self.n_shards = Path(folder), n_shards
        self.entries: list[list[Spilled]] = [[] for _ in range(n_shards)]
        self.rejects: list[Reject] = []
        self.done: dict[int, Done] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._batches: list[pa.RecordBatch] = []
        self._n = 0
        self._seen: set[str] = set()
        self._ends = [0] * n_shards
        self._stack = ExitStack()
        self._files: dict[int, BinaryIO] = {}
        self._waiting: dict[int, list[bytes]] = {}  # shard -> bytes that the journal's waiting lines promise
        self._items: list[list[Any]] = []  # as they stand in the journal's next line
        self._waits = 0  # bytes
        self._good_rows = 0  # bytes of the file `rows`
        self._journal = self._opened(journal) if journal is not None else None
        self.folder.mkdir(parents=True, exist_ok=True)

    def _opened(self, text: str) -> BinaryIO:
        path = self.folder / JOURNAL
        head = json.dumps({"journal": text, "shards": self.n_shards}).encode() + b"\n"
        rows = self.folder / ROWS
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        good = len(head)
        if lines and lines[0] == head:
            for line in lines[1:]:
                if not line.endswith(b"\n") or not self._taken_up(json.loads(line)):
                    break  # the end of a line, a payload or a batch is missing: the crash happened here
                good += len(line)
            ends = {self.folder / str(shard): end for shard, end in enumerate(self._ends)}
            for place, end in {**ends, rows: self._good_rows}.items():
                if place.exists():
                    with place.open("r+b") as file:
                        file.truncate(end)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            path.write_bytes(head)
        with path.open("r+b") as file:
            file.truncate(good)
        self._rows_file = self._stack.enter_context(rows.open("ab", buffering=0))
        return self._stack.enter_context(path.open("ab", buffering=0))

    def _taken_up(self, line: dict[str, Any]) -> bool:
        """One line of the journal -> the state that it led to; False if a payload or batch that it promises is not
        there."""
        items = [(number, name, state, what) for number, name, state, what in line["items"]]
        entries = [(what[0], number, *what[1:]) for number, _, _, what in items if isinstance(what, list)]
        ends = {shard: start + n_payload + n_about for shard, _, _, _, start, n_payload, n_about in entries}
        if any(_size(self.folder / str(shard)) < end for shard, end in ends.items()):
            return False
        if _size(self.folder / ROWS) < line["rows_end"]:
            return False
        if line["rows"] is None:
            with (self.folder / ROWS).open("rb") as file:
                file.seek(self._good_rows)
                data = file.read(line["rows_end"] - self._good_rows)
            self._keep_batch(pa.ipc.read_record_batch(pa.py_buffer(data), SAMPLES))
            ids = self._batches[-1].column("sample_id").to_pylist()
        else:
            for row in line["rows"]:
                row[_EXTRA] = [tuple(pair) for pair in row[_EXTRA]]
            ids = [row[_PLAIN.index("sample_id")] for row in line["rows"]]
            self._rows += [tuple(row) for row in line["rows"]]
            self._batch_up()
        self._good_rows = line["rows_end"]
        for shard, *entry in entries:
            number, key, codec, start, n_payload, n_about = entry
            self._take(shard, Spilled(number, self._n, key, codec, start, n_payload, n_about))
        of = iter(ids)
        for number, name, state, what in items:
            if isinstance(what, dict):
                self.rejects.append(Reject(**what))
            self.done[number] = Done(name, state, next(of) if isinstance(what, list) else None)
        return True

    def _take(self, shard: int, entry: Spilled) -> None:
        self.entries[shard].append(entry)
        self._seen.add(entry.key)
        self._ends[shard] = entry.start + entry.n_payload + entry.n_about
        self._n += 1

    def _keep_batch(self, batch: pa.RecordBatch) -> None:
        """A batch behind all records that came before."""
        self._batch_up(1)
        self._batches.append(batch)

    def _batch_up(self, least: int = _BATCH) -> None:
        if len(self._rows) >= least:
            self._batches.append(_batch(self._rows))
            self._rows = []

    def add(self, sample: Sample, number: int = -1, name: str = "", state: str = "") -> None:
        """Takes one sample. Raises `CorpusError` if its id (or the 64 bits of its key) came before."""
        key = key_of(sample.sample_id)
        if key in self._seen:
            raise CorpusError(
                f"sample id {sample.sample_id!r} comes twice. Ids name a sample for ever: the reader of corpus "
                f"{sample.corpus!r} must make them unique."
            )
        shard, about = shard_of(sample.group_id, self.n_shards), _json(sample)
        if shard not in self._files:
            path = self.folder / str(shard)
            # a journal promises only what the system has: what waits for it waits in `_waiting`
            buffering = -1 if self._journal is None else 0
            self._files[shard] = self._stack.enter_context(path.open("ab", buffering=buffering))
        start, n_payload, n_about = self._ends[shard], len(sample.payload), len(about)
        self._rows.append(_row(sample))
        self._take(shard, Spilled(number, self._n, key, sample.codec, start, n_payload, n_about))
        if self._journal is None:
            self._files[shard].write(sample.payload + about)
            self._batch_up()
        else:
            self._waiting.setdefault(shard, []).extend((sample.payload, about))
            self._note([number, name, state, [shard, key, sample.codec, start, n_payload, n_about]], n_payload)

    def refuse(self, reject: Reject, number: int = -1, name: str = "", state: str = "") -> None:
        """Takes one reject."""
        self.rejects.append(reject)
        if self._journal is not None:
            self._note([number, name, state, asdict(reject)])

    def _note(self, item: list[Any], n_payload: int = 0) -> None:
        """One item of the journal's next line. Small samples wait for others: three system calls for all of them."""
        self._items.append(item)
        self._waits += n_payload
        if n_payload >= _BIG or self._waits >= _WAITING or len(self._items) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        """What waits goes to the system: payloads and records first, for a journal promises only what is there."""
        if self._journal is None or not self._items:
            return
        for shard, parts in self._waiting.items():
            _write_all(self._files[shard], b"".join(parts))
        new = sum(isinstance(item[3], list) for item in self._items)
        rows: list[tuple[Any, ...]] | None = None
        if new < _FEW:
            rows = self._rows[len(self._rows) - new :]
            self._batch_up()
        else:
            batch, self._rows = _batch(self._rows[-new:]), self._rows[:-new]
            data = batch.serialize()
            _write_all(self._rows_file, data)
            self._keep_batch(batch)
            self._good_rows += len(data)
        line = {"items": self._items, "rows": rows, "rows_end": self._good_rows}
        _write_all(self._journal, _JOURNAL_ENCODER.encode(line).encode() + b"\n")
        self._waiting, self._items, self._waits = {}, [], 0

    @property
    def numbered(self) -> bool:
        """Whether every item has a number, so that a reading can be gone on with."""
        return -1 not in self.done

    def release(self, shard: int) -> None:
        """The bucket is in its shard; its file goes, unless a crash could still need it."""
        if self._journal is None:
            (self.folder / str(shard)).unlink(missing_ok=True)

    @property
    def n(self) -> int:
        """Samples that it holds."""
        return self._n

    def close(self) -> None:
        """Everything is on its way to the disk; nothing may be added afterwards."""
        self._flush()
        self._stack.close()

    def table(self) -> pa.Table:
        """The records in order of arrival, without shard and offset. Nothing may be added afterwards."""
        self.close()
        return pa.Table.from_batches([*self._batches, _batch(self._rows)], schema=SAMPLES)


def without_repeats(spills: Sequence[Spill]) -> None:
    """An id that two parts of one corpus hold stays with the item that comes first; the other becomes a reject."""
    where: dict[str, tuple[int, Spill, int]] = {}
    for spill in spills:
        for shard, entries in enumerate(spill.entries):
            for entry in entries:
                first = where.get(entry.key)
                if first is None or entry.number < first[0]:
                    where[entry.key] = (entry.number, spill, shard)
    for spill in spills:
        table: pa.Table | None = None
        for shard, entries in enumerate(spill.entries):
            kept = []
            for entry in entries:
                if where[entry.key][0] == entry.number and where[entry.key][1] is spill:
                    kept.append(entry)
                    continue
                table = spill.table() if table is None else table
                row = table.slice(entry.row, 1).select(["sample_id", "corpus", "extra"]).to_pylist()[0]
                name = dict(row["extra"] or ()).get("path", row["sample_id"])
                detail = f"{row['sample_id']} was read before, from another place"
                spill.rejects.append(Reject(row["corpus"], name, "repeated-name", detail))
            spill.entries[shard] = kept


def _size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _write_all(file: BinaryIO, data: bytes | pa.Buffer) -> None:
    """An unbuffered file may take less than it is given."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[file.write(rest) :]


def _number(value: Any) -> Any:
    """numpy's scalars as Python's."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON")


_JOURNAL_ENCODER = json.JSONEncoder(default=_number)


def _json(sample: Sample) -> bytes:
    """What stands beside a payload for those who read tars alone; facts that are not known are left out."""
    if _numbers(sample) == _NO_NUMBERS and sample.sources is None and sample.recording_id in (None, sample.sample_id):
        head, between, tail = _around(_words(sample))
        group, name = encode_basestring(sample.group_id), encode_basestring(sample.sample_id)
        return f"{head}{group}{between}{name}{tail}".encode()
    facts = {name: value for name, value in zip(_BESIDE, _beside(sample), strict=True) if value is not None}
    facts["sample_id"], facts["emotion"] = sample.sample_id, sample.emotion
    facts["synthetic"] = sample.generator_id is not None
    if (part := part_of(sample)) is not None:
        facts["part"] = part
    if sample.recording_id not in (None, sample.sample_id):
        facts["recording_id"] = sample.recording_id
    if sample.sources is not None:
        facts["sources"], facts["source_ids"] = dict(sample.sources), list(sample.source_ids or ())
    return _ENCODER.encode(facts).encode()


@lru_cache(maxsize=1024)
def _around(words: tuple[str | None, ...]) -> tuple[str, str, str]:
    """Values of `_WORDS` -> what stands before, between and behind group and id in the json of such a sample."""
    facts: dict[str, object] = {name: word for name, word in zip(_WORDS, words, strict=True) if word is not None}
    facts["emotion"], facts["synthetic"] = facts.get("emotion"), "generator_id" in facts
    if "part" not in facts and facts["modality"] in PARTS:
        facts["part"] = PARTS[str(facts["modality"])]
    entries = {name: f"{_ENCODER.encode(name)}: {_ENCODER.encode(facts[name])}" for name in sorted(facts)}
    head = "".join(f"{entry}, " for name, entry in entries.items() if name < "group_id")
    between = "".join(f", {entry}" for name, entry in entries.items() if "group_id" < name < "sample_id")
    tail = "".join(f", {entry}" for name, entry in entries.items() if name > "sample_id")
    return f'{{{head}"group_id": ', f'{between}, "sample_id": ', f"{tail}}}"


def part_of(sample: Sample) -> str | None:
    """What of its recording the sample is: what its reader says, else what is usual for its modality."""
    return sample.part or PARTS.get(sample.modality)


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows of `_PLAIN` and `_MADE` -> a batch of SAMPLES; shard and offset are known later."""
    names = (*_PLAIN, *_MADE)
    columns = dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))
    columns |= {"shard": ("",) * len(rows), "offset": (0,) * len(rows)}
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in SAMPLES], schema=SAMPLES)


def _row(sample: Sample) -> tuple[Any, ...]:
    payload, sources = sample.payload, sample.sources
    return (
        *_plain(sample),
        part_of(sample),
        sample.recording_id or sample.sample_id,
        None if sources is None else [{"role": role, "id": sources[role]} for role in sorted(sources)],
        sorted(sample.extra.items()),
        len(payload),
        hashlib.sha256(payload).hexdigest(),
    )

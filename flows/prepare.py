"""The stage `prepare`: a leak-free split, payloads made alike, arrays for the generator.

Writes data/runs/<run>/prepared/:
  shards/<split>-real-*.tar + index.parquet   every sample of the view, harmonised (a release holds these very files)
  coded/*.tar + coded.parquet                 train and dev after a trip through the representation, where it is lossy:
                                              what gates compare with, so that a vocoder's own shift is nobody's fault
  arrays.npy + arrays.parquet                 train alone, [N, C, H, W] float32, and the ids of its rows
  splits.parquet  rejects.parquet  summary.json
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpora.atomic import atomic_folder, write_json
from corpora.audit import Finding, apply_on_leak, audit_view
from corpora.errors import CorpusError, PayloadError, SplitError
from corpora.fingerprint import hash_json
from corpora.labels import assign, classes_of
from corpora.schema import SAMPLES, SPLITS, Reject, Sample
from corpora.shards import read_payload, read_table, write_shards, write_table
from features.representation import make_representation
from flows.params import Machine
from flows.paths import Layout
from flows.plan import Plan
from flows.pool import Pool, WorkItem
from flows.progress import progress
from flows.records import ARRAYS, rejects_table, sample_from_row
from flows.store import WorkStore

LIST = 64  # samples in one work item
LOSSLESS = ("pixels",)
# Below this many samples, starting actors takes longer than the work (one process: about 25 utterances a second,
# 2000 faces a second; two actors that import their libraries: about 8 s).
PARALLEL_FROM = {"speech": 400}


def run(plan: Plan, layout: Layout, machine: Machine) -> None:
    """Raises `SplitError`, `LeakError`, `CorpusError`."""
    index = load_indexes(plan, layout)
    view, findings, dropped = choose_view(plan, layout, index)
    index, unlabelled = label(index, plan.params["scheme"])
    pairs = zip(index.column("sample_id").to_pylist(), index.column("emotion").to_pylist(), strict=True)
    # the order of class indices everywhere in the run
    classes = list(classes_of(plan.params["scheme"], [e for i, e in pairs if i in view]))
    store = WorkStore(machine.store or layout.store)
    rejects: list[Reject] = []
    with atomic_folder(layout.run(plan.run) / "prepared") as folder:
        writer = _Writer(plan, layout, machine, store, index, view, rejects)
        tables, coded, arrays = writer.write(folder)
        write_table(folder / "index.parquet", tables)
        if coded is not None:
            write_table(folder / "coded.parquet", coded)
        write_table(folder / "arrays.parquet", arrays)
        kept = set(tables.column("sample_id").to_pylist())
        chosen = pa.table(
            {
                "view": [plan.params["view"]] * len(kept),
                "sample_id": sorted(kept),
                "split": [view[i] for i in sorted(kept)],
            },
            schema=SPLITS,
        )
        write_table(folder / "splits.parquet", chosen)
        write_table(folder / "rejects.parquet", rejects_table(rejects))
        counts = _counts(tables, view, classes)
        _require_trainable(plan.run, counts)
        write_json(
            folder / "summary.json",
            {
                "modality": plan.modality,
                "rate_hz": plan.params["harmonise"]["rate_hz"] if plan.modality == "speech" else None,
                "classes": classes,
                "counts": counts,
                "corpora": plan.params["corpora"],
                "scheme": plan.params["scheme"],
                "view": plan.params["view"],
                "representation": plan.params["representation"],
                "audit": [f.to_json() for f in findings],
                "dropped": dropped,
                "unlabelled": unlabelled,
                "rejected": dict(Counter(r.reason for r in rejects)),
                "not_encoded": len(writer.not_encoded),
            },
        )


def load_indexes(plan: Plan, layout: Layout) -> pa.Table:
    """The records of all corpora of the run, one table. Shard names become absolute so that payloads are found."""
    tables = []
    for corpus in plan.params["corpora"]:
        table = read_table(layout.corpus(corpus) / "index.parquet", SAMPLES)
        shards = [str(layout.corpus(corpus) / s) for s in table.column("shard").to_pylist()]
        at = table.schema.get_field_index("shard")
        tables.append(table.set_column(at, SAMPLES.field("shard"), pa.array(shards, pa.string())))
    return pa.concat_tables(tables)


def choose_view(plan: Plan, layout: Layout, index: pa.Table) -> tuple[dict[str, str], list[Finding], int]:
    """-> sample_id -> split, the audit's findings, and how many samples the policy dropped.

    Audited over all corpora together, so that two corpora that share files are found out.
    """
    name = plan.params["view"]
    views = []
    for corpus in plan.params["corpora"]:
        table = read_table(layout.corpus(corpus) / "splits.parquet", SPLITS)
        own = table.filter(pc.equal(table.column("view"), name))
        if own.num_rows == 0:
            notes = json.loads((layout.corpus(corpus) / "audit.json").read_text(encoding="utf-8"))
            have = sorted(set(table.column("view").to_pylist()))
            why = notes["views"].get(name, {}).get("reason", "nothing of that name is made at ingest")
            raise SplitError(f"corpus {corpus!r} has no view {name!r}: {why}. Views that it has: {', '.join(have)}")
        views.append(own)
    view = pa.concat_tables(views)
    findings = audit_view(index, view)
    kept, dropped = apply_on_leak(view, findings, plan.params["on_leak"])
    splits = dict(zip(kept.column("sample_id").to_pylist(), kept.column("split").to_pylist(), strict=True))
    return splits, findings, dropped.num_rows


def label(index: pa.Table, scheme: str) -> tuple[pa.Table, dict[str, int]]:
    """Emotions in the target scheme; what the scheme has no word for becomes null, is kept in `labels`, and counted."""
    before = index.column("emotion").to_pylist()
    records = index.select(["emotion", "labels", "valence", "arousal", "dominance"]).to_pylist()
    after = [assign(record, scheme) for record in records]
    lost = Counter(str(b) for b, a in zip(before, after, strict=True) if a is None)
    at = index.schema.get_field_index("emotion")
    return index.set_column(at, SAMPLES.field("emotion"), pa.array(after, pa.string())), dict(lost)


@dataclass
class _Writer:
    plan: Plan
    layout: Layout
    machine: Machine
    store: WorkStore
    index: pa.Table
    view: dict[str, str]
    rejects: list[Reject]

    def __post_init__(self) -> None:
        self.not_encoded: list[str] = []
        self.lossy = self.plan.params["representation"]["name"] not in LOSSLESS

    def write(self, folder: Path) -> tuple[pa.Table, pa.Table | None, pa.Table]:
        rows = [
            r
            for r in self.index.select(["sample_id", "emotion"]).to_pylist()
            if r["sample_id"] in self.view and r["emotion"]
        ]
        wanted = {r["sample_id"]: self.view[r["sample_id"]] for r in rows}
        keys = self._work(sorted(wanted))
        by_id = {r["sample_id"]: r for r in _rows(self.index, set(wanted))}
        tables = [
            write_shards(
                self._samples(keys, by_id, split, "payload"), folder, self.plan.params["shards"],
                f"shards/{split}-real",
            )
            for split in ("train", "dev", "test")
        ]  # fmt: skip
        coded = None
        if self.lossy:
            coded = pa.concat_tables(
                write_shards(self._samples(keys, by_id, split, "coded"), folder, 4, f"coded/{split}-coded")
                for split in ("train", "dev")
            )
        arrays = self._arrays(keys, folder, {i for i, s in wanted.items() if s == "train"})
        return pa.concat_tables(tables), coded, arrays

    def _work(self, ids: list[str]) -> list[str]:
        """Harmonises and encodes all samples in lists; -> store keys, in order."""
        position = {s: i for i, s in enumerate(self.index.column("sample_id").to_pylist())}
        hashes = self.index.column("sha256").to_pylist()
        settings = {
            "modality": self.plan.modality,
            "harmonise": self.plan.params["harmonise"],
            "representation": self.plan.params["representation"],
            "code": self.plan.code,
            "numerics": self.plan.numerics,
        }
        items = []
        for start in range(0, len(ids), LIST):
            part = ids[start : start + LIST]
            key = "prepared/" + hash_json([settings, part, [hashes[position[i]] for i in part]])[:40]
            items.append(WorkItem(key, {"ids": part, "key": key}))
        missing = [item for item in items if not self.store.has(item.key)]
        if missing:
            parallel = len(missing) * LIST >= PARALLEL_FROM.get(self.plan.modality, 1 << 62)
            kwargs = {
                "store": self.store.url,
                "corpora": {c: str(self.layout.corpus(c)) for c in self.plan.params["corpora"]},
                "modality": self.plan.modality,
                "harmonise": self.plan.params["harmonise"],
                "representation": self.plan.params["representation"],
            }
            done = 0

            def report(item: WorkItem, _: dict[str, Any]) -> None:
                nonlocal done
                done += len(item.payload["ids"])
                progress(f"prepare: {done} of {sum(len(m.payload['ids']) for m in missing)} samples")

            with Pool(
                "flows.prepare:Preparer",
                kwargs,
                actors=self.machine.actors if parallel else 0,
                threads=int(self.plan.numerics["sample_threads"]),
                device="cpu",
                address=self.machine.ray_address,
                stall_s=self.machine.stall_s,
            ) as pool:
                pool.run(missing, report)
        return [item.key for item in items]

    def _samples(self, keys: list[str], rows: dict[str, dict], split: str, part: str) -> Iterator[Sample]:
        first = split == "train" and part == "payload"
        for key in keys:
            arrays, meta = self.store.get_arrays(key)
            blob = arrays[part].tobytes()
            for i, sample_id in enumerate(meta["ids"]):
                error = meta["errors"][i]
                if first and error is not None:
                    row = rows[sample_id]
                    reason, detail = error
                    self.rejects.append(Reject(row["corpus"], sample_id, reason, detail, "prepare"))
                if error is not None or self.view[sample_id] != split:
                    continue
                begin, end = meta[part][i]
                if begin == end:  # cannot be encoded: kept as real data, unknown to the generator
                    continue
                duration = meta["duration_s"][i]
                sample = sample_from_row(rows[sample_id], blob[begin:end], meta["codec"])
                yield replace(sample, duration_s=duration, signals=())

    def _arrays(self, keys: list[str], folder: Path, train: set[str]) -> pa.Table:
        """arrays.npy in the order of the keys, written row by row: memory stays flat."""
        spec = make_representation(**_named(self.plan.params["representation"])).spec
        ids: list[str] = []
        for key in keys:
            meta = self.store.get_arrays(key)[1]
            ids += [i for i, row in zip(meta["ids"], meta["row"], strict=True) if i in train and row >= 0]
            self.not_encoded += [
                i for i, row, e in zip(meta["ids"], meta["row"], meta["errors"], strict=True) if row < 0 and not e
            ]
        if not ids:
            raise CorpusError(f"run {self.plan.run!r}: no train sample can be encoded as {spec.name}; see rejects")
        out = np.lib.format.open_memmap(
            folder / "arrays.npy", mode="w+", dtype=np.float32, shape=(len(ids), *spec.shape)
        )
        n = 0
        for key in keys:
            arrays, meta = self.store.get_arrays(key)
            for i, row in zip(meta["ids"], meta["row"], strict=True):
                if i in train and row >= 0:
                    out[n] = arrays["arrays"][row]
                    n += 1
        out.flush()
        return pa.table({"sample_id": ids, "row": list(range(n))}, schema=ARRAYS)


class Preparer:
    """The worker: lists of sample ids -> harmonised payloads, arrays and coded payloads in the store."""

    def __init__(
        self, store: str, corpora: dict[str, str], modality: str, harmonise: dict, representation: dict
    ) -> None:
        self.store = WorkStore(store)
        self.harmonise = _harmoniser(modality, harmonise, representation)
        self.representation = make_representation(**_named(representation))
        self.lossy = representation["name"] not in LOSSLESS
        self.rows: dict[str, tuple[Path, dict]] = {}
        columns = ["sample_id", "codec", "shard", "offset", "n_bytes", "sha256"]
        for folder in corpora.values():
            table = read_table(Path(folder) / "index.parquet", SAMPLES).select(columns)
            self.rows |= {r["sample_id"]: (Path(folder), r) for r in table.to_pylist()}

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        parts: dict[str, list[bytes]] = {"payload": [], "coded": []}
        meta: dict[str, Any] = {"ids": payload["ids"], "errors": [], "row": [], "duration_s": [], "codec": ""}
        arrays: list[np.ndarray] = []
        for sample_id in payload["ids"]:
            folder, row = self.rows[sample_id]
            harmonised, array, coded, error, duration = b"", None, b"", None, None
            try:
                harmonised, duration = self.harmonise(read_payload(folder, row), row["codec"])
            except PayloadError as failed:
                error = [failed.reason, failed.detail]
            if error is None:
                try:
                    array = self.representation.encode(harmonised, self.representation.codec)
                    coded = self.representation.decode(array) if self.lossy else b""
                except PayloadError:
                    array, coded = None, b""  # real data that the generator cannot model; counted as not_encoded
            meta["errors"].append(error)
            meta["duration_s"].append(duration)
            meta["row"].append(len(arrays) if array is not None else -1)
            if array is not None:
                arrays.append(array)
            parts["payload"].append(harmonised)
            parts["coded"].append(coded)
        meta["codec"] = self.representation.codec
        tensors = {"arrays": np.stack(arrays) if arrays else np.zeros((0, *self.representation.spec.shape), np.float32)}
        for name, blobs in parts.items():
            ends = np.cumsum([0, *map(len, blobs)]).tolist()
            meta[name] = [[ends[i], ends[i + 1]] for i in range(len(blobs))]
            tensors[name] = np.frombuffer(b"".join(blobs), dtype=np.uint8)
        self.store.put_arrays(payload["key"], tensors, meta)
        return {}


def _harmoniser(
    modality: str, params: dict, representation: dict
) -> Callable[[bytes, str], tuple[bytes, float | None]]:
    from features.harmonise import harmonise_face, harmonise_speech

    if modality == "speech":
        settings = {k: params[k] for k in ("rate_hz", "trim_db", "margin_s", "min_s", "max_s")}

        def speech(payload: bytes, codec: str) -> tuple[bytes, float | None]:
            signal, wav = harmonise_speech(payload, codec, **settings)
            return wav, len(signal) / settings["rate_hz"]

        return speech
    if modality == "face":
        size = int(representation.get("size", 48))

        def face(payload: bytes, codec: str) -> tuple[bytes, float | None]:
            return harmonise_face(payload, codec, size=size)[1], None

        return face
    raise CorpusError(f"no preparation for modality {modality!r} yet; known: speech, face")


def _named(representation: dict[str, Any]) -> dict[str, Any]:
    return {"name": representation["name"], "params": {k: v for k, v in representation.items() if k != "name"}}


def _rows(index: pa.Table, ids: set[str]) -> Iterator[dict[str, Any]]:
    for batch in index.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            if row["sample_id"] in ids:
                yield row


def _counts(index: pa.Table, view: dict[str, str], classes: list[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {s: dict.fromkeys(classes, 0) for s in ("train", "dev", "test")}
    for row in index.select(["sample_id", "emotion"]).to_pylist():
        found[view[row["sample_id"]]][row["emotion"]] += 1
    return found


def _require_trainable(run_name: str, counts: dict[str, dict[str, int]]) -> None:
    few = {c: n for c, n in counts["train"].items() if n < 2}
    if len(counts["train"]) < 2:
        raise CorpusError(f"run {run_name!r} has one class only ({', '.join(counts['train'])}); two are needed")
    if few:
        named = ", ".join(f"{c} ({n})" for c, n in sorted(few.items()))
        raise CorpusError(
            f"run {run_name!r}: too few train samples of {named}; at least 2 of each class are needed. "
            "Choose a coarser label scheme, another view, or more data."
        )

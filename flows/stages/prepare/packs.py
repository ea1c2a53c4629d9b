"""Prepared samples in the work store: what is there is looked up by sample, what is missing is prepared.

prepared/<settings>/<pack>: `settings` hashes what prepares (steps, representation, code of the worker), so one folder
holds all samples that were ever prepared so, for whichever view, label scheme, fold or corpus. A pack holds up to 64 of
them and lists their keys in its header. Which samples share a pack is chance (what was missing when), so nothing that
is written may depend on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from corpora.fingerprint import hash_json
from flows.engine.store import MissingItemError, WorkStore
from flows.stages.prepare.records import PackRecord, PreparedPiece, PreparedSample, Request, chunks

PACK = 64  # samples in one pack
KEPT = 2  # packs in memory at once, where samples are asked for one by one
Make = Callable[[list[tuple[str, list[Request]]]], None]  # prepares packs: (key in the store, its requests)


@dataclass(frozen=True, slots=True)
class PieceContent:
    """One piece of one sample with its bytes. `array`: None where it is not encoded."""

    sample_id: str
    piece: PreparedPiece
    codec: str
    payload: bytes
    coded: bytes
    array: np.ndarray | None

    @property
    def piece_id(self) -> str:
        """Id of the piece: the sample's own, and the piece's suffix."""
        return self.sample_id + self.piece.suffix


@dataclass
class Packs:
    """The prepared samples of a run. `key_of`: sample id -> key; several samples may have one: the same payload."""

    store: WorkStore
    settings: str
    key_of: Mapping[str, str]
    pack_of: dict[str, str] = field(default_factory=dict)  # sample key -> key of its pack
    samples: dict[str, PreparedSample] = field(default_factory=dict)  # sample key -> record
    codecs: dict[str, str] = field(default_factory=dict)  # key of a pack -> codec of its payloads

    @classmethod
    def complete(cls, store: WorkStore, settings: str, requests: Mapping[str, Request], make: Make) -> Packs:
        """All samples of `requests` (sample id -> request), prepared now where the store has them not.

        Every pack that is used is read whole and checked: what is damaged is prepared again. Raises what `make` raises,
        `MissingItemError` where the store loses at once what was written to it.
        """
        packs = cls(store, settings, {i: request.key for i, request in requests.items()})
        by_key: dict[str, Request] = {}
        for request in requests.values():
            by_key.setdefault(request.key, request)
        for pack in store.keys(packs.folder):
            packs._take(pack, by_key)
        for pack in sorted(set(packs.pack_of.values())):
            if not store.sound(pack):
                packs._forget(pack)
        missing = [key for key in by_key if key not in packs.pack_of]
        if missing:
            new = [(f"{packs.folder}/{hash_json(part)[:40]}", part) for part in chunks(missing, PACK)]
            make([(pack, [by_key[key] for key in part]) for pack, part in new])
            for pack, part in new:
                packs._take(pack, dict.fromkeys(part))
                if lost := [key for key in part if packs.pack_of.get(key) != pack]:
                    raise MissingItemError(f"the work store {store.url} has no sample {lost[0]} in {pack!r}")
        return packs

    @property
    def folder(self) -> str:
        """What the store keys of the packs of these settings begin with."""
        return f"prepared/{self.settings}"

    def _take(self, pack: str, wanted: Mapping[str, object]) -> None:
        """What a pack holds of `wanted` and no other pack before it, by its header alone."""
        try:
            record = PackRecord.from_json(self.store.get_meta(pack))
        except (MissingItemError, KeyError, TypeError, IndexError, ValueError, AttributeError):
            return  # not whole: as good as not there
        self.codecs[pack] = record.codec
        for sample in record.samples:
            if sample.key in wanted and sample.key not in self.pack_of:
                self.pack_of[sample.key], self.samples[sample.key] = pack, sample

    def _forget(self, pack: str) -> None:
        for key in [key for key, place in self.pack_of.items() if place == pack]:
            del self.pack_of[key], self.samples[key]

    def record(self, sample_id: str) -> PreparedSample:
        """What became of one sample."""
        return self.samples[self.key_of[sample_id]]

    def each(self, sample_ids: Sequence[str]) -> Iterator[PieceContent]:
        """All pieces of these samples, pack by pack: each pack is read once, one at a time in memory. The order is
        that of the packs and means nothing: sort what comes out, or put it in its place."""
        of_pack: dict[str, list[str]] = defaultdict(list)
        for sample_id in sample_ids:
            of_pack[self.pack_of[self.key_of[sample_id]]].append(sample_id)
        for pack, own in sorted(of_pack.items()):
            arrays = self.store.get_arrays(pack)[0]
            for sample_id in own:
                yield from self._pieces(sample_id, pack, arrays)

    def in_order(self, sample_ids: Sequence[str]) -> Iterator[PieceContent]:
        """All pieces of these samples in the order given: for sums, whose last digits depend on it. The last `KEPT`
        packs stay in memory, because samples that came later stand among older ones."""
        held: dict[str, dict[str, np.ndarray]] = {}
        for sample_id in sample_ids:
            pack = self.pack_of[self.key_of[sample_id]]
            arrays = held.pop(pack, None)
            if arrays is None:
                arrays = self.store.get_arrays(pack)[0]
            held[pack] = arrays  # the latest last
            while len(held) > KEPT:
                del held[next(iter(held))]
            yield from self._pieces(sample_id, pack, arrays)

    def _pieces(self, sample_id: str, pack: str, arrays: Mapping[str, np.ndarray]) -> Iterator[PieceContent]:
        for piece in self.record(sample_id).pieces:
            yield PieceContent(
                sample_id=sample_id,
                piece=piece,
                codec=self.codecs[pack],
                payload=arrays["payload"][slice(*piece.payload)].tobytes(),
                coded=arrays["coded"][slice(*piece.coded)].tobytes(),
                array=arrays["arrays"][piece.row] if piece.row >= 0 else None,
            )

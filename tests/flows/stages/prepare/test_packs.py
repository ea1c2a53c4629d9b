"""Prepared samples are found again by sample: whatever list they stand in, whatever happened to the store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.steps import Reads
from flows.engine.store import MissingItemError, WorkStore
from flows.stages.prepare.packs import PACK, Packs
from flows.stages.prepare.records import Facts, PackRecord, PreparedPiece, PreparedSample, Request, sample_key

ROW: dict[str, Any] = {
    "codec": "png",
    "signals": [{"name": "image", "unit": "grey level", "rate_hz": None, "shape": [8, 8]}],
    "extra": [("face_box", "1,2,3,4"), ("path", "a/b.png")],
}


def request(name: str) -> Request:
    facts = Facts("txt")
    return Request(sample_key(name, facts), f"c/{name}", "/none/x.tar", 0, len(name), name, facts)


class Hand:
    """Prepares by hand: the payload of "a" is b"a", its array [1.0]; `made` counts."""

    def __init__(self, store: WorkStore) -> None:
        self.store = store
        self.made: list[str] = []

    def __call__(self, packs: list[tuple[str, list[Request]]]) -> None:
        for key, requests in packs:
            samples, blob, begin = [], b"", 0
            for row, r in enumerate(requests):
                self.made.append(r.sha256)
                blob += r.sha256.encode()
                places = (begin, len(blob))
                begin = len(blob)
                piece = PreparedPiece("", None, None, None, (), {}, (), row, None, places, (0, 0))
                samples.append(PreparedSample(r.key, None, (piece,)))
            arrays = np.array([[float(sum(r.sha256.encode()))] for r in requests], np.float32)
            tensors: dict[str, np.ndarray] = {
                "payload": np.frombuffer(blob, np.uint8),
                "coded": np.zeros(0, np.uint8),
                "arrays": arrays,
            }
            self.store.put_arrays(key, tensors, PackRecord("txt", tuple(samples)).to_json())


def complete(hand: Hand, names: Sequence[str], settings: str = "s") -> Packs:
    return Packs.complete(hand.store, settings, {f"c/{n}": request(n) for n in names}, hand)


def content(packs: Packs) -> dict[str, tuple[bytes, float]]:
    pieces = packs.each(list(packs.key_of))
    return {p.sample_id: (p.payload, float(p.array[0])) for p in pieces if p.array is not None}


def expected(names: Sequence[str]) -> dict[str, tuple[bytes, float]]:
    return {f"c/{n}": (n.encode(), float(sum(n.encode()))) for n in names}


@pytest.fixture(params=["folder", "memory"])
def hand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hand]:
    """The store in a folder, and behind an fsspec URL."""
    if request.param == "folder":
        yield Hand(WorkStore(tmp_path / "store"))
        return
    import fsspec

    yield Hand(WorkStore(f"memory://{tmp_path.name}"))
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def test_a_sample_is_prepared_once_in_whatever_list_it_stands(hand: Hand) -> None:
    first = [f"n{i:03d}" for i in range(PACK + 10)]
    assert content(complete(hand, first)) == expected(first) and hand.made == first
    hand.made.clear()
    for names in (first[3:40], first[::-1], [first[0], first[-1]]):
        assert content(complete(hand, names)) == expected(names) and hand.made == []
    more = [*first[:20], "new", *first[30:], "newer"]
    packs = complete(hand, more)
    assert content(packs) == expected(more) and hand.made == ["new", "newer"]
    assert [p.sample_id for p in packs.in_order(sorted(packs.key_of))] == sorted(packs.key_of), "whatever their packs"
    assert content(complete(hand, first, settings="t")) == expected(first), "other settings share nothing"
    assert len(hand.made) == 2 + len(first)
    assert len(hand.store.keys("prepared/s")) == 3 and hand.store.keys("prepared/none") == []


def test_equal_payloads_are_prepared_once(hand: Hand) -> None:
    packs = Packs.complete(hand.store, "s", {"c/a": request("x"), "d/b": request("x"), "c/c": request("y")}, hand)
    assert hand.made == ["x", "y"]
    assert {p.sample_id: p.payload for p in packs.each(["c/a", "d/b", "c/c"])} == {
        "c/a": b"x",
        "d/b": b"x",
        "c/c": b"y",
    }


@given(at=st.integers(0, 400), share=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_what_is_damaged_is_prepared_again(tmp_path_factory: pytest.TempPathFactory, at: int, share: float) -> None:
    """A flipped byte or a lost end, in the header (where the keys are) or behind it."""
    hand = Hand(WorkStore(tmp_path_factory.mktemp("store")))
    names = [f"n{i}" for i in range(5)]
    packs = complete(hand, names)
    path = Path(hand.store._path(next(iter(packs.pack_of.values()))))
    raw = bytearray(path.read_bytes())
    if share > 0.5:
        del raw[int(len(raw) * share) :]
    else:
        raw[at % len(raw)] ^= 0x15
    path.write_bytes(raw)
    assert content(complete(hand, names)) == expected(names)
    hand.made.clear()
    assert content(complete(hand, names)) == expected(names) and hand.made == []


def test_a_store_that_keeps_nothing_is_named(tmp_path: Path) -> None:
    store = WorkStore(tmp_path)
    with pytest.raises(MissingItemError, match="has no sample"):
        Packs.complete(store, "s", {"c/a": request("a")}, lambda packs: None)


def test_a_key_holds_what_the_steps_look_at_and_nothing_else() -> None:
    def key(reads: Reads, changes: dict[str, Any] | None = None, reader: str = "fer2013", sha256: str = "0") -> str:
        return sample_key(sha256, Facts.of(ROW | (changes or {}), reader, reads))

    nothing, all_of_it = Reads(), Reads(signals=True, extra=frozenset({"face_box"}), reader=True)
    for change in ({"emotion": "fear"}, {"sample_id": "x"}, {"valence": 0.5}, {"new_column": 1}, {"subject_id": "s"}):
        assert key(nothing, change) == key(nothing) and key(all_of_it, change) == key(all_of_it)
    with_note = {"extra": [*ROW["extra"], ("note", "x")]}
    assert key(all_of_it, with_note) == key(all_of_it)
    other_box, other_signal = {"extra": [("face_box", "9,9,9,9")]}, {"signals": [{**ROW["signals"][0], "unit": "V"}]}
    for reads, differs in ((nothing, False), (all_of_it, True)):
        assert (key(reads, other_box) != key(reads)) == differs
        assert (key(reads, other_signal) != key(reads)) == differs
        assert (key(reads, reader="expw") != key(reads)) == differs
    assert key(nothing, sha256="1") != key(nothing) != key(nothing, {"codec": "jpg"})


def test_requests_come_through_json() -> None:
    facts = Facts.of(ROW, "fer2013", Reads(signals=True, extra=frozenset({"face_box"}), reader=True))
    asked = Request(sample_key("0", facts), "c/a", "/x/y.tar", 512, 9, "0", facts)
    assert Request.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    assert facts.extra == {"face_box": "1,2,3,4"}

"""However much of the work store is damaged: it is made again, and the same comes out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import ResourceError
from corpora.fingerprint import hash_folder
from flows.engine.executor import WorkItem
from flows.engine.store import WorkStore
from flows.stages.augment.candidates import Drawer
from flows.stages.augment.sampler import samples_key, scores_key
from flows.stages.plan.plans import AugmentCompute
from generators.generator import Condition, Draw

COMPUTE = AugmentCompute(device="cpu", dtype="float32", compile=False, fit_threads=1, sample_threads=1, draw_list=2)
Project = Callable[[Path, dict[str, Any]], Path]


def flip(path: Path, at: int = -1) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(bytes(raw))


class HandPool:
    """Stands where the pool does: writes what is missing of a list, as `Sampler` would; `made` counts it."""

    def __init__(self, store: WorkStore, gates: dict[str, str]) -> None:
        self.store, self.gates = store, gates
        self.made: list[str] = []

    def run(self, items: list[WorkItem], on_done: Any) -> None:
        for item in items:
            n = len(item.payload["draws"])
            parts = [item.key, *(scores_key(item.key, gate) for gate in self.gates.values())]
            for part in parts:
                if self.store.has(part):
                    continue
                self.made.append(part)
                if part == item.key:
                    meta = {"ids": [f"{part}/{i}" for i in range(n)], "sha256": [""] * n, "errors": [None] * n}
                    self.store.put_arrays(part, {"payloads": np.zeros(0, np.uint8)}, meta | {"ends": [0] * (n + 1)})
                else:
                    self.store.put_arrays(part, {"values": np.arange(n, dtype=float)}, {"reasons": [None] * n})
            on_done(item, {})


class Drawn:
    """A drawer over `store` with two gates, and six lists of two draws."""

    def __init__(self, store: WorkStore) -> None:
        gates = {"a": "gates/a/1", "b": "gates/b/1"}
        drawer = object.__new__(Drawer)
        drawer.store, drawer.gate_keys, drawer.generator_id, drawer.seconds = store, gates, "g", {}
        drawer.source_hash = {}
        drawer.plan = SimpleNamespace(compute=COMPUTE)  # type: ignore[assignment]
        self.pool = HandPool(store, gates)
        drawer.pool = self.pool  # type: ignore[assignment]
        lists = [[Draw(Condition("anger"), 10 * k + i) for i in range(2)] for k in range(6)]
        self.draw = lambda: drawer(lists, 1)
        keys = [samples_key("g", draws, [], COMPUTE) for draws in lists]
        self.parts = [[key, *(scores_key(key, gate) for gate in gates.values())] for key in keys]


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 2))))
@settings(max_examples=12, deadline=None)
def test_any_number_of_damaged_parts_is_dropped_and_made_again(damaged: set[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        store = WorkStore(place)
        drawn = Drawn(store)
        before = drawn.draw()
        drawn.pool.made.clear()
        chosen = [drawn.parts[k][part] for k, part in damaged]
        for part in chosen:
            flip(Path(store._path(part)))
        assert drawn.draw() == before and len(before) == 12
        assert sorted(drawn.pool.made) == sorted(chosen)


def test_a_store_that_loses_what_was_just_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = WorkStore._writing

    @contextmanager
    def losing(self: WorkStore, key: str) -> Iterator[Any]:
        with real(self, key) as file:
            yield file
        flip(Path(self._path(key)))

    monkeypatch.setattr(WorkStore, "_writing", losing)
    with pytest.raises(ResourceError, match=r"gives back other bytes .*machine\.yaml"):
        Drawn(WorkStore(tmp_path)).draw()


@pytest.mark.parametrize("key", ["k", "folders/k"])
def test_sound_reads_what_has_does_not(tmp_path: Path, key: str) -> None:
    store = WorkStore(tmp_path)
    assert not store.sound(key)
    store.put(key, b"0123")
    assert store.sound(key)
    flip(Path(store._path(key)))
    assert store.has(key) and not store.sound(key) and not store.has(key)


@pytest.mark.slow
def test_all_that_is_damaged_is_made_again(tmp_path: Path, tiny_params: Any, project: Project, run_all: Any) -> None:
    params = tiny_params("faces")
    params["runs"]["tiny"]["generator"] = {"name": "cvae", "steps": 8, "params": {"width": 8, "latent": 4}}
    built = project(tmp_path / "p", params)
    run_all(built, stages=("fake", "ingest", "plan", "prepare", "fit", "augment"))
    run, store = built / "data/runs/tiny", built / ".emoforge/store"
    before = {name: hash_folder(run / name) for name in ("prepared", "augmented")}
    items = sorted(store.rglob("*.item"))
    kinds = {path.relative_to(store).parts[0] for path in items}
    assert kinds == {"prepared", "gates", "models", "samples", "scores"}
    assert sum(path.relative_to(store).parts[0] == "samples" for path in items) > 3
    content = {path: path.read_bytes() for path in items}
    for path in items:
        flip(path)
    run_all(built, stages=("prepare", "augment"))
    assert {name: hash_folder(run / name) for name in before} == before
    for path in items:
        assert path.read_bytes() == content[path], f"{path} was not made again"
    # one part of a list alone: its samples, or its scores
    for kind in ("samples", "scores"):
        chosen = [path for path in items if path.relative_to(store).parts[0] == kind][::2]
        for path in chosen:
            flip(path)
        run_all(built, stages=("augment",))
        assert hash_folder(run / "augmented") == before["augmented"]

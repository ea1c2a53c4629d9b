"""Workers for the tests of the pool; imported by actors as `tests.flows.engine.pool_workers`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import corpora.quiet
from corpora.errors import PayloadError
from flows.engine.store import WorkStore


class Square:
    """Answers with the square, and with what its process looks like."""

    def __init__(self, offset: int = 0, fail: bool = False) -> None:
        if fail:
            raise ValueError("this worker cannot be built")
        self.offset = offset

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        begun = time.monotonic()
        time.sleep(payload.get("sleep", 0.0))
        span = (begun, time.monotonic())
        return {"square": payload["n"] ** 2 + self.offset, "pid": os.getpid(), "pair": (1, 2), "span": span}


class Process:
    """Tells about threads, packages and environment."""

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        import numpy as np
        import threadpoolctl
        import torch

        np.ones((4, 4)) @ np.ones((4, 4))
        return {
            "torch": torch.get_num_threads(),
            "blas": [pool["num_threads"] for pool in threadpoolctl.threadpool_info()],
            "repo": str(corpora.quiet.REPO),
            "waits": os.environ.get("OMP_WAIT_POLICY"),
            "usage": os.environ.get("RAY_USAGE_STATS_ENABLED"),
        }


class Raises:
    """Raises what the payload asks for, and counts its calls in a file."""

    def __init__(self, calls: str) -> None:
        self.calls = Path(calls)

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        with self.calls.open("a") as file:
            file.write("x")
        if payload["kind"] == "payload":
            raise PayloadError("too-short", "12 samples")
        if payload["kind"] == "value":
            raise ValueError("seven is not even")
        if payload["kind"] == "local":

            class OddError(Exception):
                pass

            raise OddError("cannot be imported")
        return {}


class Mortal:
    """Kills its process with SIGKILL on the first sight of an item (mode once), always, or hangs once."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        n, mode = payload["n"], payload.get("mode")
        seen = self.folder / f"seen-{n}"
        first = not seen.exists()
        seen.touch()
        if mode == "always" or (mode == "once" and first):
            os.kill(os.getpid(), 9)
        if mode == "hang" and first:
            time.sleep(300)
        return {"square": n * n}


class DiesAtStart:
    def __init__(self) -> None:
        os.kill(os.getpid(), 9)

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {}


class OnItsNode:
    """Fetches a model from a store by URL into a folder of its node alone, computes with it, puts the result back."""

    def __init__(self, store: str, private: str) -> None:
        import ray

        import tests.flows.engine.loopback_storage  # noqa: F401  (registers the protocol)

        self.store = WorkStore(store)
        self.node = ray.get_runtime_context().get_node_id()
        folder = self.store.fetch_folder("models/m", Path(private) / self.node)
        self.weight = int((folder / "weight.txt").read_text())

    def run(self, payload: dict[str, Any]) -> dict[str, Any]:
        time.sleep(payload.get("sleep", 0.0))
        values = np.arange(1000, dtype=np.float64) * self.weight + payload["n"]
        self.store.put_arrays(payload["key"], {"values": values}, {"n": payload["n"]})
        return {"node": self.node}
